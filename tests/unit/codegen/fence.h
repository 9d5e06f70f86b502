// A second executor of compiled plans that trusts neither the memory plan nor the schedule's
// freedom: every buffer lies alone between pages that may not be touched, and the tasks of a launch
// run one by one in falling order.
#ifndef CZT_TESTS_FENCE_H
#define CZT_TESTS_FENCE_H

#include "executors.h"

typedef struct Fence Fence;

// Map a blob and all buffers of an entry. at_end: buffers end at a fence (writes past the end
// fault), else they begin after one. Scratch is filled with NaN patterns.
Fence *fence_new(const Plan *plan, uint32_t entry, const Blob *blob, bool at_end);
// The bytes of an input, an output or a state variable; NULL when the entry does not touch it.
void *fence_find(const Fence *f, Block block, const char *name);
void fence_run(Fence *f);
// The same with kernels on another engine; then the blob may be NULL.
bool fence_run_on(Fence *f, const Engine *engine, void *unit, Error *err);
void fence_free(Fence *f);

#endif
