// Changes of the colours of u8 pixels, as Pillow makes them: the same bits.
#ifndef CZT_RUNTIME_PIXELS_H
#define CZT_RUNTIME_PIXELS_H

#include <stdbool.h>
#include <stdint.h>

// All take n pixels (n, 3) and change them in place.

// Each value v to grey + factor (v - grey): 1 leaves it, 0 makes it grey, above 1 exaggerates. Grey
// is 0, the pixel's brightness, or the mean brightness of all.
void pixels_brightness(uint8_t *at, int64_t n, double factor);
void pixels_saturation(uint8_t *at, int64_t n, double factor);
void pixels_contrast(uint8_t *at, int64_t n, double factor);
// Turn the hue by a share of a turn, -0.5 to 0.5.
void pixels_hue(uint8_t *at, int64_t n, double turn);
// Replace colour by brightness.
void pixels_grey(uint8_t *at, int64_t n);
// Values from `threshold` on to 255 minus them.
void pixels_solarize(uint8_t *at, int64_t n, double threshold);
// Keep the highest `bits` bits.
void pixels_posterize(uint8_t *at, int64_t n, int bits);
// Stretch each channel so that its values reach from 0 to 255.
void pixels_auto_contrast(uint8_t *at, int64_t n);
// Make each channel's values equally frequent.
void pixels_equalize(uint8_t *at, int64_t n);
// Blur pixels (h, w, 3) by a Gaussian whose deviation is `sigma` pixels, over three of them to each
// side; the picture is mirrored about its outermost pixels. room: h * w * 3 floats.
void pixels_blur(uint8_t *at, int64_t h, int64_t w, double sigma, float *room);
// One step of ImageEnhance.Blend between what there was before and what is there.
uint8_t pixel_blend(uint8_t grey, uint8_t value, float factor);

#endif
