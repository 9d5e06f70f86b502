// A program's memory on a GPU: all of it is allocated at the opening. What it needs is held against
// what there is before, and an error says what would fit: a limit that the compiler keeps to (the
// step file says the least), or a batch.
#include "runtime/cuda_engine.h"

#include <string.h>

static int64_t scratch_bytes(const Step *step)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < step->nentries; i++)
        if (step->entries[i].scratch_bytes > most) most = step->entries[i].scratch_bytes;
    return most;
}

// Does the entry run before another one, whose inputs have to stay meanwhile?
static bool runs_before(const Step *step, uint32_t entry)
{
    for (uint32_t i = 0; i < step->nentries; i++)
        for (uint32_t k = 0; k < step->entries[i].nbefore; k++)
            if (step->entries[i].before[k].entry == entry) return true;
    return false;
}

// One run follows the other, so all entries share a block of inputs, as large as the largest: of
// the shapes and phases of a step each has its own.
static int64_t inputs_bytes(const Step *step, bool before)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < step->nentries; i++)
        if (runs_before(step, i) == before && step->entries[i].input_bytes > most)
            most = step->entries[i].input_bytes;
    return most;
}

static int64_t staging_bytes(const Step *step)
{
    int64_t own = inputs_bytes(step, false), before = inputs_bytes(step, true);
    return own > before ? own : before;
}

// ---- need and room ------------------------------------------------------------------------------

enum { GRAPH_BYTES = 64 << 10, NODE_BYTES = 4 << 10 }; // what drivers keep of a graph, about

static const int64_t MIB = 1 << 20;

typedef struct Need {
    int64_t state;  // with constants: whatever the batch is
    int64_t batch;  // inputs, what is computed of them, outputs
    int64_t beside; // the plan: tables, and what the driver keeps of graphs
} Need;

static int64_t graphs_bytes(const Step *step)
{
    int64_t bytes = (int64_t)step->nentries * GRAPH_BYTES;
    for (uint32_t i = 0; i < step->nentries; i++)
        for (uint32_t l = 0; l < step->entries[i].nlaunches; l++)
            bytes += (int64_t)step->entries[i].launches[l].n * NODE_BYTES;
    return bytes;
}

static Need need_of(const CudaEngine *c)
{
    const Step *step = c->step;
    Need n = {.state = step->state_bytes + step->const_bytes,
              .batch = scratch_bytes(step) + inputs_bytes(step, false) + inputs_bytes(step, true) +
                       staging_bytes(step),
              .beside = cuda_tables_bytes(c) + graphs_bytes(step)};
    for (uint32_t i = 0; i < step->nentries; i++) n.batch += step->entries[i].output_bytes;
    return n;
}

// Free memory, and what the program holds already.
static bool ask(CudaEngine *c, int64_t *room, int64_t *total, Error *err)
{
    size_t available, all;
    CuResult result = c->driver.memory_info(&available, &all);
    if (!cuda_check(&c->driver, result, "asking for free memory", err)) return false;
    *room = (int64_t)available + c->base.device.bytes;
    *total = (int64_t)all;
    return true;
}

bool cuda_memory_has(CudaEngine *c, int64_t bytes)
{
    Error none = {0};
    int64_t room, total;
    return ask(c, &room, &total, &none) &&
           room >= c->base.device.bytes + bytes + graphs_bytes(c->step);
}

// The gradients of parameters are in scratch memory, whatever the batch is.
static int64_t gradient_bytes(const Step *step)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < step->nstate; i++)
        if (step->state[i].kind == CZT_PARAM)
            bytes += step->state[i].bytes / czt_dtype_size(step->state[i].dtype) * 4;
    return bytes;
}

// The largest batch that surely fits into so much, by what this one takes; 0: none, or it is
// not known. One in parts is a multiple of their number.
static int64_t batch_within(const Step *step, const Need *n, int64_t bytes)
{
    int64_t fixed = gradient_bytes(step), parts = 1;
    json_t *train = json_object_get(step->manifest, "train");
    if (json_array_size(json_object_get(train, "shapes")) > 1 || n->batch <= fixed) return 0;
    for (uint32_t i = 0; i < step->nentries; i++)
        for (uint32_t k = 0; k < step->entries[i].nbefore; k++)
            if (step->entries[i].before[k].parts > parts) parts = step->entries[i].before[k].parts;
    double share = (double)(bytes - n->state - fixed) / (double)(n->batch - fixed);
    int64_t fits = share > 0 ? (int64_t)(share * (double)step->batch) : 0;
    return fits < step->batch ? fits - fits % parts : 0;
}

// What to do where the plan may take so many bytes: what the compiler is known to take, where that
// is known.
static const char *advice(const CudaEngine *c, const Need *n, int64_t bytes)
{
    const Step *step = c->step;
    long long limit = bytes / MIB, batch = batch_within(step, n, bytes);
    const char *memory = str_printf(c->arena, "train.memory: %lld MiB", limit);
    if (bytes < n->state) return "there is not even room for the state";
    if (bytes == n->state) return "there is room for the state alone";
    if (!step->least_bytes)
        return str_printf(c->arena, "compile it with %s, or with a smaller batch", memory);
    bool stays = step->limit_bytes > limit * MIB; // a limit that is too large for any batch
    const char *smaller = batch ? str_printf(c->arena, "a batch of %lld%s%s", batch,
                                             stays ? " and " : "", stays ? memory : "")
                                : "";
    if (step->least_bytes <= limit * MIB)
        return str_printf(c->arena, "compile it with %s%s%s", memory, batch ? ", or with " : "",
                          smaller);
    return str_printf(c->arena, "with this batch it can be made to take %lld MiB%s%s",
                      (long long)((step->least_bytes + n->beside) / MIB + 1),
                      batch
                          ? "; compile it with "
                          : "; a smaller one, or one in more parts (train.accumulate), takes less",
                      smaller);
}

void cuda_memory_short(CudaEngine *c, Error *err)
{
    Error none = {0};
    int64_t room, total;
    const Need n = need_of(c);
    const int64_t all = n.state + n.batch + n.beside;
    if (!ask(c, &room, &total, &none)) return;
    // The driver's word that there is too little counts more than its numbers.
    int64_t within = room < all ? room : all - all / 8;
    size_t at = strlen(err->text);
    snprintf(err->text + at, sizeof err->text - at,
             ": the plan needs %lld MiB (state %lld, the batch of %lld %lld, tables and graphs "
             "%lld), free are %lld of %lld%s: %s",
             (long long)(all / MIB + 1), (long long)(n.state / MIB + 1), (long long)c->step->batch,
             (long long)(n.batch / MIB + 1), (long long)(n.beside / MIB + 1),
             (long long)(room / MIB), (long long)(total / MIB),
             total - all > total / 16 ? " (nvidia-smi tells who has the rest)" : "",
             advice(c, &n, within - n.beside - n.beside / 2));
}

// Before anything is allocated.
static bool check_room(CudaEngine *c, Error *err)
{
    int64_t room, total;
    const Need n = need_of(c);
    if (!ask(c, &room, &total, err)) return false;
    if (n.state + n.batch + n.beside <= room) return true;
    error_set(err, "%s: GPU %d (%s) has too little memory", c->step->file, c->base.device.number,
              c->device.name);
    cuda_memory_short(c, err);
    return false;
}

// ---- the blocks ---------------------------------------------------------------------------------

static bool allocate(CudaEngine *c, CuPtr *to, int64_t bytes, const char *what, Error *err)
{
    if (!cuda_engine_check(
            c, c->driver.memory_alloc(to, (size_t)bytes + 1), // so that every address is one
            str_printf(c->arena, "%lld bytes for %s", (long long)bytes, what), err))
        return false;
    c->base.device.bytes += bytes;
    return true;
}

bool cuda_memory_host(CudaEngine *c, uint8_t **to, int64_t bytes, Error *err)
{
    void *p = NULL;
    CuResult result = c->driver.host_alloc(&p, (size_t)bytes + 1, 0);
    if (result == CU_OUT_OF_MEMORY)
        return error_set(err,
                         "%s: this machine (not its GPU) has no %lld bytes of memory that can be "
                         "pinned: end other programs, or see ulimit -l and limits of a container",
                         c->step->file, (long long)bytes);
    if (!cuda_engine_check(c, result, "pinned memory", err)) return false;
    memset(p, 0, (size_t)bytes + 1);
    *to = p;
    return true;
}

bool cuda_memory_allocate(CudaEngine *c, Error *err)
{
    const Step *step = c->step;
    if (!check_room(c, err) || !allocate(c, &c->state, step->state_bytes, "state", err) ||
        !allocate(c, &c->scratch, scratch_bytes(step), "scratch", err) ||
        !allocate(c, &c->constants, step->const_bytes, "constants", err) ||
        !allocate(c, &c->tables, cuda_tables_bytes(c), "tables", err) ||
        !allocate(c, &c->inputs[0], inputs_bytes(step, false), "inputs", err) ||
        !allocate(c, &c->inputs[1], inputs_bytes(step, true), "inputs", err) ||
        !allocate(c, &c->staging, staging_bytes(step), "inputs", err) ||
        !cuda_engine_check(c, c->driver.event_create(&c->taken, CU_EVENT_UNTIMED), "an event", err))
        return false;
    for (uint32_t i = 0; i < step->nentries; i++) {
        const StepEntry *s = &step->entries[i];
        CudaEntry *e = &c->entries[i];
        e->inputs = c->inputs[runs_before(step, i)];
        if (!allocate(c, &e->outputs, s->output_bytes, "outputs", err) ||
            !cuda_memory_host(c, &e->host_inputs, s->host_bytes, err) ||
            !cuda_memory_host(c, &e->host_outputs, s->output_bytes, err) ||
            !cuda_engine_check(c, c->driver.event_create(&e->staged, CU_EVENT_UNTIMED), "an event",
                               err))
            return false;
    }
    return !step->const_bytes ||
           cuda_engine_check(c,
                             c->driver.to_device(c->constants, step->constants,
                                                 (size_t)step->const_bytes, c->main),
                             "copying constants", err);
}
