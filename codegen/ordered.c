// Ordered ops: a task is a row. docs/ir.md, "Ordered ops", says what comes out.
//
// topk orders numbers of 64 bits: above, a key that rises where the wanted order goes on; below,
// the index, so that no two are equal and every way to sort gives the same. Few elements are kept
// in a sorted list that better ones are put into; many are sorted by radix, 8 bits of the key at a
// time. nms looks once over all boxes a round: what the box chosen last overlaps goes, and of the
// others the best is found.
#include "codegen/emit.h"

#include "base/diag.h"

enum {
    CHUNK = 64,
    SEGMENT = 4096, // of cumulative sums
    LISTED = 64,    // so many elements at most are kept in a list
    DIGITS = 256,   // of the radix
    PLANES = 6      // of nms: two corners, area, score
};

static int64_t padded(int64_t n)
{
    return (n + CHUNK - 1) / CHUNK * CHUNK;
}

int64_t emit_ordered_worker_bytes(const Kernel *k)
{
    if (k->kind == KERNEL_EIGH) return emit_eigh_worker_bytes(k);
    if (k->kind == KERNEL_NMS) return PLANES * padded(k->ordered.n) * 4;
    if (k->kind != KERNEL_TOPK) return 0;
    return 8 * (k->ordered.size <= LISTED ? k->ordered.size : 2 * k->ordered.n + DIGITS);
}

static LLVMValueRef i32_const(const Emit *e, int64_t x)
{
    return LLVMConstInt(e->t.i32, (unsigned long long)x, true);
}

LLVMBasicBlockRef emit_begin_if(Emit *e, LLVMValueRef condition)
{
    LLVMBasicBlockRef yes = LLVMAppendBasicBlockInContext(e->context, e->function, "yes"),
                      next = LLVMAppendBasicBlockInContext(e->context, e->function, "next");
    LLVMBuildCondBr(e->builder, condition, yes, next);
    LLVMPositionBuilderAtEnd(e->builder, yes);
    return next;
}

void emit_end_if(Emit *e, LLVMBasicBlockRef next)
{
    LLVMBuildBr(e->builder, next);
    LLVMPositionBuilderAtEnd(e->builder, next);
}

static LLVMValueRef least(Emit *e, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, x, y, ""), x, y, "");
}

LLVMValueRef emit_row_of(Emit *e, uint32_t buffer, LLVMValueRef row, int64_t n)
{
    LLVMTypeRef type = emit_memory_type(e, e->kernel->buffers.at[buffer].dtype);
    return emit_at(e, type, e->base[buffer], LLVMBuildMul(e->builder, row, emit_i64(e, n), ""));
}

// ---- cumulative sums ----------------------------------------------------------------------------

typedef struct Row {
    LLVMTypeRef type;
    DType dt;
    LLVMValueRef from, to, start;
} Row;

// Elements [first, last) of a row in the order of the sum; p and q: what the chunk and the segment
// begin with. Gives the sum at the end, within the segment and in all.
static void cumsum_chunk(Emit *e, const Row *r, LLVMValueRef first, LLVMValueRef last,
                         LLVMValueRef p, LLVMValueRef q, LLVMValueRef *within, LLVMValueRef *all)
{
    LLVMValueRef carry[3] = {r->start, r->start, r->start}; // chain, within the segment, in all
    EmitLoop i = emit_loop_begin(e, first, last, 1, carry, 3);
    LLVMValueRef at = i.index;
    if (e->kernel->ordered.flag)
        at = LLVMBuildSub(e->builder, emit_i64(e, e->kernel->ordered.n - 1), at, "");
    uint32_t align = (uint32_t)dtype_size(r->dt);
    LLVMValueRef x = emit_load(e, r->type, emit_at(e, r->type, r->from, at), align);
    carry[0] = emit_combine(e, OP_SUM, r->dt, carry[0], x);
    carry[1] = emit_combine(e, OP_SUM, r->dt, p, carry[0]);
    carry[2] = emit_combine(e, OP_SUM, r->dt, q, carry[1]);
    emit_store(e, carry[2], emit_at(e, r->type, r->to, at), align);
    emit_loop_end(e, &i);
    *within = carry[1];
    *all = carry[2];
}

static void cumsum_row(Emit *e, LLVMValueRef row)
{
    const Kernel *k = e->kernel;
    int64_t n = k->ordered.n;
    Row r = {.dt = k->buffers.at[k->ordered.args[0]].dtype};
    if (dtype_is_narrow(r.dt)) bug("cumsum of %s", dtype_name(r.dt));
    r.type = emit_type(e, r.dt);
    r.start = dtype_is_float(r.dt) ? LLVMConstReal(r.type, -0.0) : LLVMConstNull(r.type);
    r.from = emit_row_of(e, k->ordered.args[0], row, n);
    r.to = emit_row_of(e, k->ordered.results[0], row, n);
    LLVMValueRef q = r.start;
    EmitLoop segment = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, n), SEGMENT, &q, 1);
    LLVMValueRef end =
        least(e, LLVMBuildAdd(e->builder, segment.index, emit_i64(e, SEGMENT), ""), emit_i64(e, n));
    LLVMValueRef sums[2] = {r.start, r.start};
    EmitLoop chunk = emit_loop_begin(e, segment.index, end, CHUNK, sums, 2);
    LLVMValueRef last =
        least(e, LLVMBuildAdd(e->builder, chunk.index, emit_i64(e, CHUNK), ""), end);
    cumsum_chunk(e, &r, chunk.index, last, sums[0], q, &sums[0], &sums[1]);
    emit_loop_end(e, &chunk);
    q = sums[1];
    emit_loop_end(e, &segment);
}

// ---- the largest --------------------------------------------------------------------------------

// A number of 32 bits that rises with x; of all NaN it is the largest, of both zeros the same.
static LLVMValueRef rising_key(Emit *e, DType dt, LLVMValueRef x)
{
    LLVMBuilderRef b = e->builder;
    bool is_signed = dt == DT_I8 || dt == DT_I32;
    LLVMValueRef top = i32_const(e, INT32_MIN);
    if (!dtype_is_float(dt)) {
        if (LLVMTypeOf(x) != e->t.i32)
            x = (is_signed ? LLVMBuildSExt : LLVMBuildZExt)(b, x, e->t.i32, "");
        return is_signed ? LLVMBuildXor(b, x, top, "") : x;
    }
    x = LLVMBuildFAdd(b, emit_widen(e, dt, x), emit_f32(e, 0), "");
    LLVMValueRef bits = LLVMBuildBitCast(b, x, e->t.i32, "");
    LLVMValueRef turn = LLVMBuildOr(b, LLVMBuildAShr(b, bits, i32_const(e, 31), ""), top, "");
    LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, x, x, "");
    return LLVMBuildSelect(b, nan, i32_const(e, -1), LLVMBuildXor(b, bits, turn, ""), "");
}

typedef struct Take {
    DType dt;
    LLVMTypeRef type; // in memory
    LLVMValueRef row; // its elements
} Take;

static LLVMValueRef element(Emit *e, const Take *t, LLVMValueRef i)
{
    return emit_load(e, t->type, emit_at(e, t->type, t->row, i), (uint32_t)dtype_size(t->dt));
}

// Key and index of element i.
static LLVMValueRef pair_at(Emit *e, const Take *t, LLVMValueRef i)
{
    LLVMBuilderRef b = e->builder;
    LLVMValueRef key = rising_key(e, t->dt, element(e, t, i));
    if (!e->kernel->ordered.flag) key = LLVMBuildNot(b, key, "");
    key = LLVMBuildShl(b, LLVMBuildZExt(b, key, e->t.i64, ""), emit_i64(e, 32), "");
    return LLVMBuildOr(b, key, i, "");
}

static LLVMValueRef pair_load(Emit *e, LLVMValueRef pairs, LLVMValueRef i)
{
    return emit_load(e, e->t.i64, emit_at(e, e->t.i64, pairs, i), 8);
}

static void pair_store(Emit *e, LLVMValueRef x, LLVMValueRef pairs, LLVMValueRef i)
{
    emit_store(e, x, emit_at(e, e->t.i64, pairs, i), 8);
}

// Put x into the list, whose last one falls out: those behind it move up.
static void insert(Emit *e, LLVMValueRef list, LLVMValueRef x)
{
    LLVMBuilderRef b = e->builder;
    LLVMBasicBlockRef before = LLVMGetInsertBlock(b), blocks[4];
    static const char *const names[] = {"head", "look", "move", "put"};
    for (int i = 0; i < 4; i++)
        blocks[i] = LLVMAppendBasicBlockInContext(e->context, e->function, names[i]);
    LLVMBuildBr(b, blocks[0]);
    LLVMPositionBuilderAtEnd(b, blocks[0]);
    LLVMValueRef at = LLVMBuildPhi(b, e->t.i64, ""), zero = emit_i64(e, 0);
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSGT, at, zero, ""), blocks[1], blocks[3]);
    LLVMPositionBuilderAtEnd(b, blocks[1]);
    LLVMValueRef left = LLVMBuildSub(b, at, emit_i64(e, 1), "");
    LLVMValueRef other = pair_load(e, list, left);
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntUGT, other, x, ""), blocks[2], blocks[3]);
    LLVMPositionBuilderAtEnd(b, blocks[2]);
    pair_store(e, other, list, at);
    LLVMBuildBr(b, blocks[0]);
    LLVMValueRef values[] = {emit_i64(e, e->kernel->ordered.size - 1), left};
    LLVMAddIncoming(at, values, (LLVMBasicBlockRef[]){before, blocks[2]}, 2);
    LLVMPositionBuilderAtEnd(b, blocks[3]);
    pair_store(e, x, list, at);
}

// The first `size` of a row, in order, in the worker's memory.
static LLVMValueRef keep_list(Emit *e, const Take *t)
{
    int64_t size = e->kernel->ordered.size;
    EmitLoop clear = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, size), 1, NULL, 0);
    pair_store(e, emit_i64(e, -1), e->worker, clear.index);
    emit_loop_end(e, &clear);
    EmitLoop i = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, e->kernel->ordered.n), 1, NULL, 0);
    LLVMValueRef x = pair_at(e, t, i.index), last = pair_load(e, e->worker, emit_i64(e, size - 1));
    LLVMBasicBlockRef next = emit_begin_if(e, LLVMBuildICmp(e->builder, LLVMIntULT, x, last, ""));
    insert(e, e->worker, x);
    emit_end_if(e, next);
    emit_loop_end(e, &i);
    return e->worker;
}

// Where x is counted by these 8 bits.
static LLVMValueRef digit(Emit *e, LLVMValueRef counts, LLVMValueRef x, LLVMValueRef shift)
{
    LLVMValueRef d = LLVMBuildAnd(e->builder, LLVMBuildLShr(e->builder, x, shift, ""),
                                  emit_i64(e, DIGITS - 1), "");
    return emit_at(e, e->t.i64, counts, d);
}

static LLVMValueRef add_one(Emit *e, LLVMValueRef place)
{
    LLVMValueRef old = emit_load(e, e->t.i64, place, 8);
    emit_store(e, LLVMBuildAdd(e->builder, old, emit_i64(e, 1), ""), place, 8);
    return old;
}

// One pass from `from` to `to`: count, begin each digit's part, move.
static void radix_pass(Emit *e, LLVMValueRef from, LLVMValueRef to, LLVMValueRef counts,
                       LLVMValueRef shift)
{
    LLVMValueRef zero = emit_i64(e, 0), n = emit_i64(e, e->kernel->ordered.n),
                 digits = emit_i64(e, DIGITS), sum = zero;
    EmitLoop i = emit_loop_begin(e, zero, digits, 1, NULL, 0);
    pair_store(e, zero, counts, i.index);
    emit_loop_end(e, &i);
    i = emit_loop_begin(e, zero, n, 1, NULL, 0);
    add_one(e, digit(e, counts, pair_load(e, from, i.index), shift));
    emit_loop_end(e, &i);
    i = emit_loop_begin(e, zero, digits, 1, &sum, 1);
    LLVMValueRef count = pair_load(e, counts, i.index);
    pair_store(e, sum, counts, i.index);
    sum = LLVMBuildAdd(e->builder, sum, count, "");
    emit_loop_end(e, &i);
    i = emit_loop_begin(e, zero, n, 1, NULL, 0);
    LLVMValueRef x = pair_load(e, from, i.index);
    pair_store(e, x, to, add_one(e, digit(e, counts, x, shift)));
    emit_loop_end(e, &i);
}

static LLVMValueRef sort_row(Emit *e, const Take *t)
{
    int64_t n = e->kernel->ordered.n;
    LLVMValueRef turn[2] = {e->worker, emit_at(e, e->t.i64, e->worker, emit_i64(e, n))};
    LLVMValueRef counts = emit_at(e, e->t.i64, e->worker, emit_i64(e, 2 * n));
    EmitLoop i = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, n), 1, NULL, 0);
    pair_store(e, pair_at(e, t, i.index), e->worker, i.index);
    emit_loop_end(e, &i);
    EmitLoop shift = emit_loop_begin(e, emit_i64(e, 32), emit_i64(e, 64), 8, turn, 2);
    LLVMValueRef from = turn[0], to = turn[1];
    radix_pass(e, from, to, counts, shift.index);
    turn[0] = to;
    turn[1] = from;
    emit_loop_end(e, &shift);
    return turn[0];
}

static void topk_row(Emit *e, LLVMValueRef row)
{
    const Kernel *k = e->kernel;
    int64_t size = k->ordered.size;
    Take t = {.dt = k->buffers.at[k->ordered.args[0]].dtype};
    t.type = emit_memory_type(e, t.dt);
    t.row = emit_row_of(e, k->ordered.args[0], row, k->ordered.n);
    LLVMValueRef pairs = (size <= LISTED ? keep_list : sort_row)(e, &t);
    LLVMValueRef values = emit_row_of(e, k->ordered.results[0], row, size),
                 indices = emit_row_of(e, k->ordered.results[1], row, size);
    EmitLoop i = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, size), 1, NULL, 0);
    LLVMValueRef at =
        LLVMBuildAnd(e->builder, pair_load(e, pairs, i.index), emit_i64(e, UINT32_MAX), "");
    emit_store(e, element(e, &t, at), emit_at(e, t.type, values, i.index),
               (uint32_t)dtype_size(t.dt));
    emit_store(e, LLVMBuildTrunc(e->builder, at, e->t.i32, ""),
               emit_at(e, e->t.i32, indices, i.index), 4);
    emit_loop_end(e, &i);
}

// ---- suppression --------------------------------------------------------------------------------

enum { LEFT, TOP, RIGHT, BOTTOM, AREA, SCORE };

// Element i of a plane of the worker's memory.
static LLVMValueRef plane_at(Emit *e, int plane, LLVMValueRef i)
{
    LLVMValueRef from = emit_i64(e, plane * padded(e->kernel->ordered.n));
    return emit_at(e, e->t.f32, e->worker, LLVMBuildAdd(e->builder, from, i, ""));
}

static LLVMValueRef plane_load(Emit *e, int plane, LLVMTypeRef type, LLVMValueRef i)
{
    return emit_load(e, type, plane_at(e, plane, i), 4);
}

static LLVMValueRef on_f32(Emit *e, OpCode op, LLVMValueRef x, LLVMValueRef y)
{
    return emit_op(e, op, DT_F32, DT_F32, (LLVMValueRef[]){x, y});
}

// high - low, 0 where it is less.
static LLVMValueRef extent(Emit *e, LLVMValueRef low, LLVMValueRef high)
{
    LLVMValueRef d = on_f32(e, OP_SUB, high, low);
    return on_f32(e, OP_MAX, d, LLVMConstNull(LLVMTypeOf(d)));
}

// Corners to planes, areas, scores; -inf for what is never chosen and behind the row.
static void nms_begin(Emit *e, LLVMValueRef row)
{
    const Kernel *k = e->kernel;
    int64_t n = k->ordered.n;
    LLVMValueRef boxes = emit_row_of(e, k->ordered.args[0], row, 4 * n),
                 scores = emit_row_of(e, k->ordered.args[1], row, n), corner[4];
    LLVMValueRef never = emit_f32(e, -__builtin_inf());
    EmitLoop i = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, n), 1, NULL, 0);
    LLVMValueRef box = LLVMBuildMul(e->builder, i.index, emit_i64(e, 4), "");
    for (int c = 0; c < 4; c++) {
        LLVMValueRef at = LLVMBuildAdd(e->builder, box, emit_i64(e, c), "");
        corner[c] = emit_load(e, e->t.f32, emit_at(e, e->t.f32, boxes, at), 4);
        emit_store(e, corner[c], plane_at(e, c, i.index), 4);
    }
    LLVMValueRef area = on_f32(e, OP_MUL, extent(e, corner[LEFT], corner[RIGHT]),
                               extent(e, corner[TOP], corner[BOTTOM]));
    emit_store(e, area, plane_at(e, AREA, i.index), 4);
    LLVMValueRef s = emit_load(e, e->t.f32, emit_at(e, e->t.f32, scores, i.index), 4);
    LLVMValueRef is = LLVMBuildFCmp(e->builder, LLVMRealORD, s, s, "");
    emit_store(e, LLVMBuildSelect(e->builder, is, s, never, ""), plane_at(e, SCORE, i.index), 4);
    emit_loop_end(e, &i);
    i = emit_loop_begin(e, emit_i64(e, n), emit_i64(e, padded(n)), 1, NULL, 0);
    for (int c = 0; c < SCORE; c++) emit_store(e, emit_f32(e, 0), plane_at(e, c, i.index), 4);
    emit_store(e, never, plane_at(e, SCORE, i.index), 4);
    emit_loop_end(e, &i);
}

// Which boxes from `at` on are overlapped too much by the chosen one, whose planes are in `chosen`.
static LLVMValueRef overlapped(Emit *e, LLVMValueRef at, const LLVMValueRef *chosen)
{
    LLVMTypeRef type = emit_vector_type(e, e->t.f32);
    LLVMValueRef side[2];
    for (int a = 0; a < 2; a++) // across, down
        side[a] = extent(e, on_f32(e, OP_MAX, chosen[LEFT + a], plane_load(e, LEFT + a, type, at)),
                         on_f32(e, OP_MIN, chosen[RIGHT + a], plane_load(e, RIGHT + a, type, at)));
    LLVMValueRef both = on_f32(e, OP_MUL, side[0], side[1]);
    LLVMValueRef all = on_f32(e, OP_ADD, chosen[AREA], plane_load(e, AREA, type, at));
    LLVMValueRef most = emit_splat(e, emit_f32(e, (double)e->kernel->ordered.threshold));
    most = on_f32(e, OP_MUL, most, on_f32(e, OP_SUB, all, both));
    return LLVMBuildFCmp(e->builder, LLVMRealOGT, both, most, "");
}

// Look over the boxes before `end`: what the chosen one (number `which`) overlaps goes, and it
// itself. Gives the first of the best of the others, -1 where there is none.
static LLVMValueRef nms_round(Emit *e, LLVMValueRef end, LLVMValueRef which,
                              const LLVMValueRef *chosen)
{
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef floats = emit_vector_type(e, e->t.f32), ints = emit_vector_type(e, e->t.i32);
    LLVMValueRef never = emit_splat(e, emit_f32(e, -__builtin_inf())),
                 none = LLVMConstAllOnes(ints), best[2] = {never, none};
    EmitLoop i = emit_loop_begin(e, emit_i64(e, 0), end, e->lanes, best, 2);
    LLVMValueRef at = LLVMBuildAdd(b, emit_splat(e, i.index), emit_iota(e), "");
    at = LLVMBuildTrunc(b, at, ints, "");
    LLVMValueRef gone = LLVMBuildOr(b, overlapped(e, i.index, chosen),
                                    LLVMBuildICmp(b, LLVMIntEQ, at, emit_splat(e, which), ""), "");
    LLVMValueRef s = LLVMBuildSelect(b, gone, never, plane_load(e, SCORE, floats, i.index), "");
    emit_store(e, s, plane_at(e, SCORE, i.index), 4);
    LLVMValueRef better = LLVMBuildFCmp(b, LLVMRealOGT, s, best[0], "");
    best[0] = LLVMBuildSelect(b, better, s, best[0], "");
    best[1] = LLVMBuildSelect(b, better, at, best[1], "");
    emit_loop_end(e, &i);
    LLVMValueRef top = emit_intrinsic(e, "llvm.vector.reduce.fmax", floats, &best[0], 1);
    LLVMValueRef is = LLVMBuildFCmp(b, LLVMRealOEQ, best[0], emit_splat(e, top), "");
    LLVMValueRef first = LLVMBuildSelect(b, is, best[1], none, ""); // as unsigned, the largest
    return emit_intrinsic(e, "llvm.vector.reduce.umin", ints, &first, 1);
}

static void nms_row(Emit *e, LLVMValueRef row)
{
    const Kernel *k = e->kernel;
    LLVMBuilderRef b = e->builder;
    nms_begin(e, row);
    LLVMValueRef to = emit_row_of(e, k->ordered.results[0], row, k->ordered.size),
                 zero = emit_i64(e, 0);
    // where to look until, the box chosen last (at first an empty one that is no box), how many
    LLVMValueRef carry[3 + SCORE] = {emit_i64(e, padded(k->ordered.n)), i32_const(e, -1),
                                     i32_const(e, 0)};
    for (int c = 0; c < SCORE; c++) carry[3 + c] = emit_f32(e, 0);
    EmitLoop i = emit_loop_begin(e, zero, emit_i64(e, k->ordered.size), 1, carry, 3 + SCORE);
    LLVMValueRef chosen[SCORE];
    for (int c = 0; c < SCORE; c++) chosen[c] = emit_splat(e, carry[3 + c]);
    LLVMValueRef best = nms_round(e, carry[0], carry[1], chosen);
    emit_store(e, best, emit_at(e, e->t.i32, to, i.index), 4);
    LLVMValueRef has = LLVMBuildICmp(b, LLVMIntSGE, best, i32_const(e, 0), "");
    LLVMValueRef at = LLVMBuildSelect(b, has, LLVMBuildSExt(b, best, e->t.i64, ""), zero, "");
    carry[0] = LLVMBuildSelect(b, has, carry[0], zero, "");
    carry[1] = best;
    carry[2] = LLVMBuildAdd(b, carry[2], LLVMBuildZExt(b, has, e->t.i32, ""), "");
    for (int c = 0; c < SCORE; c++) carry[3 + c] = plane_load(e, c, e->t.f32, at);
    emit_loop_end(e, &i);
    emit_store(e, carry[2], emit_row_of(e, k->ordered.results[1], row, 1), 4);
}

void emit_ordered_kernel(Emit *e)
{
    EmitLoop task = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    switch (e->kernel->kind) {
    case KERNEL_CUMSUM: cumsum_row(e, task.index); break;
    case KERNEL_TOPK: topk_row(e, task.index); break;
    case KERNEL_EIGH: emit_eigh_matrix(e, task.index); break;
    default: nms_row(e, task.index);
    }
    emit_loop_end(e, &task);
}
