// Execution of scalar programs (see scalar.h): the definition of every ScalarOp.
//
// A program is straight-line code over 32-bit registers; a register holds an f32, an i32 or a
// bool (0 or 1) according to the op that made it. Programs run on blocks of values, one op at a
// time over a whole block, so that a loop over a tensor costs little more than its arithmetic.

#include "ir/eval.h"

#include <math.h>
#include <string.h>

typedef union Lanes {
    float f[SCALAR_BLOCK];
    uint32_t i[SCALAR_BLOCK];
} Lanes;

#define EACH(n, ...)                                                                               \
    for (int l = 0; l < (n); l++) __VA_ARGS__

// Arithmetic shift right; C leaves that of negative numbers to the compiler.
static uint32_t shift_arithmetic(uint32_t x, int32_t by)
{
    uint32_t sign = x >> 31 ? ~(UINT32_MAX >> by) : 0;
    return x >> by | sign;
}

// The program's promise is that x holds an integer in range, or that the result is not used.
static uint32_t to_int(float x)
{
    return x >= -0x1p31f && x < 0x1p31f ? (uint32_t)(int32_t)x : 0;
}

// Run instruction s on the first n lanes: a, b, c are its operands' lanes, r its own. Inlined for a
// constant n, so that the loops become vector code.
static inline __attribute__((always_inline)) void run_lanes(const ScalarInstr *s, int n,
                                                            Lanes *restrict r, const Lanes *a,
                                                            const Lanes *b, const Lanes *c)
{
    int32_t by = s->imm.i;
    switch (s->op) {
    case SC_ARG: bug("scalar argument among the computed instructions");
    case SC_F32: EACH(n, r->f[l] = s->imm.f); break;
    case SC_I32: EACH(n, r->i[l] = (uint32_t)s->imm.i); break;
    case SC_ADD: EACH(n, r->f[l] = a->f[l] + b->f[l]); break;
    case SC_SUB: EACH(n, r->f[l] = a->f[l] - b->f[l]); break;
    case SC_MUL: EACH(n, r->f[l] = a->f[l] * b->f[l]); break;
    case SC_DIV: EACH(n, r->f[l] = a->f[l] / b->f[l]); break;
    case SC_FMA: EACH(n, r->f[l] = fmaf(a->f[l], b->f[l], c->f[l])); break;
    case SC_SQRT: EACH(n, r->f[l] = sqrtf(a->f[l])); break;
    case SC_NEG: EACH(n, r->i[l] = a->i[l] ^ 0x80000000u); break;
    case SC_ABS: EACH(n, r->i[l] = a->i[l] & 0x7fffffffu); break;
    case SC_FLOOR: EACH(n, r->f[l] = floorf(a->f[l])); break;
    case SC_ROUND: EACH(n, r->f[l] = rintf(a->f[l])); break;
    case SC_LT: EACH(n, r->i[l] = a->f[l] < b->f[l]); break;
    case SC_LE: EACH(n, r->i[l] = a->f[l] <= b->f[l]); break;
    case SC_EQ: EACH(n, r->i[l] = a->f[l] == b->f[l]); break;
    case SC_SELECT: EACH(n, r->i[l] = a->i[l] ? b->i[l] : c->i[l]); break;
    case SC_IADD: EACH(n, r->i[l] = a->i[l] + b->i[l]); break;
    case SC_ISUB: EACH(n, r->i[l] = a->i[l] - b->i[l]); break;
    case SC_IMUL: EACH(n, r->i[l] = a->i[l] * b->i[l]); break;
    case SC_IAND: EACH(n, r->i[l] = a->i[l] & b->i[l]); break;
    case SC_IOR: EACH(n, r->i[l] = a->i[l] | b->i[l]); break;
    case SC_IXOR: EACH(n, r->i[l] = a->i[l] ^ b->i[l]); break;
    case SC_ISHL: EACH(n, r->i[l] = a->i[l] << by); break;
    case SC_ISHR: EACH(n, r->i[l] = a->i[l] >> by); break;
    case SC_IASR: EACH(n, r->i[l] = shift_arithmetic(a->i[l], by)); break;
    case SC_ILT: EACH(n, r->i[l] = (a->i[l] ^ 0x80000000u) < (b->i[l] ^ 0x80000000u)); break;
    case SC_IEQ: EACH(n, r->i[l] = a->i[l] == b->i[l]); break;
    case SC_TO_INT: EACH(n, r->i[l] = to_int(a->f[l])); break;
    case SC_TO_F32: EACH(n, r->f[l] = (float)(int32_t)a->i[l]); break;
    case SC_BITS:
    case SC_FROM_BITS: EACH(n, r->i[l] = a->i[l]); break;
    }
}

EVAL_FAST static void run_one(const ScalarInstr *s, Lanes *r, const Lanes *a, const Lanes *b,
                              const Lanes *c)
{
    run_lanes(s, 1, r, a, b, c);
}

EVAL_FAST static void run_all(const ScalarInstr *s, Lanes *r, const Lanes *a, const Lanes *b,
                              const Lanes *c)
{
    run_lanes(s, SCALAR_BLOCK, r, a, b, c);
}

void scalar_run_block(const ScalarProgram *p, int n, const float *const *args, float *result)
{
    Lanes lanes[SCALAR_LIMIT];
    if (p->code.n > SCALAR_LIMIT || n > SCALAR_BLOCK) bug("scalar program too long");
    for (uint32_t i = 0; i < p->code.n; i++) {
        const ScalarInstr *s = &p->code.at[i];
        if (s->op == SC_ARG) {
            memset(&lanes[i], 0, sizeof lanes[i]);
            memcpy(lanes[i].f, args[s->imm.i], sizeof(float) * (size_t)n);
        } else {
            (n == 1 ? run_one : run_all)(s, &lanes[i], &lanes[s->a], &lanes[s->b], &lanes[s->c]);
        }
    }
    memcpy(result, lanes[p->code.n - 1].f, sizeof(float) * (size_t)n);
}

float scalar_run(const ScalarProgram *p, const float *args)
{
    const float *at[2] = {args, args};
    for (uint32_t i = 0; i < p->code.n; i++)
        if (p->code.at[i].op == SC_ARG && p->code.at[i].imm.i == 1) at[1] = args + 1;
    float result;
    scalar_run_block(p, 1, at, &result);
    return result;
}

// ---- storage formats ----------------------------------------------------------------------------

static uint32_t f32_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float bits_f32(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

uint16_t f32_to_bf16(float x)
{
    uint32_t u = f32_bits(x);
    if (x != x) return (uint16_t)(u >> 16 | 0x40);
    // Adding just under half a unit, and one more where the kept part is odd, carries into it
    // exactly when nearest-even rounds up; overflow runs into the infinity's bits.
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float bf16_to_f32(uint16_t x)
{
    return bits_f32((uint32_t)x << 16);
}

uint16_t f32_to_f16(float x)
{
    uint32_t u = f32_bits(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); // 65520 and above round to infinity
    if (a < 0x38800000) {
        // Below 2^-14: adding 0.5, whose unit in the last place is 2^-24, rounds to the
        // denormals' grid.
        uint32_t d = f32_bits(bits_f32(a) + 0.5f) - 0x3f000000;
        return (uint16_t)(sign | d);
    }
    a -= 112u << 23; // the bias, 127, becomes 15
    return (uint16_t)(sign | (a + 0xfff + (a >> 13 & 1)) >> 13);
}

float f16_to_f32(uint16_t x)
{
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, a = x & 0x7fff;
    if (a >= 0x7c00) return bits_f32(sign | 0x7f800000 | (a & 0x3ff) << 13);
    if (a >= 0x400) return bits_f32(sign | ((a << 13) + (112u << 23)));
    return bits_f32(sign | f32_bits((float)a * 0x1p-24f));
}

// ---- 8-bit floats -------------------------------------------------------------------------------

typedef struct Format8 {
    int mantissa, bias;
    double max;       // largest finite value
    uint8_t overflow; // code of what is larger: NaN in e4m3, infinity in e5m2
    uint8_t nan;
} Format8;

static const Format8 e4m3 = {3, 7, 448, 0x7f, 0x7f}, e5m2 = {2, 15, 57344, 0x7c, 0x7f};

static uint8_t f32_to_f8(float x, const Format8 *f)
{
    uint8_t sign = signbit(x) ? 0x80 : 0;
    if (isnan(x)) return sign | f->nan;
    if (isinf(x)) return sign | f->overflow;
    double a = fabs((double)x);
    int e;
    frexp(a, &e);
    if (a == 0 || e < 2 - f->bias) e = 2 - f->bias; // denormals share the smallest exponent
    double unit = ldexp(1, e - 1 - f->mantissa), steps = rint(a / unit);
    if (steps * unit > f->max) return sign | f->overflow;
    // steps runs into the exponent field by itself when rounding reaches the next power of two.
    return (uint8_t)(sign | (((e - 2 + f->bias) << f->mantissa) + (int)steps));
}

static float f8_to_f32(uint8_t u, const Format8 *f)
{
    int e = (u & 0x7f) >> f->mantissa, m = u & ((1 << f->mantissa) - 1);
    double a = e ? ldexp(m + (1 << f->mantissa), e - f->bias - f->mantissa)
                 : ldexp(m, 1 - f->bias - f->mantissa);
    if (a > f->max) a = (u & 0x7f) == f->overflow && f->overflow != f->nan ? INFINITY : NAN;
    return (float)(u & 0x80 ? -a : a);
}

uint8_t f32_to_f8e4m3(float x)
{
    return f32_to_f8(x, &e4m3);
}

float f8e4m3_to_f32(uint8_t x)
{
    return f8_to_f32(x, &e4m3);
}

uint8_t f32_to_f8e5m2(float x)
{
    return f32_to_f8(x, &e5m2);
}

float f8e5m2_to_f32(uint8_t x)
{
    return f8_to_f32(x, &e5m2);
}
