// The two passes of picture resampling, between resample.c and its vector form.
#ifndef CZT_RUNTIME_RESAMPLE_H
#define CZT_RUNTIME_RESAMPLE_H

#include <stdbool.h>
#include <stdint.h>

enum { FIXED_BITS = 22 }; // 8 bits of pixel, 2 of overshoot, 22 of weight: 32

// Weights of one axis: output i is the sum over t < count[i] of
// weight[i * taps + t] * in[first[i] + t], in units of 2^-FIXED_BITS.
typedef struct Taps {
    int64_t taps;
    int64_t *first, *count;
    int32_t *weight;
} Taps;

// Rows [top, top + rows) of a picture (H, W, 3) -> middle (rows, w, 3) -> to (h, w, 3).
typedef struct Passes {
    const uint8_t *from; // row top; RESAMPLE_SLACK bytes behind the last row are readable
    uint8_t *middle;     // and behind its last row writable
    uint8_t *to;
    int64_t W, top, rows, h, w;
    Taps x, y;
} Passes;

enum { RESAMPLE_SLACK = 8 };

// Both passes with AVX2 instructions; false, and nothing done, where there are none. The sums are
// integers, so the bytes are those of the plain loops.
bool resample_avx2(const Passes *p);

#endif
