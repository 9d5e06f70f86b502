// How often a loop kernel goes over its rows. A reduction over a row has a value after the sweep
// that sums it; what depends on it is ready in the next. Both emitters work by this.
#ifndef CZT_CODEGEN_SWEEPS_H
#define CZT_CODEGEN_SWEEPS_H

#include "ir/kernel.h"

enum { ROW_LANES = 64, ROW_SEGMENT = 4096, COLUMN_CHAIN = 64 }; // docs/ir.md, row and column stages

typedef struct Reduction {
    uint32_t instr, arg;
    OpCode op;
    DType dtype;
    ReduceOrder order;
    uint32_t sweep; // in which its argument is ready
} Reduction;

typedef struct Sweeps {
    const KernelBody *body;
    uint32_t red, inner; // axis numbers, UINT32_MAX when absent
    uint32_t *depth;     // by instruction: sweeps that must be over before it has a value
    uint32_t n;          // sweeps in all; 1 where nothing is reduced
    VEC(Reduction) reductions;
    VEC(uint32_t) columns; // stores of kind STORE_COLUMN
} Sweeps;

void sweeps_find(Sweeps *s, Arena *arena, const KernelBody *body);
// Is the store done at every point of the reduced axis (else once it is over)?
bool sweeps_inside(const Sweeps *s, const KernelStore *store);
// Bit of an axis in KernelInstr.axes; 0 for none.
static inline uint64_t axis_bit(uint32_t axis)
{
    return axis < 64 ? UINT64_C(1) << axis : 0;
}

#endif
