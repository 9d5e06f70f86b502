// Which members are stored. A value used outside its group is either written once and read there,
// or computed again by its user: elementwise values are computed again when that costs less than a
// trip to memory. So backward passes read what the forward pass had to keep anyway (the input of a
// norm, of an activation) and recompute the rest.
#include "passes/groups.h"

enum {
    COST_LOAD = 3,         // of one operand, in simple operations
    LIMIT_LOOP = 24,       // recompute in a loop kernel up to this cost
    LIMIT_CONTRACTION = 7, // and in the operand of a contraction
};

typedef struct Uses {
    const Grouping *gr;
    bool *must, *loop, *contraction; // by node: how it is used outside its group
    uint32_t *cost;                  // of computing it again from what is stored
    NodeId user;
    uint32_t user_group;
} Uses;

static void use_source(void *ctx, NodeId source, uint32_t operand, bool exact)
{
    (void)exact;
    Uses *u = ctx;
    uint32_t k = u->gr->group_of[source];
    if (!k || k == u->user_group) return;
    const Node *user = graph_node(u->gr->graph, u->user);
    OpClass class = op_info(user->op)->class;
    if (class == CLASS_ATTENTION || class == CLASS_SCATTER ||
        (class == CLASS_GATHER && operand == 0))
        u->must[source] = true;
    else if (class == CLASS_CONTRACT)
        u->contraction[source] = true;
    else
        u->loop[source] = true;
}

static void cost_source(void *ctx, NodeId source, uint32_t operand, bool exact)
{
    (void)operand, (void)exact;
    Uses *u = ctx;
    OpCode op = graph_node(u->gr->graph, source)->op;
    uint32_t cost = COST_LOAD;
    if (op == OP_CONST || op == OP_IOTA) cost = 0;
    if (u->cost[source] && u->cost[source] <= LIMIT_LOOP) cost = u->cost[source];
    u->cost[u->user] += cost;
}

static uint32_t own_cost(const Node *n)
{
    if (n->op == OP_POW) return 2 * LIMIT_LOOP;
    if (op_info(n->op)->flags & OPF_EXPAND) return LIMIT_LOOP / 2;
    if (n->op == OP_DIV || n->op == OP_SQRT || n->op == OP_GATHER) return 4;
    return 1;
}

// Rounding to 16 bits is not repeated: what it made is half as much to keep and to read as what it
// was made of.
static bool can_repeat(const Grouping *gr, NodeId id)
{
    const Node *n = graph_node(gr->graph, id);
    OpClass class = op_info(n->op)->class;
    const Group *gp = &gr->groups.at[gr->group_of[id] - 1];
    return !op_narrows(gr->graph, n) && (class == CLASS_ELEMENTWISE || class == CLASS_GATHER) &&
           gr->level[id] == LEVEL_FULL && gp->total > 1;
}

static void count_costs(Uses *u)
{
    for (NodeId id = 1; id < u->gr->graph->nodes.n; id++) {
        if (!u->gr->layout->live[id] || !u->gr->group_of[id] || !can_repeat(u->gr, id)) continue;
        u->user = id;
        u->cost[id] = own_cost(graph_node(u->gr->graph, id));
        visit_sources(u->gr, id, cost_source, u);
    }
}

static void count_uses(Uses *u)
{
    for (NodeId id = 1; id < u->gr->graph->nodes.n; id++) {
        if (!u->gr->layout->live[id] || !u->gr->group_of[id]) continue;
        u->user = id;
        u->user_group = u->gr->group_of[id];
        visit_sources(u->gr, id, use_source, u);
        const Node *n = graph_node(u->gr->graph, id);
        for (uint32_t i = 0; i < n->nargs; i++) // views copied for an operand
            if (op_is_view(graph_node(u->gr->graph, n->args[i])->op) && u->gr->group_of[n->args[i]])
                u->must[n->args[i]] = true;
    }
    for (NodeId id = 1; id < u->gr->graph->nodes.n; id++) u->must[id] |= u->gr->layout->root[id];
}

// What a recomputed node reads is now read from outside its group too.
static void pass_on(Uses *u, NodeId id)
{
    u->user = id;
    u->user_group = 0;
    visit_sources(u->gr, id, use_source, u);
}

void groups_store(Grouping *gr, uint32_t mask)
{
    uint32_t n = gr->graph->nodes.n;
    Uses u = {.gr = gr};
    u.must = arena_array(gr->arena, bool, n);
    u.loop = arena_array(gr->arena, bool, n);
    u.contraction = arena_array(gr->arena, bool, n);
    u.cost = arena_array(gr->arena, uint32_t, n);
    gr->stored = arena_array(gr->arena, bool, n);
    count_costs(&u);
    count_uses(&u);
    for (NodeId id = n; id-- > 1;) {
        if (!gr->layout->live[id] || !gr->group_of[id]) continue;
        if (!u.must[id] && !u.loop[id] && !u.contraction[id]) continue;
        uint32_t limit = u.contraction[id] ? LIMIT_CONTRACTION : LIMIT_LOOP;
        gr->stored[id] =
            u.must[id] || !(mask & FUSE_RECOMPUTE) || !can_repeat(gr, id) || u.cost[id] > limit;
        if (!gr->stored[id]) pass_on(&u, id);
    }
}
