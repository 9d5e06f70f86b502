// An index over webdataset shards: which samples there are, and where each of their members lies.
#ifndef CZT_RUNTIME_SHARDS_H
#define CZT_RUNTIME_SHARDS_H

#include "base/diag.h"
#include "runtime/spec.h"

// Something wrong in a shard. key and member are "" where they are not known.
typedef struct DataProblem {
    const char *shard, *key, *member, *reason;
} DataProblem;
typedef void DataReport(void *user, const DataProblem *problem);

// A member of a sample: bytes [offset, offset + size) of its shard.
typedef struct Member {
    int64_t offset, size;
    const char *extension; // "jpg", "seg.png", in lower case
} Member;

typedef struct Sample {
    const char *shard, *key;
    const Member *members;
    uint32_t n;
    const char *twice; // the extension that stands there twice; NULL in a good sample
    bool again;        // the key stood further up in the shard, apart; false in a good sample
    uint32_t shard_index;
} Sample;

typedef struct Shards Shards;

typedef struct ShardsOptions {
    const char *base_dir; // of relative paths
    bool allow_pipe;      // "pipe:COMMAND" is run once, its output kept in a temporary file
    bool by_key;          // make shards_find work
    int threads;          // index so many shards at a time
    DataReport *report;   // of damaged shards, in order; may be NULL
    void *user;
} ShardsOptions;

// List the files (shards_list), then read the headers of all. Err when some cannot be opened. A
// damaged or empty one is reported and counted, and its samples before the damage are used: the
// last only if it is surely whole, or if the file ends behind one of its members. NULL with err.
Shards *shards_open(const Names *patterns, const ShardsOptions *options, Error *err);
void shards_close(Shards *s);
// Samples in all, in the order of the shards.
int64_t shards_count(const Shards *s);
// Damaged shards.
int64_t shards_damaged(const Shards *s);
Sample shards_sample(const Shards *s, int64_t i);
// The sample of a key, -1 when there is none; the first of equal keys.
int64_t shards_find(const Shards *s, const char *key);
// The first member of a sample whose extension is in the list, NULL when there is none.
const Member *sample_member(const Sample *sample, const Names *extensions);
// Read a member's bytes. Any thread.
bool shards_read(const Shards *s, const Sample *sample, const Member *member, void *to, Error *err);

// Expand {000..331} and {a,b} in a pattern, in order, into the arena.
bool brace_expand(Arena *arena, const char *pattern, Names *to, Error *err);
// The files that patterns name: braces expanded, base_dir (may be NULL) before relative paths, a
// folder's *.tar in byte order. Err on a folder without any.
bool shards_list(Arena *arena, const Names *patterns, const char *base_dir, Names *to, Error *err);

#endif
