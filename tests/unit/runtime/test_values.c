// Numbers to half precision and back.
#include "runtime/values.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static float back(CztDtype dtype, float x, uint16_t *bits)
{
    float y;
    values_from_f32(dtype, bits, &x, 1);
    values_to_f32(&y, dtype, bits, 1);
    return y;
}

Test(values, every_half_comes_back)
{
    for (int which = 0; which < 2; which++) {
        CztDtype dtype = which ? CZT_F16 : CZT_BF16;
        for (uint32_t i = 0; i < 65536; i++) {
            uint16_t bits = (uint16_t)i, again;
            float x;
            values_to_f32(&x, dtype, &bits, 1);
            float y = back(dtype, x, &again);
            if (isnan(x))
                cr_assert(isnan(y), "%04x", i);
            else
                cr_assert(again == bits, "%s %04x is %04x", czt_dtype_name(dtype), i, again);
        }
    }
}

// Between neighbours the nearer one is taken, in the middle the even one.
Test(values, rounds_to_nearest_even)
{
    for (int which = 0; which < 2; which++) {
        CztDtype dtype = which ? CZT_F16 : CZT_BF16;
        uint32_t top = which ? 0x7bff : 0x7f7f; // the largest finite one
        for (uint32_t i = 0; i < top; i++) {
            uint16_t low = (uint16_t)i, high = (uint16_t)(i + 1), bits;
            float a, b;
            values_to_f32(&a, dtype, &low, 1);
            values_to_f32(&b, dtype, &high, 1);
            float middle = (float)(((double)a + b) / 2);
            back(dtype, middle, &bits);
            cr_assert(bits == (i & 1 ? high : low), "between %04x and the next: %04x", i, bits);
            back(dtype, nextafterf(middle, b), &bits);
            cr_assert(bits == high, "above the middle of %04x: %04x", i, bits);
            back(dtype, -nextafterf(middle, a), &bits);
            cr_assert(bits == (low | 0x8000), "below the middle of %04x: %04x", i, bits);
        }
    }
}

static float of_f8(CztDtype dtype, uint8_t bits)
{
    float x;
    values_to_f32(&x, dtype, &bits, 1);
    return x;
}

Test(values, every_8_bit_float_is_read)
{
    for (int i = 0; i < 128; i++) {
        float x = of_f8(CZT_F8E4M3, (uint8_t)i), y = of_f8(CZT_F8E5M2, (uint8_t)i);
        int e = i >> 3, f = i >> 2;
        cr_expect(i == 127 ? isnan(x)
                           : x == ldexpf((float)(i & 7) + (e ? 8 : 0), (e ? e : 1) - 10));
        cr_expect(i == 124  ? isinf(y)
                  : i > 124 ? isnan(y)
                            : y == ldexpf((float)(i & 3) + (f ? 4 : 0), (f ? f : 1) - 17));
        cr_expect(isnan(x) || of_f8(CZT_F8E4M3, (uint8_t)(i | 128)) == -x);
        cr_expect(isnan(y) || of_f8(CZT_F8E5M2, (uint8_t)(i | 128)) == -y);
    }
    cr_expect_eq(of_f8(CZT_F8E4M3, 0x7e), 448);
    cr_expect_eq(of_f8(CZT_F8E5M2, 0x7b), 57344);
}

Test(values, what_f16_does_not_hold_is_infinite)
{
    uint16_t bits;
    cr_expect(isinf(back(CZT_F16, 65520, &bits)) && bits == 0x7c00);
    cr_expect_eq(back(CZT_F16, 65519, &bits), 65504);
    cr_expect(isinf(back(CZT_F16, -1e30f, &bits)) && bits == 0xfc00);
    cr_expect(isinf(back(CZT_BF16, INFINITY, &bits)));
}
