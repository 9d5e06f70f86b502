// The CUDA engine: all of a program's blocks on one GPU, and every entry as one graph, whose nodes
// and edges are those of runtime/order.h. Nothing is allocated after the opening.
//
// The way of a run: the inputs that the host has filled (pinned memory) are copied to a staging
// block on a stream of their own, while the run before may still be at work; then on the main
// stream staging -> inputs, the graph, outputs -> host. start returns after all this is queued.
// With profile on, kernels are launched one by one between events instead.
#include "runtime/engine.h"

#include "runtime/cuda_driver.h"
#include "runtime/order.h"

#include <stdlib.h>
#include <string.h>

typedef struct CudaEntry {
    CuPtr inputs, staging, outputs;
    uint8_t *host_inputs, *host_outputs;
    CuEvent staged, taken; // staging filled; staging read
    Order order;
    void **parameters; // by node: its buffers' addresses one after the other, or its table's
    CuGraphExec graph;
    ExecTime *times;
} CudaEntry;

typedef struct CudaEngine {
    Engine base;
    const Step *step;
    Arena *arena;
    CudaDriver driver;
    CudaDevice device;
    CuContext context;
    CuModule *modules;     // by unit
    CuFunction *functions; // by kernel
    const char **what;     // by kernel: its name and line, for errors
    CuStream main, copy;
    CuEvent from, to; // around a kernel that is timed
    CuPtr state, scratch, constants, tables;
    uint8_t *host_tables; // the tables of all nodes, as they go to the GPU
    size_t table_bytes;
    CudaEntry *entries;
    void *bounce; // state that was read
    size_t bounce_size;
    bool profile;
    Error broken; // of a wait that had no other way to say it
} CudaEngine;

static bool check(CudaEngine *c, CuResult result, const char *what, Error *err)
{
    if (!result) return true;
    Error inner = {0};
    cuda_check(&c->driver, result, what, &inner);
    return error_set(err, "%s: GPU %d (%s): %s", c->step->file, c->base.device.number,
                     c->device.name, inner.text);
}

// ---- the image ----------------------------------------------------------------------------------

// Does code of this architecture run on the GPU, and how well: 0 no, else the larger the better.
static int suits(const char *arch, const CudaDevice *d)
{
    int number = 0, capability = 10 * d->major + d->minor;
    if (strcmp(arch, "text") == 0) return d->major == 0; // no GPU has that
    bool ptx = strncmp(arch, "compute_", 8) == 0;
    if (!ptx && strncmp(arch, "sm_", 3)) return 0;
    char *end;
    number = (int)strtol(arch + (ptx ? 8 : 3), &end, 10);
    if (*end == 'a') return number == capability ? 1000 : 0;
    if (number > capability) return 0;
    if (ptx) return 1;
    return number / 10 == d->major ? number : 0;
}

static const StepImage *choose_image(const CudaEngine *c, Error *err)
{
    const Step *step = c->step;
    const StepImage *best = NULL;
    const char *have = "";
    int most = 0;
    for (uint32_t i = 0; i < step->nimages; i++) {
        int how = suits(step->images[i].arch, &c->device);
        have = str_printf(c->arena, "%s%s%s", have, i ? ", " : "", step->images[i].arch);
        if (how <= most) continue;
        most = how;
        best = &step->images[i];
    }
    if (!best)
        error_set(err,
                  "%s: made for %s; GPU %d (%s) has compute capability %d.%d: compile it with "
                  "--target cuda:sm_%d%d",
                  step->file, have, c->base.device.number, c->device.name, c->device.major,
                  c->device.minor, c->device.major, c->device.minor);
    return best;
}

static bool load_unit(CudaEngine *c, const StepImage *image, uint32_t unit, Error *err)
{
    CuResult result = c->driver.module_load(&c->modules[unit], image->units[unit]);
    if (result == CU_UNSUPPORTED_PTX_VERSION || result == CU_NO_BINARY_FOR_GPU ||
        result == CU_INVALID_IMAGE)
        return error_set(err,
                         "%s: the driver (for CUDA %d.%d) does not take the step's code for %s: a "
                         "newer driver is needed, or a step compiled with an older NVRTC",
                         c->step->file, c->device.version / 1000, c->device.version % 1000 / 10,
                         image->arch);
    return check(c, result, "loading the kernels", err);
}

static bool find_kernel(CudaEngine *c, uint32_t i, Error *err)
{
    const StepKernel *k = &c->step->kernels[i];
    c->what[i] = str_printf(c->arena, "kernel %s%s%s%s", k->name, k->nlines ? " (" : "",
                            k->nlines ? k->lines[0] : "", k->nlines ? ")" : "");
    return check(c, c->driver.module_function(&c->functions[i], c->modules[k->unit], k->symbol),
                 c->what[i], err) &&
           (k->shared_bytes <= 48 << 10 ||
            check(c,
                  c->driver.function_set(c->functions[i], CU_FUNCTION_DYNAMIC_SHARED,
                                         (int)k->shared_bytes),
                  c->what[i], err));
}

static bool load_kernels(CudaEngine *c, Error *err)
{
    const StepImage *image = choose_image(c, err);
    bool ok = image != NULL;
    for (uint32_t i = 0; ok && i < c->step->nunits; i++) ok = load_unit(c, image, i, err);
    for (uint32_t i = 0; ok && i < c->step->nkernels; i++) ok = find_kernel(c, i, err);
    return ok;
}

// ---- memory -------------------------------------------------------------------------------------

static int64_t scratch_bytes(const Step *step)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < step->nentries; i++)
        if (step->entries[i].scratch_bytes > most) most = step->entries[i].scratch_bytes;
    return most;
}

// What the plan needs against what there is, before anything is allocated.
static bool check_room(CudaEngine *c, Error *err)
{
    const Step *step = c->step;
    size_t available, total;
    int64_t batch_bytes = scratch_bytes(step),
            fixed = step->state_bytes + step->const_bytes + (int64_t)c->table_bytes;
    for (uint32_t i = 0; i < step->nentries; i++)
        batch_bytes += 2 * step->entries[i].input_bytes + step->entries[i].output_bytes;
    if (!check(c, c->driver.memory_info(&available, &total), "asking for free memory", err))
        return false;
    double mib = 1 << 20, left = (double)available - (double)fixed;
    if ((double)batch_bytes <= left) return true;
    int64_t fits = left > 0 ? (int64_t)(left / (double)batch_bytes * (double)step->batch) : 0;
    error_set(err,
              "%s: the plan needs %.0f MiB (state %.0f, the batch of %lld %.0f); GPU %d (%s) has "
              "%.0f MiB free of %.0f: %s",
              step->file, (double)(fixed + batch_bytes) / mib, (double)fixed / mib,
              (long long)step->batch, (double)batch_bytes / mib, c->base.device.number,
              c->device.name, (double)available / mib, (double)total / mib,
              fits > 0 ? str_printf(c->arena, "a batch of about %lld would fit", (long long)fits)
                       : "the state alone does not fit");
    return false;
}

static bool allocate(CudaEngine *c, CuPtr *to, int64_t bytes, const char *what, Error *err)
{
    c->base.device.bytes += bytes;
    return check(c, c->driver.memory_alloc(to, (size_t)bytes + 1), // so that every address is one
                 str_printf(c->arena, "%lld bytes for %s", (long long)bytes, what), err);
}

static bool allocate_host(CudaEngine *c, uint8_t **to, int64_t bytes, Error *err)
{
    void *p = NULL;
    if (!check(c, c->driver.host_alloc(&p, (size_t)bytes + 1, 0),
               str_printf(c->arena, "%lld bytes of pinned memory", (long long)bytes), err))
        return false;
    memset(p, 0, (size_t)bytes + 1);
    *to = p;
    return true;
}

static bool allocate_blocks(CudaEngine *c, Error *err)
{
    const Step *step = c->step;
    if (!check_room(c, err) || !allocate(c, &c->state, step->state_bytes, "state", err) ||
        !allocate(c, &c->scratch, scratch_bytes(step), "scratch", err) ||
        !allocate(c, &c->constants, step->const_bytes, "constants", err) ||
        !allocate(c, &c->tables, (int64_t)c->table_bytes, "tables", err))
        return false;
    for (uint32_t i = 0; i < step->nentries; i++) {
        const StepEntry *s = &step->entries[i];
        CudaEntry *e = &c->entries[i];
        if (!allocate(c, &e->inputs, s->input_bytes, "inputs", err) ||
            !allocate(c, &e->staging, s->input_bytes, "inputs", err) ||
            !allocate(c, &e->outputs, s->output_bytes, "outputs", err) ||
            !allocate_host(c, &e->host_inputs, s->input_bytes, err) ||
            !allocate_host(c, &e->host_outputs, s->output_bytes, err) ||
            !check(c, c->driver.event_create(&e->staged, CU_EVENT_UNTIMED), "an event", err) ||
            !check(c, c->driver.event_create(&e->taken, CU_EVENT_UNTIMED), "an event", err))
            return false;
    }
    return !step->const_bytes || check(c,
                                       c->driver.to_device(c->constants, step->constants,
                                                           (size_t)step->const_bytes, c->main),
                                       "copying constants", err);
}

static CuPtr block_of(const CudaEngine *c, const CudaEntry *e, StepSpace space)
{
    switch (space) {
    case SPACE_STATE: return c->state;
    case SPACE_SCRATCH: return c->scratch;
    case SPACE_INPUT: return e->inputs;
    case SPACE_OUTPUT: return e->outputs;
    case SPACE_CONST: return c->constants;
    case SPACES: break;
    }
    bug("block %d", (int)space);
}

// ---- tables: a row a segment, then the row of every block (docs/step-format.md)

static const StepKernel *kernel_of(const CudaEngine *c, const OrderNode *node, uint32_t segment)
{
    return &c->step->kernels[node->segments[segment]->kernel];
}

static uint32_t blocks_of(const CudaEngine *c, const OrderNode *node)
{
    uint32_t blocks = 0;
    for (uint32_t s = 0; s < node->n; s++) blocks += kernel_of(c, node, s)->blocks[0];
    return blocks;
}

static size_t row_words(const OrderNode *node)
{
    return node->segments[0]->nbuffers + 3;
}

static size_t table_bytes(const CudaEngine *c, const OrderNode *node)
{
    if (!kernel_of(c, node, 0)->table) return 0;
    size_t bytes = 8 * row_words(node) * node->n + 4 * (size_t)blocks_of(c, node);
    return (bytes + 15) / 16 * 16;
}

static void find_orders(CudaEngine *c)
{
    for (uint32_t i = 0; i < c->step->nentries; i++) {
        Order *o = &c->entries[i].order;
        order_find(c->arena, c->step, &c->step->entries[i], o);
        for (uint32_t n = 0; n < o->n; n++) c->table_bytes += table_bytes(c, &o->nodes[n]);
    }
}

static void put_addresses(const CudaEngine *c, const CudaEntry *e, const StepSegment *s, CuPtr *to)
{
    for (uint32_t b = 0; b < s->nbuffers; b++)
        to[b] = block_of(c, e, s->buffers[b].space) + (CuPtr)s->buffers[b].offset;
}

static void put_table(CudaEngine *c, const CudaEntry *e, const OrderNode *node, uint8_t *to)
{
    size_t words = row_words(node);
    CuPtr *rows = (CuPtr *)(void *)to;
    uint32_t *row_of = (uint32_t *)(rows + words * node->n), first = 0;
    for (uint32_t s = 0; s < node->n; s++, rows += words) {
        const StepKernel *k = kernel_of(c, node, s);
        put_addresses(c, e, node->segments[s], rows);
        rows[words - 3] = (CuPtr)k->size[0];
        rows[words - 2] = (CuPtr)k->size[1];
        rows[words - 1] = first;
        for (uint32_t b = 0; b < k->blocks[0]; b++) row_of[first++] = s;
    }
}

// A kernel's one parameter: the struct of its buffers' addresses, or where its table lies.
static void bind(CudaEngine *c, CudaEntry *e, size_t *table)
{
    e->parameters = arena_array(c->arena, void *, e->order.n + 1);
    for (uint32_t i = 0; i < e->order.n; i++) {
        const OrderNode *node = &e->order.nodes[i];
        size_t bytes = table_bytes(c, node);
        CuPtr *addresses = arena_array(c->arena, CuPtr, node->segments[0]->nbuffers + 2);
        e->parameters[i] = addresses;
        if (!bytes) {
            put_addresses(c, e, node->segments[0], addresses);
            continue;
        }
        put_table(c, e, node, c->host_tables + *table);
        addresses[0] = c->tables + *table;
        addresses[1] = addresses[0] + 8 * row_words(node) * node->n;
        *table += bytes;
    }
}

static bool bind_all(CudaEngine *c, Error *err)
{
    size_t table = 0;
    c->host_tables = arena_alloc(c->arena, c->table_bytes + 16);
    for (uint32_t i = 0; i < c->step->nentries; i++) bind(c, &c->entries[i], &table);
    return !table || check(c, c->driver.to_device(c->tables, c->host_tables, table, c->main),
                           "copying tables", err);
}

// ---- graphs -------------------------------------------------------------------------------------

static bool add_nodes(CudaEngine *c, CudaEntry *e, CuGraph graph, Error *err)
{
    CuGraphNode *nodes = arena_array(c->arena, CuGraphNode, e->order.n + 1),
                *after = arena_array(c->arena, CuGraphNode, e->order.n + 1);
    for (uint32_t i = 0; i < e->order.n; i++) {
        const OrderNode *o = &e->order.nodes[i];
        const StepKernel *k = kernel_of(c, o, 0);
        void *parameters[] = {e->parameters[i]};
        CuKernelNode node = {.function = c->functions[o->segments[0]->kernel],
                             .grid_x = blocks_of(c, o),
                             .grid_y = k->blocks[1],
                             .grid_z = 1,
                             .block_x = k->threads,
                             .block_y = 1,
                             .block_z = 1,
                             .shared_bytes = k->shared_bytes,
                             .parameters = parameters};
        for (uint32_t a = 0; a < o->nafter; a++) after[a] = nodes[o->after[a]];
        if (!check(c, c->driver.graph_kernel(&nodes[i], graph, after, o->nafter, &node),
                   c->what[o->segments[0]->kernel], err))
            return false;
    }
    return true;
}

static bool build_graph(CudaEngine *c, uint32_t entry, Error *err)
{
    CudaEntry *e = &c->entries[entry];
    const StepEntry *s = &c->step->entries[entry];
    CuGraph graph = NULL;
    e->times = arena_array(c->arena, ExecTime, s->nlaunches + 1);
    if (!check(c, c->driver.graph_create(&graph, 0), "making a graph", err)) return false;
    bool ok = add_nodes(c, e, graph, err) &&
              check(c, c->driver.graph_instantiate(&e->graph, graph, 0), "making a graph", err);
    c->driver.graph_destroy(graph);
    return ok;
}

// ---- runs ---------------------------------------------------------------------------------------

static bool run_timed(CudaEngine *c, CudaEntry *e, uint32_t i, Error *err)
{
    const OrderNode *o = &e->order.nodes[i];
    const StepKernel *k = kernel_of(c, o, 0);
    void *parameters[] = {e->parameters[i]};
    float ms = 0;
    CuFunction function = c->functions[o->segments[0]->kernel];
    const char *what = c->what[o->segments[0]->kernel];
    bool ok = check(c, c->driver.event_record(c->from, c->main), what, err) &&
              check(c,
                    c->driver.launch(function, blocks_of(c, o), k->blocks[1], 1, k->threads, 1, 1,
                                     k->shared_bytes, c->main, parameters, NULL),
                    what, err) &&
              check(c, c->driver.event_record(c->to, c->main), what, err) &&
              check(c, c->driver.event_synchronize(c->to), what, err) &&
              check(c, c->driver.event_elapsed(&ms, c->from, c->to), what, err);
    e->times[o->launch].seconds += 1e-3 * (double)ms;
    return ok;
}

// The kernels one by one, each timed and waited for: an error tells which it was.
static bool run_profiled(CudaEngine *c, uint32_t entry, Error *err)
{
    CudaEntry *e = &c->entries[entry];
    for (uint32_t i = 0; i < e->order.n; i++)
        if (!run_timed(c, e, i, err)) return false;
    for (uint32_t l = 0; l < c->step->entries[entry].nlaunches; l++) e->times[l].calls++;
    return true;
}

static bool stage_inputs(CudaEngine *c, uint32_t entry, Error *err)
{
    CudaEntry *e = &c->entries[entry];
    size_t bytes = (size_t)c->step->entries[entry].input_bytes;
    const char *what = "copying inputs";
    return !bytes ||
           (check(c, c->driver.stream_wait(c->copy, e->taken, 0), what, err) &&
            check(c, c->driver.to_device(e->staging, e->host_inputs, bytes, c->copy), what, err) &&
            check(c, c->driver.event_record(e->staged, c->copy), what, err) &&
            check(c, c->driver.stream_wait(c->main, e->staged, 0), what, err) &&
            check(c, c->driver.on_device(e->inputs, e->staging, bytes, c->main), what, err) &&
            check(c, c->driver.event_record(e->taken, c->main), what, err));
}

static bool start(Engine *engine, uint32_t entry, Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    CudaEntry *e = &c->entries[entry];
    size_t bytes = (size_t)c->step->entries[entry].output_bytes;
    if (c->broken.set) return error_set(err, "%s", c->broken.text);
    return check(c, c->driver.context_set(c->context), "using the GPU", err) &&
           stage_inputs(c, entry, err) &&
           (c->profile
                ? run_profiled(c, entry, err)
                : check(c, c->driver.graph_launch(e->graph, c->main), "launching the step", err)) &&
           (!bytes || check(c, c->driver.to_host(e->host_outputs, e->outputs, bytes, c->main),
                            "copying outputs", err));
}

static bool wait(Engine *engine, Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    if (c->broken.set) return error_set(err, "%s", c->broken.text);
    return check(c, c->driver.context_set(c->context), "using the GPU", err) &&
           check(c, c->driver.stream_synchronize(c->main), "running the step", err);
}

// They may be filled once the copy of the last ones is done.
static uint8_t *inputs(Engine *engine, uint32_t entry)
{
    CudaEngine *c = (CudaEngine *)engine;
    c->driver.context_set(c->context);
    check(c, c->driver.event_synchronize(c->entries[entry].staged), "copying inputs", &c->broken);
    return c->entries[entry].host_inputs;
}

static const uint8_t *outputs(Engine *engine, uint32_t entry)
{
    return ((CudaEngine *)engine)->entries[entry].host_outputs;
}

// ---- state --------------------------------------------------------------------------------------

static bool clear(Engine *engine, Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    size_t bytes = (size_t)c->step->state_bytes;
    return wait(engine, err) &&
           (!bytes || check(c, c->driver.set_bytes(c->state, 0, bytes, c->main),
                            "clearing the state", err)) &&
           wait(engine, err);
}

static const void *read(Engine *engine, int64_t offset, int64_t bytes, Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    if ((size_t)bytes + 1 > c->bounce_size) {
        free(c->bounce);
        c->bounce_size = (size_t)bytes + 1;
        c->bounce = malloc(c->bounce_size);
    }
    if (!c->bounce) {
        c->bounce_size = 0;
        error_set(err, "%s: no memory for %lld bytes of state", c->step->file, (long long)bytes);
        return NULL;
    }
    bool ok =
        wait(engine, err) &&
        (!bytes ||
         check(c, c->driver.to_host(c->bounce, c->state + (CuPtr)offset, (size_t)bytes, c->main),
               "copying state", err)) &&
        wait(engine, err);
    return ok ? c->bounce : NULL;
}

static bool write(Engine *engine, int64_t offset, const void *from, int64_t bytes, Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    return wait(engine, err) &&
           (!bytes ||
            check(c, c->driver.to_device(c->state + (CuPtr)offset, from, (size_t)bytes, c->main),
                  "copying state", err)) &&
           wait(engine, err);
}

static void *state(const Engine *engine)
{
    return (void *)(uintptr_t)((const CudaEngine *)engine)->state;
}

static ExecTime *times(Engine *engine, uint32_t entry)
{
    return ((CudaEngine *)engine)->entries[entry].times;
}

// ---- opening and closing ------------------------------------------------------------------------

static void free_entry(CudaEngine *c, CudaEntry *e)
{
    const CudaDriver *d = &c->driver;
    if (e->graph) d->graph_exec_destroy(e->graph);
    if (e->staged) d->event_destroy(e->staged);
    if (e->taken) d->event_destroy(e->taken);
    if (e->inputs) d->memory_free(e->inputs);
    if (e->staging) d->memory_free(e->staging);
    if (e->outputs) d->memory_free(e->outputs);
    if (e->host_inputs) d->host_free(e->host_inputs);
    if (e->host_outputs) d->host_free(e->host_outputs);
}

static void free_engine(Engine *engine)
{
    CudaEngine *c = (CudaEngine *)engine;
    const CudaDriver *d = &c->driver;
    free(c->bounce);
    if (c->context) {
        d->context_set(c->context);
        if (c->main) d->stream_synchronize(c->main);
        for (uint32_t i = 0; i < c->step->nentries; i++) free_entry(c, &c->entries[i]);
        if (c->state) d->memory_free(c->state);
        if (c->scratch) d->memory_free(c->scratch);
        if (c->constants) d->memory_free(c->constants);
        if (c->tables) d->memory_free(c->tables);
        for (uint32_t i = 0; i < c->step->nunits; i++)
            if (c->modules[i]) d->module_unload(c->modules[i]);
        if (c->from) d->event_destroy(c->from);
        if (c->to) d->event_destroy(c->to);
        if (c->main) d->stream_destroy(c->main);
        if (c->copy) d->stream_destroy(c->copy);
        d->context_release(c->device.device);
    }
    cuda_driver_close(&c->driver);
}

static bool open_device(CudaEngine *c, Error *err)
{
    const CudaDriver *d = &c->driver;
    return cuda_driver_open(&c->driver, err) &&
           cuda_device_open(d, c->base.device.number, &c->device, err) &&
           check(c, d->context_retain(&c->context, c->device.device), "opening the GPU", err) &&
           check(c, d->context_set(c->context), "opening the GPU", err) &&
           check(c, d->stream_create(&c->main, CU_NONBLOCKING_STREAM), "a stream", err) &&
           check(c, d->stream_create(&c->copy, CU_NONBLOCKING_STREAM), "a stream", err) &&
           check(c, d->event_create(&c->from, CU_EVENT_TIMED), "an event", err) &&
           check(c, d->event_create(&c->to, CU_EVENT_TIMED), "an event", err);
}

Engine *engine_cuda(Arena *arena, const Step *step, const ExecOptions *options, Error *err)
{
    static const EngineOps ops = {free_engine, start, wait,  inputs, outputs,
                                  clear,       read,  write, state,  times};
    CudaEngine *c = arena_make(arena, CudaEngine);
    *c = (CudaEngine){.base = {&ops, {true, options->device, c->device.name, 0}},
                      .step = step,
                      .arena = arena,
                      .modules = arena_array(arena, CuModule, step->nunits + 1),
                      .what = arena_array(arena, const char *, step->nkernels + 1),
                      .functions = arena_array(arena, CuFunction, step->nkernels + 1),
                      .entries = arena_array(arena, CudaEntry, step->nentries + 1),
                      .profile = options->profile};
    find_orders(c);
    bool ok =
        open_device(c, err) && load_kernels(c, err) && allocate_blocks(c, err) && bind_all(c, err);
    for (uint32_t i = 0; ok && i < step->nentries; i++) ok = build_graph(c, i, err);
    if (ok && clear(&c->base, err)) return &c->base;
    free_engine(&c->base);
    return NULL;
}
