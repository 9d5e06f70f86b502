// Built-in functions along one axis whose elements depend on each other: cumulative sums, order,
// suppression of boxes; and what adds up by index.
#include "frontend/builtin.h"
#include "frontend/guess.h"

// The axis that argument `at` names; the last where it is absent. False when reported.
static bool row_axis(const Call *c, uint32_t at, const Type *t, int64_t *axis)
{
    Elab *el = c->el;
    int64_t *axes;
    uint32_t n;
    *axis = (int64_t)t->rank - 1;
    if (!t->rank) {
        el_error(el, c->locs[0], "%s of a number needs an axis", c->builtin->name);
        guess_sure_word(el, c->loc, text_at(el, c->locs[0]));
        return false;
    }
    if (c->args[at].kind != V_NONE) {
        if (!call_axes(c, at, t->rank, &axes, &n)) return false;
        if (n != 1) {
            el_error(el, c->locs[at], "one axis is needed here");
            if (n > 1)
                suggest(el, str_printf(el->arena, "%lld", (long long)axes[0]),
                        str_printf(el->arena, "%lld", (long long)axes[1]));
            return false;
        }
        *axis = axes[0];
    }
    if (!t->axes[*axis].per) return true;
    el_error(el, c->locs[at], "%s mixes samples: axis %lld of %s is a batch axis", c->builtin->name,
             (long long)*axis, type_text(el->arena, t));
    diag_help(el->diag, "batch_gather makes the whole batch a plain axis");
    guess_axes(el, c->locs[at], t);
    guess_wrapped(el, c->locs[0], "batch_gather(", ")");
    return false;
}

// Argument 0 with the axis that argument `at` names (the last where it is absent) moved to the end;
// types that are too small to count in become i32. 0 when reported.
static NodeId row_operand(const Call *c, uint32_t at, int64_t *axis)
{
    Elab *el = c->el;
    NodeId x = call_tensor(c, 0);
    if (!x) return 0;
    const Type *t = call_type(c, x);
    if (!row_axis(c, at, t, axis)) return 0;
    if (t->dtype == DT_BOOL ||
        (c->builtin->op == OP_CUMSUM && dtype_size(t->dtype) < 4 && !dtype_is_float(t->dtype)))
        x = node_cast(el, x, DT_I32);
    int64_t *perm = arena_array(el->arena, int64_t, t->rank);
    for (int64_t i = 0, next = 0; i < t->rank; i++)
        if (i != *axis) perm[next++] = i;
    perm[t->rank - 1] = *axis;
    return graph_transpose(call_graph(c), x, perm);
}

// The last axis back to where it was.
static NodeId row_result(const Call *c, NodeId y, int64_t axis)
{
    if (!y) return 0;
    int64_t rank = call_type(c, y)->rank, *perm = arena_array(c->el->arena, int64_t, rank);
    for (int64_t i = 0; i < rank; i++) perm[i] = i < axis ? i : i == axis ? rank - 1 : i - 1;
    return graph_transpose(c->el->graph, y, perm);
}

Value builtin_cumsum(const Call *c)
{
    int64_t axis;
    bool reverse = false;
    if (!call_flag(c, 2, "reverse", &reverse)) return value_error();
    NodeId x = row_operand(c, 1, &axis);
    if (!x) return call_node(c, 0);
    Attr a = attr_int(ATTR_REVERSE, reverse);
    x = graph_add(c->el->graph, OP_CUMSUM, 1, &x, 1, &a);
    return call_node(c, row_result(c, x, axis));
}

// The first `size` along an axis in order, 0 for all: a tuple. 0 when reported.
static NodeId ordered(const Call *c, uint32_t axis_at, int64_t size, bool falling, int64_t *axis)
{
    NodeId x = row_operand(c, axis_at, axis);
    if (!x) return 0;
    const Type *t = call_type(c, x);
    int64_t n = t->axes[t->rank - 1].size;
    if (size > n) {
        el_error(c->el, c->locs[1], "k is %lld, and axis %lld has %lld elements", (long long)size,
                 (long long)*axis, (long long)n);
        guess_word(c->el, c->locs[1], str_printf(c->el->arena, "%lld", (long long)n));
        guess_exact_sizes(c->el, n, size);
        return 0;
    }
    if (dtype_size(t->dtype) > 4) {
        el_error(c->el, c->locs[0], "%s orders elements of at most 4 bytes, not %s",
                 c->builtin->name, type_text(c->el->arena, t));
        suggest_casts(c->el, dtype_is_float(t->dtype) ? DT_F32 : DT_I32, DT_F32);
        return 0;
    }
    Attr attrs[] = {attr_int(ATTR_SIZE, size ? size : n), attr_int(ATTR_RISING, !falling)};
    return graph_add(c->el->graph, OP_TOPK, 1, &x, 2, attrs);
}

// A part of a node that is a tuple; an error where that is 0.
static Value part_of(const Call *c, NodeId tuple, int64_t part)
{
    return call_node(c, tuple ? graph_proj(c->el->graph, tuple, part) : 0);
}

static Value record_of(const Call *c, const char *first, Value x, const char *second, Value y)
{
    Map *record = arena_make(c->el->arena, Map);
    if (x.kind == V_ERROR || y.kind == V_ERROR) return value_error();
    record_put(c->el, record, first, x);
    record_put(c->el, record, second, y);
    return value_record(record);
}

Value builtin_topk(const Call *c)
{
    Elab *el = c->el;
    int64_t k, axis;
    bool falling = true;
    if (!value_to_int(el, c->args[1], c->locs[1], "k", &k) || !call_flag(c, 3, "falling", &falling))
        return value_error();
    if (k < 1) {
        el_error(el, c->locs[1], "k is %lld and must be 1 or more", (long long)k);
        suggest_guess(el, "1", "2");
        return value_error();
    }
    NodeId t = ordered(c, 2, k, falling, &axis), parts[2] = {0};
    for (int i = 0; t && i < 2; i++) parts[i] = row_result(c, graph_proj(el->graph, t, i), axis);
    return record_of(c, "values", call_node(c, parts[0]), "indices", call_node(c, parts[1]));
}

// All elements in order, values or indices.
static Value all_ordered(const Call *c, int64_t part)
{
    int64_t axis;
    bool falling = false;
    if (!call_flag(c, 2, "falling", &falling)) return value_error();
    NodeId t = ordered(c, 1, 0, falling, &axis);
    if (t) t = row_result(c, graph_proj(c->el->graph, t, part), axis);
    return call_node(c, t);
}

Value builtin_sort(const Call *c)
{
    return all_ordered(c, 0);
}

Value builtin_argsort(const Call *c)
{
    return all_ordered(c, 1);
}

static bool are_boxes(const Call *c, const Type *t)
{
    const int64_t last = t->rank ? t->axes[t->rank - 1].size : 0;
    if (t->rank > 1 && last == 4) return true;
    el_error(c->el, c->locs[0], "nms takes boxes (.., N, 4), not %s", type_text(c->el->arena, t));
    guess_slice(c->el, c->locs[0], last, 4);
    guess_unindexed(c->el, c->locs[0]);
    return false;
}

Value builtin_nms(const Call *c)
{
    Elab *el = c->el;
    int64_t size;
    double threshold = 0.5;
    if (!value_to_int(el, c->args[2], c->locs[2], "size", &size)) return value_error();
    if (!call_float(c, 3, "threshold", &threshold)) return value_error();
    NodeId args[2], t;
    for (uint32_t i = 0; i < 2; i++) {
        args[i] = call_tensor(c, i);
        if (!args[i]) return value_error();
        args[i] = node_cast(el, args[i], DT_F32);
    }
    if (!(threshold >= 0 && threshold <= 1)) {
        el_error(el, c->locs[3], "the threshold of nms is %g; it is in [0, 1]", threshold);
        suggest_number(el, threshold, 0, 1, false);
        return value_error();
    }
    if (!are_boxes(c, call_type(c, args[0]))) return value_error();
    Attr attrs[] = {attr_int(ATTR_SIZE, size), attr_float(ATTR_THRESHOLD, threshold)};
    el->graph->here = c->loc;
    t = graph_add(el->graph, OP_NMS, 2, args, 2, attrs);
    return record_of(c, "indices", part_of(c, t, 0), "count", part_of(c, t, 1));
}

Value builtin_eigh(const Call *c)
{
    Elab *el = c->el;
    NodeId x = call_tensor(c, 0), t;
    if (!x) return value_error();
    if (!dtype_is_float(call_type(c, x)->dtype)) {
        el_error(el, c->locs[0], "eigh is of floats, not of %s",
                 type_text(el->arena, call_type(c, x)));
        suggest_cast(el, DT_F32);
        return value_error();
    }
    const Type *m = call_type(c, x);
    if (m->rank < 2 || m->axes[m->rank - 1].size != m->axes[m->rank - 2].size) {
        el_error(el, c->locs[0], "eigh takes symmetric matrices (.., N, N), not %s",
                 type_text(el->arena, m));
        const char *of = text_at(el, c->locs[0]);
        guess_word(el, c->locs[0], str_printf(el->arena, "transpose(%s) @ %s", of, of));
        guess_word(el, c->locs[0], str_printf(el->arena, "%s @ transpose(%s)", of, of));
        return value_error();
    }
    x = node_cast(el, x, DT_F32);
    el->graph->here = c->loc;
    t = graph_add(el->graph, OP_EIGH, 1, &x, 0, NULL);
    return record_of(c, "values", part_of(c, t, 0), "vectors", part_of(c, t, 1));
}

Value builtin_scatter_add(const Call *c)
{
    Elab *el = c->el;
    int64_t size, batch = 0;
    NodeId x = call_tensor(c, 0), i = call_integers(c, c->args[1], c->locs[1], "indices");
    if (!x || !i || !value_to_int(el, c->args[2], c->locs[2], "size", &size) ||
        !call_int(c, 3, "batch", &batch))
        return value_error();
    if (call_type(c, x)->dtype == DT_BOOL) x = node_cast(el, x, DT_I32);
    Attr attrs[] = {attr_int(ATTR_BATCH, batch), attr_int(ATTR_SIZE, size)};
    return call_node(c, graph_add(call_graph(c), OP_SCATTER_ADD, 2, (NodeId[]){i, x}, 2, attrs));
}
