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

enum { SEGMENTS = 1, BIASED = 2 };

typedef struct AttentionCase {
    int64_t queries, keys, dim, vdim;
    bool causal;
    Lie lie;
    int masks; // of SEGMENTS and BIASED; heads have segments of their own, and share the bias
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

enum { Q, K, V, OUT, LSE, DOUT, DQ, DK, DV, QUERY_SEGMENTS, KEY_SEGMENTS, BIAS, DBIAS, OPERANDS };

static inline DType dtype_of(int operand)
{
    if (operand == QUERY_SEGMENTS || operand == KEY_SEGMENTS) return DT_I32;
    return operand == LSE || operand == BIAS || operand == DBIAS ? DT_F32 : DT_BF16;
}

// All operands of a case and their sizes; lse and segments have one column. A bias that is not
// there has one element.
static inline void operands_of(const AttentionCase *c, Operand all[OPERANDS],
                               int64_t rows[OPERANDS], int64_t cols[OPERANDS])
{
    int64_t n = c->queries, m = c->keys, d = c->dim, e = c->vdim;
    const int64_t r[] = {n, m, m, n, n, n, n, m, m, n, m, n, n};
    const int64_t k[] = {d, d, e, e, 1, e, d, d, e, 1, 1, m, m};
    for (int i = 0; i < OPERANDS; i++) {
        bool beside = i == LSE || i > DV, none = i >= BIAS && !(c->masks & BIASED);
        rows[i] = none ? 1 : r[i];
        cols[i] = none ? 1 : k[i];
        all[i] = operand(beside && i != BIAS ? LIE_DENSE : c->lie, rows[i], cols[i]);
        if (i == BIAS || i == DBIAS) all[i].head = 0;
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

// Forward, the gradient, the gradient of the bias. All have the buffers of all operands, in their
// order.
typedef enum { FORWARD, GRADIENT, BIAS_GRADIENT, KERNELS } Which;

static inline bool is_written(Which which, int operand)
{
    switch (operand) {
    case OUT:
    case LSE: return which == FORWARD;
    case DQ:
    case DK:
    case DV: return which == GRADIENT;
    default: return operand == DBIAS && which == BIAS_GRADIENT;
    }
}

static inline bool has_kernel(const AttentionCase *c, Which which)
{
    return which != BIAS_GRADIENT || c->masks & BIASED;
}

static inline Kernel *attention_kernel(Arena *arena, const AttentionCase *c, Which which)
{
    static const KernelKind kinds[] = {KERNEL_ATTENTION, KERNEL_ATTENTION_GRAD,
                                       KERNEL_ATTENTION_BIAS_GRAD};
    Kernel *k = arena_make(arena, Kernel);
    *k = (Kernel){.kind = kinds[which], .name = "attention"};
    index_init(&k->body.index, arena);
    KernelAxis heads = {HEADS, ROLE_OUTER};
    vec_push(arena, &k->body.axes, heads);
    k->attention.queries = c->queries;
    k->attention.keys = c->keys;
    k->attention.dim = c->dim;
    k->attention.vdim = c->vdim;
    k->attention.causal = c->causal;
    k->attention.scale = 1 / sqrtf((float)c->dim);
    k->attention.segments = c->masks & SEGMENTS;
    k->attention.biased = c->masks & BIASED;
    k->attention.shared = which == BIAS_GRADIENT ? HEADS : 1;
    Operand all[OPERANDS];
    int64_t rows[OPERANDS], cols[OPERANDS];
    operands_of(c, all, rows, cols);
    StridedView *to[OPERANDS] = {
        [Q] = &k->attention.q,
        [K] = &k->attention.k,
        [V] = &k->attention.v,
        [OUT] = &k->attention.out,
        [LSE] = &k->attention.lse,
        [DOUT] = &k->attention.dout,
        [DQ] = &k->attention.dq,
        [DK] = &k->attention.dk,
        [DV] = &k->attention.dv,
        [QUERY_SEGMENTS] = &k->attention.query_segments,
        [KEY_SEGMENTS] = &k->attention.key_segments,
        [BIAS] = &k->attention.bias,
        [DBIAS] = &k->attention.dbias,
    };
    for (int i = 0; i < OPERANDS; i++)
        *to[i] = view_of(arena, k, &all[i], dtype_of(i), is_written(which, i));
    return k;
}

#endif
