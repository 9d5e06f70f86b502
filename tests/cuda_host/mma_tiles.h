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

// How a tile's kernel is called: "product_bf16_64_64_64_2_2_3_01", 0 where the operand lies with k
// innermost. A step of tf32 is as many bytes, half as many elements.
static inline const char *mma_name(Arena *arena, const MmaShape *s, int layout, bool tf32)
{
    return str_printf(arena, "product_%s_%d_%d_%d_%d_%d_%d_%d%d", tf32 ? "tf32" : "bf16", s->m,
                      s->n, s->k, s->down, s->across, s->stages, layout / 2, layout % 2);
}

// The unit; with `few`, one layout of each tile.
static inline const char *mma_text(Check *c, bool few)
{
    const char *text =
        str_printf(c->arena, "%s\n%s\n%s\n%s\n", check_read(c, "codegen/cuda_prelude.cuh"),
                   check_read(c, "codegen/cuda_library.cuh"), check_read(c, "codegen/cuda_mma.cuh"),
                   check_read(c, "tests/cuda_host/mma.cuh"));
    for (int i = 0; i < 8 * MMA_SHAPES; i++) {
        const MmaShape *s = &mma_shapes[i / 8];
        bool tf32 = i / 4 % 2;
        if (few && i % 4 != i / 8 % 4) continue;
        text = str_printf(c->arena,
                          "%sKERNEL(%d) %s(const Buffers<4> b)\n{\n"
                          "    multiply<MmaTile<%s, %d, %d, %d, %d, %d, %d, %s, %s>>(b);\n}\n",
                          text, mma_threads(s), mma_name(c->arena, s, i % 4, tf32),
                          tf32 ? "float" : "bf16", s->m, s->n, tf32 ? s->k / 2 : s->k, s->down,
                          s->across, s->stages, i % 4 / 2 ? "false" : "true",
                          i % 2 ? "false" : "true");
    }
    return text;
}

#endif
