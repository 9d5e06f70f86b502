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
};

// "cpu": this machine's; "cpu:x86-64-v3", "cpu:x86-64-v4": any CPU of that level; "cuda:sm_90a",
// "cuda:sm_80,sm_90a", ..: GPUs of those architectures, and later ones by PTX; "cuda:text": the
// source alone. NULL is "cpu".
bool backend_open(Arena *arena, const char *target, Backend *backend, Error *err);
// Compile every kernel of the plan, with `threads` threads.
bool backend_compile(const Backend *backend, Arena *arena, const Plan *plan, uint32_t threads,
                     Code *code, CompileStats *stats, Error *err);

#endif
