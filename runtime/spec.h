// The data section of a step file's manifest: where samples come from and what is made of them.
//
// clang-format off
// A JSON object (* = required):
//   source*   ["dir/train-{0000..0003}.tar", ...]: relative to the base folder; {a..b}, {x,y}
//   mixture   [{"patterns": 2, "weight": 3}]: rows for so many of source each, of which a share of
//             the samples comes
//   series    {"seg": ["labels/seg-{0000..0003}.tar"]}: label shards, joined to the source by key
//   seed      0
//   batch*    samples a batch
//   shuffle   true; false: in the order of the shards, last batch padded instead of dropped
//   augment   the same as shuffle; false: centre crops, no flips
//   max_bad   0.1: share of corrupt samples that is too many
//   draws     [{"name": "a", "below": 30}]: a whole number a sample and epoch; 0 without augment
//   views     [{name*, member ["jpg","jpeg","png","webp"], series null, size* [H,W], count 1,
//               flip 0, crop "centre" | "stretch" | {"scale": [0.08,1], "ratio": [0.75,1.3333]},
//               colour {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "grey": 0,
//                 "blur": 0},
//               replay {"member"*: ["paug.json"], "series": null, "key": [..], "ops": false}}]
//   shapes    [{batch, draws, views, fields}]: further shapes of batches; what a row has not is
//             as above
//   fields    [{name*, role*, member, series null, key, required (tokens: true, others: false),
//               ...}]
//     role tokens     member ["txt"], length*, tokenizer "clip" | PATH, pad null (a token's text)
//     role class_map  member ["NAME.npy","NAME.png"], follow, size, ignore, classes,
//                     remap {"0": 255}
//     role map        member as above, follow, size, invalid, scale 1, offset 0
//                     (value = stored * scale + offset; invalid is a stored value)
//     role normals    member as above, follow, size, invalid (all three stored values are that)
//     role vector     member ["NAME.npy","NAME.json"], size* [n]
//     role class      member ["cls"], ignore, classes
//     role array      member ["NAME.npy"], dtype*, shape*
//     role boxes      member ["NAME.json"], follow*, max*, format "coco" | "xyxy_pixels" |
//                     "xyxy_unit", names ["cat", ..], classes, ignore, remap, min_score,
//                     min_area 0 (pixels of the view), min_visible 0.1 (share of the box)
//     role points     the same without the last two; format "xy_pixels" | "xy_unit"
// member: the first that a sample has is used; lower case. follow: the view whose geometry a pixel
// label takes (default: the first view; null: the whole picture). size: default that view's.
// classes: larger ones are errors of the sample. key: the path to a part of a record, of names,
// numbers, and {"base": 1, "draws": {"a": 1}} for 1 + a. replay: a stored augmentation (augment.h)
// in place of a drawn crop and flip, where there is `augment`. Unknown keys are errors.
// clang-format on
#ifndef CZT_RUNTIME_SPEC_H
#define CZT_RUNTIME_SPEC_H

#include "base/diag.h"
#include "runtime/augment.h"
#include "runtime/record.h"
#include "runtime/transform.h"

#include <jansson.h>

typedef enum {
    ROLE_TOKENS,
    ROLE_CLASS_MAP,
    ROLE_MAP,
    ROLE_NORMALS,
    ROLE_VECTOR,
    ROLE_CLASS,
    ROLE_ARRAY,
    ROLE_BOXES,
    ROLE_POINTS
} Role;

// What the numbers of a box or point are.
typedef enum {
    FORMAT_COCO,   // left, top, width, height in pixels of the picture
    FORMAT_PIXELS, // left, top, right, bottom; x, y
    FORMAT_UNIT    // the same in shares of width and height
} PlaceFormat;

typedef struct Names {
    const char **at;
    uint32_t n;
} Names;

typedef struct SeriesSpec {
    const char *name;
    Names shards;
} SeriesSpec;

// A whole number a sample and epoch, from 0 to below - 1.
typedef struct DrawSpec {
    const char *name;
    int64_t below;
} DrawSpec;

typedef struct ReplaySpec {
    bool wanted, ops; // ops: not the box and the flip alone
    Names member;
    int32_t series; // index, -1 for none
    KeyPath key;
} ReplaySpec;

typedef struct ViewSpec {
    const char *name;
    Names member;   // the first that a sample has is used
    int32_t series; // index, -1 for none
    int64_t height, width, count;
    CropRule crop;
    ColourRule colour;
    ReplaySpec replay;
} ViewSpec;

typedef struct FieldSpec {
    const char *name;
    Role role;
    Names member;
    int32_t series, follow; // index, -1 for none
    KeyPath key;
    bool required;
    int64_t height, width; // pixel roles
    int64_t length;        // tokens, vector; rows of boxes and points
    const char *tokenizer; // tokens: "clip", or the path of a tokenizer.json
    const char *pad;       // a token's text; NULL: the tokenizer's own
    bool has_ignore;       // ignore: class maps and classes; invalid: maps and normals
    double ignore;
    int64_t classes;      // 0: any
    int32_t *remap;       // 65,536 entries, NULL when nothing is renamed
    double scale, offset; // maps
    const char *dtype;    // arrays
    int64_t *shape;
    uint32_t rank;
    PlaceFormat format; // boxes, points
    Names names;        // of classes
    double min_score, min_area, min_visible;
} FieldSpec;

// So many of the source's patterns, of which a share of the samples comes.
typedef struct MixtureSpec {
    uint32_t patterns;
    double weight;
} MixtureSpec;

typedef struct DataSpec {
    Names source;
    MixtureSpec *mixture; // covers the source; none: each sample comes once an epoch
    uint32_t nmixture;
    DrawSpec *draws;
    SeriesSpec *series;
    ViewSpec *views;
    FieldSpec *fields;
    uint32_t ndraws, nseries, nviews, nfields;
    uint64_t seed;
    int64_t batch;
    bool shuffle, augment;
    double max_bad;
    struct DataSpec **shapes; // of the first of several: all of them, itself included
    uint32_t nshapes;         // 0: it is the only one
    uint32_t like;            // number of the first shape whose samples are loaded as this one's
} DataSpec;

// Read a specification; everything lives in the arena. NULL with err, which names the key.
DataSpec *spec_parse(Arena *arena, const json_t *json, Error *err);
// The same from text.
DataSpec *spec_parse_text(Arena *arena, const char *text, size_t size, Error *err);
// Whether a role has pixels.
bool role_has_pixels(Role role);
// Whether a role is a record of rows: places in the view it follows, with classes and scores.
bool role_is_places(Role role);
// Bytes of one element of a dtype name ("f32", "u8", ...); 0 for an unknown one.
size_t dtype_bytes(const char *dtype);

#endif
