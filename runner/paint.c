// Valid pixels of a label are half transparent, so that the view under them shows; what is not
// valid is a dark hatching.
#include "runner/paint.h"

#include <math.h>

enum { ALPHA_CLASS = 150, ALPHA_NUMBER = 205 };

static uint8_t byte_of(double x)
{
    return (uint8_t)(x <= 0 ? 0 : x >= 1 ? 255 : x * 255 + 0.5);
}

// A channel of hue, saturation, lightness; n is 0, 8 or 4.
static uint8_t hsl(double hue, double saturation, double light, int n)
{
    double k = fmod(n + hue * 12, 12), a = saturation * fmin(light, 1 - light);
    return byte_of(light - a * fmax(-1, fmin(fmin(k - 3, 9 - k), 1)));
}

Colour class_colour(int64_t c)
{
    static const double lights[] = {0.55, 0.34, 0.74, 0.44, 0.64};
    double hue = fmod((double)c * 0.61803398875 + 0.02, 1), light = lights[c % 5];
    return (Colour){hsl(hue, 0.72, light, 0), hsl(hue, 0.72, light, 8), hsl(hue, 0.72, light, 4)};
}

Colour ramp_colour(double t)
{
    static const double stops[][3] = {{0.10, 0.07, 0.30}, {0.16, 0.26, 0.56}, {0.12, 0.50, 0.60},
                                      {0.24, 0.69, 0.48}, {0.66, 0.82, 0.30}, {0.99, 0.93, 0.45}};
    enum { LAST = sizeof stops / sizeof *stops - 1 };
    double at = fmax(0, fmin(t, 1)) * LAST;
    int i = at >= LAST ? LAST - 1 : (int)at;
    double w = at - i, mixed[3];
    for (int k = 0; k < 3; k++) mixed[k] = (1 - w) * stops[i][k] + w * stops[i + 1][k];
    return (Colour){byte_of(mixed[0]), byte_of(mixed[1]), byte_of(mixed[2])};
}

static void hatch(uint8_t *to, int64_t x, int64_t y, int64_t period)
{
    bool line = (x + y) / period % 2;
    to[0] = to[1] = to[2] = line ? 96 : 24;
    to[3] = 235;
}

static double value_at(const Look *l, const FieldLook *f, int64_t i)
{
    return value_get(f->dtype, l->slots[f->slot], i);
}

// Pixels that are valid, and the range of the map or the classes there are.
static void survey(const Look *l, const FieldLook *f, int64_t first, int64_t n, Painting *p)
{
    p->low = INFINITY, p->high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (!look_valid(l, f, first + i)) continue;
        p->valid++;
        if (f->spec->role == ROLE_NORMALS) continue;
        double x = value_at(l, f, first + i);
        if (x < p->low) p->low = x;
        if (x > p->high) p->high = x;
        if (p->classes && x >= 0 && x < LOOK_CLASSES) p->classes[(int64_t)x]++;
    }
}

static void paint_pixel(const Look *l, const FieldLook *f, const Painting *p, int64_t copy,
                        int64_t i, uint8_t *to)
{
    int64_t n = f->spec->height * f->spec->width;
    if (f->spec->role == ROLE_NORMALS) {
        for (int64_t k = 0; k < 3; k++)
            to[k] = byte_of(0.5 + 0.5 * value_at(l, f, (copy * 3 + k) * n + i));
        to[3] = ALPHA_NUMBER;
        return;
    }
    double x = value_at(l, f, copy * n + i), range = p->high - p->low;
    Colour c =
        p->classes ? class_colour((int64_t)x) : ramp_colour(range > 0 ? (x - p->low) / range : 0.5);
    to[0] = c.r, to[1] = c.g, to[2] = c.b;
    to[3] = p->classes ? ALPHA_CLASS : ALPHA_NUMBER;
}

Painting paint_label(Arena *arena, const Look *l, const FieldLook *f, int64_t copy)
{
    int64_t h = f->spec->height, w = f->spec->width, n = h * w, period = w / 32 > 1 ? w / 32 : 1;
    Painting p = {.rgba = arena_alloc(arena, (size_t)n * 4)};
    if (f->spec->role == ROLE_CLASS_MAP) p.classes = arena_array(arena, int64_t, LOOK_CLASSES);
    survey(l, f, copy * n, n, &p);
    for (int64_t i = 0; i < n; i++) {
        uint8_t *to = p.rgba + 4 * i;
        if (look_valid(l, f, copy * n + i))
            paint_pixel(l, f, &p, copy, i, to);
        else
            hatch(to, i % w, i / w, period);
    }
    return p;
}
