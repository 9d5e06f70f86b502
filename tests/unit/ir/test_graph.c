// The graph: hash-consing, origins, attributes in canonical form, and what the builder folds.
#include "fixture.h"

#include <math.h>

Test(graph, ops_are_found_by_name)
{
    for (OpCode op = 0; op < OP_COUNT; op++) cr_assert_eq(op_find(op_info(op)->name), op);
    cr_assert_eq(op_find("softmax"), OP_COUNT);
    cr_assert_eq(op_info(OP_SELECT)->arity, 3);
    cr_assert_eq(op_info(OP_CONCAT)->arity, -1);
}

Test(graph, equal_nodes_are_one)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {4, 0}), y = INPUT(&f, "y", DT_F32, {16, 1}, {4, 0});
    NodeId a = graph_binary(f.g, OP_ADD, x, y);
    cr_assert_eq(graph_binary(f.g, OP_ADD, y, x), a, "add commutes");
    cr_assert_neq(graph_binary(f.g, OP_SUB, x, y), graph_binary(f.g, OP_SUB, y, x));
    cr_assert_neq(graph_add_copy(f.g, OP_ADD, 1, 2, (NodeId[]){x, y}, 0, NULL), a);
    int64_t axes[] = {1}, first[] = {0};
    NodeId s = graph_reduce(f.g, OP_SUM, x, axes, 1, false, false);
    cr_assert_eq(graph_reduce(f.g, OP_SUM, x, axes, 1, false, false), s);
    cr_assert_neq(graph_reduce(f.g, OP_SUM, x, first, 1, false, false), s);
    cr_assert_neq(graph_reduce(f.g, OP_SUM, x, axes, 1, false, true), s);
    for (int i = 0; i < 300; i++) graph_const(f.g, DT_F32, i);
    uint32_t n = f.g->nodes.n;
    for (int i = 0; i < 300; i++) graph_const(f.g, DT_F32, i);
    cr_assert_eq(f.g->nodes.n, n, "found again after the table grew");
}

Test(graph, origins_gather_and_are_no_part_of_the_key)
{
    Fixture f = fixture(16);
    uint32_t source = diag_source(f.diag, "g.yaml", "one\ntwo\n", 8);
    NodeId x = INPUT(&f, "x", DT_F32, {4, 0});
    f.g->here = loc_in(source, 0, 3);
    NodeId a = graph_unary(f.g, OP_EXP, x);
    f.g->here = loc_in(source, 4, 7);
    cr_assert_eq(graph_unary(f.g, OP_EXP, x), a);
    cr_assert_eq(graph_unary(f.g, OP_EXP, x), a);
    cr_assert_eq(graph_node(f.g, a)->origins.n, 2u);
    cr_assert_eq(graph_node(f.g, x)->origins.n, 0u);
}

Test(graph, an_absent_operand_gives_none_silently)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {4, 0});
    cr_assert_eq(graph_binary(f.g, OP_ADD, x, 0), 0u);
    cr_assert_eq(graph_transpose(f.g, 0, NULL), 0u);
    cr_assert_eq(graph_select(f.g, 0, x, x), 0u);
    cr_assert_eq(diag_errors(f.diag), 0u);
}

Test(graph, attributes_are_completed)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {4, 0}, {6, 0});
    NodeId s = graph_slice(f.g, x, (int64_t[]){0, 2}, (int64_t[]){4, 4}, NULL);
    uint32_t n;
    const int64_t *stride = node_ints(graph_node(f.g, s), ATTR_STRIDE, &n);
    cr_assert(n == 2 && stride[0] == 1 && stride[1] == 1);
    NodeId d = graph_dot(f.g, x, x, 0, NULL, NULL, 1, (int64_t[]){1}, (int64_t[]){1});
    Attr given[] = {attr_dtype(ATTR_DTYPE, DT_F32), attr_ints(ATTR_RCONTRACT, (int64_t[]){1}, 1),
                    attr_ints(ATTR_LCONTRACT, (int64_t[]){1}, 1)};
    cr_assert_eq(graph_add(f.g, OP_DOT, 2, (NodeId[]){x, x}, 3, given), d);
    cr_assert_eq(graph_add(f.g, OP_NEG, 1, &x, 1, given), 0u);
    cr_assert_eq(graph_add(f.g, OP_SUM, 1, &x, 0, NULL), 0u);
    cr_assert_eq(graph_add(f.g, OP_ADD, 1, &x, 0, NULL), 0u);
    const char *text = messages(&f);
    cr_assert(strstr(text, "error: neg: has no attribute dtype"), "%s", text);
    cr_assert(strstr(text, "error: sum: attribute axes is missing"), "%s", text);
    cr_assert(strstr(text, "error: add: takes 2 operands, not 1"), "%s", text);
}

static double value_of(Fixture *f, NodeId id)
{
    double v = -999;
    cr_assert(id && graph_is_const(f->g, id, &v), "no constant\n%s", messages(f));
    return v;
}

static double fold2(Fixture *f, OpCode op, DType dt, double x, double y)
{
    return value_of(f, graph_binary(f->g, op, graph_const(f->g, dt, x), graph_const(f->g, dt, y)));
}

Test(fold, constants_compute_in_their_type)
{
    Fixture f = fixture(16);
    cr_assert_eq(fold2(&f, OP_ADD, DT_F32, 0.1, 0.2), (double)(0.1f + 0.2f));
    cr_assert_eq(fold2(&f, OP_DIV, DT_F32, 1, 3), (double)(1.0f / 3.0f));
    cr_assert_eq(fold2(&f, OP_ADD, DT_F64, 0.1, 0.2), 0.1 + 0.2);
    cr_assert_eq(fold2(&f, OP_ADD, DT_BF16, 256, 1), 256, "ties to even");
    cr_assert_eq(fold2(&f, OP_ADD, DT_BF16, 256, 3), 260);
    cr_assert_eq(fold2(&f, OP_MUL, DT_F16, 1000, 100), INFINITY);
    cr_assert_eq(fold2(&f, OP_DIV, DT_I32, -7, 2), -4);
    cr_assert_eq(fold2(&f, OP_REM, DT_I32, -7, 2), 1);
    cr_assert_eq(fold2(&f, OP_DIV, DT_I32, 7, 0), 0);
    cr_assert_eq(fold2(&f, OP_ADD, DT_U8, 250, 10), 4, "wraps");
    cr_assert_eq(fold2(&f, OP_MUL, DT_I32, 65536, 32768), -2147483648.0);
    cr_assert_eq(fold2(&f, OP_LT, DT_F32, 1, 2), 1);
    cr_assert(isnan(fold2(&f, OP_MAX, DT_F32, NAN, 2)));
    cr_assert(isnan(fold2(&f, OP_MAX, DT_F32, 2, NAN)), "2 > NaN is false: y");
}

Test(fold, casts_of_constants)
{
    Fixture f = fixture(16);
    cr_assert_eq(value_of(&f, graph_cast(f.g, graph_const(f.g, DT_F32, 300.7), DT_U8)), 255);
    cr_assert_eq(value_of(&f, graph_cast(f.g, graph_const(f.g, DT_F32, -1.7), DT_I32)), -1);
    cr_assert_eq(value_of(&f, graph_cast(f.g, graph_const(f.g, DT_F32, NAN), DT_I32)), 0);
    cr_assert_eq(value_of(&f, graph_cast(f.g, graph_const(f.g, DT_I32, 300), DT_U8)), 44);
    cr_assert_eq(value_of(&f, graph_cast(f.g, graph_const(f.g, DT_F32, 0.5), DT_BOOL)), 1);
    cr_assert_eq(value_of(&f, graph_const(f.g, DT_F16, 1e-8)), 0);
    cr_assert_eq(value_of(&f, graph_const(f.g, DT_F16, 6e-8)), 0x1p-24, "denormal");
    cr_assert_eq(value_of(&f, graph_const(f.g, DT_F8E4M3, 447)), 448);
    cr_assert_eq(graph_const(f.g, DT_I32, 0.5), 0u);
    cr_assert_eq(graph_const(f.g, DT_U8, 256), 0u);
}

Test(fold, identities)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {4, 0}),
           c = INPUT(&f, "c", DT_BOOL, {16, 1}, {4, 0});
    NodeId zero = graph_const(f.g, DT_F32, 0), one = graph_const(f.g, DT_F32, 1);
    cr_assert_eq(graph_binary(f.g, OP_ADD, x, zero), x);
    cr_assert_eq(graph_binary(f.g, OP_ADD, zero, x), x);
    cr_assert_eq(graph_binary(f.g, OP_SUB, x, zero), x);
    cr_assert_neq(graph_binary(f.g, OP_SUB, zero, x), x);
    cr_assert_eq(graph_binary(f.g, OP_MUL, one, x), x);
    cr_assert_eq(graph_binary(f.g, OP_DIV, x, one), x);
    cr_assert_neq(graph_binary(f.g, OP_DIV, one, x), x);
    cr_assert_neq(graph_binary(f.g, OP_MUL, zero, x), zero, "0 * NaN is NaN");
    cr_assert_eq(graph_cast(f.g, x, DT_F32), x);
    cr_assert_eq(graph_select(f.g, graph_const(f.g, DT_BOOL, 1), x, zero), x);
    cr_assert_neq(graph_select(f.g, c, x, zero), x);
    NodeId s = graph_unary(f.g, OP_STOP_GRADIENT, x);
    cr_assert_eq(graph_unary(f.g, OP_STOP_GRADIENT, s), s);
    cr_assert_eq(graph_reduce(f.g, OP_SUM, x, NULL, 0, false, false), x);
    cr_assert_eq(graph_reduce(f.g, OP_LOGSUMEXP, x, NULL, 0, true, false), x);
}

Test(fold, views)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {4, 0}, {6, 0});
    int64_t zero[3] = {0}, id[] = {0, 1, 2}, left[] = {1, 2, 0}, right[] = {2, 0, 1};
    cr_assert_eq(graph_transpose(f.g, x, id), x);
    NodeId t = graph_transpose(f.g, x, left);
    assert_type(&f, t, "f32[4, 6, 16b]");
    cr_assert_eq(graph_transpose(f.g, t, right), x);
    cr_assert_eq(graph_transpose(f.g, t, left), graph_transpose(f.g, x, right));
    int64_t swap[] = {0, 2, 1}, both[] = {1, 0, 2};
    cr_assert_eq(graph_transpose(f.g, t, swap), graph_transpose(f.g, x, both));
    NodeId r = graph_reshape(f.g, x, 2, AXES({64, 0}, {6, 0}));
    assert_type(&f, r, "f32[64b4, 6]");
    cr_assert_eq(graph_reshape(f.g, r, 3, AXES({16, 0}, {4, 0}, {6, 0})), x);
    cr_assert_eq(graph_reshape(f.g, r, 2, AXES({16, 1}, {24, 0})),
                 graph_reshape(f.g, x, 2, AXES({16, 0}, {24, 0})));
    cr_assert_eq(graph_slice(f.g, x, zero, (int64_t[]){16, 4, 6}, NULL), x);
    cr_assert_eq(graph_pad(f.g, x, graph_const(f.g, DT_F32, 3), zero, zero), x);
    cr_assert_eq(graph_concat(f.g, 1, &x, 2), x);
    cr_assert_eq(graph_broadcast(f.g, x, 3, AXES({16, 0}, {4, 0}, {6, 0}), id), x);
    NodeId v = INPUT(&f, "v", DT_F32, {6, 0});
    NodeId once = graph_broadcast(f.g, v, 2, AXES({4, 0}, {6, 0}), (int64_t[]){1});
    NodeId twice = graph_broadcast(f.g, once, 3, AXES({16, 1}, {4, 0}, {6, 0}), (int64_t[]){1, 2});
    cr_assert_eq(twice, graph_broadcast(f.g, v, 3, AXES({16, 1}, {4, 0}, {6, 0}), (int64_t[]){2}));
}

Test(fold, views_of_constants_stay_constants)
{
    Fixture f = fixture(16);
    NodeId c = graph_broadcast(f.g, graph_const(f.g, DT_F32, 2), 2, AXES({16, 1}, {4, 0}), NULL);
    NodeId r = graph_reshape(f.g, c, 1, AXES({64, 0}));
    assert_type(&f, r, "f32[64b4]");
    cr_assert_eq(value_of(&f, r), 2);
    cr_assert_eq(value_of(&f, graph_reshape(f.g, graph_const(f.g, DT_F32, 5), 1, AXES({1, 0}))), 5);
    NodeId t = graph_transpose(f.g, c, (int64_t[]){1, 0});
    assert_type(&f, t, "f32[4, 16b]");
    cr_assert_eq(value_of(&f, graph_binary(f.g, OP_MUL, c, c)), 4);
    assert_type(&f, graph_binary(f.g, OP_MUL, c, c), "f32[16b, 4]");
    cr_assert_eq(value_of(&f, graph_pad(f.g, t, graph_const(f.g, DT_F32, 2), (int64_t[]){1, 0},
                                        (int64_t[]){0, 0})),
                 2);
}
