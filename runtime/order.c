// One pass over the nodes: each looks back over the earlier ones from the latest on, passing
// over those that it already follows by way of another (a set of bits a node says which).
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

// With a `turn`, 1 or 2, a node also touches what all nodes with that turn touch.
static Touches touches_of(Arena *arena, const Step *step, const OrderNode *node, int turn)
{
    uint32_t n = 0, most = 0;
    for (uint32_t s = 0; s < node->n; s++) most += node->segments[s]->nbuffers;
    Touch *at = arena_array(arena, Touch, most + 2);
    for (uint32_t s = 0; s < node->n; s++) {
        const StepSegment *segment = node->segments[s];
        for (uint32_t i = 0; i < segment->nbuffers; i++) {
            const StepBuffer *b = &segment->buffers[i];
            const StepExtent *x = &step->kernels[segment->kernel].extents[i];
            if (b->space != SPACE_CONST && x->bytes)
                at[n++] = (Touch){b->space, x->written, b->offset, b->offset + x->bytes};
        }
    }
    if (turn) at[n++] = (Touch){SPACES, true, turn, turn + 1};
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

static uint32_t look_back(uint32_t s, const Touches *touches, uint64_t *reached, uint32_t words,
                          uint32_t *list)
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
    return n;
}

// Of one function, by a table, and together no more blocks than a launch may have.
static bool goes_with(const Step *step, const OrderNode *node, const StepSegment *s)
{
    const StepKernel *k = &step->kernels[s->kernel];
    const StepKernel *first = &step->kernels[node->segments[0]->kernel];
    int64_t blocks = k->blocks[0];
    if (s->frozen != node->frozen || !k->table || !first->table || k->unit != first->unit ||
        strcmp(k->symbol, first->symbol))
        return false;
    for (uint32_t i = 0; i < node->n; i++)
        blocks += step->kernels[node->segments[i]->kernel].blocks[0];
    return blocks <= INT32_MAX;
}

static void add_launch(Arena *arena, const Step *step, const StepEntry *entry, uint32_t number,
                       uint32_t *segments, Order *o)
{
    const StepLaunch *launch = &entry->launches[number];
    uint32_t begin = o->n;
    for (uint32_t i = 0; i < launch->n; i++) {
        const StepSegment *s = &launch->segments[i];
        uint32_t at = begin;
        while (at < o->n && !goes_with(step, &o->nodes[at], s)) at++;
        OrderNode *node = &o->nodes[at];
        if (at == o->n)
            o->nodes[o->n++] =
                (OrderNode){.segments = arena_array(arena, const StepSegment *, launch->n),
                            .numbers = arena_array(arena, uint32_t, launch->n),
                            .launch = number,
                            .frozen = s->frozen};
        node->numbers[node->n] = (*segments)++;
        node->segments[node->n++] = s;
    }
}

void order_find(Arena *arena, const Step *step, const StepEntry *entry, const bool *alone,
                bool streams, Order *o)
{
    uint32_t most = 0, segments = 0;
    for (uint32_t l = 0; l < entry->nlaunches; l++) most += entry->launches[l].n;
    *o = (Order){.nodes = arena_array(arena, OrderNode, most + 1)};
    for (uint32_t l = 0; l < entry->nlaunches; l++) add_launch(arena, step, entry, l, &segments, o);
    Arena *scratch = arena_new();
    Touches *touches = arena_array(scratch, Touches, o->n + 1);
    for (uint32_t i = 0; i < o->n; i++) {
        const OrderNode *node = &o->nodes[i];
        int turn = !alone[node->segments[0]->kernel] ? 0 : streams && node->frozen ? 2 : 1;
        touches[i] = touches_of(scratch, step, node, turn);
    }
    uint32_t words = o->n / 64 + 1, *list = arena_array(scratch, uint32_t, o->n + 1);
    uint64_t *reached = arena_array(scratch, uint64_t, (size_t)o->n * words + 1);
    for (uint32_t i = 0; i < o->n; i++) {
        OrderNode *node = &o->nodes[i];
        node->nafter = look_back(i, touches, reached, words, list);
        node->after = arena_copy(arena, list, node->nafter * sizeof *list);
    }
    arena_free(scratch);
}
