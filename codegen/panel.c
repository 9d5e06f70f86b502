// Packing: panels [panel][unit][NR], zero-filled, of the right operand of a product.
#include "codegen/panel.h"

#include "base/diag.h"
#include "codegen/gemm.h"
#include "codegen/matrix.h"
#include "codegen/micro.h"

enum {
    LEAST_DEPTH = 8,  // that tile registers are taken for, and
    LEAST_SHARE = 20, // the part of them, one in so many
    MOST_PANELS = 4,  // of a task
    LEAST_GROUPS = 24 // of a product, before tasks take more than one panel
};

static int64_t div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static DType element_of(const KernelBody *body)
{
    return body->code.at[body->code.n - 1].dtype;
}

// Is enough of a tile register of the right operand in use to be worth it? Not in the products of
// depthwise convolutions.
static bool fills_tiles(const Kernel *k)
{
    int64_t n = k->gemm.n, depth = k->gemm.k, columns = div_up(n, MATRIX_ROWS) * MATRIX_ROWS,
            steps = div_up(depth, MATRIX_DEPTH) * MATRIX_DEPTH;
    return depth >= LEAST_DEPTH && n * depth * LEAST_SHARE >= columns * steps;
}

Tiling tiling_of(const Target *t, const Kernel *k)
{
    const int64_t n = k->gemm.n;
    bool pack = k->kind == KERNEL_PACK;
    if (t->matrix && element_of(pack ? &k->body : &k->gemm.a) == DT_BF16 && fills_tiles(k))
        return (Tiling){true, 2 * MATRIX_ROWS, n <= MATRIX_ROWS ? MATRIX_ROWS : 2 * MATRIX_ROWS};
    return (Tiling){false, micro_mr(t->lanes), micro_columns(t->lanes, n)};
}

int64_t tiling_units(const Tiling *t, int64_t depth)
{
    return t->pairs ? div_up(depth, MATRIX_DEPTH) * MATRIX_DEPTH / 2 : depth;
}

// Panels that a task packs: some side by side where there are many.
static int64_t group_of(const Tiling *t, const Kernel *pack)
{
    int64_t group = pack->gemm.batch * div_up(pack->gemm.n, t->nr) / LEAST_GROUPS;
    return group > MOST_PANELS ? MOST_PANELS : group > 0 ? group : 1;
}

int64_t gemm_pack_tasks(const Target *t, const Kernel *pack)
{
    Tiling tiling = tiling_of(t, pack);
    int64_t panels = div_up(pack->gemm.n, tiling.nr);
    return pack->gemm.batch * div_up(panels, group_of(&tiling, pack));
}

int64_t gemm_packed_count(const Target *t, const Kernel *pack)
{
    Tiling tiling = tiling_of(t, pack);
    return pack->gemm.batch * div_up(pack->gemm.n, tiling.nr) * tiling.nr *
           tiling_units(&tiling, pack->gemm.k);
}

bool gemm_in_matrix(const Target *t, const Kernel *k)
{
    return k->kind == KERNEL_GEMM && tiling_of(t, k).pairs;
}

bool panel_runs_along(const KernelBody *body, uint32_t axis, uint32_t other)
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

void panel_check_f32(const Emit *e)
{
    DType dt = element_of(e->body);
    if (!dtype_is_float(dt) || emit_type(e, dt) != e->t.f32)
        bug("contraction of %s", dtype_name(dt));
}

// ---- vectors ------------------------------------------------------------------------------------

static LLVMValueRef add(const Emit *e, LLVMValueRef x, int64_t y)
{
    return y ? LLVMBuildAdd(e->builder, x, emit_i64(e, y), "") : x;
}

static LLVMValueRef mul(const Emit *e, LLVMValueRef x, int64_t y)
{
    return LLVMBuildMul(e->builder, x, emit_i64(e, y), "");
}

static LLVMTypeRef vector(const Emit *e)
{
    return emit_vector_type(e, e->t.f32);
}

LLVMValueRef panel_mask_below(Emit *e, LLVMValueRef start, LLVMValueRef end)
{
    LLVMValueRef at = LLVMBuildAdd(e->builder, emit_splat(e, start), emit_iota(e), "");
    return LLVMBuildICmp(e->builder, LLVMIntSLT, at, emit_splat(e, end), "");
}

LLVMValueRef panel_here(Emit *e, LLVMValueRef mask)
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
    return panel_here(e, mask);
}

// A bf16 number is the upper half of its f32, the lower is 0.
LLVMValueRef panel_pair(const Emit *e, LLVMValueRef first, LLVMValueRef second)
{
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef words = emit_vector_type(e, e->t.i32);
    LLVMValueRef half = emit_splat(e, LLVMConstInt(e->t.i32, 16, false));
    LLVMValueRef low = LLVMBuildLShr(b, LLVMBuildBitCast(b, first, words, ""), half, "");
    LLVMValueRef both = LLVMBuildOr(b, low, LLVMBuildBitCast(b, second, words, ""), "");
    return LLVMBuildBitCast(b, both, vector(e), "");
}

LLVMValueRef panel_join(const Emit *e, LLVMValueRef low, LLVMValueRef high)
{
    uint32_t n = 2 * e->lanes;
    LLVMValueRef *all = arena_array(e->arena, LLVMValueRef, n);
    for (uint32_t i = 0; i < n; i++) all[i] = LLVMConstInt(e->t.i32, i, false);
    LLVMValueRef x =
        LLVMBuildShuffleVector(e->builder, emit_narrow(e, DT_BF16, low),
                               emit_narrow(e, DT_BF16, high), LLVMConstVector(all, n), "");
    return LLVMBuildBitCast(e->builder, x, vector(e), "");
}

// ---- panels -------------------------------------------------------------------------------------

typedef struct Panel {
    Emit *e;
    Tiling tiling;
    LLVMValueRef first, last; // of the group of panels
    LLVMValueRef n0, to;      // this one's first column, its memory
    int64_t n, depth;
    uint32_t width;     // columns of a register: lanes, or fewer where a panel is narrower
    LLVMValueRef block; // lanes x lanes units, to be transposed
} Panel;

// The first `width` lanes of x, to column j of a unit.
static void store_lanes(const Panel *p, LLVMValueRef x, LLVMValueRef unit, int64_t j)
{
    Emit *e = p->e;
    LLVMValueRef *pick = arena_array(e->arena, LLVMValueRef, p->width);
    for (uint32_t i = 0; i < p->width; i++) pick[i] = LLVMConstInt(e->t.i32, i, false);
    if (p->width < e->lanes)
        x = LLVMBuildShuffleVector(e->builder, x, LLVMGetPoison(LLVMTypeOf(x)),
                                   LLVMConstVector(pick, p->width), "");
    emit_store(e, x, emit_at(e, e->t.f32, p->to, add(e, mul(e, unit, p->tiling.nr), j)), 4);
}

// The panels of the group, one after the other.
static EmitLoop begin_panel(Panel *p)
{
    Emit *e = p->e;
    const Kernel *k = e->kernel;
    const int64_t nr = p->tiling.nr, size = nr * tiling_units(&p->tiling, p->depth);
    EmitLoop panel = emit_loop_begin(e, p->first, p->last, 1, NULL, 0);
    LLVMValueRef which = mul(e, e->axis[0], div_up(p->n, nr));
    which = LLVMBuildAdd(e->builder, which, panel.index, "");
    p->n0 = mul(e, panel.index, nr);
    p->to = emit_at(e, e->t.f32, e->base[k->gemm.packed], mul(e, which, size));
    return panel;
}

// Units [from, to) of the panel: 0.
static void zero_units(const Panel *p, int64_t from, int64_t to)
{
    Emit *e = p->e;
    EmitLoop unit = emit_loop_begin(e, emit_i64(e, from), emit_i64(e, to), 1, NULL, 0);
    for (int64_t j = 0; j < p->tiling.nr; j += e->lanes)
        store_lanes(p, LLVMConstNull(vector(e)), unit.index, j);
    emit_loop_end(e, &unit);
}

// One unit of all columns, read along n. The last unit of an odd depth is half of a pair.
static void pack_unit(const Panel *p, LLVMValueRef unit, bool half)
{
    Emit *e = p->e;
    bool pairs = p->tiling.pairs, partial = p->n % p->tiling.nr || p->width < e->lanes;
    LLVMValueRef k = pairs ? mul(e, unit, 2) : unit;
    for (int64_t j = 0; j < p->tiling.nr; j += e->lanes) {
        LLVMValueRef n = add(e, p->n0, j),
                     mask = partial ? panel_mask_below(e, n, emit_i64(e, p->n)) : NULL,
                     x = elements(e, n, k, mask);
        if (pairs)
            x = panel_pair(e, x,
                           half ? LLVMConstNull(vector(e)) : elements(e, n, add(e, k, 1), mask));
        store_lanes(p, x, unit, j);
    }
}

// All panels of the group at each step: what is read lies side by side.
static void pack_along_n(Panel *p)
{
    Emit *e = p->e;
    int64_t whole = p->tiling.pairs ? p->depth / 2 : p->depth;
    EmitLoop unit = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, whole), 1, NULL, 0);
    EmitLoop panel = begin_panel(p);
    pack_unit(p, unit.index, false);
    emit_loop_end(e, &panel);
    emit_loop_end(e, &unit);
    if (!p->tiling.pairs || p->depth % 2 == 0) return;
    panel = begin_panel(p);
    pack_unit(p, emit_i64(e, whole), true);
    emit_loop_end(e, &panel);
}

// `steps` elements of column n from k on, in a register of units.
static LLVMValueRef units_along_k(const Panel *p, LLVMValueRef n, LLVMValueRef k, int64_t steps)
{
    Emit *e = p->e;
    int64_t lanes = e->lanes, left = steps - lanes;
    LLVMValueRef x = elements(e, n, k, left < 0 ? emit_mask(e, (uint32_t)steps) : NULL);
    if (!p->tiling.pairs) return x;
    LLVMValueRef high = LLVMConstNull(vector(e));
    if (left > 0)
        high = elements(e, n, add(e, k, lanes), left < lanes ? emit_mask(e, (uint32_t)left) : NULL);
    return panel_join(e, x, high);
}

// One square of a panel: `columns` columns from n, `steps` steps of k, read along k and transposed.
static void pack_square(const Panel *p, LLVMValueRef n, LLVMValueRef columns, LLVMValueRef k,
                        int64_t steps, int64_t j)
{
    Emit *e = p->e;
    int64_t each = p->tiling.pairs ? 2 : 1;
    LLVMValueRef *x = arena_array(e->arena, LLVMValueRef, e->lanes);
    EmitLoop c = emit_loop_begin(e, emit_i64(e, 0), columns, 1, NULL, 0);
    LLVMValueRef row = units_along_k(p, LLVMBuildAdd(e->builder, n, c.index, ""), k, steps);
    emit_store(e, row, emit_at(e, e->t.f32, p->block, mul(e, c.index, e->lanes)), 64);
    emit_loop_end(e, &c);
    for (uint32_t i = 0; i < e->lanes; i++)
        x[i] = emit_load(e, vector(e),
                         emit_at(e, e->t.f32, p->block, emit_i64(e, (int64_t)i * e->lanes)),
                         e->lanes * 4);
    micro_transpose(e, x);
    LLVMValueRef unit = each == 1 ? k : LLVMBuildUDiv(e->builder, k, emit_i64(e, each), "");
    for (int64_t i = 0; i < div_up(steps, each); i++) store_lanes(p, x[i], add(e, unit, i), j);
}

// The same read along k; columns that are not there stay 0 in the block.
static void pack_along_k(const Panel *p)
{
    Emit *e = p->e;
    LLVMValueRef zero = emit_i64(e, 0), lanes = emit_i64(e, e->lanes);
    int64_t steps = p->tiling.pairs ? 2 * e->lanes : e->lanes, whole = p->depth / steps * steps;
    for (int64_t j = 0; j < p->tiling.nr; j += e->lanes) {
        LLVMValueRef n = add(e, p->n0, j), columns = lanes;
        if (p->n % e->lanes || p->n % p->tiling.nr) {
            for (int64_t i = 0; i < e->lanes; i++)
                emit_store(e, LLVMConstNull(vector(e)),
                           emit_at(e, e->t.f32, p->block, emit_i64(e, i * e->lanes)), e->lanes * 4);
            LLVMValueRef left = LLVMBuildSub(e->builder, emit_i64(e, p->n), n, "");
            columns =
                LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, lanes, left, ""),
                                lanes, left, "");
        }
        EmitLoop k = emit_loop_begin(e, zero, emit_i64(e, whole), steps, NULL, 0);
        pack_square(p, n, columns, k.index, steps, j);
        emit_loop_end(e, &k);
        if (p->depth > whole) pack_square(p, n, columns, emit_i64(e, whole), p->depth - whole, j);
    }
}

void emit_pack_kernel(Emit *e)
{
    const Kernel *k = e->kernel;
    Panel p = {.e = e, .tiling = tiling_of(e->target, k), .n = k->gemm.n, .depth = k->gemm.k};
    int64_t nr = p.tiling.nr, units = tiling_units(&p.tiling, p.depth);
    p.width = nr < e->lanes ? (uint32_t)nr : e->lanes;
    bool along_n = panel_runs_along(&k->body, 1, 2);
    emit_use_body(e, &k->body, along_n ? 1 : 2);
    panel_check_f32(e);
    p.block = LLVMBuildAlloca(e->builder, LLVMArrayType2(vector(e), e->lanes), "");
    LLVMSetAlignment(p.block, 64);
    const int64_t group = group_of(&p.tiling, k), panels = div_up(p.n, nr);
    EmitLoop task = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    LLVMValueRef groups = emit_i64(e, div_up(panels, group)), all = emit_i64(e, panels);
    e->axis[0] = LLVMBuildUDiv(e->builder, task.index, groups, "");
    p.first = mul(e, LLVMBuildURem(e->builder, task.index, groups, ""), group);
    p.last = add(e, p.first, group);
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, p.last, all, "");
    p.last = LLVMBuildSelect(e->builder, more, p.last, all, "");
    if (along_n) pack_along_n(&p);
    const int64_t packed = p.tiling.pairs ? div_up(p.depth, 2) : units;
    if (!along_n || packed < units) {
        EmitLoop panel = begin_panel(&p);
        if (!along_n) pack_along_k(&p);
        zero_units(&p, packed, units);
        emit_loop_end(e, &panel);
    }
    emit_loop_end(e, &task);
}
