// Which models, experts and roles there are is in the files of graphs/new: models.txt, experts.txt,
// and a template for each role and image encoder.
#include "cli/new_graph.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

static const char *text_of(Arena *arena, const char *name)
{
    const char *text = template_text(arena, str_printf(arena, "new/%s", name));
    if (!text) bug("cztc has no file new/%s", name);
    return text;
}

static void set(NewGraph *g, Map *to, const char *name, const char *value)
{
    map_set(g->arena, to, name, (void *)value);
}

// ---- models -------------------------------------------------------------------------------------

const char *new_models(Arena *arena)
{
    WordRows rows = template_rows(arena, text_of(arena, "models.txt"));
    const char *list = "";
    for (uint32_t i = 1; i < rows.n; i++)
        list = str_printf(arena, "%s%s%s", list, *list ? ", " : "", rows.at[i].at[0]);
    return list;
}

bool new_model(NewGraph *g, const char *name)
{
    WordRows rows = template_rows(g->arena, text_of(g->arena, "models.txt"));
    const Words *head = &rows.at[0];
    for (uint32_t i = 1; i < rows.n; i++) {
        const Words *row = &rows.at[i];
        if (strcmp(row->at[0], name) != 0) continue;
        if (row->n != head->n) bug("new/models.txt: a row with %u values", row->n);
        for (uint32_t k = 1; k < head->n; k++) set(g, &g->values, head->at[k], row->at[k]);
        return true;
    }
    return false;
}

// ---- roles and names ----------------------------------------------------------------------------

static bool has_template(Arena *arena, const char *role, const char **text)
{
    *text = template_text(arena, str_printf(arena, "new/%s.yaml.in", role));
    return *text;
}

// The roles that experts may have, and names that are known.
static const char *choices(Arena *arena, bool roles)
{
    WordRows rows = template_rows(arena, text_of(arena, "experts.txt"));
    const char *list = "";
    for (uint32_t i = 0; i < rows.n; i++) {
        const Words *row = &rows.at[i];
        bool any = strcmp(row->at[0], "*") == 0;
        if (strcmp(row->at[0], "-") == 0 || any != roles) continue;
        list = str_printf(arena, "%s%s%s", list, *list ? ", " : "", row->at[any]);
    }
    return list;
}

static bool is_reserved(Arena *arena, const char *name)
{
    WordRows rows = template_rows(arena, text_of(arena, "experts.txt"));
    for (uint32_t i = 0; i < rows.n; i++)
        for (uint32_t k = 1; strcmp(rows.at[i].at[0], "-") == 0 && k < rows.at[i].n; k++)
            if (strcmp(rows.at[i].at[k], name) == 0) return true;
    return false;
}

static bool is_name(const char *text)
{
    if (!isalpha((unsigned char)*text) && *text != '_') return false;
    while (isalnum((unsigned char)*text) || *text == '_') text++;
    return !*text;
}

// The row of an expert: of its name, or of its role alone; NULL where there is none.
static const Words *expert_row(const WordRows *rows, const char *name, const char *role)
{
    for (uint32_t i = 0; i < rows->n; i++) {
        const Words *row = &rows->at[i];
        bool known = strcmp(row->at[0], role ? "*" : name) == 0;
        if (known && (!role || strcmp(row->at[1], role) == 0)) return row;
    }
    return NULL;
}

// ---- parts --------------------------------------------------------------------------------------

static const char *number(Arena *arena, double x)
{
    return str_printf(arena, "%.10g", x);
}

// What was seen of a member, as a comment.
static const char *seen(const NewGraph *g, const MemberLook *m)
{
    const char *text =
        str_printf(g->arena, "%s, in %lld of %lld samples", yaml_text(g->arena, m->extension),
                   (long long)m->samples, (long long)g->look.samples);
    if (isfinite(m->low))
        text = str_printf(g->arena, "%s: %.4g to %.4g%s", text, m->low, m->high,
                          m->has_255 ? ", and 255" : "");
    return text;
}

// ", names: [cat, dog]": names that classes have in the shard; nothing where they are numbers.
static const char *names_of(Arena *arena, const MemberLook *m)
{
    const char *list = "";
    for (uint32_t i = 0; i < m->names.n; i++)
        list = str_printf(arena, "%s%s%s", list, i ? ", " : "", yaml_text(arena, m->names.at[i]));
    return m->names.n ? str_printf(arena, ", names: [%s]", list) : "";
}

// Values of a part for a member of the shard.
static void member_values(NewGraph *g, Part *part, const MemberLook *m)
{
    Arena *a = g->arena;
    bool some = m->samples < g->look.samples;
    set(g, &part->values, "member", str_printf(a, ", member: %s", yaml_text(a, m->extension)));
    set(g, &part->values, "seen", seen(g, m));
    set(g, &part->values, "optional", some ? ", optional: true" : "");
    set(g, &part->values, "classes", number(a, isfinite(m->high) ? fmax(m->high + 1, 2) : 2));
    set(g, &part->values, "scale", m->whole ? ", scale: 0.001" : "");
    set(g, &part->values, "length", number(a, (double)m->length));
    set(g, &part->values, "names", names_of(a, m));
    set(g, &part->values, "format",
        m->annotations || m->backward ? "coco"
        : m->pixels                   ? "xyxy_pixels"
                                      : "xyxy_unit");
    if (m->shape) set(g, &part->values, "shape", m->shape);
    if (m->dtype) set(g, &part->values, "dtype", m->dtype);
}

static bool add_part(NewGraph *g, const char *name, const char *role, const MemberLook *m,
                     const Words *row, bool expert)
{
    Part part = {.leave = expert ? NULL : "experts"};
    if (!has_template(g->arena, role, &part.text)) return false;
    set(g, &part.values, "name", name);
    if (m) {
        member_values(g, &part, m);
    } else {
        set(g, &part.values, "member", "");
        set(g, &part.values, "seen", "see docs/data.md for how it is stored");
        set(g, &part.values, "optional", "");
        set(g, &part.values, "scale", "");
    }
    for (uint32_t i = 2; !m && i < row->n; i++) {
        size_t n = strcspn(row->at[i], "=");
        set(g, &part.values, str_slice(g->arena, row->at[i], n), row->at[i] + n + 1);
    }
    vec_push(g->arena, &g->parts, part);
    return true;
}

static const MemberLook *member_named(const NewGraph *g, const char *name)
{
    for (uint32_t i = 0; i < g->look.members.n; i++) {
        const MemberLook *m = &g->look.members.at[i];
        if (m->role && strcmp(m->name, name) == 0) return m;
    }
    return NULL;
}

// Can the label be an expert, as far as its role's template goes?
static bool may_be_expert(Arena *arena, const MemberLook *m)
{
    const char *text;
    if (!m->role || is_reserved(arena, m->name) || !is_name(m->name)) return false;
    return has_template(arena, m->role, &text) && strstr(text, "\n@experts\n");
}

const char *new_found(const NewGraph *g)
{
    const char *list = "";
    for (uint32_t i = 0; i < g->look.members.n; i++) {
        const MemberLook *m = &g->look.members.at[i];
        if (may_be_expert(g->arena, m))
            list = str_printf(g->arena, "%s%s%s", list, *list ? "," : "", m->name);
    }
    return list;
}

// One item of the list of experts, "seg" or "seg:class_map".
static bool add_expert(NewGraph *g, Map *names, const char *item, Error *err)
{
    Arena *a = g->arena;
    size_t n = strcspn(item, ":");
    const char *name = str_slice(a, item, n), *role = item[n] ? item + n + 1 : NULL;
    if (!is_name(name)) return error_set(err, "--experts: '%s' is no name", name);
    if (is_reserved(a, name))
        return error_set(err, "--experts: '%s' is the name of another part of the graph", name);
    if (!map_set(a, names, name, g)) return error_set(err, "--experts: '%s' comes twice", name);
    const MemberLook *m = role ? NULL : member_named(g, name);
    if (m && !may_be_expert(a, m))
        return error_set(err, "--experts: '%s' is %s, of which no expert is made", name, m->role);
    if (m) return add_part(g, name, m->role, m, NULL, true);
    WordRows rows = template_rows(a, text_of(a, "experts.txt"));
    const Words *row = expert_row(&rows, name, role);
    if (row) return add_part(g, name, row->at[1], NULL, row, true);
    if (role)
        return error_set(err, "--experts: no expert is made of role '%s'; roles are: %s", role,
                         choices(a, true));
    return error_set(err,
                     "--experts: what label has '%s'? Known are %s; of another name say the role, "
                     "%s:ROLE (%s)",
                     name, choices(a, false), name, choices(a, true));
}

// Fields of all that the shard has and no expert takes.
static void add_fields(NewGraph *g, const Map *names)
{
    const char *text;
    for (uint32_t i = 0; i < g->look.members.n; i++) {
        const MemberLook *m = &g->look.members.at[i];
        if (!m->role || is_reserved(g->arena, m->name) || map_find(names, m->name)) continue;
        if (has_template(g->arena, m->role, &text) && is_name(m->name))
            add_part(g, m->name, m->role, m, NULL, false);
    }
}

// ---- the main template --------------------------------------------------------------------------

int64_t new_number(const char *text)
{
    int64_t x = 0;
    for (; *text; text++) {
        if (*text == '_' && x) continue;
        if (!isdigit((unsigned char)*text) || x > INT32_MAX) return 0;
        x = 10 * x + (*text - '0');
    }
    return x;
}

static int64_t value_of(const NewGraph *g, const char *name)
{
    return new_number(map_get(&g->values, name));
}

// A tenth of the updates at most.
static void choose_warmup(NewGraph *g)
{
    int64_t most = value_of(g, "steps") / 10 + 1;
    if (value_of(g, "warmup") > most)
        set(g, &g->values, "warmup", str_printf(g->arena, "%lld", (long long)most));
}

// The members of the view and of the captions: those of the shard, else the usual ones.
static void choose_members(NewGraph *g)
{
    const char *image = NULL, *text = NULL;
    for (uint32_t i = 0; i < g->look.members.n; i++) {
        const MemberLook *m = &g->look.members.at[i];
        if (m->role && strcmp(m->role, "image") == 0)
            image = image ? str_printf(g->arena, "%s, %s", image, m->extension) : m->extension;
        bool captions = m->role && strcmp(m->role, "tokens") == 0;
        if (captions && (!text || strcmp(m->extension, "txt") == 0)) text = m->extension;
    }
    if (image && strchr(image, ',')) image = str_printf(g->arena, "[%s]", image);
    set(g, &g->values, "image", image ? image : "[jpg, jpeg, png, webp]");
    set(g, &g->values, "text", text ? yaml_text(g->arena, text) : "txt");
}

// The image encoder of the model, which all values of the graph are for.
static void add_encoder(NewGraph *g)
{
    const char *name = map_get(&g->values, "encoder");
    Part part = {.values = g->values,
                 .text = text_of(g->arena, str_printf(g->arena, "encoder_%s.yaml.in", name))};
    vec_push(g->arena, &g->parts, part);
}

bool new_choose(NewGraph *g, Error *err)
{
    Arena *a = g->arena;
    Map names = {0};
    int64_t size = value_of(g, "size"), patch = value_of(g, "patch");
    if (size % patch)
        return error_set(err, "--image-size %lld is no multiple of the patch, %lld",
                         (long long)size, (long long)patch);
    const char *list = g->experts ? g->experts : new_found(g);
    if (strcmp(list, "none") == 0) list = "";
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, ",");
        if (!add_expert(g, &names, str_slice(a, at, n), err)) return false;
        at += n + (at[n] == ',');
    }
    const char *tasks = names.n == 1 ? ", with an expert"
                        : names.n    ? str_printf(a, ", with %u experts", names.n)
                                     : "";
    add_fields(g, &names);
    choose_members(g);
    choose_warmup(g);
    set(g, &g->values, "tasks", tasks);
    add_encoder(g);
    return true;
}

const char *new_text(const NewGraph *g)
{
    return template_fill(g->arena, text_of(g->arena, "graph.yaml.in"), &g->values, &g->parts);
}
