// x[...]: numbers and slices on lists, collections and tensors.
#include "frontend/guess.h"

typedef struct Range { // of one axis
    int64_t lo, hi, step;
    bool drop; // a number: the axis leaves the shape
} Range;

static bool bound(Elab *el, Scope *s, const Expr *e, const char *what, bool *given, int64_t *out)
{
    *given = e != NULL;
    return !e || value_to_int(el, expr_eval(el, s, e), e->loc, what, out);
}

static int64_t clamp(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

// As Python slices a sequence of n.
static bool slice_range(Elab *el, Scope *s, const Expr *e, int64_t n, Range *r)
{
    bool has_lo, has_hi, has_step;
    int64_t lo = 0, hi = 0, step = 1;
    if (!bound(el, s, e->args[0], "the start", &has_lo, &lo) ||
        !bound(el, s, e->args[1], "the end", &has_hi, &hi) ||
        !bound(el, s, e->args[2], "the step", &has_step, &step))
        return false;
    if (step == 0) return el_error(el, e->loc, "the step of a slice cannot be 0");
    if (has_lo && lo < 0) lo += n;
    if (has_hi && hi < 0) hi += n;
    if (step > 0) {
        r->lo = has_lo ? clamp(lo, 0, n) : 0;
        r->hi = has_hi ? clamp(hi, 0, n) : n;
    } else {
        r->lo = has_lo ? clamp(lo, -1, n - 1) : n - 1;
        r->hi = has_hi ? clamp(hi, -1, n - 1) : -1;
    }
    r->step = step;
    r->drop = false;
    return true;
}

// whole: the expression x[..] of a tensor.
static bool index_range(Elab *el, Scope *s, const Expr *e, const Expr *whole, int64_t n,
                        const char *what, Range *r)
{
    if (e->kind == EXPR_SLICE) return slice_range(el, s, e, n, r);
    int64_t i;
    Value v = value_plain(el, expr_eval(el, s, e), e->loc);
    if (v.kind == V_TENSOR) {
        el_error(el, e->loc, "an index is known at compile time; this one is %s",
                 value_text(el, v));
        diag_help(el->diag, "gather(x, i) reads at positions computed as the step runs");
        if (whole) guess_gathered(el, whole);
        return false;
    }
    if (!value_to_int(el, v, e->loc, "an index", &i)) return false;
    if (i < -n || i >= n) {
        el_error(el, e->loc, "index %lld is outside %s of %lld", (long long)i, what, (long long)n);
        if (n) suggest(el, str_printf(el->arena, "%lld", (long long)n - 1), "0");
        return false;
    }
    *r = (Range){i < 0 ? i + n : i, (i < 0 ? i + n : i) + 1, 1, true};
    return true;
}

static Value index_list(Elab *el, Scope *s, const Expr *e, const ValueList *l)
{
    Range r;
    if (e->nargs != 2) return el_fail(el, e->loc, "a list takes one index");
    if (!index_range(el, s, e->args[1], NULL, l->v.n, "a list", &r)) return value_error();
    if (r.drop) return l->v.at[r.lo];
    ValueList *out = arena_make(el->arena, ValueList);
    for (int64_t i = r.lo; r.step > 0 ? i < r.hi : i > r.hi; i += r.step)
        vec_push(el->arena, &out->v, l->v.at[i]);
    return value_list(out);
}

// The sliced tensor with all axes; a negative step is a slice and a reversal.
static NodeId slice_node(Elab *el, NodeId x, uint32_t rank, Range *r, const Expr *e)
{
    int64_t *lo = arena_array(el->arena, int64_t, rank + 1),
            *hi = arena_array(el->arena, int64_t, rank + 1);
    int64_t *step = arena_array(el->arena, int64_t, rank + 1),
            *turn = arena_array(el->arena, int64_t, rank + 1);
    uint32_t nturn = 0;
    for (uint32_t i = 0; i < rank; i++) {
        if (r[i].step > 0 ? r[i].hi <= r[i].lo : r[i].hi >= r[i].lo) {
            el_error(el, e->loc, "the slice of axis %u is empty", i);
            return 0;
        }
        if (r[i].step < 0) {
            int64_t count = (r[i].lo - r[i].hi - r[i].step - 1) / -r[i].step;
            turn[nturn++] = i;
            lo[i] = r[i].lo + (count - 1) * r[i].step;
            hi[i] = r[i].lo + 1;
            step[i] = -r[i].step;
        } else {
            lo[i] = r[i].lo;
            hi[i] = r[i].hi;
            step[i] = r[i].step;
        }
    }
    x = graph_slice(el->graph, x, lo, hi, step);
    if (!nturn || !x) return x;
    return graph_add(el->graph, OP_REVERSE, 1, &x, 1, (Attr[]){attr_ints(ATTR_AXES, turn, nturn)});
}

static NodeId index_tensor(Elab *el, Scope *s, const Expr *e, NodeId x)
{
    const Type *t = graph_type(el->graph, x);
    uint32_t rank = t->rank, given = e->nargs - 1;
    if (given > rank) {
        if (!rank)
            el_error(el, e->loc, "a single number has no items");
        else
            el_error(el, e->loc, "%u indices for %s", given, type_text(el->arena, t));
        return 0;
    }
    Range *r = arena_array(el->arena, Range, rank + 1);
    Axis *axes = arena_array(el->arena, Axis, rank + 1);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < rank; i++) {
        r[i] = (Range){0, t->axes[i].size, 1, false};
        if (i < given) {
            const char *what = str_printf(el->arena, "axis %u of %s", i, type_text(el->arena, t));
            if (!index_range(el, s, e->args[i + 1], e, t->axes[i].size, what, &r[i])) return 0;
        }
    }
    el->graph->here = e->loc;
    x = slice_node(el, x, rank, r, e);
    if (!x) return 0;
    t = graph_type(el->graph, x);
    for (uint32_t i = 0; i < rank; i++)
        if (!r[i].drop) axes[kept++] = t->axes[i];
    return graph_reshape(el->graph, x, kept, axes);
}

Value value_index(Elab *el, Scope *s, const Expr *e, Value v)
{
    const ValueList *items;
    if (v.kind == V_SPACE) {
        if (!value_items(el, v, e->loc, &items)) return value_error();
        return index_list(el, s, e, items);
    }
    if (v.kind == V_STATS) return stats_index(el, s, e, v.stats);
    v = value_plain(el, v, e->args[0]->loc);
    if (v.kind == V_ERROR) return v;
    if (v.kind == V_LIST) return index_list(el, s, e, v.list);
    uint32_t before = diag_errors(el->diag);
    NodeId x = value_tensor(el, v, DT_NONE, e->args[0]->loc);
    if (!x) return value_error();
    return el_node(el, index_tensor(el, s, e, x), before);
}
