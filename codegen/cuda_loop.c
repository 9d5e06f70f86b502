// Loop kernels as CUDA text, by form:
//   pointwise   a thread a point; points of a block lie side by side, so accesses do
//   columns     pointwise with sums over the outer axes: a thread a point of the vector axis walks
//               the 64 outer points of its task
//   row         a warp a row; each thread has two of the 64 lanes of a sum (docs/ir.md)
//   row, columns  a block of 64 threads a task, a thread a lane; column sums stand in the partials
//   middle      a thread a point outside the reduced axis walks that axis
// A row is gone over once a sweep; its second reading comes from the cache.
#include "codegen/cuda_emit.h"

#include "base/diag.h"

#include <inttypes.h>

enum { BLOCK = 256, POINTS = 4, WARP = 32 };

typedef struct CudaLoop {
    CudaText *t;
    const Kernel *k;
    Sweeps s;
    int64_t rows; // outer points
} CudaLoop;

static int64_t axis_size(const CudaLoop *l, uint32_t axis)
{
    return l->s.body->axes.at[axis].size;
}

static int64_t blocks_for(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

// Declare the outer axes from the flattened outer point.
static void outer_axes(CudaLoop *l, const char *point)
{
    CudaText *t = l->t;
    cuda_forget(t, UINT64_MAX);
    bool wide = l->rows > INT32_MAX;
    const char *rest = point;
    for (uint32_t i = l->s.body->axes.n; i-- > 0;) {
        if (l->s.body->axes.at[i].role != ROLE_OUTER) continue;
        int64_t size = axis_size(l, i);
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

static const char *set_axis(CudaLoop *l, uint32_t axis)
{
    return l->t->axis[axis] = str_printf(l->t->arena, "a%u", axis);
}

// Values of the plain stores ready after `sweep` sweeps, then the stores: one may change what
// another loads.
static void plain_stores(CudaLoop *l, uint32_t sweep, bool inside)
{
    const KernelBody *b = l->s.body;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < b->stores.n; i++) {
            const KernelStore *s = &b->stores.at[i];
            bool now = s->kind == STORE_PLAIN && sweeps_inside(&l->s, s) == inside &&
                       (!inside || l->s.depth[s->value] == sweep);
            if (now && pass) cuda_store(l->t, s);
            if (now && !pass) cuda_value(l->t, s->value);
        }
}

// ---- pointwise ----------------------------------------------------------------------------------

static const char *point_type(int64_t n)
{
    return n > INT32_MAX - BLOCK * POINTS ? "long long" : "int";
}

static void pointwise(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    int64_t inner = l->s.inner == UINT32_MAX ? 1 : axis_size(l, l->s.inner), n = l->rows * inner;
    int64_t each = n >= 1 << 16 ? POINTS : 1;
    launch->threads = BLOCK;
    launch->blocks[0] = blocks_for(n, BLOCK * each);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int u = 0; u < %" PRId64 "; u++)", each);
    cuda_line(t, "const %s point = (%s)block_x() * %" PRId64 " + u * %d + (int)thread();",
              point_type(n), point_type(n), BLOCK * each, BLOCK);
    cuda_open(t, "if (point < %" PRId64 ")", n);
    if (l->s.inner != UINT32_MAX) {
        cuda_line(t, "const int %s = (int)(point %% %" PRId64 ");", set_axis(l, l->s.inner), inner);
        cuda_line(t, "const %s row = point / %" PRId64 ";", point_type(n), inner);
    }
    outer_axes(l, l->s.inner == UINT32_MAX ? "point" : "row");
    plain_stores(l, 0, true);
    cuda_close(t);
    cuda_close(t);
}

// ---- sums over the outer axes -------------------------------------------------------------------

static const KernelStore *column_store(const CudaLoop *l, uint32_t c)
{
    return &l->s.body->stores.at[l->s.columns.at[c]];
}

static DType column_dtype(const CudaLoop *l, uint32_t c)
{
    return l->s.body->code.at[column_store(l, c)->value].dtype;
}

static void open_task(CudaLoop *l)
{
    CudaText *t = l->t;
    const char *type = point_type(l->rows + l->k->grain);
    cuda_line(t, "const %s first = (%s)block_x() * %" PRId64 ";", type, type, l->k->grain);
    cuda_line(t, "const %s last = smaller<%s>(first + %" PRId64 ", %" PRId64 ");", type, type,
              l->k->grain, l->rows);
}

static void columns(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    int64_t inner = axis_size(l, l->s.inner);
    launch->threads = BLOCK;
    launch->blocks[0] = l->k->tasks;
    launch->blocks[1] = blocks_for(inner, BLOCK);
    const char *at = set_axis(l, l->s.inner);
    cuda_line(t, "const int %s = (int)block_y() * %d + (int)thread();", at, BLOCK);
    cuda_open(t, "if (%s < %" PRId64 ")", at, inner);
    open_task(l);
    for (uint32_t c = 0; c < l->s.columns.n; c++)
        cuda_line(t, "%s column%u = %s;", cuda_type(column_dtype(l, c)), c,
                  cuda_identity(t, column_store(l, c)->op, column_dtype(l, c)));
    cuda_open(t, "for (%s row = first; row < last; row++)", point_type(l->rows + l->k->grain));
    outer_axes(l, "row");
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        const char *x = cuda_value(t, column_store(l, c)->value),
                   *sum = str_printf(t->arena, "column%u", c);
        cuda_line(t, "%s = %s;", sum,
                  cuda_combine(t, column_store(l, c)->op, column_dtype(l, c), sum, x));
    }
    plain_stores(l, 0, true);
    cuda_close(t);
    for (uint32_t c = 0; c < l->s.columns.n; c++)
        cuda_line(t, "b%u[(long long)block_x() * %" PRId64 " + %s] = column%u;",
                  column_store(l, c)->buffer, inner, at, c);
    cuda_close(t);
}

// ---- rows ---------------------------------------------------------------------------------------

// Threads that share a row: a warp with two lanes a thread, or a block of 64 with one.
typedef struct Team {
    uint32_t threads, lanes; // of the 64 that each has
} Team;

static uint32_t sweep_reductions(const CudaLoop *l, uint32_t sweep, Reduction *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->s.reductions.n; i++)
        if (l->s.reductions.at[i].sweep == sweep) out[n++] = l->s.reductions.at[i];
    return n;
}

static void declare_lanes(CudaLoop *l, const char *stem, const Reduction *r, uint32_t n, Team team)
{
    for (uint32_t i = 0; i < n; i++) {
        const char *id = cuda_identity(l->t, r[i].op, r[i].dtype);
        cuda_line(l->t, team.lanes == 2 ? "%s %s%u[] = {%s, %s};" : "%s %s%u[] = {%s};",
                  cuda_type(r[i].dtype), stem, r[i].instr, id, id);
    }
}

// A column sum in the partials: the first row starts it.
static void add_to_columns(CudaLoop *l, uint32_t sweep)
{
    CudaText *t = l->t;
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        const KernelStore *s = column_store(l, c);
        if (l->s.depth[s->value] != sweep) continue;
        DType dt = column_dtype(l, c);
        const char *x = cuda_value(t, s->value),
                   *at = str_printf(t->arena, "b%u[(long long)block_x() * %" PRId64 " + %s]",
                                    s->buffer, axis_size(l, l->s.red), t->axis[l->s.red]);
        const char *old =
            str_printf(t->arena, "(row == first ? %s : %s)", cuda_identity(t, s->op, dt), at);
        cuda_line(t, "%s = %s;", at, cuda_combine(t, s->op, dt, old, x));
    }
}

// The elements [from, to) of the row: sums of this sweep, and stores that are ready.
static void row_elements(CudaLoop *l, uint32_t sweep, const char *from, const char *to,
                         const Reduction *r, uint32_t n, Team team)
{
    CudaText *t = l->t;
    const char *at = set_axis(l, l->s.red);
    cuda_open(t, "for (int start = %s; start < %s; start += %d)", from, to, ROW_LANES);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int h = 0; h < %u; h++)", team.lanes);
    cuda_line(t, "const int %s = start + h * %d + lane;", at, WARP);
    cuda_open(t, "if (%s < %s)", at, to);
    for (uint32_t i = 0; i < n; i++) {
        const char *sum = str_printf(t->arena, "lanes%u[h]", r[i].instr);
        const char *x = cuda_value(t, r[i].arg);
        cuda_line(t, "%s = %s;", sum, cuda_combine(t, r[i].op, r[i].dtype, sum, x));
    }
    add_to_columns(l, sweep);
    plain_stores(l, sweep, true);
    cuda_forget(t, axis_bit(l->s.red));
    cuda_close(t);
    cuda_close(t);
    cuda_close(t);
}

// The 64 lanes of each sum to one value, known to all threads of the team.
static void tree(CudaLoop *l, const char *stem, const Reduction *r, uint32_t n, Team team)
{
    CudaText *t = l->t;
    for (uint32_t i = 0; i < n; i++) {
        const char *type = cuda_type(r[i].dtype),
                   *low = str_printf(t->arena, "%s%u[0]", stem, r[i].instr),
                   *high = str_printf(t->arena, "%s%u[1]", stem, r[i].instr);
        const char *x = str_printf(t->arena, "%s%u_all", stem, r[i].instr);
        if (team.lanes == 1) {
            cuda_line(t, "sync();");
            cuda_line(t, "shared_lanes[lane] = word_of(%s);", low);
            cuda_line(t, "sync();");
            low = str_printf(t->arena, "of_word<%s>(shared_lanes[lane & 31])", type);
            high = str_printf(t->arena, "of_word<%s>(shared_lanes[32 + (lane & 31)])", type);
        }
        cuda_line(t, "%s %s = %s;", type, x, cuda_combine(t, r[i].op, r[i].dtype, low, high));
        for (int w = WARP / 2; w; w /= 2) {
            const char *other = str_printf(t->arena, "shuffle_down(%s, %d)", x, w);
            cuda_line(t, "%s = %s;", x, cuda_combine(t, r[i].op, r[i].dtype, x, other));
        }
        cuda_line(t, "%s = shuffle(%s, 0);", x, x);
    }
}

// Rows over 4096: each segment by the rule, then their results by the same rule.
static void long_row(CudaLoop *l, uint32_t sweep, const Reduction *r, uint32_t n, Team team)
{
    CudaText *t = l->t;
    int64_t length = axis_size(l, l->s.red), segments = blocks_for(length, ROW_SEGMENT);
    if (segments > ROW_SEGMENT) bug("a row of %lld elements", (long long)length);
    declare_lanes(l, "segment", r, n, team);
    cuda_open(t, "for (int s = 0; s < %" PRId64 "; s++)", segments);
    declare_lanes(l, "lanes", r, n, team);
    cuda_line(t, "const int end = smaller<int>((s + 1) * %d, %" PRId64 ");", ROW_SEGMENT, length);
    row_elements(l, sweep, str_printf(t->arena, "s * %d", ROW_SEGMENT), "end", r, n, team);
    tree(l, "lanes", r, n, team);
    for (uint32_t i = 0; i < n; i++) {
        const char *x = str_printf(t->arena, "lanes%u_all", r[i].instr);
        cuda_open(t, "for (int h = 0; h < %u; h++)", team.lanes);
        const char *sum = str_printf(t->arena, "segment%u[h]", r[i].instr);
        cuda_line(t, "if (s %% %d == h * %d + lane) %s = %s;", ROW_LANES, WARP, sum,
                  cuda_combine(t, r[i].op, r[i].dtype, sum, x));
        cuda_close(t);
    }
    cuda_close(t);
    tree(l, "segment", r, n, team);
}

static void sweep_row(CudaLoop *l, uint32_t sweep, Team team)
{
    CudaText *t = l->t;
    int64_t length = axis_size(l, l->s.red);
    Reduction *r = arena_array(t->arena, Reduction, l->s.reductions.n + 1);
    uint32_t n = sweep_reductions(l, sweep, r);
    bool segments = length > ROW_SEGMENT && n;
    cuda_hoist(t, &l->s, axis_bit(l->s.red), sweep);
    if (segments) {
        long_row(l, sweep, r, n, team);
    } else {
        declare_lanes(l, "lanes", r, n, team);
        row_elements(l, sweep, "0", str_printf(t->arena, "%" PRId64, length), r, n, team);
        tree(l, "lanes", r, n, team);
    }
    for (uint32_t i = 0; i < n; i++)
        t->memo[r[i].instr] =
            str_printf(t->arena, segments ? "segment%u_all" : "lanes%u_all", r[i].instr);
}

static void one_row(CudaLoop *l, Team team)
{
    CudaText *t = l->t;
    outer_axes(l, "row");
    cuda_hoist(t, &l->s, axis_bit(l->s.red), 0);
    for (uint32_t sweep = 0; sweep < l->s.n; sweep++) sweep_row(l, sweep, team);
    cuda_hoist(t, &l->s, axis_bit(l->s.red), l->s.n);
    cuda_open(t, "if (lane == 0)");
    plain_stores(l, l->s.n, false);
    cuda_close(t);
}

static void rows(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    launch->threads = BLOCK;
    launch->blocks[0] = blocks_for(l->rows, BLOCK / WARP);
    cuda_line(t, "const int lane = (int)thread() %% %d;", WARP);
    cuda_line(t, "const %s row = (%s)block_x() * %d + (int)thread() / %d;", point_type(l->rows),
              point_type(l->rows), BLOCK / WARP, WARP);
    cuda_open(t, "if (row < %" PRId64 ")", l->rows);
    one_row(l, (Team){WARP, 2});
    cuda_close(t);
}

static void rows_columns(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    launch->threads = ROW_LANES;
    launch->blocks[0] = l->k->tasks;
    cuda_line(t, "SHARED(unsigned long long, shared_lanes, %d);", ROW_LANES);
    cuda_line(t, "const int lane = (int)thread();");
    open_task(l);
    cuda_open(t, "for (%s row = first; row < last; row++)", point_type(l->rows + l->k->grain));
    one_row(l, (Team){ROW_LANES, 1});
    cuda_close(t);
}

// ---- a reduced axis outside the vector axis -----------------------------------------------------

static void chain_step(CudaLoop *l, uint32_t sweep, const char *stem, const Reduction *r,
                       uint32_t n)
{
    CudaText *t = l->t;
    for (uint32_t i = 0; i < n; i++) {
        const char *sum = str_printf(t->arena, "%s%u", stem, r[i].instr);
        const char *x = cuda_value(t, r[i].arg);
        cuda_line(t, "%s = %s;", sum, cuda_combine(t, r[i].op, r[i].dtype, sum, x));
    }
    plain_stores(l, sweep, true);
    cuda_forget(t, axis_bit(l->s.red));
}

static void declare_chains(CudaLoop *l, const char *stem, const Reduction *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        cuda_line(l->t, "%s %s%u = %s;", cuda_type(r[i].dtype), stem, r[i].instr,
                  cuda_identity(l->t, r[i].op, r[i].dtype));
}

static void middle_sweep(CudaLoop *l, uint32_t sweep)
{
    CudaText *t = l->t;
    int64_t length = axis_size(l, l->s.red);
    Reduction *r = arena_array(t->arena, Reduction, l->s.reductions.n + 1);
    uint32_t n = sweep_reductions(l, sweep, r);
    bool chains = n && r[0].order == ORDER_COLUMN && length > COLUMN_CHAIN;
    cuda_hoist(t, &l->s, axis_bit(l->s.red), sweep);
    const char *at = set_axis(l, l->s.red);
    declare_chains(l, "sum", r, n);
    if (!chains) {
        cuda_open(t, "for (int %s = 0; %s < %" PRId64 "; %s++)", at, at, length, at);
        chain_step(l, sweep, "sum", r, n);
        cuda_close(t);
    } else {
        cuda_open(t, "for (int begin = 0; begin < %" PRId64 "; begin += %d)", length, COLUMN_CHAIN);
        declare_chains(l, "chain", r, n);
        cuda_line(t, "const int end = smaller<int>(begin + %d, %" PRId64 ");", COLUMN_CHAIN,
                  length);
        cuda_open(t, "for (int %s = begin; %s < end; %s++)", at, at, at);
        chain_step(l, sweep, "chain", r, n);
        cuda_close(t);
        for (uint32_t i = 0; i < n; i++) {
            const char *sum = str_printf(t->arena, "sum%u", r[i].instr),
                       *chain = str_printf(t->arena, "chain%u", r[i].instr);
            cuda_line(t, "%s = %s;", sum, cuda_combine(t, r[i].op, r[i].dtype, sum, chain));
        }
        cuda_close(t);
    }
    for (uint32_t i = 0; i < n; i++)
        t->memo[r[i].instr] = str_printf(t->arena, "sum%u", r[i].instr);
}

static void middle(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    int64_t inner = axis_size(l, l->s.inner), n = l->rows * inner;
    launch->threads = BLOCK / 2;
    launch->blocks[0] = blocks_for(n, BLOCK / 2);
    cuda_line(t, "const %s point = (%s)block_x() * %d + (int)thread();", point_type(n),
              point_type(n), BLOCK / 2);
    cuda_open(t, "if (point < %" PRId64 ")", n);
    cuda_line(t, "const int %s = (int)(point %% %" PRId64 ");", set_axis(l, l->s.inner), inner);
    cuda_line(t, "const %s row = point / %" PRId64 ";", point_type(n), inner);
    outer_axes(l, "row");
    for (uint32_t sweep = 0; sweep < l->s.n; sweep++) middle_sweep(l, sweep);
    cuda_hoist(t, &l->s, axis_bit(l->s.red), l->s.n);
    plain_stores(l, l->s.n, false);
    cuda_close(t);
}

void cuda_loop_kernel(CudaText *t, CudaLaunch *launch)
{
    CudaLoop l = {.t = t, .k = t->kernel, .rows = 1};
    cuda_use_body(t, &t->kernel->body);
    sweeps_find(&l.s, t->arena, t->body);
    for (uint32_t i = 0; i < t->body->axes.n; i++)
        if (t->body->axes.at[i].role == ROLE_OUTER) l.rows *= t->body->axes.at[i].size;
    launch->blocks[1] = 1;
    bool row = l.s.red != UINT32_MAX, vector = l.s.inner != UINT32_MAX;
    if (row && vector)
        middle(&l, launch);
    else if (row)
        (l.s.columns.n ? rows_columns : rows)(&l, launch);
    else
        (l.s.columns.n ? columns : pointwise)(&l, launch);
}
