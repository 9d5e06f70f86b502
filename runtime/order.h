// What an entry launches, and what must come before what.
#ifndef CZT_RUNTIME_ORDER_H
#define CZT_RUNTIME_ORDER_H

#include "runtime/step.h"

// What is launched at once: a segment, or all segments of a launch that one function does by a
// table.
typedef struct OrderNode {
    const StepSegment **segments;
    uint32_t *numbers; // of the segments, among all of the entry
    uint32_t n, launch;
    bool frozen;           // as its segments are
    const uint32_t *after; // earlier nodes that it must wait for, rising
    uint32_t nafter;
} OrderNode;

typedef struct Order {
    OrderNode *nodes;
    uint32_t n;
} Order;

// Find an entry's nodes, and their order from the bytes that kernels read and write: two nodes
// that touch the same bytes, one of them writing, keep the plan's order. What follows from other
// pairs is left out. Of the kernels that `alone` names (by number) one runs at a time, with
// `streams` beside it a frozen one. Needs the kernels' extents.
void order_find(Arena *arena, const Step *step, const StepEntry *entry, const bool *alone,
                bool streams, Order *order);

#endif
