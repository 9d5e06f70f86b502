// The CPU target: plans to machine code through LLVM's C API, and step files.
#ifndef CZT_CODEGEN_CPU_H
#define CZT_CODEGEN_CPU_H

#include "codegen/backend.h"

typedef struct Cpu {
    Target target;        // first: a Target pointer is a Cpu pointer
    const char *name;     // LLVM's: "znver4", or the level; code is tuned for it
    const char *level;    // "x86-64-v3" or "x86-64-v4": what code may use
    const char *features; // of that level, "avx,avx2,.."
    const char *matrix;   // what Target.matrix needs beside them; NULL: it is off
} Cpu;

// The host's CPU; or with `level` ("x86-64-v3", "x86-64-v4", "x86-64-v4+amx", else NULL) any of
// that level. False where the host lacks AVX2 and FMA (x86-64-v3), or there is no such level.
bool cpu_target(Arena *arena, const char *level, Cpu *cpu, Error *err);

// Position-independent code of a plan: text, then read-only data. offset[i] is where kernel i
// starts.
typedef struct Blob {
    uint8_t *bytes;
    size_t size;
    uint64_t *offset;
    int64_t worker_bytes; // scratch that each thread needs
} Blob;

// Compile every kernel of the plan, with `threads` threads.
bool cpu_compile(Arena *arena, const Plan *plan, const Cpu *cpu, uint32_t threads, Blob *blob,
                 CompileStats *stats, Error *err);
// LLVM IR of one kernel, or its assembly, for `cztc explain` and tests.
const char *cpu_kernel_ir(Arena *arena, const Kernel *k, const Cpu *cpu, bool assembly, Error *err);

// Lay out objects (ELF x86-64, relocatable) in one blob and find functions by name. `names` has n
// entries.
bool link_objects(Arena *arena, uint32_t nobjects, const uint8_t *const *objects,
                  const size_t *sizes, uint32_t n, const char *const *names, Blob *blob,
                  Error *err);

// The blob as the step file takes it.
Code cpu_code(Arena *arena, const Cpu *cpu, const Plan *plan, const Blob *blob);
// For a Backend whose `own` is a Cpu.
bool cpu_backend_compile(const Backend *backend, Arena *arena, const Plan *plan, uint32_t threads,
                         Code *code, CompileStats *stats, Error *err);
// The number of threads is part of it: kernels lie in the blob by the thread that made them.
const char *cpu_backend_identity(const Backend *backend, Arena *arena, uint32_t threads);

#endif
