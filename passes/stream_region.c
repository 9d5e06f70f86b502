// The region of nodes that pass stream cuts: found from one product by following its axis.
//
// Large are nodes with at least half as many elements for each row of the axis as the product. From
// the product the axis is followed to all users of large nodes, to the operands that they need cut
// where those are large too, and through small ones as far as elementwise ops, views and
// reductions go. There is no region where something large is needed whole, or by an op that cannot
// be cut. Of small nodes those belong to it that read something large, or lie between large nodes.
//
// Then the sweeps: a node is of the level of its operands; a whole value (a sum along the axis,
// what is concatenated, and all that follows from these) is there in the next one.
#include "passes/stream.h"

enum {
    DEEP = 8,  // a product is cut whose rows are this much longer than those of its operands
    DEARER = 2 // by this much may sweeps make the products of a region dearer
};

typedef struct Search {
    Region *r;
    VEC(NodeId) todo;
} Search;

static const bool *forward_part(const Entry *e, const bool *live, Arena *arena)
{
    bool *forward = arena_array(arena, bool, e->graph->nodes.n), found = false;
    for (uint32_t i = 0; i < e->outputs.n; i++)
        if (!strcmp(e->outputs.at[i].name, "loss")) forward[e->outputs.at[i].node] = found = true;
    for (NodeId id = e->graph->nodes.n; id-- > 1;)
        for (uint32_t i = 0; forward[id] && i < graph_node(e->graph, id)->nargs; i++)
            forward[graph_node(e->graph, id)->args[i]] = true;
    return found ? forward : live;
}

Users users_of(const Entry *e, const bool *live, Arena *arena)
{
    const Graph *g = e->graph;
    uint32_t n = g->nodes.n, count = 0;
    Users u = {.first = arena_array(arena, uint32_t, n + 1)};
    u.forward = forward_part(e, live, arena);
    for (NodeId id = 1; id < n; id++)
        for (uint32_t i = 0; live[id] && i < graph_node(g, id)->nargs; i++)
            u.first[graph_node(g, id)->args[i]]++;
    for (NodeId id = 0; id < n; id++) u.first[id] = count += u.first[id];
    u.first[n] = count;
    u.at = arena_array(arena, NodeId, count + 1);
    for (NodeId id = n; id-- > 1;)
        for (uint32_t i = 0; live[id] && i < graph_node(g, id)->nargs; i++)
            u.at[--u.first[graph_node(g, id)->args[i]]] = id;
    return u;
}

static int64_t width_of(const Graph *g, NodeId id, int64_t axis)
{
    const Type *type = graph_type(g, id);
    return type_count(type) / type->axes[axis].size;
}

static bool is_large(const Region *r, NodeId id, int64_t axis)
{
    return 2 * width_of(r->graph, id, axis) >= r->width;
}

// Is a row of this product much longer than what it is made from?
static bool is_deep(const Graph *g, NodeId id, int64_t axis)
{
    const Node *n = graph_node(g, id);
    int64_t at[2], from = 0;
    cut_operands(g, n, axis, at);
    for (uint32_t i = 0; i < 2; i++)
        if (at[i] >= 0) from += width_of(g, n->args[i], at[i]);
    return width_of(g, id, axis) >= DEEP * from;
}

// ---- the search ---------------------------------------------------------------------------------

static bool join(Search *s, NodeId id, Role role, int64_t axis)
{
    Region *r = s->r;
    if (r->role[id]) return r->role[id] == role && r->axis[id] == axis;
    r->role[id] = role;
    r->axis[id] = axis;
    vec_push(r->arena, &s->todo, id);
    return true;
}

// An operand that is needed cut: what is large must be made piece by piece.
static bool want(Search *s, NodeId id, int64_t axis)
{
    Region *r = s->r;
    const Node *n = graph_node(r->graph, id);
    bool given = n->op == OP_INPUT || n->op == OP_STATE;
    if (given || !is_large(r, id, axis) || r->role[id] == ROLE_SUM) return true;
    if (n->op == OP_DOT && !is_deep(r->graph, id, axis)) return true; // stored as it ever was
    int64_t *at = arena_array(r->arena, int64_t, n->nargs + 1);
    return cut_operands(r->graph, n, axis, at) && join(s, id, ROLE_LARGE, axis);
}

static bool adds_up(Search *s, NodeId id, uint32_t operand, int64_t axis)
{
    Region *r = s->r;
    const Node *n = graph_node(r->graph, id);
    int64_t *at = arena_array(r->arena, int64_t, n->nargs + 1);
    for (uint32_t i = 0; i < n->nargs; i++) at[i] = CUT_NOT;
    cut_summed(n, operand, axis, at);
    if (r->role[id]) return r->role[id] == ROLE_SUM && at[r->operand[id]] == r->axis[id];
    r->operand[id] = operand;
    r->role[id] = ROLE_SUM;
    r->axis[id] = axis;
    for (uint32_t i = 0; i < n->nargs; i++)
        if (at[i] >= 0 && !want(s, n->args[i], at[i])) return false;
    return true;
}

// What small nodes are followed through.
static bool passes_on(const Node *n)
{
    OpClass class = op_info(n->op)->class;
    return class == CLASS_ELEMENTWISE || class == CLASS_VIEW || class == CLASS_REDUCE;
}

// A user of node `from` of the region, which is its operand i.
static bool reach(Search *s, NodeId from, NodeId user, uint32_t i)
{
    Region *r = s->r;
    const Node *n = graph_node(r->graph, user);
    bool large = r->role[from] == ROLE_LARGE;
    int64_t to = cut_result(r->graph, n, i, r->axis[from]);
    if (to == CUT_NOT) return !large;
    if (to == CUT_SUMS) return !large || adds_up(s, user, i, r->axis[from]);
    Role role = is_large(r, user, to) ? ROLE_LARGE : ROLE_SMALL;
    if (!large && (role == ROLE_LARGE || r->role[user] || !passes_on(n))) return true;
    return join(s, user, role, to);
}

static bool follow(Search *s)
{
    Region *r = s->r;
    while (s->todo.n) {
        NodeId id = s->todo.at[--s->todo.n];
        const Node *n = graph_node(r->graph, id);
        int64_t *at = arena_array(r->arena, int64_t, n->nargs + 1);
        bool large = r->role[id] == ROLE_LARGE, can = cut_operands(r->graph, n, r->axis[id], at);
        if (!can) return false;
        for (uint32_t i = 0; large && i < n->nargs; i++)
            if (at[i] >= 0 && !want(s, n->args[i], at[i])) return false;
        for (uint32_t u = r->users->first[id]; u < r->users->first[id + 1]; u++) {
            const Node *user = graph_node(r->graph, r->users->at[u]);
            for (uint32_t i = 0; i < user->nargs; i++)
                if (user->args[i] == id && !reach(s, id, r->users->at[u], i)) return false;
        }
    }
    return true;
}

// ---- what belongs to it -------------------------------------------------------------------------

void region_operands(const Region *r, NodeId id, int64_t *at)
{
    const Node *n = graph_node(r->graph, id);
    for (uint32_t i = 0; i < n->nargs; i++) at[i] = CUT_NOT;
    if (r->role[id] == ROLE_SUM)
        cut_summed(n, r->operand[id], r->axis[id], at);
    else if (!cut_operands(r->graph, n, r->axis[id], at))
        bug("stream: %%%u cannot be cut", id);
}

bool region_has(const Region *r, NodeId x, int64_t axis)
{
    return axis >= 0 && (r->role[x] == ROLE_LARGE || r->role[x] == ROLE_SMALL) &&
           r->axis[x] == axis;
}

// Does the node read something large?
static bool reads_large(const Region *r, NodeId id)
{
    const Node *n = graph_node(r->graph, id);
    for (uint32_t i = 0; i < n->nargs; i++)
        if (r->role[n->args[i]] == ROLE_LARGE) return true;
    return false;
}

// Small nodes stay that read something large or that a node of the region reads cut.
static void drop_others(Region *r)
{
    bool *asked = arena_array(r->arena, bool, r->graph->nodes.n);
    for (NodeId id = r->graph->nodes.n; id-- > 1;) {
        const Node *n = graph_node(r->graph, id);
        if (!r->role[id]) continue;
        if (r->role[id] == ROLE_SMALL && !asked[id] && !reads_large(r, id)) {
            r->role[id] = ROLE_NONE;
            continue;
        }
        int64_t *at = arena_array(r->arena, int64_t, n->nargs + 1);
        region_operands(r, id, at);
        for (uint32_t i = 0; i < n->nargs; i++)
            asked[n->args[i]] |= region_has(r, n->args[i], at[i]);
    }
}

// Is every user of what is large a node of the region that reads it cut?
static bool nothing_large_whole(const Region *r)
{
    for (uint32_t i = 0; i < r->entry->outputs.n; i++)
        if (r->role[r->entry->outputs.at[i].node] == ROLE_LARGE) return false;
    for (uint32_t i = 0; i < r->entry->updates.n; i++)
        if (r->role[r->entry->updates.at[i].node] == ROLE_LARGE) return false;
    for (NodeId id = 1; id < r->graph->nodes.n; id++) {
        const Node *n = graph_node(r->graph, id);
        if (!r->live[id] || !reads_large(r, id)) continue;
        if (!r->role[id]) return false;
        int64_t *at = arena_array(r->arena, int64_t, n->nargs + 1);
        region_operands(r, id, at);
        for (uint32_t i = 0; i < n->nargs; i++)
            if (r->role[n->args[i]] == ROLE_LARGE && !region_has(r, n->args[i], at[i]))
                return false;
    }
    return true;
}

// Follow axis `axis` of the product through large nodes to their users: is it reduced anywhere?
static bool is_reduced(const Region *r, NodeId seed, int64_t axis)
{
    int64_t *at =
        arena_array(r->arena, int64_t, r->graph->nodes.n); // + 1; 0: it does not get there
    at[seed] = axis + 1;
    for (NodeId id = seed + 1; id < r->graph->nodes.n; id++) {
        const Node *n = graph_node(r->graph, id);
        OpClass class = op_info(n->op)->class;
        if (!r->role[id] || !r->users->forward[id] || class == CLASS_CONTRACT) continue;
        for (uint32_t i = 0; i < n->nargs && !at[id]; i++) {
            NodeId x = n->args[i];
            if (!at[x] || r->role[x] != ROLE_LARGE) continue;
            int64_t to = cut_result(r->graph, n, i, at[x] - 1);
            if (class == CLASS_REDUCE && to < 0) return true;
            if (to >= 0) at[id] = to + 1;
        }
    }
    return false;
}

// Is the product reduced, for the loss, along an axis that the operand with the cut axis does not
// have? That is what makes it worth the while: the product of a layer may be large too, but it is
// multiplied again, and only its gradient is summed.
static bool reduces(const Region *r, NodeId seed)
{
    const Node *n = graph_node(r->graph, seed);
    int64_t cut[2], own[2];
    cut_operands(r->graph, n, r->axis[seed], cut);
    for (uint32_t axis = 0; axis < n->type->rank; axis++) {
        cut_operands(r->graph, n, axis, own);
        bool other = (own[0] < 0 && cut[1] < 0) || (own[1] < 0 && cut[0] < 0) ||
                     (cut[0] >= 0 && cut[1] >= 0 && axis != r->axis[seed]);
        if (other && is_reduced(r, seed, axis)) return true;
    }
    return false;
}

// ---- sweeps -------------------------------------------------------------------------------------

static void find_levels(Region *r)
{
    for (NodeId id = 1; id < r->graph->nodes.n; id++) {
        const Node *n = graph_node(r->graph, id);
        if (!r->live[id]) continue;
        int64_t *at = arena_array(r->arena, int64_t, n->nargs + 1);
        for (uint32_t i = 0; i < n->nargs; i++) at[i] = CUT_NOT;
        if (r->role[id]) region_operands(r, id, at);
        for (uint32_t i = 0; i < n->nargs; i++) {
            NodeId x = n->args[i];
            uint32_t level = r->level[x] + (r->role[x] && !region_has(r, x, at[i]));
            if (level > r->level[id]) r->level[id] = level;
        }
        if (r->role[id] && r->level[id] >= r->levels) r->levels = r->level[id] + 1;
    }
}

// Small nodes that others than the region read whole.
static void find_wholes(Region *r)
{
    for (uint32_t i = 0; i < r->entry->outputs.n; i++)
        r->whole[r->entry->outputs.at[i].node] = true;
    for (uint32_t i = 0; i < r->entry->updates.n; i++)
        r->whole[r->entry->updates.at[i].node] = true;
    for (NodeId id = 1; id < r->graph->nodes.n; id++) {
        const Node *n = graph_node(r->graph, id);
        if (!r->live[id]) continue;
        int64_t *at = arena_array(r->arena, int64_t, n->nargs + 1);
        for (uint32_t i = 0; i < n->nargs; i++) at[i] = CUT_NOT;
        if (r->role[id]) region_operands(r, id, at);
        for (uint32_t i = 0; i < n->nargs; i++)
            if (!region_has(r, n->args[i], at[i])) r->whole[n->args[i]] = true;
    }
}

static int64_t depth_of(const Graph *g, const Node *n)
{
    uint32_t count;
    const int64_t *axes = node_ints(n, ATTR_LCONTRACT, &count);
    int64_t depth = 1;
    for (uint32_t i = 0; i < count; i++) depth *= graph_type(g, n->args[0])->axes[axes[i]].size;
    return depth;
}

static double product_cost(const Region *r, NodeId id)
{
    const Node *n = graph_node(r->graph, id);
    if (n->op != OP_DOT) return 0;
    return 2 * (double)depth_of(r->graph, n) * (double)type_count(n->type);
}

// Rows of the product's operand that go with each of the axis that is cut.
static int64_t rows_beside(const Graph *g, NodeId seed, int64_t axis)
{
    const Node *n = graph_node(g, seed);
    int64_t at[2];
    cut_operands(g, n, axis, at);
    uint32_t operand = at[0] < 0;
    return width_of(g, n->args[operand], at[operand]) / depth_of(g, n);
}

// What is computed in a sweep: what first can be there and is asked for, and what large it needs.
// Small nodes of earlier sweeps are read, so they must be whole.
static const bool *needed(Region *r, uint32_t sweep)
{
    bool *need = arena_array(r->arena, bool, r->graph->nodes.n);
    for (NodeId id = r->graph->nodes.n; id-- > 1;) {
        const Node *n = graph_node(r->graph, id);
        if (!r->live[id] || !r->role[id]) continue;
        bool asked = r->role[id] == ROLE_SUM || (r->role[id] == ROLE_SMALL && r->whole[id]);
        need[id] |= asked && r->level[id] == sweep;
        if (!need[id]) continue;
        r->products += product_cost(r, id);
        if (r->role[id] == ROLE_SUM) r->sums += type_bytes(n->type);
        int64_t *at = arena_array(r->arena, int64_t, n->nargs + 1);
        region_operands(r, id, at);
        for (uint32_t i = 0; i < n->nargs; i++) {
            NodeId x = n->args[i];
            if (!region_has(r, x, at[i])) continue;
            bool again = r->role[x] == ROLE_LARGE || r->level[x] == sweep;
            *(again ? &need[x] : &r->whole[x]) = true;
        }
    }
    return need;
}

// False where sweeps would make the products too dear.
static bool plan_sweeps(Region *r)
{
    double once = 0;
    find_levels(r);
    find_wholes(r);
    r->need = arena_array(r->arena, const bool *, r->levels + 1);
    for (uint32_t sweep = r->levels; sweep-- > 0;) r->need[sweep] = needed(r, sweep);
    for (NodeId id = 1; id < r->graph->nodes.n; id++)
        if (r->live[id] && r->role[id]) once += product_cost(r, id);
    return r->products <= DEARER * once;
}

static void find_row_bytes(Region *r)
{
    for (NodeId id = 1; id < r->graph->nodes.n; id++) {
        const Node *n = graph_node(r->graph, id);
        if (r->role[id] != ROLE_LARGE || n->op != OP_DOT) continue;
        int64_t bytes = width_of(r->graph, id, r->axis[id]) * dtype_size(n->type->dtype);
        if (bytes > r->row_bytes) r->row_bytes = bytes;
    }
}

Region *region_find(const Entry *e, const bool *live, const Users *users, NodeId seed, int64_t axis,
                    Arena *arena)
{
    uint32_t n = e->graph->nodes.n;
    if (graph_type(e->graph, seed)->axes[axis].size < 2 || !is_deep(e->graph, seed, axis))
        return NULL;
    Region *r = arena_make(arena, Region);
    *r = (Region){.graph = e->graph,
                  .entry = e,
                  .live = live,
                  .users = users,
                  .arena = arena,
                  .rows = graph_type(e->graph, seed)->axes[axis].size,
                  .width = width_of(e->graph, seed, axis),
                  .role = arena_array(arena, uint8_t, n),
                  .axis = arena_array(arena, int64_t, n),
                  .operand = arena_array(arena, uint32_t, n),
                  .whole = arena_array(arena, bool, n),
                  .level = arena_array(arena, uint32_t, n)};
    Search s = {.r = r};
    join(&s, seed, ROLE_LARGE, axis);
    if (!follow(&s)) return NULL;
    drop_others(r);
    if (!nothing_large_whole(r) || !reduces(r, seed) || !plan_sweeps(r)) return NULL;
    find_row_bytes(r);
    r->beside = rows_beside(e->graph, seed, axis);
    return r;
}
