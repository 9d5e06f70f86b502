#include "fence.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

typedef struct Mapping {
    uint8_t *pages;
    size_t size;
    void *data;
} Mapping;

struct Fence {
    const Plan *plan;
    const PlanEntry *entry;
    const Blob *blob;
    Mapping code, worker;
    Mapping *buffers, *state; // by plan buffer; by state variable
};

// Fenced memory for `bytes` bytes.
static Mapping fenced(size_t bytes, bool at_end, int fill)
{
    size_t inner = (bytes + PAGE - 1) / PAGE * PAGE, size = inner + 2 * PAGE;
    if (!inner) size += PAGE, inner = PAGE;
    uint8_t *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(at + PAGE, inner, PROT_READ | PROT_WRITE))
        bug("no memory for a fence");
    memset(at + PAGE, fill, inner);
    return (Mapping){at, size, at_end ? at + PAGE + inner - bytes : at + PAGE};
}

static size_t bytes_of(const PlanBuffer *b)
{
    return (size_t)(b->count * dtype_size(b->dtype));
}

Fence *fence_new(const Plan *plan, uint32_t entry, const Blob *blob, bool at_end)
{
    Fence *f = calloc(1, sizeof *f);
    f->plan = plan;
    f->entry = &plan->entries.at[entry];
    f->blob = blob;
    f->code = fenced(blob->size + 64, false, 0xcc);
    memcpy(f->code.data, blob->bytes, blob->size);
    if (mprotect(f->code.pages + PAGE, f->code.size - 2 * PAGE, PROT_READ | PROT_EXEC))
        bug("cannot map code");
    f->worker = fenced(((size_t)blob->worker_bytes + 63) / 64 * 64, at_end, 0xff);
    f->state = calloc(plan->state.n + 1, sizeof *f->state);
    for (uint32_t i = 0; i < plan->state.n; i++)
        f->state[i] = fenced(bytes_of(&plan->state.at[i]), at_end, 0xff);
    f->buffers = calloc(f->entry->buffers.n + 1, sizeof *f->buffers);
    for (uint32_t i = 0; i < f->entry->buffers.n; i++) {
        const PlanBuffer *b = &f->entry->buffers.at[i];
        if (b->block == BLOCK_STATE) {
            for (uint32_t s = 0; s < plan->state.n; s++)
                if (strcmp(plan->state.at[s].name, b->name) == 0)
                    f->buffers[i].data = f->state[s].data;
        } else {
            f->buffers[i] = fenced(bytes_of(b), at_end, 0xff);
            if (b->block == BLOCK_CONST)
                memcpy(f->buffers[i].data, (const uint8_t *)plan->constants.at + b->offset,
                       bytes_of(b));
        }
    }
    return f;
}

void *fence_find(const Fence *f, Block block, const char *name)
{
    if (block == BLOCK_STATE) {
        for (uint32_t s = 0; s < f->plan->state.n; s++)
            if (strcmp(f->plan->state.at[s].name, name) == 0) return f->state[s].data;
        return NULL;
    }
    for (uint32_t i = 0; i < f->entry->buffers.n; i++) {
        const PlanBuffer *b = &f->entry->buffers.at[i];
        if (b->block == block && strcmp(b->name, name) == 0) return f->buffers[i].data;
    }
    return NULL;
}

void fence_run(Fence *f)
{
    for (uint32_t l = 0; l < f->entry->launches.n; l++) {
        const Launch *launch = &f->entry->launches.at[l];
        for (uint32_t s = launch->segments.n; s-- > 0;) {
            const Segment *seg = &launch->segments.at[s];
            void **buffers = calloc(seg->buffers.n + 1, sizeof *buffers);
            for (uint32_t i = 0; i < seg->buffers.n; i++)
                buffers[i] = f->buffers[seg->buffers.at[i]].data;
            void (*kernel)(void *const *, int64_t, int64_t, void *) =
                (void (*)(void *const *, int64_t, int64_t, void *))((uint8_t *)f->code.data +
                                                                    f->blob->offset[seg->kernel]);
            for (int64_t t = f->plan->kernels.at[seg->kernel]->tasks; t-- > 0;)
                kernel(buffers, t, t + 1, f->worker.data);
            free(buffers);
        }
    }
}

static void drop(Mapping *m)
{
    if (m->pages) munmap(m->pages, m->size);
}

void fence_free(Fence *f)
{
    for (uint32_t i = 0; i < f->entry->buffers.n; i++) drop(&f->buffers[i]);
    for (uint32_t i = 0; i < f->plan->state.n; i++) drop(&f->state[i]);
    drop(&f->code);
    drop(&f->worker);
    free(f->buffers);
    free(f->state);
    free(f);
}

// ---- the plan's own promises
// ---------------------------------------------------------------------------

typedef struct Life {
    uint32_t first, last, written; // launches; `written` the first that writes
} Life;

static bool check_launch(const Plan *plan, const PlanEntry *e, uint32_t l, Life *life, Error *err)
{
    const Launch *launch = &e->launches.at[l];
    for (uint32_t s = 0; s < launch->segments.n; s++) {
        const Segment *seg = &launch->segments.at[s];
        const Kernel *k = plan->kernels.at[seg->kernel];
        if (seg->buffers.n != k->buffers.n)
            return error_set(err, "launch %u: %u buffers for %u", l, seg->buffers.n, k->buffers.n);
        for (uint32_t i = 0; i < seg->buffers.n; i++) {
            uint32_t b = seg->buffers.at[i];
            bool writes = k->buffers.at[i].written;
            if (e->buffers.at[b].count < k->buffers.at[i].count ||
                e->buffers.at[b].dtype != k->buffers.at[i].dtype)
                return error_set(err, "launch %u: buffer %u is not what kernel %s takes", l, b,
                                 k->name);
            Block block = e->buffers.at[b].block;
            bool given = block == BLOCK_INPUT || block == BLOCK_CONST;
            if (given && writes)
                return error_set(err, "launch %u writes buffer %u, which it is given", l, b);
            if (!writes && !given && block != BLOCK_STATE && life[b].written >= l)
                return error_set(err, "launch %u reads buffer %u before it is written", l, b);
            if (life[b].first == UINT32_MAX) life[b].first = l;
            life[b].last = l;
        }
        for (uint32_t o = 0; o < launch->segments.n; o++)
            for (uint32_t i = 0; o != s && i < seg->buffers.n; i++)
                for (uint32_t j = 0; j < launch->segments.at[o].buffers.n; j++)
                    if (k->buffers.at[i].written &&
                        launch->segments.at[o].buffers.at[j] == seg->buffers.at[i])
                        return error_set(err, "launch %u: segments %u and %u share buffer %u", l, s,
                                         o, seg->buffers.at[i]);
    }
    for (uint32_t s = 0; s < launch->segments.n; s++)
        for (uint32_t i = 0; i < launch->segments.at[s].buffers.n; i++) {
            uint32_t b = launch->segments.at[s].buffers.at[i];
            if (plan->kernels.at[launch->segments.at[s].kernel]->buffers.at[i].written &&
                life[b].written > l)
                life[b].written = l;
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

bool plan_check(const Plan *plan, uint32_t entry, Error *err)
{
    const PlanEntry *e = &plan->entries.at[entry];
    Life *life = arena_array(plan->arena, Life, e->buffers.n + 1);
    for (uint32_t i = 0; i < e->buffers.n; i++) life[i] = (Life){UINT32_MAX, 0, UINT32_MAX};
    for (uint32_t l = 0; l < e->launches.n; l++)
        if (!check_launch(plan, e, l, life, err)) return false;
    for (uint32_t i = 0; i < e->buffers.n; i++) {
        const PlanBuffer *x = &e->buffers.at[i];
        int64_t from = x->offset, to = from + (int64_t)bytes_of(x);
        if (life[i].first == UINT32_MAX) continue;
        if (from < 0 || to > block_bytes(plan, e, x->block))
            return error_set(err, "buffer %u lies outside its block", i);
        if (from % (x->block == BLOCK_CONST ? 8 : 64))
            return error_set(err, "buffer %u is not aligned", i);
        for (uint32_t j = 0; j < i; j++) {
            const PlanBuffer *y = &e->buffers.at[j];
            if (life[j].first == UINT32_MAX || x->block != y->block) continue;
            bool together = x->block != BLOCK_SCRATCH ||
                            (life[i].first <= life[j].last && life[j].first <= life[i].last);
            if (together && from < y->offset + (int64_t)bytes_of(y) && y->offset < to)
                return error_set(err, "buffers %u and %u share bytes", j, i);
        }
    }
    return true;
}
