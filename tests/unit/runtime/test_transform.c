// Geometry and resampling: against Pillow for pictures, against hand-made answers for labels.
#include "runtime/transform.h"

#include "data_make.h"
#include "runtime/image.h"
#include "runtime/philox.h"

#include <math.h>

Test(philox, known_answers)
{
    // From the generator's published known-answer tests.
    uint32_t out[4], zero[4] = {0}, key[2] = {0xa4093822, 0x299f31d0};
    uint32_t pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    philox_block(zero, zero, out);
    cr_expect(out[0] == 0x6627e8d5 && out[1] == 0xe169c58d && out[2] == 0xbc57ac4c &&
              out[3] == 0x9b00dbd8);
    philox_block(key, pi, out);
    cr_expect(out[0] == 0xd16cfe09 && out[1] == 0x94fdcceb && out[2] == 0x5001e420 &&
              out[3] == 0x24126ea1);
}

Test(philox, below_is_in_range_and_uniform_in_unit)
{
    Philox p = philox_begin(1, 2, 3);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++) seen[philox_below(&p, 7)]++;
    for (int i = 0; i < 7; i++) cr_expect(seen[i] > 850 && seen[i] < 1150, "%d", seen[i]);
    double sum = 0;
    for (int i = 0; i < 1000; i++) {
        double x = philox_uniform(&p);
        cr_assert(x >= 0 && x < 1);
        sum += x;
    }
    cr_expect(fabs(sum / 1000 - 0.5) < 0.05);
}

static void expect_like_pillow(const char *name, int w, int h, Geometry g)
{
    char path[400];
    Bytes png = slurp(FIXTURES "/rgb.png");
    Image image = {0};
    Error err = {0};
    cr_assert(image_decode(png.at, png.n, &image, &err));
    snprintf(path, sizeof path, "%s/resize_%s.rgb", FIXTURES, name);
    Bytes want = slurp(path);
    cr_assert_eq(want.n, (size_t)(w * h * 3));
    unsigned char *got = malloc(want.n);
    Scratch scratch = {0};
    cr_assert(resample_u8(image.at, image.height, image.width, &g, got, h, w, &scratch));
    int most = 0;
    for (size_t i = 0; i < want.n; i++)
        if (abs(got[i] - want.at[i]) > most) most = abs(got[i] - want.at[i]);
    cr_expect_eq(most, 0, "%s differs by up to %d", name, most);
    cr_assert(resample_u8_portable(image.at, image.height, image.width, &g, got, h, w, &scratch));
    cr_expect_arr_eq(got, want.at, want.n, "%s without vector instructions", name);
    scratch_free(&scratch);
    image_free(&image);
    free(got);
    free(want.at);
    free(png.at);
}

// A box in pixels of the 47 x 61 picture.
static Geometry box(double x0, double y0, double x1, double y1, bool flip)
{
    return (Geometry){x0 / 61, y0 / 47, x1 / 61, y1 / 47, flip};
}

Test(transform, bicubic_equals_pillow)
{
    expect_like_pillow("down", 17, 23, box(0, 0, 61, 47, false));
    expect_like_pillow("up", 100, 90, box(0, 0, 61, 47, false));
    expect_like_pillow("same", 61, 47, box(0, 0, 61, 47, false));
    expect_like_pillow("crop", 32, 32, box(5, 3, 44, 40, false));
    expect_like_pillow("flip", 32, 24, box(10, 0, 61, 47, true));
    expect_like_pillow("tiny", 1, 1, box(0, 0, 61, 47, false));
    expect_like_pillow("wide", 64, 8, box(0, 20, 61, 22, false));
}

Test(transform, nearest_takes_stored_classes_only)
{
    int32_t from[6] = {10, 20, 30, 40, 50, 60}, to[24]; // (2, 3)
    Geometry whole = {0, 0, 1, 1, false}, flip = {0, 0, 1, 1, true},
             right = {1.0 / 3, 0, 1, 1, false};
    resample_nearest(from, 2, 3, &whole, to, 2, 3);
    cr_expect_arr_eq(to, from, sizeof from);
    resample_nearest(from, 2, 3, &flip, to, 2, 3);
    cr_expect_arr_eq(to, ((int32_t[]){30, 20, 10, 60, 50, 40}), sizeof from);
    resample_nearest(from, 2, 3, &right, to, 1, 2);
    cr_expect_arr_eq(to, ((int32_t[]){50, 60}), 8);
    resample_nearest(from, 2, 3, &whole, to, 4, 6);
    for (int i = 0; i < 24; i++) cr_expect_eq(to[i], from[i / 6 / 2 * 3 + i % 6 / 2]);
}

Test(transform, bilinear_keeps_invalid_apart)
{
    float from[4] = {0, 8, NAN, 4}, to[16];
    uint8_t valid[16];
    Geometry whole = {0, 0, 1, 1, false}, flip = {0, 0, 1, 1, true};
    resample_bilinear(from, 2, 2, 1, &whole, to, valid, 2, 2);
    cr_expect(to[0] == 0 && to[1] == 8 && to[2] == 0 && to[3] == 4);
    cr_expect(valid[0] && valid[1] && !valid[2] && valid[3]);
    resample_bilinear(from, 2, 2, 1, &flip, to, valid, 2, 2);
    cr_expect(to[0] == 8 && to[1] == 0 && to[2] == 4 && !valid[3]);
    resample_bilinear(from, 2, 2, 1, &whole, to, valid, 1, 1);
    cr_expect(valid[0] && to[0] == 4); // the mean of 0, 8 and 4
    resample_bilinear(from, 2, 2, 1, &whole, to, valid, 4, 4);
    cr_expect(to[0] == 0 && to[1] == 2 && to[2] == 6 && to[3] == 8);
    float two[6] = {1, 10, 2, 20, 3, 30}; // (1, 3, 2) -> (2, 1, 3)
    resample_bilinear(two, 1, 3, 2, &whole, to, valid, 1, 3);
    cr_expect(to[0] == 1 && to[1] == 2 && to[2] == 3 && to[3] == 10 && to[4] == 20 && to[5] == 30);
}

Test(transform, geometry_is_a_function_of_its_arguments)
{
    CropRule rule = {CROP_RANDOM, {0.2, 0.7}, {0.75, 4.0 / 3}, 0.5};
    int flips = 0, distinct = 0;
    Geometry before = {0};
    for (uint64_t i = 0; i < 2000; i++) {
        Geometry g = geometry_draw(&rule, true, 77, 3, i, 100, 150, 1);
        Geometry again = geometry_draw(&rule, true, 77, 3, i, 100, 150, 1);
        cr_assert(memcmp(&g.x0, &again.x0, 4 * sizeof g.x0) == 0 && g.flip == again.flip);
        double w = (g.x1 - g.x0) * 150, h = (g.y1 - g.y0) * 100, area = w * h / 15000;
        cr_assert(g.x0 >= 0 && g.y0 >= 0 && g.x1 <= 1 && g.y1 <= 1);
        cr_assert(area > 0.18 && area < 0.72 && w / h > 0.72 && w / h < 1.38, "%g %g", area, w / h);
        flips += g.flip;
        distinct += g.x0 != before.x0;
        before = g;
    }
    cr_expect(flips > 900 && flips < 1100);
    cr_expect(distinct > 1900);
    Geometry other = geometry_draw(&rule, true, 77, 4, 1999, 100, 150, 1);
    cr_expect(other.x0 != before.x0 || other.y0 != before.y0);
}

Test(transform, without_augmentation_the_centre)
{
    CropRule rule = {CROP_RANDOM, {0.2, 0.7}, {0.75, 4.0 / 3}, 1};
    Geometry g = geometry_draw(&rule, false, 77, 3, 5, 100, 200, 1);
    cr_expect(g.x0 == 0.25 && g.x1 == 0.75 && g.y0 == 0 && g.y1 == 1 && !g.flip);
    rule.kind = CROP_STRETCH;
    g = geometry_draw(&rule, true, 77, 3, 5, 100, 200, 1);
    cr_expect(g.x0 == 0 && g.x1 == 1 && g.y0 == 0 && g.y1 == 1 && g.flip);
    CropRule narrow = {CROP_RANDOM, {1, 1}, {1, 1}, 0}; // never fits: the fallback
    g = geometry_draw(&narrow, true, 77, 3, 5, 100, 200, 1);
    cr_expect(g.x0 == 0.25 && g.x1 == 0.75 && g.y0 == 0 && g.y1 == 1);
}
