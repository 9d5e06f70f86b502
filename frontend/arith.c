// Operators on values. Two compile-time numbers give a number; anything with a tensor gives a node.
// Types meet as users expect: an integer with a float becomes that float, a number takes the
// tensor's type.
#include "frontend/guess.h"

#include <math.h>

static const struct {
    const char *text;
    OpCode op;
    bool swap, compare;
} operators[] = {
    [EOP_ADD] = {"+", OP_ADD, false, false},       [EOP_SUB] = {"-", OP_SUB, false, false},
    [EOP_MUL] = {"*", OP_MUL, false, false},       [EOP_DIV] = {"/", OP_DIV, false, false},
    [EOP_FLOORDIV] = {"//", OP_DIV, false, false}, [EOP_MOD] = {"%", OP_REM, false, false},
    [EOP_POW] = {"**", OP_POW, false, false},      [EOP_MATMUL] = {"@", OP_DOT, false, false},
    [EOP_LT] = {"<", OP_LT, false, true},          [EOP_LE] = {"<=", OP_LE, false, true},
    [EOP_GT] = {">", OP_LT, true, true},           [EOP_GE] = {">=", OP_LE, true, true},
    [EOP_EQ] = {"==", OP_EQ, false, true},         [EOP_NE] = {"!=", OP_NE, false, true},
    [EOP_AND] = {"and", OP_AND, false, false},     [EOP_OR] = {"or", OP_OR, false, false},
    [EOP_IN] = {"in", OP_COUNT, false, false},
};

DType dtype_promote(DType a, DType b)
{
    if (a == b) return a;
    if (a == DT_BOOL) return b;
    if (b == DT_BOOL) return a;
    bool fa = dtype_is_float(a), fb = dtype_is_float(b);
    if (fa != fb) return fa ? a : b;
    if (dtype_size(a) == dtype_size(b)) return fa ? DT_F32 : DT_I64; // bf16 with f16; i32 with u32
    return dtype_size(a) > dtype_size(b) ? a : b;
}

NodeId node_cast(Elab *el, NodeId x, DType dt)
{
    if (!x || graph_type(el->graph, x)->dtype == dt) return x;
    return graph_cast(el->graph, x, dt);
}

// ---- compile-time numbers ---------------------------------------------------------------------

static Value int_power(int64_t a, int64_t b, bool *ok)
{
    int64_t r = 1;
    *ok = b >= 0 && b < 64;
    for (int64_t i = 0; i < b && *ok; i++) *ok = !__builtin_mul_overflow(r, a, &r);
    return value_int(r);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

// The batch share of a product or quotient of sizes: batch * k holds k values a sample.
static int64_t combine_per(ExprOp op, Value a, Value b)
{
    if (op == EOP_MUL && a.per && !b.per) return a.per * b.i;
    if (op == EOP_MUL && b.per && !a.per) return b.per * a.i;
    if ((op == EOP_DIV || op == EOP_FLOORDIV) && a.per && !b.per && a.per % b.i == 0)
        return a.per / b.i;
    return 0;
}

static bool fold_int(ExprOp op, Value a, Value b, Value *out)
{
    int64_t r = 0;
    bool ok = true;
    if (a.i == INT64_MIN && b.i == -1 && op != EOP_ADD && op != EOP_SUB) return false; // overflows
    switch (op) {
    case EOP_ADD: ok = !__builtin_add_overflow(a.i, b.i, &r); break;
    case EOP_SUB: ok = !__builtin_sub_overflow(a.i, b.i, &r); break;
    case EOP_MUL: ok = !__builtin_mul_overflow(a.i, b.i, &r); break;
    case EOP_DIV:
        if (b.i == 0 || a.i % b.i) return false;
        r = a.i / b.i;
        break;
    case EOP_FLOORDIV: r = floor_div(a.i, b.i); break;
    case EOP_MOD: r = a.i - b.i * floor_div(a.i, b.i); break;
    case EOP_POW: r = int_power(a.i, b.i, &ok).i; break;
    default: return false;
    }
    if (ok) *out = value_dim(r, r ? combine_per(op, a, b) : 0);
    return ok;
}

static Value fold_float(ExprOp op, double a, double b)
{
    switch (op) {
    case EOP_ADD: return value_float(a + b);
    case EOP_SUB: return value_float(a - b);
    case EOP_MUL: return value_float(a * b);
    case EOP_DIV: return value_float(a / b);
    case EOP_FLOORDIV: return value_float(floor(a / b));
    case EOP_MOD: return value_float(a - b * floor(a / b));
    case EOP_POW: return value_float(pow(a, b));
    case EOP_LT: return value_bool(a < b);
    case EOP_LE: return value_bool(a <= b);
    case EOP_GT: return value_bool(a > b);
    case EOP_GE: return value_bool(a >= b);
    default: return value_error();
    }
}

static Value fold(Elab *el, ExprOp op, Value a, Value b, Loc loc)
{
    double x = 0, y = 0;
    value_number(a, &x);
    value_number(b, &y);
    if ((op == EOP_DIV || op == EOP_FLOORDIV || op == EOP_MOD) && y == 0)
        return el_fail(el, loc, "division by zero");
    Value out;
    if (a.kind == V_INT && b.kind == V_INT && fold_int(op, a, b, &out)) return out;
    out = fold_float(op, x, y);
    if (out.kind == V_ERROR) el_error(el, loc, "'%s' does not work on numbers", operators[op].text);
    return out;
}

// ---- tensors ----------------------------------------------------------------------------------

static bool whole(Value v)
{
    double x = 0;
    return v.kind == V_BOOL || (value_number(v, &x) && floor(x) == x && v.kind == V_INT);
}

static DType value_dtype(Elab *el, Value v)
{
    return v.kind == V_TENSOR && v.build == el->build ? graph_type(el->graph, v.node)->dtype
                                                      : DT_NONE;
}

// The type in which a and b meet.
static DType meet(Elab *el, ExprOp op, Value a, Value b)
{
    DType da = value_dtype(el, a), db = value_dtype(el, b), dt;
    if (da != DT_NONE && db != DT_NONE) {
        dt = dtype_promote(da, db);
    } else {
        dt = da != DT_NONE ? da : db;
        Value number = da != DT_NONE ? b : a;
        if (!dtype_is_float(dt) && !whole(number)) dt = DT_F32;
        if (dt == DT_BOOL && number.kind != V_BOOL) dt = DT_I32;
    }
    bool compare = operators[op].compare;
    if (!compare && (dt == DT_U8 || dt == DT_I8 || dt == DT_U16))
        dt = DT_I32; // no wrapping of pixels
    if (!compare && dt == DT_BOOL) dt = DT_I32;
    if ((op == EOP_DIV || op == EOP_POW) && !dtype_is_float(dt)) dt = DT_F32;
    return dt;
}

static NodeId power(Elab *el, NodeId x, Value b, NodeId y)
{
    double e = 0;
    if (!value_number(b, &e)) return graph_binary(el->graph, OP_POW, x, y);
    if (e == 0.5) return graph_unary(el->graph, OP_SQRT, x);
    if (e == 2 || e == 3 || e == 4) {
        NodeId xx = graph_binary(el->graph, OP_MUL, x, x);
        return e == 2 ? xx : graph_binary(el->graph, OP_MUL, xx, e == 3 ? x : xx);
    }
    return graph_binary(el->graph, OP_POW, x, y);
}

// Floor division and remainder of floats: floor(x / y), x - y * floor(x / y).
static NodeId float_division(Elab *el, ExprOp op, NodeId x, NodeId y)
{
    NodeId q = graph_unary(el->graph, OP_FLOOR, graph_binary(el->graph, OP_DIV, x, y));
    if (op == EOP_FLOORDIV) return q;
    return graph_binary(el->graph, OP_SUB, x, graph_binary(el->graph, OP_MUL, y, q));
}

static NodeId matmul_node(Elab *el, NodeId x, NodeId y, Loc loc)
{
    if (!x || !y) return 0;
    DType dt = dtype_promote(graph_type(el->graph, x)->dtype, graph_type(el->graph, y)->dtype);
    if (!dtype_is_float(dt)) dt = DT_F32;
    x = node_cast(el, x, dt);
    y = node_cast(el, y, dt);
    const Type *tx = graph_type(el->graph, x), *ty = graph_type(el->graph, y);
    uint32_t rx = tx->rank, ry = ty->rank;
    if (rx < 1 || ry < 1 || (ry > 2 && rx != ry)) {
        el_error(el, loc, "%s @ %s: the ranks do not fit", type_text(el->arena, tx),
                 type_text(el->arena, ty));
        diag_help(el->diag, "einsum names the axes to pair");
        return 0;
    }
    uint32_t nb = ry > 2 ? ry - 2 : 0;
    int64_t *batch = arena_array(el->arena, int64_t, nb + 1);
    for (uint32_t i = 0; i < nb; i++) batch[i] = i;
    int64_t lc = rx - 1, rc = ry == 1 ? 0 : ry - 2;
    el_precise(el);
    NodeId dot = graph_dot(el->graph, x, y, nb, batch, batch, 1, &lc, &rc);
    el_plain(el);
    return dot;
}

static NodeId tensor_op(Elab *el, ExprOp op, Value a, Value b, Loc loc)
{
    if (op == EOP_MATMUL)
        return matmul_node(el, value_tensor(el, a, DT_NONE, loc), value_tensor(el, b, DT_NONE, loc),
                           loc);
    DType dt = meet(el, op, a, b);
    if (op == EOP_AND || op == EOP_OR) dt = DT_BOOL;
    NodeId x = value_tensor(el, a, dt, loc), y = value_tensor(el, b, dt, loc);
    if (!x || !y) return 0;
    if (op == EOP_POW) return power(el, x, b, y);
    if ((op == EOP_FLOORDIV || op == EOP_MOD) && dtype_is_float(dt))
        return float_division(el, op, x, y);
    if (operators[op].swap) return graph_binary(el->graph, operators[op].op, y, x);
    return graph_binary(el->graph, operators[op].op, x, y);
}

static bool is_number(Value v)
{
    return v.kind == V_INT || v.kind == V_FLOAT;
}

static Value list_join(Elab *el, Value a, Value b)
{
    ValueList *l = arena_make(el->arena, ValueList);
    for (uint32_t i = 0; i < a.list->v.n; i++) vec_push(el->arena, &l->v, a.list->v.at[i]);
    for (uint32_t i = 0; i < b.list->v.n; i++) vec_push(el->arena, &l->v, b.list->v.at[i]);
    return value_list(l);
}

static Value contains(Elab *el, Value a, Value b, Loc loc)
{
    const ValueList *items;
    if (!value_items(el, b, loc, &items)) return value_error();
    for (uint32_t i = 0; i < items->v.n; i++)
        if (value_equal(a, items->v.at[i])) return value_bool(true);
    return value_bool(false);
}

// Operators on compile-time values that are no numbers.
static bool special(Elab *el, ExprOp op, Value a, Value b, Loc loc, Value *out)
{
    if (op == EOP_IN)
        *out = contains(el, a, b, loc);
    else if (op == EOP_EQ && a.kind != V_TENSOR && b.kind != V_TENSOR)
        *out = value_bool(value_equal(a, b));
    else if (op == EOP_NE && a.kind != V_TENSOR && b.kind != V_TENSOR)
        *out = value_bool(!value_equal(a, b));
    else if ((op == EOP_EQ || op == EOP_NE) && (a.kind == V_NONE || b.kind == V_NONE))
        *out = value_bool(op == EOP_NE);
    else if (op == EOP_ADD && a.kind == V_LIST && b.kind == V_LIST)
        *out = list_join(el, a, b);
    else if (op == EOP_ADD && a.kind == V_STR && b.kind == V_STR)
        *out = value_str(str_printf(el->arena, "%s%s", a.s, b.s));
    else
        return false;
    return true;
}

const Decl *names_met(const Elab *el, const Value *operands, uint32_t n, Value out)
{
    const Decl *names = NULL;
    if (out.kind != V_TENSOR) return NULL;
    for (uint32_t i = 0; i < n; i++) {
        const Value *x = &operands[i];
        if (x->kind != V_TENSOR || !x->names) continue;
        if (graph_type(el->graph, x->node)->rank != graph_type(el->graph, out.node)->rank) continue;
        if (names && strcmp(names->shape, x->names->shape) != 0) return NULL;
        names = x->names;
    }
    return names;
}

// A tensor, or a type, is no text.
static bool never_equal(Value a, Value b)
{
    const Value other = a.kind == V_STR ? b : a;
    const ValueKind k = other.kind;
    return (a.kind == V_STR || b.kind == V_STR) &&
           (k == V_TENSOR || k == V_FIELD || k == V_APP || k == V_DTYPE);
}

static bool is_float(Elab *el, Value v)
{
    return v.kind == V_TENSOR && v.build == el->build &&
           dtype_is_float(graph_type(el->graph, v.node)->dtype);
}

static void pairs_in_the_way(Elab *el, Value a, Value b)
{
    if (a.kind == V_TENSOR && a.build == el->build) guess_pairing(el, a.node);
    if (b.kind == V_TENSOR && b.build == el->build) guess_pairing(el, b.node);
}

Value arith(Elab *el, ExprOp op, Value a, Value b, Loc loc)
{
    bool identity =
        op == EOP_EQ || op == EOP_NE || op == EOP_IN; // compares what it is, not its value
    if (!identity || b.kind == V_APP || a.kind == V_APP) a = value_plain(el, a, loc);
    if (op != EOP_IN && (!identity || a.kind == V_TENSOR)) b = value_plain(el, b, loc);
    if (identity && b.kind == V_TENSOR) a = value_plain(el, a, loc);
    if (identity && (is_number(b) || b.kind == V_BOOL)) a = value_plain(el, a, loc);
    if (a.kind == V_ERROR || b.kind == V_ERROR) return value_error();
    Value out;
    if ((op == EOP_EQ || op == EOP_NE) && never_equal(a, b)) {
        el_error(el, loc, "'%s' compares %s with %s, which is a text", operators[op].text,
                 value_text(el, a.kind == V_STR ? b : a), value_text(el, a.kind == V_STR ? a : b));
        guess_unquoted(el, loc);
        return value_error();
    }
    if ((op == EOP_AND || op == EOP_OR) && (is_float(el, a) || is_float(el, b))) {
        el_error(el, loc, "'%s' takes truth values, not %s", operators[op].text,
                 value_text(el, is_float(el, a) ? a : b));
        guess_truth(el, loc);
        return value_error();
    }
    if (special(el, op, a, b, loc, &out)) return out;
    if (is_number(a) && is_number(b)) return fold(el, op, a, b, loc);
    bool fit_a = is_number(a) || a.kind == V_TENSOR || a.kind == V_BOOL;
    bool fit_b = is_number(b) || b.kind == V_TENSOR || b.kind == V_BOOL;
    if (!fit_a || !fit_b || (a.kind != V_TENSOR && b.kind != V_TENSOR)) {
        el_error(el, loc, "'%s' does not work on %s and %s", operators[op].text, value_text(el, a),
                 value_text(el, b));
        guess_members(el, loc, fit_a ? b : a);
        if (a.kind == V_LIST || b.kind == V_LIST) guess_stacked(el, loc);
        if (a.kind == V_STR || b.kind == V_STR) guess_unquoted(el, loc);
        return value_error();
    }
    uint32_t before = diag_errors(el->diag);
    el->graph->here = loc;
    const NodeId node = tensor_op(el, op, a, b, loc);
    if (!node && diag_errors(el->diag) > before) pairs_in_the_way(el, a, b);
    out = el_node(el, node, before);
    if (op == EOP_MATMUL && out.kind == V_ERROR && diag_errors(el->diag) > before)
        guess_products(el, loc);
    if (op != EOP_MATMUL) out.names = names_met(el, (Value[]){a, b}, 2, out);
    return out;
}

Value arith_unary(Elab *el, ExprOp op, Value a, Loc loc)
{
    a = value_plain(el, a, loc);
    if (a.kind == V_ERROR) return a;
    if (op == EOP_NOT && a.kind == V_BOOL) return value_bool(!a.b);
    if (op != EOP_NOT && a.kind == V_INT) return op == EOP_NEG ? value_int(-a.i) : a;
    if (op != EOP_NOT && a.kind == V_FLOAT) return op == EOP_NEG ? value_float(-a.f) : a;
    if (a.kind != V_TENSOR)
        return el_fail(el, loc, "'%s' does not work on %s", op == EOP_NOT ? "not" : "-",
                       value_text(el, a));
    const DType dtype = value_dtype(el, a);
    if (op == EOP_NOT ? is_float(el, a) : dtype == DT_BOOL) {
        el_error(el, loc, "'%s' takes %s, not %s", op == EOP_NOT ? "not" : "-",
                 op == EOP_NOT ? "truth values" : "numbers", value_text(el, a));
        guess_sign(el, loc, op == EOP_NOT);
        return value_error();
    }
    uint32_t before = diag_errors(el->diag);
    NodeId x = value_tensor(el, a, op == EOP_NOT ? DT_BOOL : DT_NONE, loc);
    if (op == EOP_POS) return a;
    Value out = el_node(el, graph_unary(el->graph, op == EOP_NOT ? OP_NOT : OP_NEG, x), before);
    out.names = a.names;
    return out;
}
