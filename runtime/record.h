// Parts of stored records: what `key:` names in a member that holds more than one value.
#ifndef CZT_RUNTIME_RECORD_H
#define CZT_RUNTIME_RECORD_H

#include "base/diag.h"
#include "runtime/transform.h"

#include <jansson.h>

// A step into a record: a name, or an index, which is a sum of a number and whole multiples of
// draws.
typedef struct KeyTerm {
    uint32_t draw; // index into the specification's draws
    int64_t times;
} KeyTerm;

typedef struct KeyStep {
    const char *name; // NULL for an index
    int64_t base;
    const KeyTerm *terms;
    uint32_t nterms;
} KeyStep;

typedef struct KeyPath {
    const KeyStep *steps;
    uint32_t n; // 0: the whole member
} KeyPath;

// Buffers. Zero-initialise.
typedef struct RecordRoom {
    Scratch inflated, part;
} RecordRoom;
void record_free(RecordRoom *room);

// The part that the path names, as if it were a member of its own: of JSON a text as its bytes and
// other values as JSON, of .npy and .npz an array. Of the last two every index takes the array's
// first axis. `draws` has the sample's numbers. The bytes are in `room`. Err when the record is
// damaged, has no such name, or fewer items.
bool record_part(const KeyPath *path, const int64_t *draws, const void *data, size_t size,
                 RecordRoom *room, const void **at, size_t *bytes, Error *err);

// The same of JSON, as a value that the caller gives back with json_decref; NULL with err.
json_t *record_json(const KeyPath *path, const int64_t *draws, const void *data, size_t size,
                    Error *err);

#endif
