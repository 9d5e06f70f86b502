// Pass layout: where the elements of each value lie in its buffer. Row-major, with two exceptions
// that save copies. Results of attention (B.., H, N, D) lie as (B.., N, H, D), so that merging
// heads costs nothing. And concats need no copy: when every operand of one shows, through reshapes
// and transposes, a node that is stored anyway (a product, a result of attention), those nodes are
// stored straight into the concat's buffer, each at the offset and strides of its part; the
// gradients of q, k and v become one matrix this way, and what was computed in pieces a whole.
// Panels of packed operands are the target's own layout (ir/target.h) and made by lower.
#include "passes/lower.h"

enum { MANY = 4 }; // operands of a concat

// The views from an operand down to what it shows, outermost first; false when one of them hides or
// repeats elements.
typedef VEC(NodeId) Chain;

static bool follow(const Layout *l, NodeId id, Chain *chain, NodeId *source)
{
    for (;;) {
        const Node *n = graph_node(l->graph, id);
        if (!op_is_view(n->op)) break;
        bool bijection = n->op == OP_RESHAPE || n->op == OP_TRANSPOSE ||
                         n->op == OP_STOP_GRADIENT || n->op == OP_BATCH_GATHER ||
                         n->op == OP_BATCH_SPLIT;
        if (!bijection) return false;
        vec_push(l->arena, chain, id);
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
static bool part_of(const Layout *l, NodeId whole, int64_t before, NodeId source,
                    const Chain *chain, Part *part)
{
    Arena *scratch = arena_new();
    IndexPool pool;
    index_init(&pool, scratch);
    const Node *n = graph_node(l->graph, whole);
    const Type *type = graph_type(l->graph, source);
    IndexId *own = arena_array(scratch, IndexId, type->rank + 1);
    for (uint32_t i = 0; i < type->rank; i++) own[i] = index_axis(&pool, i, type->axes[i].size);
    const IndexId *at = own;
    for (uint32_t i = chain->n; i-- > 0;) at = forward(&pool, l->graph, chain->at[i], at);
    IndexId *inside = arena_copy(scratch, at, n->type->rank * sizeof *at);
    int64_t axis = node_int(n, ATTR_AXIS);
    inside[axis] = index_add(&pool, inside[axis], index_const(&pool, before));
    IndexId rest = index_linear(&pool, n->type->rank, inside, type_sizes(scratch, n->type));
    int64_t *stride = arena_array(l->arena, int64_t, type->rank + 1);
    bool ok = true;
    for (uint32_t i = 0; i < type->rank && ok; i++)
        ok = index_affine(&pool, rest, i, &stride[i], &rest);
    ok = ok && index_node(&pool, rest)->op == IX_CONST;
    *part = (Part){whole, index_node(&pool, rest)->c, stride};
    arena_free(scratch);
    return ok;
}

// Of a concat of many operands also what is computed by loops: who reads it would have to choose
// among all of them for every element. (Column sums end in a buffer of their own.)
static bool is_made(const Graph *g, const Node *n)
{
    int64_t before, red, after = 0;
    OpClass class = op_info(n->op)->class;
    return class == CLASS_ELEMENTWISE ||
           (class == CLASS_REDUCE && reduction_extent(g, n, &before, &red, &after) && after == 1);
}

static bool may_be_part(const Layout *l, NodeId id, bool many)
{
    const Node *n = graph_node(l->graph, id);
    bool free = !l->root[id] && !l->dense[id] && !l->part[id];
    return free && (n->op == OP_DOT || n->op == OP_PROJ || op_narrows(l->graph, n) ||
                    (many && is_made(l->graph, n)));
}

static void assemble(Layout *l, NodeId whole)
{
    const Node *n = graph_node(l->graph, whole);
    Part *parts = arena_array(l->arena, Part, n->nargs);
    NodeId *sources = arena_array(l->arena, NodeId, n->nargs);
    int64_t axis = node_int(n, ATTR_AXIS), before = 0;
    for (uint32_t i = 0; i < n->nargs; i++) {
        Chain chain = {0};
        if (!follow(l, n->args[i], &chain, &sources[i]) ||
            !may_be_part(l, sources[i], n->nargs >= MANY))
            return;
        for (uint32_t k = 0; k < i; k++)
            if (sources[k] == sources[i]) return;
        if (!part_of(l, whole, before, sources[i], &chain, &parts[i])) return;
        before += graph_type(l->graph, n->args[i])->axes[axis].size;
    }
    for (uint32_t i = 0; i < n->nargs; i++) l->part[sources[i]] = &parts[i];
    l->assembled[whole] = true;
}

// Row-major strides, or those of a result of attention with heads inside positions.
static const int64_t *own_strides(const Layout *l, NodeId id)
{
    const Node *n = graph_node(l->graph, id);
    const Type *type = n->type;
    int64_t *stride = arena_array(l->arena, int64_t, type->rank + 1), size = 1;
    for (uint32_t i = type->rank; i-- > 0; size *= type->axes[i].size) stride[i] = size;
    bool swapped = n->op == OP_PROJ && type->rank >= 4 && !l->root[id] && !l->dense[id] &&
                   op_info(graph_node(l->graph, n->args[0])->op)->class == CLASS_ATTENTION;
    if (swapped) {
        uint32_t heads = type->rank - 3, rows = type->rank - 2;
        stride[heads] = type->axes[rows + 1].size;
        stride[rows] = stride[heads] * type->axes[heads].size;
    }
    return stride;
}

static void find_uses(Layout *l)
{
    for (NodeId id = 1; id < l->graph->nodes.n; id++) {
        const Node *n = graph_node(l->graph, id);
        OpClass class = op_info(n->op)->class;
        bool dense = class == CLASS_SCATTER || class == CLASS_ORDERED;
        for (uint32_t i = 0; dense && i < n->nargs; i++) l->dense[n->args[i]] = true;
    }
    for (uint32_t i = 0; i < l->entry->outputs.n; i++) l->root[l->entry->outputs.at[i].node] = true;
    for (uint32_t i = 0; i < l->entry->updates.n; i++) l->root[l->entry->updates.at[i].node] = true;
}

static Layout *choose(Arena *arena, const Entry *entry)
{
    Layout *l = arena_make(arena, Layout);
    uint32_t n = entry->graph->nodes.n;
    *l = (Layout){.arena = arena, .graph = entry->graph, .entry = entry};
    l->live = entry_live(entry, arena);
    l->root = arena_array(arena, bool, n);
    l->dense = arena_array(arena, bool, n);
    l->part = arena_array(arena, const Part *, n);
    l->assembled = arena_array(arena, bool, n);
    l->stride = arena_array(arena, const int64_t *, n);
    find_uses(l);
    for (NodeId id = 1; id < n; id++)
        if (l->live[id] && graph_node(l->graph, id)->op == OP_CONCAT && !l->root[id])
            assemble(l, id);
    for (NodeId id = 1; id < n; id++)
        l->stride[id] = l->part[id] ? l->part[id]->stride : own_strides(l, id);
    return l;
}

bool pass_layout(Program *p, PassContext *ctx)
{
    Lowering *lowering = ctx->options->lowering;
    lowering_start(lowering, p);
    for (uint32_t i = 0; i < p->entries.n; i++)
        lowering->entries[i].layout = choose(lowering->arena, p->entries.at[i]);
    return true;
}
