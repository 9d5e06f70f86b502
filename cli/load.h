// A program ready to run, out of a graph file (compiled in memory) or a step file.
#ifndef CZT_CLI_LOAD_H
#define CZT_CLI_LOAD_H

#include "cli/cli.h"
#include "frontend/frontend.h"
#include "runtime/exec.h"

#include <jansson.h>

typedef struct LoadOptions {
    const char *file;
    FrontendOptions frontend; // must be empty for step files
    const char *target;       // NULL for "cpu"; must be NULL for step files
    int device;               // number of the GPU
    const char *products;     // who does them there; NULL: "measured"
    uint32_t threads;         // 0: one a core
    bool profile;
    bool keep; // the step file's bytes, for load_save
} LoadOptions;

typedef struct Loaded {
    Step *step;
    Exec *exec;
    double flops;     // of a step
    double compile_s; // 0 for step files
    uint32_t kernels;
    Arena *arena;      // of the bytes
    const void *bytes; // of the step file, NULL where they are not kept
    size_t size;
} Loaded;

// The case that a graph names under `check:`.
typedef struct LoadCheck {
    const char *fixture; // a safetensors file of parameters and inputs
    double loss;         // of the first step
} LoadCheck;

// Read a graph's check case; fixture is NULL where it names none. False after the file's errors
// were printed.
bool load_check(LoadCheck *check, Arena *arena, const LoadOptions *options);
// Compile or load, and start the threads. False after the error was printed.
bool load_program(Loaded *l, const LoadOptions *options);
void load_free(Loaded *l);
// Write the kept bytes to a file, which appears whole or not at all.
bool load_save(const Loaded *l, const char *path, Error *err);
// The entry of that name, or an error.
bool load_entry(const Loaded *l, const char *name, uint32_t *entry, Error *err);
// True when the file is a step file (or an executable with a step).
bool load_is_step(const char *file);

// Copy a file's tensors into the inputs of an entry, by name; every input must be there, and every
// tensor of the file must be an input or, where `weights`, a parameter.
bool load_inputs(const Loaded *l, uint32_t entry, const char *file, bool weights, Error *err);
// Read parameters from a file, then run "derive". With `inputs`, the file may also hold inputs of
// this entry.
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
