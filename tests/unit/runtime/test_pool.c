// The thread pool: every task once, any number of threads, one floating-point mode.
#include "runtime/pool.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <float.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

typedef struct Count {
    uint8_t *times;
    uint32_t threads;
    _Atomic uint32_t bad;
} Count;

static void count(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    Count *c = arg;
    if (worker >= c->threads || begin >= end) atomic_fetch_add(&c->bad, 1);
    for (int64_t i = begin; i < end; i++) c->times[i]++;
}

Test(pool, does_every_task_once)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 64, 1000, 100003};
    for (uint32_t threads = 1; threads <= 5; threads++) {
        Error err = {0};
        Pool *pool = pool_new(threads, &err);
        cr_assert_not_null(pool, "%s", err.text);
        cr_assert_eq(pool_threads(pool), threads);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            int64_t n = sizes[s];
            Count c = {.times = calloc((size_t)n + 1, 1), .threads = threads};
            pool_run(pool, count, &c, n);
            cr_assert_eq(c.bad, 0);
            for (int64_t i = 0; i < n; i++) cr_assert_eq(c.times[i], 1, "task %ld", (long)i);
            cr_assert_eq(c.times[n], 0);
            free(c.times);
        }
        pool_free(pool);
    }
}

static void bump(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    int64_t *sum = arg;
    for (int64_t i = begin; i < end; i++) sum[8 * worker] += i;
}

// Many short regions: workers that wake late, or not at all, must not miss or repeat one.
Test(pool, survives_many_short_regions)
{
    for (uint32_t threads = 2; threads <= 8; threads++) {
        Error err = {0};
        Pool *pool = pool_new(threads, &err);
        int64_t sum[64] = {0}, all = 0, want = 0;
        for (int64_t r = 0; r < 3000; r++) {
            int64_t n = r % 9;
            pool_run(pool, bump, sum, n);
            want += n * (n - 1) / 2;
        }
        for (int i = 0; i < 64; i++) all += sum[i];
        cr_assert_eq(all, want);
        pool_free(pool);
    }
}

static void denormals(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    _Atomic int64_t *kept = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        volatile float tiny = FLT_MIN, half = tiny * 0.5f, back = half * 2;
        if (half > 0 && back == FLT_MIN) atomic_fetch_add(kept, 1);
    }
}

static void slow(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    uint8_t *done = arg;
    if (worker) usleep(300);
    for (int64_t i = begin; i < end; i++) done[i]++;
}

// A region ends when all of its tasks have, also those of workers slower than the caller.
Test(pool, waits_for_who_is_inside)
{
    for (uint32_t threads = 2; threads <= 5; threads++) {
        Error err = {0};
        Pool *pool = pool_new(threads, &err);
        for (int r = 0; r < 100; r++) {
            uint8_t done[24] = {0};
            pool_run(pool, slow, done, sizeof done);
            for (size_t i = 0; i < sizeof done; i++) cr_assert_eq(done[i], 1, "task %zu", i);
        }
        pool_free(pool);
    }
}

Test(pool, refuses_what_it_cannot_count)
{
    Error err = {0};
    cr_assert_null(pool_new(100000, &err));
    cr_assert(strstr(err.text, "100000 threads"), "%s", err.text);
}

Test(pool, keeps_denormals_whatever_the_caller_set)
{
#ifdef __x86_64__
    Error err = {0};
    Pool *pool = pool_new(3, &err);
    uint32_t odd = 0x1f80 | 0x8040 | 0x2000; // FTZ, DAZ, rounding down
    _mm_setcsr(odd);
    _Atomic int64_t kept = 0;
    pool_run(pool, denormals, &kept, 1000);
    pool_run(pool, denormals, &kept, 1);
    cr_assert_eq(_mm_getcsr() & 0xffc0, odd & 0xffc0, "the caller's mode must come back");
    _mm_setcsr(0x1f80);
    cr_assert_eq(kept, 1001);
    pool_free(pool);
#endif
}

// How many threads of this process block SIGTERM, by the kernel's word.
static int blocking_threads(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; (e = readdir(dir));) {
        char path[300], line[256];
        unsigned long long mask;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f))
            n += sscanf(line, "SigBlk: %llx", &mask) == 1 && mask >> (SIGTERM - 1) & 1;
        if (f) fclose(f);
    }
    closedir(dir);
    return n;
}

Test(pool, workers_take_no_signals_and_the_caller_keeps_its_own)
{
    Error err = {0};
    sigset_t none;
    cpu_set_t before, after;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    pthread_getaffinity_np(pthread_self(), sizeof before, &before);
    Pool *pool = pool_new(2, &err); // a sanitizer starts its own with the first thread
    pool_free(pool);
    int others = blocking_threads();
    pool = pool_new(3, &err);
    cr_assert_eq(blocking_threads() - others, 2);
    pool_free(pool);
    pool = pool_new(0, &err);
    cr_assert_eq(pool_threads(pool), pool_cores());
    pthread_getaffinity_np(pthread_self(), sizeof after, &after);
    cr_assert(CPU_EQUAL(&before, &after),
              "threads started later would inherit a pinned caller's core");
    pool_free(pool);
}
