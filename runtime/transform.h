// Random geometry of a view, and the resampling of pictures and labels under it.
#ifndef CZT_RUNTIME_TRANSFORM_H
#define CZT_RUNTIME_TRANSFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Part of a picture, in shares of its width and height, so that it fits labels stored at another
// size; mirrored left to right when flip.
typedef struct Geometry {
    double x0, y0, x1, y1;
    bool flip;
} Geometry;

typedef enum { CROP_CENTRE, CROP_STRETCH, CROP_RANDOM } CropKind;

// How a view chooses its geometry. scale: share of the area; ratio: width / height; flip:
// probability.
typedef struct CropRule {
    CropKind kind;
    double scale[2], ratio[2], flip;
} CropRule;

// The geometry of one sample: a function of its arguments alone. (height, width) is the picture's
// size, `aspect` the view's width / height. Without `augment` a random crop is a centre crop and
// nothing flips.
Geometry geometry_draw(const CropRule *rule, bool augment, uint64_t key, uint32_t epoch,
                       uint64_t sample, int64_t height, int64_t width, double aspect);

// Scratch of the resampler. Zero-initialise, one a thread.
typedef struct Scratch {
    void *at;
    size_t capacity;
} Scratch;
void scratch_free(Scratch *scratch);
// At least `bytes` bytes, contents lost; NULL when memory is out.
void *scratch_reserve(Scratch *scratch, size_t bytes);

// Pixels (H, W, 3) -> (h, w, 3): bicubic (a = -0.5), its support widened by the factor when
// shrinking, the two passes in 22-bit fixed point with a rounding to u8 between, horizontal first:
// as Pillow does it, and the same bits on every machine. Eight bytes behind the pixels must be
// readable (image_decode sees to that). False when memory is out.
bool resample_u8(const uint8_t *from, int64_t H, int64_t W, const Geometry *g, uint8_t *to,
                 int64_t h, int64_t w, Scratch *scratch);
// The same without vector instructions, for the test that holds the two together.
bool resample_u8_portable(const uint8_t *from, int64_t H, int64_t W, const Geometry *g, uint8_t *to,
                          int64_t h, int64_t w, Scratch *scratch);
// Values (H, W) -> (h, w), the nearest sample.
void resample_nearest(const int32_t *from, int64_t H, int64_t W, const Geometry *g, int32_t *to,
                      int64_t h, int64_t w);
// Values (H, W, channels) -> (channels, h, w), bilinear between the four neighbours. NaN marks an
// invalid sample: it has no weight; where less than half of the weight is left, valid is 0 and the
// value 0.
void resample_bilinear(const float *from, int64_t H, int64_t W, int channels, const Geometry *g,
                       float *to, uint8_t *valid, int64_t h, int64_t w);

#endif
