// Inside of the row kernels of the CUDA target.
#ifndef CZT_CODEGEN_CUDA_ROW_H
#define CZT_CODEGEN_CUDA_ROW_H

#include "codegen/cuda_loop.h"

// What a warp copies to shared memory ahead of the row that it belongs to (cuda_ahead.c).
typedef struct Ahead {
    bool *load;             // by load: may it be fetched?
    bool *held;             // until the column sums of the rows have been taken
    uint8_t *again;         // by instruction: 1 + operations that make it of what is held; 0: many
    uint32_t *first, *last; // by load: the first sweep that reads it, + 1; the last one
} Ahead;

Ahead ahead_find(const CudaLoop *l);
uint32_t ahead_source(const CudaLoop *l, const Ahead *a, uint32_t instr);
// Bytes that are fetched of a row; with `places`: that it takes in shared memory.
int64_t ahead_bytes(const CudaLoop *l, const Ahead *a, bool places);
// The address of an element of a load that is fetched.
const char *ahead_at(const CudaLoop *l, const Ahead *a, uint32_t load, uint32_t warps,
                     const char *warp, const char *element);
void ahead_begin(CudaLoop *l, const Ahead *a, uint32_t warps, int64_t at);
void ahead_wait(const CudaLoop *l, const Ahead *a, uint32_t sweep);
// The sweep is over: fetch what it was the last to read.
void ahead_fetch(const CudaLoop *l, const Ahead *a, uint32_t sweep, uint32_t warps);

// Values of a row's elements that stay on the chip from one sweep to a later one.
typedef struct Keep {
    uint32_t *place; // by instruction: the number of its place, + 1
    uint32_t *sweep; // that computes it
    uint32_t *last;  // the last sweep that needs it
    uint32_t places;
} Keep;

// With `ahead` (or NULL), whose first and last it fills in.
Keep keep_find(const CudaLoop *l, const Ahead *ahead);
// Is the instruction's value of an earlier sweep there in this one?
bool keep_has(const Keep *keep, uint32_t instr, uint32_t sweep);
// By instruction: does the sweep compute it at its elements, given what is kept (NULL: nothing)?
void keep_needs(const CudaLoop *l, const Keep *keep, uint32_t sweep, bool *needed);

#endif
