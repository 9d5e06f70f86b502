// Attention on the register tile. A task packs the keys (transposed) and values of its head, then for each block of queries:
// scores = Q K' into scratch; each row is scaled, masked, and made exp(s - max) with its sum in lane order;
// out = P V / sum. The backward pass recomputes P from the log-sum-exp, block by block, and adds to dK and dV
// in rising order of queries. No more than one block of scores exists in a worker.
#include "codegen/emit.h"

#include "base/diag.h"
#include "codegen/micro.h"

enum { ROW_LANES = 64, BLOCK_TILES = 4 }; // docs/ir.md, row stage; register tiles in a block of queries

typedef struct Heads {
    Emit *e;
    const Kernel *k;
    int64_t mr, nr, queries, keys, dim, vdim;
    int64_t keys_pad;           // whole 64s: the lanes of a row's sum
    int64_t dim_pad, vdim_pad;  // whole panels
    int64_t block;              // queries of a block
    int64_t used;               // floats of scratch handed out
    LLVMValueRef q0, rows, limit; // this block: first query, how many, keys that take part
} Heads;

static int64_t up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static Heads sizes_of(const Kernel *k, uint32_t lanes)
{
    Heads h = {.k = k, .mr = micro_mr(lanes), .nr = micro_nr(lanes)};
    h.queries = k->attention.queries;
    h.keys = k->attention.keys;
    h.dim = k->attention.dim;
    h.vdim = k->attention.vdim;
    h.keys_pad = up(h.keys, ROW_LANES);
    h.dim_pad = up(h.dim, h.nr);
    h.vdim_pad = up(h.vdim, h.nr);
    h.block = BLOCK_TILES * h.mr;
    return h;
}

int64_t emit_attention_worker_bytes(const Kernel *k, uint32_t lanes)
{
    Heads h = sizes_of(k, lanes);
    int64_t both = h.dim_pad + h.vdim_pad, n = h.keys_pad * both + h.block * (h.keys_pad + both);
    if (k->kind == KERNEL_ATTENTION_GRAD) n += (2 * h.keys_pad + h.mr) * both + h.block * (h.keys_pad + 2 * both);
    return 4 * n + 8192;
}

static LLVMValueRef add(Emit *e, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildAdd(e->builder, x, y, "");
}

static LLVMValueRef mul(Emit *e, LLVMValueRef x, int64_t y)
{
    return LLVMBuildMul(e->builder, x, emit_i64(e, y), "");
}

static LLVMValueRef least(Emit *e, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, x, y, ""), x, y, "");
}

static LLVMValueRef at(Emit *e, LLVMValueRef base, LLVMValueRef index)
{
    return emit_at(e, e->t.f32, base, index);
}

static LLVMTypeRef vector(const Emit *e)
{
    return emit_vector_type(e, e->t.f32);
}

static LLVMValueRef below(Emit *e, LLVMValueRef start, LLVMValueRef end)
{
    LLVMValueRef i = add(e, emit_splat(e, start), emit_iota(e));
    return LLVMBuildICmp(e->builder, LLVMIntSLT, i, emit_splat(e, end), "");
}

static LLVMValueRef take(Heads *h, int64_t floats)
{
    LLVMValueRef p = at(h->e, h->e->worker, emit_i64(h->e, h->used));
    h->used += up(floats, 16);
    return p;
}

static LLVMValueRef base_of(Heads *h, const StridedView *v)
{
    return at(h->e, h->e->base[v->buffer], emit_index(h->e, v->base));
}

static LLVMValueRef element(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row, LLVMValueRef col)
{
    Emit *e = h->e;
    return at(e, base, add(e, mul(e, row, v->row), mul(e, col, v->col)));
}

// ---- operands in scratch ------------------------------------------------------------------------------

static void clear(Heads *h, LLVMValueRef to, int64_t floats)
{
    Emit *e = h->e;
    EmitLoop i = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, up(floats, e->lanes)), e->lanes, NULL, 0);
    emit_store(e, LLVMConstNull(vector(e)), at(e, to, i.index), 4);
    emit_loop_end(e, &i);
}

// Elements (row, col + lanes) of an operand for lanes below cols, 0 elsewhere.
static LLVMValueRef row_vector(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row, LLVMValueRef col, int64_t cols)
{
    Emit *e = h->e;
    LLVMValueRef mask = below(e, col, emit_i64(e, cols)), from = element(h, v, base, row, col);
    bool dense = v->col == 1;
    if (!dense) {
        LLVMValueRef index = LLVMBuildMul(e->builder, emit_iota(e), emit_splat(e, emit_i64(e, v->col)), "");
        from = LLVMBuildGEP2(e->builder, e->t.f32, from, &index, 1, "");
    }
    LLVMTypeRef types[2] = {vector(e), dense ? e->t.ptr : emit_vector_type(e, e->t.ptr)};
    const char *name = dense ? "llvm.masked.load" : "llvm.masked.gather";
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef args[4] = {from, LLVMConstInt(e->t.i32, 4, false), mask, LLVMConstNull(vector(e))};
    return LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                          LLVMGetIntrinsicDeclaration(e->module, id, types, 2), args, 4, "");
}

// Rows [first, first + rows) to [row][stride].
static void copy_rows(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows, int64_t cols, LLVMValueRef to, int64_t stride)
{
    Emit *e = h->e;
    LLVMValueRef base = base_of(h, v);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    EmitLoop c = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, stride), e->lanes, NULL, 0);
    LLVMValueRef x = row_vector(h, v, base, add(e, first, r.index), c.index, cols);
    emit_store(e, x, at(e, to, add(e, mul(e, r.index, stride), c.index)), 4);
    emit_loop_end(e, &c);
    emit_loop_end(e, &r);
}

// A rows x cols operand as panels [col / nr][row][nr], for products along its rows.
static void panels_of(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows, int64_t most_rows, int64_t cols, LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef base = base_of(h, v);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    EmitLoop c = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, up(cols, h->nr)), e->lanes, NULL, 0);
    LLVMValueRef x = row_vector(h, v, base, add(e, first, r.index), c.index, cols);
    LLVMValueRef nr = emit_i64(e, h->nr), panel = LLVMBuildUDiv(e->builder, c.index, nr, "");
    LLVMValueRef to_at = add(e, mul(e, panel, most_rows * h->nr), LLVMBuildURem(e->builder, c.index, nr, ""));
    emit_store(e, x, at(e, to, add(e, to_at, mul(e, r.index, h->nr))), 4);
    emit_loop_end(e, &c);
    emit_loop_end(e, &r);
}

// A rows x cols operand transposed: panels [row / nr][col][nr], rows padded with zeros to keys_pad.
static void panels_transposed(Heads *h, const StridedView *v, int64_t rows, int64_t cols, LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef base = base_of(h, v), nr = emit_i64(e, h->nr);
    clear(h, to, h->keys_pad * cols);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, rows), 1, NULL, 0);
    LLVMValueRef panel = LLVMBuildUDiv(e->builder, r.index, nr, ""), lane = LLVMBuildURem(e->builder, r.index, nr, "");
    EmitLoop c = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, cols), 1, NULL, 0);
    LLVMValueRef x = emit_load(e, e->t.f32, element(h, v, base, r.index, c.index), 4);
    LLVMValueRef to_at = add(e, mul(e, panel, cols * h->nr), add(e, mul(e, c.index, h->nr), lane));
    emit_store(e, x, at(e, to, to_at), 4);
    emit_loop_end(e, &c);
    emit_loop_end(e, &r);
}

// ---- products -------------------------------------------------------------------------------------------

typedef struct HeadProduct {
    LLVMValueRef a, b, c;    // a[r, k] at a + r ars + k aks; panel p of b at b + p * panel; c[r, j] at c + r crs + j
    LLVMValueRef panels, depth, add;
    int64_t ars, aks, panel, crs;
} HeadProduct;

static void panel_loop(Heads *h, const HeadProduct *p, LLVMValueRef row, uint32_t rows)
{
    Emit *e = h->e;
    EmitLoop panel = emit_loop_begin(e, emit_i64(e, 0), p->panels, 1, NULL, 0);
    LLVMValueRef c = at(e, p->c, add(e, mul(e, row, p->crs), mul(e, panel.index, h->nr)));
    micro_call(e, (Micro){rows, p->ars, p->aks, p->crs}, at(e, p->a, mul(e, row, p->ars)),
               at(e, p->b, mul(e, panel.index, p->panel)), p->depth, c, p->add);
    emit_loop_end(e, &panel);
}

// Rows [0, rows): whole tiles, then one more over the last rows (they lie in scratch padded to whole tiles).
static void product(Heads *h, const HeadProduct *p, LLVMValueRef rows)
{
    Emit *e = h->e;
    EmitLoop tile = emit_loop_begin(e, emit_i64(e, 0), rows, h->mr, NULL, 0);
    panel_loop(h, p, tile.index, (uint32_t)h->mr);
    emit_loop_end(e, &tile);
}

static LLVMValueRef panels_for(Heads *h, LLVMValueRef columns)
{
    Emit *e = h->e;
    return LLVMBuildUDiv(e->builder, add(e, columns, emit_i64(e, h->nr - 1)), emit_i64(e, h->nr), "");
}

// ---- rows of scores ----------------------------------------------------------------------------------------

// Keys that take part for the query: all, or those up to query + keys - queries.
static LLVMValueRef row_limit(Heads *h, LLVMValueRef query)
{
    Emit *e = h->e;
    LLVMValueRef all = emit_i64(e, h->keys);
    if (!h->k->attention.causal) return all;
    LLVMValueRef end = add(e, query, emit_i64(e, h->keys - h->queries + 1));
    LLVMValueRef zero = emit_i64(e, 0);
    end = LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSGT, end, zero, ""), end, zero, "");
    return least(e, end, all);
}

static LLVMValueRef call(Emit *e, OpCode op, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef args[2] = {x, y};
    return emit_op(e, op, DT_F32, DT_F32, args);
}

// Lane sums of 64 / lanes registers to one value, as the row stage does.
static LLVMValueRef fold(Emit *e, OpCode op, LLVMValueRef *sums)
{
    uint32_t registers = ROW_LANES / e->lanes;
    for (uint32_t w = registers / 2; w; w /= 2)
        for (uint32_t i = 0; i < w; i++) sums[i] = emit_combine(e, op, DT_F32, sums[i], sums[i + w]);
    LLVMValueRef x = sums[0];
    for (uint32_t w = e->lanes / 2; w; w /= 2) {
        LLVMValueRef *pick = arena_array(e->arena, LLVMValueRef, e->lanes);
        for (uint32_t i = 0; i < e->lanes; i++) pick[i] = LLVMConstInt(e->t.i32, i < w ? i + w : i, false);
        LLVMValueRef other = LLVMBuildShuffleVector(e->builder, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(pick, e->lanes), "");
        x = emit_combine(e, op, DT_F32, x, other);
    }
    return LLVMBuildExtractElement(e->builder, x, emit_i64(e, 0), "");
}

static LLVMValueRef scale_splat(Heads *h)
{
    return emit_splat(h->e, emit_f32(h->e, (double)h->k->attention.scale));
}

// The greatest scaled score of a row among those that take part.
static LLVMValueRef row_max(Heads *h, LLVMValueRef row, LLVMValueRef limit)
{
    Emit *e = h->e;
    LLVMValueRef least_value = emit_splat(e, emit_identity(e, OP_REDUCE_MAX, DT_F32)), m = least_value;
    EmitLoop j = emit_loop_begin(e, emit_i64(e, 0), limit, e->lanes, &m, 1);
    LLVMValueRef s = emit_load(e, vector(e), at(e, row, j.index), 4);
    s = LLVMBuildFMul(e->builder, s, scale_splat(h), "");
    s = LLVMBuildSelect(e->builder, below(e, j.index, limit), s, least_value, "");
    m = emit_combine(e, OP_REDUCE_MAX, DT_F32, m, s);
    emit_loop_end(e, &j);
    LLVMValueRef sums[ROW_LANES];
    for (uint32_t i = 0; i < ROW_LANES / e->lanes; i++) sums[i] = i ? least_value : m;
    return fold(e, OP_REDUCE_MAX, sums);
}

// row = exp(scale * row - shift), 0 where a key takes no part, up to keys_pad; the sum in lane order.
static LLVMValueRef row_exp(Heads *h, LLVMValueRef row, LLVMValueRef limit, LLVMValueRef shift)
{
    Emit *e = h->e;
    uint32_t registers = ROW_LANES / e->lanes;
    LLVMValueRef sums[ROW_LANES];
    for (uint32_t i = 0; i < registers; i++) sums[i] = LLVMConstNull(vector(e));
    LLVMValueRef end = LLVMBuildAnd(e->builder, add(e, limit, emit_i64(e, ROW_LANES - 1)), emit_i64(e, -ROW_LANES), "");
    EmitLoop j = emit_loop_begin(e, emit_i64(e, 0), end, ROW_LANES, sums, registers);
    for (uint32_t u = 0; u < registers; u++) {
        LLVMValueRef i = add(e, j.index, emit_i64(e, (int64_t)u * e->lanes)), p = at(e, row, i);
        LLVMValueRef s = LLVMBuildFMul(e->builder, emit_load(e, vector(e), p, 4), scale_splat(h), "");
        s = LLVMBuildFSub(e->builder, s, emit_splat(e, shift), "");
        s = LLVMBuildSelect(e->builder, below(e, i, limit), call(e, OP_EXP, s, NULL), LLVMConstNull(vector(e)), "");
        emit_store(e, s, p, 4);
        sums[u] = LLVMBuildFAdd(e->builder, sums[u], s, "");
    }
    emit_loop_end(e, &j);
    EmitLoop rest = emit_loop_begin(e, end, emit_i64(e, h->keys_pad), e->lanes, NULL, 0);
    emit_store(e, LLVMConstNull(vector(e)), at(e, row, rest.index), 4);
    emit_loop_end(e, &rest);
    return fold(e, OP_SUM, sums);
}

// ---- tasks and blocks ----------------------------------------------------------------------------------------

static EmitLoop begin_task(Heads *h)
{
    Emit *e = h->e;
    emit_use_body(e, &h->k->body, UINT32_MAX);
    EmitLoop task = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    LLVMValueRef point = task.index;
    for (uint32_t i = h->k->body.axes.n; i-- > 0;) {
        LLVMValueRef size = emit_i64(e, h->k->body.axes.at[i].size);
        e->axis[i] = LLVMBuildURem(e->builder, point, size, "");
        point = LLVMBuildUDiv(e->builder, point, size, "");
    }
    return task;
}

static EmitLoop begin_block(Heads *h)
{
    Emit *e = h->e;
    EmitLoop block = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, h->queries), h->block, NULL, 0);
    LLVMValueRef all = emit_i64(e, h->queries);
    h->q0 = block.index;
    h->rows = LLVMBuildSub(e->builder, least(e, block.next, all), block.index, "");
    h->limit = row_limit(h, LLVMBuildSub(e->builder, least(e, block.next, all), emit_i64(e, 1), ""));
    return block;
}

// scores[r, :] = q[r, :] k' for the block.
static void block_scores(Heads *h, LLVMValueRef q, int64_t q_stride, LLVMValueRef kt, int64_t depth, LLVMValueRef scores)
{
    Emit *e = h->e;
    HeadProduct p = {q, kt, scores, panels_for(h, h->limit), emit_i64(e, depth), LLVMConstInt(e->t.i1, 0, false),
                     q_stride, 1, depth * h->nr, h->keys_pad};
    product(h, &p, h->rows);
}

// ---- forward ---------------------------------------------------------------------------------------------------

static void write_out(Heads *h, LLVMValueRef row, LLVMValueRef query, LLVMValueRef sum, LLVMValueRef max)
{
    Emit *e = h->e;
    LLVMValueRef out = base_of(h, &h->k->attention.out), lse = base_of(h, &h->k->attention.lse);
    EmitLoop c = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, h->vdim), 1, NULL, 0);
    LLVMValueRef x = emit_load(e, e->t.f32, at(e, row, c.index), 4);
    emit_store(e, LLVMBuildFDiv(e->builder, x, sum, ""), element(h, &h->k->attention.out, out, query, c.index), 4);
    emit_loop_end(e, &c);
    LLVMValueRef l = LLVMBuildFAdd(e->builder, max, call(e, OP_LOG, sum, NULL), "");
    emit_store(e, l, at(e, lse, mul(e, query, h->k->attention.lse.row)), 4);
}

static void forward(Heads *h)
{
    Emit *e = h->e;
    LLVMValueRef zero = emit_i64(e, 0), no = LLVMConstInt(e->t.i1, 0, false);
    LLVMValueRef kt = take(h, h->keys_pad * h->dim), v = take(h, h->keys * h->vdim_pad);
    LLVMValueRef q = take(h, h->block * h->dim_pad), scores = take(h, h->block * h->keys_pad);
    LLVMValueRef out = take(h, h->block * h->vdim_pad), stats = take(h, 2 * h->block);
    EmitLoop task = begin_task(h);
    panels_transposed(h, &h->k->attention.k, h->keys, h->dim, kt);
    panels_of(h, &h->k->attention.v, zero, emit_i64(e, h->keys), h->keys, h->vdim, v);
    EmitLoop block = begin_block(h);
    copy_rows(h, &h->k->attention.q, h->q0, h->rows, h->dim, q, h->dim_pad);
    block_scores(h, q, h->dim_pad, kt, h->dim, scores);
    EmitLoop r = emit_loop_begin(e, zero, h->rows, 1, NULL, 0);
    LLVMValueRef row = at(e, scores, mul(e, r.index, h->keys_pad)), limit = row_limit(h, add(e, h->q0, r.index));
    LLVMValueRef max = row_max(h, row, limit), sum = row_exp(h, row, limit, max);
    emit_store(e, max, at(e, stats, mul(e, r.index, 2)), 4);
    emit_store(e, sum, at(e, stats, add(e, mul(e, r.index, 2), emit_i64(e, 1))), 4);
    emit_loop_end(e, &r);
    HeadProduct p = {scores, v, out, emit_i64(e, h->vdim_pad / h->nr), h->limit, no, h->keys_pad, 1, h->keys * h->nr, h->vdim_pad};
    product(h, &p, h->rows);
    r = emit_loop_begin(e, zero, h->rows, 1, NULL, 0);
    max = emit_load(e, e->t.f32, at(e, stats, mul(e, r.index, 2)), 4);
    sum = emit_load(e, e->t.f32, at(e, stats, add(e, mul(e, r.index, 2), emit_i64(e, 1))), 4);
    write_out(h, at(e, out, mul(e, r.index, h->vdim_pad)), add(e, h->q0, r.index), sum, max);
    emit_loop_end(e, &r);
    emit_loop_end(e, &block);
    emit_loop_end(e, &task);
}

// ---- backward ----------------------------------------------------------------------------------------------------

// sum over the row of dout * out, in lane order.
static LLVMValueRef row_delta(Heads *h, LLVMValueRef query, LLVMValueRef dout)
{
    Emit *e = h->e;
    uint32_t registers = ROW_LANES / e->lanes;
    LLVMValueRef base = base_of(h, &h->k->attention.out), sums[ROW_LANES];
    for (uint32_t i = 0; i < registers; i++) sums[i] = LLVMConstNull(vector(e));
    for (int64_t c = 0; c < h->vdim; c += e->lanes) {
        LLVMValueRef col = emit_i64(e, c), x = row_vector(h, &h->k->attention.out, base, query, col, h->vdim);
        LLVMValueRef y = emit_load(e, vector(e), at(e, dout, col), 4);
        uint32_t u = (uint32_t)(c / e->lanes) % registers;
        sums[u] = LLVMBuildFAdd(e->builder, sums[u], LLVMBuildFMul(e->builder, y, x, ""), "");
    }
    return fold(e, OP_SUM, sums);
}

// p = exp(scale s - lse) in place; dp becomes p * (dp - delta); what takes no part is 0 in both, up to keys_pad.
static void row_gradient(Heads *h, LLVMValueRef p, LLVMValueRef dp, LLVMValueRef query, LLVMValueRef dout)
{
    Emit *e = h->e;
    LLVMValueRef limit = row_limit(h, query), delta = emit_splat(e, row_delta(h, query, dout));
    LLVMValueRef lse = emit_load(e, e->t.f32, at(e, base_of(h, &h->k->attention.lse), mul(e, query, h->k->attention.lse.row)), 4);
    row_exp(h, p, limit, lse);
    LLVMValueRef zero = LLVMConstNull(vector(e));
    EmitLoop j = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, h->keys_pad), e->lanes, NULL, 0);
    LLVMValueRef d = LLVMBuildFSub(e->builder, emit_load(e, vector(e), at(e, dp, j.index), 4), delta, "");
    d = LLVMBuildFMul(e->builder, emit_load(e, vector(e), at(e, p, j.index), 4), d, "");
    d = LLVMBuildSelect(e->builder, below(e, j.index, limit), d, zero, "");
    emit_store(e, d, at(e, dp, j.index), 4);
    emit_loop_end(e, &j);
}

// rows x cols of scratch [row][stride] to an operand, each element times factor (NULL: as it is).
static void write_back(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows, int64_t cols, LLVMValueRef from,
                       int64_t stride, LLVMValueRef factor)
{
    Emit *e = h->e;
    LLVMValueRef base = base_of(h, v);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    EmitLoop c = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, cols), 1, NULL, 0);
    LLVMValueRef x = emit_load(e, e->t.f32, at(e, from, add(e, mul(e, r.index, stride), c.index)), 4);
    if (factor) x = LLVMBuildFMul(e->builder, x, factor, "");
    emit_store(e, x, element(h, v, base, add(e, first, r.index), c.index), 4);
    emit_loop_end(e, &c);
    emit_loop_end(e, &r);
}

typedef struct Gradient {
    LLVMValueRef kt, vt, kn;         // keys and values transposed, keys along columns
    LLVMValueRef q, dout, qn, don;   // the block's rows, and as panels
    LLVMValueRef p, dp, dq, dk, dv;
} Gradient;

static void gradient_block(Heads *h, const Gradient *g)
{
    Emit *e = h->e;
    LLVMValueRef zero = emit_i64(e, 0), no = LLVMConstInt(e->t.i1, 0, false);
    LLVMValueRef later = LLVMBuildICmp(e->builder, LLVMIntNE, h->q0, zero, "");
    copy_rows(h, &h->k->attention.q, h->q0, h->rows, h->dim, g->q, h->dim_pad);
    copy_rows(h, &h->k->attention.dout, h->q0, h->rows, h->vdim, g->dout, h->vdim_pad);
    panels_of(h, &h->k->attention.q, h->q0, h->rows, h->block, h->dim, g->qn);
    panels_of(h, &h->k->attention.dout, h->q0, h->rows, h->block, h->vdim, g->don);
    block_scores(h, g->q, h->dim_pad, g->kt, h->dim, g->p);
    block_scores(h, g->dout, h->vdim_pad, g->vt, h->vdim, g->dp);
    EmitLoop r = emit_loop_begin(e, zero, h->rows, 1, NULL, 0);
    LLVMValueRef row = mul(e, r.index, h->keys_pad);
    row_gradient(h, at(e, g->p, row), at(e, g->dp, row), add(e, h->q0, r.index), at(e, g->dout, mul(e, r.index, h->vdim_pad)));
    emit_loop_end(e, &r);
    HeadProduct dq = {g->dp, g->kn, g->dq, emit_i64(e, h->dim_pad / h->nr), h->limit, no, h->keys_pad, 1, h->keys * h->nr, h->dim_pad};
    product(h, &dq, h->rows);
    write_back(h, &h->k->attention.dq, h->q0, h->rows, h->dim, g->dq, h->dim_pad, emit_f32(e, (double)h->k->attention.scale));
    LLVMValueRef keys = emit_i64(e, h->keys);
    HeadProduct dk = {g->dp, g->qn, g->dk, emit_i64(e, h->dim_pad / h->nr), h->rows, later, 1, h->keys_pad, h->block * h->nr, h->dim_pad};
    product(h, &dk, keys);
    HeadProduct dv = {g->p, g->don, g->dv, emit_i64(e, h->vdim_pad / h->nr), h->rows, later, 1, h->keys_pad, h->block * h->nr, h->vdim_pad};
    product(h, &dv, keys);
}

static void backward(Heads *h)
{
    Emit *e = h->e;
    Gradient g;
    g.kt = take(h, h->keys_pad * h->dim);
    g.vt = take(h, h->keys_pad * h->vdim);
    g.kn = take(h, h->keys * h->dim_pad);
    g.q = take(h, h->block * h->dim_pad);
    g.dout = take(h, h->block * h->vdim_pad);
    g.qn = take(h, h->block * h->dim_pad);
    g.don = take(h, h->block * h->vdim_pad);
    g.p = take(h, h->block * h->keys_pad);
    g.dp = take(h, h->block * h->keys_pad);
    g.dq = take(h, h->block * h->dim_pad);
    g.dk = take(h, (h->keys_pad + h->mr) * h->dim_pad); // the last tile may reach past the padding
    g.dv = take(h, (h->keys_pad + h->mr) * h->vdim_pad);
    LLVMValueRef zero = emit_i64(e, 0), keys = emit_i64(e, h->keys);
    EmitLoop task = begin_task(h);
    panels_transposed(h, &h->k->attention.k, h->keys, h->dim, g.kt);
    panels_transposed(h, &h->k->attention.v, h->keys, h->vdim, g.vt);
    panels_of(h, &h->k->attention.k, zero, keys, h->keys, h->dim, g.kn);
    EmitLoop block = begin_block(h);
    gradient_block(h, &g);
    emit_loop_end(e, &block);
    LLVMValueRef scale = emit_f32(e, (double)h->k->attention.scale);
    write_back(h, &h->k->attention.dk, zero, keys, h->dim, g.dk, h->dim_pad, scale);
    write_back(h, &h->k->attention.dv, zero, keys, h->vdim, g.dv, h->vdim_pad, NULL);
    emit_loop_end(e, &task);
}

void emit_attention_kernel(Emit *e)
{
    Heads h = sizes_of(e->kernel, e->lanes);
    h.e = e;
    if (e->kernel->kind == KERNEL_ATTENTION)
        forward(&h);
    else
        backward(&h);
    if (4 * h.used > emit_attention_worker_bytes(e->kernel, e->lanes)) bug("attention scratch");
}
