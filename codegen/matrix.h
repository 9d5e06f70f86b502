// Tile registers (Intel AMX): c[r, j] (+)= sum over k of a[r, k] * b[k, j] for 16 x 16 of c, bf16
// times bf16 added up in f32, subnormal numbers taken as 0. Of 32 steps that a register of a holds,
// the even ones make one chain from 0 and the odd ones another; their sum is added to c (Intel
// Architecture Instruction Set Extensions Programming Reference, TDPBF16PS).
#ifndef CZT_CODEGEN_MATRIX_H
#define CZT_CODEGEN_MATRIX_H

#include "codegen/emit.h"

enum {
    MATRIX_ROWS = 16, // of a register of a and of c; also columns of b and of c
    MATRIX_DEPTH = 32 // steps of k in a register of a and of b
};

typedef struct Matrix {
    uint32_t rows, columns; // registers of c: 1 or 2
    int64_t ars;            // a[r, k] is a bf16 at a + r * ars + k, in elements; whole cache lines
    int64_t crs;            // c[r, j] is at c + r * crs + j
} Matrix;                   // pairs b[2u and 2u + 1, j] are at b + u * 16 * columns + j

// Give the registers their shapes before the first call; and what comes after the last.
void matrix_begin(const Emit *e);
void matrix_end(const Emit *e);
// `trips` (i64) times MATRIX_DEPTH steps; from zero, or from what c holds where `add` (i1) is true.
void matrix_call(Emit *e, Matrix shape, LLVMValueRef a, LLVMValueRef b, LLVMValueRef trips,
                 LLVMValueRef c, LLVMValueRef add);

#endif
