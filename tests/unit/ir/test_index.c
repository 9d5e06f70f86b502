// Index expressions: simplification is checked against direct evaluation over all points.
#include "ir/index.h"

#include <criterion/criterion.h>

static int64_t value_of(const IndexPool *p, IndexId e, const int64_t *axes)
{
    IndexNode n = p->nodes.at[e];
    int64_t q;
    switch (n.op) {
    case IX_CONST: return n.c;
    case IX_AXIS: return axes[n.a];
    case IX_ADD: return value_of(p, n.a, axes) + value_of(p, n.b, axes);
    case IX_MUL: return value_of(p, n.a, axes) * n.c;
    case IX_DIV:
    case IX_MOD:
        q = value_of(p, n.a, axes);
        int64_t d = q / n.c - (q % n.c < 0);
        return n.op == IX_DIV ? d : q - d * n.c;
    default: cr_assert_fail("value"); return 0;
    }
}

Test(index, reshape_and_back_is_the_identity)
{
    Arena *arena = arena_new();
    IndexPool p;
    index_init(&p, arena);
    int64_t from[] = {4, 6, 10}, to[] = {8, 5, 6};
    IndexId at[3] = {index_axis(&p, 0, 4), index_axis(&p, 1, 6), index_axis(&p, 2, 10)}, mid[3],
            back[3];
    IndexId linear = index_linear(&p, 3, at, from);
    index_split(&p, linear, 3, to, mid);
    cr_assert_eq(index_linear(&p, 3, mid, to), linear);
    index_split(&p, index_linear(&p, 3, mid, to), 3, from, back);
    for (int i = 0; i < 3; i++) cr_assert_eq(back[i], at[i], "axis %d", i);
    arena_free(arena);
}

// Where a constant is a multiple of what the large terms have in common, the small ones do not
// decide a quotient.
Test(index, constants_go_with_large_terms)
{
    Arena *arena = arena_new();
    IndexPool p;
    index_init(&p, arena);
    IndexId row = index_mod(&p, index_axis(&p, 0, 195), 65), column = index_axis(&p, 1, 192);
    IndexId sum = index_add(&p, index_add(&p, index_mul(&p, row, 192), column),
                            index_const(&p, 1344));
    IndexId quotient = index_div(&p, sum, 1536), rest = index_mod(&p, sum, 1536);
    cr_expect_not(index_uses(&p, quotient, 1), "%s", index_text(&p, arena, quotient));
    for (int64_t a = 0; a < 195; a++)
        for (int64_t c = 0; c < 192; c += 191) {
            int64_t axes[] = {a, c}, x = 192 * (a % 65) + c + 1344;
            cr_expect_eq(value_of(&p, quotient, axes), x / 1536);
            cr_expect_eq(value_of(&p, rest, axes), x % 1536);
        }
    arena_free(arena);
}

Test(index, merging_axes_needs_no_division)
{
    Arena *arena = arena_new();
    IndexPool p;
    index_init(&p, arena);
    IndexId m = index_axis(&p, 0, 16 * 197);
    int64_t sizes[] = {16, 197}, c;
    IndexId at[2], rest;
    index_split(&p, m, 2, sizes, at);
    cr_assert_eq(index_linear(&p, 2, at, sizes), m);
    // A row of a slice [:, 1:] of (16, 197, 8) keeps its division but stays affine in the column.
    int64_t sliced[] = {16, 196}, whole[] = {16, 197, 8};
    IndexId row = index_axis(&p, 1, 16 * 196), at3[3];
    index_split(&p, row, 2, sliced, at3);
    at3[1] = index_add(&p, at3[1], index_const(&p, 1));
    at3[2] = index_axis(&p, 2, 8);
    IndexId e = index_linear(&p, 3, at3, whole);
    cr_assert(index_affine(&p, e, 2, &c, &rest));
    cr_assert_eq(c, 1);
    cr_assert_not(index_affine(&p, e, 1, &c, &rest));
    arena_free(arena);
}

// Pixels of a patch: the columns (x, channel) within one are side by side.
Test(index, columns_of_a_patch_are_one_remainder)
{
    Arena *arena = arena_new();
    IndexPool p;
    index_init(&p, arena);
    int64_t patch[] = {8, 16, 3}, image[] = {32, 48, 3};
    IndexId column = index_axis(&p, 0, 8 * 16 * 3), at[3];
    index_split(&p, column, 3, patch, at);
    IndexId want =
        index_add(&p, index_mod(&p, column, 48), index_mul(&p, index_div(&p, column, 48), 48 * 3));
    cr_assert_eq(index_linear(&p, 3, at, image), want);
    // The same through the image's own indices, (z, y, x, channel) of a batch of images of patches.
    int64_t grid[] = {2, 4, 6}, six[] = {2, 4, 8, 6, 16, 3}, images[] = {2, 32, 96, 3};
    IndexId f[3], all[4];
    index_split(&p, index_axis(&p, 1, 2 * 4 * 6), 3, grid, f);
    IndexId e = index_linear(&p, 6, (IndexId[]){f[0], f[1], at[0], f[2], at[1], at[2]}, six);
    index_split(&p, e, 4, images, all);
    cr_assert_eq(index_linear(&p, 4, all, images), e);
    arena_free(arena);
}

Test(index, random_expressions_keep_their_value_and_range)
{
    Arena *arena = arena_new();
    uint64_t seed = 12345;
    for (int round = 0; round < 300; round++) {
        IndexPool p;
        index_init(&p, arena);
        int64_t sizes[3], plain[40][64];
        IndexId e[40];
        int n = 0, points;
#define NEXT(k) ((int64_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33) % (k))
        for (int i = 0; i < 3; i++) sizes[i] = 1 + NEXT(4);
        points = (int)(sizes[0] * sizes[1] * sizes[2]);
        for (int i = 0; i < 3; i++, n++) {
            e[n] = index_axis(&p, (uint32_t)i, sizes[i]);
            for (int q = 0; q < points; q++)
                plain[n][q] = i == 0   ? q / (sizes[1] * sizes[2])
                              : i == 1 ? q / sizes[2] % sizes[1]
                                       : q % sizes[2];
        }
        for (; n < 40; n++) {
            int a = (int)NEXT(n), b = (int)NEXT(n), kind = (int)NEXT(4);
            int64_t c = 1 + NEXT(7);
            for (int q = 0; q < points; q++) {
                int64_t x = plain[a][q], f = x / c - (x % c < 0);
                plain[n][q] = kind == 0   ? x + plain[b][q]
                              : kind == 1 ? x * (c - 3)
                              : kind == 2 ? f
                                          : x - f * c;
            }
            e[n] = kind == 0   ? index_add(&p, e[a], e[b])
                   : kind == 1 ? index_mul(&p, e[a], c - 3)
                   : kind == 2 ? index_div(&p, e[a], c)
                               : index_mod(&p, e[a], c);
            if (p.nodes.at[e[n]].hi > 1000000 || p.nodes.at[e[n]].lo < -1000000) break;
            for (int q = 0; q < points; q++) {
                int64_t at[3] = {plain[0][q], plain[1][q], plain[2][q]};
                int64_t v = value_of(&p, e[n], at);
                cr_assert_eq(v, plain[n][q], "%s", index_text(&p, arena, e[n]));
                cr_assert(v >= p.nodes.at[e[n]].lo && v <= p.nodes.at[e[n]].hi);
            }
        }
    }
    arena_free(arena);
}
