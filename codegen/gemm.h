// The contraction generator's sizes, which the passes ask through Target.
#ifndef CZT_CODEGEN_GEMM_H
#define CZT_CODEGEN_GEMM_H

#include "ir/target.h"

// Units of 32 bits of the packed right operand that a PACK kernel writes.
int64_t gemm_packed_count(const Target *t, const Kernel *pack);
// Tasks of a PACK kernel.
int64_t gemm_pack_tasks(const Target *t, const Kernel *pack);
// Is the kernel a product that is done in matrix registers?
bool gemm_in_matrix(const Target *t, const Kernel *k);
// Tasks of a kernel with an engine of its own, from its sizes alone.
int64_t gemm_tasks(const Target *t, const Kernel *k);

#endif
