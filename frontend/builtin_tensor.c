// Built-in functions on tensors: reductions, arrangement, gathering, and tensors made from nothing.
#include "frontend/builtin.h"
#include "frontend/guess.h"
#include "frontend/mend.h"

#include <math.h>

// An axis argument to its number; -1 when reported.
static int64_t one_axis(const Call *c, uint32_t i, uint32_t rank)
{
    int64_t *axes;
    uint32_t n;
    if (!call_axes(c, i, rank, &axes, &n)) return -1;
    if (n == 1) return axes[0];
    el_error(c->el, c->locs[i], "one axis is needed here");
    return -1;
}

static bool call_sizes(const Call *c, uint32_t i, Axis **axes, uint32_t *rank)
{
    return value_to_axes(c->el, c->args[i], c->locs[i], axes, rank);
}

// ---- reductions -------------------------------------------------------------------------------

// (x, axis, keep) over op; count: the number of elements summed into one.
static NodeId reduce(const Call *c, OpCode op, double *count)
{
    Elab *el = c->el;
    NodeId x = call_tensor(c, 0);
    int64_t *axes;
    uint32_t n;
    bool keep = false;
    if (!x || !call_flag(c, 2, "keep", &keep)) return 0;
    if (c->args[1].kind == V_NONE) {
        el_error(el, c->loc, "%s of a tensor needs an axis", c->builtin->name);
        diag_help(el->diag, "%s(x, axis=-1), or a list of axes", c->builtin->name);
        guess_axis_said(el, c->loc, c->builtin->name, call_type(c, x));
        return 0;
    }
    DType dt = call_type(c, x)->dtype;
    if (dt == DT_BOOL || dt == DT_U8 || dt == DT_I8 || dt == DT_U16) x = node_cast(el, x, DT_I32);
    if (op == OP_LOGSUMEXP && !dtype_is_float(dt)) x = node_cast(el, x, DT_F32);
    if (!call_axes(c, 1, call_type(c, x)->rank, &axes, &n)) return 0;
    *count = 1;
    for (uint32_t i = 0; i < n; i++) *count *= (double)call_type(c, x)->axes[axes[i]].size;
    return n ? graph_reduce(call_graph(c), op, x, axes, n, keep, false) : x;
}

Value builtin_reduce(const Call *c)
{
    double count;
    return call_node(c, reduce(c, (OpCode)c->builtin->op, &count));
}

Value builtin_sum(const Call *c)
{
    Value v = c->args[0];
    if (v.kind == V_APP || v.kind == V_INSTANCE || v.kind == V_FIELD)
        v = value_plain(c->el, v, c->locs[0]);
    bool list = v.kind == V_LIST || v.kind == V_SPACE || v.kind == V_RECORD;
    if (!list || c->args[1].kind != V_NONE) return builtin_reduce(c);
    const ValueList *items;
    if (!value_items(c->el, v, c->locs[0], &items)) return value_error();
    Value sum = value_int(0);
    for (uint32_t i = 0; i < items->v.n; i++)
        sum = i ? arith(c->el, EOP_ADD, sum, items->v.at[i], c->loc)
                : value_plain(c->el, items->v.at[i], c->loc);
    return sum;
}

// A sum by the number of its summands; x is 0 when reported.
static Value divided(const Call *c, NodeId x, double count)
{
    if (!x) return call_node(c, 0);
    if (!dtype_is_float(call_type(c, x)->dtype)) x = node_cast(c->el, x, DT_F32);
    NodeId n = graph_const(c->el->graph, call_type(c, x)->dtype, count);
    return call_node(c, graph_binary(c->el->graph, OP_DIV, x, n));
}

Value builtin_mean(const Call *c)
{
    double count = 1;
    const NodeId sum = reduce(c, OP_SUM, &count);
    return divided(c, sum, count);
}

Value builtin_argmax(const Call *c)
{
    NodeId x = call_tensor(c, 0);
    if (!x) return value_error();
    int64_t axis = one_axis(c, 1, call_type(c, x)->rank);
    if (axis < 0) return value_error();
    Attr a = attr_int(ATTR_AXIS, axis);
    return call_node(c, graph_add(call_graph(c), OP_ARGMAX, 1, &x, 1, &a));
}

// The batch axis of a tensor; -1 when there is none (reported).
static int64_t batch_axis(const Call *c, NodeId x)
{
    const Type *t = call_type(c, x);
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->axes[i].per) return i;
    el_error(c->el, c->locs[0], "%s has no batch axis for %s", type_text(c->el->arena, t),
             c->builtin->name);
    size_t size;
    const char *s = diag_source_text(c->el->diag, c->locs[0].source, &size);
    if (!s || !is_users(c->el, c->loc) || !diag_last_error(c->el->diag)) return -1;
    const Loc at = c->locs[0];
    const char *in = str_slice(c->el->arena, s + at.begin, at.end - at.begin);
    bool sum = c->builtin->run == builtin_batch_sum; // the only one that changes such a value
    (sum ? guess_add : guess_sure)(c->el, c->loc, in, in);
    if (sum) guess_word(c->el, c->loc, str_printf(c->el->arena, "batch * (%s)", in));
    return -1;
}

static NodeId batch_reduce(const Call *c, double *count)
{
    NodeId x = call_tensor(c, 0);
    if (!x) return 0;
    int64_t axis = batch_axis(c, x);
    if (axis < 0) return 0;
    *count = (double)call_type(c, x)->axes[axis].size;
    if (call_type(c, x)->dtype == DT_BOOL) x = node_cast(c->el, x, DT_I32);
    return graph_reduce(call_graph(c), OP_SUM, x, &axis, 1, false, true);
}

Value builtin_batch_sum(const Call *c)
{
    double count;
    return call_node(c, batch_reduce(c, &count));
}

Value builtin_batch_mean(const Call *c)
{
    double count = 1;
    const NodeId sum = batch_reduce(c, &count);
    return divided(c, sum, count);
}

Value builtin_batch_gather(const Call *c)
{
    NodeId x = call_tensor(c, 0);
    int64_t axis = x ? batch_axis(c, x) : -1;
    if (axis < 0) return value_error();
    Attr a = attr_int(ATTR_AXIS, axis);
    return call_node(c, graph_add(call_graph(c), OP_BATCH_GATHER, 1, &x, 1, &a));
}

// ---- arrangement ------------------------------------------------------------------------------

Value builtin_reshape(const Call *c)
{
    Axis *axes;
    uint32_t rank;
    NodeId x = call_tensor(c, 0);
    if (!x || !call_sizes(c, 1, &axes, &rank)) return value_error();
    return call_node(c, graph_reshape(call_graph(c), x, rank, axes));
}

Value builtin_permute(const Call *c)
{
    Elab *el = c->el;
    const ValueList *items;
    NodeId x = call_tensor(c, 0);
    if (!x || !value_items(el, c->args[1], c->locs[1], &items)) return value_error();
    uint32_t rank = call_type(c, x)->rank;
    int64_t *perm = arena_array(el->arena, int64_t, rank + 1);
    if (items->v.n != rank)
        return el_fail(el, c->locs[1], "%u axes for a tensor of %u", items->v.n, rank);
    for (uint32_t i = 0; i < rank; i++) {
        if (!value_to_int(el, items->v.at[i], c->locs[1], "an axis", &perm[i]))
            return value_error();
        if (perm[i] < 0) perm[i] += rank;
    }
    Attr a = attr_ints(ATTR_PERM, perm, rank);
    return call_node(c, graph_add(call_graph(c), OP_TRANSPOSE, 1, &x, 1, &a));
}

Value builtin_transpose(const Call *c)
{
    Elab *el = c->el;
    NodeId x = call_tensor(c, 0);
    if (!x) return value_error();
    int64_t rank = call_type(c, x)->rank, a = -2, b = -1;
    if (!call_int(c, 1, "an axis", &a) || !call_int(c, 2, "an axis", &b)) return value_error();
    if (a < 0) a += rank;
    if (b < 0) b += rank;
    if (a < 0 || b < 0 || a >= rank || b >= rank)
        return el_fail(el, c->loc, "%s has no such two axes",
                       type_text(el->arena, call_type(c, x)));
    int64_t *perm = arena_array(el->arena, int64_t, rank);
    for (int64_t i = 0; i < rank; i++) perm[i] = i == a ? b : i == b ? a : i;
    return call_node(c, graph_transpose(call_graph(c), x, perm));
}

Value builtin_broadcast_to(const Call *c)
{
    Axis *axes;
    uint32_t rank;
    NodeId x = call_tensor(c, 0);
    if (!x || !call_sizes(c, 1, &axes, &rank)) return value_error();
    return call_node(c, graph_broadcast_to(call_graph(c), x, rank, axes));
}

// The tensors of a list in one type. NULL when reported.
static NodeId *tensors(const Call *c, uint32_t *n)
{
    Elab *el = c->el;
    const ValueList *items;
    if (!value_items(el, c->args[0], c->locs[0], &items)) return NULL;
    *n = items->v.n;
    if (!*n) {
        el_error(el, c->locs[0], "%s of an empty list", c->builtin->name);
        return NULL;
    }
    NodeId *xs = arena_array(el->arena, NodeId, *n);
    DType dt = DT_NONE;
    for (uint32_t i = 0; i < *n; i++) {
        Value v = value_plain(el, items->v.at[i], c->locs[0]);
        if (v.kind != V_TENSOR) continue;
        xs[i] = value_tensor(el, v, DT_NONE, c->locs[0]);
        if (!xs[i]) return NULL;
        DType mine = call_type(c, xs[i])->dtype;
        dt = dt == DT_NONE ? mine : dtype_promote(dt, mine);
    }
    for (uint32_t i = 0; i < *n; i++) {
        xs[i] = value_tensor(el, items->v.at[i], dt == DT_NONE ? DT_F32 : dt, c->locs[0]);
        if (!xs[i]) return NULL;
    }
    return xs;
}

Value builtin_concat(const Call *c)
{
    uint32_t n;
    NodeId *xs = tensors(c, &n);
    if (!xs) return value_error();
    int64_t axis = one_axis(c, 1, call_type(c, xs[0])->rank);
    if (axis < 0) return value_error();
    return call_node(c, n == 1 ? xs[0] : graph_concat(call_graph(c), n, xs, axis));
}

// Numbers of a list as a vector: a choice by index, which any kernel can compute in place.
static Value vector(const Call *c, const ValueList *items)
{
    Elab *el = c->el;
    Axis axis = {items->v.n, 0};
    NodeId index = graph_iota(el->graph, DT_I32, 1, &axis, 0);
    NodeId x = value_tensor(el, items->v.at[items->v.n - 1], DT_F32, c->loc);
    for (uint32_t i = items->v.n - 1; i-- > 0;) {
        NodeId here = graph_binary(el->graph, OP_EQ, index, graph_const(el->graph, DT_I32, i));
        x = graph_select(el->graph, here, value_tensor(el, items->v.at[i], DT_F32, c->loc), x);
    }
    return value_node(el, graph_broadcast_to(el->graph, x, 1, &axis));
}

Value builtin_stack(const Call *c)
{
    Elab *el = c->el;
    const ValueList *items;
    if (!value_items(el, c->args[0], c->locs[0], &items)) return value_error();
    bool numbers = items->v.n > 0;
    double ignored;
    for (uint32_t i = 0; i < items->v.n; i++) numbers &= value_number(items->v.at[i], &ignored);
    el->graph->here = c->loc;
    if (numbers) return vector(c, items);
    uint32_t n;
    NodeId *xs = tensors(c, &n);
    if (!xs) return value_error();
    uint32_t rank = call_type(c, xs[0])->rank + 1;
    int64_t axis = c->args[1].kind == V_NONE ? 0 : one_axis(c, 1, rank);
    if (axis < 0) return value_error();
    for (uint32_t i = 0; i < n; i++) {
        const Type *t = call_type(c, xs[i]);
        Axis *axes = arena_array(el->arena, Axis, t->rank + 1);
        for (uint32_t k = 0, at = 0; k < t->rank + 1; k++)
            axes[k] = k == axis ? (Axis){1, 0} : t->axes[at++];
        el->graph->here = c->loc;
        xs[i] = graph_reshape(el->graph, xs[i], t->rank + 1, axes);
        if (!xs[i]) return call_node(c, 0);
    }
    return call_node(c, n == 1 ? xs[0] : graph_concat(el->graph, n, xs, axis));
}

// The nearest numbers of equal parts in the place of one, and where a size is of too many, that.
static void guess_parts_of(Elab *el, Loc at, int64_t size, int64_t parts)
{
    int64_t below = parts < size ? parts : size, above = below > 1 ? below : 1;
    while (below > 1 && size % below) below--;
    while (above < size && size % above) above++;
    const int64_t both[] = {below > 1 ? below : 1, above};
    for (int i = 0; i < 2; i++) {
        const char *text = str_printf(el->arena, "%lld", (long long)both[i]);
        guess_exchanged(el, at, text, text_at(el, at));
    }
    if (parts > 0) guess_multiples(el, size, parts);
}

Value builtin_split(const Call *c)
{
    Elab *el = c->el;
    int64_t parts;
    NodeId x = call_tensor(c, 0);
    if (!x || !value_to_int(el, c->args[1], c->locs[1], "the number of parts", &parts))
        return value_error();
    const Type *t = call_type(c, x);
    int64_t axis = one_axis(c, 2, t->rank);
    if (axis < 0) return value_error();
    if (parts < 1 || t->axes[axis].size % parts) {
        el_error(el, c->loc, "axis %lld of %s has no %lld equal parts", (long long)axis,
                 type_text(el->arena, t), (long long)parts);
        guess_parts_of(el, c->locs[1], t->axes[axis].size, parts);
        return value_error();
    }
    int64_t size = t->axes[axis].size / parts;
    ValueList *l = arena_make(el->arena, ValueList);
    for (int64_t p = 0; p < parts; p++) {
        int64_t *lo = arena_array(el->arena, int64_t, t->rank),
                *hi = arena_array(el->arena, int64_t, t->rank);
        int64_t *step = arena_array(el->arena, int64_t, t->rank);
        for (uint32_t i = 0; i < t->rank; i++) {
            lo[i] = i == axis ? p * size : 0;
            hi[i] = i == axis ? (p + 1) * size : t->axes[i].size;
            step[i] = 1;
        }
        el->graph->here = c->loc;
        vec_push(el->arena, &l->v, value_node(el, graph_slice(el->graph, x, lo, hi, step)));
    }
    return value_list(l);
}

static bool amounts(const Call *c, uint32_t i, uint32_t rank, int64_t *out)
{
    const ValueList *items;
    if (!value_items(c->el, c->args[i], c->locs[i], &items)) return false;
    if (items->v.n != rank)
        return el_error(c->el, c->locs[i], "%u numbers for a tensor of %u axes", items->v.n, rank);
    for (uint32_t k = 0; k < rank; k++)
        if (!value_to_int(c->el, items->v.at[k], c->locs[i], "an amount", &out[k])) return false;
    return true;
}

Value builtin_pad(const Call *c)
{
    Elab *el = c->el;
    NodeId x = call_tensor(c, 0);
    if (!x) return value_error();
    uint32_t rank = call_type(c, x)->rank;
    int64_t *lo = arena_array(el->arena, int64_t, rank + 1),
            *hi = arena_array(el->arena, int64_t, rank + 1);
    if (!amounts(c, 1, rank, lo) || !amounts(c, 2, rank, hi)) return value_error();
    Value fill = c->args[3].kind == V_NONE ? value_int(0) : c->args[3];
    NodeId f = value_tensor(el, fill, call_type(c, x)->dtype, c->locs[3]);
    return call_node(c, graph_pad(call_graph(c), x, f, lo, hi));
}

Value builtin_flip(const Call *c)
{
    NodeId x = call_tensor(c, 0);
    int64_t *axes;
    uint32_t n;
    if (!x || !call_axes(c, 1, call_type(c, x)->rank, &axes, &n)) return value_error();
    Attr a = attr_ints(ATTR_AXES, axes, n);
    return call_node(c, graph_add(call_graph(c), OP_REVERSE, 1, &x, 1, &a));
}

Value builtin_gather(const Call *c)
{
    int64_t batch = 0;
    NodeId x = call_tensor(c, 0), i = call_integers(c, c->args[1], c->locs[1], "indices");
    if (!x || !i || !call_int(c, 2, "batch", &batch)) return value_error();
    Attr a = attr_int(ATTR_BATCH, batch);
    return call_node(c, graph_add(call_graph(c), OP_GATHER, 2, (NodeId[]){x, i}, 1, &a));
}

// ---- made from nothing ------------------------------------------------------------------------

static Value fill(const Call *c, Value v, uint32_t dtype_at)
{
    Elab *el = c->el;
    Axis *axes;
    uint32_t rank;
    DType dt = DT_F32;
    if (!call_sizes(c, 0, &axes, &rank)) return value_error();
    if (c->args[dtype_at].kind != V_NONE && !call_dtype(c, dtype_at, &dt)) return value_error();
    NodeId x = value_tensor(el, v, dt, c->loc);
    return call_node(c, x ? graph_broadcast_to(call_graph(c), x, rank, axes) : 0);
}

Value builtin_zeros(const Call *c)
{
    return fill(c, value_int(0), 1);
}
Value builtin_ones(const Call *c)
{
    return fill(c, value_int(1), 1);
}
Value builtin_full(const Call *c)
{
    return fill(c, c->args[1], 2);
}

Value builtin_arange(const Call *c)
{
    Axis *axes;
    uint32_t rank;
    if (!call_sizes(c, 0, &axes, &rank)) return value_error();
    if (rank != 1) return el_fail(c->el, c->locs[0], "one number is needed here");
    return call_node(c, graph_iota(c->el->graph, DT_I32, 1, axes, 0));
}

Value builtin_iota(const Call *c)
{
    Axis *axes;
    uint32_t rank;
    if (!call_sizes(c, 0, &axes, &rank)) return value_error();
    int64_t axis = one_axis(c, 1, rank);
    if (axis < 0) return value_error();
    return call_node(c, graph_iota(c->el->graph, DT_I32, rank, axes, axis));
}

// ---- random numbers ---------------------------------------------------------------------------

// u32 bits / 256 * 2^-24: the 24 high bits as a fraction in [0, 1).
static NodeId uniform_bits(const Call *c, uint32_t rank, const Axis *axes)
{
    Elab *el = c->el;
    Graph *g = el->graph;
    Frame *owner = c->scope->frame->owner;
    uint64_t stream = hash_u64(owner->stream, ++owner->count) >> 1;
    const Type *scalar = type_new(el->arena, DT_I64, 0, NULL);
    NodeId args[] = {graph_input(g, "$seed", scalar), el->initialising
                                                          ? graph_const(g, DT_I64, 0)
                                                          : graph_input(g, "$step", scalar)};
    Attr attrs[] = {attr_int(ATTR_STREAM, (int64_t)stream), attr_axes(ATTR_SHAPE, axes, rank)};
    NodeId bits = graph_add(g, OP_RANDOM, 2, args, 2, attrs);
    if (!bits) return 0;
    NodeId high = graph_binary(g, OP_DIV, bits, graph_const(g, DT_U32, 256));
    return graph_binary(g, OP_MUL, graph_cast(g, high, DT_F32), graph_const(g, DT_F32, 0x1p-24));
}

// a + b * x where a and b are arguments with defaults.
static Value affine(const Call *c, NodeId x, Value a, Value b)
{
    Value y = arith(c->el, EOP_MUL, value_node(c->el, x), b, c->loc);
    double zero;
    if (value_number(a, &zero) && zero == 0) return y;
    return arith(c->el, EOP_ADD, y, a, c->loc);
}

Value builtin_random_uniform(const Call *c)
{
    Axis *axes;
    uint32_t rank;
    if (!call_sizes(c, 0, &axes, &rank)) return value_error();
    NodeId x = uniform_bits(c, rank, axes);
    if (!x) return call_node(c, 0);
    Value lo = c->args[1].kind == V_NONE ? value_int(0) : c->args[1];
    Value hi = c->args[2].kind == V_NONE ? value_int(1) : c->args[2];
    return affine(c, x, lo, arith(c->el, EOP_SUB, hi, lo, c->loc));
}

// Box and Muller: sqrt(-2 log(1 - u)) cos(2 pi v) of two uniform numbers.
Value builtin_random_normal(const Call *c)
{
    Elab *el = c->el;
    Graph *g = el->graph;
    Axis *axes;
    uint32_t rank;
    if (!call_sizes(c, 0, &axes, &rank)) return value_error();
    NodeId u = uniform_bits(c, rank, axes), v = uniform_bits(c, rank, axes);
    if (!u || !v) return call_node(c, 0);
    NodeId log = graph_unary(g, OP_LOG, graph_binary(g, OP_SUB, graph_const(g, DT_F32, 1), u));
    NodeId radius =
        graph_unary(g, OP_SQRT, graph_binary(g, OP_MUL, graph_const(g, DT_F32, -2), log));
    NodeId turn = graph_binary(g, OP_MUL, graph_const(g, DT_F32, 6.283185307179586), v);
    NodeId z = graph_binary(g, OP_MUL, radius, graph_unary(g, OP_COS, turn));
    return affine(c, z, c->args[1].kind == V_NONE ? value_int(0) : c->args[1],
                  c->args[2].kind == V_NONE ? value_int(1) : c->args[2]);
}

// ---- structure --------------------------------------------------------------------------------

Value builtin_grad(const Call *c)
{
    NodeId loss = call_tensor(c, 0), x = call_tensor(c, 1);
    if (!loss || !x) return value_error();
    return call_node(c, graph_add(call_graph(c), OP_GRAD, 2, (NodeId[]){loss, x}, 0, NULL));
}

// param(shape, init, max): evaluated arguments; init is a number or a tensor made of compile-time
// values.
Value builtin_param(const Call *c)
{
    Elab *el = c->el;
    const Binding *b = c->scope->naming;
    Axis *axes = NULL;
    uint32_t rank = 0;
    double init = 0;
    if (!b) {
        el_error(el, c->loc, "a parameter needs a name");
        diag_help(el->diag, "write it as the value of a row of params:, in: or let:");
        return value_error();
    }
    if (c->args[0].kind != V_NONE && !call_sizes(c, 0, &axes, &rank)) return value_error();
    if (!call_float(c, 1, "init", &init)) return value_error();
    Frame *owner = c->scope->frame->owner;
    const char *path = path_join(el, owner->path, b->name);
    const Type *type = type_new(el->arena, DT_F32, rank, axes);
    Value v = param_make(el, path, type, NULL, NULL, c->scope, true, c->args[2], c->loc);
    Init *how = map_get(&el->inits, path);
    if (how) how->constant = init;
    return v;
}
