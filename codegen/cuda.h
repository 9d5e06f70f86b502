// Kernels as CUDA C++ text for NVRTC. The text is the same for every GPU; what a GPU adds is chosen
// by its preprocessor. It begins with codegen/cuda_prelude.cuh, the table of instructions.
#ifndef CZT_CODEGEN_CUDA_H
#define CZT_CODEGEN_CUDA_H

#include "ir/kernel.h"
#include "ir/target.h"

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

#endif
