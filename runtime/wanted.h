// Which views and fields of a sample are decoded: those of which a batch takes a tensor.
#ifndef CZT_RUNTIME_WANTED_H
#define CZT_RUNTIME_WANTED_H

#include "runtime/spec.h"

// By the specification's views and fields.
typedef struct Wanted {
    const bool *views, *fields;
} Wanted;

// Those whose tensors (NAME, NAME.valid, ..) are in the list, with the views that the fields
// follow, since labels lie as their pictures do; all of them where it is NULL.
Wanted *wanted_of(Arena *arena, const DataSpec *spec, const Names *tensors);
bool wanted_same(const DataSpec *spec, const Wanted *a, const Wanted *b);

#endif
