// How a cut along one axis goes through an op: which axis of the result that is, which axes of the
// other operands must be cut with it, and what the op is on a piece.
#include "passes/stream.h"

// ---- axes ---------------------------------------------------------------------------------------

static int64_t place_in(const int64_t *at, uint32_t n, int64_t axis)
{
    for (uint32_t i = 0; i < n; i++)
        if (at[i] == axis) return i;
    return CUT_NOT;
}

static int64_t in_attr(const Node *n, AttrKey key, int64_t axis)
{
    uint32_t count;
    const int64_t *at = node_ints(n, key, &count);
    return place_in(at, count, axis);
}

// The axis of `to` that has the size of axis `axis` of `from` and as many elements before it.
static int64_t through_reshape(const Type *from, const Type *to, int64_t axis)
{
    int64_t before = 1, seen = 1;
    for (int64_t i = 0; i < axis; i++) before *= from->axes[i].size;
    for (uint32_t i = 0; i < to->rank; seen *= to->axes[i++].size)
        if (seen == before && to->axes[i].size == from->axes[axis].size) return i;
    return CUT_NOT;
}

// Is all of the axis there, in its order?
static bool untouched(const Graph *g, const Node *n, int64_t axis)
{
    uint32_t count;
    switch (n->op) {
    case OP_SLICE:
        return node_ints(n, ATTR_LO, &count)[axis] == 0 &&
               n->type->axes[axis].size == graph_type(g, n->args[0])->axes[axis].size;
    case OP_PAD: return n->type->axes[axis].size == graph_type(g, n->args[0])->axes[axis].size;
    case OP_SKEW: return in_attr(n, ATTR_AXES, axis) < 0 && in_attr(n, ATTR_ALONG, axis) < 0;
    case OP_CONCAT: return node_int(n, ATTR_AXIS) != axis;
    case OP_REVERSE: return in_attr(n, ATTR_AXES, axis) < 0;
    default: return true;
    }
}

static int64_t view_result(const Graph *g, const Node *n, uint32_t operand, int64_t axis)
{
    uint32_t count;
    switch (n->op) {
    case OP_RESHAPE: return through_reshape(graph_type(g, n->args[0]), n->type, axis);
    case OP_TRANSPOSE: return in_attr(n, ATTR_PERM, axis);
    case OP_BROADCAST: {
        int64_t to = node_ints(n, ATTR_AXES, &count)[axis];
        bool same = n->type->axes[to].size == graph_type(g, n->args[0])->axes[axis].size;
        return same ? to : CUT_NOT;
    }
    case OP_SKEW:
    case OP_PAD: return operand == 0 && untouched(g, n, axis) ? axis : CUT_NOT;
    default: return untouched(g, n, axis) ? axis : CUT_NOT;
    }
}

// Axes that leave the shape.
static const int64_t *reduced(const Node *n, int64_t *one, uint32_t *count)
{
    if (n->op != OP_ARGMAX) return node_ints(n, ATTR_AXES, count);
    *one = node_int(n, ATTR_AXIS);
    *count = 1;
    return one;
}

static int64_t reduce_result(const Node *n, int64_t axis)
{
    uint32_t count, before = 0;
    int64_t one;
    const int64_t *axes = reduced(n, &one, &count);
    if (place_in(axes, count, axis) >= 0) return n->op == OP_ARGMAX ? CUT_NOT : CUT_SUMS;
    for (uint32_t i = 0; i < count; i++) before += axes[i] < axis;
    return axis - before;
}

static int64_t reduce_operand(const Node *n, int64_t axis)
{
    uint32_t count;
    int64_t one;
    const int64_t *axes = reduced(n, &one, &count);
    for (uint32_t i = 0; i < count; i++) axis += axes[i] <= axis;
    return axis;
}

// Axes of a dot's operand that are neither shared nor summed over: how many lie before `axis`.
static int64_t free_before(const Node *n, uint32_t operand, int64_t axis)
{
    int64_t count = 0;
    for (int64_t i = 0; i < axis; i++)
        count += in_attr(n, operand ? ATTR_RBATCH : ATTR_LBATCH, i) < 0 &&
                 in_attr(n, operand ? ATTR_RCONTRACT : ATTR_LCONTRACT, i) < 0;
    return count;
}

static int64_t dot_result(const Graph *g, const Node *n, uint32_t operand, int64_t axis)
{
    uint32_t nb;
    node_ints(n, ATTR_LBATCH, &nb);
    int64_t shared = in_attr(n, operand ? ATTR_RBATCH : ATTR_LBATCH, axis);
    if (shared >= 0) return shared;
    if (in_attr(n, operand ? ATTR_RCONTRACT : ATTR_LCONTRACT, axis) >= 0) return CUT_SUMS;
    int64_t left = operand ? free_before(n, 0, graph_type(g, n->args[0])->rank) : 0;
    return nb + left + free_before(n, operand, axis);
}

static void dot_operands(const Graph *g, const Node *n, int64_t axis, int64_t *at)
{
    uint32_t nb;
    const int64_t *lb = node_ints(n, ATTR_LBATCH, &nb), *rb = node_ints(n, ATTR_RBATCH, &nb);
    at[0] = at[1] = CUT_NOT;
    if (axis < nb) {
        at[0] = lb[axis];
        at[1] = rb[axis];
        return;
    }
    for (uint32_t operand = 0; operand < 2; operand++)
        for (uint32_t i = 0; i < graph_type(g, n->args[operand])->rank; i++)
            if (dot_result(g, n, operand, i) == axis) at[operand] = i;
}

// gather: (x (b.., n, r..), i (b.., k..)) gives (b.., k.., r..); scatter_add (i (b.., k..),
// u (b.., k.., r..)) gives (b.., size, r..).
static int64_t gather_result(const Graph *g, const Node *n, uint32_t operand, int64_t axis)
{
    int64_t batch = node_int(n, ATTR_BATCH), by;
    if (axis < batch) return axis;
    by = graph_type(g, n->args[n->op == OP_GATHER])->rank;
    if (n->op == OP_GATHER) return operand ? axis : axis == batch ? CUT_NOT : axis + by - batch - 1;
    return axis < by ? CUT_SUMS : axis - by + batch + 1;
}

static bool gather_operands(const Graph *g, const Node *n, int64_t axis, int64_t *at)
{
    int64_t batch = node_int(n, ATTR_BATCH), by;
    by = graph_type(g, n->args[n->op == OP_GATHER])->rank;
    at[0] = at[1] = axis < batch ? axis : CUT_NOT;
    if (axis < batch) return true;
    if (n->op == OP_SCATTER_ADD) {
        at[1] = axis + by - batch - 1;
        return axis > batch;
    }
    at[axis < by] = axis < by ? axis : axis - by + batch + 1;
    return true;
}

int64_t cut_result(const Graph *g, const Node *n, uint32_t operand, int64_t axis)
{
    switch (op_info(n->op)->class) {
    case CLASS_ELEMENTWISE: return axis;
    case CLASS_VIEW: return view_result(g, n, operand, axis);
    case CLASS_REDUCE: return reduce_result(n, axis);
    case CLASS_CONTRACT: return dot_result(g, n, operand, axis);
    case CLASS_GATHER:
    case CLASS_SCATTER: return gather_result(g, n, operand, axis);
    default: return CUT_NOT;
    }
}

static bool view_operands(const Graph *g, const Node *n, int64_t axis, int64_t *at)
{
    const Type *from = n->nargs ? graph_type(g, n->args[0]) : NULL;
    uint32_t count;
    for (uint32_t i = 0; i < n->nargs; i++) at[i] = axis;
    switch (n->op) {
    case OP_RESHAPE: at[0] = through_reshape(n->type, from, axis); return at[0] >= 0;
    case OP_TRANSPOSE: at[0] = node_ints(n, ATTR_PERM, &count)[axis]; return true;
    case OP_BROADCAST:
        at[0] = in_attr(n, ATTR_AXES, axis);
        if (at[0] >= 0 && from->axes[at[0]].size != n->type->axes[axis].size) at[0] = CUT_NOT;
        return true;
    case OP_SKEW:
    case OP_PAD: at[1] = CUT_NOT; return untouched(g, n, axis);
    default: return untouched(g, n, axis);
    }
}

bool cut_operands(const Graph *g, const Node *n, int64_t axis, int64_t *at)
{
    switch (op_info(n->op)->class) {
    case CLASS_LEAF: return n->op == OP_IOTA;
    case CLASS_ELEMENTWISE:
        for (uint32_t i = 0; i < n->nargs; i++) at[i] = axis;
        return true;
    case CLASS_VIEW: return view_operands(g, n, axis, at);
    case CLASS_REDUCE: at[0] = reduce_operand(n, axis); return true;
    case CLASS_CONTRACT: dot_operands(g, n, axis, at); return true;
    case CLASS_GATHER:
    case CLASS_SCATTER: return gather_operands(g, n, axis, at);
    default: return false;
    }
}

void cut_summed(const Node *n, uint32_t operand, int64_t axis, int64_t *at)
{
    uint32_t count;
    at[operand] = axis;
    if (n->op == OP_SCATTER_ADD) at[0] = at[1] = axis;
    if (n->op != OP_DOT) return;
    int64_t pair = in_attr(n, operand ? ATTR_RCONTRACT : ATTR_LCONTRACT, axis);
    at[0] = node_ints(n, ATTR_LCONTRACT, &count)[pair];
    at[1] = node_ints(n, ATTR_RCONTRACT, &count)[pair];
}

// ---- pieces -------------------------------------------------------------------------------------

NodeId cut_window(Graph *to, NodeId x, int64_t axis, Piece piece)
{
    if (graph_type(to, x)->axes[axis].per) {
        Attr at = attr_int(ATTR_AXIS, axis);
        x = graph_add(to, OP_BATCH_GATHER, 1, &x, 1, &at);
    }
    const Type *type = graph_type(to, x);
    int64_t *lo = arena_array(to->arena, int64_t, type->rank + 1),
            *hi = arena_array(to->arena, int64_t, type->rank + 1);
    for (uint32_t i = 0; i < type->rank; i++) hi[i] = type->axes[i].size;
    lo[axis] = piece.lo;
    hi[axis] = piece.lo + piece.rows;
    return graph_slice(to, x, lo, hi, NULL);
}

// The attributes on a piece: what tells the size of the axis.
static const Attr *piece_attrs(Graph *to, const Node *n, int64_t axis, Piece piece)
{
    Attr *attrs = arena_array(to->arena, Attr, n->nattrs + 1);
    if (n->nattrs) memcpy(attrs, n->attrs, n->nattrs * sizeof *attrs);
    for (uint32_t i = 0; axis >= 0 && i < n->nattrs; i++) {
        Attr *a = &attrs[i];
        if (a->key == ATTR_SHAPE) {
            Axis *axes = arena_copy(to->arena, a->axes.at, a->axes.n * sizeof *axes);
            axes[axis] = (Axis){piece.rows, 0};
            a->axes.at = axes;
        } else if (a->key == ATTR_HI && n->op == OP_SLICE) {
            int64_t *hi = arena_copy(to->arena, a->ints.at, a->ints.n * sizeof *hi);
            hi[axis] = piece.rows;
            a->ints.at = hi;
        }
    }
    return attrs;
}

// The number is a copy, so that kernels load it: those of all pieces are one.
static NodeId iota_piece(Graph *to, const Node *n, int64_t axis, const Attr *attrs, Piece piece)
{
    NodeId x = graph_add_copy(to, n->op, 0, 0, NULL, n->nattrs, attrs);
    if (node_int(n, ATTR_AXIS) != axis) return x;
    Attr value[2] = {attr_dtype(ATTR_DTYPE, n->type->dtype),
                     attr_float(ATTR_VALUE, (double)piece.lo)};
    NodeId from = graph_add_copy(to, OP_CONST, piece.copy, 0, NULL, 2, value);
    return graph_binary(to, OP_ADD, x, from);
}

NodeId cut_node(Graph *to, const Node *n, const NodeId *args, int64_t axis, Piece piece)
{
    const Attr *attrs = piece_attrs(to, n, axis, piece);
    if (n->op == OP_IOTA) return iota_piece(to, n, axis, attrs, piece);
    bool batch = n->op == OP_BATCH_GATHER || n->op == OP_BATCH_SPLIT;
    if (batch && node_int(n, ATTR_AXIS) == axis) return args[0];
    uint32_t copy = op_info(n->op)->class == CLASS_VIEW ? 0 : piece.copy, nattrs = n->nattrs;
    if (axis >= 0 || !dtype_is_narrow(n->type->dtype))
        return graph_add_copy(to, n->op, copy, n->nargs, args, nattrs, attrs);
    if (n->op == OP_DOT && !node_attr(n, ATTR_DTYPE)) {
        Attr *wide = arena_array(to->arena, Attr, nattrs + 1);
        memcpy(wide, attrs, nattrs * sizeof *wide);
        wide[nattrs++] = attr_dtype(ATTR_DTYPE, DT_F32);
        return graph_add_copy(to, n->op, copy, n->nargs, args, nattrs, wide);
    }
    NodeId *wide = arena_copy(to->arena, args, n->nargs * sizeof *wide);
    NodeId *last = &wide[n->nargs - 1]; // what is added up
    if (n->op != OP_DOT) *last = graph_cast(to, *last, DT_F32);
    return graph_add_copy(to, n->op, copy, n->nargs, wide, nattrs, attrs);
}
