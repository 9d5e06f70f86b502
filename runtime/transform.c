// The joint transform of a sample. One geometry, drawn from a counter-based generator, is applied
// to the picture and to every label that follows it, each at its own stored size and wanted size: a
// box in shares of width and height, so pixel centres agree whatever the two sizes are.
//
// A random crop draws an area and a shape until they fit in the picture (ten times, then the
// largest centred part with an allowed shape), and then a place in whole pixels.
#include "runtime/transform.h"

#include "runtime/philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The largest centred box whose width / height is aspect.
static Geometry centred(int64_t height, int64_t width, double aspect)
{
    double w = (double)width, h = (double)height;
    double share_x = fmin(1, aspect * h / w), share_y = fmin(1, w / aspect / h);
    return (Geometry){0.5 - share_x / 2, 0.5 - share_y / 2, 0.5 + share_x / 2, 0.5 + share_y / 2,
                      false};
}

static Geometry random_crop(const CropRule *rule, Philox *random, int64_t height, int64_t width)
{
    double area = (double)height * (double)width;
    double low = log(rule->ratio[0]), high = log(rule->ratio[1]);
    for (int attempt = 0; attempt < 10; attempt++) {
        double part = rule->scale[0] + philox_uniform(random) * (rule->scale[1] - rule->scale[0]);
        double ratio = exp(low + philox_uniform(random) * (high - low));
        int64_t w = llround(sqrt(area * part * ratio)), h = llround(sqrt(area * part / ratio));
        if (w < 1 || h < 1 || w > width || h > height) continue;
        int64_t x = (int64_t)philox_below(random, (uint64_t)(width - w + 1));
        int64_t y = (int64_t)philox_below(random, (uint64_t)(height - h + 1));
        double dx = (double)width, dy = (double)height;
        return (Geometry){(double)x / dx, (double)y / dy, (double)(x + w) / dx,
                          (double)(y + h) / dy, false};
    }
    double own = (double)width / (double)height;
    return centred(height, width, fmax(rule->ratio[0], fmin(rule->ratio[1], own)));
}

Geometry geometry_draw(const CropRule *rule, bool augment, uint64_t key, uint32_t epoch,
                       uint64_t sample, int64_t height, int64_t width, double aspect)
{
    Philox random = philox_begin(key, epoch, sample);
    bool flip = philox_uniform(&random) < rule->flip;
    Geometry g = {0, 0, 1, 1, false};
    if (rule->kind == CROP_RANDOM && augment)
        g = random_crop(rule, &random, height, width);
    else if (rule->kind != CROP_STRETCH)
        g = centred(height, width, aspect);
    g.flip = flip && augment;
    return g;
}

void scratch_free(Scratch *scratch)
{
    free(scratch->at);
    *scratch = (Scratch){0};
}

void *scratch_reserve(Scratch *scratch, size_t bytes)
{
    if (bytes > scratch->capacity) {
        free(scratch->at);
        scratch->at = malloc(bytes);
        scratch->capacity = scratch->at ? bytes : 0;
    }
    return scratch->at;
}

// Where the centre of output i of n lies on an axis of `size` samples, in samples from the left
// edge.
static double place(double low, double high, int64_t size, int64_t i, int64_t n, bool flip)
{
    double at = ((double)(flip ? n - 1 - i : i) + 0.5) / (double)n;
    return (low + at * (high - low)) * (double)size;
}

static int64_t clamp(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

void resample_nearest(const int32_t *from, int64_t H, int64_t W, const Geometry *g, int32_t *to,
                      int64_t h, int64_t w)
{
    for (int64_t i = 0; i < h; i++) {
        const int32_t *row =
            from + clamp((int64_t)floor(place(g->y0, g->y1, H, i, h, false)), H) * W;
        for (int64_t j = 0; j < w; j++)
            to[i * w + j] = row[clamp((int64_t)floor(place(g->x0, g->x1, W, j, w, g->flip)), W)];
    }
}

// Two neighbours of a place on an axis and the share of the second.
typedef struct Pair {
    int64_t a, b;
    float share;
} Pair;

static Pair neighbours(double at, int64_t size)
{
    double left = floor(at - 0.5);
    return (Pair){clamp((int64_t)left, size), clamp((int64_t)left + 1, size),
                  (float)(at - 0.5 - left)};
}

void resample_bilinear(const float *from, int64_t H, int64_t W, int channels, const Geometry *g,
                       float *to, uint8_t *valid, int64_t h, int64_t w)
{
    for (int64_t i = 0; i < h; i++) {
        Pair y = neighbours(place(g->y0, g->y1, H, i, h, false), H);
        for (int64_t j = 0; j < w; j++) {
            Pair x = neighbours(place(g->x0, g->x1, W, j, w, g->flip), W);
            const int64_t corner[4] = {y.a * W + x.a, y.a * W + x.b, y.b * W + x.a, y.b * W + x.b};
            const float weight[4] = {(1 - y.share) * (1 - x.share), (1 - y.share) * x.share,
                                     y.share * (1 - x.share), y.share * x.share};
            float left = 0;
            for (int k = 0; k < 4; k++)
                if (!isnan(from[corner[k] * channels])) left += weight[k];
            bool ok = left >= 0.5F;
            valid[i * w + j] = ok;
            for (int c = 0; c < channels; c++) {
                float sum = 0;
                for (int k = 0; ok && k < 4; k++)
                    if (weight[k] > 0 && !isnan(from[corner[k] * channels]))
                        sum += weight[k] * from[corner[k] * channels + c];
                to[((int64_t)c * h + i) * w + j] = ok ? sum / left : 0;
            }
        }
    }
}
