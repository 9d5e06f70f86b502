// Products on tensor cores (codegen/cuda_mma.cuh) against sums in double precision: tiles, layouts,
// ragged shapes, batches, operands whose rows begin anywhere.
//
// The bound: a product of two bf16, or two tf32, is exact in f32. Each of the k additions to a
// result is off by at most one unit in the last place of the largest sum so far (2^-23 of it:
// tensor cores cut off instead of rounding; the shim rounds), and no sum is larger than S = sum |a
// b|. So a result is within k 2^-23 S; a forgotten or doubled term is about S / k, far outside
// while k^2 < 2^23.
#include "mma_tiles.h"

#include "ir/fold.h"
#include "ir/scalar.h"

typedef struct Matrix {
    void *at;          // uint16_t of bf16, or float
    bool tf32;         // what the floats are
    int rows, columns; // of one of the batch, columns lie side by side
    int ld;
    size_t bytes;
} Matrix;

typedef struct Case {
    int m, n, k, batch;
    int wide; // by how much rows are longer than they must be
} Case;

static Matrix matrix_new(int rows, int columns, const Case *x, bool whole, bool tf32, uint64_t seed)
{
    int ld = columns + x->wide;
    if (whole) ld = (ld + 7) / 8 * 8;
    Matrix m = {.tf32 = tf32, .rows = rows, .columns = columns, .ld = ld};
    m.bytes = (tf32 ? 4 : 2) * (size_t)x->batch * (size_t)(rows * ld);
    m.at = shim_guarded(m.bytes); // NaN where nothing is written
    for (int b = 0; b < x->batch * rows; b++)
        for (int i = 0; i < columns; i++) {
            float number = check_number(seed + (uint64_t)b * 4099 + (uint64_t)i) + 0.125f;
            if (tf32)
                ((float *)m.at)[b * ld + i] = (float)fold_tf32((double)number);
            else
                ((uint16_t *)m.at)[b * ld + i] = f32_to_bf16(number);
        }
    return m;
}

// Element (free, k) of one of the batch.
static double element(const Matrix *x, int layout, int batch, int free, int k)
{
    int row = layout ? k : free, column = layout ? free : k;
    int at = (batch * x->rows + row) * x->ld + column;
    return (double)(x->tf32 ? ((float *)x->at)[at] : bf16_to_f32(((uint16_t *)x->at)[at]));
}

static void compare(Check *c, const char *name, const Case *x, int layout, const Matrix *a,
                    const Matrix *b, const float *got)
{
    for (int64_t i = 0; i < (int64_t)x->batch * x->m * x->n; i++) {
        int n = (int)(i % x->n), m = (int)(i / x->n % x->m), batch = (int)(i / x->n / x->m);
        double want = 0, size = 0;
        for (int k = 0; k < x->k; k++) {
            double p = element(a, layout / 2, batch, m, k) * element(b, layout % 2, batch, n, k);
            want += p;
            size += fabs(p);
        }
        double off = fabs((double)got[i] - want);
        CHECK(c, off <= x->k * 0x1p-23 * size, "%s (%d, %d, %d) at %d, %d, %d: %g instead of %g",
              name, x->m, x->n, x->k, batch, m, n, (double)got[i], want);
    }
}

static void one(Check *c, const ShimModule *module, const ShimOptions *options, const MmaShape *s,
                int layout, const Case *x, bool whole, bool tf32)
{
    Error err = {0};
    const char *name = mma_name(c->arena, s, layout, tf32);
    int k = x->k, m = x->m, n = x->n;
    Matrix a =
        layout / 2 ? matrix_new(k, m, x, whole, tf32, 1) : matrix_new(m, k, x, whole, tf32, 2);
    Matrix b =
        layout % 2 ? matrix_new(k, n, x, whole, tf32, 3) : matrix_new(n, k, x, whole, tf32, 4);
    size_t out = 4 * (size_t)x->batch * (size_t)(x->m * x->n);
    float *result = shim_guarded(out);
    int sizes[] = {x->m, x->n, x->k, a.ld, b.ld, a.rows * a.ld, b.rows * b.ld, whole};
    int tiles = (x->m + s->m - 1) / s->m * ((x->n + s->n - 1) / s->n);
    bool good = check_launch(c, options, module, name, (void *[]){a.at, b.at, result, sizes},
                             (uint32_t)tiles, (uint32_t)x->batch, (uint32_t)mma_threads(s),
                             mma_bytes(s), &err);
    CHECK(c, good, "%s (%d, %d, %d): %s", name, x->m, x->n, x->k, err.text);
    if (good) compare(c, name, x, layout, &a, &b, result);
    shim_guarded_free(a.at, a.bytes);
    shim_guarded_free(b.at, b.bytes);
    shim_guarded_free(result, out);
}

int main(int argc, char **argv)
{
    Check c = check_begin(argc, argv);
    ShimModule *m = check_compile(&c, mma_text(&c, false), "mma", false),
               *races = check_compile(&c, mma_text(&c, true), "mma_races", true);
    CHECK(&c, m && races, "does not compile");
    if (!m || !races) return check_end(&c);
    static const Case cases[] = {
        {128, 128, 256, 1, 0}, // whole tiles
        {130, 72, 100, 1, 4},  // the end of everything lies inside of a tile
        {24, 136, 40, 3, 8},   // smaller than a tile; a batch
        {1, 9, 16, 2, 0},      // one step
        {65, 33, 97, 1, 1},    // rows that begin anywhere
    };
    const ShimOptions options[] = {{2, SHIM_REVERSE, 0}, {2, SHIM_RANDOM, 5}};
    for (int i = 0; i < 8 * MMA_SHAPES; i++)
        for (int k = 0; k < 5; k++) {
            const Case *x = &cases[k];
            const MmaShape *s = &mma_shapes[i / 8];
            bool tf32 = i / 4 % 2;
            if (k < 4) one(&c, m, &options[i % 2], s, i % 4, x, true, tf32);
            if (k > 2) one(&c, m, &options[i % 2], s, i % 4, x, false, tf32);
        }
    for (int i = 0; i < 4 * MMA_SHAPES; i++) // each tile, copied and element by element
        one(&c, races, &options[1], &mma_shapes[i / 4], i / 4 % 4, &cases[1 + i % 2], i % 2 == 0,
            i / 2 % 2);
    shim_unload(m);
    shim_unload(races);
    return check_end(&c);
}
