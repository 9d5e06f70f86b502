// The order in which groups become launches: each after what it needs, and of those that are ready
// the one whose last member comes first in the source; what is computed again to save memory only
// when nothing else is ready. One heap, and a list of waiters a group.
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

// The first group at or after `from` that group k waits for; UINT32_MAX when it waits for none.
static uint32_t waits_for(const Grouping *gr, uint32_t k, const uint64_t *finished, uint32_t from)
{
    for (uint32_t w = from / 64; w < gr->words; w++) {
        uint64_t left = gr->groups.at[k].needs[w] & ~finished[w];
        if (left) return w * 64 + (uint32_t)__builtin_ctzll(left);
    }
    return UINT32_MAX;
}

// Each group hangs in the list of one group that it waits for; when that one is finished it moves
// to the list of the next. What is finished stays so: the search goes on from where it stood.
uint32_t groups_order(const Grouping *gr, Arena *arena, uint32_t **order)
{
    uint32_t n = gr->groups.n, done = 0, there = 0;
    uint64_t *finished = arena_array(arena, uint64_t, gr->words);
    uint32_t *list = arena_array(arena, uint32_t, n + 1), // group -> first that waits for it, + 1
        *next = arena_array(arena, uint32_t, n + 1);      // the rest of the list it is in
    Ready ready = {gr, arena_array(arena, uint32_t, n + 1), 0};
    *order = arena_array(arena, uint32_t, n + 1);
    for (uint32_t k = 0; k < n; k++) {
        if (gr->groups.at[k].gone) continue;
        uint32_t on = waits_for(gr, k, finished, 0);
        there++;
        if (on == UINT32_MAX) {
            ready_push(&ready, k);
        } else {
            next[k] = list[on];
            list[on] = k + 1;
        }
    }
    while (ready.n) {
        uint32_t k = ready_pop(&ready);
        set_add(finished, k);
        (*order)[done++] = k;
        for (uint32_t i = list[k], after; i; i = after) {
            after = next[i - 1];
            uint32_t on = waits_for(gr, i - 1, finished, k);
            if (on == UINT32_MAX) {
                ready_push(&ready, i - 1);
            } else {
                next[i - 1] = list[on];
                list[on] = i;
            }
        }
    }
    if (done < there) bug("groups form a cycle");
    return done;
}
