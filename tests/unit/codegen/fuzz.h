// Random programs for comparing executors: a generator, and a shrinker for those that fail.
#ifndef CZT_TESTS_FUZZ_H
#define CZT_TESTS_FUZZ_H

#include "executors.h"

// IR text of the program of a seed: 5 to 40 operations on small tensors, several outputs, updates
// and gradients.
const char *fuzz_program(Arena *arena, uint64_t seed);
// How the program of a seed is to be compiled and run.
Trial fuzz_trial(uint64_t seed);
// The same text with everything left out that the failure does not need. fails(ctx, text) must hold
// for `text`.
const char *fuzz_shrink(Arena *arena, const char *text, bool (*fails)(void *ctx, const char *text),
                        void *ctx);

#endif
