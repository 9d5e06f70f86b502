// Reductions in the form that kernels take: composed ones become their parts, and every sum,
// maximum or minimum runs over one run of axes, either the last ones (row stage) or others (column
// stage). Long rows with few results are cut into the segments of their definition, so that they
// can be shared out. Reductions, scatters and cumulative sums of 16-bit floats become those of f32
// with one rounding at the end. The bits stay those of docs/ir.md. Needs FACT_GRADLESS. Keeps it.
// Afterwards no logsumexp and argmax are left.
#include "passes/pass.h"
#include "passes/rewrite.h"

enum {
    SEGMENT = 4096,   // of the row stage (docs/ir.md)
    LONG_ROW = 16384, // a row up to this stays whole
    MANY_RESULTS = 64 // with so many results there is work for all threads anyway
};

static NodeId keep_axes(Graph *g, NodeId x, OpCode op, const int64_t *axes, uint32_t n)
{
    return graph_reduce(g, op, x, axes, n, true, true);
}

static NodeId spread(Graph *g, NodeId x, const Type *to)
{
    return graph_broadcast_to(g, x, to->rank, to->axes);
}

// Reshape to exactly these axes. A reshape infers which axis is the batch, and at batch 1 it may
// take another.
static NodeId reshaped(Rewrite *r, NodeId x, uint32_t rank, const Axis *axes)
{
    Graph *g = r->to;
    Axis *sizes = arena_array(r->scratch, Axis, rank + 1);
    for (uint32_t i = 0; i < rank; i++) sizes[i].size = axes[i].size;
    x = graph_reshape(g, x, rank, sizes);
    for (uint32_t i = 0; i < rank; i++) {
        int64_t per = graph_type(g, x)->axes[i].per;
        if (!per == !axes[i].per) continue;
        Attr axis = attr_int(ATTR_AXIS, i);
        x = graph_add(g, per ? OP_BATCH_GATHER : OP_BATCH_SPLIT, 1, &x, 1, &axis);
    }
    return x;
}

static NodeId reduce(Rewrite *r, OpCode op, NodeId x, const int64_t *axes, uint32_t n);

static NodeId expand_logsumexp(Rewrite *r, NodeId x, const Node *n)
{
    Graph *g = r->to;
    const Type *type = graph_type(g, x);
    uint32_t count;
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    NodeId m = reduce(r, OP_REDUCE_MAX, x, axes, count);
    m = graph_select(g, graph_unary(g, OP_IS_FINITE, m), m, graph_const(g, type->dtype, 0));
    Axis *kept = arena_copy(r->scratch, type->axes, (type->rank + 1) * sizeof *kept);
    for (uint32_t i = 0; i < count; i++) kept[axes[i]] = (Axis){1, 0};
    NodeId wide = spread(g, reshaped(r, m, type->rank, kept), type);
    NodeId e = graph_unary(g, OP_EXP, graph_binary(g, OP_SUB, x, wide));
    NodeId s = reduce(r, OP_SUM, e, axes, count);
    return graph_binary(g, OP_ADD, m, graph_unary(g, OP_LOG, s));
}

static NodeId expand_argmax(Rewrite *r, NodeId x, const Node *n)
{
    Graph *g = r->to;
    const Type *type = graph_type(g, x);
    int64_t axis = node_int(n, ATTR_AXIS), size = type->axes[axis].size;
    NodeId m = reduce(r, OP_REDUCE_MAX, x, &axis, 1);
    Axis *kept = arena_copy(r->scratch, type->axes, (type->rank + 1) * sizeof *kept);
    kept[axis] = (Axis){1, 0};
    NodeId wide = spread(g, reshaped(r, m, type->rank, kept), type);
    NodeId at = graph_iota(g, DT_I32, type->rank, type->axes, axis);
    NodeId hit = graph_binary(g, OP_EQ, x, wide); // a NaN counts as the maximum
    if (dtype_is_float(type->dtype))
        hit = graph_binary(g, OP_OR, hit, graph_binary(g, OP_NE, x, x));
    NodeId which = graph_select(g, hit, at, graph_const(g, DT_I32, (double)size));
    NodeId first = reduce(r, OP_REDUCE_MIN, which, &axis, 1);
    return graph_binary(g, OP_MIN, first, graph_const(g, DT_I32, (double)(size - 1)));
}

// What leaves a reduction as it is; false for integers that a constant cannot hold.
static bool identity(OpCode op, DType dt, double *value)
{
    int64_t bits = dtype_size(dt) * 8;
    bool is_signed = dt == DT_I8 || dt == DT_I32, max = op == OP_REDUCE_MAX;
    *value = op == OP_SUM ? 0 : max ? -__builtin_inf() : __builtin_inf();
    if (op == OP_SUM || dtype_is_float(dt)) return true;
    if (bits > 32) return false;
    double span = (double)(INT64_C(1) << (bits - is_signed));
    *value = !max ? span - 1 : is_signed ? -span : 0;
    return true;
}

// The reduced axes hold the whole logical batch from here on.
static NodeId plain_axes(Rewrite *r, NodeId x, const int64_t *axes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (graph_type(r->to, x)->axes[axes[i]].per) {
            Attr axis = attr_int(ATTR_AXIS, axes[i]);
            x = graph_add(r->to, OP_BATCH_GATHER, 1, &x, 1, &axis);
        }
    return x;
}

// Rows of n elements, `outer` of them, in segments. No axis stays a batch axis, since rows and what
// lies before them are flattened: a batch of 1 may lie anywhere.
static NodeId reduce_segments(Rewrite *r, OpCode op, NodeId x, int64_t outer, int64_t n)
{
    Graph *g = r->to;
    uint32_t rank = graph_type(g, x)->rank;
    int64_t *every = arena_array(r->scratch, int64_t, rank + 1);
    for (uint32_t i = 0; i < rank; i++) every[i] = i;
    x = plain_axes(r, x, every, rank);
    int64_t segments = (n + SEGMENT - 1) / SEGMENT, axis = 2;
    Axis flat[2] = {{outer, 0}, {n, 0}}, cut[3] = {{outer, 0}, {segments, 0}, {SEGMENT, 0}};
    x = reshaped(r, x, 2, flat);
    int64_t lo[2] = {0, 0}, hi[2] = {0, segments * SEGMENT - n};
    double fill;
    if (!identity(op, graph_type(g, x)->dtype, &fill)) bug("no identity");
    if (hi[1]) x = graph_pad(g, x, graph_const(g, graph_type(g, x)->dtype, fill), lo, hi);
    x = graph_reduce(g, op, reshaped(r, x, 3, cut), &axis, 1, false, true);
    axis = 1;
    return reduce(r, op, x, &axis, 1);
}

// The axes split into the trailing run and the others; axes of size 1 belong to neither.
static void split_axes(const Type *type, const int64_t *axes, uint32_t n, int64_t *row,
                       uint32_t *nrow, int64_t *column, uint32_t *ncolumn)
{
    uint32_t next = n;
    bool trailing = true;
    *nrow = *ncolumn = 0;
    for (uint32_t i = type->rank; i-- > 0;) {
        bool reduced = next > 0 && axes[next - 1] == (int64_t)i;
        if (reduced) next--;
        if (type->axes[i].size == 1) continue;
        if (!reduced)
            trailing = false;
        else if (trailing)
            row[(*nrow)++] = i;
        else
            column[(*ncolumn)++] = i;
    }
    for (uint32_t i = 0; i < *nrow / 2; i++) {
        int64_t t = row[i];
        row[i] = row[*nrow - 1 - i];
        row[*nrow - 1 - i] = t;
    }
    for (uint32_t i = 0; i < *ncolumn / 2; i++) {
        int64_t t = column[i];
        column[i] = column[*ncolumn - 1 - i];
        column[*ncolumn - 1 - i] = t;
    }
}

static NodeId reduce_columns(Rewrite *r, OpCode op, NodeId x, const int64_t *axes, uint32_t n)
{
    Graph *g = r->to;
    const Type *type = graph_type(g, x);
    int64_t between = 1;
    for (int64_t i = axes[0]; i <= axes[n - 1]; i++) between *= type->axes[i].size;
    for (uint32_t i = 0; i < n; i++) between /= type->axes[axes[i]].size;
    if (between == 1) return keep_axes(g, x, op, axes, n);
    int64_t *perm = arena_array(r->scratch, int64_t, type->rank + 1),
            *first = arena_array(r->scratch, int64_t, n);
    uint32_t at = 0, next = 0;
    Axis *kept = arena_copy(r->scratch, type->axes, type->rank * sizeof *kept);
    for (uint32_t i = 0; i < n; i++) {
        perm[at++] = axes[i];
        first[i] = i;
        kept[axes[i]] = (Axis){1, 0};
    }
    for (uint32_t i = 0; i < type->rank; i++) {
        if (next < n && axes[next] == (int64_t)i)
            next++;
        else
            perm[at++] = i;
    }
    NodeId y = graph_reduce(g, op, graph_transpose(g, x, perm), first, n, false, true);
    return reshaped(r, y, type->rank, kept);
}

// Reduce with the axes removed.
static NodeId reduce(Rewrite *r, OpCode op, NodeId x, const int64_t *axes, uint32_t n)
{
    Graph *g = r->to;
    const Type *type = graph_type(g, x);
    int64_t *row = arena_array(r->scratch, int64_t, type->rank + 1),
            *column = arena_array(r->scratch, int64_t, type->rank + 1);
    uint32_t nrow, ncolumn;
    split_axes(type, axes, n, row, &nrow, column, &ncolumn);
    Axis *result = arena_array(r->scratch, Axis, type->rank + 1);
    uint32_t rank = 0, next = 0;
    for (uint32_t i = 0; i < type->rank; i++) {
        if (next < n && axes[next] == (int64_t)i)
            next++;
        else
            result[rank++] = type->axes[i];
    }
    if (nrow) {
        int64_t length = 1, outer = type_count(type);
        for (uint32_t i = 0; i < nrow; i++) length *= type->axes[row[i]].size;
        outer /= length;
        double fill;
        if (length > LONG_ROW && outer < MANY_RESULTS && identity(op, type->dtype, &fill)) {
            Axis *kept = arena_copy(r->scratch, type->axes, (type->rank + 1) * sizeof *kept);
            for (uint32_t i = 0; i < nrow; i++) kept[row[i]] = (Axis){1, 0};
            x = reshaped(r, reduce_segments(r, op, x, outer, length), type->rank, kept);
        } else {
            x = keep_axes(g, x, op, row, nrow);
        }
    }
    if (ncolumn) x = reduce_columns(r, op, x, column, ncolumn);
    x = plain_axes(r, x, axes, n); // a batch axis of size 1 was passed over
    return reshaped(r, x, rank, result);
}

// Sums and maxima of 16-bit and 8-bit floats are computed in f32 and rounded once.
static NodeId widened(Rewrite *r, NodeId x)
{
    return dtype_is_narrow(graph_type(r->to, x)->dtype) ? graph_cast(r->to, x, DT_F32) : x;
}

static NodeId expand_scatter(Rewrite *r, const Node *n)
{
    NodeId args[2] = {r->map[n->args[0]], widened(r, r->map[n->args[1]])};
    NodeId y = graph_add_copy(r->to, n->op, n->copy, 2, args, n->nattrs, n->attrs);
    return graph_cast(r->to, y, n->type->dtype);
}

static NodeId expand_cumsum(Rewrite *r, const Node *n)
{
    NodeId x = widened(r, r->map[n->args[0]]);
    NodeId y = graph_add_copy(r->to, n->op, n->copy, 1, &x, n->nattrs, n->attrs);
    return graph_cast(r->to, y, n->type->dtype);
}

static NodeId expand_reduction(Rewrite *r, const Node *n)
{
    NodeId x = widened(r, r->map[n->args[0]]);
    uint32_t count;
    if (n->op == OP_LOGSUMEXP) return expand_logsumexp(r, x, n);
    if (n->op == OP_ARGMAX) return expand_argmax(r, x, n);
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    return reduce(r, n->op, x, axes, count);
}

static NodeId expand(Rewrite *r, NodeId id)
{
    const Node *n = graph_node(r->from, id);
    if (n->op == OP_SCATTER_ADD) return expand_scatter(r, n);
    if (n->op == OP_CUMSUM) return expand_cumsum(r, n);
    if (op_info(n->op)->class != CLASS_REDUCE) return 0;
    NodeId x = graph_cast(r->to, expand_reduction(r, n), n->type->dtype);
    return reshaped(r, x, n->type->rank, n->type->axes);
}

bool pass_expand(Program *p, PassContext *ctx)
{
    for (uint32_t i = 0; i < p->entries.n; i++)
        if (!rewrite_entry(p->entries.at[i], ctx->scratch, expand, NULL)) return false;
    return true;
}
