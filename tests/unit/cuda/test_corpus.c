// The execution corpus on CUDA text: the very text that NVRTC gets, run by the host shim with
// threads, barriers and shuffles, against the interpreter bit for bit.
#include "codegen/cuda.h"
#include "executors.h"
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
} Unit;

static void *compile(Arena *arena, const Plan *plan, Error *err)
{
    static int number;
    Unit *u = arena_make(arena, Unit);
    *u = (Unit){.arena = arena, .plan = plan};
    u->launches = arena_array(arena, CudaLaunch, plan->kernels.n + 1);
    const char *text = cuda_text(arena, plan->kernels.n, plan->kernels.at, u->launches);
    const char *path = str_printf(arena, "%s/czt-cuda-%d-%d.so", P_tmpdir, (int)getpid(), number++);
    u->module = shim_compile(text, path, false, err);
    if (!u->module) return NULL;
    unlink(path);
    unlink(str_printf(arena, "%.*s.cc", (int)strlen(path) - 3, path));
    u->shim = shim_new();
    return u;
}

static bool run(void *unit, uint32_t kernel, void *const *buffers, Error *err)
{
    Unit *u = unit;
    const CudaLaunch *launch = &u->launches[kernel];
    const ShimEntry *entry = shim_kernel(u->module, launch->symbol);
    void *parameters[] = {(void *)(uintptr_t)buffers};
    ShimOptions options = {.workers = 1, .order = SHIM_REVERSE};
    return shim_launch(u->shim, &options, u->module, entry, parameters, (uint32_t)launch->blocks[0],
                       (uint32_t)launch->blocks[1], launch->threads, launch->shared_bytes, err);
}

static void close_unit(void *unit)
{
    Unit *u = unit;
    shim_unload(u->module);
    shim_free(u->shim);
}

// Files with attention on tensor cores, which rounds its weights to bf16.
static double tolerance_of(const char *name)
{
    return strcmp(name, "half_heads.ir") == 0 ? 0x1p-7 : 0;
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
    Trial trial = {
        .engine = &engine, .mask = FUSE_ALL, .level = 1, .tolerance = tolerance_of(*name)};
    cr_assert(trial_run(arena, *name, text, &trial, &err) == TRIAL_SAME, "%s", err.text);
    arena_free(arena);
}

// Attention in bf16 is written for tensor cores, and reads 16 bytes where rows lie side by side.
Test(cuda, attention_takes_tensor_cores)
{
    Arena *arena = arena_new();
    Error err = {0};
    Diag *diag = diag_new(arena);
    const char *source = corpus_text(arena, "half_heads.ir");
    Program *p = program_parse(arena, diag, diag_source(diag, "half", source, strlen(source)));
    cr_assert(p && passes_run(p, &(PassOptions){.level = 1}, &err), "%s", err.text);
    Target target = cuda_target();
    const Plan *plan = plan_build(arena, p, &target, FUSE_ALL);
    CudaLaunch *launches = arena_array(arena, CudaLaunch, plan->kernels.n + 1);
    const char *text = cuda_text(arena, plan->kernels.n, plan->kernels.at, launches);
    cr_expect(strstr(text, "attention_at_once<64, 64>(") && strstr(text, ", 384, 1, true}"));
    cr_expect(strstr(text, "attention_gradient_head<64, 64, 1, 32>("));
    cr_expect(strstr(text, "attention_at_once<40, 32>(") && strstr(text, ", 1, 35, false}"));
    arena_free(arena);
}
