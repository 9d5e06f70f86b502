// Rules of simplify on elementwise ops; the equations stand in simplify_rules.def.
#include "passes/simplify.h"

#include <math.h>

static NodeId binary(Simplify *s, OpCode op, NodeId x, NodeId y)
{
    return graph_binary(s->g, op, x, y);
}

// The operand (0 or 1) that is a constant, its value, and the other one; false when neither or both
// are.
static bool split_const(const Simplify *s, const Node *n, double *c, NodeId *x)
{
    double unused;
    bool first = graph_is_const(s->g, n->args[0], c);
    if (first) {
        *x = n->args[1];
        return !graph_is_const(s->g, *x, &unused);
    }
    *x = n->args[0];
    return graph_is_const(s->g, n->args[1], c);
}

// A value that element type dt of node n holds as a normal number, so that folding loses no bits to
// range.
static bool is_normal(const Node *n, double v)
{
    return n->type->dtype == DT_F64 ? isnormal(v) : n->type->dtype == DT_F32 && isnormal((float)v);
}

NodeId neg_neg(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    return is_op(s, n, 0, OP_NEG) ? operand(s, n, 0)->args[0] : 0;
}

NodeId neg_mul_const(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    double c;
    NodeId x;
    if (!is_op(s, n, 0, OP_MUL) || !dtype_is_float(n->type->dtype)) return 0;
    if (!split_const(s, operand(s, n, 0), &c, &x)) return 0;
    return binary(s, OP_MUL, x, number(s, n, -c));
}

NodeId neg_sub(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_SUB)) return 0;
    const Node *d = operand(s, n, 0);
    return binary(s, OP_SUB, d->args[1], d->args[0]);
}

NodeId abs_neg(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (is_op(s, n, 0, OP_ABS)) return n->args[0];
    return is_op(s, n, 0, OP_NEG) ? graph_unary(s->g, OP_ABS, operand(s, n, 0)->args[0]) : 0;
}

NodeId add_neg(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    for (uint32_t i = 0; i < 2; i++)
        if (is_op(s, n, i, OP_NEG))
            return binary(s, OP_SUB, n->args[1 - i], operand(s, n, i)->args[0]);
    return 0;
}

NodeId sub_neg(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 1, OP_NEG)) return 0;
    return binary(s, OP_ADD, n->args[0], operand(s, n, 1)->args[0]);
}

// (x op c) op d = x op (c op d) for op add or mul, floats.
static NodeId merge_consts(Simplify *s, const Node *n, OpCode op)
{
    double c, d;
    NodeId inner, x;
    if (!split_const(s, n, &d, &inner) || graph_node(s->g, inner)->op != op) return 0;
    if (!split_const(s, graph_node(s->g, inner), &c, &x)) return 0;
    double v = op == OP_ADD ? c + d : c * d;
    if (!is_normal(n, c) || !is_normal(n, d) || !is_normal(n, v)) return 0;
    return binary(s, op, x, number(s, n, v));
}

NodeId add_add_const(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    return merge_consts(s, n, OP_ADD);
}

NodeId mul_mul_const(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    return merge_consts(s, n, OP_MUL);
}

NodeId add_self(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (n->args[0] != n->args[1] || !dtype_is_float(n->type->dtype)) return 0;
    return binary(s, OP_MUL, n->args[0], number(s, n, 2));
}

// A broadcast of no constant that repeats something: hoist takes arithmetic with constants below
// it.
static bool is_spread(const Simplify *s, NodeId id)
{
    double unused;
    const Node *b = graph_node(s->g, id);
    if (b->op != OP_BROADCAST || b->copy || graph_is_const(s->g, id, &unused)) return false;
    return type_count(b->type) > type_count(graph_type(s->g, b->args[0]));
}

NodeId mul_const_inward(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    double c, unused;
    NodeId inner;
    if (!split_const(s, n, &c, &inner) || !is_normal(n, c)) return 0;
    const Node m = *graph_node(s->g, inner);
    for (uint32_t i = 0; i < 2 && m.op == OP_MUL; i++) {
        if (!is_spread(s, m.args[i]) || graph_is_const(s->g, m.args[1 - i], &unused)) continue;
        return binary(s, OP_MUL, binary(s, OP_MUL, m.args[i], number(s, n, c)), m.args[1 - i]);
    }
    return 0;
}

NodeId mul_const_across(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    double c;
    NodeId x;
    for (uint32_t i = 0; i < 2; i++) {
        NodeId spread = n->args[i], product = n->args[1 - i];
        const Node m = *graph_node(s->g, product);
        if (m.op != OP_MUL || !is_spread(s, spread) || !single_use(s, product)) continue;
        if (!split_const(s, &m, &c, &x) || !is_normal(n, c)) continue;
        return binary(s, OP_MUL, x, binary(s, OP_MUL, spread, number(s, n, c)));
    }
    return 0;
}

NodeId div_broadcast(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (n->type->dtype != DT_F32 && n->type->dtype != DT_F64) return 0;
    if (!is_spread(s, n->args[1]) || graph_node(s->g, n->args[0])->op == OP_BROADCAST) return 0;
    return binary(s, OP_MUL, n->args[0], binary(s, OP_DIV, number(s, n, 1), n->args[1]));
}

NodeId mul_minus_one(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    for (uint32_t i = 0; i < 2; i++)
        if (is_number(s, n->args[i], -1)) return graph_unary(s->g, OP_NEG, n->args[1 - i]);
    return 0;
}

NodeId mul_neg(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    double c;
    NodeId x;
    if (is_op(s, n, 0, OP_NEG) && is_op(s, n, 1, OP_NEG))
        return binary(s, OP_MUL, operand(s, n, 0)->args[0], operand(s, n, 1)->args[0]);
    if (!dtype_is_float(n->type->dtype) || !split_const(s, n, &c, &x)) return 0;
    if (graph_node(s->g, x)->op != OP_NEG) return 0;
    return binary(s, OP_MUL, graph_node(s->g, x)->args[0], number(s, n, -c));
}

NodeId div_power_of_two(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    double c;
    int exponent;
    if (!dtype_is_float(n->type->dtype) || !graph_is_const(s->g, n->args[1], &c)) return 0;
    if (!is_normal(n, c) || !is_normal(n, 1 / c) || fabs(frexp(c, &exponent)) != 0.5) return 0;
    return binary(s, OP_MUL, n->args[0], number(s, n, 1 / c));
}

NodeId div_neg(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!dtype_is_float(n->type->dtype) || !is_op(s, n, 0, OP_NEG) || !is_op(s, n, 1, OP_NEG))
        return 0;
    return binary(s, OP_DIV, operand(s, n, 0)->args[0], operand(s, n, 1)->args[0]);
}

NodeId pow_const(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    double c;
    NodeId x = n->args[0], one = number(s, n, 1);
    if (!graph_is_const(s->g, n->args[1], &c)) return 0;
    if (c == 0) return graph_broadcast_to(s->g, one, n->type->rank, n->type->axes);
    if (c == 1) return x;
    if (c == 0.5) return graph_unary(s->g, OP_SQRT, x);
    if (c == -0.5) return binary(s, OP_DIV, one, graph_unary(s->g, OP_SQRT, x));
    if (c == -1) return binary(s, OP_DIV, one, x);
    if (c != 2 && c != 3 && c != 4 && c != -2) return 0;
    NodeId square = binary(s, OP_MUL, x, x);
    if (c == 2) return square;
    if (c == -2) return binary(s, OP_DIV, one, square);
    return binary(s, OP_MUL, square, c == 3 ? x : square);
}

NodeId not_not(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    return is_op(s, n, 0, OP_NOT) ? operand(s, n, 0)->args[0] : 0;
}

NodeId select_same(Simplify *s, NodeId id, const Node *n)
{
    (void)s, (void)id;
    return n->args[1] == n->args[2] ? n->args[1] : 0;
}

NodeId select_not(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_NOT)) return 0;
    return graph_select(s->g, operand(s, n, 0)->args[0], n->args[2], n->args[1]);
}

NodeId select_nested(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    NodeId side[3] = {0, n->args[1], n->args[2]};
    for (uint32_t i = 1; i < 3; i++) {
        const Node *inner = operand(s, n, i);
        if (inner->op == OP_SELECT && inner->args[0] == n->args[0]) side[i] = inner->args[i];
    }
    if (side[1] == n->args[1] && side[2] == n->args[2]) return 0;
    return graph_select(s->g, n->args[0], side[1], side[2]);
}

// Bits of an integer type that carry the magnitude; of a float type the digits. 0: not known here.
static int digits(DType dt)
{
    switch (dt) {
    case DT_BOOL: return 1;
    case DT_I8: return 7;
    case DT_U8: return 8;
    case DT_U16: return 16;
    case DT_I32: return 31;
    case DT_U32: return 32;
    case DT_I64: return 63;
    case DT_F8E5M2: return 3;
    case DT_F8E4M3: return 4;
    case DT_BF16: return 8;
    case DT_F16: return 11;
    case DT_F32: return 24;
    case DT_F64: return 53;
    default: return 0;
    }
}

static bool is_signed(DType dt)
{
    return dt == DT_I8 || dt == DT_I32 || dt == DT_I64;
}

// Every value of `from` is a value of `to`.
static bool holds(DType to, DType from)
{
    if (to == from) return true;
    if (to == DT_BOOL || !digits(to) || !digits(from)) return false;
    if (dtype_is_float(from))
        return to == DT_F64 || (to == DT_F32 && from != DT_F64) ||
               (dtype_is_float(to) && dtype_size(to) == 2 && dtype_size(from) == 1);
    if (dtype_is_float(to)) return (to == DT_F32 || to == DT_F64) && digits(to) >= digits(from);
    return digits(to) >= digits(from) && (is_signed(to) || !is_signed(from));
}

NodeId cast_cast(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    if (!is_op(s, n, 0, OP_CAST)) return 0;
    NodeId x = operand(s, n, 0)->args[0];
    if (!holds(operand(s, n, 0)->type->dtype, graph_type(s->g, x)->dtype)) return 0;
    return graph_cast(s->g, x, n->type->dtype);
}

NodeId stop_gradient_done(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    return s->gradless ? n->args[0] : 0;
}

// The product among the operands of n that nothing else uses, or 2 when there is none.
static uint32_t own_product(const Simplify *s, const Node *n)
{
    DType dt = n->type->dtype;
    if (dt != DT_F32 && dt != DT_F64) return 2;
    for (uint32_t i = 0; i < 2; i++)
        if (is_op(s, n, i, OP_MUL) && !operand(s, n, i)->copy && single_use(s, n->args[i]))
            return i;
    return 2;
}

static NodeId fma_node(Simplify *s, NodeId x, NodeId y, NodeId z)
{
    return graph_add(s->g, OP_FMA, 3, (NodeId[]){x, y, z}, 0, NULL);
}

NodeId add_fma(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    uint32_t i = own_product(s, n);
    if (i == 2) return 0;
    const Node *m = operand(s, n, i);
    return fma_node(s, m->args[0], m->args[1], n->args[1 - i]);
}

// neg x, below a broadcast of x: there it is one number, and no node of full size ties together
// kernels that have nothing else in common (the updates of all parameters of one shape).
static NodeId negated(Simplify *s, NodeId x)
{
    const Node b = *graph_node(s->g, x);
    uint32_t count;
    if (b.op != OP_BROADCAST || b.copy) return graph_unary(s->g, OP_NEG, x);
    const int64_t *map = node_ints(&b, ATTR_AXES, &count);
    NodeId v = graph_unary(s->g, OP_NEG, b.args[0]);
    return graph_broadcast(s->g, v, b.type->rank, b.type->axes, map);
}

NodeId sub_fma(Simplify *s, NodeId id, const Node *n)
{
    (void)id;
    uint32_t i = own_product(s, n);
    if (i == 2) return 0;
    const Node m = *operand(s, n, i);
    if (i == 0) return fma_node(s, m.args[0], m.args[1], negated(s, n->args[1]));
    double c; // the sign goes to a constant factor, for nothing, or to one that is repeated
    uint32_t k = graph_is_const(s->g, m.args[1], &c);
    if (!k && !graph_is_const(s->g, m.args[0], &c))
        k = !is_op(s, &m, 0, OP_BROADCAST) && is_op(s, &m, 1, OP_BROADCAST);
    return fma_node(s, negated(s, m.args[k]), m.args[1 - k], n->args[0]);
}
