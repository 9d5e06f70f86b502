// Stored augmentations as DataCompDR has them (a box, perhaps a flip, and RandAugment's operations
// with their magnitudes) done again. Their meaning is torchvision's on Pillow pictures: places are
// continuous, with the centre of pixel i at i + 0.5, and an affine map takes the nearest neighbour
// in 16-bit fixed point.
#include "runtime/augment.h"

#include "runtime/philox.h"
#include "runtime/pixels.h"

#include <math.h>
#include <string.h>

// ---- drawn colours ------------------------------------------------------------------------------

typedef void Change(uint8_t *at, int64_t n, double amount);

bool colour_draw(const ColourRule *rule, uint64_t key, uint32_t epoch, uint64_t sample, uint8_t *at,
                 int64_t h, int64_t w, Scratch *scratch)
{
    Change *const change[4] = {pixels_brightness, pixels_contrast, pixels_saturation, pixels_hue};
    const double strength[4] = {rule->brightness, rule->contrast, rule->saturation, rule->hue};
    Philox random = philox_begin(key, epoch, sample);
    int order[4] = {0, 1, 2, 3};
    for (int i = 3; i > 0; i--) {
        uint64_t k = philox_below(&random, (uint64_t)i + 1);
        int swap = order[i];
        order[i] = order[k], order[k] = swap;
    }
    for (int i = 0; i < 4; i++) {
        int o = order[i];
        double low = o == 3 ? -strength[o] : fmax(0, 1 - strength[o]);
        double high = o == 3 ? strength[o] : 1 + strength[o];
        double amount = low + philox_uniform(&random) * (high - low);
        if (strength[o] > 0) change[o](at, h * w, amount);
    }
    if (philox_uniform(&random) < rule->grey) pixels_grey(at, h * w);
    if (philox_uniform(&random) >= rule->blur) return true;
    float *room = scratch_reserve(scratch, (size_t)(h * w * 3) * sizeof *room);
    if (room) pixels_blur(at, h, w, 0.1 + 1.9 * philox_uniform(&random), room);
    return room != NULL;
}

// ---- what is stored -----------------------------------------------------------------------------

static const char *const names[AUG_OPS] = {
    "Identity", "ShearX",   "ShearY",    "TranslateX", "TranslateY", "Rotate",       "Brightness",
    "Color",    "Contrast", "Sharpness", "Posterize",  "Solarize",   "AutoContrast", "Equalize"};

// [operation, magnitude]
static bool read_op(const json_t *pair, AugOp *op, Error *err)
{
    const json_t *kind = json_array_get(pair, 0), *magnitude = json_array_get(pair, 1);
    const char *name = json_string_value(kind);
    json_int_t k = json_is_integer(kind) ? json_integer_value(kind) : -1;
    for (int i = 0; name && i < AUG_OPS; i++)
        if (strcmp(names[i], name) == 0) k = i;
    if (k < 0 || k >= AUG_OPS)
        return error_set(err, "augmentation: operation %s is not known", name ? name : "number");
    op->kind = (AugKind)k;
    op->magnitude = json_number_value(magnitude);
    // far beyond any use, and well inside fixed point
    return (json_is_number(magnitude) && fabs(op->magnitude) <= 4096) ||
           error_set(err, "augmentation: %s has no magnitude that is a number", names[k]);
}

static bool read_ops(const json_t *list, Replay *r, Error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (r->nops == AUG_MOST_OPS)
            return error_set(err, "augmentation: more than %d operations", AUG_MOST_OPS);
        if (!read_op(json_array_get(list, i), &r->ops[r->nops++], err)) return false;
    }
    return true;
}

static bool read_box(const json_t *list, Replay *r, Error *err)
{
    bool ok = json_array_size(list) == 4 && !r->has_box;
    for (size_t i = 0; ok && i < 4; i++) {
        const json_t *item = json_array_get(list, i);
        r->box[i] = json_integer_value(item);
        ok = json_is_integer(item) && r->box[i] >= (i >= 2) && r->box[i] <= INT32_MAX;
    }
    r->has_box = true;
    return ok || error_set(err, "augmentation: a box is [top, left, height, width], once");
}

bool replay_read(const json_t *list, bool with_ops, Replay *r, Error *err)
{
    *r = (Replay){0};
    if (!json_is_array(list)) return error_set(err, "augmentation: a list is wanted");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        bool ops = json_is_array(item) &&
                   (!json_array_size(item) || json_is_array(json_array_get(item, 0)));
        if (json_is_null(item)) continue;
        if (json_is_boolean(item))
            r->flip = json_is_true(item);
        else if (!json_is_array(item))
            return error_set(err, "augmentation: item %zu is no box, no flip and no operations", i);
        else if (ops ? with_ops && !read_ops(item, r, err) : !read_box(item, r, err))
            return false;
    }
    return true;
}

// ---- moves --------------------------------------------------------------------------------------

// Turned about the centre, counterclockwise on the screen by degrees.
static Affine rotation(double degrees, int64_t h, int64_t w)
{
    double angle = -degrees * (M_PI / 180), c = cos(angle), s = sin(angle);
    double x = (double)w / 2, y = (double)h / 2;
    return (Affine){c, s, x - c * x - s * y, -s, c, y + s * x - c * y};
}

bool augment_moves(const AugOp *op, int64_t h, int64_t w, Affine *map)
{
    double m = op->magnitude;
    *map = (Affine){1, 0, 0, 0, 1, 0};
    switch (op->kind) {
    case AUG_SHEAR_X: map->b = m; return true;
    case AUG_SHEAR_Y: map->d = m; return true;
    case AUG_TRANSLATE_X: map->c = -trunc(m); return true;
    case AUG_TRANSLATE_Y: map->f = -trunc(m); return true;
    case AUG_ROTATE: *map = rotation(m, h, w); return true;
    default: return false;
    }
}

static int64_t fixed(double x)
{
    return (int64_t)floor(x * 65536.0 + 0.5);
}

static void move(const Affine *m, const uint8_t *from, uint8_t *to, int64_t h, int64_t w)
{
    int64_t a = fixed(m->a), b = fixed(m->b), d = fixed(m->d), e = fixed(m->e);
    int64_t row_x = fixed(m->c + m->a * 0.5 + m->b * 0.5);
    int64_t row_y = fixed(m->f + m->d * 0.5 + m->e * 0.5);
    for (int64_t y = 0; y < h; y++, row_x += b, row_y += e)
        for (int64_t x = 0; x < w; x++, to += 3) {
            int64_t u = (row_x + x * a) >> 16, v = (row_y + x * d) >> 16;
            bool inside = u >= 0 && u < w && v >= 0 && v < h;
            for (int c = 0; c < 3; c++) to[c] = inside ? from[3 * (v * w + u) + c] : 0;
        }
}

// ---- sharpness ----------------------------------------------------------------------------------

// Blended with a copy smoothed by (1 1 1, 1 5 1, 1 1 1) / 13, whose outermost pixels stay.
static void sharpen(uint8_t *at, const uint8_t *from, int64_t h, int64_t w, float factor)
{
    for (int64_t y = 1; y < h - 1; y++)
        for (int64_t i = 3 * (y * w + 1); i < 3 * (y * w + w - 1); i++) {
            int sum = 4 * from[i];
            for (int64_t row = -w; row <= w; row += w)
                sum += from[i + 3 * row - 3] + from[i + 3 * row] + from[i + 3 * row + 3];
            at[i] = pixel_blend((uint8_t)((2 * sum + 13) / 26), from[i], factor);
        }
}

// ---- all ----------------------------------------------------------------------------------------

bool augment_pixels(const AugOp *op, uint8_t *at, int64_t h, int64_t w, Scratch *scratch)
{
    size_t bytes = (size_t)(h * w * 3);
    Affine map;
    bool moves = augment_moves(op, h, w, &map);
    uint8_t *copy = NULL;
    if (moves || op->kind == AUG_SHARPNESS) {
        if (!(copy = scratch_reserve(scratch, bytes))) return false;
        memcpy(copy, at, bytes);
    }
    double factor = 1 + op->magnitude;
    if (moves)
        move(&map, copy, at, h, w);
    else if (op->kind == AUG_SHARPNESS)
        sharpen(at, copy, h, w, (float)factor);
    else if (op->kind == AUG_BRIGHTNESS)
        pixels_brightness(at, h * w, factor);
    else if (op->kind == AUG_COLOR)
        pixels_saturation(at, h * w, factor);
    else if (op->kind == AUG_CONTRAST)
        pixels_contrast(at, h * w, factor);
    else if (op->kind == AUG_POSTERIZE)
        pixels_posterize(at, h * w, (int)op->magnitude);
    else if (op->kind == AUG_SOLARIZE)
        pixels_solarize(at, h * w, op->magnitude);
    else if (op->kind == AUG_AUTO_CONTRAST)
        pixels_auto_contrast(at, h * w);
    else if (op->kind == AUG_EQUALIZE)
        pixels_equalize(at, h * w);
    return true;
}

// ---- labels -------------------------------------------------------------------------------------

// Where the point of the moved picture (height, width) was before all moves; false when it comes
// from outside of it.
static bool before(const AugOp *ops, uint32_t n, double height, double width, double *x, double *y)
{
    for (uint32_t i = n; i-- > 0;) {
        Affine m;
        if (!augment_moves(&ops[i], (int64_t)height, (int64_t)width, &m)) continue;
        double u = m.a * *x + m.b * *y + m.c, v = m.d * *x + m.e * *y + m.f;
        if (u < 0 || v < 0 || u >= width || v >= height) return false;
        *x = u, *y = v;
    }
    return true;
}

bool augment_label(const AugOp *ops, uint32_t n, int64_t view_h, int64_t view_w, uint32_t *value,
                   uint8_t *valid, int64_t h, int64_t w, Scratch *scratch)
{
    Affine unused;
    uint32_t moves = 0;
    for (uint32_t i = 0; i < n; i++) moves += augment_moves(&ops[i], view_h, view_w, &unused);
    if (!moves) return true;
    size_t count = (size_t)(h * w);
    uint32_t *from = scratch_reserve(scratch, count * 5);
    if (!from) return false;
    uint8_t *seen = (uint8_t *)(from + count);
    memcpy(from, value, count * 4);
    memcpy(seen, valid, count);
    double height = (double)view_h, width = (double)view_w;
    for (int64_t i = 0; i < h * w; i++) {
        double x = ((double)(i % w) + 0.5) / (double)w * width;
        double y = ((double)(i / w) + 0.5) / (double)h * height;
        bool inside = before(ops, n, height, width, &x, &y);
        int64_t u = (int64_t)(x / width * (double)w), v = (int64_t)(y / height * (double)h);
        int64_t at = (v < h ? v : h - 1) * w + (u < w ? u : w - 1);
        value[i] = inside ? from[at] : 0;
        valid[i] = inside ? seen[at] : 0;
    }
    return true;
}
