// Builder shorthands: NumPy broadcasting and reductions.
#include "fixture.h"

Test(build, operands_broadcast_as_in_numpy)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {197, 0}, {768, 0});
    NodeId w = INPUT(&f, "w", DT_F32, {768, 0}), p = INPUT(&f, "p", DT_F32, {197, 0}, {1, 0});
    assert_type(&f, graph_binary(f.g, OP_ADD, x, w), "f32[16b, 197, 768]");
    assert_type(&f, graph_binary(f.g, OP_ADD, w, p), "f32[197, 768]");
    assert_type(&f, graph_binary(f.g, OP_LT, p, x), "bool[16b, 197, 768]");
    NodeId s = graph_const(f.g, DT_F32, 2);
    assert_type(&f, graph_binary(f.g, OP_MUL, s, x), "f32[16b, 197, 768]");
    NodeId c = INPUT(&f, "c", DT_BOOL, {16, 1}, {1, 0}, {1, 0});
    assert_type(&f, graph_select(f.g, c, p, w), "f32[16b, 197, 768]");
}

Test(build, shapes_that_differ_are_named)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {197, 0}, {768, 0});
    NodeId y = INPUT(&f, "y", DT_F32, {16, 1}, {50, 0}, {768, 0});
    assert_refused(
        &f, graph_binary(f.g, OP_ADD, x, y),
        "error: add: shapes f32[16b, 197, 768] and f32[16b, 50, 768] differ on axis 1 (197 "
        "and 50)\n");
    NodeId z = INPUT(&f, "z", DT_BF16, {768, 0});
    assert_refused(&f, graph_binary(f.g, OP_MUL, x, z),
                   "error: mul: element types f32 and bf16 differ\n");
}

Test(build, a_plain_axis_never_meets_a_batch_axis)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {4, 0}), y = INPUT(&f, "y", DT_F32, {16, 0}, {4, 0});
    assert_refused(
        &f, graph_binary(f.g, OP_ADD, x, y),
        "error: add: f32[16b, 4] and f32[16, 4]: mixes a batch axis with a plain one on axis 0");
    NodeId pair =
        graph_binary(f.g, OP_MUL, graph_reshape(f.g, y, 3, AXES({16, 0}, {1, 0}, {4, 0})), x);
    assert_type(&f, pair, "f32[16, 16b, 4]");
}

Test(build, batch_of_one_still_broadcasts)
{
    Fixture f = fixture(1);
    NodeId x = INPUT(&f, "x", DT_F32, {1, 1}, {4, 0}), y = INPUT(&f, "y", DT_F32, {1, 0}, {4, 0});
    assert_type(&f, graph_binary(f.g, OP_ADD, x, y), "f32[1b, 4]");
    assert_type(&f, graph_binary(f.g, OP_ADD, y, x), "f32[1b, 4]");
}

Test(build, reductions)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {16, 1}, {4, 0}, {6, 0});
    int64_t two[] = {2, 1}, last[] = {2}, first[] = {0};
    assert_type(&f, graph_reduce(f.g, OP_SUM, x, two, 2, false, false), "f32[16b]");
    assert_type(&f, graph_reduce(f.g, OP_SUM, x, two, 2, true, false), "f32[16b, 1, 1]");
    assert_type(&f, graph_reduce(f.g, OP_SUM, x, first, 1, true, true), "f32[1, 4, 6]");
    assert_type(&f, graph_reduce(f.g, OP_ARGMAX, x, last, 1, false, false), "i32[16b, 4]");
    assert_type(&f, graph_reduce(f.g, OP_ARGMAX, x, last, 1, true, false), "i32[16b, 4, 1]");
    assert_type(&f, graph_reduce(f.g, OP_LOGSUMEXP, x, last, 1, false, false), "f32[16b, 4]");
    assert_refused(&f, graph_reduce(f.g, OP_ARGMAX, x, two, 2, false, false),
                   "argmax: takes one axis, not 2");
    assert_refused(&f, graph_reduce(f.g, OP_SUM, x, (int64_t[]){3}, 1, false, false),
                   "sum: axes: axis 3 is not below the rank 3");
}

Test(build, broadcast_to)
{
    Fixture f = fixture(16);
    NodeId x = INPUT(&f, "x", DT_F32, {4, 0});
    assert_type(&f, graph_broadcast_to(f.g, x, 2, AXES({16, 1}, {4, 0})), "f32[16b, 4]");
    assert_refused(&f, graph_broadcast_to(f.g, x, 0, NULL),
                   "broadcast: f32[4] has more axes than f32[]");
    assert_refused(&f, graph_broadcast_to(f.g, x, 1, AXES({5, 0})),
                   "broadcast: axis 0 of f32[4] cannot become axis 0 of [5]");
}
