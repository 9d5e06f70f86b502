// Algebraic simplification by the rules of simplify_rules.def.
//
// The entry is rebuilt until no rule applies. In a rebuild each node is added on its new operands,
// then the rules of its op are tried on it until none applies; nodes that a rule makes underneath
// are seen by the next rebuild. Two last rebuilds apply the rules marked LATE and then drop what
// became unused.
//
// Needs nothing (stop_gradient stays while a grad node is left). Keeps FACT_GRADLESS. Afterwards no
// rule applies and every node is live.
#include "passes/simplify.h"
#include "passes/pass.h"

// A graph, or a node in one rebuild, that is not at rest by then has rules that undo each other.
enum { ROUNDS = 64, STEPS = 256 };

static const SimplifyRow rows[] = {
#define RULE(op, phase, bits, function, equation)                                                  \
    {OP_##op, PHASE_##phase, bits, function, equation},
#include "passes/simplify_rules.def"
#undef RULE
};

const SimplifyRow *simplify_row(uint32_t i)
{
    return i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}

bool is_number(const Simplify *s, NodeId id, double value)
{
    double v;
    return graph_is_const(s->g, id, &v) && v == value;
}

NodeId number(Simplify *s, const Node *n, double value)
{
    return graph_const(s->g, n->type->dtype, value);
}

// The first rule that applies to node id; 0 when none does. A rule may not change the type: where a
// view made a batch axis plain, its rewrite is left out. Recomputed copies stay as they are.
static NodeId apply(Simplify *s, NodeId id)
{
    Node n = *graph_node(s->g, id); // adding nodes moves the table
    bool elementwise = op_info(n.op)->class == CLASS_ELEMENTWISE;
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows && !n.copy; i++) {
        if (rows[i].op != n.op && !(rows[i].op == OP_COUNT && elementwise)) continue;
        if ((rows[i].phase == PHASE_LATE) != s->late) continue;
        NodeId to = rows[i].rule(s, id, &n);
        if (to && to != id && type_equal(graph_type(s->g, to), n.type)) return to;
    }
    return 0;
}

static NodeId simplify_node(Rewrite *r, NodeId old)
{
    Simplify *s = r->user;
    s->g = r->to;
    NodeId id = rewrite_keep(r, old);
    uint32_t steps = 0;
    for (NodeId next; id && (next = apply(s, id)); id = next, s->fired++)
        if (++steps > STEPS)
            bug("simplify: %s does not come to rest", op_info(graph_node(s->g, id)->op)->name);
    if (!id) return 0;
    while (s->uses.n <= id) vec_push(s->scratch, &s->uses, 0);
    s->uses.at[id] += s->old_uses[old];
    return id;
}

// One rebuild; the number of rules that fired.
static uint32_t rebuild(Entry *e, Arena *scratch, bool gradless, bool late)
{
    Simplify s = {.scratch = scratch, .gradless = gradless, .late = late};
    s.old_uses = rewrite_uses(e, scratch);
    rewrite_entry(e, scratch, simplify_node, &s);
    return s.fired;
}

static bool has_grad(const Entry *e, Arena *scratch)
{
    const bool *live = entry_live(e, scratch);
    for (NodeId id = 1; id < e->graph->nodes.n; id++)
        if (live[id] && graph_node(e->graph, id)->op == OP_GRAD) return true;
    return false;
}

bool pass_simplify(Program *p, PassContext *ctx)
{
    uint32_t errors = diag_errors(p->diag);
    for (uint32_t i = 0; i < p->entries.n; i++) {
        Entry *e = p->entries.at[i];
        bool gradless = !has_grad(e, ctx->scratch);
        uint32_t rounds = 0;
        while (rebuild(e, ctx->scratch, gradless, false))
            if (++rounds > ROUNDS) bug("simplify: entry %s does not come to rest", e->name);
        rebuild(e, ctx->scratch, gradless, true);
        entry_compact(e);
    }
    if (diag_errors(p->diag) > errors) bug("simplify built a node that is not valid");
    return true;
}
