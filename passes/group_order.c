// The order in which groups become launches: each after what it needs, and of those that are ready
// the one whose last member comes first in the source; what is computed again to save memory only
// when nothing else is ready. One heap, and a count of what a group waits for.
#include "passes/groups.h"

// Ready groups, the one that is next on top.
typedef struct Ready {
    const Grouping *gr;
    uint32_t *at, n;
} Ready;

static bool before(const Ready *r, uint32_t x, uint32_t y)
{
    const Group *a = &r->gr->groups.at[r->at[x]], *b = &r->gr->groups.at[r->at[y]];
    if (a->again != b->again) return b->again;
    return a->members.at[a->members.n - 1] < b->members.at[b->members.n - 1];
}

static void swap_places(Ready *r, uint32_t a, uint32_t b)
{
    uint32_t k = r->at[a];
    r->at[a] = r->at[b];
    r->at[b] = k;
}

static void ready_push(Ready *r, uint32_t group)
{
    uint32_t i = r->n++;
    r->at[i] = group;
    for (; i && before(r, i, (i - 1) / 2); i = (i - 1) / 2) swap_places(r, i, (i - 1) / 2);
}

static uint32_t ready_pop(Ready *r)
{
    uint32_t top = r->at[0], i = 0;
    r->at[0] = r->at[--r->n];
    for (uint32_t child; (child = 2 * i + 1) < r->n; i = child) {
        if (child + 1 < r->n && before(r, child + 1, child)) child++;
        if (!before(r, child, i)) break;
        swap_places(r, i, child);
    }
    return top;
}

uint32_t groups_order(const Grouping *gr, Arena *arena, uint32_t **order)
{
    uint32_t n = gr->groups.n, done = 0, there = 0;
    uint32_t *left = arena_array(arena, uint32_t, n + 1); // reads that are not there yet
    Ready ready = {gr, arena_array(arena, uint32_t, n + 1), 0};
    *order = arena_array(arena, uint32_t, n + 1);
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; !gr->groups.at[k].gone && i < gr->groups.at[k].readers.n; i++) {
            uint32_t reader = gr->group_of[gr->groups.at[k].readers.at[i]] - 1;
            left[reader] += reader != k;
        }
    for (uint32_t k = 0; k < n; k++) {
        if (gr->groups.at[k].gone) continue;
        there++;
        if (!left[k]) ready_push(&ready, k);
    }
    while (ready.n) {
        uint32_t k = ready_pop(&ready);
        const Nodes *readers = &gr->groups.at[k].readers;
        (*order)[done++] = k;
        for (uint32_t i = 0; i < readers->n; i++) {
            uint32_t reader = gr->group_of[readers->at[i]] - 1;
            if (reader != k && !--left[reader]) ready_push(&ready, reader);
        }
    }
    if (done < there) bug("groups form a cycle");
    return done;
}
