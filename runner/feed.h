// The data pipeline in front of a program's inputs.
#ifndef CZT_RUNNER_FEED_H
#define CZT_RUNNER_FEED_H

#include "base/map.h"
#include "runner/load.h"
#include "runtime/data.h"
#include "runtime/train.h"

typedef struct FeedOptions {
    const char *source; // shards, or a folder of them, instead of the program's own, or NULL;
                        // relative to the working directory
    const char *key;    // what gave the source, for messages: "--data"
    const char *series; // "NAME=SHARDS" of label shards to the source, as --series gave it, or NULL
    bool in_order;      // one pass in the order of the shards, without augmentation
    bool classes;       // also read the samples' classes, into slot "$class"
    bool quiet;         // name no bad samples on stderr
    bool any_bad;       // go on however many samples are bad
    int64_t batch;      // 0: the program's
    int64_t ahead;      // batches decoded ahead; 0: 2
    const char *seed;   // of order and augmentation, or NULL: the program's
    uint32_t workers;   // that decode; 0: one a core
    int64_t samples;    // in order: so many, evenly spread; 0: all
    // The shape of a batch, as of DataOptions. NULL: all are of the program's first shape.
    uint32_t (*shape_at)(void *ctx, int64_t number);
    // The entry that takes a batch: of the data, only what it reads is decoded. NULL: everything
    // is.
    uint32_t (*entry_at)(void *ctx, int64_t number);
    void *ctx;
} FeedOptions;

// A sample, or all of a shard, that could not be used.
typedef struct Skipped {
    const char *sample, *reason;
} Skipped;

typedef struct Feed {
    Arena *arena;
    const Loaded *program; // NULL where the data was opened alone
    const DataSpec *spec;
    const char *base; // folder that relative paths of the source begin in, "" for the working one
    Data *data;
    const DataSlot *slots;
    uint32_t nslots;     // of a batch of the first shape
    const char *shards;  // "KEY: SHARDS", for messages
    const char *given;   // shards that the user named instead of the graph's; NULL: none
    Map seen;            // what could not be used, "SHARD: sample KEY", each once
    VEC(Skipped) untold; // of it what is not in the log yet
} Feed;

// Open what the program's manifest says under "data". The Feed must not move.
bool feed_open(Feed *f, const Loaded *program, const FeedOptions *options, Error *err);
// The same without a program: `data` is the manifest's object (NULL: it has none) of that file;
// `carried` are the tokenizers that are in it. Of the functions below, those that take no entry may
// be used, and of the options not entry_at.
bool feed_open_data(Feed *f, const json_t *data, TokenizerFiles carried, const char *file,
                    const FeedOptions *options, Error *err);
void feed_close(Feed *f);
// The slot of that name, or -1.
int32_t feed_slot(const Feed *f, const char *name);
// Error where an input of the entry has no slot of its type in batches of that shape.
bool feed_covers(const Feed *f, uint32_t entry, uint32_t shape, Error *err);
// Where each slot of a batch of that shape goes: to the entry's input of that name, else NULL. to
// has as many places as there are slots; nslots for shape 0.
void feed_places(const Feed *f, uint32_t entry, uint32_t shape, void **to);
// FeedOptions.entry_at where one entry takes all batches: ctx is its number, a uint32_t.
uint32_t feed_one_entry(void *ctx, int64_t number);
// For train_run; ctx is the Feed.
TrainFeed feed_train(Feed *f);

#endif
