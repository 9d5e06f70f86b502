// The thread pool. A region is published by raising `epoch`; workers that spin or sleep on it wake,
// take ranges from the shared counter `next` until none is left, and count themselves out in
// `running`. The caller takes ranges too, then waits for `running` to fall to 0, so that the
// region's fields can be reused. Ranges shrink with what is left (a fraction for each thread, at
// least one task), which costs few atomic operations and still ends evenly. Waiting spins for some
// microseconds, then sleeps in a futex: an idle spinner takes half of a hardware thread's speed
// from its sibling.
#include "runtime/pool.h"

#include <fenv.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { SPINS = 2000, SHARE = 4 };

typedef struct Worker {
    Pool *pool;
    pthread_t thread;
    uint32_t number;
} Worker;

// A word to wait on, and how many sleep on it.
typedef struct Gate {
    _Alignas(64) _Atomic uint32_t word;
    _Atomic uint32_t sleepers;
} Gate;

struct Pool {
    uint32_t threads, spins;
    Worker *workers; // threads - 1 of them
    cpu_set_t taken; // cores that workers are pinned to
    // The region; written by the caller while no worker is in one.
    PoolFn fn;
    void *arg;
    int64_t n;
    bool stop;
    Gate epoch;   // rises with each region
    Gate running; // workers still in the region
    _Alignas(64) _Atomic int64_t next;
};

static void pause_cpu(void)
{
#ifdef __x86_64__
    _mm_pause();
#endif
}

// The floating-point mode of all generated code; returns the old one.
static uint32_t enter_float_mode(void)
{
#ifdef __x86_64__
    uint32_t old = _mm_getcsr();
    _mm_setcsr(0x1f80); // exceptions masked, round to nearest, no FTZ, no DAZ
    return old;
#else
    fesetenv(FE_DFL_ENV);
    return 0;
#endif
}

static void leave_float_mode(uint32_t old)
{
#ifdef __x86_64__
    _mm_setcsr(old);
#else
    (void)old;
#endif
}

// Wait until the gate's word differs from `seen` and return it. A sleeper announces itself before
// the kernel compares the word, a waker changes the word before it looks for sleepers: one of them
// sees the other.
static uint32_t gate_wait(Gate *gate, uint32_t seen, uint32_t spins)
{
    uint32_t now;
    for (uint32_t i = 0; i < spins; i++) {
        now = atomic_load_explicit(&gate->word, memory_order_acquire);
        if (now != seen) return now;
        pause_cpu();
    }
    atomic_fetch_add(&gate->sleepers, 1);
    while ((now = atomic_load(&gate->word)) == seen)
        syscall(SYS_futex, &gate->word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&gate->sleepers, 1);
    return now;
}

// Wake all who sleep at the gate, after its word was changed.
static void gate_wake(Gate *gate)
{
    if (atomic_load(&gate->sleepers))
        syscall(SYS_futex, &gate->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void take_ranges(Pool *pool, uint32_t worker)
{
    int64_t n = pool->n, begin = atomic_load_explicit(&pool->next, memory_order_relaxed);
    while (begin < n) {
        int64_t size = (n - begin) / ((int64_t)pool->threads * SHARE);
        if (size < 1) size = 1;
        if (!atomic_compare_exchange_weak_explicit(&pool->next, &begin, begin + size,
                                                   memory_order_relaxed, memory_order_relaxed))
            continue;
        pool->fn(pool->arg, begin, begin + size, worker);
        begin = atomic_load_explicit(&pool->next, memory_order_relaxed);
    }
}

static void *worker_main(void *arg)
{
    Worker *w = arg;
    Pool *pool = w->pool;
    enter_float_mode();
    for (uint32_t seen = 0;;) {
        seen = gate_wait(&pool->epoch, seen, pool->spins);
        if (pool->stop) return NULL;
        take_ranges(pool, w->number);
        if (atomic_fetch_sub(&pool->running.word, 1) == 1) gate_wake(&pool->running);
    }
}

uint32_t pool_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) {
        long n = sysconf(_SC_NPROCESSORS_ONLN); // more cores than a cpu_set_t holds
        return n > 0 ? (uint32_t)n : 1;
    }
    return (uint32_t)CPU_COUNT(&set);
}

// Give worker w the w-th core of the caller's set. Failure costs speed only.
static void pin(Pool *pool, const Worker *w)
{
    cpu_set_t set, one;
    if (sched_getaffinity(0, sizeof set, &set)) return;
    uint32_t left = w->number;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set) || left--) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (!pthread_setaffinity_np(w->thread, sizeof one, &one)) CPU_SET(cpu, &pool->taken);
        return;
    }
}

// The caller is not pinned, since threads that it starts would inherit that. When it runs on a worker's core, both would
// take turns there for as long as the scheduler lets them: move it to a free one.
static void step_aside(const Pool *pool)
{
    int at = sched_getcpu();
    cpu_set_t mine, others;
    if (at < 0 || !CPU_ISSET((size_t)at, &pool->taken) || sched_getaffinity(0, sizeof mine, &mine)) return;
    CPU_AND(&others, &mine, &pool->taken);
    CPU_XOR(&others, &others, &mine);
    if (!CPU_COUNT(&others) || sched_setaffinity(0, sizeof others, &others)) return;
    sched_setaffinity(0, sizeof mine, &mine);
}

static void join_workers(Pool *pool, uint32_t count)
{
    pool->stop = true;
    atomic_fetch_add(&pool->epoch.word, 1);
    gate_wake(&pool->epoch);
    for (uint32_t i = 0; i < count; i++) pthread_join(pool->workers[i].thread, NULL);
}

static bool start_workers(Pool *pool, bool pinned, Error *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = 0;
    uint32_t i = 0;
    for (; i + 1 < pool->threads; i++) {
        Worker *w = &pool->workers[i];
        *w = (Worker){.pool = pool, .number = i + 1};
        failed = pthread_create(&w->thread, NULL, worker_main, w);
        if (failed) break;
        if (pinned) pin(pool, w);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!failed) return true;
    join_workers(pool, i);
    return error_set(err, "cannot start thread %u of %u: %s", i + 2, pool->threads,
                     strerror(failed));
}

Pool *pool_new(uint32_t threads, Error *err)
{
    uint32_t cores = pool_cores();
    if (!threads) threads = cores;
    Pool *pool = aligned_alloc(64, sizeof *pool);
    Worker *workers = calloc(threads, sizeof *workers);
    if (!pool || !workers) {
        free(pool);
        free(workers);
        error_set(err, "no memory for %u threads", threads);
        return NULL;
    }
    memset(pool, 0, sizeof *pool);
    pool->threads = threads;
    pool->workers = workers;
    pool->spins = threads <= cores ? SPINS : 0;
    if (start_workers(pool, threads <= cores, err)) return pool;
    free(workers);
    free(pool);
    return NULL;
}

void pool_free(Pool *pool)
{
    if (!pool) return;
    join_workers(pool, pool->threads - 1);
    free(pool->workers);
    free(pool);
}

uint32_t pool_threads(const Pool *pool)
{
    return pool->threads;
}

void pool_run(Pool *pool, PoolFn fn, void *arg, int64_t n)
{
    if (n <= 0) return;
    uint32_t mode = enter_float_mode();
    if (n == 1 || pool->threads == 1) {
        fn(arg, 0, n, 0); // not worth a wake
    } else {
        step_aside(pool);
        pool->fn = fn;
        pool->arg = arg;
        pool->n = n;
        atomic_store(&pool->next, 0);
        atomic_store(&pool->running.word, pool->threads - 1);
        atomic_fetch_add(&pool->epoch.word, 1);
        gate_wake(&pool->epoch);
        take_ranges(pool, 0);
        uint32_t left = atomic_load(&pool->running.word);
        while (left) left = gate_wait(&pool->running, left, pool->spins);
    }
    leave_float_mode(mode);
}
