// Encoding by libpng's simplified interface, which leaves by no longjmp.
#include "runtime/image_write.h"

#include <png.h>
#include <stdlib.h>

uint8_t *image_to_png(const uint8_t *pixels, int64_t height, int64_t width, int channels,
                      size_t *size, Error *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = channels == 4 ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB};
    png_alloc_size_t room = PNG_IMAGE_PNG_SIZE_MAX(image);
    uint8_t *bytes = malloc(room);
    bool ok = bytes && png_image_write_to_memory(&image, bytes, &room, 0, pixels, 0, NULL);
    *size = room;
    if (ok) return bytes;
    error_set(err, "cannot make a PNG of %lld by %lld pixels: %s", (long long)height,
              (long long)width, bytes ? image.message : "no memory");
    png_image_free(&image);
    free(bytes);
    return NULL;
}
