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

static void append(png_structp png, png_bytep data, size_t n)
{
    Bytes *to = png_get_io_ptr(png);
    to->at = realloc(to->at, to->n + n);
    memcpy(to->at + to->n, data, n);
    to->n += n;
}

static void flush(png_structp png)
{
    (void)png;
}

// A PNG of any colour type and depth; samples (height, width, stored), each below 1 << bits.
static Bytes make_png_of(const uint16_t *samples, int height, int width, int stored, int colour,
                         int bits, int interlace)
{
    Bytes to = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_color palette[256];
    for (int i = 0; i < 256; i++)
        palette[i] = (png_color){(png_byte)i, (png_byte)(i * 3), (png_byte)(255 - i)};
    png_set_write_fn(png, &to, append, flush);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, bits, colour, interlace, 0, 0);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 1 << bits);
    png_write_info(png, info);
    if (bits == 16) png_set_swap(png);
    png_set_packing(png); // a byte a sample
    int passes = png_set_interlace_handling(png), n = width * stored;
    for (int p = 0; p < passes; p++)
        for (int y = 0; y < height; y++) {
            uint8_t row[64];
            for (int i = 0; i < n && bits < 16; i++) row[i] = (uint8_t)samples[y * n + i];
            png_write_row(png, bits == 16 ? (png_const_bytep)(samples + y * n) : row);
        }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return to;
}

// One picture: raw values are the samples, pixels are what the samples stand for.
static void check_png(int colour, int stored, int bits, int interlace)
{
    enum { H = 9, W = 13 };
    uint16_t samples[H * W * 4];
    uint32_t x = (uint32_t)(colour * 40 + bits * 2 + interlace);
    for (int i = 0; i < H * W * stored; i++) {
        x = x * 1664525u + 1013904223u;
        samples[i] = (uint16_t)(x >> 16 & ((1u << bits) - 1));
    }
    Bytes b = make_png_of(samples, H, W, stored, colour, bits, interlace);
    RawImage raw = {0};
    Image image = {0};
    Error err = {0};
    cr_assert(image_decode_raw(b.at, b.n, &raw, &err), "%s", err.text);
    cr_assert(image_decode(b.at, b.n, &image, &err), "%s", err.text);
    int kept = stored >= 3 ? 3 : 1;
    cr_assert(raw.height == H && raw.width == W && raw.channels == kept && raw.bits == bits);
    for (int i = 0; i < H * W; i++)
        for (int c = 0; c < 3; c++) {
            int v = samples[i * stored + (kept == 3 ? c : 0)], most = (1 << bits) - 1;
            int shown = bits == 16 ? v >> 8 : v * 255 / most;
            if (colour == PNG_COLOR_TYPE_PALETTE) shown = (int[]){v, v * 3 & 255, 255 - v}[c];
            cr_assert_eq(image.at[3 * i + c], shown, "colour %d, %d bits, interlace %d: %d", colour,
                         bits, interlace, i);
            if (c < kept) cr_assert_eq(raw.at[i * kept + c], v);
        }
    image_free(&image);
    raw_free(&raw);
    free(b.at);
}

Test(image, every_kind_of_png)
{
    static const struct {
        int colour, stored, least, most;
    } kinds[] = {{PNG_COLOR_TYPE_GRAY, 1, 1, 16},
                 {PNG_COLOR_TYPE_PALETTE, 1, 1, 8},
                 {PNG_COLOR_TYPE_GRAY_ALPHA, 2, 8, 16},
                 {PNG_COLOR_TYPE_RGB, 3, 8, 16},
                 {PNG_COLOR_TYPE_RGB_ALPHA, 4, 8, 16}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int bits = kinds[k].least; bits <= kinds[k].most; bits *= 2)
            for (int interlace = 0; interlace < 2; interlace++)
                check_png(kinds[k].colour, kinds[k].stored, bits, interlace);
}

static const char *const all[] = {"rgb.png",   "rgba.png", "index4.png",    "gray16.png",
                                  "photo.jpg", "gray.jpg", "lossless.webp", "lossy.webp"};

Test(image, cut_off_is_an_error)
{
    Image image = {0};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        Bytes b = fixture(all[k]);
        bool png = strcmp(image_format(b.at, b.n), "png") == 0; // whose last bytes count too
        for (size_t n = 0; n + (png ? 0 : 16) < b.n; n += n + 30 < b.n ? 1 + b.n / 100 : 1) {
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
