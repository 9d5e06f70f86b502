// Where a kernel reads or writes in a buffer only from some place on, the buffer is given to it
// from there: the place is the launch's affair then, not part of the kernel's text, so that kernels
// over windows of one value (pieces of it, heads, parts of packed matrices) are one. Buffers begin
// at multiples of 64 bytes; so do windows, and what kernels assume of addresses holds.
#include "passes/lower.h"

enum { ALIGN = 64 };

// All accesses to one slot.
typedef struct Reach {
    bool seen, fixed; // fixed: it is not reached by indices alone
    int64_t from, to; // elements: none lies before `from`, none at or after `to`
} Reach;

// The constant that an index has beside its other terms.
static int64_t constant_of(const IndexPool *pool, IndexId e)
{
    const IndexNode *n = index_node(pool, e);
    if (n->op == IX_CONST) return n->c;
    return n->op == IX_ADD ? constant_of(pool, n->a) + constant_of(pool, n->b) : 0;
}

static void note(Reach *r, const IndexPool *pool, IndexId e)
{
    const IndexNode *n = index_node(pool, e);
    int64_t from = constant_of(pool, e), to = n->hi + 1;
    if (n->lo < from) from = n->lo;
    if (!r->seen || from < r->from) r->from = from;
    if (!r->seen || to > r->to) r->to = to;
    r->seen = true;
}

static void note_body(Reach *reach, const KernelBody *b)
{
    for (uint32_t i = 0; i < b->code.n; i++) {
        const KernelInstr *in = &b->code.at[i];
        if (in->kind == KI_LOAD) note(&reach[in->buffer], &b->index, in->index);
    }
    for (uint32_t i = 0; i < b->stores.n; i++) {
        const KernelStore *s = &b->stores.at[i];
        note(&reach[s->buffer], &b->index, s->index);
        reach[s->buffer].fixed |= s->kind == STORE_COLUMN;
    }
}

static void move_body(const int64_t *by, KernelBody *b)
{
    IndexPool *pool = &b->index;
    for (uint32_t i = 0; i < b->code.n; i++) {
        KernelInstr *in = &b->code.at[i];
        if (in->kind == KI_LOAD && by[in->buffer])
            in->index = index_add(pool, in->index, index_const(pool, -by[in->buffer]));
    }
    for (uint32_t i = 0; i < b->stores.n; i++) {
        KernelStore *s = &b->stores.at[i];
        if (by[s->buffer]) s->index = index_add(pool, s->index, index_const(pool, -by[s->buffer]));
    }
}

void lower_windows(Lower *lo, Kernel *k, Segment *segment)
{
    Reach *reach = arena_array(lo->work, Reach, k->buffers.n + 1);
    int64_t *by = arena_array(lo->work, int64_t, k->buffers.n + 1);
    KernelBody *bodies[] = {&k->body, &k->gemm.a, &k->gemm.b};
    if (k->kind != KERNEL_LOOP && k->kind != KERNEL_PACK && k->kind != KERNEL_GEMM) return;
    for (int i = 0; i < 3; i++) note_body(reach, bodies[i]);
    for (uint32_t i = 0; i < k->buffers.n; i++) {
        KernelBuffer *b = &k->buffers.at[i];
        int64_t unit = ALIGN / dtype_size(b->dtype);
        if (!reach[i].seen || reach[i].fixed || reach[i].to < 1) continue; // < 1: guards forbid all
        if (reach[i].to < b->count) b->count = reach[i].to;
        if (reach[i].from > 0 && reach[i].from < b->count) by[i] = reach[i].from / unit * unit;
        b->count -= by[i];
        segment->from.at[i] += by[i];
    }
    for (int i = 0; i < 3; i++) move_body(by, bodies[i]);
}
