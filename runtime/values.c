// Numbers of any dtype. Narrow floats are widened by bits: exact, as each of their numbers is an
// f32.
#include "runtime/values.h"

#include <math.h>
#include <string.h>

static float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

// IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
static float float_of_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float tiny = (float)fraction * 0x1p-24f;
    return sign ? -tiny : tiny;
}

// 1 sign, 4 exponent (bias 7), 3 fraction bits; no infinities, one NaN of each sign.
static float float_of_f8e4m3(uint8_t h)
{
    uint32_t exponent = h >> 3 & 15, fraction = h & 7;
    if ((h & 0x7f) == 0x7f) return NAN;
    if (exponent)
        return float_of_bits((uint32_t)(h & 0x80) << 24 | (exponent + 120) << 23 | fraction << 20);
    float tiny = (float)fraction * 0x1p-9f;
    return h & 0x80 ? -tiny : tiny;
}

// Calls READ(C type, expression of x) for the dtype, x being element i.
#define READ_ROWS(READ)                                                                            \
    READ(CZT_F32, float, x)                                                                        \
    READ(CZT_F64, double, x)                                                                       \
    READ(CZT_BF16, uint16_t, float_of_bits((uint32_t)x << 16))                                     \
    READ(CZT_F16, uint16_t, float_of_f16(x))                                                       \
    READ(CZT_F8E4M3, uint8_t, float_of_f8e4m3(x))                                                  \
    READ(CZT_F8E5M2, uint8_t, float_of_f16((uint16_t)(x << 8)))                                    \
    READ(CZT_I8, int8_t, x)                                                                        \
    READ(CZT_U8, uint8_t, x)                                                                       \
    READ(CZT_I16, int16_t, x)                                                                      \
    READ(CZT_U16, uint16_t, x)                                                                     \
    READ(CZT_I32, int32_t, x)                                                                      \
    READ(CZT_U32, uint32_t, x)                                                                     \
    READ(CZT_I64, int64_t, x)                                                                      \
    READ(CZT_U64, uint64_t, x)                                                                     \
    READ(CZT_BOOL, uint8_t, x != 0)

double value_get(CztDtype dtype, const void *data, int64_t i)
{
    const uint8_t *bytes = (const uint8_t *)data + i * czt_dtype_size(dtype);
    switch (dtype) {
#define READ(name, type, value)                                                                    \
    case name: {                                                                                   \
        type x;                                                                                    \
        memcpy(&x, bytes, sizeof x);                                                               \
        return (double)(value);                                                                    \
    }
        READ_ROWS(READ)
#undef READ
    default: return NAN;
    }
}

bool value_is_float(CztDtype dtype)
{
    return dtype <= CZT_F8E5M2;
}

bool dtype_is_integer(CztDtype dtype)
{
    return dtype >= CZT_I8 && dtype < CZT_DTYPE_COUNT;
}

static bool is_signed(CztDtype dtype)
{
    return dtype == CZT_I8 || dtype == CZT_I16 || dtype == CZT_I32 || dtype == CZT_I64;
}

// An integer's value as 64 bits, and whether it is below 0.
static uint64_t integer_get(CztDtype dtype, const void *data, int64_t i, bool *negative)
{
    int64_t size = czt_dtype_size(dtype);
    uint64_t bits = 0;
    memcpy(&bits, (const uint8_t *)data + i * size, (size_t)size);
    if (dtype == CZT_BOOL) bits = bits != 0;
    *negative = is_signed(dtype) && bits >> (8 * size - 1);
    if (*negative && size < 8) bits |= ~UINT64_C(0) << 8 * size;
    return bits;
}

static bool fits(CztDtype dtype, uint64_t bits, bool negative)
{
    int width = (int)(8 * czt_dtype_size(dtype));
    if (dtype == CZT_BOOL) return bits <= 1;
    if (!is_signed(dtype)) return !negative && (width == 64 || bits >> width == 0);
    return (negative ? ~bits : bits) >> (width - 1) == 0;
}

bool values_to_integer(CztDtype to, void *out, CztDtype from, const void *data, int64_t n,
                       const char *what, Error *err)
{
    size_t size = (size_t)czt_dtype_size(to);
    for (int64_t i = 0; i < n; i++) {
        bool negative;
        uint64_t bits = integer_get(from, data, i, &negative);
        if (!fits(to, bits, negative)) {
            if (negative)
                return error_set(err, "%s: element %lld is %lld, which %s cannot hold", what,
                                 (long long)i, (long long)bits, czt_dtype_name(to));
            return error_set(err, "%s: element %lld is %llu, which %s cannot hold", what,
                             (long long)i, (unsigned long long)bits, czt_dtype_name(to));
        }
        memcpy((uint8_t *)out + (size_t)i * size, &bits, size);
    }
    return true;
}

void values_to_f32(float *out, CztDtype from, const void *data, int64_t n)
{
    if (from == CZT_F32) {
        if (n) memcpy(out, data, (size_t)n * 4);
        return;
    }
    for (int64_t i = 0; i < n; i++) out[i] = (float)value_get(from, data, i);
}

static uint16_t to_bf16(uint32_t x)
{
    if ((x & 0x7fffffff) > 0x7f800000) return (uint16_t)(x >> 16 | 0x40); // NaN stays one
    return (uint16_t)((x + 0x7fff + (x >> 16 & 1)) >> 16);
}

static uint16_t to_f16(uint32_t x)
{
    uint32_t sign = x >> 16 & 0x8000, magnitude = x & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);  // NaN
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); // 65520 and more
    if (magnitude < 0x33000001) return (uint16_t)sign;             // 2^-25 and less
    uint32_t exponent = magnitude >> 23, mantissa = (magnitude & 0x7fffff) | 0x800000;
    uint32_t shift = exponent > 112 ? 13 : 126 - exponent; // below 2^-14 there are fewer bits
    uint32_t kept = mantissa >> shift, rest = mantissa & ((1u << shift) - 1),
             half = 1u << (shift - 1);
    kept += rest > half || (rest == half && (kept & 1));
    return (uint16_t)(sign | (exponent > 112 ? ((exponent - 113) << 10) + kept : kept));
}

void values_from_f32(CztDtype to, void *out, const float *data, int64_t n)
{
    if (to == CZT_F32) {
        memcpy(out, data, (size_t)n * sizeof *data);
        return;
    }
    uint16_t *half = out;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &data[i], sizeof bits);
        half[i] = to == CZT_BF16 ? to_bf16(bits) : to_f16(bits);
    }
}
