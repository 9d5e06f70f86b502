// Inside of the row kernels of the CUDA target.
#ifndef CZT_CODEGEN_CUDA_ROW_H
#define CZT_CODEGEN_CUDA_ROW_H

#include "codegen/cuda_loop.h"

// Values of a row's elements that stay on the chip from one sweep to a later one.
typedef struct Keep {
    uint32_t *place; // by instruction: the number of its place, + 1
    uint32_t *sweep; // that computes it
    uint32_t *last;  // the last sweep that needs it
    uint32_t places;
} Keep;

Keep keep_find(const CudaLoop *l);
// Is the instruction's value of an earlier sweep there in this one?
bool keep_has(const Keep *keep, uint32_t instr, uint32_t sweep);
// By instruction: does the sweep compute it at its elements, given what is kept (NULL: nothing)?
void keep_needs(const CudaLoop *l, const Keep *keep, uint32_t sweep, bool *needed);

#endif
