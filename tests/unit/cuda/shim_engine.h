// The host shim as an executor of kernels: a plan's CUDA text, compiled as C++.
#ifndef CZT_TESTS_SHIM_ENGINE_H
#define CZT_TESTS_SHIM_ENGINE_H

#include "codegen/cuda.h"
#include "executors.h"

// With `races`, accesses to shared memory without a barrier between them are errors.
Engine cuda_text_engine(bool races);
// Run every entry of IR text (NAME is shown on failure) on the interpreter and on CUDA text. Fails
// the Criterion test on a difference.
void same_on_cuda_text(Arena *arena, const char *name, const char *text);
// The plan of IR text for GPUs, after all passes and verified.
const Plan *cuda_plan(Arena *arena, const char *text);
// All distinct kernels of the corpus, in every precision.
CudaProgram corpus_program(Arena *arena);
// NVRTC. Where it is not installed the test is skipped, and says so.
struct Nvrtc *nvrtc_or_skip(Arena *arena);

#endif
