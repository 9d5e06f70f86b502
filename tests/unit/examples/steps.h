// Graph files on both executors: read, brought through the passes, compiled, and stepped on drawn
// inputs. Shared by the tests of complete graphs and of what users write.
#ifndef CZT_TESTS_STEPS_H
#define CZT_TESTS_STEPS_H

#include "frontend/frontend.h"
#include "runtime/cztc.h"

struct Plan;
struct Target;

// How a graph file is read.
typedef struct Source {
    const char *path;
    const char *const *set; // "name=value", or NULL
    uint32_t nset;
    bool check; // at the size of its check: block
} Source;

// Run init, two steps, and eval and metrics where there are such entries, on the interpreter in its
// bits mode and on compiled code with two threads: every state tensor and every output must be the
// same to the bit. False with the place in err.
bool steps_agree(const Source *source, Error *err);

// The graph after all passes that need no target. Fails the Criterion test when it is refused.
Program *steps_program(Arena *arena, const Source *source);
// The kernels, launches and memory plan of a graph for a target. Fails the Criterion test when the
// graph is refused.
const struct Plan *steps_plan(Arena *arena, const Source *source, const struct Target *target);

// A graph compiled for this machine, its inputs drawn once: a fixed batch. Fails the Criterion test
// when the graph is refused.
typedef struct Steps {
    Arena *arena;
    const Program *program;
    CztProgram *cpu;
} Steps;

Steps steps_open(const Source *source);
void steps_close(Steps *s);
// The initial state; then step number i on the fixed batch.
void steps_init(Steps *s);
void steps_run(Steps *s, const char *entry, int64_t i);
// The same on one of so many equal parts of the batch.
void steps_run_part(Steps *s, const char *entry, int64_t i, int64_t parts, int64_t part);
// An output with one element, after a run of that entry. No such output fails the test.
double steps_output(const Steps *s, const char *entry, const char *name);
bool steps_has_output(const Steps *s, const char *entry, const char *name);
// A copy of a state tensor, and its size in bytes; NULL when there is none of that name.
const void *steps_state(const Steps *s, const char *name, size_t *bytes);

#endif
