// Kernels as CUDA C++ text for NVRTC. The text is the same for every GPU; what a GPU adds is chosen
// by its preprocessor. It begins with codegen/cuda_prelude.cuh, the table of instructions.
#ifndef CZT_CODEGEN_CUDA_H
#define CZT_CODEGEN_CUDA_H

#include "codegen/backend.h"

// How a kernel is launched: blocks[0] x blocks[1] blocks of `threads`. Its one parameter is a
// struct of the buffers' addresses in the kernel's order, each a multiple of 16; or with `table` a
// Table of codegen/cuda_prelude.cuh, whose row has these addresses and sizes. Such a function may
// serve several kernels, and one launch many segments, block after block. Any function may serve
// kernels that differ in some numbers: they follow the addresses, 64 bits each.
typedef struct CudaLaunch {
    const char *symbol;             // "k3"
    uint32_t function;              // its number, of the distinct ones
    uint32_t threads, shared_bytes; // shared_bytes: dynamic shared memory of a block
    uint32_t residents;             // blocks that a multiprocessor is to hold at least; 0: no wish
    int64_t blocks[2];
    bool table;
    int64_t size[2];
    const int64_t *numbers;
    uint32_t nnumbers;
    bool tensor_cores; // sums are in the tensor cores' order, not in that of docs/ir.md
} CudaLaunch;

// Kernels as text. Kernels that differ in sizes alone may share a function.
typedef struct CudaProgram {
    CudaLaunch *launches; // by kernel
    uint32_t n;           // distinct functions
    const char *const *texts;
    const Kernel *const *kernels; // one for each function
} CudaProgram;

// What passes ask of a CUDA target.
Target cuda_target(void);
CudaProgram cuda_program(Arena *arena, uint32_t n, Kernel *const *kernels);
// A translation unit with the functions [first, end).
const char *cuda_unit(Arena *arena, const CudaProgram *program, uint32_t first, uint32_t end);
// One unit of all.
const char *cuda_text(Arena *arena, uint32_t n, Kernel *const *kernels, CudaLaunch *launches);

// Architectures to compile for: "sm_90a", "compute_80", "text".
typedef VEC(const char *) CudaArchs;
// For a Backend whose `own` are CudaArchs.
bool cuda_backend_compile(const Backend *backend, Arena *arena, const Plan *plan, uint32_t threads,
                          Code *code, CompileStats *stats, Error *err);
const char *cuda_backend_identity(const Backend *backend, Arena *arena, uint32_t threads);

#endif
