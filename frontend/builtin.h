// The functions behind the rows of builtin.def.
#ifndef CZT_FRONTEND_BUILTIN_H
#define CZT_FRONTEND_BUILTIN_H

#include "frontend/elab.h"

#define BUILTIN(name, run, op, signature, doc) Value builtin_##run(const Call *c);
#include "frontend/builtin.def"
#undef BUILTIN

// Argument i as a tensor of its own type, 0 when reported; the type of a tensor.
NodeId call_tensor(const Call *c, uint32_t i);
const Type *call_type(const Call *c, NodeId x);
// A value of integers as i32; 0 when reported.
NodeId call_integers(const Call *c, Value v, Loc loc, const char *what);
// Argument i into *out, which stays where it is absent. False when reported.
bool call_int(const Call *c, uint32_t i, const char *what, int64_t *out);
bool call_float(const Call *c, uint32_t i, const char *what, double *out);
bool call_flag(const Call *c, uint32_t i, const char *what, bool *out);
// The graph, to which nodes are added that stand for the call; what such a node is as a value.
Graph *call_graph(const Call *c);
Value call_node(const Call *c, NodeId node);
// Argument i as a type; false when reported.
bool call_dtype(const Call *c, uint32_t i, DType *dtype);
// Argument i as axes of argument 0, by numbers or names, sorted; false when reported.
bool call_axes(const Call *c, uint32_t i, uint32_t rank, int64_t **axes, uint32_t *n);

#endif
