// One sample's way from its shard into a row of every slot.
#ifndef CZT_RUNTIME_SAMPLE_H
#define CZT_RUNTIME_SAMPLE_H

#include "runtime/data.h"
#include "runtime/field.h"
#include "runtime/wanted.h"

// Where a tensor of a sample lies in the sample's block.
typedef struct Place {
    size_t offset, bytes;
} Place;

// Slots of a batch and their places in a sample's block.
typedef struct SampleLayout {
    DataSlot *slots;
    Place *places;
    uint32_t n;
    size_t bytes; // of the block
} SampleLayout;

// Lay out the tensors of a specification; lives in the arena.
SampleLayout sample_layout(Arena *arena, const DataSpec *spec);

// What loading needs besides the specification.
typedef struct SampleSource {
    const DataSpec *spec;
    const SampleLayout *layout;
    const Shards *source, **series;
    const Tokenizer *const *tokenizers; // of the fields
    _Atomic int64_t *decoded;           // members, by views and then fields
} SampleSource;

// Load what is wanted of sample `index` as it is in `epoch` into to (layout->bytes); the rest of it
// stays as it was. A pure function of its arguments. Err with *member (may become NULL) when what
// is wanted is corrupt or incomplete.
bool sample_load(const SampleSource *from, const Wanted *wanted, uint64_t epoch, int64_t index,
                 Decoder *decoder, uint8_t *to, const char **member, Error *err);

#endif
