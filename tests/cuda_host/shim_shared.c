// Shared memory of the shim's blocks, and cp.async. Every array ends at a page that cannot be
// touched and is filled with ones before each block, so that what was never written reads as NaN. A
// copy is done when its group is waited for, not before: its destination is poisoned when it is
// issued.
#include "shim_fiber.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

static size_t pages_of(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

void *shim_guarded(size_t bytes)
{
    size_t inner = pages_of(bytes);
    unsigned char *map =
        mmap(NULL, inner + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || (inner && mprotect(map + PAGE, inner, PROT_READ | PROT_WRITE) != 0))
        bug("no memory for %zu bytes", bytes);
    memset(map + PAGE, 0xff, inner);
    return map + PAGE + inner - (bytes + 15) / 16 * 16;
}

void shim_guarded_free(void *p, size_t bytes)
{
    if (!p) return;
    unsigned char *end = (unsigned char *)p + (bytes + 15) / 16 * 16;
    munmap(end - pages_of(bytes) - PAGE, pages_of(bytes) + 2 * PAGE);
}

void shared_begin(Worker *w)
{
    w->narrays = 0;
    w->static_bytes = 0;
}

static void fill(SharedArray *a)
{
    memset(a->map + PAGE, 0xff, a->map_bytes - 2 * PAGE);
    race_reset(a);
}

void shared_fill(Worker *w)
{
    for (uint32_t i = 0; i < w->narrays; i++) fill(&w->arrays[i]);
}

static SharedArray *array_slot(Worker *w)
{
    if (w->narrays == w->arrays_cap) {
        uint32_t cap = w->arrays_cap ? w->arrays_cap * 2 : 8;
        w->arrays = realloc(w->arrays, cap * sizeof *w->arrays);
        if (!w->arrays) bug("no memory");
        memset(w->arrays + w->arrays_cap, 0, (cap - w->arrays_cap) * sizeof *w->arrays);
        w->arrays_cap = cap;
    }
    return &w->arrays[w->narrays++];
}

// Pages of an earlier launch serve again where as many are needed.
static void *array_new(Worker *w, uint32_t id, const char *name, size_t bytes)
{
    SharedArray *a = array_slot(w);
    size_t map_bytes = pages_of(bytes) + 2 * PAGE;
    if (a->map_bytes != map_bytes) {
        if (a->map) munmap(a->map, a->map_bytes);
        unsigned char *data = shim_guarded(bytes);
        a->map = data + (bytes + 15) / 16 * 16 - pages_of(bytes) - PAGE;
        a->map_bytes = map_bytes;
    }
    a->id = id;
    a->name = name;
    a->bytes = bytes;
    a->data = a->map + map_bytes - PAGE - (bytes + 15) / 16 * 16;
    free(a->cells);
    a->cells = module_races(w->launch->module) ? race_cells(bytes) : NULL;
    fill(a);
    return a->data;
}

void *shared_array(ShimLane *lane, uint32_t id, const char *name, uint64_t bytes)
{
    Worker *w = ((Fiber *)lane)->worker;
    for (uint32_t i = 0; i < w->narrays; i++)
        if (w->arrays[i].id == id && w->arrays[i].bytes == bytes) return w->arrays[i].data;
    if (id != SHIM_DYNAMIC_ID) w->static_bytes += (bytes + 15) / 16 * 16;
    if (w->static_bytes > SHIM_STATIC)
        fiber_fail(w, "shared array '%s' makes more than %d bytes of static shared memory", name,
                   SHIM_STATIC);
    if (w->static_bytes + w->launch->dynamic_shared > SHIM_DYNAMIC)
        fiber_fail(w, "shared array '%s' makes more than %d bytes of shared memory", name,
                   SHIM_DYNAMIC);
    return array_new(w, id, name, bytes);
}

void *shared_dynamic(ShimLane *lane)
{
    size_t bytes = ((Fiber *)lane)->worker->launch->dynamic_shared;
    return shared_array(lane, SHIM_DYNAMIC_ID, "dynamic", bytes);
}

static bool all_ones(const unsigned char *p, const unsigned char *end)
{
    while (p < end && *p == 0xff) p++;
    return p == end;
}

bool shared_intact(Worker *w)
{
    for (uint32_t i = 0; i < w->narrays; i++) {
        const SharedArray *a = &w->arrays[i];
        bool before = all_ones(a->map + PAGE, a->data);
        if (before && all_ones(a->data + a->bytes, a->map + a->map_bytes - PAGE)) continue;
        const ShimLane *l = &w->fibers[0].lane;
        snprintf(
            w->message, sizeof w->message,
            "kernel %s, block (%u, %u): something was written %s shared array '%s', which has %zu "
            "bytes",
            w->launch->kernel->name, l->block_x, l->block_y, before ? "behind" : "before", a->name,
            a->bytes);
        return false;
    }
    return true;
}

void shared_free(Worker *w)
{
    for (uint32_t i = 0; i < w->arrays_cap; i++) {
        if (w->arrays[i].map) munmap(w->arrays[i].map, w->arrays[i].map_bytes);
        free(w->arrays[i].cells);
    }
    free(w->arrays);
}

const SharedArray *shared_find(const Worker *w, const void *p)
{
    const unsigned char *at = p;
    for (uint32_t i = 0; i < w->narrays; i++)
        if (at >= w->arrays[i].map && at < w->arrays[i].map + w->arrays[i].map_bytes)
            return &w->arrays[i];
    return NULL;
}

void check16(ShimLane *lane, const void *p, const char *instruction, uint32_t shared)
{
    Worker *w = ((Fiber *)lane)->worker;
    if ((uintptr_t)p % 16)
        fiber_fail(w, "%s of address %p, which is no multiple of 16", instruction, p);
    if (!shared) return;
    const SharedArray *a = shared_find(w, p);
    const unsigned char *at = p;
    if (!a)
        fiber_fail(w, "%s of address %p, which is not in shared memory", instruction, p);
    else if (at < a->data || at + 16 > a->data + (a->bytes + 15) / 16 * 16)
        fiber_fail(w, "%s of 16 bytes at %td in shared array '%s', which has %zu", instruction,
                   at - a->data, a->name, a->bytes);
}

void copy_issue(ShimLane *lane, void *to, const void *from, uint32_t bytes)
{
    Fiber *f = (Fiber *)lane;
    if (bytes > 16) fiber_fail(f->worker, "cp.async of %u bytes", bytes);
    if (bytes && shared_find(f->worker, from)) fiber_fail(f->worker, "cp.async from shared memory");
    if (f->ncopies == f->copies_cap) {
        f->copies_cap = f->copies_cap ? f->copies_cap * 2 : 16;
        f->copies = realloc(f->copies, f->copies_cap * sizeof *f->copies);
        if (!f->copies) bug("no memory");
    }
    memset(to, 0xff, 16);
    f->copies[f->ncopies++] = (Copy){to, from, bytes, f->groups};
}

void copy_commit(ShimLane *lane)
{
    ((Fiber *)lane)->groups++;
}

void copy_wait(ShimLane *lane, uint32_t n)
{
    Fiber *f = (Fiber *)lane;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->ncopies; i++) {
        Copy c = f->copies[i];
        if (c.group + n >= f->groups) {
            f->copies[kept++] = c;
            continue;
        }
        memset(c.to, 0, 16);
        memcpy(c.to, c.from, c.bytes);
    }
    f->ncopies = kept;
}
