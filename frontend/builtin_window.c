// Built-in function window: the places around each place, along new axes. With it convolutions are
// products and pooling is a reduction, and no other part of the compiler knows of either.
#include "frontend/builtin.h"
#include "frontend/guess.h"

typedef struct Window {
    const Call *c;
    const Type *type; // of the tensor
    uint32_t n;       // windowed axes, rising
    int64_t *axes, *size, *stride, *dilation, *pad;
} Window;

// Argument i, a whole number for every windowed axis or a list with one for each, as the axes were
// given.
static int64_t *numbers(const Window *w, uint32_t i, const char *what, int64_t least,
                        int64_t absent)
{
    const Call *c = w->c;
    Elab *el = c->el;
    const ValueList *items = NULL;
    int64_t *out = arena_array(el->arena, int64_t, w->n + 1);
    if (c->args[i].kind == V_LIST) {
        if (!value_items(el, c->args[i], c->locs[i], &items)) return NULL;
        if (items->v.n != w->n) {
            el_error(el, c->locs[i], "%u numbers for %u windowed axes", items->v.n, w->n);
            guess_shorter(el, c->locs[i], w->n);
            guess_shorter(el, c->locs[i], 0);
            return NULL;
        }
    }
    for (uint32_t k = 0; k < w->n; k++) {
        Value v = items ? items->v.at[k] : c->args[i];
        out[k] = absent;
        if (v.kind != V_NONE && !value_to_int(el, v, c->locs[i], what, &out[k])) return NULL;
        bool small = out[k] < least;
        if (!small && out[k] <= INT32_MAX) continue;
        el_error(el, c->locs[i], "%s is %lld; it is at %s %lld", what, (long long)out[k],
                 small ? "least" : "most", (long long)(small ? least : INT32_MAX));
        if (small) suggest_number(el, (double)out[k], (double)least, INT32_MAX, true);
        guess_less(el, c->locs[i]);
        guess_number(el);
        return NULL;
    }
    return out;
}

// Axes in rising order, and what belongs to them.
static void sort(Window *w)
{
    int64_t *lists[] = {w->axes, w->size, w->stride, w->dilation, w->pad};
    for (uint32_t i = 1; i < w->n; i++)
        for (uint32_t k = i; k > 0 && w->axes[k] < w->axes[k - 1]; k--)
            for (uint32_t l = 0; l < 5; l++) {
                int64_t t = lists[l][k];
                lists[l][k] = lists[l][k - 1];
                lists[l][k - 1] = t;
            }
}

// As many plain axes, one after the other.
static void guess_windowed(const Window *w)
{
    Elab *el = w->c->el;
    for (uint32_t i = 0; i + w->n <= w->type->rank; i++) {
        const char *list = "";
        bool plain = true;
        for (uint32_t k = i; k < i + w->n; k++) {
            plain &= !w->type->axes[k].per;
            list = str_printf(el->arena, "%s%s%u", list, *list ? ", " : "", k);
        }
        if (plain) guess_word(el, w->c->locs[1], str_printf(el->arena, "[%s]", list));
    }
}

// The largest one that fits, or zeros around; n: the size of the axis.
static void guess_window(const Window *w, uint32_t k, int64_t n)
{
    Elab *el = w->c->el;
    const long long most = (n + 2 * w->pad[k] - 1) / w->dilation[k] + 1;
    const long long reach = (w->size[k] - 1) * w->dilation[k] + 1, pad = (reach - n + 1) / 2;
    Loc at;
    if (!diag_last(el->diag, &at)) return;
    guess_word(el, at, str_printf(el->arena, "%lld", most));
    guess_word(el, at, str_printf(el->arena, "%s, pad=%lld", text_at(el, at), pad));
}

static bool read(Window *w)
{
    const Call *c = w->c;
    Elab *el = c->el;
    if (!call_axes(c, 1, w->type->rank, &w->axes, &w->n)) return false;
    w->size = numbers(w, 2, "the size of a window", 1, 1);
    w->stride = w->size ? numbers(w, 3, "a stride", 1, 1) : NULL;
    w->dilation = w->stride ? numbers(w, 4, "a dilation", 1, 1) : NULL;
    w->pad = w->dilation ? numbers(w, 5, "the padding", 0, 0) : NULL;
    if (!w->pad) return false;
    sort(w);
    for (uint32_t k = 0; k < w->n; k++) {
        int64_t axis = w->axes[k], n = w->type->axes[axis].size;
        int64_t reach = (w->size[k] - 1) * w->dilation[k] + 1;
        if (w->type->axes[axis].per) {
            el_error(el, c->locs[1], "window mixes samples: axis %lld of %s is a batch axis",
                     (long long)axis, type_text(el->arena, w->type));
            guess_windowed(w);
            return false;
        }
        if (reach <= n + 2 * w->pad[k]) continue;
        el_error(el, c->locs[2], "a window of %lld does not fit into axis %lld of %s",
                 (long long)reach, (long long)axis, type_text(el->arena, w->type));
        diag_help(el->diag, "with padding that axis has %lld", (long long)(n + 2 * w->pad[k]));
        guess_window(w, k, n);
        return false;
    }
    return true;
}

// The tensor with the axes of the places in a window, along which it repeats, and those moves.
static NodeId repeated(const Window *w, NodeId x, Skew *at)
{
    Elab *el = w->c->el;
    uint32_t rank = w->type->rank + w->n, last = (uint32_t)w->axes[w->n - 1];
    Axis *axes = arena_array(el->arena, Axis, rank + 1);
    int64_t *map = arena_array(el->arena, int64_t, w->type->rank + 1);
    for (uint32_t i = 0; i < w->type->rank; i++) {
        map[i] = i <= last ? i : i + w->n;
        axes[map[i]] = w->type->axes[i];
    }
    for (uint32_t k = 0; k < w->n; k++) {
        int64_t places =
            w->type->axes[w->axes[k]].size + 2 * w->pad[k] - (w->size[k] - 1) * w->dilation[k] - 1;
        axes[last + 1 + k] = (Axis){w->size[k], 0};
        at[k] = (Skew){.axis = w->axes[k],
                       .along = last + 1 + k,
                       .lo = -w->pad[k],
                       .stride = w->stride[k],
                       .step = w->dilation[k],
                       .up = 1,
                       .size = places / w->stride[k] + 1};
    }
    return graph_broadcast(el->graph, x, rank, axes, map);
}

Value builtin_window(const Call *c)
{
    Elab *el = c->el;
    NodeId x = call_tensor(c, 0);
    if (!x) return value_error();
    Window w = {.c = c, .type = graph_type(el->graph, x)};
    if (!read(&w)) return value_error();
    if (!w.n) return value_node(el, x);
    Value value = c->args[6].kind == V_NONE ? value_int(0) : c->args[6];
    NodeId fill = value_tensor(el, value, w.type->dtype, c->locs[6]);
    Skew *at = arena_array(el->arena, Skew, w.n);
    el->graph->here = c->loc;
    NodeId wide = repeated(&w, x, at);
    return call_node(c, graph_skew(el->graph, wide, fill, w.n, at));
}
