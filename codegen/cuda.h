// Kernels as CUDA C++ text for NVRTC. The text is the same for every GPU; what a GPU adds is chosen
// by its preprocessor. It begins with codegen/cuda_prelude.cuh, the table of instructions.
#ifndef CZT_CODEGEN_CUDA_H
#define CZT_CODEGEN_CUDA_H

#include "codegen/backend.h"

// How a kernel is launched: blocks[0] x blocks[1] blocks of `threads`. Its one parameter is a
// struct of the buffers' addresses in the kernel's order, each a multiple of 16.
typedef struct CudaLaunch {
    const char *symbol;             // "k3"
    uint32_t threads, shared_bytes; // shared_bytes: dynamic shared memory of a block
    uint32_t residents;             // blocks that a multiprocessor is to hold at least; 0: no wish
    int64_t blocks[2];
    bool tensor_cores; // sums are in the tensor cores' order, not in that of docs/ir.md
} CudaLaunch;

// What passes ask of a CUDA target.
Target cuda_target(void);
// One translation unit with kernels k0 .. k(n - 1), and how each is launched (n entries).
const char *cuda_text(Arena *arena, uint32_t n, Kernel *const *kernels, CudaLaunch *launches);

// Architectures to compile for: "sm_90a", "compute_80", "text".
typedef VEC(const char *) CudaArchs;
// For a Backend whose `own` are CudaArchs.
bool cuda_backend_compile(const Backend *backend, Arena *arena, const Plan *plan, uint32_t threads,
                          Code *code, CompileStats *stats, Error *err);
const char *cuda_backend_identity(const Backend *backend, Arena *arena, uint32_t threads);

#endif
