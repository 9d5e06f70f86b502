// Samples as the step sees them, one at a time, and figures of what was seen.
#ifndef CZT_RUNNER_LOOK_H
#define CZT_RUNNER_LOOK_H

#include "runner/feed.h"
#include "runtime/tokenizer.h"
#include "runtime/values.h"

enum { LOOK_CLASSES = 65536 }; // that are counted; others are beyond

// Values of one field over the samples that were looked at.
typedef struct FieldLook {
    const FieldSpec *spec;
    const Tokenizer *tokenizer; // of tokens
    CztDtype dtype;
    int64_t elements;                       // of a sample
    int32_t slot, valid_slot, present_slot; // -1: none; slot is .xyxy or .xy of places
    int32_t class_slot;                     // of places
    int64_t missing;                        // samples
    int64_t valid, asked;                   // validities that are true, and all, where not missing;
                                            // views of places
    int64_t values, nans;                   // that are valid
    double low, high, sum;                  // of the values that are numbers
    int64_t shortest, longest, full;        // tokens, or places in a view; samples that fill all
    int64_t *classes, beyond;               // counts by class, NULL where there are none
} FieldLook;

typedef struct Look {
    Arena *arena;
    Feed *feed;
    void **slots; // of the sample that was read last
    FieldLook *fields;
    const char *key; // of that sample
    int64_t seen, in_source;
} Look;

// Begin with a feed whose batch is 1; both must outlive the Look. look_close in any case.
bool look_open(Look *look, Arena *arena, Feed *feed, Error *err);
void look_close(Look *look);
// The next sample that can be used: *got says whether there was one in this epoch.
bool look_next(Look *look, bool *got, Error *err);

// The tokens of a field in this sample, with start and end, without padding.
int64_t look_tokens(const Look *look, const FieldLook *f);
// Whether the sample has the field.
bool look_present(const Look *look, const FieldLook *f);
// Whether an element of the sample's field is valid; pixels are numbered without channels.
bool look_valid(const Look *look, const FieldLook *f, int64_t i);

// "box" or "point".
const char *place_text(Role role);
// "0.1 to 7.5, mean 2.3": what was seen of a field, in the arena.
const char *look_text(const Look *look, const FieldLook *f);
// "class_map", and "i32 (64, 64)" of the slot without its batch.
const char *role_text(Role role);
const char *slot_text(Arena *arena, const DataSlot *slot);
// {"samples": .., "fields": {..}}: the same as numbers. The caller frees it.
json_t *look_json(const Look *look);

#endif
