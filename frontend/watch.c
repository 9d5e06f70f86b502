// watch: values that are logged with the losses. One number is logged as it is; a tensor by its
// mean, deviation and extremes.
#include "frontend/elab.h"

static NodeId mean_of(Elab *el, NodeId x, const int64_t *axes, uint32_t rank)
{
    double n = (double)type_count(graph_type(el->graph, x));
    NodeId sum = graph_reduce(el->graph, OP_SUM, x, axes, rank, false, true);
    return graph_binary(el->graph, OP_MUL, sum, graph_const(el->graph, DT_F32, 1 / n));
}

static void put(Elab *el, Entry *e, const char *name, const char *what, NodeId node)
{
    const char *full = str_printf(el->arena, "watch.%s%s%s", name, *what ? "." : "", what);
    if (node) vec_push(el->arena, &e->outputs, (NamedNode){full, node});
}

static void put_tensor(Elab *el, Entry *e, const char *name, NodeId x)
{
    Graph *g = el->graph;
    const Type *type = graph_type(g, x);
    int64_t *axes = arena_array(el->arena, int64_t, type->rank + 1);
    Axis *shape = arena_copy(el->arena, type->axes, type->rank * sizeof *shape);
    for (uint32_t i = 0; i < type->rank; i++) axes[i] = i;
    NodeId mean = mean_of(el, x, axes, type->rank);
    NodeId far = graph_binary(g, OP_SUB, x, graph_broadcast_to(g, mean, type->rank, shape));
    NodeId square = mean_of(el, graph_binary(g, OP_MUL, far, far), axes, type->rank);
    put(el, e, name, "mean", mean);
    put(el, e, name, "std", graph_unary(g, OP_SQRT, square));
    put(el, e, name, "min", graph_reduce(g, OP_REDUCE_MIN, x, axes, type->rank, false, true));
    put(el, e, name, "max", graph_reduce(g, OP_REDUCE_MAX, x, axes, type->rank, false, true));
}

static void watch(Elab *el, Entry *e, const TreeEntry *row)
{
    const char *name = row->key->text;
    const Tree *t = row->value;
    int64_t from = 0, until = INT64_MAX;
    if (t->kind == TREE_MAP) {
        if (!keys_check(el, t, MAPPING_WATCH, false)) return;
        from = phase_bound(el, t, "from", from);
        until = phase_bound(el, t, "until", until);
        t = tree_get(t, "value");
    }
    if (!phase_has(el, from, until)) return;
    Scope *s = part_scope(el, NULL, str_printf(el->arena, "watch.%s", name), NULL, row->key->loc);
    NodeId x = value_tensor(el, tree_eval(el, s, t, NULL), DT_F32, t->loc);
    if (!x) return;
    el->graph->here = t->loc;
    if (graph_type(el->graph, x)->rank)
        put_tensor(el, e, name, x);
    else
        put(el, e, name, "", x);
}

void watch_outputs(Elab *el, Entry *e)
{
    const Tree *t = tree_get(el->root, "watch");
    for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++)
        watch(el, e, &t->entries.at[i]);
}
