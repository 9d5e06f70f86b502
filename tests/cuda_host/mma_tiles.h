// Kernels of mma.cuh: tiles of every shape, with each layout of the operands.
#ifndef CUDA_HOST_MMA_TILES_H
#define CUDA_HOST_MMA_TILES_H

#include "check.h"

#include <string.h>

typedef struct MmaShape {
    int m, n, k, down, across, stages; // MmaTile's
} MmaShape;

static const MmaShape mma_shapes[] = {
    {128, 128, 32, 2, 2, 3}, {128, 128, 32, 2, 4, 3}, {128, 64, 32, 2, 2, 4},
    {64, 128, 32, 2, 2, 4},  {64, 64, 32, 2, 2, 4},   {64, 64, 64, 2, 2, 3},
    {64, 32, 32, 2, 1, 5},   {128, 32, 32, 4, 1, 4},  {32, 128, 32, 1, 4, 4}};
enum { MMA_SHAPES = sizeof mma_shapes / sizeof *mma_shapes };

static inline int mma_threads(const MmaShape *s)
{
    return 32 * s->down * s->across;
}

// Of a block: what MmaTile calls bytes.
static inline size_t mma_bytes(const MmaShape *s)
{
    return (size_t)(2 * s->stages * s->k * (s->m + s->n));
}

// "product_64_64_64_2_2_3_01": 0 where the operand lies with k innermost.
static inline const char *mma_name(Arena *arena, const MmaShape *s, int layout)
{
    return str_printf(arena, "product_%d_%d_%d_%d_%d_%d_%d%d", s->m, s->n, s->k, s->down, s->across,
                      s->stages, layout / 2, layout % 2);
}

// The unit; with `few`, one layout of each tile.
static inline const char *mma_text(Check *c, bool few)
{
    const char *text =
        str_printf(c->arena, "%s\n%s\n%s\n%s\n", check_read(c, "codegen/cuda_prelude.cuh"),
                   check_read(c, "codegen/cuda_library.cuh"), check_read(c, "codegen/cuda_mma.cuh"),
                   check_read(c, "tests/cuda_host/mma.cuh"));
    for (int i = 0; i < 4 * MMA_SHAPES; i++) {
        const MmaShape *s = &mma_shapes[i / 4];
        if (few && i % 4 != i / 4 % 4) continue;
        const char *tile = str_printf(c->arena, "%d, %d, %d, %d, %d, %d", s->m, s->n, s->k, s->down,
                                      s->across, s->stages);
        text = str_printf(
            c->arena,
            "%sKERNEL(%d) %s(const Buffers<4> b)\n{\n    multiply<MmaTile<%s, %s, %s>>(b);\n}\n",
            text, mma_threads(s), mma_name(c->arena, s, i % 4), tile, i % 4 / 2 ? "false" : "true",
            i % 2 ? "false" : "true");
    }
    return text;
}

#endif
