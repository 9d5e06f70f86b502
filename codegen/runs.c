// Which lengths of runs there are to try stands in the indices: they divide by them. A window over
// (kh, kw, c) has k / (kw c), k / c % kw and k % c; its runs are of c elements, or of kw c where
// the places of a row lie side by side and c is small. Each length is tried by putting run * length
// + inside in the place of the axis, which the simplifier of index expressions makes the best of.
#include "codegen/runs.h"

enum { OF_RUN = 10, OF_GATHER = 12, OF_GUARD = 2 };

// x / c + rest in [lo, hi) is x + c rest in [c lo, c hi): a compare of places that follow each
// other.
static void without_division(IndexPool *pool, uint32_t inside, KernelGuard *guard)
{
    IndexId rest = 0, quotient = 0, e = guard->index;
    for (IndexNode n = *index_node(pool, e);; n = *index_node(pool, e)) { // a sum leans left
        IndexId term = n.op == IX_ADD ? n.b : e;
        if (!index_uses(pool, term, inside))
            rest = index_add(pool, rest, term);
        else if (quotient || index_node(pool, term)->op != IX_DIV)
            return;
        else
            quotient = term;
        if (n.op != IX_ADD) break;
        e = n.a;
    }
    if (!quotient) return;
    IndexNode q = *index_node(pool, quotient);
    guard->index = index_add(pool, q.a, index_mul(pool, rest, q.c));
    guard->lo *= q.c;
    guard->hi *= q.c;
}

static KernelBody substituted(Arena *arena, const KernelBody *body, uint32_t axis, int64_t length)
{
    uint32_t n = body->axes.n;
    int64_t size = body->axes.at[axis].size, count = (size + length - 1) / length;
    KernelBody b = *body;
    index_init(&b.index, arena);
    IndexId *map = arena_array(arena, IndexId, n + 1);
    memset(&b.axes, 0, sizeof b.axes);
    for (uint32_t i = 0; i < n; i++) {
        KernelAxis at = body->axes.at[i];
        if (i == axis) at.size = count;
        map[i] = index_axis(&b.index, i, at.size);
        vec_push(arena, &b.axes, at);
    }
    vec_push(arena, &b.axes, (KernelAxis){length, ROLE_INNER});
    map[axis] = index_add(&b.index, index_mul(&b.index, map[axis], length),
                          index_axis(&b.index, n, length));
    b.code.at = arena_copy(arena, body->code.at, body->code.n * sizeof *b.code.at);
    for (uint32_t i = 0; i < b.code.n; i++) {
        KernelInstr *in = &b.code.at[i];
        in->index = index_substitute(&b.index, &body->index, in->index, map);
        in->index2 = index_substitute(&b.index, &body->index, in->index2, map);
        if (in->axes >> axis & 1) in->axes |= UINT64_C(1) << n;
        if (!in->nguards) continue;
        KernelGuard *guards = arena_copy(arena, in->guards, in->nguards * sizeof *guards);
        for (uint32_t k = 0; k < in->nguards; k++) {
            guards[k].index = index_substitute(&b.index, &body->index, guards[k].index, map);
            without_division(&b.index, n, &guards[k]);
        }
        in->guards = guards;
    }
    return b;
}

// Of a vector of elements, about.
static double vector_cost(KernelBody *b, uint32_t inside)
{
    double cost = 1;
    for (uint32_t i = 0; i < b->code.n; i++) {
        const KernelInstr *in = &b->code.at[i];
        for (uint32_t k = 0; k < in->nguards; k++)
            if (index_uses(&b->index, in->guards[k].index, inside)) cost += OF_GUARD;
        if (in->kind != KI_LOAD) continue;
        int64_t step;
        IndexId rest;
        bool affine = index_affine(&b->index, in->index, inside, &step, &rest);
        cost += affine && (step == 0 || step == 1) ? 1 : OF_GATHER;
    }
    return cost;
}

static void try_length(Runs *best, Arena *arena, const KernelBody *body, uint32_t axis,
                       int64_t length, uint32_t lanes)
{
    Runs r = {
        .body = substituted(arena, body, axis, length), .inside = body->axes.n, .length = length};
    double vectors = (double)((length + lanes - 1) / lanes);
    r.cost = (OF_RUN + vectors * vector_cost(&r.body, r.inside)) / (double)length;
    if (!best->length || r.cost < best->cost) *best = r;
}

void runs_find(Runs *r, Arena *arena, const KernelBody *body, uint32_t axis, uint32_t lanes)
{
    *r = (Runs){0};
    int64_t size = body->axes.at[axis].size;
    try_length(r, arena, body, axis, size, lanes);
    for (uint32_t i = 0; i < body->index.nodes.n; i++) {
        const IndexNode *n = index_node(&body->index, i);
        if ((n->op != IX_DIV && n->op != IX_MOD) || !index_uses(&body->index, i, axis)) continue;
        int64_t length = n->c;
        const IndexNode *of = index_node(&body->index, n->a);
        if (of->op == IX_DIV) length *= of->c; // x / a % b repeats after a b
        if (length > 1 && length < size) try_length(r, arena, body, axis, length, lanes);
    }
}
