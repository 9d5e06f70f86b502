// Attention for CPUs: what changes a row of scores before its softmax, segments and a bias. Only
// kernels that have one of them contain a pass of their own over the row; it scales the scores, so
// that the passes behind it do not.
#include "codegen/attention.h"

#include <math.h>

int64_t heads_segments_floats(const Heads *h)
{
    return h->k->attention.segments ? h->keys_pad : 0;
}

void heads_segments(Heads *h, LLVMValueRef to)
{
    Emit *e = h->e;
    const StridedView *v = &h->k->attention.key_segments;
    if (!h->k->attention.segments) return;
    LLVMValueRef base = heads_base(h, v);
    EmitLoop j = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, h->keys), 1, NULL, 0);
    LLVMValueRef x = emit_load(e, e->t.i32, emit_at(e, e->t.i32, base, mul(e, j.index, v->row)), 4);
    emit_store(e, x, emit_at(e, e->t.i32, to, j.index), 4);
    emit_loop_end(e, &j);
    h->segments = to;
}

// A row being masked.
typedef struct Masked {
    LLVMValueRef row, query, bias, segment; // where the bias begins; the query's segment, splat
} Masked;

// Keys [j, j + n), n at most a register.
static void mask_step(Heads *h, const Masked *m, LLVMValueRef j, int64_t n)
{
    Emit *e = h->e;
    LLVMValueRef to = at(e, m->row, j), scale = emit_f32(e, (double)h->k->attention.scale);
    LLVMValueRef s = emit_load(e, vector(e), to, 4);
    s = LLVMBuildFMul(e->builder, s, emit_splat(e, scale), "");
    if (m->bias) {
        LLVMValueRef bias = heads_row(h, &h->k->attention.bias, m->bias, m->query, j, n);
        s = LLVMBuildFAdd(e->builder, s, bias, "");
    }
    if (m->segment) {
        LLVMValueRef of =
            emit_load(e, emit_vector_type(e, e->t.i32), emit_at(e, e->t.i32, h->segments, j), 4);
        LLVMValueRef seen = LLVMBuildICmp(e->builder, LLVMIntEQ, of, m->segment, "");
        s = LLVMBuildSelect(e->builder, seen, s, emit_splat(e, emit_f32(e, (double)-INFINITY)), "");
    }
    emit_store(e, s, to, 4);
}

void heads_mask_row(Heads *h, LLVMValueRef row, LLVMValueRef limit, LLVMValueRef query)
{
    Emit *e = h->e;
    Masked m = {.row = row, .query = query};
    if (h->k->attention.biased) m.bias = heads_base(h, &h->k->attention.bias);
    if (h->k->attention.segments) {
        const StridedView *v = &h->k->attention.query_segments;
        LLVMValueRef from = emit_at(e, e->t.i32, heads_base(h, v), mul(e, query, v->row));
        m.segment = emit_splat(e, emit_load(e, e->t.i32, from, 4));
    }
    int64_t whole = h->keys / e->lanes * e->lanes;
    EmitLoop j =
        emit_loop_begin(e, emit_i64(e, 0), least(e, limit, emit_i64(e, whole)), e->lanes, NULL, 0);
    mask_step(h, &m, j.index, e->lanes);
    emit_loop_end(e, &j);
    if (whole == h->keys) return;
    j = emit_loop_begin(e, emit_i64(e, whole), limit, e->lanes, NULL, 0); // once or not at all
    mask_step(h, &m, j.index, h->keys - whole);
    emit_loop_end(e, &j);
}

LLVMValueRef heads_shift(Heads *h, LLVMValueRef x)
{
    Emit *e = h->e;
    if (!kernel_masks(h->k)) return x;
    LLVMValueRef none =
        LLVMBuildFCmp(e->builder, LLVMRealOEQ, x, emit_f32(e, (double)-INFINITY), "");
    return LLVMBuildSelect(e->builder, none, emit_f32(e, 0), x, "");
}

void heads_add_rows(Heads *h, LLVMValueRef sums, LLVMValueRef from)
{
    Emit *e = h->e;
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), h->rows, 1, NULL, 0);
    EmitLoop j = emit_loop_begin(e, emit_i64(e, 0), h->limit, e->lanes, NULL, 0);
    LLVMValueRef i = add(e, mul(e, r.index, h->row), j.index), to = at(e, sums, i);
    LLVMValueRef x = emit_load(e, vector(e), at(e, from, i), 4);
    emit_store(e, LLVMBuildFAdd(e->builder, emit_load(e, vector(e), to, 4), x, ""), to, 4);
    emit_loop_end(e, &j);
    emit_loop_end(e, &r);
}

void heads_store_bias(Heads *h, LLVMValueRef sums)
{
    Emit *e = h->e;
    const StridedView *v = &h->k->attention.dbias;
    LLVMValueRef base = heads_base(h, v), whole = emit_i64(e, h->keys / e->lanes * e->lanes);
    int64_t rest = h->keys % e->lanes;
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), h->rows, 1, NULL, 0);
    LLVMValueRef query = add(e, h->q0, r.index), row = at(e, sums, mul(e, r.index, h->row));
    EmitLoop j = emit_loop_begin(e, emit_i64(e, 0), whole, e->lanes, NULL, 0);
    heads_store_row(h, v, at(e, base, mul(e, j.index, v->col)), query, 0, e->lanes,
                    emit_load(e, vector(e), at(e, row, j.index), 4));
    emit_loop_end(e, &j);
    if (rest)
        heads_store_row(h, v, at(e, base, mul(e, whole, v->col)), query, 0, rest,
                        emit_load(e, vector(e), at(e, row, whole), 4));
    emit_loop_end(e, &r);
}
