// Inside pass accumulate: what the parts of an update pass on to each other.
//
// A value is *local* when it is of single samples or of none; *coupled* when it depends on an op
// that crosses samples. Where coupled values read local ones of samples the step is cut: each such
// value, or its sum over the samples of a part, is a *cut*, and lies in transient state with one
// row a part.
#ifndef CZT_PASSES_ACCUMULATE_H
#define CZT_PASSES_ACCUMULATE_H

#include "ir/program.h"

typedef struct Cut {
    NodeId node;      // of the step as it was
    bool partial;     // the node adds over samples: each part gives its own sum
    uint32_t axis;    // else the batch axis
    const char *name; // of its state; of the state that has the loss's gradient, NULL: none
    const char *grad;
    bool early; // the gradients need it: it is there before the backward runs
} Cut;

typedef struct Trainee {
    NodeId grad, param; // nodes grad(loss, param) and its state
    const char *name;   // of the parameter
    bool local;         // the loss depends on it by way of cuts
    bool direct;        // and (or) beside them: that gradient is in the accumulator from the start,
    bool late;          // or is added at the end, since it needs a cut that comes late
} Trainee;

// A number or tensor without samples that counts over local values take, such as the range of a
// histogram: the parts count when it is known.
typedef struct Known {
    NodeId node;
    const char *name; // of its state
} Known;

// One step on its way into parts.
typedef struct Split {
    Program *program;
    Entry *step; // as it was, and at last the entry that ends an update
    Graph *g;    // of the step as it was
    Arena *scratch;
    int64_t parts;
    const bool *live;
    NodeId loss;
    bool *local, *free; // by node; free: local, cheap, and of no input's samples
    bool *second;       // by node: coupled, of single samples and of what may be known
    bool *known;        // by node: is one of the knowns
    uint32_t *cut_of;   // by node: number of its cut + 1
    VEC(Cut) cuts;
    VEC(Known) knowns;
    VEC(Trainee) trainees;
    VEC(NodeId) values; // coupled numbers that the end of the update reads
} Split;

// A copy of nodes of the step: of the whole batch, where state stands for cuts, or of a part.
typedef struct Copy {
    const Split *split;
    Graph *to;
    bool part;
    bool *needed; // by old node: set by whoever wants it
    NodeId *map;  // by old node; 0: not copied. What is set before is not copied again.
} Copy;

// True when the type has a batch axis; *axis is the last one.
bool part_axis(const Type *type, uint32_t *axis);
// Find the loss, what is local and where to cut. False when there is nothing to cut: no gradient
// of a parameter is taken.
bool accumulate_find(Split *s);

Copy copy_new(const Split *s, Graph *to, bool part);
// Copy everything that is needed.
void copy_run(Copy *c);
// The state of that name in a graph.
NodeId part_state(const Split *s, Graph *g, const char *name);
// The part's own row of a state, as a node of the type (of a graph of a part).
NodeId part_row(const Split *s, Graph *g, const char *name, const Type *type);
// The state with the part's row replaced by the value of a cut.
NodeId part_put(const Split *s, Graph *g, const Cut *cut, NodeId value);
// The type of a cut's state: a row a part.
const Type *cut_type(const Split *s, const Cut *cut);

#endif
