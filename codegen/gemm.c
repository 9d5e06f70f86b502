// The contraction generator. The right operand is packed once by a kernel of its own into panels of NR columns
// ([panel][k][NR], zero-filled); each task of the product takes a block of rows (and of columns, where rows alone
// make too few tasks), copies its block of the left operand, KC steps at a time, into its worker's scratch, and runs the
// register tile over all panels. Between blocks of k the sums stay as f32 in scratch, so every dot product is one fma
// chain in rising k. After the last block the epilogue body runs over the tile while it is in the nearest cache.
//
// The left operand is read along k where that is its contiguous axis (tile rows lie KC apart), else along m.
#include "codegen/gemm.h"

#include "base/diag.h"
#include "codegen/micro.h"

enum {
    MOST_DEPTH = 768, // of a block of k: 12 rows and 32 columns of it stay in the first two caches
    BLOCK_ROWS = 120, // of a task: with MOST_DEPTH the left block takes 370 KiB
    FEW_TASKS = 16,   // split columns too when rows give fewer tasks
    LEAST_COLUMNS = 256
};

static int64_t div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

typedef struct Blocks {
    int64_t mr, nr, mc, nc, kc; // tile, block of a task, block of k
    int64_t mblocks, nblocks, kblocks, panels;
} Blocks;

static Blocks blocks_of(const Kernel *k, uint32_t lanes)
{
    Blocks b = {.mr = micro_mr(lanes), .nr = micro_nr(lanes)};
    b.kblocks = div_up(k->gemm.k, MOST_DEPTH);
    b.kc = div_up(k->gemm.k, b.kblocks);
    b.panels = div_up(k->gemm.n, b.nr);
    b.mc = BLOCK_ROWS / b.mr * b.mr;
    b.mblocks = div_up(k->gemm.m, b.mc);
    if (b.mblocks > 1) b.mc = div_up(div_up(k->gemm.m, b.mblocks), b.mr) * b.mr; // even blocks
    b.mblocks = div_up(k->gemm.m, b.mc);
    int64_t rows = b.mblocks * k->gemm.batch, split = rows >= FEW_TASKS ? 1 : div_up(FEW_TASKS, rows);
    int64_t most = k->gemm.n / LEAST_COLUMNS;
    if (split > most) split = most > 0 ? most : 1;
    b.nc = div_up(b.panels, split); // in panels
    b.nblocks = div_up(b.panels, b.nc);
    return b;
}

int64_t gemm_packed_count(const Target *t, int64_t batch, int64_t n, int64_t k)
{
    int64_t nr = micro_nr(t->lanes);
    return batch * div_up(n, nr) * nr * k;
}

int64_t gemm_tasks(const Target *t, const Kernel *k)
{
    Blocks b;
    int64_t outer = 1;
    switch (k->kind) {
    case KERNEL_PACK: return k->gemm.batch * div_up(k->gemm.n, micro_nr(t->lanes));
    case KERNEL_GEMM: b = blocks_of(k, t->lanes); return k->gemm.batch * b.mblocks * b.nblocks;
    case KERNEL_ATTENTION:
    case KERNEL_ATTENTION_GRAD:
        for (uint32_t i = 0; i < k->body.axes.n; i++) outer *= k->body.axes.at[i].size;
        return outer;
    case KERNEL_SCATTER: return k->scatter.batch * div_up(k->scatter.rows, 1024);
    case KERNEL_LOOP: break;
    }
    return k->tasks;
}

// ---- which axis the elements of an operand lie along --------------------------------------------------

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

// ---- packing -----------------------------------------------------------------------------------------

// One vector of elements at the current point, to `at` with lanes `stride` elements apart.
static void put_elements(Emit *e, LLVMValueRef at, int64_t stride)
{
    LLVMValueRef x = emit_value(e, e->body->code.n - 1);
    x = emit_splat(e, x);
    if (stride == 1 && !e->mask) {
        emit_store(e, x, at, 4);
        return;
    }
    LLVMTypeRef types[2] = {LLVMTypeOf(x), stride == 1 ? e->t.ptr : emit_vector_type(e, e->t.ptr)};
    const char *name = stride == 1 ? "llvm.masked.store" : "llvm.masked.scatter";
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (stride != 1) {
        LLVMValueRef index = LLVMBuildMul(e->builder, emit_iota(e), emit_splat(e, emit_i64(e, stride)), "");
        at = LLVMBuildGEP2(e->builder, e->t.f32, at, &index, 1, "");
    }
    LLVMValueRef args[4] = {x, at, LLVMConstInt(e->t.i32, 4, false), e->mask ? e->mask : emit_mask(e, e->lanes)};
    LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                   LLVMGetIntrinsicDeclaration(e->module, id, types, 2), args, 4, "");
}

// Lanes from `start` that are below `end` (i64): the mask of the vector there.
static LLVMValueRef mask_below(Emit *e, LLVMValueRef start, LLVMValueRef end)
{
    LLVMValueRef at = LLVMBuildAdd(e->builder, emit_splat(e, start), emit_iota(e), "");
    return LLVMBuildICmp(e->builder, LLVMIntSLT, at, emit_splat(e, end), "");
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

// Element type of operands is f32; anything else was cast by the body.
static void check_f32(const KernelBody *body)
{
    if (body->code.at[body->code.n - 1].dtype != DT_F32)
        bug("contraction of %s", dtype_name(body->code.at[body->code.n - 1].dtype));
}

// Columns n0 .. n0 + nr of one panel, read along n.
static void pack_along_n(Emit *e, LLVMValueRef n0, LLVMValueRef to, int64_t n, int64_t depth)
{
    uint32_t nr = micro_nr(e->lanes);
    EmitLoop k = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, depth), 1, NULL, 0);
    for (uint32_t j = 0; j < nr / e->lanes; j++) {
        emit_forget(e, UINT64_MAX);
        e->axis[1] = add(e, n0, emit_i64(e, (int64_t)j * e->lanes));
        e->axis[2] = k.index;
        LLVMValueRef used = n % nr ? mask_below(e, e->axis[1], emit_i64(e, n)) : NULL;
        e->mask = used;
        LLVMValueRef at = add(e, mul(e, k.index, nr), emit_i64(e, (int64_t)j * e->lanes));
        LLVMValueRef x = emit_splat(e, emit_value(e, e->body->code.n - 1));
        if (used) x = LLVMBuildSelect(e->builder, used, x, LLVMConstNull(LLVMTypeOf(x)), "");
        emit_store(e, x, emit_at(e, e->t.f32, to, at), 4);
    }
    emit_loop_end(e, &k);
}

static void pack_vector_along_k(Emit *e, LLVMValueRef k, LLVMValueRef column, LLVMValueRef to, LLVMValueRef mask)
{
    uint32_t nr = micro_nr(e->lanes);
    emit_forget(e, UINT64_MAX);
    e->axis[2] = k;
    e->mask = mask;
    put_elements(e, emit_at(e, e->t.f32, to, add(e, mul(e, k, nr), column)), nr);
    e->mask = NULL;
}

// The same read along k, and zeros for the columns that are not there.
static void pack_along_k(Emit *e, LLVMValueRef n0, LLVMValueRef to, int64_t n, int64_t depth)
{
    uint32_t nr = micro_nr(e->lanes);
    LLVMValueRef zero = emit_i64(e, 0), all = emit_i64(e, nr);
    if (n % nr) {
        EmitLoop clear = emit_loop_begin(e, zero, emit_i64(e, depth * nr), e->lanes, NULL, 0);
        emit_store(e, LLVMConstNull(emit_vector_type(e, e->t.f32)), emit_at(e, e->t.f32, to, clear.index), 4);
        emit_loop_end(e, &clear);
        all = least(e, all, LLVMBuildSub(e->builder, emit_i64(e, n), n0, ""));
    }
    int64_t whole = depth / e->lanes * e->lanes;
    EmitLoop column = emit_loop_begin(e, zero, all, 1, NULL, 0);
    e->axis[1] = add(e, n0, column.index);
    if (whole) {
        EmitLoop k = emit_loop_begin(e, zero, emit_i64(e, whole), e->lanes, NULL, 0);
        pack_vector_along_k(e, k.index, column.index, to, NULL);
        emit_loop_end(e, &k);
    }
    if (depth > whole)
        pack_vector_along_k(e, emit_i64(e, whole), column.index, to, emit_mask(e, (uint32_t)(depth - whole)));
    emit_loop_end(e, &column);
}

void emit_pack_kernel(Emit *e)
{
    const Kernel *k = e->kernel;
    int64_t nr = micro_nr(e->lanes), panels = div_up(k->gemm.n, nr), depth = k->gemm.k;
    bool along_n = runs_along(&k->body, 1, 2);
    emit_use_body(e, &k->body, along_n ? 1 : 2);
    check_f32(e->body);
    EmitLoop task = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    LLVMValueRef size = emit_i64(e, panels);
    e->axis[0] = LLVMBuildUDiv(e->builder, task.index, size, "");
    LLVMValueRef n0 = mul(e, LLVMBuildURem(e->builder, task.index, size, ""), nr);
    LLVMValueRef to = emit_at(e, e->t.f32, e->base[k->gemm.packed], mul(e, task.index, nr * depth));
    if (along_n)
        pack_along_n(e, n0, to, k->gemm.n, depth);
    else
        pack_along_k(e, n0, to, k->gemm.n, depth);
    emit_loop_end(e, &task);
}

// ---- the product -----------------------------------------------------------------------------------------

typedef struct Product {
    Emit *e;
    const Kernel *k;
    Blocks b;
    bool along_m;              // the left operand is read along m
    int64_t ars, aks, tile_a;  // strides in the copied block; floats of one row tile
    LLVMValueRef batch, m0, rows, p0, p1; // this task: its rows from m0, panels [p0, p1)
    LLVMValueRef a, c;         // scratch: copied block, sums
} Product;

static int64_t row_stride(const Blocks *b)
{
    return (b->kc + 15) / 16 * 16 + 16; // not a multiple of a page, whole cache lines
}

static int64_t a_floats(const Blocks *b)
{
    return b->mc * row_stride(b) + b->mc / b->mr * 16 * b->kc;
}

static int64_t c_floats(const Blocks *b)
{
    int64_t tiles = b->kblocks == 1 ? 1 : b->mc / b->mr * b->nc;
    return tiles * b->mr * b->nr;
}

int64_t emit_gemm_worker_bytes(const Kernel *k, uint32_t lanes)
{
    Blocks b = blocks_of(k, lanes);
    return 4 * (a_floats(&b) + c_floats(&b)) + 256;
}

// Copy rows of the left block for steps [k0, k0 + depth) along k: row r at r * ars.
static void copy_along_k(Product *p, LLVMValueRef k0, LLVMValueRef depth)
{
    Emit *e = p->e;
    EmitLoop row = emit_loop_begin(e, emit_i64(e, 0), p->rows, 1, NULL, 0);
    e->axis[0] = p->batch;
    e->axis[1] = add(e, p->m0, row.index);
    LLVMValueRef whole = LLVMBuildAnd(e->builder, depth, emit_i64(e, -(int64_t)e->lanes), "");
    LLVMValueRef to = emit_at(e, e->t.f32, p->a, mul(e, row.index, p->ars));
    for (int tail = 0; tail < 2; tail++) {
        EmitLoop k = emit_loop_begin(e, tail ? whole : emit_i64(e, 0), tail ? depth : whole, e->lanes, NULL, 0);
        emit_forget(e, UINT64_MAX);
        e->axis[2] = add(e, k0, k.index);
        e->mask = tail ? mask_below(e, k.index, depth) : NULL;
        put_elements(e, emit_at(e, e->t.f32, to, k.index), 1);
        e->mask = NULL;
        emit_loop_end(e, &k);
    }
    emit_loop_end(e, &row);
}

// The same along m: tile t at t * tile_a, its step k at k * aks, row r at r.
static void copy_along_m(Product *p, LLVMValueRef k0, LLVMValueRef depth)
{
    Emit *e = p->e;
    LLVMValueRef tiles = LLVMBuildUDiv(e->builder, add(e, p->rows, emit_i64(e, p->b.mr - 1)), emit_i64(e, p->b.mr), "");
    EmitLoop tile = emit_loop_begin(e, emit_i64(e, 0), tiles, 1, NULL, 0);
    LLVMValueRef first = mul(e, tile.index, p->b.mr);
    LLVMValueRef last = least(e, add(e, first, emit_i64(e, p->b.mr)), p->rows);
    LLVMValueRef mask = mask_below(e, first, last), to = emit_at(e, e->t.f32, p->a, mul(e, tile.index, p->tile_a));
    EmitLoop k = emit_loop_begin(e, emit_i64(e, 0), depth, 1, NULL, 0);
    emit_forget(e, UINT64_MAX);
    e->axis[0] = p->batch;
    e->axis[1] = add(e, p->m0, first);
    e->axis[2] = add(e, k0, k.index);
    e->mask = mask;
    put_elements(e, emit_at(e, e->t.f32, to, mul(e, k.index, p->aks)), 1);
    e->mask = NULL;
    emit_loop_end(e, &k);
    emit_loop_end(e, &tile);
}

// The epilogue over a finished tile: rows x nr at c, its first element (m, n0).
static void epilogue(Product *p, LLVMValueRef c, LLVMValueRef m, LLVMValueRef rows, LLVMValueRef n0)
{
    Emit *e = p->e;
    const KernelBody *body = &p->k->body;
    LLVMValueRef *axis = e->axis, *memo = e->memo;
    const KernelBody *a_body = e->body;
    IndexPool *a_pool = e->pool;
    uint32_t a_vector = e->vector_axis;
    emit_use_body(e, body, 2);
    EmitLoop row = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    for (uint32_t j = 0; j < (uint32_t)p->b.nr / e->lanes; j++) {
        emit_forget(e, UINT64_MAX);
        memset(e->memo, 0, body->code.n * sizeof *e->memo);
        e->axis[0] = p->batch;
        e->axis[1] = add(e, m, row.index);
        e->axis[2] = add(e, n0, emit_i64(e, (int64_t)j * e->lanes));
        e->mask = p->k->gemm.n % p->b.nr ? mask_below(e, e->axis[2], emit_i64(e, p->k->gemm.n)) : NULL;
        LLVMValueRef at = add(e, mul(e, row.index, p->b.nr), emit_i64(e, (int64_t)j * e->lanes));
        e->acc = emit_load(e, emit_vector_type(e, e->t.f32), emit_at(e, e->t.f32, c, at), 4);
        for (uint32_t i = 0; i < body->stores.n; i++) emit_body_store(e, &body->stores.at[i]);
    }
    emit_loop_end(e, &row);
    e->mask = NULL;
    e->body = a_body;
    e->pool = a_pool;
    e->vector_axis = a_vector;
    e->axis = axis;
    e->memo = memo;
}

// Tile t of `rows` rows (constant) in panel p.
static void one_tile(Product *p, LLVMValueRef tile, uint32_t rows, LLVMValueRef panel, LLVMValueRef k0,
                     LLVMValueRef depth, LLVMValueRef more)
{
    Emit *e = p->e;
    int64_t floats = p->b.mr * p->b.nr;
    LLVMValueRef b = add(e, mul(e, p->batch, p->b.panels), panel);
    b = add(e, mul(e, b, p->k->gemm.k * p->b.nr), mul(e, k0, p->b.nr));
    b = emit_at(e, e->t.f32, e->base[p->k->gemm.packed], b);
    LLVMValueRef c = p->c;
    if (p->b.kblocks > 1) {
        LLVMValueRef which = LLVMBuildSub(e->builder, panel, p->p0, "");
        which = add(e, mul(e, which, p->b.mc / p->b.mr), tile);
        c = emit_at(e, e->t.f32, p->c, mul(e, which, floats));
    }
    LLVMValueRef a = emit_at(e, e->t.f32, p->a, mul(e, tile, p->tile_a));
    LLVMValueRef later = LLVMBuildICmp(e->builder, LLVMIntNE, k0, emit_i64(e, 0), "");
    micro_call(e, (Micro){rows, p->ars, p->aks, p->b.nr}, a, b, depth, c, later);
    LLVMBasicBlockRef done = LLVMAppendBasicBlockInContext(e->context, e->function, "done");
    LLVMBasicBlockRef next = LLVMAppendBasicBlockInContext(e->context, e->function, "next");
    LLVMBuildCondBr(e->builder, more, next, done);
    LLVMPositionBuilderAtEnd(e->builder, done);
    epilogue(p, c, add(e, p->m0, mul(e, tile, p->b.mr)), emit_i64(e, rows), mul(e, panel, p->b.nr));
    LLVMBuildBr(e->builder, next);
    LLVMPositionBuilderAtEnd(e->builder, next);
}

// All tiles of the block against all its panels for steps [k0, k0 + depth).
static void tiles(Product *p, LLVMValueRef k0, LLVMValueRef depth)
{
    Emit *e = p->e;
    LLVMValueRef end = add(e, k0, depth);
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, end, emit_i64(e, p->k->gemm.k), "");
    LLVMValueRef full = LLVMBuildUDiv(e->builder, p->rows, emit_i64(e, p->b.mr), "");
    uint32_t rest = (uint32_t)(p->k->gemm.m % p->b.mr);
    EmitLoop tile = emit_loop_begin(e, emit_i64(e, 0), full, 1, NULL, 0);
    EmitLoop panel = emit_loop_begin(e, p->p0, p->p1, 1, NULL, 0);
    one_tile(p, tile.index, (uint32_t)p->b.mr, panel.index, k0, depth, more);
    emit_loop_end(e, &panel);
    emit_loop_end(e, &tile);
    if (!rest) return;
    LLVMBasicBlockRef some = LLVMAppendBasicBlockInContext(e->context, e->function, "rest");
    LLVMBasicBlockRef none = LLVMAppendBasicBlockInContext(e->context, e->function, "norest");
    LLVMValueRef whole = LLVMBuildICmp(e->builder, LLVMIntEQ, mul(e, full, p->b.mr), p->rows, "");
    LLVMBuildCondBr(e->builder, whole, none, some);
    LLVMPositionBuilderAtEnd(e->builder, some);
    panel = emit_loop_begin(e, p->p0, p->p1, 1, NULL, 0);
    one_tile(p, full, rest, panel.index, k0, depth, more);
    emit_loop_end(e, &panel);
    LLVMBuildBr(e->builder, none);
    LLVMPositionBuilderAtEnd(e->builder, none);
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
    p->rows = least(e, LLVMBuildSub(e->builder, emit_i64(e, p->k->gemm.m), p->m0, ""), emit_i64(e, p->b.mc));
}

void emit_gemm_kernel(Emit *e)
{
    Product p = {.e = e, .k = e->kernel, .b = blocks_of(e->kernel, e->lanes)};
    p.along_m = runs_along(&p.k->gemm.a, 1, 2);
    p.ars = p.along_m ? 1 : row_stride(&p.b);
    p.aks = p.along_m ? 16 : 1;
    p.tile_a = p.along_m ? 16 * p.b.kc : p.b.mr * p.ars;
    p.a = e->worker;
    p.c = emit_at(e, e->t.f32, e->worker, emit_i64(e, (a_floats(&p.b) + 15) / 16 * 16));
    emit_use_body(e, &p.k->gemm.a, p.along_m ? 1 : 2);
    check_f32(e->body);
    EmitLoop task = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    set_task(&p, task.index);
    LLVMValueRef all = emit_i64(e, p.k->gemm.k);
    EmitLoop block = emit_loop_begin(e, emit_i64(e, 0), all, p.b.kc, NULL, 0);
    LLVMValueRef depth = LLVMBuildSub(e->builder, least(e, block.next, all), block.index, "");
    if (p.along_m)
        copy_along_m(&p, block.index, depth);
    else
        copy_along_k(&p, block.index, depth);
    tiles(&p, block.index, depth);
    emit_loop_end(e, &block);
    emit_loop_end(e, &task);
}
