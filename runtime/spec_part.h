// Parts of the specification that say where in a stored record something lies (draws, key, replay)
// and how colours change. Each takes the JSON value of its key, which may be NULL, and the place of
// the object for messages. Err with that place.
#ifndef CZT_RUNTIME_SPEC_PART_H
#define CZT_RUNTIME_SPEC_PART_H

#include "runtime/spec.h"

enum {
    MOST_DRAW = INT32_MAX,
    MOST_COLOUR = 100 // strength of brightness, contrast and saturation
};

bool spec_draws(Arena *arena, const json_t *list, DataSpec *spec, Error *err);
bool spec_key(Arena *arena, const json_t *list, const DataSpec *spec, const char *place,
              KeyPath *to, Error *err);
// The index of a series by its name, -1 for none.
bool spec_series_of(const json_t *name, const DataSpec *spec, const char *place, int32_t *to,
                    Error *err);
bool spec_replay(Arena *arena, const json_t *replay, const DataSpec *spec, const char *place,
                 ReplaySpec *to, Error *err);
bool spec_colour(const json_t *colour, const char *place, ColourRule *to, Error *err);

#endif
