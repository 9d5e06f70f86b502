// What code compiled with -fsanitize=thread calls, answered by the shim's race detection instead of
// the sanitizer's library. Linked with a kernel's object by shim_compile.
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
#include "shim_lane.h"

extern "C" __attribute__((visibility("default"))) ShimLane **shim_lane_slot();

static inline void touch(const volatile void *p, uint64_t bytes, uint32_t kind)
{
    ShimLane *lane = *shim_lane_slot();
    if (lane) lane->calls->access(lane, (const void *)p, bytes, kind);
}

#define HOOKS(n)                                                        \
    void __tsan_read##n(void *p) { touch(p, n, 0); }                    \
    void __tsan_write##n(void *p) { touch(p, n, 1); }                   \
    void __tsan_unaligned_read##n(void *p) { touch(p, n, 0); }          \
    void __tsan_unaligned_write##n(void *p) { touch(p, n, 1); }         \
    void __tsan_volatile_read##n(void *p) { touch(p, n, 0); }           \
    void __tsan_volatile_write##n(void *p) { touch(p, n, 1); }          \
    void __tsan_read##n##_pc(void *p, void *) { touch(p, n, 0); }       \
    void __tsan_write##n##_pc(void *p, void *) { touch(p, n, 1); }      \
    void __tsan_read_write##n(void *p) { touch(p, n, 0), touch(p, n, 1); }

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __tsan_read_range(void *p, uint64_t n) { touch(p, n, 0); }
void __tsan_write_range(void *p, uint64_t n) { touch(p, n, 1); }

void *__tsan_memcpy(void *to, const void *from, uint64_t n)
{
    touch(from, n, 0);
    touch(to, n, 1);
    return __builtin_memcpy(to, from, n);
}

void *__tsan_memmove(void *to, const void *from, uint64_t n)
{
    touch(from, n, 0);
    touch(to, n, 1);
    return __builtin_memmove(to, from, n);
}

void *__tsan_memset(void *to, int value, uint64_t n)
{
    touch(to, n, 1);
    return __builtin_memset(to, value, n);
}

// An atomic meets other atomics without a race.
uint32_t __tsan_atomic32_fetch_add(volatile uint32_t *p, uint32_t x, int)
{
    touch(p, 4, 2);
    return __atomic_fetch_add(p, x, __ATOMIC_SEQ_CST);
}

uint32_t __tsan_atomic32_load(const volatile uint32_t *p, int)
{
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

int __tsan_atomic32_compare_exchange_strong(volatile uint32_t *p, uint32_t *expected, uint32_t x,
                                            int, int)
{
    touch(p, 4, 2);
    return __atomic_compare_exchange_n(p, expected, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

uint32_t __tsan_atomic32_compare_exchange_val(volatile uint32_t *p, uint32_t expected, uint32_t x,
                                              int, int)
{
    touch(p, 4, 2);
    __atomic_compare_exchange_n(p, &expected, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expected;
}

void __tsan_atomic_thread_fence(int)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
}
