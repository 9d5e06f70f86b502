// Rules of simplify that move work across views: less of it below a broadcast, none for a
// transpose.
#include "passes/simplify.h"

// Result axes of n's operands that are not repetitions, for operands that are all broadcasts; NULL
// when one is not, or when nothing repeats in all of them.
static bool *touched_axes(const Simplify *s, const Node *n)
{
    uint32_t rank = n->type->rank, count;
    bool *touched = arena_array(s->scratch, bool, rank + 1);
    for (uint32_t i = 0; i < n->nargs; i++) {
        const Node *b = operand(s, n, i);
        if (b->op != OP_BROADCAST || b->copy) return NULL;
        const int64_t *map = node_ints(b, ATTR_AXES, &count);
        for (uint32_t k = 0; k < count; k++) touched[map[k]] = true;
    }
    for (uint32_t i = 0; i < rank; i++)
        if (!touched[i] && n->type->axes[i].size > 1) return touched;
    return NULL;
}

NodeId hoist(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    const bool *touched = n->nargs ? touched_axes(s, n) : NULL;
    if (!touched) return 0;
    uint32_t rank = n->type->rank, small = 0, count;
    int64_t *map = ints(s, rank), *place = ints(s, rank);
    Axis *axes = arena_array(s->scratch, Axis, rank + 1);
    for (uint32_t i = 0; i < rank; i++) {
        if (!touched[i]) continue;
        axes[small] = n->type->axes[i];
        place[i] = small;
        map[small++] = i;
    }
    NodeId *args = arena_array(s->scratch, NodeId, n->nargs);
    for (uint32_t i = 0; i < n->nargs; i++) {
        const Node *b = operand(s, n, i);
        const int64_t *to = node_ints(b, ATTR_AXES, &count);
        int64_t *inner = ints(s, count);
        for (uint32_t k = 0; k < count; k++) inner[k] = place[to[k]];
        args[i] = graph_broadcast(s->g, b->args[0], small, axes, inner);
    }
    NodeId v = graph_add(s->g, n->op, n->nargs, args, n->nattrs, n->attrs);
    return graph_broadcast(s->g, v, rank, n->type->axes, map);
}

NodeId sink_reshape(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    const Type *shape = NULL; // of what is reshaped
    double unused;
    for (uint32_t i = 0; i < n->nargs; i++) {
        const Node *x = operand(s, n, i);
        if (graph_is_const(s->g, n->args[i], &unused)) continue;
        if (x->op != OP_RESHAPE || x->copy) return 0;
        const Type *from = graph_type(s->g, x->args[0]);
        if (shape && !type_same_shape(shape, from)) return 0;
        shape = from;
    }
    if (!shape) return 0;
    NodeId *args = arena_array(s->scratch, NodeId, n->nargs);
    for (uint32_t i = 0; i < n->nargs; i++) {
        const Node *x = operand(s, n, i);
        if (x->op == OP_RESHAPE) {
            args[i] = x->args[0];
            continue;
        }
        NodeId c = x->op == OP_CONST ? n->args[i] : x->args[0];
        args[i] = graph_broadcast_to(s->g, c, shape->rank, shape->axes);
    }
    NodeId v = graph_add(s->g, n->op, n->nargs, args, n->nattrs, n->attrs);
    return graph_reshape(s->g, v, n->type->rank, n->type->axes);
}

// A reduction of a broadcast split into what the operand has and what only repeats.
typedef struct RepeatedReduce {
    NodeId x;
    int64_t *axes; // reduced axes of x
    uint32_t naxes;
    int64_t *map; // axes of x that stay -> result axes
    double count; // elements of the repeated axes that are reduced
} RepeatedReduce;

static bool split_reduce(Simplify *s, const Node *n, RepeatedReduce *r)
{
    const Node *b = operand(s, n, 0);
    if (b->op != OP_BROADCAST || b->copy) return false;
    uint32_t nreduced, count, kept = 0;
    const int64_t *reduced = node_ints(n, ATTR_AXES, &nreduced);
    const int64_t *map = node_ints(b, ATTR_AXES, &count);
    *r = (RepeatedReduce){
        .x = b->args[0], .axes = ints(s, count), .map = ints(s, count), .count = 1};
    bool repeats = false;
    for (uint32_t i = 0, a = 0, m = 0, out = 0; i < b->type->rank; i++) {
        bool gone = a < nreduced && reduced[a] == i, mapped = m < count && map[m] == i;
        if (mapped && graph_type(s->g, r->x)->axes[m].size != b->type->axes[i].size) return false;
        if (gone && mapped) r->axes[r->naxes++] = m;
        if (!gone && mapped) r->map[kept++] = out;
        if (gone && !mapped) {
            r->count *= (double)b->type->axes[i].size;
            repeats = true;
        }
        a += gone;
        m += mapped;
        out += !gone;
    }
    return repeats;
}

static NodeId reduce_rest(Simplify *s, const Node *n, const RepeatedReduce *r)
{
    bool cross = false;
    for (uint32_t i = 0; i < r->naxes; i++)
        cross = cross || (node_int(n, ATTR_CROSS) && graph_type(s->g, r->x)->axes[r->axes[i]].per);
    NodeId v = graph_reduce(s->g, n->op, r->x, r->axes, r->naxes, false, cross);
    return graph_broadcast(s->g, v, n->type->rank, n->type->axes, r->map);
}

NodeId sum_neg(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_NEG) || !single_use(s, n->args[0])) return 0;
    NodeId sum = graph_add(s->g, OP_SUM, 1, operand(s, n, 0)->args, n->nattrs, n->attrs);
    return graph_unary(s->g, OP_NEG, sum);
}

// Broadcast node b without the reduced axes of n, along all of which it repeats; 0 when it does
// not.
static NodeId drop_repeats(Simplify *s, const Node *n, NodeId id)
{
    const Node b = *graph_node(s->g, id);
    if (b.op != OP_BROADCAST || b.copy) return 0;
    uint32_t count, nreduced;
    const int64_t *map = node_ints(&b, ATTR_AXES, &count);
    const int64_t *reduced = node_ints(n, ATTR_AXES, &nreduced);
    int64_t *to = ints(s, count);
    for (uint32_t k = 0; k < count; k++) {
        to[k] = map[k];
        for (uint32_t a = 0; a < nreduced; a++) {
            if (reduced[a] == map[k]) return 0;
            to[k] -= reduced[a] < map[k];
        }
    }
    return graph_broadcast(s->g, b.args[0], n->type->rank, n->type->axes, to);
}

NodeId sum_factor(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    const Node m = *operand(s, n, 0);
    DType dt = n->type->dtype;
    if (m.op != OP_MUL || m.copy || !single_use(s, n->args[0])) return 0;
    if (dt != DT_F32 && dt != DT_F64) return 0;
    for (uint32_t i = 0; i < 2; i++) {
        NodeId factor = drop_repeats(s, n, m.args[i]);
        if (!factor) continue;
        NodeId sum = graph_add(s->g, OP_SUM, 1, &m.args[1 - i], n->nattrs, n->attrs);
        return graph_binary(s->g, OP_MUL, sum, factor);
    }
    return 0;
}

NodeId sum_broadcast(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    RepeatedReduce r;
    DType dt = n->type->dtype;
    bool wide = dt == DT_F32 || dt == DT_F64 || dt == DT_I32 || dt == DT_I64;
    if (!wide || !split_reduce(s, n, &r) || r.count > INT32_MAX) return 0;
    return graph_binary(s->g, OP_MUL, reduce_rest(s, n, &r), number(s, n, r.count));
}

NodeId extreme_broadcast(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    RepeatedReduce r;
    return split_reduce(s, n, &r) ? reduce_rest(s, n, &r) : 0;
}

NodeId reduce_ones(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    const Type *x = operand(s, n, 0)->type;
    uint32_t count;
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    for (uint32_t i = 0; i < count; i++)
        if (x->axes[axes[i]].size != 1 || x->axes[axes[i]].per) return 0;
    return graph_reshape(s->g, n->args[0], n->type->rank, n->type->axes);
}

// ---- dot ----------------------------------------------------------------------------------------

bool listed(const int64_t *list, uint32_t n, int64_t x)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i] == x) return true;
    return false;
}

DotAxes dot_axes(const Node *n)
{
    DotAxes d;
    d.at[0] = node_ints(n, ATTR_LBATCH, &d.nb);
    d.at[1] = node_ints(n, ATTR_RBATCH, &d.nb);
    d.at[2] = node_ints(n, ATTR_LCONTRACT, &d.nc);
    d.at[3] = node_ints(n, ATTR_RCONTRACT, &d.nc);
    return d;
}

NodeId dot_like(Simplify *s, const Node *n, NodeId x, NodeId y, const DotAxes *d)
{
    Attr attrs[6] = {attr_ints(ATTR_LBATCH, d->at[0], d->nb),
                     attr_ints(ATTR_RBATCH, d->at[1], d->nb),
                     attr_ints(ATTR_LCONTRACT, d->at[2], d->nc),
                     attr_ints(ATTR_RCONTRACT, d->at[3], d->nc),
                     attr_dtype(ATTR_DTYPE, n->type->dtype),
                     attr_str(ATTR_PRECISION, node_str(n, ATTR_PRECISION))};
    return graph_add(s->g, OP_DOT, 2, (NodeId[]){x, y}, 6, attrs);
}

static const int64_t *renamed(Simplify *s, const int64_t *axes, uint32_t n, const int64_t *perm)
{
    int64_t *to = ints(s, n);
    for (uint32_t i = 0; i < n; i++) to[i] = perm[axes[i]];
    return to;
}

NodeId dot_transpose(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    for (uint32_t side = 0; side < 2; side++) {
        const Node t = *operand(s, n, side);
        if (t.op != OP_TRANSPOSE || t.copy) continue;
        DotAxes d = dot_axes(n);
        uint32_t rank;
        const int64_t *perm = node_ints(&t, ATTR_PERM, &rank);
        int64_t last = -1;
        bool order = true; // free axes must still rise: they order the result
        for (uint32_t i = 0; i < rank; i++) {
            if (listed(d.at[side], d.nb, i) || listed(d.at[2 + side], d.nc, i)) continue;
            order = order && perm[i] > last;
            last = perm[i];
        }
        if (!order) continue;
        d.at[side] = renamed(s, d.at[side], d.nb, perm);
        d.at[2 + side] = renamed(s, d.at[2 + side], d.nc, perm);
        NodeId args[2] = {n->args[0], n->args[1]};
        args[side] = t.args[0];
        return dot_like(s, n, args[0], args[1], &d);
    }
    return 0;
}

NodeId transpose_dot(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    const Node dot = *operand(s, n, 0);
    if (dot.op != OP_DOT || dot.copy || !single_use(s, n->args[0])) return 0;
    if (shows_skew(s, dot.args[0]) && !shows_skew(s, dot.args[1])) return 0; // see dot_skew
    DotAxes d = dot_axes(&dot);
    uint32_t rank, left = graph_type(s->g, dot.args[0])->rank - d.nb - d.nc;
    const int64_t *perm = node_ints(n, ATTR_PERM, &rank);
    uint32_t right = rank - d.nb - left;
    for (uint32_t i = 0; i < rank; i++) {
        int64_t want = i < d.nb ? i : i < d.nb + right ? i + left : i - right;
        if (perm[i] != want) return 0;
    }
    DotAxes swapped = {{d.at[1], d.at[0], d.at[3], d.at[2]}, d.nb, d.nc};
    return dot_like(s, &dot, dot.args[1], dot.args[0], &swapped);
}
