// Attention kernels of bf16 for tests: kernel IR made by hand, so that sizes, strides and masks are
// free, and the text that codegen writes for it.
#ifndef CUDA_HOST_ATTENTION_CASE_H
#define CUDA_HOST_ATTENTION_CASE_H

#include "check.h"
#include "codegen/cuda.h"

// How the matrices of a head lie in memory.
typedef enum {
    LIE_DENSE,   // head by head
    LIE_BETWEEN, // positions outside of heads, q, k and v side by side: rows are 16-byte multiples
    LIE_ODD,     // from an odd element on, rows of an odd length
    LIE_ACROSS,  // transposed
    LIE_KINDS
} Lie;

typedef struct AttentionCase {
    int64_t queries, keys, dim, vdim;
    bool causal;
    Lie lie;
} AttentionCase;

enum { HEADS = 2 };

// One operand: where head h, row r, column c lies.
typedef struct Operand {
    int64_t head, row, col, first, count; // first: element 0; count: elements of the buffer
} Operand;

static inline Operand operand(Lie lie, int64_t rows, int64_t cols)
{
    switch (lie) {
    case LIE_BETWEEN:
        return (Operand){cols, HEADS * 3 * cols, 1, HEADS * cols, rows * HEADS * 3 * cols};
    case LIE_ODD: {
        int64_t row = cols + 3;
        return (Operand){rows * row + 5, row, 1, 1, HEADS * (rows * row + 5) + 1};
    }
    case LIE_ACROSS: return (Operand){rows * cols, 1, rows, 0, HEADS * rows * cols};
    default: return (Operand){rows * cols, cols, 1, 0, HEADS * rows * cols};
    }
}

enum { Q, K, V, OUT, LSE, DOUT, DQ, DK, DV, OPERANDS };

// All operands of a case and their sizes; lse has one column.
static inline void operands_of(const AttentionCase *c, Operand all[OPERANDS],
                               int64_t rows[OPERANDS], int64_t cols[OPERANDS])
{
    int64_t n = c->queries, m = c->keys, d = c->dim, e = c->vdim;
    const int64_t r[] = {n, m, m, n, n, n, n, m, m}, k[] = {d, d, e, e, 1, e, d, d, e};
    for (int i = 0; i < OPERANDS; i++) {
        rows[i] = r[i];
        cols[i] = k[i];
        all[i] = operand(i == LSE ? LIE_DENSE : c->lie, r[i], k[i]);
    }
}

static inline StridedView view_of(Arena *arena, Kernel *k, const Operand *o, DType dt, bool written)
{
    IndexPool *pool = &k->body.index;
    KernelBuffer buffer = {dt, o->count, written};
    vec_push(arena, &k->buffers, buffer);
    IndexId head = index_mul(pool, index_axis(pool, 0, HEADS), o->head);
    return (StridedView){k->buffers.n - 1, index_add(pool, head, index_const(pool, o->first)),
                         o->row, o->col};
}

// Buffers in the order of the operands: forward q, k, v, out, lse; gradient all.
static inline Kernel *attention_kernel(Arena *arena, const AttentionCase *c, bool grad)
{
    Kernel *k = arena_make(arena, Kernel);
    *k = (Kernel){.kind = grad ? KERNEL_ATTENTION_GRAD : KERNEL_ATTENTION,
                  .name = grad ? "attention_grad" : "attention"};
    index_init(&k->body.index, arena);
    KernelAxis heads = {HEADS, ROLE_OUTER};
    vec_push(arena, &k->body.axes, heads);
    k->attention.queries = c->queries;
    k->attention.keys = c->keys;
    k->attention.dim = c->dim;
    k->attention.vdim = c->vdim;
    k->attention.causal = c->causal;
    k->attention.scale = 1 / sqrtf((float)c->dim);
    Operand all[OPERANDS];
    int64_t rows[OPERANDS], cols[OPERANDS];
    operands_of(c, all, rows, cols);
    StridedView *to[OPERANDS] = {
        [Q] = &k->attention.q,     [K] = &k->attention.k,     [V] = &k->attention.v,
        [OUT] = &k->attention.out, [LSE] = &k->attention.lse, [DOUT] = &k->attention.dout,
        [DQ] = &k->attention.dq,   [DK] = &k->attention.dk,   [DV] = &k->attention.dv};
    for (int i = 0; i < (grad ? OPERANDS : DOUT); i++)
        *to[i] = view_of(arena, k, &all[i], i == LSE ? DT_F32 : DT_BF16,
                         grad ? i >= DQ : i == OUT || i == LSE);
    return k;
}

#endif
