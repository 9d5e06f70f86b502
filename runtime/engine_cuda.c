// The CUDA engine: all of a program's blocks on one GPU, and every entry as one graph, whose edges
// are those of runtime/order.h. Nothing is allocated after the opening, where graphs are brought to
// the GPU too.
//
// The way of a run: the inputs that the host has filled (pinned memory) are copied to a staging
// block on a stream of their own, while the run before may still be at work; then on the main
// stream staging -> inputs, the graph, outputs -> host. Staging and inputs serve all entries. start
// returns after all this is queued. With profile on, kernels are launched one by one between events
// instead.
#include "runtime/cuda_engine.h"

#include <stdlib.h>
#include <string.h>

bool cuda_engine_check(CudaEngine *c, CuResult result, const char *what, Error *err)
{
    if (!result) return true;
    Error inner = {0};
    cuda_check(&c->driver, result, what, &inner);
    error_set(err, "%s: GPU %d (%s): %s", c->step->file, c->base.device.number, c->device.name,
              inner.text);
    if (result == CU_OUT_OF_MEMORY && !c->opened) cuda_memory_short(c, err);
    err->device |= c->opened && !c->profile; // else the kernel is named
    return false;
}

static bool check(CudaEngine *c, CuResult result, const char *what, Error *err)
{
    return cuda_engine_check(c, result, what, err);
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
    if (*end || number > capability) return 0;
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
                  "--target cuda:%s",
                  step->file, have, c->base.device.number, c->device.name, c->device.major,
                  c->device.minor, cuda_architecture(c->arena, &c->device));
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

// "kernel row_12 (graph.yaml:12:5, and 3 more in one launch)"
static const char *what_of(CudaEngine *c, const StepKernel *k, const char *const *lines, uint32_t n,
                           uint32_t together)
{
    const char *line = n ? lines[0] : "", *more = "";
    if (together > 1)
        more = str_printf(c->arena, "%sand %u more in one launch", n ? ", " : "", together - 1);
    if (!*line && !*more) return str_printf(c->arena, "kernel %s", k->name);
    return str_printf(c->arena, "kernel %s (%s%s)", k->name, line, more);
}

static bool find_kernel(CudaEngine *c, uint32_t i, Error *err)
{
    const StepKernel *k = &c->step->kernels[i];
    c->what[i] = what_of(c, k, k->lines, k->nlines, 1);
    return check(c, c->driver.module_function(&c->functions[i], c->modules[k->unit], k->symbol),
                 c->what[i], err) &&
           (!k->shared_bytes ||
            check(c,
                  c->driver.function_set(c->functions[i], CU_FUNCTION_DYNAMIC_SHARED,
                                         (int)k->shared_bytes),
                  c->what[i], err));
}

static bool load_kernels(CudaEngine *c, Error *err)
{
    c->image = choose_image(c, err);
    bool ok = c->image != NULL;
    for (uint32_t i = 0; ok && i < c->step->nunits; i++) ok = load_unit(c, c->image, i, err);
    for (uint32_t i = 0; ok && i < c->step->nkernels; i++) ok = find_kernel(c, i, err);
    return ok;
}

// ---- graphs -------------------------------------------------------------------------------------

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

// A kernel's one parameter is the struct of its buffers' addresses, and its numbers behind them.
static void *addresses_of(CudaEngine *c, const CudaEntry *e, const StepSegment *s)
{
    const StepKernel *k = &c->step->kernels[s->kernel];
    CuPtr *addresses = arena_array(c->arena, CuPtr, s->nbuffers + k->nnumbers + 1);
    for (uint32_t b = 0; b < s->nbuffers; b++)
        addresses[b] = block_of(c, e, s->buffers[b].space) + (CuPtr)s->buffers[b].offset;
    for (uint32_t i = 0; i < k->nnumbers; i++) addresses[s->nbuffers + i] = (CuPtr)k->numbers[i];
    return addresses;
}

static void bind(CudaEngine *c, uint32_t entry)
{
    const StepEntry *s = &c->step->entries[entry];
    CudaEntry *e = &c->entries[entry];
    uint32_t n = 0;
    for (uint32_t l = 0; l < s->nlaunches; l++) n += s->launches[l].n;
    e->parameters = arena_array(c->arena, void *, n + 1);
    for (uint32_t l = 0, at = 0; l < s->nlaunches; l++)
        for (uint32_t i = 0; i < s->launches[l].n; i++)
            e->parameters[at++] = addresses_of(c, e, &s->launches[l].segments[i]);
}

static bool add_kernel(CudaEngine *c, CuGraph graph, const OrderNode *node, void *parameter,
                       const char *what, const CuGraphNode *after, CuGraphNode *to, Error *err)
{
    uint32_t kernel = node->segments[0]->kernel;
    const StepKernel *k = &c->step->kernels[kernel];
    void *parameters[] = {parameter};
    CuKernelNode own = {.function = c->functions[kernel],
                        .grid_x = cuda_node_blocks(c, node),
                        .grid_y = k->blocks[1],
                        .grid_z = 1,
                        .block_x = k->threads,
                        .block_y = 1,
                        .block_z = 1,
                        .shared_bytes = k->shared_bytes,
                        .parameters = parameters};
    return check(c, c->driver.graph_kernel(to, graph, after, node->nafter, &own), what, err);
}

// What a library puts on a stream, as one node.
static bool add_product(CudaEngine *c, CuGraph graph, const OrderNode *node, void *addresses,
                        const char *what, const CuGraphNode *after, CuGraphNode *to, Error *err)
{
    uint32_t kernel = node->segments[0]->kernel;
    enum { RELAXED = 2 };
    CuGraph inside = NULL;
    if (!check(c, c->driver.capture_begin(c->copy, RELAXED), what, err)) return false;
    bool ok = cuda_products_run(c, kernel, node->frozen, addresses, c->copy, err);
    ok = check(c, c->driver.capture_end(c->copy, &inside), what, err) && ok &&
         check(c, c->driver.graph_child(to, graph, after, node->nafter, inside), what, err);
    if (inside) c->driver.graph_destroy(inside);
    return ok;
}

static bool add_nodes(CudaEngine *c, CudaEntry *e, CuGraph graph, Error *err)
{
    CuGraphNode *nodes = arena_array(c->arena, CuGraphNode, e->order.n + 1),
                *after = arena_array(c->arena, CuGraphNode, e->order.n + 1);
    for (uint32_t i = 0; i < e->order.n; i++) {
        const OrderNode *node = &e->order.nodes[i];
        for (uint32_t a = 0; a < node->nafter; a++) after[a] = nodes[node->after[a]];
        if (!(c->products[node->segments[0]->kernel].algo < 0 ? add_kernel : add_product)(
                c, graph, node, e->node_parameters[i], e->what[i], after, &nodes[i], err))
            return false;
    }
    return true;
}

static bool build_graph(CudaEngine *c, uint32_t entry, Error *err)
{
    CudaEntry *e = &c->entries[entry];
    CuGraph graph = NULL;
    e->times = arena_array(c->arena, ExecTime, c->step->entries[entry].nlaunches + 1);
    if (!check(c, c->driver.graph_create(&graph, 0), "making a graph", err)) return false;
    bool ok = add_nodes(c, e, graph, err) &&
              check(c, c->driver.graph_instantiate(&e->graph, graph, 0), "making a graph", err) &&
              check(c, c->driver.graph_upload(e->graph, c->main), "loading a graph", err);
    c->driver.graph_destroy(graph);
    return ok;
}

static void name_nodes(CudaEngine *c, CudaEntry *e)
{
    e->what = arena_array(c->arena, const char *, e->order.n + 1);
    for (uint32_t i = 0; i < e->order.n; i++) {
        const StepSegment *s = e->order.nodes[i].segments[0];
        e->what[i] =
            what_of(c, &c->step->kernels[s->kernel], s->lines, s->nlines, e->order.nodes[i].n);
    }
}

// Every entry's graph, when it is known who does the products: those of the library share its
// workspace.
static bool build_graphs(CudaEngine *c, const ExecOptions *options, Error *err)
{
    bool *alone = arena_array(c->arena, bool, c->step->nkernels + 1), ok = true;
    for (uint32_t i = 0; i < c->step->nentries; i++) bind(c, i);
    if (!cuda_products_choose(c, options, err)) return false;
    for (uint32_t i = 0; i < c->step->nkernels; i++) alone[i] = c->products[i].algo >= 0;
    for (uint32_t i = 0; i < c->step->nentries; i++) {
        order_find(c->arena, c->step, &c->step->entries[i], alone, c->workspaces > 1,
                   &c->entries[i].order);
        name_nodes(c, &c->entries[i]);
    }
    ok = cuda_tables_bind(c, err);
    for (uint32_t i = 0; ok && i < c->step->nentries; i++) ok = build_graph(c, i, err);
    return ok;
}

// ---- runs ---------------------------------------------------------------------------------------

static bool launch_blocks(CudaEngine *c, uint32_t kernel, uint32_t blocks, void *parameter,
                          CuStream stream, Error *err)
{
    const StepKernel *k = &c->step->kernels[kernel];
    void *parameters[] = {parameter};
    return check(c,
                 c->driver.launch(c->functions[kernel], blocks, k->blocks[1], 1, k->threads, 1, 1,
                                  k->shared_bytes, stream, parameters, NULL),
                 c->what[kernel], err);
}

bool cuda_engine_launch(CudaEngine *c, uint32_t kernel, void *addresses, CuStream stream,
                        Error *err)
{
    return launch_blocks(c, kernel, c->step->kernels[kernel].blocks[0], addresses, stream, err);
}

// A node alone, timed and waited for: an error tells which it was.
static bool run_alone(CudaEngine *c, const OrderNode *node, void *parameter, const char *what,
                      float *ms, Error *err)
{
    uint32_t kernel = node->segments[0]->kernel;
    return check(c, c->driver.event_record(c->from, c->main), what, err) &&
           (c->products[kernel].algo < 0
                ? launch_blocks(c, kernel, cuda_node_blocks(c, node), parameter, c->main, err)
                : cuda_products_run(c, kernel, node->frozen, parameter, c->main, err)) &&
           check(c, c->driver.event_record(c->to, c->main), what, err) &&
           check(c, c->driver.event_synchronize(c->to), what, err) &&
           check(c, c->driver.event_elapsed(ms, c->from, c->to), what, err);
}

static bool run_launch(Engine *engine, uint32_t entry, uint32_t launch, Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    CudaEntry *e = &c->entries[entry];
    if (!check(c, c->driver.context_set(c->context), "using the GPU", err)) return false;
    for (uint32_t i = 0; i < e->order.n; i++) {
        float ms = 0;
        if (e->order.nodes[i].launch != launch) continue;
        if (!run_alone(c, &e->order.nodes[i], e->node_parameters[i], e->what[i], &ms, err))
            return false;
        e->times[launch].seconds += 1e-3 * (double)ms;
    }
    e->times[launch].calls++;
    return true;
}

static bool run_profiled(CudaEngine *c, uint32_t entry, Error *err)
{
    bool ok = true;
    for (uint32_t l = 0; ok && l < c->step->entries[entry].nlaunches; l++)
        ok = run_launch(&c->base, entry, l, err);
    return ok;
}

static bool stage_inputs(CudaEngine *c, uint32_t entry, Error *err)
{
    CudaEntry *e = &c->entries[entry];
    size_t bytes = (size_t)c->step->entries[entry].input_bytes;
    const char *what = "copying inputs";
    return !bytes ||
           (check(c, c->driver.stream_wait(c->copy, c->taken, 0), what, err) &&
            check(c, c->driver.to_device(c->staging, e->host_inputs, bytes, c->copy), what, err) &&
            check(c, c->driver.event_record(e->staged, c->copy), what, err) &&
            check(c, c->driver.stream_wait(c->main, e->staged, 0), what, err) &&
            check(c, c->driver.on_device(e->inputs, c->staging, bytes, c->main), what, err) &&
            check(c, c->driver.event_record(c->taken, c->main), what, err));
}

static const char running[] = "running the step"; // errors of kernels come out wherever one waits

static bool again(const CudaEngine *c, Error *err)
{
    error_set(err, "%s", c->broken.text);
    err->device = c->broken.device;
    return false;
}

static bool start(Engine *engine, uint32_t entry, Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    CudaEntry *e = &c->entries[entry];
    size_t bytes = (size_t)c->step->entries[entry].output_bytes;
    if (c->broken.set) return again(c, err);
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
    if (c->broken.set) return again(c, err);
    return check(c, c->driver.context_set(c->context), "using the GPU", err) &&
           check(c, c->driver.stream_synchronize(c->main), running, err);
}

// They may be filled once the copy of the last ones is done.
static uint8_t *inputs(Engine *engine, uint32_t entry)
{
    CudaEngine *c = (CudaEngine *)engine;
    c->driver.context_set(c->context);
    check(c, c->driver.event_synchronize(c->entries[entry].staged), running, &c->broken);
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

// Bytes of the device in memory of the engine's own.
static const void *copy_out(CudaEngine *c, CuPtr from, int64_t bytes, Error *err)
{
    const char *what = "copying from the GPU";
    if ((size_t)bytes + 1 > c->bounce_size) {
        free(c->bounce);
        c->bounce_size = (size_t)bytes + 1;
        c->bounce = malloc(c->bounce_size);
    }
    if (!c->bounce) {
        c->bounce_size = 0;
        error_set(err, "%s: no memory for %lld bytes", c->step->file, (long long)bytes);
        return NULL;
    }
    bool ok = wait(&c->base, err) &&
              (!bytes ||
               check(c, c->driver.to_host(c->bounce, from, (size_t)bytes, c->main), what, err)) &&
              wait(&c->base, err);
    return ok ? c->bounce : NULL;
}

static const void *read(Engine *engine, int64_t offset, int64_t bytes, Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    return copy_out(c, c->state + (CuPtr)offset, bytes, err);
}

static const void *peek(Engine *engine, uint32_t entry, const StepBuffer *at, int64_t bytes,
                        Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    return copy_out(c, block_of(c, &c->entries[entry], at->space) + (CuPtr)at->offset, bytes, err);
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

static const uint8_t *snapshot(Engine *engine, Error *err)
{
    CudaEngine *c = (CudaEngine *)engine;
    size_t bytes = (size_t)c->step->state_bytes;
    const char *what = "copying the state";
    if (!c->snapshot || !wait(engine, err)) return NULL;
    bool ok =
        !bytes || (check(c, c->driver.to_host(c->snapshot, c->state, bytes, c->main), what, err) &&
                   wait(engine, err));
    return ok ? c->snapshot : NULL;
}

static void one_by_one(Engine *engine)
{
    ((CudaEngine *)engine)->profile = true;
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
        if (c->copy) d->stream_synchronize(c->copy);
        for (uint32_t i = 0; i < c->step->nentries; i++) free_entry(c, &c->entries[i]);
        cuda_products_free(c); // no graph holds the library's kernels any more
        if (c->state) d->memory_free(c->state);
        if (c->scratch) d->memory_free(c->scratch);
        if (c->constants) d->memory_free(c->constants);
        if (c->tables) d->memory_free(c->tables);
        for (int i = 0; i < 2; i++)
            if (c->inputs[i]) d->memory_free(c->inputs[i]);
        if (c->staging) d->memory_free(c->staging);
        if (c->taken) d->event_destroy(c->taken);
        if (c->workspace) d->memory_free(c->workspace);
        if (c->snapshot) d->host_free(c->snapshot);
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

static double peak_rate(Engine *engine)
{
    return cuda_peak((CudaEngine *)engine);
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
    static const EngineOps ops = {free_engine, start,      wait,     inputs,     outputs,
                                  clear,       read,       write,    run_launch, peek,
                                  state,       one_by_one, snapshot, peak_rate,  times};
    CudaEngine *c = arena_make(arena, CudaEngine);
    *c = (CudaEngine){.base = {&ops, {true, options->device, c->device.name, 0}},
                      .step = step,
                      .arena = arena,
                      .modules = arena_array(arena, CuModule, step->nunits + 1),
                      .what = arena_array(arena, const char *, step->nkernels + 1),
                      .functions = arena_array(arena, CuFunction, step->nkernels + 1),
                      .products = arena_array(arena, CudaProduct, step->nkernels + 1),
                      .entries = arena_array(arena, CudaEntry, step->nentries + 1),
                      .profile = options->profile};
    if (open_device(c, err) && load_kernels(c, err) && cuda_memory_allocate(c, err) &&
        (!options->snapshots || cuda_memory_host(c, &c->snapshot, step->state_bytes, err)) &&
        build_graphs(c, options, err) && clear(&c->base, err)) {
        c->opened = true;
        return &c->base;
    }
    free_engine(&c->base);
    return NULL;
}
