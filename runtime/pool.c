// The thread pool. A region is opened by a new number in `state`; workers that spin or sleep on it
// wake, enter by counting themselves in there, take ranges from the shared counter `next` until
// none is left, and count themselves out. The caller takes ranges too, closes the region when none
// is left, and waits for those who are inside: a worker that comes too late (another process has
// its core) finds it closed, and nobody waits for it. Ranges shrink with what is left (a fraction
// for each thread, at least one task), which costs few atomic operations and still ends evenly.
// Waiting spins for some microseconds, then sleeps in a futex: an idle spinner takes half of a
// hardware thread's speed from its sibling. No thread is pinned, so that the scheduler can move one
// whose core is taken.
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

// Parts of `state`: workers inside of the region; the pool ends; the region is closed; its number,
// which may wrap around (who sleeps through so many regions misses one, and no harm is done).
enum { INSIDE = 0x3fff, STOP = 0x4000, CLOSED = 0x8000, NEXT_NUMBER = 0x10000 };
static const uint32_t NUMBER = 0xffff0000;

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
    // The region; written by the caller while it is closed and empty.
    PoolFn fn;
    void *arg;
    int64_t n;
    Gate state;
    Gate left; // rises when the last worker leaves a closed region
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

// Wait until those bits of the gate's word differ from `seen` and return the word. A sleeper
// announces itself before the kernel compares the word, a waker changes the word before it looks
// for sleepers: one of them sees the other.
static uint32_t gate_wait(Gate *gate, uint32_t bits, uint32_t seen, uint32_t spins)
{
    uint32_t now;
    for (uint32_t i = 0; i < spins; i++) {
        now = atomic_load_explicit(&gate->word, memory_order_acquire);
        if ((now & bits) != seen) return now;
        pause_cpu();
    }
    atomic_fetch_add(&gate->sleepers, 1);
    while (((now = atomic_load(&gate->word)) & bits) == seen)
        syscall(SYS_futex, &gate->word, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
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

// Enter the region that `state` shows, if it is still open when it is entered.
static bool enter(Pool *pool, uint32_t state)
{
    uint32_t number = state & NUMBER;
    while ((state & NUMBER) == number && !(state & CLOSED))
        if (atomic_compare_exchange_weak(&pool->state.word, &state, state + 1)) return true;
    return false;
}

static void leave(Pool *pool)
{
    uint32_t before = atomic_fetch_sub(&pool->state.word, 1);
    if (!(before & CLOSED) || (before & INSIDE) != 1) return;
    atomic_fetch_add(&pool->left.word, 1);
    gate_wake(&pool->left);
}

static void *worker_main(void *arg)
{
    Worker *w = arg;
    Pool *pool = w->pool;
    enter_float_mode();
    for (uint32_t seen = 0;;) {
        uint32_t state = gate_wait(&pool->state, NUMBER | STOP, seen, pool->spins);
        if (state & STOP) return NULL;
        seen = state & NUMBER;
        if (!enter(pool, state)) continue;
        take_ranges(pool, w->number);
        leave(pool);
    }
}

// Let workers into the region whose fields are set.
static void open_region(Pool *pool)
{
    uint32_t state = atomic_load_explicit(&pool->state.word, memory_order_relaxed);
    atomic_store(&pool->state.word, (state & NUMBER) + NEXT_NUMBER);
    gate_wake(&pool->state);
}

// Let nobody in any more, and wait for those who are inside.
static void close_region(Pool *pool)
{
    uint32_t left = atomic_load(&pool->left.word);
    if (atomic_fetch_or(&pool->state.word, CLOSED) & INSIDE)
        gate_wait(&pool->left, UINT32_MAX, left, pool->spins);
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

static void join_workers(Pool *pool, uint32_t count)
{
    atomic_fetch_or(&pool->state.word, STOP);
    gate_wake(&pool->state);
    for (uint32_t i = 0; i < count; i++) pthread_join(pool->workers[i].thread, NULL);
}

static bool start_workers(Pool *pool, Error *err)
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
    if (threads > INSIDE) {
        error_set(err, "%u threads: a pool has at most %d", threads, INSIDE);
        return NULL;
    }
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
    if (start_workers(pool, err)) return pool;
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
        pool->fn = fn;
        pool->arg = arg;
        pool->n = n;
        atomic_store(&pool->next, 0);
        open_region(pool);
        take_ranges(pool, 0);
        close_region(pool);
    }
    leave_float_mode(mode);
}
