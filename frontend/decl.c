// Declarations of inputs and settings: `[B, N, D]? i32`, `[B, N?, D]` (an axis that may be absent),
// `float = 0`, `name = cls`, or an expression; and the solving of named dimensions.
#include "frontend/bounds.h"
#include "frontend/mend.h"
#include "frontend/advice.h"
#include "frontend/guess.h"
#include "frontend/rewrite.h"

#include <ctype.h>

static const struct {
    const char *text;
    Word word;
} words[] = {
    {"int", WORD_INT},       {"float", WORD_FLOAT},   {"bool", WORD_BOOL},   {"name", WORD_NAME},
    {"list", WORD_LIST},     {"param", WORD_PARAM},   {"grad", WORD_GRAD},   {"count", WORD_COUNT},
    {"tensor", WORD_TENSOR}, {"module", WORD_MODULE}, {"any", WORD_ANY},     {"image", WORD_ANY},
    {"class_map", WORD_ANY}, {"map", WORD_ANY},       {"normals", WORD_ANY}, {"vector", WORD_ANY},
    {"tokens", WORD_ANY},    {"class", WORD_ANY},     {"boxes", WORD_ANY},   {"points", WORD_ANY},
};

const Decl *decl_find(const Decls *decls, const char *name)
{
    for (uint32_t i = 0; i < decls->n; i++)
        if (strcmp(decls->at[i].name, name) == 0) return &decls->at[i];
    return NULL;
}

static bool add_dim(Elab *el, const Tree *t, size_t begin, size_t end, Decl *d)
{
    while (begin < end && t->text[begin] == ' ') begin++;
    while (end > begin && t->text[end - 1] == ' ') end--;
    if (end - begin == 3 && strncmp(t->text + begin, "...", 3) == 0 && !d->dims.n && !d->lead)
        return d->lead = true;
    if (begin < end && t->text[end - 1] == '?' && !d->maybe && !d->lead) {
        d->maybe = d->dims.n + 1;
        end--;
    }
    Expr *e = expr_parse_part(el->arena, el->diag, t, begin, end);
    if (!e) return false;
    vec_push(el->arena, &d->dims, e);
    return true;
}

// "[B, N, D]" with `?` and an element type after it.
static bool shape_text(Elab *el, const Tree *t, Decl *d)
{
    const char *s = t->text;
    size_t i = 1, begin = 1;
    int depth = 0;
    for (; s[i] && (depth || s[i] != ']'); i++) {
        depth += (s[i] == '[' || s[i] == '(') - (s[i] == ']' || s[i] == ')');
        if (s[i] != ',' || depth) continue;
        if (!add_dim(el, t, begin, i, d)) return false;
        begin = i + 1;
    }
    if (!s[i]) return el_error(el, t->loc, "the shape has no closing bracket");
    size_t first = begin;
    while (s[first] == ' ') first++;
    if (first < i && !add_dim(el, t, begin, i, d)) return false;
    d->shape = str_slice(el->arena, s, i + 1);
    const char *p = s + i + 1;
    while (*p == ' ') p++;
    if (*p == '?') d->optional = true, p++;
    while (*p == ' ') p++;
    if (!*p) return true;
    d->dtype = dtype_find(p);
    if (d->dtype != DT_NONE) return true;
    return el_error(el, tree_place(t, (size_t)(p - s), strlen(s)), "'%s' is no element type", p);
}

static bool shape_list(Elab *el, const Tree *t, Decl *d)
{
    const char *text = "[";
    for (uint32_t i = 0; i < t->items.n; i++) {
        const Tree *item = t->items.at[i];
        if (!add_dim(el, item, 0, strlen(item->text), d)) return false;
        text = str_printf(el->arena, "%s%s%s", text, i ? ", " : "", item->text);
    }
    d->shape = str_printf(el->arena, "%s]", text);
    return true;
}

// A list that names dimensions is a shape; one of numbers is a default.
static bool list_is_shape(const Tree *t)
{
    bool name = false;
    for (uint32_t i = 0; i < t->items.n; i++) {
        if (t->items.at[i]->kind != TREE_SCALAR) return false;
        char c = t->items.at[i]->text[0];
        name |= isalpha((unsigned char)c) || c == '.';
    }
    return name;
}

static Expr *word_default(Elab *el, const Tree *t, size_t begin)
{
    size_t end = strlen(t->text);
    while (begin < end && t->text[begin] == ' ') begin++;
    Expr *e = arena_make(el->arena, Expr);
    e->kind = EXPR_STRING;
    e->loc = e->at = tree_place(t, begin, end);
    e->text = str_slice(el->arena, t->text + begin, end - begin);
    return e;
}

static size_t skip_blanks(const char *s, size_t i)
{
    while (s[i] == ' ') i++;
    return i;
}

// What stands behind a type from p on: "?", a range, a default. False when reported.
static bool type_rest(Elab *el, const Tree *t, size_t p, Decl *d)
{
    const char *s = t->text;
    if (s[p] == '?') {
        d->optional = true;
        p = skip_blanks(s, p + 1);
    }
    if (s[p] && s[p] != '=') bounds_parse(el, t, &p, d);
    p = skip_blanks(s, p);
    if (s[p] && s[p] != '=') {
        const size_t end = p + strcspn(s + p, "=");
        const Loc at = tree_place(t, p, end);
        el_error(el, at, "'%.*s' stands behind the range", (int)(end - p), s + p);
        diag_help(el->diag, "leave it out; a default stands behind '='");
        if (is_users(el, t->loc)) diag_mend(el->diag, at, "");
        p = end;
    }
    if (s[p] != '=') return true;
    if (d->word != WORD_NAME && bounds_behind(el, t, p + 1)) return false;
    d->def = d->word == WORD_NAME ? word_default(el, t, p + 1)
                                  : expr_parse_part(el->arena, el->diag, t, p + 1, strlen(s));
    return d->def != NULL;
}

// "float", "float = 0", "float 0..1 = 0", "bool?". False when the text does not begin with a type.
static bool type_text_parse(Elab *el, const Tree *t, Decl *d, bool *bad)
{
    const char *s = t->text;
    size_t n = 0;
    while (word_part(s[n])) n++;
    const size_t p = skip_blanks(s, n);
    const bool sign = p > n && s[p] == '-';
    const bool range = isdigit((unsigned char)s[p + sign]) || !strncmp(s + p, "..", 2);
    if ((s[p] && s[p] != '=' && s[p] != '?' && !range) || !strncmp(s + p, "==", 2)) return false;
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].text) != n || strncmp(words[i].text, s, n) != 0) continue;
        d->word = words[i].word;
        if (d->word == WORD_ANY && strcmp(words[i].text, "any")) d->role = words[i].text;
        *bad = !type_rest(el, t, p, d);
        return true;
    }
    return false;
}

bool decl_parse(Elab *el, const TreeEntry *entry, Decl *d)
{
    const Tree *t = entry->value;
    *d = (Decl){.name = entry->key->text, .loc = entry->key->loc, .dtype = DT_NONE};
    if (t->kind == TREE_LIST && list_is_shape(t)) {
        d->is_shape = true;
        return shape_list(el, t, d);
    }
    if (t->kind == TREE_LIST || t->kind == TREE_MAP) {
        d->def_tree = t;
        return true;
    }
    if (t->kind == TREE_NULL) {
        el_error(el, entry->key->loc, "'%s' has no declaration", d->name);
        diag_help(el->diag,
                  "write a shape such as \"[B, N, D]\", a type such as int, or a default");
        return false;
    }
    if (t->text[0] == '[') {
        d->is_shape = true;
        return shape_text(el, t, d);
    }
    bool bad = false;
    if (type_text_parse(el, t, d, &bad)) return !bad;
    d->def = el_parse(el, t);
    return d->def != NULL;
}

static Value wrong_role(Elab *el, const Decl *d, Value v, Loc loc)
{
    el_error(el, loc, "'%s' is a field of role %s; %s has role %s", d->name, d->role, v.field->name,
             field_role(v.field));
    diag_note(el->diag, d->loc, "it is declared here");
    Loc at;
    if (diag_last(el->diag, &at)) guess_role(el, d->role, v.field, at);
    return value_error();
}

// The value in the form that is declared.
static void suggest_form(Elab *el, const Decl *d, Value v)
{
    Loc at;
    if (d->word == WORD_INT && v.kind == V_FLOAT && diag_last(el->diag, &at))
        guess_whole_parts(el, at);
    if (d->word == WORD_INT && v.kind == V_FLOAT)
        suggest_number(el, v.f, -1e15, 1e15, true);
    else if (d->word == WORD_INT && v.kind == V_TENSOR)
        guess_number(el);
    else if ((d->word == WORD_INT || d->word == WORD_FLOAT) && v.kind == V_STR &&
             is_number_text(v.s) && diag_last(el->diag, &at))
        guess_sure_word(el, at, v.s);
    else if ((d->word == WORD_INT || d->word == WORD_FLOAT) && v.kind == V_STR &&
             usual_value(d->name, 0))
        suggest_guess(el, usual_value(d->name, 0), usual_value(d->name, 1));
    else if (d->word == WORD_LIST && decl_plain_default(el, d) && diag_last(el->diag, &at)) {
        guess_add(el, at, decl_plain_default(el, d), decl_plain_default(el, d));
        guess_no_entry_around(el, at);
    } else if (d->word == WORD_LIST && v.kind != V_RECORD)
        suggest_list(el, 1);
    else if (d->word == WORD_BOOL)
        suggest_bool(el, v);
    else if ((d->word == WORD_FLOAT || d->word == WORD_INT) && v.kind == V_LIST && v.list->v.n)
        (v.list->v.n > 1 ? suggest_guess : suggest)(el, value_text(el, v.list->v.at[0]),
                                                    value_text(el, v.list->v.at[v.list->v.n - 1]));
}

Value decl_check(Elab *el, const Decl *d, Value v, Loc loc)
{
    static const char *const needs[] = {
        [WORD_INT] = "a whole number", [WORD_FLOAT] = "a number", [WORD_BOOL] = "true or false",
        [WORD_NAME] = "a word",        [WORD_LIST] = "a list",    [WORD_MODULE] = "a module",
        [WORD_TENSOR] = "a tensor"};
    if (d->wrong) return value_error();
    if (v.kind == V_ERROR || d->is_shape || (v.kind == V_NONE && d->optional)) return v;
    if (v.kind == V_FIELD && !v.field->type) return value_error(); // reported
    if (d->role && v.kind == V_FIELD && strcmp(d->role, field_role(v.field)))
        return wrong_role(el, d, v, loc);
    bool ok = true;
    double x;
    switch (d->word) {
    case WORD_INT:
        if (v.kind == V_FLOAT && v.f == (double)(int64_t)v.f) v = value_int((int64_t)v.f);
        ok = v.kind == V_INT;
        break;
    case WORD_FLOAT:
        ok = value_number(v, &x) || v.kind == V_TENSOR || v.kind == V_APP || v.kind == V_TASK ||
             v.kind == V_FIELD || v.kind == V_INSTANCE;
        break;
    case WORD_BOOL: ok = v.kind == V_BOOL; break;
    case WORD_NAME: ok = v.kind == V_STR; break;
    case WORD_LIST: ok = v.kind == V_LIST || v.kind == V_SPACE; break;
    case WORD_MODULE:
        ok = v.kind == V_MODULE || v.kind == V_FUNCTION || v.kind == V_BUILTIN ||
             v.kind == V_INSTANCE;
        break;
    default: break;
    }
    if (ok) return d->range ? bounds_check(el, d, v, loc) : v;
    el_error(el, loc, "'%s' is %s, not %s", d->name, needs[d->word], value_text(el, v));
    diag_note(el->diag, d->loc, "it is declared here");
    suggest_form(el, d, v);
    return value_error();
}

static const char *axis_text(Elab *el, Axis a)
{
    if (!a.per) return str_printf(el->arena, "%lld", (long long)a.size);
    return str_printf(el->arena, "%lldb%s", (long long)a.size,
                      a.per > 1 ? str_printf(el->arena, "%lld", (long long)a.per) : "");
}

// Either size, in the numbers that the user wrote; the setting that one is; another value.
static void guess_mismatch(Elab *el, const Decl *d, const Type *t, uint32_t axis, const Expr *dim,
                           Value known, const Scope *s)
{
    const Binding *b = dim->kind == EXPR_NAME ? map_get(&s->names, dim->text) : NULL;
    Loc at;
    int64_t size = t->axes[axis].size;
    bool plain = !t->axes[axis].per && !known.per;
    const bool grid = t->rank > 3 && axis && b && !b->decl; // of another input, which may be wrong
    if (grid) guess_layouts(el, b->loc);
    if (plain) guess_exact_sizes(el, size, known.i);
    if (plain && b && b->decl) {
        const char *said = text_at(el, b->loc); // twice the width, where that is half of it
        if (known.i > 1 && size % known.i == 0 && isalpha((unsigned char)*said))
            guess_add(el, b->loc,
                      str_printf(el->arena, "%lld * %s", (long long)(size / known.i), said),
                      str_printf(el->arena, "%lld * %s", (long long)(size / known.i), said));
        const char *number = str_printf(el->arena, "%lld", (long long)size);
        guess_add(el, b->loc, number, str_printf(el->arena, "%s = %s", b->name, number));
        guess_anyway(el, b->loc);
    }
    guess_rows(el);
    if (diag_last(el->diag, &at)) guess_values(el, at, t->rank, t->rank);
    if (plain) guess_sizes(el, size, known.i);
    if (diag_last(el->diag, &at))
        guess_fitting(
            el, at,
            (Wanted){t->rank, d->lead ? 0 : t->rank, axis, plain ? size : 0, known.i, DT_NONE});
}

static bool mismatch(Elab *el, const ModuleDef *def, const Decl *d, const Type *t, uint32_t axis,
                     const Expr *dim, Value known, Scope *s, Loc loc)
{
    const char *size = axis_text(el, (Axis){known.i, known.per});
    if (dim->kind != EXPR_NUMBER)
        size = str_printf(el->arena, "%s = %s", expr_text(el->arena, dim), size);
    el_error(el, loc, "input '%s' of %s is %s, which does not fit %s: axis %u is %s, not %s",
             d->name, def->name, type_text(el->arena, t), d->shape, axis,
             axis_text(el, t->axes[axis]), size);
    diag_note(el->diag, d->loc, "the input is declared here");
    static const char *const clip[] = {"normalize(", ", norm.clip)"};
    static const char *const imagenet[] = {"normalize(", ", norm.imagenet)"};
    if (dim->kind == EXPR_NUMBER && t->dtype == DT_U8 && t->rank == 4)
        suggest_wrapped(el, clip, imagenet); // a view as it is read
    else
        guess_mismatch(el, d, t, axis, dim, known, s);
    return false;
}

static bool unify_dim(Elab *el, const ModuleDef *def, const Decl *d, const Type *t, uint32_t axis,
                      const Expr *dim, Scope *s, Loc loc, bool named)
{
    Axis a = t->axes[axis];
    Binding *b = dim->kind == EXPR_NAME ? map_get(&s->names, dim->text) : NULL;
    bool is_setting = dim->kind == EXPR_NAME && b && b->decl;
    if (named) { // first the plain names, which the other expressions may use
        if (dim->kind != EXPR_NAME || is_setting) return true;
        if (!b) {
            scope_value(el, s, dim->text, loc, value_dim(a.size, a.per));
            return true;
        }
    } else if (dim->kind == EXPR_NAME && !is_setting) {
        return true;
    }
    Value v = b ? binding_force(el, b) : expr_eval(el, s, dim);
    if (v.kind == V_ERROR) return false;
    int64_t want;
    if (!value_to_int(el, v, loc, "a dimension", &want)) return false;
    bool same_batch = v.per == a.per || !b || is_setting;
    if (want == a.size && same_batch) return true;
    return mismatch(el, def, d, t, axis, dim, value_dim(want, v.per), s, loc);
}

static bool wrong_rank(Elab *el, const ModuleDef *def, const Decl *d, const Type *t, Loc loc)
{
    Loc at;
    el_error(el, loc, "input '%s' of %s is %s, which does not fit %s: it has %u axes", d->name,
             def->name, type_text(el->arena, t), d->shape, t->rank);
    diag_note(el->diag, d->loc, "the input is declared here");
    if (!diag_last(el->diag, &at)) return false;
    const bool image = d->dims.n == 4 && d->dims.at[1]->kind == EXPR_NUMBER;
    if (image) guess_views(el, at);
    if (d->dtype != DT_NONE && !dtype_is_float(d->dtype)) { // which is not to be computed
        guess_fitting(el, at, (Wanted){t->rank, d->dims.n, -1, 0, 0, d->dtype});
        return false;
    }
    guess_values(el, at, t->rank, d->dims.n);
    if (d->maybe) guess_values(el, at, t->rank, d->dims.n - 1);
    guess_fitting(el, at, (Wanted){t->rank, d->dims.n, -1, 0, 0, DT_NONE});
    return false;
}

// An axis that may be absent is there in all inputs that name it, or in none of them.
static bool unify_maybe(Elab *el, const Decl *d, bool absent, Scope *s, Loc loc)
{
    const Expr *dim = d->dims.at[d->maybe - 1];
    const Binding *b = dim->kind == EXPR_NAME ? map_get(&s->names, dim->text) : NULL;
    if (b) return absent == (b->value.kind == V_NONE);
    if (absent && dim->kind == EXPR_NAME) scope_value(el, s, dim->text, loc, value_none());
    return true;
}

bool decl_unify(Elab *el, const ModuleDef *def, const Decl *d, NodeId x, Scope *s, Loc loc,
                bool named)
{
    const Type *t = graph_type(el->graph, x);
    bool absent = d->maybe && t->rank + 1 == d->dims.n;
    if (named) {
        bool fits = d->lead ? t->rank >= d->dims.n : t->rank + absent == d->dims.n;
        if (!fits || (d->maybe && !unify_maybe(el, d, absent, s, loc)))
            return wrong_rank(el, def, d, t, loc);
        if (d->dtype != DT_NONE && d->dtype != t->dtype) {
            el_error(el, loc, "input '%s' of %s is %s, not %s", d->name, def->name,
                     type_text(el->arena, t), dtype_name(d->dtype));
            diag_note(el->diag, d->loc, "the input is declared here");
            suggest_cast(el, d->dtype);
            return false;
        }
    }
    uint32_t axis = d->lead ? t->rank - d->dims.n : 0;
    for (uint32_t i = 0; i < d->dims.n; i++) {
        if (absent && i + 1 == d->maybe) continue;
        if (!unify_dim(el, def, d, t, axis++, d->dims.at[i], s, loc, named)) return false;
    }
    return true;
}

// Another axis: by its name, or by its number where that is not its alone. called: where several
// have the name that was written.
static void guess_axis_names(Elab *el, const Decl *d, const char *called, uint32_t rank, Loc loc)
{
    const char *text = text_at(el, loc), quote = *text;
    const bool absent = d->maybe && !d->lead && rank + 1 == d->dims.n;
    if (quote != '"' && quote != '\'') return;
    for (uint32_t i = 0, at = 0; i < d->dims.n; i++) {
        const Expr *e = d->dims.at[i];
        const uint32_t axis = (d->lead ? rank - d->dims.n : 0) + at;
        if (absent && i + 1 == d->maybe) continue;
        at++;
        if (e->kind == EXPR_NAME && !strcmp(e->text, "B")) continue; // mixes samples
        if (called && (e->kind != EXPR_NAME || strcmp(e->text, called))) continue;
        const char *name = e->kind == EXPR_NAME && !called
                               ? str_printf(el->arena, "%c%s%c", quote, e->text, quote)
                               : str_printf(el->arena, "%u", axis);
        guess_exchanged(el, loc, name, text);
    }
    for (uint32_t i = 1; !called && i < rank; i++)
        guess_add(el, loc, str_printf(el->arena, "%u", i),
                  str_printf(el->arena, "%u in place of %s", i, text));
}

int64_t decl_axis(Elab *el, const Decl *d, const char *name, uint32_t rank, Loc loc)
{
    const bool absent = d->maybe && !d->lead && rank + 1 == d->dims.n;
    uint32_t found = 0, at = 0;
    Map names = {0};
    for (uint32_t i = 0; i < d->dims.n; i++) {
        const Expr *e = d->dims.at[i];
        if (e->kind != EXPR_NAME || (absent && i + 1 == d->maybe)) continue;
        map_set(el->arena, &names, e->text, NULL);
        if (strcmp(e->text, name) != 0) continue;
        at = i;
        found++;
    }
    if (found == 1 && d->lead) return (int64_t)rank - d->dims.n + at;
    if (found == 1) return absent && at >= d->maybe ? (int64_t)at - 1 : (int64_t)at;
    const char *best = found ? NULL : nearest_key(&names, name, NULL);
    if (found)
        el_error(el, loc, "%u axes of %s are called '%s'", found, d->shape, name);
    else
        el_error(el, loc, "%s has no axis '%s'%s", d->shape, name, absent ? " here" : "");
    diag_note(el->diag, d->loc, "it is declared here");
    if (best)
        diag_did_you_mean(el->diag, name, best);
    else
        guess_axis_names(el, d, found ? name : NULL, rank, loc);
    return -1;
}
