// Which members are stored. A value used outside its group is either written once and read there,
// or computed again by its user: elementwise values are computed again when that costs less than a
// trip to memory, both in operations and in what is read for it. So backward passes read what the
// forward pass had to keep anyway (the input of a norm, of an activation) and recompute the rest.
// Of a chain of sums, such as a residual stream, every second one is stored.
#include "passes/groups.h"

enum {
    COST_LOAD = 3,         // of one operand, in simple operations
    LIMIT_LOOP = 24,       // recompute in a loop kernel up to this cost
    LIMIT_CONTRACTION = 7, // and in the operand of a contraction
    MOST_READS = 8,        // values that are read to compute one again
};

// What a value is computed again from: each once.
typedef struct Reads {
    uint32_t n; // MOST_READS + 1: more
    NodeId at[MOST_READS];
} Reads;

typedef struct Uses {
    const Grouping *gr;
    bool *must, *loop, *contraction; // by node: how it is used outside its group
    uint32_t *cost;                  // of computing it again from what is stored
    Reads *reads;
    bool *again; // by node: it may be computed again in a loop kernel
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
    if (class == CLASS_ATTENTION || class == CLASS_SCATTER || class == CLASS_ORDERED ||
        (class == CLASS_GATHER && operand == 0))
        u->must[source] = true;
    else if (class == CLASS_CONTRACT)
        u->contraction[source] = true;
    else
        u->loop[source] = true;
}

static void add_read(Reads *r, NodeId id)
{
    for (uint32_t i = 0; i < r->n && r->n <= MOST_READS; i++)
        if (r->at[i] == id) return;
    if (r->n < MOST_READS) r->at[r->n] = id;
    if (r->n <= MOST_READS) r->n++;
}

static void cost_source(void *ctx, NodeId source, uint32_t operand, bool exact)
{
    (void)operand, (void)exact;
    Uses *u = ctx;
    OpCode op = graph_node(u->gr->graph, source)->op;
    const Reads *from = &u->reads[source];
    if (op == OP_CONST || op == OP_IOTA) return;
    u->cost[u->user] += u->again[source] ? u->cost[source] : COST_LOAD;
    if (!u->again[source]) add_read(&u->reads[u->user], source);
    for (uint32_t i = 0; u->again[source] && i < from->n; i++)
        add_read(&u->reads[u->user], from->at[i]);
}

// A stored value is written once and, as a rule, read twice; so reading may cost half as much again
// as the value itself, and a little for what is the same in a whole row. (Flags and 16-bit values
// count as f32: who needs them mostly reads what they are made of anyway.)
static bool reads_little(const Graph *g, NodeId id, const Reads *r)
{
    int64_t count = type_count(graph_type(g, id)), sum = 0;
    for (uint32_t i = 0; i < r->n && r->n <= MOST_READS; i++) {
        const Type *type = graph_type(g, r->at[i]);
        int64_t n = type->nparts ? count : type_count(type);
        sum += (n < count ? n : count) * dtype_size(type->dtype);
    }
    int64_t size = dtype_size(graph_type(g, id)->dtype);
    return r->n <= MOST_READS && 2 * sum <= 3 * count * (size < 4 ? 4 : size) + count;
}

static uint32_t own_cost(const Node *n)
{
    if (n->op == OP_POW) return 2 * LIMIT_LOOP;
    if (op_info(n->op)->flags & OPF_EXPAND) return LIMIT_LOOP / 2;
    if (n->op == OP_DIV || n->op == OP_SQRT || n->op == OP_GATHER) return 4;
    return 1;
}

// Rounding to 16 bits is not repeated: what it made is half as much to keep and to read as what it
// was made of. Nor is rounding to tf32: products copy what is rounded in memory as it is, and a
// library takes nothing else.
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
        u->again[id] = u->cost[id] <= LIMIT_LOOP && reads_little(u->gr->graph, id, &u->reads[id]);
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
    for (NodeId id = 1; id < u->gr->graph->nodes.n; id++)
        u->must[id] |= u->gr->layout->root[id] || u->gr->layout->part[id];
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
    u.reads = arena_array(gr->arena, Reads, n);
    u.again = arena_array(gr->arena, bool, n);
    gr->stored = arena_array(gr->arena, bool, n);
    count_costs(&u);
    count_uses(&u);
    for (NodeId id = n; id-- > 1;) {
        if (!gr->layout->live[id] || !gr->group_of[id]) continue;
        if (!u.must[id] && !u.loop[id] && !u.contraction[id]) continue;
        gr->stored[id] = u.must[id] || !(mask & FUSE_RECOMPUTE) || !u.again[id] ||
                         (u.contraction[id] && u.cost[id] > LIMIT_CONTRACTION);
        if (!gr->stored[id]) pass_on(&u, id);
    }
}
