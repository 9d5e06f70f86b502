// Checkpoints: one folder step-00001234/ each, complete or absent.
//   params.safetensors  parameters under their paths
//   state.safetensors   optimiser and other state; nothing derived or frozen
//   position.json       finished updates, seed, the data pipeline's position
//   manifest.json       size and checksum of the other files, hash of the program; written last
#ifndef CZT_RUNTIME_CHECKPOINT_H
#define CZT_RUNTIME_CHECKPOINT_H

#include "runtime/exec.h"

typedef struct Checkpoint {
    const char *path;        // of the folder
    int64_t step, seed;      // finished updates
    const char *position;    // the data pipeline's own JSON text
    const char *source_hash; // of the program that wrote it
    uint64_t frozen;         // exec_frozen of the run, 0 where it had no frozen state
} Checkpoint;

// Told of what is odd but survivable: a damaged checkpoint that is passed over, one that cannot be
// removed.
typedef struct CheckpointWarn {
    void (*warn)(void *ctx, const char *text);
    void *ctx;
} CheckpointWarn;

// Write folder/step-N. It appears only when all of it is on disk; an earlier one of the same step
// is replaced. On failure (disk full) what was there stays, and nothing new does. position is a
// JSON text.
bool checkpoint_save(Exec *exec, const char *folder, int64_t step, int64_t seed,
                     const char *position, Error *err);
// The same in two halves, one at a time. Where exec has room for a copy of its state (exec.h), it
// is free as soon as that is made, and a thread writes it; elsewhere all is done in the first half.
// NULL with err where it cannot begin; what went wrong later is told by the second half, which
// waits for the thread and must come.
typedef struct CheckpointJob CheckpointJob;
CheckpointJob *checkpoint_begin(Exec *exec, const char *folder, int64_t step, int64_t seed,
                                const char *position, Error *err);
bool checkpoint_written(CheckpointJob *job); // the second half will not wait
bool checkpoint_end(CheckpointJob *job, Error *err);
// Read one checkpoint's manifest and position and check every file's size and checksum. Texts live
// in the arena.
bool checkpoint_open(Arena *arena, const char *path, Checkpoint *out, Error *err);
// The newest complete checkpoint of a folder. Damaged ones are named through warn and passed over.
// True with out->path NULL when there is none (or no such folder).
bool checkpoint_latest(Arena *arena, const char *folder, Checkpoint *out, CheckpointWarn warn,
                       Error *err);
// Load parameters and state of a checkpoint, then run "derive". Strict on names, shapes and dtypes.
// Frozen state is no part of it: it is made as for a new run of that seed.
bool checkpoint_load(Exec *exec, const Checkpoint *checkpoint, Error *err);
// Of the checkpoints up to `step`, which must be known to be whole, remove all but the newest
// `keep` (0 keeps all); newer ones (damaged, passed over) stay. Also removes what killed processes
// left half-written.
void checkpoint_prune(const char *folder, int64_t step, uint32_t keep, CheckpointWarn warn);

#endif
