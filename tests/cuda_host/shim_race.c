// Races in shared memory: every byte remembers its last write and its last reads with the barrier
// epochs of the threads that made them. Two accesses are ordered when the same thread made both,
// when a barrier of the block lies between them (their block epochs differ), or a warp_sync within
// one warp (their warp epochs differ); else, if one of them writes, they race. All three hold in
// every schedule, so a race is found wherever both accesses are executed, whichever way the run
// went.
#include "shim_fiber.h"

#include <stdlib.h>
#include <string.h>

typedef struct RaceMark {
    uint32_t thread, barriers, syncs;
} RaceMark;

typedef enum { RACE_NONE, RACE_ONE, RACE_WARP, RACE_BLOCK } RaceReaders;

typedef struct RaceCell {
    RaceMark write, read;
    bool written, atomic;
    uint8_t
        readers; // RaceReaders since the epoch of read: one thread, some of its warp, several warps
} RaceCell;

RaceCell *race_cells(size_t bytes)
{
    RaceCell *cells = calloc(bytes + 1, sizeof *cells);
    if (!cells) bug("no memory");
    return cells;
}

void race_reset(SharedArray *a)
{
    if (a->cells) memset(a->cells, 0, a->bytes * sizeof *a->cells);
}

static bool same_warp(const RaceMark *a, const RaceMark *b)
{
    return a->thread / SHIM_WARP == b->thread / SHIM_WARP;
}

static bool ordered(const RaceMark *before, const RaceMark *now)
{
    return before->barriers < now->barriers ||
           (same_warp(before, now) && before->syncs < now->syncs);
}

static bool read_races(const RaceCell *c, const RaceMark *now)
{
    if (c->readers == RACE_NONE || c->read.barriers < now->barriers) return false;
    if (c->readers == RACE_BLOCK) return true;
    if (!same_warp(&c->read, now)) return true;
    if (c->read.syncs < now->syncs) return false;
    return c->readers == RACE_WARP || c->read.thread != now->thread;
}

static void note_read(RaceCell *c, const RaceMark *now)
{
    bool fresh = c->readers == RACE_NONE || c->read.barriers < now->barriers;
    if (!fresh && c->readers != RACE_BLOCK && same_warp(&c->read, now))
        fresh = c->read.syncs < now->syncs;
    if (fresh)
        c->readers = RACE_ONE;
    else if (!same_warp(&c->read, now))
        c->readers = RACE_BLOCK;
    else if (c->read.thread != now->thread && c->readers == RACE_ONE)
        c->readers = RACE_WARP;
    if (fresh || c->readers != RACE_BLOCK) c->read = *now;
}

// `kind` is 0 for a read, 1 for a write, 2 for an atomic.
static void access_byte(Worker *w, const SharedArray *a, size_t at, const RaceMark *now,
                        uint32_t kind)
{
    static const char *const verbs[] = {"reads", "writes", "changes atomically"};
    RaceCell *c = &a->cells[at];
    bool both_atomic = c->atomic && kind == 2;
    if (c->written && !both_atomic && c->write.thread != now->thread && !ordered(&c->write, now))
        fiber_fail(w,
                   "race: %s byte %zu of shared array '%s', which thread %u has written, with no "
                   "barrier between (last meeting of this thread: line %u)",
                   verbs[kind], at, a->name, c->write.thread, w->current->lane.line);
    if (kind && read_races(c, now))
        fiber_fail(w,
                   "race: %s byte %zu of shared array '%s', which thread %u has read, with no "
                   "barrier between (last meeting of this thread: line %u)",
                   verbs[kind], at, a->name, c->read.thread, w->current->lane.line);
    if (!kind) {
        note_read(c, now);
        return;
    }
    c->write = *now;
    c->written = true;
    c->atomic = kind == 2;
}

void race_access(ShimLane *lane, const void *p, uint64_t bytes, uint32_t write)
{
    Fiber *f = (Fiber *)lane;
    const SharedArray *a = f ? shared_find(f->worker, p) : NULL;
    if (!a) return;
    RaceMark now = {lane->thread, f->barriers, f->syncs};
    const unsigned char *at = p;
    for (uint64_t i = 0; i < bytes; i++)
        if (at + i >= a->data && at + i < a->data + a->bytes)
            access_byte(f->worker, a, (size_t)(at + i - a->data), &now, write);
}
