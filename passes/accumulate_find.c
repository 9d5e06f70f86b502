// Where to cut a step that is run in parts. One sweep upwards tells local nodes from coupled ones,
// one downwards finds the local values that coupled ones read. Such a value is moved to the other
// side where it is computed from less than it takes (a broadcast, a cast) or from nothing that has
// samples (a mask of random numbers), so that what crosses is small; sums over samples cross as one
// sum a part.
//
// A count over samples (an integer sum) of local values and of coupled ones without samples, as a
// histogram is, does not need the local ones for the whole batch either: the parts count in the
// backward entry, when they compute them again, and what they have to know by then makes its cuts
// early. Not of what the loss depends on.
//
// A gradient inside the step (of another loss, or towards a value that is no parameter) has to see
// all that lies between: what reads its x counts as coupled.
#include "passes/accumulate.h"

bool part_axis(const Type *type, uint32_t *axis)
{
    bool any = false;
    for (uint32_t i = 0; i < type->rank; i++) {
        if (!type->axes[i].per) continue;
        any = true;
        *axis = i;
    }
    return any;
}

static bool has_samples(const Type *type)
{
    uint32_t axis;
    for (uint32_t i = 0; i < type->nparts; i++)
        if (part_axis(type->parts[i], &axis)) return true;
    return part_axis(type, &axis);
}

static bool reduces_samples(const Graph *g, const Node *n)
{
    if (n->op != OP_SUM && n->op != OP_REDUCE_MAX && n->op != OP_REDUCE_MIN) return false;
    uint32_t count;
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    const Type *x = graph_type(g, n->args[0]);
    for (uint32_t i = 0; i < count; i++)
        if (x->axes[axes[i]].per) return true;
    return false;
}

static bool crosses(const Graph *g, const Node *n)
{
    return n->op == OP_BATCH_GATHER || reduces_samples(g, n);
}

// ---- gradients ----------------------------------------------------------------------------------

static bool is_param(const Split *s, const Node *n)
{
    if (n->op != OP_STATE) return false;
    const StateVar *v = program_find_state(s->program, node_str(n, ATTR_NAME));
    return v && v->kind == STATE_PARAM;
}

// What is minimised: the loss that is called so, else the last one of which a parameter's gradient
// is taken. (A gradient that is part of the loss comes before it.)
static NodeId find_loss(const Split *s)
{
    NodeId last = 0, named = 0;
    for (uint32_t i = 0; i < s->step->outputs.n; i++)
        if (strcmp(s->step->outputs.at[i].name, "loss") == 0) named = s->step->outputs.at[i].node;
    for (NodeId id = 1; id < s->g->nodes.n; id++) {
        const Node *n = graph_node(s->g, id);
        if (!s->live[id] || n->op != OP_GRAD || !is_param(s, graph_node(s->g, n->args[1])))
            continue;
        if (n->args[0] == named) return named;
        if (n->args[0] > last) last = n->args[0];
    }
    return last;
}

static void find_trainees(Split *s)
{
    for (NodeId id = 1; id < s->g->nodes.n; id++) {
        const Node *n = graph_node(s->g, id);
        if (!s->live[id] || n->op != OP_GRAD || n->args[0] != s->loss) continue;
        const Node *x = graph_node(s->g, n->args[1]);
        if (is_param(s, x))
            vec_push(s->scratch, &s->trainees,
                     (Trainee){.grad = id, .param = n->args[1], .name = node_str(x, ATTR_NAME)});
    }
}

static bool is_trainee(const Split *s, NodeId grad)
{
    for (uint32_t i = 0; i < s->trainees.n; i++)
        if (s->trainees.at[i].grad == grad) return true;
    return false;
}

// ---- local or coupled ---------------------------------------------------------------------------

// Could it be done for the whole batch at no cost that counts?
static bool is_cheap(const Node *n)
{
    OpClass class = op_info(n->op)->class;
    if (n->op == OP_INPUT) return !has_samples(n->type);
    return class == CLASS_LEAF || class == CLASS_RANDOM || class == CLASS_ELEMENTWISE ||
           class == CLASS_VIEW;
}

static void find_local(Split *s)
{
    const Graph *g = s->g;
    bool *inside = arena_array(s->scratch, bool, g->nodes.n); // x of a gradient inside the step
    for (NodeId id = 1; id < g->nodes.n; id++)
        if (s->live[id] && graph_node(g, id)->op == OP_GRAD && !is_trainee(s, id))
            inside[graph_node(g, id)->args[1]] = true;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        s->local[id] = n->op != OP_GRAD && !crosses(g, n);
        s->free[id] = is_cheap(n);
        for (uint32_t i = 0; i < n->nargs; i++) {
            s->local[id] &= s->local[n->args[i]] && !inside[n->args[i]];
            s->free[id] &= s->free[n->args[i]];
        }
        s->free[id] &= s->local[id];
    }
}

// ---- second looks
// ---------------------------------------------------------------------------------

static bool is_partial(const Split *s, const Node *n);

static bool *below_loss(const Split *s)
{
    bool *below = arena_array(s->scratch, bool, s->g->nodes.n);
    below[s->loss] = true;
    for (NodeId id = s->loss; id > 0; id--) {
        const Node *n = graph_node(s->g, id);
        for (uint32_t i = 0; i < n->nargs && below[id]; i++) below[n->args[i]] = true;
    }
    return below;
}

static bool is_count(const Split *s, const Node *n)
{
    return reduces_samples(s->g, n) && n->op == OP_SUM && !dtype_is_float(n->type->dtype) &&
           s->second[n->args[0]];
}

// What was counted so is known too late to count by.
static void find_second(Split *s)
{
    const Graph *g = s->g;
    const bool *below = below_loss(s);
    bool *late = arena_array(s->scratch, bool, g->nodes.n);
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        s->second[id] = !s->local[id] && !below[id] && n->op != OP_GRAD && !crosses(g, n) &&
                        has_samples(n->type) && !n->type->nparts;
        for (uint32_t i = 0; i < n->nargs; i++) {
            NodeId x = n->args[i];
            const Node *from = graph_node(g, x);
            bool known = !has_samples(from->type) && !late[x] && !is_partial(s, from);
            s->second[id] &= s->local[x] || s->second[x] || known;
            late[id] |= late[x];
        }
        late[id] |= is_count(s, n);
    }
}

// ---- cuts ---------------------------------------------------------------------------------------

// Bytes of the operands that would have to cross instead.
static int64_t crossing_bytes(const Split *s, const Node *n)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < n->nargs; i++) {
        NodeId x = n->args[i];
        bool again = i && x == n->args[i - 1];
        if (!s->free[x] && has_samples(graph_type(s->g, x)) && !again)
            bytes += type_bytes(graph_type(s->g, x));
    }
    return bytes;
}

// Is a local value of samples better computed where it is read? The host has the whole batch of an
// input.
static bool moves(const Split *s, NodeId id)
{
    const Node *n = graph_node(s->g, id);
    if (s->free[id] || n->op == OP_INPUT) return true;
    OpClass class = op_info(n->op)->class;
    int64_t bytes = type_bytes(n->type);
    if (class == CLASS_VIEW) return crossing_bytes(s, n) <= bytes;
    return class == CLASS_ELEMENTWISE && crossing_bytes(s, n) < bytes;
}

// The sum over the samples is the sum of the parts' sums; so is a maximum, but a gradient would see
// where two of them are equal.
static bool is_partial(const Split *s, const Node *n)
{
    if (!reduces_samples(s->g, n) || !s->local[n->args[0]] || s->free[n->args[0]]) return false;
    return n->op == OP_SUM || !dtype_is_float(n->type->dtype);
}

static void add_cut(Split *s, NodeId id, bool partial)
{
    Cut cut = {.node = id, .partial = partial};
    part_axis(graph_type(s->g, id), &cut.axis);
    vec_push(s->scratch, &s->cuts, cut);
    s->cut_of[id] = s->cuts.n;
}

// The operands of a value that the parts compute at their second look: `wanted` there too, or
// known.
static void look_again(Split *s, const Node *n, bool *wanted, bool *read)
{
    for (uint32_t i = 0; i < n->nargs; i++) {
        NodeId x = n->args[i];
        if (s->second[x]) {
            wanted[x] = true;
        } else if (!s->local[x] && !s->known[x]) {
            read[x] = s->known[x] = true;
            vec_push(s->scratch, &s->knowns, ((Known){x, NULL}));
        }
    }
}

static void find_cuts(Split *s)
{
    const Graph *g = s->g;
    bool *wanted = arena_array(s->scratch, bool, g->nodes.n);
    bool *read = arena_array(s->scratch, bool, g->nodes.n); // by what has the whole batch
    for (uint32_t i = 0; i < s->step->outputs.n; i++) read[s->step->outputs.at[i].node] = true;
    for (uint32_t i = 0; i < s->step->updates.n; i++) read[s->step->updates.at[i].node] = true;
    for (NodeId id = g->nodes.n; id-- > 1;) {
        const Node *n = graph_node(g, id);
        bool counts = read[id] && is_count(s, n);
        if (wanted[id] || counts) look_again(s, n, wanted, read);
        if (!read[id]) continue;
        if (counts || is_partial(s, n)) {
            add_cut(s, id, true);
            continue;
        }
        if (s->local[id] && has_samples(n->type) && !n->type->nparts && !moves(s, id)) {
            add_cut(s, id, false);
            continue;
        }
        for (uint32_t i = 0; i < n->nargs; i++) read[n->args[i]] = true;
    }
}

// The loss, and coupled numbers among outputs and what reads gradients.
static void find_values(Split *s)
{
    const Graph *g = s->g;
    bool *after = arena_array(s->scratch, bool, g->nodes.n),
         *value = arena_array(s->scratch, bool, g->nodes.n);
    for (uint32_t i = 0; i < s->step->outputs.n; i++) value[s->step->outputs.at[i].node] = true;
    value[s->loss] = true;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        after[id] = is_trainee(s, id);
        for (uint32_t i = 0; i < n->nargs && n->op != OP_GRAD; i++) after[id] |= after[n->args[i]];
        for (uint32_t i = 0; i < n->nargs && s->live[id] && after[id] && n->op != OP_GRAD; i++)
            value[n->args[i]] = true;
    }
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Type *type = graph_type(g, id);
        if (value[id] && !after[id] && !s->local[id] && !s->cut_of[id] && !type->rank &&
            dtype_is_float(type->dtype))
            vec_push(s->scratch, &s->values, id);
    }
}

bool accumulate_find(Split *s)
{
    uint32_t n = s->g->nodes.n;
    s->local = arena_array(s->scratch, bool, n);
    s->free = arena_array(s->scratch, bool, n);
    s->second = arena_array(s->scratch, bool, n);
    s->known = arena_array(s->scratch, bool, n);
    s->cut_of = arena_array(s->scratch, uint32_t, n);
    s->loss = find_loss(s);
    if (!s->loss) return false;
    find_trainees(s);
    find_local(s);
    find_second(s);
    find_cuts(s);
    find_values(s);
    return true;
}
