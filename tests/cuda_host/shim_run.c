// Launches of the shim: blocks are taken from a counter by worker threads, each with its own fibers
// and shared memory. A trap (an address that is not mapped, a division by zero) becomes the
// launch's error: the handler moves the fiber to fiber_trapped on a rescue stack, which leaves the
// block.
#include "shim_fiber.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { RESCUE = 64 << 10, SIGNALS = 4 };

static const int signals[SIGNALS] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

// The handler has no other way to its worker.
static _Thread_local Worker *active;

struct Shim {
    Worker *workers;
    uint32_t n;
};

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED) bug("no memory for %zu bytes of stacks", bytes);
    return p;
}

static void worker_init(Worker *w)
{
    memset(w, 0, sizeof *w);
    w->stacks = map((size_t)SHIM_THREADS * SHIM_STACK);
    w->rescue = map(2 * RESCUE); // for a trapped fiber; for the handler
    w->fibers = calloc(SHIM_THREADS, sizeof *w->fibers);
    w->warps = aligned_alloc(64, SHIM_WARPS * sizeof *w->warps);
    if (!w->fibers || !w->warps) bug("no memory");
    memset(w->warps, 0, SHIM_WARPS * sizeof *w->warps);
    for (uint32_t i = 0; i < SHIM_THREADS; i++) w->fibers[i].worker = w;
}

static void worker_free(Worker *w)
{
    for (uint32_t i = 0; i < SHIM_THREADS; i++) free(w->fibers[i].copies);
    shared_free(w);
    munmap(w->stacks, (size_t)SHIM_THREADS * SHIM_STACK);
    munmap(w->rescue, 2 * RESCUE);
    free(w->fibers);
    free(w->warps);
}

Shim *shim_new(void)
{
    Shim *shim = calloc(1, sizeof *shim);
    if (!shim) bug("no memory");
    return shim;
}

void shim_free(Shim *shim)
{
    for (uint32_t i = 0; i < shim->n; i++) worker_free(&shim->workers[i]);
    free(shim->workers);
    free(shim);
}

static void handle(int number, siginfo_t *info, void *context)
{
    Worker *w = active;
    if (!w || !w->current) { // not ours: as if there were no handler
        signal(number, SIG_DFL);
        return;
    }
    ucontext_t *c = context;
    w->fault = (uintptr_t)info->si_addr;
    w->signal = number == SIGFPE ? 1 : number == SIGILL ? 2 : 0;
    c->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)fiber_trapped;
    c->uc_mcontext.gregs[REG_RSP] = (greg_t)(uintptr_t)(w->rescue + RESCUE - 8);
    c->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)w;
}

static uint64_t block_at(const Launch *l, uint64_t position)
{
    uint64_t total = (uint64_t)l->grid_x * l->grid_y;
    if (l->options->order == SHIM_FORWARD) return position;
    if (l->options->order == SHIM_REVERSE) return total - 1 - position;
    return (position * l->step + l->offset) % total;
}

static void run_block(Worker *w, uint64_t block)
{
    const Launch *l = w->launch;
    w->random = (l->options->seed + block + 1) * 0x9e3779b97f4a7c15u | 1;
    for (uint32_t i = 0; i < w->threads; i++) {
        ShimLane *lane = &w->fibers[i].lane;
        *lane = (ShimLane){module_races(l->module) ? &shim_race_calls : &shim_calls,
                           i,
                           w->threads,
                           (uint32_t)(block % l->grid_x),
                           (uint32_t)(block / l->grid_x),
                           l->grid_x,
                           l->grid_y,
                           0,
                           0};
    }
    shared_fill(w);
    fibers_run(w);
    if (!w->failed && !shared_intact(w)) w->failed = true;
}

static void *worker_main(void *data)
{
    Worker *w = data;
    Launch *l = w->launch;
    uint64_t total = (uint64_t)l->grid_x * l->grid_y;
    stack_t mine = {.ss_sp = w->rescue + RESCUE, .ss_size = RESCUE}, before;
    sigaltstack(&mine, &before);
    active = w;
    w->slot = module_lane_slot(l->module);
    w->threads = l->threads;
    w->failed = false;
    shared_begin(w);
    while (!l->failed) {
        w->position = l->next++;
        if (w->position >= total) break;
        run_block(w, block_at(l, w->position));
        if (w->failed) l->failed = true;
    }
    *w->slot = NULL;
    active = NULL;
    sigaltstack(&before, NULL);
    return NULL;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

// Any step without a common factor visits each block once.
static void permute(Launch *l)
{
    uint64_t total = (uint64_t)l->grid_x * l->grid_y;
    l->offset = l->options->seed % total;
    l->step = (l->options->seed * 0x9e3779b97f4a7c15u >> 20) % total + 1;
    while (gcd(l->step, total) != 1) l->step++;
}

static bool check_launch(const Launch *l, Error *err)
{
    const char *name = l->kernel->name;
    if (!l->grid_x || !l->grid_y || l->grid_x > INT32_MAX || l->grid_y > 65535)
        return error_set(err, "kernel %s: a grid of %u x %u blocks", name, l->grid_x, l->grid_y);
    if (!l->threads || l->threads % SHIM_WARP || l->threads > l->kernel->max_threads ||
        l->threads > SHIM_THREADS)
        return error_set(err, "kernel %s: %u threads; it takes multiples of %d up to %u", name,
                         l->threads, SHIM_WARP, l->kernel->max_threads);
    if (l->dynamic_shared > SHIM_DYNAMIC)
        return error_set(err, "kernel %s: %zu bytes of dynamic shared memory, at most %d", name,
                         l->dynamic_shared, SHIM_DYNAMIC);
    return true;
}

static void grow(Shim *shim, uint32_t n)
{
    if (n <= shim->n) return;
    Worker *workers = calloc(n, sizeof *workers);
    if (!workers) bug("no memory");
    if (shim->n) memcpy(workers, shim->workers, shim->n * sizeof *workers);
    free(shim->workers);
    shim->workers = workers;
    for (uint32_t i = 0; i < n; i++) {
        Worker *w = &workers[i];
        if (i >= shim->n) worker_init(w);
        for (uint32_t j = 0; j < SHIM_THREADS; j++) w->fibers[j].worker = w;
    }
    shim->n = n;
}

static void run_workers(Shim *shim, Launch *l, uint32_t n)
{
    pthread_t threads[64];
    bool started[64] = {0};
    for (uint32_t i = 0; i < n; i++) {
        shim->workers[i].launch = l;
        shim->workers[i].failed = false;
    }
    for (uint32_t i = 1; i < n; i++)
        started[i] = pthread_create(&threads[i], NULL, worker_main, &shim->workers[i]) == 0;
    worker_main(&shim->workers[0]);
    for (uint32_t i = 1; i < n; i++)
        if (started[i]) pthread_join(threads[i], NULL);
}

bool shim_launch(Shim *shim, const ShimOptions *options, const ShimModule *module,
                 const ShimEntry *kernel, void *const *parameters, uint32_t grid_x, uint32_t grid_y,
                 uint32_t threads, size_t dynamic_shared, Error *err)
{
    Launch l = {.options = options,
                .module = module,
                .kernel = kernel,
                .parameters = parameters,
                .grid_x = grid_x,
                .grid_y = grid_y,
                .threads = threads,
                .dynamic_shared = dynamic_shared};
    if (!check_launch(&l, err)) return false;
    permute(&l);
    uint64_t blocks = (uint64_t)grid_x * grid_y;
    uint32_t n = options->workers > 64 ? 64 : options->workers ? options->workers : 1;
    if (n > blocks) n = (uint32_t)blocks;
    grow(shim, n);
    struct sigaction mine = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK},
                     before[SIGNALS];
    for (int i = 0; i < SIGNALS; i++) sigaction(signals[i], &mine, &before[i]);
    run_workers(shim, &l, n);
    for (int i = 0; i < SIGNALS; i++) sigaction(signals[i], &before[i], NULL);
    const Worker *first = NULL; // in the blocks' order, so that the same error is told again
    for (uint32_t i = 0; i < n; i++) {
        const Worker *w = &shim->workers[i];
        if (w->failed && (!first || w->position < first->position)) first = w;
    }
    return first ? error_set(err, "%s", first->message) : true;
}
