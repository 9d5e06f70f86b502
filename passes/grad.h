// Inside autodiff: what a gradient rule sees and may do. One row a rule in grad_rules.def.
#ifndef CZT_PASSES_GRAD_H
#define CZT_PASSES_GRAD_H

#include "ir/program.h"

typedef struct GradSweep GradSweep;

// A node y = op(args) whose gradient dy is complete; the rule adds a contribution to each operand.
typedef struct GradSite {
    GradSweep *sweep;
    Graph *g;
    const Node *n;
    NodeId y, dy;        // dy is 0 for a tuple
    const NodeId *dpart; // of a tuple: the gradient of each part, 0 where none
} GradSite;

typedef void GradRule(const GradSite *s);

// Replace the grad nodes of one entry. False after an error was reported.
bool autodiff_entry(Entry *e, Arena *scratch);

// The rule of an op, or NULL.
GradRule *grad_rule(OpCode op);
// True when operand i leads to a requested x; contributions to others are dropped.
bool grad_wants(const GradSite *s, uint32_t i);
// Add a contribution, of the operand's type, to the gradient of operand i.
void grad_add(const GradSite *s, uint32_t i, NodeId value);
// Add a contribution to one part of tuple operand i.
void grad_add_part(const GradSite *s, uint32_t i, int64_t part, NodeId value);
// Report that this node cannot be differentiated, at its origin.
void grad_error(const GradSite *s, const char *what);

static inline NodeId grad_arg(const GradSite *s, uint32_t i)
{
    return s->n->args[i];
}
// A rank-0 constant of the result's dtype.
static inline NodeId grad_num(const GradSite *s, double v)
{
    return graph_const(s->g, graph_type(s->g, s->dy)->dtype, v);
}
// A tensor of one value with the type of x.
NodeId grad_fill(Graph *g, double v, NodeId x);
// Value v of a reduction's result shape repeated over the reduced axes of its operand.
NodeId grad_expand(const GradSite *s, NodeId v);

#define GRAD_RULE(op, function) GradRule function;
#include "passes/grad_rules.def"
#undef GRAD_RULE

#endif
