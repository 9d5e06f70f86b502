// Changes of a view's pixels after its crop and flip: drawn colours, and stored augmentations done
// again.
#ifndef CZT_RUNTIME_AUGMENT_H
#define CZT_RUNTIME_AUGMENT_H

#include "base/diag.h"
#include "runtime/transform.h"

#include <jansson.h>

// How strongly colours change: brightness, contrast and saturation are multiplied by factors from
// max(0, 1 - s) to 1 + s, the hue is turned by -s to s of a whole turn, in an order that is drawn
// too; grey is the probability of losing all colour, after that, and blur that of a Gaussian blur
// of 0.1 to 2 pixels, last. 0: left as it is.
typedef struct ColourRule {
    double brightness, contrast, saturation, hue, grey, blur;
} ColourRule;

// Change pixels (h, w, 3) as drawn: a function of its arguments alone. False when memory is out.
bool colour_draw(const ColourRule *rule, uint64_t key, uint32_t epoch, uint64_t sample, uint8_t *at,
                 int64_t h, int64_t w, Scratch *scratch);

// From places in a result to places in what it was made of, in pixels: (a x + b y + c, d x + e y +
// f). The identity is {1, 0, 0, 0, 1, 0}.
typedef struct Affine {
    double a, b, c, d, e, f;
} Affine;

typedef enum {
    AUG_IDENTITY,
    AUG_SHEAR_X,
    AUG_SHEAR_Y,
    AUG_TRANSLATE_X,
    AUG_TRANSLATE_Y,
    AUG_ROTATE,
    AUG_BRIGHTNESS,
    AUG_COLOR,
    AUG_CONTRAST,
    AUG_SHARPNESS,
    AUG_POSTERIZE,
    AUG_SOLARIZE,
    AUG_AUTO_CONTRAST,
    AUG_EQUALIZE,
    AUG_OPS
} AugKind;

typedef struct AugOp {
    AugKind kind;
    double magnitude; // as torchvision's RandAugment means it
} AugOp;

enum { AUG_MOST_OPS = 16 }; // in one stored augmentation

// A stored augmentation. box: [top, left, height, width] in pixels of the picture.
typedef struct Replay {
    bool has_box;
    int64_t box[4];
    bool flip;
    AugOp ops[AUG_MOST_OPS];
    uint32_t nops;
} Replay;

// Read a list of: four numbers, the box; a truth value, the flip; a list of [operation, magnitude],
// the operation as its number above or its name in torchvision; null for what was left out. Without
// `with_ops` the last are not looked at. Err on anything else.
bool replay_read(const json_t *list, bool with_ops, Replay *replay, Error *err);

// Do an operation to pixels (h, w, 3), bit for bit as torchvision does it to a Pillow picture,
// nearest neighbours and black outside. False when memory is out.
bool augment_pixels(const AugOp *op, uint8_t *at, int64_t h, int64_t w, Scratch *scratch);

// Does it move pixels? Then *map says how.
bool augment_moves(const AugOp *op, int64_t h, int64_t w, Affine *map);

// Do the moves of `n` operations, which were done to a picture (view_h, view_w), to a label's
// values (h, w) of 4 bytes each: what came from outside gets value 0 and valid 0. False when
// memory is out.
bool augment_label(const AugOp *ops, uint32_t n, int64_t view_h, int64_t view_w, uint32_t *value,
                   uint8_t *valid, int64_t h, int64_t w, Scratch *scratch);

#endif
