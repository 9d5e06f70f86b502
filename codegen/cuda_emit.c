// Scalar bodies as CUDA text. Each value becomes one declaration in the innermost braces where its
// operands are known; plain + - * / keep their bits because nothing is contracted (--fmad=false).
#include "codegen/cuda_emit.h"

#include "base/diag.h"
#include "ir/scalar.h"

#include <inttypes.h>
#include <math.h>

// ---- lines --------------------------------------------------------------------------------------

void cuda_put(CudaText *t, const char *s)
{
    for (; *s; s++) vec_push(t->arena, &t->out, *s);
}

static void put_line(CudaText *t, const char *fmt, va_list ap, const char *end)
{
    for (uint32_t i = 0; i < t->indent; i++) cuda_put(t, "  ");
    cuda_put(t, str_vprintf(t->arena, fmt, ap));
    cuda_put(t, end);
}

void cuda_line(CudaText *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line(t, fmt, ap, "\n");
    va_end(ap);
}

void cuda_open(CudaText *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line(t, fmt, ap, " {\n");
    va_end(ap);
    t->indent++;
}

void cuda_close(CudaText *t)
{
    t->indent--;
    cuda_line(t, "}");
}

// ---- types and numbers --------------------------------------------------------------------------

const char *cuda_type(DType dt)
{
    if (dtype_is_narrow(dt)) return "float";
    switch (dt) {
    case DT_F32: return "float";
    case DT_I64: return "long long";
    case DT_I32: return "int";
    case DT_I8: return "signed char";
    case DT_U32: return "unsigned";
    case DT_U16: return "unsigned short";
    case DT_U8: return "unsigned char";
    case DT_BOOL: return "bool";
    default: bug("no CUDA kernels on %s", dtype_name(dt));
    }
}

const char *cuda_memory_type(DType dt)
{
    if (dtype_is_narrow(dt)) return dtype_name(dt);
    return dt == DT_BOOL ? "unsigned char" : cuda_type(dt);
}

static const char *float_text(CudaText *t, float x)
{
    union {
        float f;
        uint32_t u;
    } bits = {x};
    if (!isfinite(x)) return str_printf(t->arena, "from_bits(0x%08x)", bits.u);
    return str_printf(t->arena, "%af", (double)x);
}

static const char *number_text(CudaText *t, DType dt, double x)
{
    if (dtype_is_float(dt)) return float_text(t, (float)x);
    return str_printf(t->arena, "(%s)%" PRId64 "ll", cuda_type(dt), (int64_t)x);
}

// ---- indices ------------------------------------------------------------------------------------

void cuda_use_body(CudaText *t, const KernelBody *body)
{
    t->body = body;
    t->axis = arena_array(t->arena, const char *, body->axes.n + 1);
    t->memo = arena_array(t->arena, const char *, body->code.n + 1);
    t->known = arena_array(t->arena, const char *, body->code.n + 1);
}

void cuda_forget(CudaText *t, uint64_t axes)
{
    for (uint32_t i = 0; i < t->body->code.n; i++)
        if (axes == UINT64_MAX || t->body->code.at[i].axes & axes) t->memo[i] = NULL;
}

const char *cuda_number(CudaText *t, int64_t x)
{
    bool loose = t->loose && x >= INT32_MIN && x <= INT32_MAX;
    if (!loose) return str_printf(t->arena, "%" PRId64, x);
    return str_printf(t->arena, "%c%" PRId64 "%c", LOOSE_BEGIN, x, LOOSE_END);
}

static bool is_wide(const IndexPool *pool, IndexId index)
{
    const IndexNode *n = index_node(pool, index);
    if (n->lo < INT32_MIN || n->hi > INT32_MAX) return true;
    if (n->op == IX_ADD && is_wide(pool, n->b)) return true;
    return n->op >= IX_ADD && n->op <= IX_MOD && is_wide(pool, n->a);
}

static const char *index_part(CudaText *t, IndexId index, bool wide)
{
    const IndexNode n = *index_node(&t->body->index, index);
    Arena *a = t->arena;
    const char *ll = wide ? "ll" : "", *type = wide ? "long long" : "int";
    switch (n.op) {
    case IX_CONST: return wide ? str_printf(a, "%" PRId64 "ll", n.c) : cuda_number(t, n.c);
    case IX_AXIS: return wide ? str_printf(a, "(long long)%s", t->axis[n.a]) : t->axis[n.a];
    case IX_VALUE:
        return str_printf(a, "clamp_index<%s>(%s, %" PRId64 "%s, %" PRId64 "%s)", type,
                          cuda_value(t, n.a), n.lo, ll, n.hi, ll);
    default: break;
    }
    const char *x = index_part(t, n.a, wide);
    bool below = index_node(&t->body->index, n.a)->lo < 0;
    switch (n.op) {
    case IX_ADD: return str_printf(a, "(%s + %s)", x, index_part(t, n.b, wide));
    case IX_MUL:
        if (wide) return str_printf(a, "%s * %" PRId64 "ll", x, n.c);
        return str_printf(a, "%s * %s", x, cuda_number(t, n.c));
    case IX_DIV:
        if (below) return str_printf(a, "div_floor<%s>(%s, %" PRId64 ")", type, x, n.c);
        return str_printf(a, "(%s) / %" PRId64 "%s", x, n.c, ll);
    case IX_MOD:
        if (below) return str_printf(a, "rem_floor<%s>(%s, %" PRId64 ")", type, x, n.c);
        return str_printf(a, "(%s) %% %" PRId64 "%s", x, n.c, ll);
    default: bug("index op %d", (int)n.op);
    }
}

const char *cuda_index(CudaText *t, IndexId index)
{
    return str_printf(t->arena, "(%s)", index_part(t, index, is_wide(&t->body->index, index)));
}

const char *cuda_guards(CudaText *t, const KernelGuard *guards, uint32_t n)
{
    const char *all = NULL;
    for (uint32_t i = 0; i < n; i++) {
        const char *x = cuda_index(t, guards[i].index);
        const char *one = str_printf(t->arena, "within(%s, %" PRId64 "ll, %" PRId64 "ll)", x,
                                     guards[i].lo, guards[i].hi);
        all = all ? str_printf(t->arena, "%s && %s", all, one) : one;
    }
    return all;
}

// ---- ops ----------------------------------------------------------------------------------------

static const char *call(CudaText *t, const char *fn, DType dt, uint32_t n, const char *const *a)
{
    const char *type = cuda_type(dt);
    switch (n) {
    case 1: return str_printf(t->arena, "%s<%s>(%s)", fn, type, a[0]);
    case 2: return str_printf(t->arena, "%s<%s>(%s, %s)", fn, type, a[0], a[1]);
    default: return str_printf(t->arena, "%s<%s>(%s, %s, %s)", fn, type, a[0], a[1], a[2]);
    }
}

static const char *infix(CudaText *t, const char *op, const char *const *a)
{
    return str_printf(t->arena, "%s %s %s", a[0], op, a[1]);
}

static const char *float_op(CudaText *t, OpCode op, const char *const *a)
{
    switch (op) {
    case OP_NEG: return str_printf(t->arena, "-%s", a[0]);
    case OP_ABS: return str_printf(t->arena, "abs_f32(%s)", a[0]);
    case OP_FLOOR: return str_printf(t->arena, "floor_f32(%s)", a[0]);
    case OP_ROUND: return str_printf(t->arena, "rint_f32(%s)", a[0]);
    case OP_TF32: return str_printf(t->arena, "tf32_f32(%s)", a[0]);
    case OP_SQRT: return str_printf(t->arena, "sqrt_f32(%s)", a[0]);
    case OP_SIGN: return call(t, "sign", DT_F32, 1, a);
    case OP_IS_FINITE: return str_printf(t->arena, "%s - %s == 0.0f", a[0], a[0]);
    case OP_ADD: return infix(t, "+", a);
    case OP_SUB: return infix(t, "-", a);
    case OP_MUL: return infix(t, "*", a);
    case OP_DIV: return infix(t, "/", a);
    case OP_FMA: return str_printf(t->arena, "fma_f32(%s, %s, %s)", a[0], a[1], a[2]);
    default: return NULL;
    }
}

static const char *integer_op(CudaText *t, OpCode op, DType dt, const char *const *a)
{
    switch (op) {
    case OP_NEG: return call(t, "neg_wrap", dt, 1, a);
    case OP_ABS: return call(t, "abs_wrap", dt, 1, a);
    case OP_SIGN: return call(t, "sign", dt, 1, a);
    case OP_ADD: return call(t, "add_wrap", dt, 2, a);
    case OP_SUB: return call(t, "sub_wrap", dt, 2, a);
    case OP_MUL: return call(t, "mul_wrap", dt, 2, a);
    case OP_DIV: return call(t, "div_whole", dt, 2, a);
    case OP_REM: return call(t, "rem_whole", dt, 2, a);
    case OP_NOT: return str_printf(t->arena, "!%s", a[0]);
    case OP_AND: return infix(t, "&&", a);
    case OP_OR: return infix(t, "||", a);
    default: return NULL;
    }
}

static const char *cast(CudaText *t, DType from, DType to, const char *x)
{
    if (to == DT_BOOL) return str_printf(t->arena, "%s != 0", x);
    if (dtype_is_float(from) && !dtype_is_float(to))
        return str_printf(t->arena, "to_integer<%s>(%s)", cuda_type(to), x);
    return str_printf(t->arena, "(%s)%s", cuda_type(to), x);
}

// A float to the nearest number of a narrow type, still as a float.
static const char *rounded(CudaText *t, DType dt, const char *x)
{
    if (!dtype_is_narrow(dt)) return x;
    return str_printf(t->arena, "number(f32_to_%s(%s))", dtype_name(dt), x);
}

static const char *plain_op(CudaText *t, OpCode op, DType from, const char *const *a)
{
    const char *x;
    switch (op) {
    case OP_MAX: return call(t, "larger", from, 2, a);
    case OP_MIN: return call(t, "smaller", from, 2, a);
    case OP_LT: return infix(t, "<", a);
    case OP_LE: return infix(t, "<=", a);
    case OP_EQ: return infix(t, "==", a);
    case OP_NE: return infix(t, "!=", a);
    case OP_POW: return str_printf(t->arena, "expand_pow(%s, %s)", a[0], a[1]);
    default: break;
    }
    if (op_info(op)->flags & OPF_EXPAND)
        return str_printf(t->arena, "expand_%s(%s)", op_info(op)->name, a[0]);
    x = dtype_is_float(from) ? float_op(t, op, a) : integer_op(t, op, from, a);
    if (!x) bug("%s on %s", op_info(op)->name, dtype_name(from));
    return x;
}

static const char *op_text(CudaText *t, OpCode op, DType from, DType to, const char *const *a)
{
    if (op == OP_SELECT) return str_printf(t->arena, "%s ? %s : %s", a[0], a[1], a[2]);
    if (op == OP_STOP_GRADIENT) return a[0];
    return rounded(t, to, op == OP_CAST ? cast(t, from, to, a[0]) : plain_op(t, op, from, a));
}

const char *cuda_combine(CudaText *t, OpCode op, DType dt, const char *x, const char *y)
{
    OpCode with = op == OP_SUM ? OP_ADD : op == OP_REDUCE_MAX ? OP_MAX : OP_MIN;
    return op_text(t, with, dt, dt, (const char *const[]){x, y});
}

const char *cuda_identity(CudaText *t, OpCode op, DType dt)
{
    if (op == OP_SUM) return number_text(t, dt, 0);
    return str_printf(t->arena, "%s<%s>()", op == OP_REDUCE_MAX ? "least" : "greatest",
                      cuda_type(dt));
}

// ---- values -------------------------------------------------------------------------------------

static const char *load_text(CudaText *t, const KernelInstr *in)
{
    const char *guard = cuda_guards(t, in->guards, in->nguards);
    const char *x = str_printf(t->arena, "b%u[%s]", in->buffer, cuda_index(t, in->index));
    if (in->dtype == DT_BOOL) x = str_printf(t->arena, "%s != 0", x);
    if (dtype_is_narrow(in->dtype)) x = str_printf(t->arena, "number(%s)", x);
    if (!guard) return x;
    return str_printf(t->arena, "%s ? %s : (%s)0", guard, x, cuda_type(in->dtype));
}

static const char *operation(CudaText *t, const KernelInstr *in)
{
    const char *a[3];
    uint32_t square = kernel_exp_of_square(t->body, in);
    if (square != UINT32_MAX)
        return rounded(t, in->dtype,
                       str_printf(t->arena, "expand_exp_minus(%s)", cuda_value(t, square)));
    for (int i = 0; i < op_info(in->op)->arity; i++) a[i] = cuda_value(t, in->args[i]);
    DType from = t->body->code.at[in->args[in->op == OP_SELECT]].dtype;
    return op_text(t, in->op, from, in->dtype, a);
}

static const char *random_text(CudaText *t, const KernelInstr *in)
{
    const char *a[3];
    for (int i = 0; i < 3; i++) a[i] = cuda_value(t, in->args[i]);
    return str_printf(t->arena, "random_u32(%s, %s, %s, %s, %s)", a[0], a[1], a[2],
                      cuda_index(t, in->index), cuda_index(t, in->index2));
}

static const char *instr_text(CudaText *t, uint32_t instr)
{
    const KernelInstr *in = &t->body->code.at[instr];
    const char *guard;
    if (t->known[instr]) return t->known[instr];
    switch (in->kind) {
    case KI_CONST: return number_text(t, in->dtype, in->value);
    case KI_LOAD: return load_text(t, in);
    case KI_INDEX:
        return rounded(
            t, in->dtype,
            str_printf(t->arena, "(%s)%s", cuda_type(in->dtype), cuda_index(t, in->index)));
    case KI_TEST: guard = cuda_guards(t, in->guards, in->nguards); return guard ? guard : "true";
    case KI_RANDOM: return random_text(t, in);
    case KI_OP: return operation(t, in);
    case KI_ACC: return t->acc;
    case KI_REDUCE: break;
    }
    bug("reduction v%u read before its sweep", instr);
}

const char *cuda_value(CudaText *t, uint32_t instr)
{
    if (t->memo[instr]) return t->memo[instr];
    const char *x = instr_text(t, instr);
    const char *name = str_printf(t->arena, "v%u_%u", instr, t->names++);
    cuda_line(t, "const %s %s = %s;", cuda_type(t->body->code.at[instr].dtype), name, x);
    return t->memo[instr] = name;
}

void cuda_hoist(CudaText *t, const Sweeps *s, uint64_t loops, uint32_t over)
{
    for (uint32_t i = 0; i < t->body->code.n; i++) {
        const KernelInstr *in = &t->body->code.at[i];
        if (!(in->axes & loops) && s->depth[i] <= over && in->kind != KI_REDUCE) cuda_value(t, i);
    }
}

void cuda_store(CudaText *t, const KernelStore *s)
{
    if (s->nguards) bug("guarded stores");
    const char *x = cuda_value(t, s->value);
    DType dt = t->body->code.at[s->value].dtype;
    if (dtype_is_narrow(dt)) x = str_printf(t->arena, "f32_to_%s(%s)", dtype_name(dt), x);
    cuda_line(t, "b%u[%s] = %s;", s->buffer, cuda_index(t, s->index), x);
}

// ---- expansions ---------------------------------------------------------------------------------

static const char *scalar_text(CudaText *t, const ScalarInstr *in)
{
    static const char *const infixes[] = {
        [SC_ADD] = "+",  [SC_SUB] = "-",  [SC_MUL] = "*", [SC_DIV] = "/",
        [SC_LT] = "<",   [SC_LE] = "<=",  [SC_EQ] = "==", [SC_ILT] = "<",
        [SC_IEQ] = "==", [SC_IAND] = "&", [SC_IOR] = "|", [SC_IXOR] = "^"};
    Arena *a = t->arena;
    switch (in->op) {
    case SC_ARG: return in->imm.i ? "y" : "x";
    case SC_F32: return float_text(t, in->imm.f);
    case SC_I32: return str_printf(a, "(int)0x%08xu", (uint32_t)in->imm.i);
    case SC_FMA: return str_printf(a, "fma_f32(s%u, s%u, s%u)", in->a, in->b, in->c);
    case SC_SQRT: return str_printf(a, "sqrt_f32(s%u)", in->a);
    case SC_NEG: return str_printf(a, "-s%u", in->a);
    case SC_ABS: return str_printf(a, "abs_f32(s%u)", in->a);
    case SC_FLOOR: return str_printf(a, "floor_f32(s%u)", in->a);
    case SC_ROUND: return str_printf(a, "rint_f32(s%u)", in->a);
    case SC_SELECT: return str_printf(a, "s%u ? s%u : s%u", in->a, in->b, in->c);
    case SC_IADD: return str_printf(a, "add_wrap<int>(s%u, s%u)", in->a, in->b);
    case SC_ISUB: return str_printf(a, "sub_wrap<int>(s%u, s%u)", in->a, in->b);
    case SC_IMUL: return str_printf(a, "mul_wrap<int>(s%u, s%u)", in->a, in->b);
    case SC_ISHL: return str_printf(a, "(int)((unsigned)s%u << %d)", in->a, in->imm.i);
    case SC_ISHR: return str_printf(a, "(int)((unsigned)s%u >> %d)", in->a, in->imm.i);
    case SC_IASR: return str_printf(a, "s%u >> %d", in->a, in->imm.i);
    case SC_TO_INT: return str_printf(a, "(int)s%u", in->a);
    case SC_TO_F32: return str_printf(a, "(float)s%u", in->a);
    case SC_BITS: return str_printf(a, "bits_of(s%u)", in->a);
    case SC_FROM_BITS: return str_printf(a, "from_bits(s%u)", in->a);
    default: return str_printf(a, "s%u %s s%u", in->a, infixes[in->op], in->b);
    }
}

static void function(CudaText *t, const char *name, int arity, const ScalarProgram *p)
{
    cuda_open(t, "DEVICE float expand_%s(float x%s)", name, arity == 2 ? ", float y" : "");
    for (uint32_t i = 0; i < p->code.n; i++)
        cuda_line(t, "const auto s%u = %s;", i, scalar_text(t, &p->code.at[i]));
    cuda_line(t, "return s%u;", p->code.n - 1);
    cuda_close(t);
}

static void want(CudaText *t, OpCode op)
{
    if (!(op_info(op)->flags & OPF_EXPAND) || t->expanded >> op & 1) return;
    t->expanded |= UINT64_C(1) << op;
    function(t, op_info(op)->name, op_info(op)->arity, scalar_expansion(t->arena, op));
    if (op == OP_EXP) function(t, "exp_minus", 1, scalar_exp_minus(t->arena));
}

void cuda_functions(CudaText *t, const Kernel *k)
{
    const KernelBody *bodies[] = {&k->body, &k->gemm.a, &k->gemm.b};
    for (int b = 0; b < 3; b++)
        for (uint32_t i = 0; i < bodies[b]->code.n; i++)
            if (bodies[b]->code.at[i].kind == KI_OP) want(t, bodies[b]->code.at[i].op);
    bool taken = cuda_attention_takes(k); // its gradient's text names the log too
    if (k->kind == KERNEL_ATTENTION || taken) want(t, OP_LOG);
    if (kernel_attends(k) && !taken) want(t, OP_EXP);
}
