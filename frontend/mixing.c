// Samples that are mixed by what may not (docs/ir.md, the rule of batch axes) are reported when it
// is evaluated: what it makes has a wrong shape, and what is computed of that would be reported for
// it. Every entry is asked again when it is built.
#include "frontend/guess.h"

typedef struct Mixed {
    NodeId node;
    BatchFault fault;
} Mixed;

// At the last place that made the node.
static void report(Elab *el, const Mixed *m)
{
    const Node *n = graph_node(el->graph, m->node);
    const uint32_t before = diag_reports(el->diag);
    el_error(el, n->origins.n ? n->origins.at[n->origins.n - 1] : (Loc){0},
             "%s: mixes samples: axis %u of %s is a batch axis", op_info(n->op)->name,
             m->fault.axis, type_text(el->arena, m->fault.type));
    diag_help(el->diag, "%s", m->fault.help);
    guess_gathers(el, before);
}

static const char *key_of(Elab *el, NodeId node)
{
    return str_printf(el->arena, "%u", node);
}

Value unmixed(Elab *el, Value v)
{
    const Graph *g = el->graph;
    const Mixed *bad = NULL;
    for (; g && el->unmixed < g->nodes.n; el->unmixed++) {
        Mixed m = {.node = el->unmixed};
        if (!bad && !node_check_batch(g, m.node, &m.fault)) {
            Mixed *kept = arena_make(el->arena, Mixed);
            *kept = m;
            bad = kept;
        }
        // what was made of it at once is wrong where it is made again, too
        if (bad) map_set(el->arena, &el->mixed, key_of(el, m.node), (void *)bad);
    }
    if (!bad && v.kind == V_TENSOR && el->mixed.n) bad = map_get(&el->mixed, key_of(el, v.node));
    if (!bad) return v;
    report(el, bad);
    return value_error();
}
