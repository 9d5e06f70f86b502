// A program ready to run, out of a graph file (compiled in memory, where there is a compiler), a
// step file, or the executable itself.
#ifndef CZT_RUNNER_LOAD_H
#define CZT_RUNNER_LOAD_H

#include "runner/options.h"
#include "runtime/exec.h"

#include <jansson.h>

// How a graph file is read; for step files there must be no `set`.
typedef struct GraphOptions {
    Source source;
    const char *const *taps; // expressions, and paths with *, to be outputs too
    uint32_t ntaps, nprints; // the first ones are those of --print
    const char *tap_entry;   // of this entry; NULL: of the steps
    bool stats;              // not the step, but what its statistics are computed by (cztc stats)
    const char *const *stats_names; // of them these, all where there are none
    uint32_t nstats;
    bool grads; // entry "step" also gives "grad.PATH", before clipping
} GraphOptions;

// A file that a program was compiled of, and the checksum of what was read.
typedef struct SourceFile {
    const char *path; // from the root
    uint64_t sum;
} SourceFile;
typedef VEC(SourceFile) SourceFiles;

typedef struct LoadOptions {
    const Cli *cli;
    const char *file; // a folder of train: its step; NULL: the step that the executable carries
    const char *root; // folder that relative paths of the graph begin in; NULL: its own
    GraphOptions graph;
    Place place;
    bool profile;
    bool snapshots;      // on a GPU, room for a copy of the state on the host
    bool no_frozen;      // frozen state is not read: leave its files alone
    bool keep;           // the step file's bytes, for load_save
    const char *choices; // file of a run that keeps who does which product on a GPU, or NULL
    const char *instead; // not NULL: no file may be read that is none of `of`; what else to do
    SourceFiles of;
} LoadOptions;

typedef struct Loaded {
    Step *step;
    Exec *exec;
    double flops;     // of entry "step"
    double compile_s; // 0 for step files
    uint32_t kernels;
    SourceFiles sources; // none of a step file
    Arena *arena;        // of them and of the bytes
    const void *bytes;   // of the step file, NULL where they are not kept
    size_t size;
} Loaded;

// The case that a graph names under `check:`.
typedef struct LoadCheck {
    const char *fixture; // a safetensors file of parameters and inputs
    double loss;         // of the first step
    double tolerance;    // of the loss, relative
} LoadCheck;

// A graph file compiled: the bytes of its step file.
typedef struct Compiled {
    const uint8_t *bytes;
    size_t size;
    double flops;        // of a step
    SourceFiles sources; // but the built-in library's
} Compiled;

// What it takes to have graph files. Those that read one print its errors, and give false then.
typedef struct Compiler {
    // Everything made lives in the arena.
    bool (*compile)(Compiled *out, Arena *arena, const LoadOptions *options);
    // Read a graph's check case; fixture is NULL where it names none.
    bool (*check)(LoadCheck *check, Arena *arena, const LoadOptions *options);
    // Read a graph's data, as JSON text of the manifest's object, NULL where it has none; nothing
    // is compiled.
    bool (*data)(const char **json, Arena *arena, const LoadOptions *options);
    // Is it the name of a target, whether or not this machine is one? Err with the names there are.
    bool (*target)(Arena *arena, const char *name, Error *err);
} Compiler;

// Compile or load; the step alone, without memory for it. False after the error was printed.
bool load_step(Loaded *l, const LoadOptions *options);
// The same, and start the threads.
bool load_program(Loaded *l, const LoadOptions *options);
void load_free(Loaded *l);
// The data alone: the manifest's object, NULL where the program has none. A graph is not compiled.
// The caller frees it. *carried are the tokenizers of a step, in the command's arena. False after
// the error was printed.
bool load_data(json_t **data, TokenizerFiles *carried, const LoadOptions *options);
// Operations of an update by an entry, what runs before it included.
double load_flops(const Loaded *l, uint32_t entry);
// Write the kept step file (without the executable around it), which appears whole or not at all.
bool load_save(const Loaded *l, const char *path, Error *err);
// The entry of that name, or an error that lists those there are.
bool load_entry(const Loaded *l, const char *name, uint32_t *entry, Error *err);
// The executable of this process, as a path.
extern const char own_executable[];
// True when the file is a step file (or an executable with a step, or a folder of train with one).
bool load_is_step(const char *file);

// Copy a file's tensors into the inputs of an entry, by name; every input must be there, and every
// tensor of the file must be an input or, where `weights`, a parameter.
bool load_inputs(const Loaded *l, uint32_t entry, const char *file, bool weights, Error *err);
// Read parameters from a file, then run "derive"; what was resized is told on stderr. With
// `inputs`, the file may also hold inputs of this entry.
bool load_weights(const Loaded *l, const char *file, bool inputs, Error *err);
// Fill every input of an entry with seeded random numbers: floats normal, truth values true,
// integers over the range that the manifest's "ranges" gives (all of u8, or 0 to 15, where it does
// not).
void load_random_inputs(const Loaded *l, uint32_t entry, uint64_t seed);

// The outputs with one element, as {"name": number}; infinities and NaN as texts.
json_t *load_scalars(const Loaded *l, uint32_t entry);
// A JSON number that is printed with as few digits as an f32 needs; a text where it is not finite.
json_t *json_f32(double x);
// Print one object as a line.
void json_line(json_t *object, FILE *out);

#endif
