// data: views and fields as inputs of the step, and the loader's specification as JSON. Only what
// some entry reads is decoded. The role of a field decides its shape and type; no code here knows
// tasks.
#include "frontend/data_mends.h"
#include "frontend/mend.h"
#include "frontend/json.h"
#include "frontend/rewrite.h"

#include <stdlib.h>

// Roles, their element type, and the keys each has besides the common ones.
static const struct {
    const char *name;
    FieldRole role;
    DType dtype;
    const char *keys;
} roles[] = {
    {"class_map", FIELD_CLASS_MAP, DT_I32, " follow size ignore remap classes "},
    {"map", FIELD_MAP, DT_F32, " follow size invalid scale offset "},
    {"normals", FIELD_NORMALS, DT_F32, " follow size invalid "},
    {"vector", FIELD_VECTOR, DT_F32, " size "},
    {"tokens", FIELD_TOKENS, DT_I32, " tokenizer length pad "},
    {"class", FIELD_CLASS, DT_I32, " ignore classes "},
    {"array", FIELD_ARRAY, DT_F32, " dtype shape "},
    {"a draw", FIELD_DRAW, DT_I32, ""},
    {"boxes", FIELD_BOXES, DT_F32,
     " follow max format names classes ignore remap min_score min_area min_visible "},
    {"points", FIELD_POINTS, DT_F32, " follow max format names classes ignore remap min_score "},
};
static const char the_roles[] =
    "the roles are class_map, map, normals, vector, tokens, class, array, boxes, points";
static const char common_keys[] = " as member series key optional ";

const Tree *data_section(const Elab *el, const char *name)
{
    return tree_get(tree_get(el->root, "data"), name);
}

// ---- fields -----------------------------------------------------------------------------------

static bool role_of(Elab *el, Field *f)
{
    const Tree *as = tree_get(f->tree, "as");
    const char *name = as && as->kind == TREE_SCALAR    ? as->text
                       : tree_get(f->tree, "tokenizer") ? "tokens"
                                                        : NULL;
    if (!name && keys_strange(el, f->tree, MAPPING_FIELD)) return false;
    if (!name) {
        el_error(el, f->loc, "field '%s' needs 'as', its role", f->name);
        for (uint32_t i = 0; i < sizeof roles / sizeof *roles; i++)
            guess_entry(el, f->tree->loc, "as", roles[i].name);
        guess_all(el);
        guess_no_entry_around(el, f->loc);
        diag_help(el->diag, the_roles);
        return false;
    }
    for (uint32_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i].name, name) == 0 && roles[i].role != FIELD_DRAW) {
            f->role = roles[i].role;
            return true;
        }
    el_error(el, as->loc, "there is no role '%s'", name);
    Map names = {0};
    for (uint32_t i = 0; i < sizeof roles / sizeof *roles; i++)
        map_set(el->arena, &names, roles[i].name, NULL);
    if (!suggest_near(el, name, &names)) diag_help(el->diag, the_roles);
    return false;
}

const char *field_role(const Field *f)
{
    uint32_t i = 0;
    while (roles[i].role != f->role) i++;
    return roles[i].name;
}

static const char *keys_of(const Field *f)
{
    uint32_t i = 0;
    while (roles[i].role != f->role) i++;
    return roles[i].keys;
}

// Keys that other roles have are errors here, not in the loader.
static bool role_keys(Elab *el, const Field *f)
{
    bool ok = true;
    for (uint32_t k = 0; k < f->tree->entries.n; k++) {
        const Tree *key = f->tree->entries.at[k].key;
        const char *name = str_printf(el->arena, " %s ", key->text);
        if (strstr(common_keys, name) || strstr(keys_of(f), name)) continue;
        if (!keys_reserved(MAPPING_FIELD, key->text)) continue; // reported as nobody's
        el_error(el, key->loc, "a field of role %s has no key '%s'", field_role(f), key->text);
        diag_help(el->diag, "it has:%s%s", common_keys, keys_of(f) + 1);
        suggest_without(el, f->tree, key);
        ok = false;
    }
    return ok;
}

// `want` sizes, or any number of them for UINT32_MAX; of two, a single number is both. `n` is how
// many there are.
static bool sizes_read(Elab *el, const Tree *t, uint32_t want, Axis **axes, uint32_t *n)
{
    Value v = tree_eval(el, el->scope, t, NULL);
    if (v.kind == V_FLOAT && (double)(int64_t)v.f == v.f) v = value_int((int64_t)v.f); // 32.0
    bool square = want == 2 && v.kind == V_INT;
    if (!value_to_axes(el, v, t->loc, axes, n)) return false;
    if (!square) return true;
    Axis *both = arena_array(el->arena, Axis, 2);
    both[0] = both[1] = (*axes)[0];
    *axes = both, *n = 2;
    return true;
}

// The sizes a key gives, after the batch axis.
static bool field_sizes(Elab *el, const Field *f, const char *key, uint32_t want, Axis **axes,
                        uint32_t *rank)
{
    const Tree *t = tree_get(f->tree, key);
    *rank = 0;
    if (!t && keys_strange(el, f->tree, MAPPING_FIELD)) return false;
    if (!t) {
        el_error(el, f->loc, "field '%s' needs '%s'", f->name, key);
        suggest_needed(el, f, key);
        return false;
    }
    if (!sizes_read(el, t, want, axes, rank)) return false;
    if (want == UINT32_MAX || *rank == want) return true;
    return el_error(el, t->loc, "'%s' of field '%s' has %u numbers, not %u", key, f->name, want,
                    *rank);
}

// The name of the view that a field follows; NULL where it says none. Places always follow one, the
// first by default.
static const char *followed_name(const Elab *el, const Field *f)
{
    const Tree *follow = tree_get(f->tree, "follow"), *views = data_section(el, "views");
    if (follow) return follow->kind == TREE_SCALAR ? follow->text : NULL;
    return field_is_places(f) && views && views->entries.n ? views->entries.at[0].key->text : NULL;
}

static const Tree *followed(const Elab *el, const Field *f)
{
    const Tree *views = data_section(el, "views");
    const char *name = followed_name(el, f);
    return name ? tree_get(views, name) : NULL;
}

// Values of a label a sample: as many as the view it follows has.
static int64_t follow_count(Elab *el, const Field *f)
{
    const Tree *follow = tree_get(f->tree, "follow"), *view = followed(el, f);
    if (follow && follow->kind == TREE_SCALAR && !view)
        el_error(el, follow->loc, "there is no view '%s'", follow->text);
    const Tree *t = tree_get(view, "count");
    int64_t count = 1;
    if (t && !value_to_int(el, tree_eval(el, el->scope, t, NULL), t->loc, "count", &count))
        return 1;
    return count > 0 ? count : 1;
}

static bool view_sizes(Elab *el, const Tree *t, Axis **size, int64_t *count);

// A view for a field that follows one, which itself may lack the number of places; or no such
// field.
static void guess_view(Elab *el, const Field *f)
{
    static const char view[] = "{image: {size: [224, 224]}}";
    const char *text, *max;
    const Loc at = entry_added(el, tree_get(el->root, "data"), "views", view, &text);
    const Loc also = entry_added(el, f->tree, "max", "16", &max);
    const char *said = str_printf(el->arena, "views: %s", view);
    if (at.source && tree_get(f->tree, "max")) guess_add(el, at, text, said);
    if (at.source && also.source == at.source && !tree_get(f->tree, "max"))
        guess_both(el, at, text, also, max, str_printf(el->arena, "%s, and max: 16", said));
    guess_no_entry_around(el, f->loc);
}

// Boxes and points lie in a view that is well described.
static bool places_view(Elab *el, Field *f)
{
    const Tree *view = followed(el, f), *max = tree_get(f->tree, "max");
    Axis *size;
    int64_t count;
    if (!view) {
        el_error(el, f->loc, "field '%s' follows a view, and there is none", f->name);
        guess_view(el, f);
        return false;
    }
    if (!max && keys_strange(el, f->tree, MAPPING_FIELD)) return false;
    if (!max) {
        el_error(el, f->loc, "field '%s' needs 'max', how many %s a picture has at most", f->name,
                 field_role(f));
        suggest_needed(el, f, "max");
        return false;
    }
    if (data_wrong(el, view) || !keys_check(el, view, MAPPING_VIEW, false) ||
        !view_sizes(el, view, &size, &count))
        return false;
    f->view_size[0] = size[0].size, f->view_size[1] = size[1].size;
    return true;
}

static const Type *field_type(Elab *el, const Field *f)
{
    static const struct {
        const char *key;
        uint32_t n;
    } sizes[FIELD_ROLES] = {[FIELD_CLASS_MAP] = {"size", 2},
                            [FIELD_MAP] = {"size", 2},
                            [FIELD_NORMALS] = {"size", 2},
                            [FIELD_VECTOR] = {"size", 1},
                            [FIELD_TOKENS] = {"length", 1},
                            [FIELD_CLASS] = {NULL, 0},
                            [FIELD_ARRAY] = {"shape", UINT32_MAX},
                            [FIELD_BOXES] = {"max", 1},
                            [FIELD_POINTS] = {"max", 1}};
    Axis *given = NULL;
    uint32_t n = 0, rank = 0;
    DType dt = f->role == FIELD_ARRAY ? DT_F32 : DT_NONE;
    for (uint32_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (roles[i].role == f->role) dt = roles[i].dtype;
    const char *key = sizes[f->role].key;
    if (key && !field_sizes(el, f, key, sizes[f->role].n, &given, &n)) return NULL;
    const Tree *dtype = tree_get(f->tree, "dtype");
    if (dtype && dtype->kind == TREE_SCALAR) {
        dt = dtype_find(dtype->text);
        if (dt == DT_NONE) {
            el_error(el, dtype->loc, "'%s' is no element type", dtype->text);
            return NULL;
        }
    }
    Axis *axes = arena_array(el->arena, Axis, n + 3);
    int64_t copies = follow_count(el, f);
    axes[rank++] = (Axis){el->batch * copies, copies};
    if (f->role == FIELD_NORMALS) axes[rank++] = (Axis){3, 0};
    for (uint32_t i = 0; i < n; i++) axes[rank++] = (Axis){given[i].size, 0};
    if (field_is_places(f)) axes[rank++] = (Axis){f->role == FIELD_BOXES ? 4 : 2, 0};
    return type_new(el->arena, dt, rank, axes);
}

// By default a sample may lack what is in a series; the series may say, and then the field.
static bool optional_field(Elab *el, const Field *f)
{
    const Tree *name = tree_get(f->tree, "series"), *all = data_section(el, "series");
    const Tree *series =
        all && name && name->kind == TREE_SCALAR ? tree_get(all, name->text) : NULL;
    const Tree *said[] = {tree_get(series, "optional"), tree_get(f->tree, "optional")};
    bool yes = name != NULL;
    for (int i = 0; i < 2; i++)
        if (said[i])
            value_to_bool(el, tree_eval(el, el->scope, said[i], NULL), said[i]->loc, "optional",
                          &yes);
    return yes;
}

static void bind_field(Elab *el, Scope *s, const TreeEntry *e)
{
    Field *f = arena_make(el->arena, Field);
    *f = (Field){.name = e->key->text, .tree = e->value, .loc = e->key->loc};
    if (keys_check(el, e->value, MAPPING_FIELD, false) && role_of(el, f) && role_keys(el, f)) {
        bool label = f->role == FIELD_CLASS_MAP || f->role == FIELD_MAP ||
                     f->role == FIELD_NORMALS || f->role == FIELD_CLASS || field_is_places(f);
        f->has_valid = label || optional_field(el, f);
        bool ok = !data_wrong(el, e->value) && (!field_is_places(f) || places_view(el, f));
        if (ok) f->type = field_type(el, f);
    }
    scope_value(el, s, f->name, f->loc, (Value){.kind = V_FIELD, .field = f});
}

static void mark(Elab *el, const char *name)
{
    if (el->marking) map_set(el->arena, &el->used, name, el);
}

// A label needs the view whose geometry it takes.
static void mark_field(Elab *el, const Field *f)
{
    mark(el, f->name);
    if (followed(el, f)) mark(el, str_printf(el->arena, "views.%s", followed_name(el, f)));
}

Value field_value(Elab *el, Field *f, Loc loc)
{
    if (!f->type) return value_error();
    if (field_is_places(f)) return places_value(el, f, loc);
    mark_field(el, f);
    return value_node(el, graph_input(el->graph, f->name, f->type));
}

Value field_member(Elab *el, Field *f, const char *name, Loc loc)
{
    bool valid = strcmp(name, "valid") == 0, present = strcmp(name, "present") == 0,
         places = field_is_places(f);
    if (f->role == FIELD_DRAW) return member_read(el, field_value(el, f, loc), name, loc);
    if (!f->type) return value_error();
    if (strcmp(name, "classes") == 0 && strstr(keys_of(f), " classes "))
        return field_classes(el, f, loc);
    if (places && strcmp(name, "labelled") == 0) name = "present", present = true;
    if (!valid && !present && !places) return member_read(el, field_value(el, f, loc), name, loc);
    mark_field(el, f);
    if (places && !present) return places_member(el, f, name, loc);
    bool pixels = f->role == FIELD_CLASS_MAP || f->role == FIELD_MAP || f->role == FIELD_NORMALS;
    Axis axes[3] = {{el->batch, 1}};
    uint32_t rank = 1, last = f->type->rank;
    if (valid && pixels) { // one truth value a pixel
        axes[0] = f->type->axes[0];
        axes[1] = f->type->axes[last - 2];
        axes[2] = f->type->axes[last - 1];
        rank = 3;
    }
    const Type *t = type_new(el->arena, DT_BOOL, rank, axes);
    return value_node(el, graph_input(el->graph, str_printf(el->arena, "%s.%s", f->name, name), t));
}

// ---- views ------------------------------------------------------------------------------------

static bool view_sizes(Elab *el, const Tree *t, Axis **size, int64_t *count)
{
    const Tree *s = tree_get(t, "size"), *c = tree_get(t, "count");
    uint32_t rank;
    *count = 1;
    if (!sizes_read(el, s, 2, size, &rank)) return false;
    if (rank != 2)
        return el_error(el, s->loc, "a view's size is [height, width], or one number for both");
    return !c || value_to_int(el, tree_eval(el, el->scope, c, NULL), c->loc, "count", count);
}

Value view_read(Elab *el, const char *name, Loc loc)
{
    const Tree *views = data_section(el, "views"), *t = tree_get(views, name);
    if (!t) {
        el_error(el, loc, "there is no view '%s'", name);
        const Map names = keys_map(el, views);
        const Binding *field = el->scope ? scope_find(el->scope, name) : NULL;
        if (field && field->forced && field->value.kind == V_FIELD && is_users(el, loc)) {
            diag_help(el->diag, "write %s: fields are called by their own names", name);
            size_t size; // of "views.", which stands before it
            const char *s = diag_source_text(el->diag, loc.source, &size);
            const uint32_t n = loc.begin >= 6 && !strncmp(s + loc.begin - 6, "views.", 6) ? 6 : 0;
            if (n) diag_mend(el->diag, loc_in(loc.source, loc.begin - n, loc.begin), "");
            return value_error();
        }
        suggest_words(el, name, &names);
        return value_error();
    }
    Axis *size;
    int64_t count;
    if (data_wrong(el, t) || !keys_check(el, t, MAPPING_VIEW, false) ||
        !view_sizes(el, t, &size, &count))
        return value_error();
    Axis axes[] = {{el->batch * count, count}, {size[0].size, 0}, {size[1].size, 0}, {3, 0}};
    mark(el, str_printf(el->arena, "views.%s", name));
    return value_node(el, graph_input(el->graph, name, type_new(el->arena, DT_U8, 4, axes)));
}

void data_bind(Elab *el, Scope *s)
{
    const Tree *fields = data_section(el, "fields"), *views = data_section(el, "views");
    for (uint32_t i = 0; fields && i < fields->entries.n; i++)
        bind_field(el, s, &fields->entries.at[i]);
    for (uint32_t i = 0; views && i < views->entries.n; i++) {
        const TreeEntry *e = &views->entries.at[i];
        if (fields && tree_get(fields, e->key->text))
            diag_error(el->diag, e->key->loc, "'%s' is a view and a field", e->key->text);
        keys_check(el, e->value, MAPPING_VIEW, false);
    }
    draws_bind(el, s);
    scope_value(el, s, "views", (Loc){0}, (Value){.kind = V_SPACE, .space = SPACE_VIEWS});
}

// ---- the loader's specification ---------------------------------------------------------------

static void put_strings(Json *j, const char *key, const Tree *t)
{
    json_open(j, key, '[');
    if (t && t->kind == TREE_SCALAR) json_str(j, NULL, t->text);
    for (uint32_t i = 0; t && i < t->items.n; i++)
        if (t->items.at[i]->kind == TREE_SCALAR) json_str(j, NULL, t->items.at[i]->text);
    json_close(j, ']');
}

static void put_number(Elab *el, Json *j, const Tree *map, const char *key)
{
    const Tree *t = tree_get(map, key);
    double x;
    if (t && value_to_float(el, tree_eval(el, el->scope, t, NULL), t->loc, key, &x))
        json_float(j, key, x);
}

static bool is_mixture(const Tree *source)
{
    return source && source->kind == TREE_LIST && source->items.n &&
           source->items.at[0]->kind == TREE_MAP;
}

// The rows of a source: all their shards, and how many are each one's.
static void put_mixture(Elab *el, Json *j, const Tree *source)
{
    json_open(j, "source", '[');
    for (uint32_t i = 0; i < source->items.n; i++) {
        const Tree *t = tree_get(source->items.at[i], "shards");
        if (t->kind == TREE_SCALAR) json_str(j, NULL, t->text);
        for (uint32_t k = 0; k < t->items.n; k++) json_str(j, NULL, t->items.at[k]->text);
    }
    json_close(j, ']');
    json_open(j, "mixture", '[');
    for (uint32_t i = 0; i < source->items.n; i++) {
        const Tree *row = source->items.at[i], *t = tree_get(row, "shards");
        json_open(j, NULL, '{');
        json_int(j, "patterns", t->kind == TREE_SCALAR ? 1 : t->items.n);
        if (tree_get(row, "weight"))
            put_number(el, j, row, "weight");
        else
            json_int(j, "weight", 1);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_numbers(Elab *el, Json *j, const Tree *map, const char *key, double lo, double hi)
{
    const Tree *t = tree_get(map, key);
    const ValueList *items;
    json_open(j, key, '[');
    if (!t) {
        json_float(j, NULL, lo);
        json_float(j, NULL, hi);
    } else if (value_items(el, tree_eval(el, el->scope, t, NULL), t->loc, &items)) {
        double x;
        for (uint32_t i = 0; i < items->v.n; i++)
            if (value_to_float(el, items->v.at[i], t->loc, key, &x)) json_float(j, NULL, x);
    }
    json_close(j, ']');
}

static void put_text(Json *j, const Tree *map, const char *key)
{
    const Tree *t = tree_get(map, key);
    if (t && t->kind == TREE_SCALAR) json_str(j, key, t->text);
}

// {"brightness": 0.4, ..}
static void put_colour(Elab *el, Json *j, const Tree *t)
{
    static const char *const keys[] = {"brightness", "contrast", "saturation",
                                       "hue",        "grey",     "blur"};
    if (!t || t->kind != TREE_MAP) return;
    json_open(j, "colour", '{');
    for (uint32_t i = 0; i < sizeof keys / sizeof *keys; i++) put_number(el, j, t, keys[i]);
    json_close(j, '}');
}

static void put_replay(Elab *el, Json *j, const Tree *t)
{
    if (!t || t->kind != TREE_MAP) return;
    json_open(j, "replay", '{');
    put_strings(j, "member", tree_get(t, "member"));
    put_text(j, t, "series");
    if (tree_get(t, "key")) key_put(el, j, t);
    json_bool(j, "ops", tree_get(t, "ops") != NULL);
    json_close(j, '}');
}

static void put_view(Elab *el, Json *j, const char *name, const Tree *t)
{
    Axis *size;
    int64_t count;
    if (!view_sizes(el, t, &size, &count)) return;
    json_open(j, NULL, '{');
    json_str(j, "name", name);
    if (tree_get(t, "member")) put_strings(j, "member", tree_get(t, "member"));
    json_open(j, "size", '[');
    json_int(j, NULL, size[0].size);
    json_int(j, NULL, size[1].size);
    json_close(j, ']');
    const Tree *crop = tree_get(t, "crop");
    if (crop && crop->kind == TREE_SCALAR) {
        json_str(j, "crop", crop->text);
    } else if (crop && keys_check(el, crop, MAPPING_CROP, false)) {
        json_open(j, "crop", '{');
        put_numbers(el, j, crop, "scale", 1, 1);
        put_numbers(el, j, crop, "ratio", 3.0 / 4, 4.0 / 3);
        json_close(j, '}');
    }
    put_number(el, j, t, "flip");
    put_text(j, t, "series");
    put_colour(el, j, tree_get(t, "colour"));
    put_replay(el, j, tree_get(t, "replay"));
    json_int(j, "count", count);
    json_close(j, '}');
}

static const char *role_name(FieldRole role)
{
    for (uint32_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (roles[i].role == role) return roles[i].name;
    return "image";
}

// remap: {stored: used}, or a file that holds such a table as JSON.
// The rows of a table: {stored: used}.
static void put_rows(Elab *el, Json *j, const Tree *rows)
{
    json_open(j, "remap", '{');
    for (uint32_t i = 0; i < rows->entries.n; i++) {
        const TreeEntry *e = &rows->entries.at[i];
        int64_t to;
        if (value_to_int(el, tree_eval(el, el->scope, e->value, NULL), e->key->loc, "a class", &to))
            json_int(j, e->key->text, to);
    }
    json_close(j, '}');
}

static bool is_whole(const Tree *t)
{
    char *end;
    if (t->kind != TREE_SCALAR || !*t->text) return false;
    strtoll(t->text, &end, 10);
    return !*end;
}

// What is wrong with the table of a file; NULL for nothing.
static const char *wrong_table(Elab *el, const Tree *t)
{
    if (t->kind != TREE_MAP) return "it is no table of stored classes and ours, as {\"7\": 1} is";
    for (uint32_t i = 0; i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        if (!is_whole(e->key) || !is_whole(e->value))
            return str_printf(el->arena, "row '%s': both classes are whole numbers", e->key->text);
    }
    return NULL;
}

// The table that is in a file, JSON or YAML; NULL when reported.
static const Tree *remap_file(Elab *el, const Field *f, const Tree *name)
{
    const char *dir = said_in(el, name), *wrong;
    const char *path =
        *dir && *name->text != '/' ? str_printf(el->arena, "%s/%s", dir, name->text) : name->text;
    Diag *quiet = diag_new(el->arena);
    const Tree *t = tree_read_file(el->arena, quiet, path, (Loc){0}, NULL);
    if (t && !(wrong = wrong_table(el, t))) return t;
    if (!t) wrong = diag_error_text(quiet, 0);
    bool named = strstr(wrong, path);
    el_error(el, name->loc, named ? "%.0s%s" : "%s: %s", path, wrong);
    suggest_choices(el, without_key(el, f->tree, "remap"), (Choice){.text = NULL});
    return NULL;
}

static void put_remap(Elab *el, Json *j, const Field *f)
{
    const Tree *t = tree_get(f->tree, "remap");
    if (t && t->kind == TREE_SCALAR) t = remap_file(el, f, t);
    if (t) put_rows(el, j, t);
}

static void put_sizes(Json *j, const Field *f)
{
    uint32_t first = f->role == FIELD_NORMALS ? 2 : 1;
    if (f->role == FIELD_TOKENS) {
        json_int(j, "length", f->type->axes[1].size);
        return;
    }
    if (f->role == FIELD_CLASS || field_is_places(f)) return;
    json_open(j, f->role == FIELD_ARRAY ? "shape" : "size", '[');
    for (uint32_t i = first; i < f->type->rank; i++) json_int(j, NULL, f->type->axes[i].size);
    json_close(j, ']');
}

bool tokenizer_path(const Tree *t)
{
    size_t n = strlen(t->text);
    return strchr(t->text, '/') || (n > 5 && strcmp(t->text + n - 5, ".json") == 0);
}

// The word, or the file's path from the root, which the caller of the frontend reads, too.
static void put_tokenizer(Elab *el, Json *j, const Field *f)
{
    const Tree *t = tree_get(f->tree, "tokenizer"), *pad = tree_get(f->tree, "pad");
    if (!t || t->kind != TREE_SCALAR) return;
    TokenizerInfo info = {
        .field = f->name, .path = t->text, .length = f->type->axes[1].size, .loc = t->loc};
    if (!tokenizer_path(t)) {
        json_str(j, "tokenizer", t->text);
        info.path = NULL;
        vec_push(el->arena, &el->out->tokenizers, info);
        return;
    }
    if (*t->text != '/') info.path = str_printf(el->arena, "%s/%s", folder_said_in(el, t), t->text);
    if (pad && pad->kind == TREE_SCALAR && strcmp(pad->text, "max_length") != 0)
        info.pad = pad->text;
    json_str(j, "tokenizer", info.path);
    if (info.pad) json_str(j, "pad", info.pad);
    vec_push(el->arena, &el->out->tokenizers, info);
}

static void tell_classes(Elab *el, const Field *f)
{
    const Tree *said = tree_get(f->tree, "classes"), *names = tree_get(f->tree, "names");
    const Loc loc = (said ? said : names ? names : f->tree)->loc;
    const Value n = said || names ? field_classes(el, f, loc) : (Value){0};
    const char *part = field_is_places(f) ? ".class" : "";
    const char *input = str_printf(el->arena, "%s%s", f->name, part);
    if (n.kind == V_INT) vec_push(el->arena, &el->out->classes, ((ClassesInfo){input, n.i, loc}));
}

static void put_field(Elab *el, Json *j, const Field *f)
{
    static const char *const numbers[] = {"ignore",  "invalid",   "scale",    "offset",
                                          "classes", "min_score", "min_area", "min_visible"};
    json_open(j, NULL, '{');
    json_str(j, "name", f->name);
    json_str(j, "role", role_name(f->role));
    if (tree_get(f->tree, "member")) put_strings(j, "member", tree_get(f->tree, "member"));
    if (f->role == FIELD_ARRAY) json_str(j, "dtype", dtype_name(f->type->dtype));
    put_sizes(j, f);
    put_tokenizer(el, j, f);
    put_text(j, f->tree, "series");
    if (field_is_places(f))
        places_put(el, j, f, followed_name(el, f));
    else
        put_text(j, f->tree, "follow");
    for (uint32_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put_number(el, j, f->tree, numbers[i]);
    put_remap(el, j, f);
    if (tree_get(f->tree, "key")) key_put(el, j, f->tree);
    json_bool(j, "required", !f->has_valid);
    json_close(j, '}');
    tell_classes(el, f);
}

static void put_items(Elab *el, Json *j)
{
    const Tree *views = data_section(el, "views"), *fields = data_section(el, "fields");
    json_open(j, "views", '[');
    for (uint32_t i = 0; views && i < views->entries.n; i++) {
        const TreeEntry *e = &views->entries.at[i];
        if (map_find(&el->used, str_printf(el->arena, "views.%s", e->key->text)))
            put_view(el, j, e->key->text, e->value);
    }
    json_close(j, ']');
    json_open(j, "fields", '[');
    for (uint32_t i = 0; fields && i < fields->entries.n; i++) {
        const char *name = fields->entries.at[i].key->text;
        Value v = scope_read(el, el->scope, name, fields->entries.at[i].key->loc);
        if (map_find(&el->used, name) && v.kind == V_FIELD && v.field->type)
            put_field(el, j, v.field);
    }
    json_close(j, ']');
}

void data_put_shape(Elab *el, Json *j)
{
    json_int(j, "batch", el->program->batch);
    draws_put(el, j);
    put_items(el, j);
}

const char *data_json(Elab *el)
{
    const Tree *data = tree_get(el->root, "data");
    if (!data) return NULL;
    Json j = {.arena = el->arena};
    const Tree *source = tree_get(data, "source"), *series = tree_get(data, "series");
    const Tree *seed = tree_get(data, "seed"), *shuffle = tree_get(data, "shuffle");
    json_open(&j, NULL, '{');
    json_str(&j, "base_dir", folder_said_in(el, source));
    if (is_mixture(source))
        put_mixture(el, &j, source);
    else
        put_strings(&j, "source", source);
    json_open(&j, "series", '{');
    for (uint32_t i = 0; series && i < series->entries.n; i++) {
        const Tree *t = series->entries.at[i].value;
        if (t->kind == TREE_MAP) t = tree_get(t, "shards");
        put_strings(&j, series->entries.at[i].key->text, t);
    }
    json_close(&j, '}');
    if (seed)
        put_number(el, &j, data, "seed");
    else
        json_int(&j, "seed", el->seed);
    json_int(&j, "batch", el->program->batch);
    put_number(el, &j, data, "max_bad");
    draws_put(el, &j);
    bool yes = true;
    if (shuffle)
        value_to_bool(el, tree_eval(el, el->scope, shuffle, NULL), shuffle->loc, "shuffle", &yes);
    json_bool(&j, "shuffle", yes);
    put_items(el, &j);
    put_shapes_data(el, &j);
    json_close(&j, '}');
    return json_text(&j);
}
