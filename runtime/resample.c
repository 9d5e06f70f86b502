// Bicubic resampling of pictures: weights of both axes in fixed point, one pass along the rows, one
// along the columns of the rows that are needed.
#include "runtime/transform.h"

#include "runtime/resample.h"

#include <math.h>
#include <string.h>

static double cubic(double x)
{
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return 0;
}

static int64_t taps_of(double low, double high, int64_t n)
{
    double scale = fmax(1, (high - low) / (double)n);
    return 2 * (int64_t)ceil(2 * scale) + 1;
}

// Bytes that taps_fill needs for n outputs.
static size_t taps_bytes(int64_t taps, int64_t n)
{
    return (size_t)n * (2 * sizeof(int64_t) + (size_t)taps * sizeof(int32_t) + 8);
}

// Fill the weights for the box [low, high) of an axis of `size` samples, n outputs. `row` holds one
// row of doubles. Each output's weights are normalised over the samples inside the picture.
static void taps_fill(Taps *t, double low, double high, int64_t size, int64_t n, bool flip,
                      double *row)
{
    double step = (high - low) / (double)n, scale = fmax(1, step), support = 2 * scale;
    for (int64_t i = 0; i < n; i++) {
        double centre = low + ((double)i + 0.5) * step, sum = 0;
        int64_t begin = (int64_t)fmax(0, trunc(centre - support + 0.5));
        int64_t end = (int64_t)fmin((double)size, trunc(centre + support + 0.5));
        if (end - begin > t->taps) end = begin + t->taps;
        for (int64_t k = begin; k < end; k++)
            sum += row[k - begin] = cubic(((double)k - centre + 0.5) * (1 / scale));
        int64_t at = flip ? n - 1 - i : i;
        t->first[at] = begin, t->count[at] = end - begin;
        for (int64_t k = 0; k < end - begin; k++) {
            double fixed = (sum != 0 ? row[k] / sum : 0) * (1 << FIXED_BITS);
            t->weight[at * t->taps + k] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
    }
}

static uint8_t clip8(int32_t x)
{
    x >>= FIXED_BITS;
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

// (rows, W, 3) -> (rows, w, 3).
static void horizontal(const Passes *p)
{
    const uint8_t *from = p->from;
    uint8_t *to = p->middle;
    for (int64_t i = 0; i < p->rows; i++, from += 3 * p->W)
        for (int64_t x = 0; x < p->w; x++, to += 3) {
            const uint8_t *pixel = from + 3 * p->x.first[x];
            const int32_t *weight = p->x.weight + x * p->x.taps;
            int32_t sum[3] = {1 << (FIXED_BITS - 1), 1 << (FIXED_BITS - 1), 1 << (FIXED_BITS - 1)};
            for (int64_t k = 0; k < p->x.count[x]; k++, pixel += 3)
                for (int c = 0; c < 3; c++) sum[c] += pixel[c] * weight[k];
            for (int c = 0; c < 3; c++) to[c] = clip8(sum[c]);
        }
}

// (rows, w, 3) -> (h, w, 3).
static void vertical(const Passes *p)
{
    int64_t n = 3 * p->w;
    for (int64_t i = 0; i < p->h; i++) {
        const uint8_t *rows = p->middle + (p->y.first[i] - p->top) * n;
        const int32_t *weight = p->y.weight + i * p->y.taps;
        for (int64_t x = 0; x < n; x++) {
            int32_t sum = 1 << (FIXED_BITS - 1);
            for (int64_t k = 0; k < p->y.count[i]; k++) sum += rows[k * n + x] * weight[k];
            p->to[i * n + x] = clip8(sum);
        }
    }
}

// Carve the tables of one axis out of memory at *at.
static Taps taps_place(char **at, int64_t taps, int64_t n)
{
    Taps t = {.taps = taps, .first = (int64_t *)(void *)*at};
    t.count = t.first + n;
    t.weight = (int32_t *)(void *)(t.count + n);
    *at += (taps_bytes(taps, n) + 15) / 16 * 16;
    return t;
}

static bool resample(const uint8_t *from, int64_t H, int64_t W, const Geometry *g, uint8_t *to,
                     int64_t h, int64_t w, Scratch *scratch, bool portable)
{
    double x0 = g->x0 * (double)W, x1 = g->x1 * (double)W;
    double y0 = g->y0 * (double)H, y1 = g->y1 * (double)H;
    int64_t tx = taps_of(x0, x1, w), ty = taps_of(y0, y1, h), most = tx > ty ? tx : ty;
    size_t tables = taps_bytes(tx, w) + taps_bytes(ty, h) + 32 + (size_t)most * sizeof(double);
    char *at = scratch_reserve(scratch, tables + (size_t)(H * w * 3) + RESAMPLE_SLACK);
    if (!at) return false;
    double *row = (double *)(void *)at;
    at += (size_t)most * sizeof(double);
    Passes p = {.to = to, .W = W, .h = h, .w = w};
    p.x = taps_place(&at, tx, w), p.y = taps_place(&at, ty, h);
    p.middle = (uint8_t *)at;
    taps_fill(&p.x, x0, x1, W, w, g->flip, row);
    taps_fill(&p.y, y0, y1, H, h, false, row);
    p.top = p.y.first[0], p.rows = p.y.first[h - 1] + p.y.count[h - 1] - p.top;
    p.from = from + p.top * W * 3;
    if (portable || !resample_avx2(&p)) {
        horizontal(&p);
        vertical(&p);
    }
    return true;
}

bool resample_u8(const uint8_t *from, int64_t H, int64_t W, const Geometry *g, uint8_t *to,
                 int64_t h, int64_t w, Scratch *scratch)
{
    return resample(from, H, W, g, to, h, w, scratch, false);
}

bool resample_u8_portable(const uint8_t *from, int64_t H, int64_t W, const Geometry *g, uint8_t *to,
                          int64_t h, int64_t w, Scratch *scratch)
{
    return resample(from, H, W, g, to, h, w, scratch, true);
}
