// The rebuild of an entry's graph: one loop over live nodes in rising id, so operands are mapped
// before their users. Everything added while an old node is being replaced takes that node's
// origins.
#include "passes/rewrite.h"

void rewrite_origins(Graph *g, NodeId to, const Node *from)
{
    for (uint32_t i = 0; i < from->origins.n; i++) graph_add_origin(g, to, from->origins.at[i]);
}

NodeId rewrite_copy(Rewrite *r, NodeId id, uint32_t copy, const NodeId *args)
{
    const Node *n = graph_node(r->from, id);
    return graph_add_copy(r->to, n->op, copy, n->nargs, args, n->nattrs, n->attrs);
}

NodeId rewrite_keep(Rewrite *r, NodeId id)
{
    const Node *n = graph_node(r->from, id);
    NodeId *args = arena_array(r->scratch, NodeId, n->nargs);
    for (uint32_t i = 0; i < n->nargs; i++) args[i] = r->map[n->args[i]];
    return rewrite_copy(r, id, n->copy, args);
}

static void rewrite_node(Rewrite *r, NodeId id, RewriteFn *fn)
{
    const Node *old = graph_node(r->from, id);
    uint32_t before = r->to->nodes.n;
    r->to->here = old->origins.n ? old->origins.at[0] : (Loc){0};
    NodeId now = fn(r, id);
    if (!now && !r->failed) now = rewrite_keep(r, id);
    if (r->failed) return;
    if (!now) bug("rebuild: node %%%u (%s) cannot be added again", id, op_info(old->op)->name);
    r->map[id] = now;
    for (NodeId k = before; k < r->to->nodes.n; k++) rewrite_origins(r->to, k, old);
    if (now < before) rewrite_origins(r->to, now, old);
}

bool rewrite_entry(Entry *e, Arena *scratch, RewriteFn *fn, void *user)
{
    const Graph *from = e->graph;
    Rewrite r = {.from = from,
                 .to = graph_new(from->arena, from->diag, from->batch),
                 .map = arena_array(scratch, NodeId, from->nodes.n),
                 .live = entry_live(e, scratch),
                 .scratch = scratch,
                 .user = user};
    for (NodeId id = 1; id < from->nodes.n && !r.failed; id++)
        if (r.live[id]) rewrite_node(&r, id, fn);
    if (r.failed) return false;
    for (uint32_t i = 0; i < e->outputs.n; i++)
        e->outputs.at[i].node = r.map[e->outputs.at[i].node];
    for (uint32_t i = 0; i < e->updates.n; i++)
        e->updates.at[i].node = r.map[e->updates.at[i].node];
    r.to->here = from->here;
    *e->graph = *r.to; // who holds the graph sees the new one
    return true;
}

uint32_t *rewrite_uses(const Entry *e, Arena *scratch)
{
    const Graph *g = e->graph;
    const bool *live = entry_live(e, scratch);
    uint32_t *uses = arena_array(scratch, uint32_t, g->nodes.n);
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        for (uint32_t i = 0; live[id] && i < n->nargs; i++) uses[n->args[i]]++;
    }
    for (uint32_t i = 0; i < e->outputs.n; i++) uses[e->outputs.at[i].node]++;
    for (uint32_t i = 0; i < e->updates.n; i++) uses[e->updates.at[i].node]++;
    return uses;
}
