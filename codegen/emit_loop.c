// Loop kernels: tasks -> outer points -> sweeps over the row or the reduced axis -> vectors.
//
// A row is worked on in blocks of 64 elements (64 / lanes registers), which are also the 64 lanes
// of the row stage of a reduction, so the order of a sum is that of docs/ir.md for every vector
// width. All sizes are known: the last, partial block is written out with masks. Sweep s computes
// the reductions whose arguments need s earlier ones, and does the stores that are ready then.
#include "codegen/emit.h"
#include "codegen/sweeps.h"

#include "base/diag.h"

enum { LANES = ROW_LANES, SEGMENT = ROW_SEGMENT, CHAIN = COLUMN_CHAIN };

typedef struct Loop {
    Emit *e;
    const Kernel *k;
    const KernelBody *body;
    Sweeps s;
} Loop;

// ---- column sums
// -------------------------------------------------------------------------------------

static int64_t vector_length(const Loop *l)
{
    uint32_t axis = l->s.inner != UINT32_MAX ? l->s.inner : l->s.red;
    return l->body->axes.at[axis].size;
}

static int64_t padded(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

int64_t emit_loop_worker_bytes(const Kernel *k)
{
    int64_t bytes = 0, length = 1;
    for (uint32_t i = 0; i < k->body.axes.n; i++)
        if (k->body.axes.at[i].role != ROLE_OUTER) length = k->body.axes.at[i].size;
    for (uint32_t i = 0; i < k->body.stores.n; i++)
        if (k->body.stores.at[i].kind == STORE_COLUMN) bytes += padded(length) * 8;
    return bytes;
}

static DType column_dtype(const Loop *l, uint32_t c)
{
    return l->body->code.at[l->body->stores.at[l->s.columns.at[c]].value].dtype;
}

// Where the running sums of column c lie.
static LLVMValueRef column_base(const Loop *l, uint32_t c)
{
    return emit_at(l->e, l->e->t.i8, l->e->worker,
                   emit_i64(l->e, (int64_t)c * padded(vector_length(l)) * 8));
}

static void clear_columns(Loop *l)
{
    Emit *e = l->e;
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        DType dt = column_dtype(l, c);
        LLVMTypeRef type = emit_type(e, dt);
        LLVMValueRef id = emit_identity(e, l->body->stores.at[l->s.columns.at[c]].op, dt),
                     base = column_base(l, c);
        EmitLoop loop = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, padded(vector_length(l))),
                                        e->lanes, NULL, 0);
        emit_store(e, emit_splat(e, id), emit_at(e, type, base, loop.index), 4);
        emit_loop_end(e, &loop);
    }
}

// partial[task * length + v] = sums[v]
static void write_columns(Loop *l, LLVMValueRef task)
{
    Emit *e = l->e;
    int64_t length = vector_length(l);
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        DType dt = column_dtype(l, c);
        LLVMTypeRef type = emit_type(e, dt);
        LLVMValueRef base = column_base(l, c),
                     to = e->base[l->body->stores.at[l->s.columns.at[c]].buffer];
        to = emit_at(e, type, to, LLVMBuildMul(e->builder, task, emit_i64(e, length), ""));
        EmitLoop loop = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, length), 1, NULL, 0);
        LLVMValueRef x =
            emit_load(e, type, emit_at(e, type, base, loop.index), (uint32_t)dtype_size(dt));
        emit_store(e, x, emit_at(e, type, to, loop.index), (uint32_t)dtype_size(dt));
        emit_loop_end(e, &loop);
    }
}

static void add_to_column(Loop *l, uint32_t c)
{
    Emit *e = l->e;
    const KernelStore *s = &l->body->stores.at[l->s.columns.at[c]];
    DType dt = column_dtype(l, c);
    LLVMTypeRef type = emit_type(e, dt), vector = emit_vector_type(e, type);
    uint32_t axis = l->s.inner != UINT32_MAX ? l->s.inner : l->s.red;
    LLVMValueRef at = emit_at(e, type, column_base(l, c), e->axis[axis]);
    LLVMValueRef old = emit_load(e, vector, at, 4), x = emit_splat(e, emit_value(e, s->value));
    LLVMValueRef sum = emit_combine(e, s->op, dt, old, x);
    if (e->mask) sum = LLVMBuildSelect(e->builder, e->mask, sum, old, "");
    emit_store(e, sum, at, 4);
}

// ---- one block of the vector axis
// ------------------------------------------------------------------------

// Everything that is free of the loops and ready after `over` sweeps, ahead of the loop that uses
// it.
static void hoist(Loop *l, uint64_t loops, uint32_t over)
{
    for (uint32_t i = 0; i < l->body->code.n; i++) {
        const KernelInstr *in = &l->body->code.at[i];
        if (!(in->axes & loops) && l->s.depth[i] <= over && in->kind != KI_REDUCE)
            emit_value(l->e, i);
    }
}

static void stores_of(Loop *l, uint32_t sweep)
{
    uint32_t column = 0;
    for (uint32_t i = 0; i < l->body->stores.n;
         i++) { // all values first: a store may change what another loads
        const KernelStore *s = &l->body->stores.at[i];
        if (l->s.depth[s->value] == sweep && sweeps_inside(&l->s, s)) emit_value(l->e, s->value);
    }
    for (uint32_t i = 0; i < l->body->stores.n; i++) {
        const KernelStore *s = &l->body->stores.at[i];
        bool now = l->s.depth[s->value] == sweep && sweeps_inside(&l->s, s);
        if (s->kind == STORE_COLUMN) {
            if (now) add_to_column(l, column);
            column++;
        } else if (now) {
            emit_body_store(l->e, s);
        }
    }
}

// How many lanes of register u of a block with `count` elements are in use.
static uint32_t lanes_in(const Emit *e, uint32_t u, int64_t count)
{
    int64_t n = count - (int64_t)u * e->lanes;
    return n <= 0 ? 0 : n < e->lanes ? (uint32_t)n : e->lanes;
}

// Evaluate a block that starts at `start` of the vector axis: registers u with `count` elements in
// all. `sums` holds 64 / lanes accumulators for each reduction of this sweep.
static void row_block(Loop *l, uint32_t axis, uint32_t sweep, LLVMValueRef start, int64_t count,
                      LLVMValueRef *sums)
{
    Emit *e = l->e;
    uint32_t registers = LANES / e->lanes; // of a sum; blocks without one may be shorter
    for (uint32_t u = 0; u < registers; u++) {
        uint32_t lanes = lanes_in(e, u, count);
        if (!lanes) break;
        emit_forget(e, axis_bit(axis));
        e->axis[axis] = LLVMBuildAdd(e->builder, start, emit_i64(e, (int64_t)u * e->lanes), "");
        e->mask = lanes < e->lanes ? emit_mask(e, lanes) : NULL;
        uint32_t n = 0;
        for (uint32_t i = 0; i < l->s.reductions.n; i++) {
            const Reduction *r = &l->s.reductions.at[i];
            if (r->sweep != sweep || r->order != ORDER_ROW) continue;
            LLVMValueRef *sum = &sums[n++ * registers + u],
                         x = emit_splat(e, emit_value(e, r->arg));
            x = emit_combine(e, r->op, r->dtype, *sum, x);
            *sum = e->mask ? LLVMBuildSelect(e->builder, e->mask, x, *sum, "") : x;
        }
        stores_of(l, sweep);
    }
    emit_forget(e, axis_bit(axis));
    e->mask = NULL;
}

static LLVMValueRef half(const Emit *e, LLVMValueRef x, uint32_t width, uint32_t first)
{
    LLVMValueRef *at = arena_array(e->arena, LLVMValueRef, width);
    for (uint32_t i = 0; i < width; i++) at[i] = LLVMConstInt(e->t.i32, first + i, false);
    return LLVMBuildShuffleVector(e->builder, x, LLVMGetPoison(LLVMTypeOf(x)),
                                  LLVMConstVector(at, width), "");
}

// lane[l] += lane[l + w] for w = 32 .. 1; the result is lane 0.
static LLVMValueRef tree(Emit *e, const Reduction *r, LLVMValueRef *sums)
{
    uint32_t registers = LANES / e->lanes;
    for (uint32_t w = registers / 2; w; w /= 2)
        for (uint32_t i = 0; i < w; i++)
            sums[i] = emit_combine(e, r->op, r->dtype, sums[i], sums[i + w]);
    LLVMValueRef x = sums[0];
    for (uint32_t w = e->lanes / 2; w > 1; w /= 2)
        x = emit_combine(e, r->op, r->dtype, half(e, x, w, 0), half(e, x, w, w));
    LLVMValueRef low = LLVMBuildExtractElement(e->builder, x, emit_i64(e, 0), "");
    return emit_combine(e, r->op, r->dtype, low,
                        LLVMBuildExtractElement(e->builder, x, emit_i64(e, 1), ""));
}

// ---- rows
// ----------------------------------------------------------------------------------------------

static uint32_t row_reductions(const Loop *l, uint32_t sweep, Reduction *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->s.reductions.n; i++)
        if (l->s.reductions.at[i].sweep == sweep && l->s.reductions.at[i].order == ORDER_ROW)
            out[n++] = l->s.reductions.at[i];
    return n;
}

// Elements of a block where no sum asks for 64: enough for latency, few where the body is long.
static int64_t short_block(const Loop *l)
{
    bool heavy = l->body->code.n > 24;
    for (uint32_t i = 0; i < l->body->code.n; i++) {
        const KernelInstr *in = &l->body->code.at[i];
        heavy |=
            in->kind == KI_RANDOM || (in->kind == KI_OP && op_info(in->op)->flags & OPF_EXPAND);
    }
    return (int64_t)l->e->lanes * (heavy ? 1 : 2);
}

// One segment [start, start + length) of the row; sums come out reduced to one value a reduction.
static void row_segment(Loop *l, uint32_t axis, uint32_t sweep, LLVMValueRef start, int64_t length,
                        const Reduction *r, uint32_t n, LLVMValueRef *out)
{
    Emit *e = l->e;
    uint32_t registers = LANES / e->lanes;
    LLVMValueRef *sums = arena_array(e->arena, LLVMValueRef, n * registers + 1);
    for (uint32_t i = 0; i < n * registers; i++) {
        const Reduction *of = &r[i / registers];
        sums[i] = emit_splat(e, emit_identity(e, of->op, of->dtype));
    }
    int64_t block = n ? LANES : short_block(l), whole = length / block * block;
    if (whole) {
        LLVMValueRef end = LLVMBuildAdd(e->builder, start, emit_i64(e, whole), "");
        EmitLoop loop = emit_loop_begin(e, start, end, block, sums, n * registers);
        row_block(l, axis, sweep, loop.index, block, sums);
        emit_loop_end(e, &loop);
    }
    if (length > whole)
        row_block(l, axis, sweep, LLVMBuildAdd(e->builder, start, emit_i64(e, whole), ""),
                  length - whole, sums);
    for (uint32_t i = 0; i < n; i++) out[i] = tree(e, &r[i], &sums[i * registers]);
}

// Segment results by the same rule again: a 64-lane array in memory for each reduction.
static void long_row(Loop *l, uint32_t axis, uint32_t sweep, int64_t length, const Reduction *r,
                     uint32_t n, LLVMValueRef *out)
{
    Emit *e = l->e;
    int64_t segments = (length + SEGMENT - 1) / SEGMENT, whole = length / SEGMENT;
    if (segments > SEGMENT) bug("a row of %lld elements", (long long)length);
    uint32_t registers = LANES / e->lanes;
    LLVMValueRef *lanes = arena_array(e->arena, LLVMValueRef, n + 1),
                 *one = arena_array(e->arena, LLVMValueRef, n + 1);
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder),
                      entry = LLVMGetEntryBasicBlock(e->function);
    LLVMPositionBuilderBefore(e->builder, LLVMGetFirstInstruction(entry));
    for (uint32_t i = 0; i < n; i++)
        lanes[i] = LLVMBuildAlloca(e->builder, LLVMArrayType2(emit_type(e, r[i].dtype), LANES), "");
    LLVMPositionBuilderAtEnd(e->builder, here);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t u = 0; u < registers; u++)
            emit_store(
                e, emit_splat(e, emit_identity(e, r[i].op, r[i].dtype)),
                emit_at(e, emit_type(e, r[i].dtype), lanes[i], emit_i64(e, (int64_t)u * e->lanes)),
                4);
    EmitLoop loop = {0};
    for (int part = 0; part < 2; part++) { // the whole segments, then what is left
        if (part == 1 && segments == whole) break;
        LLVMValueRef s = emit_i64(e, whole);
        if (part == 0) {
            if (!whole) continue;
            loop = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, whole), 1, NULL, 0);
            s = loop.index;
        }
        LLVMValueRef start = LLVMBuildMul(e->builder, s, emit_i64(e, SEGMENT), "");
        row_segment(l, axis, sweep, start, part == 0 ? SEGMENT : length - whole * SEGMENT, r, n,
                    one);
        LLVMValueRef lane = LLVMBuildAnd(e->builder, s, emit_i64(e, LANES - 1), "");
        for (uint32_t i = 0; i < n; i++) {
            LLVMTypeRef type = emit_type(e, r[i].dtype);
            LLVMValueRef at = emit_at(e, type, lanes[i], lane);
            emit_store(e, emit_combine(e, r[i].op, r[i].dtype, emit_load(e, type, at, 4), one[i]),
                       at, 4);
        }
        if (part == 0) emit_loop_end(e, &loop);
    }
    LLVMValueRef sums[LANES];
    for (uint32_t i = 0; i < n; i++) {
        LLVMTypeRef type = emit_type(e, r[i].dtype);
        for (uint32_t u = 0; u < registers; u++)
            sums[u] = emit_load(e, emit_vector_type(e, type),
                                emit_at(e, type, lanes[i], emit_i64(e, (int64_t)u * e->lanes)), 4);
        out[i] = tree(e, &r[i], sums);
    }
}

static void sweep_row(Loop *l, uint32_t axis, uint32_t sweep)
{
    Emit *e = l->e;
    int64_t length = l->body->axes.at[axis].size;
    Reduction *r = arena_array(e->arena, Reduction, l->s.reductions.n + 1);
    uint32_t n = row_reductions(l, sweep, r);
    LLVMValueRef *out = arena_array(e->arena, LLVMValueRef, n + 1);
    hoist(l, axis_bit(axis), sweep);
    if (length > SEGMENT && n)
        long_row(l, axis, sweep, length, r, n, out);
    else
        row_segment(l, axis, sweep, emit_i64(e, 0), length, r, n, out);
    for (uint32_t i = 0; i < n; i++) e->memo[r[i].instr] = out[i];
}

// ---- reductions over an axis outside the vector axis
// -----------------------------------------------------------

// One step of the reduced axis for all registers of a strip.
static void strip_step(Loop *l, uint32_t sweep, LLVMValueRef start, int64_t count, LLVMValueRef r,
                       const Reduction *reds, uint32_t n, LLVMValueRef *sums, LLVMValueRef **memo)
{
    Emit *e = l->e;
    uint32_t registers = LANES / e->lanes;
    LLVMValueRef *outer = e->memo;
    for (uint32_t u = 0; u < registers && lanes_in(e, u, count); u++) {
        uint32_t lanes = lanes_in(e, u, count);
        e->memo = arena_copy(e->arena, memo[u], (l->body->code.n + 1) * sizeof *e->memo);
        e->axis[l->s.inner] =
            LLVMBuildAdd(e->builder, start, emit_i64(e, (int64_t)u * e->lanes), "");
        e->axis[l->s.red] = r;
        e->mask = lanes < e->lanes ? emit_mask(e, lanes) : NULL;
        for (uint32_t i = 0; i < n; i++) {
            LLVMValueRef *sum = &sums[i * registers + u],
                         x = emit_splat(e, emit_value(e, reds[i].arg));
            x = emit_combine(e, reds[i].op, reds[i].dtype, *sum, x);
            *sum = e->mask ? LLVMBuildSelect(e->builder, e->mask, x, *sum, "") : x;
        }
        stores_of(l, sweep);
    }
    e->memo = outer;
    e->mask = NULL;
}

static void strip_sweep(Loop *l, uint32_t sweep, LLVMValueRef start, int64_t count,
                        LLVMValueRef **memo)
{
    Emit *e = l->e;
    uint32_t registers = LANES / e->lanes, n = 0;
    int64_t length = l->body->axes.at[l->s.red].size;
    Reduction *r = arena_array(e->arena, Reduction, l->s.reductions.n + 1);
    for (uint32_t i = 0; i < l->s.reductions.n; i++)
        if (l->s.reductions.at[i].sweep == sweep) r[n++] = l->s.reductions.at[i];
    bool chains = n && r[0].order == ORDER_COLUMN && length > CHAIN;
    LLVMValueRef *total = arena_array(e->arena, LLVMValueRef, n * registers + 1),
                 *sums = arena_array(e->arena, LLVMValueRef, n * registers + 1);
    for (uint32_t i = 0; i < n * registers; i++)
        total[i] = emit_splat(e, emit_identity(e, r[i / registers].op, r[i / registers].dtype));
    LLVMValueRef zero = emit_i64(e, 0), end = emit_i64(e, length);
    if (!chains) {
        EmitLoop loop = emit_loop_begin(e, zero, end, 1, total, n * registers);
        strip_step(l, sweep, start, count, loop.index, r, n, total, memo);
        emit_loop_end(e, &loop);
    } else {
        EmitLoop outer = emit_loop_begin(e, zero, end, CHAIN, total, n * registers);
        for (uint32_t i = 0; i < n * registers; i++)
            sums[i] = emit_splat(e, emit_identity(e, r[i / registers].op, r[i / registers].dtype));
        LLVMValueRef last =
            LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, outer.next, end, ""),
                            outer.next, end, "");
        EmitLoop loop = emit_loop_begin(e, outer.index, last, 1, sums, n * registers);
        strip_step(l, sweep, start, count, loop.index, r, n, sums, memo);
        emit_loop_end(e, &loop);
        for (uint32_t i = 0; i < n * registers; i++)
            total[i] =
                emit_combine(e, r[i / registers].op, r[i / registers].dtype, total[i], sums[i]);
        emit_loop_end(e, &outer);
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t u = 0; u < registers; u++) memo[u][r[i].instr] = total[i * registers + u];
}

// A strip of up to 64 points of the vector axis through all sweeps.
static void strip(Loop *l, LLVMValueRef start, int64_t count)
{
    Emit *e = l->e;
    uint32_t registers = LANES / e->lanes;
    LLVMValueRef *rows = e->memo, *memo[LANES];
    for (uint32_t u = 0; u < registers; u++)
        memo[u] = arena_copy(e->arena, rows, (l->body->code.n + 1) * sizeof *rows);
    for (uint32_t sweep = 0; sweep <= l->s.n; sweep++) {
        for (uint32_t u = 0; u < registers && lanes_in(e, u, count);
             u++) { // what is free of the reduced axis
            uint32_t lanes = lanes_in(e, u, count);
            e->memo = memo[u];
            e->axis[l->s.inner] =
                LLVMBuildAdd(e->builder, start, emit_i64(e, (int64_t)u * e->lanes), "");
            e->mask = lanes < e->lanes ? emit_mask(e, lanes) : NULL;
            hoist(l, axis_bit(l->s.red), sweep);
            if (sweep == l->s.n)
                for (uint32_t i = 0; i < l->body->stores.n; i++)
                    if (!sweeps_inside(&l->s, &l->body->stores.at[i]))
                        emit_body_store(e, &l->body->stores.at[i]);
        }
        e->mask = NULL;
        if (sweep < l->s.n) strip_sweep(l, sweep, start, count, memo);
    }
    e->memo = rows;
}

static void strips(Loop *l)
{
    Emit *e = l->e;
    int64_t length = l->body->axes.at[l->s.inner].size, whole = length / LANES * LANES;
    if (whole) {
        EmitLoop loop = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, whole), LANES, NULL, 0);
        strip(l, loop.index, LANES);
        emit_loop_end(e, &loop);
    }
    if (length > whole) strip(l, emit_i64(e, whole), length - whole);
}

// ---- outer points and tasks
// -------------------------------------------------------------------------------

static void outer_point(Loop *l, LLVMValueRef row)
{
    Emit *e = l->e;
    emit_forget(e, UINT64_MAX);
    for (uint32_t i = l->body->axes.n; i-- > 0;) {
        if (l->body->axes.at[i].role != ROLE_OUTER) continue;
        LLVMValueRef size = emit_i64(e, l->body->axes.at[i].size);
        bool last = i == 0;
        e->axis[i] = last ? row : LLVMBuildURem(e->builder, row, size, "");
        if (!last) row = LLVMBuildUDiv(e->builder, row, size, "");
    }
    bool row_form = l->s.red != UINT32_MAX && l->s.inner == UINT32_MAX;
    e->vector_axis = row_form ? l->s.red : l->s.inner;
    hoist(l, axis_bit(l->s.red) | axis_bit(l->s.inner), 0);
    if (l->s.red != UINT32_MAX && l->s.inner != UINT32_MAX) {
        strips(l);
        return;
    }
    for (uint32_t sweep = 0; sweep < l->s.n; sweep++) sweep_row(l, e->vector_axis, sweep);
    if (!row_form) return;
    hoist(l, axis_bit(l->s.red), l->s.n);
    for (uint32_t i = 0; i < l->body->stores.n; i++)
        if (!sweeps_inside(&l->s, &l->body->stores.at[i]))
            emit_body_store(e, &l->body->stores.at[i]);
}

void emit_loop_kernel(Emit *e)
{
    Loop l = {.e = e, .k = e->kernel, .body = &e->kernel->body};
    emit_use_body(e, l.body, UINT32_MAX);
    sweeps_find(&l.s, e->arena, l.body);
    int64_t rows = 1;
    for (uint32_t i = 0; i < l.body->axes.n; i++)
        if (l.body->axes.at[i].role == ROLE_OUTER) rows *= l.body->axes.at[i].size;
    EmitLoop tasks = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    LLVMValueRef first = LLVMBuildMul(e->builder, tasks.index, emit_i64(e, e->kernel->grain), "");
    LLVMValueRef last = LLVMBuildAdd(e->builder, first, emit_i64(e, e->kernel->grain), "");
    LLVMValueRef all = emit_i64(e, rows);
    last = LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, last, all, ""), last,
                           all, "");
    clear_columns(&l);
    EmitLoop points = emit_loop_begin(e, first, last, 1, NULL, 0);
    outer_point(&l, points.index);
    emit_loop_end(e, &points);
    write_columns(&l, tasks.index);
    emit_loop_end(e, &tasks);
}
