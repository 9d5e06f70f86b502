// NVRTC, where it is installed, compiles the functions of the graphs of graphs/, at the size of
// their check: block, and of the benchmarks at theirs, for every architecture; and none runs out of
// registers so far that it matters: what a thread spills it writes and reads again at every point.
#include "codegen/cuda.h"
#include "codegen/nvrtc.h"
#include "frontend/frontend.h"
#include "shim_engine.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <ctype.h>
#include <glob.h>
#include <stdlib.h>

// Distinct functions, each with the graph and the kernel that it was first met in.
typedef struct Functions {
    Arena *arena;
    bool forms; // those that differ in numbers alone are one
    VEC(const char *) texts;
    VEC(const Kernel *) kernels;
    VEC(const char *) graphs;
    Map known; // by text
} Functions;

static Program *read_graph(Arena *arena, const char *path, const char *precision)
{
    Error err = {0};
    Diag *diag = diag_new(arena);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib",
                         .set = &precision,
                         .nset = precision != NULL,
                         .use_check = !precision};
    Frontend *f = frontend_load(arena, diag, path, &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f && passes_run(f->program, &(PassOptions){.level = 1}, &err), "%s: %s", path,
              err.text);
    return f->program;
}

// A text without its numbers, those in names among them.
static const char *form_of(Arena *arena, const char *text)
{
    char *form = str_copy(arena, text), *to = form;
    for (const char *at = text; *at; at++)
        if (!isdigit((unsigned char)*at)) *to++ = *at;
    *to = '\0';
    return form;
}

static void add_functions(Functions *all, const char *path, const char *precision)
{
    Target *target = arena_make(all->arena, Target);
    *target = cuda_target();
    Program *program = read_graph(all->arena, path, precision);
    const Plan *plan = plan_build(all->arena, program, target, FUSE_ALL);
    CudaProgram p = cuda_program(all->arena, plan->kernels.n, plan->kernels.at);
    const char *name = str_copy(all->arena, strrchr(path, '/') + 1);
    for (uint32_t i = 0; i < p.n; i++) {
        const char *key = all->forms ? form_of(all->arena, p.texts[i]) : p.texts[i];
        if (map_get(&all->known, key)) continue;
        map_set(all->arena, &all->known, key, target);
        vec_push(all->arena, &all->texts, p.texts[i]);
        vec_push(all->arena, &all->kernels, p.kernels[i]);
        vec_push(all->arena, &all->graphs, name);
    }
}

static void add_graphs(Functions *all, const char *pattern, const char *precision)
{
    glob_t g;
    cr_assert_eq(glob(pattern, 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) add_functions(all, g.gl_pathv[i], precision);
    globfree(&g);
}

// ---- compiling ----------------------------------------------------------------------------------

// Kernels that spill though they may have far more registers: the assembler likes to have more
// threads at once. At most so many bytes, by kernels of that graph whose names begin so.
static const struct {
    const char *arch, *graph, *kernel;
    uint32_t bytes;
} excuses[] = {
    {"sm_80", "base.yaml", "step_gemm_", 4},
    {"sm_80", "small.yaml", "step_gemm_", 4},
    {"sm_80", "tiny.yaml", "step_gemm_", 4},
    {"sm_80", "micro.yaml", "step_gemm_", 4},
    {"sm_80", "rn50.yaml", "step_point_", 4},
    {"sm_90a", "rn50.yaml", "step_point_", 4},
    {"sm_90a", "micro.yaml", "step_gemm_", 4},
    {"sm_100", "base.yaml", "step_gemm_", 8},
    {"sm_100", "cliptex-vit-b16.yaml", "metrics_row_", 16},
    {"sm_120", "base.yaml", "step_row_", 8},
};

static bool excused(const char *arch, const char *graph, const char *kernel, uint32_t bytes)
{
    for (size_t i = 0; i < sizeof excuses / sizeof *excuses; i++)
        if (strcmp(excuses[i].arch, arch) == 0 && strcmp(excuses[i].graph, graph) == 0 &&
            strncmp(excuses[i].kernel, kernel, strlen(excuses[i].kernel)) == 0 &&
            bytes <= excuses[i].bytes)
            return true;
    return false;
}

static void compile_unit(const Nvrtc *nvrtc, const Functions *all, const char *arch,
                         uint32_t allowed, const CudaProgram *p, uint32_t first, uint32_t end)
{
    Arena *arena = arena_new();
    CudaImage image;
    Error err = {0};
    const char *text = cuda_unit(arena, p, first, end);
    cr_assert(nvrtc_compile(nvrtc, arena, text, arch, &image, &err), "%s", err.text);
    cr_expect_eq(image.n, end - first, "%u of %u kernels", image.n, end - first);
    for (uint32_t i = 0; i < image.n; i++) {
        const CudaUsage *u = &image.usage[i];
        uint32_t at = (uint32_t)strtoul(u->symbol + 1, NULL, 10);
        const char *graph = all->graphs.at[at], *kernel = p->kernels[at]->name;
        cr_expect(u->spilled <= allowed || excused(arch, graph, kernel, u->spilled),
                  "%s for %s, %s: %u registers, %u bytes spilled", graph, arch, kernel,
                  u->registers, u->spilled);
    }
    arena_free(arena);
}

// ALLOWED: bytes that a thread may spill without an excuse.
static void compile(const Nvrtc *nvrtc, const Functions *all, const char *arch, uint32_t allowed)
{
    enum { UNIT = 32 };
    const CudaProgram p = {.n = all->texts.n, .texts = all->texts.at, .kernels = all->kernels.at};
    for (uint32_t first = 0; first < p.n; first += UNIT)
        compile_unit(nvrtc, all, arch, allowed, &p, first, first + UNIT < p.n ? first + UNIT : p.n);
}

ParameterizedTestParameters(nvrtc, compiles_the_graphs)
{
    static char archs[][8] = {"sm_80", "sm_89", "sm_90a", "sm_100", "sm_120"};
    return cr_make_param_array(char[8], archs, sizeof archs / sizeof *archs);
}

// All distinct functions for one of them, all forms of them for the others.
ParameterizedTest(char (*arch)[8], nvrtc, compiles_the_graphs)
{
    Functions all = {.arena = arena_new()};
    Nvrtc *nvrtc = nvrtc_or_skip(all.arena);
    all.forms = strcmp(*arch, "sm_90a") != 0;
    add_graphs(&all, CZT_SOURCE_DIR "/graphs/*.yaml", NULL);
    cr_expect(all.texts.n > 200, "only %u functions", all.texts.n);
    printf("%s %u functions\n", *arch, all.texts.n);
    compile(nvrtc, &all, *arch, 8);
    nvrtc_close(nvrtc);
    arena_free(all.arena);
}

ParameterizedTestParameters(nvrtc, compiles_the_benchmarks)
{
    static char archs[][8] = {"sm_80", "sm_89", "sm_90a", "sm_100", "sm_120"};
    return cr_make_param_array(char[8], archs, sizeof archs / sizeof *archs);
}

// base for all of them; the forms of the others for two.
ParameterizedTest(char (*arch)[8], nvrtc, compiles_the_benchmarks)
{
    Functions all = {.arena = arena_new()};
    Nvrtc *nvrtc = nvrtc_or_skip(all.arena);
    bool others = strcmp(*arch, "sm_90a") == 0 || strcmp(*arch, "sm_80") == 0;
    add_functions(&all, CZT_SOURCE_DIR "/graphs/bench/base.yaml", "precision=bf16");
    cr_expect(all.texts.n > 100, "only %u functions", all.texts.n);
    all.forms = true;
    for (uint32_t i = 0; i < all.texts.n; i++)
        map_set(all.arena, &all.known, form_of(all.arena, all.texts.at[i]), &all);
    if (others) {
        add_functions(&all, CZT_SOURCE_DIR "/graphs/bench/base.yaml", "precision=tf32");
        add_graphs(&all, CZT_SOURCE_DIR "/graphs/bench/*.yaml", "precision=bf16");
        add_graphs(&all, CZT_SOURCE_DIR "/graphs/bench/*.yaml", "precision=f32");
    }
    printf("%s %u functions\n", *arch, all.texts.n);
    compile(nvrtc, &all, *arch, 0);
    nvrtc_close(nvrtc);
    arena_free(all.arena);
}
