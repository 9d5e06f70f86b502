// Attention on the register tile. A task packs the keys (transposed) and values of its head, then
// for each block of queries: scores = Q K' into scratch; each row is scaled, masked, and made exp(s
// - max) with its sum in lane order; out = P V / sum. The backward pass recomputes P from the
// log-sum-exp, block by block, and adds to dK and dV in rising order of queries. No more than one
// block of scores exists in a worker.
#include "codegen/emit.h"

#include "base/diag.h"
#include "codegen/micro.h"

enum {
    ROW_LANES = 64,   // docs/ir.md, row stage
    BLOCK_TILES = 4,  // register tiles in a block of queries
    SET_STRIDE = 1024 // rows so many floats apart fall on one set of the first cache
};

typedef struct Heads {
    Emit *e;
    const Kernel *k;
    int64_t mr, nr, queries, keys, dim, vdim;
    int64_t keys_pad;             // whole 64s: the lanes of a row's sum
    int64_t dim_pad, vdim_pad;    // whole panels
    int64_t block;                // queries of a block
    int64_t row;                  // floats from row to row of scores
    int64_t used;                 // floats of scratch handed out
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
    h.row = h.keys_pad + 16;
    return h;
}

int64_t emit_attention_worker_bytes(const Kernel *k, uint32_t lanes)
{
    Heads h = sizes_of(k, lanes);
    int64_t both = h.dim_pad + h.vdim_pad, n = h.keys_pad * both + h.block * (h.row + both + 32);
    if (k->kind == KERNEL_ATTENTION_GRAD)
        n += (2 * h.keys_pad + h.mr) * both + h.block * (h.row + 2 * both);
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

// Operands and results lie as f32 or in 16 bits; all else is f32.
static DType dtype_of(const Heads *h, const StridedView *v)
{
    return h->k->buffers.at[v->buffer].dtype;
}

static LLVMTypeRef memory_of(const Heads *h, const StridedView *v)
{
    return emit_memory_type(h->e, dtype_of(h, v));
}

static uint32_t align_of(const Heads *h, const StridedView *v)
{
    return (uint32_t)dtype_size(dtype_of(h, v));
}

static LLVMValueRef base_of(Heads *h, const StridedView *v)
{
    return emit_at(h->e, memory_of(h, v), h->e->base[v->buffer], emit_index(h->e, v->base));
}

static LLVMValueRef element(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                            LLVMValueRef col)
{
    Emit *e = h->e;
    return emit_at(e, memory_of(h, v), base, add(e, mul(e, row, v->row), mul(e, col, v->col)));
}

// ---- operands
// -----------------------------------------------------------------------------------------

// A call of llvm.masked.load, .store, .gather or .scatter of one vector as it lies in memory; x is
// NULL for the first and the third.
static LLVMValueRef masked(Heads *h, const StridedView *v, const char *name, LLVMValueRef x,
                           LLVMValueRef where, LLVMValueRef mask)
{
    Emit *e = h->e;
    LLVMTypeRef type = emit_vector_type(e, memory_of(h, v)), types[2] = {type, LLVMTypeOf(where)};
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef align = LLVMConstInt(e->t.i32, align_of(h, v), false), zero = LLVMConstNull(type);
    LLVMValueRef load[4] = {where, align, mask, zero}, store[4] = {x, where, align, mask};
    return LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                          LLVMGetIntrinsicDeclaration(e->module, id, types, 2), x ? store : load, 4,
                          "");
}

// Where lanes of elements (row, col ..) of an operand lie: one address, or one a lane.
static LLVMValueRef lanes_at(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                             LLVMValueRef col)
{
    Emit *e = h->e;
    LLVMValueRef from = element(h, v, base, row, col);
    if (v->col == 1) return from;
    LLVMValueRef index =
        LLVMBuildMul(e->builder, emit_iota(e), emit_splat(e, emit_i64(e, v->col)), "");
    return LLVMBuildGEP2(e->builder, memory_of(h, v), from, &index, 1, "");
}

// Elements (row, col + lane) for the first n lanes, 0 elsewhere.
static LLVMValueRef row_vector(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                               LLVMValueRef col, int64_t n)
{
    Emit *e = h->e;
    LLVMValueRef from = lanes_at(h, v, base, row, col), x;
    const char *name = v->col == 1 ? "llvm.masked.load" : "llvm.masked.gather";
    if (v->col == 1 && n >= e->lanes)
        x = emit_load(e, emit_vector_type(e, memory_of(h, v)), from, align_of(h, v));
    else
        x = masked(h, v, name, NULL, from, emit_mask(e, n < e->lanes ? (uint32_t)n : e->lanes));
    return emit_widen(e, dtype_of(h, v), x);
}

// The first n lanes of x, rounded to the result's type, to elements (row, col + lane).
static void store_row(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                      int64_t col, int64_t n, LLVMValueRef x)
{
    Emit *e = h->e;
    LLVMValueRef to = lanes_at(h, v, base, row, emit_i64(e, col));
    x = emit_narrow(e, dtype_of(h, v), emit_round(e, dtype_of(h, v), x));
    if (v->col == 1 && n >= e->lanes) {
        emit_store(e, x, to, align_of(h, v));
        return;
    }
    const char *name = v->col == 1 ? "llvm.masked.store" : "llvm.masked.scatter";
    masked(h, v, name, x, to, emit_mask(e, n < e->lanes ? (uint32_t)n : e->lanes));
}

static void clear(Heads *h, LLVMValueRef to, int64_t floats)
{
    Emit *e = h->e;
    EmitLoop i =
        emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, up(floats, e->lanes)), e->lanes, NULL, 0);
    emit_store(e, LLVMConstNull(vector(e)), at(e, to, i.index), 4);
    emit_loop_end(e, &i);
}

// Rows of an operand as the left side of a product.
typedef struct Rows {
    LLVMValueRef at;
    int64_t stride;
} Rows;

// Rows are read in place where they lie densely as f32 and not all on one set of the first cache.
static bool in_place(const Heads *h, const StridedView *v)
{
    return dtype_of(h, v) == DT_F32 && v->col == 1 && v->row % SET_STRIDE;
}

// Rows [first, first + rows) of an operand: in place, or copied to `to`.
static Rows rows_of(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows,
                    int64_t cols, LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef base = base_of(h, v);
    int64_t stride = up(cols, h->nr) + 16;
    if (in_place(h, v)) return (Rows){element(h, v, base, first, emit_i64(e, 0)), v->row};
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    for (int64_t c = 0; c < cols; c += e->lanes) {
        LLVMValueRef x = row_vector(h, v, base, add(e, first, r.index), emit_i64(e, c), cols - c);
        emit_store(e, x, at(e, to, add(e, mul(e, r.index, stride), emit_i64(e, c))), 4);
    }
    emit_loop_end(e, &r);
    return (Rows){to, stride};
}

static int64_t rows_floats(const Heads *h, const StridedView *v, int64_t cols)
{
    return in_place(h, v) ? 0 : h->block * (up(cols, h->nr) + 16);
}

// A rows x cols operand as panels [col / nr][row][nr], for products along its rows.
static void panels_of(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows,
                      int64_t most_rows, int64_t cols, LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef base = base_of(h, v);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    LLVMValueRef row = add(e, first, r.index), to_row = at(e, to, mul(e, r.index, h->nr));
    for (int64_t c = 0; c < up(cols, h->nr); c += e->lanes) {
        LLVMValueRef x = c < cols ? row_vector(h, v, base, row, emit_i64(e, c), cols - c)
                                  : LLVMConstNull(vector(e));
        emit_store(e, x, at(e, to_row, emit_i64(e, c / h->nr * most_rows * h->nr + c % h->nr)), 4);
    }
    emit_loop_end(e, &r);
}

// A square of the transposed panels: `rows` rows (others are 0) from row, `cols` columns from col;
// base is the operand's.
static void square(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                   int64_t rows, LLVMValueRef col, int64_t cols, int64_t depth, LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef nr = emit_i64(e, h->nr), *x = arena_array(e->arena, LLVMValueRef, e->lanes);
    for (int64_t i = 0; i < e->lanes; i++)
        x[i] = i < rows ? row_vector(h, v, base, add(e, row, emit_i64(e, i)), col, cols)
                        : LLVMConstNull(vector(e));
    micro_transpose(e, x);
    LLVMValueRef panel = mul(e, LLVMBuildUDiv(e->builder, row, nr, ""), depth * h->nr);
    LLVMValueRef first =
        add(e, add(e, panel, LLVMBuildURem(e->builder, row, nr, "")), mul(e, col, h->nr));
    for (int64_t i = 0; i < e->lanes && i < cols; i++)
        emit_store(e, x[i], at(e, to, add(e, first, emit_i64(e, i * h->nr))), 4);
}

static void squares(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                    int64_t rows, int64_t cols, LLVMValueRef to)
{
    Emit *e = h->e;
    int64_t whole = cols / e->lanes * e->lanes;
    EmitLoop c = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, whole), e->lanes, NULL, 0);
    square(h, v, base, row, rows, c.index, e->lanes, cols, to);
    emit_loop_end(e, &c);
    if (cols > whole) square(h, v, base, row, rows, emit_i64(e, whole), cols - whole, cols, to);
}

// A rows x cols operand transposed: panels [row / nr][col][nr], 0 in the last panel's columns past
// the rows.
static void panels_transposed(Heads *h, const StridedView *v, int64_t rows, int64_t cols,
                              LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef base = base_of(h, v);
    int64_t whole = rows / e->lanes * e->lanes;
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, whole), e->lanes, NULL, 0);
    squares(h, v, base, r.index, e->lanes, cols, to);
    emit_loop_end(e, &r);
    for (int64_t row = whole; row < up(rows, h->nr); row += e->lanes)
        squares(h, v, base, emit_i64(e, row), rows - row, cols, to);
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
    LLVMValueRef c = at(e, p->c, add(e, mul(e, row, p->crs), mul(e, panel.index, h->nr)));
    micro_call(e, (Micro){rows, (uint32_t)h->nr, (uint32_t)h->nr, p->ars, p->aks, p->crs, false},
               at(e, p->a, mul(e, row, p->ars)), at(e, p->b, mul(e, panel.index, p->panel)), depth,
               c, p->add);
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

// Lane sums of 64 / lanes registers to one value, as the row stage does.
static LLVMValueRef fold(Emit *e, OpCode op, LLVMValueRef *sums)
{
    uint32_t registers = ROW_LANES / e->lanes;
    for (uint32_t w = registers / 2; w; w /= 2)
        for (uint32_t i = 0; i < w; i++)
            sums[i] = emit_combine(e, op, DT_F32, sums[i], sums[i + w]);
    LLVMValueRef x = sums[0];
    for (uint32_t w = e->lanes / 2; w; w /= 2) {
        LLVMValueRef *pick = arena_array(e->arena, LLVMValueRef, e->lanes);
        for (uint32_t i = 0; i < e->lanes; i++)
            pick[i] = LLVMConstInt(e->t.i32, i < w ? i + w : i, false);
        LLVMValueRef other = LLVMBuildShuffleVector(e->builder, x, LLVMGetPoison(LLVMTypeOf(x)),
                                                    LLVMConstVector(pick, e->lanes), "");
        x = emit_combine(e, op, DT_F32, x, other);
    }
    return LLVMBuildExtractElement(e->builder, x, emit_i64(e, 0), "");
}

static LLVMValueRef scale_splat(Heads *h)
{
    return emit_splat(h->e, emit_f32(h->e, (double)h->k->attention.scale));
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
        m[u] = emit_combine(e, OP_REDUCE_MAX, DT_F32, m[u],
                            LLVMBuildFMul(e->builder, s, scale_splat(h), ""));
    }
    emit_loop_end(e, &j);
    j = emit_loop_begin(e, whole, limit, e->lanes, m, 1);
    LLVMValueRef s = LLVMBuildFMul(e->builder, emit_load(e, vector(e), at(e, row, j.index), 4),
                                   scale_splat(h), "");
    s = LLVMBuildSelect(e->builder, below(e, j.index, limit), s, least_value, "");
    m[0] = emit_combine(e, OP_REDUCE_MAX, DT_F32, m[0], s);
    emit_loop_end(e, &j);
    return fold(e, OP_REDUCE_MAX, m);
}

// A row of scores on its way to probabilities: s becomes p = exp(scale * s - shift), and dp (NULL:
// none) p * (dp - delta).
typedef struct Row {
    LLVMValueRef s, dp, limit, shift, delta;
} Row;

static LLVMValueRef row_step(Heads *h, const Row *r, LLVMValueRef i, LLVMValueRef mask)
{
    Emit *e = h->e;
    LLVMValueRef zero = LLVMConstNull(vector(e)), to = at(e, r->s, i);
    LLVMValueRef p = LLVMBuildFMul(e->builder, emit_load(e, vector(e), to, 4), scale_splat(h), "");
    p = call(e, OP_EXP, LLVMBuildFSub(e->builder, p, emit_splat(e, r->shift), ""), NULL);
    if (mask) p = LLVMBuildSelect(e->builder, mask, p, zero, "");
    emit_store(e, p, to, 4);
    if (!r->dp) return p;
    to = at(e, r->dp, i);
    LLVMValueRef d =
        LLVMBuildFSub(e->builder, emit_load(e, vector(e), to, 4), emit_splat(e, r->delta), "");
    d = LLVMBuildFMul(e->builder, p, d, "");
    emit_store(e, mask ? LLVMBuildSelect(e->builder, mask, d, zero, "") : d, to, 4);
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
    emit_store(e, zero, at(e, r->s, j.index), 4);
    if (r->dp) emit_store(e, zero, at(e, r->dp, j.index), 4);
    emit_loop_end(e, &j);
    return fold(e, OP_SUM, sums);
}

// ---- tasks and blocks
// ----------------------------------------------------------------------------------------

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
    h->limit =
        row_limit(h, LLVMBuildSub(e->builder, least(e, block.next, all), emit_i64(e, 1), ""));
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
                     depth * h->nr,
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
    LLVMValueRef out = base_of(h, &h->k->attention.out), lse = base_of(h, &h->k->attention.lse);
    LLVMValueRef none = LLVMBuildFCmp(e->builder, LLVMRealOEQ, sum, emit_f32(e, 0), "");
    LLVMValueRef by = emit_splat(e, LLVMBuildSelect(e->builder, none, emit_f32(e, 1), sum, ""));
    for (int64_t c = 0; c < h->vdim; c += e->lanes) {
        LLVMValueRef x = emit_load(e, vector(e), at(e, row, emit_i64(e, c)), 4);
        store_row(h, &h->k->attention.out, out, query, c, h->vdim - c,
                  LLVMBuildFDiv(e->builder, x, by, ""));
    }
    LLVMValueRef l = LLVMBuildFAdd(e->builder, max, call(e, OP_LOG, sum, NULL), "");
    emit_store(e, l, at(e, lse, mul(e, query, h->k->attention.lse.row)), 4);
}

typedef struct Forward {
    LLVMValueRef kt, v;                 // keys transposed, values
    LLVMValueRef q, scores, out, stats; // of a block; a row's stats: max, sum
} Forward;

static void forward_block(Heads *h, const Forward *f)
{
    Emit *e = h->e;
    LLVMValueRef zero = emit_i64(e, 0), one = emit_i64(e, 1), no = LLVMConstInt(e->t.i1, 0, false);
    Rows q = rows_of(h, &h->k->attention.q, h->q0, h->rows, h->dim, f->q);
    block_scores(h, q, f->kt, h->dim, f->scores);
    EmitLoop r = emit_loop_begin(e, zero, h->rows, 1, NULL, 0);
    Row row = {.s = at(e, f->scores, mul(e, r.index, h->row)),
               .limit = row_limit(h, add(e, h->q0, r.index))};
    row.shift = row_max(h, row.s, row.limit);
    LLVMValueRef sum = row_exp(h, &row), stats = at(e, f->stats, mul(e, r.index, 2));
    emit_store(e, row.shift, stats, 4);
    emit_store(e, sum, at(e, stats, one), 4);
    emit_loop_end(e, &r);
    HeadProduct p = {f->scores,       f->v,        f->out,   emit_i64(e, h->vdim_pad / h->nr),
                     h->limit,        no,          h->row,   1,
                     h->keys * h->nr, h->vdim_pad, CUT_DEPTH};
    product(h, &p, h->rows, h->queries % h->mr);
    r = emit_loop_begin(e, zero, h->rows, 1, NULL, 0);
    stats = at(e, f->stats, mul(e, r.index, 2));
    LLVMValueRef max = emit_load(e, e->t.f32, stats, 4);
    sum = emit_load(e, e->t.f32, at(e, stats, one), 4);
    write_out(h, at(e, f->out, mul(e, r.index, h->vdim_pad)), add(e, h->q0, r.index), sum, max);
    emit_loop_end(e, &r);
}

static void forward(Heads *h)
{
    Emit *e = h->e;
    Forward f;
    f.kt = take(h, h->keys_pad * h->dim);
    f.v = take(h, h->keys * h->vdim_pad);
    f.q = take(h, rows_floats(h, &h->k->attention.q, h->dim));
    f.scores = take(h, h->block * h->row);
    f.out = take(h, h->block * h->vdim_pad);
    f.stats = take(h, 2 * h->block);
    EmitLoop task = begin_task(h);
    panels_transposed(h, &h->k->attention.k, h->keys, h->dim, f.kt);
    panels_of(h, &h->k->attention.v, emit_i64(e, 0), emit_i64(e, h->keys), h->keys, h->vdim, f.v);
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
    LLVMValueRef x_base = base_of(h, out), y_base = base_of(h, dout), sums[ROW_LANES];
    for (uint32_t i = 0; i < registers; i++) sums[i] = LLVMConstNull(vector(e));
    for (int64_t c = 0; c < h->vdim; c += e->lanes) {
        LLVMValueRef x = row_vector(h, out, x_base, query, emit_i64(e, c), h->vdim - c);
        LLVMValueRef y = row_vector(h, dout, y_base, query, emit_i64(e, c), h->vdim - c);
        uint32_t u = (uint32_t)(c / e->lanes) % registers;
        sums[u] = LLVMBuildFAdd(e->builder, sums[u], LLVMBuildFMul(e->builder, y, x, ""), "");
    }
    return fold(e, OP_SUM, sums);
}

// rows x cols of scratch [row][stride] to an operand, each element times factor (NULL: as it is).
static void write_back(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows,
                       int64_t cols, LLVMValueRef from, int64_t stride, LLVMValueRef factor)
{
    Emit *e = h->e;
    LLVMValueRef base = base_of(h, v);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    for (int64_t c = 0; c < cols; c += e->lanes) {
        LLVMValueRef x = emit_load(e, vector(e),
                                   at(e, from, add(e, mul(e, r.index, stride), emit_i64(e, c))), 4);
        if (factor) x = LLVMBuildFMul(e->builder, x, emit_splat(e, factor), "");
        store_row(h, v, base, add(e, first, r.index), c, cols - c, x);
    }
    emit_loop_end(e, &r);
}

typedef struct Gradient {
    LLVMValueRef kt, vt, kn;       // keys and values transposed, keys along columns
    LLVMValueRef q, dout, qn, don; // the block's rows, and as panels
    LLVMValueRef p, dp, dq, dk, dv;
} Gradient;

// p and dp of the block: scores and dout v', then row by row probabilities and their gradients.
static void gradient_scores(Heads *h, const Gradient *g)
{
    Emit *e = h->e;
    Rows q = rows_of(h, &h->k->attention.q, h->q0, h->rows, h->dim, g->q);
    Rows dout = rows_of(h, &h->k->attention.dout, h->q0, h->rows, h->vdim, g->dout);
    block_scores(h, q, g->kt, h->dim, g->p);
    block_scores(h, dout, g->vt, h->vdim, g->dp);
    LLVMValueRef lse = base_of(h, &h->k->attention.lse);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), h->rows, 1, NULL, 0);
    LLVMValueRef query = add(e, h->q0, r.index), from = mul(e, r.index, h->row);
    Row row = {at(e, g->p, from), at(e, g->dp, from), row_limit(h, query), NULL,
               row_delta(h, query)};
    row.shift = emit_load(e, e->t.f32, at(e, lse, mul(e, query, h->k->attention.lse.row)), 4);
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
    int64_t dims = h->dim_pad / h->nr, vdims = h->vdim_pad / h->nr;
    gradient_scores(h, g);
    HeadProduct dq = {g->dp,  g->kn, g->dq,           emit_i64(e, dims), h->limit, no,
                      h->row, 1,     h->keys * h->nr, h->dim_pad,        CUT_DEPTH};
    product(h, &dq, h->rows, h->queries % h->mr);
    write_back(h, &h->k->attention.dq, h->q0, h->rows, h->dim, g->dq, h->dim_pad, scale);
    panels_of(h, &h->k->attention.q, h->q0, h->rows, h->block, h->dim, g->qn);
    panels_of(h, &h->k->attention.dout, h->q0, h->rows, h->block, h->vdim, g->don);
    HeadProduct dk = {g->dp,      g->qn, g->dk,  emit_i64(e, dims), h->rows,
                      later,      1,     h->row, h->block * h->nr,  h->dim_pad,
                      CUT_NOTHING};
    product(h, &dk, h->limit, 0);
    HeadProduct dv = {g->p,   g->don,           g->dv,       emit_i64(e, vdims), h->rows, later, 1,
                      h->row, h->block * h->nr, h->vdim_pad, CUT_NOTHING};
    product(h, &dv, h->limit, 0);
}

static void backward(Heads *h)
{
    Emit *e = h->e;
    int64_t most = h->keys_pad + h->mr; // the last tile may reach past the padding
    Gradient g;
    g.kt = take(h, h->keys_pad * h->dim);
    g.vt = take(h, h->keys_pad * h->vdim);
    g.kn = take(h, h->keys * h->dim_pad);
    g.q = take(h, rows_floats(h, &h->k->attention.q, h->dim));
    g.dout = take(h, rows_floats(h, &h->k->attention.dout, h->vdim));
    g.qn = take(h, h->block * h->dim_pad);
    g.don = take(h, h->block * h->vdim_pad);
    g.p = take(h, h->block * h->row);
    g.dp = take(h, h->block * h->row);
    g.dq = take(h, h->block * h->dim_pad);
    g.dk = take(h, most * h->dim_pad);
    g.dv = take(h, most * h->vdim_pad);
    LLVMValueRef zero = emit_i64(e, 0), keys = emit_i64(e, h->keys);
    EmitLoop task = begin_task(h);
    panels_transposed(h, &h->k->attention.k, h->keys, h->dim, g.kt);
    panels_transposed(h, &h->k->attention.v, h->keys, h->vdim, g.vt);
    panels_of(h, &h->k->attention.k, zero, keys, h->keys, h->dim, g.kn);
    if (h->k->attention.causal) {
        clear(h, g.dk, most * h->dim_pad);
        clear(h, g.dv, most * h->vdim_pad);
    }
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
