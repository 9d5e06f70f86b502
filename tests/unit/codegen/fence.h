// A second executor of compiled plans that trusts neither the memory plan nor the schedule's
// freedom: every buffer lies alone between pages that may not be touched, and the tasks of a launch
// run one by one in falling order.
#ifndef CZT_TESTS_FENCE_H
#define CZT_TESTS_FENCE_H

#include "codegen/cpu.h"
#include "passes/lower.h"

typedef struct Fence Fence;

// Map a blob and all buffers of an entry. at_end: buffers end at a fence (writes past the end
// fault), else they begin after one. Scratch is filled with NaN patterns.
Fence *fence_new(const Plan *plan, uint32_t entry, const Blob *blob, bool at_end);
// The bytes of an input, an output or a state variable; NULL when the entry does not touch it.
void *fence_find(const Fence *f, Block block, const char *name);
void fence_run(Fence *f);
void fence_free(Fence *f);

#endif
