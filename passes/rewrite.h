// Rebuild an entry's graph node by node. Graph passes never change a node: they make a new graph
// and say, old node by old node, what stands for it there. Origins are carried over by the rebuild.
#ifndef CZT_PASSES_REWRITE_H
#define CZT_PASSES_REWRITE_H

#include "ir/program.h"

typedef struct Rewrite {
    const Graph *from;
    Graph *to;
    NodeId *map;      // old id -> new id; 0: dead, or not visited yet
    const bool *live; // by old id
    Arena *scratch;
    void *user;
    bool failed; // set by the callback after it reported an error
} Rewrite;

// Give the new node that stands for live old node `id` (operands are mapped already); 0 keeps the
// node.
typedef NodeId RewriteFn(Rewrite *r, NodeId id);

// Rebuild the graph of e in rising id order, live nodes only, and replace outputs and updates.
// Every node made for an old one gets the origins of the old one. e->graph stays the same pointer.
// False when the callback failed: e is then unchanged.
bool rewrite_entry(Entry *e, Arena *scratch, RewriteFn *fn, void *user);
// The old node itself on mapped operands.
NodeId rewrite_keep(Rewrite *r, NodeId id);
// The same with a copy number.
NodeId rewrite_copy(Rewrite *r, NodeId id, uint32_t copy, const NodeId *args);
// Add those origins of `from` that node `to` of g lacks.
void rewrite_origins(Graph *g, NodeId to, const Node *from);
// How many operands of live nodes, outputs and updates name each node. Array of nodes.n.
uint32_t *rewrite_uses(const Entry *e, Arena *scratch);

#endif
