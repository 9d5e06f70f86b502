// From a file to machine code, in the order in which it happens; every command that compiles goes
// this way.
#ifndef CZT_CLI_PIPELINE_H
#define CZT_CLI_PIPELINE_H

#include "cli/commands.h"
#include "cli/tokenizers.h"
#include "codegen/backend.h"
#include "frontend/frontend.h"
#include "passes/pass.h"

typedef struct Phase {
    const char *name;
    double seconds;
} Phase;

// Operations of an entry: products and attention, forward, times three.
typedef struct EntryWork {
    const char *name;
    int64_t flops;
} EntryWork;

typedef struct Pipeline {
    Arena *arena;
    Diag *diag;
    uint32_t told;             // messages that were printed
    uint32_t threads;          // that compile; 0: one a core
    const char *target;        // see codegen/backend.h; "cuda" alone is this machine's GPU
    int device;                // its number
    bool no_cache;             // nothing from the cache, and nothing into it (cli/compiled.h)
    Frontend *frontend;        // NULL for IR text
    TokenizerParts tokenizers; // that its fields name
    Program *program;
    Backend backend;
    Plan *plan;
    Code code;
    CompileStats stats;
    int64_t memory;         // limit in place of the program's (Program.memory); 0: the program's
    int64_t recompute;      // what the passes gave up to keep to it, in parts of RECOMPUTE_ALL
    VEC(EntryWork) work;    // of the entries of updates, as read
    int64_t flops;          // of "step"
    uint32_t before, after; // nodes of entry "step" before and after the passes
    VEC(Phase) phases;
    double since; // of the phase that runs
} Pipeline;

// Begin: everything it makes lives in the arena.
void pipeline_begin(Pipeline *p, Arena *arena, uint32_t threads);
// How the frontend reads a graph file.
FrontendOptions pipeline_options(const Source *source);
// Read a graph file, or IR text (its name ends in .ir). False after the errors were printed on
// stderr.
bool pipeline_read(Pipeline *p, const char *file, const FrontendOptions *options);
// Choose the target; the passes do it where it was not done. The same of failures.
bool pipeline_target(Pipeline *p);
// Run the passes for the target: all, or those that the options name; `plan` is
// there where memplan ran. The same of failures.
bool pipeline_passes(Pipeline *p, const PassOptions *options);
// Emit machine code.
bool pipeline_emit(Pipeline *p);
// Note the time of the phase that ends now.
void pipeline_phase(Pipeline *p, const char *name);
// The sections of the step file.
uint32_t pipeline_sections(Pipeline *p, Section **sections);
// Entry `name` of the plan, or NULL.
const PlanEntry *pipeline_entry(const Pipeline *p, const char *name);
// Operations of an update's entry; 0 where there is none of that name.
int64_t pipeline_flops(const Pipeline *p, const char *name);
// Memory traffic of an entry, in bytes.
double pipeline_traffic(const Pipeline *p, const PlanEntry *entry);
// Bytes of scratch memory that a run of it takes.
int64_t pipeline_scratch(const Pipeline *p, const PlanEntry *entry);
// What runs before it in parts of the batch; NULL past the last.
const PlanEntry *pipeline_before(const Pipeline *p, const PlanEntry *entry, uint32_t i,
                                 int64_t *parts);
// Parameters in all.
int64_t pipeline_parameters(const Pipeline *p);

#endif
