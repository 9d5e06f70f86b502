// Labels as pictures: a colour for every class, a ramp for numbers, directions as RGB.
#ifndef CZT_RUNNER_PAINT_H
#define CZT_RUNNER_PAINT_H

#include "runner/look.h"

typedef struct Colour {
    uint8_t r, g, b;
} Colour;

// The colour of a class: neighbours have hues far apart.
Colour class_colour(int64_t c);
// The ramp's colour at t in [0, 1].
Colour ramp_colour(double t);

// A label of the sample that was read last, copy by copy of its view.
typedef struct Painting {
    uint8_t *rgba; // (h, w, 4), in the arena; invalid pixels are hatched
    double low, high;
    int64_t valid;    // pixels
    int64_t *classes; // pixels of each class, NULL where there are none
} Painting;

Painting paint_label(Arena *arena, const Look *look, const FieldLook *f, int64_t copy);

#endif
