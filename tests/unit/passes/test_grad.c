// Every gradient rule against central differences, odd shapes and batch axes included; after
// autodiff alone, and after all passes.
#include "gradcheck.h"
#include "passes/grad.h"

#include <criterion/criterion.h>

#define N(size)                                                                                    \
    {                                                                                              \
        size, 0                                                                                    \
    }
#define B                                                                                          \
    {                                                                                              \
        CASE_BATCH, 1                                                                              \
    }
#define B2                                                                                         \
    {                                                                                              \
        CASE_BATCH * 2, 2                                                                          \
    }

static NodeId un(GradCase *c, OpCode op, double lo, double hi)
{
    return graph_unary(c->g, op, case_float(c, lo, hi, SHAPE(B, N(5))));
}

static NodeId neg_case(GradCase *c)
{
    return un(c, OP_NEG, -1, 1);
}
static NodeId abs_case(GradCase *c)
{
    return un(c, OP_ABS, -1, 1);
}
static NodeId sqrt_case(GradCase *c)
{
    return un(c, OP_SQRT, 0.5, 2);
}
static NodeId exp_case(GradCase *c)
{
    return un(c, OP_EXP, -2, 2);
}
static NodeId log_case(GradCase *c)
{
    return un(c, OP_LOG, 0.5, 2);
}
static NodeId sin_case(GradCase *c)
{
    return un(c, OP_SIN, -3, 3);
}
static NodeId cos_case(GradCase *c)
{
    return un(c, OP_COS, -3, 3);
}
static NodeId atan_case(GradCase *c)
{
    return un(c, OP_ATAN, -3, 3);
}
static NodeId tanh_case(GradCase *c)
{
    return un(c, OP_TANH, -2, 2);
}
static NodeId erf_case(GradCase *c)
{
    return un(c, OP_ERF, -2, 2);
}

static NodeId tf32_case(GradCase *c)
{
    return graph_unary(c->g, OP_TF32, un(c, OP_TANH, -2, 2));
}

static NodeId cast_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4)));
    NodeId half =
        graph_cast(c->g, graph_unary(c->g, OP_TANH, graph_cast(c->g, x, DT_BF16)), DT_F32);
    NodeId whole = graph_cast(c->g, graph_cast(c->g, x, DT_I32), DT_F32); // no gradient this way
    return graph_binary(c->g, OP_ADD, half, whole);
}

// Operands of unequal rank: one is repeated along the batch axis.
static NodeId bin(GradCase *c, OpCode op, double lo, double hi)
{
    NodeId x = case_float(c, lo, hi, SHAPE(B, N(2), N(5))),
           y = case_float(c, lo, hi, SHAPE(N(2), N(1)));
    return graph_binary(c->g, op, x, y);
}

static NodeId add_case(GradCase *c)
{
    return bin(c, OP_ADD, -1, 1);
}
static NodeId sub_case(GradCase *c)
{
    return bin(c, OP_SUB, -1, 1);
}
static NodeId mul_case(GradCase *c)
{
    return bin(c, OP_MUL, -1, 1);
}
static NodeId div_case(GradCase *c)
{
    return bin(c, OP_DIV, 0.5, 2);
}
static NodeId pow_case(GradCase *c)
{
    return bin(c, OP_POW, 0.5, 2);
}
static NodeId max_case(GradCase *c)
{
    return bin(c, OP_MAX, -1, 1);
}
static NodeId min_case(GradCase *c)
{
    return bin(c, OP_MIN, -1, 1);
}

static NodeId pow_const_case(GradCase *c)
{
    NodeId x = case_float(c, 0.5, 2, SHAPE(N(7))), sum = 0;
    double powers[] = {2, 3, 4, 0.5, -0.5, -1, -2, 2.5, 1, 0};
    for (uint32_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        NodeId y = graph_binary(c->g, OP_POW, x, graph_const(c->g, DT_F32, powers[i]));
        sum = sum ? graph_binary(c->g, OP_ADD, sum, y) : y;
    }
    return sum;
}

static NodeId fma_case(GradCase *c)
{
    NodeId x[3];
    for (int i = 0; i < 3; i++) x[i] = case_float(c, -1, 1, SHAPE(B, N(5)));
    return graph_add(c->g, OP_FMA, 3, x, 0, NULL);
}

static NodeId select_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(5))), y = case_float(c, -1, 1, SHAPE(N(5)));
    return graph_select(c->g, graph_binary(c->g, OP_LT, x, y), x, graph_unary(c->g, OP_EXP, y));
}

static NodeId reshape_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B2, N(3), N(4)));
    NodeId y = graph_reshape(c->g, graph_binary(c->g, OP_MUL, x, x), SHAPE(B, N(2), N(12)));
    return graph_unary(c->g, OP_EXP, y);
}

static NodeId transpose_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4), N(5)));
    return graph_transpose(c->g, graph_unary(c->g, OP_SIN, x), INTS(2, 0, 1));
}

static NodeId broadcast_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(N(1), N(3), N(1)));
    NodeId y = graph_broadcast(c->g, x, SHAPE(B, N(2), N(3), N(5)), INTS(0, 2, 3));
    return graph_unary(c->g, OP_EXP, y);
}

static NodeId slice_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(7), N(10)));
    NodeId a = graph_slice(c->g, x, INTS(0, 1, 2), INTS(3, 6, 10), INTS(1, 3, 4));
    NodeId b = graph_slice(c->g, x, INTS(0, 5, 0), INTS(3, 7, 4), INTS(1, 1, 2));
    return graph_binary(c->g, OP_MUL, graph_unary(c->g, OP_EXP, a), b);
}

// As a packed projection: three thirds, used in another order than they lie.
static NodeId slice_tile_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(9))), part[3];
    for (int64_t i = 0; i < 3; i++)
        part[i] = graph_slice(c->g, x, INTS(0, 3 * i), INTS(3, 3 * i + 3), NULL);
    NodeId y = graph_binary(c->g, OP_MUL, graph_unary(c->g, OP_TANH, part[2]), part[0]);
    return graph_binary(c->g, OP_DIV, y, graph_unary(c->g, OP_EXP, part[1]));
}

static NodeId pad_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4))), f = case_float(c, -1, 1, 0, NULL);
    return graph_unary(c->g, OP_EXP, graph_pad(c->g, x, f, INTS(0, 2), INTS(0, 3)));
}

static NodeId skew_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(5), N(7), N(3), N(2)));
    NodeId f = case_float(c, -1, 1, 0, NULL);
    Skew at[] = {{.axis = 1, .along = 4, .lo = -2, .stride = 2, .step = 3, .up = 1, .size = 4},
                 {.axis = 2, .along = 3, .lo = 1, .stride = 1, .step = -2, .up = 3, .size = 9}};
    return graph_unary(c->g, OP_SIN, graph_skew(c->g, x, f, 2, at));
}

// y = sum over a window of (2, 3) of x w, stride 1 and 2, each with padding.
static NodeId windows_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4), N(5), N(2)));
    NodeId w = case_float(c, -1, 1, SHAPE(N(3), N(2), N(2), N(3))), y = 0;
    Axis axes[] = {B, N(4), N(5), N(2), N(3), N(2)};
    NodeId wide = graph_broadcast(c->g, x, 6, axes, INTS(0, 1, 2, 5));
    NodeId zero = graph_const(c->g, graph_type(c->g, x)->dtype, 0);
    for (int64_t stride = 1; stride < 3; stride++) {
        Skew at[] = {{1, 3, -1, stride, 1, 1, 5 / stride}, {2, 4, -1, stride, 1, 1, 5 / stride}};
        NodeId win = graph_skew(c->g, wide, zero, 2, at);
        NodeId dot = graph_dot(c->g, win, w, 0, NULL, NULL, 3, INTS(3, 4, 5), INTS(2, 3, 1));
        int64_t places[] = {1, 2};
        NodeId sum =
            graph_reduce(c->g, OP_SUM, graph_unary(c->g, OP_SIN, dot), places, 2, false, false);
        y = y ? graph_binary(c->g, OP_ADD, y, sum) : sum;
    }
    return y;
}

static NodeId concat_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4))), y = case_float(c, -1, 1, SHAPE(B, N(1)));
    return graph_unary(c->g, OP_SIN, graph_concat(c->g, 3, (NodeId[]){x, y, x}, 1));
}

// Along the batch axis, which makes it plain.
static NodeId concat_batch_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(2))), y = case_float(c, -1, 1, SHAPE(B2, N(2)));
    return graph_unary(c->g, OP_SIN, graph_concat(c->g, 2, (NodeId[]){x, y}, 0));
}

static NodeId reverse_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4), N(3)));
    Attr axes = attr_ints(ATTR_AXES, INTS(1, 2), 2);
    NodeId y = graph_unary(c->g, OP_EXP, x);
    return graph_add(c->g, OP_REVERSE, 1, &y, 1, &axes);
}

static NodeId batch_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(2)));
    Attr axis = attr_int(ATTR_AXIS, 0);
    NodeId whole = graph_add(c->g, OP_BATCH_GATHER, 1, &x, 1, &axis);
    NodeId back =
        graph_add(c->g, OP_BATCH_SPLIT, 1, (NodeId[]){graph_unary(c->g, OP_EXP, whole)}, 1, &axis);
    NodeId scores = graph_dot(c->g, x, whole, 0, NULL, NULL, 1, INTS(1), INTS(1)); // (B, batch)
    return graph_binary(c->g, OP_ADD,
                        graph_reduce(c->g, OP_LOGSUMEXP, scores, INTS(1), 1, true, false), back);
}

static NodeId sum_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4), N(5)));
    NodeId rows =
        graph_reduce(c->g, OP_SUM, graph_binary(c->g, OP_MUL, x, x), INTS(0, 2), 2, true, true);
    return graph_binary(c->g, OP_MUL, x, rows);
}

static NodeId reduce_max_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4), N(5)));
    return graph_reduce(c->g, OP_REDUCE_MAX, x, INTS(1), 1, false, false);
}

static NodeId reduce_min_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4), N(5)));
    return graph_reduce(c->g, OP_REDUCE_MIN, x, INTS(0, 2), 2, true, true);
}

static NodeId logsumexp_case(GradCase *c)
{
    NodeId x = case_float(c, -3, 3, SHAPE(B, N(4), N(5)));
    return graph_reduce(c->g, OP_LOGSUMEXP, x, INTS(0, 2), 2, false, false);
}

static NodeId linear_case(GradCase *c) // x W' + b
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(5), N(3))),
           w = case_float(c, -1, 1, SHAPE(N(4), N(3)));
    NodeId y = graph_dot(c->g, x, w, 0, NULL, NULL, 1, INTS(2), INTS(1));
    return graph_unary(c->g, OP_TANH,
                       graph_binary(c->g, OP_ADD, y, case_float(c, -1, 1, SHAPE(N(4)))));
}

static NodeId dot_batch_case(GradCase *c) // batch axes of both in other places
{
    NodeId x = case_float(c, -1, 1, SHAPE(N(2), B, N(5), N(3)));
    NodeId y = case_float(c, -1, 1, SHAPE(B, N(3), N(4), N(2)));
    return graph_dot(c->g, x, y, 2, INTS(1, 0), INTS(0, 3), 1, INTS(3), INTS(1));
}

static NodeId dot_middle_case(GradCase *c) // contracting axes between free ones, paired crosswise
{
    NodeId x = case_float(c, -1, 1, SHAPE(N(2), N(3), N(4), N(5)));
    NodeId y = case_float(c, -1, 1, SHAPE(N(5), N(2), N(3), N(1)));
    return graph_dot(c->g, x, y, 0, NULL, NULL, 2, INTS(3, 1), INTS(0, 2));
}

static NodeId dot_outer_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(2))), y = case_float(c, -1, 1, SHAPE(N(4)));
    return graph_dot(c->g, x, y, 0, NULL, NULL, 0, NULL, NULL);
}

static NodeId dot_square_case(GradCase *c) // one tensor on both sides, transposed on one
{
    NodeId x = case_float(c, -1, 1, SHAPE(N(4), N(4)));
    NodeId t = graph_transpose(c->g, x, INTS(1, 0));
    return graph_dot(c->g, t, x, 0, NULL, NULL, 1, INTS(1), INTS(0));
}

static NodeId attend(GradCase *c, const char *mask, int64_t n, int64_t m)
{
    NodeId q = case_float(c, -1, 1, SHAPE(B, N(2), N(n), N(8)));
    NodeId k = case_float(c, -1, 1, SHAPE(B, N(2), N(m), N(8)));
    NodeId v = case_float(c, -1, 1, SHAPE(B, N(2), N(m), N(8)));
    Attr attrs[] = {attr_str(ATTR_MASK, mask), attr_float(ATTR_SCALE, 0.375)};
    return graph_proj(c->g, graph_add(c->g, OP_ATTENTION, 3, (NodeId[]){q, k, v}, 2, attrs), 0);
}

static NodeId attention_case(GradCase *c)
{
    return attend(c, "none", 3, 5);
}
static NodeId attention_causal_case(GradCase *c)
{
    return attend(c, "causal", 4, 4);
}

// Queries of 3 segments, one of which no key has, or a bias that the samples share, or both.
static NodeId attend_beside(GradCase *c, const char *mask, bool segments, bool bias)
{
    NodeId args[6] = {case_float(c, -1, 1, SHAPE(B, N(2), N(4), N(8))),
                      case_float(c, -1, 1, SHAPE(B, N(2), N(5), N(8))),
                      case_float(c, -1, 1, SHAPE(B, N(2), N(5), N(8)))};
    uint32_t n = 3;
    if (segments) {
        args[n++] = case_int(c, 0, 3, SHAPE(B, N(1), N(4)));
        args[n++] = case_int(c, 0, 2, SHAPE(N(1), N(1), N(5)));
    }
    if (bias) args[n++] = case_float(c, -1, 1, SHAPE(N(1), N(2), N(4), N(5)));
    Attr attrs[] = {attr_str(ATTR_MASK, mask), attr_float(ATTR_SCALE, 0.375)};
    return graph_proj(c->g, graph_add(c->g, OP_ATTENTION, n, args, 2, attrs), 0);
}

static NodeId attention_segments_case(GradCase *c)
{
    return attend_beside(c, "none", true, false);
}
static NodeId attention_bias_case(GradCase *c)
{
    return attend_beside(c, "causal", false, true);
}
static NodeId attention_both_case(GradCase *c)
{
    return attend_beside(c, "causal", true, true);
}

static NodeId gather_case(GradCase *c) // rows of a table, some beyond its ends
{
    NodeId x = case_float(c, -1, 1, SHAPE(N(4), N(3))), i = case_int(c, -2, 6, SHAPE(B, N(5)));
    Attr batch = attr_int(ATTR_BATCH, 0);
    return graph_unary(c->g, OP_EXP, graph_add(c->g, OP_GATHER, 2, (NodeId[]){x, i}, 1, &batch));
}

static NodeId gather_batch_case(GradCase *c) // one token of each sample
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4), N(3))), i = case_int(c, 0, 4, SHAPE(B));
    Attr batch = attr_int(ATTR_BATCH, 1);
    return graph_unary(c->g, OP_EXP, graph_add(c->g, OP_GATHER, 2, (NodeId[]){x, i}, 1, &batch));
}

static NodeId scatter_add_case(GradCase *c)
{
    NodeId i = case_int(c, -1, 5, SHAPE(B, N(6))), u = case_float(c, -1, 1, SHAPE(B, N(6), N(2)));
    Attr attrs[] = {attr_int(ATTR_BATCH, 1), attr_int(ATTR_SIZE, 4)};
    return graph_unary(c->g, OP_EXP,
                       graph_add(c->g, OP_SCATTER_ADD, 2, (NodeId[]){i, u}, 2, attrs));
}

static NodeId cumsum_case(GradCase *c)
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(70)));
    Attr back = attr_int(ATTR_REVERSE, 1);
    return graph_unary(
        c->g, OP_SIN,
        graph_binary(c->g, OP_ADD, graph_add(c->g, OP_CUMSUM, 1, &x, 0, NULL),
                     graph_unary(c->g, OP_COS, graph_add(c->g, OP_CUMSUM, 1, &x, 1, &back))));
}

static NodeId topk_case(GradCase *c) // no two are near each other
{
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(2), N(9)));
    Attr attrs[] = {attr_int(ATTR_SIZE, 4), attr_int(ATTR_RISING, 1)};
    NodeId most = graph_proj(c->g, graph_add(c->g, OP_TOPK, 1, &x, 1, attrs), 0);
    NodeId least = graph_proj(c->g, graph_add(c->g, OP_TOPK, 1, &x, 2, attrs), 0);
    return graph_binary(c->g, OP_MUL, graph_unary(c->g, OP_EXP, most), least);
}

// Layer norm as a library writes it, with a gain.
static NodeId layer_norm_case(GradCase *c)
{
    Graph *g = c->g;
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(2), N(6))),
           gain = case_float(c, 0.5, 1, SHAPE(N(6)));
    NodeId n = graph_const(g, DT_F32, 6), eps = graph_const(g, DT_F32, 1e-3);
    NodeId mean = graph_binary(g, OP_DIV, graph_reduce(g, OP_SUM, x, INTS(2), 1, true, false), n);
    NodeId d = graph_binary(g, OP_SUB, x, mean);
    NodeId square = graph_binary(g, OP_MUL, d, d);
    NodeId var =
        graph_binary(g, OP_DIV, graph_reduce(g, OP_SUM, square, INTS(2), 1, true, false), n);
    NodeId root = graph_unary(g, OP_SQRT, graph_binary(g, OP_ADD, var, eps));
    return graph_binary(g, OP_MUL, graph_binary(g, OP_DIV, d, root), gain);
}

// The gradient of a gradient: a penalty on its size.
static NodeId second_order_case(GradCase *c)
{
    Graph *g = c->g;
    NodeId x = case_float(c, -1, 1, SHAPE(B, N(4))), w = case_float(c, -1, 1, SHAPE(N(4), N(4)));
    NodeId y = graph_unary(g, OP_TANH, graph_dot(g, x, w, 0, NULL, NULL, 1, INTS(1), INTS(1)));
    NodeId loss =
        graph_reduce(g, OP_SUM, graph_binary(g, OP_MUL, y, y), INTS(0, 1), 2, false, true);
    NodeId dx = graph_add(g, OP_GRAD, 2, (NodeId[]){loss, x}, 0, NULL);
    return graph_binary(g, OP_MUL, dx, dx);
}

typedef struct Row {
    OpCode op;
    const char *name;
    GradBuild *build;
} Row;

static const Row rows[] = {
    {OP_NEG, "neg", neg_case},
    {OP_ABS, "abs", abs_case},
    {OP_SQRT, "sqrt", sqrt_case},
    {OP_EXP, "exp", exp_case},
    {OP_LOG, "log", log_case},
    {OP_SIN, "sin", sin_case},
    {OP_COS, "cos", cos_case},
    {OP_ATAN, "atan", atan_case},
    {OP_TANH, "tanh", tanh_case},
    {OP_ERF, "erf", erf_case},
    {OP_TF32, "tf32", tf32_case},
    {OP_CAST, "cast", cast_case},
    {OP_ADD, "add", add_case},
    {OP_SUB, "sub", sub_case},
    {OP_MUL, "mul", mul_case},
    {OP_DIV, "div", div_case},
    {OP_POW, "pow", pow_case},
    {OP_POW, "pow by constants", pow_const_case},
    {OP_MAX, "max", max_case},
    {OP_MIN, "min", min_case},
    {OP_FMA, "fma", fma_case},
    {OP_SELECT, "select", select_case},
    {OP_RESHAPE, "reshape", reshape_case},
    {OP_TRANSPOSE, "transpose", transpose_case},
    {OP_BROADCAST, "broadcast", broadcast_case},
    {OP_SLICE, "slice", slice_case},
    {OP_SLICE, "slices that tile", slice_tile_case},
    {OP_PAD, "pad", pad_case},
    {OP_SKEW, "skew", skew_case},
    {OP_SKEW, "products of windows", windows_case},
    {OP_CONCAT, "concat", concat_case},
    {OP_CONCAT, "concat along batch", concat_batch_case},
    {OP_REVERSE, "reverse", reverse_case},
    {OP_BATCH_GATHER, "batch_gather", batch_case},
    {OP_BATCH_SPLIT, "batch_split", batch_case},
    {OP_SUM, "sum", sum_case},
    {OP_REDUCE_MAX, "reduce_max", reduce_max_case},
    {OP_REDUCE_MIN, "reduce_min", reduce_min_case},
    {OP_LOGSUMEXP, "logsumexp", logsumexp_case},
    {OP_DOT, "linear", linear_case},
    {OP_DOT, "dot with batch axes", dot_batch_case},
    {OP_DOT, "dot with middle axes", dot_middle_case},
    {OP_DOT, "outer dot", dot_outer_case},
    {OP_DOT, "dot with itself", dot_square_case},
    {OP_ATTENTION, "attention", attention_case},
    {OP_ATTENTION, "causal attention", attention_causal_case},
    {OP_ATTENTION, "attention in segments", attention_segments_case},
    {OP_ATTENTION, "attention with a bias", attention_bias_case},
    {OP_ATTENTION, "attention with both", attention_both_case},
    {OP_PROJ, "proj", attention_case},
    {OP_GATHER, "gather", gather_case},
    {OP_GATHER, "gather in a batch", gather_batch_case},
    {OP_SCATTER_ADD, "scatter_add", scatter_add_case},
    {OP_CUMSUM, "cumsum", cumsum_case},
    {OP_TOPK, "topk", topk_case},
    {OP_SUM, "layer norm", layer_norm_case},
    {OP_TANH, "second order", second_order_case},
};

enum { ROWS = sizeof rows / sizeof *rows };

Test(gradients, every_rule_has_a_case)
{
    for (OpCode op = 0; op < OP_COUNT; op++) {
        bool found = !grad_rule(op);
        for (uint32_t i = 0; i < ROWS; i++) found = found || rows[i].op == op;
        cr_expect(found, "no gradient case for %s", op_info(op)->name);
    }
}

Test(gradients, every_float_op_has_a_rule_or_ends_it)
{
    for (OpCode op = 0; op < OP_COUNT; op++) {
        const OpInfo *info = op_info(op);
        if (info->class == CLASS_LEAF || info->class == CLASS_RANDOM || grad_rule(op)) continue;
        bool ends = info->flags & (OPF_FLAT | OPF_INT | OPF_BOOL);
        // without one: an error where a trained parameter is behind it
        bool none = op == OP_ATTENTION_GRAD || op == OP_ATTENTION_BIAS_GRAD || op == OP_EIGH;
        cr_expect(ends || none || op == OP_GRAD, "%s has no rule", info->name);
    }
}

Test(gradients, autodiff)
{
    for (uint32_t i = 0; i < ROWS; i++) check_gradient(rows[i].name, rows[i].build, "autodiff");
}

Test(gradients, simplified)
{
    for (uint32_t i = 0; i < ROWS; i++)
        check_gradient(rows[i].name, rows[i].build, "autodiff,simplify");
}

Test(gradients, all_passes)
{
    for (uint32_t i = 0; i < ROWS; i++)
        check_gradient(rows[i].name, rows[i].build, "autodiff,simplify,merge,expand,dce,save");
}
