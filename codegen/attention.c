// Attention on the register tile, or for operands of bf16 on tile registers where the CPU has them:
// these take scores and their gradients rounded to bf16. A task packs the keys (transposed) and
// values of its head, then for each block of queries: scores = Q K' into scratch; each row is
// scaled, masked, and made exp(s - max) with its sum in lane order; out = P V / sum. The backward
// pass recomputes P from the log-sum-exp, block by block, and adds to dK and dV in rising order of
// queries. The gradient of a bias is another kernel, whose task is one block of the queries of all
// heads that share the bias. No more than one block of scores exists in a worker.
#include "codegen/attention.h"

#include "base/diag.h"
#include "codegen/matrix.h"
#include "codegen/micro.h"

bool emit_attention_in_matrix(const Kernel *k, const Target *target)
{
    return target->matrix && kernel_attends(k) &&
           k->buffers.at[k->attention.q.buffer].dtype == DT_BF16;
}

static Heads sizes_of(const Kernel *k, const Target *target)
{
    const uint32_t lanes = target->lanes;
    Heads h = {.k = k, .mr = micro_mr(lanes), .nr = micro_nr(lanes)};
    h.matrix = emit_attention_in_matrix(k, target);
    if (h.matrix) h.mr = h.nr = 2 * MATRIX_ROWS;
    h.queries = k->attention.queries;
    h.keys = k->attention.keys;
    h.dim = k->attention.dim;
    h.vdim = k->attention.vdim;
    h.keys_pad = up(h.keys, ROW_LANES);
    h.dim_pad = up(h.dim, h.nr);
    h.vdim_pad = up(h.vdim, h.nr);
    h.block = (h.matrix ? MATRIX_TILES : BLOCK_TILES) * h.mr;
    h.row = h.keys_pad + 16;
    return h;
}

int64_t emit_attention_worker_bytes(const Kernel *k, const Target *target)
{
    Heads h = sizes_of(k, target);
    int64_t both = h.dim_pad + h.vdim_pad, n = h.keys_pad * both + h.block * (h.row + both + 32);
    if (k->kind == KERNEL_ATTENTION) n += heads_rounded_floats(&h);
    if (k->kind == KERNEL_ATTENTION_GRAD)
        n += (2 * h.keys_pad + h.mr) * both + h.block * (h.row + 2 * both) +
             2 * (heads_rounded_floats(&h) + heads_turned_floats(&h));
    if (k->kind == KERNEL_ATTENTION_BIAS_GRAD) n += 2 * h.block * h.row;
    return 4 * (n + heads_segments_floats(&h)) + 8192;
}

int64_t emit_attention_tasks(const Kernel *k, const Target *target)
{
    Heads h = sizes_of(k, target);
    int64_t points = 1;
    for (uint32_t i = 0; i < k->body.axes.n; i++) points *= k->body.axes.at[i].size;
    if (k->kind != KERNEL_ATTENTION_BIAS_GRAD) return points;
    return points / k->attention.shared * (up(h.queries, h.block) / h.block);
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

// ---- products
// -------------------------------------------------------------------------------------------

// Causal products leave out what no query of a tile of rows sees: panels of keys, or steps.
typedef enum { CUT_NOTHING, CUT_PANELS, CUT_DEPTH } Cut;

typedef struct HeadProduct {
    LLVMValueRef a, b,
        c; // a[r, k] at a + r ars + k aks; panel p of b at b + p * panel; c[r, j] at c + r crs + j
    LLVMValueRef panels, depth, add;
    int64_t ars, aks, panel, crs;
    Cut cut;
} HeadProduct;

static LLVMValueRef row_limit(Heads *h, LLVMValueRef query);
static LLVMValueRef panels_for(Heads *h, LLVMValueRef columns);

// One tile: c at row and panel of the product.
static void one_tile(Heads *h, const HeadProduct *p, LLVMValueRef row, uint32_t rows,
                     LLVMValueRef panel, LLVMValueRef depth)
{
    Emit *e = h->e;
    LLVMValueRef c = at(e, p->c, add(e, mul(e, row, p->crs), mul(e, panel, h->nr))),
                 b = at(e, p->b, mul(e, panel, p->panel)), a = mul(e, row, p->ars);
    if (!h->matrix) {
        Micro shape = {rows, (uint32_t)h->nr, (uint32_t)h->nr, p->ars, p->aks, p->crs, false};
        micro_call(e, shape, at(e, p->a, a), b, depth, c, p->add);
        return;
    }
    LLVMValueRef trips =
        LLVMBuildUDiv(e->builder, heads_whole(h, depth), emit_i64(e, MATRIX_DEPTH), "");
    Matrix shape = {rows > MATRIX_ROWS ? 2 : 1, 2, p->ars, p->crs};
    matrix_call(e, shape, emit_at(e, e->t.i16, p->a, a), b, trips, c, p->add);
}

static void panel_loop(Heads *h, const HeadProduct *p, LLVMValueRef row, uint32_t rows)
{
    Emit *e = h->e;
    LLVMValueRef panels = p->panels, depth = p->depth;
    if (h->k->attention.causal && p->cut) {
        LLVMValueRef limit =
            row_limit(h, add(e, add(e, h->q0, row), emit_i64(e, (int64_t)rows - 1)));
        panels = p->cut == CUT_PANELS ? panels_for(h, limit) : panels;
        depth = p->cut == CUT_DEPTH ? limit : depth;
    }
    EmitLoop panel = emit_loop_begin(e, emit_i64(e, 0), panels, 1, NULL, 0);
    one_tile(h, p, row, rows, panel.index, depth);
    emit_loop_end(e, &panel);
}

// Rows [0, rows) in whole tiles; `rest` (a constant: rows % mr where it is not 0) are one smaller
// tile. With rest 0 the last tile may reach past the rows.
static void product(Heads *h, const HeadProduct *p, LLVMValueRef rows, int64_t rest)
{
    Emit *e = h->e;
    LLVMValueRef whole = rows, mr = emit_i64(e, h->mr);
    if (rest) whole = LLVMBuildMul(e->builder, LLVMBuildUDiv(e->builder, rows, mr, ""), mr, "");
    EmitLoop tile = emit_loop_begin(e, emit_i64(e, 0), whole, h->mr, NULL, 0);
    panel_loop(h, p, tile.index, (uint32_t)h->mr);
    emit_loop_end(e, &tile);
    if (!rest) return;
    tile = emit_loop_begin(e, whole, rows, h->mr, NULL, 0); // once or not at all
    panel_loop(h, p, tile.index, (uint32_t)rest);
    emit_loop_end(e, &tile);
}

static LLVMValueRef panels_for(Heads *h, LLVMValueRef columns)
{
    Emit *e = h->e;
    return LLVMBuildUDiv(e->builder, add(e, columns, emit_i64(e, h->nr - 1)), emit_i64(e, h->nr),
                         "");
}

// ---- rows of scores
// ----------------------------------------------------------------------------------------

// Keys that take part for the query: all, or those up to query + keys - queries.
static LLVMValueRef row_limit(Heads *h, LLVMValueRef query)
{
    Emit *e = h->e;
    LLVMValueRef all = emit_i64(e, h->keys);
    if (!h->k->attention.causal) return all;
    LLVMValueRef end = add(e, query, emit_i64(e, h->keys - h->queries + 1));
    LLVMValueRef zero = emit_i64(e, 0);
    end = LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSGT, end, zero, ""), end,
                          zero, "");
    return least(e, end, all);
}

static LLVMValueRef call(Emit *e, OpCode op, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef args[2] = {x, y};
    return emit_op(e, op, DT_F32, DT_F32, args);
}

// Scores times the scale, unless the pass over masked rows has multiplied them.
static LLVMValueRef scaled(Heads *h, LLVMValueRef s)
{
    if (kernel_masks(h->k)) return s;
    LLVMValueRef scale = emit_splat(h->e, emit_f32(h->e, (double)h->k->attention.scale));
    return LLVMBuildFMul(h->e->builder, s, scale, "");
}

static LLVMValueRef whole_of(Heads *h, LLVMValueRef n, int64_t of)
{
    return LLVMBuildAnd(h->e->builder, n, emit_i64(h->e, -of), "");
}

// The greatest scaled score of a row among those that take part.
static LLVMValueRef row_max(Heads *h, LLVMValueRef row, LLVMValueRef limit)
{
    Emit *e = h->e;
    uint32_t registers = ROW_LANES / e->lanes;
    LLVMValueRef least_value = emit_splat(e, emit_identity(e, OP_REDUCE_MAX, DT_F32)), m[ROW_LANES];
    for (uint32_t u = 0; u < registers; u++) m[u] = least_value;
    LLVMValueRef whole = whole_of(h, limit, ROW_LANES);
    EmitLoop j = emit_loop_begin(e, emit_i64(e, 0), whole, ROW_LANES, m, registers);
    for (uint32_t u = 0; u < registers; u++) {
        LLVMValueRef s = emit_load(
            e, vector(e), at(e, row, add(e, j.index, emit_i64(e, (int64_t)u * e->lanes))), 4);
        m[u] = emit_combine(e, OP_REDUCE_MAX, DT_F32, m[u], scaled(h, s));
    }
    emit_loop_end(e, &j);
    j = emit_loop_begin(e, whole, limit, e->lanes, m, 1);
    LLVMValueRef s = scaled(h, emit_load(e, vector(e), at(e, row, j.index), 4));
    s = LLVMBuildSelect(e->builder, below(e, j.index, limit), s, least_value, "");
    m[0] = emit_combine(e, OP_REDUCE_MAX, DT_F32, m[0], s);
    emit_loop_end(e, &j);
    return emit_row_fold(e, OP_REDUCE_MAX, m);
}

// A row of scores on its way to probabilities: of s comes p = exp(scale * s - shift), and of dp
// (NULL: none) p * (dp - delta); each in its place, or to a row rounded to bf16.
typedef struct Row {
    LLVMValueRef s, dp, limit, shift, delta;
    LLVMValueRef p, ds; // rows of bf16; NULL: in place
} Row;

static void store_score(Heads *h, LLVMValueRef x, LLVMValueRef row, LLVMValueRef rounded,
                        LLVMValueRef i)
{
    Emit *e = h->e;
    if (rounded)
        heads_store_rounded(h, x, emit_at(e, e->t.i16, rounded, i));
    else
        emit_store(e, x, at(e, row, i), 4);
}

static LLVMValueRef row_step(Heads *h, const Row *r, LLVMValueRef i, LLVMValueRef mask)
{
    Emit *e = h->e;
    LLVMValueRef zero = LLVMConstNull(vector(e)),
                 p = scaled(h, emit_load(e, vector(e), at(e, r->s, i), 4));
    p = call(e, OP_EXP, LLVMBuildFSub(e->builder, p, emit_splat(e, r->shift), ""), NULL);
    if (mask) p = LLVMBuildSelect(e->builder, mask, p, zero, "");
    store_score(h, p, r->s, r->p, i);
    if (!r->dp) return p;
    LLVMValueRef d = emit_load(e, vector(e), at(e, r->dp, i), 4);
    d = LLVMBuildFSub(e->builder, d, emit_splat(e, r->delta), "");
    d = LLVMBuildFMul(e->builder, p, d, "");
    if (mask) d = LLVMBuildSelect(e->builder, mask, d, zero, "");
    store_score(h, d, r->dp, r->ds, i);
    return p;
}

// Do the row; what takes no part becomes 0 as far as this block's products read. Gives the sum of p
// in lane order: a lane that takes no part would add +0 to a sum that is never -0, so its register
// may be left out.
static LLVMValueRef row_exp(Heads *h, const Row *r)
{
    Emit *e = h->e;
    uint32_t registers = ROW_LANES / e->lanes;
    LLVMValueRef sums[ROW_LANES], whole = whole_of(h, r->limit, ROW_LANES),
                                  zero = LLVMConstNull(vector(e));
    for (uint32_t u = 0; u < registers; u++) sums[u] = zero;
    EmitLoop j = emit_loop_begin(e, emit_i64(e, 0), whole, ROW_LANES, sums, registers);
    for (uint32_t u = 0; u < registers; u++) {
        LLVMValueRef p = row_step(h, r, add(e, j.index, emit_i64(e, (int64_t)u * e->lanes)), NULL);
        sums[u] = LLVMBuildFAdd(e->builder, sums[u], p, "");
    }
    emit_loop_end(e, &j);
    j = emit_loop_begin(e, whole, r->limit, e->lanes, sums, registers);
    LLVMValueRef p = row_step(h, r, j.index, below(e, j.index, r->limit)),
                 into = LLVMBuildSub(e->builder, j.index, whole, "");
    for (uint32_t u = 0; u < registers; u++) {
        LLVMValueRef mine =
            LLVMBuildICmp(e->builder, LLVMIntEQ, into, emit_i64(e, (int64_t)u * e->lanes), "");
        sums[u] = LLVMBuildSelect(e->builder, mine, LLVMBuildFAdd(e->builder, sums[u], p, ""),
                                  sums[u], "");
    }
    emit_loop_end(e, &j);
    LLVMValueRef done = whole_of(h, add(e, r->limit, emit_i64(e, e->lanes - 1)), e->lanes);
    LLVMValueRef end = least(e, add(e, h->limit, emit_i64(e, h->mr)), emit_i64(e, h->keys_pad));
    j = emit_loop_begin(e, done, end, e->lanes, NULL, 0);
    store_score(h, zero, r->s, r->p, j.index);
    if (r->dp) store_score(h, zero, r->dp, r->ds, j.index);
    emit_loop_end(e, &j);
    return emit_row_fold(e, OP_SUM, sums);
}

// ---- tasks and blocks
// ----------------------------------------------------------------------------------------

// Go to an outer point.
static void use_point(Heads *h, LLVMValueRef point)
{
    Emit *e = h->e;
    for (uint32_t i = h->k->body.axes.n; i-- > 0;) {
        LLVMValueRef size = emit_i64(e, h->k->body.axes.at[i].size);
        e->axis[i] = LLVMBuildURem(e->builder, point, size, "");
        point = LLVMBuildUDiv(e->builder, point, size, "");
    }
}

static EmitLoop begin_task(Heads *h)
{
    Emit *e = h->e;
    emit_use_body(e, &h->k->body, UINT32_MAX);
    return emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
}

// Go to the queries from q0 on.
static void use_block(Heads *h, LLVMValueRef q0)
{
    Emit *e = h->e;
    LLVMValueRef end = least(e, add(e, q0, emit_i64(e, h->block)), emit_i64(e, h->queries));
    h->q0 = q0;
    h->rows = LLVMBuildSub(e->builder, end, q0, "");
    h->limit = row_limit(h, LLVMBuildSub(e->builder, end, emit_i64(e, 1), ""));
}

static EmitLoop begin_block(Heads *h)
{
    Emit *e = h->e;
    EmitLoop block = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, h->queries), h->block, NULL, 0);
    use_block(h, block.index);
    return block;
}

// scores[r, :] = q[r, :] k' for the block.
static void block_scores(Heads *h, Rows q, LLVMValueRef kt, int64_t depth, LLVMValueRef scores)
{
    Emit *e = h->e;
    HeadProduct p = {q.at,
                     kt,
                     scores,
                     panels_for(h, h->limit),
                     emit_i64(e, depth),
                     LLVMConstInt(e->t.i1, 0, false),
                     q.stride,
                     1,
                     heads_panel_floats(h, depth, h->nr),
                     h->row,
                     CUT_PANELS};
    product(h, &p, h->rows, h->queries % h->mr);
}

// ---- forward
// -------------------------------------------------------------------------------------------------

static void write_out(Heads *h, LLVMValueRef row, LLVMValueRef query, LLVMValueRef sum,
                      LLVMValueRef max)
{
    Emit *e = h->e;
    LLVMValueRef out = heads_base(h, &h->k->attention.out),
                 lse = heads_base(h, &h->k->attention.lse);
    LLVMValueRef none = LLVMBuildFCmp(e->builder, LLVMRealOEQ, sum, emit_f32(e, 0), "");
    LLVMValueRef by = emit_splat(e, LLVMBuildSelect(e->builder, none, emit_f32(e, 1), sum, ""));
    for (int64_t c = 0; c < h->vdim; c += e->lanes) {
        LLVMValueRef x = emit_load(e, vector(e), at(e, row, emit_i64(e, c)), 4);
        heads_store_row(h, &h->k->attention.out, out, query, c, h->vdim - c,
                        LLVMBuildFDiv(e->builder, x, by, ""));
    }
    LLVMValueRef l = LLVMBuildFAdd(e->builder, max, call(e, OP_LOG, sum, NULL), "");
    emit_store(e, l, at(e, lse, mul(e, query, h->k->attention.lse.row)), 4);
}

typedef struct Forward {
    LLVMValueRef kt, v, segments;          // keys transposed, values, keys' segments
    LLVMValueRef q, scores, p, out, stats; // of a block; p: of bf16; a row's stats: max, sum
} Forward;

static LLVMValueRef rounded_row(Heads *h, LLVMValueRef rows, LLVMValueRef row)
{
    Emit *e = h->e;
    return rows ? emit_at(e, e->t.i16, rows, mul(e, row, heads_rounded_stride(h))) : NULL;
}

// Where a row's maximum (0) or sum (1) is kept.
static LLVMValueRef stat_at(Heads *h, const Forward *f, LLVMValueRef row, int64_t which)
{
    Emit *e = h->e;
    return at(e, f->stats, add(e, mul(e, row, 2), emit_i64(e, which)));
}

// Scores to probabilities: first the maxima of all rows, which do not wait for each other.
static void forward_rows(Heads *h, const Forward *f)
{
    Emit *e = h->e;
    for (int pass = 0; pass < 2; pass++) {
        EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), h->rows, 1, NULL, 0);
        LLVMValueRef query = add(e, h->q0, r.index), max = stat_at(h, f, r.index, 0);
        Row row = {.s = at(e, f->scores, mul(e, r.index, h->row)),
                   .limit = row_limit(h, query),
                   .p = rounded_row(h, f->p, r.index)};
        if (pass == 0) {
            if (kernel_masks(h->k)) heads_mask_row(h, row.s, row.limit, query);
            emit_store(e, row_max(h, row.s, row.limit), max, 4);
        } else {
            row.shift = heads_shift(h, emit_load(e, e->t.f32, max, 4));
            emit_store(e, row_exp(h, &row), stat_at(h, f, r.index, 1), 4);
        }
        emit_loop_end(e, &r);
    }
}

static void forward_block(Heads *h, const Forward *f)
{
    Emit *e = h->e;
    Rows q = heads_rows(h, &h->k->attention.q, h->q0, h->rows, h->dim, f->q);
    block_scores(h, q, f->kt, h->dim, f->scores);
    forward_rows(h, f);
    HeadProduct p = {.a = h->matrix ? f->p : f->scores,
                     .b = f->v,
                     .c = f->out,
                     .panels = emit_i64(e, h->vdim_pad / h->nr),
                     .depth = h->limit,
                     .add = LLVMConstInt(e->t.i1, 0, false),
                     .ars = h->matrix ? heads_rounded_stride(h) : h->row,
                     .aks = 1,
                     .panel = heads_panel_floats(h, h->keys, h->nr),
                     .crs = h->vdim_pad,
                     .cut = CUT_DEPTH};
    product(h, &p, h->rows, h->queries % h->mr);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), h->rows, 1, NULL, 0);
    LLVMValueRef max = emit_load(e, e->t.f32, stat_at(h, f, r.index, 0), 4),
                 sum = emit_load(e, e->t.f32, stat_at(h, f, r.index, 1), 4);
    write_out(h, at(e, f->out, mul(e, r.index, h->vdim_pad)), add(e, h->q0, r.index), sum, max);
    emit_loop_end(e, &r);
}

static void forward(Heads *h)
{
    Emit *e = h->e;
    Forward f;
    f.kt = take(h, heads_panel_floats(h, h->dim, h->keys_pad));
    f.v = take(h, heads_panel_floats(h, h->keys, h->vdim));
    f.segments = take(h, heads_segments_floats(h));
    f.q = take(h, heads_rows_floats(h, &h->k->attention.q, h->dim));
    f.scores = take(h, h->block * h->row);
    f.p = h->matrix ? take(h, heads_rounded_floats(h)) : NULL;
    f.out = take(h, h->block * h->vdim_pad);
    f.stats = take(h, 2 * h->block);
    EmitLoop task = begin_task(h);
    use_point(h, task.index);
    heads_segments(h, f.segments);
    heads_panels_transposed(h, &h->k->attention.k, h->keys, h->dim, f.kt);
    heads_panels(h, &h->k->attention.v, emit_i64(e, 0), emit_i64(e, h->keys), h->keys, h->vdim,
                 f.v);
    EmitLoop block = begin_block(h);
    forward_block(h, &f);
    emit_loop_end(e, &block);
    emit_loop_end(e, &task);
}

// ---- backward
// -------------------------------------------------------------------------------------------------

// sum over the row of dout * out, in lane order.
static LLVMValueRef row_delta(Heads *h, LLVMValueRef query)
{
    Emit *e = h->e;
    uint32_t registers = ROW_LANES / e->lanes;
    const StridedView *out = &h->k->attention.out, *dout = &h->k->attention.dout;
    LLVMValueRef x_base = heads_base(h, out), y_base = heads_base(h, dout), sums[ROW_LANES];
    for (uint32_t i = 0; i < registers; i++) sums[i] = LLVMConstNull(vector(e));
    for (int64_t c = 0; c < h->vdim; c += e->lanes) {
        LLVMValueRef x = heads_row(h, out, x_base, query, emit_i64(e, c), h->vdim - c);
        LLVMValueRef y = heads_row(h, dout, y_base, query, emit_i64(e, c), h->vdim - c);
        uint32_t u = (uint32_t)(c / e->lanes) % registers;
        sums[u] = LLVMBuildFAdd(e->builder, sums[u], LLVMBuildFMul(e->builder, y, x, ""), "");
    }
    return emit_row_fold(e, OP_SUM, sums);
}

typedef struct Gradient {
    LLVMValueRef kt, vt, kn;       // keys and values transposed, keys along columns
    LLVMValueRef segments;         // of the keys
    LLVMValueRef q, dout, qn, don; // the block's rows, and as panels
    LLVMValueRef p, dp, dq, dk, dv;
    LLVMValueRef p16, ds16, pt, dst; // of bf16, and turned
} Gradient;

// p and dp of the block: scores and dout v', then row by row probabilities and their gradients.
static void gradient_scores(Heads *h, const Gradient *g)
{
    Emit *e = h->e;
    Rows q = heads_rows(h, &h->k->attention.q, h->q0, h->rows, h->dim, g->q);
    Rows dout = heads_rows(h, &h->k->attention.dout, h->q0, h->rows, h->vdim, g->dout);
    block_scores(h, q, g->kt, h->dim, g->p);
    block_scores(h, dout, g->vt, h->vdim, g->dp);
    LLVMValueRef lse = heads_base(h, &h->k->attention.lse);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), h->rows, 1, NULL, 0);
    LLVMValueRef query = add(e, h->q0, r.index), from = mul(e, r.index, h->row);
    Row row = {.s = at(e, g->p, from),
               .dp = at(e, g->dp, from),
               .limit = row_limit(h, query),
               .delta = row_delta(h, query),
               .p = rounded_row(h, g->p16, r.index),
               .ds = rounded_row(h, g->ds16, r.index)};
    if (kernel_masks(h->k)) heads_mask_row(h, row.s, row.limit, query);
    row.shift = heads_shift(
        h, emit_load(e, e->t.f32, at(e, lse, mul(e, query, h->k->attention.lse.row)), 4));
    row_exp(h, &row);
    emit_loop_end(e, &r);
}

static void gradient_block(Heads *h, const Gradient *g)
{
    Emit *e = h->e;
    LLVMValueRef no = LLVMConstInt(e->t.i1, 0, false),
                 scale = emit_f32(e, (double)h->k->attention.scale);
    LLVMValueRef later = LLVMBuildICmp(e->builder, LLVMIntNE, h->q0, emit_i64(e, 0), "");
    if (h->k->attention.causal)
        later = LLVMConstInt(e->t.i1, 1, false); // the first block does not reach all keys
    gradient_scores(h, g);
    if (h->matrix) {
        heads_turn(h, g->p16, g->pt);
        heads_turn(h, g->ds16, g->dst);
    }
    HeadProduct dq = {.a = h->matrix ? g->ds16 : g->dp,
                      .b = g->kn,
                      .c = g->dq,
                      .panels = emit_i64(e, h->dim_pad / h->nr),
                      .depth = h->limit,
                      .add = no,
                      .ars = h->matrix ? heads_rounded_stride(h) : h->row,
                      .aks = 1,
                      .panel = heads_panel_floats(h, h->keys, h->nr),
                      .crs = h->dim_pad,
                      .cut = CUT_DEPTH};
    product(h, &dq, h->rows, h->queries % h->mr);
    heads_write_back(h, &h->k->attention.dq, h->q0, h->rows, h->dim, g->dq, h->dim_pad, scale);
    heads_panels(h, &h->k->attention.q, h->q0, h->rows, h->block, h->dim, g->qn);
    heads_panels(h, &h->k->attention.dout, h->q0, h->rows, h->block, h->vdim, g->don);
    HeadProduct dk = {.a = h->matrix ? g->dst : g->dp,
                      .b = g->qn,
                      .c = g->dk,
                      .panels = dq.panels,
                      .depth = h->rows,
                      .add = later,
                      .ars = h->matrix ? heads_turned_stride(h) : 1,
                      .aks = h->row,
                      .panel = heads_panel_floats(h, h->block, h->nr),
                      .crs = h->dim_pad};
    product(h, &dk, h->limit, 0);
    HeadProduct dv = dk;
    dv.a = h->matrix ? g->pt : g->p;
    dv.b = g->don;
    dv.c = g->dv;
    dv.panels = emit_i64(e, h->vdim_pad / h->nr);
    dv.crs = h->vdim_pad;
    product(h, &dv, h->limit, 0);
}

static void backward(Heads *h)
{
    Emit *e = h->e;
    int64_t most = h->keys_pad + h->mr; // the last tile may reach past the padding
    Gradient g = {0};
    g.kt = take(h, heads_panel_floats(h, h->dim, h->keys_pad));
    g.vt = take(h, heads_panel_floats(h, h->vdim, h->keys_pad));
    g.kn = take(h, heads_panel_floats(h, h->keys, h->dim));
    g.q = take(h, heads_rows_floats(h, &h->k->attention.q, h->dim));
    g.dout = take(h, heads_rows_floats(h, &h->k->attention.dout, h->vdim));
    g.qn = take(h, heads_panel_floats(h, h->block, h->dim));
    g.don = take(h, heads_panel_floats(h, h->block, h->vdim));
    g.p = take(h, h->block * h->row);
    g.dp = take(h, h->block * h->row);
    if (h->matrix) {
        g.p16 = take(h, heads_rounded_floats(h));
        g.ds16 = take(h, heads_rounded_floats(h));
        g.pt = take(h, heads_turned_floats(h));
        g.dst = take(h, heads_turned_floats(h));
    }
    g.dq = take(h, h->block * h->dim_pad);
    g.dk = take(h, most * h->dim_pad);
    g.dv = take(h, most * h->vdim_pad);
    g.segments = take(h, heads_segments_floats(h));
    LLVMValueRef zero = emit_i64(e, 0), keys = emit_i64(e, h->keys);
    EmitLoop task = begin_task(h);
    use_point(h, task.index);
    heads_segments(h, g.segments);
    heads_panels_transposed(h, &h->k->attention.k, h->keys, h->dim, g.kt);
    heads_panels_transposed(h, &h->k->attention.v, h->keys, h->vdim, g.vt);
    heads_panels(h, &h->k->attention.k, zero, keys, h->keys, h->dim, g.kn);
    if (h->k->attention.causal) {
        heads_clear(h, g.dk, most * h->dim_pad);
        heads_clear(h, g.dv, most * h->vdim_pad);
    }
    EmitLoop block = begin_block(h);
    gradient_block(h, &g);
    emit_loop_end(e, &block);
    LLVMValueRef scale = emit_f32(e, (double)h->k->attention.scale);
    heads_write_back(h, &h->k->attention.dk, zero, keys, h->dim, g.dk, h->dim_pad, scale);
    heads_write_back(h, &h->k->attention.dv, zero, keys, h->vdim, g.dv, h->vdim_pad, NULL);
    emit_loop_end(e, &task);
}

// dbias of a block of queries: ds of the heads that share it, one after the other.
static void bias_backward(Heads *h)
{
    Emit *e = h->e;
    Gradient g = {0};
    g.kt = take(h, heads_panel_floats(h, h->dim, h->keys_pad));
    g.vt = take(h, heads_panel_floats(h, h->vdim, h->keys_pad));
    g.q = take(h, heads_rows_floats(h, &h->k->attention.q, h->dim));
    g.dout = take(h, heads_rows_floats(h, &h->k->attention.dout, h->vdim));
    g.p = take(h, h->block * h->row);
    g.dp = take(h, h->block * h->row);
    g.segments = take(h, heads_segments_floats(h));
    LLVMValueRef sums = take(h, h->block * h->row), zero = emit_i64(e, 0),
                 shared = emit_i64(e, h->k->attention.shared),
                 blocks = emit_i64(e, up(h->queries, h->block) / h->block);
    EmitLoop task = begin_task(h);
    LLVMValueRef first = LLVMBuildUDiv(e->builder, task.index, blocks, "");
    first = LLVMBuildMul(e->builder, first, shared, "");
    use_block(h, mul(e, LLVMBuildURem(e->builder, task.index, blocks, ""), h->block));
    heads_clear(h, sums, h->block * h->row);
    EmitLoop head = emit_loop_begin(e, zero, shared, 1, NULL, 0);
    use_point(h, add(e, first, head.index));
    heads_segments(h, g.segments);
    heads_panels_transposed(h, &h->k->attention.k, h->keys, h->dim, g.kt);
    heads_panels_transposed(h, &h->k->attention.v, h->keys, h->vdim, g.vt);
    gradient_scores(h, &g);
    heads_add_rows(h, sums, g.dp);
    emit_loop_end(e, &head);
    use_point(h, first);
    heads_store_bias(h, sums);
    emit_loop_end(e, &task);
}

void emit_attention_kernel(Emit *e)
{
    Heads h = sizes_of(e->kernel, e->target);
    h.e = e;
    if (h.matrix) matrix_begin(e);
    switch (e->kernel->kind) {
    case KERNEL_ATTENTION: forward(&h); break;
    case KERNEL_ATTENTION_GRAD: backward(&h); break;
    default: bias_backward(&h);
    }
    if (h.matrix) matrix_end(e);
    if (4 * h.used > emit_attention_worker_bytes(e->kernel, e->target)) bug("attention scratch");
}
