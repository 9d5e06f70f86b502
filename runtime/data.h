// The data pipeline: shards -> decoded and transformed samples -> batches in the caller's memory.
#ifndef CZT_RUNTIME_DATA_H
#define CZT_RUNTIME_DATA_H

#include "runtime/shards.h"
#include "runtime/spec.h"
#include "runtime/tokenizer.h"

typedef struct Data Data;

// A tensor of a batch; shape[0] is the batch. In order: each view NAME u8 (B, [k,] H, W, 3); each
// draw NAME i32 (B); each field NAME (tokens i32 (B, L); class_map i32 and map f32 (B, [k,] h, w);
// normals f32 (B, [k,] 3, h, w); vector f32 (B, n); class i32 (B); array as stored; boxes and
// points NAME.xyxy f32 (B, [k,] M, 4) or NAME.xy f32 (B, [k,] M, 2), NAME.class i32 (B, [k,] M),
// NAME.score f32 (B, [k,] M) in place of NAME), and NAME.valid u8 ((B, [k,] h, w), (B, [k,] M), or
// (B) where there are neither) and NAME.present u8 (B), which fields that are tokens and required
// do not have. [k] is there when the view's count is above 1.
typedef struct DataSlot {
    const char *name, *dtype; // "u8", "i32", "f32", ...
    const int64_t *shape;
    uint32_t rank;
    size_t bytes; // of the whole batch
} DataSlot;

typedef struct DataOptions {
    const char *base_dir;      // of relative shard paths; NULL: the working directory
    const char *key;           // what named the source, for messages; NULL: "data.source"
    TokenizerFiles tokenizers; // that need not be looked for at their paths
    int threads;               // workers; 0: one a core
    int64_t ahead;             // batches decoded ahead; 0: 2
    int64_t samples; // of an epoch in sequential order, rounded up to whole batches; 0: all. They
                     // are evenly spread over the source
    bool allow_pipe;
    DataReport *report; // every skipped sample, in order; from data_open and data_next
    void *user;
    // The shape of batch `number` (from 0), below spec->nshapes; called by any thread. NULL: the
    // first always.
    uint32_t (*shape_at)(void *ctx, int64_t number);
    // Sets of names of tensors, and which of them batch `number` wants: views and fields of which
    // it wants none are not decoded, and need not be there. Samples, their order and their numbers
    // stay the same. NULL: the first set always; no sets: everything.
    const Names *wants;
    uint32_t nwants;
    uint32_t (*want_at)(void *ctx, int64_t number);
    void *ctx;
} DataOptions;

// Where a run goes on: the next candidate of the epoch's order, the samples handed out and skipped
// so far, so that max_bad is judged as if the run had never stopped, and the batches handed out,
// which say the shape of the next.
typedef struct DataPosition {
    uint64_t epoch, index;
    int64_t used, bad, batches;
} DataPosition;

typedef struct DataCounts {
    int64_t samples, used, bad; // in the source; handed out; skipped as corrupt or incomplete
    int64_t damaged;            // shards
    int64_t dropped;            // boxes and points of used samples that were beyond their max
    double wait_seconds;        // that data_next has waited for workers
} DataCounts;

// Index the shards and start the workers. The spec must outlive the Data. Err, with the key of the
// specification, when a shard cannot be opened, there are no samples, or fewer than a batch in
// shuffled order. NULL with err.
Data *data_open(const DataSpec *spec, const DataOptions *options, Error *err);
void data_close(Data *data);

// The tensors of a batch, in the order of data_next's slots: of the first shape, or of any.
const DataSlot *data_slots(const Data *data, uint32_t *n);
const DataSlot *data_slots_of(const Data *data, uint32_t shape, uint32_t *n);
// The shape of the next batch.
uint32_t data_shape(const Data *data);

// Fill slots[i] (bytes of slot i; NULL: not wanted, as all must be that are in no wanted set) with
// the next batch; *count (may be NULL) is the number of samples. In shuffled order count is always
// the batch, and the last partial batch of an epoch is dropped. In sequential order the last batch
// is padded with zeros, and after it one call returns count 0; the next begins again. Err when more
// than max_bad of the samples are corrupt, or an epoch gives no batch; it stays so.
bool data_next(Data *data, void *const *slots, int64_t *count, Error *err);

// The position behind the last batch, and the return to one: the same batches follow, bit for bit,
// and the counts are those of then.
DataPosition data_position(const Data *data);
void data_seek(Data *data, DataPosition position);

double data_wait_seconds(const Data *data);
DataCounts data_counts(const Data *data);
// Members that were decoded so far for a view or field, by any thread, of samples to come too; -1
// where there is none of the name.
int64_t data_decoded(const Data *data, const char *name);
// The tokenizer of a field of the specification; NULL where it is no tokens.
const Tokenizer *data_tokenizer(const Data *data, uint32_t field);
// Key of sample i of the last batch; NULL beyond its count. Valid until data_close.
const char *data_key(const Data *data, int64_t i);

#endif
