// The functions behind the rows of builtin.def.
#ifndef CZT_FRONTEND_BUILTIN_H
#define CZT_FRONTEND_BUILTIN_H

#include "frontend/elab.h"

#define BUILTIN(name, run, op, signature, doc) Value builtin_##run(const Call *c);
#include "frontend/builtin.def"
#undef BUILTIN

// Argument i as a type; false when reported.
bool call_dtype(const Call *c, uint32_t i, DType *dtype);
// Argument i as axes of argument 0, by numbers or names, sorted; false when reported.
bool call_axes(const Call *c, uint32_t i, uint32_t rank, int64_t **axes, uint32_t *n);

#endif
