// Speed of contractions and attention as programs run them: IR text -> passes -> plan -> machine
// code -> executor, packing counted, beside OpenBLAS (loaded if present) and the peak of one fma
// loop on the same threads. One round runs all of them once; rounds alternate, so that what else
// the machine does hits all alike. Shown are medians and, in brackets, the best round. On a machine
// shared with others, --clock cpu divides by processor seconds of all threads instead of the clock
// on the wall: what a core does while it is ours (waiting threads cost nothing then).
//
// --level x86-64-v3 makes code of that level (AVX2) where the machine has more. --dtype bf16 times
// those of bf16 (without OpenBLAS, which has none); their peak is still that of f32. With
// CZT_ASSEMBLY in the environment the kernels' assembly is printed too.
//
//   bench_gemm [--threads 1,2] [--rounds 7] [--clock wall|cpu] [--level L] [--dtype D]
//   [NAME-PART]..
#include "codegen/cpu.h"
#include "ir/scalar.h"
#include "passes/lower.h"
#include "passes/pass.h"
#include "runtime/exec.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_ROUNDS = 101 };

typedef enum { CASE_DOT, CASE_ATTENTION, CASE_ATTENTION_GRAD } CaseKind;

// y[b, m, n] = sum over k. How the operands lie: a is (m, k) or, transposed, (k, m); w is (n, k) or
// (k, n).
typedef struct Case {
    const char *name;
    CaseKind kind;
    int64_t batch, m, n, k;
    bool at, wt; // a is (k, m); w is (k, n)
    bool causal; // attention: batch x m = keys = queries, n heads, k = dim
} Case;

static const Case cases[] = {
    {"1576x3072x768 forward", CASE_DOT, 1, 1576, 3072, 768, false, false, false},
    {"1576x3072x768 w (k, n)", CASE_DOT, 1, 1576, 3072, 768, false, true, false},
    {"1576x768x3072 forward", CASE_DOT, 1, 1576, 768, 3072, false, false, false},
    {"3072x768x1576 weight gradient", CASE_DOT, 1, 3072, 768, 1576, true, true, false},
    {"3152x1152x384 forward", CASE_DOT, 1, 3152, 1152, 384, false, false, false},
    {"3152x1536x384 forward", CASE_DOT, 1, 3152, 1536, 384, false, false, false},
    {"3152x384x1536 forward", CASE_DOT, 1, 3152, 384, 1536, false, false, false},
    {"384x1536x3152 weight gradient", CASE_DOT, 1, 384, 1536, 3152, true, true, false},
    {"3136x21x384 forward", CASE_DOT, 1, 3136, 21, 384, false, false, false},
    {"3136x3x384 forward", CASE_DOT, 1, 3136, 3, 384, false, false, false},
    {"3136x1x384 forward", CASE_DOT, 1, 3136, 1, 384, false, false, false},
    {"64x64x256 forward", CASE_DOT, 1, 64, 64, 256, false, false, false},
    {"64 x 3136x1x9 batched", CASE_DOT, 64, 3136, 1, 9, false, false, false},
    {"336 x 56x56x14 batched", CASE_DOT, 336, 56, 56, 14, false, true, false},
    {"96 x 197 x 64 attention", CASE_ATTENTION, 8, 197, 12, 64, false, false, false},
    {"96 x 197 x 64 attention_grad", CASE_ATTENTION_GRAD, 8, 197, 12, 64, false, false, false},
    {"128 x 77 x 32 attention causal", CASE_ATTENTION, 16, 77, 8, 32, false, false, true},
    {"128 x 77 x 32 attention_grad causal", CASE_ATTENTION_GRAD, 16, 77, 8, 32, false, false, true},
};

// What seconds are: those of the wall, or those of all threads' processors shared out to the
// threads.
typedef struct Clock {
    clockid_t id;
    uint32_t threads; // 1 for the wall
} Clock;

static double now(Clock clock)
{
    struct timespec t;
    clock_gettime(clock.id, &t);
    return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / clock.threads;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_gemm: %s: %s\n", what, why);
    exit(1);
}

// ---- peak
// ----------------------------------------------------------------------------------------------

enum { CHAINS = 24, PEAK_TRIPS = 20000, PEAK_TASKS = 64 };

#define PEAK_LOOP(name, isa, bytes)                                                                \
    typedef float name##_v __attribute__((vector_size(bytes)));                                    \
    __attribute__((target(isa), noinline)) static float name(float seed)                           \
    {                                                                                              \
        name##_v acc[CHAINS], x = {0}, y = {0};                                                    \
        x += seed, y += 1 - seed;                                                                  \
        for (int i = 0; i < CHAINS; i++) acc[i] = x * (float)i;                                    \
        for (int trip = 0; trip < PEAK_TRIPS; trip++) {                                            \
            _Pragma("GCC unroll 24") for (int i = 0; i < CHAINS; i++) acc[i] =                     \
                fma_##name(acc[i], x, y);                                                          \
            __asm__("" : "+v"(x), "+v"(y));                                                        \
        }                                                                                          \
        name##_v all = acc[0];                                                                     \
        for (int i = 1; i < CHAINS; i++) all += acc[i];                                            \
        return all[0];                                                                             \
    }

#include <immintrin.h>
#define fma_peak16(c, x, y) ((peak16_v)_mm512_fmadd_ps((__m512)(c), (__m512)(x), (__m512)(y)))
#define fma_peak8(c, x, y) ((peak8_v)_mm256_fmadd_ps((__m256)(c), (__m256)(x), (__m256)(y)))
PEAK_LOOP(peak16, "avx512f,fma", 64)
PEAK_LOOP(peak8, "avx2,fma", 32)

typedef struct Peak {
    uint32_t lanes;
    float sink[256]; // by task
} Peak;

static void peak_tasks(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    Peak *p = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) p->sink[i] = p->lanes == 16 ? peak16(0.5f) : peak8(0.5f);
}

// Seconds of one peak loop on all threads of the pool.
static double peak_seconds(Clock clock, Pool *pool, Peak *p)
{
    double t = now(clock);
    pool_run(pool, peak_tasks, p, PEAK_TASKS);
    return now(clock) - t;
}

static double peak_flops(const Peak *p)
{
    return 2.0 * PEAK_TASKS * PEAK_TRIPS * CHAINS * p->lanes;
}

// ---- OpenBLAS
// ---------------------------------------------------------------------------------------------

typedef void Sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                   int lda, const float *b, int ldb, float beta, float *c, int ldc);

typedef struct Blas {
    Sgemm *sgemm;
    void (*threads)(int);
} Blas;

static Blas open_blas(void)
{
    Blas blas = {0};
    void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!lib) return blas;
    *(void **)&blas.sgemm = dlsym(lib, "cblas_sgemm");
    *(void **)&blas.threads = dlsym(lib, "openblas_set_num_threads");
    if (!blas.threads) blas.sgemm = NULL;
    return blas;
}

static double blas_seconds(Clock clock, const Blas *blas, const Case *c, const float *a,
                           const float *w, float *y)
{
    double t = now(clock);
    for (int64_t b = 0; b < c->batch; b++)
        blas->sgemm(101, c->at ? 112 : 111, c->wt ? 111 : 112, (int)c->m, (int)c->n, (int)c->k, 1,
                    a + b * c->m * c->k, (int)(c->at ? c->m : c->k), w + b * c->n * c->k,
                    (int)(c->wt ? c->n : c->k), 0, y + b * c->m * c->n, (int)c->n);
    return now(clock) - t;
}

// ---- programs
// -----------------------------------------------------------------------------------------------

static const char *dot_text(Arena *arena, const Case *c, const char *d)
{
    const char *b = c->batch > 1 ? str_printf(arena, "%lld, ", (long long)c->batch) : "";
    long long a0 = c->at ? c->k : c->m, a1 = c->at ? c->m : c->k, w0 = c->wt ? c->k : c->n,
              w1 = c->wt ? c->n : c->k;
    int base = c->batch > 1;
    return str_printf(arena,
                      "program \"bench\" batch=1 steps=1 seed=0\n"
                      "entry \"step\" {\n"
                      "  %%x = input {name=\"x\"} : %s[%s%lld, %lld]\n"
                      "  %%w = input {name=\"w\"} : %s[%s%lld, %lld]\n"
                      "  %%y = dot %%x, %%w {%slc=[%d], rc=[%d]} : %s[%s%lld, %lld]\n"
                      "  output \"y\" %%y\n"
                      "}\n",
                      d, b, a0, a1, d, b, w0, w1, base ? "lb=[0], rb=[0], " : "", base + !c->at,
                      base + !c->wt, d, b, (long long)c->m, (long long)c->n);
}

static const char *attention_text(Arena *arena, const Case *c, const char *dt)
{
    long long b = c->batch, t = c->m, h = c->n, d = c->k;
    const char *text = "program \"bench\" batch=1 steps=1 seed=0\nentry \"step\" {\n";
    text = str_printf(arena, "%s  %%x = input {name=\"x\"} : %s[%lld, %lld, 3, %lld, %lld]\n", text,
                      dt, b, t, h, d);
    text = str_printf(arena, "%s  %%w = input {name=\"w\"} : %s[%lld, %lld, %lld, %lld]\n", text,
                      dt, b, h, t, d);
    for (int i = 0; i < 3; i++) {
        text = str_printf(
            arena, "%s  %%s%d = slice %%x {lo=[0, 0, %d, 0, 0], hi=[%lld, %lld, %d, %lld, %lld]}\n",
            text, i, i, b, t, i + 1, h, d);
        text = str_printf(arena, "%s  %%r%d = reshape %%s%d : %s[%lld, %lld, %lld, %lld]\n", text,
                          i, i, dt, b, t, h, d);
        text = str_printf(arena, "%s  %%t%d = transpose %%r%d {perm=[0, 2, 1, 3]}\n", text, i, i);
    }
    text = str_printf(arena,
                      "%s  %%a = attention %%t0, %%t1, %%t2 {mask=\"%s\", scale=0.125}\n"
                      "  %%o = proj %%a {index=0}\n  output \"o\" %%o\n",
                      text, c->causal ? "causal" : "none");
    if (c->kind == CASE_ATTENTION_GRAD)
        text = str_printf(arena,
                          "%s  %%e = mul %%o, %%w\n  %%l = sum %%e {axes=[0, 1, 2, 3]}\n"
                          "  %%g = grad %%l, %%x\n  output \"g\" %%g\n",
                          text);
    return str_printf(arena, "%s}\n", text);
}

typedef struct Runner {
    Step *step;
    Exec *exec;
} Runner;

typedef struct Options {
    bool cpu_clock;
    int rounds;
    const char *threads, *level; // NULL: the host's
    DType dtype;                 // of products
} Options;

static Runner compile(Arena *arena, const Case *c, const Options *o, uint32_t threads)
{
    const char *text = c->kind == CASE_DOT ? dot_text(arena, c, dtype_name(o->dtype))
                                           : attention_text(arena, c, dtype_name(o->dtype));
    Diag *diag = diag_new(arena);
    Program *p = program_parse(arena, diag, diag_source(diag, c->name, text, strlen(text)));
    Error err = {0};
    Cpu cpu;
    Blob blob;
    CompileStats stats;
    if (!p || !passes_run(p, &(PassOptions){.level = 1}, &err)) {
        diag_print(diag, stderr);
        die(c->name, err.text);
    }
    if (!cpu_target(arena, o->level, &cpu, &err)) die(c->name, err.text);
    Plan *plan = plan_build(arena, p, &cpu.target, FUSE_ALL);
    if (getenv("CZT_ASSEMBLY"))
        for (uint32_t i = 0; i < plan->kernels.n; i++)
            puts(cpu_kernel_ir(arena, plan->kernels.at[i], &cpu, true, &err));
    if (!cpu_compile(arena, plan, &cpu, 1, &blob, &stats, &err)) die(c->name, err.text);
    Section *sections;
    Code code = cpu_code(arena, &cpu, plan, &blob);
    uint32_t n = step_sections(arena, p, plan, &code, &sections);
    size_t size;
    const uint8_t *bytes = container_build(arena, sections, n, &size);
    Runner r = {.step = step_load_memory(c->name, bytes, size, &err)};
    if (r.step)
        r.exec = exec_new(r.step, &(ExecOptions){.threads = threads, .profile = true}, &err);
    if (!r.exec) die(c->name, err.text);
    return r;
}

static void fill(void *to, DType dt, int64_t bytes, uint64_t seed)
{
    for (int64_t i = 0; i < bytes / dtype_size(dt); i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        float x = (float)(seed >> 53) / 1024 - 1;
        if (dt == DT_BF16)
            ((uint16_t *)to)[i] = f32_to_bf16(x);
        else
            ((float *)to)[i] = x;
    }
}

// ---- timing
// -----------------------------------------------------------------------------------------------------

typedef struct Times {
    double s[MOST_ROUNDS];
    int n;
} Times;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(Times *t)
{
    qsort(t->s, (size_t)t->n, sizeof *t->s, compare);
    return t->n ? t->s[t->n / 2] : 0;
}

static double best(Times *t)
{
    median(t);
    return t->n ? t->s[0] : 0;
}

typedef struct Round {
    Times peak, blas, all, pack, kernel; // seconds of one call
} Round;

// Seconds of `calls` runs; their launches' shares by kind. A gradient's run holds other kernels,
// which are left out.
static void take_times(const Runner *r, const Case *c, double seconds, int calls, Round *out)
{
    const StepEntry *e = &r->step->entries[0];
    const char *own = c->kind == CASE_DOT         ? "gemm"
                      : c->kind == CASE_ATTENTION ? "attention"
                                                  : "attention_grad";
    double pack = 0, kernel = 0, all = 0;
    for (uint32_t l = 0; l < e->nlaunches; l++) {
        const char *kind = r->step->kernels[e->launches[l].segments[0].kernel].kind;
        double s = exec_time(r->exec, 0, l).seconds;
        if (strcmp(kind, "pack") == 0) pack += s;
        if (strcmp(kind, own) == 0) kernel += s;
        all += s;
    }
    exec_clear_times(r->exec);
    seconds /= calls;
    if (c->kind == CASE_ATTENTION_GRAD) seconds *= kernel / all;
    out->pack.s[out->pack.n++] = seconds * pack / (pack + kernel);
    out->kernel.s[out->kernel.n++] = seconds * kernel / (pack + kernel);
    out->all.s[out->all.n++] = seconds;
}

static double flops_of(const Case *c)
{
    double mnk = (double)c->batch * (double)c->m * (double)c->n * (double)c->k;
    double pairs = (double)c->m * (c->causal ? 0.5 : 1) + (c->causal ? 0.5 : 0);
    switch (c->kind) {
    case CASE_DOT: return 2 * mnk;
    case CASE_ATTENTION: return 4 * mnk * pairs;
    case CASE_ATTENTION_GRAD: return 10 * mnk * pairs; // scores again, dP, dQ, dK, dV
    }
    return 0;
}

static void check(const Case *c, const float *want, const float *got)
{
    for (int64_t i = 0; i < c->batch * c->m * c->n; i++)
        if (!(fabsf(want[i] - got[i]) <= 1e-5f * (float)c->k))
            die(c->name, "differs from OpenBLAS");
}

static void run_case(const Case *c, const Blas *blas, const Options *o, uint32_t threads)
{
    Arena *arena = arena_new();
    Error err = {0};
    Runner r = compile(arena, c, o, threads);
    const StepEntry *e = &r.step->entries[0];
    for (uint32_t i = 0; i < e->ninputs; i++)
        fill(exec_input(r.exec, 0, i), o->dtype, e->inputs[i].bytes, i + 1);
    const float *x = exec_input(r.exec, 0, (uint32_t)tensor_find(e->inputs, e->ninputs, "x"));
    int32_t wi = tensor_find(e->inputs, e->ninputs, "w");
    const float *w = wi < 0 ? NULL : exec_input(r.exec, 0, (uint32_t)wi);
    bool beside = c->kind == CASE_DOT && o->dtype == DT_F32 && blas->sgemm;
    float *y = beside ? malloc((size_t)(4 * c->batch * c->m * c->n)) : NULL;
    Peak peak = {.lanes = __builtin_cpu_supports("avx512f") ? 16 : 8};
    Round *round = arena_make(arena, Round);
    double flops = flops_of(c);
    int calls = flops < 1e8 ? (int)(1e8 / flops) + 1 : 1;
    Clock clock = {o->cpu_clock ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC,
                   o->cpu_clock ? threads : 1};
    if (blas->sgemm) blas->threads((int)threads);
    for (int i = -1; i < o->rounds; i++) { // the first round warms up
        double top = peak_seconds(clock, exec_pool(r.exec), &peak), theirs = 0;
        for (int k = 0; y && k < calls; k++) theirs += blas_seconds(clock, blas, c, x, w, y);
        exec_clear_times(r.exec);
        double start = now(clock);
        for (int k = 0; k < calls; k++)
            if (!exec_run(r.exec, 0, 0, 0, &err)) die(c->name, err.text);
        if (i < 0) continue;
        take_times(&r, c, now(clock) - start, calls, round);
        round->peak.s[round->peak.n++] = top;
        if (y) round->blas.s[round->blas.n++] = theirs / calls;
    }
    if (y) check(c, y, exec_output(r.exec, 0, 0));
    double g = flops * 1e-9, p = peak_flops(&peak) * 1e-9;
    double rate = g / median(&round->all), top = g / best(&round->all);
    double peak_rate = p / median(&round->peak), peak_top = p / best(&round->peak);
    printf("%-38s %u  %7.1f (%6.1f)  %5.1f (%5.1f)  %7.1f (%6.1f)  %8.3f  %8.3f  %7.1f (%6.1f)\n",
           c->name, threads, rate, top, 100 * rate / peak_rate, 100 * top / peak_top,
           y ? g / median(&round->blas) : 0, y ? g / best(&round->blas) : 0,
           1e3 * median(&round->pack), 1e3 * median(&round->kernel), peak_rate, peak_top);
    fflush(stdout);
    free(y);
    exec_free(r.exec);
    step_free(r.step);
    arena_free(arena);
}

static bool wanted(const Case *c, int n, char **parts)
{
    for (int i = 0; i < n; i++)
        if (strstr(c->name, parts[i])) return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    Options o = {.rounds = 7, .threads = "1,2", .dtype = DT_F32};
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--threads") == 0) o.threads = argv[i + 1];
        if (strcmp(argv[i], "--rounds") == 0) o.rounds = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--clock") == 0) o.cpu_clock = strcmp(argv[i + 1], "cpu") == 0;
        if (strcmp(argv[i], "--level") == 0) o.level = argv[i + 1];
        if (strcmp(argv[i], "--dtype") == 0)
            o.dtype = strcmp(argv[i + 1], "bf16") == 0 ? DT_BF16 : DT_F32;
    }
    if (o.rounds < 1 || o.rounds > MOST_ROUNDS) die("--rounds", "1 to 101");
    Blas blas = open_blas();
    Arena *names = arena_new();
    printf("%-38s %s  %7s (%6s)  %5s (%5s)  %7s (%6s)  %8s  %8s  %7s (%6s)\n",
           str_printf(names, "%s product (m x n x k)", dtype_name(o.dtype)), "T", "GFLOP/s", "best",
           "%peak", "best", "OpenBLAS", "best", "pack ms", "main ms", "peak", "best");
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        if (!wanted(&cases[k], argc - i, argv + i)) continue;
        for (const char *t = o.threads; *t; t += strcspn(t, ",") + (t[strcspn(t, ",")] == ','))
            run_case(&cases[k], &blas, &o, (uint32_t)atoi(t));
    }
    arena_free(names);
    return 0;
}
