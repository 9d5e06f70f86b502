// A loaded step file: its tables, its machine code mapped for execution, its constants.
#ifndef CZT_RUNTIME_STEP_H
#define CZT_RUNTIME_STEP_H

#include "base/diag.h"
#include "base/map.h"
#include "runtime/cztc.h"

#include <jansson.h>

typedef enum {
    SPACE_STATE,
    SPACE_SCRATCH,
    SPACE_INPUT,
    SPACE_OUTPUT,
    SPACE_CONST,
    SPACES
} StepSpace;

// A place in one of the blocks an entry runs on.
typedef struct StepBuffer {
    StepSpace space;
    int64_t offset;
} StepBuffer;

typedef struct StepKernel {
    const char *name, *kind;
    int64_t offset;       // in the code section
    int64_t flops, bytes; // of all tasks of one call, for the roofline
    const char *const *lines;
    uint32_t nlines;
} StepKernel;

typedef struct StepSegment {
    uint32_t kernel;
    int64_t tasks;
    const StepBuffer *buffers;
    uint32_t nbuffers;
} StepSegment;

// Independent segments, run in one parallel region.
typedef struct StepLaunch {
    const StepSegment *segments;
    uint32_t n;
    int64_t tasks; // of all segments
} StepLaunch;

typedef struct StepEntry {
    const char *name;
    int64_t input_bytes, output_bytes, scratch_bytes;
    const CztTensor *inputs, *outputs;
    uint32_t ninputs, noutputs;
    const StepLaunch *launches;
    uint32_t nlaunches;
} StepEntry;

typedef struct Step {
    Arena *arena;
    const char *file; // as named in errors
    const char *name, *source_hash;
    int64_t batch, seed, steps;
    int64_t state_bytes, const_bytes, worker_bytes;
    const CztTensor *state;
    uint32_t nstate;
    const StepKernel *kernels;
    uint32_t nkernels;
    const StepEntry *entries;
    uint32_t nentries;
    json_t *manifest; // all of it: "data", "train", "eval", "tokenizer" are for others to read
    const uint8_t *code, *constants; // 64-byte-aligned; code may be executed
    size_t code_size;
    void *mapping; // of code and constants
    size_t mapping_size;
} Step;

// Load a step file, or an executable that ends with one. Refuses files that are damaged, from a
// newer version, or for another machine, naming what it lacks. NULL and an error on failure.
Step *step_load(const char *path, Error *err);
// The same from memory; nothing of it is needed afterwards. `name` is shown in errors.
Step *step_load_memory(const char *name, const void *data, size_t size, Error *err);
// NULL is allowed.
void step_free(Step *step);
// What of the manifest is a caller's business, as new JSON: name, target, batch, state, entries
// with inputs and outputs.
json_t *step_describe(const Step *step);
// Number of the entry, state tensor, input or output of that name; -1 when there is none.
int32_t step_entry(const Step *step, const char *name);
int32_t tensor_find(const CztTensor *tensors, uint32_t n, const char *name);
// "f32 [16, 77]" in the arena.
const char *tensor_text(Arena *arena, CztDtype dtype, uint32_t rank, const int64_t *shape);
// The dtype of that name; false when there is none.
bool dtype_parse(const char *name, CztDtype *dtype);
const char *kind_name(CztKind kind);

// Read the manifest text into the step's tables, every number checked (runtime/manifest.c).
bool manifest_read(Step *step, const char *text, size_t size, Error *err);
// Check "target" of the manifest against this machine (runtime/target.c).
bool target_check(const Step *step, Error *err);
// True when a list of processor flags, as in /proc/cpuinfo, has the feature LLVM calls by that
// name.
bool target_has(const char *flags, const char *feature);

#endif
