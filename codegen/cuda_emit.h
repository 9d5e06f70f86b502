// Writing CUDA text: the state of one kernel being written, and its scalar bodies as declarations.
#ifndef CZT_CODEGEN_CUDA_EMIT_H
#define CZT_CODEGEN_CUDA_EMIT_H

#include "codegen/cuda.h"
#include "codegen/sweeps.h"

enum { LOOSE_BEGIN = 1, LOOSE_END = 2 }; // around a loose number

// A function: its launch bounds, what it is called with, and what stands in its braces.
typedef struct CudaFunction {
    const char *bounds; // "128, 2"
    uint32_t buffers;
    bool table;
    const char *body;
} CudaFunction;

typedef struct CudaText {
    Arena *arena;
    VEC(char) out;
    uint32_t indent, names; // names: how many values have been declared in this kernel
    uint64_t expanded;      // bit by op: its expansion has been written
    bool loose;             // cuda_number marks what a launch may bring instead

    const Kernel *kernel;
    const KernelBody *body;
    const char **axis;  // by axis of the body: the C expression of its value
    const char **memo;  // by instruction: the name of its value here, or NULL
    const char **known; // by instruction: an expression that has its value already, or NULL
    const char *acc;    // value of KI_ACC
} CudaText;

CudaFunction cuda_function(Arena *arena, const Kernel *k, CudaLaunch *launch);

void cuda_put(CudaText *t, const char *text);
// A line at the current depth; open adds " {" and goes one deeper, close comes back.
void cuda_line(CudaText *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cuda_open(CudaText *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cuda_close(CudaText *t);
// Element type in registers ("float", also for bf16 and f16; bool is bool) and in memory (bool is a
// byte).
const char *cuda_type(DType dt);
const char *cuda_memory_type(DType dt);

// Begin to evaluate a body: nothing known, axes without a value.
void cuda_use_body(CudaText *t, const KernelBody *body);
// Forget values that depend on any of these axes (KernelInstr.axes), UINT64_MAX: all.
void cuda_forget(CudaText *t, uint64_t axes);
// Declare what an instruction needs and itself, unless it is known; gives its name.
const char *cuda_value(CudaText *t, uint32_t instr);
// Declare every value that is free of `loops` and ready after `over` sweeps.
void cuda_hoist(CudaText *t, const Sweeps *s, uint64_t loops, uint32_t over);
// A number of the text that code is as good without: in a loose text it is marked, so that
// functions that differ in such numbers alone become one, which has them from its launch
// (cuda_share.c).
const char *cuda_number(CudaText *t, int64_t x);
// The expression of an index; int where every part fits, else long long.
const char *cuda_index(CudaText *t, IndexId index);
// Do these guards hold, "x && y"; NULL without guards.
const char *cuda_guards(CudaText *t, const KernelGuard *guards, uint32_t n);
// Declare the outer axes at `point`, which is used up; gives how many points there are.
int64_t cuda_outer_axes(CudaText *t);
// Blocks count outer points x `each`: declare the outer axes and `at`, below each. Gives the number
// of points.
int64_t cuda_outer_points(CudaText *t, int64_t each);
// Store the (known or now declared) value.
void cuda_store(CudaText *t, const KernelStore *s);
// "(a && b)" of guards, or NULL without any.
const char *cuda_guards(CudaText *t, const KernelGuard *guards, uint32_t n);
// x op y for a reduction, and what it starts from.
const char *cuda_combine(CudaText *t, OpCode op, DType dt, const char *x, const char *y);
const char *cuda_identity(CudaText *t, OpCode op, DType dt);
// Write the expansions that the kernel calls and that are not there yet.
void cuda_functions(CudaText *t, const Kernel *k);

void cuda_loop_kernel(CudaText *t, CudaLaunch *launch);
// Is the text of this loop kernel the same for all sizes?
bool cuda_any_size(Arena *arena, const Kernel *k);
void cuda_gemm_kernel(CudaText *t, CudaLaunch *launch);
void cuda_mma_kernel(CudaText *t, CudaLaunch *launch); // cuda_mma_takes: on tensor cores
bool cuda_mma_takes(const Kernel *k);
// Target.parts
int64_t cuda_mma_parts(const Kernel *k);
// Does the operand lie with k innermost? Then neighbouring threads read neighbouring k.
bool cuda_runs_along_k(const KernelBody *b, Arena *arena);
void cuda_engine_kernel(CudaText *t, CudaLaunch *launch);
void cuda_scatter_kernel(CudaText *t, CudaLaunch *launch); // and its lists
void cuda_ordered_kernel(CudaText *t, CudaLaunch *launch); // cumsum, topk, nms
int64_t cuda_workspace(const Kernel *k, DType *dt);        // Target.workspace
// Attention on tensor cores: is this kernel one that it takes? Its text needs
// codegen/cuda_attention.cuh.
bool cuda_attention_takes(const Kernel *k);
void cuda_attention_kernel(CudaText *t, CudaLaunch *launch);

#endif
