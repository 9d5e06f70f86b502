// What is written as a PNG is read back as it was.
#include "runtime/image.h"
#include "runtime/image_write.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(image_write, a_png_has_the_same_pixels)
{
    enum { H = 37, W = 53 };
    uint8_t pixels[H * W * 3];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof pixels; i++) {
        state = state * 1664525 + 1013904223;
        pixels[i] = (uint8_t)(state >> 24);
    }
    Error err = {0};
    size_t size;
    Image image = {0};
    uint8_t *png = image_to_png(pixels, H, W, 3, &size, &err);
    cr_assert(png, "%s", err.text);
    cr_assert(image_decode(png, size, &image, &err), "%s", err.text);
    cr_expect_eq(image.height, H);
    cr_expect_eq(image.width, W);
    cr_expect_eq(memcmp(image.at, pixels, sizeof pixels), 0);
    image_free(&image);
    free(png);
}

Test(image_write, transparency_is_kept_apart)
{
    static const uint8_t pixels[2][2][4] = {{{1, 2, 3, 0}, {4, 5, 6, 255}},
                                            {{7, 8, 9, 128}, {10, 11, 12, 1}}};
    Error err = {0};
    size_t size;
    Image image = {0};
    uint8_t *png = image_to_png(&pixels[0][0][0], 2, 2, 4, &size, &err);
    cr_assert(png, "%s", err.text);
    cr_assert(image_decode(png, size, &image, &err), "%s", err.text); // which drops alpha
    for (int i = 0; i < 4; i++)
        cr_expect_eq(memcmp(image.at + 3 * i, pixels[i / 2][i % 2], 3), 0, "pixel %d", i);
    image_free(&image);
    free(png);
}

Test(image_write, a_picture_that_is_too_large_is_an_error)
{
    Error err = {0};
    size_t size;
    uint8_t pixel[3] = {0};
    cr_expect_null(image_to_png(pixel, 1, (int64_t)1 << 31, 3, &size, &err));
    cr_expect(err.set);
}
