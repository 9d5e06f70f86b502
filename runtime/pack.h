// Packing of pictures, captions and labels into webdataset shards.
#ifndef CZT_RUNTIME_PACK_H
#define CZT_RUNTIME_PACK_H

#include "base/diag.h"

typedef struct PackOptions {
    const char *prefix; // shards are PREFIX-00000.tar, PREFIX-00001.tar, ...
    int64_t per_shard;  // samples in a shard; 0: 1,000
    const char *caption; // folders: for pictures without a .txt; {} is the class name; may be NULL
} PackOptions;

typedef struct PackResult {
    int64_t samples, shards, classes;
} PackResult;

// Samples are numbered in order; number n gives the members n.jpg (or .png, .webp, by content),
// n.txt, n.cls and n.LABEL. Class names are numbered in byte order and listed in
// PREFIX-classes.txt, one a line. The same input gives the same bytes. Shards are written under
// temporary names, synced, and renamed when all are whole; nothing is left after a failure. Err
// names the file, and the row of a table; also when PREFIX-00000.tar is there already.

// A folder: pictures in byte order of their paths, a sub-folder of `folder` is a class. Files
// beside a picture with the same name up to the first dot are its members: x.jpg, x.txt, x.seg.png,
// x.depth.npy.
bool pack_folder(const char *folder, const PackOptions *options, PackResult *result, Error *err);

// A CSV table (RFC 4180, UTF-8, with a header): columns file and caption, optionally class
// (numbers, or names), and label columns: column NAME holds a file, its member is NAME.EXT (EXT of
// the file), or NAME where it has a dot. Empty cells give no member. Files are relative to the
// table.
bool pack_csv(const char *table, const PackOptions *options, PackResult *result, Error *err);

#endif
