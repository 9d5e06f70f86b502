// What the builder simplifies while it adds a node: constants and identities. Internal to ir/.
#ifndef CZT_IR_FOLD_H
#define CZT_IR_FOLD_H

#include "ir/graph.h"

// A node equal to the one about to be added (checked, attributes in canonical form, result of the
// given type), or 0 when there is nothing to simplify. May add nodes.
NodeId fold_node(Graph *g, const Node *n);
// The value as the element type holds it: rounded to nearest even, or the integer itself.
double fold_round(DType dt, double value);
// Rounded to 11 significant bits with the exponents of f32, as op tf32 does.
double fold_tf32(double value);
// True when an integer type holds the value exactly.
bool fold_fits(DType dt, double value);

#endif
