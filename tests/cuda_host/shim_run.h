// CUDA kernels' text on the CPU: compile it as C++ together with shim.h, run it with a fiber for
// each thread. Blocks go to worker threads; a block's threads take turns on one of them and change
// only where they wait for each other. x86-64 only.
#ifndef SHIM_RUN_H
#define SHIM_RUN_H

#include "base/diag.h"

typedef struct ShimModule ShimModule;
typedef struct ShimEntry ShimEntry; // a kernel; shim_lane.h
typedef struct Shim Shim;

// In which order blocks start, and the threads of a block take turns. Right kernels give the same
// bits.
typedef enum { SHIM_FORWARD, SHIM_REVERSE, SHIM_RANDOM } ShimOrder;

typedef struct ShimOptions {
    uint32_t workers; // threads of the system, the caller's among them; 0: one
    ShimOrder order;
    uint64_t seed; // of SHIM_RANDOM
} ShimOptions;

// Compile a text that begins with codegen/cuda_prelude.cuh and load it. Leaves so_path, and beside
// it the text with .cc for .so. With races, accesses of shared memory are watched: two threads, one
// of them writing, no barrier between, is an error of the launch. Errors carry the compiler's
// messages.
ShimModule *shim_compile(const char *text, const char *so_path, bool races, Error *err);
// The two halves of it: leave so_path; load it, in this process or a later one.
bool shim_build(const char *text, const char *so_path, bool races, Error *err);
ShimModule *shim_load(const char *so_path, bool races, Error *err);
void shim_unload(ShimModule *module);
// Bytes of all parameters of a kernel.
uint32_t shim_parameter_bytes(const ShimEntry *entry);
// A kernel by its name, or NULL.
const ShimEntry *shim_kernel(const ShimModule *module, const char *name);

// Workers with their stacks and shared memory; options may change between launches.
Shim *shim_new(void);
void shim_free(Shim *shim);

// Run a grid to its end. parameters[i] is the address of parameter i, as for cuLaunchKernel. Before
// each block its shared memory is filled with ones (NaN). Errors name kernel, block and thread:
// threads of a block or warp that do not meet, addresses outside of shared memory or of what is
// mapped, misaligned 16-byte accesses, races (see shim_compile), limits of a launch.
bool shim_launch(Shim *shim, const ShimOptions *options, const ShimModule *module,
                 const ShimEntry *kernel, void *const *parameters, uint32_t grid_x, uint32_t grid_y,
                 uint32_t threads, size_t dynamic_shared, Error *err);

// Bytes filled with ones whose end meets a page that cannot be touched (to 16 bytes).
void *shim_guarded(size_t bytes);
void shim_guarded_free(void *p, size_t bytes);

#endif
