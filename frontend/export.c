// export: which parameters `cztc export` writes, under what names, for the runtime.
#include "frontend/guess.h"
#include "frontend/json.h"

typedef struct Export {
    const Tree *parts, *copy; // copy: of whom the values are, or NULL: the student
    bool *met;                // by row of parts
} Export;

// The name of a family, experts.summary, stands for its members.
static bool names_part(const char *text, const char *part)
{
    size_t n = strlen(text);
    return glob_match(text, part) || (strncmp(text, part, n) == 0 && part[n] == '.');
}

static bool wanted(const Export *x, const char *part)
{
    bool any = !x->parts;
    for (uint32_t i = 0; x->parts && i < x->parts->items.n; i++) {
        const Tree *row = x->parts->items.at[i];
        if (row->kind != TREE_SCALAR || !names_part(row->text, part)) continue;
        x->met[i] = any = true;
    }
    return any;
}

// The state that holds the value of a parameter: the slow copy's, where there is one.
static const char *holder(Elab *el, const Export *x, const char *parameter)
{
    const char *slow =
        x->copy ? str_printf(el->arena, "%s.%s", x->copy->text, parameter) : parameter;
    return program_find_state(el->program, slow) ? slow : parameter;
}

static void put_tensors(Elab *el, Json *j, const Export *x)
{
    json_open(j, "tensors", '[');
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        const StateVar *v = &el->program->states.at[i];
        const Init *how = map_get(&el->inits, v->name);
        if (v->kind != STATE_PARAM || !how || !wanted(x, how->part ? how->part : "params"))
            continue;
        json_open(j, NULL, '{');
        json_str(j, "name", v->name);
        json_str(j, "state", holder(el, x, v->name));
        json_close(j, '}');
    }
    json_close(j, ']');
}

// The parts that have parameters; all that may have some, where not all were built.
static Map part_names(Elab *el)
{
    static const struct {
        const char *section, *before;
    } sections[] = {{"encoders", ""},        {"heads", ""},         {"losses", "losses."},
                    {"experts", "experts."}, {"values", "values."}, {"teachers", "teachers."}};
    Map names = {0};
    for (uint32_t i = 0; i < el->inits.n; i++) {
        const Init *how = el->inits.at[i].value;
        if (how->part) map_set(el->arena, &names, how->part, el);
    }
    for (int k = 0; el->partial && k < 6; k++) {
        const Tree *t = tree_get(el->root, sections[k].section);
        for (uint32_t i = 0; t && i < t->entries.n; i++)
            map_set(el->arena, &names,
                    str_printf(el->arena, "%s%s", sections[k].before, t->entries.at[i].key->text),
                    el);
    }
    if (el->partial) map_set(el->arena, &names, "params", el);
    return names;
}

// Of a part that was not built; "experts.family.member" too.
static bool may_be_part(const Elab *el, const Map *names, const char *row)
{
    for (uint32_t i = 0; el->partial && i < names->n; i++) {
        const char *name = names->at[i].key;
        size_t n = strlen(name);
        if (glob_match(row, name) || (strncmp(row, name, n) == 0 && row[n] == '.')) return true;
    }
    return false;
}

// Rows that match no part are told, with those there are.
static void check_parts(Elab *el, const Export *x)
{
    const Map names = part_names(el);
    for (uint32_t i = 0; x->parts && i < x->parts->items.n; i++) {
        const Tree *row = x->parts->items.at[i];
        if (x->met[i] || (row->kind == TREE_SCALAR && may_be_part(el, &names, row->text))) continue;
        const char *text = row->kind == TREE_SCALAR ? row->text : "";
        el_error(el, row->loc, "no part with parameters is called '%s'", text);
        suggest_near(el, text, &names);
    }
}

static const char *read_dtype(Elab *el, const Tree *t)
{
    static const char *const known[] = {"f32", "bf16", "f16"};
    if (!t || t->kind != TREE_SCALAR) return known[0];
    Map names = {0};
    for (int i = 0; i < 3; i++) {
        map_set(el->arena, &names, known[i], NULL);
        if (strcmp(t->text, known[i]) == 0) return known[i];
    }
    el_error(el, t->loc, "an export has no numbers of '%s'", t->text);
    suggest_words(el, t->text, &names);
    return known[0];
}

void put_export(Elab *el, Json *j)
{
    const Tree *t = tree_get(el->root, "export"), *eval = tree_get(el->root, "eval");
    if (t && (t->kind != TREE_MAP || !keys_check(el, t, MAPPING_EXPORT, false))) return;
    Export x = {.parts = tree_get(t, "parts"), .copy = tree_get(t, "model")};
    if (!x.copy && eval && eval->kind == TREE_MAP) x.copy = tree_get(eval, "model");
    if (x.copy && x.copy->kind != TREE_SCALAR) x.copy = NULL; // reported
    const Tree *emas = tree_get(el->root, "ema");
    bool there = x.copy && map_get(&el->emas, x.copy->text);
    if (el->partial && x.copy && emas) there |= tree_get(emas, x.copy->text) != NULL;
    if (x.copy && !there) {
        el_error(el, x.copy->loc, "there is no slow copy '%s'", x.copy->text);
        const char *best = nearest_key(&el->emas, x.copy->text, NULL);
        if (best) diag_did_you_mean(el->diag, x.copy->text, best);
        for (uint32_t i = 0; !best && i < el->emas.n; i++)
            guess_word(el, x.copy->loc, el->emas.at[i].key);
        if (!best)
            diag_help(el->diag, "slow copies stand under ema:, as %s: {of: [..], momentum: ..}",
                      x.copy->text);
        if (!best) guess_without_key(el, tree_get(t, "model") ? t : eval, "model");
    }
    x.met = arena_array(el->arena, bool, (x.parts ? x.parts->items.n : 0) + 1);
    json_open(j, "export", '{');
    put_tensors(el, j, &x);
    json_str(j, "dtype", read_dtype(el, tree_get(t, "dtype")));
    json_open(j, "rename", '[');
    put_rename(el, j, tree_get(t, "rename"), NULL);
    json_close(j, ']');
    json_close(j, '}');
    check_parts(el, &x);
}
