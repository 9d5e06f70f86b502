// Scalar bodies at a point: one vector of lanes along the vector axis, or a scalar where nothing
// depends on it.
#include "codegen/emit.h"

#include "base/diag.h"

void emit_use_body(Emit *e, const KernelBody *body, uint32_t vector_axis)
{
    e->body = body;
    e->pool = (IndexPool *)&body->index;
    e->vector_axis = vector_axis;
    e->axis = arena_array(e->arena, LLVMValueRef, body->axes.n + 1);
    e->memo = arena_array(e->arena, LLVMValueRef, body->code.n + 1);
    e->mask = NULL;
    for (uint32_t i = 0; i < body->axes.n; i++) e->axis[i] = emit_i64(e, 0);
}

void emit_forget(Emit *e, uint64_t axes)
{
    for (uint32_t i = 0; i < e->body->code.n; i++)
        if (axes == UINT64_MAX || e->body->code.at[i].axes & axes) e->memo[i] = NULL;
}

static bool varies(const Emit *e, uint64_t axes)
{
    return e->vector_axis < 64 && axes >> e->vector_axis & 1;
}

// Does the index differ from lane to lane?
static bool index_varies(const Emit *e, IndexId index)
{
    const IndexNode *n = index_node(e->pool, index);
    switch (n->op) {
    case IX_CONST: return false;
    case IX_AXIS: return n->a == e->vector_axis;
    case IX_VALUE: return varies(e, e->body->code.at[n->a].axes);
    case IX_ADD: return index_varies(e, n->a) || index_varies(e, n->b);
    default: return index_varies(e, n->a);
    }
}

static LLVMValueRef axis_value(Emit *e, uint32_t axis, bool vector)
{
    LLVMValueRef x = e->axis[axis];
    if (!vector) return x;
    x = emit_splat(e, x);
    return axis == e->vector_axis ? LLVMBuildAdd(e->builder, x, emit_iota(e), "") : x;
}

static LLVMValueRef constant(Emit *e, int64_t c, bool vector)
{
    return vector ? emit_splat(e, emit_i64(e, c)) : emit_i64(e, c);
}

static LLVMValueRef loaded_index(Emit *e, const IndexNode *n, bool vector)
{
    const KernelInstr *in = &e->body->code.at[n->a];
    LLVMValueRef x = emit_value(e, n->a);
    if (vector) x = emit_splat(e, x);
    LLVMTypeRef to = vector ? emit_vector_type(e, e->t.i64) : e->t.i64;
    bool is_signed = in->dtype == DT_I32 || in->dtype == DT_I8 || in->dtype == DT_I64;
    x = LLVMBuildIntCast2(e->builder, x, to, is_signed, "");
    LLVMValueRef lo = constant(e, n->lo, vector), hi = constant(e, n->hi, vector);
    x = LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, x, lo, ""), lo, x, "");
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSGT, x, hi, ""), hi, x, "");
}

// floor(x / c) for c > 0; an unsigned division where x cannot be negative.
static LLVMValueRef divide(Emit *e, LLVMValueRef x, const IndexNode *of, int64_t c, bool vector)
{
    LLVMValueRef by = constant(e, c, vector);
    if (of->lo >= 0) return LLVMBuildUDiv(e->builder, x, by, "");
    LLVMValueRef q = LLVMBuildSDiv(e->builder, x, by, "");
    LLVMValueRef rest = LLVMBuildSub(e->builder, x, LLVMBuildMul(e->builder, q, by, ""), "");
    LLVMValueRef below = LLVMBuildICmp(e->builder, LLVMIntSLT, rest, constant(e, 0, vector), "");
    return LLVMBuildSelect(e->builder, below,
                           LLVMBuildSub(e->builder, q, constant(e, 1, vector), ""), q, "");
}

static LLVMValueRef index_value_at(Emit *e, IndexId index, bool vector)
{
    IndexNode n = *index_node(e->pool, index);
    switch (n.op) {
    case IX_CONST: return constant(e, n.c, vector);
    case IX_AXIS: return axis_value(e, n.a, vector);
    case IX_VALUE: return loaded_index(e, &n, vector);
    default: break;
    }
    LLVMValueRef a = index_value_at(e, n.a, vector);
    const IndexNode *of = index_node(e->pool, n.a);
    switch (n.op) {
    case IX_ADD: return LLVMBuildAdd(e->builder, a, index_value_at(e, n.b, vector), "");
    case IX_MUL: return LLVMBuildMul(e->builder, a, constant(e, n.c, vector), "");
    case IX_DIV: return divide(e, a, of, n.c, vector);
    case IX_MOD: {
        LLVMValueRef q = divide(e, a, of, n.c, vector);
        return LLVMBuildSub(e->builder, a,
                            LLVMBuildMul(e->builder, q, constant(e, n.c, vector), ""), "");
    }
    default: bug("index op %d", (int)n.op);
    }
}

LLVMValueRef emit_index(Emit *e, IndexId index)
{
    return index_value_at(e, index, false);
}

// How an access runs along the lanes.
typedef enum { ACCESS_SCALAR, ACCESS_ROW, ACCESS_SCATTERED } AccessKind;

typedef struct Access {
    AccessKind kind;
    LLVMValueRef index; // i64, or a vector of them
} Access;

static Access access_at(Emit *e, IndexId index)
{
    int64_t c;
    IndexId rest;
    if (!index_varies(e, index)) return (Access){ACCESS_SCALAR, emit_index(e, index)};
    if (index_affine(e->pool, index, e->vector_axis, &c, &rest) && c == 1 &&
        !index_varies(e, rest)) {
        LLVMValueRef at = emit_index(e, rest);
        return (Access){ACCESS_ROW, LLVMBuildAdd(e->builder, at, e->axis[e->vector_axis], "")};
    }
    return (Access){ACCESS_SCATTERED, index_value_at(e, index, true)};
}

// Lanes l with lo <= at + l < hi, for a scalar `at`: compares of 32 bits.
static LLVMValueRef lanes_between(Emit *e, LLVMValueRef at, int64_t lo, int64_t hi)
{
    LLVMValueRef ok = NULL, ends[2] = {emit_i64(e, lo), emit_i64(e, hi)}, zero = emit_i64(e, 0),
                 all = emit_i64(e, e->lanes);
    LLVMValueRef lane = LLVMBuildTrunc(e->builder, emit_iota(e), emit_vector_type(e, e->t.i32), "");
    for (int i = 0; i < 2; i++) {
        LLVMValueRef x = LLVMBuildSub(e->builder, ends[i], at, "");
        x = LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, x, zero, ""), zero, x,
                            "");
        x = LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSGT, x, all, ""), all, x,
                            "");
        x = emit_splat(e, LLVMBuildTrunc(e->builder, x, e->t.i32, ""));
        x = LLVMBuildICmp(e->builder, i ? LLVMIntSLT : LLVMIntSGE, lane, x, "");
        ok = ok ? LLVMBuildAnd(e->builder, ok, x, "") : x;
    }
    return ok;
}

static LLVMValueRef guard_holds(Emit *e, const KernelGuard *guard, bool vector)
{
    int64_t step;
    IndexId rest;
    if (vector && index_affine(e->pool, guard->index, e->vector_axis, &step, &rest) && step == 1 &&
        !index_varies(e, rest))
        return lanes_between(e, emit_index(e, guard->index), guard->lo, guard->hi);
    LLVMValueRef x = index_value_at(e, guard->index, vector);
    LLVMValueRef lo = LLVMBuildICmp(e->builder, LLVMIntSGE, x, constant(e, guard->lo, vector), ""),
                 hi = LLVMBuildICmp(e->builder, LLVMIntSLT, x, constant(e, guard->hi, vector), "");
    return LLVMBuildAnd(e->builder, lo, hi, "");
}

// i1 or <lanes x i1>; NULL when there is no guard.
static LLVMValueRef guards_hold(Emit *e, const KernelGuard *guards, uint32_t n)
{
    LLVMValueRef all = NULL;
    for (uint32_t i = 0; i < n; i++) {
        bool vector = index_varies(e, guards[i].index);
        LLVMValueRef ok = guard_holds(e, &guards[i], vector);
        if (all && emit_is_vector(all) != vector) {
            all = emit_splat(e, all);
            ok = emit_splat(e, ok);
        }
        all = all ? LLVMBuildAnd(e->builder, all, ok, "") : ok;
    }
    return all;
}

static LLVMValueRef lanes_used(Emit *e, LLVMValueRef guard)
{
    if (!guard) return e->mask;
    guard = emit_splat(e, guard);
    return e->mask ? LLVMBuildAnd(e->builder, guard, e->mask, "") : guard;
}

static LLVMValueRef masked_load(Emit *e, LLVMTypeRef type, LLVMValueRef at, LLVMValueRef mask,
                                uint32_t align)
{
    LLVMTypeRef vector = emit_vector_type(e, type), types[2] = {vector, e->t.ptr};
    unsigned id = LLVMLookupIntrinsicID("llvm.masked.load", 16);
    LLVMValueRef args[4] = {at, LLVMConstInt(e->t.i32, align, false), mask, LLVMConstNull(vector)};
    return LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                          LLVMGetIntrinsicDeclaration(e->module, id, types, 2), args, 4, "");
}

static LLVMValueRef gather(Emit *e, LLVMTypeRef type, LLVMValueRef base, LLVMValueRef index,
                           LLVMValueRef mask, uint32_t align)
{
    LLVMTypeRef vector = emit_vector_type(e, type),
                types[2] = {vector, emit_vector_type(e, e->t.ptr)};
    unsigned id = LLVMLookupIntrinsicID("llvm.masked.gather", 18);
    LLVMValueRef at = LLVMBuildGEP2(e->builder, type, base, &index, 1, "");
    if (!mask) mask = emit_mask(e, e->lanes);
    LLVMValueRef args[4] = {at, LLVMConstInt(e->t.i32, align, false), mask, LLVMConstNull(vector)};
    return LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                          LLVMGetIntrinsicDeclaration(e->module, id, types, 2), args, 4, "");
}

static LLVMValueRef load_value(Emit *e, const KernelInstr *in)
{
    LLVMTypeRef type = emit_memory_type(e, in->dtype);
    uint32_t align = (uint32_t)dtype_size(in->dtype);
    LLVMValueRef base = e->base[in->buffer], guard = guards_hold(e, in->guards, in->nguards);
    Access a = access_at(e, in->index);
    if (a.kind == ACCESS_SCALAR && guard && emit_is_vector(guard))
        a = (Access){ACCESS_SCATTERED, emit_splat(e, a.index)};
    if (a.kind ==
        ACCESS_SCALAR) { // a failed guard reads element 0, which is always there, and drops it
        LLVMValueRef at =
            guard ? LLVMBuildSelect(e->builder, guard, a.index, emit_i64(e, 0), "") : a.index;
        LLVMValueRef x = emit_load(e, type, emit_at(e, type, base, at), align);
        if (guard) x = LLVMBuildSelect(e->builder, guard, x, LLVMConstNull(type), "");
        return emit_widen(e, in->dtype, x);
    }
    LLVMValueRef mask = lanes_used(e, guard), x;
    if (a.kind == ACCESS_ROW) {
        LLVMValueRef at = emit_at(e, type, base, a.index);
        x = mask ? masked_load(e, type, at, mask, align)
                 : emit_load(e, emit_vector_type(e, type), at, align);
    } else {
        x = gather(e, type, base, a.index, mask, align);
    }
    return emit_widen(e, in->dtype, x);
}

static LLVMValueRef index_number(Emit *e, const KernelInstr *in)
{
    bool vector = index_varies(e, in->index);
    LLVMValueRef x = index_value_at(e, in->index, vector);
    LLVMTypeRef type = emit_type(e, in->dtype);
    if (vector) type = emit_vector_type(e, type);
    if (dtype_is_float(in->dtype))
        return emit_round(e, in->dtype, LLVMBuildSIToFP(e->builder, x, type, ""));
    return LLVMBuildIntCast2(e->builder, x, type, true, "");
}

static LLVMValueRef constant_value(Emit *e, const KernelInstr *in)
{
    LLVMTypeRef type = emit_type(e, in->dtype);
    if (dtype_is_float(in->dtype))
        return LLVMConstReal(type, in->dtype == DT_F32 ? (double)(float)in->value : in->value);
    return LLVMConstInt(type, (unsigned long long)(int64_t)in->value, true);
}

// ---- Philox4x32-10 (Salmon et al. 2011)
// -------------------------------------------------------------

static LLVMValueRef u32(Emit *e, uint32_t x)
{
    return emit_splat(e, LLVMConstInt(e->t.i32, x, false));
}

static LLVMValueRef low(Emit *e, LLVMValueRef x)
{
    return LLVMBuildTrunc(e->builder, x, emit_vector_type(e, e->t.i32), "");
}

static LLVMValueRef high(Emit *e, LLVMValueRef x)
{
    return low(e, LLVMBuildLShr(e->builder, x, emit_splat(e, emit_i64(e, 32)), ""));
}

static LLVMValueRef product(Emit *e, LLVMValueRef x, uint32_t m)
{
    LLVMTypeRef wide = emit_vector_type(e, e->t.i64);
    LLVMValueRef by = emit_splat(e, LLVMConstInt(e->t.i64, m, false));
    return LLVMBuildMul(e->builder, LLVMBuildZExt(e->builder, x, wide, ""), by, "");
}

static LLVMValueRef random_bits(Emit *e, const KernelInstr *in)
{
    LLVMBuilderRef b = e->builder;
    bool vector = index_varies(e, in->index) || index_varies(e, in->index2);
    LLVMValueRef seed = emit_splat(e, emit_value(e, in->args[0])),
                 step = emit_splat(e, emit_value(e, in->args[1]));
    LLVMValueRef element = emit_splat(e, index_value_at(e, in->index, vector));
    LLVMValueRef sample = emit_splat(e, index_value_at(e, in->index2, vector));
    LLVMValueRef quarter = LLVMBuildLShr(b, element, emit_splat(e, emit_i64(e, 2)), "");
    LLVMValueRef stream = emit_splat(e, emit_value(e, in->args[2]));
    LLVMValueRef k0 = LLVMBuildXor(b, low(e, seed), low(e, stream), "");
    LLVMValueRef k1 = LLVMBuildXor(b, high(e, seed), high(e, stream), "");
    LLVMValueRef c[4] = {low(e, quarter), low(e, sample), low(e, step),
                         LLVMBuildXor(b, high(e, step), high(e, quarter), "")};
    for (int round = 0; round < 10; round++) {
        LLVMValueRef p = product(e, c[0], 0xD2511F53u), q = product(e, c[2], 0xCD9E8D57u);
        LLVMValueRef x = LLVMBuildXor(b, LLVMBuildXor(b, high(e, q), c[1], ""), k0, "");
        LLVMValueRef y = LLVMBuildXor(b, LLVMBuildXor(b, high(e, p), c[3], ""), k1, "");
        c[0] = x, c[1] = low(e, q), c[2] = y, c[3] = low(e, p);
        k0 = LLVMBuildAdd(b, k0, u32(e, 0x9E3779B9u), "");
        k1 = LLVMBuildAdd(b, k1, u32(e, 0xBB67AE85u), "");
    }
    LLVMValueRef word = LLVMBuildAnd(b, low(e, element), u32(e, 3), ""), x = c[0];
    for (uint32_t i = 1; i < 4; i++)
        x = LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntEQ, word, u32(e, i), ""), c[i], x, "");
    return vector ? x : LLVMBuildExtractElement(b, x, emit_i64(e, 0), "");
}

static LLVMValueRef op_value(Emit *e, const KernelInstr *in)
{
    LLVMValueRef args[3];
    bool vector = false;
    uint32_t square = kernel_exp_of_square(e->body, in);
    if (square != UINT32_MAX) return emit_exp_minus(e, in->dtype, emit_value(e, square));
    uint32_t n = (uint32_t)op_info(in->op)->arity;
    for (uint32_t i = 0; i < n; i++) {
        args[i] = emit_value(e, in->args[i]);
        vector |= emit_is_vector(args[i]);
    }
    for (uint32_t i = 0; vector && i < n; i++) args[i] = emit_splat(e, args[i]);
    uint32_t typed = in->op == OP_SELECT ? 1 : 0;
    return emit_op(e, in->op, e->body->code.at[in->args[typed]].dtype, in->dtype, args);
}

LLVMValueRef emit_value(Emit *e, uint32_t instr)
{
    if (e->memo[instr]) return e->memo[instr];
    const KernelInstr *in = &e->body->code.at[instr];
    LLVMValueRef x = NULL;
    switch (in->kind) {
    case KI_CONST: x = constant_value(e, in); break;
    case KI_LOAD: x = load_value(e, in); break;
    case KI_INDEX: x = index_number(e, in); break;
    case KI_TEST:
        x = guards_hold(e, in->guards, in->nguards);
        if (!x) x = LLVMConstInt(e->t.i1, 1, false);
        break;
    case KI_RANDOM: x = random_bits(e, in); break;
    case KI_OP: x = op_value(e, in); break;
    case KI_ACC: x = e->acc; break;
    case KI_REDUCE: bug("reduction v%u read before its sweep", instr);
    }
    return e->memo[instr] = x;
}

static void masked_store(Emit *e, LLVMValueRef x, LLVMValueRef at, LLVMValueRef mask,
                         uint32_t align)
{
    LLVMTypeRef types[2] = {LLVMTypeOf(x), e->t.ptr};
    unsigned id = LLVMLookupIntrinsicID("llvm.masked.store", 17);
    LLVMValueRef args[4] = {x, at, LLVMConstInt(e->t.i32, align, false), mask};
    LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                   LLVMGetIntrinsicDeclaration(e->module, id, types, 2), args, 4, "");
}

static void scatter(Emit *e, LLVMValueRef x, LLVMTypeRef type, LLVMValueRef base,
                    LLVMValueRef index, LLVMValueRef mask, uint32_t align)
{
    LLVMTypeRef types[2] = {LLVMTypeOf(x), emit_vector_type(e, e->t.ptr)};
    unsigned id = LLVMLookupIntrinsicID("llvm.masked.scatter", 19);
    LLVMValueRef at = LLVMBuildGEP2(e->builder, type, base, &index, 1, "");
    if (!mask) mask = emit_mask(e, e->lanes);
    LLVMValueRef args[4] = {x, at, LLVMConstInt(e->t.i32, align, false), mask};
    LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                   LLVMGetIntrinsicDeclaration(e->module, id, types, 2), args, 4, "");
}

void emit_body_store(Emit *e, const KernelStore *s)
{
    DType dt = e->body->code.at[s->value].dtype;
    LLVMTypeRef type = emit_memory_type(e, dt);
    uint32_t align = (uint32_t)dtype_size(dt);
    LLVMValueRef x = emit_narrow(e, dt, emit_value(e, s->value)), base = e->base[s->buffer];
    if (s->nguards) bug("guarded stores");
    Access a = access_at(e, s->index);
    if (a.kind == ACCESS_SCALAR) {
        bool vector = emit_is_vector(x);
        if (vector && (e->body->axes.at[e->vector_axis].size != 1 || !e->mask))
            bug("a row stored to one place");
        LLVMValueRef at = emit_at(e, type, base, a.index);
        if (vector) // a vector axis of one point: the mask leaves its lane, or none
            masked_store(e, x, at, e->mask, align);
        else
            emit_store(e, x, at, align);
        return;
    }
    x = emit_splat(e, x);
    if (a.kind == ACCESS_SCATTERED)
        scatter(e, x, type, base, a.index, e->mask, align);
    else if (e->mask)
        masked_store(e, x, emit_at(e, type, base, a.index), e->mask, align);
    else
        emit_store(e, x, emit_at(e, type, base, a.index), align);
}
