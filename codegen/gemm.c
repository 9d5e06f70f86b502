// The contraction generator. The right operand is packed once by a kernel of its own into panels of
// NR columns
// ([panel][k][NR], zero-filled). A task of the product takes a block of rows (and of columns, where
// rows alone make too few tasks) and runs the register tile, KC steps of k at a time, panel by
// panel over the rows of the block, which stay in the second cache while panels come and go. Rows
// of a plain f32 left operand are read where they lie; any other (computed, in 16 bits or 8, transposed,
// or all its rows on one set of the first cache) is first copied to the worker's scratch, as f32,
// along the axis and in the runs in which its elements lie side by side (codegen/runs.h): windows
// of an image, that is convolutions, are copied like any matrix.
// Between blocks of k the sums stay as f32 in memory, so every dot product is one fma chain in
// rising k. After the last block the epilogue body runs over the tile while it is in the nearest
// cache.
//
// Sums go straight to the result where the epilogue is nothing but its store.
#include "codegen/gemm.h"

#include "base/diag.h"
#include "codegen/micro.h"
#include "codegen/runs.h"

enum {
    MOST_DEPTH = 768,    // of a block of k: rows and a panel of it stay in the second cache
    BLOCK_ROWS = 96,     // of a task: with MOST_DEPTH the left block takes 300 KiB
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

// True when loads run contiguously along `axis` and not along `other`.
static bool runs_along(const KernelBody *body, uint32_t axis, uint32_t other)
{
    IndexPool *pool = (IndexPool *)&body->index;
    bool along = false;
    for (uint32_t i = 0; i < body->code.n; i++) {
        const KernelInstr *in = &body->code.at[i];
        if (in->kind != KI_LOAD) continue;
        int64_t c = 0, d = 0;
        IndexId rest;
        if (!index_affine(pool, in->index, axis, &c, &rest)) return false;
        bool affine = index_affine(pool, in->index, other, &d, &rest);
        if (c == 1 && !(affine && d == 1)) along = true;
    }
    return along;
}

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
    l.along_m = runs_along(&k->gemm.a, 1, 2) || along_m.cost < l.runs.cost;
    if (l.along_m) l.runs = along_m;
    return l;
}

// ---- blocks
// -------------------------------------------------------------------------------------------

typedef struct Blocks {
    int64_t mr, nr, mc, nc, kc; // tile, block of a task, block of k
    int64_t mblocks, nblocks, kblocks, panels;
} Blocks;

static int64_t up(int64_t n, int64_t to)
{
    return div_up(n, to) * to;
}

// Steps of a block of k: whole runs where the left operand is copied along k, else whole vectors.
static int64_t block_depth(int64_t k, const Left *left, uint32_t lanes)
{
    int64_t kc = div_up(k, div_up(k, MOST_DEPTH));
    if (left->plain.is || kc == k) return kc;
    int64_t runs = up(kc, left->runs.length);
    return !left->along_m && runs <= MOST_DEPTH ? runs : up(kc, lanes);
}

static Blocks blocks_of(const Kernel *k, const Left *left, uint32_t lanes)
{
    Blocks b = {.mr = micro_mr(lanes), .nr = micro_columns(lanes, k->gemm.n)};
    b.kc = block_depth(k->gemm.k, left, lanes);
    b.kblocks = div_up(k->gemm.k, b.kc);
    b.panels = div_up(k->gemm.n, b.nr);
    b.mc = BLOCK_ROWS / b.mr * b.mr;
    b.mblocks = div_up(k->gemm.m, b.mc);
    // Even blocks of whole tiles; where they are many and copied along m, of whole vectors too.
    int64_t unit = left->along_m && b.mblocks > 2 ? VECTOR_ROWS : b.mr;
    if (b.mblocks > 1) b.mc = up(div_up(k->gemm.m, b.mblocks), unit);
    b.mblocks = div_up(k->gemm.m, b.mc);
    int64_t rows = b.mblocks * k->gemm.batch,
            split = rows >= FEW_TASKS ? 1 : div_up(FEW_TASKS, rows);
    int64_t most = k->gemm.n / (left->plain.is ? LEAST_COLUMNS : 2 * LEAST_COLUMNS);
    if (split > most) split = most > 0 ? most : 1;
    b.nc = div_up(b.panels, split); // in panels
    b.nblocks = div_up(b.panels, b.nc);
    return b;
}

int64_t gemm_packed_count(const Target *t, int64_t batch, int64_t n, int64_t k)
{
    int64_t nr = micro_columns(t->lanes, n);
    return batch * div_up(n, nr) * nr * k;
}

static int64_t product_tasks(const Kernel *k, uint32_t lanes)
{
    Arena *arena = arena_new();
    Left left = left_of(arena, k, lanes);
    Blocks b = blocks_of(k, &left, lanes);
    arena_free(arena);
    return k->gemm.batch * b.mblocks * b.nblocks;
}

int64_t gemm_tasks(const Target *t, const Kernel *k)
{
    switch (k->kind) {
    case KERNEL_PACK: return k->gemm.batch * div_up(k->gemm.n, micro_columns(t->lanes, k->gemm.n));
    case KERNEL_GEMM: return product_tasks(k, t->lanes);
    case KERNEL_ATTENTION:
    case KERNEL_ATTENTION_GRAD:
    case KERNEL_ATTENTION_BIAS_GRAD: return emit_attention_tasks(k, t->lanes);
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

// ---- packing
// -----------------------------------------------------------------------------------------

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

// Lanes from `start` that are below `end` (i64): the mask of the vector there.
static LLVMValueRef mask_below(Emit *e, LLVMValueRef start, LLVMValueRef end)
{
    LLVMValueRef at = LLVMBuildAdd(e->builder, emit_splat(e, start), emit_iota(e), "");
    return LLVMBuildICmp(e->builder, LLVMIntSLT, at, emit_splat(e, end), "");
}

// The vector of elements at this point, 0 where the mask (NULL: none) is off.
static LLVMValueRef elements_here(Emit *e, LLVMValueRef mask)
{
    emit_forget(e, UINT64_MAX);
    e->mask = mask;
    LLVMValueRef x = emit_splat(e, emit_value(e, e->body->code.n - 1));
    e->mask = NULL;
    return mask ? LLVMBuildSelect(e->builder, mask, x, LLVMConstNull(vector(e)), "") : x;
}

// The same at (axis 1, axis 2).
static LLVMValueRef elements(Emit *e, LLVMValueRef one, LLVMValueRef two, LLVMValueRef mask)
{
    e->axis[1] = one;
    e->axis[2] = two;
    return elements_here(e, mask);
}

// Elements of operands are f32 registers: f32, or narrower floats that the body widened.
static void check_f32(const Emit *e)
{
    DType dt = e->body->code.at[e->body->code.n - 1].dtype;
    if (!dtype_is_float(dt) || emit_type(e, dt) != e->t.f32)
        bug("contraction of %s", dtype_name(dt));
}

// The first `width` lanes of x.
static void store_lanes(Emit *e, LLVMValueRef x, LLVMValueRef at, uint32_t width)
{
    LLVMValueRef *pick = arena_array(e->arena, LLVMValueRef, width);
    for (uint32_t i = 0; i < width; i++) pick[i] = LLVMConstInt(e->t.i32, i, false);
    if (width < e->lanes)
        x = LLVMBuildShuffleVector(e->builder, x, LLVMGetPoison(LLVMTypeOf(x)),
                                   LLVMConstVector(pick, width), "");
    emit_store(e, x, at, 4);
}

typedef struct Panel {
    LLVMValueRef n0, to; // its first column, its memory
    int64_t n, depth, nr;
    uint32_t width;     // columns of a register: lanes, or fewer where a panel is narrower
    LLVMValueRef block; // lanes x lanes floats, to be transposed
} Panel;

// Columns n0 .. n0 + nr, read along n.
static void pack_along_n(Emit *e, const Panel *p)
{
    EmitLoop k = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, p->depth), 1, NULL, 0);
    for (int64_t j = 0; j < p->nr; j += e->lanes) {
        LLVMValueRef n = add(e, p->n0, emit_i64(e, j)),
                     at = add(e, mul(e, k.index, p->nr), emit_i64(e, j));
        bool partial = p->n % p->nr || p->width < e->lanes;
        LLVMValueRef x =
            elements(e, n, k.index, partial ? mask_below(e, n, emit_i64(e, p->n)) : NULL);
        store_lanes(e, x, emit_at(e, e->t.f32, p->to, at), p->width);
    }
    emit_loop_end(e, &k);
}

// One square of a panel: `columns` columns from n, `steps` steps of k, read along k and transposed.
static void pack_square(Emit *e, const Panel *p, LLVMValueRef n, LLVMValueRef columns,
                        LLVMValueRef k, uint32_t steps, int64_t j)
{
    LLVMValueRef *x = arena_array(e->arena, LLVMValueRef, e->lanes),
                 mask = steps < e->lanes ? emit_mask(e, steps) : NULL;
    EmitLoop c = emit_loop_begin(e, emit_i64(e, 0), columns, 1, NULL, 0);
    LLVMValueRef row = elements(e, add(e, n, c.index), k, mask);
    emit_store(e, row, emit_at(e, e->t.f32, p->block, mul(e, c.index, e->lanes)), 64);
    emit_loop_end(e, &c);
    for (uint32_t i = 0; i < e->lanes; i++)
        x[i] = emit_load(e, vector(e),
                         emit_at(e, e->t.f32, p->block, emit_i64(e, (int64_t)i * e->lanes)),
                         e->lanes * 4);
    micro_transpose(e, x);
    LLVMValueRef to = emit_at(e, e->t.f32, p->to, add(e, mul(e, k, p->nr), emit_i64(e, j)));
    for (uint32_t i = 0; i < steps; i++)
        store_lanes(e, x[i], emit_at(e, e->t.f32, to, emit_i64(e, i * p->nr)), p->width);
}

// The same read along k; columns that are not there stay 0 in the block.
static void pack_along_k(Emit *e, const Panel *p)
{
    LLVMValueRef zero = emit_i64(e, 0), lanes = emit_i64(e, e->lanes);
    int64_t whole = p->depth / e->lanes * e->lanes;
    for (int64_t j = 0; j < p->nr; j += e->lanes) {
        LLVMValueRef n = add(e, p->n0, emit_i64(e, j)), columns = lanes;
        if (p->n % e->lanes || p->n % p->nr) {
            for (int64_t i = 0; i < e->lanes; i++)
                emit_store(e, LLVMConstNull(vector(e)),
                           emit_at(e, e->t.f32, p->block, emit_i64(e, i * e->lanes)), e->lanes * 4);
            columns = least(e, lanes, LLVMBuildSub(e->builder, emit_i64(e, p->n), n, ""));
        }
        EmitLoop k = emit_loop_begin(e, zero, emit_i64(e, whole), e->lanes, NULL, 0);
        pack_square(e, p, n, columns, k.index, e->lanes, j);
        emit_loop_end(e, &k);
        if (p->depth > whole)
            pack_square(e, p, n, columns, emit_i64(e, whole), (uint32_t)(p->depth - whole), j);
    }
}

void emit_pack_kernel(Emit *e)
{
    const Kernel *k = e->kernel;
    Panel p = {.n = k->gemm.n, .depth = k->gemm.k, .nr = micro_columns(e->lanes, k->gemm.n)};
    p.width = p.nr < e->lanes ? (uint32_t)p.nr : e->lanes;
    bool along_n = runs_along(&k->body, 1, 2);
    emit_use_body(e, &k->body, along_n ? 1 : 2);
    check_f32(e);
    p.block = LLVMBuildAlloca(e->builder, LLVMArrayType2(vector(e), e->lanes), "");
    LLVMSetAlignment(p.block, 64);
    EmitLoop task = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    LLVMValueRef size = emit_i64(e, div_up(p.n, p.nr));
    e->axis[0] = LLVMBuildUDiv(e->builder, task.index, size, "");
    p.n0 = mul(e, LLVMBuildURem(e->builder, task.index, size, ""), p.nr);
    p.to = emit_at(e, e->t.f32, e->base[k->gemm.packed], mul(e, task.index, p.nr * p.depth));
    if (along_n)
        pack_along_n(e, &p);
    else
        pack_along_k(e, &p);
    emit_loop_end(e, &task);
}

// ---- the product
// -----------------------------------------------------------------------------------------

static int64_t least_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

typedef struct Product {
    Emit *e;
    const Kernel *k;
    Blocks b;
    Left left;
    Plain result;
    bool whole_vectors; // every run of a copied block

    int64_t ars, aks;                     // strides of the left block
    LLVMValueRef batch, m0, rows, p0, p1; // this task: its rows from m0, panels [p0, p1)
    LLVMValueRef a, c,
        out;           // copied block and sums in scratch; the batch's result where it is plain
    LLVMValueRef copy; // scratch of the copied block
    LLVMValueRef k0, depth, last; // this block of k; is it the last
} Product;

// Floats from row to row of a copied block (along m: from step to step): whole cache lines, not a
// multiple of a page.
static int64_t copy_stride(const Blocks *b, bool along_m)
{
    return along_m ? up(b->mc, 16) : up(b->kc, 16) + 16;
}

static int64_t a_floats(const Left *left, const Blocks *b)
{
    if (left->plain.is) return 0;
    return (left->along_m ? b->kc : b->mc) * copy_stride(b, left->along_m) + 16;
}

static int64_t c_floats(const Blocks *b)
{
    int64_t tiles = b->kblocks == 1 ? 1 : b->mc / b->mr * b->nc;
    return tiles * b->mr * b->nr;
}

int64_t emit_gemm_worker_bytes(const Kernel *k, uint32_t lanes)
{
    Arena *arena = arena_new();
    Left left = left_of(arena, k, lanes);
    Blocks b = blocks_of(k, &left, lanes);
    arena_free(arena);
    return 4 * (up(a_floats(&left, &b), 16) + c_floats(&b)) + 256;
}

// Elements lo .. hi - 1 of a run, to `to` + the place in the run.
static void copy_run(Product *p, LLVMValueRef lo, LLVMValueRef hi, LLVMValueRef to)
{
    Emit *e = p->e;
    int64_t lanes = e->lanes;
    LLVMValueRef count = LLVMBuildSub(e->builder, hi, lo, "");
    LLVMValueRef whole = add(e, lo, LLVMBuildAnd(e->builder, count, emit_i64(e, -lanes), ""));
    for (int tail = 0; tail < (p->whole_vectors ? 1 : 2); tail++) {
        EmitLoop i = emit_loop_begin(e, tail ? whole : lo, tail ? hi : whole, lanes, NULL, 0);
        e->axis[p->left.runs.inside] = i.index;
        LLVMValueRef x = elements_here(e, tail ? mask_below(e, i.index, hi) : NULL);
        // The stride leaves room for a whole register.
        emit_store(e, x, emit_at(e, e->t.f32, p->copy, add(e, to, i.index)), 4);
        emit_loop_end(e, &i);
    }
}

// Copy this block of the left operand, with the axis that lies along the vectors inside.
static void copy_left(Product *p)
{
    Emit *e = p->e;
    bool along_m = p->left.along_m;
    LLVMValueRef outside = along_m ? p->depth : p->rows, inside = along_m ? p->rows : p->depth;
    LLVMValueRef start = along_m ? p->m0 : p->k0, end = add(e, start, inside);
    int64_t length = p->left.runs.length;
    bool single = length >= (along_m ? p->k->gemm.m : p->k->gemm.k);
    LLVMValueRef zero = emit_i64(e, 0), by = emit_i64(e, length), first = zero, last = zero;
    if (!single) {
        first = LLVMBuildUDiv(e->builder, start, by, "");
        last = LLVMBuildUDiv(e->builder, add(e, end, emit_i64(e, -1)), by, "");
    }
    e->axis[0] = p->batch;
    EmitLoop row = emit_loop_begin(e, zero, outside, 1, NULL, 0);
    LLVMValueRef to =
        LLVMBuildSub(e->builder, mul(e, row.index, copy_stride(&p->b, along_m)), start, "");
    e->axis[along_m ? 2 : 1] = add(e, along_m ? p->k0 : p->m0, row.index);
    EmitLoop run = emit_loop_begin(e, first, add(e, last, emit_i64(e, 1)), 1, NULL, 0);
    LLVMValueRef from = mul(e, run.index, length), lo = LLVMBuildSub(e->builder, start, from, ""),
                 hi = LLVMBuildSub(e->builder, end, from, "");
    e->axis[along_m ? 1 : 2] = run.index;
    if (!single) {
        lo = most(e, lo, zero);
        hi = least(e, hi, by);
    }
    copy_run(p, lo, hi, add(e, to, from));
    emit_loop_end(e, &run);
    emit_loop_end(e, &row);
}

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
            emit_at(e, e->t.f32, c, add(e, mul(e, row.index, p->b.nr), emit_i64(e, j)));
        e->acc = emit_load(e, scalar ? e->t.f32 : vector(e), at, 4);
        for (uint32_t i = 0; i < body->stores.n; i++) emit_body_store(e, &body->stores.at[i]);
    }
    emit_loop_end(e, &row);
    *e = kept;
}

// If (when) { begin_if .. end_if }.
static LLVMBasicBlockRef begin_if(Emit *e, LLVMValueRef when)
{
    LLVMBasicBlockRef yes = LLVMAppendBasicBlockInContext(e->context, e->function, "yes");
    LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(e->context, e->function, "after");
    LLVMBuildCondBr(e->builder, when, yes, after);
    LLVMPositionBuilderAtEnd(e->builder, yes);
    return after;
}

static void end_if(Emit *e, LLVMBasicBlockRef after)
{
    LLVMBuildBr(e->builder, after);
    LLVMPositionBuilderAtEnd(e->builder, after);
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
    Micro shape = {(uint32_t)p->b.mr, (uint32_t)p->b.nr, (uint32_t)used, p->ars, p->aks, crs,
                   p->result.is};
    LLVMValueRef full = LLVMBuildICmp(e->builder, LLVMIntEQ, rows, emit_i64(e, p->b.mr), "");
    LLVMBasicBlockRef after = begin_if(e, full);
    micro_call(e, shape, a, b, depth, c, later);
    end_if(e, after);
    shape.rows = (uint32_t)(p->k->gemm.m % p->b.mr);
    if (!shape.rows) return;
    after = begin_if(e, LLVMBuildNot(e->builder, full, ""));
    micro_call(e, shape, a, b, depth, c, later);
    end_if(e, after);
}

// Tile number `tile` of the block in a panel with `columns` columns.
static void one_tile(Product *p, LLVMValueRef tile, LLVMValueRef panel, int64_t columns)
{
    Emit *e = p->e;
    LLVMValueRef first = mul(e, tile, p->b.mr), m = add(e, p->m0, first),
                 n0 = mul(e, panel, p->b.nr);
    LLVMValueRef rows =
        least(e, LLVMBuildSub(e->builder, p->rows, first, ""), emit_i64(e, p->b.mr));
    LLVMValueRef a = emit_at(e, e->t.f32, p->a, mul(e, first, p->ars)), b = panel, c = p->c;
    b = add(e, b, mul(e, p->batch, p->b.panels));
    b = emit_at(e, e->t.f32, e->base[p->k->gemm.packed],
                add(e, mul(e, b, p->k->gemm.k * p->b.nr), mul(e, p->k0, p->b.nr)));
    if (p->result.is) {
        c = emit_at(e, e->t.f32, p->out, add(e, mul(e, m, p->result.stride), n0));
        call_tile(p, p->result.stride, rows, columns, a, b, c);
        return;
    }
    if (p->b.kblocks > 1) {
        LLVMValueRef which = mul(e, LLVMBuildSub(e->builder, panel, p->p0, ""), p->b.mc / p->b.mr);
        c = emit_at(e, e->t.f32, p->c, mul(e, add(e, which, tile), p->b.mr * p->b.nr));
    }
    call_tile(p, p->b.nr, rows, least_of(up(columns, e->lanes), p->b.nr), a, b, c);
    LLVMBasicBlockRef after = begin_if(e, p->last);
    epilogue(p, c, m, rows, n0, columns);
    end_if(e, after);
}

// All tiles of the block against its panels [from, to) with `columns` columns each.
static void panels(Product *p, LLVMValueRef from, LLVMValueRef to, int64_t columns)
{
    Emit *e = p->e;
    LLVMValueRef tiles = LLVMBuildUDiv(e->builder, add(e, p->rows, emit_i64(e, p->b.mr - 1)),
                                       emit_i64(e, p->b.mr), "");
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
    int64_t whole = p->k->gemm.n / p->b.nr;
    const Plain *plain = &p->left.plain;
    if (plain->is)
        p->a = emit_at(e, e->t.f32, e->base[plain->buffer],
                       add(e, emit_index(e, plain->base), add(e, mul(e, p->m0, p->ars), p->k0)));
    else
        copy_left(p);
    LLVMValueRef middle = least(e, p->p1, emit_i64(e, whole));
    if (whole) panels(p, p->p0, middle, p->b.nr);
    if (whole < p->b.panels)
        panels(p, whole ? middle : p->p0, p->p1, p->k->gemm.n - whole * p->b.nr);
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

void emit_gemm_kernel(Emit *e)
{
    const Kernel *k = e->kernel;
    Product p = {.e = e, .k = k, .left = left_of(e->arena, k, e->lanes), .result = plain_result(k)};
    p.b = blocks_of(k, &p.left, e->lanes);
    const Plain *plain = &p.left.plain;
    bool along_m = p.left.along_m;
    p.ars = plain->is ? plain->stride : along_m ? 1 : copy_stride(&p.b, false);
    p.aks = along_m ? copy_stride(&p.b, true) : 1;
    p.whole_vectors = whole_vectors(&p);
    p.copy = p.a = e->worker;
    p.c = emit_at(e, e->t.f32, e->worker, emit_i64(e, up(a_floats(&p.left, &p.b), 16)));
    if (plain->is)
        emit_use_body(e, &k->gemm.a, 2);
    else
        emit_use_body(e, &p.left.runs.body, p.left.runs.inside);
    check_f32(e);
    EmitLoop task = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    set_task(&p, task.index);
    LLVMValueRef all = emit_i64(e, k->gemm.k);
    EmitLoop block = emit_loop_begin(e, emit_i64(e, 0), all, p.b.kc, NULL, 0);
    p.k0 = block.index;
    p.depth = LLVMBuildSub(e->builder, least(e, block.next, all), block.index, "");
    p.last = LLVMBuildICmp(e->builder, LLVMIntSGE, block.next, all, "");
    depth_block(&p);
    emit_loop_end(e, &block);
    emit_loop_end(e, &task);
}
