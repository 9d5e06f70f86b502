// Compiled kernels, as the step file takes them.
#ifndef CZT_CODEGEN_CODE_H
#define CZT_CODEGEN_CODE_H

#include "base/container.h"
#include "base/vec.h"
#include "ir/kernel.h"
#include "ir/program.h"

// Where a kernel is: on a CPU at an offset of section "code"; on a GPU a function of a unit, with
// the way to launch it.
typedef struct KernelCode {
    uint64_t offset;
    const char *symbol; // NULL on a CPU
    uint32_t unit, threads, shared_bytes;
    int64_t blocks[2];
    bool table; // its parameter is a table: segments of a launch may go together
    int64_t size[2];
    const int64_t *numbers; // that follow the buffers' addresses
    uint32_t nnumbers;
} KernelCode;

typedef struct Code {
    const char *target_json; // "target" of the manifest
    const char *label;       // for people: "znver4", "sm_90a, compute_90"
    VEC(Section) sections;
    const KernelCode *kernels; // by kernel of the plan
    int64_t worker_bytes;      // scratch that each thread of a CPU needs
    size_t size;               // of all sections
    const char *remark;        // NULL, or what is worth knowing: registers, spills
} Code;

typedef struct CompileStats {
    double emit_s, optimise_s, codegen_s, link_s;
    uint32_t kernels;
} CompileStats;

// Where parts of code may be kept from one compilation to the next. What is kept may be lost at any
// time; what is given back is what was put under an equal key. For one thread at a time.
typedef struct CodeStore {
    void *ctx;
    // The sections kept under the key, in the arena, perhaps with others; false where there are
    // none.
    bool (*get)(void *ctx, Arena *arena, const void *key, size_t size, Section **sections,
                uint32_t *n);
    // Keep sections; none is called "key".
    void (*put)(void *ctx, const void *key, size_t size, const Section *sections, uint32_t n);
} CodeStore;

// The manifest of docs/step-format.md for a program and its plan, as JSON text.
const char *step_manifest(Arena *arena, const Program *p, const Plan *plan, const Code *code);
// The sections of a step file.
uint32_t step_sections(Arena *arena, const Program *p, const Plan *plan, const Code *code,
                       Section **sections);

#endif
