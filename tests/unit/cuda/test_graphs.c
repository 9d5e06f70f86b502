// NVRTC, where it is installed, compiles the functions of the corpus, from the text that the host
// shim runs, of the graphs of graphs/, at the size of their check: block, and of the benchmarks at
// theirs, for every architecture; and none runs out of registers so far that it matters: what a
// thread spills it writes and reads again at every point. All is read once, and compiled by as many
// threads as there are processors. Units are small: what NVRTC takes for a unit (two thirds for its
// optimizer, a third for the assembler, next to nothing for reading) grows faster than the unit.
#include "codegen/cuda.h"
#include "codegen/nvrtc.h"
#include "frontend/frontend.h"
#include "shim_engine.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <glob.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

// Distinct functions, each with the graph and the kernel that it was first met in.
typedef struct Functions {
    Arena *arena;
    const char *archs;       // that they are compiled for
    uint32_t allowed;        // bytes that a thread may spill without an excuse
    struct Functions *other; // where those go that differ from one that is here in numbers alone
    bool forms;              // they go nowhere
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

// Is this the first of its kind? From now on it is not.
static bool is_new(Functions *all, const char *key)
{
    if (map_get(&all->known, key)) return false;
    map_set(all->arena, &all->known, key, all);
    return true;
}

static void add_function(Functions *all, const char *graph, const char *text, const Kernel *kernel)
{
    if (!is_new(all, text)) return;
    if (all->forms || all->other) {
        bool first = is_new(all, str_printf(all->arena, "form %s", form_of(all->arena, text)));
        if (!first && all->forms) return;
        if (!first) all = all->other;
    }
    vec_push(all->arena, &all->texts, text);
    vec_push(all->arena, &all->kernels, kernel);
    vec_push(all->arena, &all->graphs, graph);
}

static void add_functions(Functions *all, const char *path, const char *precision)
{
    Target *target = arena_make(all->arena, Target);
    *target = cuda_target();
    Program *program = read_graph(all->arena, path, precision);
    const Plan *plan = plan_build(all->arena, program, target, FUSE_ALL);
    CudaProgram p = cuda_program(all->arena, plan->kernels.n, plan->kernels.at);
    const char *name = str_copy(all->arena, strrchr(path, '/') + 1);
    for (uint32_t i = 0; i < p.n; i++) add_function(all, name, p.texts[i], p.kernels[i]);
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
    {"sm_80", "rn50.yaml", "step_point_", 4},
    {"sm_90a", "rn50.yaml", "step_point_", 4},
    {"sm_90a", "micro.yaml", "step_gemm_", 4},
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

enum { UNIT = 24, ARCHS = 5 };

// A unit of functions for one architecture.
typedef struct Job {
    const Functions *all;
    const char *arch;
    uint32_t first, end;
    CudaImage image;
    Error err;
} Job;

typedef struct Work {
    Arena *arena;
    const Nvrtc *nvrtc;
    VEC(Job) jobs;
    uint32_t next; // taken by threads one by one
} Work;

static void add_jobs(Work *work, const Functions *all)
{
    static const char archs[ARCHS][8] = {"sm_80", "sm_89", "sm_90a", "sm_100", "sm_120"};
    for (uint32_t first = 0; first < all->texts.n; first += UNIT)
        for (int a = 0; a < ARCHS; a++) {
            uint32_t end = first + UNIT < all->texts.n ? first + UNIT : all->texts.n;
            Job job = {.all = all, .arch = archs[a], .first = first, .end = end};
            if (strstr(all->archs, archs[a])) vec_push(work->arena, &work->jobs, job);
        }
}

static CudaProgram program_of(const Functions *all)
{
    return (CudaProgram){.n = all->texts.n, .texts = all->texts.at, .kernels = all->kernels.at};
}

static void *run_jobs(void *arg)
{
    Work *work = arg;
    Arena *arena = arena_new(); // the images stay until the process ends
    for (uint32_t i; (i = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED)) < work->jobs.n;) {
        Job *job = &work->jobs.at[i];
        const CudaProgram p = program_of(job->all);
        Arena *scratch = arena_new();
        const char *text = cuda_unit(scratch, &p, job->first, job->end);
        nvrtc_compile(work->nvrtc, arena, text, job->arch, &job->image, &job->err);
        arena_free(scratch);
    }
    return NULL;
}

static void compile_all(Work *work)
{
    enum { MOST = 64 };
    pthread_t threads[MOST];
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    if (n > MOST) n = MOST;
    for (long i = 1; i < n; i++) cr_assert_eq(pthread_create(&threads[i], NULL, run_jobs, work), 0);
    run_jobs(work);
    for (long i = 1; i < n; i++) pthread_join(threads[i], NULL);
}

static void check_job(const Job *job)
{
    const CudaImage *image = &job->image;
    cr_assert(!job->err.set, "%s", job->err.text);
    cr_expect_eq(image->n, job->end - job->first, "%u of %u kernels", image->n,
                 job->end - job->first);
    for (uint32_t i = 0; i < image->n; i++) {
        const CudaUsage *u = &image->usage[i];
        uint32_t at = (uint32_t)strtoul(u->symbol + 1, NULL, 10);
        const char *graph = job->all->graphs.at[at], *kernel = job->all->kernels.at[at]->name;
        bool fits = u->registers > 0 && u->registers <= 255 && u->spilled <= 4 * u->registers;
        cr_expect(fits && (u->spilled <= job->all->allowed ||
                           excused(job->arch, graph, kernel, u->spilled)),
                  "%s for %s, %s: %u registers, %u bytes spilled", graph, job->arch, kernel,
                  u->registers, u->spilled);
    }
}

// The sets of functions: all distinct ones of the corpus and of base for all architectures; of the
// graphs all for one, and for the others all that differ in more than numbers; of the other
// benchmarks those that differ in more than numbers, for two.
enum { CORPUS, BASE, GRAPHS, GRAPHS_IN_NUMBERS, BENCHMARKS, SETS };
#define ALL_ARCHS "sm_80 sm_89 sm_90a sm_100 sm_120"

static void read_all(Functions *sets)
{
    static const char benchmarks[] = CZT_SOURCE_DIR "/graphs/bench/*.yaml",
                      base[] = CZT_SOURCE_DIR "/graphs/bench/base.yaml";
    const CudaProgram corpus = corpus_program(sets[CORPUS].arena);
    for (uint32_t i = 0; i < corpus.n; i++)
        add_function(&sets[CORPUS], "the corpus", corpus.texts[i], corpus.kernels[i]);
    cr_expect_eq(sets[CORPUS].texts.n, corpus.n);
    add_functions(&sets[BASE], base, "precision=bf16");
    add_graphs(&sets[GRAPHS], CZT_SOURCE_DIR "/graphs/*.yaml", NULL);
    Functions *others = &sets[BENCHMARKS];
    for (uint32_t i = 0; i < sets[BASE].texts.n; i++)
        is_new(others, str_printf(others->arena, "form %s",
                                  form_of(others->arena, sets[BASE].texts.at[i])));
    add_functions(others, base, "precision=tf32");
    add_graphs(others, benchmarks, "precision=bf16");
    add_graphs(others, benchmarks, "precision=f32");
}

Test(nvrtc, compiles_all_functions)
{
    Arena *arena = arena_new();
    Functions sets[SETS] = {
        [CORPUS] = {.archs = ALL_ARCHS, .allowed = UINT32_MAX},
        [BASE] = {.archs = ALL_ARCHS},
        [GRAPHS] = {.archs = ALL_ARCHS, .allowed = 8, .other = &sets[GRAPHS_IN_NUMBERS]},
        [GRAPHS_IN_NUMBERS] = {.archs = "sm_90a", .allowed = 8},
        [BENCHMARKS] = {.archs = "sm_80 sm_90a", .forms = true}};
    static const uint32_t least[SETS] = {100, 100, 200, 0, 100};
    Work work = {.arena = arena, .nvrtc = nvrtc_or_skip(arena)};
    for (int i = 0; i < SETS; i++) sets[i].arena = arena;
    read_all(sets);
    for (int i = 0; i < SETS; i++) {
        cr_expect(sets[i].texts.n > least[i], "only %u functions in set %d", sets[i].texts.n, i);
        add_jobs(&work, &sets[i]);
    }
    compile_all(&work);
    for (uint32_t i = 0; i < work.jobs.n; i++) check_job(&work.jobs.at[i]);
}
