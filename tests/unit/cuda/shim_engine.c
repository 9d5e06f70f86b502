#include "shim_engine.h"

#include "codegen/cuda.h"
#include "shim_run.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

typedef struct Unit {
    Arena *arena;
    const Plan *plan;
    CudaLaunch *launches;
    ShimModule *module;
    Shim *shim;
    uint32_t runs;
} Unit;

static void *compile_text(Arena *arena, const Plan *plan, bool races, Error *err)
{
    static int number;
    Unit *u = arena_make(arena, Unit);
    *u = (Unit){.arena = arena, .plan = plan};
    u->launches = arena_array(arena, CudaLaunch, plan->kernels.n + 1);
    const char *text = cuda_text(arena, plan->kernels.n, plan->kernels.at, u->launches);
    const char *path = str_printf(arena, "%s/czt-cuda-%d-%d.so", P_tmpdir, (int)getpid(), number++);
    u->module = shim_compile(text, path, races, err);
    if (!u->module) return NULL;
    unlink(path);
    unlink(str_printf(arena, "%.*s.cc", (int)strlen(path) - 3, path));
    u->shim = shim_new();
    return u;
}

static void *compile(Arena *arena, const Plan *plan, Error *err)
{
    return compile_text(arena, plan, false, err);
}

static void *compile_races(Arena *arena, const Plan *plan, Error *err)
{
    return compile_text(arena, plan, true, err);
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

// The addresses, and the launch's numbers behind them.
static const void *with_numbers(Unit *u, uint32_t kernel, void *const *buffers)
{
    const CudaLaunch *launch = &u->launches[kernel];
    uint32_t n = u->plan->kernels.at[kernel]->buffers.n;
    int64_t *all = arena_array(u->arena, int64_t, n + launch->nnumbers + 1);
    memcpy(all, buffers, n * sizeof *all);
    for (uint32_t i = 0; i < launch->nnumbers; i++) all[n + i] = launch->numbers[i];
    return all;
}

static bool run(void *unit, uint32_t kernel, void *const *buffers, Error *err)
{
    Unit *u = unit;
    const CudaLaunch *launch = &u->launches[kernel];
    const ShimEntry *entry = shim_kernel(u->module, launch->symbol);
    const void *given = (launch->table ? table_of : with_numbers)(u, kernel, buffers);
    void *parameters[] = {(void *)(uintptr_t)given};
    static const ShimOrder orders[] = {SHIM_REVERSE, SHIM_RANDOM, SHIM_FORWARD};
    ShimOptions options = {.workers = 1, .order = orders[u->runs++ % 3], .seed = kernel};
    return shim_launch(u->shim, &options, u->module, entry, parameters, (uint32_t)launch->blocks[0],
                       (uint32_t)launch->blocks[1], launch->threads, launch->shared_bytes, err);
}

static void close_unit(void *unit)
{
    Unit *u = unit;
    shim_unload(u->module);
    shim_free(u->shim);
}

Engine cuda_text_engine(bool races)
{
    return (Engine){"CUDA text", cuda_target(), races ? compile_races : compile, run, close_unit};
}

const Plan *cuda_plan(Arena *arena, const char *text)
{
    Error err = {0};
    Diag *diag = diag_new(arena);
    Program *p = program_parse(arena, diag, diag_source(diag, "p", text, strlen(text)));
    if (!p) diag_print(diag, stderr);
    cr_assert(p && passes_run(p, &(PassOptions){.level = 1}, &err), "%s", err.text);
    Target target = cuda_target();
    const Plan *plan = plan_build(arena, p, &target, FUSE_ALL);
    cr_assert(plan_verify(plan, true, &err), "%s", err.text);
    return plan;
}

void same_on_cuda_text(Arena *arena, const char *name, const char *text)
{
    Error err = {0};
    Engine engine = cuda_text_engine(true);
    engine.target.parts = NULL; // each sum is one chain, as in the interpreter
    Trial trial = {.engine = &engine, .mask = FUSE_ALL, .level = 1, .attention_tolerance = 0x1p-7};
    cr_assert(trial_run(arena, name, text, &trial, &err) == TRIAL_SAME, "%s", err.text);
}
