// Tables of positions of another length: a network that learned on one grid of patches, or length
// of text, begins on another.
#ifndef CZT_RUNTIME_POSITIONS_H
#define CZT_RUNTIME_POSITIONS_H

#include "base/diag.h"
#include "runtime/cztc.h"

enum {
    POSITIONS_SIDE = 1 << 16,  // the most of a grid's
    POSITIONS_MIDDLE = 1 << 20 // the most rows of what is resized along the width alone
};

typedef enum {
    POSITIONS_GRID, // prefix rows as they are, then rows of a grid: bicubic
    POSITIONS_LINE, // linear along the rows
    POSITIONS_FIRST // the first rows
} PositionsWay;

// How tables whose name matches (a pattern of base/glob.h) are brought to size.
typedef struct PositionsRule {
    const char *match;
    PositionsWay way;
    int64_t prefix;         // -1: what leaves a square of each
    int64_t from[2], to[2]; // grids (h, w) of the file and of the program; 0: squares
} PositionsRule;

typedef struct PositionsRules {
    const PositionsRule *at;
    uint32_t n;
} PositionsRules;

// One table: the rule with all numbers known.
typedef struct Positions {
    PositionsWay way;
    int64_t prefix, from[2], to[2], width; // a line or first: from[0] and to[0] rows
} Positions;

// Read "grid", "line", "first"; false for other words.
bool positions_way(const char *name, PositionsWay *way);
// The first rule for a name; NULL: none.
const PositionsRule *positions_rule(const PositionsRules *rules, const char *name);
// May a table of the file be resized to one of the program: (n, d), or (1, n, d), to (m, d)?
bool positions_alike(const CztTensor *from, const CztTensor *to);
// Are tables of equal length to be resized too, since the rule says two grids?
bool positions_reshape(const PositionsRule *rule);
// Settle the numbers; false with what is unclear or does not fit.
bool positions_plan(const PositionsRule *rule, const CztTensor *from, const CztTensor *to,
                    Positions *plan, Error *err);
// from (n, width) -> to (m, width). Grids as torch's interpolate does with mode bicubic, antialias
// and align_corners=False (Keys's filter, a = -0.5, stretched when the grid shrinks); lines as with
// mode linear.
void positions_resize(const Positions *plan, const float *from, float *to);

#endif
