// The execution corpus on CUDA text: the very text that NVRTC gets, run by the host shim with
// threads, barriers and shuffles, against the interpreter bit for bit.
#include "codegen/cuda.h"
#include "executors.h"
#include "fuzz.h"
#include "shim_run.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <unistd.h>

// ---- the shim as an engine ----------------------------------------------------------------------

typedef struct Unit {
    Arena *arena;
    const Plan *plan;
    CudaLaunch *launches;
    ShimModule *module;
    Shim *shim;
    uint32_t runs;
} Unit;

static void *compile(Arena *arena, const Plan *plan, Error *err)
{
    static int number;
    Unit *u = arena_make(arena, Unit);
    *u = (Unit){.arena = arena, .plan = plan};
    u->launches = arena_array(arena, CudaLaunch, plan->kernels.n + 1);
    const char *text = cuda_text(arena, plan->kernels.n, plan->kernels.at, u->launches);
    const char *path = str_printf(arena, "%s/czt-cuda-%d-%d.so", P_tmpdir, (int)getpid(), number++);
    u->module = shim_compile(text, path, true, err);
    if (!u->module) return NULL;
    unlink(path);
    unlink(str_printf(arena, "%.*s.cc", (int)strlen(path) - 3, path));
    u->shim = shim_new();
    return u;
}

// A table of one segment: a row of addresses, sizes and first block, and the row of every block.
static const void *table_of(Unit *u, uint32_t kernel, void *const *buffers)
{
    const CudaLaunch *launch = &u->launches[kernel];
    uint32_t n = u->plan->kernels.at[kernel]->buffers.n;
    int64_t *row = arena_array(u->arena, int64_t, n + 3);
    const void **table = arena_array(u->arena, const void *, 2);
    memcpy(row, buffers, n * sizeof *row);
    row[n] = launch->size[0];
    row[n + 1] = launch->size[1];
    table[0] = row;
    table[1] = arena_array(u->arena, uint32_t, (size_t)launch->blocks[0]);
    return table;
}

static bool run(void *unit, uint32_t kernel, void *const *buffers, Error *err)
{
    Unit *u = unit;
    const CudaLaunch *launch = &u->launches[kernel];
    const ShimEntry *entry = shim_kernel(u->module, launch->symbol);
    const void *given = launch->table ? table_of(u, kernel, buffers) : buffers;
    void *parameters[] = {(void *)(uintptr_t)given};
    static const ShimOrder orders[] = {SHIM_REVERSE, SHIM_RANDOM, SHIM_FORWARD};
    ShimOptions options = {.workers = 1, .order = orders[u->runs++ % 3], .seed = kernel};
    return shim_launch(u->shim, &options, u->module, entry, parameters, (uint32_t)launch->blocks[0],
                       (uint32_t)launch->blocks[1], launch->threads, 0, err);
}

static void close_unit(void *unit)
{
    Unit *u = unit;
    shim_unload(u->module);
    shim_free(u->shim);
}

// ---- files --------------------------------------------------------------------------------------

ParameterizedTestParameters(cuda, corpus)
{
    static char names[CORPUS_MOST][CORPUS_NAME];
    return cr_make_param_array(char[CORPUS_NAME], names, corpus_names(names));
}

ParameterizedTest(char (*name)[CORPUS_NAME], cuda, corpus)
{
    Arena *arena = arena_new();
    Error err = {0};
    const char *text = corpus_text(arena, *name);
    Engine engine = {"CUDA text", cuda_target(), compile, run, close_unit};
    Trial trial = {.engine = &engine, .mask = FUSE_ALL, .level = 1};
    cr_assert(trial_run(arena, *name, text, &trial, &err) == TRIAL_SAME, "%s", err.text);
    arena_free(arena);
}

// ---- random programs ----------------------------------------------------------------------------

enum { SEEDS = 8 };

// CZT_FUZZ=FIRST:COUNT runs other seeds.
Test(cuda, random_programs)
{
    const char *range = getenv("CZT_FUZZ"), *colon = range ? strchr(range, ':') : NULL;
    uint64_t first = range ? strtoull(range, NULL, 10) : 1000;
    uint64_t count = colon ? strtoull(colon + 1, NULL, 10) : range ? 1 : SEEDS;
    for (uint64_t seed = first; seed < first + count; seed++) {
        Arena *arena = arena_new();
        Error err = {0};
        const char *name = str_printf(arena, "seed %llu", (unsigned long long)seed);
        const char *text = fuzz_program(arena, seed);
        Engine engine = {"CUDA text", cuda_target(), compile, run, close_unit};
        Trial trial = fuzz_trial(seed);
        trial.engine = &engine;
        TrialResult r = trial_run(arena, name, text, &trial, &err);
        cr_expect(r == TRIAL_SAME || r == TRIAL_INVALID, "%s: %s", name, err.text);
        arena_free(arena);
    }
}
