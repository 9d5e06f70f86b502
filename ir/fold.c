// Simplifications the builder makes, each an equation; what needs a choice belongs to pass
// simplify.
//   op(c, ..) = c'              elementwise ops of constants, by the rules of docs/ir.md
//   x + 0 = x, x - 0 = x, x * 1 = x, x / 1 = x, select(c, x, y) with constant c, cast to the same
//   type view(broadcast c) = broadcast c; views that change nothing; reshape of reshape, transpose
//   of transpose, broadcast of broadcast; reductions over no axes; stop_gradient twice
#include "ir/fold.h"

#include "ir/scalar.h"

#include <math.h>

// ---- numbers ------------------------------------------------------------------------------------

// Nearest even with p significand bits and least exponent emin; beyond max becomes `over`.
static double round_to(double x, int p, int emin, double max, double over)
{
    if (x == 0 || !isfinite(x)) return x;
    int e;
    frexp(x, &e);
    int quantum = (e - 1 > emin ? e - 1 : emin) - (p - 1);
    double r = ldexp(rint(ldexp(x, -quantum)), quantum);
    return fabs(r) > max ? copysign(over, r) : r;
}

double fold_round(DType dt, double x)
{
    if (dt == DT_BOOL) return x != 0;
    if (!dtype_is_float(dt)) return x;
    if (isnan(x)) return NAN;
    switch (dt) {
    case DT_F32: return (float)x;
    case DT_BF16: return round_to(x, 8, -126, 0x1.fep127, INFINITY);
    case DT_F16: return round_to(x, 11, -14, 65504, INFINITY);
    case DT_F8E4M3: return isinf(x) ? NAN : round_to(x, 4, -6, 448, NAN);
    case DT_F8E5M2: return round_to(x, 3, -14, 57344, INFINITY);
    default: return x;
    }
}

double fold_tf32(double x)
{
    return round_to(x, 11, -126, 0x1.ffcp127, INFINITY);
}

// Least and greatest value; of i64, the part that a double holds exactly.
static void int_range(DType dt, double *lo, double *hi)
{
    int bits = (int)dtype_size(dt) * 8;
    bool is_signed = dt == DT_I64 || dt == DT_I32 || dt == DT_I8;
    if (dt == DT_BOOL) bits = 1;
    *lo = is_signed ? -ldexp(1, bits - 1) : 0;
    *hi = ldexp(1, bits - is_signed) - 1;
    if (dt == DT_I64) *hi = -(*lo = -0x1p53);
}

bool fold_fits(DType dt, double x)
{
    double lo, hi;
    int_range(dt, &lo, &hi);
    return x == trunc(x) && lo <= x && x <= hi;
}

static int64_t wrap(DType dt, uint64_t x)
{
    switch (dt) {
    case DT_I32: return (int32_t)(uint32_t)x;
    case DT_I8: return (int8_t)(uint8_t)x;
    case DT_U32: return (uint32_t)x;
    case DT_U16: return (uint16_t)x;
    case DT_U8: return (uint8_t)x;
    default: return (int64_t)x;
    }
}

static int64_t floor_div(int64_t x, int64_t y)
{
    if (y == 0) return 0;
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}

static bool compare(OpCode op, double x, double y, double *r)
{
    switch (op) {
    case OP_LT: *r = x < y; return true;
    case OP_LE: *r = x <= y; return true;
    case OP_EQ: *r = x == y; return true;
    case OP_NE: *r = x != y; return true;
    case OP_AND: *r = x != 0 && y != 0; return true;
    case OP_OR: *r = x != 0 || y != 0; return true;
    case OP_NOT: *r = x == 0; return true;
    case OP_IS_FINITE: *r = isfinite(x); return true;
    case OP_MAX: *r = x > y || isnan(x) ? x : y; return true;
    case OP_MIN: *r = x < y || isnan(x) ? x : y; return true;
    case OP_SIGN: *r = x > 0 ? 1 : x < 0 ? -1 : x; return true;
    case OP_STOP_GRADIENT: *r = x; return true;
    default: return false;
    }
}

static bool fold_int(OpCode op, DType dt, double dx, double dy, double *r)
{
    int64_t x = (int64_t)dx, y = (int64_t)dy;
    uint64_t u;
    switch (op) {
    case OP_NEG: u = -(uint64_t)x; break;
    case OP_ABS: u = (uint64_t)(x < 0 ? -x : x); break;
    case OP_ADD: u = (uint64_t)x + (uint64_t)y; break;
    case OP_SUB: u = (uint64_t)x - (uint64_t)y; break;
    case OP_MUL: u = (uint64_t)x * (uint64_t)y; break;
    case OP_DIV: u = (uint64_t)floor_div(x, y); break;
    case OP_REM: u = y ? (uint64_t)(x - y * floor_div(x, y)) : 0; break;
    default: return false;
    }
    int64_t w = wrap(dt, u);
    *r = (double)w;
    return w >= -(INT64_C(1) << 53) && w <= INT64_C(1) << 53;
}

static bool fold_f64(OpCode op, const double *v, double *r)
{
    switch (op) {
    case OP_NEG: *r = -v[0]; return true;
    case OP_ABS: *r = fabs(v[0]); return true;
    case OP_FLOOR: *r = floor(v[0]); return true;
    case OP_ROUND: *r = rint(v[0]); return true;
    case OP_TF32: *r = fold_tf32(v[0]); return true;
    case OP_SQRT: *r = sqrt(v[0]); return true;
    case OP_ADD: *r = v[0] + v[1]; return true;
    case OP_SUB: *r = v[0] - v[1]; return true;
    case OP_MUL: *r = v[0] * v[1]; return true;
    case OP_DIV: *r = v[0] / v[1]; return true;
    case OP_FMA: *r = fma(v[0], v[1], v[2]); return true;
    default: return false;
    }
}

// f32 and below compute in f32. Of + - * / and sqrt the double result rounded to f32 is the f32
// result (53 >= 2 * 24 + 2); fma is not, nor are the expansions.
static bool fold_float(Arena *arena, OpCode op, DType dt, const double *v, double *r)
{
    if (dt == DT_F64) return fold_f64(op, v, r);
    float f[3] = {(float)v[0], (float)v[1], (float)v[2]};
    if (op == OP_FMA)
        *r = fmaf(f[0], f[1], f[2]);
    else if (op_info(op)->flags & OPF_EXPAND)
        *r = scalar_run(scalar_expansion(arena, op), f);
    else if (!fold_f64(op, v, r))
        return false;
    *r = fold_round(dt, (float)*r);
    return true;
}

static double fold_cast(DType from, DType to, double x)
{
    if (to == DT_BOOL || dtype_is_float(to)) return fold_round(to, x);
    if (!dtype_is_float(from)) return (double)wrap(to, (uint64_t)(int64_t)x);
    double lo, hi;
    int_range(to, &lo, &hi);
    return isnan(x) ? 0 : fmin(fmax(trunc(x), lo), hi);
}

// ---- nodes --------------------------------------------------------------------------------------

static NodeId make_const(Graph *g, const Type *type, double value)
{
    NodeId c = graph_const(g, type->dtype, value);
    return graph_broadcast(g, c, type->rank, type->axes, NULL);
}

static NodeId fold_constants(Graph *g, const Node *n)
{
    double v[3] = {0}, r;
    for (uint32_t i = 0; i < n->nargs; i++)
        if (!graph_is_const(g, n->args[i], &v[i])) return 0;
    DType from = graph_type(g, n->args[0])->dtype, to = n->type->dtype;
    if (n->op == OP_CAST) {
        if (!dtype_is_float(from) && to == DT_I64 && !fold_fits(to, v[0])) return 0;
        if (dtype_is_float(from) && to == DT_I64 && fabs(v[0]) > 0x1p53) return 0;
        return make_const(g, n->type, fold_cast(from, to, v[0]));
    }
    if (!compare(n->op, v[0], v[1], &r) &&
        !(dtype_is_float(from) ? fold_float(g->arena, n->op, from, v, &r)
                               : fold_int(n->op, from, v[0], v[1], &r)))
        return 0;
    return make_const(g, n->type, r);
}

static bool is_value(const Graph *g, NodeId id, double value)
{
    double v;
    return graph_is_const(g, id, &v) && v == value;
}

static NodeId fold_elementwise(Graph *g, const Node *n)
{
    const NodeId *x = n->args;
    double v;
    switch (n->op) {
    case OP_ADD:
        if (is_value(g, x[0], 0)) return x[1];
        if (is_value(g, x[1], 0)) return x[0];
        break;
    case OP_MUL:
        if (is_value(g, x[0], 1)) return x[1];
        if (is_value(g, x[1], 1)) return x[0];
        break;
    case OP_SUB:
        if (is_value(g, x[1], 0)) return x[0];
        break;
    case OP_DIV:
        if (is_value(g, x[1], 1)) return x[0];
        break;
    case OP_CAST:
        if (graph_type(g, x[0])->dtype == n->type->dtype) return x[0];
        break;
    case OP_STOP_GRADIENT:
        if (graph_node(g, x[0])->op == OP_STOP_GRADIENT) return x[0];
        break;
    case OP_SELECT:
        if (graph_is_const(g, x[0], &v)) return v != 0 ? x[1] : x[2];
        break;
    default: break;
    }
    return fold_constants(g, n);
}

// transpose(transpose(x, a), b) = transpose(x, c), c[i] = a[b[i]]
static NodeId fold_transpose(Graph *g, const Node *n, const Node *inner)
{
    uint32_t rank;
    const int64_t *perm = node_ints(n, ATTR_PERM, &rank), *first;
    bool same = true;
    for (uint32_t i = 0; i < rank; i++) same &= perm[i] == i;
    if (same) return n->args[0];
    if (inner->op != OP_TRANSPOSE) return 0;
    int64_t *both = arena_array(g->arena, int64_t, rank);
    first = node_ints(inner, ATTR_PERM, &rank);
    for (uint32_t i = 0; i < rank; i++) both[i] = first[perm[i]];
    return graph_add_copy(g, OP_TRANSPOSE, n->copy, 1, inner->args, 1,
                          (Attr[]){attr_ints(ATTR_PERM, both, rank)});
}

// broadcast(broadcast(x, a), b) = broadcast(x, c), c[i] = b[a[i]]
static NodeId fold_broadcast(Graph *g, const Node *n, const Node *inner)
{
    uint32_t rank, mid;
    if (type_same_shape(n->type, graph_type(g, n->args[0]))) return n->args[0];
    if (inner->op != OP_BROADCAST) return 0;
    const int64_t *first = node_ints(inner, ATTR_AXES, &rank), *map = node_ints(n, ATTR_AXES, &mid);
    int64_t *both = arena_array(g->arena, int64_t, rank);
    for (uint32_t i = 0; i < rank; i++) both[i] = map[first[i]];
    return graph_add_copy(g, OP_BROADCAST, n->copy, 1, inner->args, 2,
                          (Attr[]){*node_attr(n, ATTR_SHAPE), attr_ints(ATTR_AXES, both, rank)});
}

static NodeId fold_reshape(Graph *g, const Node *n, const Node *inner)
{
    if (type_same_shape(n->type, graph_type(g, n->args[0]))) return n->args[0];
    if (inner->op != OP_RESHAPE) return 0;
    return graph_add_copy(g, OP_RESHAPE, n->copy, 1, inner->args, 1, node_attr(n, ATTR_SHAPE));
}

static bool all_zero(const Node *n, AttrKey key)
{
    uint32_t count;
    const int64_t *at = node_ints(n, key, &count);
    for (uint32_t i = 0; i < count; i++)
        if (at[i]) return false;
    return true;
}

static NodeId fold_view(Graph *g, const Node *n)
{
    NodeId x = n->args[0];
    Node inner = *graph_node(g, x);
    uint32_t count;
    double v;
    if (n->op == OP_CONCAT) return n->nargs == 1 ? x : 0;
    if (n->op == OP_PAD || n->op == OP_SKEW) {
        bool still =
            n->op == OP_SKEW ? !skew_count(n) : all_zero(n, ATTR_LO) && all_zero(n, ATTR_HI);
        if (still) return x;
        return graph_is_const(g, x, &v) && is_value(g, n->args[1], v) ? make_const(g, n->type, v)
                                                                      : 0;
    }
    if ((inner.op == OP_BROADCAST || n->op == OP_RESHAPE) && graph_is_const(g, x, &v))
        return make_const(g, n->type, v);
    switch (n->op) {
    case OP_RESHAPE: return fold_reshape(g, n, &inner);
    case OP_TRANSPOSE: return fold_transpose(g, n, &inner);
    case OP_BROADCAST: return fold_broadcast(g, n, &inner);
    case OP_SLICE: return type_same_shape(n->type, inner.type) ? x : 0;
    case OP_REVERSE: return node_ints(n, ATTR_AXES, &count), count ? 0 : x;
    default: return 0;
    }
}

NodeId fold_node(Graph *g, const Node *n)
{
    switch (op_info(n->op)->class) {
    case CLASS_ELEMENTWISE: return fold_elementwise(g, n);
    case CLASS_VIEW: return fold_view(g, n);
    case CLASS_REDUCE:
        return n->op != OP_ARGMAX && type_same_shape(n->type, graph_type(g, n->args[0]))
                   ? n->args[0]
                   : 0;
    default: return 0;
    }
}
