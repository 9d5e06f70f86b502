// Gradient rules of elementwise ops. y is the result, g its gradient; the equation stands over
// each.
#include "passes/grad.h"

static NodeId mul(const GradSite *s, NodeId a, NodeId b)
{
    return graph_binary(s->g, OP_MUL, a, b);
}
static NodeId divide(const GradSite *s, NodeId a, NodeId b)
{
    return graph_binary(s->g, OP_DIV, a, b);
}
static NodeId neg(const GradSite *s, NodeId a)
{
    return graph_unary(s->g, OP_NEG, a);
}

// y = -x: -g
void grad_neg(const GradSite *s)
{
    grad_add(s, 0, neg(s, s->dy));
}

// y = |x|: g sign(x)
void grad_abs(const GradSite *s)
{
    grad_add(s, 0, mul(s, s->dy, graph_unary(s->g, OP_SIGN, grad_arg(s, 0))));
}

// y = sqrt(x): g / (2 y)
void grad_sqrt(const GradSite *s)
{
    grad_add(s, 0, divide(s, mul(s, s->dy, grad_num(s, 0.5)), s->y));
}

// y = exp(x): g y
void grad_exp(const GradSite *s)
{
    grad_add(s, 0, mul(s, s->dy, s->y));
}

// y = log(x): g / x
void grad_log(const GradSite *s)
{
    grad_add(s, 0, divide(s, s->dy, grad_arg(s, 0)));
}

// y = sin(x): g cos(x)
void grad_sin(const GradSite *s)
{
    grad_add(s, 0, mul(s, s->dy, graph_unary(s->g, OP_COS, grad_arg(s, 0))));
}

// y = cos(x): -g sin(x)
void grad_cos(const GradSite *s)
{
    grad_add(s, 0, neg(s, mul(s, s->dy, graph_unary(s->g, OP_SIN, grad_arg(s, 0)))));
}

// y = atan(x): g / (1 + x x)
void grad_atan(const GradSite *s)
{
    NodeId x = grad_arg(s, 0);
    grad_add(s, 0, divide(s, s->dy, graph_binary(s->g, OP_ADD, grad_num(s, 1), mul(s, x, x))));
}

// y = tanh(x): g (1 - y y)
void grad_tanh(const GradSite *s)
{
    NodeId slope = graph_binary(s->g, OP_SUB, grad_num(s, 1), mul(s, s->y, s->y));
    grad_add(s, 0, mul(s, s->dy, slope));
}

// y = erf(x): (g (2 / sqrt(pi))) exp(-x x), so that the constant meets those of g
void grad_erf(const GradSite *s)
{
    NodeId x = grad_arg(s, 0);
    NodeId bell = graph_unary(s->g, OP_EXP, neg(s, mul(s, x, x)));
    grad_add(s, 0, mul(s, mul(s, s->dy, grad_num(s, 1.1283791670955126)), bell));
}

// y = x in another float type: g in x's type
void grad_cast(const GradSite *s)
{
    grad_add(s, 0, graph_cast(s->g, s->dy, graph_type(s->g, grad_arg(s, 0))->dtype));
}

// y = a + b: g, g
void grad_add_op(const GradSite *s)
{
    grad_add(s, 0, s->dy);
    grad_add(s, 1, s->dy);
}

// y = a - b: g, -g
void grad_sub(const GradSite *s)
{
    grad_add(s, 0, s->dy);
    if (grad_wants(s, 1)) grad_add(s, 1, neg(s, s->dy));
}

// y = a b: g b, g a
void grad_mul(const GradSite *s)
{
    if (grad_wants(s, 0)) grad_add(s, 0, mul(s, s->dy, grad_arg(s, 1)));
    if (grad_wants(s, 1)) grad_add(s, 1, mul(s, s->dy, grad_arg(s, 0)));
}

// y = a / b: g / b, -(g / b) y
void grad_div(const GradSite *s)
{
    NodeId q = divide(s, s->dy, grad_arg(s, 1));
    grad_add(s, 0, q);
    if (grad_wants(s, 1)) grad_add(s, 1, neg(s, mul(s, q, s->y)));
}

// y = a^b: g b a^(b - 1); g y log(a) where a > 0, else 0
void grad_pow(const GradSite *s)
{
    Graph *g = s->g;
    NodeId a = grad_arg(s, 0), b = grad_arg(s, 1);
    if (grad_wants(s, 0)) {
        NodeId power = graph_binary(g, OP_POW, a, graph_binary(g, OP_SUB, b, grad_num(s, 1)));
        grad_add(s, 0, mul(s, s->dy, mul(s, b, power)));
    }
    if (grad_wants(s, 1)) {
        NodeId slope = mul(s, s->y, graph_unary(g, OP_LOG, a));
        NodeId inside = graph_binary(g, OP_LT, grad_num(s, 0), a);
        grad_add(s, 1, graph_select(g, inside, mul(s, s->dy, slope), grad_num(s, 0)));
    }
}

// y = chosen ? a : b: the chosen side takes all of g.
static void grad_choice(const GradSite *s, NodeId chosen, uint32_t a, uint32_t b)
{
    if (grad_wants(s, a)) grad_add(s, a, graph_select(s->g, chosen, s->dy, grad_num(s, 0)));
    if (grad_wants(s, b)) grad_add(s, b, graph_select(s->g, chosen, grad_num(s, 0), s->dy));
}

// y = max(a, b): g to a where b < a, else to b
void grad_max(const GradSite *s)
{
    grad_choice(s, graph_binary(s->g, OP_LT, grad_arg(s, 1), grad_arg(s, 0)), 0, 1);
}

// y = min(a, b): g to a where a < b, else to b
void grad_min(const GradSite *s)
{
    grad_choice(s, graph_binary(s->g, OP_LT, grad_arg(s, 0), grad_arg(s, 1)), 0, 1);
}

// y = c ? a : b: the side looked at takes g
void grad_select(const GradSite *s)
{
    grad_choice(s, grad_arg(s, 0), 1, 2);
}

// y = a b + c: g b, g a, g
void grad_fma(const GradSite *s)
{
    grad_mul(s);
    grad_add(s, 2, s->dy);
}
