// The executor: what all engines have in common. Inputs, outputs and state are found by name and
// checked here; the engine of the step file's target (runtime/engine_*.c) runs the launches.
#include "runtime/exec.h"

#include "runtime/engine.h"
#include "runtime/frozen.h"
#include "runtime/values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct HostInputs {
    int32_t step, seed, part; // -1: none
} HostInputs;

typedef struct LastRun {
    int64_t step, seed;
} LastRun;

struct Exec {
    const Step *step;
    Arena *arena;
    Pool *pool;
    Engine *engine;
    HostInputs *host;     // by entry
    uint64_t frozen;      // sum of the frozen state
    json_t *frozen_parts; // and of what each file gives of it
    bool no_frozen;       // which is then what entry "init" makes
    void (*tell)(const char *line);
    LastRun last;
    int32_t derive, refresh; // entries, -1: none
    bool old;                // results of "refresh" are those of earlier state
};

static Engine *open_engine(Exec *exec, const ExecOptions *options, Error *err)
{
    if (exec->step->cuda) return engine_cuda(exec->arena, exec->step, options, err);
    return engine_cpu(exec->arena, exec->step, options, exec->pool, err);
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
    exec->no_frozen = options->no_frozen;
    exec->derive = step_entry(step, "derive");
    exec->refresh = step_entry(step, "refresh");
    exec->tell = options->tell;
    exec->arena = arena_new();
    exec->host = arena_array(exec->arena, HostInputs, step->nentries + 1);
    for (uint32_t i = 0; i < step->nentries; i++) {
        const StepEntry *e = &step->entries[i];
        exec->host[i] = (HostInputs){tensor_find(e->inputs, e->ninputs, "$step"),
                                     tensor_find(e->inputs, e->ninputs, "$seed"),
                                     tensor_find(e->inputs, e->ninputs, "$part")};
    }
    exec->pool = pool_new(options->threads, err);
    if (exec->pool) exec->engine = open_engine(exec, options, err);
    if (exec->engine) return exec;
    exec_free(exec);
    return NULL;
}

void exec_free(Exec *exec)
{
    if (!exec) return;
    if (exec->engine) exec->engine->ops->free(exec->engine);
    pool_free(exec->pool);
    json_decref(exec->frozen_parts);
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

ExecDevice exec_device(const Exec *exec)
{
    return exec->engine->device;
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

// Hand an entry that runs before another one its part of that one's inputs.
static void fill_part(Exec *exec, uint32_t entry, const StepBefore *run, int64_t part)
{
    const StepEntry *from = &exec->step->entries[entry], *to = &exec->step->entries[run->entry];
    uint8_t *whole = exec->engine->ops->inputs(exec->engine, entry),
            *own = exec->engine->ops->inputs(exec->engine, run->entry);
    for (uint32_t i = 0; i < to->ninputs; i++) {
        const CztTensor *t = &to->inputs[i];
        int32_t k = tensor_find(from->inputs, from->ninputs, t->name);
        if (t->name[0] == '$' || k < 0 || !t->bytes) continue;
        int64_t first = from->inputs[k].bytes == t->bytes ? 0 : part * t->bytes;
        memcpy(own + t->offset, whole + from->inputs[k].offset + first, (size_t)t->bytes);
    }
}

static bool start_one(Exec *exec, uint32_t entry, int64_t step, int64_t seed, int64_t part,
                      Error *err)
{
    const HostInputs *host = &exec->host[entry];
    return set_scalar(exec, entry, host->step, step, err) &&
           set_scalar(exec, entry, host->seed, seed, err) &&
           set_scalar(exec, entry, host->part, part, err) &&
           exec->engine->ops->start(exec->engine, entry, err);
}

// Before an entry, with all that runs before it, that reads what an earlier run left old.
static bool refresh_for(Exec *exec, const StepEntry *e, int64_t step, int64_t seed, Error *err)
{
    bool wanted = e->refresh;
    for (uint32_t i = 0; i < e->nbefore; i++)
        wanted = wanted || exec->step->entries[e->before[i].entry].refresh;
    if (!wanted || !exec->old || exec->refresh < 0) return true;
    exec->old = false;
    return start_one(exec, (uint32_t)exec->refresh, step, seed, 0, err);
}

bool exec_start(Exec *exec, uint32_t entry, int64_t step, int64_t seed, Error *err)
{
    const StepEntry *e = &exec->step->entries[entry];
    if (!refresh_for(exec, e, step, seed, err)) return false;
    for (uint32_t i = 0; i < e->nbefore; i++)
        for (int64_t part = 0; part < e->before[i].parts; part++) {
            fill_part(exec, entry, &e->before[i], part);
            if (!start_one(exec, e->before[i].entry, step, seed, part, err)) return false;
        }
    exec->last = (LastRun){step, seed};
    if (e->outdates) exec->old = true;
    if ((int32_t)entry == exec->derive || (int32_t)entry == exec->refresh) exec->old = false;
    return start_one(exec, entry, step, seed, 0, err);
}

bool exec_wait(Exec *exec, Error *err)
{
    return exec->engine->ops->wait(exec->engine, err);
}

void exec_one_by_one(Exec *exec)
{
    if (exec->engine->ops->one_by_one) exec->engine->ops->one_by_one(exec->engine);
}

double exec_peak(Exec *exec)
{
    return exec->engine->ops->peak ? exec->engine->ops->peak(exec->engine) : NAN;
}

bool exec_run(Exec *exec, uint32_t entry, int64_t step, int64_t seed, Error *err)
{
    return exec_start(exec, entry, step, seed, err) && exec_wait(exec, err);
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
    json_decref(exec->frozen_parts);
    exec->frozen_parts = NULL;
    return exec->engine->ops->clear(exec->engine, err) && run_named(exec, "init", seed, err) &&
           (exec->no_frozen || (frozen_load(exec, err) &&
                                frozen_sum(exec, &exec->frozen, &exec->frozen_parts, err))) &&
           exec_derive(exec, err);
}

void exec_tell(const Exec *exec, const char *line)
{
    if (exec->tell) exec->tell(line);
}

uint64_t exec_frozen(const Exec *exec)
{
    return exec->frozen;
}

const json_t *exec_frozen_parts(const Exec *exec)
{
    return exec->frozen_parts;
}

void *exec_input(Exec *exec, uint32_t entry, uint32_t i)
{
    return exec->engine->ops->inputs(exec->engine, entry) +
           exec->step->entries[entry].inputs[i].offset;
}

const void *exec_output(const Exec *exec, uint32_t entry, uint32_t i)
{
    return exec->engine->ops->outputs(exec->engine, entry) +
           exec->step->entries[entry].outputs[i].offset;
}

const void *exec_state(Exec *exec, uint32_t i, Error *err)
{
    const CztTensor *t = &exec->step->state[i];
    return exec->engine->ops->read(exec->engine, t->offset, t->bytes, err);
}

const uint8_t *exec_snapshot(Exec *exec, Error *err)
{
    return exec->engine->ops->snapshot ? exec->engine->ops->snapshot(exec->engine, err) : NULL;
}

bool exec_put_state(Exec *exec, uint32_t i, const void *from, Error *err)
{
    const CztTensor *t = &exec->step->state[i];
    return exec->engine->ops->write(exec->engine, t->offset, from, t->bytes, err);
}

void *exec_state_address(const Exec *exec, uint32_t i)
{
    return (uint8_t *)exec->engine->ops->state(exec->engine) + exec->step->state[i].offset;
}

ExecTime exec_time(const Exec *exec, uint32_t entry, uint32_t launch)
{
    const ExecTime *times = exec->engine->ops->times(exec->engine, entry);
    return times[launch];
}

void exec_clear_times(Exec *exec)
{
    for (uint32_t i = 0; i < exec->step->nentries; i++) {
        ExecTime *times = exec->engine->ops->times(exec->engine, i);
        memset(times, 0, exec->step->entries[i].nlaunches * sizeof *times);
    }
}

// The number of the state tensor of that name and size, or -1.
static int32_t state_named(const Exec *exec, const char *name, size_t bytes, Error *err)
{
    const Step *step = exec->step;
    int32_t i = tensor_find(step->state, step->nstate, name);
    if (i < 0)
        error_set(err, "%s: no state tensor '%s'", step->file, name);
    else if ((size_t)step->state[i].bytes != bytes)
        error_set(err, "%s: state tensor '%s' has %lld bytes, not %zu", step->file, name,
                  (long long)step->state[i].bytes, bytes);
    else
        return i;
    return -1;
}

bool exec_get_state(Exec *exec, const char *name, void *data, size_t bytes, Error *err)
{
    int32_t i = state_named(exec, name, bytes, err);
    const void *from = i < 0 ? NULL : exec_state(exec, (uint32_t)i, err);
    if (from) memcpy(data, from, bytes);
    return from != NULL;
}

bool exec_set_state(Exec *exec, const char *name, const void *data, size_t bytes, Error *err)
{
    int32_t i = state_named(exec, name, bytes, err);
    return i >= 0 && exec_put_state(exec, (uint32_t)i, data, err);
}

// The first elements of a result that are not finite, where none was found before.
static void look_for(const StepKernel *k, const StepSegment *s, CztDtype dtype, const void *data,
                     int64_t n, ExecTrouble *out)
{
    for (int64_t i = 0; i < n && !out->nan.kernel; i++) {
        double x = value_get(dtype, data, i);
        if (isfinite(x)) continue;
        ExecPlace *to = isnan(x) ? &out->nan : &out->infinity;
        if (!to->kernel) *to = (ExecPlace){k, s, i, n};
    }
}

static bool look_at(Exec *exec, uint32_t entry, const StepSegment *s, ExecTrouble *out, Error *err)
{
    const StepKernel *k = &exec->step->kernels[s->kernel];
    for (uint32_t b = 0; b < k->nextents && !out->nan.kernel; b++) {
        const StepExtent *x = &k->extents[b];
        // A workspace is written where a library does the product, and read by its rest alone.
        bool workspace = k->product && k->product->workspace && k->product->c.buffer == b;
        if (!x->written || !value_is_float(x->dtype) || workspace) continue;
        const void *data =
            exec->engine->ops->peek(exec->engine, entry, &s->buffers[b], x->bytes, err);
        if (!data) return false;
        look_for(k, s, x->dtype, data, x->bytes / czt_dtype_size(x->dtype), out);
    }
    return true;
}

static bool look_through(Exec *exec, uint32_t entry, ExecTrouble *trouble, Error *err)
{
    const StepEntry *e = &exec->step->entries[entry];
    for (uint32_t l = 0; l < e->nlaunches && !trouble->nan.kernel; l++) {
        if (!exec->engine->ops->launch(exec->engine, entry, l, err)) return false;
        for (uint32_t i = 0; i < e->launches[l].n && !trouble->nan.kernel; i++)
            if (!look_at(exec, entry, &e->launches[l].segments[i], trouble, err)) return false;
    }
    return true;
}

// What the failed run left there is not to be found first.
static bool clear_transient(Exec *exec, Error *err)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < exec->step->nstate; i++) {
        const CztTensor *t = &exec->step->state[i];
        if (t->kind != CZT_TRANSIENT) continue;
        void *zeros = calloc(1, (size_t)t->bytes + 1);
        ok = zeros ? exec_put_state(exec, i, zeros, err)
                   : error_set(err, "%s: no memory", exec->step->file);
        free(zeros);
    }
    return ok;
}

// The entries before run again, a part at a time; they leave no state that lasts.
static bool look_before(Exec *exec, uint32_t entry, ExecTrouble *trouble, Error *err)
{
    const StepEntry *e = &exec->step->entries[entry];
    if (!clear_transient(exec, err)) return false;
    for (uint32_t i = 0; i < e->nbefore; i++)
        for (int64_t part = 0; part < e->before[i].parts && !trouble->nan.kernel; part++) {
            uint32_t own = e->before[i].entry;
            fill_part(exec, entry, &e->before[i], part);
            if (!start_one(exec, own, exec->last.step, exec->last.seed, part, err) ||
                !exec_wait(exec, err) || !look_through(exec, own, trouble, err))
                return false;
        }
    return true;
}

bool exec_find_nonfinite(Exec *exec, uint32_t entry, ExecTrouble *trouble, Error *err)
{
    *trouble = (ExecTrouble){0};
    return look_before(exec, entry, trouble, err) &&
           (trouble->nan.kernel || look_through(exec, entry, trouble, err));
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
