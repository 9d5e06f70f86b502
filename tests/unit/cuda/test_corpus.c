// The execution corpus on CUDA text: the very text that NVRTC gets, run by the host shim with
// threads, barriers and shuffles, against the interpreter bit for bit.
#include "base/file.h"
#include "codegen/cuda.h"
#include "executors.h"
#include "shim_run.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define FOLDER CZT_SOURCE_DIR "/tests/corpus"

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
    static char names[256][64];
    size_t n = 0;
    DIR *dir = opendir(FOLDER);
    for (struct dirent *d; dir && (d = readdir(dir)) && n < 256;) {
        size_t length = strlen(d->d_name);
        if (length > 3 && length < 64 && strcmp(d->d_name + length - 3, ".ir") == 0)
            strcpy(names[n++], d->d_name);
    }
    closedir(dir);
    return cr_make_param_array(char[64], names, n);
}

ParameterizedTest(char (*name)[64], cuda, corpus)
{
    Arena *arena = arena_new();
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, str_printf(arena, FOLDER "/%s", *name), &err), "%s", err.text);
    const char *text = str_slice(arena, (const char *)map.data, map.size);
    file_unmap(&map);
    Engine engine = {"CUDA text", cuda_target(), compile, run, close_unit};
    Trial trial = {.engine = &engine, .mask = FUSE_ALL, .level = 1};
    cr_assert(trial_run(arena, *name, text, &trial, &err) == TRIAL_SAME, "%s", err.text);
    arena_free(arena);
}
