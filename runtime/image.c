// Pictures from shards. Each decoder is asked for the dimensions first; these are checked against
// IMAGE_MAX_PIXELS before anything is allocated. Bad data gives an Error. A JPEG that libjpeg calls
// damaged (cut off, corrupt entropy data) is refused, though it would fill the rest with gray.
#include "runtime/image.h"

#include <inttypes.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <webp/decode.h>

const char *image_format(const void *data, size_t size)
{
    const uint8_t *p = data;
    if (size >= 3 && p[0] == 0xFF && p[1] == 0xD8 && p[2] == 0xFF) return "jpg";
    if (size >= 8 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0) return "png";
    if (size >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0) return "webp";
    return NULL;
}

void image_free(Image *image)
{
    free(image->at);
    *image = (Image){0};
}

void raw_free(RawImage *raw)
{
    free(raw->at);
    *raw = (RawImage){0};
}

static bool reserve(void **at, size_t *capacity, size_t bytes, Error *err)
{
    if (bytes <= *capacity) return true;
    free(*at);
    *at = malloc(bytes);
    *capacity = *at ? bytes : 0;
    return *at || error_set(err, "out of memory for a picture of %zu bytes", bytes);
}

static bool dimensions_ok(int64_t height, int64_t width, Error *err)
{
    if (height < 1 || width < 1 || width > IMAGE_MAX_PIXELS / height)
        return error_set(err, "a picture of %" PRId64 " x %" PRId64 " pixels (at most %" PRId64 ")",
                         width, height, IMAGE_MAX_PIXELS);
    return true;
}

enum { IMAGE_SLACK = 16 }; // readable bytes behind the pixels, for vector loads

// Set the dimensions and make room for them.
static bool image_size(Image *image, int64_t height, int64_t width, Error *err)
{
    void *at = image->at;
    bool ok = dimensions_ok(height, width, err) &&
              reserve(&at, &image->capacity, (size_t)(height * width * 3) + IMAGE_SLACK, err);
    image->at = at;
    image->height = height, image->width = width;
    return ok;
}

// (n) CMYK as Adobe writes it (inverted) to RGB.
static void cmyk_to_rgb(const uint8_t *from, uint8_t *to, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            to[3 * i + c] = (uint8_t)((from[4 * i + c] * from[4 * i + 3] + 127) / 255);
}

static bool decode_jpeg(tjhandle tj, const uint8_t *data, size_t size, Image *image, Error *err)
{
    int width, height, subsampling, space;
    if (tjDecompressHeader3(tj, data, size, &width, &height, &subsampling, &space) != 0)
        return error_set(err, "JPEG: %s", tjGetErrorStr2(tj));
    if (!image_size(image, height, width, err)) return false;
    bool cmyk = space == TJCS_CMYK || space == TJCS_YCCK;
    uint8_t *to = cmyk ? malloc((size_t)width * (size_t)height * 4) : image->at;
    if (!to) return error_set(err, "out of memory for a picture");
    bool ok = tjDecompress2(tj, data, size, to, width, 0, height, cmyk ? TJPF_CMYK : TJPF_RGB,
                            TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) == 0;
    if (!ok && tjGetErrorCode(tj) == TJERR_WARNING)
        ok = strstr(tjGetErrorStr2(tj), "extraneous bytes") != NULL; // common, and harmless
    if (!ok) error_set(err, "JPEG: %s", tjGetErrorStr2(tj));
    if (ok && cmyk) cmyk_to_rgb(to, image->at, (int64_t)width * height);
    if (cmyk) free(to);
    return ok;
}

static bool decode_webp(const uint8_t *data, size_t size, Image *image, Error *err)
{
    int width, height;
    if (!WebPGetInfo(data, size, &width, &height)) return error_set(err, "WebP: malformed header");
    if (!image_size(image, height, width, err)) return false;
    size_t bytes = (size_t)width * (size_t)height * 3;
    return WebPDecodeRGBInto(data, size, image->at, bytes, 3 * width) ||
           error_set(err, "WebP: damaged or cut off");
}

// ---- PNG
// --------------------------------------------------------------------------------------------

enum { PNG_MOST_CHUNK = 1 << 26 }; // bytes of memory that one chunk may take

// A PNG being read. libpng leaves by longjmp where it finds an error, so what it works on is here
// and not in the variables of a function.
typedef struct Png {
    png_structp png;
    png_infop info;
    const uint8_t *data;
    size_t size, at; // at: read so far
    int64_t height, width;
    int bits, channels; // of a stored sample; stored
    uint8_t *rows;      // where they go, (height, stride)
    size_t stride;
    Error *err;
} Png;

static void png_fail(png_structp png, png_const_charp text)
{
    const Png *p = png_get_error_ptr(png);
    error_set(p->err, "PNG: %s", text);
    png_longjmp(png, 1);
}

static void png_no_warning(png_structp png, png_const_charp text)
{
    (void)png, (void)text;
}

static void png_take(png_structp png, png_bytep to, size_t n)
{
    Png *p = png_get_io_ptr(png);
    if (n > p->size - p->at) png_error(png, "cut off");
    memcpy(to, p->data + p->at, n);
    p->at += n;
}

// Do a part of the reading; false with p->err where libpng found an error.
static bool png_try(Png *p, void (*part)(Png *))
{
    if (setjmp(png_jmpbuf(p->png))) return false;
    part(p);
    return true;
}

// Everything up to the pixels. Only chunks that they need are kept.
static void png_header(Png *p)
{
    png_set_read_fn(p->png, p, png_take);
    png_set_user_limits(p->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); // dimensions_ok is the limit
    png_set_chunk_malloc_max(p->png, PNG_MOST_CHUNK);
    png_set_keep_unknown_chunks(p->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(p->png, p->info);
    p->height = png_get_image_height(p->png, p->info);
    p->width = png_get_image_width(p->png, p->info);
    p->bits = png_get_bit_depth(p->png, p->info);
    p->channels = png_get_channels(p->png, p->info);
}

static void png_as_rgb(Png *p)
{
    int colour = png_get_color_type(p->png, p->info);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(p->png);
    if (colour == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(p->png);
    if (!(colour & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(p->png);
    png_set_strip_16(p->png);
    png_set_strip_alpha(p->png);
}

// Samples as stored, those of 16 bits in host order.
static void png_as_stored(Png *p)
{
    if (p->bits == 16) png_set_swap(p->png);
}

// All rows, and what follows them: the last checksums are there.
static void png_pixels(Png *p)
{
    int passes = png_set_interlace_handling(p->png);
    png_read_update_info(p->png, p->info);
    if (png_get_rowbytes(p->png, p->info) != p->stride) png_error(p->png, "rows of another size");
    for (int pass = 0; pass < passes; pass++)
        for (int64_t y = 0; y < p->height; y++)
            png_read_row(p->png, p->rows + (size_t)y * p->stride, NULL);
    png_read_end(p->png, NULL);
}

static void close_png(Png *p)
{
    png_destroy_read_struct(&p->png, &p->info, NULL);
}

// Open a PNG and read its header. False with err when it is none or too large.
static bool open_png(Png *p, const void *data, size_t size, Error *err)
{
    *p = (Png){.data = data, .size = size, .err = err};
    p->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, p, png_fail, png_no_warning);
    p->info = p->png ? png_create_info_struct(p->png) : NULL;
    if (!p->info) {
        if (!err->set) error_set(err, "out of memory for a PNG decoder");
    } else if (png_try(p, png_header) && dimensions_ok(p->height, p->width, err)) {
        return true;
    }
    close_png(p);
    return false;
}

static bool decode_png_rgb(const void *data, size_t size, Image *image, Error *err)
{
    Png p;
    if (!open_png(&p, data, size, err)) return false;
    bool ok = image_size(image, p.height, p.width, err);
    p.rows = image->at, p.stride = (size_t)p.width * 3;
    ok = ok && png_try(&p, png_as_rgb) && png_try(&p, png_pixels);
    close_png(&p);
    return ok;
}

bool image_decode(const void *data, size_t size, Image *image, Error *err)
{
    const char *format = image_format(data, size);
    if (!format) return error_set(err, "neither JPEG, PNG nor WebP");
    if (format[0] == 'p') return decode_png_rgb(data, size, image, err);
    if (format[0] == 'w') return decode_webp(data, size, image, err);
    tjhandle tj = tjInitDecompress();
    if (!tj) return error_set(err, "out of memory for a JPEG decoder");
    bool ok = decode_jpeg(tj, data, size, image, err);
    tjDestroy(tj);
    return ok;
}

// Unpack a row of stored samples (16 bits in host order, 8 bits, or packed high bits first) into
// 16-bit values; `stored` channels lie in the file, the first raw->channels are kept.
static void unpack_row(const uint8_t *row, const RawImage *raw, int stored, uint16_t *to)
{
    int bits = raw->bits;
    for (int64_t x = 0; x < raw->width; x++)
        for (int c = 0; c < raw->channels; c++) {
            int64_t i = x * stored + c;
            uint16_t value;
            if (bits == 16)
                memcpy(&value, row + 2 * i, 2);
            else if (bits == 8)
                value = row[i];
            else
                value =
                    (uint16_t)(row[i * bits / 8] >> (8 - bits - i * bits % 8) & ((1 << bits) - 1));
            *to++ = value;
        }
}

static bool decode_raw(Png *p, RawImage *raw, Error *err)
{
    raw->height = p->height, raw->width = p->width;
    raw->bits = p->bits, raw->channels = p->channels >= 3 ? 3 : 1;
    void *at = raw->at;
    bool ok = reserve(&at, &raw->capacity,
                      (size_t)(raw->height * raw->width) * (size_t)raw->channels * 2, err);
    raw->at = at;
    p->stride = ((size_t)raw->width * (size_t)p->channels * (size_t)raw->bits + 7) / 8;
    p->rows = ok ? malloc(p->stride * (size_t)raw->height) : NULL;
    if (ok && !p->rows) ok = error_set(err, "out of memory for a picture");
    ok = ok && png_try(p, png_as_stored) && png_try(p, png_pixels);
    for (int64_t y = 0; ok && y < raw->height; y++)
        unpack_row(p->rows + (size_t)y * p->stride, raw, p->channels,
                   raw->at + y * raw->width * raw->channels);
    free(p->rows);
    return ok;
}

bool image_decode_raw(const void *data, size_t size, RawImage *raw, Error *err)
{
    const char *format = image_format(data, size);
    if (!format || format[0] != 'p') return error_set(err, "a label picture must be PNG");
    Png p;
    if (!open_png(&p, data, size, err)) return false;
    bool ok = decode_raw(&p, raw, err);
    close_png(&p);
    return ok;
}
