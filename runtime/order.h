// What must come before what among an entry's segments.
#ifndef CZT_RUNTIME_ORDER_H
#define CZT_RUNTIME_ORDER_H

#include "runtime/step.h"

// The segments of an entry, numbered through all launches, and the earlier ones that each must wait
// for.
typedef struct Order {
    uint32_t n;
    const StepSegment **segments;
    const uint32_t **after; // rising numbers
    uint32_t *nafter;
} Order;

// Find the order from the bytes that kernels read and write: two segments of different launches
// that touch the same bytes, one of them writing, keep their order. What follows from other pairs
// is left out. Of the kernels that `alone` names (by number) one runs at a time. Needs the kernels'
// extents.
void order_find(Arena *arena, const Step *step, const StepEntry *entry, const bool *alone,
                Order *order);

#endif
