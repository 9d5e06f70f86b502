// The contraction generator's sizes, which the passes ask through Target.
#ifndef CZT_CODEGEN_GEMM_H
#define CZT_CODEGEN_GEMM_H

#include "ir/target.h"

// Elements of the packed right operand (batch, n, k): panels of GEMM_NR columns, each k-major,
// zero-filled to whole panels.
int64_t gemm_packed_count(const Target *t, int64_t batch, int64_t n, int64_t k);
// Tasks of a kernel with an engine of its own, from its sizes alone.
int64_t gemm_tasks(const Target *t, const Kernel *k);

#endif
