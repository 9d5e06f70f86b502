// Views: an index expression for each axis is carried from a node to what it shows.
#include "passes/groups.h"

bool op_narrows(const Graph *g, const Node *n)
{
    if (n->op == OP_TF32) return true;
    DType to = n->type->dtype;
    return n->op == OP_CAST && dtype_is_narrow(to) &&
           dtype_size(graph_type(g, n->args[0])->dtype) > dtype_size(to);
}

bool op_is_view(OpCode op)
{
    return op_info(op)->class == CLASS_VIEW || op == OP_STOP_GRADIENT;
}

const int64_t *type_sizes(Arena *arena, const Type *type)
{
    int64_t *sizes = arena_array(arena, int64_t, type->rank + 1);
    for (uint32_t i = 0; i < type->rank; i++) sizes[i] = type->axes[i].size;
    return sizes;
}

static void through_broadcast(IndexPool *pool, const Node *n, const Type *of, const IndexId *at,
                              IndexId *to)
{
    uint32_t count;
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    for (uint32_t i = 0; i < of->rank; i++)
        to[i] = of->axes[i].size == 1 ? index_const(pool, 0) : at[axes[i]];
}

static void through_slice(IndexPool *pool, const Node *n, const IndexId *at, IndexId *to)
{
    uint32_t count;
    const int64_t *lo = node_ints(n, ATTR_LO, &count), *stride = node_ints(n, ATTR_STRIDE, &count);
    for (uint32_t i = 0; i < n->type->rank; i++)
        to[i] = index_add(pool, index_mul(pool, at[i], stride[i]), index_const(pool, lo[i]));
}

static void through_reverse(IndexPool *pool, const Node *n, const IndexId *at, IndexId *to)
{
    uint32_t count;
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    memcpy(to, at, n->type->rank * sizeof *to);
    for (uint32_t i = 0; i < count; i++) {
        IndexId last = index_const(pool, n->type->axes[axes[i]].size - 1);
        to[axes[i]] = index_add(pool, last, index_mul(pool, at[axes[i]], -1));
    }
}

IndexId skew_place(IndexPool *pool, const Skew *s, const IndexId *at)
{
    IndexId i = index_mul(pool, at[s->axis], s->stride), j = index_mul(pool, at[s->along], s->step);
    return index_add(pool, index_add(pool, i, j), index_const(pool, s->lo));
}

// Is every element one of the operand's? Then it is a simple view, whatever the fill.
static bool skews_inside(const Graph *g, const Node *n)
{
    const Type *of = graph_type(g, n->args[0]);
    for (uint32_t k = 0; k < skew_count(n); k++) {
        Skew s = skew_at(n, k);
        int64_t reach = (n->type->axes[s.along].size - 1) * s.step;
        int64_t least = s.lo + (reach < 0 ? reach : 0);
        int64_t most = s.lo + (reach > 0 ? reach : 0) + (s.size - 1) * s.stride;
        if (s.up != 1 || least < 0 || most >= of->axes[s.axis].size) return false;
    }
    return true;
}

static bool joins(const Graph *g, const Node *n)
{
    return n->op == OP_PAD || n->op == OP_CONCAT || (n->op == OP_SKEW && !skews_inside(g, n));
}

// Coordinates in the operand of a simple view; false when n is not one.
static bool through(IndexPool *pool, const Graph *g, const Node *n, const IndexId *at, IndexId *to)
{
    const Type *of = n->nargs ? graph_type(g, n->args[0]) : NULL;
    uint32_t count;
    switch (n->op) {
    case OP_RESHAPE: {
        IndexId linear = index_linear(pool, n->type->rank, at, type_sizes(pool->arena, n->type));
        index_split(pool, linear, of->rank, type_sizes(pool->arena, of), to);
        return true;
    }
    case OP_TRANSPOSE: {
        const int64_t *perm = node_ints(n, ATTR_PERM, &count);
        for (uint32_t i = 0; i < count; i++) to[perm[i]] = at[i];
        return true;
    }
    case OP_BROADCAST: through_broadcast(pool, n, of, at, to); return true;
    case OP_SLICE: through_slice(pool, n, at, to); return true;
    case OP_REVERSE: through_reverse(pool, n, at, to); return true;
    case OP_SKEW:
        memcpy(to, at, of->rank * sizeof *to);
        for (uint32_t k = 0; k < skew_count(n); k++) {
            Skew s = skew_at(n, k);
            to[s.axis] = skew_place(pool, &s, at);
        }
        return true;
    case OP_STOP_GRADIENT:
    case OP_BATCH_GATHER:
    case OP_BATCH_SPLIT: memcpy(to, at, of->rank * sizeof *to); return true;
    default: return false;
    }
}

NodeId view_source(IndexPool *pool, const Graph *g, NodeId id, const IndexId **at)
{
    for (;;) {
        const Node *n = graph_node(g, id);
        if (!op_is_view(n->op) || joins(g, n)) return id;
        IndexId *to = arena_array(pool->arena, IndexId, graph_type(g, n->args[0])->rank + 1);
        if (!through(pool, g, n, *at, to)) return id;
        *at = to;
        id = n->args[0];
    }
}

static void visit(const Grouping *gr, NodeId id, uint32_t operand, bool exact,
                  void (*fn)(void *ctx, NodeId source, uint32_t operand, bool exact), void *ctx)
{
    const Node *n = graph_node(gr->graph, id);
    if (!op_is_view(n->op)) {
        fn(ctx, id, operand, exact);
        return;
    }
    bool simple = !joins(gr->graph, n);
    for (uint32_t i = 0; i < n->nargs; i++)
        visit(gr, n->args[i], operand, exact && simple, fn, ctx);
}

void visit_sources(const Grouping *gr, NodeId user,
                   void (*fn)(void *ctx, NodeId source, uint32_t operand, bool exact), void *ctx)
{
    const Node *n = graph_node(gr->graph, user);
    if (op_is_view(n->op)) { // a view that is materialised by itself
        visit(gr, user, 0, true, fn, ctx);
        return;
    }
    for (uint32_t i = 0; i < n->nargs; i++) visit(gr, n->args[i], i, true, fn, ctx);
}

IndexId level_linear(IndexPool *pool, const Group *gp, Level level, IndexId a, IndexId r, IndexId c)
{
    IndexId at[3] = {a, level == LEVEL_OUTER ? 0 : r, c};
    int64_t sizes[3] = {gp->outer, level == LEVEL_OUTER ? 1 : gp->red, gp->inner};
    if (level == LEVEL_COLUMN) {
        at[0] = 0;
        sizes[0] = 1;
    }
    return index_linear(pool, 3, at, sizes);
}
