// Pictures from shards. Each decoder is asked for the dimensions first; these are checked against
// IMAGE_MAX_PIXELS before anything is allocated. Bad data gives an Error. A JPEG that libjpeg calls
// damaged (cut off, corrupt entropy data) is refused, though it would fill the rest with gray.
#include "runtime/image.h"

#include <inttypes.h>
#include <spng.h>
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

// Open a PNG and read its header. NULL with err when it is none or too large.
static spng_ctx *open_png(const void *data, size_t size, struct spng_ihdr *header, Error *err)
{
    spng_ctx *png = spng_ctx_new(0);
    int code = png ? 0 : SPNG_EMEM;
    if (!code) code = spng_set_png_buffer(png, data, size);
    if (!code) code = spng_set_chunk_limits(png, 1 << 26, 1 << 26);
    if (!code) code = spng_get_ihdr(png, header);
    if (code) error_set(err, "PNG: %s", spng_strerror(code));
    if (!code && dimensions_ok(header->height, header->width, err)) return png;
    spng_ctx_free(png);
    return NULL;
}

// Decode all rows in a format into at, which has room for bytes.
static bool decode_png(spng_ctx *png, void *at, size_t bytes, int format, Error *err)
{
    size_t need;
    int code = spng_decoded_image_size(png, format, &need);
    if (!code && need != bytes)
        return error_set(err, "PNG: %zu bytes of pixels where %zu were expected", need, bytes);
    if (!code) code = spng_decode_image(png, at, bytes, format, 0);
    return !code || error_set(err, "PNG: %s", spng_strerror(code));
}

static bool decode_png_rgb(const void *data, size_t size, Image *image, Error *err)
{
    struct spng_ihdr header;
    spng_ctx *png = open_png(data, size, &header, err);
    if (!png) return false;
    bool ok =
        image_size(image, header.height, header.width, err) &&
        decode_png(png, image->at, (size_t)(image->height * image->width * 3), SPNG_FMT_RGB8, err);
    spng_ctx_free(png);
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

// Unpack a row of stored samples (SPNG_FMT_PNG: 16 bits in host order, 8 bits, or packed high bits
// first) into 16-bit values; `stored` channels lie in the file, the first raw->channels are kept.
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

static bool decode_raw(spng_ctx *png, const struct spng_ihdr *header, RawImage *raw, Error *err)
{
    static const int channels_of[7] = {1, 0, 3, 1, 2, 0, 4}; // by PNG colour type
    int stored = channels_of[header->color_type % 7];
    raw->height = header->height, raw->width = header->width;
    raw->bits = header->bit_depth, raw->channels = stored >= 3 ? 3 : 1;
    size_t row = ((size_t)raw->width * (size_t)stored * (size_t)raw->bits + 7) / 8;
    size_t packed = row * (size_t)raw->height;
    void *at = raw->at;
    bool ok = reserve(&at, &raw->capacity,
                      (size_t)(raw->height * raw->width) * (size_t)raw->channels * 2, err);
    raw->at = at;
    uint8_t *bytes = ok ? malloc(packed) : NULL;
    if (ok && !bytes) ok = error_set(err, "out of memory for a picture");
    ok = ok && decode_png(png, bytes, packed, SPNG_FMT_PNG, err);
    for (int64_t y = 0; ok && y < raw->height; y++)
        unpack_row(bytes + (size_t)y * row, raw, stored, raw->at + y * raw->width * raw->channels);
    free(bytes);
    return ok;
}

bool image_decode_raw(const void *data, size_t size, RawImage *raw, Error *err)
{
    const char *format = image_format(data, size);
    if (!format || format[0] != 'p') return error_set(err, "a label picture must be PNG");
    struct spng_ihdr header;
    spng_ctx *png = open_png(data, size, &header, err);
    if (!png) return false;
    bool ok = decode_raw(png, &header, raw, err);
    spng_ctx_free(png);
    return ok;
}
