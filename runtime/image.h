// Decoding of JPEG, PNG and WebP into pixels, and of PNG into raw label values.
#ifndef CZT_RUNTIME_IMAGE_H
#define CZT_RUNTIME_IMAGE_H

#include "base/diag.h"

// The largest picture that is decoded: 2^28 pixels.
#define IMAGE_MAX_PIXELS ((int64_t)1 << 28)

// Pixels (H, W, 3), with a few readable bytes behind them. Zero-initialise; the buffer is kept and
// grown between decodings.
typedef struct Image {
    uint8_t *at;
    int64_t height, width;
    size_t capacity; // bytes
} Image;

// Raw values (H, W, channels), 16 bits each: the palette index of an indexed PNG, otherwise the
// samples as stored (1, 2, 4, 8 or 16 bits); alpha is dropped. Zero-initialise.
typedef struct RawImage {
    uint16_t *at;
    int64_t height, width;
    int channels, bits; // channels 1 or 3; bits of one stored sample
    size_t capacity;    // bytes
} RawImage;

// Name the format of an encoded picture by its first bytes: "jpg", "png", "webp"; NULL for others.
const char *image_format(const void *data, size_t size);
// Decode to u8 RGB: gray is repeated, alpha dropped, 16-bit samples keep their high byte.
bool image_decode(const void *data, size_t size, Image *image, Error *err);
// Decode a PNG to raw values.
bool image_decode_raw(const void *data, size_t size, RawImage *raw, Error *err);
void image_free(Image *image);
void raw_free(RawImage *raw);

#endif
