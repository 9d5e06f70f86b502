// The contraction generator. The right operand is packed once by a kernel of its own (panel.h). A
// task of the product takes a block of rows (and of columns, where rows alone make too few tasks)
// and runs the tile, KC steps of k at a time, panel by panel over the rows of the block, which stay
// in the second cache while panels come and go. Rows of a plain f32 left operand are read where
// they lie; any other (computed, in 16 bits or 8, transposed, or all its rows on one set of the
// first cache) is first copied to the worker's scratch, as f32, along the axis and in the runs in
// which its elements lie side by side (codegen/runs.h): windows of an image, that is convolutions,
// are copied like any matrix. For tile registers rows of bf16 are copied; what lies along m is
// copied so in strips, which are then turned.
// Between blocks of k the sums stay as f32 in memory, so every dot product is one fma chain in
// rising k, or of tile registers the chain of matrix.h. After the last block the epilogue body runs
// over the tile while it is in the nearest cache.
//
// The register tile's sums go straight to the result where the epilogue is nothing but its store.
#include "codegen/gemm.h"

#include "base/diag.h"
#include "codegen/matrix.h"
#include "codegen/micro.h"
#include "codegen/panel.h"
#include "codegen/runs.h"

enum {
    MOST_DEPTH = 768,    // of a block of k: rows and a panel of it stay in the second cache
    BLOCK_ROWS = 96,     // of a task: with MOST_DEPTH the left block takes 300 KiB
    PAIR_DEPTH = 3072,   // the same in pairs: sums leave their registers as seldom as can be
    PAIR_ROWS = 256,     // of a task in pairs; fewer where
    PAIR_BLOCK = 786432, // the left block would take more bytes
    PAIR_SUMS = 1 << 18, // of a task in pairs, between blocks of k: 1 MiB
    VECTOR_ROWS = 48,    // whole tiles and whole vectors, of 16 lanes and of 8
    FEW_TASKS = 24,      // split columns too when rows give fewer tasks
    LEAST_COLUMNS = 256, // of a task; twice that to earn a copy of the left block
    SET_STRIDE = 1024    // rows so many floats apart fall on one set of the first cache
};

static int64_t div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

// Element (row, column) of a matrix at base + row * stride + column of a buffer; base depends on
// the batch only.
typedef struct Plain {
    bool is;
    uint32_t buffer;
    int64_t stride;
    IndexId base;
} Plain;

static Plain plain_matrix(const KernelBody *body, uint32_t buffer, IndexId index)
{
    IndexPool *pool = (IndexPool *)&body->index;
    Plain p = {.buffer = buffer};
    int64_t one = 0;
    p.is = index_affine(pool, index, 2, &one, &p.base) &&
           (one == 1 || body->axes.at[2].size == 1) &&
           index_affine(pool, p.base, 1, &p.stride, &p.base);
    return p;
}

// The left operand, where it can be read in place.
static Plain plain_left(const Kernel *k)
{
    const KernelInstr *in = &k->gemm.a.code.at[k->gemm.a.code.n - 1];
    if (in->kind != KI_LOAD || in->nguards || in->dtype != DT_F32) return (Plain){0};
    Plain p = plain_matrix(&k->gemm.a, in->buffer, in->index);
    if (p.stride % SET_STRIDE == 0) p.is = false;
    return p;
}

// ---- which axis the elements of an operand lie along
// --------------------------------------------------

// How the left operand is read: in place, or copied along m or k, run by run.
typedef struct Left {
    Plain plain;
    bool along_m;
    Runs runs; // of the axis that it is copied along
} Left;

static Left left_of(Arena *arena, const Kernel *k, uint32_t lanes)
{
    Left l = {.plain = plain_left(k)};
    if (l.plain.is) return l;
    Runs along_m;
    runs_find(&along_m, arena, &k->gemm.a, 1, lanes);
    runs_find(&l.runs, arena, &k->gemm.a, 2, lanes);
    l.along_m = panel_runs_along(&k->gemm.a, 1, 2) || along_m.cost < l.runs.cost;
    if (l.along_m) l.runs = along_m;
    return l;
}

// ---- blocks
// -------------------------------------------------------------------------------------------

typedef struct Blocks {
    Tiling tile;
    int64_t mc, nc, kc; // rows of a task, its panels; steps of a block of k
    int64_t mblocks, nblocks, kblocks, panels;
} Blocks;

static int64_t least_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t up(int64_t n, int64_t to)
{
    return div_up(n, to) * to;
}

// Steps of a block of k: whole tile registers; or whole runs where the left operand is copied along
// k, else whole vectors.
static int64_t block_depth(const Tiling *tile, int64_t k, const Left *left, uint32_t lanes)
{
    if (tile->pairs) return up(div_up(k, div_up(k, PAIR_DEPTH)), MATRIX_DEPTH);
    int64_t kc = div_up(k, div_up(k, MOST_DEPTH));
    if (left->plain.is || kc == k) return kc;
    int64_t runs = up(kc, left->runs.length);
    return !left->along_m && runs <= MOST_DEPTH ? runs : up(kc, lanes);
}

static Blocks blocks_of(const Kernel *k, const Left *left, const Target *target)
{
    Blocks b = {.tile = tiling_of(target, k)};
    const int64_t mr = b.tile.mr, nr = b.tile.nr;
    b.kc = block_depth(&b.tile, k->gemm.k, left, target->lanes);
    b.kblocks = div_up(k->gemm.k, b.kc);
    b.panels = div_up(k->gemm.n, nr);
    b.mc = BLOCK_ROWS / mr * mr;
    if (b.tile.pairs) {
        b.mc = least_of(PAIR_ROWS, PAIR_BLOCK / 2 / b.kc / mr * mr);
        b.mc = least_of(b.mc, up(k->gemm.m, mr));
    }
    b.mblocks = div_up(k->gemm.m, b.mc);
    // Even blocks of whole tiles; where they are many and copied along m, of whole vectors too.
    int64_t unit = !b.tile.pairs && left->along_m && b.mblocks > 2 ? VECTOR_ROWS : mr;
    if (b.mblocks > 1) b.mc = up(div_up(k->gemm.m, b.mblocks), unit);
    b.mblocks = div_up(k->gemm.m, b.mc);
    int64_t rows = b.mblocks * k->gemm.batch,
            split = rows >= FEW_TASKS ? 1 : div_up(FEW_TASKS, rows);
    int64_t most = k->gemm.n / (left->plain.is ? LEAST_COLUMNS : 2 * LEAST_COLUMNS);
    if (split > most) split = most > 0 ? most : 1;
    if (b.tile.pairs && b.kblocks > 1)
        split = most_of(split, div_up(b.panels * nr * b.mc, PAIR_SUMS));
    b.nc = div_up(b.panels, split);
    b.nblocks = div_up(b.panels, b.nc);
    return b;
}

static int64_t product_tasks(const Kernel *k, const Target *target)
{
    Arena *arena = arena_new();
    Left left = left_of(arena, k, target->lanes);
    Blocks b = blocks_of(k, &left, target);
    arena_free(arena);
    return k->gemm.batch * b.mblocks * b.nblocks;
}

int64_t gemm_tasks(const Target *t, const Kernel *k)
{
    switch (k->kind) {
    case KERNEL_PACK: return gemm_pack_tasks(t, k);
    case KERNEL_GEMM: return product_tasks(k, t);
    case KERNEL_ATTENTION:
    case KERNEL_ATTENTION_GRAD:
    case KERNEL_ATTENTION_BIAS_GRAD: return emit_attention_tasks(k, t);
    case KERNEL_SCATTER: return k->scatter.batch * div_up(k->scatter.rows, 1024);
    case KERNEL_CUMSUM:
    case KERNEL_TOPK:
    case KERNEL_NMS:
    case KERNEL_EIGH: return k->ordered.rows;
    case KERNEL_LISTS:
    case KERNEL_LOOP: break;
    }
    return k->tasks;
}

// The result, where the epilogue is its store alone.
static Plain plain_result(const Kernel *k)
{
    if (k->body.stores.n != 1) return (Plain){0};
    const KernelStore *s = &k->body.stores.at[0];
    const KernelInstr *in = &k->body.code.at[s->value];
    if (in->kind != KI_ACC || in->dtype != DT_F32 || s->kind != STORE_PLAIN || s->nguards)
        return (Plain){0};
    return plain_matrix(&k->body, s->buffer, s->index);
}

// ---- the product --------------------------------------------------------------------------------

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

static LLVMValueRef most(Emit *e, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSGT, x, y, ""), x, y, "");
}

static LLVMTypeRef vector(const Emit *e)
{
    return emit_vector_type(e, e->t.f32);
}

typedef struct Product {
    Emit *e;
    const Kernel *k;
    Blocks b;
    Left left;
    Plain result;
    bool whole_vectors; // every run of a copied block

    int64_t ars, aks;                     // strides of the left block, in elements
    LLVMTypeRef element;                  // of the copied block
    LLVMValueRef batch, m0, rows, p0, p1; // this task: its rows from m0, panels [p0, p1)
    LLVMValueRef a, c,
        out; // copied block and sums in scratch; the batch's result where it is plain
    LLVMValueRef copy, strip;     // scratch of the copied block; of what is turned into it
    LLVMValueRef k0, depth, last; // this block of k; is it the last
} Product;

// ---- its left block -----------------------------------------------------------------------------

// Elements from row to row of a copied block (of f32 along m: from step to step): whole cache
// lines, not a multiple of a page.
static int64_t copy_stride(const Blocks *b, bool along_m)
{
    if (b->tile.pairs) return b->kc + MATRIX_DEPTH;
    return along_m ? up(b->mc, 16) : up(b->kc, 16) + 16;
}

// The same of a strip: MATRIX_DEPTH steps of bf16 along m, with room behind them for a register.
static int64_t strip_stride(const Blocks *b)
{
    return b->mc + MATRIX_DEPTH;
}

static int64_t copy_bytes(const Left *left, const Blocks *b)
{
    if (left->plain.is) return 0;
    if (b->tile.pairs) return 2 * b->mc * copy_stride(b, false);
    return 4 * up((left->along_m ? b->kc : b->mc) * copy_stride(b, left->along_m) + 16, 16);
}

static int64_t strip_bytes(const Left *left, const Blocks *b)
{
    return b->tile.pairs && left->along_m ? 2 * MATRIX_DEPTH * strip_stride(b) : 0;
}

static int64_t sum_bytes(const Blocks *b)
{
    int64_t tiles = b->kblocks == 1 ? 1 : b->mc / b->tile.mr * b->nc;
    return 4 * tiles * b->tile.mr * b->tile.nr;
}

int64_t emit_gemm_worker_bytes(const Kernel *k, const Target *target)
{
    Arena *arena = arena_new();
    Left left = left_of(arena, k, target->lanes);
    Blocks b = blocks_of(k, &left, target);
    arena_free(arena);
    return copy_bytes(&left, &b) + strip_bytes(&left, &b) + sum_bytes(&b) + 256;
}

// Lines of the left operand side by side: of rows, or along m of steps.
typedef struct Lines {
    LLVMValueRef first, n;      // axis outside
    LLVMValueRef start, inside; // axis inside, that of the vectors: from, how many
    LLVMValueRef to;
    int64_t stride;
} Lines;

static void store_elements(const Product *p, LLVMValueRef x, LLVMValueRef to, LLVMValueRef at)
{
    Emit *e = p->e;
    bool pairs = p->b.tile.pairs;
    emit_store(e, pairs ? emit_narrow(e, DT_BF16, x) : x, emit_at(e, p->element, to, at),
               pairs ? 2 : 4);
}

// Elements lo .. hi - 1 of a run, to `at` + the place in the run.
static void copy_run(Product *p, LLVMValueRef lo, LLVMValueRef hi, LLVMValueRef to, LLVMValueRef at)
{
    Emit *e = p->e;
    int64_t lanes = e->lanes;
    LLVMValueRef count = LLVMBuildSub(e->builder, hi, lo, "");
    LLVMValueRef whole = add(e, lo, LLVMBuildAnd(e->builder, count, emit_i64(e, -lanes), ""));
    for (int tail = 0; tail < (p->whole_vectors ? 1 : 2); tail++) {
        EmitLoop i = emit_loop_begin(e, tail ? whole : lo, tail ? hi : whole, lanes, NULL, 0);
        e->axis[p->left.runs.inside] = i.index;
        LLVMValueRef x = panel_here(e, tail ? panel_mask_below(e, i.index, hi) : NULL);
        store_elements(p, x, to, add(e, at, i.index)); // the stride leaves room for a register
        emit_loop_end(e, &i);
    }
}

static void copy_lines(Product *p, const Lines *l)
{
    Emit *e = p->e;
    bool along_m = p->left.along_m;
    LLVMValueRef end = add(e, l->start, l->inside);
    int64_t length = p->left.runs.length;
    bool single = length >= (along_m ? p->k->gemm.m : p->k->gemm.k);
    LLVMValueRef zero = emit_i64(e, 0), by = emit_i64(e, length), first = zero, last = zero;
    if (!single) {
        first = LLVMBuildUDiv(e->builder, l->start, by, "");
        last = LLVMBuildUDiv(e->builder, add(e, end, emit_i64(e, -1)), by, "");
    }
    e->axis[0] = p->batch;
    EmitLoop row = emit_loop_begin(e, zero, l->n, 1, NULL, 0);
    LLVMValueRef at = LLVMBuildSub(e->builder, mul(e, row.index, l->stride), l->start, "");
    e->axis[along_m ? 2 : 1] = add(e, l->first, row.index);
    EmitLoop run = emit_loop_begin(e, first, add(e, last, emit_i64(e, 1)), 1, NULL, 0);
    LLVMValueRef from = mul(e, run.index, length),
                 lo = LLVMBuildSub(e->builder, l->start, from, ""),
                 hi = LLVMBuildSub(e->builder, end, from, "");
    e->axis[along_m ? 1 : 2] = run.index;
    if (!single) {
        lo = most(e, lo, zero);
        hi = least(e, hi, by);
    }
    copy_run(p, lo, hi, l->to, add(e, at, from));
    emit_loop_end(e, &run);
    emit_loop_end(e, &row);
}

// Lines [from, to): so many elements of 0, where the depth is not one of whole tile registers.
static void zero_lines(Product *p, LLVMValueRef from, LLVMValueRef to, LLVMValueRef at,
                       int64_t stride, int64_t elements)
{
    Emit *e = p->e;
    EmitLoop row = emit_loop_begin(e, from, to, 1, NULL, 0);
    EmitLoop j = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, elements), e->lanes, NULL, 0);
    store_elements(p, LLVMConstNull(vector(e)), at, add(e, mul(e, row.index, stride), j.index));
    emit_loop_end(e, &j);
    emit_loop_end(e, &row);
}

// Pairs of a strip to rows, from step k of the block on.
static void turn_strip(Product *p, LLVMValueRef k)
{
    Emit *e = p->e;
    LLVMTypeRef line = emit_vector_type(e, e->t.i16);
    LLVMValueRef *x = arena_array(e->arena, LLVMValueRef, e->lanes);
    EmitLoop row = emit_loop_begin(e, emit_i64(e, 0), p->rows, MATRIX_ROWS, NULL, 0);
    for (int64_t u = 0; u < MATRIX_DEPTH / 2; u++) {
        LLVMValueRef step[2];
        for (int64_t i = 0; i < 2; i++) {
            LLVMValueRef at = add(e, row.index, emit_i64(e, (2 * u + i) * strip_stride(&p->b)));
            step[i] =
                emit_widen(e, DT_BF16, emit_load(e, line, emit_at(e, e->t.i16, p->strip, at), 32));
        }
        x[u] = panel_pair(e, step[0], step[1]);
    }
    micro_transpose(e, x);
    for (int64_t i = 0; i < MATRIX_ROWS; i++) {
        LLVMValueRef at = add(e, mul(e, add(e, row.index, emit_i64(e, i)), p->ars), k);
        emit_store(e, x[i], emit_at(e, e->t.i16, p->copy, at), 64);
    }
    emit_loop_end(e, &row);
}

// Rows of bf16 from an operand that lies along m.
static void copy_turned(Product *p)
{
    Emit *e = p->e;
    LLVMValueRef whole = emit_i64(e, MATRIX_DEPTH);
    int64_t stride = strip_stride(&p->b);
    EmitLoop k = emit_loop_begin(e, emit_i64(e, 0), p->depth, MATRIX_DEPTH, NULL, 0);
    LLVMValueRef steps = least(e, LLVMBuildSub(e->builder, p->depth, k.index, ""), whole);
    copy_lines(p, &(Lines){add(e, p->k0, k.index), steps, p->m0, p->rows, p->strip, stride});
    if (p->k->gemm.k % MATRIX_DEPTH) zero_lines(p, steps, whole, p->strip, stride, p->b.mc);
    turn_strip(p, k.index);
    emit_loop_end(e, &k);
}

// Copy this block of the left operand, with the axis that lies along the vectors inside.
static void copy_left(Product *p)
{
    Emit *e = p->e;
    bool pairs = p->b.tile.pairs, along_m = p->left.along_m;
    Lines rows = {p->m0, p->rows, p->k0, p->depth, p->copy, copy_stride(&p->b, along_m)},
          steps = {p->k0, p->depth, p->m0, p->rows, p->copy, copy_stride(&p->b, along_m)};
    if (pairs && along_m) {
        copy_turned(p);
        return;
    }
    if (pairs && p->k->gemm.k % MATRIX_DEPTH) {
        LLVMValueRef last = LLVMBuildAnd(e->builder, p->depth, emit_i64(e, -MATRIX_DEPTH), "");
        zero_lines(p, emit_i64(e, 0), p->rows, emit_at(e, p->element, p->copy, last), rows.stride,
                   MATRIX_DEPTH);
    }
    copy_lines(p, along_m ? &steps : &rows);
}

// ---- its tiles ----------------------------------------------------------------------------------

// The epilogue over a finished tile at c, its first element (m, n0), `columns` wide.
static void epilogue(Product *p, LLVMValueRef c, LLVMValueRef m, LLVMValueRef rows, LLVMValueRef n0,
                     int64_t columns)
{
    Emit *e = p->e, kept = *e;
    const KernelBody *body = &p->k->body;
    bool scalar = p->k->gemm.n == 1;
    emit_use_body(e, body, scalar ? UINT32_MAX : 2);
    EmitLoop row = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    for (int64_t j = 0; j < columns; j += e->lanes) {
        memset(e->memo, 0, body->code.n * sizeof *e->memo);
        e->axis[0] = p->batch;
        e->axis[1] = add(e, m, row.index);
        e->axis[2] = add(e, n0, emit_i64(e, j));
        e->mask = !scalar && columns - j < e->lanes ? emit_mask(e, (uint32_t)(columns - j)) : NULL;
        LLVMValueRef at =
            emit_at(e, e->t.f32, c, add(e, mul(e, row.index, p->b.tile.nr), emit_i64(e, j)));
        e->acc = emit_load(e, scalar ? e->t.f32 : vector(e), at, 4);
        for (uint32_t i = 0; i < body->stores.n; i++) emit_body_store(e, &body->stores.at[i]);
    }
    emit_loop_end(e, &row);
    *e = kept;
}

// The register tile for `rows` rows (a whole tile, or the last one of m) and the panel's first
// `used` columns.
static void call_tile(Product *p, int64_t crs, LLVMValueRef rows, int64_t used, LLVMValueRef a,
                      LLVMValueRef b, LLVMValueRef c)
{
    Emit *e = p->e;
    LLVMValueRef later = LLVMConstInt(e->t.i1, 0, false), depth = emit_i64(e, p->k->gemm.k);
    if (p->b.kblocks > 1) {
        later = LLVMBuildICmp(e->builder, LLVMIntNE, p->k0, emit_i64(e, 0), "");
        depth = p->depth;
    }
    Micro shape = {(uint32_t)p->b.tile.mr,
                   (uint32_t)p->b.tile.nr,
                   (uint32_t)used,
                   p->ars,
                   p->aks,
                   crs,
                   p->result.is};
    LLVMValueRef full = LLVMBuildICmp(e->builder, LLVMIntEQ, rows, emit_i64(e, p->b.tile.mr), "");
    LLVMBasicBlockRef after = emit_begin_if(e, full);
    micro_call(e, shape, a, b, depth, c, later);
    emit_end_if(e, after);
    shape.rows = (uint32_t)(p->k->gemm.m % p->b.tile.mr);
    if (!shape.rows) return;
    after = emit_begin_if(e, LLVMBuildNot(e->builder, full, ""));
    micro_call(e, shape, a, b, depth, c, later);
    emit_end_if(e, after);
}

// The same with tile registers, which write whole ones to scratch; one row of them where the last
// rows of m take no more.
static void call_matrix(Product *p, LLVMValueRef rows, LLVMValueRef a, LLVMValueRef b,
                        LLVMValueRef c)
{
    Emit *e = p->e;
    const Tiling *t = &p->b.tile;
    int64_t rest = p->k->gemm.m % t->mr;
    LLVMValueRef later = LLVMBuildICmp(e->builder, LLVMIntNE, p->k0, emit_i64(e, 0), ""),
                 trips = LLVMBuildUDiv(e->builder, add(e, p->depth, emit_i64(e, MATRIX_DEPTH - 1)),
                                       emit_i64(e, MATRIX_DEPTH), "");
    Matrix shape = {2, (uint32_t)t->nr / MATRIX_ROWS, p->ars, t->nr};
    if (!rest || rest > MATRIX_ROWS) {
        matrix_call(e, shape, a, b, trips, c, later);
        return;
    }
    LLVMValueRef half = LLVMBuildICmp(e->builder, LLVMIntSLE, rows, emit_i64(e, MATRIX_ROWS), "");
    LLVMBasicBlockRef after = emit_begin_if(e, LLVMBuildNot(e->builder, half, ""));
    matrix_call(e, shape, a, b, trips, c, later);
    emit_end_if(e, after);
    after = emit_begin_if(e, half);
    shape.rows = 1;
    matrix_call(e, shape, a, b, trips, c, later);
    emit_end_if(e, after);
}

// Where this block of k begins in a panel.
static LLVMValueRef panel_at(Product *p, LLVMValueRef panel)
{
    Emit *e = p->e;
    const Tiling *t = &p->b.tile;
    LLVMValueRef which = add(e, panel, mul(e, p->batch, p->b.panels)),
                 first = mul(e, p->k0, t->pairs ? t->nr / 2 : t->nr);
    first = add(e, mul(e, which, tiling_units(t, p->k->gemm.k) * t->nr), first);
    return emit_at(e, e->t.f32, e->base[p->k->gemm.packed], first);
}

// Tile number `tile` of the block in a panel with `columns` columns.
static void one_tile(Product *p, LLVMValueRef tile, LLVMValueRef panel, int64_t columns)
{
    Emit *e = p->e;
    const int64_t mr = p->b.tile.mr, nr = p->b.tile.nr;
    LLVMValueRef first = mul(e, tile, mr), m = add(e, p->m0, first), n0 = mul(e, panel, nr);
    LLVMValueRef rows = least(e, LLVMBuildSub(e->builder, p->rows, first, ""), emit_i64(e, mr));
    LLVMValueRef a = emit_at(e, p->element, p->a, mul(e, first, p->ars)), b = panel_at(p, panel),
                 c = p->c;
    if (p->result.is) {
        c = emit_at(e, e->t.f32, p->out, add(e, mul(e, m, p->result.stride), n0));
        call_tile(p, p->result.stride, rows, columns, a, b, c);
        return;
    }
    if (p->b.kblocks > 1) {
        LLVMValueRef which = mul(e, LLVMBuildSub(e->builder, panel, p->p0, ""), p->b.mc / mr);
        c = emit_at(e, e->t.f32, p->c, mul(e, add(e, which, tile), mr * nr));
    }
    if (p->b.tile.pairs)
        call_matrix(p, rows, a, b, c);
    else
        call_tile(p, nr, rows, least_of(up(columns, e->lanes), nr), a, b, c);
    LLVMBasicBlockRef after = emit_begin_if(e, p->last);
    epilogue(p, c, m, rows, n0, columns);
    emit_end_if(e, after);
}

// All tiles of the block against its panels [from, to) with `columns` columns each.
static void panels(Product *p, LLVMValueRef from, LLVMValueRef to, int64_t columns)
{
    Emit *e = p->e;
    const int64_t mr = p->b.tile.mr;
    LLVMValueRef tiles =
        LLVMBuildUDiv(e->builder, add(e, p->rows, emit_i64(e, mr - 1)), emit_i64(e, mr), "");
    EmitLoop panel = emit_loop_begin(e, from, to, 1, NULL, 0);
    EmitLoop tile = emit_loop_begin(e, emit_i64(e, 0), tiles, 1, NULL, 0);
    one_tile(p, tile.index, panel.index, columns);
    emit_loop_end(e, &tile);
    emit_loop_end(e, &panel);
}

// One block of k: the copy, whole panels, and the last one where it is not whole.
static void depth_block(Product *p)
{
    Emit *e = p->e;
    int64_t whole = p->k->gemm.n / p->b.tile.nr;
    const Plain *plain = &p->left.plain;
    if (plain->is)
        p->a = emit_at(e, e->t.f32, e->base[plain->buffer],
                       add(e, emit_index(e, plain->base), add(e, mul(e, p->m0, p->ars), p->k0)));
    else
        copy_left(p);
    LLVMValueRef middle = least(e, p->p1, emit_i64(e, whole));
    if (whole) panels(p, p->p0, middle, p->b.tile.nr);
    if (whole < p->b.panels)
        panels(p, whole ? middle : p->p0, p->p1, p->k->gemm.n - whole * p->b.tile.nr);
}

static void set_task(Product *p, LLVMValueRef task)
{
    Emit *e = p->e;
    LLVMValueRef n = emit_i64(e, p->b.nblocks), m = emit_i64(e, p->b.mblocks);
    LLVMValueRef row = LLVMBuildUDiv(e->builder, task, n, "");
    p->p0 = mul(e, LLVMBuildURem(e->builder, task, n, ""), p->b.nc);
    p->p1 = least(e, add(e, p->p0, emit_i64(e, p->b.nc)), emit_i64(e, p->b.panels));
    p->batch = LLVMBuildUDiv(e->builder, row, m, "");
    p->m0 = mul(e, LLVMBuildURem(e->builder, row, m, ""), p->b.mc);
    p->rows = least(e, LLVMBuildSub(e->builder, emit_i64(e, p->k->gemm.m), p->m0, ""),
                    emit_i64(e, p->b.mc));
    if (p->result.is) {
        Emit kept = *e;
        emit_use_body(e, &p->k->body, UINT32_MAX);
        e->axis[0] = p->batch;
        p->out = emit_at(e, e->t.f32, e->base[p->result.buffer], emit_index(e, p->result.base));
        *e = kept;
    }
    e->axis[0] = p->batch;
}

// Do runs, and the blocks that cut them, begin and end at multiples of the lanes?
static bool whole_vectors(const Product *p)
{
    int64_t block = p->left.along_m ? p->b.mc : p->b.kc,
            size = p->left.along_m ? p->k->gemm.m : p->k->gemm.k, lanes = p->e->lanes;
    return p->left.runs.length % lanes == 0 && block % lanes == 0 && size % lanes == 0;
}

// What of a product does not change from task to task.
static Product product_of(Emit *e)
{
    const Kernel *k = e->kernel;
    Product p = {.e = e, .k = k, .left = left_of(e->arena, k, e->lanes), .result = plain_result(k)};
    p.b = blocks_of(k, &p.left, e->target);
    const Plain *plain = &p.left.plain;
    bool pairs = p.b.tile.pairs, turned = p.left.along_m && !pairs;
    p.result.is &= !pairs;
    p.element = pairs ? e->t.i16 : e->t.f32;
    p.ars = plain->is ? plain->stride : turned ? 1 : copy_stride(&p.b, false);
    p.aks = turned ? copy_stride(&p.b, true) : 1;
    p.whole_vectors = whole_vectors(&p);
    p.copy = p.a = e->worker;
    p.strip = emit_at(e, e->t.i8, e->worker, emit_i64(e, copy_bytes(&p.left, &p.b)));
    p.c = emit_at(e, e->t.i8, p.strip, emit_i64(e, strip_bytes(&p.left, &p.b)));
    return p;
}

void emit_gemm_kernel(Emit *e)
{
    Product p = product_of(e);
    if (p.b.tile.pairs) matrix_begin(e);
    if (p.left.plain.is)
        emit_use_body(e, &p.k->gemm.a, 2);
    else
        emit_use_body(e, &p.left.runs.body, p.left.runs.inside);
    panel_check_f32(e);
    EmitLoop task = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    set_task(&p, task.index);
    LLVMValueRef all = emit_i64(e, p.k->gemm.k);
    EmitLoop block = emit_loop_begin(e, emit_i64(e, 0), all, p.b.kc, NULL, 0);
    p.k0 = block.index;
    p.depth = LLVMBuildSub(e->builder, least(e, block.next, all), block.index, "");
    p.last = LLVMBuildICmp(e->builder, LLVMIntSGE, block.next, all, "");
    depth_block(&p);
    emit_loop_end(e, &block);
    emit_loop_end(e, &task);
    if (p.b.tile.pairs) matrix_end(e);
}
