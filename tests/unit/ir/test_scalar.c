// Accuracy of the scalar expansions over the whole range of f32, and the storage formats
// exhaustively. The references are libm's functions in double, right to far below an f32 ulp.
// CZT_SCALAR_STRIDE=1 in the environment sweeps every bit pattern (minutes a function); the
// default stride is for the quick run.

#include "ir/eval.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static uint32_t to_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

// Distance of y from the true value in units of the last place of the true value as f32.
static double ulps(float y, double truth)
{
    float near = (float)truth;
    if (isnan(near) || isnan(y)) return isnan(near) && isnan(y) ? 0 : INFINITY;
    if (isinf(near) || isinf(y)) {
        if (near == y) return 0;
        // One of them overflows: count from the largest finite value's neighbour.
        double a = isinf(near) ? copysign(0x1p128, near) : truth;
        double b = isinf(y) ? copysign(0x1p128, y) : (double)y;
        return fabs(a - b) / 0x1p104;
    }
    int e = 0;
    frexp(truth, &e);
    double ulp = ldexp(1, (e < -125 ? -125 : e) - 24);
    return fabs((double)y - truth) / ulp;
}

// The worst error over all f32 inputs with |x| <= limit, and NaN for the others when limit is
// finite.
static void sweep(OpCode op, const char *name, double (*truth)(double), float limit, double allowed)
{
    Arena *arena = arena_new();
    const ScalarProgram *p = scalar_expansion(arena, op);
    const char *env = getenv("CZT_SCALAR_STRIDE");
    uint64_t stride = env ? strtoull(env, NULL, 10) : 97;
    double worst = 0;
    float worst_at = 0, x[SCALAR_BLOCK], y[SCALAR_BLOCK];
    const float *args[] = {x};
    for (uint64_t u = 0; u < 1ull << 32;) {
        int n = 0;
        for (; n < SCALAR_BLOCK && u < 1ull << 32; u += stride) x[n++] = from_bits((uint32_t)u);
        scalar_run_block(p, n, args, y);
        for (int i = 0; i < n; i++) {
            double e = fabsf(x[i]) > limit ? (isnan(y[i]) ? 0 : INFINITY) : ulps(y[i], truth(x[i]));
            if (!(e <= worst)) worst = e, worst_at = x[i];
        }
    }
    printf("%-5s %3u instructions, worst %.3f ulp at %a (%g)\n", name, p->code.n, worst,
           (double)worst_at, (double)worst_at);
    cr_assert(worst <= allowed, "%s: %.3f ulp at %a", name, worst, (double)worst_at);
    arena_free(arena);
}

Test(scalar, exp) { sweep(OP_EXP, "exp", exp, INFINITY, 1.1); }
Test(scalar, log) { sweep(OP_LOG, "log", log, INFINITY, 1.1); }
Test(scalar, sin) { sweep(OP_SIN, "sin", sin, 0x1p20f, 2); }
Test(scalar, cos) { sweep(OP_COS, "cos", cos, 0x1p20f, 2); }
Test(scalar, atan) { sweep(OP_ATAN, "atan", atan, INFINITY, 2); }
Test(scalar, tanh) { sweep(OP_TANH, "tanh", tanh, INFINITY, 2); }
Test(scalar, erf) { sweep(OP_ERF, "erf", erf, INFINITY, 2); }

// The form of exp for arguments that are known to be low has the bits of the whole one.
Test(scalar, exp_minus)
{
    Arena *arena = arena_new();
    const ScalarProgram *whole = scalar_expansion(arena, OP_EXP), *low = scalar_exp_minus(arena);
    const char *env = getenv("CZT_SCALAR_STRIDE");
    uint64_t stride = env ? strtoull(env, NULL, 10) : 97;
    float x[SCALAR_BLOCK], minus[SCALAR_BLOCK], y[SCALAR_BLOCK], z[SCALAR_BLOCK];
    const float *args[] = {x}, *minus_args[] = {minus};
    for (uint64_t u = 0; u < 1ull << 32;) {
        int n = 0;
        for (; n < SCALAR_BLOCK && u < 1ull << 32; u += stride) {
            float v = from_bits((uint32_t)u);
            if (v > 43) continue;
            x[n] = v;
            minus[n++] = -v;
        }
        scalar_run_block(whole, n, args, y);
        scalar_run_block(low, n, minus_args, z);
        for (int i = 0; i < n; i++)
            cr_assert((isnan(y[i]) && isnan(z[i])) || to_bits(y[i]) == to_bits(z[i]), "exp(%a)",
                      (double)x[i]);
    }
    float end = 43, minus_end = -43;
    cr_assert_eq(to_bits(scalar_run(whole, &end)), to_bits(scalar_run(low, &minus_end)));
    cr_assert_lt(low->code.n, whole->code.n);
    arena_free(arena);
}

static double pow_truth(double x, double y)
{
    if (y == 0) return 1;
    if (x > 0) return exp(y * log(x));
    return x == 0 && y > 0 ? 0 : NAN;
}

Test(scalar, pow)
{
    Arena *arena = arena_new();
    const ScalarProgram *p = scalar_expansion(arena, OP_POW);
    cr_assert_leq(p->code.n, SCALAR_LIMIT);
    double worst = 0;
    float worst_at[2] = {0};
    static const float special[] = {0, -0.0f, 1, -1, 0.5f, 2, 3, INFINITY, -INFINITY, NAN, 1e-45f,
                                    -1e-45f, 3e38f, -3e38f, 0.999f, 1.0000001f, -2, 100, -100};
    enum { SPECIAL = sizeof special / sizeof *special };
    uint64_t state = 1;
    for (int i = 0; i < 2000000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        float a[2];
        if (i < SPECIAL * SPECIAL) {
            a[0] = special[i / SPECIAL];
            a[1] = special[i % SPECIAL];
        } else {
            a[0] = from_bits((uint32_t)(state >> 33));
            double top = fabs(110 / log(a[0])); // exponents that reach the ends of the range
            a[1] = (float)((double)(int32_t)(state >> 32 ^ state) / 0x1p31 * top);
        }
        double truth = pow_truth(a[0], a[1]);
        double e = ulps(scalar_run(p, a), truth);
        if (isfinite(truth) && truth != 0 && truth != 1) e -= fabs(a[1] * log(a[0])) / 6;
        if (!(e <= worst)) worst = e, worst_at[0] = a[0], worst_at[1] = a[1];
    }
    printf("pow   %3u instructions, worst %.3f ulp + |y log x| / 6 at %a, %a\n", p->code.n, worst,
           (double)worst_at[0], (double)worst_at[1]);
    cr_assert(worst <= 2, "pow: %.3f ulp at %a, %a", worst, (double)worst_at[0],
              (double)worst_at[1]);
    arena_free(arena);
}

// Value of a small float format from its definition: exponent and mantissa bits.
static double decode(uint32_t bits, int exponent_bits, int mantissa_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
    int e = (int)(bits >> mantissa_bits) & top;
    int m = (int)bits & ((1 << mantissa_bits) - 1);
    double sign = bits >> (exponent_bits + mantissa_bits) ? -1 : 1;
    if (e == top) return m ? NAN : sign * INFINITY;
    if (e == 0) return sign * ldexp(m, 1 - bias - mantissa_bits);
    return sign * ldexp(m + (1 << mantissa_bits), e - bias - mantissa_bits);
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

// All 16-bit patterns, and every f32 at, beside and between the midpoints of neighbours.
static void check_format(int e, int m, uint16_t (*to)(float), float (*from)(uint16_t))
{
    for (uint32_t u = 0; u < 0x10000; u++) {
        double v = decode(u, e, m);
        cr_assert(same(from((uint16_t)u), v), "from %04x", u);
        if (isnan(v)) {
            cr_assert(isnan(decode(to(from((uint16_t)u)), e, m)), "NaN %04x", u);
            continue;
        }
        cr_assert_eq(to(from((uint16_t)u)), u, "round trip %04x", u);
        uint32_t up = u + 1; // the neighbour further from zero
        double next = decode(up, e, m);
        if (isinf(v) || isnan(next)) continue;
        if (isinf(next)) next = 2 * v - decode(u - 1, e, m);
        double middle = (v + next) / 2;
        float f = (float)middle; // exact
        if (isinf(f)) continue;
        cr_assert_eq(to(f), (u & 1) ? up : u, "tie above %04x", u);
        cr_assert_eq(to(from_bits(to_bits(f) - 1)), u, "below the tie above %04x", u);
        cr_assert_eq(to(from_bits(to_bits(f) + 1)), up, "above the tie above %04x", u);
    }
    cr_assert(isnan(from(to(NAN))) && isnan(from(to(from_bits(0x7f800001)))));
    cr_assert(isnan(from(to(from_bits(0xffffffff)))));
}

Test(scalar, bf16) { check_format(8, 7, f32_to_bf16, bf16_to_f32); }
Test(scalar, f16) { check_format(5, 10, f32_to_f16, f16_to_f32); }
