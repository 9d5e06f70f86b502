// A small set of kernels (kernels.cuh) against plain C, and against itself: schedules and workers
// change no bits.
#include "check.h"

#include "ir/scalar.h"

#include <string.h>

enum { N = 4 * 1003, ROWS = 37, ROW = 1000, M = 128, NC = 192, K = 96, BYTES = 10000 };

typedef struct Data {
    float *x, *y, *sums, *product;
    uint16_t *a, *b;
    uint8_t *bytes;
    uint32_t *counts;
} Data;

static void data_make(Data *d)
{
    d->x = shim_guarded(N * 4 > ROWS * ROW * 4 ? N * 4 : ROWS * ROW * 4);
    d->y = shim_guarded(N * 4);
    d->sums = shim_guarded(2 * ROWS * 4);
    d->a = shim_guarded(M * K * 2);
    d->b = shim_guarded(K * NC * 2);
    d->product = shim_guarded(M * NC * 4);
    d->bytes = shim_guarded(BYTES);
    d->counts = shim_guarded(256 * 4);
    for (int i = 0; i < ROWS * ROW; i++) d->x[i] = check_number((uint64_t)i);
    for (int i = 0; i < N; i++) d->y[i] = check_number((uint64_t)i + 77777);
    for (int i = 0; i < M * K; i++) d->a[i] = f32_to_bf16(check_number((uint64_t)i + 1));
    for (int i = 0; i < K * NC; i++) d->b[i] = f32_to_bf16(check_number((uint64_t)i + 5));
    for (int i = 0; i < BYTES; i++) d->bytes[i] = (uint8_t)(i * i / 7);
    memset(d->counts, 0, 256 * 4);
}

static void data_free(Data *d)
{
    shim_guarded_free(d->x, N * 4 > ROWS * ROW * 4 ? N * 4 : ROWS * ROW * 4);
    shim_guarded_free(d->y, N * 4);
    shim_guarded_free(d->sums, 2 * ROWS * 4);
    shim_guarded_free(d->a, M * K * 2);
    shim_guarded_free(d->b, K * NC * 2);
    shim_guarded_free(d->product, M * NC * 4);
    shim_guarded_free(d->bytes, BYTES);
    shim_guarded_free(d->counts, 256 * 4);
}

static void run(Check *c, const ShimModule *m, const ShimOptions *o, Data *d)
{
    Error err = {0};
    uint32_t n4 = N / 4, sizes[2] = {K, NC}, bytes = BYTES;
    bool good =
        check_launch(c, o, m, "axpy", (void *[]){d->x, d->y, &n4}, (N / 4 + 255) / 256, 1, 256, 0,
                     &err) &&
        check_launch(c, o, m, "row_sum", (void *[]){d->x, d->sums}, ROWS, 1, 128, 0, &err) &&
        check_launch(c, o, m, "gemm_bf16", (void *[]){d->a, d->b, d->product, sizes}, NC / 64,
                     M / 64, 128, 0, &err) &&
        check_launch(c, o, m, "histogram", (void *[]){d->bytes, d->counts, &bytes}, 5, 1, 256, 1024,
                     &err);
    CHECK(c, good, "%s", err.text);
}

// The sum as row_sum does it: 128 chains, each warp's by halves, then the four.
static float row_model(const float *x)
{
    float lanes[128] = {0}, next[32];
    for (int t = 0; t < 128; t++)
        for (int i = t; i < ROW; i += 128) lanes[t] += x[i];
    for (int w = 0; w < 128; w += 32)
        for (int step = 16; step; step /= 2) {
            for (int l = 0; l < 32; l++) next[l] = lanes[w + l] + lanes[w + (l ^ step)];
            memcpy(lanes + w, next, sizeof next);
        }
    return (lanes[0] + lanes[32]) + (lanes[64] + lanes[96]);
}

static void compare(Check *c, const Data *d)
{
    for (int i = 0; i < N; i++) {
        float want = fmaf(1.5f, check_number((uint64_t)i), check_number((uint64_t)i + 77777));
        CHECK(c, d->y[i] == want, "axpy %d: %a, not %a", i, (double)d->y[i], (double)want);
    }
    for (int r = 0; r < ROWS; r++) {
        float want = row_model(d->x + r * ROW);
        CHECK(c, d->sums[r] == want, "row %d: %a, not %a", r, (double)d->sums[r], (double)want);
        want = bf16_to_f32(f32_to_bf16(want / 1000.0f));
        CHECK(c, d->sums[ROWS + r] == want, "mean %d", r);
    }
    for (int i = 0; i < M; i++)
        for (int j = 0; j < NC; j++) {
            double want = 0, size = 0;
            for (int k = 0; k < K; k++) {
                double p =
                    (double)bf16_to_f32(d->a[i * K + k]) * (double)bf16_to_f32(d->b[k * NC + j]);
                want += p;
                size += fabs(p);
            }
            double off = fabs((double)d->product[i * NC + j] - want);
            CHECK(c, off <= size * 1e-6, "product %d, %d: off by %g", i, j, off);
        }
    uint32_t counts[256] = {0};
    for (int i = 0; i < BYTES; i++) counts[d->bytes[i]]++;
    CHECK(c, memcmp(counts, d->counts, sizeof counts) == 0, "histogram");
}

int main(int argc, char **argv)
{
    Check c = check_begin(argc, argv);
    ShimModule *m = check_compile(&c, check_text(&c, "kernels.cuh"), "kernels", false);
    ShimModule *races = check_compile(&c, check_text(&c, "kernels.cuh"), "kernels_races", true);
    CHECK(&c, m && races, "does not compile");
    if (!m || !races) return check_end(&c);
    const ShimOptions options[] = {{1, SHIM_FORWARD, 0},
                                   {1, SHIM_REVERSE, 0},
                                   {2, SHIM_RANDOM, 1},
                                   {3, SHIM_RANDOM, 99},
                                   {2, SHIM_FORWARD, 0}};
    Data first;
    data_make(&first);
    run(&c, m, &options[0], &first);
    compare(&c, &first);
    for (int i = 1; i < 10; i++) { // the second half with race detection: none is reported
        Data d;
        data_make(&d);
        run(&c, i < 5 ? m : races, &options[i % 5], &d);
        CHECK(&c, memcmp(d.y, first.y, N * 4) == 0, "schedule %d changes axpy", i);
        CHECK(&c, memcmp(d.sums, first.sums, 2 * ROWS * 4) == 0, "schedule %d changes row_sum", i);
        CHECK(&c, memcmp(d.product, first.product, M * NC * 4) == 0, "schedule %d changes gemm", i);
        CHECK(&c, memcmp(d.counts, first.counts, 1024) == 0, "schedule %d changes histogram", i);
        data_free(&d);
    }
    data_free(&first);
    shim_unload(m);
    shim_unload(races);
    return check_end(&c);
}
