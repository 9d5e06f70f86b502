// Elementwise ops on registers, scalar or vector, with the bits that docs/ir.md defines.
// Transcendentals come from the expansions in ir/scalar.c.
#include "codegen/emit.h"

#include "base/diag.h"
#include "codegen/sweeps.h"
#include "ir/scalar.h"

static LLVMTypeRef like(const Emit *e, LLVMValueRef x, LLVMTypeRef element)
{
    return emit_is_vector(x) ? emit_vector_type(e, element) : element;
}

static LLVMValueRef repeat(const Emit *e, LLVMValueRef constant, LLVMValueRef x)
{
    return emit_is_vector(x) ? emit_splat(e, constant) : constant;
}

static LLVMValueRef choose(const Emit *e, LLVMValueRef c, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSelect(e->builder, c, x, y, "");
}

static LLVMValueRef call1(const Emit *e, const char *name, LLVMValueRef x)
{
    return emit_intrinsic(e, name, LLVMTypeOf(x), &x, 1);
}

static LLVMValueRef fma3(const Emit *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    LLVMValueRef args[3] = {x, y, z};
    return emit_intrinsic(e, "llvm.fma", LLVMTypeOf(x), args, 3);
}

// ---- expansions
// ----------------------------------------------------------------------------------

static LLVMValueRef scalar_integer(const Emit *e, const ScalarInstr *in, LLVMValueRef a,
                                   LLVMValueRef b)
{
    LLVMBuilderRef bl = e->builder;
    LLVMValueRef by = a ? repeat(e, LLVMConstInt(e->t.i32, (uint32_t)in->imm.i, true), a) : NULL;
    switch (in->op) {
    case SC_IADD: return LLVMBuildAdd(bl, a, b, "");
    case SC_ISUB: return LLVMBuildSub(bl, a, b, "");
    case SC_IMUL: return LLVMBuildMul(bl, a, b, "");
    case SC_IAND: return LLVMBuildAnd(bl, a, b, "");
    case SC_IOR: return LLVMBuildOr(bl, a, b, "");
    case SC_IXOR: return LLVMBuildXor(bl, a, b, "");
    case SC_ISHL: return LLVMBuildShl(bl, a, by, "");
    case SC_ISHR: return LLVMBuildLShr(bl, a, by, "");
    case SC_IASR: return LLVMBuildAShr(bl, a, by, "");
    case SC_ILT: return LLVMBuildICmp(bl, LLVMIntSLT, a, b, "");
    case SC_IEQ: return LLVMBuildICmp(bl, LLVMIntEQ, a, b, "");
    case SC_TO_INT: return LLVMBuildFPToSI(bl, a, like(e, a, e->t.i32), "");
    case SC_TO_F32: return LLVMBuildSIToFP(bl, a, like(e, a, e->t.f32), "");
    case SC_BITS: return LLVMBuildBitCast(bl, a, like(e, a, e->t.i32), "");
    case SC_FROM_BITS: return LLVMBuildBitCast(bl, a, like(e, a, e->t.f32), "");
    default: bug("scalar op %d", (int)in->op);
    }
}

static LLVMValueRef scalar_instr(const Emit *e, const ScalarInstr *in, const LLVMValueRef *v,
                                 const LLVMValueRef *args)
{
    LLVMBuilderRef bl = e->builder;
    LLVMValueRef a = NULL, b = NULL;
    if (in->op > SC_I32) {
        a = v[in->a];
        b = v[in->b];
    }
    switch (in->op) {
    case SC_ARG: return args[in->imm.i];
    case SC_F32: return repeat(e, emit_f32(e, (double)in->imm.f), args[0]);
    case SC_I32: return repeat(e, LLVMConstInt(e->t.i32, (uint32_t)in->imm.i, true), args[0]);
    case SC_ADD: return LLVMBuildFAdd(bl, a, b, "");
    case SC_SUB: return LLVMBuildFSub(bl, a, b, "");
    case SC_MUL: return LLVMBuildFMul(bl, a, b, "");
    case SC_DIV: return LLVMBuildFDiv(bl, a, b, "");
    case SC_FMA: return fma3(e, a, b, v[in->c]);
    case SC_SQRT: return call1(e, "llvm.sqrt", a);
    case SC_NEG: return LLVMBuildFNeg(bl, a, "");
    case SC_ABS: return call1(e, "llvm.fabs", a);
    case SC_FLOOR: return call1(e, "llvm.floor", a);
    case SC_ROUND: return call1(e, "llvm.roundeven", a);
    case SC_LT: return LLVMBuildFCmp(bl, LLVMRealOLT, a, b, "");
    case SC_LE: return LLVMBuildFCmp(bl, LLVMRealOLE, a, b, "");
    case SC_EQ: return LLVMBuildFCmp(bl, LLVMRealOEQ, a, b, "");
    case SC_SELECT: return choose(e, a, b, v[in->c]);
    default: return scalar_integer(e, in, a, b);
    }
}

static LLVMValueRef expansion(const Emit *e, const ScalarProgram *p, const LLVMValueRef *args)
{
    LLVMValueRef *v = arena_array(e->arena, LLVMValueRef, p->code.n);
    for (uint32_t i = 0; i < p->code.n; i++) v[i] = scalar_instr(e, &p->code.at[i], v, args);
    return v[p->code.n - 1];
}

// ---- integers
// --------------------------------------------------------------------------------------

static bool is_signed(DType dt)
{
    return dt == DT_I8 || dt == DT_I32 || dt == DT_I64;
}

// floor(x / y), 0 where y is 0; the remainder goes with it.
static LLVMValueRef integer_division(const Emit *e, OpCode op, DType dt, LLVMValueRef x,
                                     LLVMValueRef y)
{
    LLVMBuilderRef b = e->builder;
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(x));
    LLVMValueRef one = repeat(e, LLVMConstInt(emit_type(e, dt), 1, false), x);
    LLVMValueRef none = LLVMBuildICmp(b, LLVMIntEQ, y, zero, ""), by = choose(e, none, one, y), q;
    if (!is_signed(dt)) {
        q = LLVMBuildUDiv(b, x, by, "");
    } else { // x / -1 would overflow for the least x: it is a negation
        LLVMValueRef minus = LLVMBuildICmp(b, LLVMIntEQ, by, LLVMConstAllOnes(LLVMTypeOf(x)), "");
        q = LLVMBuildSDiv(b, x, choose(e, minus, one, by), "");
        LLVMValueRef rest = LLVMBuildSub(b, x, LLVMBuildMul(b, q, by, ""), "");
        LLVMValueRef odd = LLVMBuildICmp(b, LLVMIntSLT, LLVMBuildXor(b, rest, by, ""), zero, "");
        LLVMValueRef inexact = LLVMBuildICmp(b, LLVMIntNE, rest, zero, "");
        LLVMValueRef down = LLVMBuildAnd(b, inexact, odd, "");
        q = choose(e, down, LLVMBuildSub(b, q, one, ""), q);
        q = choose(e, minus, LLVMBuildNeg(b, x, ""), q);
    }
    if (op == OP_REM) q = LLVMBuildSub(b, x, LLVMBuildMul(b, q, by, ""), "");
    return choose(e, none, zero, q);
}

static LLVMValueRef integer_op(const Emit *e, OpCode op, DType dt, const LLVMValueRef *a)
{
    LLVMBuilderRef b = e->builder;
    bool s = is_signed(dt);
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(a[0]));
    switch (op) {
    case OP_NEG: return LLVMBuildNeg(b, a[0], "");
    case OP_ABS:
        if (!s) return a[0];
        return choose(e, LLVMBuildICmp(b, LLVMIntSLT, a[0], zero, ""), LLVMBuildNeg(b, a[0], ""),
                      a[0]);
    case OP_SIGN: {
        LLVMValueRef one = repeat(e, LLVMConstInt(emit_type(e, dt), 1, false), a[0]);
        LLVMValueRef some = LLVMBuildICmp(b, LLVMIntNE, a[0], zero, "");
        LLVMValueRef below = LLVMBuildICmp(b, LLVMIntSLT, a[0], zero, "");
        LLVMValueRef x = choose(e, some, one, zero);
        return s ? choose(e, below, LLVMBuildNeg(b, one, ""), x) : x;
    }
    case OP_ADD: return LLVMBuildAdd(b, a[0], a[1], "");
    case OP_SUB: return LLVMBuildSub(b, a[0], a[1], "");
    case OP_MUL: return LLVMBuildMul(b, a[0], a[1], "");
    case OP_DIV:
    case OP_REM: return integer_division(e, op, dt, a[0], a[1]);
    case OP_MAX:
        return choose(e, LLVMBuildICmp(b, s ? LLVMIntSGT : LLVMIntUGT, a[0], a[1], ""), a[0], a[1]);
    case OP_MIN:
        return choose(e, LLVMBuildICmp(b, s ? LLVMIntSLT : LLVMIntULT, a[0], a[1], ""), a[0], a[1]);
    case OP_NOT: return LLVMBuildNot(b, a[0], "");
    case OP_AND: return LLVMBuildAnd(b, a[0], a[1], "");
    case OP_OR: return LLVMBuildOr(b, a[0], a[1], "");
    case OP_LT: return LLVMBuildICmp(b, s ? LLVMIntSLT : LLVMIntULT, a[0], a[1], "");
    case OP_LE: return LLVMBuildICmp(b, s ? LLVMIntSLE : LLVMIntULE, a[0], a[1], "");
    case OP_EQ: return LLVMBuildICmp(b, LLVMIntEQ, a[0], a[1], "");
    case OP_NE: return LLVMBuildICmp(b, LLVMIntNE, a[0], a[1], "");
    default: bug("%s on %s", op_info(op)->name, dtype_name(dt));
    }
}

// ---- narrow floats
// ---------------------------------------------------------------------------------

// bf16 by integers, as ir/scalar.c does it: no processor's instruction keeps denormals. f16 by the
// instructions that every x86-64-v3 has; they round as ir/scalar.c. 8-bit floats are rounded by
// integers, as f32; the numbers of f8e5m2 are the upper halves of f16, those of f8e4m3 are 2^8
// times as large as the f16 with their bits one place below the sign.
static LLVMValueRef bits(const Emit *e, LLVMValueRef x)
{
    return LLVMBuildBitCast(e->builder, x, like(e, x, e->t.i32), "");
}

static LLVMValueRef of_bits(const Emit *e, LLVMValueRef x)
{
    return LLVMBuildBitCast(e->builder, x, like(e, x, e->t.f32), "");
}

static LLVMValueRef word(const Emit *e, uint32_t c, LLVMValueRef x)
{
    return repeat(e, LLVMConstInt(e->t.i32, c, false), x);
}

// To nearest even, without the lowest bits, `drop` of them; a NaN stays one.
static LLVMValueRef round_bits(const Emit *e, LLVMValueRef x, uint32_t drop)
{
    LLVMBuilderRef b = e->builder;
    uint32_t half = (1u << (drop - 1)) - 1;
    LLVMValueRef u = bits(e, x), odd = LLVMBuildLShr(b, u, word(e, drop, x), "");
    odd = LLVMBuildAnd(b, odd, word(e, 1, x), "");
    LLVMValueRef sum = LLVMBuildAdd(b, LLVMBuildAdd(b, u, word(e, half, x), ""), odd, "");
    LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, x, x, "");
    sum = choose(e, nan, LLVMBuildOr(b, u, word(e, 0x400000, x), ""), sum);
    return of_bits(e, LLVMBuildAnd(b, sum, word(e, ~((1u << drop) - 1), x), ""));
}

static LLVMTypeRef half(const Emit *e)
{
    return LLVMHalfTypeInContext(e->context);
}

// To an 8-bit float. Below its normal numbers the sum with `large`, whose unit in the last place is
// that of the denormals, rounds to their grid.
static LLVMValueRef round_f8(const Emit *e, DType dt, LLVMValueRef x)
{
    LLVMBuilderRef b = e->builder;
    bool e4m3 = dt == DT_F8E4M3;
    LLVMValueRef large = repeat(e, emit_f32(e, e4m3 ? 0x1p14 : 0x1p7), x);
    LLVMValueRef least = repeat(e, emit_f32(e, e4m3 ? 0x1p-6 : 0x1p-14), x);
    LLVMValueRef most = repeat(e, emit_f32(e, e4m3 ? 448 : 57344), x);
    LLVMValueRef over = repeat(e, emit_f32(e, e4m3 ? __builtin_nan("") : __builtin_inf()), x);
    LLVMValueRef size = call1(e, "llvm.fabs", x), normal = round_bits(e, size, e4m3 ? 20 : 21);
    LLVMValueRef small = LLVMBuildFSub(b, LLVMBuildFAdd(b, size, large, ""), large, "");
    LLVMValueRef y = choose(e, LLVMBuildFCmp(b, LLVMRealOLT, size, least, ""), small, normal);
    y = choose(e, LLVMBuildFCmp(b, LLVMRealOGT, y, most, ""), over, y);
    LLVMValueRef sign = LLVMBuildAnd(b, bits(e, x), word(e, 0x80000000, x), "");
    return of_bits(e, LLVMBuildOr(b, bits(e, y), sign, ""));
}

LLVMValueRef emit_round(const Emit *e, DType dt, LLVMValueRef x)
{
    if (!dtype_is_narrow(dt)) return x;
    if (dt == DT_BF16) return round_bits(e, x, 16);
    if (dt != DT_F16) return round_f8(e, dt, x);
    LLVMValueRef y = LLVMBuildFPTrunc(e->builder, x, like(e, x, half(e)), "");
    return LLVMBuildFPExt(e->builder, y, LLVMTypeOf(x), "");
}

// f16 to f32, by its bits.
static LLVMValueRef widen_half(const Emit *e, LLVMValueRef x)
{
    LLVMBuilderRef b = e->builder;
    return LLVMBuildFPExt(b, LLVMBuildBitCast(b, x, like(e, x, half(e)), ""), like(e, x, e->t.f32),
                          "");
}

static LLVMValueRef narrow_half(const Emit *e, LLVMValueRef x)
{
    LLVMBuilderRef b = e->builder;
    return LLVMBuildBitCast(b, LLVMBuildFPTrunc(b, x, like(e, x, half(e)), ""),
                            like(e, x, e->t.i16), "");
}

static LLVMValueRef short_word(const Emit *e, uint32_t c, LLVMValueRef x)
{
    return repeat(e, LLVMConstInt(e->t.i16, c, false), x);
}

static LLVMValueRef widen_f8(const Emit *e, DType dt, LLVMValueRef x)
{
    LLVMBuilderRef b = e->builder;
    LLVMValueRef wide = LLVMBuildZExt(b, x, like(e, x, e->t.i16), "");
    LLVMValueRef upper = LLVMBuildShl(b, wide, short_word(e, 8, x), "");
    if (dt == DT_F8E5M2) return widen_half(e, upper);
    LLVMValueRef size = LLVMBuildAnd(b, wide, short_word(e, 0x7f, x), "");
    LLVMValueRef sign = LLVMBuildAnd(b, upper, short_word(e, 0x8000, x), "");
    LLVMValueRef low = LLVMBuildShl(b, size, short_word(e, 7, x), "");
    LLVMValueRef y = widen_half(e, LLVMBuildOr(b, sign, low, ""));
    y = LLVMBuildFMul(b, y, repeat(e, emit_f32(e, 0x1p8), x), "");
    LLVMValueRef nan = LLVMBuildICmp(b, LLVMIntEQ, size, short_word(e, 0x7f, x), "");
    return choose(e, nan, repeat(e, emit_f32(e, __builtin_nan("")), x), y);
}

static LLVMValueRef narrow_f8(const Emit *e, DType dt, LLVMValueRef x)
{
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef byte = like(e, x, e->t.i8);
    if (dt == DT_F8E5M2)
        return LLVMBuildTrunc(b, LLVMBuildLShr(b, narrow_half(e, x), short_word(e, 8, x), ""), byte,
                              "");
    LLVMValueRef h = narrow_half(e, LLVMBuildFMul(b, x, repeat(e, emit_f32(e, 0x1p-8), x), ""));
    LLVMValueRef sign = LLVMBuildLShr(b, h, short_word(e, 8, x), "");
    sign = LLVMBuildAnd(b, sign, short_word(e, 0x80, x), "");
    LLVMValueRef size = LLVMBuildLShr(b, h, short_word(e, 7, x), "");
    size = LLVMBuildAnd(b, size, short_word(e, 0x7f, x), "");
    LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, x, x, "");
    size = choose(e, nan, short_word(e, 0x7f, x), size);
    return LLVMBuildTrunc(b, LLVMBuildOr(b, sign, size, ""), byte, "");
}

LLVMValueRef emit_widen(const Emit *e, DType dt, LLVMValueRef x)
{
    LLVMBuilderRef b = e->builder;
    if (dt == DT_BOOL) return LLVMBuildICmp(b, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)), "");
    if (!dtype_is_narrow(dt)) return x;
    if (dt == DT_F16) return widen_half(e, x);
    if (dt != DT_BF16) return widen_f8(e, dt, x);
    LLVMValueRef wide = LLVMBuildZExt(b, x, like(e, x, e->t.i32), "");
    return of_bits(e, LLVMBuildShl(b, wide, word(e, 16, x), ""));
}

LLVMValueRef emit_narrow(const Emit *e, DType dt, LLVMValueRef x)
{
    LLVMBuilderRef b = e->builder;
    if (dt == DT_BOOL) return LLVMBuildZExt(b, x, like(e, x, e->t.i8), "");
    if (!dtype_is_narrow(dt)) return x;
    if (dt == DT_F16) return narrow_half(e, x);
    if (dt != DT_BF16) return narrow_f8(e, dt, x);
    return LLVMBuildTrunc(b, LLVMBuildLShr(b, bits(e, x), word(e, 16, x), ""), like(e, x, e->t.i16),
                          "");
}

// ---- floats
// ----------------------------------------------------------------------------------------

static LLVMValueRef float_op(const Emit *e, OpCode op, const LLVMValueRef *a)
{
    LLVMBuilderRef b = e->builder;
    LLVMTypeRef type = LLVMTypeOf(a[0]);
    LLVMValueRef zero = LLVMConstNull(type);
    switch (op) {
    case OP_NEG: return LLVMBuildFNeg(b, a[0], "");
    case OP_ABS: return call1(e, "llvm.fabs", a[0]);
    case OP_SIGN: {
        LLVMTypeRef element = emit_is_vector(a[0]) ? LLVMGetElementType(type) : type;
        LLVMValueRef one = repeat(e, LLVMConstReal(element, 1), a[0]);
        LLVMValueRef minus = repeat(e, LLVMConstReal(element, -1), a[0]);
        LLVMValueRef x = choose(e, LLVMBuildFCmp(b, LLVMRealOLT, a[0], zero, ""), minus, a[0]);
        return choose(e, LLVMBuildFCmp(b, LLVMRealOGT, a[0], zero, ""), one, x);
    }
    case OP_FLOOR: return call1(e, "llvm.floor", a[0]);
    case OP_ROUND: return call1(e, "llvm.roundeven", a[0]);
    case OP_TF32: return round_bits(e, a[0], 13);
    case OP_SQRT: return call1(e, "llvm.sqrt", a[0]);
    case OP_IS_FINITE: {
        LLVMValueRef d = LLVMBuildFSub(b, a[0], a[0], ""); // NaN unless finite
        return LLVMBuildFCmp(b, LLVMRealOEQ, d, zero, "");
    }
    case OP_ADD: return LLVMBuildFAdd(b, a[0], a[1], "");
    case OP_SUB: return LLVMBuildFSub(b, a[0], a[1], "");
    case OP_MUL: return LLVMBuildFMul(b, a[0], a[1], "");
    case OP_DIV: return LLVMBuildFDiv(b, a[0], a[1], "");
    case OP_FMA: return fma3(e, a[0], a[1], a[2]);
    case OP_MAX:
    case OP_MIN: {
        LLVMRealPredicate p = op == OP_MAX ? LLVMRealOGT : LLVMRealOLT;
        LLVMValueRef first = LLVMBuildFCmp(b, p, a[0], a[1], "");
        LLVMValueRef nan = LLVMBuildFCmp(b, LLVMRealUNO, a[0], a[0], "");
        return choose(e, LLVMBuildOr(b, first, nan, ""), a[0], a[1]);
    }
    case OP_LT: return LLVMBuildFCmp(b, LLVMRealOLT, a[0], a[1], "");
    case OP_LE: return LLVMBuildFCmp(b, LLVMRealOLE, a[0], a[1], "");
    case OP_EQ: return LLVMBuildFCmp(b, LLVMRealOEQ, a[0], a[1], "");
    case OP_NE: return LLVMBuildFCmp(b, LLVMRealUNE, a[0], a[1], "");
    default: bug("%s on floats", op_info(op)->name);
    }
}

static LLVMValueRef cast_from_float(const Emit *e, DType to, LLVMValueRef x)
{
    LLVMTypeRef type = like(e, x, emit_type(e, to));
    if (to == DT_BOOL)
        return LLVMBuildFCmp(e->builder, LLVMRealUNE, x, LLVMConstNull(LLVMTypeOf(x)), "");
    if (dtype_is_float(to)) return LLVMBuildFPCast(e->builder, x, type, "");
    LLVMTypeRef types[2] = {type, LLVMTypeOf(x)};
    const char *name = is_signed(to) ? "llvm.fptosi.sat" : "llvm.fptoui.sat";
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    return LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                          LLVMGetIntrinsicDeclaration(e->module, id, types, 2), &x, 1, "");
}

static LLVMValueRef cast(const Emit *e, DType from, DType to, LLVMValueRef x)
{
    LLVMTypeRef type = like(e, x, emit_type(e, to));
    if (dtype_is_float(from)) return cast_from_float(e, to, x);
    if (to == DT_BOOL)
        return LLVMBuildICmp(e->builder, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)), "");
    if (dtype_is_float(to))
        return is_signed(from) ? LLVMBuildSIToFP(e->builder, x, type, "")
                               : LLVMBuildUIToFP(e->builder, x, type, "");
    return LLVMBuildIntCast2(e->builder, x, type, is_signed(from), "");
}

LLVMValueRef emit_op(Emit *e, OpCode op, DType from, DType to, const LLVMValueRef *args)
{
    if (op == OP_SELECT) return choose(e, args[0], args[1], args[2]);
    if (op == OP_CAST) return emit_round(e, to, cast(e, from, to, args[0]));
    if (op == OP_STOP_GRADIENT) return args[0];
    if (!dtype_is_float(from)) return integer_op(e, op, from, args);
    if (!(op_info(op)->flags & OPF_EXPAND)) return emit_round(e, to, float_op(e, op, args));
    if (from == DT_F64) bug("%s on %s", op_info(op)->name, dtype_name(from));
    return emit_round(e, to, expansion(e, scalar_expansion(e->arena, op), args));
}

LLVMValueRef emit_exp_minus(Emit *e, DType dt, LLVMValueRef x)
{
    return emit_round(e, dt, expansion(e, scalar_exp_minus(e->arena), &x));
}

LLVMValueRef emit_combine(Emit *e, OpCode op, DType dt, LLVMValueRef x, LLVMValueRef y)
{
    OpCode with = op == OP_SUM ? OP_ADD : op == OP_REDUCE_MAX ? OP_MAX : OP_MIN;
    LLVMValueRef args[2] = {x, y};
    return emit_op(e, with, dt, dt, args);
}

LLVMValueRef emit_identity(const Emit *e, OpCode op, DType dt)
{
    LLVMTypeRef type = emit_type(e, dt);
    if (op == OP_SUM) return LLVMConstNull(type);
    bool max = op == OP_REDUCE_MAX;
    if (dtype_is_float(dt)) return LLVMConstReal(type, max ? -__builtin_inf() : __builtin_inf());
    unsigned bits = (unsigned)dtype_size(dt) * 8;
    uint64_t all = UINT64_MAX >> (64 - bits), top = UINT64_C(1) << (bits - 1);
    if (!is_signed(dt)) return LLVMConstInt(type, max ? 0 : all, false);
    return LLVMConstInt(type, max ? top : all ^ top, false);
}

LLVMValueRef emit_row_fold(Emit *e, OpCode op, LLVMValueRef *sums)
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
