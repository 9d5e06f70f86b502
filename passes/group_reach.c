// Which groups must be finished before others. A group lists the nodes that its members read from
// other groups, and the nodes elsewhere that read them: as nodes, so that groups that become one
// only join their lists. Along each of these edges `rank` rises, so a search for a group ends
// wherever that cannot be.
#include "passes/groups.h"

static Group *group_of(const Grouping *gr, NodeId id)
{
    return gr->group_of[id] ? &gr->groups.at[gr->group_of[id] - 1] : NULL;
}

// Group gp comes no earlier than `rank`, and what reads it after it.
static void rise(Grouping *gr, Group *gp, uint64_t rank)
{
    if (gp->rank < rank) gp->rank = rank;
    Groups *stack = &gr->search.stack[WAY_FORTH];
    stack->n = 0;
    vec_push(gr->arena, stack, gp);
    while (stack->n) {
        const Group *from = stack->at[--stack->n];
        for (uint32_t i = 0; i < from->readers.n; i++) {
            Group *to = group_of(gr, from->readers.at[i]);
            if (to == from || to->rank > from->rank) continue;
            to->rank = from->rank + 1;
            vec_push(gr->arena, stack, to);
        }
        gr->search.steps += from->readers.n;
    }
}

void group_read(Grouping *gr, uint32_t k, NodeId reader, NodeId source)
{
    Group *gp = &gr->groups.at[k], *from = group_of(gr, source);
    if (!from || from == gp) return;
    vec_push(gr->arena, &gp->reads, source);
    vec_push(gr->arena, &from->readers, reader);
    if (gp->rank <= from->rank) rise(gr, gp, from->rank + 1);
}

void group_read_all(Grouping *gr, uint32_t k, uint32_t other)
{
    Group *gp = &gr->groups.at[k];
    const Group *from = &gr->groups.at[other];
    for (uint32_t i = 0; i < from->reads.n; i++)
        if (group_of(gr, from->reads.at[i]) != gp)
            vec_push(gr->arena, &gp->reads, from->reads.at[i]);
    for (uint32_t i = 0; i < from->readers.n; i++)
        if (group_of(gr, from->readers.at[i]) != gp)
            vec_push(gr->arena, &gp->readers, from->readers.at[i]);
    rise(gr, gp, from->rank);
}

// Of the groups of these nodes, put on the stack what this search has not met and what may be
// between its ends; what is nearest to the other end on top. True where the other way was there.
static bool look_at(Grouping *gr, Way way, const Nodes *nodes, const Group *but)
{
    Search *s = &gr->search;
    uint32_t first = s->stack[way].n;
    for (uint32_t i = 0; i < nodes->n; i++) {
        Group *gp = group_of(gr, nodes->at[i]);
        bool between = gp && gp->rank >= s->low && gp->rank <= s->high;
        if (!between || gp == but || gp->seen[way] == s->number) continue;
        if (gp->seen[!way] == s->number) return true;
        gp->seen[way] = s->number;
        vec_push(gr->arena, &s->stack[way], gp);
        Group **top = &s->stack[way].at[s->stack[way].n - 1],
              **was = top - (top > s->stack[way].at + first);
        if (way == WAY_BACK ? (*was)->rank < gp->rank : (*was)->rank > gp->rank) {
            *top = *was;
            *was = gp;
        }
    }
    s->steps += nodes->n + 1;
    s->taken[way] += nodes->n + 1;
    return false;
}

// The search goes back from what is read and forth from k, each as many steps: often one of them is
// short, as where a gradient's clipping reads all gradients.
bool group_waits(Grouping *gr, const Nodes *reads, uint32_t but, uint32_t k)
{
    Search *s = &gr->search;
    Group *target = &gr->groups.at[k];
    s->number++;
    s->low = target->rank;
    s->high = UINT64_MAX;
    s->taken[WAY_BACK] = s->taken[WAY_FORTH] = s->stack[WAY_BACK].n = s->stack[WAY_FORTH].n = 0;
    target->seen[WAY_BACK] = s->number; // to read it at once does not count
    look_at(gr, WAY_BACK, reads, &gr->groups.at[but]);
    target->seen[WAY_BACK] = 0;
    target->seen[WAY_FORTH] = s->number;
    vec_push(gr->arena, &s->stack[WAY_FORTH], target);
    s->high = 0;
    for (uint32_t i = 0; i < s->stack[WAY_BACK].n; i++)
        if (s->stack[WAY_BACK].at[i]->rank > s->high) s->high = s->stack[WAY_BACK].at[i]->rank;
    while (s->stack[WAY_BACK].n && s->stack[WAY_FORTH].n) {
        Way way = s->taken[WAY_BACK] > s->taken[WAY_FORTH] ? WAY_FORTH : WAY_BACK;
        const Group *gp = s->stack[way].at[--s->stack[way].n];
        if (look_at(gr, way, way == WAY_BACK ? &gp->reads : &gp->readers, NULL)) return true;
    }
    return false;
}

bool group_follows(Grouping *gr, const Nodes *reads, uint32_t but, uint32_t k)
{
    for (uint32_t i = 0; i < reads->n; i++) {
        uint32_t source = gr->group_of[reads->at[i]];
        if (!source || source - 1 == but || source - 1 == k) continue;
        const Nodes *mine = &gr->groups.at[k].reads;
        bool known = false;
        for (uint32_t j = 0; j < mine->n && !known; j++)
            known = gr->group_of[mine->at[j]] == source;
        if (!known && !group_waits(gr, mine, k, source - 1)) return false;
    }
    return true;
}
