// data: what is said about parts of stored records: draws, `key:` and `replay:`, and colours. An
// index of a key is a sum of whole multiples of draws, which is all that the loader must know of
// expressions.
#include "frontend/elab.h"
#include "frontend/json.h"
#include "frontend/rewrite.h"

#include <stdlib.h>

static const Tree *data_draws(const Elab *el)
{
    const Tree *draws = data_section(el, "draw");
    return draws && draws->kind == TREE_MAP ? draws : NULL;
}

// ---- draws --------------------------------------------------------------------------------------

// What a draw that is none means: the numbers of the call, or the number, are how many there are.
static void suggest_draw(Elab *el, const Tree *t, const Expr *e)
{
    const char *first = "2", *last = "10";
    if (e && e->kind == EXPR_CALL && e->nargs > 1)
        first = expr_text(el->arena, e->args[e->nargs - 1]),
        last = expr_text(el->arena, e->args[1]);
    else if (e && e->kind == EXPR_NUMBER)
        first = last = expr_text(el->arena, e);
    suggest_word(el, t, str_printf(el->arena, "uniform_int(%s)", first),
                 strcmp(first, last) ? str_printf(el->arena, "uniform_int(%s)", last) : NULL);
}

// n of uniform_int(n). False when reported.
static bool draw_below(Elab *el, const Tree *t, int64_t *n)
{
    const Expr *e = t->kind == TREE_SCALAR ? el_parse(el, t) : NULL;
    bool call = e && e->kind == EXPR_CALL && e->nargs == 2 && !(e->names && e->names[1]) &&
                e->args[0]->kind == EXPR_NAME && strcmp(e->args[0]->text, "uniform_int") == 0;
    if (!call) {
        if (t->kind == TREE_SCALAR && !e) return false;
        el_error(el, t->loc, "a draw is uniform_int(n), a whole number from 0 to n - 1");
        suggest_draw(el, t, e);
        return false;
    }
    Value v = expr_eval(el, el->scope, e->args[1]);
    if (v.kind == V_ERROR || !value_to_int(el, v, e->args[1]->loc, "uniform_int", n)) return false;
    if (*n >= 1 && *n <= INT32_MAX) return true;
    el_error(el, e->args[1]->loc, "uniform_int draws from %lld numbers; 1 to 2^31 - 1 can be",
             (long long)*n);
    suggest_number(el, (double)*n, 1, INT32_MAX, true);
    return false;
}

void draw_check(Elab *el, const Tree *t)
{
    int64_t n;
    draw_below(el, t, &n);
}

// Another name for one of the two, or one of them left out: what reads it tells.
static void clash(Elab *el, const Tree *views, const Tree *draws, const char *name)
{
    const Tree *both[] = {draws, views};
    const Loc at = tree_entry(draws, name)->key->loc;
    el_error(el, at, "'%s' is a view and a draw", name);
    guess_names(el, at, tree_entry(views, name)->key->loc, name);
    for (int i = 0; i < 2; i++)
        if (entry_span(el, both[i], name).source)
            guess_add(el, entry_span(el, both[i], name), "", str_printf(el->arena, "'%s'", name));
}

// A draw can be read as a field: (B,) whole numbers.
void draws_bind(Elab *el, Scope *s)
{
    const Tree *draws = data_draws(el);
    const Tree *views = draws ? data_section(el, "views") : NULL;
    for (uint32_t i = 0; draws && i < draws->entries.n; i++) {
        const TreeEntry *e = &draws->entries.at[i];
        if (views && tree_get(views, e->key->text)) // both would be an input of this name
            clash(el, views, draws, e->key->text);
        Field *f = arena_make(el->arena, Field);
        Axis *axis = arena_make(el->arena, Axis);
        *axis = (Axis){el->batch, 1};
        *f =
            (Field){.name = e->key->text, .role = FIELD_DRAW, .tree = e->value, .loc = e->key->loc};
        if (!data_wrong(el, e->value)) f->type = type_new(el->arena, DT_I32, 1, axis);
        scope_value(el, s, f->name, f->loc, (Value){.kind = V_FIELD, .field = f});
    }
}

void draws_put(Elab *el, Json *j)
{
    const Tree *draws = data_draws(el);
    if (!draws) return;
    json_open(j, "draws", '[');
    for (uint32_t i = 0; i < draws->entries.n; i++) {
        const TreeEntry *e = &draws->entries.at[i];
        int64_t n;
        if (data_wrong(el, e->value) || !draw_below(el, e->value, &n)) continue;
        json_open(j, NULL, '{');
        json_str(j, "name", e->key->text);
        json_int(j, "below", n);
        json_close(j, '}');
    }
    json_close(j, ']');
}

// ---- indices ------------------------------------------------------------------------------------

// base + the sum of times[i] x draw i
typedef struct Linear {
    int64_t base, *times;
} Linear;

// The number of the draw that a name is, or -1.
static int64_t draw_named(const Elab *el, const Expr *e)
{
    const Tree *draws = data_draws(el);
    for (uint32_t i = 0; draws && e->kind == EXPR_NAME && i < draws->entries.n; i++)
        if (strcmp(draws->entries.at[i].key->text, e->text) == 0) return i;
    return -1;
}

static bool has_draw(const Elab *el, const Expr *e);

// The draw that is first named in an expression, or the first there is; NULL where there is none.
static const char *some_draw(const Elab *el, const Expr *e)
{
    const Tree *draws = data_draws(el);
    if (e && draw_named(el, e) >= 0) return e->text;
    for (uint32_t i = 0; e && i < e->nargs; i++)
        if (has_draw(el, e->args[i])) return some_draw(el, e->args[i]);
    return draws && draws->entries.n ? draws->entries.at[0].key->text : NULL;
}

// The index in the last error's place is a draw, or a number.
static void suggest_index(Elab *el, const Expr *e)
{
    const char *draw = some_draw(el, e);
    suggest(el, draw ? draw : "0", draw ? "0" : "1");
}

static bool has_draw(const Elab *el, const Expr *e)
{
    if (!e) return false;
    bool found = draw_named(el, e) >= 0;
    for (uint32_t i = 0; !found && i < e->nargs; i++) found = has_draw(el, e->args[i]);
    return found;
}

// A factor or a summand, so small that no sum of them overflows.
static bool moderate(Elab *el, const Expr *e, int64_t x)
{
    enum { MOST = 1 << 30 };
    if (x >= -MOST && x <= MOST) return true;
    el_error(el, e->loc, "an index is at most 2^30");
    suggest_index(el, e);
    return false;
}

static bool whole(Elab *el, const Expr *e, int64_t *x)
{
    const Tree *draws = data_draws(el);
    const uint32_t before = diag_reports(el->diag);
    Value v = expr_eval(el, el->scope, e);
    Loc at;
    bool failed = v.kind == V_ERROR && diag_reports(el->diag) > before && diag_last(el->diag, &at);
    for (uint32_t i = 0; failed && draws && i < draws->entries.n; i++)
        guess_word(el, at, draws->entries.at[i].key->text);
    if (failed) guess_word(el, at, "0");
    return v.kind != V_ERROR && value_to_int(el, v, e->loc, "an index", x) && moderate(el, e, *x);
}

// Add `factor` times the expression. False when reported.
static bool linear(Elab *el, const Expr *e, int64_t factor, Linear *to)
{
    int64_t x;
    if (!has_draw(el, e)) {
        if (!whole(el, e, &x) || !moderate(el, e, factor * x)) return false;
        to->base += factor * x;
        return true;
    }
    if (e->kind == EXPR_NAME) {
        to->times[draw_named(el, e)] += factor;
        return true;
    }
    if (e->kind == EXPR_UNARY && (e->op == EOP_NEG || e->op == EOP_POS))
        return linear(el, e->args[0], e->op == EOP_NEG ? -factor : factor, to);
    if (e->kind == EXPR_BINARY && (e->op == EOP_ADD || e->op == EOP_SUB))
        return linear(el, e->args[0], factor, to) &&
               linear(el, e->args[1], e->op == EOP_SUB ? -factor : factor, to);
    if (e->kind == EXPR_BINARY && e->op == EOP_MUL) {
        bool right = has_draw(el, e->args[1]);
        if (!right || !has_draw(el, e->args[0]))
            return whole(el, e->args[right ? 0 : 1], &x) && moderate(el, e, factor * x) &&
                   linear(el, e->args[right ? 1 : 0], factor * x, to);
    }
    el_error(el, e->loc, "an index is a whole number plus whole multiples of draws");
    suggest_index(el, e);
    return false;
}

// The smallest that the index can be.
static int64_t lowest(Elab *el, const Linear *x)
{
    const Tree *draws = data_draws(el);
    int64_t least = x->base, n;
    for (uint32_t i = 0; draws && i < draws->entries.n; i++)
        if (x->times[i] < 0 && draw_below(el, draws->entries.at[i].value, &n))
            least += x->times[i] * (n - 1);
    return least;
}

static void put_linear(Elab *el, Json *j, const Linear *x)
{
    const Tree *draws = data_draws(el);
    uint32_t n = draws ? draws->entries.n : 0, named = 0;
    for (uint32_t i = 0; i < n; i++) named += x->times[i] != 0;
    if (!named) {
        json_int(j, NULL, x->base);
        return;
    }
    json_open(j, NULL, '{');
    json_int(j, "base", x->base);
    json_open(j, "draws", '{');
    for (uint32_t i = 0; i < n; i++)
        if (x->times[i]) json_int(j, draws->entries.at[i].key->text, x->times[i]);
    json_close(j, '}');
    json_close(j, '}');
}

// As it is written: 2 * a + 1.
static const char *linear_text(Elab *el, const Linear *x)
{
    const Tree *draws = data_draws(el);
    const char *text = "";
    for (uint32_t i = 0; draws && i < draws->entries.n; i++) {
        if (!x->times[i]) continue;
        const char *name = draws->entries.at[i].key->text, *sign = x->times[i] < 0 ? "-" : "";
        const long long n = llabs(x->times[i]);
        const char *term = n > 1 ? str_printf(el->arena, "%lld * %s", n, name) : name;
        text = *text ? str_printf(el->arena, "%s %s %s", text, *sign ? sign : "+", term)
                     : str_printf(el->arena, "%s%s", sign, term);
    }
    if (!*text) return str_printf(el->arena, "%lld", (long long)x->base);
    return x->base ? str_printf(el->arena, "%s + %lld", text, (long long)x->base) : text;
}

// One of the items that a slice takes.
static void suggest_end(Elab *el, const Expr *slice)
{
    const Expr *first = slice->args[0], *end = slice->args[1];
    const char *a = first ? expr_text(el->arena, first) : "0", *b = some_draw(el, NULL);
    if (end && end->kind == EXPR_NUMBER && end->number >= 1)
        b = str_printf(el->arena, "%.10g", end->number - 1);
    suggest(el, a, b ? b : "1");
}

static bool put_index(Elab *el, Json *j, const Expr *e)
{
    const Tree *draws = data_draws(el);
    Linear x = {0, arena_array(el->arena, int64_t, (draws ? draws->entries.n : 0) + 1)};
    if (!e || e->kind == EXPR_SLICE) {
        if (!e) return false;
        el_error(el, e->loc, "a key takes one item, not a part of a list");
        suggest_end(el, e);
        return false;
    }
    if (!linear(el, e, 1, &x)) return false;
    int64_t least = lowest(el, &x);
    if (least >= 0) {
        put_linear(el, j, &x);
        return true;
    }
    el_error(el, e->loc, "the index can be %lld; items are counted from 0", (long long)least);
    x.base -= least;
    const char *text = linear_text(el, &x);
    suggest(el, text, strcmp(text, "0") ? "0" : "1");
    return false;
}

// ---- keys ---------------------------------------------------------------------------------------

// emb + 1 and emb(a) are emb[1], emb[a].
static void suggest_path(Elab *el, const Expr *e)
{
    if (e->nargs != 2 || (e->kind != EXPR_BINARY && e->kind != EXPR_CALL)) return;
    const char *name = expr_text(el->arena, e->args[0]);
    suggest(el, str_printf(el->arena, "%s[%s]", name, expr_text(el->arena, e->args[1])), name);
}

// name, "name", key.name, key[index], or a list of indices. False when reported.
static bool put_path(Elab *el, Json *j, const Expr *e)
{
    bool list = e->kind == EXPR_LIST;
    switch (e->kind) {
    case EXPR_NAME:
    case EXPR_STRING: json_str(j, NULL, e->text); return true;
    case EXPR_MEMBER:
        if (!put_path(el, j, e->args[0])) return false;
        if (e->text[strspn(e->text, "0123456789")])
            json_str(j, NULL, e->text);
        else
            json_raw(j, NULL, e->text);
        return true;
    case EXPR_INDEX:
        if (!put_path(el, j, e->args[0])) return false;
        break;
    case EXPR_LIST:
        if (e->nargs) break;
        // an empty list names nothing
        // fall through
    default:
        el_error(el, e->loc,
                 "a key is a name in a record and indices, such as emb[a] or texts[1 + s]");
        suggest_path(el, e);
        return false;
    }
    for (uint32_t i = list ? 0 : 1; i < e->nargs; i++)
        if (!put_index(el, j, e->args[i])) return false;
    return true;
}

// Will something be tried for it?
static bool has_guess(const Elab *el, uint32_t error)
{
    return error && error < el->guesses.last.n && el->guesses.last.at[error];
}

bool key_put(Elab *el, Json *j, const Tree *map)
{
    const Tree *t = tree_get(map, "key");
    const uint32_t before = diag_reports(el->diag);
    bool ok = t->kind == TREE_SCALAR || (t->kind == TREE_LIST && t->items.n);
    if (!ok) el_error(el, t->loc, "a key is a name in a record and indices, such as emb[a]");
    json_open(j, "key", '[');
    if (ok && t->kind == TREE_SCALAR) {
        const Expr *e = el_parse(el, t);
        ok = e && put_path(el, j, e);
    }
    for (uint32_t i = 0; ok && t->kind == TREE_LIST && i < t->items.n; i++) {
        const Tree *item = t->items.at[i];
        ok = item->kind == TREE_SCALAR && put_index(el, j, el_parse(el, item));
    }
    json_close(j, ']');
    const uint32_t error = diag_last_error(el->diag);
    bool here = !ok && diag_reports(el->diag) > before && error && !has_guess(el, error);
    if (here && !diag_has_mend(el->diag, error))
        suggest_choices(el, without_key(el, map, "key"), (Choice){.text = NULL});
    return ok;
}

void key_check(Elab *el, const Tree *map)
{
    Json unused = {.arena = el->arena};
    key_put(el, &unused, map);
}
