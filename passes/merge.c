// One contraction for siblings: dots that share an operand, where the other operands are adjacent
// windows of one tensor along a free axis, become one dot over the joined window; each result is a
// window of its result. No bytes are copied, and each element keeps its chain of products, so bits
// stay the same. (Siblings over different weights would need a packed copy made each step; packing
// is a matter of the graph's parameters, which library encoders declare packed.)
//
// Not in the default list: a fuser that gives each dot its own epilogue may lose by it.
// Needs FACT_GRADLESS. Keeps it; simplify may have more to do. Afterwards every node is live.
#include "passes/pass.h"
#include "passes/rewrite.h"

// A dot one of whose operands is a window along one free axis, stride 1.
typedef struct Sibling {
    NodeId shared, base;
    uint32_t side;        // which operand is the window
    int64_t axis, lo, hi; // of the window in base
    int64_t result;       // the result's axis
} Sibling;

static bool listed(const Node *n, AttrKey key, int64_t axis)
{
    uint32_t count;
    const int64_t *at = node_ints(n, key, &count);
    for (uint32_t i = 0; i < count; i++)
        if (at[i] == axis) return true;
    return false;
}

static bool is_free(const Node *dot, uint32_t side, int64_t axis)
{
    return !listed(dot, side ? ATTR_RBATCH : ATTR_LBATCH, axis) &&
           !listed(dot, side ? ATTR_RCONTRACT : ATTR_LCONTRACT, axis);
}

// The only axis that a slice cuts, by stride 1; -1 when there is another cut.
static int64_t cut_axis(const Graph *g, const Node *slice)
{
    uint32_t rank;
    const int64_t *stride = node_ints(slice, ATTR_STRIDE, &rank);
    int64_t axis = -1;
    for (uint32_t i = 0; i < rank; i++) {
        if (slice->type->axes[i].size == graph_type(g, slice->args[0])->axes[i].size) continue;
        if (axis >= 0 || stride[i] != 1) return -1;
        axis = i;
    }
    return axis;
}

static int64_t result_axis(const Graph *g, const Node *dot, uint32_t side, int64_t axis)
{
    uint32_t nb, nc;
    node_ints(dot, ATTR_LBATCH, &nb);
    node_ints(dot, ATTR_LCONTRACT, &nc);
    int64_t at = side ? graph_type(g, dot->args[0])->rank - nc : nb;
    for (int64_t i = 0; i < axis; i++) at += is_free(dot, side, i);
    return at;
}

static bool sibling_of(const Graph *g, const Node *dot, uint32_t side, Sibling *s)
{
    if (dot->op != OP_DOT || dot->copy) return false;
    const Node *slice = graph_node(g, dot->args[side]);
    uint32_t rank;
    if (slice->op != OP_SLICE) return false;
    s->axis = cut_axis(g, slice);
    if (s->axis < 0 || !is_free(dot, side, s->axis)) return false;
    s->shared = dot->args[1 - side];
    s->base = slice->args[0];
    s->side = side;
    s->lo = node_ints(slice, ATTR_LO, &rank)[s->axis];
    s->hi = s->lo + slice->type->axes[s->axis].size;
    s->result = result_axis(g, dot, side, s->axis);
    return true;
}

static bool same_attrs(const Node *a, const Node *b)
{
    static const AttrKey keys[] = {ATTR_LBATCH, ATTR_RBATCH, ATTR_LCONTRACT, ATTR_RCONTRACT};
    for (uint32_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        uint32_t n, m;
        const int64_t *x = node_ints(a, keys[k], &n), *y = node_ints(b, keys[k], &m);
        if (n != m || (n && memcmp(x, y, n * sizeof *x))) return false;
    }
    return a->type->dtype == b->type->dtype && node_precision(a) == node_precision(b);
}

// Grow [lo, hi) by every sibling window that touches or overlaps it.
static void grow(const Rewrite *r, const Node *dot, const Sibling *s, int64_t *lo, int64_t *hi)
{
    bool grown = true;
    while (grown) {
        grown = false;
        for (NodeId id = 1; id < r->from->nodes.n; id++) {
            const Node *n = graph_node(r->from, id);
            Sibling t;
            if (!r->live[id] || !sibling_of(r->from, n, s->side, &t)) continue;
            if (t.shared != s->shared || t.base != s->base || t.axis != s->axis) continue;
            if (!same_attrs(n, dot) || t.hi < *lo || t.lo > *hi) continue;
            grown = grown || t.lo < *lo || t.hi > *hi;
            if (t.lo < *lo) *lo = t.lo;
            if (t.hi > *hi) *hi = t.hi;
        }
    }
}

static NodeId window(Rewrite *r, NodeId x, int64_t axis, int64_t lo, int64_t hi)
{
    const Type *t = graph_type(r->to, x);
    int64_t *from = arena_array(r->scratch, int64_t, t->rank);
    int64_t *to = arena_array(r->scratch, int64_t, t->rank);
    for (uint32_t i = 0; i < t->rank; i++) to[i] = t->axes[i].size;
    from[axis] = lo;
    to[axis] = hi;
    return graph_slice(r->to, x, from, to, NULL);
}

static NodeId join_siblings(Rewrite *r, NodeId id)
{
    const Node *n = graph_node(r->from, id);
    for (uint32_t side = 0; side < 2; side++) {
        Sibling s;
        if (!sibling_of(r->from, n, side, &s)) continue;
        int64_t lo = s.lo, hi = s.hi;
        grow(r, n, &s, &lo, &hi);
        if (hi - lo == s.hi - s.lo) continue;
        NodeId args[2];
        args[side] = window(r, r->map[s.base], s.axis, lo, hi);
        args[1 - side] = r->map[s.shared];
        return window(r, rewrite_copy(r, id, 0, args), s.result, s.lo - lo, s.hi - lo);
    }
    return 0;
}

bool pass_merge(Program *p, PassContext *ctx)
{
    for (uint32_t i = 0; i < p->entries.n; i++) {
        Entry *e = p->entries.at[i];
        rewrite_entry(e, ctx->scratch, join_siblings, NULL);
        entry_compact(e);
    }
    return true;
}
