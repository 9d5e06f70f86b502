// The operands of a CPU's products: of which tiles a product is made, vectors of an operand's
// elements, and the right operand packed in panels as wide as a tile.
#ifndef CZT_CODEGEN_PANEL_H
#define CZT_CODEGEN_PANEL_H

#include "codegen/emit.h"
#include "ir/target.h"

// The register tile of micro.h over elements as f32; or, for bf16 where the CPU has them and they
// are filled, the tile registers of matrix.h over pairs of elements.
typedef struct Tiling {
    bool pairs;     // a lane holds steps 2u and 2u + 1 of k as bf16, u its unit; else step u as f32
    int64_t mr, nr; // rows and columns of a tile
} Tiling;

Tiling tiling_of(const Target *t, const Kernel *k);
// Units of a depth: all of its steps, or its pairs, with zeros up to whole tile registers.
int64_t tiling_units(const Tiling *t, int64_t depth);

// ---- elements of the body in use, axes (batch, row or column, k)

// The vector of elements at this point, 0 where the mask (NULL: none) is off.
LLVMValueRef panel_here(Emit *e, LLVMValueRef mask);
// Lanes from `start` that are below `end` (i64): the mask of the vector there.
LLVMValueRef panel_mask_below(Emit *e, LLVMValueRef start, LLVMValueRef end);
// Two registers of bf16 numbers as one of their pairs: lane i of both; or numbers 2i and 2i + 1 of
// the one and then the other. In the shape of f32.
LLVMValueRef panel_pair(const Emit *e, LLVMValueRef first, LLVMValueRef second);
LLVMValueRef panel_join(const Emit *e, LLVMValueRef low, LLVMValueRef high);
// Bug, if elements do not travel as f32.
void panel_check_f32(const Emit *e);
// True when loads run contiguously along `axis` and not along `other`.
bool panel_runs_along(const KernelBody *body, uint32_t axis, uint32_t other);

#endif
