// What crosses from forward to backward: cheap values are computed again in the backward part
// instead of being kept, and under a limit of memory others too.
//
// The forward part of an entry is what its output "loss" needs; the rest is the backward part
// (gradients and updates). Forward nodes are taken in rising id. A node is *at hand* in the
// backward part when it is a leaf, when it is cheap (elementwise without an expansion, or a view)
// and all its operands are at hand, or when it is kept anyway because the backward part uses it. A
// cheap node that the backward part uses and whose operands are all at hand is copied for it (copy
// = 1); so nothing new is ever kept, and since a copy is the same op on the same values, results
// keep their bits.
//
// Where PassOptions.recompute asks for more, some values that would be kept are given up
// (save_again.c), and all copies have the number COPY_AGAIN: they are made where the backward part
// first needs them, and fuse and schedule leave them there.
//
// Needs FACT_GRADLESS and FACT_COMPACT. Keeps FACT_GRADLESS. Afterwards every node is live.
#include "passes/save.h"
#include "passes/rewrite.h"

typedef struct Save {
    const bool *forward; // by old id
    const AtHand *hand;
    uint32_t copy; // number of the copies
    NodeId *again; // old id -> its copy in the new graph, 0 before it is asked for
} Save;

static bool is_cheap(const Node *n)
{
    const OpInfo *info = op_info(n->op);
    if (info->class == CLASS_VIEW) return true;
    return info->class == CLASS_ELEMENTWISE && !(info->flags & OPF_EXPAND);
}

// What the output "loss" needs; NULL when there is no such output.
static bool *forward_part(const Entry *e, Arena *scratch)
{
    const Graph *g = e->graph;
    bool *forward = arena_array(scratch, bool, g->nodes.n), found = false;
    for (uint32_t i = 0; i < e->outputs.n; i++)
        if (!strcmp(e->outputs.at[i].name, "loss")) forward[e->outputs.at[i].node] = found = true;
    for (NodeId id = g->nodes.n - 1; id; id--)
        for (uint32_t i = 0; forward[id] && i < graph_node(g, id)->nargs; i++)
            forward[graph_node(g, id)->args[i]] = true;
    return found ? forward : NULL;
}

static AtHand *plan(const Graph *g, const bool *forward, Arena *scratch)
{
    AtHand *hand = arena_array(scratch, AtHand, g->nodes.n);
    bool *used = arena_array(scratch, bool, g->nodes.n); // by the backward part
    for (NodeId id = 1; id < g->nodes.n; id++)
        for (uint32_t i = 0; !forward[id] && i < graph_node(g, id)->nargs; i++)
            used[graph_node(g, id)->args[i]] = true;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        if (!forward[id]) continue;
        bool all = true;
        for (uint32_t i = 0; i < n->nargs; i++) all = all && hand[n->args[i]] != AT_HAND_NOT;
        if (!n->nargs)
            hand[id] = AT_HAND_LEAF;
        else if (all && is_cheap(n))
            hand[id] = AT_HAND_AGAIN;
        else
            hand[id] = used[id] ? AT_HAND_KEPT : AT_HAND_NOT;
    }
    return hand;
}

// The node that stands for forward node `id` in the backward part. Operands come first: all copies
// that it needs are made in rising id.
static NodeId copy_of(Rewrite *r, NodeId id)
{
    Save *s = r->user;
    VEC(NodeId) stack = {0};
    vec_push(r->scratch, &stack, id);
    while (stack.n) {
        NodeId top = stack.at[stack.n - 1];
        const Node *n = graph_node(r->from, top);
        if (s->hand[top] != AT_HAND_AGAIN) s->again[top] = r->map[top];
        uint32_t waiting = stack.n;
        for (uint32_t i = 0; !s->again[top] && i < n->nargs; i++)
            if (!s->again[n->args[i]]) vec_push(r->scratch, &stack, n->args[i]);
        if (stack.n > waiting) continue;
        stack.n--;
        if (s->again[top]) continue;
        NodeId *args = arena_array(r->scratch, NodeId, n->nargs);
        for (uint32_t i = 0; i < n->nargs; i++) args[i] = s->again[n->args[i]];
        s->again[top] = rewrite_copy(r, top, s->copy, args);
        rewrite_origins(r->to, s->again[top], n);
    }
    return s->again[id];
}

static NodeId use_copies(Rewrite *r, NodeId id)
{
    Save *s = r->user;
    const Node *n = graph_node(r->from, id);
    if (s->forward[id]) return 0;
    NodeId *args = arena_array(r->scratch, NodeId, n->nargs);
    for (uint32_t i = 0; i < n->nargs; i++) {
        NodeId x = n->args[i];
        args[i] = s->forward[x] && s->hand[x] == AT_HAND_AGAIN ? copy_of(r, x) : r->map[x];
    }
    return rewrite_copy(r, id, n->copy, args);
}

bool pass_save(Program *p, PassContext *ctx)
{
    int64_t share = ctx->options->recompute;
    for (uint32_t i = 0; i < p->entries.n; i++) {
        Entry *e = p->entries.at[i];
        const bool *forward = forward_part(e, ctx->scratch);
        if (!forward) continue;
        AtHand *hand = plan(e->graph, forward, ctx->scratch);
        if (share) save_again(e->graph, forward, hand, share, ctx->scratch);
        Save s = {forward, hand, share ? COPY_AGAIN : 1,
                  arena_array(ctx->scratch, NodeId, e->graph->nodes.n)};
        rewrite_entry(e, ctx->scratch, use_copies, &s);
        entry_compact(e);
    }
    return true;
}
