// The CPU engine. At load every segment's buffer list becomes a list of addresses, since no block
// ever moves; a run is then one loop over launches, each one region of the pool. The tasks of a
// launch's segments are numbered through; a worker's range is cut at segment borders.
#include "runtime/engine.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

// Memory from the system: zeroed, page-aligned, in huge pages where they are to be had.
typedef struct Block {
    uint8_t *data;
    void *mapping;
    size_t size; // of the mapping
} Block;

typedef struct RunSegment {
    CztKernel kernel;
    void *const *buffers;
    int64_t first; // number of its first task in the launch
} RunSegment;

typedef struct RunLaunch {
    const RunSegment *segments; // n, and one more whose first is the number of tasks
    uint32_t n;
    int64_t tasks;
} RunLaunch;

typedef struct RunEntry {
    Block inputs, outputs;
    RunLaunch *launches;
    ExecTime *times;
} RunEntry;

typedef struct CpuEngine {
    Engine base;
    const Step *step;
    Arena *arena;
    Pool *pool;
    bool profile;
    Block state, scratch, workers;
    size_t worker_stride;
    RunEntry *entries;
} CpuEngine;

enum { HUGE_PAGE = 2 << 20, WORKER_ALIGN = 4096 };

static bool block_alloc(Block *block, int64_t bytes, const char *what, const Step *step, Error *err)
{
    // Room to begin at a huge page; and one byte at least, so that every address is one.
    size_t size = (size_t)bytes + 1, align = bytes >= HUGE_PAGE ? HUGE_PAGE : 1;
    size += align - 1;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return error_set(err, "%s: no memory for %s: %lld bytes: %s", step->file, what,
                         (long long)bytes, strerror(errno));
    uintptr_t data = ((uintptr_t)at + align - 1) / align * align;
    *block = (Block){(uint8_t *)data, at, size};
    if (bytes >= HUGE_PAGE) madvise(block->data, (size_t)bytes, MADV_HUGEPAGE);
    return true;
}

static void block_free(Block *block)
{
    if (block->mapping) munmap(block->mapping, block->size);
    *block = (Block){0};
}

static bool alloc_blocks(CpuEngine *cpu, Error *err)
{
    const Step *step = cpu->step;
    int64_t scratch = 0, threads = pool_threads(cpu->pool);
    for (uint32_t i = 0; i < step->nentries; i++) {
        const StepEntry *e = &step->entries[i];
        RunEntry *run = &cpu->entries[i];
        if (e->scratch_bytes > scratch) scratch = e->scratch_bytes;
        if (!block_alloc(&run->inputs, e->host_bytes, "inputs", step, err) ||
            !block_alloc(&run->outputs, e->output_bytes, "outputs", step, err))
            return false;
    }
    int64_t stride = (step->worker_bytes + WORKER_ALIGN - 1) / WORKER_ALIGN * WORKER_ALIGN, all;
    if (__builtin_mul_overflow(stride, threads, &all)) all = INT64_MAX; // mmap will say it
    cpu->worker_stride = (size_t)stride;
    return block_alloc(&cpu->state, step->state_bytes, "state", step, err) &&
           block_alloc(&cpu->scratch, scratch, "scratch", step, err) &&
           block_alloc(&cpu->workers, all, "thread scratch", step, err);
}

static uint8_t *block_of(const CpuEngine *cpu, const RunEntry *run, StepSpace space)
{
    switch (space) {
    case SPACE_STATE: return cpu->state.data;
    case SPACE_SCRATCH: return cpu->scratch.data;
    case SPACE_INPUT: return run->inputs.data;
    case SPACE_OUTPUT: return run->outputs.data;
    case SPACE_CONST: return (uint8_t *)(uintptr_t)cpu->step->constants;
    case SPACES: break;
    }
    bug("block %d", (int)space);
}

static CztKernel kernel_at(const Step *step, const CztKernel *kernels, uint32_t i)
{
    if (kernels) return kernels[i];
    return (CztKernel)(uintptr_t)(step->code + step->kernels[i].offset);
}

static void bind_launch(CpuEngine *cpu, const RunEntry *run, const StepLaunch *launch,
                        const CztKernel *kernels, RunLaunch *out)
{
    RunSegment *segments = arena_array(cpu->arena, RunSegment, launch->n + 1);
    int64_t first = 0;
    for (uint32_t i = 0; i < launch->n; i++) {
        const StepSegment *s = &launch->segments[i];
        void **buffers = arena_array(cpu->arena, void *, s->nbuffers + 1);
        for (uint32_t b = 0; b < s->nbuffers; b++)
            buffers[b] = block_of(cpu, run, s->buffers[b].space) + s->buffers[b].offset;
        segments[i] = (RunSegment){kernel_at(cpu->step, kernels, s->kernel), buffers, first};
        first += s->tasks;
    }
    segments[launch->n].first = first;
    *out = (RunLaunch){.segments = segments, .n = launch->n, .tasks = first};
}

static void bind(CpuEngine *cpu, const CztKernel *kernels)
{
    for (uint32_t i = 0; i < cpu->step->nentries; i++) {
        const StepEntry *e = &cpu->step->entries[i];
        RunEntry *run = &cpu->entries[i];
        run->launches = arena_array(cpu->arena, RunLaunch, e->nlaunches + 1);
        run->times = arena_array(cpu->arena, ExecTime, e->nlaunches + 1);
        for (uint32_t l = 0; l < e->nlaunches; l++)
            bind_launch(cpu, run, &e->launches[l], kernels, &run->launches[l]);
    }
}

typedef struct Region {
    const CpuEngine *cpu;
    const RunLaunch *launch;
} Region;

// The last segment that begins at or before the task; empty ones in between are passed over.
static const RunSegment *segment_of(const RunLaunch *launch, int64_t task)
{
    uint32_t low = 0, high = launch->n;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (launch->segments[middle].first <= task)
            low = middle;
        else
            high = middle;
    }
    return &launch->segments[low];
}

static void run_range(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    const Region *region = arg;
    void *scratch = region->cpu->workers.data + worker * region->cpu->worker_stride;
    for (const RunSegment *s = segment_of(region->launch, begin); begin < end; s++) {
        int64_t last = s[1].first < end ? s[1].first : end;
        if (last > begin) s->kernel(s->buffers, begin - s->first, last - s->first, scratch);
        begin = last;
    }
}

static bool run_launch(Engine *engine, uint32_t entry, uint32_t launch, Error *err)
{
    CpuEngine *cpu = (CpuEngine *)engine;
    const RunLaunch *l = &cpu->entries[entry].launches[launch];
    (void)err;
    pool_run(cpu->pool, run_range, &(Region){cpu, l}, l->tasks);
    return true;
}

static bool start(Engine *engine, uint32_t entry, Error *err)
{
    CpuEngine *cpu = (CpuEngine *)engine;
    ExecTime *t = cpu->entries[entry].times;
    for (uint32_t i = 0; i < cpu->step->entries[entry].nlaunches; i++) {
        double begin = cpu->profile ? seconds_now() : 0;
        run_launch(engine, entry, i, err);
        if (!cpu->profile) continue;
        t[i].seconds += seconds_now() - begin;
        t[i].calls++;
    }
    return true;
}

static bool wait(Engine *engine, Error *err)
{
    (void)engine, (void)err;
    return true;
}

static uint8_t *inputs(Engine *engine, uint32_t entry)
{
    return ((CpuEngine *)engine)->entries[entry].inputs.data;
}

static const uint8_t *outputs(Engine *engine, uint32_t entry)
{
    return ((CpuEngine *)engine)->entries[entry].outputs.data;
}

static bool clear(Engine *engine, Error *err)
{
    CpuEngine *cpu = (CpuEngine *)engine;
    (void)err;
    memset(cpu->state.data, 0, (size_t)cpu->step->state_bytes);
    return true;
}

static const void *read(Engine *engine, int64_t offset, int64_t bytes, Error *err)
{
    (void)bytes, (void)err;
    return ((CpuEngine *)engine)->state.data + offset;
}

static bool write(Engine *engine, int64_t offset, const void *from, int64_t bytes, Error *err)
{
    (void)err;
    if (bytes) memcpy(((CpuEngine *)engine)->state.data + offset, from, (size_t)bytes);
    return true;
}

static const void *peek(Engine *engine, uint32_t entry, const StepBuffer *at, int64_t bytes,
                        Error *err)
{
    CpuEngine *cpu = (CpuEngine *)engine;
    (void)bytes, (void)err;
    return block_of(cpu, &cpu->entries[entry], at->space) + at->offset;
}

static void *state(const Engine *engine)
{
    return ((const CpuEngine *)engine)->state.data;
}

static ExecTime *times(Engine *engine, uint32_t entry)
{
    return ((CpuEngine *)engine)->entries[entry].times;
}

static void free_engine(Engine *engine)
{
    CpuEngine *cpu = (CpuEngine *)engine;
    for (uint32_t i = 0; i < cpu->step->nentries; i++) {
        block_free(&cpu->entries[i].inputs);
        block_free(&cpu->entries[i].outputs);
    }
    block_free(&cpu->state);
    block_free(&cpu->scratch);
    block_free(&cpu->workers);
}

Engine *engine_cpu(Arena *arena, const Step *step, const ExecOptions *options, Pool *pool,
                   Error *err)
{
    static const EngineOps ops = {free_engine, start, wait,  inputs, outputs, clear, read, write,
                                  run_launch,  peek,  state, NULL,   NULL,    NULL,  times};
    CpuEngine *cpu = arena_make(arena, CpuEngine);
    *cpu = (CpuEngine){.base = {.ops = &ops},
                       .step = step,
                       .arena = arena,
                       .pool = pool,
                       .profile = options->profile,
                       .entries = arena_array(arena, RunEntry, step->nentries + 1)};
    bool ok = alloc_blocks(cpu, err);
    if (ok && !options->kernels && !step->code_size && step->nkernels)
        ok = error_set(err, "%s: no section 'code'", step->file);
    if (ok) {
        bind(cpu, options->kernels);
        return &cpu->base;
    }
    free_engine(&cpu->base);
    return NULL;
}
