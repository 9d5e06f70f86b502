// The sweeps of a loop kernel: depths of instructions, reductions, column sums.
#include "codegen/sweeps.h"

static uint32_t deeper(uint32_t x, uint32_t y)
{
    return x > y ? x : y;
}

static uint32_t index_depth(const Sweeps *s, IndexId index)
{
    const IndexNode *n = index_node(&s->body->index, index);
    switch (n->op) {
    case IX_CONST:
    case IX_AXIS: return 0;
    case IX_VALUE: return s->depth[n->a];
    case IX_ADD: return deeper(index_depth(s, n->a), index_depth(s, n->b));
    default: return index_depth(s, n->a);
    }
}

static uint32_t instr_depth(const Sweeps *s, const KernelInstr *in)
{
    uint32_t d = deeper(index_depth(s, in->index), index_depth(s, in->index2)), n = 0;
    if (in->kind == KI_OP) n = (uint32_t)op_info(in->op)->arity;
    if (in->kind == KI_RANDOM) n = 3;
    if (in->kind == KI_REDUCE) n = 1;
    for (uint32_t i = 0; i < n; i++) d = deeper(d, s->depth[in->args[i]]);
    for (uint32_t i = 0; i < in->nguards; i++) d = deeper(d, index_depth(s, in->guards[i].index));
    return in->kind == KI_REDUCE ? d + 1 : d;
}

bool sweeps_inside(const Sweeps *s, const KernelStore *store)
{
    if (store->kind == STORE_COLUMN || s->red == UINT32_MAX) return true;
    return index_uses(&s->body->index, store->index, s->red) ||
           s->body->code.at[store->value].axes & axis_bit(s->red);
}

void sweeps_find(Sweeps *s, Arena *arena, const KernelBody *body)
{
    *s = (Sweeps){.body = body, .red = UINT32_MAX, .inner = UINT32_MAX};
    for (uint32_t i = 0; i < body->axes.n; i++) {
        if (body->axes.at[i].role == ROLE_RED) s->red = i;
        if (body->axes.at[i].role == ROLE_INNER) s->inner = i;
    }
    s->depth = arena_array(arena, uint32_t, body->code.n + 1);
    s->n = s->red == UINT32_MAX;
    for (uint32_t i = 0; i < body->code.n; i++) {
        const KernelInstr *in = &body->code.at[i];
        s->depth[i] = instr_depth(s, in);
        if (in->kind != KI_REDUCE) continue;
        Reduction r = {i, in->args[0], in->op, in->dtype, in->order, s->depth[i] - 1};
        vec_push(arena, &s->reductions, r);
        s->n = deeper(s->n, s->depth[i]);
    }
    for (uint32_t i = 0; i < body->stores.n; i++) {
        const KernelStore *store = &body->stores.at[i];
        if (store->kind == STORE_COLUMN) vec_push(arena, &s->columns, i);
        if (sweeps_inside(s, store)) s->n = deeper(s->n, s->depth[store->value] + 1);
    }
}
