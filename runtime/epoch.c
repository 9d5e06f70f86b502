#include "runtime/epoch.h"

#include "base/map.h"
#include "runtime/philox.h"

#include <stdlib.h>

// Shares of n by weight, to whole numbers that add up: what is over goes one by one to those that
// lost most by rounding down.
static void set_quotas(EpochPart *parts, uint32_t nparts, int64_t n)
{
    double all = 0;
    int64_t left = n;
    for (uint32_t i = 0; i < nparts; i++) all += parts[i].weight;
    for (uint32_t i = 0; i < nparts; i++) {
        parts[i].quota = (int64_t)((double)n * (parts[i].weight / all));
        left -= parts[i].quota;
    }
    for (; nparts && left > 0; left--) {
        uint32_t most = 0;
        double lost = -1;
        for (uint32_t i = 0; i < nparts; i++) {
            double x = (double)n * (parts[i].weight / all) - (double)parts[i].quota;
            if (x > lost) lost = x, most = i;
        }
        parts[most].quota++;
    }
}

bool epoch_open(EpochOrder *o, uint64_t seed, int64_t n, EpochPart *parts, uint32_t nparts,
                Error *err)
{
    *o = (EpochOrder){.seed = seed, .n = n, .parts = parts, .nparts = nparts};
    int64_t largest = 0;
    for (uint32_t i = 0; i < nparts; i++) {
        if (!parts[i].count) return error_set(err, "row %u has no samples", i + 1);
        if (parts[i].count > largest) largest = parts[i].count;
    }
    set_quotas(parts, nparts, n);
    o->sample = malloc((size_t)n * sizeof *o->sample);
    if (nparts) {
        o->turn = malloc((size_t)n * sizeof *o->turn);
        o->own = malloc((size_t)largest * sizeof *o->own);
    }
    if (o->sample && (!nparts || (o->turn && o->own))) return true;
    epoch_close(o);
    return error_set(err, "out of memory for the order of %lld samples", (long long)n);
}

void epoch_close(EpochOrder *o)
{
    free(o->sample);
    free(o->turn);
    free(o->own);
    o->sample = o->turn = o->own = NULL;
}

static void swap(uint32_t *list, int64_t i, uint64_t k)
{
    uint32_t x = list[i];
    list[i] = list[k];
    list[k] = x;
}

// Fisher-Yates; another list may go along.
static void shuffle(uint32_t *list, uint32_t *other, int64_t n, uint64_t key, uint64_t round)
{
    Philox random = philox_begin(key, (uint32_t)round, round >> 32);
    for (int64_t i = n - 1; i > 0; i--) {
        uint64_t k = philox_below(&random, (uint64_t)i + 1);
        swap(list, i, k);
        if (other) swap(other, i, k);
    }
}

// The share of one part of an epoch, from place `at` on.
static void take_part(EpochOrder *o, uint32_t number, uint64_t epoch, int64_t at)
{
    const EpochPart *p = &o->parts[number];
    uint64_t begin = epoch * (uint64_t)p->quota, count = (uint64_t)p->count,
             key = hash_u64(hash_str(hash_u64(0, o->seed), "data.order.part"), number);
    for (uint64_t g = begin; g < begin + (uint64_t)p->quota; g++) {
        if (g == begin || g % count == 0) {
            for (uint64_t i = 0; i < count; i++) o->own[i] = (uint32_t)i;
            shuffle(o->own, NULL, p->count, key, g / count);
        }
        o->sample[at] = (uint32_t)p->first + o->own[g % count];
        o->turn[at++] = (uint32_t)(g / count);
    }
}

void epoch_make(EpochOrder *o, uint64_t epoch)
{
    int64_t at = 0;
    for (int64_t i = 0; i < o->n && !o->nparts; i++) o->sample[i] = (uint32_t)i;
    for (uint32_t i = 0; i < o->nparts; i++) {
        take_part(o, i, epoch, at);
        at += o->parts[i].quota;
    }
    shuffle(o->sample, o->turn, o->n, hash_str(hash_u64(0, o->seed), "data.order"), epoch);
}
