// Shape rules, with the kinds of the axes.
#include "fixture.h"

Test(shape, given_axes_are_checked)
{
    Fixture f = fixture(16);
    assert_refused(&f, INPUT(&f, "x", DT_F32, {0, 0}), "input: axis 0 has size 0");
    assert_refused(&f, INPUT(&f, "x", DT_F32, {4, 0}, {-1, 0}), "axis 1 has size -1");
    assert_refused(&f, INPUT(&f, "x", DT_F32, {16, 2}),
                   "input: axis 0 has size 16, but 2 a sample of batch 16");
    assert_refused(&f, INPUT(&f, "x", DT_F32, {INT64_MAX, 0}, {INT64_MAX, 0}), "is too large");
    const Type *t = type_new(f.arena, DT_F32, 1, AXES({16, 1}));
    assert_refused(&f, graph_state(f.g, "s", t), "state: 's' of type f32[16b] has a batch axis");
    Fixture none = fixture(0);
    assert_refused(&none, INPUT(&none, "x", DT_F32, {16, 1}), "this graph has no batch");
    assert_refused(&f, graph_iota(f.g, DT_I32, 1, AXES({16, 1}), 1),
                   "iota: axis 1 is not an axis of i32[16b]");
    assert_type(&f, graph_iota(f.g, DT_I32, 2, AXES({16, 1}, {3, 0}), 0), "i32[16b, 3]");
}

// The result of reshaping x to plain sizes, as text.
static const char *reshaped(Fixture *f, NodeId x, uint32_t rank, const Axis *axes)
{
    return type_of(f, graph_reshape(f->g, x, rank, axes));
}

Test(shape, reshape_carries_the_batch_axis)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {197, 0}, {768, 0});
    NodeId y = INPUT(&f, "y", DT_F32, {128, 8}, {6, 0});
    cr_assert_str_eq(reshaped(&f, x, 2, AXES({3152, 0}, {768, 0})), "f32[3152b197, 768]");
    cr_assert_str_eq(reshaped(&f, x, 4, AXES({16, 0}, {197, 0}, {12, 0}, {64, 0})),
                     "f32[16b, 197, 12, 64]");
    cr_assert_str_eq(reshaped(&f, x, 1, AXES({16 * 197 * 768, 0})), "f32[2420736b151296]");
    cr_assert_str_eq(reshaped(&f, x, 4, AXES({1, 0}, {16, 0}, {1, 0}, {197 * 768, 0})),
                     "f32[1, 16b, 1, 151296]");
    cr_assert_str_eq(reshaped(&f, y, 3, AXES({16, 0}, {8, 0}, {6, 0})), "f32[16b, 8, 6]");
    cr_assert_str_eq(reshaped(&f, y, 2, AXES({32, 0}, {24, 0})), "f32[32b2, 24]");
    NodeId z = graph_transpose(f.g, x, (int64_t[]){1, 0, 2});
    cr_assert_str_eq(reshaped(&f, z, 3, AXES({197, 0}, {256, 0}, {48, 0})), "f32[197, 256b16, 48]");
}

Test(shape, reshape_refuses_to_mix)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {6, 0}),
           t = graph_transpose(f.g, x, (int64_t[]){1, 0});
    assert_refused(&f, graph_reshape(f.g, x, 2, AXES({8, 0}, {12, 0})),
                   "reshape: f32[16b, 6] to [8, 12] mixes the batch axis 0");
    assert_refused(&f, graph_reshape(f.g, t, 1, AXES({96, 0})),
                   "reshape: f32[6, 16b] to [96] mixes the batch axis 1");
    assert_refused(&f, graph_reshape(f.g, x, 2, AXES({6, 0}, {16, 1})), "mixes the batch axis 0");
    assert_refused(&f, graph_reshape(f.g, x, 2, AXES({16, 0}, {7, 0})),
                   "reshape: f32[16b, 6] has 96 elements, [16, 7] has 112");
    NodeId p = INPUT(&f, "p", DT_F32, {16, 0}, {6, 0});
    assert_refused(&f, graph_reshape(f.g, p, 2, AXES({16, 1}, {6, 0})),
                   "axis 0 of [16b, 6] does not come from a batch axis of f32[16, 6]");
}

Test(shape, reshape_with_a_batch_of_one)
{
    Fixture f = fixture(1);
    NodeId x = INPUT(&f, "x", DT_F32, {1, 1}, {6, 0});
    cr_assert_str_eq(reshaped(&f, x, 3, AXES({1, 0}, {2, 0}, {3, 0})), "f32[1b, 2, 3]");
    cr_assert_str_eq(reshaped(&f, x, 3, AXES({1, 0}, {1, 1}, {6, 0})), "f32[1, 1b, 6]");
    cr_assert_str_eq(reshaped(&f, x, 1, AXES({6, 0})), "f32[6b6]");
    NodeId two = INPUT(&f, "two", DT_F32, {1, 1}, {1, 1}, {6, 0});
    cr_assert_str_eq(reshaped(&f, two, 4, AXES({1, 0}, {1, 0}, {2, 0}, {3, 0})),
                     "f32[1b, 1b, 2, 3]");
    NodeId y =
        graph_add(f.g, OP_RESHAPE, 1, &x, 1, (Attr[]){attr_axes(ATTR_SHAPE, AXES({6, 0}), 1)});
    cr_assert_str_eq(reshaped(&f, y, 2, AXES({1, 0}, {6, 6})), "f32[1, 6b6]");
    cr_assert_str_eq(reshaped(&f, y, 2, AXES({1, 0}, {6, 0})), "f32[1b, 6]");
}

Test(shape, broadcast)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {1, 0}), p = INPUT(&f, "p", DT_F32, {16, 0});
    assert_type(&f, graph_broadcast(f.g, x, 3, AXES({7, 0}, {16, 0}, {5, 0}), (int64_t[]){1, 2}),
                "f32[7, 16b, 5]");
    assert_refused(&f, graph_broadcast(f.g, p, 1, AXES({16, 1}), (int64_t[]){0}),
                   "broadcast: mixes a batch axis: axis 0 of f32[16] becomes axis 0 of [16b]");
    assert_refused(&f, graph_broadcast(f.g, x, 2, AXES({16, 0}, {5, 0}), (int64_t[]){1, 0}),
                   "axes must rise");
    assert_refused(&f, graph_broadcast(f.g, x, 2, AXES({16, 0}, {5, 0}), (int64_t[]){0, 2}),
                   "axis 2 is not below the rank 2");
}

Test(shape, slice_pad_concat_reverse)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {10, 0}),
           y = INPUT(&f, "y", DT_F32, {16, 1}, {5, 0});
    NodeId zero = graph_const(f.g, DT_F32, 0);
    int64_t lo[] = {0, 1}, hi[] = {16, 8}, stride[] = {1, 3};
    assert_type(&f, graph_slice(f.g, x, lo, hi, stride), "f32[16b, 3]");
    assert_type(&f, graph_slice(f.g, x, (int64_t[]){2, 0}, (int64_t[]){4, 10}, NULL), "f32[2, 10]");
    assert_refused(&f, graph_slice(f.g, x, lo, (int64_t[]){16, 11}, NULL),
                   "slice: 1:11 is not a part of axis 1 of f32[16b, 10]");
    assert_refused(&f, graph_slice(f.g, x, lo, (int64_t[]){16, 1}, NULL),
                   "slice: 1:1 is not a part of axis 1");
    assert_refused(&f, graph_slice(f.g, x, lo, hi, (int64_t[]){1, 0}),
                   "slice: stride 0 of axis 1 is below 1");
    assert_type(&f, graph_pad(f.g, x, zero, lo, (int64_t[]){0, 2}), "f32[16b, 13]");
    assert_refused(&f, graph_pad(f.g, x, zero, (int64_t[]){0, INT64_MAX}, (int64_t[]){0, 1}),
                   "pad: cannot pad axis 1");
    assert_refused(&f, graph_pad(f.g, x, y, lo, hi), "pad: its fill has rank 0, not f32[16b, 5]");
    assert_type(&f, graph_concat(f.g, 2, (NodeId[]){x, y}, 1), "f32[16b, 15]");
    assert_refused(&f, graph_concat(f.g, 2, (NodeId[]){x, y}, 0),
                   "concat: shapes f32[16b, 10] and f32[16b, 5] differ on axis 1 (10 and 5)");
    assert_type(
        &f, graph_add(f.g, OP_REVERSE, 1, &x, 1, (Attr[]){attr_ints(ATTR_AXES, (int64_t[]){1}, 1)}),
        "f32[16b, 10]");
    assert_refused(&f, graph_transpose(f.g, x, (int64_t[]){1, 1}),
                   "transpose: perm has axis 1 twice");
}

Test(shape, batch_gather_and_split)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {32, 2}, {10, 0});
    NodeId all = graph_add(f.g, OP_BATCH_GATHER, 1, &x, 1, (Attr[]){attr_int(ATTR_AXIS, 0)});
    assert_type(&f, all, "f32[32, 10]");
    assert_type(&f, graph_add(f.g, OP_BATCH_SPLIT, 1, &all, 1, (Attr[]){attr_int(ATTR_AXIS, 0)}),
                "f32[32b2, 10]");
    assert_refused(&f, graph_add(f.g, OP_BATCH_GATHER, 1, &x, 1, (Attr[]){attr_int(ATTR_AXIS, 1)}),
                   "axis 1 of f32[32b2, 10] is no batch axis");
    assert_refused(&f, graph_add(f.g, OP_BATCH_SPLIT, 1, &all, 1, (Attr[]){attr_int(ATTR_AXIS, 1)}),
                   "axis 1 of f32[32, 10] is no plain axis over a batch of 16");
}

Test(shape, dot)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_BF16, {16, 1}, {50, 0}, {64, 0}),
           w = INPUT(&f, "w", DT_BF16, {32, 0}, {64, 0});
    int64_t zero[] = {0}, one[] = {1}, two[] = {2};
    assert_type(&f, graph_dot(f.g, x, w, 0, NULL, NULL, 1, two, one), "bf16[16b, 50, 32]");
    assert_type(&f, graph_dot(f.g, x, x, 1, zero, zero, 1, two, two), "bf16[16b, 50, 50]");
    assert_type(&f, graph_dot(f.g, x, x, 0, NULL, NULL, 2, (int64_t[]){0, 1}, (int64_t[]){0, 1}),
                "bf16[64, 64]");
    Attr f32[] = {attr_dtype(ATTR_DTYPE, DT_F32), attr_ints(ATTR_LCONTRACT, two, 1),
                  attr_ints(ATTR_RCONTRACT, one, 1)};
    assert_type(&f, graph_add(f.g, OP_DOT, 2, (NodeId[]){x, w}, 3, f32), "f32[16b, 50, 32]");
    f32[0].dtype = DT_F16;
    assert_refused(&f, graph_add(f.g, OP_DOT, 2, (NodeId[]){x, w}, 3, f32),
                   "dot: of bf16 gives bf16 or f32, not f16");
    assert_refused(&f, graph_dot(f.g, x, w, 0, NULL, NULL, 1, one, one),
                   "dot: shapes bf16[16b, 50, 64] and bf16[32, 64] differ on axis 1 (50 and 64)");
    assert_refused(&f, graph_dot(f.g, x, x, 1, zero, zero, 2, (int64_t[]){2, 0}, (int64_t[]){2, 0}),
                   "axis 0 of bf16[16b, 50, 64] is named twice");
    assert_refused(&f, graph_dot(f.g, w, w, 0, NULL, NULL, 2, (int64_t[]){1, 1}, (int64_t[]){1, 1}),
                   "axis 1 of bf16[32, 64] is named twice");
    assert_refused(&f, graph_dot(f.g, x, w, 0, NULL, NULL, 1, (int64_t[]){3}, one),
                   "axis 3 is not an axis of");
    NodeId p = INPUT(&f, "p", DT_BF16, {16, 0}, {64, 0});
    assert_refused(&f, graph_dot(f.g, x, p, 1, zero, zero, 1, two, one),
                   "dot: mixes a batch axis: axis 0 of");
}

Test(shape, attention)
{
    Fixture f = fixture(16);
    NodeId q = INPUT(&f, "q", DT_BF16, {16, 1}, {12, 0}, {50, 0}, {64, 0});
    NodeId k = INPUT(&f, "k", DT_BF16, {16, 1}, {12, 0}, {77, 0}, {64, 0});
    NodeId v = INPUT(&f, "v", DT_BF16, {16, 1}, {12, 0}, {77, 0}, {32, 0});
    Attr attrs[] = {attr_str(ATTR_MASK, "causal"), attr_float(ATTR_SCALE, 0.125)};
    NodeId a = graph_add(f.g, OP_ATTENTION, 3, (NodeId[]){q, k, v}, 2, attrs);
    assert_type(&f, a, "(bf16[16b, 12, 50, 32], f32[16b, 12, 50])");
    NodeId out = graph_proj(f.g, a, 0), lse = graph_proj(f.g, a, 1);
    assert_type(&f, lse, "f32[16b, 12, 50]");
    assert_refused(&f, graph_proj(f.g, a, 2),
                   "proj: (bf16[16b, 12, 50, 32], f32[16b, 12, 50]) has no part 2");
    NodeId g = graph_add(f.g, OP_ATTENTION_GRAD, 6, (NodeId[]){q, k, v, out, lse, out}, 2, attrs);
    assert_type(&f, graph_proj(f.g, g, 2), "bf16[16b, 12, 77, 32]");
    assert_refused(&f,
                   graph_add(f.g, OP_ATTENTION_GRAD, 6, (NodeId[]){q, k, v, out, lse, q}, 2, attrs),
                   "attention_grad: dout is bf16[16b, 12, 50, 32], not");
    assert_refused(&f, graph_add(f.g, OP_ATTENTION, 3, (NodeId[]){q, v, k}, 2, attrs),
                   "differ on axis 3 (64 and 32)");
    assert_refused(&f, graph_unary(f.g, OP_NEG, a), "neg: operand 0 is a tuple");
    attrs[0].s = "wide";
    assert_refused(&f, graph_add(f.g, OP_ATTENTION, 3, (NodeId[]){q, k, v}, 2, attrs),
                   "mask is none or causal, not wide");
}

Test(shape, attention_with_masks)
{
    Fixture f = fixture(16);
    NodeId q = INPUT(&f, "q", DT_BF16, {16, 1}, {12, 0}, {50, 0}, {64, 0});
    NodeId k = INPUT(&f, "k", DT_BF16, {16, 1}, {12, 0}, {77, 0}, {64, 0});
    NodeId qs = INPUT(&f, "qs", DT_I32, {1, 0}, {1, 0}, {50, 0});
    NodeId ks = INPUT(&f, "ks", DT_I32, {16, 1}, {1, 0}, {77, 0});
    NodeId bias = INPUT(&f, "bias", DT_F32, {1, 0}, {12, 0}, {50, 0}, {77, 0});
    NodeId flat = INPUT(&f, "flat", DT_F32, {12, 0}, {50, 0}, {77, 0});
    Attr scale = attr_float(ATTR_SCALE, 0.125);
    NodeId all[] = {q, k, k, qs, ks, bias};
    NodeId a = graph_add(f.g, OP_ATTENTION, 6, all, 1, &scale);
    assert_type(&f, a, "(bf16[16b, 12, 50, 64], f32[16b, 12, 50])");
    NodeId out = graph_proj(f.g, a, 0), lse = graph_proj(f.g, a, 1);
    NodeId grad[] = {q, k, k, out, lse, out, qs, ks, bias};
    assert_type(&f, graph_add(f.g, OP_ATTENTION_BIAS_GRAD, 9, grad, 1, &scale),
                "f32[1, 12, 50, 77]");
    assert_refused(&f, graph_add(f.g, OP_ATTENTION_BIAS_GRAD, 8, grad, 1, &scale),
                   "attention_bias_grad: has no bias among its 8 operands");
    assert_refused(&f, graph_add(f.g, OP_ATTENTION, 2, all, 1, &scale),
                   "attention: takes 3 to 6 operands, not 2");
    assert_refused(&f, graph_add(f.g, OP_ATTENTION, 4, (NodeId[]){q, k, k, flat}, 1, &scale),
                   "the bias: f32[16b, 12, 50, 77], or 1 for outer axes, not "
                   "f32[12, 50, 77]");
    assert_refused(&f, graph_add(f.g, OP_ATTENTION, 5, (NodeId[]){q, k, k, ks, ks}, 1, &scale),
                   "segments of the queries: i32[16b, 12, 50], or 1 for");
    assert_refused(&f, graph_add(f.g, OP_ATTENTION, 5, (NodeId[]){q, k, k, qs, bias}, 1, &scale),
                   "segments of the keys: i32[16b, 12, 77], or 1 for");
}

Test(shape, gather_and_scatter_add)
{
    Fixture f = fixture(16);
    NodeId table = INPUT(&f, "table", DT_F32, {1000, 0}, {64, 0}),
           ids = INPUT(&f, "ids", DT_I32, {16, 1}, {77, 0});
    assert_type(&f, graph_add(f.g, OP_GATHER, 2, (NodeId[]){table, ids}, 0, NULL),
                "f32[16b, 77, 64]");
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {77, 0}, {64, 0}),
           at = INPUT(&f, "at", DT_I32, {16, 1});
    Attr one[] = {attr_int(ATTR_BATCH, 1)};
    assert_type(&f, graph_add(f.g, OP_GATHER, 2, (NodeId[]){x, at}, 1, one), "f32[16b, 64]");
    Attr size[] = {attr_int(ATTR_SIZE, 1000), attr_int(ATTR_BATCH, 0)};
    assert_type(&f, graph_add(f.g, OP_SCATTER_ADD, 2, (NodeId[]){ids, x}, 2, size),
                "f32[1000, 64]");
    size[1].i = 1;
    assert_type(&f, graph_add(f.g, OP_SCATTER_ADD, 2, (NodeId[]){ids, x}, 2, size),
                "f32[16b, 1000, 64]");
    size[0].i = 0;
    assert_refused(&f, graph_add(f.g, OP_SCATTER_ADD, 2, (NodeId[]){ids, x}, 2, size),
                   "axis 1 has size 0");
    assert_refused(&f, graph_add(f.g, OP_GATHER, 2, (NodeId[]){x, table}, 0, NULL),
                   "its indices are i32, not f32[1000, 64]");
    one[0].i = INT64_MAX;
    assert_refused(&f, graph_add(f.g, OP_GATHER, 2, (NodeId[]){x, at}, 1, one),
                   "batch 9223372036854775807 does not suit");
}

Test(shape, ordered_ops)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {77, 0}), wide = INPUT(&f, "w", DT_I64, {9, 0}),
           boxes = INPUT(&f, "b", DT_F32, {16, 1}, {77, 0}, {4, 0}),
           flag = INPUT(&f, "t", DT_BOOL, {9, 0}), none = graph_const(f.g, DT_F32, 1);
    Attr size[] = {attr_int(ATTR_SIZE, 5)}, two[] = {attr_int(ATTR_REVERSE, 2)};
    assert_type(&f, graph_add(f.g, OP_CUMSUM, 1, &wide, 0, NULL), "i64[9]");
    assert_type(&f, graph_add(f.g, OP_TOPK, 1, &x, 1, size), "(f32[16b, 5], i32[16b, 5])");
    Attr attrs[] = {size[0], attr_float(ATTR_THRESHOLD, 0.5)};
    NodeId args[] = {boxes, x};
    assert_type(&f, graph_add(f.g, OP_NMS, 2, args, 2, attrs), "(i32[16b, 5], i32[16b])");
    NodeId square = INPUT(&f, "q", DT_F32, {3, 0}, {5, 0}, {5, 0}),
           large = INPUT(&f, "l", DT_F32, {4097, 0}, {4097, 0});
    assert_type(&f, graph_add(f.g, OP_EIGH, 1, &square, 0, NULL), "(f32[3, 5], f32[3, 5, 5])");
    assert_refused(&f, graph_add(f.g, OP_EIGH, 1, &boxes, 0, NULL),
                   "eigh: takes symmetric matrices f32[.., N, N], not f32[16b, 77, 4]");
    assert_refused(&f, graph_add(f.g, OP_EIGH, 1, &large, 0, NULL),
                   "eigh: takes matrices of at most 4096 rows");
    assert_refused(&f, graph_add(f.g, OP_CUMSUM, 1, &x, 1, two), "cumsum: reverse is 0 or 1");
    assert_refused(&f, graph_add(f.g, OP_CUMSUM, 1, &none, 0, NULL), "cumsum: f32[] has no axis");
    assert_refused(&f, graph_add(f.g, OP_CUMSUM, 1, &flag, 0, NULL), "takes numbers, not bool[9]");
    assert_refused(&f, graph_add(f.g, OP_TOPK, 1, &wide, 1, size),
                   "topk: orders elements of at most 4 bytes, not i64[9]");
    size[0].i = 78;
    assert_refused(&f, graph_add(f.g, OP_TOPK, 1, &x, 1, size),
                   "topk: has no 78 elements to take of f32[16b, 77]");
    args[1] = boxes;
    assert_refused(&f, graph_add(f.g, OP_NMS, 2, args, 2, attrs),
                   "nms: takes boxes f32[.., N, 4] and scores f32[.., N], not");
    args[1] = x;
    attrs[1].f = 2;
    assert_refused(&f, graph_add(f.g, OP_NMS, 2, args, 2, attrs),
                   "nms: its threshold is in [0, 1], not 2");
}

Test(shape, element_types)
{
    Fixture f = fixture(16);
    NodeId i = INPUT(&f, "i", DT_I32, {4, 0}), b = INPUT(&f, "b", DT_BOOL, {4, 0});
    assert_refused(&f, graph_unary(f.g, OP_EXP, i), "exp: takes floats, not i32[4]");
    assert_refused(&f, graph_binary(f.g, OP_ADD, b, b), "add: takes numbers, not bool[4]");
    assert_refused(&f, graph_unary(f.g, OP_NOT, i), "not: takes bool, not i32[4]");
    assert_refused(&f, graph_select(f.g, i, i, i), "select: its condition is bool, not i32[4]");
    assert_type(&f, graph_binary(f.g, OP_EQ, b, b), "bool[4]");
    NodeId seed = graph_const(f.g, DT_I64, 1);
    Attr r[] = {attr_int(ATTR_STREAM, 7), attr_axes(ATTR_SHAPE, AXES({16, 1}, {3, 0}), 2)};
    assert_type(&f, graph_add(f.g, OP_RANDOM, 2, (NodeId[]){seed, seed}, 2, r), "u32[16b, 3]");
    assert_refused(&f, graph_add(f.g, OP_RANDOM, 2, (NodeId[]){seed, i}, 2, r),
                   "random: its step is i64[], not i32[4]");
    NodeId first = graph_const(f.g, DT_I32, 8);
    assert_type(&f, graph_add(f.g, OP_RANDOM, 3, (NodeId[]){seed, seed, first}, 2, r),
                "u32[16b, 3]");
    assert_refused(&f, graph_add(f.g, OP_RANDOM, 3, (NodeId[]){seed, seed, seed}, 2, r),
                   "random: its first sample is i32[], not i64[]");
    assert_refused(&f, graph_add(f.g, OP_RANDOM, 1, (NodeId[]){seed}, 2, r),
                   "random: takes 2 or 3 operands, not 1");
    NodeId x = INPUT(&f, "x", DT_F32, {4, 0}),
           s = graph_reduce(f.g, OP_SUM, x, (int64_t[]){0}, 1, false, false);
    assert_type(&f, graph_add(f.g, OP_GRAD, 2, (NodeId[]){s, x}, 0, NULL), "f32[4]");
    assert_refused(&f, graph_add(f.g, OP_GRAD, 2, (NodeId[]){x, x}, 0, NULL),
                   "grad: the loss has rank 0, not f32[4]");
}
