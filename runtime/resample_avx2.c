// The passes of resample.c with AVX2: a pixel's three channels in the lanes of one vector along the
// rows, 32 bytes of a row at a time along the columns.
#include "runtime/resample.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

// Two taps at once: lanes 0-2 are the channels of one pixel, 3-5 of the next. Stores four bytes,
// the last of which the next pixel overwrites.
AVX2 static void horizontal(const Passes *p)
{
    const __m256i spread = _mm256_setr_epi32(0, 0, 0, 1, 1, 1, 0, 0);
    const __m256i second = _mm256_setr_epi32(3, 4, 5, 6, 7, 7, 7, 7);
    const __m128i half = _mm_set1_epi32(1 << (FIXED_BITS - 1));
    const uint8_t *from = p->from;
    uint8_t *to = p->middle;
    for (int64_t i = 0; i < p->rows; i++, from += 3 * p->W)
        for (int64_t x = 0; x < p->w; x++, to += 3) {
            const uint8_t *pixel = from + 3 * p->x.first[x];
            const int32_t *weight = p->x.weight + x * p->x.taps;
            int64_t count = p->x.count[x], k = 0;
            __m256i pairs = _mm256_setzero_si256();
            for (; k + 2 <= count; k += 2, pixel += 6) {
                __m256i both = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)pixel));
                __m128i two = _mm_loadl_epi64((const __m128i *)(weight + k));
                __m256i factor = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(two), spread);
                pairs = _mm256_add_epi32(pairs, _mm256_mullo_epi32(both, factor));
            }
            __m256i behind = _mm256_permutevar8x32_epi32(pairs, second);
            __m128i sum =
                _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_castsi256_si128(behind));
            if (k < count) {
                int32_t bytes;
                memcpy(&bytes, pixel, 4);
                __m128i one = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes));
                sum = _mm_add_epi32(sum, _mm_mullo_epi32(one, _mm_set1_epi32(weight[k])));
            }
            sum = _mm_srai_epi32(_mm_add_epi32(sum, half), FIXED_BITS);
            sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
            int32_t out = _mm_cvtsi128_si32(sum);
            memcpy(to, &out, 4);
        }
}

// Columns [x, x + 32) of one output row; from is its first input row, n the bytes of a row.
AVX2 static void column(const uint8_t *from, int64_t n, const int32_t *weight, int64_t count,
                        uint8_t *to)
{
    const __m256i half = _mm256_set1_epi32(1 << (FIXED_BITS - 1));
    __m256i sum[4] = {half, half, half, half};
    for (int64_t k = 0; k < count; k++, from += n) {
        __m256i factor = _mm256_set1_epi32(weight[k]);
        for (int part = 0; part < 4; part++) {
            __m128i bytes = _mm_loadl_epi64((const __m128i *)(from + 8 * part));
            sum[part] = _mm256_add_epi32(sum[part],
                                         _mm256_mullo_epi32(_mm256_cvtepu8_epi32(bytes), factor));
        }
    }
    for (int part = 0; part < 4; part++) sum[part] = _mm256_srai_epi32(sum[part], FIXED_BITS);
    __m256i low = _mm256_packs_epi32(sum[0], sum[1]), high = _mm256_packs_epi32(sum[2], sum[3]);
    __m256i all = _mm256_packus_epi16(low, high); // in groups of four, to be put in order
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256((__m256i *)to, _mm256_permutevar8x32_epi32(all, order));
}

// The bytes that are left of a row, one by one.
static void column_rest(const uint8_t *from, int64_t n, const int32_t *weight, int64_t count,
                        uint8_t *to, int64_t left)
{
    for (int64_t x = 0; x < left; x++) {
        int32_t sum = 1 << (FIXED_BITS - 1);
        for (int64_t k = 0; k < count; k++) sum += from[k * n + x] * weight[k];
        sum >>= FIXED_BITS;
        to[x] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
}

AVX2 static void vertical(const Passes *p)
{
    int64_t n = 3 * p->w;
    for (int64_t i = 0; i < p->h; i++) {
        const uint8_t *from = p->middle + (p->y.first[i] - p->top) * n;
        const int32_t *weight = p->y.weight + i * p->y.taps;
        uint8_t *to = p->to + i * n;
        int64_t x = 0;
        for (; x + 32 <= n; x += 32) column(from + x, n, weight, p->y.count[i], to + x);
        column_rest(from + x, n, weight, p->y.count[i], to + x, n - x);
    }
}

bool resample_avx2(const Passes *p)
{
    if (!__builtin_cpu_supports("avx2")) return false;
    horizontal(p);
    vertical(p);
    return true;
}

#else

bool resample_avx2(const Passes *p)
{
    (void)p;
    return false;
}

#endif
