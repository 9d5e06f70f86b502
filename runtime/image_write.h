// Pictures as files.
#ifndef CZT_RUNTIME_IMAGE_WRITE_H
#define CZT_RUNTIME_IMAGE_WRITE_H

#include "base/diag.h"

// Pixels (H, W, channels), channels 3 (RGB) or 4 (RGBA), as the bytes of a PNG; free() them. NULL
// with err.
uint8_t *image_to_png(const uint8_t *pixels, int64_t height, int64_t width, int channels,
                      size_t *size, Error *err);

#endif
