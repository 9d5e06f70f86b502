// Gradient rules of views and reductions: the adjoint of an arrangement is the arrangement turned
// round, of a repetition a sum, of a sum a repetition.
#include "passes/grad.h"

static const Type *operand_type(const GradSite *s, uint32_t i)
{
    return graph_type(s->g, grad_arg(s, i));
}

static int64_t *ints(const GradSite *s, uint32_t n)
{
    return arena_array(s->g->arena, int64_t, n);
}

// y = reshape(x): g in x's shape
void grad_reshape(const GradSite *s)
{
    const Type *x = operand_type(s, 0);
    grad_add(s, 0, graph_reshape(s->g, s->dy, x->rank, x->axes));
}

// y = transpose(x, p): transpose(g, inverse of p)
void grad_transpose(const GradSite *s)
{
    uint32_t rank;
    const int64_t *perm = node_ints(s->n, ATTR_PERM, &rank);
    int64_t *back = ints(s, rank);
    for (uint32_t i = 0; i < rank; i++) back[perm[i]] = i;
    grad_add(s, 0, graph_transpose(s->g, s->dy, back));
}

// y = x repeated: the sum of g over what repeats. Axes of x that are 1 and repeat are summed too,
// and put back by a reshape.
void grad_broadcast(const GradSite *s)
{
    const Type *x = operand_type(s, 0), *y = s->n->type;
    uint32_t n;
    const int64_t *map = node_ints(s->n, ATTR_AXES, &n);
    int64_t *summed = ints(s, y->rank);
    uint32_t nsum = 0;
    bool cross = false;
    for (uint32_t i = 0, k = 0; i < y->rank; i++) {
        bool mapped = k < n && map[k] == i;
        if (mapped && x->axes[k].size == y->axes[i].size &&
            x->axes[k].per == y->axes[i].per) { // (1 to 1b: batch 1)
            k++;
            continue;
        }
        k += mapped;
        summed[nsum++] = i;
        cross = cross || y->axes[i].per;
    }
    NodeId v = nsum ? graph_reduce(s->g, OP_SUM, s->dy, summed, nsum, false, cross) : s->dy;
    grad_add(s, 0, graph_reshape(s->g, v, x->rank, x->axes));
}

// g along one axis spread to every stride-th element, zeros between: split off an axis of 1, pad it
// to the stride, merge. The last stride - 1 zeros beyond `room` elements are cut off.
static NodeId spread(const GradSite *s, NodeId v, uint32_t axis, int64_t stride, int64_t room)
{
    Graph *g = s->g;
    const Type *t = graph_type(g, v);
    uint32_t rank = t->rank;
    Axis *split = arena_array(g->arena, Axis, rank + 1), *whole = arena_array(g->arena, Axis, rank);
    int64_t *lo = ints(s, rank + 1), *hi = ints(s, rank + 1), *step = ints(s, rank);
    for (uint32_t i = 0; i < rank; i++) {
        split[i + (i > axis)] = whole[i] = t->axes[i];
        step[i] = 1;
    }
    split[axis + 1] = (Axis){1, 0};
    hi[axis + 1] = stride - 1;
    whole[axis] = (Axis){t->axes[axis].size * stride, 0};
    v = graph_pad(g, graph_reshape(g, v, rank + 1, split), grad_num(s, 0), lo, hi);
    v = graph_reshape(g, v, rank, whole);
    if (whole[axis].size <= room) return v;
    for (uint32_t i = 0; i < rank; i++) hi[i] = i == axis ? room : whole[i].size;
    return graph_slice(g, v, ints(s, rank), hi, step);
}

// y = x[lo:hi:stride]: g where it came from, zeros elsewhere
void grad_slice(const GradSite *s)
{
    const Type *x = operand_type(s, 0);
    uint32_t rank;
    const int64_t *lo = node_ints(s->n, ATTR_LO, &rank);
    const int64_t *stride = node_ints(s->n, ATTR_STRIDE, &rank);
    NodeId v = s->dy;
    for (uint32_t i = 0; i < x->rank; i++)
        if (stride && stride[i] > 1) v = spread(s, v, i, stride[i], x->axes[i].size - lo[i]);
    int64_t *after = ints(s, x->rank);
    for (uint32_t i = 0; i < x->rank; i++)
        after[i] = x->axes[i].size - lo[i] - graph_type(s->g, v)->axes[i].size;
    grad_add(s, 0, graph_pad(s->g, v, grad_num(s, 0), lo, after));
}

static NodeId window(const GradSite *s, NodeId v, const int64_t *lo, const Type *shape)
{
    int64_t *hi = ints(s, shape->rank), *step = ints(s, shape->rank);
    for (uint32_t i = 0; i < shape->rank; i++) {
        hi[i] = lo[i] + shape->axes[i].size;
        step[i] = 1;
    }
    return graph_slice(s->g, v, lo, hi, step);
}

static NodeId sum_all(const GradSite *s, NodeId v)
{
    const Type *t = graph_type(s->g, v);
    int64_t *axes = ints(s, t->rank);
    bool cross = false;
    for (uint32_t i = 0; i < t->rank; i++) {
        axes[i] = i;
        cross = cross || t->axes[i].per;
    }
    return graph_reduce(s->g, OP_SUM, v, axes, t->rank, false, cross);
}

// y = pad(x, f): the window of g that x fills; what is left, summed, to f
void grad_pad(const GradSite *s)
{
    uint32_t rank;
    NodeId inner = window(s, s->dy, node_ints(s->n, ATTR_LO, &rank), operand_type(s, 0));
    grad_add(s, 0, inner);
    if (grad_wants(s, 1))
        grad_add(s, 1, graph_binary(s->g, OP_SUB, sum_all(s, s->dy), sum_all(s, inner)));
}

// y = skew(x, f): each element of g to the one of x that it shows, at the same index along what
// moves (another skew: i stride + j step + lo = up o solved for i); what is left of g, summed, to f
void grad_skew(const GradSite *s)
{
    uint32_t n = skew_count(s->n);
    const Type *x = operand_type(s, 0);
    Skew *back = arena_array(s->g->arena, Skew, n + 1);
    for (uint32_t k = 0; k < n; k++) {
        Skew to = skew_at(s->n, k);
        back[k] = (Skew){.axis = to.axis,
                         .along = to.along,
                         .lo = -to.lo,
                         .stride = to.up,
                         .step = -to.step,
                         .up = to.stride,
                         .size = x->axes[to.axis].size};
    }
    NodeId shown = graph_skew(s->g, s->dy, grad_num(s, 0), n, back);
    grad_add(s, 0, shown);
    if (grad_wants(s, 1))
        grad_add(s, 1, graph_binary(s->g, OP_SUB, sum_all(s, s->dy), sum_all(s, shown)));
}

// y = concat(x..): each its window of g
void grad_concat(const GradSite *s)
{
    int64_t axis = node_int(s->n, ATTR_AXIS);
    int64_t *lo = ints(s, s->n->type->rank);
    for (uint32_t i = 0; i < s->n->nargs; i++) {
        const Type *t = operand_type(s, i);
        if (grad_wants(s, i)) grad_add(s, i, window(s, s->dy, lo, t));
        lo = arena_copy(s->g->arena, lo, t->rank * sizeof *lo); // attributes may keep the array
        lo[axis] += t->axes[axis].size;
    }
}

static void grad_by_op(const GradSite *s, OpCode op)
{
    grad_add(s, 0, graph_add(s->g, op, 1, &s->dy, s->n->nattrs, s->n->attrs));
}

// y = reverse(x): reverse(g)
void grad_reverse(const GradSite *s)
{
    grad_by_op(s, OP_REVERSE);
}
// The two are each other's adjoint.
void grad_batch_gather(const GradSite *s)
{
    grad_by_op(s, OP_BATCH_SPLIT);
}
void grad_batch_split(const GradSite *s)
{
    grad_by_op(s, OP_BATCH_GATHER);
}

NodeId grad_expand(const GradSite *s, NodeId v)
{
    const Type *x = operand_type(s, 0);
    uint32_t n;
    const int64_t *axes = node_ints(s->n, ATTR_AXES, &n);
    int64_t *map = ints(s, x->rank);
    uint32_t kept = 0;
    for (uint32_t i = 0, k = 0; i < x->rank; i++) {
        if (k < n && axes[k] == i)
            k++;
        else
            map[kept++] = i;
    }
    return graph_broadcast(s->g, v, x->rank, x->axes, map);
}

// y = sum(x): g repeated
void grad_sum(const GradSite *s)
{
    grad_add(s, 0, grad_expand(s, s->dy));
}

// y = max(x) or min(x): g / c to each of the c elements equal to y
void grad_reduce_extreme(const GradSite *s)
{
    Graph *g = s->g;
    NodeId x = grad_arg(s, 0);
    NodeId hit = graph_binary(g, OP_EQ, x, grad_expand(s, s->y));
    NodeId ones = graph_cast(g, hit, s->n->type->dtype);
    NodeId count = graph_add(g, OP_SUM, 1, &ones, s->n->nattrs, s->n->attrs);
    NodeId share = grad_expand(s, graph_binary(g, OP_DIV, s->dy, count));
    grad_add(s, 0, graph_select(g, hit, share, grad_num(s, 0)));
}

// y = logsumexp(x): g exp(x - y). A row of -inf alone has y = -inf; 0 in its place gives gradient
// 0.
void grad_logsumexp(const GradSite *s)
{
    Graph *g = s->g;
    NodeId finite = graph_unary(g, OP_IS_FINITE, s->y);
    NodeId y = graph_select(g, finite, s->y, grad_num(s, 0));
    NodeId e = graph_unary(g, OP_EXP, graph_binary(g, OP_SUB, grad_arg(s, 0), grad_expand(s, y)));
    grad_add(s, 0, graph_binary(g, OP_MUL, grad_expand(s, s->dy), e));
}
