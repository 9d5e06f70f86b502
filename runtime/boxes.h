// Labels that are lists of places in a picture, read from JSON: boxes and points.
//
// A member is an object of lists, or a list of annotations:
//   {"boxes": [[4 numbers], ..], "classes": [0, ..] | "labels": ["cat", ..], "scores": [0.9, ..],
//    "size": [height, width]}
//   [{"bbox": [4 numbers], "category_id": 0 | "category": "cat", "score": 0.9, "iscrowd": 0}, ..]
// Points have "points" and "point" with 2 numbers; null in "points" is a point that is not there.
// size: of the picture that pixels are counted in; the view's picture where it is missing. Other
// keys are nobody's business here.
#ifndef CZT_RUNTIME_BOXES_H
#define CZT_RUNTIME_BOXES_H

#include "runtime/field.h"

// The picture that a list of places belongs to, and the views that were cut out of it.
typedef struct Cuts {
    const Geometry *geometry;
    int64_t copies;
    int64_t height, width; // of the picture
} Cuts;

// Rows of all copies, `max` a copy, in pixels of the view. Rows that are not valid are zeros.
typedef struct PlaceRows {
    float *at;       // boxes (copies, max, 4): left, top, right, bottom; points (copies, max, 2)
    int32_t *class;  // (copies, max)
    float *score;    // (copies, max); 1 where the member has none
    uint8_t *valid;  // (copies, max)
    int64_t dropped; // boxes or points beyond max
} PlaceRows;

// Read a member and fill all rows. A box is cut to the picture and to the view; it goes when less
// than min_visible of it or less than min_area pixels are left, and of more than max the smallest
// go; those that stay keep their order and come first. Point i of the member is row i; it is valid
// where it lies in the view, and those behind max go. Err when the member is no such JSON.
bool places_decode(const FieldSpec *field, const void *data, size_t size, const Cuts *cuts,
                   Scratch *scratch, PlaceRows *rows, Error *err);

#endif
