// Copies of a step's nodes for pass accumulate: of the whole batch, reading cuts from state, or of
// a part, whose batch axes are a part's and whose samples are counted from the part's first.
#include "passes/accumulate.h"
#include "passes/rewrite.h"

static const Type *scalar(const Graph *g)
{
    return type_new(g->arena, DT_I64, 0, NULL);
}

// The number of the part, times a number.
static NodeId part_times(Graph *g, int64_t by, DType dt)
{
    NodeId part = graph_input(g, "$part", scalar(g));
    return graph_cast(g, graph_binary(g, OP_MUL, part, graph_const(g, DT_I64, (double)by)), dt);
}

NodeId part_state(const Split *s, Graph *g, const char *name)
{
    return graph_state(g, name, program_find_state(s->program, name)->type);
}

// ---- rows of state ------------------------------------------------------------------------------

// The order of axes that brings one to the front, or back from there.
static const int64_t *turn(Arena *arena, uint32_t rank, uint32_t axis, bool back)
{
    int64_t *perm = arena_array(arena, int64_t, rank + 1);
    for (uint32_t i = 0, at = 1; i < rank; i++) {
        uint32_t from = i == axis ? 0 : at++; // axis i of the value is axis `from` of the row
        if (back)
            perm[i] = from;
        else
            perm[from] = i;
    }
    return perm;
}

static NodeId split_axis(Graph *g, NodeId x)
{
    return graph_add(g, OP_BATCH_SPLIT, 1, &x, 1, (Attr[]){attr_int(ATTR_AXIS, 0)});
}

const Type *cut_type(const Split *s, const Cut *cut)
{
    const Type *type = graph_type(s->g, cut->node);
    Axis *axes = arena_array(s->program->arena, Axis, type->rank + 1);
    uint32_t rank = 0;
    axes[rank++] = (Axis){s->parts, 0};
    if (!cut->partial) axes[rank++] = (Axis){type->axes[cut->axis].size / s->parts, 0};
    for (uint32_t i = 0; i < type->rank; i++)
        if (cut->partial || i != cut->axis) axes[rank++] = (Axis){type->axes[i].size, 0};
    return type_new(s->program->arena, type->dtype, rank, axes);
}

NodeId part_row(const Split *s, Graph *g, const char *name, const Type *type)
{
    uint32_t axis;
    NodeId at = part_times(g, 1, DT_I32), all = part_state(s, g, name);
    NodeId row = graph_add(g, OP_GATHER, 2, (NodeId[]){all, at}, 0, NULL);
    if (!part_axis(type, &axis)) return row;
    return graph_transpose(g, split_axis(g, row), turn(s->scratch, type->rank, axis, true));
}

NodeId part_put(const Split *s, Graph *g, const Cut *cut, NodeId value)
{
    NodeId all = part_state(s, g, cut->name);
    const Type *type = graph_type(g, all);
    if (!cut->partial) {
        const int64_t *front = turn(s->scratch, type->rank - 1, cut->axis, false);
        Attr first = attr_int(ATTR_AXIS, 0);
        value = graph_transpose(g, value, front);
        value = graph_add(g, OP_BATCH_GATHER, 1, &value, 1, &first);
    }
    int64_t *to = arena_array(s->scratch, int64_t, type->rank);
    for (uint32_t i = 0; i + 1 < type->rank; i++) to[i] = i + 1;
    value = graph_broadcast(g, value, type->rank, type->axes, to);
    NodeId rows = graph_iota(g, DT_I32, type->rank, type->axes, 0);
    NodeId mine = graph_binary(g, OP_EQ, rows, part_times(g, 1, DT_I32));
    return graph_select(g, mine, value, all);
}

// The value of a cut for the whole batch.
static NodeId whole(const Copy *c, const Cut *cut)
{
    const Split *s = c->split;
    NodeId all = part_state(s, c->to, cut->name);
    const Node *n = graph_node(s->g, cut->node);
    if (cut->partial) {
        int64_t first[] = {0};
        return graph_reduce(c->to, n->op, all, first, 1, false, false);
    }
    const Type *type = graph_type(c->to, all);
    Axis *axes = arena_copy(s->scratch, type->axes + 1, (type->rank - 1) * sizeof *axes);
    axes[0].size *= s->parts;
    all = split_axis(c->to, graph_reshape(c->to, all, type->rank - 1, axes));
    return graph_transpose(c->to, all, turn(s->scratch, n->type->rank, cut->axis, true));
}

// ---- nodes --------------------------------------------------------------------------------------

// Attributes of a node with a part's sizes for the whole batch's.
static const Attr *part_attrs(const Copy *c, const Node *n)
{
    Arena *arena = c->split->scratch;
    int64_t batch = c->to->batch;
    Attr *attrs = arena_array(arena, Attr, n->nattrs + 1);
    for (uint32_t i = 0; i < n->nattrs; i++) {
        attrs[i] = n->attrs[i];
        if (attrs[i].key == ATTR_SHAPE) {
            uint32_t rank = attrs[i].axes.n;
            Axis *axes = arena_copy(arena, attrs[i].axes.at, rank * sizeof *axes);
            for (uint32_t a = 0; a < rank; a++)
                if (axes[a].per) axes[a].size = batch * axes[a].per;
            attrs[i] = attr_axes(ATTR_SHAPE, axes, rank);
        } else if (n->op == OP_SLICE && attrs[i].key == ATTR_HI) {
            const Type *type = graph_type(c->split->g, n->args[0]);
            int64_t *hi = arena_copy(arena, attrs[i].ints.at, type->rank * sizeof *hi);
            for (uint32_t a = 0; a < type->rank; a++)
                if (type->axes[a].per) hi[a] = batch * type->axes[a].per;
            attrs[i] = attr_ints(ATTR_HI, hi, type->rank);
        }
    }
    return attrs;
}

static NodeId part_node(const Copy *c, const Node *n, const NodeId *args)
{
    uint32_t axis;
    const Attr *attrs = part_attrs(c, n);
    if (n->op == OP_RANDOM && part_axis(n->type, &axis)) {
        NodeId three[] = {args[0], args[1], part_times(c->to, c->to->batch, DT_I32)};
        return graph_add_copy(c->to, n->op, n->copy, 3, three, n->nattrs, attrs);
    }
    NodeId x = graph_add_copy(c->to, n->op, n->copy, n->nargs, args, n->nattrs, attrs);
    if (n->op != OP_IOTA || !n->type->axes[node_int(n, ATTR_AXIS)].per) return x;
    int64_t rows = c->to->batch * n->type->axes[node_int(n, ATTR_AXIS)].per;
    return graph_binary(c->to, OP_ADD, x, part_times(c->to, rows, n->type->dtype));
}

Copy copy_new(const Split *s, Graph *to, bool part)
{
    uint32_t n = s->g->nodes.n;
    return (Copy){s, to, part, arena_array(s->scratch, bool, n),
                  arena_array(s->scratch, NodeId, n)};
}

static NodeId copy_node(const Copy *c, NodeId id)
{
    const Split *s = c->split;
    const Node *n = graph_node(s->g, id);
    if (!c->part && s->cut_of[id]) return whole(c, &s->cuts.at[s->cut_of[id] - 1]);
    NodeId *args = arena_array(s->scratch, NodeId, n->nargs + 1);
    for (uint32_t i = 0; i < n->nargs; i++) args[i] = c->map[n->args[i]];
    if (c->part) return part_node(c, n, args);
    return graph_add_copy(c->to, n->op, n->copy, n->nargs, args, n->nattrs, n->attrs);
}

void copy_run(Copy *c)
{
    const Split *s = c->split;
    for (NodeId id = s->g->nodes.n; id-- > 1;) {
        const Node *n = graph_node(s->g, id);
        bool stops = c->map[id] || (!c->part && s->cut_of[id]);
        for (uint32_t i = 0; c->needed[id] && !stops && i < n->nargs; i++)
            c->needed[n->args[i]] = true;
    }
    for (NodeId id = 1; id < s->g->nodes.n; id++) {
        const Node *n = graph_node(s->g, id);
        if (!c->needed[id] || c->map[id]) continue;
        uint32_t before = c->to->nodes.n;
        c->to->here = n->origins.n ? n->origins.at[0] : (Loc){0};
        c->map[id] = copy_node(c, id);
        if (!c->map[id])
            bug("accumulate: node %%%u (%s) cannot be copied", id, op_info(n->op)->name);
        for (NodeId k = before; k < c->to->nodes.n; k++) rewrite_origins(c->to, k, n);
        if (c->map[id] < before) rewrite_origins(c->to, c->map[id], n);
    }
}
