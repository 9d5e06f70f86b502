// Attention for CPUs: scores on their way into tile registers, which take bf16.
#include "codegen/attention.h"
#include "codegen/matrix.h"
#include "codegen/micro.h"
#include "codegen/panel.h"

int64_t heads_rounded_stride(const Heads *h)
{
    return h->keys_pad + MATRIX_DEPTH;
}

int64_t heads_rounded_floats(const Heads *h)
{
    return h->matrix ? h->block * heads_rounded_stride(h) / 2 : 0;
}

int64_t heads_turned_stride(const Heads *h)
{
    return h->block + MATRIX_DEPTH;
}

int64_t heads_turned_floats(const Heads *h)
{
    return h->matrix ? (h->keys_pad + h->mr) * heads_turned_stride(h) / 2 : 0;
}

void heads_store_rounded(Heads *h, LLVMValueRef x, LLVMValueRef to)
{
    Emit *e = h->e;
    emit_store(e, emit_narrow(e, DT_BF16, emit_round(e, DT_BF16, x)), to, 2);
}

// 16 keys of a row, each in a register of f32.
static LLVMValueRef scores_at(Heads *h, LLVMValueRef from, LLVMValueRef row, LLVMValueRef key)
{
    Emit *e = h->e;
    LLVMValueRef place = add(e, mul(e, row, heads_rounded_stride(h)), key);
    LLVMValueRef x =
        emit_load(e, emit_vector_type(e, e->t.i16), emit_at(e, e->t.i16, from, place), 32);
    return emit_widen(e, DT_BF16, x);
}

// 32 queries from `query` on of 16 keys.
static void turn_square(Heads *h, LLVMValueRef from, LLVMValueRef query, LLVMValueRef key,
                        LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef x[MATRIX_ROWS];
    for (int64_t u = 0; u < MATRIX_ROWS; u++) {
        LLVMValueRef first = add(e, query, emit_i64(e, 2 * u)),
                     second = add(e, query, emit_i64(e, 2 * u + 1));
        x[u] = panel_pair(e, scores_at(h, from, first, key), scores_at(h, from, second, key));
    }
    micro_transpose(e, x);
    for (int64_t i = 0; i < MATRIX_ROWS; i++) {
        LLVMValueRef row = mul(e, add(e, key, emit_i64(e, i)), heads_turned_stride(h));
        emit_store(e, x[i], emit_at(e, e->t.i16, to, add(e, row, query)), 64);
    }
}

LLVMValueRef heads_whole(Heads *h, LLVMValueRef n)
{
    Emit *e = h->e;
    n = add(e, n, emit_i64(e, MATRIX_DEPTH - 1));
    return LLVMBuildAnd(e->builder, n, emit_i64(e, -MATRIX_DEPTH), "");
}

void heads_turn(Heads *h, LLVMValueRef from, LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef zero = emit_i64(e, 0);
    EmitLoop r = emit_loop_begin(e, h->rows, heads_whole(h, h->rows), 1, NULL, 0); // no queries
    LLVMValueRef row = emit_at(e, e->t.i16, from, mul(e, r.index, heads_rounded_stride(h)));
    heads_clear(h, row, h->keys_pad / 2);
    emit_loop_end(e, &r);
    EmitLoop query = emit_loop_begin(e, zero, h->rows, MATRIX_DEPTH, NULL, 0);
    EmitLoop key = emit_loop_begin(e, zero, heads_whole(h, h->limit), MATRIX_ROWS, NULL, 0);
    turn_square(h, from, query.index, key.index, to);
    emit_loop_end(e, &key);
    emit_loop_end(e, &query);
}
