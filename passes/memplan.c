// Pass memplan: offsets. Scratch buffers get places in one block so that buffers whose launches
// overlap in time never share bytes. Largest first, each at the lowest free offset (greedy by size,
// Pisarchyk and Lee 2020).
#include "passes/lower.h"

#include <stdlib.h>

enum { ALIGN = 64 };

static int64_t bytes_of(const PlanBuffer *b)
{
    return (b->count * dtype_size(b->dtype) + ALIGN - 1) / ALIGN * ALIGN;
}

static void find_lifetimes(PlanEntry *e)
{
    for (uint32_t i = 0; i < e->buffers.n; i++) e->buffers.at[i].first = UINT32_MAX;
    for (uint32_t l = 0; l < e->launches.n; l++)
        for (uint32_t s = 0; s < e->launches.at[l].segments.n; s++) {
            const Segment *seg = &e->launches.at[l].segments.at[s];
            for (uint32_t i = 0; i < seg->buffers.n; i++) {
                PlanBuffer *b = &e->buffers.at[seg->buffers.at[i]];
                if (b->first == UINT32_MAX) b->first = l;
                b->last = l;
            }
        }
}

static int by_size(const void *a, const void *b)
{
    const PlanBuffer *x = *(PlanBuffer *const *)a, *y = *(PlanBuffer *const *)b;
    int64_t p = bytes_of(x), q = bytes_of(y);
    if (p != q) return p > q ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int by_offset(const void *a, const void *b)
{
    const PlanBuffer *x = *(PlanBuffer *const *)a, *y = *(PlanBuffer *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void place_scratch(Lower *lo)
{
    PlanEntry *e = lo->entry;
    VEC(PlanBuffer *) all = {0}, placed = {0}, rivals = {0};
    for (uint32_t i = 0; i < e->buffers.n; i++)
        if (e->buffers.at[i].block == BLOCK_SCRATCH && e->buffers.at[i].first != UINT32_MAX)
            vec_push(lo->arena, &all, &e->buffers.at[i]);
    if (all.n) qsort(all.at, all.n, sizeof *all.at, by_size);
    for (uint32_t i = 0; i < all.n; i++) {
        PlanBuffer *b = all.at[i];
        rivals.n = 0;
        for (uint32_t j = 0; j < placed.n; j++)
            if (placed.at[j]->first <= b->last && b->first <= placed.at[j]->last)
                vec_push(lo->arena, &rivals, placed.at[j]);
        if (rivals.n) qsort(rivals.at, rivals.n, sizeof *rivals.at, by_offset);
        int64_t at = 0;
        for (uint32_t j = 0; j < rivals.n; j++) {
            if (rivals.at[j]->offset >= at + bytes_of(b)) break;
            int64_t end = rivals.at[j]->offset + bytes_of(rivals.at[j]);
            if (end > at) at = end;
        }
        b->offset = at;
        if (at + bytes_of(b) > e->scratch_bytes) e->scratch_bytes = at + bytes_of(b);
        e->unplanned_bytes += bytes_of(b);
        vec_push(lo->arena, &placed, b);
    }
}

static void plan_entry(Lower *lo)
{
    PlanEntry *e = lo->entry;
    find_lifetimes(e);
    place_scratch(lo);
    for (uint32_t i = 0; i < e->buffers.n; i++) {
        PlanBuffer *b = &e->buffers.at[i];
        int64_t *end = b->block == BLOCK_INPUT    ? &e->input_bytes
                       : b->block == BLOCK_OUTPUT ? &e->output_bytes
                                                  : NULL;
        if (end) {
            b->offset = *end;
            *end += bytes_of(b);
        } else if (b->block == BLOCK_STATE) {
            for (uint32_t s = 0; s < lo->plan->state.n; s++)
                if (strcmp(lo->plan->state.at[s].name, b->name) == 0)
                    b->offset = lo->plan->state.at[s].offset;
        }
    }
}

bool pass_memplan(Program *p, PassContext *ctx)
{
    for (uint32_t i = 0; i < p->entries.n; i++) plan_entry(&ctx->options->lowering->entries[i]);
    return ctx->options->lowering->planned = true;
}
