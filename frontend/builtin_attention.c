// The built-in function attention: its tensors, and what masks, brought into the shapes that the op
// takes (docs/ir.md). Lengths are segments: keys inside have the segment of all queries.
#include "frontend/builtin.h"
#include "frontend/guess.h"

#include <math.h>

enum { MASK = 3, SCALE, BIAS, SEGMENTS, LENGTHS };

static bool given(const Call *c, uint32_t i)
{
    return c->args[i].kind != V_NONE;
}

// What stands beside q (.., N, D): axes that are the first or the last of q's outer ones, then
// `own` axes of these sizes.
typedef struct Beside {
    const char *what, *help; // for messages: "the bias", and what it should be
    const Type *q;
    uint32_t own;
    const int64_t *sizes;
    bool first; // its axes are q's first ones
} Beside;

static bool fits(const Beside *b, const Type *x, Axis *axes)
{
    uint32_t outer = b->q->rank - 2;
    if (x->rank < b->own || x->rank > outer + b->own) return false;
    uint32_t mine = x->rank - b->own, from = b->first ? 0 : outer - mine;
    for (uint32_t i = 0; i < outer; i++) {
        axes[i] = i >= from && i < from + mine ? x->axes[i - from] : (Axis){1, 0};
        const Axis *of = &b->q->axes[i];
        bool one = axes[i].size == 1 && !axes[i].per;
        if (!one && (axes[i].size != of->size || axes[i].per != of->per)) return false;
    }
    for (uint32_t i = 0; i < b->own; i++) {
        axes[outer + i] = x->axes[mine + i];
        if (x->axes[mine + i].per ||
            (x->axes[mine + i].size != 1 && x->axes[mine + i].size != b->sizes[i]))
            return false;
    }
    return true;
}

// Another size of what is there, what else there is, what it may have been meant for, or nothing.
static void guess_beside(const Call *c, const Beside *b, const Type *x, Loc loc)
{
    Elab *el = c->el;
    const uint32_t outer = b->q->rank - 2;
    for (uint32_t i = 0; i < x->rank && i < b->own; i++)
        guess_exact_sizes(el, x->axes[x->rank - 1 - i].size, b->sizes[b->own - 1 - i]);
    for (uint32_t i = 0; x->rank > b->own && i < x->rank - b->own && i < outer; i++) {
        const uint32_t mine = b->first ? i : x->rank - b->own - 1 - i;
        const uint32_t of = b->first ? i : outer - 1 - i;
        if (!x->axes[mine].per && !b->q->axes[of].per)
            guess_exact_sizes(el, x->axes[mine].size, b->q->axes[of].size);
    }
    if (!b->own) guess_renamed(el, loc, "segments");
    guess_tensors(el, loc);
    guess_less(el, loc);
}

// Gives it with 1 for the outer axes that it lacks; 0 when reported.
static NodeId place(const Call *c, const Beside *b, NodeId x, Loc loc)
{
    Elab *el = c->el;
    uint32_t outer = b->q->rank - 2, rank = outer + b->own;
    Axis *axes = arena_array(el->arena, Axis, rank + 1);
    if (!fits(b, call_type(c, x), axes)) {
        el_error(el, loc, "%s: %s does not fit q %s", b->what,
                 type_text(el->arena, call_type(c, x)), type_text(el->arena, b->q));
        diag_help(el->diag, "%s", b->help);
        guess_beside(c, b, call_type(c, x), loc);
        return 0;
    }
    el->graph->here = loc;
    x = graph_reshape(el->graph, x, rank, axes);
    for (uint32_t i = 0; i < b->own; i++) axes[outer + i] = (Axis){b->sizes[i], 0};
    return graph_broadcast_to(el->graph, x, rank, axes);
}

// Segments of queries and keys: one tensor for both, or a list of two.
static bool segments(const Call *c, const Type *q, const int64_t *lengths, NodeId to[2])
{
    Value v = value_plain(c->el, c->args[SEGMENTS], c->locs[SEGMENTS]), each[2] = {v, v};
    Loc loc = c->locs[SEGMENTS];
    const ValueList *items;
    if (v.kind == V_LIST) {
        if (!value_items(c->el, v, loc, &items)) return false;
        if (items->v.n != 2) {
            el_error(c->el, loc, "segments are those of the queries and those of the keys, not %u",
                     items->v.n);
            guess_shorter(c->el, loc, 2);
            guess_shorter(c->el, loc, 0);
            return false;
        }
        memcpy(each, items->v.at, sizeof each);
    }
    for (int i = 0; i < 2; i++) {
        static const char *const what[] = {"segments of the queries", "segments of the keys"};
        const char *help = str_printf(c->el->arena,
                                      "they are (.., %lld), one a position; axes before that "
                                      "are the first of q, or 1",
                                      (long long)lengths[i]);
        Beside b = {what[i], help, q, 1, &lengths[i], true};
        to[i] = call_integers(c, each[i], loc, "segments");
        to[i] = to[i] ? place(c, &b, to[i], loc) : 0;
        if (!to[i]) return false;
    }
    return true;
}

// Segments that say how many keys there are.
static bool key_lengths(const Call *c, const Type *q, const int64_t *lengths, NodeId to[2])
{
    Graph *g = c->el->graph;
    Loc loc = c->locs[LENGTHS];
    Beside b = {"the lengths", "they have the first axes of q, or 1 for them", q, 0, NULL, true};
    uint32_t rank = q->rank - 1;
    NodeId x = call_integers(c, c->args[LENGTHS], loc, "lengths");
    x = x ? place(c, &b, x, loc) : 0;
    if (!x) return false;
    Axis *axes = arena_array(c->el->arena, Axis, rank);
    memcpy(axes, call_type(c, x)->axes, (rank - 1) * sizeof *axes);
    axes[rank - 1] = (Axis){1, 0};
    x = graph_reshape(g, x, rank, axes);
    for (uint32_t i = 0; i + 1 < rank; i++) axes[i] = (Axis){1, 0};
    axes[rank - 1].size = lengths[1];
    NodeId inside = graph_binary(g, OP_LT, graph_iota(g, DT_I32, rank, axes, rank - 1), x);
    NodeId zero = graph_const(g, DT_I32, 0);
    to[1] = graph_select(g, inside, zero, graph_const(g, DT_I32, 1));
    axes[rank - 1].size = lengths[0];
    to[0] = graph_broadcast_to(g, zero, rank, axes);
    return to[0] && to[1];
}

// What is beside q, k and v, after them in x; how many there are then, 0 when reported.
static uint32_t beside(const Call *c, NodeId x[6])
{
    const Type *q = call_type(c, x[0]), *k = call_type(c, x[1]);
    bool masked = given(c, BIAS) || given(c, SEGMENTS) || given(c, LENGTHS);
    if (!masked) return 3;
    if (q->rank < 2 || k->rank < 2) {
        el_error(c->el, c->loc, "q and k are (.., N, D), not %s and %s", type_text(c->el->arena, q),
                 type_text(c->el->arena, k));
        return 0;
    }
    const int64_t lengths[] = {q->axes[q->rank - 2].size, k->axes[k->rank - 2].size};
    uint32_t n = 3;
    if (given(c, SEGMENTS) && given(c, LENGTHS)) {
        el_error(c->el, c->locs[LENGTHS], "attention has segments or lengths, not both");
        diag_help(c->el->diag, "give keys beyond the length a segment that no query has");
        guess_less(c->el, c->locs[SEGMENTS]);
        guess_less(c->el, c->locs[LENGTHS]);
        return 0;
    }
    if (given(c, SEGMENTS) || given(c, LENGTHS)) {
        if (!(given(c, SEGMENTS) ? segments : key_lengths)(c, q, lengths, &x[n])) return 0;
        n += 2;
    }
    if (!given(c, BIAS)) return n;
    const char *help = str_printf(c->el->arena,
                                  "it is (.., %lld, %lld), queries and keys; axes before those are "
                                  "the last outer ones of q, or 1",
                                  (long long)lengths[0], (long long)lengths[1]);
    Beside b = {"the bias", help, q, 2, lengths, false};
    DType dt = q->dtype == DT_F64 ? DT_F64 : DT_F32;
    NodeId bias = value_tensor(c->el, c->args[BIAS], dt, c->locs[BIAS]);
    x[n] = bias ? place(c, &b, bias, c->locs[BIAS]) : 0;
    return x[n] ? n + 1 : 0;
}

// A word of these, or the argument that a tensor was meant for.
static void guess_mask(const Call *c, const Value *v)
{
    Elab *el = c->el;
    const Loc at = c->locs[MASK];
    const char *text = text_at(el, at), quote = *text == '"' ? '"' : '\'';
    if (v->kind == V_STR) {
        guess_word(el, at, str_printf(el->arena, "%ccausal%c", quote, quote));
        guess_word(el, at, str_printf(el->arena, "%cnone%c", quote, quote));
        return;
    }
    static const char *const others[] = {"bias", "segments", "lengths"};
    for (int i = 0; i < 3; i++) guess_renamed(el, at, others[i]);
    guess_less(el, at);
}

// "none" or "causal"; NULL when reported.
static const char *mask_of(const Call *c)
{
    const Value *v = &c->args[MASK];
    if (!given(c, MASK)) return "none";
    if (v->kind == V_STR && (!strcmp(v->s, "none") || !strcmp(v->s, "causal"))) return v->s;
    el_error(c->el, c->locs[MASK], "the mask is \"none\" or \"causal\", not %s",
             value_text(c->el, *v));
    diag_help(c->el->diag, "keys are hidden by lengths= or segments=, numbers are added to the "
                           "scores by bias=");
    guess_mask(c, v);
    return NULL;
}

Value builtin_attention(const Call *c)
{
    Elab *el = c->el;
    NodeId x[6];
    for (uint32_t i = 0; i < MASK; i++) {
        x[i] = call_tensor(c, i);
        if (!x[i]) return value_error();
    }
    const Type *q = call_type(c, x[0]);
    double scale = q->rank ? 1 / sqrt((double)q->axes[q->rank - 1].size) : 1;
    const char *mask = mask_of(c);
    if (!mask) return value_error();
    if (given(c, SCALE) && !value_to_float(el, c->args[SCALE], c->locs[SCALE], "scale", &scale))
        return value_error();
    uint32_t n = beside(c, x);
    if (!n) return value_error();
    el->graph->here = c->loc;
    Attr attrs[] = {attr_str(ATTR_MASK, mask), attr_float(ATTR_SCALE, scale)};
    el_precise(el);
    NodeId both = graph_add(el->graph, OP_ATTENTION, n, x, 2, attrs);
    el_plain(el);
    return call_node(c, both ? graph_proj(el->graph, both, 0) : 0);
}
