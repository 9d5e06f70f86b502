// One pass over the segments: each looks back over the earlier ones from the latest on, passing
// over those that it already follows by way of another (a set of bits a segment says which).
#include "runtime/order.h"

#include <string.h>

typedef struct Touch {
    StepSpace space;
    bool written;
    int64_t begin, end;
} Touch;

typedef struct Touches {
    const Touch *at;
    uint32_t n;
} Touches;

static Touches touches_of(Arena *arena, const Step *step, const StepSegment *s, bool alone)
{
    const StepKernel *k = &step->kernels[s->kernel];
    Touch *at = arena_array(arena, Touch, s->nbuffers + 2);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->nbuffers; i++) {
        const StepBuffer *b = &s->buffers[i];
        const StepExtent *x = &k->extents[i];
        if (b->space != SPACE_CONST && x->bytes)
            at[n++] = (Touch){b->space, x->written, b->offset, b->offset + x->bytes};
    }
    if (alone) at[n++] = (Touch){SPACES, true, 0, 1}; // a place that only these touch
    return (Touches){at, n};
}

static bool conflict(const Touches *x, const Touches *y)
{
    for (uint32_t i = 0; i < x->n; i++)
        for (uint32_t j = 0; j < y->n; j++) {
            const Touch *a = &x->at[i], *b = &y->at[j];
            if (a->space == b->space && (a->written || b->written) && a->begin < b->end &&
                b->begin < a->end)
                return true;
        }
    return false;
}

static void look_back(Order *o, uint32_t s, const Touches *touches, uint64_t *reached,
                      uint32_t words, uint32_t *list)
{
    uint64_t *mine = reached + (size_t)s * words;
    uint32_t n = 0;
    for (uint32_t e = s; e-- > 0;) {
        if (mine[e / 64] >> e % 64 & 1 || !conflict(&touches[s], &touches[e])) continue;
        list[n++] = e;
        mine[e / 64] |= UINT64_C(1) << e % 64;
        for (uint32_t w = 0; w < words; w++) mine[w] |= reached[(size_t)e * words + w];
    }
    for (uint32_t i = 0; i < n / 2; i++) {
        uint32_t x = list[i];
        list[i] = list[n - 1 - i];
        list[n - 1 - i] = x;
    }
    o->nafter[s] = n;
}

void order_find(Arena *arena, const Step *step, const StepEntry *entry, const bool *alone, Order *o)
{
    uint32_t n = 0;
    for (uint32_t l = 0; l < entry->nlaunches; l++) n += entry->launches[l].n;
    *o = (Order){.segments = arena_array(arena, const StepSegment *, n + 1),
                 .after = arena_array(arena, const uint32_t *, n + 1),
                 .nafter = arena_array(arena, uint32_t, n + 1)};
    Arena *scratch = arena_new();
    Touches *touches = arena_array(scratch, Touches, n + 1);
    for (uint32_t l = 0; l < entry->nlaunches; l++)
        for (uint32_t i = 0; i < entry->launches[l].n; i++, o->n++) {
            o->segments[o->n] = &entry->launches[l].segments[i];
            touches[o->n] =
                touches_of(scratch, step, o->segments[o->n], alone[o->segments[o->n]->kernel]);
        }
    uint32_t words = n / 64 + 1, *list = arena_array(scratch, uint32_t, n + 1);
    uint64_t *reached = arena_array(scratch, uint64_t, (size_t)n * words + 1);
    for (uint32_t s = 0; s < n; s++) {
        look_back(o, s, touches, reached, words, list);
        o->after[s] = arena_copy(arena, list, o->nafter[s] * sizeof *list);
    }
    arena_free(scratch);
}
