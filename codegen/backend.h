// The targets by name: what passes ask of each, and how each compiles a plan.
#ifndef CZT_CODEGEN_BACKEND_H
#define CZT_CODEGEN_BACKEND_H

#include "codegen/code.h"
#include "ir/target.h"

typedef struct Backend Backend;
struct Backend {
    const Target *target;
    const void *own; // Cpu, or names of GPU architectures
    bool (*compile)(const Backend *, Arena *arena, const Plan *plan, uint32_t threads, Code *code,
                    CompileStats *stats, Error *err);
    const char *(*identity)(const Backend *, Arena *arena, uint32_t threads);
    const CodeStore *store; // NULL: nothing is kept
};

// "cpu": this machine's; "cpu:x86-64-v3", "cpu:x86-64-v4", "cpu:x86-64-v4+amx": any CPU of that
// level; "cuda:sm_90a", "cuda:sm_80,sm_90a", ..: GPUs of those architectures, and later ones by
// PTX; "cuda:text": the source alone. NULL is "cpu".
bool backend_open(Arena *arena, const char *target, Backend *backend, Error *err);
// Is it the name of a target, whether or not this machine is one? Err with the names there are.
bool backend_named(Arena *arena, const char *target, Error *err);
// What generates code: "LLVM 19.1.7", in the arena.
const char *backend_versions(Arena *arena);
// Does the target have code for all that the program is after its passes? What it has not is
// reported at its place in the source.
bool backend_takes(const Backend *backend, Arena *arena, const Program *program);
// Compile every kernel of the plan, with `threads` threads.
bool backend_compile(const Backend *backend, Arena *arena, const Plan *plan, uint32_t threads,
                     Code *code, CompileStats *stats, Error *err);
// All that the code of a plan depends on beside the plan and this program (CPU, architectures, the
// GPU's compiler), as text: where two are equal, so is the code. NULL where code cannot be made.
const char *backend_identity(const Backend *backend, Arena *arena, uint32_t threads);

#endif
