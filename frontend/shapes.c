// shapes: several input shapes in one run. A row gives constants of let: other values, and the step
// is elaborated again with them, by an elaborator of its own over the same library: "step" is of
// the first row, "step/2" and "step@800/2" are of the second. What is in the state must not depend
// on the shape, since there is one state; the host takes the entry of the update's shape.
#include "frontend/mend.h"
#include "frontend/json.h"

#include <math.h>

static bool is_weight(const TreeEntry *e)
{
    return strcmp(e->key->text, "weight") == 0;
}

// ---- the rows ---------------------------------------------------------------------------------

// The graph file with a row's values in let:. Nobody changes the trees that it shares.
static const Tree *root_with(Elab *el, const Tree *root, const Tree *row)
{
    const Tree *old = tree_get(root, "let");
    Tree *let = arena_make(el->arena, Tree), *to = arena_make(el->arena, Tree);
    bool map = old && old->kind == TREE_MAP;
    *let = map ? *old : (Tree){.kind = TREE_MAP, .loc = row->loc};
    memset(&let->entries, 0, sizeof let->entries);
    for (uint32_t i = 0; map && i < old->entries.n; i++)
        vec_push(el->arena, &let->entries, old->entries.at[i]);
    for (uint32_t i = 0; i < row->entries.n; i++) {
        const TreeEntry *e = &row->entries.at[i];
        TreeEntry *known = tree_entry(let, e->key->text);
        if (is_weight(e)) continue;
        if (known)
            known->value = e->value;
        else
            vec_push(el->arena, &let->entries, *e);
    }
    *to = *root;
    memset(&to->entries, 0, sizeof to->entries);
    for (uint32_t i = 0; i < root->entries.n; i++) {
        TreeEntry e = root->entries.at[i];
        if (e.value == old) e.value = let;
        vec_push(el->arena, &to->entries, e);
    }
    if (!old) {
        Tree *key = arena_make(el->arena, Tree);
        *key = (Tree){.kind = TREE_SCALAR, .text = "let", .loc = row->loc};
        vec_push(el->arena, &to->entries, (TreeEntry){key, let});
    }
    return to;
}

// Does "size=32", or "let.size=32", set the constant?
static bool sets(Elab *el, const char *assignment, const char *constant)
{
    const char *equal = strchr(assignment, '=');
    size_t n = equal ? (size_t)(equal - assignment) : strlen(assignment);
    const char *name = str_slice(el->arena, assignment, n);
    if (strncmp(name, "let.", 4) == 0) name += 4;
    return !strchr(name, '.') && glob_match(name, constant);
}

// What the user sets, or the case of check:, would do nothing where rows say it.
static bool set_elsewhere(Elab *el, const Tree *key)
{
    const Tree *check = el->options->use_check ? tree_get(el->root, "check") : NULL,
               *set = tree_get(check, "set");
    for (uint32_t i = 0; i < el->options->nset; i++) {
        if (!sets(el, el->options->set[i], key->text)) continue;
        el_error(el, key->loc, "'%s' is set by --set and by this row", key->text);
        diag_help(el->diag, "--set shapes=null leaves the one shape that let: and --set give");
        return true;
    }
    for (uint32_t i = 0; set && !tree_get(set, "shapes") && i < set->entries.n; i++) {
        if (!sets(el, set->entries.at[i].key->text, key->text)) continue;
        el_error(el, set->entries.at[i].key->loc,
                 "'%s' is set here and by the rows of shapes:", key->text);
        diag_note(el->diag, key->loc, "this row sets it");
        diag_help(el->diag, "set 'shapes' here too, as a list of small shapes");
        return true;
    }
    return false;
}

static bool constant_known(Elab *el, const Tree *row, const TreeEntry *e)
{
    const Tree *let = tree_get(el->root, "let");
    Map names = {0};
    if (strcmp(e->key->text, "batch") == 0 || (let && tree_get(let, e->key->text))) return true;
    for (uint32_t i = 0; let && i < let->entries.n; i++)
        if (!tree_get(row, let->entries.at[i].key->text))
            map_set(el->arena, &names, let->entries.at[i].key->text, NULL);
    if (!tree_get(row, "batch")) map_set(el->arena, &names, "batch", NULL);
    if (!tree_get(row, "weight")) map_set(el->arena, &names, "weight", NULL);
    el_error(el, e->key->loc, "let: has no '%s', which this row sets", e->key->text);
    const char *best = nearest_key(&names, e->key->text, NULL), *text;
    if (best) {
        diag_did_you_mean(el->diag, e->key->text, best);
        return false;
    }
    const bool scalar = e->value->kind == TREE_SCALAR && !e->value->quoted;
    const Loc at =
        let && scalar ? entry_added(el, let, e->key->text, e->value->text, &text) : (Loc){0};
    diag_help(el->diag, "a row gives constants of let: other values: add '%s' there", e->key->text);
    if (at.source) diag_mend(el->diag, at, text);
    suggest_without(el, row, e->key);
    return false;
}

static bool row_check(Elab *el, const Tree *list, uint32_t number)
{
    const Tree *row = list->items.at[number];
    if (!keys_check(el, row, MAPPING_SHAPE, true)) {
        if (row->kind != TREE_MAP) guess_row(el, row, list, number);
        return false;
    }
    bool ok = true;
    for (uint32_t i = 0; i < row->entries.n; i++) {
        const TreeEntry *e = &row->entries.at[i];
        if (!is_weight(e)) ok &= constant_known(el, row, e) && !set_elsewhere(el, e->key);
    }
    return ok;
}

void shapes_read(Elab *el)
{
    const Tree *t = tree_get(el->root, "shapes");
    if (!t || t->kind != TREE_LIST) return; // reported by the key table
    if (!t->items.n) {
        el_error(el, t->loc, "there is no shape in shapes:");
        suggest_without(el, el->root, tree_entry(el->root, "shapes")->key);
    }
    for (uint32_t i = 0; i < t->items.n; i++) {
        if (!row_check(el, t, i)) continue;
        Shape *s = arena_make(el->arena, Shape);
        *s = (Shape){.row = t->items.at[i], .number = i + 1, .weight = 1};
        s->root = root_with(el, el->root, s->row);
        vec_push(el->arena, &el->shapes, s);
    }
    if (!el->shapes.n) return;
    el->shapes.at[0]->el = el;
    el->root = el->shapes.at[0]->root;
}

// ---- a shape's settings -----------------------------------------------------------------------

static void read_weight(Elab *el, Shape *s)
{
    const Tree *t = tree_get(s->row, "weight");
    if (!t || !value_to_float(el, tree_eval(el, el->scope, t, NULL), t->loc, "weight", &s->weight))
        return;
    if (s->weight > 0 && isfinite(s->weight)) return;
    el_error(el, t->loc, "the weight of a shape is %g; it is a number above 0", s->weight);
    diag_help(el->diag, "it says how often the shape comes, beside the other rows'; leave out a "
                        "row that never comes");
    diag_mend(el->diag, t->loc, "1");
}

static const char *text_of(const Elab *el, Value v)
{
    double x;
    if (value_number(v, &x)) return str_printf(el->arena, "%.10g", x);
    if (v.kind != V_LIST) return value_text(el, v);
    const char *text = "[";
    for (uint32_t i = 0; i < v.list->v.n; i++)
        text = str_printf(el->arena, "%s%s%s", text, i ? ", " : "", text_of(el, v.list->v.at[i]));
    return str_printf(el->arena, "%s]", text);
}

// What the constants that some row sets are in this one.
static void read_values(Elab *el, Shape *s)
{
    Map seen = {0};
    s->text = "";
    for (uint32_t k = 0; k < el->shapes.n; k++)
        for (uint32_t i = 0; i < el->shapes.at[k]->row->entries.n; i++) {
            const TreeEntry *e = &el->shapes.at[k]->row->entries.at[i];
            if (is_weight(e) || !map_set(el->arena, &seen, e->key->text, s)) continue;
            if (!scope_find(el->scope, e->key->text)) continue; // batch, reported
            Value v = scope_read(el, el->scope, e->key->text, e->key->loc);
            vec_push(el->arena, &s->values, v);
            s->text = str_printf(el->arena, "%s%s%s: %s", s->text, *s->text ? ", " : "",
                                 e->key->text, text_of(el, v));
        }
}

void shape_settle(Elab *el, Shape *s)
{
    read_weight(el, s);
    read_values(el, s);
}

// ---- what all shapes share --------------------------------------------------------------------

static bool unequal(Elab *own, const char *key, int64_t here, int64_t first)
{
    const Tree *train = tree_get(own->root, "train"), *t = tree_get(train, key);
    if (here == first) return false;
    el_error(own, t ? t->loc : own->shape->row->loc, "%s is %lld with %s and %lld with %s", key,
             (long long)here, own->shape->text, (long long)first, own->shapes.at[0]->text);
    diag_help(own->diag, "it is the same for all shapes of a run");
    const int64_t both[] = {first, here};
    for (int i = 0; t && i < 2; i++)
        guess_word(own, t->loc, str_printf(own->arena, "%lld", (long long)both[i]));
    return true;
}

// A check case is cut into parts that all of its batches have.
static void common_parts(Elab *el, Elab *own)
{
    int64_t a = el->parts, b = own->parts;
    while (b) {
        int64_t rest = a % b;
        a = b, b = rest;
    }
    el->parts = own->parts = el->program->accumulate = a;
}

static bool settings_agree(Elab *el, Elab *own)
{
    bool same = el->phases.n == own->phases.n && el->periods.n == own->periods.n;
    for (uint32_t i = 0; same && i < el->phases.n; i++)
        same = el->phases.at[i] == own->phases.at[i];
    for (uint32_t i = 0; same && i < el->periods.n; i++)
        same = el->periods.at[i] == own->periods.at[i];
    if (el->options->use_check) common_parts(el, own);
    if (unequal(own, "steps", own->steps, el->steps) || unequal(own, "seed", own->seed, el->seed) ||
        unequal(own, "accumulate", own->parts, el->parts))
        return false;
    if (same) return true;
    el_error(own, own->shape->row->loc, "phases are others with %s than with %s", own->shape->text,
             el->shapes.at[0]->text);
    diag_help(el->diag, "from:, until: and every: are the same for all shapes of a run");
    guess_times(own);
    return false;
}

static const char *kind_of(const StateVar *v)
{
    if (v->kind == STATE_PARAM) return v->trainable ? "a parameter" : "an untrained parameter";
    return v->kind == STATE_FROZEN ? "a frozen parameter" : "state";
}

// el: the build that has it.
static void state_error(Elab *el, Elab *own, const StateVar *v, const char *what)
{
    const Frame *owner = map_get(&el->sites, v->name), *frame = el->frame;
    if (owner) el->frame = (Frame *)owner;
    Loc at = blame_call(el, v->loc);
    el_error(el, at, "%s", what);
    if (at.source != v->loc.source || at.begin != v->loc.begin)
        diag_note(el->diag, v->loc, "it is made here");
    el->frame = (Frame *)frame;
    diag_help(el->diag,
              "all shapes of a run have one state, which must not depend on what the rows of "
              "shapes: set; an encoder with positions takes its native size as a constant, as "
              "size: 224, and resizes them to the picture");
    guess_settings(own, owner);
    guess_rows(own);
}

// Report the first difference; the others follow from it, or look like it.
static bool states_agree(Elab *el, Elab *own)
{
    const char *here = own->shape->text, *first = el->shapes.at[0]->text, *what;
    const Program *p = el->program, *q = own->program;
    for (uint32_t i = 0; i < q->states.n; i++) {
        const StateVar *v = &q->states.at[i], *old = program_find_state(p, v->name);
        bool same = old && old->kind == v->kind && old->trainable == v->trainable;
        if (same && type_equal(old->type, v->type)) continue;
        if (!old)
            what = str_printf(el->arena, "'%s' is there with %s, and not with %s", v->name, here,
                              first);
        else if (same)
            what = str_printf(el->arena, "'%s' is %s with %s, and %s with %s", v->name,
                              type_text(el->arena, v->type), here, type_text(el->arena, old->type),
                              first);
        else
            what = str_printf(el->arena, "'%s' is %s with %s, and %s with %s", v->name, kind_of(v),
                              here, kind_of(old), first);
        state_error(own, own, v, what);
        return false;
    }
    for (uint32_t i = 0; i < p->states.n; i++) {
        const StateVar *v = &p->states.at[i];
        if (program_find_state(q, v->name)) continue;
        what =
            str_printf(el->arena, "'%s' is there with %s, and not with %s", v->name, first, here);
        state_error(el, own, v, what);
        return false;
    }
    return true;
}

// ---- building ---------------------------------------------------------------------------------

static Elab *begin(Elab *el, Shape *s)
{
    Elab *own = arena_make(el->arena, Elab);
    *own = (Elab){.arena = el->arena,
                  .diag = el->diag,
                  .options = el->options,
                  .base_dir = el->base_dir,
                  .files = el->files,
                  .defs = el->defs,
                  .root = s->root,
                  .out = arena_make(el->arena, Frontend),
                  .shapes = el->shapes,
                  .guesses = el->guesses,
                  .bases = {el->bases.at, el->bases.n, el->bases.cap},
                  .shape = s};
    return s->el = own;
}

// "/2"; the first shape's entries have the plain names.
static const char *suffix(Elab *el, const Shape *s)
{
    return s->el == el ? "" : str_printf(el->arena, "/%u", s->number);
}

static bool build(Elab *el, Shape *s)
{
    Elab *own = begin(el, s);
    settings_read(own);
    if (diag_errors(el->diag) || !settings_agree(el, own)) return false;
    own->program = program_begin(own, el->program->name);
    steps_build(own);
    if (diag_errors(el->diag) || !states_agree(el, own)) return false;
    for (uint32_t i = 0; i < own->program->entries.n; i++) {
        Entry *e = own->program->entries.at[i];
        e->name = str_printf(el->arena, "%s%s", e->name, suffix(el, s));
        vec_push(el->arena, &el->program->entries, e);
    }
    own->batch = own->program->batch;
    own->phase = PHASE_ALL;
    build_begin(own, false); // for what the loader is told
    return true;
}

static bool repeats(const Shape *a, const Shape *b)
{
    if (a->values.n != b->values.n) return false;
    for (uint32_t i = 0; i < a->values.n; i++)
        if (!value_equal(a->values.at[i], b->values.at[i])) return false;
    return true;
}

static void check_repeated(Elab *el)
{
    for (uint32_t k = 1; k < el->shapes.n; k++)
        for (uint32_t i = 0; i < k; i++) {
            const Shape *a = el->shapes.at[i], *b = el->shapes.at[k];
            if (!repeats(a, b)) continue;
            el_error(el, b->row->loc, "a row before is this shape too: %s", b->text);
            diag_note(el->diag, a->row->loc, "that row");
            diag_help(el->diag,
                      "leave it out: weight: in a row says how often its shape comes, beside the "
                      "others");
            const Loc at = item_place(el, tree_get(el->root, "shapes"), b->number - 1);
            if (at.source) diag_mend(el->diag, at, "");
            break;
        }
}

void shapes_build(Elab *el)
{
    uint32_t only = el->options->only_shape;
    for (uint32_t k = 1; k < el->shapes.n; k++) {
        if (only && k + 1 != only) continue;
        el->failed_shape = k + 1;
        bool good = build(el, el->shapes.at[k]);
        el->guesses = el->shapes.at[k]->el->guesses;
        if (!good) return;
    }
    el->failed_shape = 1; // of what is built next
    if (only) return;
    check_repeated(el);
    if (diag_errors(el->diag)) el->failed_shape = 0;
    for (uint32_t k = 0; k < el->shapes.n && el->shapes.n > 1; k++) {
        const Shape *s = el->shapes.at[k];
        vec_push(el->arena, &el->out->shapes,
                 (ShapeInfo){s->text, suffix(el, s), s->el->program->batch, s->weight});
    }
}

// ---- for the runtime --------------------------------------------------------------------------

void put_shapes(Elab *el, Json *j)
{
    if (el->shapes.n < 2 || el->options->only_shape) return;
    json_open(j, "shapes", '[');
    for (uint32_t k = 0; k < el->shapes.n; k++) {
        const Shape *s = el->shapes.at[k];
        json_open(j, NULL, '{');
        json_str(j, "text", s->text);
        json_str(j, "suffix", suffix(el, s));
        json_float(j, "weight", s->weight);
        json_int(j, "batch", s->el->program->batch);
        json_close(j, '}');
    }
    json_close(j, ']');
}

void put_shapes_data(Elab *el, Json *j)
{
    if (el->shapes.n < 2 || el->options->only_shape) return;
    if (el->options->stats) return; // statistics are of the first
    json_open(j, "shapes", '[');
    for (uint32_t k = 1; k < el->shapes.n; k++) {
        const Elab *own = el->shapes.at[k]->el;
        json_open(j, NULL, '{');
        data_put_shape(el->shapes.at[k]->el, j);
        json_close(j, '}');
        for (uint32_t i = 0; i < own->out->tokenizers.n; i++) // lengths may be others
            vec_push(el->arena, &el->out->tokenizers, own->out->tokenizers.at[i]);
    }
    json_close(j, ']');
}
