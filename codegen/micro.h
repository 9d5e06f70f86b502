// The register tile of all matrix products: c[r, j] (+)= chain over k of a[r, k] * b[k, j] for a
// few rows r and micro_nr columns j, one fma a step in rising k. Contractions and attention are
// loops around it.
#ifndef CZT_CODEGEN_MICRO_H
#define CZT_CODEGEN_MICRO_H

#include "codegen/emit.h"

// Rows and columns of a full tile for a register width: 12 x 32 with 16 lanes and 32 registers, 6 x
// 16 with 8 and 16.
uint32_t micro_mr(uint32_t lanes);
uint32_t micro_nr(uint32_t lanes);
// Columns of a tile for products with n columns: micro_nr, or one register, or half of one where
// that holds them.
uint32_t micro_columns(uint32_t lanes, int64_t n);

typedef struct Micro {
    uint32_t rows;    // 1 .. micro_mr
    uint32_t columns; // a result of micro_columns
    uint32_t used;    // 1 .. columns: c has no more
    int64_t ars, aks; // a[r, k] lies at a + r * ars + k * aks
    int64_t crs;      // c[r, j] lies at c + r * crs + j
    bool far;         // c is not in a near cache
} Micro;              // b[k, j] lies at b + k * columns + j, its rows aligned to a register

// Call the tile function of this shape (made once a module): `depth` steps (i64); from zero, or
// from what c holds where `add` (i1) is true. A small constant depth from zero gets a function of
// its own.
void micro_call(Emit *e, Micro shape, LLVMValueRef a, LLVMValueRef b, LLVMValueRef depth,
                LLVMValueRef c, LLVMValueRef add);

// Transpose lanes x lanes floats in registers: x[i] lane j becomes x[j] lane i.
void micro_transpose(Emit *e, LLVMValueRef *x);

#endif
