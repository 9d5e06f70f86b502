// What may run beside what: the order that the segments of an entry keep.
#ifndef CZT_PASSES_BESIDE_H
#define CZT_PASSES_BESIDE_H

#include "passes/lower.h"

typedef struct Sequence Sequence;

// Mark the segments that a stream of their own may run (Segment.frozen), and find the order of all:
// that of what they read and write, and in each of the two streams that of the plan. NULL: there is
// one stream, and what is earlier in the plan comes before what is later. In the lowering's arena.
Sequence *sequence_of(Lower *lo);
// Does all that touches buffer y come after all that touches x?
bool sequence_after(const Sequence *q, uint32_t x, uint32_t y);

#endif
