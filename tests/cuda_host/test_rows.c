// Each instruction of the table alone, lane by lane, against a plain model written from the PTX
// manual's description and not from the shim. rows.cuh has the kernels.
#include "check.h"

#include "ir/scalar.h"

#include <float.h>
#include <string.h>

typedef struct Rows {
    Check c;
    const ShimModule *m;
    ShimOptions options;
} Rows;

static uint32_t word(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static float number(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static bool same(float x, float y)
{
    return word(x) == word(y) || (x != x && y != y);
}

// Run a row's kernel; out has `words` words, freed by shim_guarded_free.
static uint32_t *run(Rows *r, const char *kernel, const void *in, uint32_t grid_x, uint32_t grid_y,
                     uint32_t threads, size_t words)
{
    uint32_t *out = shim_guarded(words * 4);
    Error err = {0};
    bool good =
        check_launch(&r->c, &r->options, r->m, kernel, (void *[]){(void *)(uintptr_t)in, out},
                     grid_x, grid_y, threads, 0, &err);
    CHECK(&r->c, good, "%s", err.text);
    return out;
}

static void place(Rows *r)
{
    uint32_t *out = run(r, "row_place", NULL, 3, 2, 96, 6 * 96 * 6), *p = out;
    for (uint32_t y = 0; y < 2; y++)
        for (uint32_t x = 0; x < 3; x++)
            for (uint32_t t = 0; t < 96; t++, p += 6)
                CHECK(&r->c,
                      p[0] == t && p[1] == 96 && p[2] == x && p[3] == y && p[4] == 3 && p[5] == 2,
                      "place %u %u %u", x, y, t);
    shim_guarded_free(out, 6 * 96 * 6 * 4);
}

static void shuffles(Rows *r)
{
    _Alignas(16) uint32_t in[96];
    for (uint32_t i = 0; i < 64; i++) in[i] = word(check_number(i));
    for (uint32_t i = 0; i < 32; i++) in[64 + i] = i * i * 7 + 3; // taken modulo 32
    uint32_t *out = run(r, "row_shfl", in, 1, 1, 32, 130 * 32);
    for (uint32_t l = 0; l < 32; l++) {
        CHECK(&r->c, out[l] == in[(l * l * 7 + 3) % 32], "shfl_f32 %u", l);
        CHECK(&r->c, out[32 + l] == in[32 + (l * l * 7 + 3) % 32], "shfl_u32 %u", l);
        for (uint32_t d = 0; d < 32; d++) {
            const uint32_t *o = out + (2 + 4 * d) * 32 + l;
            uint32_t down = l + d > 31 ? l : l + d;
            CHECK(&r->c, o[0] == in[down], "shfl_down_f32 %u %u", l, d);
            CHECK(&r->c, o[32] == in[32 + down], "shfl_down_u32 %u %u", l, d);
            CHECK(&r->c, o[64] == in[l ^ d], "shfl_xor_f32 %u %u", l, d);
            CHECK(&r->c, o[96] == in[32 + (l ^ d)], "shfl_xor_u32 %u %u", l, d);
        }
    }
    shim_guarded_free(out, 130 * 32 * 4);
}

static void votes(Rows *r)
{
    _Alignas(16) uint32_t in[128];
    static const uint32_t masks[4] = {0, UINT32_MAX, 0x80010a31u, 0x7fffffffu};
    for (uint32_t i = 0; i < 128; i++) in[i] = (masks[i / 32] >> i % 32 & 1) * (i + 1);
    uint32_t *out = run(r, "row_vote", in, 1, 1, 32, 12 * 32);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t l = 0; l < 32; l++) {
            CHECK(&r->c, out[i * 96 + l] == masks[i], "ballot %u %u", i, l);
            CHECK(&r->c, out[i * 96 + 32 + l] == (masks[i] == UINT32_MAX), "all %u %u", i, l);
            CHECK(&r->c, out[i * 96 + 64 + l] == (masks[i] != 0), "any %u %u", i, l);
        }
    shim_guarded_free(out, 12 * 32 * 4);
}

static void floats(Rows *r)
{
    static const float special[] = {
        0.0f,     -0.0f,     0.5f, 1.5f,    2.5f,   -0.5f, -1.5f,   8388607.5f, 1e-40f, -1e-45f,
        INFINITY, -INFINITY, NAN,  3.4e38f, 1e-38f, -2.0f, -126.5f, -140.0f,    -1e9f};
    _Alignas(16) float in[256];
    for (uint32_t i = 0; i < 256; i++) in[i] = i < 19 ? special[i] : check_number(i) * 100;
    uint32_t *out = run(r, "row_float", in, 1, 1, 256, 3072);
    const float *f = (const float *)out;
    for (uint32_t i = 0; i < 256; i++) {
        float x = in[i], y = in[(i + 1) % 256], z = in[(i + 2) % 256];
        CHECK(&r->c, same(f[i], fmaf(x, y, z)), "fma %u", i);
        CHECK(&r->c, same(f[256 + i], sqrtf(x)), "sqrt %u", i);
        CHECK(&r->c, same(f[512 + i], floorf(x)), "floor %u", i);
        CHECK(&r->c, same(f[768 + i], rintf(x)), "rint %u", i);
        CHECK(&r->c, same(f[1024 + i], fabsf(x)), "abs %u", i);
        CHECK(&r->c, out[1280 + i] == word(x), "bits_of %u", i);
        CHECK(&r->c, out[1536 + i] == (word(x) ^ 1), "from_bits %u", i);
        CHECK(&r->c, out[1792 + i] == (uint32_t)((uint64_t)word(x) * word(y) >> 32), "mul_high %u",
              i);
        volatile float product = x * y; // two roundings, not one
        CHECK(&r->c, same(f[2048 + i], product + z), "x * y + z %u", i);
        CHECK(&r->c, same(f[2304 + i], x / y), "x / y %u", i);
        float larger = x > y || y != y ? x : y;
        CHECK(&r->c, f[2560 + i] == larger || same(f[2560 + i], larger), "max %u", i);
        double power = exp2((double)x), off = fabs((double)f[2816 + i] - power);
        if (power < 0x1p-126) // flushed
            CHECK(&r->c, f[2816 + i] == 0, "2^x %u", i);
        else if (!(power <= (double)FLT_MAX))
            CHECK(&r->c, same(f[2816 + i], (float)power), "2^x %u", i);
        else
            CHECK(&r->c, off <= power * 0x1p-22, "2^x %u", i);
    }
    shim_guarded_free(out, 3072 * 4);
}

// As cvt.rn rounds: every NaN becomes one.
static uint32_t packed_half(float x)
{
    return isnan(x) ? 0x7fff : f32_to_bf16(x);
}

static void halves(Rows *r)
{
    _Alignas(16) static const uint32_t low[16] = {0,      1,      0x1000, 0x0fff, 0x1001, 0x2000,
                                                  0x3000, 0x7fff, 0x8000, 0x8001, 0xffff, 0xf000,
                                                  0xefff, 0xe000, 0x4321, 0xcdef};
    size_t bytes = 65536 * 34 * 4;
    uint32_t *out = run(r, "row_halves", low, 256, 1, 256, 65536 * 34);
    for (uint32_t u = 0; u < 65536; u++) {
        const uint32_t *o = out + u * 34;
        for (uint32_t i = 0; i < 16; i++) {
            float x = number(u << 16 | low[i]);
            uint32_t want = packed_half(x) | (uint32_t)f32_to_f16(x) << 16;
            if (o[i] != want)
                CHECK(&r->c, false, "halves of %08x: %08x, not %08x", word(x), o[i], want);
            float y = number(u << 16 | low[(i + 1) % 16]);
            want = packed_half(x) | packed_half(y) << 16;
            if (o[18 + i] != want)
                CHECK(&r->c, false, "pair of %08x: %08x, not %08x", word(x), o[18 + i], want);
        }
        if (o[16] != word(bf16_to_f32((uint16_t)u)) || o[17] != word(f16_to_f32((uint16_t)u)))
            CHECK(&r->c, false, "f32 of the half %04x", u);
    }
    r->c.checks++;
    shim_guarded_free(out, bytes);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void atomics(Rows *r)
{
    enum { N = 64 * 50 };
    uint32_t in[N], add = 0, largest = 0;
    int32_t signed_add = 0;
    for (uint32_t i = 0; i < N; i++) {
        in[i] = i * 2654435761u;
        add += in[i];
        signed_add = (int32_t)((uint32_t)signed_add + (uint32_t)((int32_t)in[i] / 1000 - 900000));
        if (in[i] > largest) largest = in[i];
    }
    uint32_t *out = shim_guarded((4 + N) * 4);
    memset(out, 0, 16);
    Error err = {0};
    bool good = check_launch(&r->c, &r->options, r->m, "row_atomic", (void *[]){in, out}, 50, 1, 64,
                             0, &err);
    CHECK(&r->c, good, "%s", err.text);
    CHECK(&r->c, out[0] == add, "atomic_add_u32");
    CHECK(&r->c, (int32_t)out[1] == signed_add, "atomic_add_i32");
    CHECK(&r->c, out[2] == largest, "atomic_max_u32");
    CHECK(&r->c, out[3] == N, "numbers drawn");
    qsort(out + 4, N, 4, by_value); // each drew one
    for (uint32_t i = 0; i < N; i++) CHECK(&r->c, out[4 + i] == i, "drawn %u", i);
    shim_guarded_free(out, (4 + N) * 4);
}

static void vectors(Rows *r)
{
    _Alignas(16) uint32_t in[128];
    for (uint32_t i = 0; i < 128; i++) in[i] = i * 2654435761u;
    uint32_t *out = run(r, "row_vectors", in, 1, 1, 32, 608);
    for (uint32_t t = 0; t < 32; t++)
        for (uint32_t i = 0; i < 4; i++) {
            CHECK(&r->c, out[4 * t + i] == in[4 * (t ^ 5) + i], "load_f32x4 %u", t);
            CHECK(&r->c, out[128 + 4 * (31 - t) + i] == in[4 * t + i], "load_u32x4 %u", t);
            uint32_t x = in[4 * t + 3 - i];
            CHECK(&r->c, out[256 + 4 * t + i] == (x << 16 | x >> 16), "bf16x8 %u", t);
            CHECK(&r->c, out[384 + 4 * (t ^ 9) + i] == in[4 * t + i], "store_global %u", t);
            uint32_t y = out[512 + 2 * (31 - t) + i % 2];
            CHECK(&r->c, y == in[2 * (t ^ 3) + i % 2], "u32x2 %u", t);
            CHECK(&r->c, out[576 + 31 - t] == in[t ^ 6], "u32 %u", t);
        }
    shim_guarded_free(out, 608 * 4);
}

static void copies(Rows *r)
{
    _Alignas(16) uint32_t in[384];
    for (uint32_t i = 0; i < 384; i++) in[i] = i + 1;
    uint32_t *out = run(r, "row_copy", in, 1, 1, 32, 384);
    for (uint32_t i = 0; i < 384; i++) {
        bool cut = i >= 256 && i % 4 >= i % 128 / 4 % 5;
        CHECK(&r->c, out[i] == (cut ? 0 : in[i]), "cp.async word %u: %u", i, out[i]);
    }
    shim_guarded_free(out, 384 * 4);
}

static void ldmatrix(Rows *r)
{
    _Alignas(16) uint16_t in[64][8];
    for (uint32_t i = 0; i < 512; i++) in[i / 8][i % 8] = (uint16_t)(i * 40503);
    uint32_t *out = run(r, "row_ldmatrix", in, 1, 1, 32, 256);
    for (uint32_t m = 0; m < 4; m++)
        for (uint32_t row = 0; row < 8; row++)
            for (uint32_t column = 0; column < 8; column++) {
                uint16_t want = in[(row * 5 + m * 3) % 64][column];
                // A row's eight elements lie two by two in four lanes, a transposed one's in its
                // column's.
                uint32_t plain = out[(row * 4 + column / 2) * 4 + m] >> column % 2 * 16;
                uint32_t turned = out[128 + (column * 4 + row / 2) * 4 + m] >> row % 2 * 16;
                CHECK(&r->c, (uint16_t)plain == want, "ldmatrix %u %u %u", m, row, column);
                CHECK(&r->c, (uint16_t)turned == want, "ldmatrix.trans %u %u %u", m, row, column);
            }
    shim_guarded_free(out, 256 * 4);
}

// A fragment's element i of the lane: its row (of B: k) and column, as the manual has them.
typedef struct Layout {
    int k;
    uint32_t (*a_row)(uint32_t g, uint32_t i), (*a_column)(uint32_t t, uint32_t i);
    uint32_t (*b_row)(uint32_t t, uint32_t i);
} Layout;

static uint32_t bf16_a_row(uint32_t g, uint32_t i)
{
    return i < 2 || (i >= 4 && i < 6) ? g : g + 8;
}
static uint32_t bf16_column(uint32_t t, uint32_t i)
{
    return t * 2 + (i & 1) + (i >= 4 ? 8 : 0);
}
static uint32_t bf16_b_row(uint32_t t, uint32_t i)
{
    return t * 2 + (i & 1) + (i >= 2 ? 8 : 0);
}
static uint32_t tf32_a_row(uint32_t g, uint32_t i)
{
    return i == 0 || i == 2 ? g : g + 8;
}
static uint32_t tf32_column(uint32_t t, uint32_t i)
{
    return i < 2 ? t : t + 4;
}
static uint32_t tf32_b_row(uint32_t t, uint32_t i)
{
    return i == 0 ? t : t + 4;
}

static float element(const uint32_t *words, uint32_t i, int k)
{
    if (k == 8) return number(words[i] & 0xffffe000u);
    return bf16_to_f32((uint16_t)(words[i / 2] >> i % 2 * 16));
}

// Small whole numbers: every order of the sum gives the same.
static void mma(Rows *r, const char *kernel, const Layout *layout)
{
    _Alignas(16) uint32_t in[320];
    float a[16][16] = {{0}}, b[16][8] = {{0}};
    for (uint32_t i = 0; i < 192; i++) {
        float x = floorf(check_number(i) * 16), y = floorf(check_number(i + 1000) * 16);
        in[i] = layout->k == 8 ? word(x) | (i * 77 & 0x1fff)
                               : f32_to_bf16(x) | (uint32_t)f32_to_bf16(y) << 16;
    }
    for (uint32_t i = 192; i < 320; i++) in[i] = word(floorf(check_number(i) * 100));
    uint32_t each = layout->k == 8 ? 4 : 8;
    for (uint32_t l = 0; l < 32; l++) {
        for (uint32_t i = 0; i < each; i++)
            a[layout->a_row(l / 4, i)][layout->a_column(l % 4, i)] =
                element(in + 4 * l, i, layout->k);
        for (uint32_t i = 0; i < each / 2; i++)
            b[layout->b_row(l % 4, i)][l / 4] = element(in + 128 + 2 * l, i, layout->k);
    }
    uint32_t *out = run(r, kernel, in, 1, 1, 32, 128);
    for (uint32_t l = 0; l < 32; l++)
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t row = i < 2 ? l / 4 : l / 4 + 8, column = l % 4 * 2 + (i & 1);
            float want = number(in[192 + 4 * l + i]);
            for (int k = 0; k < layout->k; k++) want += a[row][k] * b[k][column];
            CHECK(&r->c, number(out[4 * l + i]) == want, "%s lane %u element %u", kernel, l, i);
        }
    shim_guarded_free(out, 128 * 4);
}

static void barriers(Rows *r)
{
    uint32_t *out = run(r, "row_sync", NULL, 1, 1, 128, 256);
    for (uint32_t t = 0; t < 128; t++) {
        CHECK(&r->c, out[t] == (t + 8 * (128 - 37)) % 128, "sync %u: %u", t, out[t]);
        CHECK(&r->c, out[128 + t] == out[t ^ 31], "warp_sync %u", t);
    }
    shim_guarded_free(out, 256 * 4);
}

int main(int argc, char **argv)
{
    Rows r = {.c = check_begin(argc, argv)};
    static const Layout bf16 = {16, bf16_a_row, bf16_column, bf16_b_row};
    static const Layout tf32 = {8, tf32_a_row, tf32_column, tf32_b_row};
    r.m = check_compile(&r.c, check_text(&r.c, "rows.cuh"), "rows", false);
    CHECK(&r.c, r.m != NULL, "rows.cuh does not compile");
    static const ShimOptions options[] = {
        {1, SHIM_FORWARD, 0}, {2, SHIM_REVERSE, 0}, {2, SHIM_RANDOM, 7}};
    for (size_t i = 0; i < sizeof options / sizeof *options && r.m; i++) {
        r.options = options[i];
        place(&r);
        shuffles(&r);
        votes(&r);
        floats(&r);
        if (i == 0) halves(&r);
        atomics(&r);
        vectors(&r);
        copies(&r);
        ldmatrix(&r);
        mma(&r, "row_mma_bf16", &bf16);
        mma(&r, "row_mma_tf32", &tf32);
        barriers(&r);
    }
    if (r.m) shim_unload((ShimModule *)(uintptr_t)r.m);
    return check_end(&r.c);
}
