// Concats without a copy. When every operand of a concat shows, through reshapes and transposes, a
// node that is stored anyway (a product, a result of attention), those nodes are stored straight
// into the concat's buffer: each gets the offset and strides of its part. The gradients of q, k and
// v become one matrix this way.
#include "passes/groups.h"

// The views from an operand down to what it shows, outermost first; false when one of them hides or
// repeats elements.
typedef VEC(NodeId) Chain;

static bool follow(const Grouping *gr, NodeId id, Chain *chain, NodeId *source)
{
    for (;;) {
        const Node *n = graph_node(gr->graph, id);
        if (!op_is_view(n->op)) break;
        bool bijection = n->op == OP_RESHAPE || n->op == OP_TRANSPOSE ||
                         n->op == OP_STOP_GRADIENT || n->op == OP_BATCH_GATHER ||
                         n->op == OP_BATCH_SPLIT;
        if (!bijection || gr->group_of[id]) return false;
        vec_push(gr->arena, chain, id);
        id = n->args[0];
    }
    *source = id;
    return true;
}

// Coordinates of a view's result from those of its operand.
static const IndexId *forward(IndexPool *pool, const Graph *g, NodeId id, const IndexId *at)
{
    const Node *n = graph_node(g, id);
    const Type *of = graph_type(g, n->args[0]);
    IndexId *to = arena_array(pool->arena, IndexId, n->type->rank + 1);
    uint32_t count;
    if (n->op == OP_RESHAPE) {
        IndexId linear = index_linear(pool, of->rank, at, type_sizes(pool->arena, of));
        index_split(pool, linear, n->type->rank, type_sizes(pool->arena, n->type), to);
    } else if (n->op == OP_TRANSPOSE) {
        const int64_t *perm = node_ints(n, ATTR_PERM, &count);
        for (uint32_t i = 0; i < count; i++) to[i] = at[perm[i]];
    } else {
        memcpy(to, at, n->type->rank * sizeof *to);
    }
    return to;
}

// Where the source of operand i lies in the concat's row-major buffer; false when not at fixed
// strides.
static bool part_of(const Grouping *gr, NodeId whole, int64_t before, NodeId source,
                    const Chain *chain, Part *part)
{
    Arena *scratch = arena_new();
    IndexPool pool;
    index_init(&pool, scratch);
    const Node *n = graph_node(gr->graph, whole);
    const Type *type = graph_type(gr->graph, source);
    IndexId *own = arena_array(scratch, IndexId, type->rank + 1);
    for (uint32_t i = 0; i < type->rank; i++) own[i] = index_axis(&pool, i, type->axes[i].size);
    const IndexId *at = own;
    for (uint32_t i = chain->n; i-- > 0;) at = forward(&pool, gr->graph, chain->at[i], at);
    IndexId *inside = arena_copy(scratch, at, n->type->rank * sizeof *at);
    int64_t axis = node_int(n, ATTR_AXIS);
    inside[axis] = index_add(&pool, inside[axis], index_const(&pool, before));
    IndexId rest = index_linear(&pool, n->type->rank, inside, type_sizes(scratch, n->type));
    int64_t *stride = arena_array(gr->arena, int64_t, type->rank + 1);
    bool ok = true;
    for (uint32_t i = 0; i < type->rank && ok; i++)
        ok = index_affine(&pool, rest, i, &stride[i], &rest);
    ok = ok && index_node(&pool, rest)->op == IX_CONST;
    *part = (Part){whole, index_node(&pool, rest)->c, stride};
    arena_free(scratch);
    return ok;
}

static bool may_be_part(const Grouping *gr, NodeId id)
{
    OpCode op = graph_node(gr->graph, id)->op;
    return gr->group_of[id] && !gr->root[id] && !gr->dense[id] && !gr->part[id] &&
           (op == OP_DOT || op == OP_PROJ);
}

static void assemble(Grouping *gr, NodeId whole)
{
    const Node *n = graph_node(gr->graph, whole);
    Part *parts = arena_array(gr->arena, Part, n->nargs);
    NodeId *sources = arena_array(gr->arena, NodeId, n->nargs);
    int64_t axis = node_int(n, ATTR_AXIS), before = 0;
    for (uint32_t i = 0; i < n->nargs; i++) {
        Chain chain = {0};
        if (!follow(gr, n->args[i], &chain, &sources[i]) || !may_be_part(gr, sources[i])) return;
        for (uint32_t k = 0; k < i; k++)
            if (sources[k] == sources[i]) return;
        if (!part_of(gr, whole, before, sources[i], &chain, &parts[i])) return;
        before += graph_type(gr->graph, n->args[i])->axes[axis].size;
    }
    for (uint32_t i = 0; i < n->nargs; i++) gr->part[sources[i]] = &parts[i];
    gr->assembled[whole] = true;
}

void groups_assemble(Grouping *gr)
{
    for (NodeId id = 1; id < gr->graph->nodes.n; id++)
        if (gr->live[id] && graph_node(gr->graph, id)->op == OP_CONCAT && !gr->root[id])
            assemble(gr, id);
}
