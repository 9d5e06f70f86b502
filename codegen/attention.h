// Inside of attention for CPUs: attention.c (products, rows of scores, the kernels),
// attention_operand.c (what lies in memory), attention_matrix.c (scores for tile registers) and
// attention_mask.c (segments and biases).
#ifndef CZT_CODEGEN_ATTENTION_H
#define CZT_CODEGEN_ATTENTION_H

#include "codegen/emit.h"

enum {
    ROW_LANES = 64,  // docs/ir.md, row stage
    BLOCK_TILES = 4, // register tiles in a block of queries
    MATRIX_TILES = 2 // the same of matrix.h
};

typedef struct Heads {
    Emit *e;
    const Kernel *k;
    bool matrix; // products in tile registers: rows and panels hold bf16, the latter in pairs
    int64_t mr, nr, queries, keys, dim, vdim;
    int64_t keys_pad;             // whole 64s: the lanes of a row's sum
    int64_t dim_pad, vdim_pad;    // whole panels
    int64_t block;                // queries of a block
    int64_t row;                  // floats from row to row of scores
    int64_t used;                 // floats of scratch handed out
    LLVMValueRef segments;        // of this head's keys, i32, in scratch
    LLVMValueRef q0, rows, limit; // this block: first query, how many, keys that take part
} Heads;

// Rows of an operand as the left side of a product, elements f32 or with `matrix` bf16.
typedef struct Rows {
    LLVMValueRef at;
    int64_t stride;
} Rows;

static inline int64_t up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static inline LLVMValueRef add(Emit *e, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildAdd(e->builder, x, y, "");
}

static inline LLVMValueRef mul(Emit *e, LLVMValueRef x, int64_t y)
{
    return LLVMBuildMul(e->builder, x, emit_i64(e, y), "");
}

static inline LLVMValueRef least(Emit *e, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, x, y, ""), x, y, "");
}

static inline LLVMValueRef at(Emit *e, LLVMValueRef base, LLVMValueRef index)
{
    return emit_at(e, e->t.f32, base, index);
}

static inline LLVMTypeRef vector(const Emit *e)
{
    return emit_vector_type(e, e->t.f32);
}

// ---- operands: attention_operand.c --------------------------------------------------------------

// Where an operand's matrix begins at the current outer point.
LLVMValueRef heads_base(Heads *h, const StridedView *v);
// Elements (row, col + lane) for the first n lanes, 0 elsewhere.
LLVMValueRef heads_row(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                       LLVMValueRef col, int64_t n);
// The first n lanes of x, rounded to the result's type, to elements (row, col + lane).
void heads_store_row(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                     int64_t col, int64_t n, LLVMValueRef x);
void heads_clear(Heads *h, LLVMValueRef to, int64_t floats);
// Floats of panels for a product of this depth with so many columns.
int64_t heads_panel_floats(const Heads *h, int64_t depth, int64_t cols);
// Rows [first, first + rows) of an operand: in place, or copied to `to`, which has this many
// floats.
Rows heads_rows(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows, int64_t cols,
                LLVMValueRef to);
int64_t heads_rows_floats(const Heads *h, const StridedView *v, int64_t cols);
// A rows x cols operand as panels [col / nr][row][nr], for products along its rows.
void heads_panels(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows,
                  int64_t most_rows, int64_t cols, LLVMValueRef to);
// A rows x cols operand transposed: panels [row / nr][col][nr], 0 in the last panel's columns past
// the rows.
void heads_panels_transposed(Heads *h, const StridedView *v, int64_t rows, int64_t cols,
                             LLVMValueRef to);
// rows x cols of scratch [row][stride] to an operand, each element times factor (NULL: as it is).
void heads_write_back(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows,
                      int64_t cols, LLVMValueRef from, int64_t stride, LLVMValueRef factor);

// ---- scores for tile registers: attention_matrix.c ----------------------------------------------

// n (i64) up to whole tile registers.
LLVMValueRef heads_whole(Heads *h, LLVMValueRef n);
// Rows of the block rounded to bf16: elements from row to row, and floats that they take.
int64_t heads_rounded_stride(const Heads *h);
int64_t heads_rounded_floats(const Heads *h);
void heads_store_rounded(Heads *h, LLVMValueRef x, LLVMValueRef to);
// The same with keys as rows and the block's queries along them; rows that there are none of become
// 0 in `from`.
int64_t heads_turned_stride(const Heads *h);
int64_t heads_turned_floats(const Heads *h);
void heads_turn(Heads *h, LLVMValueRef from, LLVMValueRef to);

// ---- segments and biases: attention_mask.c ------------------------------------------------------

// Floats of scratch for the segments of the keys; bring them there, once a task.
int64_t heads_segments_floats(const Heads *h);
void heads_segments(Heads *h, LLVMValueRef to);
// Scale the first `limit` scores of a row, add the bias, and make those of unseen keys -inf.
void heads_mask_row(Heads *h, LLVMValueRef row, LLVMValueRef limit, LLVMValueRef query);
// What is subtracted from scores: x, or 0 where a row has nothing but -inf.
LLVMValueRef heads_shift(Heads *h, LLVMValueRef x);
// Add the block's rows, as far as keys take part, to sums; store these as the block's rows of
// dbias.
void heads_add_rows(Heads *h, LLVMValueRef sums, LLVMValueRef from);
void heads_store_bias(Heads *h, LLVMValueRef sums);

#endif
