// Rules of simplify on views; the equations stand in simplify_rules.def.
#include "passes/simplify.h"

// ---- broadcast, reshape, transpose, reverse -----------------------------------------------------

// Plain axes of 1 leave the operand: x (.., 1, ..) repeated is x (.., ..) repeated.
NodeId broadcast_squeeze(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    const Type *x = operand(s, n, 0)->type;
    uint32_t count, kept = 0;
    const int64_t *map = node_ints(n, ATTR_AXES, &count);
    int64_t *to = ints(s, x->rank);
    Axis *axes = arena_array(s->scratch, Axis, x->rank + 1);
    for (uint32_t i = 0; i < x->rank; i++) {
        if (x->axes[i].size == 1 && !x->axes[i].per) continue;
        axes[kept] = x->axes[i];
        to[kept++] = map[i];
    }
    if (kept == x->rank) return 0;
    NodeId small = graph_reshape(s->g, n->args[0], kept, axes);
    return graph_broadcast(s->g, small, n->type->rank, n->type->axes, to);
}

NodeId broadcast_reshape(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    const Type *x = operand(s, n, 0)->type;
    if (type_count(x) != type_count(n->type)) return 0;
    for (uint32_t i = 0, b = 0; i < n->type->rank; i++) { // a new batch axis of 1 is no reshape
        while (b < x->rank && x->axes[b].size == 1 && !x->axes[b].per) b++;
        if (n->type->axes[i].size == 1 && !n->type->axes[i].per) continue;
        if (b == x->rank || x->axes[b].per != n->type->axes[i].per) return 0;
        b++;
    }
    return graph_reshape(s->g, n->args[0], n->type->rank, n->type->axes);
}

NodeId transpose_broadcast(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_BROADCAST)) return 0;
    uint32_t rank, count, k = 0;
    const int64_t *perm = node_ints(n, ATTR_PERM, &rank);
    const int64_t *map = node_ints(operand(s, n, 0), ATTR_AXES, &count);
    NodeId x = operand(s, n, 0)->args[0];
    int64_t *order = ints(s, count), *to = ints(s, count);
    for (uint32_t i = 0; i < rank; i++)
        for (uint32_t j = 0; j < count; j++)
            if (map[j] == perm[i]) {
                order[k] = j;
                to[k++] = i;
            }
    return graph_broadcast(s->g, graph_transpose(s->g, x, order), rank, n->type->axes, to);
}

NodeId transpose_ones(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    uint32_t rank;
    const int64_t *perm = node_ints(n, ATTR_PERM, &rank);
    int64_t last = -1;
    for (uint32_t i = 0; i < rank; i++) {
        Axis a = n->type->axes[i];
        if (a.size == 1 && !a.per) continue;
        if (perm[i] < last) return 0;
        last = perm[i];
    }
    return graph_reshape(s->g, n->args[0], rank, n->type->axes);
}

NodeId reverse_reverse(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_REVERSE)) return 0;
    uint32_t na, nb, k = 0;
    const int64_t *a = node_ints(n, ATTR_AXES, &na);
    const int64_t *b = node_ints(operand(s, n, 0), ATTR_AXES, &nb);
    int64_t *axes = ints(s, n->type->rank);
    for (uint32_t i = 0, ia = 0, ib = 0; i < n->type->rank; i++) {
        bool in_a = ia < na && a[ia] == i, in_b = ib < nb && b[ib] == i;
        ia += in_a;
        ib += in_b;
        if (in_a != in_b) axes[k++] = i;
    }
    Attr attr = attr_ints(ATTR_AXES, axes, k);
    return graph_add(s->g, OP_REVERSE, 1, operand(s, n, 0)->args, 1, &attr);
}

// ---- slice --------------------------------------------------------------------------------------

typedef struct Window {
    const int64_t *lo, *hi, *stride;
    uint32_t rank;
} Window;

static Window window_of(const Node *n)
{
    Window w;
    w.lo = node_ints(n, ATTR_LO, &w.rank);
    w.hi = node_ints(n, ATTR_HI, &w.rank);
    w.stride = node_ints(n, ATTR_STRIDE, &w.rank);
    return w;
}

// Index of the last element taken along axis i.
static int64_t last_of(const Window *w, const Type *result, uint32_t i)
{
    return w->lo[i] + (result->axes[i].size - 1) * w->stride[i];
}

NodeId slice_slice(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_SLICE)) return 0;
    Window outer = window_of(n), inner = window_of(operand(s, n, 0));
    uint32_t rank = outer.rank;
    int64_t *lo = ints(s, rank), *hi = ints(s, rank), *stride = ints(s, rank);
    for (uint32_t i = 0; i < rank; i++) {
        lo[i] = inner.lo[i] + outer.lo[i] * inner.stride[i];
        hi[i] = inner.lo[i] + last_of(&outer, n->type, i) * inner.stride[i] + 1;
        stride[i] = inner.stride[i] * outer.stride[i];
    }
    return graph_slice(s->g, operand(s, n, 0)->args[0], lo, hi, stride);
}

NodeId slice_broadcast(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_BROADCAST)) return 0;
    Window w = window_of(n);
    const Node b = *operand(s, n, 0);
    const Type *x = graph_type(s->g, b.args[0]);
    uint32_t count;
    const int64_t *map = node_ints(&b, ATTR_AXES, &count);
    int64_t *lo = ints(s, count), *hi = ints(s, count), *stride = ints(s, count);
    for (uint32_t i = 0; i < count; i++) {
        bool repeats = x->axes[i].size != b.type->axes[map[i]].size;
        lo[i] = repeats ? 0 : w.lo[map[i]];
        hi[i] = repeats ? 1 : w.hi[map[i]];
        stride[i] = repeats ? 1 : w.stride[map[i]];
    }
    NodeId small = graph_slice(s->g, b.args[0], lo, hi, stride);
    return graph_broadcast(s->g, small, n->type->rank, n->type->axes, map);
}

NodeId slice_pad(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_PAD)) return 0;
    Window w = window_of(n);
    const Node p = *operand(s, n, 0);
    const Type *x = graph_type(s->g, p.args[0]);
    uint32_t rank;
    const int64_t *before = node_ints(&p, ATTR_LO, &rank);
    int64_t *lo = ints(s, rank), *hi = ints(s, rank);
    bool inside = true;
    for (uint32_t i = 0; i < rank; i++) {
        int64_t last = last_of(&w, n->type, i) - before[i];
        lo[i] = w.lo[i] - before[i];
        hi[i] = last + 1;
        // One axis that meets only fill decides, whatever the others do.
        if (last < 0 || lo[i] >= x->axes[i].size)
            return graph_broadcast_to(s->g, p.args[1], n->type->rank, n->type->axes);
        inside = inside && lo[i] >= 0 && last < x->axes[i].size;
    }
    return inside ? graph_slice(s->g, p.args[0], lo, hi, w.stride) : 0;
}

NodeId slice_concat(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_CONCAT)) return 0;
    Window w = window_of(n);
    const Node c = *operand(s, n, 0);
    int64_t axis = node_int(&c, ATTR_AXIS), at = 0;
    int64_t last = last_of(&w, n->type, (uint32_t)axis);
    for (uint32_t k = 0; k < c.nargs; k++) {
        int64_t size = graph_type(s->g, c.args[k])->axes[axis].size;
        if (w.lo[axis] >= at && last < at + size) {
            int64_t *lo = arena_copy(s->scratch, w.lo, w.rank * sizeof *lo);
            int64_t *hi = arena_copy(s->scratch, w.hi, w.rank * sizeof *hi);
            lo[axis] = w.lo[axis] - at;
            hi[axis] = last - at + 1;
            return graph_slice(s->g, c.args[k], lo, hi, w.stride);
        }
        at += size;
    }
    return 0;
}

// ---- pad, concat --------------------------------------------------------------------------------

NodeId pad_pad(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_PAD) || operand(s, n, 0)->args[1] != n->args[1]) return 0;
    const Node inner = *operand(s, n, 0);
    uint32_t rank;
    int64_t *lo = ints(s, n->type->rank), *hi = ints(s, n->type->rank);
    for (uint32_t i = 0; i < n->type->rank; i++) {
        lo[i] = node_ints(n, ATTR_LO, &rank)[i] + node_ints(&inner, ATTR_LO, &rank)[i];
        hi[i] = node_ints(n, ATTR_HI, &rank)[i] + node_ints(&inner, ATTR_HI, &rank)[i];
    }
    return graph_pad(s->g, inner.args[0], n->args[1], lo, hi);
}

NodeId concat_concat(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    VEC(NodeId) parts = {0};
    int64_t axis = node_int(n, ATTR_AXIS);
    for (uint32_t i = 0; i < n->nargs; i++) {
        const Node *x = operand(s, n, i);
        bool flat = x->op == OP_CONCAT && node_int(x, ATTR_AXIS) == axis;
        for (uint32_t k = 0; flat && k < x->nargs; k++) vec_push(s->scratch, &parts, x->args[k]);
        if (!flat) vec_push(s->scratch, &parts, n->args[i]);
    }
    return parts.n > n->nargs ? graph_concat(s->g, parts.n, parts.at, axis) : 0;
}

// The window of x and y together, when y goes on along the axis where x ends and they agree
// elsewhere.
static NodeId join_slices(Simplify *s, NodeId first, NodeId second, int64_t axis)
{
    const Node x = *graph_node(s->g, first), y = *graph_node(s->g, second);
    if (x.op != OP_SLICE || y.op != OP_SLICE || x.args[0] != y.args[0]) return 0;
    Window a = window_of(&x), b = window_of(&y);
    for (uint32_t i = 0; i < a.rank; i++) {
        bool same = a.lo[i] == b.lo[i] && last_of(&a, x.type, i) == last_of(&b, y.type, i);
        if (a.stride[i] != b.stride[i] || (i != axis && !same)) return 0;
    }
    if (last_of(&a, x.type, (uint32_t)axis) + a.stride[axis] != b.lo[axis]) return 0;
    int64_t *hi = arena_copy(s->scratch, a.hi, a.rank * sizeof *hi);
    hi[axis] = b.hi[axis];
    return graph_slice(s->g, x.args[0], a.lo, hi, a.stride);
}

NodeId concat_slices(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    int64_t axis = node_int(n, ATTR_AXIS);
    NodeId *parts = arena_array(s->scratch, NodeId, n->nargs);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->nargs; i++) {
        NodeId joined = count ? join_slices(s, parts[count - 1], n->args[i], axis) : 0;
        if (joined)
            parts[count - 1] = joined;
        else
            parts[count++] = n->args[i];
    }
    return count < n->nargs ? graph_concat(s->g, count, parts, axis) : 0;
}

// ---- sums of padded windows ---------------------------------------------------------------------

// The axis along which node x is a window in zeros; -1 when it is no such pad.
static int64_t zero_pad_axis(const Simplify *s, const Node *x)
{
    uint32_t rank;
    int64_t axis = -1;
    if (x->op != OP_PAD || !is_number(s, x->args[1], 0)) return -1;
    const int64_t *lo = node_ints(x, ATTR_LO, &rank), *hi = node_ints(x, ATTR_HI, &rank);
    for (uint32_t i = 0; i < rank; i++) {
        if (!lo[i] && !hi[i]) continue;
        if (axis >= 0) return -1;
        axis = i;
    }
    return axis;
}

// pad x + pad y as one pad where y begins at the end of x along the only padded axis; else 0.
static NodeId join_pads(Simplify *s, NodeId first, NodeId second)
{
    const Node x = *graph_node(s->g, first), y = *graph_node(s->g, second);
    int64_t axis = zero_pad_axis(s, &x);
    uint32_t rank;
    if (axis < 0 || zero_pad_axis(s, &y) != axis) return 0;
    int64_t begin = node_ints(&x, ATTR_LO, &rank)[axis];
    int64_t end = begin + graph_type(s->g, x.args[0])->axes[axis].size;
    if (node_ints(&y, ATTR_LO, &rank)[axis] != end) return 0;
    NodeId both = graph_concat(s->g, 2, (NodeId[]){x.args[0], y.args[0]}, axis);
    return graph_pad(s->g, both, x.args[1], node_ints(&x, ATTR_LO, &rank),
                     node_ints(&y, ATTR_HI, &rank));
}

// Terms of a sum written as a tree of adds, from left to right.
static void collect_terms(Simplify *s, NodeId root, NodeId **terms, uint32_t *count)
{
    VEC(NodeId) stack = {0}, found = {0};
    vec_push(s->scratch, &stack, root);
    while (stack.n) {
        NodeId id = stack.at[--stack.n];
        const Node *n = graph_node(s->g, id);
        bool inner = n->op == OP_ADD && !n->copy && (id == root || single_use(s, id));
        if (!inner) vec_push(s->scratch, &found, id);
        for (uint32_t i = 2; inner && i; i--) vec_push(s->scratch, &stack, n->args[i - 1]);
    }
    *terms = found.at;
    *count = found.n;
}

// Gradients of slices that tile a tensor arrive as pads in any order: join the first pair that
// fits, the driver comes back for the next.
NodeId add_pads(Simplify *s, NodeId id, const Node *n)
{
    NodeId *terms, joined = 0;
    uint32_t count;
    if (!is_op(s, n, 0, OP_PAD) && !is_op(s, n, 1, OP_PAD)) return 0;
    collect_terms(s, id, &terms, &count);
    for (uint32_t i = 0; i < count && !joined; i++)
        for (uint32_t j = 0; j < count && !joined; j++) {
            if (i == j || !(joined = join_pads(s, terms[i], terms[j]))) continue;
            terms[i] = joined;
            terms[j] = 0;
        }
    if (!joined) return 0;
    NodeId sum = 0;
    for (uint32_t i = 0; i < count; i++)
        if (terms[i]) sum = sum ? graph_binary(s->g, OP_ADD, sum, terms[i]) : terms[i];
    return sum;
}
