// Loop kernels as CUDA text, by form:
//   points        a thread a few points, packs of them where they lie side by side
//   columns       points with sums over the outer axes: a thread walks the 64 outer points of a
//   task rows          a warp a row, long rows a block; with column sums a block a task middle a
//   thread a point outside the reduced axis walks that axis
// Where all accesses are at the same point, sizes are no part of the text (cuda_flat.c).
#include "codegen/cuda_loop.h"

#include "base/diag.h"

#include <inttypes.h>

int64_t loop_axis_size(const CudaLoop *l, uint32_t axis)
{
    return l->body->axes.at[axis].size;
}

int64_t loop_blocks(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

const char *loop_point_type(int64_t n)
{
    return n > INT32_MAX - (1 << 16) ? "long long" : "int";
}

void loop_outer_axes(CudaLoop *l, const char *point)
{
    CudaText *t = l->t;
    cuda_forget(t, UINT64_MAX);
    bool wide = l->rows > INT32_MAX;
    const char *rest = point;
    for (uint32_t i = l->body->axes.n; i-- > 0;) {
        if (l->body->axes.at[i].role != ROLE_OUTER) continue;
        int64_t size = loop_axis_size(l, i);
        t->axis[i] = str_printf(t->arena, "a%u", i);
        if (i == 0) {
            cuda_line(t, "const int a0 = (int)%s;", rest);
            break;
        }
        cuda_line(t, "const int a%u = (int)(%s %% %" PRId64 ");", i, rest, size);
        cuda_line(t, "const %s p%u = %s / %" PRId64 ";", wide ? "long long" : "int", i, rest, size);
        rest = str_printf(t->arena, "p%u", i);
    }
}

const char *loop_axis(CudaLoop *l, uint32_t axis)
{
    return l->t->axis[axis] = str_printf(l->t->arena, "a%u", axis);
}

uint32_t loop_reductions(const CudaLoop *l, uint32_t sweep, Reduction *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->s.reductions.n; i++)
        if (l->s.reductions.at[i].sweep == sweep) out[n++] = l->s.reductions.at[i];
    return n;
}

bool loop_store_now(const CudaLoop *l, const KernelStore *s, uint32_t sweep, bool inside)
{
    return s->kind == STORE_PLAIN && sweeps_inside(&l->s, s) == inside &&
           (!inside || l->s.depth[s->value] == sweep);
}

void loop_stores(CudaLoop *l, uint32_t sweep, bool inside)
{
    const KernelBody *b = l->body;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < b->stores.n; i++) {
            const KernelStore *s = &b->stores.at[i];
            if (!loop_store_now(l, s, sweep, inside)) continue;
            if (pass)
                cuda_store(l->t, s);
            else
                cuda_value(l->t, s->value);
        }
}

const KernelStore *loop_column(const CudaLoop *l, uint32_t c)
{
    return &l->body->stores.at[l->s.columns.at[c]];
}

DType loop_column_dtype(const CudaLoop *l, uint32_t c)
{
    return l->body->code.at[loop_column(l, c)->value].dtype;
}

void loop_open_task(CudaLoop *l)
{
    CudaText *t = l->t;
    const char *type = loop_point_type(l->rows + l->k->grain);
    cuda_line(t, "const %s first = (%s)block_x() * %" PRId64 ";", type, type, l->k->grain);
    cuda_line(t, "const %s last = smaller<%s>(first + %" PRId64 ", %" PRId64 ");", type, type,
              l->k->grain, l->rows);
}

static CudaLoop open_loop(CudaText *t)
{
    CudaLoop l = {.t = t, .k = t->kernel, .body = &t->kernel->body, .rows = 1};
    cuda_use_body(t, l.body);
    sweeps_find(&l.s, t->arena, l.body);
    for (uint32_t i = 0; i < l.body->axes.n; i++)
        if (l.body->axes.at[i].role == ROLE_OUTER) l.rows *= l.body->axes.at[i].size;
    flat_try(&l);
    return l;
}

bool cuda_any_size(Arena *arena, const Kernel *k)
{
    CudaText t = {.arena = arena, .kernel = k};
    return open_loop(&t).flat.on;
}

void cuda_loop_kernel(CudaText *t, CudaLaunch *launch)
{
    CudaLoop l = open_loop(t);
    launch->blocks[1] = 1;
    bool row = l.s.red != UINT32_MAX, vector = l.s.inner != UINT32_MAX;
    if (row)
        (vector ? cuda_middle : cuda_rows)(&l, launch);
    else
        (l.s.columns.n ? cuda_columns : cuda_points)(&l, launch);
}
