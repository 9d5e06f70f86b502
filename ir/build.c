// Builder shorthands: they give operands their common shape as NumPy does and fill in attributes;
// graph_add checks and simplifies.
#include "ir/graph.h"

#include <stdlib.h>

// ---- leaves -------------------------------------------------------------------------------------

NodeId graph_const(Graph *g, DType dt, double value)
{
    return graph_add(g, OP_CONST, 0, NULL, 2,
                     (Attr[]){attr_dtype(ATTR_DTYPE, dt), attr_float(ATTR_VALUE, value)});
}

static NodeId named(Graph *g, OpCode op, const char *name, const Type *type)
{
    return graph_add(g, op, 0, NULL, 3,
                     (Attr[]){attr_str(ATTR_NAME, name), attr_dtype(ATTR_DTYPE, type->dtype),
                              attr_axes(ATTR_SHAPE, type->axes, type->rank)});
}

NodeId graph_input(Graph *g, const char *name, const Type *type)
{
    return named(g, OP_INPUT, name, type);
}

NodeId graph_state(Graph *g, const char *name, const Type *type)
{
    return named(g, OP_STATE, name, type);
}

NodeId graph_iota(Graph *g, DType dt, uint32_t rank, const Axis *axes, int64_t axis)
{
    return graph_add(g, OP_IOTA, 0, NULL, 3,
                     (Attr[]){attr_dtype(ATTR_DTYPE, dt), attr_axes(ATTR_SHAPE, axes, rank),
                              attr_int(ATTR_AXIS, axis)});
}

// ---- elementwise --------------------------------------------------------------------------------

NodeId graph_unary(Graph *g, OpCode op, NodeId x)
{
    return graph_add(g, op, 1, &x, 0, NULL);
}

NodeId graph_cast(Graph *g, NodeId x, DType dt)
{
    return graph_add(g, OP_CAST, 1, &x, 1, (Attr[]){attr_dtype(ATTR_DTYPE, dt)});
}

static bool plain_one(Axis a)
{
    return a.size == 1 && !a.per;
}

// Report operands that cannot be given one shape; a and b are their axes, counted in the result.
static bool report_shapes(Graph *g, OpCode op, const Type *x, const Type *y, uint32_t axis, Axis a,
                          Axis b)
{
    const char *name = op_info(op)->name;
    const char *tx = type_text(g->arena, x), *ty = type_text(g->arena, y);
    if (a.size != b.size) {
        diag_error(g->diag, g->here, "%s: shapes %s and %s differ on axis %u (%lld and %lld)", name,
                   tx, ty, axis, (long long)a.size, (long long)b.size);
        return false;
    }
    diag_error(g->diag, g->here, "%s: %s and %s: mixes a batch axis with a plain one on axis %u",
               name, tx, ty, axis);
    diag_help(g->diag, "only batch_sum, batch_mean and batch_gather may cross samples");
    return false;
}

// Axis i of the common shape of rank `rank` as the operand has it: 1 where it has none.
static Axis aligned(const Type *t, uint32_t rank, uint32_t i)
{
    return i + t->rank < rank ? (Axis){1, 0} : t->axes[i + t->rank - rank];
}

// The shape all operands broadcast to; false after reporting.
static bool common_shape(Graph *g, OpCode op, uint32_t n, const NodeId *xs, uint32_t *rank,
                         Axis **axes)
{
    *rank = 0;
    for (uint32_t k = 0; k < n; k++) {
        const Type *t = graph_type(g, xs[k]);
        if (t->rank > *rank) *rank = t->rank;
    }
    *axes = arena_array(g->arena, Axis, *rank + 1);
    for (uint32_t i = 0; i < *rank; i++) {
        uint32_t from = 0;
        Axis all = aligned(graph_type(g, xs[0]), *rank, i);
        for (uint32_t k = 1; k < n; k++) {
            Axis a = aligned(graph_type(g, xs[k]), *rank, i);
            if (plain_one(a) || (a.size == all.size && a.per == all.per)) continue;
            if (!plain_one(all))
                return report_shapes(g, op, graph_type(g, xs[from]), graph_type(g, xs[k]), i, all,
                                     a);
            all = a;
            from = k;
        }
        (*axes)[i] = all;
    }
    return true;
}

// An elementwise op of operands broadcast against each other.
static NodeId spread(Graph *g, OpCode op, uint32_t n, NodeId *xs)
{
    uint32_t rank;
    Axis *axes;
    for (uint32_t i = 0; i < n; i++)
        if (!xs[i]) return 0;
    if (!common_shape(g, op, n, xs, &rank, &axes)) return 0;
    for (uint32_t i = 0; i < n; i++) xs[i] = graph_broadcast_to(g, xs[i], rank, axes);
    return graph_add(g, op, n, xs, 0, NULL);
}

NodeId graph_binary(Graph *g, OpCode op, NodeId x, NodeId y)
{
    return spread(g, op, 2, (NodeId[]){x, y});
}

NodeId graph_select(Graph *g, NodeId c, NodeId x, NodeId y)
{
    return spread(g, OP_SELECT, 3, (NodeId[]){c, x, y});
}

// ---- views --------------------------------------------------------------------------------------

NodeId graph_reshape(Graph *g, NodeId x, uint32_t rank, const Axis *axes)
{
    return graph_add(g, OP_RESHAPE, 1, &x, 1, (Attr[]){attr_axes(ATTR_SHAPE, axes, rank)});
}

NodeId graph_transpose(Graph *g, NodeId x, const int64_t *perm)
{
    if (!x) return 0;
    return graph_add(g, OP_TRANSPOSE, 1, &x, 1,
                     (Attr[]){attr_ints(ATTR_PERM, perm, graph_type(g, x)->rank)});
}

NodeId graph_broadcast(Graph *g, NodeId x, uint32_t rank, const Axis *axes, const int64_t *map)
{
    if (!x) return 0;
    return graph_add(g, OP_BROADCAST, 1, &x, 2,
                     (Attr[]){attr_axes(ATTR_SHAPE, axes, rank),
                              attr_ints(ATTR_AXES, map, graph_type(g, x)->rank)});
}

NodeId graph_broadcast_to(Graph *g, NodeId x, uint32_t rank, const Axis *axes)
{
    if (!x) return 0;
    const Type *t = graph_type(g, x);
    if (t->rank > rank) {
        Type to = {.dtype = t->dtype, .rank = rank, .axes = axes};
        diag_error(g->diag, g->here, "broadcast: %s has more axes than %s", type_text(g->arena, t),
                   type_text(g->arena, &to));
        return 0;
    }
    int64_t *map = arena_array(g->arena, int64_t, t->rank + 1);
    for (uint32_t i = 0; i < t->rank; i++) map[i] = i + rank - t->rank;
    return graph_broadcast(g, x, rank, axes, map);
}

NodeId graph_slice(Graph *g, NodeId x, const int64_t *lo, const int64_t *hi, const int64_t *stride)
{
    if (!x) return 0;
    uint32_t rank = graph_type(g, x)->rank;
    Attr attrs[] = {attr_ints(ATTR_LO, lo, rank), attr_ints(ATTR_HI, hi, rank),
                    attr_ints(ATTR_STRIDE, stride, rank)};
    return graph_add(g, OP_SLICE, 1, &x, stride ? 3 : 2, attrs);
}

NodeId graph_pad(Graph *g, NodeId x, NodeId fill, const int64_t *lo, const int64_t *hi)
{
    if (!x) return 0;
    uint32_t rank = graph_type(g, x)->rank;
    return graph_add(g, OP_PAD, 2, (NodeId[]){x, fill}, 2,
                     (Attr[]){attr_ints(ATTR_LO, lo, rank), attr_ints(ATTR_HI, hi, rank)});
}

NodeId graph_skew(Graph *g, NodeId x, NodeId fill, uint32_t n, const Skew *at)
{
    if (!x) return 0;
    const Type *t = graph_type(g, x);
    int64_t *lists[6];
    for (uint32_t i = 0; i < 6; i++) lists[i] = arena_array(g->arena, int64_t, n + 1);
    Axis *axes = arena_array(g->arena, Axis, t->rank + 1);
    memcpy(axes, t->axes, t->rank * sizeof *axes);
    for (uint32_t k = 0; k < n; k++) {
        const int64_t of[] = {at[k].axis,   at[k].along, at[k].lo,
                              at[k].stride, at[k].step,  at[k].up};
        for (uint32_t i = 0; i < 6; i++) lists[i][k] = of[i];
        axes[at[k].axis] = (Axis){at[k].size, 0};
    }
    static const AttrKey keys[] = {ATTR_AXES, ATTR_ALONG, ATTR_LO, ATTR_STRIDE, ATTR_STEP, ATTR_UP};
    Attr attrs[7] = {attr_axes(ATTR_SHAPE, axes, t->rank)};
    for (uint32_t i = 0; i < 6; i++) attrs[i + 1] = attr_ints(keys[i], lists[i], n);
    return graph_add(g, OP_SKEW, 2, (NodeId[]){x, fill}, 7, attrs);
}

uint32_t skew_count(const Node *n)
{
    uint32_t count;
    node_ints(n, ATTR_AXES, &count);
    return count;
}

Skew skew_at(const Node *n, uint32_t k)
{
    uint32_t count;
    int64_t axis = node_ints(n, ATTR_AXES, &count)[k];
    return (Skew){.axis = axis,
                  .along = node_ints(n, ATTR_ALONG, &count)[k],
                  .lo = node_ints(n, ATTR_LO, &count)[k],
                  .stride = node_ints(n, ATTR_STRIDE, &count)[k],
                  .step = node_ints(n, ATTR_STEP, &count)[k],
                  .up = node_ints(n, ATTR_UP, &count)[k],
                  .size = n->type->axes[axis].size};
}

NodeId graph_concat(Graph *g, uint32_t n, const NodeId *xs, int64_t axis)
{
    return graph_add(g, OP_CONCAT, n, xs, 1, (Attr[]){attr_int(ATTR_AXIS, axis)});
}

// ---- reductions, contractions, projections
// -------------------------------------------------------

// The result of a reduction with the reduced axes back as axes of size 1.
static NodeId keep_axes(Graph *g, NodeId r, const Type *x, const int64_t *axes, uint32_t n)
{
    Axis *kept = arena_array(g->arena, Axis, x->rank + 1);
    for (uint32_t i = 0, k = 0; i < x->rank; i++) {
        bool reduced = k < n && axes[k] == i;
        kept[i] = reduced ? (Axis){1, 0} : x->axes[i];
        k += reduced;
    }
    return graph_reshape(g, r, x->rank, kept);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

NodeId graph_reduce(Graph *g, OpCode op, NodeId x, const int64_t *axes, uint32_t n, bool keep,
                    bool cross)
{
    if (!x) return 0;
    int64_t *rising = arena_array(g->arena, int64_t, n + 1);
    if (n) memcpy(rising, axes, n * sizeof *rising);
    qsort(rising, n, sizeof *rising, by_value);
    Attr attrs[2] = {attr_ints(ATTR_AXES, rising, n), attr_int(ATTR_CROSS, cross)};
    if (op == OP_ARGMAX && n != 1) {
        diag_error(g->diag, g->here, "argmax: takes one axis, not %u", n);
        return 0;
    }
    if (op == OP_ARGMAX) attrs[0] = attr_int(ATTR_AXIS, rising[0]);
    NodeId r = graph_add(g, op, 1, &x, cross ? 2 : 1, attrs);
    return r && keep ? keep_axes(g, r, graph_type(g, x), rising, n) : r;
}

NodeId graph_dot(Graph *g, NodeId x, NodeId y, uint32_t nb, const int64_t *lb, const int64_t *rb,
                 uint32_t nc, const int64_t *lc, const int64_t *rc)
{
    return graph_add(g, OP_DOT, 2, (NodeId[]){x, y}, 4,
                     (Attr[]){attr_ints(ATTR_LBATCH, lb, nb), attr_ints(ATTR_RBATCH, rb, nb),
                              attr_ints(ATTR_LCONTRACT, lc, nc),
                              attr_ints(ATTR_RCONTRACT, rc, nc)});
}

NodeId graph_proj(Graph *g, NodeId x, int64_t index)
{
    return graph_add(g, OP_PROJ, 1, &x, 1, (Attr[]){attr_int(ATTR_INDEX, index)});
}
