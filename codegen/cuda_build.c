// A plan's kernels for GPUs: texts of a few dozen functions each (units), each compiled by NVRTC
// for every architecture, on all threads. What a store has of a unit is not compiled again.
#include "codegen/cuda.h"

#include "base/clock.h"
#include "codegen/nvrtc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT_FUNCTIONS = 12 };

typedef struct Unit {
    uint32_t number;
    const char *text;
} Unit;

// One unit for one architecture; where PTX is wanted too, it comes with the code of that number.
typedef struct Job {
    const Unit *unit;
    const char *arch;
    bool kept; // the image was in the store
    CudaImage image;
    Error err;
} Job;

typedef struct Build {
    const Nvrtc *nvrtc;
    const char *identity; // of NVRTC
    Job *jobs;
    uint32_t n;
    uint32_t next; // taken by threads one by one
} Build;

typedef struct BuildThread {
    Build *build;
    Arena *arena; // its own
    pthread_t thread;
    bool started;
} BuildThread;

static void *run_jobs(void *arg)
{
    BuildThread *t = arg;
    for (uint32_t i;
         (i = __atomic_fetch_add(&t->build->next, 1, __ATOMIC_RELAXED)) < t->build->n;) {
        Job *job = &t->build->jobs[i];
        if (job->kept) continue;
        nvrtc_compile(t->build->nvrtc, t->arena, job->unit->text, job->arch, &job->image,
                      &job->err);
    }
    return NULL;
}

// The images are copied into the caller's arena.
static bool compile_all(Arena *arena, Build *build, uint32_t threads, Error *err)
{
    if (threads > build->n) threads = build->n;
    if (!threads) threads = 1;
    BuildThread *t = arena_array(arena, BuildThread, threads);
    for (uint32_t i = 0; i < threads; i++) {
        t[i] = (BuildThread){.build = build, .arena = arena_new()};
        if (i) t[i].started = pthread_create(&t[i].thread, NULL, run_jobs, &t[i]) == 0;
    }
    run_jobs(&t[0]);
    for (uint32_t i = 1; i < threads; i++)
        if (t[i].started) pthread_join(t[i].thread, NULL);
    bool ok = true;
    for (uint32_t i = 0; i < build->n; i++) {
        Job *job = &build->jobs[i];
        if (job->kept) continue;
        if (job->err.set) ok = error_set(err, "%s", job->err.text);
        job->image.bytes = arena_copy(arena, job->image.bytes, job->image.size);
        job->image.ptx = arena_copy(arena, job->image.ptx, job->image.ptx_size);
        job->image.log = NULL;
        CudaUsage *usage = arena_array(arena, CudaUsage, job->image.n + 1);
        for (uint32_t u = 0; u < job->image.n; u++) {
            usage[u] = job->image.usage[u];
            usage[u].symbol = str_copy(arena, usage[u].symbol);
        }
        job->image.usage = usage;
    }
    for (uint32_t i = 0; i < threads; i++) arena_free(t[i].arena);
    return ok;
}

// ---- images in the store ------------------------------------------------------------------------

// Comments at the beginning of a line are no part of it: they hold the kernels' names, which have
// the numbers of nodes in them and so change with every edit of a graph. No image has them.
static const char *job_key(const Build *build, Arena *arena, const Job *job)
{
    char *key = str_printf(arena, "image of a unit\n%s\n%s\n%s", build->identity, job->arch,
                           job->unit->text);
    char *to = key;
    for (const char *line = key; *line;) {
        size_t n = strcspn(line, "\n");
        n += line[n] == '\n';
        if (strncmp(line, "//", 2) != 0) {
            memmove(to, line, n);
            to += n;
        }
        line += n;
    }
    *to = '\0';
    return key;
}

static void get_image(const Build *build, const CodeStore *store, Arena *arena, Job *job)
{
    const char *key = job_key(build, arena, job);
    Section *sections;
    uint32_t n;
    if (!store->get(store->ctx, arena, key, strlen(key), &sections, &n)) return;
    const Section *image = container_find(sections, n, "image"),
                  *ptx = container_find(sections, n, "ptx"),
                  *usage = container_find(sections, n, "usage");
    if (!image || !ptx || !usage) return;
    VEC(CudaUsage) all = {0};
    char symbol[32];
    CudaUsage u = {0};
    int read;
    for (const char *at = str_slice(arena, usage->data, usage->size);
         sscanf(at, "%31s %u %u %u\n%n", symbol, &u.registers, &u.spilled, &u.shared_bytes,
                &read) == 4;
         at += read) {
        u.symbol = str_copy(arena, symbol);
        vec_push(arena, &all, u);
    }
    job->image = (CudaImage){.bytes = image->data,
                             .size = image->size,
                             .ptx = ptx->data,
                             .ptx_size = ptx->size,
                             .n = all.n,
                             .usage = all.at};
    job->kept = true;
}

static void put_image(const Build *build, const CodeStore *store, Arena *arena, const Job *job)
{
    const char *key = job_key(build, arena, job), *usage = "";
    for (uint32_t i = 0; i < job->image.n; i++) {
        const CudaUsage *u = &job->image.usage[i];
        usage = str_printf(arena, "%s%s %u %u %u\n", usage, u->symbol, u->registers, u->spilled,
                           u->shared_bytes);
    }
    const Section sections[] = {{"image", job->image.bytes, job->image.size},
                                {"ptx", job->image.ptx, job->image.ptx_size},
                                {"usage", usage, strlen(usage)}};
    store->put(store->ctx, key, strlen(key), sections, 3);
}

// Compile what the store does not have, and keep it, even where another unit fails.
static bool build_all(Arena *arena, Build *build, const CodeStore *store, uint32_t threads,
                      Error *err)
{
    build->identity = nvrtc_identity(build->nvrtc, arena);
    for (uint32_t i = 0; store && i < build->n; i++)
        get_image(build, store, arena, &build->jobs[i]);
    bool ok = compile_all(arena, build, threads, err);
    for (uint32_t i = 0; store && i < build->n; i++)
        if (!build->jobs[i].kept && !build->jobs[i].err.set && build->jobs[i].image.size)
            put_image(build, store, arena, &build->jobs[i]);
    return ok;
}

// ---- a plan -------------------------------------------------------------------------------------

// What the assembler said, for people.
static const char *usage(Arena *arena, const Build *build, const CudaProgram *program)
{
    uint32_t most = 0, spilling = 0, bytes = 0;
    const char *worst = "";
    for (uint32_t i = 0; i < build->n; i++)
        for (uint32_t u = 0; u < build->jobs[i].image.n; u++) {
            const CudaUsage *k = &build->jobs[i].image.usage[u];
            if (k->registers > most) most = k->registers;
            if (!k->spilled) continue;
            spilling++;
            if (k->spilled <= bytes) continue;
            bytes = k->spilled;
            uint32_t number = 0; // "k12" is function 12
            for (const char *c = k->symbol + 1; *c; c++)
                number = number * 10 + (uint32_t)(*c - '0');
            worst =
                str_printf(arena, "%s for %s", program->kernels[number]->name, build->jobs[i].arch);
        }
    if (!most) return "";
    if (!spilling) return str_printf(arena, "; at most %u registers, nothing spilled", most);
    return str_printf(arena, "; at most %u registers; %u spill, most %s: %u bytes", most, spilling,
                      worst, bytes);
}

static const Unit *write_units(Arena *arena, const CudaProgram *program, uint32_t *n)
{
    uint32_t count = (program->n + UNIT_FUNCTIONS - 1) / UNIT_FUNCTIONS;
    Unit *units = arena_array(arena, Unit, count + 1);
    for (uint32_t u = 0; u < count; u++)
        units[u] = (Unit){
            u, cuda_unit(arena, program, u * program->n / count, (u + 1) * program->n / count)};
    *n = count;
    return units;
}

static const KernelCode *describe_kernels(Arena *arena, const Plan *plan,
                                          const CudaProgram *program, uint32_t units)
{
    KernelCode *kernels = arena_array(arena, KernelCode, plan->kernels.n + 1);
    for (uint32_t k = 0; k < plan->kernels.n; k++) {
        const CudaLaunch *l = &program->launches[k];
        uint32_t unit = 0;
        while ((unit + 1) * program->n / units <= l->function) unit++;
        kernels[k] = (KernelCode){.symbol = l->symbol,
                                  .unit = unit,
                                  .threads = l->threads,
                                  .shared_bytes = l->shared_bytes,
                                  .blocks = {l->blocks[0], l->blocks[1]},
                                  .table = l->table,
                                  .size = {l->size[0], l->size[1]},
                                  .numbers = l->numbers,
                                  .nnumbers = l->nnumbers};
    }
    return kernels;
}

static bool check_grids(const Plan *plan, const CudaProgram *program, Error *err)
{
    for (uint32_t k = 0; k < plan->kernels.n; k++) {
        const int64_t *blocks = program->launches[k].blocks;
        if (blocks[0] <= INT32_MAX && blocks[1] <= UINT16_MAX) continue;
        return error_set(err,
                         "kernel %s: %lld x %lld blocks are more than a GPU launches at once (%d x "
                         "%d): take a smaller batch, or fewer matrices in one product",
                         plan->kernels.at[k]->name, (long long)blocks[0], (long long)blocks[1],
                         INT32_MAX, UINT16_MAX);
    }
    return true;
}

static void add_section(Arena *arena, Code *code, const char *arch, uint32_t unit,
                        const void *bytes, size_t size)
{
    Section s = {str_printf(arena, "%s.%u", arch, unit), bytes, size};
    vec_push(arena, &code->sections, s);
    code->size += size;
}

static bool is_ptx(const char *arch)
{
    return strncmp(arch, "compute_", 8) == 0;
}

// The architecture among the listed ones whose code brings this one's PTX; itself otherwise.
static const char *compiled_as(const CudaArchs *archs, const char *arch)
{
    for (uint32_t i = 0; is_ptx(arch) && i < archs->n; i++)
        if (!is_ptx(archs->at[i]) &&
            strtol(archs->at[i] + 3, NULL, 10) == strtol(arch + 8, NULL, 10))
            return archs->at[i];
    return arch;
}

// The units' images for every architecture, text among them.
static void add_images(Arena *arena, const CudaArchs *archs, const Build *build, const Unit *units,
                       uint32_t n, Code *code)
{
    for (uint32_t a = 0; a < archs->n; a++) {
        const char *arch = archs->at[a], *from = compiled_as(archs, arch);
        for (uint32_t u = 0; strcmp(arch, "text") == 0 && u < n; u++)
            add_section(arena, code, arch, u, units[u].text, strlen(units[u].text));
        for (uint32_t i = 0; i < build->n; i++) {
            const Job *job = &build->jobs[i];
            const CudaImage *image = &job->image;
            if (strcmp(job->arch, from)) continue;
            if (is_ptx(arch))
                add_section(arena, code, arch, job->unit->number, image->ptx, image->ptx_size);
            else
                add_section(arena, code, arch, job->unit->number, image->bytes, image->size);
        }
    }
}

static void describe(Arena *arena, const CudaArchs *archs, uint32_t units, Code *code)
{
    const char *list = "", *label = "";
    for (uint32_t i = 0; i < archs->n; i++) {
        list = str_printf(arena, "%s%s\"%s\"", list, i ? ", " : "", archs->at[i]);
        label = str_printf(arena, "%s%s%s", label, i ? ", " : "", archs->at[i]);
    }
    code->label = label;
    code->target_json =
        str_printf(arena, "{\"arch\": \"cuda\", \"units\": %u, \"images\": [%s]}", units, list);
}

bool cuda_backend_compile(const Backend *backend, Arena *arena, const Plan *plan, uint32_t threads,
                          Code *code, CompileStats *stats, Error *err)
{
    const CudaArchs *archs = backend->own;
    uint32_t n;
    double begin = seconds_now();
    const CudaProgram program = cuda_program(arena, plan->kernels.n, plan->kernels.at);
    if (!check_grids(plan, &program, err)) return false;
    const Unit *units = write_units(arena, &program, &n);
    stats->emit_s = seconds_now() - begin;
    stats->kernels = program.n;
    code->kernels = describe_kernels(arena, plan, &program, n);
    describe(arena, archs, n, code);
    Build build = {.jobs = arena_array(arena, Job, archs->n * n + 1)};
    for (uint32_t a = 0; a < archs->n; a++)
        for (uint32_t u = 0; u < n; u++)
            if (strcmp(archs->at[a], "text") && compiled_as(archs, archs->at[a]) == archs->at[a])
                build.jobs[build.n++] = (Job){.unit = &units[u], .arch = archs->at[a]};
    code->remark = str_printf(arena, "%u functions in %u units", program.n, n);
    if (!build.n) {
        add_images(arena, archs, &build, units, n, code);
        return true;
    }
    Nvrtc *nvrtc = nvrtc_open(arena, err);
    build.nvrtc = nvrtc;
    bool ok = nvrtc && build_all(arena, &build, backend->store, threads, err);
    nvrtc_close(nvrtc);
    stats->codegen_s = seconds_now() - begin - stats->emit_s;
    if (ok) add_images(arena, archs, &build, units, n, code);
    code->remark = str_printf(arena, "%s%s", code->remark, usage(arena, &build, &program));
    return ok;
}

const char *cuda_backend_identity(const Backend *backend, Arena *arena, uint32_t threads)
{
    const CudaArchs *archs = backend->own;
    const char *text = "cuda";
    bool compiles = false;
    (void)threads;
    for (uint32_t i = 0; i < archs->n; i++) {
        text = str_printf(arena, "%s %s", text, archs->at[i]);
        compiles = compiles || strcmp(archs->at[i], "text") != 0;
    }
    if (!compiles) return text;
    Error none = {0};
    Nvrtc *nvrtc = nvrtc_open(arena, &none);
    if (!nvrtc) return NULL;
    text = str_printf(arena, "%s, %s", text, nvrtc_identity(nvrtc, arena));
    nvrtc_close(nvrtc);
    return text;
}
