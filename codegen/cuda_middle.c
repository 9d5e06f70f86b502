// A reduced axis outside the vector axis: a thread a point walks it. Sizes may come from a table:
// then this adds up the parts of column sums of every shape. Where the axis is long (deep), waiting
// for memory would be all there is to it: then the threads of a block bring many rows of a few
// points to shared memory, the next ones on their way meanwhile, and one thread a point adds them
// up in the order that is defined.
#include "codegen/cuda_loop.h"

#include "base/diag.h"

#include <inttypes.h>

enum {
    FLAT_THREADS = 64,
    THREADS = 128,
    DEEP = 128, // rows from which on it is worth it
    DEEP_THREADS = 512,
    DEEP_POINTS = 16, // of a block; 64 bytes of a row lie side by side
    DEEP_SIDES = DEEP_THREADS / DEEP_POINTS,
    DEEP_EACH = 16,     // values that a thread has on their way
    DEEP_REDUCTIONS = 4 // at most
};

// Loads at point and reduced element.
static void use_both(CudaLoop *l)
{
    CudaText *t = l->t;
    for (uint32_t i = 0; l->flat.on && i < l->body->code.n; i++) {
        const KernelInstr *in = &l->body->code.at[i];
        if (!l->flat.both[i]) continue;
        const char *x = str_printf(t->arena, "b%u[%s * size0 + %s]", in->buffer, t->axis[l->s.red],
                                   t->axis[l->s.inner]);
        t->known[i] = in->dtype == DT_BOOL ? str_printf(t->arena, "%s != 0", x)
                                           : str_printf(t->arena, "number(%s)", x);
    }
}

static void chain_step(CudaLoop *l, uint32_t sweep, const char *stem, const Reduction *r,
                       uint32_t n)
{
    CudaText *t = l->t;
    for (uint32_t i = 0; i < n; i++) {
        const char *sum = str_printf(t->arena, "%s%u", stem, r[i].instr);
        const char *x = cuda_value(t, r[i].arg);
        cuda_line(t, "%s = %s;", sum, cuda_combine(t, r[i].op, r[i].dtype, sum, x));
    }
    loop_stores(l, sweep, true);
    cuda_forget(t, axis_bit(l->s.red));
}

static void declare_chains(CudaLoop *l, const char *stem, const Reduction *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        cuda_line(l->t, "%s %s%u = %s;", cuda_type(r[i].dtype), stem, r[i].instr,
                  cuda_identity(l->t, r[i].op, r[i].dtype));
}

static void open_walk(CudaLoop *l, const char *from, const char *to)
{
    const char *at = loop_axis(l, l->s.red);
    cuda_line(l->t, "#pragma unroll %d", l->flat.on ? 16 : 4);
    cuda_open(l->t, "for (int %s = %s; %s < %s; %s++)", at, from, at, to, at);
    use_both(l);
}

// Chains of 64, then a chain of those.
static void chain_of_chains(CudaLoop *l, uint32_t sweep, const char *length, const Reduction *r,
                            uint32_t n)
{
    CudaText *t = l->t;
    cuda_open(t, "for (int begin = 0; begin < %s; begin += %d)", length, COLUMN_CHAIN);
    declare_chains(l, "chain", r, n);
    cuda_line(t, "const int end = smaller<int>(begin + %d, %s);", COLUMN_CHAIN, length);
    open_walk(l, "begin", "end");
    chain_step(l, sweep, "chain", r, n);
    cuda_close(t);
    for (uint32_t i = 0; i < n; i++) {
        const char *sum = str_printf(t->arena, "sum%u", r[i].instr),
                   *chain = str_printf(t->arena, "chain%u", r[i].instr);
        cuda_line(t, "%s = %s;", sum, cuda_combine(t, r[i].op, r[i].dtype, sum, chain));
    }
    cuda_close(t);
}

static void middle_sweep(CudaLoop *l, uint32_t sweep)
{
    CudaText *t = l->t;
    int64_t size = loop_axis_size(l, l->s.red);
    const char *length = l->flat.on ? "(int)size1" : str_printf(t->arena, "%" PRId64, size);
    Reduction *r = arena_array(t->arena, Reduction, l->s.reductions.n + 1);
    uint32_t n = loop_reductions(l, sweep, r);
    cuda_hoist(t, &l->s, axis_bit(l->s.red), sweep);
    declare_chains(l, "sum", r, n);
    if (n && r[0].order == ORDER_COLUMN && size > COLUMN_CHAIN) {
        chain_of_chains(l, sweep, length, r, n);
    } else {
        open_walk(l, "0", length);
        chain_step(l, sweep, "sum", r, n);
        cuda_close(t);
    }
    for (uint32_t i = 0; i < n; i++)
        t->memo[r[i].instr] = str_printf(t->arena, "sum%u", r[i].instr);
}

static void walk_point(CudaLoop *l)
{
    for (uint32_t sweep = 0; sweep < l->s.n; sweep++) middle_sweep(l, sweep);
    cuda_hoist(l->t, &l->s, axis_bit(l->s.red), l->s.n);
    loop_stores(l, l->s.n, false);
}

// ---- deep ---------------------------------------------------------------------------------------

typedef struct Deep {
    CudaLoop *l;
    Reduction *r;
    uint32_t n, each;   // reductions; of each of them, values of a thread
    const char *length; // of the axis
} Deep;

static int deep_rows(const Deep *d)
{
    return (int)d->each * DEEP_SIDES;
}

// One sweep that only sums, values of at most four bytes.
static bool is_deep(Deep *d, CudaLoop *l)
{
    int64_t size = loop_axis_size(l, l->s.red);
    if (l->s.n != 1 || size < DEEP || size > INT32_MAX / 2) return false;
    for (uint32_t i = 0; i < l->body->stores.n; i++)
        if (sweeps_inside(&l->s, &l->body->stores.at[i])) return false;
    *d = (Deep){.l = l, .r = arena_array(l->t->arena, Reduction, l->s.reductions.n + 1)};
    d->n = loop_reductions(l, 0, d->r);
    if (!d->n || d->n > DEEP_REDUCTIONS) return false;
    for (uint32_t i = 0; i < d->n; i++)
        if (dtype_size(d->r[i].dtype) > 4 || d->r[i].order != d->r[0].order) return false;
    d->each = d->n == 1 ? DEEP_EACH : d->n == 2 ? DEEP_EACH / 2 : DEEP_EACH / 4;
    d->length = l->flat.on ? "(int)size1" : str_printf(l->t->arena, "%" PRId64, size);
    return true;
}

// The rows that come next, into registers. A row behind the last is the last once more.
static void deep_load(const Deep *d)
{
    CudaLoop *l = d->l;
    CudaText *t = l->t;
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int u = 0; u < %u; u++)", d->each);
    cuda_line(t, "const int %s = smaller<int>(next + u * %d + side, %s - 1);",
              loop_axis(l, l->s.red), DEEP_SIDES, d->length);
    use_both(l);
    for (uint32_t i = 0; i < d->n; i++)
        cuda_line(t, "x%u[u] = %s;", d->r[i].instr, cuda_value(t, d->r[i].arg));
    cuda_forget(t, axis_bit(l->s.red));
    cuda_close(t);
}

static void deep_keep(const Deep *d)
{
    CudaText *t = d->l->t;
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int u = 0; u < %u; u++)", d->each);
    for (uint32_t i = 0; i < d->n; i++)
        cuda_line(t, "row%u[u * %d + (int)thread()] = x%u[u];", d->r[i].instr, DEEP_THREADS,
                  d->r[i].instr);
    cuda_close(t);
}

// stem = stem combined with what is in shared memory of rows [from, to), one after the other.
static void deep_chain(const Deep *d, const char *stem, const char *from, const char *to)
{
    CudaText *t = d->l->t;
    cuda_line(t, "#pragma unroll 16");
    cuda_open(t, "for (int i = %s; i < %s; i++)", from, to);
    for (uint32_t i = 0; i < d->n; i++) {
        const Reduction *r = &d->r[i];
        const char *sum = str_printf(t->arena, "%s%u", stem, r->instr),
                   *x = str_printf(t->arena, "row%u[i * %d + column]", r->instr, DEEP_POINTS);
        cuda_line(t, "%s = %s;", sum, cuda_combine(t, r->op, r->dtype, sum, x));
    }
    cuda_close(t);
}

static void deep_add(const Deep *d)
{
    CudaText *t = d->l->t;
    cuda_line(t, "const int rows = smaller<int>(%d, %s - begin);", deep_rows(d), d->length);
    if (d->r[0].order != ORDER_COLUMN || loop_axis_size(d->l, d->l->s.red) <= COLUMN_CHAIN) {
        deep_chain(d, "sum", "0", "rows");
        return;
    }
    cuda_open(t, "for (int first = 0; first < rows; first += %d)", COLUMN_CHAIN);
    declare_chains(d->l, "chain", d->r, d->n);
    deep_chain(d, "chain", "first",
               str_printf(t->arena, "smaller<int>(first + %d, rows)", COLUMN_CHAIN));
    for (uint32_t i = 0; i < d->n; i++) {
        const char *sum = str_printf(t->arena, "sum%u", d->r[i].instr),
                   *chain = str_printf(t->arena, "chain%u", d->r[i].instr);
        cuda_line(t, "%s = %s;", sum, cuda_combine(t, d->r[i].op, d->r[i].dtype, sum, chain));
    }
    cuda_close(t);
}

static void deep_walk(const Deep *d)
{
    CudaLoop *l = d->l;
    CudaText *t = l->t;
    cuda_hoist(t, &l->s, axis_bit(l->s.red), 0);
    declare_chains(l, "sum", d->r, d->n);
    for (uint32_t i = 0; i < d->n; i++)
        cuda_line(t, "%s x%u[%u];", cuda_type(d->r[i].dtype), d->r[i].instr, d->each);
    cuda_line(t, "#pragma unroll 1");
    cuda_open(t, "for (int begin = -%d; begin < %s; begin += %d)", deep_rows(d), d->length,
              deep_rows(d));
    cuda_line(t, "const int next = begin + %d;", deep_rows(d));
    cuda_open(t, "if (next < %s)", d->length);
    deep_load(d);
    cuda_close(t);
    cuda_open(t, "if (begin >= 0 && side == 0)");
    deep_add(d);
    cuda_close(t);
    cuda_line(t, "sync();");
    cuda_open(t, "if (next < %s)", d->length);
    deep_keep(d);
    cuda_close(t);
    cuda_line(t, "sync();");
    cuda_close(t);
    for (uint32_t i = 0; i < d->n; i++)
        t->memo[d->r[i].instr] = str_printf(t->arena, "sum%u", d->r[i].instr);
}

// Blocks that a multiprocessor is to hold. Left to itself the assembler may want four of them, with
// 32 registers a thread, and spill the values on their way. 64 do where each value is one load.
static uint32_t deep_residents(const Deep *d)
{
    const KernelBody *body = d->l->body;
    uint32_t loads = 0;
    for (uint32_t i = 0; i < body->code.n; i++)
        loads += body->code.at[i].kind == KI_LOAD &&
                 (body->code.at[i].axes & axis_bit(d->l->s.red)) != 0;
    return loads <= d->n ? 2 : 1;
}

// Threads of points behind the last walk along with it and store nothing.
static void deep_middle(const Deep *d, CudaLaunch *launch)
{
    CudaLoop *l = d->l;
    CudaText *t = l->t;
    int64_t inner = loop_axis_size(l, l->s.inner), n = l->flat.on ? inner : l->rows * inner;
    const char *type = loop_point_type(n),
               *size = l->flat.on ? "size0" : str_printf(t->arena, "%" PRId64, n);
    launch->threads = DEEP_THREADS;
    launch->residents = deep_residents(d);
    launch->blocks[0] = loop_blocks(n, DEEP_POINTS);
    for (uint32_t i = 0; i < d->n; i++)
        cuda_line(t, "SHARED(%s, row%u, %d);", cuda_type(d->r[i].dtype), d->r[i].instr,
                  deep_rows(d) * DEEP_POINTS);
    cuda_line(t, "const int column = (int)thread() %% %d, side = (int)thread() / %d;", DEEP_POINTS,
              DEEP_POINTS);
    cuda_line(t, "const %s own = (%s)%s * %d + column, point = smaller<%s>(own, (%s)%s - 1);", type,
              type, l->flat.on ? "block" : "block_x()", DEEP_POINTS, type, type, size);
    if (l->flat.on) {
        t->axis[l->s.inner] = "point";
    } else {
        cuda_line(t, "const int %s = (int)(point %% %" PRId64 ");", loop_axis(l, l->s.inner),
                  inner);
        cuda_line(t, "const %s row = point / %" PRId64 ";", type, inner);
        loop_outer_axes(l, "row");
    }
    deep_walk(d);
    cuda_open(t, "if (side == 0 && own < %s)", size);
    cuda_hoist(t, &l->s, axis_bit(l->s.red), l->s.n);
    loop_stores(l, l->s.n, false);
    cuda_close(t);
}

// ---- the kernel ---------------------------------------------------------------------------------

static void flat_middle(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    int64_t n = loop_axis_size(l, l->s.inner);
    launch->threads = FLAT_THREADS;
    launch->blocks[0] = loop_blocks(n, FLAT_THREADS);
    cuda_line(t, "const %s point = (%s)block * %d + (int)thread();", loop_point_type(n),
              loop_point_type(n), FLAT_THREADS);
    cuda_open(t, "if (point < size0)");
    t->axis[l->s.inner] = "point";
    walk_point(l);
    cuda_close(t);
}

void cuda_middle(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    Deep deep;
    if (l->flat.on) {
        launch->table = true;
        launch->size[0] = loop_axis_size(l, l->s.inner);
        launch->size[1] = loop_axis_size(l, l->s.red);
    }
    if (is_deep(&deep, l)) {
        deep_middle(&deep, launch);
        return;
    }
    if (l->flat.on) {
        flat_middle(l, launch);
        return;
    }
    int64_t inner = loop_axis_size(l, l->s.inner), n = l->rows * inner;
    launch->threads = THREADS;
    launch->blocks[0] = loop_blocks(n, THREADS);
    cuda_line(t, "const %s point = (%s)block_x() * %d + (int)thread();", loop_point_type(n),
              loop_point_type(n), THREADS);
    cuda_open(t, "if (point < %" PRId64 ")", n);
    cuda_line(t, "const int %s = (int)(point %% %" PRId64 ");", loop_axis(l, l->s.inner), inner);
    cuda_line(t, "const %s row = point / %" PRId64 ";", loop_point_type(n), inner);
    loop_outer_axes(l, "row");
    walk_point(l);
    cuda_close(t);
}
