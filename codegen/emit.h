// Kernels to LLVM: the state of one function being written and the pieces that all kernel kinds
// share. A kernel is `void NAME(ptr buffers, i64 begin, i64 end, ptr worker)`: it does tasks begin
// .. end - 1.
#ifndef CZT_CODEGEN_EMIT_H
#define CZT_CODEGEN_EMIT_H

#include "ir/target.h"

#include <llvm-c/Core.h>

enum { MOST_UNROLL = 8 };

// Types and constants of a module.
typedef struct EmitTypes {
    LLVMTypeRef i1, i8, i16, i32, i64, f32, f64, ptr, void_;
} EmitTypes;

typedef struct Emit {
    Arena *arena;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    EmitTypes t;
    const Target *target;
    uint32_t lanes; // of an f32 register
    const Kernel *kernel;
    LLVMValueRef function, buffers, begin, end, worker;
    LLVMValueRef *base; // by kernel buffer: its pointer

    // The body being evaluated and the point.
    const KernelBody *body;
    IndexPool *pool;      // of the body; grows by simplified parts of indices
    LLVMValueRef *axis;   // by axis: i64 value (for the vector axis: that of lane 0)
    uint32_t vector_axis; // UINT32_MAX: everything is scalar
    LLVMValueRef mask;    // <lanes x i1> of lanes in use; NULL: all
    LLVMValueRef *memo;   // by instruction: its value at this point, or NULL
    LLVMValueRef acc;     // value of KI_ACC
} Emit;

// ---- builder helpers ----------------------------------------------------------------------------

LLVMValueRef emit_i64(const Emit *e, int64_t x);
LLVMValueRef emit_f32(const Emit *e, double x);
// The register type of an element type: bool is i1, f16 and bf16 travel as f32.
LLVMTypeRef emit_type(const Emit *e, DType dt);
// The type in memory: bool is i8, bf16 and f16 i16.
LLVMTypeRef emit_memory_type(const Emit *e, DType dt);
LLVMTypeRef emit_vector_type(const Emit *e, LLVMTypeRef element);
bool emit_is_vector(LLVMValueRef x);
// Repeat a scalar in all lanes; a vector stays.
LLVMValueRef emit_splat(const Emit *e, LLVMValueRef x);
// <0, 1, .., lanes - 1> of i64.
LLVMValueRef emit_iota(const Emit *e);
// <lanes x i1> with the first n lanes set.
LLVMValueRef emit_mask(const Emit *e, uint32_t n);
// Call an intrinsic overloaded on `type`, e.g. "llvm.fma".
LLVMValueRef emit_intrinsic(const Emit *e, const char *name, LLVMTypeRef type, LLVMValueRef *args,
                            uint32_t n);
// Pointer to element `index` (i64) of element type `type`.
LLVMValueRef emit_at(const Emit *e, LLVMTypeRef type, LLVMValueRef base, LLVMValueRef index);
// Load or store with element alignment.
LLVMValueRef emit_load(const Emit *e, LLVMTypeRef type, LLVMValueRef at, uint32_t align);
void emit_store(const Emit *e, LLVMValueRef x, LLVMValueRef at, uint32_t align);

// The module's function `void NAME(parameters)` that its kernels share, with the attributes of the
// caller. Where the module had none, the Emit has a builder, to write it and to be disposed of.
Emit emit_shared(const Emit *caller, const char *name, LLVMTypeRef *parameters, uint32_t n);

// A counted loop: for (i = from; i < to; i += step). Between begin and end emit the body at the
// builder. carry: n values carried round; on entry the initial ones, inside the loop their current
// ones; pass the next ones to emit_loop_end, after which they hold the final ones. The loop may run
// zero times.
typedef struct EmitLoop {
    LLVMBasicBlockRef head, body, after;
    LLVMValueRef index, next, *phi, *carry;
    uint32_t ncarry;
} EmitLoop;
EmitLoop emit_loop_begin(Emit *e, LLVMValueRef from, LLVMValueRef to, int64_t step,
                         LLVMValueRef *carry, uint32_t n);
void emit_loop_end(Emit *e, EmitLoop *loop);

// ---- values
// ---------------------------------------------------------------------------------------

// Set the body to evaluate: clears axes, memo, mask.
void emit_use_body(Emit *e, const KernelBody *body, uint32_t vector_axis);
// Forget values that depend on any of these axes (their axis values change now); UINT64_MAX: all
// values, for code that those made before do not dominate.
void emit_forget(Emit *e, uint64_t axes);
// The value of an instruction at the current point: scalar when it is free of the vector axis.
LLVMValueRef emit_value(Emit *e, uint32_t instr);
// Do one plain store at the current point.
void emit_body_store(Emit *e, const KernelStore *s);
// Scalar i64 value of an index expression that is free of the vector axis.
LLVMValueRef emit_index(Emit *e, IndexId index);
// An f32 register to the nearest number of a 16-bit float type, still as an f32; other types stay.
LLVMValueRef emit_round(const Emit *e, DType dt, LLVMValueRef x);
// From memory form to register form, and back (exact: the value is one of the type).
LLVMValueRef emit_widen(const Emit *e, DType dt, LLVMValueRef x);
LLVMValueRef emit_narrow(const Emit *e, DType dt, LLVMValueRef x);
// An elementwise op on register values of dtype `from` (operands) and `to` (result), scalar or
// vector.
LLVMValueRef emit_op(Emit *e, OpCode op, DType from, DType to, const LLVMValueRef *args);
// exp(-x) for x that is at least -43: the same bits.
LLVMValueRef emit_exp_minus(Emit *e, DType dt, LLVMValueRef x);
// op is OP_SUM, OP_REDUCE_MAX or OP_REDUCE_MIN: combine two values; its identity.
LLVMValueRef emit_combine(Emit *e, OpCode op, DType dt, LLVMValueRef x, LLVMValueRef y);
// Lane sums of 64 / lanes f32 registers to one value, as the row stage does (docs/ir.md).
LLVMValueRef emit_row_fold(Emit *e, OpCode op, LLVMValueRef *sums);
LLVMValueRef emit_identity(const Emit *e, OpCode op, DType dt);

// ---- kernels, one a file
// --------------------------------------------------------------------------

// Bytes of worker scratch that the kernel uses.
int64_t emit_loop_worker_bytes(const Kernel *k);
void emit_loop_kernel(Emit *e);
int64_t emit_gemm_worker_bytes(const Kernel *k, const Target *target);
void emit_pack_kernel(Emit *e);
void emit_gemm_kernel(Emit *e);
int64_t emit_attention_worker_bytes(const Kernel *k, const Target *target);
int64_t emit_attention_tasks(const Kernel *k, const Target *target);
// Is it attention that multiplies in matrix registers?
bool emit_attention_in_matrix(const Kernel *k, const Target *target);
void emit_attention_kernel(Emit *e); // and its gradients
void emit_scatter_kernel(Emit *e);
int64_t emit_ordered_worker_bytes(const Kernel *k);
void emit_ordered_kernel(Emit *e); // cumsum, topk, nms, eigh
int64_t emit_eigh_worker_bytes(const Kernel *k);
void emit_eigh_matrix(Emit *e, LLVMValueRef matrix); // number `matrix` of those of the kernel
// Everything until emit_end_if is done where the condition holds.
LLVMBasicBlockRef emit_begin_if(Emit *e, LLVMValueRef condition);
void emit_end_if(Emit *e, LLVMBasicBlockRef next);
// Where row `row` of a buffer with rows of n elements begins.
LLVMValueRef emit_row_of(Emit *e, uint32_t buffer, LLVMValueRef row, int64_t n);

#endif
