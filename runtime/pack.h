// Packing of pictures, captions and labels into webdataset shards (docs/data.md).
#ifndef CZT_RUNTIME_PACK_H
#define CZT_RUNTIME_PACK_H

#include "base/diag.h"

typedef struct PackOptions {
    const char *prefix;  // shards are PREFIX-00000.tar, PREFIX-00001.tar, ...
    int64_t per_shard;   // samples in a shard; 0: 1,000
    const char *caption; // for pictures without one; {} is the class name; may be NULL
    bool shuffle;        // a random order, keyed by seed; false: in byte order, or the table's
    uint64_t seed;
    bool force;       // replace what is there of the prefix; false: that is an error
    bool skip_bad;    // leave bad samples out and tell warn; false: the first is an error
    bool progress;    // tell it on stderr
    uint32_t threads; // that read and check; 0: one a core
    void (*warn)(void *ctx, const char *text);
    bool (*stop)(void *ctx); // asked now and then; true ends the packing as a failure does
    void *ctx;
} PackOptions;

typedef struct PackResult {
    int64_t samples, shards, classes; // written
    int64_t skipped, bytes;           // samples left out; size of all shards
} PackResult;

// Samples are numbered in the order of the shards; number n gives the members n.jpg (or .png,
// .webp, by content), n.txt, n.cls and n.LABEL. Class names are numbered in byte order; names and
// prompt templates go to PREFIX-classes.json, as cztc eval reads it. The same input and seed give
// the same bytes. Pictures, label pictures and arrays are decoded once, captions must be UTF-8 and
// not blank; anything else is a bad sample.
//
// All is written under temporary names and synced before the first shard appears; with force, older
// shards of the prefix go before the new ones come, so that the two never mix. A failure or a stop
// leaves what was there. Err names the file, and the row of a table.

// A folder: pictures in byte order of their paths, a sub-folder of `folder` is a class. Files
// beside a picture with the same name up to the first dot are its members: x.jpg, x.txt, x.seg.png,
// x.depth.npy.
bool pack_folder(const char *folder, const PackOptions *options, PackResult *result, Error *err);

// A CSV table (RFC 4180, UTF-8, with a header): column file, and caption where options give none;
// optionally class (numbers, or names), and label columns: column NAME holds a file, its member is
// NAME.EXT (EXT of the file), or NAME where it has a dot. Empty cells give no member. Files are
// relative to the table.
bool pack_csv(const char *table, const PackOptions *options, PackResult *result, Error *err);

#endif
