// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (2011). A number is a function of (key, counter) alone, so order and
// thread count change nothing.
#ifndef CZT_RUNTIME_PHILOX_H
#define CZT_RUNTIME_PHILOX_H

#include <stdint.h>

typedef struct Philox {
    uint32_t key[2], counter[4]; // counter[3] counts the blocks of one stream
    uint32_t block[4], used;
} Philox;

// One block: four words out of (key, counter).
static inline void philox_block(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// Begin the stream of (key, epoch, index).
static inline Philox philox_begin(uint64_t key, uint32_t epoch, uint64_t index)
{
    Philox p = {{(uint32_t)key, (uint32_t)(key >> 32)},
                {(uint32_t)index, (uint32_t)(index >> 32), epoch, 0},
                {0},
                4};
    return p;
}

// The next 32 random bits.
static inline uint32_t philox_next(Philox *p)
{
    if (p->used == 4) {
        philox_block(p->key, p->counter, p->block);
        p->counter[3]++;
        p->used = 0;
    }
    return p->block[p->used++];
}

// Uniform in [0, 1), 53 bits.
static inline double philox_uniform(Philox *p)
{
    uint64_t high = philox_next(p), low = philox_next(p);
    return (double)((high << 21) ^ (low >> 11)) * 0x1p-53;
}

// Uniform integer in [0, n), n >= 1; without bias (numbers past the last multiple of n are
// redrawn).
static inline uint64_t philox_below(Philox *p, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;
    do {
        uint64_t high = philox_next(p);
        x = high << 32 | philox_next(p);
    } while (x >= limit);
    return x % n;
}

#endif
