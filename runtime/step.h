// A loaded step file: its tables, its machine code mapped for execution, its constants.
#ifndef CZT_RUNTIME_STEP_H
#define CZT_RUNTIME_STEP_H

#include "base/diag.h"
#include "base/map.h"
#include "runtime/cztc.h"
#include "runtime/tokenizer.h"

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

// How far a kernel reaches from where one of its buffers begins.
typedef struct StepExtent {
    int64_t bytes;
    bool written;
    CztDtype dtype;
} StepExtent;

// Element (b, r, c) of a batch of matrices is element offset + b * batch + r * row + c * col of a
// kernel's buffer; row or col is 1.
typedef struct StepMatrix {
    uint32_t buffer;
    int64_t offset, batch, row, col;
} StepMatrix;

// A kernel's product as a library may do it: c (batch, m, n) = a (batch, m, k) times b (batch, n,
// k), plus a bias (n) of c's dtype or (c of f32) a matrix that lies like c where there is one, then
// the kernel `rest` on the same buffers, where it is not -1.
typedef struct StepProduct {
    int64_t batch, m, n, k;
    CztDtype from, to;
    bool tf32; // what is f32 has no more bits than tf32, and is multiplied as such
    StepMatrix a, b, c, bias, sum;
    bool biased, added, workspace; // workspace: c is none of the kernel's results
    int32_t rest;
} StepProduct;

typedef struct StepKernel {
    const char *name, *kind;
    int64_t offset;     // CPU: in the code section
    const char *symbol; // GPU: its name in its unit of the images, and how it is launched
    uint32_t unit, threads, blocks[2], shared_bytes;
    bool table; // GPU: it takes a table of segments, with these sizes for its own
    int64_t size[2];
    const int64_t *numbers; // GPU: that follow the buffers' addresses
    uint32_t nnumbers;
    const StepExtent *extents; // one for each buffer
    uint32_t nextents;
    const StepProduct *product; // or NULL
    int64_t flops, bytes;       // of all tasks of one call, for the roofline
    const char *const *lines;
    uint32_t nlines;
} StepKernel;

typedef struct StepSegment {
    uint32_t kernel;
    int64_t tasks;
    const StepBuffer *buffers;
    uint32_t nbuffers;
    bool frozen;              // depends on no trained state: it may run beside what does
    const char *const *lines; // places in the source, the kernel's where it says none
    uint32_t nlines;
} StepSegment;

// Independent segments, run in one parallel region.
typedef struct StepLaunch {
    const StepSegment *segments;
    uint32_t n;
    int64_t tasks; // of all segments
} StepLaunch;

// An entry that is run before another one, once for each part of the batch.
typedef struct StepBefore {
    uint32_t entry;
    int64_t parts;
} StepBefore;

typedef struct StepEntry {
    const char *name;
    int64_t batch; // samples of a run
    int64_t input_bytes, output_bytes, scratch_bytes;
    int64_t host_bytes; // of all inputs; those past input_bytes are for the entries before alone
    const StepBefore *before;
    uint32_t nbefore;
    bool outdates, refresh; // it leaves results of entry "refresh" old; it reads such results
    const CztTensor *inputs, *outputs;
    uint32_t ninputs, noutputs;
    const StepLaunch *launches;
    uint32_t nlaunches;
} StepEntry;

// Code for one kind of GPU: a cubin of "sm_90a" (runs on compute capability 9.0) or "sm_80" (on 8.0
// and later 8.x), PTX text of "compute_80" (on 8.0 and all later ones); "text" is the source, which
// only the tests' stand-in for a driver takes.
typedef struct StepImage {
    const char *arch;
    const void *const *units;  // step->nunits, each zero-terminated
    const uint64_t *checksums; // of the units
} StepImage;

typedef struct Step {
    Arena *arena;
    const char *file; // as named in errors
    const char *name, *source_hash;
    int64_t batch, seed, steps;
    int64_t state_bytes, const_bytes, worker_bytes;
    int64_t least_bytes, limit_bytes; // that it can be compiled to, and was; 0: not known, none
    const CztTensor *state;
    uint32_t nstate;
    const StepKernel *kernels;
    uint32_t nkernels;
    const StepEntry *entries;
    uint32_t nentries;
    json_t *manifest;                // all of it: "data", "train", "eval" are for others to read
    const uint8_t *code, *constants; // 64-byte-aligned; code may be executed
    size_t code_size;
    bool tiles; // it uses tile registers (AMX)
    bool cuda;  // it runs on a GPU, by one of the images
    const StepImage *images;
    uint32_t nimages, nunits;
    TokenizerFiles tokenizers; // that the graph names and the step carries
    void *mapping;             // of code and constants
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
// Read "target" of the manifest, and check it against this machine where it is for CPUs
// (runtime/target.c); a GPU is looked for when the program is opened to run.
bool target_check(Step *step, Error *err);
// True when a list of processor flags, as in /proc/cpuinfo, has the feature LLVM calls by that
// name.
bool target_has(const char *flags, const char *feature);

#endif
