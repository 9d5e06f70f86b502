// Decoding of pictures, against what Pillow made of them (tests/parity/image_fixture.py).
#include "runtime/image.h"

#include "data_make.h"

static Bytes fixture(const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", FIXTURES, name);
    return slurp(path);
}

static Image decode(const char *name)
{
    Bytes b = fixture(name);
    Image image = {0};
    Error err = {0};
    cr_assert(image_decode(b.at, b.n, &image, &err), "%s: %s", name, err.text);
    free(b.at);
    return image;
}

// Largest difference from recorded pixels.
static int difference(const char *name, const char *recorded)
{
    Image image = decode(name);
    Bytes want = fixture(recorded);
    cr_assert_eq((size_t)(image.height * image.width * 3), want.n);
    int most = 0;
    for (size_t i = 0; i < want.n; i++) {
        int d = abs(image.at[i] - want.at[i]);
        if (d > most) most = d;
    }
    image_free(&image);
    free(want.at);
    return most;
}

Test(image, decodes_as_pillow_does)
{
    cr_expect_eq(difference("rgb.png", "resize_same.rgb"), 0);
    cr_expect_eq(difference("rgba.png", "resize_same.rgb"), 0);
    cr_expect_eq(difference("lossless.webp", "resize_same.rgb"), 0);
    cr_expect_eq(difference("photo.jpg", "photo.jpg.rgb"), 0);
    cr_expect_eq(difference("gray.jpg", "gray.jpg.rgb"), 0);
    cr_expect_leq(difference("lossy.webp", "lossy.webp.rgb"), 2);
}

Test(image, raw_values_of_labels)
{
    RawImage raw = {0};
    for (int k = 0; k < 6; k++) {
        static const char *const names[] = {"index1.png", "index2.png", "index4.png",
                                            "index8.png", "gray1.png",  "gray16.png"};
        Bytes b = fixture(names[k]);
        Error err = {0};
        cr_assert(image_decode_raw(b.at, b.n, &raw, &err), "%s", err.text);
        cr_assert(raw.height == 9 && raw.width == 13 && raw.channels == 1);
        for (int y = 0; y < 9; y++)
            for (int x = 0; x < 13; x++) {
                int v = (y + x) % 16;
                int want[] = {v % 2, v % 4, v, v * 13, v % 2, v * 4000 + 7};
                cr_assert_eq(raw.at[y * 13 + x], want[k], "%s (%d, %d): %d", names[k], y, x,
                             raw.at[y * 13 + x]);
            }
        free(b.at);
    }
    Bytes b = fixture("rgba.png");
    Error err = {0};
    cr_assert(image_decode_raw(b.at, b.n, &raw, &err));
    Bytes want = fixture("resize_same.rgb");
    cr_assert_eq(raw.channels, 3);
    for (size_t i = 0; i < want.n; i++) cr_assert_eq(raw.at[i], want.at[i]);
    free(want.at);
    free(b.at);
    b = fixture("photo.jpg");
    cr_expect_not(image_decode_raw(b.at, b.n, &raw, &err));
    free(b.at);
    raw_free(&raw);
}

static const char *const all[] = {"rgb.png",   "rgba.png", "index4.png",    "gray16.png",
                                  "photo.jpg", "gray.jpg", "lossless.webp", "lossy.webp"};

Test(image, cut_off_is_an_error)
{
    Image image = {0};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        Bytes b = fixture(all[k]);
        for (size_t n = 0; n + 16 < b.n; n += 1 + b.n / 100) {
            unsigned char *copy = malloc(n + 1); // exact, so that reading past the end is seen
            memcpy(copy, b.at, n);
            Error err = {0};
            cr_expect_not(image_decode(copy, n, &image, &err), "%s cut to %zu", all[k], n);
            cr_expect(err.set);
            free(copy);
        }
        free(b.at);
    }
    image_free(&image);
}

Test(image, flipped_bytes_never_crash)
{
    Image image = {0};
    RawImage raw = {0};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        Bytes b = fixture(all[k]);
        for (size_t i = 0; i < b.n; i += i < 200 ? 1 : 41) {
            unsigned char before = b.at[i];
            b.at[i] = (unsigned char)(before + 1 + i % 255);
            Error err = {0}, raw_err = {0};
            cr_expect(image_decode(b.at, b.n, &image, &err) || err.set);
            cr_expect(image_decode_raw(b.at, b.n, &raw, &raw_err) || raw_err.set);
            b.at[i] = before;
        }
        free(b.at);
    }
    image_free(&image);
    raw_free(&raw);
}

Test(image, dimensions_are_checked_first)
{
    Bytes b = fixture("rgb.png");
    memcpy(b.at + 16, "\x00\x01\x00\x00\x00\x01\x00\x00", 8); // 65,536 x 65,536
    memcpy(b.at + 29, "\x10\x2e\x9c\x6e", 4); // wrong or right, it must not allocate
    Image image = {0};
    Error err = {0};
    cr_expect_not(image_decode(b.at, b.n, &image, &err));
    cr_expect_eq(image.capacity, 0);
    free(b.at);
    cr_expect_null(image_format("GIF89a______", 12));
}
