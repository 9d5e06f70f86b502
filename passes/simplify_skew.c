// Rules of simplify about products of windows, that is convolutions. The gradient towards what the
// window was taken of is a product with one result for each place of the window, skewed back and
// summed. It is a convolution itself, with the window taken of the other factor: then nothing of
// the window's size is ever in memory. Where the window's stride is 2 it is a convolution for each
// remainder of the index by 2, of every other place of the filter.
#include "passes/simplify.h"

#include <stdlib.h>

enum { MOST_MOVES = 8, MOST_PHASES = 64 };

// What lies between a sum and the product that it adds up.
typedef struct Moves {
    int64_t *place;      // axis of the sum's operand -> axis of the product
    Skew at[MOST_MOVES]; // axis and along: of the sum's operand
    uint32_t n;
    NodeId dot;
} Moves;

// Axis of the sum's operand that shows this axis of the node.
static int64_t shown_at(const int64_t *place, int64_t axis)
{
    int64_t i = 0;
    while (place[i] != axis) i++;
    return i;
}

static bool take_skew(Simplify *s, const Node *n, Moves *m)
{
    if (!is_number(s, n->args[1], 0) || m->n + skew_count(n) > MOST_MOVES) return false;
    for (uint32_t k = 0; k < skew_count(n); k++) {
        Skew at = skew_at(n, k);
        at.axis = shown_at(m->place, at.axis);
        at.along = shown_at(m->place, at.along);
        for (uint32_t i = 0; i < m->n; i++)
            if (m->at[i].axis == at.axis || m->at[i].along == at.along) return false;
        m->at[m->n++] = at;
    }
    return true;
}

// From the sum's operand down through skews and transposes to a product, none with another use.
static bool find_moves(Simplify *s, const Node *sum, Moves *m)
{
    NodeId id = sum->args[0];
    uint32_t rank = graph_type(s->g, id)->rank, count;
    *m = (Moves){.place = ints(s, rank)};
    for (uint32_t i = 0; i < rank; i++) m->place[i] = i;
    for (;;) {
        const Node n = *graph_node(s->g, id);
        if (n.copy || !single_use(s, id)) return false;
        m->dot = id;
        if (n.op == OP_DOT) return m->n > 0;
        if (n.op == OP_TRANSPOSE) {
            const int64_t *perm = node_ints(&n, ATTR_PERM, &count);
            for (uint32_t i = 0; i < rank; i++) m->place[i] = perm[m->place[i]];
        } else if (n.op != OP_SKEW || !take_skew(s, &n, m)) {
            return false;
        }
        id = n.args[0];
    }
}

// The axis of an operand that an axis of the product is, and which operand (-1: both share it).
static int64_t operand_axis(const Simplify *s, const Node *dot, const DotAxes *d, int64_t axis,
                            int *side)
{
    *side = -1;
    if (axis < d->nb) return d->at[0][axis];
    axis -= d->nb;
    for (*side = 0; *side < 2; ++*side)
        for (uint32_t i = 0; i < operand(s, dot, (uint32_t)*side)->type->rank; i++) {
            if (listed(d->at[*side], d->nb, i) || listed(d->at[2 + *side], d->nc, i)) continue;
            if (axis-- == 0) return i;
        }
    *side = -1;
    return -1;
}

// Which operand has what moves, the other one having all that it moves by; -1: none. Both are given
// axes of the operands then.
static int moved_side(const Simplify *s, const Node *dot, const DotAxes *d, Moves *m)
{
    int of = -1;
    for (uint32_t k = 0; k < m->n; k++) {
        int side, other;
        m->at[k].axis = operand_axis(s, dot, d, m->place[m->at[k].axis], &side);
        m->at[k].along = operand_axis(s, dot, d, m->place[m->at[k].along], &other);
        if (side < 0 || other != 1 - side || (k && of != side)) return -1;
        of = side;
    }
    return of;
}

static int by_axis(const void *a, const void *b)
{
    const Skew *x = a, *y = b;
    return (x->axis > y->axis) - (x->axis < y->axis);
}

// The operand with the axes that it moves by, new ones before its first contracted axis `from`, and
// moved.
static NodeId skewed(Simplify *s, NodeId x, const Node *other, const Moves *m, int64_t from)
{
    const Type *t = graph_type(s->g, x);
    uint32_t rank = t->rank + m->n;
    Axis *axes = arena_array(s->scratch, Axis, rank + 1);
    int64_t *map = ints(s, t->rank);
    Skew *at = arena_array(s->scratch, Skew, m->n + 1);
    for (uint32_t i = 0; i < t->rank; i++) {
        map[i] = i < from ? i : i + m->n;
        axes[map[i]] = t->axes[i];
    }
    for (uint32_t k = 0; k < m->n; k++) {
        axes[from + k] = other->type->axes[m->at[k].along];
        at[k] = m->at[k];
        at[k].axis = map[at[k].axis];
        at[k].along = from + k;
    }
    qsort(at, m->n, sizeof *at, by_axis);
    NodeId wide = graph_broadcast(s->g, x, rank, axes, map);
    Attr zero[2] = {attr_dtype(ATTR_DTYPE, t->dtype), attr_float(ATTR_VALUE, 0)};
    return graph_skew(s->g, wide, graph_add(s->g, OP_CONST, 0, NULL, 2, zero), m->n, at);
}

// The product over what was contracted and what moves, the latter first.
static NodeId windowed(Simplify *s, const Node *dot, const DotAxes *d, const Moves *m, int side)
{
    uint32_t nc = d->nc + m->n;
    int64_t from = operand(s, dot, (uint32_t)side)->type->rank;
    for (uint32_t i = 0; i < d->nc; i++)
        if (d->at[2 + side][i] < from) from = d->at[2 + side][i];
    NodeId args[2] = {dot->args[0], dot->args[1]};
    const Node other = *operand(s, dot, (uint32_t)(1 - side));
    args[side] = skewed(s, args[side], &other, m, from);
    int64_t *mine = ints(s, nc), *theirs = ints(s, nc), *shared = ints(s, d->nb);
    for (uint32_t k = 0; k < m->n; k++) {
        mine[k] = from + k;
        theirs[k] = m->at[k].along;
    }
    for (uint32_t i = 0; i < d->nc; i++) {
        mine[m->n + i] = d->at[2 + side][i] + (d->at[2 + side][i] >= from ? m->n : 0);
        theirs[m->n + i] = d->at[3 - side][i];
    }
    for (uint32_t i = 0; i < d->nb; i++)
        shared[i] = d->at[side][i] + (d->at[side][i] >= from ? m->n : 0);
    DotAxes to = {.nb = d->nb, .nc = nc};
    to.at[side] = shared;
    to.at[1 - side] = d->at[1 - side];
    to.at[2 + side] = mine;
    to.at[3 - side] = theirs;
    return dot_like(s, dot, args[0], args[1], &to);
}

// A sum of a skewed product as the rules below see it.
typedef struct SkewSum {
    Moves seen; // axes of the sum's operand
    Moves m;    // axes of the product's operands
    Node dot;
    DotAxes d;
    int side; // of the dot: the operand that moves
    const int64_t *summed;
    uint32_t rank; // of the sum's operand
} SkewSum;

static bool find_sum(Simplify *s, const Node *n, SkewSum *q)
{
    DType dt = n->type->dtype;
    if ((dt != DT_F32 && dt != DT_F64) || !is_op(s, n, 0, OP_SKEW) || !find_moves(s, n, &q->seen))
        return false;
    uint32_t count;
    q->rank = operand(s, n, 0)->type->rank;
    q->summed = node_ints(n, ATTR_AXES, &count);
    if (count != q->seen.n) return false;
    for (uint32_t k = 0; k < count; k++)
        if (!listed(q->summed, count, q->seen.at[k].along)) return false;
    q->m = q->seen;
    q->dot = *graph_node(s->g, q->seen.dot);
    q->d = dot_axes(&q->dot);
    q->side = moved_side(s, &q->dot, &q->d, &q->m);
    return q->side >= 0 && q->dot.type->dtype == dt;
}

// The sum as one product, its axes in the sum's order.
static NodeId summed_product(Simplify *s, const SkewSum *q)
{
    NodeId product = windowed(s, &q->dot, &q->d, &q->m, q->side);
    const int64_t *place = q->m.place;
    int64_t *perm = ints(s, q->rank);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < q->rank; i++) {
        if (listed(q->summed, q->m.n, i)) continue;
        int64_t before = 0;
        for (uint32_t k = 0; k < q->m.n; k++) before += place[q->summed[k]] < place[i];
        perm[kept++] = place[i] - before;
    }
    return graph_transpose(s->g, product, perm);
}

NodeId sum_skew(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    SkewSum q;
    if (!find_sum(s, n, &q)) return 0;
    for (uint32_t k = 0; k < q.m.n; k++) // of places that are skipped most products were by zeros
        if (q.m.at[k].up != 1) return 0;
    return summed_product(s, &q);
}

// ---- phases
// -------------------------------------------------------------------------------------------

static int64_t floor_mod(int64_t a, int64_t b)
{
    return (a % b + b) % b;
}

// Along axis k of the result, i = up q + r, the first place j whose product is an element at these
// i; the others follow `up` apart.
static int64_t first_place(const Skew *at, int64_t r)
{
    int64_t j = 0;
    while (floor_mod(r + j * at->step + at->lo, at->up) != 0) j++;
    return j;
}

// A place for each remainder, and no two in `up` that follow each other?
static bool has_phases(const Skew *at)
{
    int64_t a = floor_mod(at->step, at->up), b = at->up;
    while (a) {
        int64_t t = b % a;
        b = a;
        a = t;
    }
    return at->stride == 1 && (at->up == 1 || b == 1);
}

// The elements whose indices have these remainders: a product of every up-th place; 0 where there
// is no place.
static NodeId phase(Simplify *s, SkewSum q, const int64_t *r)
{
    uint32_t other = (uint32_t)(1 - q.side);
    const Type *t = operand(s, &q.dot, other)->type;
    int64_t *lo = ints(s, t->rank), *hi = ints(s, t->rank), *stride = ints(s, t->rank);
    for (uint32_t i = 0; i < t->rank; i++) {
        lo[i] = 0;
        hi[i] = t->axes[i].size;
        stride[i] = 1;
    }
    for (uint32_t k = 0; k < q.m.n; k++) {
        Skew *at = &q.m.at[k];
        int64_t j = first_place(at, r[k]);
        if (j >= hi[at->along]) return 0;
        lo[at->along] = j;
        stride[at->along] = at->up;
        at->lo = (r[k] + j * at->step + at->lo) / at->up;
        at->size = (at->size + at->up - 1) / at->up;
        at->up = 1;
    }
    NodeId args[2] = {q.dot.args[0], q.dot.args[1]};
    args[other] = graph_slice(s->g, args[other], lo, hi, stride);
    q.dot.args = args;
    return summed_product(s, &q);
}

// Where an axis of the sum's operand is in the sum.
static int64_t kept_at(const SkewSum *q, int64_t axis)
{
    int64_t at = axis;
    for (uint32_t k = 0; k < q->m.n; k++) at -= q->summed[k] < axis;
    return at;
}

// All phases, (.., q.., remainders together, ..) with the remainders behind the last axis that
// moves, as the tensor: each remainder behind its q, and one axis of the two.
static NodeId interleaved(Simplify *s, const SkewSum *q, const Type *to, NodeId x, int64_t after)
{
    uint32_t rank = to->rank, n = 0, moves = q->m.n;
    Axis *axes = arena_array(s->scratch, Axis, rank + moves + 1);
    int64_t *perm = ints(s, rank + moves), *lo = ints(s, rank), *one = ints(s, rank),
            *hi = ints(s, rank), *by = ints(s, rank);
    const Type *of = graph_type(s->g, x);
    for (uint32_t i = 0; i < rank; i++) {
        lo[i] = 0;
        one[i] = 1;
        by[i] = -1;
        hi[i] = to->axes[i].size;
    }
    for (uint32_t k = 0; k < moves; k++) by[kept_at(q, q->seen.at[k].axis)] = k;
    for (uint32_t i = 0; i < rank; i++) {
        axes[i + (i > after ? moves : 0)] = of->axes[i + (i > after)];
        perm[n++] = i + (i > after ? moves : 0);
        if (by[i] >= 0) perm[n++] = after + 1 + by[i];
    }
    for (uint32_t k = 0; k < moves; k++) axes[after + 1 + k] = (Axis){q->seen.at[k].up, 0};
    x = graph_transpose(s->g, graph_reshape(s->g, x, rank + moves, axes), perm);
    for (uint32_t i = 0; i < rank; i++) {
        axes[i] = to->axes[i];
        if (by[i] >= 0) axes[i].size = of->axes[i + (i > after)].size * q->seen.at[by[i]].up;
    }
    return graph_slice(s->g, graph_reshape(s->g, x, rank, axes), lo, hi, one);
}

NodeId sum_skew_phases(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    SkewSum q;
    if (!find_sum(s, n, &q)) return 0;
    const Type *to = n->type;
    int64_t count = 1, after = 0, r[MOST_MOVES] = {0};
    Axis *axes = arena_array(s->scratch, Axis, to->rank + 1);
    memcpy(axes, to->axes, to->rank * sizeof *axes);
    for (uint32_t k = 0; k < q.m.n; k++) {
        const Skew *at = &q.seen.at[k];
        int64_t axis = kept_at(&q, at->axis);
        if (at->up > MOST_PHASES / count || !has_phases(at)) return 0;
        count *= at->up;
        axes[axis].size = (at->size + at->up - 1) / at->up;
        if (axis > after) after = axis;
    }
    if (count == 1) return 0;
    memmove(&axes[after + 2], &axes[after + 1], (to->rank - (uint32_t)after - 1) * sizeof *axes);
    axes[after + 1] = (Axis){1, 0};
    NodeId *parts = arena_array(s->scratch, NodeId, count);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i;
        for (uint32_t k = q.m.n; k-- > 0; rest /= q.seen.at[k].up) r[k] = rest % q.seen.at[k].up;
        NodeId x = phase(s, q, r);
        parts[i] = x ? graph_reshape(s->g, x, to->rank + 1, axes)
                     : graph_broadcast(s->g, number(s, n, 0), to->rank + 1, axes, NULL);
    }
    return interleaved(s, &q, to, graph_concat(s->g, (uint32_t)count, parts, after + 1), after);
}

bool shows_skew(const Simplify *s, NodeId id)
{
    const Node *n = graph_node(s->g, id);
    while (n->op == OP_TRANSPOSE || n->op == OP_RESHAPE) n = graph_node(s->g, n->args[0]);
    return n->op == OP_SKEW;
}

// So that a target which packs the right operand does not write the window down.
NodeId dot_skew(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (n->copy || !shows_skew(s, n->args[1]) || shows_skew(s, n->args[0])) return 0;
    DotAxes d = dot_axes(n);
    uint32_t left = operand(s, n, 0)->type->rank - d.nb - d.nc, rank = n->type->rank;
    uint32_t right = rank - d.nb - left;
    DotAxes swapped = {{d.at[1], d.at[0], d.at[3], d.at[2]}, d.nb, d.nc};
    NodeId product = dot_like(s, n, n->args[1], n->args[0], &swapped);
    int64_t *perm = ints(s, rank);
    for (uint32_t i = 0; i < rank; i++)
        perm[i] = i < d.nb ? i : i < d.nb + left ? i + right : i - left;
    return graph_transpose(s->g, product, perm);
}
