// The expansions of the OPF_EXPAND ops: exp, log, sin, cos, atan, tanh, erf, pow as scalar
// programs.
//
// Each is straight-line: both sides of a case are computed and one is selected. NaN flows through
// because every clamp has the form `bound < x ? bound : x`, which keeps a NaN (and is one min or
// max instruction on x86). Rounding to an integer k is the addition of 1.5 * 2^23, whose low
// mantissa bits then are k: no conversion that could leave the range. The coefficients are
// weighted minimax fits, rounded one after the other (tests/parity/scalar_coefficients.py);
// tests/unit/ir/test_scalar.c measures the errors.

#include "ir/scalar.h"

#include <math.h>

typedef struct Builder {
    Arena *arena;
    ScalarProgram *p;
} Builder;

typedef uint32_t Reg;

static Reg emit(Builder *b, ScalarInstr s)
{
    vec_push(b->arena, &b->p->code, s);
    return b->p->code.n - 1;
}

static Reg arg(Builder *b, int32_t number)
{
    return emit(b, (ScalarInstr){.op = SC_ARG, .imm.i = number});
}

static Reg op3(Builder *b, ScalarOp op, Reg x, Reg y, Reg z)
{
    return emit(b, (ScalarInstr){.op = op, .a = x, .b = y, .c = z});
}

static Reg op2(Builder *b, ScalarOp op, Reg x, Reg y)
{
    return op3(b, op, x, y, 0);
}

static Reg op1(Builder *b, ScalarOp op, Reg x)
{
    return op3(b, op, x, 0, 0);
}

// A constant of either kind, made once.
static Reg constant(Builder *b, ScalarInstr s)
{
    for (uint32_t i = 0; i < b->p->code.n; i++) {
        const ScalarInstr *o = &b->p->code.at[i];
        if (o->op == s.op && o->imm.i == s.imm.i) return i;
    }
    return emit(b, s);
}

static Reg num(Builder *b, float f)
{
    return constant(b, (ScalarInstr){.op = SC_F32, .imm.f = f});
}

static Reg word(Builder *b, uint32_t i)
{
    return constant(b, (ScalarInstr){.op = SC_I32, .imm.i = (int32_t)i});
}

static Reg shift(Builder *b, ScalarOp op, Reg x, int32_t by)
{
    return emit(b, (ScalarInstr){.op = op, .a = x, .imm.i = by});
}

static Reg madd(Builder *b, Reg x, Reg y, Reg z)
{
    return op3(b, SC_FMA, x, y, z);
}

static Reg at_most(Builder *b, Reg x, float bound)
{
    Reg c = num(b, bound);
    return op3(b, SC_SELECT, op2(b, SC_LT, c, x), c, x);
}

static Reg at_least(Builder *b, Reg x, float bound)
{
    Reg c = num(b, bound);
    return op3(b, SC_SELECT, op2(b, SC_LT, x, c), c, x);
}

// c[0] + c[1] x + ... by Horner's rule.
static Reg poly(Builder *b, Reg x, const float *c, int n)
{
    Reg r = num(b, c[n - 1]);
    for (int i = n - 2; i >= 0; i--) r = madd(b, r, x, num(b, c[i]));
    return r;
}

#define POLY(b, x, ...) \
    poly(b, x, (const float[]){__VA_ARGS__}, (int)(sizeof((float[]){__VA_ARGS__}) / sizeof(float)))

// The magnitude r >= 0 with the sign of x.
static Reg with_sign(Builder *b, Reg r, Reg x)
{
    Reg sign = op2(b, SC_IAND, op1(b, SC_BITS, x), word(b, 0x80000000u));
    return op1(b, SC_FROM_BITS, op2(b, SC_IOR, op1(b, SC_BITS, r), sign));
}

static const float LN2_HI = 0x1.62e430p-1f, LN2_LO = -0x1.05c610p-29f;
static const float LOG2_E = 0x1.715476p+0f, ROUNDER = 0x1.8p23f;

// ---- exponential --------------------------------------------------------------------------------

// x = k ln 2 + r. Returns e^r for |r| <= ln(2) / 2 and, in *bits, ROUNDER's bits + bias + k.
// tail, when not 0, is added to r: the rounding error of x.
static Reg exp_reduced(Builder *b, Reg x, float per, float bias, Reg tail, Reg *bits)
{
    Reg rounder = num(b, ROUNDER + bias);
    Reg t = madd(b, x, num(b, LOG2_E * per), rounder);
    Reg k = op2(b, SC_SUB, t, rounder);
    Reg r = madd(b, k, num(b, -LN2_HI / per), x);
    r = madd(b, k, num(b, -LN2_LO / per), r);
    if (per == 2) r = op2(b, SC_ADD, r, r);
    if (tail) r = op2(b, SC_ADD, r, tail);
    *bits = op1(b, SC_BITS, t);
    return POLY(b, r, 1, 1, 0x1.fffffcp-2f, 0x1.55548ap-3f, 0x1.55584cp-5f, 0x1.123f66p-7f,
                0x1.6ad98cp-10f);
}

// e^(x + tail). 2^k is multiplied in as two powers, 2^(k/2 rounded down) and the rest, both
// normal for all k in [-150, 128]: the first product is exact, the second rounds once, to a
// denormal or infinity too. With a bias of 254 the two halves of k + 254 are those powers'
// exponent fields; the second is what the first leaves (one multiply and add on a GPU).
static Reg exp_core(Builder *b, Reg x, Reg tail)
{
    Reg bits, e = exp_reduced(b, at_least(b, at_most(b, x, 89), -104), 1, 254, tail, &bits);
    Reg half = shift(b, SC_ISHL, shift(b, SC_IASR, bits, 1), 23);
    Reg rest = op2(b, SC_ISUB, shift(b, SC_ISHL, bits, 23), half);
    e = op2(b, SC_MUL, e, op1(b, SC_FROM_BITS, half));
    return op2(b, SC_MUL, e, op1(b, SC_FROM_BITS, rest));
}

static Reg expand_exp(Builder *b)
{
    return exp_core(b, arg(b, 0), 0);
}

// e^-x, the bits of exp(-x), for x >= -43, in four instructions less: k is at most 62 there, so
// that one power is 2^(k + 64), always normal, and the other one constant. The first product is
// exact again. The minus sign stands behind the clamp, where instructions take it along.
static void expand_exp_minus(Builder *b)
{
    Reg x = op1(b, SC_NEG, at_most(b, arg(b, 0), 104)), bits;
    Reg e = exp_reduced(b, x, 1, 127 + 64, 0, &bits);
    e = op2(b, SC_MUL, e, op1(b, SC_FROM_BITS, shift(b, SC_ISHL, bits, 23)));
    op2(b, SC_MUL, e, num(b, 0x1p-64f));
}

// ---- logarithm ----------------------------------------------------------------------------------

// x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), for finite x > 0; returns f, and e as f32.
static Reg log_reduced(Builder *b, Reg x, Reg *e)
{
    Reg tiny = op2(b, SC_LT, x, num(b, 0x1p-126f)), root = word(b, 0x3f3504f3);
    Reg scaled = op3(b, SC_SELECT, tiny, op2(b, SC_MUL, x, num(b, 0x1p23f)), x);
    Reg down = op3(b, SC_SELECT, tiny, num(b, -23), num(b, 0));
    Reg i = op2(b, SC_ISUB, op1(b, SC_BITS, scaled), root);
    *e = op2(b, SC_ADD, op1(b, SC_TO_F32, shift(b, SC_IASR, i, 23)), down);
    Reg m = op2(b, SC_IADD, op2(b, SC_IAND, i, word(b, 0x007fffff)), root);
    return op2(b, SC_SUB, op1(b, SC_FROM_BITS, m), num(b, 1));
}

// P(f) in log(1 + f) = f - f^2 / 2 + f^3 P(f)
static Reg log_poly(Builder *b, Reg f)
{
    return POLY(b, f, 0x1.555554p-2f, -0x1.000228p-2f, 0x1.99a036p-3f, -0x1.547236p-3f,
                0x1.22d64ap-3f, -0x1.0d8100p-3f, 0x1.057006p-3f, -0x1.38fb4ep-4f);
}

static Reg expand_log(Builder *b)
{
    Reg x = arg(b, 0), e, f = log_reduced(b, x, &e), q = op2(b, SC_MUL, f, f);
    Reg r = op2(b, SC_MUL, op2(b, SC_MUL, f, q), log_poly(b, f));
    r = madd(b, e, num(b, LN2_LO), r);
    r = op2(b, SC_ADD, madd(b, q, num(b, -0.5f), r), f);
    r = madd(b, e, num(b, LN2_HI), r);
    r = op3(b, SC_SELECT, op2(b, SC_LT, x, num(b, INFINITY)), r, x);
    r = op3(b, SC_SELECT, op2(b, SC_LT, x, num(b, 0)), num(b, NAN), r);
    return op3(b, SC_SELECT, op2(b, SC_EQ, x, num(b, 0)), num(b, -INFINITY), r);
}

// ---- power --------------------------------------------------------------------------------------

// hi + lo = x + y exactly, where |x| >= |y| or x = 0.
static Reg sum_exact(Builder *b, Reg x, Reg y, Reg *lo)
{
    Reg hi = op2(b, SC_ADD, x, y);
    *lo = op2(b, SC_SUB, y, op2(b, SC_SUB, hi, x));
    return hi;
}

// log x as hi + lo with about 27 bits, for finite x > 0. f - f^2 / 2 is carried in two parts, the
// rest of the series is small enough for one; e ln 2 is added to it in two parts again.
static Reg log_pair(Builder *b, Reg x, Reg *lo)
{
    Reg e, f = log_reduced(b, x, &e), q = op2(b, SC_MUL, f, f), minus_half = num(b, -0.5f);
    Reg q_lo = madd(b, f, f, op1(b, SC_NEG, q)), s_lo, r_lo;
    Reg s = sum_exact(b, f, op2(b, SC_MUL, q, minus_half), &s_lo);
    Reg tail = op2(b, SC_MUL, op2(b, SC_MUL, f, q), log_poly(b, f));
    tail = op2(b, SC_ADD, madd(b, q_lo, minus_half, tail), s_lo);
    s = sum_exact(b, s, tail, &s_lo);
    Reg hi = op2(b, SC_MUL, e, num(b, LN2_HI));
    Reg hi_lo = madd(b, e, num(b, LN2_HI), op1(b, SC_NEG, hi));
    Reg r = sum_exact(b, hi, s, &r_lo);
    *lo = op2(b, SC_ADD, madd(b, e, num(b, LN2_LO), hi_lo), op2(b, SC_ADD, r_lo, s_lo));
    return r;
}

// Within 2 + |y log x| / 6 ulp.
static Reg expand_pow(Builder *b)
{
    Reg x = arg(b, 0), y = arg(b, 1), zero = num(b, 0), one = num(b, 1), lo;
    Reg hi = log_pair(b, x, &lo);
    hi = op3(b, SC_SELECT, op2(b, SC_LT, x, num(b, INFINITY)), hi, x);
    Reg p = op2(b, SC_MUL, y, hi);
    Reg p_lo = madd(b, y, lo, madd(b, y, hi, op1(b, SC_NEG, p)));
    // Beyond 200 the result is 0 or infinity, and the low part may be infinity less infinity.
    Reg near = op2(b, SC_LT, op1(b, SC_ABS, p), num(b, 200));
    Reg r = exp_core(b, p, op3(b, SC_SELECT, near, p_lo, zero));
    Reg rest = op3(b, SC_SELECT, op2(b, SC_LT, zero, y), zero, num(b, NAN));
    rest = op3(b, SC_SELECT, op2(b, SC_EQ, x, zero), rest, num(b, NAN));
    r = op3(b, SC_SELECT, op2(b, SC_LT, zero, x), r, rest);
    return op3(b, SC_SELECT, op2(b, SC_EQ, y, zero), one, r);
}

// ---- circular functions -------------------------------------------------------------------------

// sin(x + quarter * pi / 2). x = k pi / 2 + r with pi / 2 in three parts: the first step is
// exact, so that what is lost is one rounding of the second and the third, relative to r. Within
// 2 ulp for |x| <= 2^20, where k is still the nearest integer; beyond, and for infinities, the
// result is NaN.
static Reg circular(Builder *b, uint32_t quarter)
{
    Reg x = arg(b, 0), rounder = num(b, ROUNDER);
    Reg t = madd(b, x, num(b, 0x1.45f306p-1f), rounder);
    Reg k = op2(b, SC_SUB, t, rounder);
    Reg r = madd(b, k, num(b, -0x1.921fb6p+0f), x);
    r = madd(b, k, num(b, 0x1.777a5cp-25f), r);
    r = madd(b, k, num(b, 0x1.ee59dap-50f), r);
    Reg q = op2(b, SC_MUL, r, r);
    Reg s = POLY(b, q, -0x1.555544p-3f, 0x1.1106c6p-7f, -0x1.991c26p-13f);
    s = madd(b, op2(b, SC_MUL, r, q), s, r);
    Reg c = POLY(b, q, 1, -0.5f, 0x1.55554ap-5f, -0x1.6c0c14p-10f, 0x1.99de6ap-16f);
    Reg i = op1(b, SC_BITS, t);
    if (quarter) i = op2(b, SC_IADD, i, word(b, quarter));
    Reg even = op2(b, SC_IEQ, op2(b, SC_IAND, i, word(b, 1)), word(b, 0));
    Reg sign = shift(b, SC_ISHL, op2(b, SC_IAND, i, word(b, 2)), 30);
    Reg v = op1(b, SC_BITS, op3(b, SC_SELECT, even, s, c));
    v = op1(b, SC_FROM_BITS, op2(b, SC_IXOR, v, sign));
    Reg inside = op2(b, SC_LE, op1(b, SC_ABS, x), num(b, 0x1p20f));
    return op3(b, SC_SELECT, inside, v, num(b, NAN));
}

static Reg expand_sin(Builder *b)
{
    return circular(b, 0);
}

static Reg expand_cos(Builder *b)
{
    return circular(b, 1);
}

// atan |x| is pi / 2 - atan(1 / |x|) above 1.
static Reg expand_atan(Builder *b)
{
    Reg x = arg(b, 0), a = op1(b, SC_ABS, x), one = num(b, 1), big = op2(b, SC_LT, one, a);
    Reg z = op3(b, SC_SELECT, big, op2(b, SC_DIV, one, a), a), q = op2(b, SC_MUL, z, z);
    Reg s = POLY(b, q, -0x1.5554dcp-2f, 0x1.9978ecp-3f, -0x1.230a90p-3f, 0x1.b4de6cp-4f,
                 -0x1.354ffep-4f, 0x1.61ec04p-5f, -0x1.0c13cep-6f, 0x1.7e9d20p-9f);
    s = madd(b, op2(b, SC_MUL, z, q), s, z);
    Reg r = op3(b, SC_SELECT, big, op2(b, SC_SUB, num(b, 0x1.921fb6p+0f), s), s);
    return with_sign(b, r, x);
}

// ---- sigmoids -----------------------------------------------------------------------------------

// x + x^3 P(x^2) near 0, 1 - 2 / (e^(2 |x|) + 1) elsewhere; 1 from 9.02 on.
static Reg expand_tanh(Builder *b)
{
    Reg x = arg(b, 0), one = num(b, 1), a = op1(b, SC_ABS, x), bits;
    Reg e = exp_reduced(b, at_most(b, a, 9.0625f), 2, 127, 0, &bits);
    Reg d = madd(b, e, op1(b, SC_FROM_BITS, shift(b, SC_ISHL, bits, 23)), one);
    Reg far = op2(b, SC_SUB, one, op2(b, SC_DIV, num(b, 2), d));
    Reg q = op2(b, SC_MUL, a, a);
    Reg s = POLY(b, q, -0x1.55553ep-2f, 0x1.1109bep-3f, -0x1.b89abap-5f, 0x1.54c3c2p-6f,
                 -0x1.828776p-8f);
    Reg near = madd(b, op2(b, SC_MUL, a, q), s, a);
    return with_sign(b, op3(b, SC_SELECT, op2(b, SC_LT, a, num(b, 0.6f)), near, far), x);
}

// x + x P(x^2) near 0, 1 - Q(|x|)^8 elsewhere: the eighth root of erfc is smooth enough for a
// polynomial, and needs no exponential; 1 from 3.93 on.
static Reg expand_erf(Builder *b)
{
    Reg x = arg(b, 0), a = op1(b, SC_ABS, x), c = at_most(b, a, 3.95f);
    Reg p = POLY(b, c, 0x1.001be4p+0f, -0x1.253188p-3f, -0x1.0ac6d0p-4f, -0x1.e7d82ep-8f,
                 0x1.5762d4p-7f, -0x1.9d3ceep-10f, -0x1.c8126ap-16f, 0x1.ec9274p-17f);
    p = op2(b, SC_MUL, p, p);
    p = op2(b, SC_MUL, p, p);
    // x x and not a a: the gradient has it, too.
    Reg far = madd(b, op1(b, SC_NEG, p), p, num(b, 1)), q = op2(b, SC_MUL, x, x);
    Reg s = POLY(b, q, 0x1.06eba0p-3f, -0x1.812634p-2f, 0x1.ce0038p-4f, -0x1.b534c0p-6f,
                 0x1.4025f0p-8f, -0x1.1ffb82p-11f);
    Reg near = madd(b, s, a, a);
    return with_sign(b, op3(b, SC_SELECT, op2(b, SC_LT, a, num(b, 1.03f)), near, far), x);
}

const ScalarProgram *scalar_exp_minus(Arena *arena)
{
    Builder b = {arena, arena_make(arena, ScalarProgram)};
    expand_exp_minus(&b);
    return b.p;
}

const ScalarProgram *scalar_expansion(Arena *arena, OpCode op)
{
    Builder b = {arena, arena_make(arena, ScalarProgram)};
    switch (op) {
    case OP_EXP: expand_exp(&b); break;
    case OP_LOG: expand_log(&b); break;
    case OP_SIN: expand_sin(&b); break;
    case OP_COS: expand_cos(&b); break;
    case OP_ATAN: expand_atan(&b); break;
    case OP_TANH: expand_tanh(&b); break;
    case OP_ERF: expand_erf(&b); break;
    case OP_POW: expand_pow(&b); break;
    default: bug("op %d has no expansion", (int)op);
    }
    return b.p;
}
