// What every plan promises: kernels are well formed, a launch gives each kernel buffers as it takes
// them, nothing is read before it is written, what one launch runs side by side shares nothing that
// is written, and buffers that are needed at the same time never share bytes.
#include "passes/lower.h"

#include <stdlib.h>

enum { NEVER = UINT32_MAX };

// Of one buffer: launches that touch it first and last and the first that writes it; and in the
// launch looked at, the segment that wrote it and the last that touched it.
typedef struct Life {
    uint32_t first, last, written;
    uint32_t launch, writer, toucher;
} Life;

static int64_t bytes_of(const PlanBuffer *b)
{
    return b->count * dtype_size(b->dtype);
}

// Buffer `b` as operand i of a segment of launch l.
static bool verify_use(const PlanEntry *e, uint32_t l, const Segment *seg, const Kernel *k,
                       uint32_t i, const Life *life, Error *err)
{
    uint32_t b = seg->buffers.at[i];
    int64_t from = seg->from.at[i];
    const PlanBuffer *buffer = &e->buffers.at[b];
    const KernelBuffer *slot = &k->buffers.at[i];
    bool given = buffer->block == BLOCK_INPUT || buffer->block == BLOCK_CONST;
    if (from < 0 || buffer->count < from + slot->count || buffer->dtype != slot->dtype)
        return error_set(err, "launch %u: buffer %u is not what kernel %s takes", l, b, k->name);
    if (from * dtype_size(slot->dtype) % 64)
        return error_set(err, "launch %u: a window of buffer %u is not aligned", l, b);
    if (given && slot->written)
        return error_set(err, "launch %u writes buffer %u, which it is given", l, b);
    if (!slot->written && !given && buffer->block != BLOCK_STATE && life->written >= l)
        return error_set(err, "launch %u reads buffer %u before it is written", l, b);
    return true;
}

// Segments of a launch run in any order: what one writes no other may touch.
static bool verify_beside(uint32_t l, uint32_t s, uint32_t b, bool writes, Life *life, Error *err)
{
    if (life->launch != l) *life = (Life){life->first, life->last, life->written, l, NEVER, s};
    bool clash = (life->writer != NEVER && life->writer != s) || (writes && life->toucher != s);
    if (clash) return error_set(err, "launch %u: two segments share buffer %u", l, b);
    if (writes) life->writer = s;
    life->toucher = s;
    return true;
}

static bool verify_launch(const Plan *plan, const PlanEntry *e, uint32_t l, Life *life, Error *err)
{
    const Launch *launch = &e->launches.at[l];
    for (uint32_t s = 0; s < launch->segments.n; s++) {
        const Segment *seg = &launch->segments.at[s];
        const Kernel *k = plan->kernels.at[seg->kernel];
        if (seg->buffers.n != k->buffers.n || seg->from.n != seg->buffers.n)
            return error_set(err, "launch %u: %u buffers for %u", l, seg->buffers.n, k->buffers.n);
        for (uint32_t i = 0; i < seg->buffers.n; i++) {
            uint32_t b = seg->buffers.at[i];
            if (!verify_use(e, l, seg, k, i, &life[b], err) ||
                !verify_beside(l, s, b, k->buffers.at[i].written, &life[b], err))
                return false;
            if (life[b].first == NEVER) life[b].first = l;
            life[b].last = l;
        }
    }
    for (uint32_t s = 0; s < launch->segments.n; s++)
        for (uint32_t i = 0; i < launch->segments.at[s].buffers.n; i++) {
            Life *of = &life[launch->segments.at[s].buffers.at[i]];
            bool writes = plan->kernels.at[launch->segments.at[s].kernel]->buffers.at[i].written;
            if (writes && of->written > l) of->written = l;
        }
    return true;
}

static int64_t block_bytes(const Plan *plan, const PlanEntry *e, Block block)
{
    switch (block) {
    case BLOCK_STATE: return plan->state_bytes;
    case BLOCK_SCRATCH: return e->scratch_bytes;
    case BLOCK_INPUT: return e->input_bytes;
    case BLOCK_OUTPUT: return e->output_bytes;
    case BLOCK_CONST: return plan->constants.n * (int64_t)sizeof(int64_t);
    }
    return 0;
}

// A tree over launches; each node has a range of them, its children the halves.
typedef struct Ends {
    const PlanEntry *e;
    uint32_t *whole, *some; // by node: the buffer (+ 1) that ends last so far, of those that live
                            // in all of its launches, and in any
} Ends;

static int64_t end_of(const Ends *t, uint32_t b)
{
    return b ? t->e->buffers.at[b - 1].offset + bytes_of(&t->e->buffers.at[b - 1]) : 0;
}

static void keep_last(const Ends *t, uint32_t *at, uint32_t b)
{
    if (end_of(t, b) > end_of(t, *at)) *at = b;
}

// Into node `at` of launches low to high goes buffer b; found: what ends last beside it.
static void place(Ends *t, uint32_t at, uint32_t low, uint32_t high, uint32_t b, const Life *life,
                  uint32_t *found)
{
    if (life->last < low || high < life->first) return;
    keep_last(t, found, t->whole[at]);
    bool inside = life->first <= low && high <= life->last;
    if (inside) {
        keep_last(t, found, t->some[at]);
        keep_last(t, &t->whole[at], b);
    } else {
        uint32_t middle = (low + high) / 2;
        place(t, 2 * at, low, middle, b, life, found);
        place(t, 2 * at + 1, middle + 1, high, b, life, found);
    }
    keep_last(t, &t->some[at], b);
}

static int by_offset(const void *a, const void *b)
{
    const PlanBuffer *x = *(PlanBuffer *const *)a, *y = *(PlanBuffer *const *)b;
    if (x->block != y->block) return x->block < y->block ? -1 : 1;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x < y ? -1 : x > y;
}

// In the order of their offsets: what lives beside a buffer and was placed before it ends before
// it. Outside of scratch all live beside each other.
static bool verify_apart(const PlanEntry *e, const Life *life, PlanBuffer **all, uint32_t n,
                         Arena *scratch, Error *err)
{
    const uint32_t last = e->launches.n - 1;
    Ends t = {e, arena_array(scratch, uint32_t, 4 * (size_t)e->launches.n),
              arena_array(scratch, uint32_t, 4 * (size_t)e->launches.n)};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t b = (uint32_t)(all[i] - e->buffers.at), found = 0;
        bool alone = all[i]->block != BLOCK_SCRATCH;
        if (alone && i && all[i - 1]->block == all[i]->block)
            found = (uint32_t)(all[i - 1] - e->buffers.at) + 1;
        if (!alone) place(&t, 1, 0, last, b + 1, &life[b], &found);
        if (end_of(&t, found) <= all[i]->offset) continue;
        uint32_t other = found - 1;
        return error_set(err, "buffers %u and %u share bytes", other < b ? other : b,
                         other < b ? b : other);
    }
    return true;
}

static bool verify_offsets(const Plan *plan, const PlanEntry *e, const Life *life, Error *err)
{
    Arena *scratch = arena_new();
    VEC(PlanBuffer *) all = {0};
    bool good = true;
    for (uint32_t i = 0; i < e->buffers.n && good; i++) {
        PlanBuffer *x = &e->buffers.at[i];
        if (life[i].first == NEVER) continue;
        if (x->offset < 0 || x->offset + bytes_of(x) > block_bytes(plan, e, x->block))
            good = error_set(err, "buffer %u lies outside its block", i);
        else if (x->offset % (x->block == BLOCK_CONST ? 8 : 64))
            good = error_set(err, "buffer %u is not aligned", i);
        vec_push(scratch, &all, x);
    }
    if (all.n) qsort(all.at, all.n, sizeof *all.at, by_offset);
    good = good && verify_apart(e, life, all.at, all.n, scratch, err);
    arena_free(scratch);
    return good;
}

bool plan_verify(const Plan *plan, bool planned, Error *err)
{
    Error found = {0};
    for (uint32_t i = 0; i < plan->kernels.n; i++)
        if (!kernel_verify(plan->kernels.at[i], &found))
            return error_set(err, "kernel %s: %s", plan->kernels.at[i]->name, found.text);
    for (uint32_t i = 0; i < plan->entries.n; i++) {
        const PlanEntry *e = &plan->entries.at[i];
        Life *life = arena_array(plan->arena, Life, e->buffers.n + 1);
        for (uint32_t b = 0; b < e->buffers.n; b++)
            life[b] = (Life){.first = NEVER, .written = NEVER, .launch = NEVER};
        bool good = true;
        for (uint32_t l = 0; good && l < e->launches.n; l++)
            good = verify_launch(plan, e, l, life, &found);
        if (!good || (planned && !verify_offsets(plan, e, life, &found)))
            return error_set(err, "entry %s: %s", e->name, found.text);
    }
    return true;
}
