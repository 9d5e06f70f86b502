// Fibers of the shim: a block's CUDA threads take turns on one system thread. A switch saves six
// registers and changes the stack. A thread that meets others (barrier, warp collective) hands over
// directly to the next one that can go on, first of its own warp; the last to arrive goes on
// itself. When nobody can go on and not all have ended, threads wait for each other in vain: an
// error.
//
// Compiled without sanitizers: they know nothing of these stacks.
#include "shim_fiber.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Save this stack in *from, go on on `to`. A new fiber starts in shim_fiber_start with itself in
// r12.
void shim_switch(void **from, void *to) __attribute__((visibility("hidden")));
void shim_fiber_start(void) __attribute__((visibility("hidden")));
void fiber_main(Fiber *f) __attribute__((visibility("hidden"), used));

__asm__(".text\n"
        ".globl shim_switch\n.hidden shim_switch\n.type shim_switch, @function\n"
        "shim_switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq "
        "%r15\n"
        "    movq %rsp, (%rdi)\n    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size shim_switch, . - shim_switch\n"
        ".globl shim_fiber_start\n.hidden shim_fiber_start\n.type shim_fiber_start, @function\n"
        "shim_fiber_start:\n"
        "    movq %r12, %rdi\n    call fiber_main\n    ud2\n"
        ".size shim_fiber_start, . - shim_fiber_start\n");

uint64_t worker_random(Worker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

// The first lane of the mask, going round from lane `from` in the launch's direction.
static uint32_t pick_lane(Worker *w, uint32_t mask, uint32_t from)
{
    ShimOrder order = w->launch->options->order;
    if (order == SHIM_RANDOM) from = (uint32_t)worker_random(w) % SHIM_WARP;
    uint64_t twice = (uint64_t)mask << SHIM_WARP | mask;
    if (order != SHIM_REVERSE) return (from + (uint32_t)__builtin_ctzll(twice >> from)) % SHIM_WARP;
    uint32_t top = 63 - (uint32_t)__builtin_clzll(twice & (UINT64_MAX >> (31 - from)));
    return top % SHIM_WARP;
}

// The next fiber that can go on, or NULL. `self` is the running thread's number.
static Fiber *next_ready(Worker *w, uint32_t self)
{
    ShimOrder order = w->launch->options->order;
    uint32_t warps = w->threads / SHIM_WARP, own = self / SHIM_WARP;
    uint32_t start = order == SHIM_RANDOM ? (uint32_t)(worker_random(w) % warps) : own;
    for (uint32_t i = 0; i < warps; i++) {
        uint32_t k = (start + (order == SHIM_REVERSE ? warps - i : i)) % warps;
        if (!w->warps[k].ready) continue;
        uint32_t from = order == SHIM_REVERSE ? SHIM_WARP - 1 : 0;
        if (k == own) from = (self + (order == SHIM_REVERSE ? SHIM_WARP - 1 : 1)) % SHIM_WARP;
        return &w->fibers[k * SHIM_WARP + pick_lane(w, w->warps[k].ready, from)];
    }
    return NULL;
}

static void enter(Worker *w, Fiber *f, void **from)
{
    w->current = f;
    *w->slot = &f->lane;
    shim_switch(from, f->stack);
}

static void go_home(Worker *w)
{
    void *abandoned;
    w->current = NULL;
    shim_switch(&abandoned, w->home);
}

void fiber_fail(Worker *w, const char *fmt, ...)
{
    Fiber *f = w->current;
    const ShimLane *l = &f->lane;
    int n = snprintf(w->message, sizeof w->message,
                     "kernel %s, block (%u, %u), thread %u: ", w->launch->kernel->name, l->block_x,
                     l->block_y, l->thread);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->message + n, sizeof w->message - (size_t)n, fmt, ap);
    va_end(ap);
    w->failed = true;
    go_home(w);
}

void fiber_trapped(Worker *w)
{
    uint32_t line = w->current->lane.line;
    char after[48] = "";
    if (line) snprintf(after, sizeof after, ", after line %u", line);
    const void *p = (const void *)w->fault;
    const SharedArray *a = shared_find(w, p);
    uintptr_t data = a ? (uintptr_t)a->data : 0;
    if (w->signal)
        fiber_fail(w, "%s%s", w->signal == 1 ? "integer division by zero" : "illegal instruction",
                   after);
    else if (a && w->fault >= data)
        fiber_fail(w,
                   "access %zu bytes behind the start of shared array '%s', which has %zu bytes%s",
                   (size_t)(w->fault - data), a->name, a->bytes, after);
    else if (a)
        fiber_fail(w, "access %zu bytes before shared array '%s'%s", (size_t)(data - w->fault),
                   a->name, after);
    else
        fiber_fail(w, "access of address %p, which is not mapped%s", p, after);
}

static const char *state_text(const Fiber *f, char *text, size_t n)
{
    if (f->state == FIBER_DONE)
        snprintf(text, n, "has ended");
    else if (f->state == FIBER_IN_BLOCK)
        snprintf(text, n, "waits for the block in line %u", f->lane.line);
    else if (f->state == FIBER_IN_WARP)
        snprintf(text, n, "waits for its warp in line %u", f->lane.line);
    else
        snprintf(text, n, "meets others in line %u", f->lane.line);
    return text;
}

// Say that threads `a` and `b` do not meet.
static void fail_divergent(Worker *w, Fiber *a, const Fiber *b)
{
    char at[64], bt[64];
    w->current = a;
    fiber_fail(w, "diverged: it %s, but thread %u %s", state_text(a, at, sizeof at), b->lane.thread,
               state_text(b, bt, sizeof bt));
}

// Nobody can go on: name a thread that waits, and one that does not come to it.
static void fail_stuck(Worker *w)
{
    Fiber *waits = NULL;
    for (uint32_t i = 0; i < w->threads && !waits; i++)
        if (w->fibers[i].state == FIBER_IN_WARP) waits = &w->fibers[i];
    for (uint32_t i = 0; i < w->threads && !waits; i++)
        if (w->fibers[i].state == FIBER_IN_BLOCK) waits = &w->fibers[i];
    uint32_t from = 0, to = w->threads;
    if (waits->state == FIBER_IN_WARP) {
        from = waits->lane.thread / SHIM_WARP * SHIM_WARP;
        to = from + SHIM_WARP;
    }
    for (uint32_t i = from; i < to; i++)
        if (w->fibers[i].state != waits->state) fail_divergent(w, waits, &w->fibers[i]);
}

// Let others run until this fiber is ready again.
static void wait_turn(Fiber *f, FiberState state)
{
    Worker *w = f->worker;
    f->state = state;
    w->warps[f->lane.thread / SHIM_WARP].ready &= ~(1u << f->lane.thread % SHIM_WARP);
    Fiber *next = next_ready(w, f->lane.thread);
    if (next)
        enter(w, next, &f->stack);
    else
        fail_stuck(w);
}

static void block_meet(ShimLane *lane)
{
    Fiber *f = (Fiber *)lane;
    Worker *w = f->worker;
    if (!w->arrived)
        w->first = lane->thread;
    else if (w->fibers[w->first].lane.site != lane->site)
        fail_divergent(w, f, &w->fibers[w->first]);
    if (++w->arrived < w->threads) {
        wait_turn(f, FIBER_IN_BLOCK);
    } else {
        w->arrived = 0;
        for (uint32_t i = 0; i < w->threads; i++) w->fibers[i].state = FIBER_READY;
        for (uint32_t k = 0; k < w->threads / SHIM_WARP; k++) w->warps[k].ready = UINT32_MAX;
    }
    f->barriers++;
}

static unsigned char *warp_meet(ShimLane *lane, const void *in, uint32_t size,
                                void (*combine)(void *))
{
    Fiber *f = (Fiber *)lane;
    Worker *w = f->worker;
    uint32_t k = lane->thread / SHIM_WARP;
    Warp *warp = &w->warps[k];
    unsigned char *slots = warp->slots[f->meetings++ % 2];
    memcpy(slots + lane->thread % SHIM_WARP * SHIM_SLOT, in, size);
    if (!warp->arrived)
        warp->first = lane->thread;
    else if (w->fibers[warp->first].lane.site != lane->site)
        fail_divergent(w, f, &w->fibers[warp->first]);
    if (++warp->arrived < SHIM_WARP) {
        wait_turn(f, FIBER_IN_WARP);
        return slots;
    }
    warp->arrived = 0;
    warp->ready = UINT32_MAX;
    for (uint32_t l = 0; l < SHIM_WARP; l++) w->fibers[k * SHIM_WARP + l].state = FIBER_READY;
    if (combine) combine(slots);
    return slots;
}

static void warp_sync(ShimLane *lane)
{
    warp_meet(lane, NULL, 0, NULL);
    ((Fiber *)lane)->syncs++;
}

static void no_access(ShimLane *lane, const void *p, uint64_t bytes, uint32_t write)
{
    (void)lane, (void)p, (void)bytes, (void)write;
}

const ShimCalls shim_calls = {block_meet, warp_meet,   warp_sync, shared_array, shared_dynamic,
                              copy_issue, copy_commit, copy_wait, check16,      no_access};
const ShimCalls shim_race_calls = {block_meet, warp_meet,   warp_sync, shared_array, shared_dynamic,
                                   copy_issue, copy_commit, copy_wait, check16,      race_access};

void fiber_main(Fiber *f)
{
    Worker *w = f->worker;
    w->launch->kernel->call(w->launch->parameters);
    w->done++;
    f->state = FIBER_DONE;
    w->warps[f->lane.thread / SHIM_WARP].ready &= ~(1u << f->lane.thread % SHIM_WARP);
    Fiber *next = next_ready(w, f->lane.thread);
    if (next)
        enter(w, next, &f->stack);
    else if (w->done == w->threads)
        go_home(w);
    else
        fail_stuck(w);
}

// A stack on which shim_switch finds six registers and the start; aligned as after a call.
static void fiber_prepare(Worker *w, uint32_t i)
{
    Fiber *f = &w->fibers[i];
    void **top = (void **)(w->stacks + (size_t)(i + 1) * SHIM_STACK);
    void **sp = top - 9;
    memset(sp, 0, 9 * sizeof *sp);
    sp[3] = f; // r12
    sp[6] = (void *)(uintptr_t)shim_fiber_start;
    f->stack = sp;
    f->state = FIBER_READY;
    f->meetings = f->barriers = f->syncs = f->ncopies = f->groups = 0;
    f->lane.line = f->lane.site = 0;
}

void fibers_run(Worker *w)
{
    for (uint32_t i = 0; i < w->threads; i++) fiber_prepare(w, i);
    for (uint32_t k = 0; k < w->threads / SHIM_WARP; k++) {
        w->warps[k].ready = UINT32_MAX;
        w->warps[k].arrived = 0;
    }
    w->done = w->arrived = 0;
    w->failed = false;
    bool reverse = w->launch->options->order == SHIM_REVERSE;
    enter(w, next_ready(w, reverse ? 0 : w->threads - 1), &w->home);
}
