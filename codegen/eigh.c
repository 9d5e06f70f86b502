// Eigenvalues and eigenvectors of symmetric matrices: docs/ir.md, "Ordered ops", says in which
// order. A task is a matrix. The worker's memory holds its rows, each padded with zeros to whole
// lanes of the row stage (and a row of zeros more where their number is odd), then the squares of
// their lengths; after the sweeps the lengths.
#include "codegen/emit.h"

#include "codegen/sweeps.h"

typedef struct Rows {
    Emit *e;
    int64_t n, last, width; // rows, the number of the last player, floats of a row
    LLVMValueRef norms;
    LLVMTypeRef vector;
} Rows;

static int64_t width_of(const Kernel *k)
{
    return (k->ordered.n + ROW_LANES - 1) / ROW_LANES * ROW_LANES;
}

static int64_t players_of(const Kernel *k)
{
    return k->ordered.n + k->ordered.n % 2;
}

int64_t emit_eigh_worker_bytes(const Kernel *k)
{
    return players_of(k) * (width_of(k) + 1) * 4;
}

static LLVMValueRef on(const Rows *r, OpCode op, LLVMValueRef x, LLVMValueRef y)
{
    return emit_op(r->e, op, DT_F32, DT_F32, (LLVMValueRef[]){x, y});
}

static LLVMValueRef fma_of(const Rows *r, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    return emit_op(r->e, OP_FMA, DT_F32, DT_F32, (LLVMValueRef[]){x, y, z});
}

static LLVMValueRef add(const Rows *r, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildAdd(r->e->builder, x, y, "");
}

static LLVMValueRef times(const Rows *r, LLVMValueRef x, int64_t y)
{
    return LLVMBuildMul(r->e->builder, x, emit_i64(r->e, y), "");
}

static LLVMValueRef choose(const Rows *r, LLVMValueRef c, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSelect(r->e->builder, c, x, y, "");
}

static EmitLoop count_to(const Rows *r, LLVMValueRef to, int64_t step, LLVMValueRef *carry,
                         uint32_t n)
{
    return emit_loop_begin(r->e, emit_i64(r->e, 0), to, step, carry, n);
}

static LLVMValueRef row_at(const Rows *r, LLVMValueRef i)
{
    return emit_at(r->e, r->e->t.f32, r->e->worker, times(r, i, r->width));
}

static LLVMValueRef float_at(const Rows *r, LLVMValueRef from, LLVMValueRef i)
{
    return emit_at(r->e, r->e->t.f32, from, i);
}

static LLVMValueRef get(const Rows *r, LLVMTypeRef type, LLVMValueRef from, LLVMValueRef i)
{
    return emit_load(r->e, type, float_at(r, from, i), 4);
}

static void put(const Rows *r, LLVMValueRef x, LLVMValueRef to, LLVMValueRef i)
{
    emit_store(r->e, x, float_at(r, to, i), 4);
}

// The product of two rows by the row stage.
static LLVMValueRef product(const Rows *r, LLVMValueRef x, LLVMValueRef y)
{
    Emit *e = r->e;
    uint32_t registers = ROW_LANES / e->lanes;
    LLVMValueRef *sums = arena_array(e->arena, LLVMValueRef, registers);
    for (uint32_t u = 0; u < registers; u++) sums[u] = LLVMConstNull(r->vector);
    EmitLoop i = count_to(r, emit_i64(e, r->width), ROW_LANES, sums, registers);
    for (uint32_t u = 0; u < registers; u++) {
        LLVMValueRef at = add(r, i.index, emit_i64(e, (int64_t)u * e->lanes));
        sums[u] = fma_of(r, get(r, r->vector, x, at), get(r, r->vector, y, at), sums[u]);
    }
    emit_loop_end(e, &i);
    return emit_row_fold(e, OP_SUM, sums);
}

// The squares of the first `to` rows' lengths.
static void measure(const Rows *r, LLVMValueRef to)
{
    EmitLoop i = count_to(r, to, 1, NULL, 0);
    LLVMValueRef row = row_at(r, i.index);
    put(r, product(r, row, row), r->norms, i.index);
    emit_loop_end(r->e, &i);
}

static LLVMValueRef one_for_zero(const Rows *r, LLVMValueRef x)
{
    LLVMValueRef zero =
        LLVMBuildFCmp(r->e->builder, LLVMRealOEQ, x, LLVMConstNull(r->e->t.f32), "");
    return choose(r, zero, emit_f32(r->e, 1), x);
}

// The largest |x| of the lower triangle.
static LLVMValueRef largest(const Rows *r, LLVMValueRef x)
{
    Emit *e = r->e;
    LLVMValueRef most = emit_f32(e, 0);
    EmitLoop i = count_to(r, emit_i64(e, r->n), 1, &most, 1);
    EmitLoop j = count_to(r, add(r, i.index, emit_i64(e, 1)), 1, &most, 1);
    LLVMValueRef at = get(r, e->t.f32, x, add(r, times(r, i.index, r->n), j.index));
    most = on(r, OP_MAX, emit_op(e, OP_ABS, DT_F32, DT_F32, &at), most);
    emit_loop_end(e, &j);
    emit_loop_end(e, &i);
    return one_for_zero(r, most);
}

// Rows of x by its lower triangle, divided by `most`; zeros around.
static void begin_rows(const Rows *r, LLVMValueRef x, LLVMValueRef most)
{
    Emit *e = r->e;
    EmitLoop z = count_to(r, emit_i64(e, (r->last + 1) * (r->width + 1)), 1, NULL, 0);
    put(r, emit_f32(e, 0), e->worker, z.index);
    emit_loop_end(e, &z);
    EmitLoop i = count_to(r, emit_i64(e, r->n), 1, NULL, 0);
    EmitLoop j = count_to(r, emit_i64(e, r->n), 1, NULL, 0);
    LLVMValueRef low = LLVMBuildICmp(e->builder, LLVMIntSLE, j.index, i.index, "");
    LLVMValueRef at = choose(r, low, add(r, times(r, i.index, r->n), j.index),
                             add(r, times(r, j.index, r->n), i.index));
    put(r, on(r, OP_DIV, get(r, e->t.f32, x, at), most), row_at(r, i.index), j.index);
    emit_loop_end(e, &j);
    emit_loop_end(e, &i);
}

// Divides the rows by the length of all together, which it gives, and adds 2 to the diagonal.
static LLVMValueRef scale_rows(const Rows *r)
{
    Emit *e = r->e;
    LLVMValueRef sum = emit_f32(e, 0), n = emit_i64(e, r->n);
    measure(r, n);
    EmitLoop i = count_to(r, n, 1, &sum, 1);
    sum = on(r, OP_ADD, sum, get(r, e->t.f32, r->norms, i.index));
    emit_loop_end(e, &i);
    LLVMValueRef length = one_for_zero(r, emit_op(e, OP_SQRT, DT_F32, DT_F32, &sum));
    i = count_to(r, n, 1, NULL, 0);
    LLVMValueRef row = row_at(r, i.index);
    EmitLoop j = count_to(r, emit_i64(e, r->width), e->lanes, NULL, 0);
    put(r, on(r, OP_DIV, get(r, r->vector, row, j.index), emit_splat(e, length)), row, j.index);
    emit_loop_end(e, &j);
    put(r, on(r, OP_ADD, get(r, e->t.f32, row, i.index), emit_f32(e, 2)), row, i.index);
    emit_loop_end(e, &i);
    return length;
}

// Rows p and q, whose product is d, made orthogonal.
static void rotate(const Rows *r, LLVMValueRef p, LLVMValueRef q, LLVMValueRef d)
{
    Emit *e = r->e;
    LLVMValueRef a = get(r, e->t.f32, r->norms, p), b = get(r, e->t.f32, r->norms, q),
                 one = emit_f32(e, 1);
    LLVMValueRef z = on(r, OP_DIV, on(r, OP_SUB, b, a), on(r, OP_ADD, d, d)),
                 root = fma_of(r, z, z, one), size = emit_op(e, OP_ABS, DT_F32, DT_F32, &z);
    root = emit_op(e, OP_SQRT, DT_F32, DT_F32, &root);
    LLVMValueRef t = on(r, OP_DIV, one, on(r, OP_ADD, size, root));
    LLVMValueRef below = LLVMBuildFCmp(e->builder, LLVMRealOLT, z, emit_f32(e, 0), "");
    t = choose(r, below, LLVMBuildFNeg(e->builder, t, ""), t);
    root = fma_of(r, t, t, one);
    LLVMValueRef c = on(r, OP_DIV, one, emit_op(e, OP_SQRT, DT_F32, DT_F32, &root)),
                 s = on(r, OP_MUL, c, t), less = LLVMBuildFNeg(e->builder, s, "");
    // c u - s v = u - s (v + half u), whose length does not grow where c is rounded to 1
    LLVMValueRef half = on(r, OP_DIV, s, on(r, OP_ADD, one, c)),
                 back = emit_splat(e, LLVMBuildFNeg(e->builder, half, ""));
    LLVMValueRef x = row_at(r, p), y = row_at(r, q);
    EmitLoop i = count_to(r, emit_i64(e, r->width), e->lanes, NULL, 0);
    LLVMValueRef u = get(r, r->vector, x, i.index), v = get(r, r->vector, y, i.index);
    put(r, fma_of(r, emit_splat(e, less), fma_of(r, emit_splat(e, half), u, v), u), x, i.index);
    put(r, fma_of(r, emit_splat(e, s), fma_of(r, back, v, u), v), y, i.index);
    emit_loop_end(e, &i);
    put(r, fma_of(r, LLVMBuildFNeg(e->builder, t, ""), d, a), r->norms, p);
    put(r, fma_of(r, t, d, b), r->norms, q);
}

// Is the square of the cosine between rows p and q, whose product is d, more than what counts?
static LLVMValueRef slanted(const Rows *r, LLVMValueRef p, LLVMValueRef q, LLVMValueRef d)
{
    Emit *e = r->e;
    LLVMValueRef a = get(r, e->t.f32, r->norms, p), b = get(r, e->t.f32, r->norms, q);
    LLVMValueRef most = on(r, OP_MUL, emit_f32(e, EIGH_COSINE2), on(r, OP_MUL, a, b));
    return LLVMBuildFCmp(e->builder, LLVMRealOGT, on(r, OP_MUL, d, d), most, "");
}

// One round: pair k is (round + k, round - k) round a table of `last`, and the first one the last
// player with round. Gives `turned`, or 1 where a row was.
static LLVMValueRef one_round(const Rows *r, LLVMValueRef round, LLVMValueRef turned)
{
    Emit *e = r->e;
    LLVMBuilderRef l = e->builder;
    LLVMValueRef last = emit_i64(e, r->last), zero = emit_i64(e, 0);
    EmitLoop k = count_to(r, emit_i64(e, (r->last + 1) / 2), 1, &turned, 1);
    LLVMValueRef a = add(r, round, k.index), b = LLVMBuildSub(l, round, k.index, "");
    a = choose(r, LLVMBuildICmp(l, LLVMIntSGE, a, last, ""), LLVMBuildSub(l, a, last, ""), a);
    b = choose(r, LLVMBuildICmp(l, LLVMIntSLT, b, zero, ""), add(r, b, last), b);
    a = choose(r, LLVMBuildICmp(l, LLVMIntEQ, k.index, zero, ""), last, a);
    LLVMValueRef order = LLVMBuildICmp(l, LLVMIntSLT, a, b, "");
    LLVMValueRef p = choose(r, order, a, b), q = choose(r, order, b, a);
    LLVMValueRef d = product(r, row_at(r, p), row_at(r, q)), turn = slanted(r, p, q, d);
    LLVMBasicBlockRef next = emit_begin_if(e, turn);
    rotate(r, p, q, d);
    emit_end_if(e, next);
    turned = LLVMBuildOr(l, turned, LLVMBuildZExt(l, turn, e->t.i64, ""), "");
    emit_loop_end(e, &k);
    return turned;
}

// Sweeps until one has nothing to turn; after that the others have no rounds.
static void sweeps(const Rows *r)
{
    Emit *e = r->e;
    LLVMValueRef more = emit_i64(e, 1);
    EmitLoop s = count_to(r, emit_i64(e, EIGH_SWEEPS), 1, &more, 1);
    measure(r, times(r, more, r->n));
    LLVMValueRef turned = emit_i64(e, 0);
    EmitLoop round = count_to(r, times(r, more, r->last), 1, &turned, 1);
    turned = one_round(r, round.index, turned);
    emit_loop_end(e, &round);
    more = turned;
    emit_loop_end(e, &s);
}

// Where row i comes in rising order of length, of equal ones the first first; NaN counts as equal.
static LLVMValueRef place_of(const Rows *r, LLVMValueRef i, LLVMValueRef norm)
{
    Emit *e = r->e;
    LLVMBuilderRef l = e->builder;
    LLVMValueRef place = emit_i64(e, 0);
    EmitLoop j = count_to(r, emit_i64(e, r->n), 1, &place, 1);
    LLVMValueRef other = get(r, e->t.f32, r->norms, j.index);
    LLVMValueRef before = LLVMBuildICmp(l, LLVMIntSLT, j.index, i, "");
    before = LLVMBuildAnd(l, before, LLVMBuildFCmp(l, LLVMRealUGE, norm, other, ""), "");
    before = LLVMBuildOr(l, before, LLVMBuildFCmp(l, LLVMRealOLT, other, norm, ""), "");
    place = add(r, place, LLVMBuildZExt(l, before, e->t.i64, ""));
    emit_loop_end(e, &j);
    return place;
}

// The component of largest magnitude.
static LLVMValueRef component(const Rows *r, LLVMValueRef row)
{
    Emit *e = r->e;
    LLVMValueRef carry[2] = {emit_f32(e, -1), emit_f32(e, 0)}; // magnitude, itself
    EmitLoop j = count_to(r, emit_i64(e, r->n), 1, carry, 2);
    LLVMValueRef x = get(r, e->t.f32, row, j.index), size = emit_op(e, OP_ABS, DT_F32, DT_F32, &x);
    LLVMValueRef more = LLVMBuildFCmp(e->builder, LLVMRealOGT, size, carry[0], "");
    carry[0] = choose(r, more, size, carry[0]);
    carry[1] = choose(r, more, x, carry[1]);
    emit_loop_end(e, &j);
    return carry[1];
}

static void results(const Rows *r, LLVMValueRef matrix, LLVMValueRef most, LLVMValueRef length)
{
    Emit *e = r->e;
    const uint32_t *to = e->kernel->ordered.results;
    LLVMValueRef values = emit_row_of(e, to[0], matrix, r->n),
                 vectors = emit_row_of(e, to[1], matrix, r->n * r->n), n = emit_i64(e, r->n);
    EmitLoop i = count_to(r, n, 1, NULL, 0);
    LLVMValueRef x = get(r, e->t.f32, r->norms, i.index);
    put(r, emit_op(e, OP_SQRT, DT_F32, DT_F32, &x), r->norms, i.index);
    emit_loop_end(e, &i);
    i = count_to(r, n, 1, NULL, 0);
    LLVMValueRef norm = get(r, e->t.f32, r->norms, i.index), row = row_at(r, i.index);
    LLVMValueRef place = place_of(r, i.index, norm);
    LLVMValueRef below =
        LLVMBuildFCmp(e->builder, LLVMRealOLT, component(r, row), emit_f32(e, 0), "");
    LLVMValueRef by = choose(r, below, LLVMBuildFNeg(e->builder, norm, ""), norm);
    LLVMValueRef out = float_at(r, vectors, times(r, place, r->n));
    EmitLoop j = count_to(r, n, 1, NULL, 0);
    put(r, on(r, OP_DIV, get(r, e->t.f32, row, j.index), by), out, j.index);
    emit_loop_end(e, &j);
    LLVMValueRef v = on(r, OP_MUL, on(r, OP_SUB, norm, emit_f32(e, 2)), length);
    put(r, on(r, OP_MUL, v, most), values, place);
    emit_loop_end(e, &i);
}

void emit_eigh_matrix(Emit *e, LLVMValueRef matrix)
{
    const Kernel *k = e->kernel;
    int64_t n = k->ordered.n;
    Rows r = {.e = e, .n = n, .last = players_of(k) - 1, .width = width_of(k)};
    r.norms = emit_at(e, e->t.f32, e->worker, emit_i64(e, players_of(k) * r.width));
    r.vector = emit_vector_type(e, e->t.f32);
    LLVMValueRef x = emit_row_of(e, k->ordered.args[0], matrix, n * n), most = largest(&r, x);
    begin_rows(&r, x, most);
    LLVMValueRef length = scale_rows(&r);
    sweeps(&r);
    measure(&r, emit_i64(e, n));
    results(&r, matrix, most, length);
}
