#include "fence.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

typedef struct Mapping {
    uint8_t *pages;
    size_t size;
    void *data;
    size_t bytes; // of data
} Mapping;

struct Fence {
    const Plan *plan;
    const PlanEntry *entry;
    const Blob *blob;
    Mapping code, worker;
    Mapping *buffers, *state; // by plan buffer; by state variable
};

// Fenced memory for `bytes` bytes, which begin at a multiple of `align` (up to 16; what then lies
// between the end and the fence must keep its fill).
static Mapping fenced_at(size_t bytes, bool at_end, int fill, size_t align)
{
    size_t inner = (bytes + PAGE - 1) / PAGE * PAGE, size = inner + 2 * PAGE;
    if (!inner) size += PAGE, inner = PAGE;
    uint8_t *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(at + PAGE, inner, PROT_READ | PROT_WRITE))
        bug("no memory for a fence");
    memset(at + PAGE, fill, inner);
    size_t from = at_end ? inner - (bytes + align - 1) / align * align : 0;
    return (Mapping){at, size, at + PAGE + from, bytes};
}

static Mapping fenced(size_t bytes, bool at_end, int fill)
{
    return fenced_at(bytes, at_end, fill, 1);
}

static size_t bytes_of(const PlanBuffer *b)
{
    return (size_t)(b->count * dtype_size(b->dtype));
}

static void map_code(Fence *f, const Blob *blob, bool at_end)
{
    f->blob = blob;
    f->code = fenced(blob->size + 64, false, 0xcc);
    memcpy(f->code.data, blob->bytes, blob->size);
    if (mprotect(f->code.pages + PAGE, f->code.size - 2 * PAGE, PROT_READ | PROT_EXEC))
        bug("cannot map code");
    f->worker = fenced(((size_t)blob->worker_bytes + 63) / 64 * 64, at_end, 0xff);
}

Fence *fence_new(const Plan *plan, uint32_t entry, const Blob *blob, bool at_end)
{
    Fence *f = calloc(1, sizeof *f);
    f->plan = plan;
    f->entry = &plan->entries.at[entry];
    if (blob) map_code(f, blob, at_end);
    f->state = calloc(plan->state.n + 1, sizeof *f->state);
    size_t align = blob ? 1 : 16; // kernels of other engines count on whole vectors
    for (uint32_t i = 0; i < plan->state.n; i++)
        f->state[i] = fenced_at(bytes_of(&plan->state.at[i]), at_end, 0xff, align);
    f->buffers = calloc(f->entry->buffers.n + 1, sizeof *f->buffers);
    for (uint32_t i = 0; i < f->entry->buffers.n; i++) {
        const PlanBuffer *b = &f->entry->buffers.at[i];
        if (b->block == BLOCK_STATE) {
            for (uint32_t s = 0; s < plan->state.n; s++)
                if (strcmp(plan->state.at[s].name, b->name) == 0)
                    f->buffers[i].data = f->state[s].data;
        } else {
            f->buffers[i] = fenced_at(bytes_of(b), at_end, 0xff, align);
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

static void run_segment(Fence *f, const Segment *seg, void *const *buffers)
{
    void (*kernel)(void *const *, int64_t, int64_t, void *) =
        (void (*)(void *const *, int64_t, int64_t, void *))((uint8_t *)f->code.data +
                                                            f->blob->offset[seg->kernel]);
    for (int64_t t = f->plan->kernels.at[seg->kernel]->tasks; t-- > 0;)
        kernel(buffers, t, t + 1, f->worker.data);
}

// Bytes behind a buffer, up to its fence, that were written.
static bool is_whole(const Mapping *m, Error *err)
{
    const uint8_t *end = m->pages + m->size - PAGE;
    for (const uint8_t *at = (uint8_t *)m->data + m->bytes; m->pages && at < end; at++)
        if (*at != 0xff)
            return error_set(err, "byte %td behind a buffer was written",
                             at - (uint8_t *)m->data - (ptrdiff_t)m->bytes);
    return true;
}

// Bytes of a buffer before what the kernel is given.
static int64_t from_of(const Fence *f, const Segment *seg, uint32_t i)
{
    return seg->from.at[i] * dtype_size(f->entry->buffers.at[seg->buffers.at[i]].dtype);
}

bool fence_run_on(Fence *f, const Engine *engine, void *unit, Error *err)
{
    bool good = true;
    for (uint32_t l = 0; good && l < f->entry->launches.n; l++) {
        const Launch *launch = &f->entry->launches.at[l];
        for (uint32_t s = launch->segments.n; good && s-- > 0;) {
            const Segment *seg = &launch->segments.at[s];
            void **buffers = calloc(seg->buffers.n + 1, sizeof *buffers);
            for (uint32_t i = 0; i < seg->buffers.n; i++)
                buffers[i] = (uint8_t *)f->buffers[seg->buffers.at[i]].data + from_of(f, seg, i);
            if (engine)
                good = engine->run(unit, seg->kernel, buffers, err);
            else
                run_segment(f, seg, buffers);
            free(buffers);
        }
    }
    for (uint32_t i = 0; good && err && i < f->entry->buffers.n; i++)
        good = is_whole(&f->buffers[i], err);
    for (uint32_t i = 0; good && err && i < f->plan->state.n; i++)
        good = is_whole(&f->state[i], err);
    return good;
}

void fence_run(Fence *f)
{
    fence_run_on(f, NULL, NULL, NULL);
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
