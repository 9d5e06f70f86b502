// The executor. At load every segment's buffer list becomes a list of addresses, since no block
// ever moves; a run is then one loop over launches, each one region of the pool. The tasks of a
// launch's segments are numbered through; a worker's range is cut at segment borders.
#include "runtime/exec.h"

#include "base/clock.h"

#include "runtime/values.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

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
    ExecTime time;
} RunLaunch;

typedef struct RunEntry {
    Block inputs, outputs;
    RunLaunch *launches;
    int32_t step_input, seed_input; // -1: none
} RunEntry;

struct Exec {
    const Step *step;
    Arena *arena;
    Pool *pool;
    bool profile;
    Block state, scratch, workers;
    size_t worker_stride;
    RunEntry *entries;
};

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

static bool alloc_blocks(Exec *exec, Error *err)
{
    const Step *step = exec->step;
    int64_t scratch = 0, threads = pool_threads(exec->pool);
    for (uint32_t i = 0; i < step->nentries; i++) {
        const StepEntry *e = &step->entries[i];
        RunEntry *run = &exec->entries[i];
        if (e->scratch_bytes > scratch) scratch = e->scratch_bytes;
        if (!block_alloc(&run->inputs, e->input_bytes, "inputs", step, err) ||
            !block_alloc(&run->outputs, e->output_bytes, "outputs", step, err))
            return false;
        run->step_input = tensor_find(e->inputs, e->ninputs, "$step");
        run->seed_input = tensor_find(e->inputs, e->ninputs, "$seed");
    }
    int64_t stride = (step->worker_bytes + WORKER_ALIGN - 1) / WORKER_ALIGN * WORKER_ALIGN, all;
    if (__builtin_mul_overflow(stride, threads, &all)) all = INT64_MAX; // mmap will say it
    exec->worker_stride = (size_t)stride;
    return block_alloc(&exec->state, step->state_bytes, "state", step, err) &&
           block_alloc(&exec->scratch, scratch, "scratch", step, err) &&
           block_alloc(&exec->workers, all, "thread scratch", step, err);
}

static uint8_t *block_of(const Exec *exec, const RunEntry *run, StepSpace space)
{
    switch (space) {
    case SPACE_STATE:
        return exec->state.data;
    case SPACE_SCRATCH:
        return exec->scratch.data;
    case SPACE_INPUT:
        return run->inputs.data;
    case SPACE_OUTPUT:
        return run->outputs.data;
    case SPACE_CONST:
        return (uint8_t *)(uintptr_t)exec->step->constants;
    case SPACES:
        break;
    }
    bug("block %d", (int)space);
}

static CztKernel kernel_at(const Step *step, const CztKernel *kernels, uint32_t i)
{
    if (kernels) return kernels[i];
    return (CztKernel)(uintptr_t)(step->code + step->kernels[i].offset);
}

static void bind_launch(Exec *exec, const RunEntry *run, const StepLaunch *launch,
                        const CztKernel *kernels, RunLaunch *out)
{
    RunSegment *segments = arena_array(exec->arena, RunSegment, launch->n + 1);
    int64_t first = 0;
    for (uint32_t i = 0; i < launch->n; i++) {
        const StepSegment *s = &launch->segments[i];
        void **buffers = arena_array(exec->arena, void *, s->nbuffers + 1);
        for (uint32_t b = 0; b < s->nbuffers; b++)
            buffers[b] = block_of(exec, run, s->buffers[b].space) + s->buffers[b].offset;
        segments[i] = (RunSegment){kernel_at(exec->step, kernels, s->kernel), buffers, first};
        first += s->tasks;
    }
    segments[launch->n].first = first;
    *out = (RunLaunch){.segments = segments, .n = launch->n, .tasks = first};
}

static void bind(Exec *exec, const CztKernel *kernels)
{
    for (uint32_t i = 0; i < exec->step->nentries; i++) {
        const StepEntry *e = &exec->step->entries[i];
        RunEntry *run = &exec->entries[i];
        run->launches = arena_array(exec->arena, RunLaunch, e->nlaunches + 1);
        for (uint32_t l = 0; l < e->nlaunches; l++)
            bind_launch(exec, run, &e->launches[l], kernels, &run->launches[l]);
    }
}

Exec *exec_new(const Step *step, const ExecOptions *options, Error *err)
{
    const ExecOptions defaults = {0};
    if (!options) options = &defaults;
    Exec *exec = calloc(1, sizeof *exec);
    if (!exec) {
        error_set(err, "%s: no memory", step->file);
        return NULL;
    }
    exec->step = step;
    exec->profile = options->profile;
    exec->arena = arena_new();
    exec->entries = arena_array(exec->arena, RunEntry, step->nentries + 1);
    exec->pool = pool_new(options->threads, err);
    bool ok = exec->pool && alloc_blocks(exec, err);
    if (ok && !options->kernels && !step->code_size && step->nkernels)
        ok = error_set(err, "%s: no section 'code'", step->file);
    if (ok) {
        bind(exec, options->kernels);
        return exec;
    }
    exec_free(exec);
    return NULL;
}

void exec_free(Exec *exec)
{
    if (!exec) return;
    pool_free(exec->pool);
    for (uint32_t i = 0; i < exec->step->nentries; i++) {
        block_free(&exec->entries[i].inputs);
        block_free(&exec->entries[i].outputs);
    }
    block_free(&exec->state);
    block_free(&exec->scratch);
    block_free(&exec->workers);
    arena_free(exec->arena);
    free(exec);
}

const Step *exec_step(const Exec *exec)
{
    return exec->step;
}

Pool *exec_pool(Exec *exec)
{
    return exec->pool;
}

typedef struct Region {
    const Exec *exec;
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
    void *scratch = region->exec->workers.data + worker * region->exec->worker_stride;
    for (const RunSegment *s = segment_of(region->launch, begin); begin < end; s++) {
        int64_t last = s[1].first < end ? s[1].first : end;
        if (last > begin) s->kernel(s->buffers, begin - s->first, last - s->first, scratch);
        begin = last;
    }
}

static void run_launch(Exec *exec, RunLaunch *launch)
{
    double begin = exec->profile ? seconds_now() : 0;
    pool_run(exec->pool, run_range, &(Region){exec, launch}, launch->tasks);
    if (!exec->profile) return;
    launch->time.seconds += seconds_now() - begin;
    launch->time.calls++;
}

static bool set_scalar(Exec *exec, uint32_t entry, int32_t input, int64_t value, Error *err)
{
    if (input < 0) return true;
    const CztTensor *t = &exec->step->entries[entry].inputs[input];
    if (t->dtype == CZT_F32 && t->bytes == 4) {
        *(float *)exec_input(exec, entry, (uint32_t)input) = (float)value;
        return true;
    }
    return exec_set_input(exec, entry, t->name, CZT_I64, 0, NULL, &value, err);
}

bool exec_run(Exec *exec, uint32_t entry, int64_t step, int64_t seed, Error *err)
{
    RunEntry *run = &exec->entries[entry];
    if (!set_scalar(exec, entry, run->step_input, step, err) ||
        !set_scalar(exec, entry, run->seed_input, seed, err))
        return false;
    uint32_t n = exec->step->entries[entry].nlaunches;
    for (uint32_t i = 0; i < n; i++) run_launch(exec, &run->launches[i]);
    return true;
}

static bool run_named(Exec *exec, const char *name, int64_t seed, Error *err)
{
    int32_t entry = step_entry(exec->step, name);
    return entry < 0 || exec_run(exec, (uint32_t)entry, 0, seed, err);
}

bool exec_derive(Exec *exec, Error *err)
{
    return run_named(exec, "derive", exec->step->seed, err);
}

bool exec_init(Exec *exec, int64_t seed, Error *err)
{
    memset(exec->state.data, 0, (size_t)exec->step->state_bytes);
    return run_named(exec, "init", seed, err) && exec_derive(exec, err);
}

void *exec_input(Exec *exec, uint32_t entry, uint32_t i)
{
    return exec->entries[entry].inputs.data + exec->step->entries[entry].inputs[i].offset;
}

const void *exec_output(const Exec *exec, uint32_t entry, uint32_t i)
{
    return exec->entries[entry].outputs.data + exec->step->entries[entry].outputs[i].offset;
}

void *exec_state(const Exec *exec, uint32_t i)
{
    return exec->state.data + exec->step->state[i].offset;
}

void *exec_state_block(const Exec *exec)
{
    return exec->state.data;
}

ExecTime exec_time(const Exec *exec, uint32_t entry, uint32_t launch)
{
    return exec->entries[entry].launches[launch].time;
}

void exec_clear_times(Exec *exec)
{
    for (uint32_t i = 0; i < exec->step->nentries; i++)
        for (uint32_t l = 0; l < exec->step->entries[i].nlaunches; l++)
            exec->entries[i].launches[l].time = (ExecTime){0};
}

static const CztTensor *state_named(const Exec *exec, const char *name, size_t bytes, void **data,
                                    Error *err)
{
    const Step *step = exec->step;
    int32_t i = tensor_find(step->state, step->nstate, name);
    if (i < 0) {
        error_set(err, "%s: no state tensor '%s'", step->file, name);
        return NULL;
    }
    const CztTensor *t = &step->state[i];
    if ((size_t)t->bytes != bytes) {
        error_set(err, "%s: state tensor '%s' has %lld bytes, not %zu", step->file, name,
                  (long long)t->bytes, bytes);
        return NULL;
    }
    *data = exec_state(exec, (uint32_t)i);
    return t;
}

bool exec_get_state(const Exec *exec, const char *name, void *data, size_t bytes, Error *err)
{
    void *from;
    if (!state_named(exec, name, bytes, &from, err)) return false;
    memcpy(data, from, bytes);
    return true;
}

bool exec_set_state(Exec *exec, const char *name, const void *data, size_t bytes, Error *err)
{
    void *to;
    if (!state_named(exec, name, bytes, &to, err)) return false;
    memcpy(to, data, bytes);
    return true;
}

static int64_t elements(uint32_t rank, const int64_t *shape)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < rank; i++) n *= shape[i];
    return n;
}

double exec_scalar(const Exec *exec, uint32_t entry, uint32_t i)
{
    const CztTensor *t = &exec->step->entries[entry].outputs[i];
    if (elements(t->rank, t->shape) != 1) return NAN;
    return value_get(t->dtype, exec_output(exec, entry, i), 0);
}

static bool same_shape(const CztTensor *t, uint32_t rank, const int64_t *shape)
{
    return t->rank == rank && (!rank || memcmp(t->shape, shape, rank * sizeof *shape) == 0);
}

bool exec_set_input(Exec *exec, uint32_t entry, const char *name, CztDtype dtype, uint32_t rank,
                    const int64_t *shape, const void *data, Error *err)
{
    const StepEntry *e = &exec->step->entries[entry];
    int32_t i = tensor_find(e->inputs, e->ninputs, name);
    if (i < 0)
        return error_set(err, "%s: entry '%s' has no input '%s'", exec->step->file, e->name, name);
    const CztTensor *t = &e->inputs[i];
    bool convert = dtype != t->dtype && dtype_is_integer(dtype) && dtype_is_integer(t->dtype);
    if (!same_shape(t, rank, shape) || (dtype != t->dtype && !convert)) {
        Arena *arena = arena_new();
        error_set(err, "%s: entry '%s': input '%s' is %s, not %s", exec->step->file, e->name, name,
                  tensor_text(arena, t->dtype, t->rank, t->shape),
                  tensor_text(arena, dtype, rank, shape));
        arena_free(arena);
        return false;
    }
    void *to = exec_input(exec, entry, (uint32_t)i);
    if (convert)
        return values_to_integer(t->dtype, to, dtype, data, elements(rank, shape), name, err);
    if (t->bytes) memcpy(to, data, (size_t)t->bytes);
    return true;
}
