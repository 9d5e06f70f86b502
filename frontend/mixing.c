// Samples that are mixed by what may not (docs/ir.md, the rule of batch axes) are reported when it
// is evaluated: what it makes has a wrong shape, and what is computed of that would be reported for
// it. Every entry is asked again when it is built.
#include "frontend/guess.h"

typedef struct Mixed {
    Elab *el;
    NodeId node;
    const char *text, *help;
} Mixed;

// At the last place that made the node.
static void report(Elab *el, const Mixed *m)
{
    const Node *n = graph_node(el->graph, m->node);
    const Loc loc = n->origins.n ? n->origins.at[n->origins.n - 1] : (Loc){0};
    el_error(el, loc, "%s", m->text);
    diag_help(el->diag, "%s", m->help);
    guess_apart(el, m->node, loc, m->text);
}

static const char *key_of(Elab *el, NodeId node)
{
    return str_printf(el->arena, "%u", node);
}

static void keep_first(void *of, NodeId node, const char *text, const char *help)
{
    Mixed *m = of;
    if (!m->text) *m = (Mixed){m->el, node, str_copy(m->el->arena, text), help};
}

Value unmixed(Elab *el, Value v)
{
    const Graph *g = el->graph;
    Mixed first = {.el = el}, *bad = NULL;
    for (; g && el->unmixed < g->nodes.n; el->unmixed++) {
        if (!bad && !node_each_mix(g, el->unmixed, keep_first, &first)) {
            bad = arena_make(el->arena, Mixed);
            *bad = first;
        }
        // what was made of it at once is wrong where it is made again, too
        if (bad) map_set(el->arena, &el->mixed, key_of(el, el->unmixed), bad);
    }
    if (!bad && v.kind == V_TENSOR && el->mixed.n) bad = map_get(&el->mixed, key_of(el, v.node));
    if (!bad) return v;
    report(el, bad);
    return value_error();
}
