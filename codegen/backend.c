// The list of targets.
#include "codegen/backend.h"

#include "codegen/cpu.h"
#include "codegen/cuda.h"

#include <ctype.h>
#include <limits.h>
#include <llvm-c/Core.h>
#include <stdlib.h>
#include <string.h>

static bool open_cpu(Arena *arena, const char *level, Backend *b, Error *err)
{
    Cpu *cpu = arena_make(arena, Cpu);
    if (!cpu_target(arena, level, cpu, err)) return false;
    *b = (Backend){&cpu->target, cpu, cpu_backend_compile, cpu_backend_identity, NULL};
    return true;
}

// "sm_90", "sm_90a", "compute_80", "text".
static bool is_architecture(const char *name)
{
    if (strcmp(name, "text") == 0) return true;
    size_t prefix = strncmp(name, "sm_", 3) == 0 ? 3 : strncmp(name, "compute_", 8) == 0 ? 8 : 0;
    char *end;
    long number = prefix ? strtol(name + prefix, &end, 10) : 0;
    // Asynchronous copies and products of bf16 came with 8.0.
    return number >= 80 && number < 1000 && (!*end || (*end == 'a' && !end[1]));
}

#define ARCHITECTURES                                                                              \
    "sm_80 (A100), sm_86, sm_89 (L4, L40, RTX 40), sm_90a (H100, H200) or sm_90, sm_100 (B200), "  \
    "sm_103, sm_120, or compute_80: PTX for all later ones"

// What people call them.
static const char gpus[][2][12] = {
    {"a100", "sm_80"},   {"a800", "sm_80"},     {"a40", "sm_86"},    {"a10", "sm_86"},
    {"rtx30", "sm_86"},  {"l4", "sm_89"},       {"l40", "sm_89"},    {"l40s", "sm_89"},
    {"rtx40", "sm_89"},  {"h100", "sm_90a"},    {"h200", "sm_90a"},  {"h800", "sm_90a"},
    {"gh200", "sm_90a"}, {"b200", "sm_100"},    {"gb200", "sm_100"}, {"b300", "sm_103"},
    {"rtx50", "sm_120"}, {"ptx", "compute_80"},
};

// The architecture that may be meant by "SM_90a", "90", "9.0", "sm90", "H100"; NULL.
static const char *near_architecture(Arena *arena, const char *name)
{
    char word[24] = "";
    for (size_t n = 0; *name && n + 1 < sizeof word; name++)
        if (isalnum((unsigned char)*name)) word[n++] = (char)tolower((unsigned char)*name);
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++)
        if (strcmp(word, gpus[i][0]) == 0) return gpus[i][1];
    size_t letters = strcspn(word, "0123456789");
    bool ptx = strncmp(word, "compute", letters) == 0 && letters == 7;
    if (letters && !ptx && (letters != 2 || strncmp(word, "sm", 2))) return NULL; // another GPU
    const char *whole = str_printf(arena, "%s%s", ptx ? "compute_" : "sm_", word + letters);
    return is_architecture(whole) ? whole : NULL;
}

static bool no_architecture(Arena *arena, const char *name, Error *err)
{
    const char *near = near_architecture(arena, name);
    return error_set(err, "'%s' is no GPU architecture that cztc knows%s%s%s: %s", name,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "",
                     ARCHITECTURES);
}

// PTX for GPUs that come later, of the lowest architecture in the list: it comes with the code for
// that one.
static const char *ptx_beside(Arena *arena, const CudaArchs *archs)
{
    long lowest = LONG_MAX;
    for (uint32_t i = 0; i < archs->n; i++) {
        long number = strtol(archs->at[i] + strlen("sm_"), NULL, 10);
        if (number < lowest) lowest = number;
    }
    return str_printf(arena, "compute_%ld", lowest);
}

static bool open_cuda(Arena *arena, const char *list, Backend *b, Error *err)
{
    CudaArchs *archs = arena_make(arena, CudaArchs);
    bool ptx = false, text = false;
    for (const char *at = list ? list : ""; *at;) {
        size_t n = strcspn(at, ",");
        const char *name = str_slice(arena, at, n);
        if (!is_architecture(name)) return no_architecture(arena, name, err);
        vec_push(arena, archs, name);
        ptx = ptx || strncmp(name, "compute_", 8) == 0;
        text = text || strcmp(name, "text") == 0;
        at += n + (at[n] == ',');
    }
    if (!archs->n)
        return error_set(err, "the target cuda wants the GPU's architecture behind a colon, as in "
                              "cuda:sm_90a: " ARCHITECTURES);
    const char *beside = ptx_beside(arena, archs);
    if (!ptx && !text) vec_push(arena, archs, beside);
    Target *target = arena_make(arena, Target);
    *target = cuda_target();
    *b = (Backend){target, archs, cuda_backend_compile, cuda_backend_identity, NULL};
    return true;
}

static const struct {
    const char *name;
    bool (*open)(Arena *arena, const char *rest, Backend *backend, Error *err);
} targets[] = {{"cpu", open_cpu}, {"cuda", open_cuda}};

bool backend_open(Arena *arena, const char *target, Backend *backend, Error *err)
{
    if (!target) target = "cpu";
    size_t n = strcspn(target, ":");
    const char *rest = target[n] ? target + n + 1 : NULL;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (strlen(targets[i].name) == n && strncmp(targets[i].name, target, n) == 0)
            return targets[i].open(arena, rest, backend, err);
    return error_set(
        err,
        "there is no target '%s': cpu, cpu:x86-64-v3, cpu:x86-64-v4, cpu:x86-64-v4+amx, cuda, "
        "cuda:sm_90a, ..",
        target);
}

bool backend_named(Arena *arena, const char *target, Error *err)
{
    Backend unused;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (strcmp(targets[i].name, target) == 0) return true; // what this machine is
    return backend_open(arena, target, &unused, err);
}

const char *backend_versions(Arena *arena)
{
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    return str_printf(arena, "LLVM %u.%u.%u", major, minor, patch);
}

// The first element type of the node, or of its operands, that there is no code for; DT_NONE: none.
static DType lacking(const Target *t, const Graph *g, const Node *n)
{
    DType to = n->type->nparts ? DT_NONE : n->type->dtype;
    if (op_info(n->op)->class == CLASS_LEAF && n->op != OP_IOTA) return DT_NONE; // nothing is done
    if (!n->nargs) return t->has(n->op, DT_NONE, to) ? DT_NONE : to;
    for (uint32_t i = 0; i < n->nargs; i++) {
        const Type *of = graph_type(g, n->args[i]);
        DType from = of->nparts ? DT_NONE : of->dtype;
        if (t->has(n->op, from, to)) continue;
        return t->has(n->op, DT_NONE, to) ? from : to;
    }
    return DT_NONE;
}

// Of what follows from each other only the first is reported.
static bool takes_entry(const Target *t, Arena *arena, const Entry *entry, Diag *diag)
{
    const Graph *g = entry->graph;
    const bool *live = entry_live(entry, arena);
    bool takes = true, *reported = arena_array(arena, bool, g->nodes.n);
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        DType dt = live[id] ? lacking(t, g, n) : DT_NONE;
        if (dt == DT_NONE) continue;
        bool before = false;
        for (uint32_t i = 0; i < n->nargs; i++) before = before || reported[n->args[i]];
        reported[id] = true;
        takes = false;
        if (before) continue;
        diag_error(diag, n->origins.n ? n->origins.at[0] : (Loc){0},
                   "the target %s has no code for '%s' of %s", t->name, op_info(n->op)->name,
                   dtype_name(dt));
        diag_help(diag, "compute in f32: cast(x, f32) makes it that");
    }
    return takes;
}

bool backend_takes(const Backend *backend, Arena *arena, const Program *program)
{
    bool takes = true;
    for (uint32_t e = 0; e < program->entries.n; e++)
        takes = takes_entry(backend->target, arena, program->entries.at[e], program->diag) && takes;
    return takes;
}

bool backend_compile(const Backend *backend, Arena *arena, const Plan *plan, uint32_t threads,
                     Code *code, CompileStats *stats, Error *err)
{
    *code = (Code){.kernels = NULL};
    *stats = (CompileStats){0};
    return backend->compile(backend, arena, plan, threads, code, stats, err);
}

const char *backend_identity(const Backend *backend, Arena *arena, uint32_t threads)
{
    return backend->identity(backend, arena, threads);
}
