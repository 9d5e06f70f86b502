// Runs programs on the interpreter and on compiled code and compares every output and update bit
// for bit.
#ifndef CZT_TESTS_EXECUTORS_H
#define CZT_TESTS_EXECUTORS_H

#include "codegen/cpu.h"
#include "passes/lower.h"

// Another way to execute the kernels of a plan than the CPU's code.
typedef struct Engine {
    const char *name;
    Target target;
    void *(*compile)(Arena *arena, const Plan *plan, Error *err); // NULL on failure
    bool (*run)(void *unit, uint32_t kernel, void *const *buffers, Error *err);
    void (*close)(void *unit);
} Engine;

// One way to compile and run a program.
typedef struct Trial {
    const Engine *engine; // NULL: the CPU
    uint32_t mask;        // FUSE_*
    const uint32_t
        *threads; // the runtime runs it with each of these numbers of threads; ends with 0
    int level;    // of the passes
    bool special; // inputs hold NaN, infinities, -0, subnormal and huge numbers too
    bool exact;   // on the CPU: what comes out of matrix registers may be anything, as long as all
                  // runs agree: sums that are not those of the interpreter may decide what follows
    bool fenced;  // also run it without the runtime and its memory plan: see fence.h
    // Where an entry multiplies bf16, whose sums may be in the engine's own order: by how much
    // results may differ, relative to the largest of their tensor. 0: not by a bit.
    double tolerance;
    // Where not NULL: nothing is run; RECORD.czt gets the program for `target`, and
    // RECORD.ENTRY.safetensors what each entry is given ("in:", "state:") and has to make of it
    // ("out:", "new:"), with the tolerance in its metadata.
    const char *record, *target;
    // The same for an entry with attention of bf16, whose weights are rounded on tensor cores.
    double attention_tolerance;
} Trial;

// Parse IR text (NAME is shown on failure), run the default passes, compile with the FUSE_* mask,
// and run every entry on both executors with the same drawn inputs and state, the compiled one with
// each of these numbers of threads (ends with 0). Fails the Criterion test on a difference.
void same_on_both(const char *name, const char *text, uint32_t mask, const uint32_t *threads);
// The same for a program whose passes have not run yet.
void same_program_on_both(const char *name, Program *p, uint32_t mask, const uint32_t *threads);

typedef enum { TRIAL_SAME, TRIAL_DIFFERS, TRIAL_INVALID } TrialResult;
// The same without Criterion: INVALID when the text does not parse or the passes refuse it, DIFFERS
// with the place in err.
TrialResult trial_run(Arena *arena, const char *name, const char *text, const Trial *trial,
                      Error *err);

// Names of the corpus' files, as parameters of a Criterion test.
enum { CORPUS_MOST = 256, CORPUS_NAME = 64 };
size_t corpus_names(char names[CORPUS_MOST][CORPUS_NAME]);
// The text of one of them; fails the test where it cannot be read.
const char *corpus_text(Arena *arena, const char *name);
// The same with products in that precision, where it has any that are not left alone; NULL
// otherwise.
const char *corpus_in(Arena *arena, const char *name, Precision precision);

// Kernels of an entry after fusion, by what they do.
typedef struct KernelCount {
    uint32_t kernels; // all but the following
    uint32_t finish;  // second stages of column sums
    uint32_t scalars; // stages of a sum down to one number: every buffer they write holds one
} KernelCount;
KernelCount kernels_counted(const char *name, const char *text, const char *entry);
// Their number without second stages and scalar stages.
uint32_t count_kernels(const char *name, const char *text, const char *entry);

#endif
