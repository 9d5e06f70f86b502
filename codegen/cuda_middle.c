// A reduced axis outside the vector axis: a thread a point walks it. Sizes may come from a table:
// then this adds up the parts of column sums of every shape.
#include "codegen/cuda_loop.h"

#include "base/diag.h"

#include <inttypes.h>

enum { FLAT_THREADS = 64, THREADS = 128 };

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

static void flat_middle(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    int64_t n = loop_axis_size(l, l->s.inner);
    launch->table = true;
    launch->threads = FLAT_THREADS;
    launch->blocks[0] = loop_blocks(n, FLAT_THREADS);
    launch->size[0] = n;
    launch->size[1] = loop_axis_size(l, l->s.red);
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
