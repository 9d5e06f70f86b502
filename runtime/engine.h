// What runs a program's launches: an engine holds the blocks and does the entries. One is chosen by
// the step file's target; runtime/exec.c gives all of them one face.
#ifndef CZT_RUNTIME_ENGINE_H
#define CZT_RUNTIME_ENGINE_H

#include "runtime/exec.h"

typedef struct Engine Engine;

typedef struct EngineOps {
    void (*free)(Engine *);
    // Run an entry with the inputs as they are now. It may go on after the return; then errors of
    // the run come from wait.
    bool (*start)(Engine *, uint32_t entry, Error *err);
    // Wait for all runs.
    bool (*wait)(Engine *, Error *err);
    // The entry's inputs on the host, to be filled for its next run.
    uint8_t *(*inputs)(Engine *, uint32_t entry);
    // The entry's outputs of the last run on the host. After wait.
    const uint8_t *(*outputs)(Engine *, uint32_t entry);
    // State: zero all of it, read (the bytes are good until the next call), write.
    bool (*clear)(Engine *, Error *err);
    const void *(*read)(Engine *, int64_t offset, int64_t bytes, Error *err);
    bool (*write)(Engine *, int64_t offset, const void *from, int64_t bytes, Error *err);
    // One launch of an entry alone, with the inputs of its last run, behind which only entries that
    // run before it may have run; waited for. Bytes of one of its blocks, until the next call.
    bool (*launch)(Engine *, uint32_t entry, uint32_t launch, Error *err);
    const void *(*peek)(Engine *, uint32_t entry, const StepBuffer *at, int64_t bytes, Error *err);
    // Where the state lies on the device.
    void *(*state)(const Engine *);
    // As exec_one_by_one; NULL: an error names its place anyway.
    void (*one_by_one)(Engine *);
    // As exec_snapshot; NULL: it has none.
    const uint8_t *(*snapshot)(Engine *, Error *err);
    // As exec_peak; NULL: not known.
    double (*peak)(Engine *);
    // Times of an entry's launches; zeros when they are not measured.
    ExecTime *(*times)(Engine *, uint32_t entry);
} EngineOps;

// The first member of every engine's own struct.
struct Engine {
    const EngineOps *ops;
    ExecDevice device;
};

// Open one: allocate all blocks (state zeroed). NULL and an error on failure. Small things live in
// the arena.
Engine *engine_cpu(Arena *arena, const Step *step, const ExecOptions *options, Pool *pool,
                   Error *err);
Engine *engine_cuda(Arena *arena, const Step *step, const ExecOptions *options, Error *err);

#endif
