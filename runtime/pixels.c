// The published meaning of these operations is Pillow's ImageEnhance, ImageOps and conversions;
// numbers are rounded where Pillow rounds, in f32 where it works in f32.
#include "runtime/pixels.h"

#include <math.h>

// Brightness by ITU-R 601-2, in 16-bit fixed point.
static uint8_t luma(const uint8_t *p)
{
    return (uint8_t)((p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16);
}

uint8_t pixel_blend(uint8_t grey, uint8_t value, float factor)
{
    float x = (float)grey + factor * (float)(value - grey);
    return x <= 0 ? 0 : x >= 255 ? 255 : (uint8_t)x;
}

void pixels_brightness(uint8_t *at, int64_t n, double factor)
{
    for (int64_t i = 0; i < 3 * n; i++) at[i] = pixel_blend(0, at[i], (float)factor);
}

void pixels_saturation(uint8_t *at, int64_t n, double factor)
{
    for (int64_t i = 0; i < n; i++) {
        uint8_t grey = luma(at + 3 * i);
        for (int c = 0; c < 3; c++) at[3 * i + c] = pixel_blend(grey, at[3 * i + c], (float)factor);
    }
}

void pixels_contrast(uint8_t *at, int64_t n, double factor)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += luma(at + 3 * i);
    uint8_t mean = (uint8_t)((double)sum / (double)n + 0.5);
    for (int64_t i = 0; i < 3 * n; i++) at[i] = pixel_blend(mean, at[i], (float)factor);
}

void pixels_grey(uint8_t *at, int64_t n)
{
    for (int64_t i = 0; i < n; i++) at[3 * i] = at[3 * i + 1] = at[3 * i + 2] = luma(at + 3 * i);
}

// ---- hue ----------------------------------------------------------------------------------------

// Hue and saturation as bytes; the value is the largest channel.
static void to_hsv(const uint8_t rgb[3], uint8_t hsv[3])
{
    uint8_t r = rgb[0], g = rgb[1], b = rgb[2];
    uint8_t most = r > g ? r : g, least = r < g ? r : g;
    if (b > most) most = b;
    if (b < least) least = b;
    hsv[0] = hsv[1] = 0, hsv[2] = most;
    if (most == least) return;
    float range = (float)(most - least), s = range / (float)most;
    float rc = (float)(most - r) / range, gc = (float)(most - g) / range,
          bc = (float)(most - b) / range;
    float h = r == most   ? bc - gc
              : g == most ? (float)(2.0 + (double)rc - (double)bc)
                          : (float)(4.0 + (double)gc - (double)rc);
    h = (float)fmod((double)h / 6.0 + 1.0, 1.0);
    hsv[0] = (uint8_t)(int)((double)h * 255.0);
    hsv[1] = (uint8_t)(int)((double)s * 255.0);
}

static void to_rgb(const uint8_t hsv[3], uint8_t rgb[3])
{
    // which of v, q (falling), t (rising) and p (lowest) each channel is, in the six sectors
    static const uint8_t which[6][3] = {{0, 2, 3}, {1, 0, 3}, {3, 0, 2},
                                        {3, 1, 0}, {2, 3, 0}, {0, 3, 1}};
    double v = hsv[2], at = (double)hsv[0] * 6.0 / 255.0;
    int sector = (int)floor(at);
    float f = (float)(at - sector), s = (float)(hsv[1] / 255.0);
    double p = round(v * (1.0 - (double)s)), q = round(v * (1.0 - (double)(s * f))),
           t = round(v * (1.0 - (double)s * (1.0 - (double)f)));
    double level[4] = {v, q, t, p};
    for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)level[hsv[1] ? which[sector % 6][c] : 0];
}

void pixels_hue(uint8_t *at, int64_t n, double turn)
{
    uint8_t step = (uint8_t)(int)(turn * 255);
    for (int64_t i = 0; i < n; i++) {
        uint8_t hsv[3];
        to_hsv(at + 3 * i, hsv);
        hsv[0] = (uint8_t)(hsv[0] + step);
        to_rgb(hsv, at + 3 * i);
    }
}

// ---- blur ---------------------------------------------------------------------------------------

enum { MOST_REACH = 32 };

// The weight of each distance from the middle; the farthest that has one.
static int gaussian(double sigma, float weight[MOST_REACH + 1])
{
    double sum = 0, each[MOST_REACH + 1];
    int reach = (int)ceil(3 * sigma);
    if (reach > MOST_REACH) reach = MOST_REACH;
    for (int d = 0; d <= reach; d++) {
        each[d] = exp(-0.5 * d * d / (sigma * sigma));
        sum += d ? 2 * each[d] : each[d];
    }
    for (int d = 0; d <= reach; d++) weight[d] = (float)(each[d] / sum);
    return reach;
}

// Place i of n, mirrored about the first and the last.
static int64_t mirrored(int64_t i, int64_t n)
{
    while (n > 1 && (i < 0 || i >= n)) i = i < 0 ? -i : 2 * (n - 1) - i;
    return n > 1 ? i : 0;
}

void pixels_blur(uint8_t *at, int64_t h, int64_t w, double sigma, float *room)
{
    float weight[MOST_REACH + 1], *row = room;
    int reach = gaussian(sigma, weight);
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++, row += 3) {
            row[0] = row[1] = row[2] = 0;
            for (int d = -reach; d <= reach; d++) {
                const uint8_t *p = at + 3 * (y * w + mirrored(x + d, w));
                for (int c = 0; c < 3; c++) row[c] += weight[d < 0 ? -d : d] * p[c];
            }
        }
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++, at += 3) {
            float sum[3] = {0.5F, 0.5F, 0.5F};
            for (int d = -reach; d <= reach; d++) {
                const float *p = room + 3 * (mirrored(y + d, h) * w + x);
                for (int c = 0; c < 3; c++) sum[c] += weight[d < 0 ? -d : d] * p[c];
            }
            for (int c = 0; c < 3; c++) at[c] = (uint8_t)(sum[c] > 255 ? 255 : sum[c]);
        }
}

// ---- tables -------------------------------------------------------------------------------------

void pixels_solarize(uint8_t *at, int64_t n, double threshold)
{
    for (int64_t i = 0; i < 3 * n; i++)
        if (at[i] >= threshold) at[i] = (uint8_t)(255 - at[i]);
}

void pixels_posterize(uint8_t *at, int64_t n, int bits)
{
    int mask = bits < 0 ? 0 : bits > 8 ? 255 : ~((1 << (8 - bits)) - 1);
    for (int64_t i = 0; i < 3 * n; i++) at[i] = (uint8_t)(at[i] & mask);
}

// How often each value of channel c is there.
static void histogram(const uint8_t *at, int64_t n, int c, int64_t count[256])
{
    for (int v = 0; v < 256; v++) count[v] = 0;
    for (int64_t i = 0; i < n; i++) count[at[3 * i + c]]++;
}

static void look_up(uint8_t *at, int64_t n, int c, const uint8_t table[256])
{
    for (int64_t i = 0; i < n; i++) at[3 * i + c] = table[at[3 * i + c]];
}

void pixels_auto_contrast(uint8_t *at, int64_t n)
{
    for (int c = 0; c < 3; c++) {
        int64_t count[256];
        uint8_t table[256];
        int low = 0, high = 255;
        histogram(at, n, c, count);
        while (low < 255 && !count[low]) low++;
        while (high > 0 && !count[high]) high--;
        if (high <= low) continue;
        double scale = 255.0 / (high - low), offset = -low * scale;
        for (int v = 0; v < 256; v++) {
            int x = (int)(v * scale + offset);
            table[v] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
        }
        look_up(at, n, c, table);
    }
}

void pixels_equalize(uint8_t *at, int64_t n)
{
    for (int c = 0; c < 3; c++) {
        int64_t count[256];
        uint8_t table[256];
        int last = 255;
        histogram(at, n, c, count);
        while (last > 0 && !count[last]) last--;
        int64_t step = (n - count[last]) / 255, before = step / 2; // 0 where one value is all
        if (!step) continue;
        for (int v = 0; v < 256; v++) {
            table[v] = (uint8_t)(before / step > 255 ? 255 : before / step);
            before += count[v];
        }
        look_up(at, n, c, table);
    }
}
