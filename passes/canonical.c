// One body for what is computed alike: operands that commute are ordered by what they compute, and
// instructions and buffers are numbered in the order in which the stores need them. So kernels that
// differ in nothing but the order in which the graph's nodes were made are one.
#include "passes/lower.h"

#include "base/map.h"

typedef struct Canonical {
    Arena *arena;
    const KernelBody *from;
    KernelBody to;
    uint64_t *hash;   // by old instruction: what it computes, whatever the sizes
    uint32_t *number; // by old instruction: the new one + 1
    uint32_t *buffer; // by old buffer: the new one + 1
    uint32_t nbuffers;
} Canonical;

static uint32_t operand_count(const KernelInstr *in)
{
    switch (in->kind) {
    case KI_OP: return (uint32_t)op_info(in->op)->arity;
    case KI_RANDOM: return 3;
    case KI_REDUCE: return 1;
    default: return 0;
    }
}

// Are the first two operands exchangeable? (fma rounds once, so its factors are.)
static bool commutes(const KernelInstr *in)
{
    return in->kind == KI_OP && (op_info(in->op)->flags & OPF_COMMUTES || in->op == OP_FMA);
}

// ---- what an instruction computes ---------------------------------------------------------------

// Sizes, and with them the numbers in an index, do not count: kernels of other shapes are to be
// ordered alike.
static uint64_t index_hash(const Canonical *c, IndexId e)
{
    const IndexPool *pool = &c->from->index;
    const IndexNode *n = index_node(pool, e);
    uint32_t inner = c->from->axes.n - 1;
    switch (n->op) {
    case IX_CONST: return 1;
    case IX_AXIS: return 2 + (n->a == inner);
    case IX_VALUE: return c->hash[n->a] * 3;
    case IX_ADD: return index_hash(c, n->a) | index_hash(c, n->b);
    default: return index_hash(c, n->a);
    }
}

static uint64_t instr_hash(const Canonical *c, const KernelInstr *in)
{
    uint64_t args[3] = {0}, value;
    uint32_t n = operand_count(in);
    for (uint32_t i = 0; i < n; i++) args[i] = c->hash[in->args[i]];
    if (commutes(in) && args[0] > args[1]) {
        uint64_t x = args[0];
        args[0] = args[1];
        args[1] = x;
    }
    memcpy(&value, &in->value, sizeof value);
    const uint64_t key[] = {(uint64_t)in->kind,
                            in->kind == KI_OP || in->kind == KI_REDUCE ? (uint64_t)in->op : 0,
                            (uint64_t)in->dtype,
                            value,
                            index_hash(c, in->index),
                            in->nguards,
                            args[0],
                            args[1],
                            args[2]};
    return hash_bytes(0, key, sizeof key);
}

// ---- the new body -------------------------------------------------------------------------------

static uint32_t visit(Canonical *c, uint32_t old);

static IndexId copy_index(Canonical *c, IndexId e)
{
    IndexPool *to = &c->to.index;
    const IndexNode n = *index_node(&c->from->index, e);
    switch (n.op) {
    case IX_CONST: return index_const(to, n.c);
    case IX_AXIS: return index_axis(to, n.a, c->from->axes.at[n.a].size);
    case IX_VALUE: return index_value(to, visit(c, n.a), n.lo, n.hi);
    case IX_ADD: {
        IndexId a = copy_index(c, n.a);
        return index_add(to, a, copy_index(c, n.b));
    }
    case IX_MUL: return index_mul(to, copy_index(c, n.a), n.c);
    case IX_DIV: return index_div(to, copy_index(c, n.a), n.c);
    case IX_MOD: return index_mod(to, copy_index(c, n.a), n.c);
    }
    bug("index op %d", (int)n.op);
}

static const KernelGuard *copy_guards(Canonical *c, const KernelGuard *guards, uint32_t n)
{
    KernelGuard *at = arena_array(c->arena, KernelGuard, n + 1);
    for (uint32_t i = 0; i < n; i++)
        at[i] = (KernelGuard){copy_index(c, guards[i].index), guards[i].lo, guards[i].hi};
    return at;
}

static uint32_t new_buffer(Canonical *c, uint32_t old)
{
    if (!c->buffer[old]) c->buffer[old] = ++c->nbuffers;
    return c->buffer[old] - 1;
}

static uint32_t visit(Canonical *c, uint32_t old)
{
    if (c->number[old]) return c->number[old] - 1;
    KernelInstr in = c->from->code.at[old];
    uint32_t n = operand_count(&in);
    if (commutes(&in) && c->hash[in.args[0]] > c->hash[in.args[1]]) {
        uint32_t x = in.args[0];
        in.args[0] = in.args[1];
        in.args[1] = x;
    }
    for (uint32_t i = 0; i < n; i++) in.args[i] = visit(c, in.args[i]);
    in.index = copy_index(c, in.index);
    in.index2 = copy_index(c, in.index2);
    in.guards = copy_guards(c, in.guards, in.nguards);
    if (in.kind == KI_LOAD) in.buffer = new_buffer(c, in.buffer);
    vec_push(c->arena, &c->to.code, in);
    return (c->number[old] = c->to.code.n) - 1;
}

static void renumber_buffers(Canonical *c, Kernel *k, Segment *segment)
{
    Segment s = {.kernel = segment->kernel};
    Kernel buffers = {0};
    for (uint32_t i = 0; i < k->buffers.n; i++) new_buffer(c, i);
    uint32_t *old = arena_array(c->arena, uint32_t, k->buffers.n + 1);
    for (uint32_t i = 0; i < k->buffers.n; i++) old[c->buffer[i] - 1] = i;
    for (uint32_t i = 0; i < k->buffers.n; i++) {
        vec_push(c->arena, &s.buffers, segment->buffers.at[old[i]]);
        vec_push(c->arena, &s.from, segment->from.at[old[i]]);
        vec_push(c->arena, &buffers.buffers, k->buffers.at[old[i]]);
    }
    *segment = s;
    memcpy(&k->buffers, &buffers.buffers, sizeof k->buffers);
}

void lower_canonical(Arena *arena, Kernel *k, Segment *segment)
{
    Canonical c = {.arena = arena, .from = &k->body};
    c.hash = arena_array(arena, uint64_t, k->body.code.n + 1);
    c.number = arena_array(arena, uint32_t, k->body.code.n + 1);
    c.buffer = arena_array(arena, uint32_t, k->buffers.n + 1);
    index_init(&c.to.index, arena);
    for (uint32_t i = 0; i < k->body.axes.n; i++) { // first, so that sums name them in this order
        vec_push(arena, &c.to.axes, k->body.axes.at[i]);
        index_axis(&c.to.index, i, k->body.axes.at[i].size);
    }
    for (uint32_t i = 0; i < k->body.code.n; i++) c.hash[i] = instr_hash(&c, &k->body.code.at[i]);
    for (uint32_t i = 0; i < k->body.stores.n; i++) {
        KernelStore s = k->body.stores.at[i];
        s.value = visit(&c, s.value);
        s.index = copy_index(&c, s.index);
        s.guards = copy_guards(&c, s.guards, s.nguards);
        s.buffer = new_buffer(&c, s.buffer);
        vec_push(arena, &c.to.stores, s);
    }
    renumber_buffers(&c, k, segment);
    k->body = c.to;
}
