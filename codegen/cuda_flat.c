// Bodies whose accesses are all at the same point: then neither sizes nor axes are part of the
// text, and one function serves tensors of every shape. An access is at a constant, at the point
// (the outer and vector axes counted through), or, where an axis is reduced, at point and reduced
// element: row-major for rows, the reduced axis outermost for middles.
#include "codegen/cuda_loop.h"

typedef enum { AT_OTHER, AT_CONST, AT_POINT, AT_BOTH } Place;

typedef struct Plane {
    CudaLoop *l;
    IndexPool pool;        // a copy that may grow
    int64_t *point, *both; // by axis: what a step along it is at a point; at both
} Plane;

// Is index = sum of step[i] * axis i?
static bool has_steps(Plane *p, IndexId index, const int64_t *step)
{
    const KernelBody *b = p->l->body;
    for (uint32_t i = 0; i < b->axes.n; i++) {
        int64_t coefficient;
        IndexId rest;
        if (!index_affine(&p->pool, index, i, &coefficient, &rest)) return false;
        if (b->axes.at[i].size > 1 && coefficient != step[i]) return false;
        index = rest;
    }
    const IndexNode *n = index_node(&p->pool, index);
    return n->op == IX_CONST && n->c == 0;
}

static Place place_of(Plane *p, IndexId index, bool store)
{
    if (index_uses_value(&p->pool, index)) return AT_OTHER;
    bool constant = index_node(&p->pool, index)->op == IX_CONST;
    if (constant && !store) return AT_CONST;
    if (has_steps(p, index, p->point)) return AT_POINT;
    if (p->both && has_steps(p, index, p->both)) return AT_BOTH;
    return AT_OTHER;
}

static void find_steps(Plane *p)
{
    const KernelBody *b = p->l->body;
    Arena *a = p->l->t->arena;
    uint32_t red = p->l->s.red;
    int64_t points = 1;
    p->point = arena_array(a, int64_t, b->axes.n + 1);
    p->both = red == UINT32_MAX ? NULL : arena_array(a, int64_t, b->axes.n + 1);
    bool row = red != UINT32_MAX && p->l->s.inner == UINT32_MAX;
    for (uint32_t i = b->axes.n; i-- > 0;) {
        if (i == red) continue;
        p->point[i] = points;
        if (p->both) p->both[i] = row ? points * b->axes.at[red].size : points;
        points *= b->axes.at[i].size;
    }
    if (p->both) p->both[red] = row ? 1 : points;
}

// Every access and number that depends on the axes.
static bool all_flat(Plane *p, bool *both)
{
    const KernelBody *b = p->l->body;
    for (uint32_t i = 0; i < b->code.n; i++) {
        const KernelInstr *in = &b->code.at[i];
        if (in->nguards || in->kind == KI_TEST || in->kind == KI_ACC) return false;
        Place at = place_of(p, in->index, false);
        both[i] = at == AT_BOTH;
        if (at == AT_OTHER || (both[i] && in->kind != KI_LOAD)) return false;
        if (in->kind == KI_RANDOM && place_of(p, in->index2, false) != AT_CONST) return false;
    }
    for (uint32_t i = 0; i < b->stores.n; i++) {
        const KernelStore *s = &b->stores.at[i];
        if (s->kind != STORE_PLAIN || s->nguards || place_of(p, s->index, true) != AT_POINT)
            return false;
    }
    return true;
}

// The same body over one axis of all points (and the reduced one after or before it).
static const KernelBody *flattened(CudaLoop *l, int64_t points)
{
    Arena *a = l->t->arena;
    const KernelBody *from = l->body;
    KernelBody *to = arena_make(a, KernelBody);
    uint32_t red = l->s.red, last = 0, at = 0;
    bool reduced = red != UINT32_MAX, middle = reduced && l->s.inner != UINT32_MAX;
    index_init(&to->index, a);
    if (middle) vec_push(a, &to->axes, from->axes.at[red]);
    at = to->axes.n;
    vec_push(a, &to->axes, ((KernelAxis){points, reduced && !middle ? ROLE_OUTER : ROLE_INNER}));
    if (reduced && !middle) vec_push(a, &to->axes, from->axes.at[red]);
    IndexId *map = arena_array(a, IndexId, from->axes.n + 1);
    int64_t size = points > 1 ? points : 2;     // an axis of one element would not be named
    for (uint32_t i = 0; i < from->axes.n; i++) // the steps of the last that counts is 1
        if (i != red && from->axes.at[i].size > 1) last = i;
    for (uint32_t i = 0; i < from->axes.n; i++)
        map[i] = i == last && i != red ? index_axis(&to->index, at, size) : 0;
    uint64_t of_red = axis_bit(red), point_bit = axis_bit(at), red_bit = axis_bit(1 - at);
    for (uint32_t i = 0; i < from->code.n; i++) {
        KernelInstr in = from->code.at[i];
        in.index = l->flat.both[i] ? 0 : index_substitute(&to->index, &from->index, in.index, map);
        in.index2 = 0;
        in.axes = (in.axes & ~of_red ? point_bit : 0) | (in.axes & of_red ? red_bit : 0);
        vec_push(a, &to->code, in);
    }
    for (uint32_t i = 0; i < from->stores.n; i++) {
        KernelStore s = from->stores.at[i];
        s.index = index_axis(&to->index, at, size);
        vec_push(a, &to->stores, s);
    }
    return to;
}

void flat_try(CudaLoop *l)
{
    int64_t points = l->rows;
    bool *both = arena_array(l->t->arena, bool, l->body->code.n + 1);
    Plane p = {.l = l};
    if (l->s.columns.n || l->k->rest) return; // (that one is launched with its addresses)
    if (l->s.red != UINT32_MAX) {             // one sweep that only sums
        if (l->s.n != 1 || loop_axis_size(l, l->s.red) == 1) return;
        for (uint32_t i = 0; i < l->body->stores.n; i++)
            if (sweeps_inside(&l->s, &l->body->stores.at[i])) return;
    }
    index_copy(&p.pool, &l->body->index, l->t->arena);
    find_steps(&p);
    if (!all_flat(&p, both)) return;
    if (l->s.inner != UINT32_MAX) points *= loop_axis_size(l, l->s.inner);
    l->flat = (Flat){true, both};
    l->body = flattened(l, points);
    cuda_use_body(l->t, l->body);
    sweeps_find(&l->s, l->t->arena, l->body);
    l->rows = l->s.inner == UINT32_MAX ? points : 1;
}
