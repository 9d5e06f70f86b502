// Neighbours along an axis of a body: which of its accesses lie side by side, so that one
// instruction of 8 or 16 bytes makes them.
#ifndef CZT_CODEGEN_CUDA_GROUP_H
#define CZT_CODEGEN_CUDA_GROUP_H

#include "codegen/cuda_emit.h"

// Groups of `width` points (a power of two) of an axis, that begin at its multiples.
typedef struct Groups {
    const KernelBody *body;
    uint32_t axis, within; // within: the axis that counts inside of a group, in `pool` only
    int64_t width;
    bool whole; // the last group is as long as the others
    IndexPool pool;
    IndexId *map; // the body's axes in terms of `pool`
} Groups;

typedef enum {
    GROUP_APART,
    GROUP_EQUAL, // the same for all of a group
    GROUP_BESIDE // side by side from a multiple of width on
} GroupKind;

void cuda_groups_begin(Groups *g, Arena *arena, const KernelBody *body, uint32_t axis,
                       int64_t width);
GroupKind cuda_groups_index(Groups *g, IndexId index);
// Do the guards hold for all of a group or for none?
bool cuda_groups_guards(Groups *g, const KernelGuard *guards, uint32_t n);
// Can instruction `instr`, a load, be made for a whole group at once? Of f32, bf16, eight u8 or
// 8-bit floats.
bool cuda_groups_load(Groups *g, const KernelBuffer *buffers, uint32_t instr);
bool cuda_groups_store(Groups *g, const KernelBuffer *buffers, const KernelStore *s);

// The type of a group in registers, "Neighbours<bf16, 8>", and its elements' values by `at`.
const char *cuda_groups_type(CudaText *t, const Groups *g, uint32_t instr);
// The load of a group as an expression; the axis stands at the group's begin.
const char *cuda_groups_loaded(CudaText *t, const Groups *g, uint32_t instr);

#endif
