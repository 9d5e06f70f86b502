// A stand-in for NVIDIA's driver (libcuda.so.1), for machines without a GPU: kernels are CUDA text,
// which tests/cuda_host compiles and runs on the CPU. So that mistakes of the caller show:
//   - work of a stream is done as late as possible, when somebody waits for it
//   - the nodes of a graph run in a random order that its edges allow, another one each time
//   - fresh memory is full of ones (NaN) and ends at a page that cannot be touched
// The environment decides what machine it is:
//   CZT_FAKE_DEVICES     number of GPUs (1)
//   CZT_FAKE_CAPABILITY  compute capability (0.0: takes code for "text"); others load nothing
//   CZT_FAKE_CAPABILITIES  those of two GPUs
//   CZT_FAKE_REFUSES     error that loading code gives
//   CZT_FAKE_MEMORY      MiB of each GPU (16384)
//   CZT_FAKE_TAKEN       MiB of it that another program takes once one has asked how much is free
//   CZT_FAKE_CACHE       folder that keeps compiled kernels
//   CZT_FAKE_LOG         file that gets a line for each call that allocates, copies or launches
//   CZT_FAKE_FAIL        the launch of that number (1, 2, ..) fails as a bad address would
#include "base/file.h"
#include "base/vec.h"
#include "runtime/cuda_driver.h"
#include "shim_run.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { BAD_ADDRESS = 700, UNKNOWN = 999, INVALID_VALUE = 1 };

struct CuContextTag {
    int unused;
};

struct CuModuleTag {
    char *text;
    ShimModule *module;
    Error err;
    pthread_t thread;
    bool started;
};

struct CuFunctionTag {
    CuModule module;
    const ShimEntry *entry;
};

typedef enum { OP_KERNEL, OP_HOST, OP_COPY, OP_SET, OP_GRAPH, OP_RECORD, OP_WAIT } OpKind;

// A launch with a copy of its parameter, the addresses of the buffers.
typedef struct Kernel {
    CuFunction function;
    unsigned grid_x, grid_y, threads, shared;
    void *buffers[512];
} Kernel;

typedef struct Op {
    OpKind kind;
    Kernel *kernel;
    void *to;
    const void *from;
    size_t bytes;
    int value;
    void (*host)(void *);
    void *data;
    CuGraph graph;
    CuEvent event;
    uint64_t ticket; // of the event's recording
    struct Op *next;
} Op;

struct CuStreamTag {
    Op *first, **last;
    CuGraph capture; // what is put on it becomes nodes of this, one after the other
    CuGraphNode captured;
};

struct CuEventTag {
    CuStream stream;           // that recorded it last
    uint64_t recorded, passed; // tickets
    uint64_t clock;            // when it was passed
};

// A kernel, a function of the host, or a graph.
struct CuGraphNodeTag {
    Kernel *kernel;
    void (*host)(void *);
    void *data;
    CuGraph child;
    CuGraphNode *after;
    size_t n;
    uint32_t done; // launch of the graph that it was done in
    CuGraphNode next;
};

struct CuGraphTag {
    CuGraphNode first, *last;
    uint32_t n, references, launches;
};

struct CuGraphExecTag {
    CuGraph graph;
    bool loaded; // into the GPU's memory
};

typedef struct Memory {
    void *at;
    size_t bytes;
    struct Memory *next;
} Memory;

// A stand-in for a process-wide library has process-wide state.
static struct {
    struct CuContextTag context;
    Shim *shim;
    Memory *memory;
    size_t used, taken;
    uint64_t random, launches;
    uint64_t clock;  // a kernel takes 2 ms, a product of the library 1
    CuResult broken; // the error that everything gives from then on
    char text[1024];
    FILE *log;
} fake;

static int number(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

static void note(const char *what, size_t bytes)
{
    if (fake.log) fprintf(fake.log, "%s %zu\n", what, bytes), fflush(fake.log);
}

static CuResult fail(const char *text)
{
    if (!fake.broken) snprintf(fake.text, sizeof fake.text, "%s", text);
    return fake.broken = BAD_ADDRESS;
}

// ---- start, devices -----------------------------------------------------------------------------

EXPORT CuResult cuInit(unsigned flags)
{
    const char *log = getenv("CZT_FAKE_LOG");
    if (flags) return INVALID_VALUE;
    if (log && !fake.log) fake.log = fopen(log, "a");
    if (!fake.shim) fake.shim = shim_new();
    if (!fake.random) fake.random = 88172645463325252u;
    return 0;
}

EXPORT CuResult cuDriverGetVersion(int *version)
{
    *version = 13000;
    return 0;
}

EXPORT CuResult cuGetErrorName(CuResult error, const char **name)
{
    *name = error == BAD_ADDRESS            ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : error == CU_OUT_OF_MEMORY     ? "CUDA_ERROR_OUT_OF_MEMORY"
            : error == CU_INVALID_IMAGE     ? "CUDA_ERROR_INVALID_IMAGE"
            : error == CU_NO_BINARY_FOR_GPU ? "CUDA_ERROR_NO_BINARY_FOR_GPU"
                                            : "CUDA_ERROR_INVALID_VALUE";
    return 0;
}

EXPORT CuResult cuGetErrorString(CuResult error, const char **text)
{
    *text = error == fake.broken ? fake.text : "as its name says";
    return 0;
}

EXPORT CuResult cuDeviceGetCount(int *n)
{
    *n = number("CZT_FAKE_DEVICES", 1);
    return 0;
}

EXPORT CuResult cuDeviceGet(CuDevice *device, int ordinal)
{
    *device = ordinal;
    return 0;
}

EXPORT CuResult cuDeviceGetName(char *name, int size, CuDevice device)
{
    (void)device;
    snprintf(name, (size_t)size, "a CPU that runs CUDA text");
    return 0;
}

EXPORT CuResult cuDeviceGetAttribute(int *value, int attribute, CuDevice device)
{
    int major = 0, minor = 0;
    const char *capability = getenv("CZT_FAKE_CAPABILITY");
    const char *each = getenv("CZT_FAKE_CAPABILITIES");
    if (each) capability = each + (device ? strcspn(each, " ") + 1 : 0);
    if (capability) sscanf(capability, "%d.%d", &major, &minor);
    switch (attribute) {
    case CU_ATTRIBUTE_MAJOR: *value = major; return 0;
    case CU_ATTRIBUTE_MINOR: *value = minor; return 0;
    case CU_ATTRIBUTE_MULTIPROCESSORS: *value = 2; return 0;
    case CU_ATTRIBUTE_SHARED_OPTIN: *value = 227 << 10; return 0;
    default: return INVALID_VALUE;
    }
}

EXPORT CuResult cuDevicePrimaryCtxRetain(CuContext *context, CuDevice device)
{
    (void)device;
    *context = &fake.context;
    return 0;
}

EXPORT CuResult cuDevicePrimaryCtxRelease_v2(CuDevice device)
{
    (void)device;
    return 0;
}

EXPORT CuResult cuCtxSetCurrent(CuContext context)
{
    return context == &fake.context ? fake.broken : INVALID_VALUE;
}

// ---- memory -------------------------------------------------------------------------------------

static void memory_now(size_t *available, size_t *total)
{
    *total = (size_t)number("CZT_FAKE_MEMORY", 16384) << 20;
    size_t used = fake.used + fake.taken;
    *available = *total > used ? *total - used : 0;
}

EXPORT CuResult cuMemGetInfo_v2(size_t *available, size_t *total)
{
    memory_now(available, total);
    fake.taken = (size_t)number("CZT_FAKE_TAKEN", 0) << 20;
    return 0;
}

EXPORT CuResult cuMemAlloc_v2(CuPtr *to, size_t bytes)
{
    size_t available, total;
    memory_now(&available, &total);
    if (bytes > available) return CU_OUT_OF_MEMORY;
    size_t whole = (bytes + 255) / 256 * 256; // so that it begins as a GPU's does
    Memory *m = malloc(sizeof *m);
    *m = (Memory){shim_guarded(whole), whole, fake.memory};
    fake.memory = m;
    fake.used += whole;
    *to = (CuPtr)(uintptr_t)m->at;
    note("alloc", bytes);
    return 0;
}

EXPORT CuResult cuMemFree_v2(CuPtr at)
{
    for (Memory **m = &fake.memory; *m; m = &(*m)->next) {
        if ((CuPtr)(uintptr_t)(*m)->at != at) continue;
        Memory *old = *m;
        *m = old->next;
        fake.used -= old->bytes;
        shim_guarded_free(old->at, old->bytes);
        free(old);
        return 0;
    }
    return INVALID_VALUE;
}

EXPORT CuResult cuMemHostAlloc(void **to, size_t bytes, unsigned flags)
{
    (void)flags;
    note("host_alloc", bytes);
    return posix_memalign(to, 4096, bytes) ? CU_OUT_OF_MEMORY : 0;
}

EXPORT CuResult cuMemFreeHost(void *p)
{
    free(p);
    return 0;
}

// ---- modules ------------------------------------------------------------------------------------

// Built under another name first, so that several processes may share a folder. Kept ones are found
// by the checksum of the text, which has all that decides them but the shim's own headers.
static void *compile(void *arg)
{
    CuModule m = arg;
    const char *cache = getenv("CZT_FAKE_CACHE");
    unsigned long long sum = (unsigned long long)checksum_bytes(m->text, strlen(m->text));
    char path[4200], made[4300], source[4300];
    snprintf(path, sizeof path, "%.4000s/%016llx.so", cache ? cache : "/tmp", sum);
    snprintf(made, sizeof made, "%.4100s.%d.so", path, (int)getpid());
    snprintf(source, sizeof source, "%.4100s.%d.cc", path, (int)getpid());
    if (access(path, R_OK) != 0) {
        if (!shim_build(m->text, made, false, &m->err)) return NULL;
        rename(made, path);
        unlink(source);
    }
    m->module = shim_load(path, false, &m->err);
    return NULL;
}

EXPORT CuResult cuModuleLoadData(CuModule *module, const void *image)
{
    if (getenv("CZT_FAKE_REFUSES")) return number("CZT_FAKE_REFUSES", 0);
    if (memcmp(image, "//", 2) != 0) return CU_NO_BINARY_FOR_GPU;
    CuModule m = calloc(1, sizeof *m);
    m->text = strdup(image);
    m->started = pthread_create(&m->thread, NULL, compile, m) == 0;
    if (!m->started) compile(m);
    *module = m;
    return 0;
}

EXPORT CuResult cuModuleUnload(CuModule m)
{
    if (m->started) pthread_join(m->thread, NULL);
    if (m->module) shim_unload(m->module);
    free(m->text);
    free(m);
    return 0;
}

EXPORT CuResult cuModuleGetFunction(CuFunction *function, CuModule m, const char *name)
{
    if (m->started) pthread_join(m->thread, NULL);
    m->started = false;
    if (!m->module) return fail(m->err.text);
    const ShimEntry *entry = shim_kernel(m->module, name);
    if (!entry) return fail("no kernel of that name");
    *function = calloc(1, sizeof **function); // lives as long as the process
    **function = (struct CuFunctionTag){m, entry};
    return 0;
}

EXPORT CuResult cuFuncSetAttribute(CuFunction function, int attribute, int value)
{
    (void)function;
    return attribute == CU_FUNCTION_DYNAMIC_SHARED && value <= 227 << 10 ? 0 : INVALID_VALUE;
}

// ---- doing the work -----------------------------------------------------------------------------

static uint64_t draw(uint64_t below)
{
    fake.random ^= fake.random << 13;
    fake.random ^= fake.random >> 7;
    fake.random ^= fake.random << 17;
    return fake.random % below;
}

static void run_kernel(const Kernel *k)
{
    Error err = {0};
    void *parameters[] = {(void *)(uintptr_t)k->buffers};
    ShimOptions options = {.workers = 2, .order = SHIM_RANDOM, .seed = draw(1 << 20)};
    if (fake.broken) return;
    fake.clock += 2;
    if (++fake.launches == (uint64_t)number("CZT_FAKE_FAIL", 0))
        fail("an illegal memory access was encountered");
    else if (!shim_launch(fake.shim, &options, k->function->module->module, k->function->entry,
                          parameters, k->grid_x, k->grid_y, k->threads, k->shared, &err))
        fail(err.text);
}

static bool ready(const struct CuGraphNodeTag *node, uint32_t launch)
{
    for (size_t i = 0; i < node->n; i++)
        if (node->after[i]->done != launch) return false;
    return node->done != launch;
}

static void run_host(void (*function)(void *), void *data)
{
    if (fake.broken) return;
    fake.clock++;
    function(data);
}

static void run_graph(CuGraph graph);

static void run_node(CuGraphNode node)
{
    if (node->kernel) run_kernel(node->kernel);
    if (node->host) run_host(node->host, node->data);
    if (node->child) run_graph(node->child);
}

// Of the nodes that may run, any one.
static void run_graph(CuGraph graph)
{
    uint32_t launch = ++graph->launches, left = graph->n;
    CuGraphNode *candidates = calloc(left + 1, sizeof *candidates);
    while (left) {
        uint32_t n = 0;
        for (CuGraphNode node = graph->first; node; node = node->next)
            if (ready(node, launch)) candidates[n++] = node;
        CuGraphNode chosen = candidates[draw(n)];
        run_node(chosen);
        chosen->done = launch;
        left--;
    }
    free(candidates);
}

static void run_stream(CuStream stream, CuEvent until, uint64_t ticket);

static void run_op(Op *op)
{
    switch (op->kind) {
    case OP_KERNEL: run_kernel(op->kernel); break;
    case OP_HOST: run_host(op->host, op->data); break;
    case OP_COPY: memcpy(op->to, op->from, op->bytes); break;
    case OP_SET: memset(op->to, op->value, op->bytes); break;
    case OP_GRAPH: run_graph(op->graph); break;
    case OP_RECORD:
        op->event->passed = op->ticket;
        op->event->clock = fake.clock;
        break;
    case OP_WAIT:
        if (op->event->passed < op->ticket) run_stream(op->event->stream, op->event, op->ticket);
        break;
    }
    free(op->kernel);
    free(op);
}

// The stream's work to its end, or until the event's recording is passed.
static void run_stream(CuStream stream, CuEvent until, uint64_t ticket)
{
    while (stream->first && (!until || until->passed < ticket)) {
        Op *op = stream->first;
        stream->first = op->next;
        if (!stream->first) stream->last = &stream->first;
        run_op(op);
    }
}

static CuGraphNode add_node(CuGraph graph, const CuGraphNode *after, size_t n)
{
    CuGraphNode node = calloc(1, sizeof *node);
    node->after = calloc(n + 1, sizeof *node->after);
    if (n) memcpy(node->after, after, n * sizeof *after);
    node->n = n;
    *graph->last = node;
    graph->last = &node->next;
    graph->n++;
    return node;
}

// A kernel or a function of the host on a stream that is captured.
static CuResult capture(CuStream stream, const Op *op)
{
    if (op->kind != OP_KERNEL && op->kind != OP_HOST) return INVALID_VALUE;
    CuGraphNode node = add_node(stream->capture, &stream->captured, stream->captured ? 1 : 0);
    node->kernel = op->kernel;
    node->host = op->host;
    node->data = op->data;
    stream->captured = node;
    return 0;
}

static CuResult push(CuStream stream, Op op)
{
    if (fake.broken) return fake.broken;
    if (stream->capture) return capture(stream, &op);
    Op *own = malloc(sizeof *own);
    *own = op;
    own->next = NULL;
    *stream->last = own;
    stream->last = &own->next;
    return 0;
}

// ---- streams and events -------------------------------------------------------------------------

EXPORT CuResult cuStreamCreate(CuStream *stream, unsigned flags)
{
    (void)flags;
    *stream = calloc(1, sizeof **stream);
    (*stream)->last = &(*stream)->first;
    return 0;
}

EXPORT CuResult cuStreamDestroy_v2(CuStream stream)
{
    run_stream(stream, NULL, 0);
    free(stream);
    return 0;
}

EXPORT CuResult cuStreamSynchronize(CuStream stream)
{
    run_stream(stream, NULL, 0);
    return fake.broken;
}

EXPORT CuResult cuStreamWaitEvent(CuStream stream, CuEvent event, unsigned flags)
{
    (void)flags;
    return push(stream, (Op){.kind = OP_WAIT, .event = event, .ticket = event->recorded});
}

EXPORT CuResult cuEventCreate(CuEvent *event, unsigned flags)
{
    (void)flags;
    *event = calloc(1, sizeof **event);
    return 0;
}

EXPORT CuResult cuEventDestroy_v2(CuEvent event)
{
    free(event);
    return 0;
}

EXPORT CuResult cuEventRecord(CuEvent event, CuStream stream)
{
    event->stream = stream;
    return push(stream, (Op){.kind = OP_RECORD, .event = event, .ticket = ++event->recorded});
}

EXPORT CuResult cuEventSynchronize(CuEvent event)
{
    if (event->passed < event->recorded) run_stream(event->stream, event, event->recorded);
    return fake.broken;
}

EXPORT CuResult cuEventElapsedTime(float *ms, CuEvent from, CuEvent to)
{
    *ms = (float)(to->clock - from->clock);
    return fake.broken;
}

// ---- copies and launches ------------------------------------------------------------------------

EXPORT CuResult cuMemcpyHtoDAsync_v2(CuPtr to, const void *from, size_t bytes, CuStream stream)
{
    note("to_device", bytes);
    return push(stream,
                (Op){.kind = OP_COPY, .to = (void *)(uintptr_t)to, .from = from, .bytes = bytes});
}

EXPORT CuResult cuMemcpyDtoHAsync_v2(void *to, CuPtr from, size_t bytes, CuStream stream)
{
    note("to_host", bytes);
    return push(stream,
                (Op){.kind = OP_COPY, .to = to, .from = (void *)(uintptr_t)from, .bytes = bytes});
}

EXPORT CuResult cuMemcpyDtoDAsync_v2(CuPtr to, CuPtr from, size_t bytes, CuStream stream)
{
    note("on_device", bytes);
    return push(stream, (Op){.kind = OP_COPY,
                             .to = (void *)(uintptr_t)to,
                             .from = (void *)(uintptr_t)from,
                             .bytes = bytes});
}

EXPORT CuResult cuMemsetD8Async(CuPtr to, unsigned char value, size_t bytes, CuStream stream)
{
    note("set", bytes);
    return push(stream,
                (Op){.kind = OP_SET, .to = (void *)(uintptr_t)to, .value = value, .bytes = bytes});
}

static void keep(Kernel *k, CuFunction function, unsigned x, unsigned y, unsigned threads,
                 unsigned shared, void **parameters)
{
    *k = (Kernel){
        .function = function, .grid_x = x, .grid_y = y, .threads = threads, .shared = shared};
    memcpy(k->buffers, parameters[0], shim_parameter_bytes(function->entry));
}

EXPORT CuResult cuLaunchKernel(CuFunction function, unsigned gx, unsigned gy, unsigned gz,
                               unsigned bx, unsigned by, unsigned bz, unsigned shared,
                               CuStream stream, void **parameters, void **extra)
{
    if (gz != 1 || by != 1 || bz != 1 || extra) return INVALID_VALUE;
    note("launch", (size_t)gx * gy);
    Kernel *k = malloc(sizeof *k);
    keep(k, function, gx, gy, bx, shared, parameters);
    return push(stream, (Op){.kind = OP_KERNEL, .kernel = k});
}

// ---- graphs -------------------------------------------------------------------------------------

EXPORT CuResult cuGraphCreate(CuGraph *graph, unsigned flags)
{
    (void)flags;
    *graph = calloc(1, sizeof **graph);
    (*graph)->last = &(*graph)->first;
    (*graph)->references = 1;
    return 0;
}

static void release(CuGraph graph)
{
    if (--graph->references) return;
    for (CuGraphNode node = graph->first, next; node; node = next) {
        next = node->next;
        if (node->child) release(node->child);
        free(node->kernel);
        free(node->after);
        free(node);
    }
    free(graph);
}

EXPORT CuResult cuGraphDestroy(CuGraph graph)
{
    release(graph);
    return 0;
}

EXPORT CuResult cuGraphAddKernelNode_v2(CuGraphNode *node, CuGraph graph, const CuGraphNode *after,
                                        size_t n, const CuKernelNode *k)
{
    if (k->grid_z != 1 || k->block_y != 1 || k->block_z != 1 || k->extra) return INVALID_VALUE;
    CuGraphNode own = add_node(graph, after, n);
    own->kernel = malloc(sizeof *own->kernel);
    keep(own->kernel, k->function, k->grid_x, k->grid_y, k->block_x, k->shared_bytes,
         k->parameters);
    *node = own;
    return 0;
}

EXPORT CuResult cuGraphAddChildGraphNode(CuGraphNode *node, CuGraph graph, const CuGraphNode *after,
                                         size_t n, CuGraph child)
{
    *node = add_node(graph, after, n);
    (*node)->child = child;
    child->references++;
    return 0;
}

EXPORT CuResult cuStreamBeginCapture_v2(CuStream stream, int mode)
{
    (void)mode;
    if (stream->first || stream->capture) return INVALID_VALUE;
    stream->captured = NULL;
    return cuGraphCreate(&stream->capture, 0);
}

EXPORT CuResult cuStreamEndCapture(CuStream stream, CuGraph *graph)
{
    if (!stream->capture) return INVALID_VALUE;
    *graph = stream->capture;
    stream->capture = NULL;
    return 0;
}

// What fake_blas.c puts its products on streams with.
EXPORT CuResult cuLaunchHostFunc(CuStream stream, void (*function)(void *), void *data)
{
    note("host", 0);
    return push(stream, (Op){.kind = OP_HOST, .host = function, .data = data});
}

EXPORT CuResult cuGraphInstantiateWithFlags(CuGraphExec *exec, CuGraph graph,
                                            unsigned long long flags)
{
    (void)flags;
    *exec = calloc(1, sizeof **exec);
    (*exec)->graph = graph;
    graph->references++;
    note("instantiate", graph->n);
    return 0;
}

EXPORT CuResult cuGraphUpload(CuGraphExec exec, CuStream stream)
{
    (void)stream;
    note("alloc_graph", exec->graph->n); // or its first launch does
    exec->loaded = true;
    return fake.broken;
}

EXPORT CuResult cuGraphExecDestroy(CuGraphExec exec)
{
    release(exec->graph);
    free(exec);
    return 0;
}

EXPORT CuResult cuGraphLaunch(CuGraphExec exec, CuStream stream)
{
    if (!exec->loaded) cuGraphUpload(exec, stream);
    note("graph_launch", exec->graph->n);
    return push(stream, (Op){.kind = OP_GRAPH, .graph = exec->graph});
}
