// Pass memplan: offsets. Scratch buffers get places in one block so that buffers whose launches
// overlap in time never share bytes. Largest first, each at the lowest free offset (greedy by size,
// Pisarchyk and Lee 2020). On a target that runs launches side by side, what frozen teachers
// compute shares bytes with nothing that would make it wait, while that takes little or a limit of
// memory leaves room for it.
#include "passes/beside.h"

#include "base/map.h"

#include <stdlib.h>

enum { ALIGN = 64 };

static int64_t aligned(int64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static int64_t bytes_of(const PlanBuffer *b)
{
    return aligned(b->count * dtype_size(b->dtype));
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

// A buffer that has its place.
typedef struct Placed {
    int64_t from, to; // bytes
    uint32_t first, last, buffer;
} Placed;

// May buffer b not share bytes with it?
static bool apart(const PlanEntry *e, const Sequence *q, const Placed *x, uint32_t b)
{
    const PlanBuffer *y = &e->buffers.at[b];
    if (x->first <= y->last && y->first <= x->last) return true;
    if (!q) return false;
    return x->first > y->first ? !sequence_after(q, b, x->buffer)
                               : !sequence_after(q, x->buffer, b);
}

static int by_size(const void *a, const void *b)
{
    const PlanBuffer *x = *(PlanBuffer *const *)a, *y = *(PlanBuffer *const *)b;
    int64_t p = bytes_of(x), q = bytes_of(y);
    if (p != q) return p > q ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void place_scratch(Lower *lo, const Sequence *q)
{
    PlanEntry *e = lo->entry;
    e->scratch_bytes = e->unplanned_bytes = 0;
    VEC(PlanBuffer *) all = {0};
    VEC(Placed) placed = {0}; // by offset
    for (uint32_t i = 0; i < e->buffers.n; i++)
        if (e->buffers.at[i].block == BLOCK_SCRATCH && e->buffers.at[i].first != UINT32_MAX)
            vec_push(lo->arena, &all, &e->buffers.at[i]);
    if (all.n) qsort(all.at, all.n, sizeof *all.at, by_size);
    for (uint32_t i = 0; i < all.n; i++) {
        PlanBuffer *b = all.at[i];
        const uint32_t number = (uint32_t)(b - e->buffers.at);
        int64_t at = 0, size = bytes_of(b);
        for (uint32_t j = 0; j < placed.n && placed.at[j].from < at + size; j++)
            if (placed.at[j].to > at && apart(e, q, &placed.at[j], number)) at = placed.at[j].to;
        b->offset = at;
        if (at + size > e->scratch_bytes) e->scratch_bytes = at + size;
        e->unplanned_bytes += size;
        uint32_t place = placed.n;
        vec_push(lo->arena, &placed, (Placed){0});
        for (; place && placed.at[place - 1].from > at; place--)
            placed.at[place] = placed.at[place - 1];
        placed.at[place] = (Placed){at, at + size, b->first, b->last, number};
    }
}

// In `streams`, where there are two: for no more than an eighth of the bytes besides, as long as no
// limit of memory is known; one that is known is held later.
static void plan_scratch(Lower *lo, bool streams)
{
    place_scratch(lo, NULL);
    int64_t most = lo->program->memory ? INT64_MAX : lo->entry->scratch_bytes / 8 * 9;
    const Sequence *q = streams ? sequence_of(lo) : NULL;
    if (!q) return;
    place_scratch(lo, q);
    if (lo->entry->scratch_bytes > most) place_scratch(lo, NULL);
}

static void plan_entry(Lower *lo)
{
    PlanEntry *e = lo->entry;
    const Plan *plan = lo->plan;
    Map states = {0}; // name -> index + 1
    for (uint32_t s = 0; s < plan->state.n; s++)
        map_set(lo->arena, &states, plan->state.at[s].name, (void *)(uintptr_t)(s + 1));
    find_lifetimes(e);
    plan_scratch(lo, lo->target->staged);
    for (uint32_t i = 0; i < e->buffers.n; i++) {
        PlanBuffer *b = &e->buffers.at[i];
        int64_t *end = b->block == BLOCK_INPUT    ? &e->input_bytes
                       : b->block == BLOCK_OUTPUT ? &e->output_bytes
                                                  : NULL;
        if (end) {
            b->offset = *end;
            *end += bytes_of(b);
        } else if (b->block == BLOCK_STATE) {
            uintptr_t known = (uintptr_t)map_get(&states, b->name);
            if (known) b->offset = plan->state.at[known - 1].offset;
        }
    }
}

// With what runs before the entry in parts takes of the whole batch: behind its own inputs.
static int64_t host_bytes(const Program *p, const PlanEntry *e, Arena *scratch)
{
    const EntryInputs inputs = entry_inputs(p, program_find_entry((Program *)p, e->name), scratch);
    int64_t bytes = e->input_bytes;
    for (uint32_t i = 0; i < inputs.n; i++)
        if (!inputs.at[i].own) bytes += aligned(type_bytes(inputs.at[i].type));
    return bytes;
}

static bool runs_before(const Program *p, const char *name)
{
    for (uint32_t i = 0; i < p->entries.n; i++)
        for (uint32_t k = 0; k < p->entries.at[i]->before.n; k++)
            if (!strcmp(p->entries.at[i]->before.at[k].entry, name)) return true;
    return false;
}

// What runs before another entry has a block of its own: that one's inputs stay meanwhile.
static int64_t staged_bytes(const Plan *plan)
{
    int64_t most[2] = {0};
    for (uint32_t i = 0; i < plan->entries.n; i++) {
        const PlanEntry *e = &plan->entries.at[i];
        if (e->input_bytes > most[e->runs_before]) most[e->runs_before] = e->input_bytes;
    }
    return most[0] + most[1] + (most[0] > most[1] ? most[0] : most[1]);
}

int64_t plan_bytes(const Plan *plan, const Target *target)
{
    int64_t scratch = 0, input = 0,
            bytes = plan->state_bytes + (int64_t)(plan->constants.n * sizeof *plan->constants.at);
    for (uint32_t i = 0; i < plan->entries.n; i++) {
        const PlanEntry *e = &plan->entries.at[i];
        if (e->scratch_bytes > scratch) scratch = e->scratch_bytes;
        input += e->host_bytes;
        bytes += e->output_bytes;
    }
    return bytes + scratch + (target->staged ? staged_bytes(plan) : input);
}

bool pass_memplan(Program *p, PassContext *ctx)
{
    for (uint32_t i = 0; i < p->entries.n; i++) {
        Lower *lo = &ctx->options->lowering->entries[i];
        plan_entry(lo);
        lo->entry->host_bytes = host_bytes(p, lo->entry, ctx->scratch);
        lo->entry->runs_before = runs_before(p, lo->entry->name);
    }
    const Lowering *all = ctx->options->lowering;
    bool fits =
        !all->target->staged || !p->memory || plan_bytes(all->plan, all->target) <= p->memory;
    for (uint32_t i = 0; !fits && i < p->entries.n; i++) plan_scratch(&all->entries[i], false);
    return ctx->options->lowering->planned = true;
}
