// What pass save gives up when memory is short.
//
// *Waists* are the places of the forward part, in the order of nodes, where little is alive between
// places where much is: in a network of blocks, what is handed from one block to the next. What is
// alive at them stays, so the backward part computes again one stretch between waists at a time
// (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). Every k-th waist is used; k
// is the number for which what stays and the largest stretch are least.
//
// Of all other values that the backward part wants, those go first that cost least to compute again
// for each byte that they take (Kirisame et al. 2021, "Dynamic Tensor Rematerialization", with
// estimates in place of times): so results of norms and activations go before those of attention,
// and these before products.
#include "passes/save.h"

#include <stdlib.h>

enum {
    DEEP = 9,           // quarters of what is alive at a waist that must be alive between two
    FLOPS_A_BYTE = 200, // operations that take as long as moving a byte
    DEAR = 64,          // bytes moved for a byte that is given up: not worth it
    MOST_STEPS = 16,    // of waists to the next one that is used
};

typedef VEC(NodeId) Nodes;

typedef struct Candidate {
    NodeId node;
    int64_t bytes;
    double price; // time to compute it again for each byte
} Candidate;

typedef struct Again {
    const Graph *g;
    const bool *forward;
    AtHand *hand;
    Arena *scratch;
    NodeId *last; // of material values: the last forward node that reads it, 0: none
    Nodes waists;
    bool *stays; // alive at a waist that is used
    NodeId end;  // the last of them: what follows is wanted at once, and nothing of it is given up
    Nodes stack; // of a walk
    uint32_t *seen, walk;
} Again;

// The value that views and projections show.
static NodeId shown(const Graph *g, NodeId id)
{
    for (;; id = graph_node(g, id)->args[0]) {
        const Node *n = graph_node(g, id);
        OpClass class = op_info(n->op)->class;
        if (n->nargs != 1 || (class != CLASS_VIEW && class != CLASS_TUPLE)) return id;
    }
}

// Does it take memory from where it is made to where it is read last?
static bool is_material(const Again *a, NodeId id)
{
    return a->forward[id] && a->hand[id] != AT_HAND_LEAF && shown(a->g, id) == id;
}

static int64_t bytes_of(const Again *a, NodeId id)
{
    return type_bytes(graph_type(a->g, id));
}

static void find_last_uses(Again *a)
{
    a->last = arena_array(a->scratch, NodeId, a->g->nodes.n);
    for (NodeId id = 1; id < a->g->nodes.n; id++)
        for (uint32_t i = 0; a->forward[id] && i < graph_node(a->g, id)->nargs; i++)
            a->last[shown(a->g, graph_node(a->g, id)->args[i])] = id;
}

// What is kept is the value that a view shows, and all results of an op that has several.
static void keep_whole(Again *a)
{
    for (NodeId id = a->g->nodes.n; id-- > 1;) {
        if (!a->forward[id] || a->hand[id] != AT_HAND_KEPT || shown(a->g, id) == id) continue;
        NodeId of = graph_node(a->g, id)->args[0];
        if (a->hand[of] == AT_HAND_NOT) a->hand[of] = AT_HAND_KEPT;
        if (op_info(graph_node(a->g, id)->op)->class == CLASS_VIEW) a->hand[id] = AT_HAND_AGAIN;
    }
}

// The results of an op are where it is.
static void follow_whole(Again *a)
{
    for (NodeId id = 1; id < a->g->nodes.n; id++) {
        const Node *n = graph_node(a->g, id);
        if (a->forward[id] && op_info(n->op)->class == CLASS_TUPLE)
            a->hand[id] = a->hand[n->args[0]];
    }
}

// Nodes after which little is alive: before and behind each there is DEEP / 4 times as much.
static void find_waists(Again *a)
{
    const Graph *g = a->g;
    int64_t *ends = arena_array(a->scratch, int64_t, g->nodes.n); // bytes read last by a node
    int64_t alive = 0, low = 0, high = 0;
    NodeId at = 0;
    bool falling = false;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        if (!a->forward[id]) continue;
        if (is_material(a, id) && a->last[id]) {
            alive += bytes_of(a, id);
            ends[a->last[id]] += bytes_of(a, id);
        }
        alive -= ends[id];
        if (falling && 4 * alive > DEEP * low) {
            vec_push(a->scratch, &a->waists, at);
            falling = false;
            high = alive;
        }
        if (falling ? alive < low : DEEP * alive < 4 * high) falling = true, low = alive, at = id;
        if (alive > high) high = alive;
    }
}

// Mark what is alive at every step-th waist; gives its bytes and those of the largest stretch.
static int64_t mark_staying(Again *a, uint32_t step)
{
    memset(a->stays, 0, a->g->nodes.n * sizeof *a->stays);
    int64_t stays = 0, stretch = 0, most = 0;
    uint32_t next = step - 1; // the waist that ends the stretch
    for (NodeId id = 1; id < a->g->nodes.n; id++) {
        if (next < a->waists.n && id > a->waists.at[next]) {
            most = stretch > most ? stretch : most;
            stretch = 0;
            next += step;
        }
        if (!is_material(a, id)) continue;
        a->stays[id] = next < a->waists.n && a->last[id] > a->waists.at[next];
        if (a->stays[id])
            stays += bytes_of(a, id);
        else if (a->hand[id] == AT_HAND_KEPT)
            stretch += bytes_of(a, id);
    }
    return stays + (stretch > most ? stretch : most);
}

static void choose_staying(Again *a)
{
    uint32_t best = 1;
    int64_t least = INT64_MAX;
    for (uint32_t step = 1; step <= MOST_STEPS && step <= a->waists.n; step++) {
        int64_t bytes = mark_staying(a, step);
        if (bytes < least) least = bytes, best = step;
    }
    mark_staying(a, best);
    a->end = a->waists.n >= best ? a->waists.at[a->waists.n / best * best - 1] : a->g->nodes.n;
    for (NodeId id = 1; id < a->g->nodes.n; id++)
        if (a->stays[id]) a->hand[id] = AT_HAND_KEPT;
}

static double time_of(const Again *a, NodeId id)
{
    const Node *n = graph_node(a->g, id);
    if (shown(a->g, id) != id) return 0;
    double sum = (double)bytes_of(a, id) + (double)node_flops(a->g, n) / FLOPS_A_BYTE;
    for (uint32_t i = 0; i < n->nargs; i++) sum += (double)bytes_of(a, shown(a->g, n->args[i]));
    return sum;
}

// All that computing `id` again takes, itself first, in a->stack. False where something in it
// cannot be: it is a copy already.
static bool walk_back(Again *a, NodeId id)
{
    a->stack.n = 0;
    a->walk++;
    vec_push(a->scratch, &a->stack, id);
    a->seen[id] = a->walk;
    for (uint32_t at = 0; at < a->stack.n; at++) {
        const Node *n = graph_node(a->g, a->stack.at[at]);
        if (n->copy) return false;
        for (uint32_t i = 0; i < n->nargs; i++) {
            NodeId x = n->args[i];
            if (a->hand[x] != AT_HAND_NOT || a->seen[x] == a->walk) continue;
            a->seen[x] = a->walk;
            vec_push(a->scratch, &a->stack, x);
        }
    }
    return true;
}

static int by_price(const void *x, const void *y)
{
    const Candidate *a = x, *b = y;
    if (a->price != b->price) return a->price < b->price ? -1 : 1;
    return a->node < b->node ? -1 : a->node > b->node;
}

static void give_up(Again *a, NodeId id)
{
    if (!walk_back(a, id)) bug("a candidate is a copy");
    for (uint32_t i = 0; i < a->stack.n; i++) a->hand[a->stack.at[i]] = AT_HAND_AGAIN;
}

void save_again(const Graph *g, const bool *forward, AtHand *hand, int64_t share, Arena *scratch)
{
    Again a = {.g = g, .forward = forward, .hand = hand, .scratch = scratch};
    a.stays = arena_array(scratch, bool, g->nodes.n);
    a.seen = arena_array(scratch, uint32_t, g->nodes.n);
    keep_whole(&a);
    find_last_uses(&a);
    find_waists(&a);
    choose_staying(&a);
    follow_whole(&a);
    VEC(Candidate) all = {0};
    int64_t bytes = 0, gone = 0;
    for (NodeId id = 1; id < a.end; id++) {
        if (!is_material(&a, id) || hand[id] != AT_HAND_KEPT || a.stays[id]) continue;
        if (!walk_back(&a, id)) continue;
        Candidate c = {id, bytes_of(&a, id), 0};
        for (uint32_t i = 0; i < a.stack.n; i++) c.price += time_of(&a, a.stack.at[i]);
        c.price /= (double)c.bytes;
        if (c.price > DEAR) continue;
        bytes += c.bytes;
        vec_push(scratch, &all, c);
    }
    if (all.n) qsort(all.at, all.n, sizeof *all.at, by_price);
    for (uint32_t i = 0; i < all.n && gone * RECOMPUTE_ALL < bytes * share; i++) {
        gone += all.at[i].bytes;
        give_up(&a, all.at[i].node);
    }
    follow_whole(&a);
}
