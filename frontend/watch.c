// watch: values that are logged with the losses. One number is logged as it is; a tensor by its
// mean, deviation and extremes, and as a histogram where it asks for one.
#include "frontend/elab.h"

// Over the axes of single samples, or over the others. Samples come first and by themselves, so
// that a step in parts of its batch keeps some numbers of a sample, not the tensor.
static NodeId reduce(Elab *el, OpCode op, NodeId x, bool samples)
{
    const Type *type = graph_type(el->graph, x);
    int64_t *axes = arena_array(el->arena, int64_t, type->rank + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < type->rank; i++)
        if ((type->axes[i].per > 0) == samples) axes[n++] = i;
    return n ? graph_reduce(el->graph, op, x, axes, n, false, true) : x;
}

static NodeId reduce_all(Elab *el, OpCode op, NodeId x)
{
    return reduce(el, op, reduce(el, op, x, false), true);
}

static NodeId times(Elab *el, NodeId x, double by)
{
    NodeId k = graph_const(el->graph, DT_F32, by);
    const Type *type = graph_type(el->graph, x);
    return graph_binary(el->graph, OP_MUL, x,
                        graph_broadcast_to(el->graph, k, type->rank, type->axes));
}

// (x - mean)^2; the mean is of the axes that it lacks.
static NodeId square_far(Elab *el, NodeId x, NodeId mean)
{
    Graph *g = el->graph;
    const Type *type = graph_type(g, x), *own = graph_type(g, mean);
    int64_t *to = arena_array(el->arena, int64_t, own->rank + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < type->rank && n < own->rank; i++)
        if (type->axes[i].per) to[n++] = i;
    if (!own->rank)
        mean = graph_broadcast_to(g, mean, type->rank, type->axes);
    else if (own->rank < type->rank)
        mean = graph_broadcast(g, mean, type->rank, type->axes, to);
    NodeId far = graph_binary(g, OP_SUB, x, mean);
    return graph_binary(g, OP_MUL, far, far);
}

// The variance is that within samples, and that of their means.
static NodeId deviation(Elab *el, NodeId x, NodeId own, NodeId mean)
{
    Graph *g = el->graph;
    double n = (double)type_count(graph_type(g, x)), m = (double)type_count(graph_type(g, own));
    NodeId within = times(el, reduce_all(el, OP_SUM, square_far(el, x, own)), 1 / n),
           between = times(el, reduce_all(el, OP_SUM, square_far(el, own, mean)), 1 / m);
    NodeId both = graph_type(g, own)->rank ? graph_binary(g, OP_ADD, within, between) : within;
    return graph_unary(g, OP_SQRT, both);
}

static void put(Elab *el, Entry *e, const char *name, const char *what, NodeId node)
{
    const char *full = str_printf(el->arena, "watch.%s%s%s", name, *what ? "." : "", what);
    if (node) vec_push(el->arena, &e->outputs, (NamedNode){full, node});
}

enum { MOST_BINS = 1000 };

// How many elements lie in each of the bins between lo and hi: (bins,) i32. Where these are one
// number, all lie in the first.
static NodeId histogram(Elab *el, NodeId x, NodeId lo, NodeId hi, int64_t bins)
{
    Graph *g = el->graph;
    const Type *type = graph_type(g, x);
    uint32_t rank = type->rank;
    Axis *shape = arena_array(el->arena, Axis, rank + 1);
    int64_t *axes = arena_array(el->arena, int64_t, rank + 1);
    for (uint32_t i = 0; i < rank; i++) {
        shape[i] = type->axes[i];
        axes[i] = i;
    }
    shape[rank] = (Axis){bins, 0};
    NodeId far = graph_binary(g, OP_SUB, x, graph_broadcast_to(g, lo, rank, shape));
    NodeId per = graph_binary(g, OP_DIV, graph_const(g, DT_F32, (double)bins),
                              graph_binary(g, OP_SUB, hi, lo));
    NodeId at = graph_binary(g, OP_MUL, far, graph_broadcast_to(g, per, rank, shape));
    NodeId bin = graph_cast(g, at, DT_I32), last = graph_const(g, DT_I32, (double)bins - 1);
    bin = graph_binary(g, OP_MIN, bin, graph_broadcast_to(g, last, rank, shape));
    bin = graph_broadcast(g, bin, rank + 1, shape, axes);
    NodeId here = graph_binary(g, OP_EQ, bin, graph_iota(g, DT_I32, rank + 1, shape, rank));
    return graph_reduce(g, OP_SUM, graph_cast(g, here, DT_I32), axes, rank, false, true);
}

static void put_tensor(Elab *el, Entry *e, const char *name, NodeId x, int64_t bins)
{
    Graph *g = el->graph;
    const Type *type = graph_type(g, x);
    NodeId own = reduce(el, OP_SUM, x, false), // the mean of each sample
        lo = reduce_all(el, OP_REDUCE_MIN, x), hi = reduce_all(el, OP_REDUCE_MAX, x);
    double samples = (double)type_count(graph_type(g, own));
    own = times(el, own, samples / (double)type_count(type));
    NodeId mean = times(el, reduce(el, OP_SUM, own, true), 1 / samples);
    put(el, e, name, "mean", mean);
    put(el, e, name, "std", deviation(el, x, own, mean));
    put(el, e, name, "min", lo);
    put(el, e, name, "max", hi);
    if (bins) put(el, e, name, "histogram", histogram(el, x, lo, hi, bins));
}

// False when reported; 0 bins where there are none.
static bool bins_read(Elab *el, const Tree *row, int64_t *bins)
{
    const Tree *t = tree_get(row, "bins");
    if (!t) return true;
    if (!value_to_int(el, tree_eval(el, el->scope, t, NULL), t->loc, "bins", bins)) return false;
    if (*bins >= 2 && *bins <= MOST_BINS) return true;
    el_error(el, t->loc, "bins is %lld; it is from 2 to %d", (long long)*bins, MOST_BINS);
    suggest_number(el, (double)*bins, 2, MOST_BINS, true);
    return false;
}

static void watch(Elab *el, Entry *e, const TreeEntry *row)
{
    const char *name = row->key->text;
    const Tree *t = row->value;
    int64_t from = 0, until = INT64_MAX, bins = 0;
    if (t->kind == TREE_MAP) {
        if (!keys_check(el, t, MAPPING_WATCH, false)) return;
        from = phase_bound(el, t, "from", from);
        until = phase_bound(el, t, "until", until);
        if (!bins_read(el, t, &bins)) return;
        t = tree_get(t, "value");
    }
    if (!phase_has(el, from, until)) return;
    Scope *s = part_scope(el, NULL, str_printf(el->arena, "watch.%s", name), NULL, row->key->loc);
    Value v;
    if (t->kind != TREE_SCALAR || !param_by_path(el, t->text, t->loc, &v))
        v = tree_eval(el, s, t, NULL);
    NodeId x = value_tensor(el, v, DT_F32, t->loc);
    if (!x) return;
    el->graph->here = t->loc;
    if (graph_type(el->graph, x)->rank)
        put_tensor(el, e, name, x, bins);
    else
        put(el, e, name, "", x);
}

void watch_outputs(Elab *el, Entry *e)
{
    const Tree *t = tree_get(el->root, "watch");
    for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++)
        watch(el, e, &t->entries.at[i]);
}
