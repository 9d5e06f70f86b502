// What the sweeps of a row share. A value that one sweep computes from loaded elements and a later
// one needs is kept in shared memory, where each thread finds its own elements again; so a row is
// read once. Kept are the last values that the later sweep would otherwise compute anew, in places
// that are given on when nobody needs them any more.
#include "codegen/cuda_row.h"

typedef struct Finder {
    const CudaLoop *l;
    Keep *keep;
    const Ahead *ahead;
    uint32_t *first; // by instruction: the sweep that computes it first, + 1
    uint32_t *seen;  // the sweep whose walk came by last, + 1
    bool *loads;     // does it depend on elements of this row?
} Finder;

static bool of_this_row(const CudaLoop *l, const KernelInstr *in)
{
    uint64_t red = axis_bit(l->s.red);
    return in->kind == KI_LOAD && in->axes & red && in->axes & ~red;
}

static void visit(Finder *f, uint32_t instr, uint32_t sweep);

static void visit_index(Finder *f, IndexId index, uint32_t sweep)
{
    const IndexNode *n = index_node(&f->l->body->index, index);
    if (n->op == IX_VALUE) visit(f, n->a, sweep);
    if (n->op == IX_ADD) visit_index(f, n->b, sweep);
    if (n->op >= IX_ADD && n->op <= IX_MOD) visit_index(f, n->a, sweep);
}

static uint32_t operand_count(const KernelInstr *in)
{
    if (in->kind == KI_OP) return (uint32_t)op_info(in->op)->arity;
    return in->kind == KI_RANDOM ? 3 : 0;
}

// Does it take little to have it again, from what was fetched?
static bool is_there(const Finder *f, uint32_t instr)
{
    return f->ahead &&
           (f->ahead->again[instr] || ahead_source(f->l, f->ahead, instr) != UINT32_MAX);
}

static void visit(Finder *f, uint32_t instr, uint32_t sweep)
{
    const KernelInstr *in = &f->l->body->code.at[instr];
    if (!(in->axes & axis_bit(f->l->s.red)) || f->seen[instr] == sweep + 1) return;
    f->seen[instr] = sweep + 1;
    bool earlier = f->first[instr] && f->first[instr] <= sweep && !is_there(f, instr);
    if (f->ahead && f->ahead->load[instr]) {
        if (!f->ahead->first[instr]) f->ahead->first[instr] = sweep + 1;
        f->ahead->last[instr] = sweep;
    }
    if (earlier && f->loads[instr] && dtype_is_float(in->dtype)) {
        f->keep->last[instr] = sweep;
        return;
    }
    if (!f->first[instr]) f->first[instr] = sweep + 1;
    uint32_t square = kernel_exp_of_square(f->l->body, in); // it is what the text asks for then
    if (square != UINT32_MAX) visit(f, square, sweep);
    for (uint32_t i = 0; square == UINT32_MAX && i < operand_count(in); i++)
        visit(f, in->args[i], sweep);
    visit_index(f, in->index, sweep);
    visit_index(f, in->index2, sweep);
    for (uint32_t i = 0; i < in->nguards; i++) visit_index(f, in->guards[i].index, sweep);
}

static void find_loads(Finder *f)
{
    const KernelBody *b = f->l->body;
    for (uint32_t i = 0; i < b->code.n; i++) {
        const KernelInstr *in = &b->code.at[i];
        f->loads[i] = of_this_row(f->l, in);
        for (uint32_t a = 0; a < operand_count(in); a++) f->loads[i] |= f->loads[in->args[a]];
    }
}

static void walk_sweep(Finder *f, uint32_t sweep)
{
    const CudaLoop *l = f->l;
    for (uint32_t i = 0; i < l->s.reductions.n; i++)
        if (l->s.reductions.at[i].sweep == sweep) visit(f, l->s.reductions.at[i].arg, sweep);
    for (uint32_t i = 0; i < l->body->stores.n; i++) {
        const KernelStore *s = &l->body->stores.at[i];
        bool column = s->kind == STORE_COLUMN && l->s.depth[s->value] == sweep;
        if (column || loop_store_now(l, s, sweep, true)) visit(f, s->value, sweep);
        if (loop_store_now(l, s, sweep, true)) visit_index(f, s->index, sweep);
    }
}

// Column sums are taken when the row is over.
static void keep_columns(Finder *f)
{
    for (uint32_t c = 0; c < f->l->s.columns.n; c++) {
        uint32_t value = loop_column(f->l, c)->value;
        if (f->ahead && ahead_source(f->l, f->ahead, value) != UINT32_MAX) continue;
        f->keep->last[value] = f->l->s.n;
        if (!f->first[value]) f->first[value] = f->l->s.depth[value] + 1;
    }
}

// A place is free for a value of the sweep in which its old one is read last: within an element
// reads come first.
static void give_places(Finder *f, Arena *arena)
{
    Keep *k = f->keep;
    uint32_t n = f->l->body->code.n;
    uint32_t *until = arena_array(arena, uint32_t, n + 1); // by place
    for (uint32_t sweep = 0; sweep < f->l->s.n; sweep++)
        for (uint32_t i = 0; i < n; i++) {
            if (!k->last[i] || f->first[i] != sweep + 1) continue;
            uint32_t place = 0;
            while (place < k->places && until[place] > sweep) place++;
            if (place == k->places) k->places++;
            until[place] = k->last[i];
            k->place[i] = place + 1;
            k->sweep[i] = sweep;
        }
}

// What the sweep computes anew, given what is kept.
void keep_needs(const CudaLoop *l, const Keep *keep, uint32_t sweep, bool *needed)
{
    Arena *a = l->t->arena;
    uint32_t n = l->body->code.n + 1;
    Keep none = {.last = arena_array(a, uint32_t, n)};
    Finder f = {l,
                &none,
                NULL,
                arena_array(a, uint32_t, n),
                arena_array(a, uint32_t, n),
                arena_array(a, bool, n)};
    for (uint32_t i = 0; keep && i + 1 < n; i++)
        if (keep_has(keep, i, sweep)) f.seen[i] = sweep + 1;
    walk_sweep(&f, sweep);
    for (uint32_t i = 0; i + 1 < n; i++) needed[i] = f.first[i] != 0;
}

bool keep_has(const Keep *keep, uint32_t instr, uint32_t sweep)
{
    return keep->place[instr] && keep->sweep[instr] < sweep && sweep <= keep->last[instr];
}

Keep keep_find(const CudaLoop *l, const Ahead *ahead)
{
    Arena *a = l->t->arena;
    uint32_t n = l->body->code.n + 1;
    Keep keep = {.place = arena_array(a, uint32_t, n),
                 .sweep = arena_array(a, uint32_t, n),
                 .last = arena_array(a, uint32_t, n)};
    Finder f = {l,
                &keep,
                ahead,
                arena_array(a, uint32_t, n),
                arena_array(a, uint32_t, n),
                arena_array(a, bool, n)};
    find_loads(&f);
    for (uint32_t sweep = 0; sweep < l->s.n; sweep++) walk_sweep(&f, sweep);
    keep_columns(&f);
    give_places(&f, a);
    return keep;
}
