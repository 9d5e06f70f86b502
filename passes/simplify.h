// Inside simplify: what a rule sees. One row a rule in simplify_rules.def.
#ifndef CZT_PASSES_SIMPLIFY_H
#define CZT_PASSES_SIMPLIFY_H

#include "passes/rewrite.h"

typedef struct Simplify {
    Graph *g; // being built
    Arena *scratch;
    VEC(uint32_t) uses; // by new id: users in the graph being rebuilt; 0 for nodes that rules made
    const uint32_t *old_uses;
    bool gradless; // no grad node in the entry
    bool late;     // the last rebuild, after the rules of phase EARLY came to rest
    uint32_t fired;
} Simplify;

// A node equal to id (whose operands are in normal form), or 0. n is a copy of node id.
typedef NodeId SimplifyRule(Simplify *s, NodeId id, const Node *n);

typedef enum { PHASE_EARLY, PHASE_LATE } SimplifyPhase;
typedef enum { EXACT, BITS } SimplifyBits; // the same bits; other rounding, sign of zero, or NaN

typedef struct SimplifyRow {
    OpCode op; // OP_COUNT: every elementwise op
    SimplifyPhase phase;
    SimplifyBits bits;
    SimplifyRule *rule;
    const char *equation;
} SimplifyRow;

// Row i of simplify_rules.def, NULL past the end.
const SimplifyRow *simplify_row(uint32_t i);

// ---- for the rules ------------------------------------------------------------------------------

static inline const Node *operand(const Simplify *s, const Node *n, uint32_t i)
{
    return graph_node(s->g, n->args[i]);
}
static inline bool is_op(const Simplify *s, const Node *n, uint32_t i, OpCode op)
{
    return operand(s, n, i)->op == op;
}
// True for a constant or a broadcast one of this value.
bool is_number(const Simplify *s, NodeId id, double value);
// True when node id has one user, and that one was made from the graph being rebuilt.
static inline bool single_use(const Simplify *s, NodeId id)
{
    return id < s->uses.n && s->uses.at[id] == 1;
}
// A rank-0 constant of the dtype of node n.
NodeId number(Simplify *s, const Node *n, double value);
static inline int64_t *ints(const Simplify *s, uint32_t n)
{
    return arena_array(s->scratch, int64_t, n + 1);
}

// Axis lists of a dot, in the order of the arguments of graph_dot: lb, rb, lc, rc.
typedef struct DotAxes {
    const int64_t *at[4];
    uint32_t nb, nc;
} DotAxes;
DotAxes dot_axes(const Node *n);
// Is x in the list?
bool listed(const int64_t *list, uint32_t n, int64_t x);
// Does it show a skew through views that keep all elements?
bool shows_skew(const Simplify *s, NodeId id);
// dot of the same element type and precision as n.
NodeId dot_like(Simplify *s, const Node *n, NodeId x, NodeId y, const DotAxes *d);

#define RULE(op, phase, bits, function, equation) SimplifyRule function;
#include "passes/simplify_rules.def"
#undef RULE

#endif
