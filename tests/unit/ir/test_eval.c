// The interpreter on small graphs: every op in both modes against expectations written here, the
// defined reduction orders against a second, naive statement of them, attention against its
// composition.

#include "eval_fixture.h"

// ---- random -------------------------------------------------------------------------------------

Test(eval, philox_known_answers)
{
    static const uint32_t cases[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t words[4];
        philox(cases[i], cases[i] + 4, words);
        cr_assert_arr_eq(words, cases[i] + 6, sizeof words, "case %d", i);
    }
}

static NodeId random_node(Fix *f, const char *shape, int64_t stream)
{
    NodeId args[2] = {input(f, DT_I64, "", (double[]){0x123456789}),
                      input(f, DT_I64, "", (double[]){7})};
    const Type *t = type_of(f, DT_U32, shape);
    Attr attrs[] = {attr_int(ATTR_STREAM, stream), attr_axes(ATTR_SHAPE, t->axes, t->rank)};
    return graph_add(f->g, OP_RANDOM, 2, args, 2, attrs);
}

Test(eval, random)
{
    EACH_MODE {
        Fix f = fix_new(mode);
        uint32_t words[4];
        // Axis 1 holds 3 numbers a sample of the batch of 2: sample 1, its number 2 of row 2,
        // column 4.
        Value v = run(&f, random_node(&f, "3,6b,5", 0x500000003));
        int64_t e = (2 * 3 + 2) * 5 + 4;
        const uint32_t key[] = {0x23456789 ^ 3, 1 ^ 5};
        philox((uint32_t[]){(uint32_t)(e / 4), 1, 7, 0}, key, words);
        cr_assert_eq(((uint32_t *)v.data)[(2 * 6 + 5) * 5 + 4], words[e % 4]);
        v = run(&f, random_node(&f, "7,3", 1));
        philox((uint32_t[]){5, 0, 7, 0}, (uint32_t[]){0x23456789 ^ 1, 1}, words);
        cr_assert_eq(((uint32_t *)v.data)[20], words[0]);
        arena_free(f.arena);
    }
}

// The numbers of a part of a batch are those of its samples in the whole batch.
Test(eval, random_of_a_part)
{
    EACH_MODE {
        Fix f = fix_new(mode);
        NodeId whole = random_node(&f, "3,6b,5", 9), later = graph_const(f.g, DT_I32, 1);
        const Node *n = graph_node(f.g, whole);
        NodeId args[3] = {n->args[0], n->args[1], later};
        Value v = run(&f, whole);
        Value w = run(&f, graph_add(f.g, OP_RANDOM, 3, args, n->nattrs, n->attrs));
        const uint32_t *all = v.data, *part = w.data;
        for (int row = 0; row < 3; row++) // sample 0 of the part is sample 1 of the batch of 2
            cr_expect_arr_eq(part + row * 30, all + row * 30 + 15, 15 * sizeof *all);
        arena_free(f.arena);
    }
}

// ---- elementwise --------------------------------------------------------------------------------

typedef struct Row {
    OpCode op;
    double x, y, want;
} Row;

static void check_rows(DType dt, const Row *rows, int n)
{
    EACH_MODE for (int i = 0; i < n; i++) {
        Fix f = fix_new(mode);
        uint32_t arity = (uint32_t)op_info(rows[i].op)->arity;
        NodeId args[] = {input(&f, dt, "1", &rows[i].x), input(&f, dt, "1", &rows[i].y)};
        NodeId y = graph_add(f.g, rows[i].op, arity, args, 0, NULL);
        expect(&f, op_info(rows[i].op)->name, y, 1, &rows[i].want);
        arena_free(f.arena);
    }
}

#define ROWS(...) (Row[]){__VA_ARGS__}, (int)(sizeof((Row[]){__VA_ARGS__}) / sizeof(Row))

Test(eval, float_ops)
{
    static const DType dts[] = {DT_F32, DT_BF16, DT_F16};
    for (int i = 0; i < 3; i++)
        check_rows(dts[i], ROWS({OP_NEG, 2, 0, -2}, {OP_ABS, -2, 0, 2}, {OP_SIGN, -3, 0, -1},
            {OP_SIGN, NAN, 0, NAN}, {OP_SIGN, 0, 0, 0}, {OP_FLOOR, -1.5, 0, -2},
            {OP_ROUND, 2.5, 0, 2}, {OP_ROUND, -3.5, 0, -4}, {OP_SQRT, 6.25, 0, 2.5},
            {OP_EXP, 0, 0, 1},
            {OP_EXP, -INFINITY, 0, 0}, {OP_LOG, 1, 0, 0}, {OP_LOG, 0, 0, -INFINITY},
            {OP_LOG, -1, 0, NAN}, {OP_SIN, 0, 0, 0}, {OP_COS, 0, 0, 1}, {OP_ATAN, 0, 0, 0},
            {OP_TANH, 50, 0, 1}, {OP_ERF, -50, 0, -1}, {OP_IS_FINITE, INFINITY, 0, 0},
            {OP_IS_FINITE, NAN, 0, 0}, {OP_IS_FINITE, 1, 0, 1}, {OP_STOP_GRADIENT, 3, 0, 3},
            {OP_ADD, 1, 2, 3}, {OP_SUB, 1, 2, -1}, {OP_MUL, 3, -2, -6}, {OP_DIV, 3, 2, 1.5},
            {OP_DIV, 1, 0, INFINITY}, {OP_POW, 2, 3, 8}, {OP_POW, -2, 0, 1}, {OP_POW, 0, 2, 0},
            {OP_POW, -2, 2, NAN}, {OP_MAX, 1, 2, 2}, {OP_MAX, NAN, 2, NAN}, {OP_MAX, 2, NAN, NAN},
            {OP_MIN, 1, 2, 1}, {OP_MIN, NAN, 2, NAN}, {OP_MIN, 2, NAN, NAN}, {OP_LT, 1, 2, 1},
            {OP_LT, NAN, 2, 0}, {OP_LE, 2, 2, 1}, {OP_EQ, 2, 2, 1}, {OP_EQ, NAN, NAN, 0},
            {OP_NE, NAN, NAN, 1}, {OP_NE, 1, 1, 0}));
}

// 11 significant bits: 2^-11 beside 1 is a tie. In f64 mode nothing of f32 is rounded.
Test(eval, tf32)
{
    const Row rows[] = {{OP_TF32, 0x1.002p0, 0, 1},
                        {OP_TF32, 0x1.006p0, 0, 0x1.008p0},
                        {OP_TF32, -0x1.002002p0, 0, -0x1.004p0},
                        {OP_TF32, 0x1.ffep127, 0, INFINITY},
                        {OP_TF32, 0x1.ffdp127, 0, 0x1.ffcp127},
                        {OP_TF32, 0x1p-137, 0, 0},
                        {OP_TF32, 0x1.8p-136, 0, 0x1p-135},
                        {OP_TF32, -INFINITY, 0, -INFINITY},
                        {OP_TF32, NAN, 0, NAN},
                        {OP_TF32, -0.0, 0, -0.0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        EACH_MODE
        {
            Fix f = fix_new(mode);
            NodeId y = graph_unary(f.g, OP_TF32, input(&f, DT_F32, "1", &rows[i].x));
            expect(&f, "tf32", y, 1, mode == EVAL_F64 ? &rows[i].x : &rows[i].want);
            arena_free(f.arena);
        }
}

Test(eval, int_ops)
{
    check_rows(DT_I32, ROWS({OP_DIV, -7, 2, -4}, {OP_DIV, 7, -2, -4}, {OP_DIV, 7, 0, 0},
        {OP_REM, -7, 2, 1}, {OP_REM, 7, -2, -1}, {OP_REM, 7, 0, 0},
        {OP_ADD, 2147483647, 1, -0x1p31}, {OP_MUL, 65536, 65536, 0}, {OP_NEG, -0x1p31, 0, -0x1p31},
        {OP_ABS, -5, 0, 5},
        {OP_DIV, -0x1p31, -1, -0x1p31}, {OP_SIGN, -5, 0, -1}, {OP_MAX, -5, 3, 3},
        {OP_MIN, -5, 3, -5}, {OP_SUB, 3, 5, -2}, {OP_LT, -1, 1, 1}, {OP_LE, 2, 1, 0},
        {OP_EQ, 2, 2, 1},
        {OP_NE, 2, 2, 0}));
    check_rows(DT_I64, ROWS({OP_DIV, -0x1p63, -1, -0x1p63}, {OP_REM, -0x1p63, -1, 0},
        {OP_ADD, -0x1p63, -1, 0x1p63 - 1}));
    check_rows(DT_U8, ROWS({OP_SUB, 3, 5, 254}, {OP_ADD, 200, 100, 44}, {OP_LT, 200, 3, 0}));
    check_rows(DT_U32, ROWS({OP_SUB, 0, 1, 4294967295.0}, {OP_DIV, 4294967295.0, 2, 2147483647}));
    check_rows(DT_BOOL, ROWS({OP_NOT, 1, 0, 0}, {OP_NOT, 0, 0, 1}, {OP_AND, 1, 0, 0},
        {OP_AND, 1, 1, 1}, {OP_OR, 0, 1, 1}, {OP_OR, 0, 0, 0}, {OP_EQ, 1, 1, 1}));
}

Test(eval, three_operands)
{
    EACH_MODE {
        Fix f = fix_new(mode);
        NodeId x = input(&f, DT_F32, "70", NULL), y = input(&f, DT_F32, "70", NULL);
        NodeId z = input(&f, DT_F32, "70", NULL), c = graph_binary(f.g, OP_LT, x, y);
        Value a = run(&f, x), b = run(&f, y), d = run(&f, z);
        Value s = run(&f, graph_select(f.g, c, y, z));
        Value m = run(&f, graph_add(f.g, OP_FMA, 3, (NodeId[]){x, y, z}, 0, NULL));
        for (int64_t i = 0; i < 70; i++) {
            cr_assert_eq(at(&s, i), at(&a, i) < at(&b, i) ? at(&b, i) : at(&d, i));
            double want = fma(at(&a, i), at(&b, i), at(&d, i));
            if (mode == EVAL_BITS)
                want = fmaf((float)at(&a, i), (float)at(&b, i), (float)at(&d, i));
            cr_assert_eq(at(&m, i), want);
        }
        arena_free(f.arena);
    }
}

// In bits mode a bf16 op is the f32 op rounded once, the transcendental ones the expansions.
Test(eval, rounding)
{
    Fix f = fix_new(EVAL_BITS);
    NodeId x = input(&f, DT_BF16, "131", NULL), y = input(&f, DT_BF16, "131", NULL);
    Value a = run(&f, x), b = run(&f, y), m = run(&f, graph_binary(f.g, OP_MUL, x, y));
    Value t = run(&f, graph_unary(f.g, OP_TANH, x));
    const ScalarProgram *p = scalar_expansion(f.arena, OP_TANH);
    for (int64_t i = 0; i < 131; i++) {
        float u = (float)at(&a, i), v = (float)at(&b, i);
        cr_assert_eq(((uint16_t *)m.data)[i], f32_to_bf16(u * v));
        cr_assert_eq(((uint16_t *)t.data)[i], f32_to_bf16(scalar_run(p, &u)));
    }
    arena_free(f.arena);
}

static void check_cast(DType from, DType to, double x, double bits, double wide)
{
    EACH_MODE {
        Fix f = fix_new(mode);
        double want = mode == EVAL_BITS ? bits : wide;
        expect(&f, dtype_name(to), graph_cast(f.g, input(&f, from, "1", &x), to), 1, &want);
        arena_free(f.arena);
    }
}

Test(eval, casts)
{
    check_cast(DT_F32, DT_I32, -2.75, -2, -2);
    check_cast(DT_F32, DT_I32, 3e9, 2147483647, 2147483647);
    check_cast(DT_F32, DT_I32, -3e9, -0x1p31, -0x1p31);
    check_cast(DT_F32, DT_I64, 1e30, 0x1p63, 0x1p63);
    check_cast(DT_F32, DT_U8, 300, 255, 255);
    check_cast(DT_F32, DT_U8, -3, 0, 0);
    check_cast(DT_F32, DT_I8, NAN, 0, 0);
    check_cast(DT_F32, DT_I64, NAN, 0, 0);
    check_cast(DT_F32, DT_U32, INFINITY, 4294967295.0, 4294967295.0);
    check_cast(DT_F32, DT_BOOL, 0.5, 1, 1);
    check_cast(DT_F32, DT_BOOL, NAN, 1, 1);
    check_cast(DT_BOOL, DT_F32, 1, 1, 1);
    check_cast(DT_I32, DT_U8, -1, 255, 255);
    check_cast(DT_I32, DT_F32, 16777217, 16777216, 16777217);
    check_cast(DT_F32, DT_BF16, 1.00390625, 1, 1.00390625);
    check_cast(DT_F32, DT_F16, 1e6, INFINITY, 1e6);
    check_cast(DT_F32, DT_F8E4M3, 447, 448, 447);
    check_cast(DT_F32, DT_F8E4M3, 500, NAN, 500);
    check_cast(DT_F32, DT_F8E4M3, -0x1p-9 * 1.5, -0x1p-8, -0x1p-9 * 1.5);
    check_cast(DT_F32, DT_F8E5M2, 1.1, 1, 1.1);
    check_cast(DT_F32, DT_F8E5M2, 61440, INFINITY, 61440);
    check_cast(DT_F32, DT_F8E5M2, 0.99, 1, 0.99);
}

// ---- views --------------------------------------------------------------------------------------

Test(eval, views)
{
    static const DType dts[] = {DT_F32, DT_BF16, DT_I64, DT_U8};
    const double x6[] = {1, 2, 3, 4, 5, 6}, nine = 9;
    EACH_MODE for (int d = 0; d < 4; d++) {
        Fix f = fix_new(mode);
        Graph *g = f.g;
        NodeId x = input(&f, dts[d], "2,3", x6);
        expect(&f, "transpose", graph_transpose(g, x, (int64_t[]){1, 0}), 6,
               (double[]){1, 4, 2, 5, 3, 6});
        expect(&f, "reshape", graph_reshape(g, x, 2, (Axis[]){{3, 0}, {2, 0}}), 6, x6);
        NodeId col = graph_slice(g, x, (int64_t[]){0, 1}, (int64_t[]){2, 2}, (int64_t[]){1, 1});
        expect(&f, "slice", col, 2, (double[]){2, 5});
        expect(&f, "stride", graph_slice(g, x, (int64_t[]){1, 0}, (int64_t[]){2, 3},
               (int64_t[]){1, 2}), 2, (double[]){4, 6});
        expect(&f, "broadcast", graph_broadcast(g, col, 3, (Axis[]){{2, 0}, {2, 0}, {2, 0}},
               (int64_t[]){0, 2}), 8, (double[]){2, 2, 2, 2, 5, 5, 5, 5});
        expect(&f, "pad", graph_pad(g, col, input(&f, dts[d], "", &nine), (int64_t[]){1, 0},
               (int64_t[]){0, 2}), 9, (double[]){9, 9, 9, 2, 9, 9, 5, 9, 9});
        expect(&f, "concat", graph_concat(g, 2, (NodeId[]){x, col}, 1), 8,
               (double[]){1, 2, 3, 2, 4, 5, 6, 5});
        Attr axis = attr_ints(ATTR_AXES, (int64_t[]){1}, 1);
        expect(&f, "reverse", graph_add(g, OP_REVERSE, 1, &x, 1, &axis), 6,
               (double[]){3, 2, 1, 6, 5, 4});
        NodeId b = input(&f, dts[d], "6b", x6);
        Attr first = attr_int(ATTR_AXIS, 0);
        b = graph_add(g, OP_BATCH_GATHER, 1, &b, 1, &first);
        expect(&f, "batch_gather", b, 6, x6);
        expect(&f, "batch_split", graph_add(g, OP_BATCH_SPLIT, 1, &b, 1, &first), 6, x6);
        expect(&f, "iota", graph_iota(g, dts[d], 2, (Axis[]){{2, 0}, {3, 0}}, 1), 6,
               (double[]){0, 1, 2, 0, 1, 2});
        expect(&f, "const", graph_const(g, dts[d], 3), 1, (double[]){3});
        arena_free(f.arena);
    }
}

// ---- reductions ---------------------------------------------------------------------------------

// The row order, said the other way round: the value of lane l at tree level w.
static float naive_lane(const float *x, int64_t n, int l, int w)
{
    if (w < 64) return naive_lane(x, n, l, 2 * w) + naive_lane(x, n, l + w, 2 * w);
    float sum = 0;
    for (int64_t i = l; i < n; i += 64) sum += x[i];
    return sum;
}

static float naive_row(const float *x, int64_t n)
{
    if (n <= 4096) return naive_lane(x, n, 0, 1);
    float *parts = malloc(sizeof(float) * (size_t)n);
    int64_t m = 0;
    for (int64_t i = 0; i < n; i += 4096)
        parts[m++] = naive_row(x + i, n - i < 4096 ? n - i : 4096);
    float r = naive_row(parts, m);
    free(parts);
    return r;
}

Test(eval, row_order)
{
    static const char *const sizes[] = {"1", "5", "64", "100", "4096", "4097", "20000"};
    for (int i = 0; i < 7; i++) {
        Fix f = fix_new(EVAL_BITS);
        NodeId x = input(&f, DT_F32, sizes[i], NULL);
        NodeId y = graph_reduce(f.g, OP_SUM, x, (int64_t[]){0}, 1, false, false);
        Value a = run(&f, x), s = run(&f, y);
        cr_assert_eq(at(&s, 0), (double)naive_row(a.data, type_count(a.type)), "%s", sizes[i]);
        arena_free(f.arena);
    }
}

// (200, 3, 7, 1) over axes 0, 2, 3: O = axis 0, T = axes 2 and 3, kept = axis 1.
Test(eval, column_order)
{
    EACH_MODE {
        Fix f = fix_new(mode);
        NodeId x = input(&f, DT_F32, "200,3,7,1", NULL);
        Value a = run(&f, x);
        Value s = run(&f, graph_reduce(f.g, OP_SUM, x, (int64_t[]){0, 2, 3}, 3, false, false));
        for (int64_t j = 0; j < 3; j++) {
            float total = 0, chain = 0;
            double plain = 0;
            for (int64_t i = 0; i < 200; i++) {
                if (mode == EVAL_F64)
                    for (int64_t k = 0; k < 7; k++) plain += at(&a, (i * 3 + j) * 7 + k);
                else
                    chain += naive_row((float *)a.data + (i * 3 + j) * 7, 7);
                if (i % 64 == 63 || i == 199) total += chain, chain = 0;
            }
            cr_assert_eq(at(&s, j), mode == EVAL_F64 ? plain : (double)total);
        }
        arena_free(f.arena);
    }
}

// Axes of size 1 do not count when the suffix T is found.
Test(eval, unit_axes_do_not_change_the_order)
{
    Fix f = fix_new(EVAL_BITS);
    NodeId x = input(&f, DT_F32, "3,1,170,1", NULL);
    NodeId y = graph_reshape(f.g, x, 2, (Axis[]){{3, 0}, {170, 0}});
    expect_equal(&f, "sum", graph_reduce(f.g, OP_SUM, x, (int64_t[]){2}, 1, false, false),
                 graph_reduce(f.g, OP_SUM, y, (int64_t[]){1}, 1, false, false));
    expect_equal(&f, "sum of all", graph_reduce(f.g, OP_SUM, x, (int64_t[]){0, 2}, 2, false, false),
                 graph_reduce(f.g, OP_SUM, y, (int64_t[]){0, 1}, 2, false, false));
    arena_free(f.arena);
}

Test(eval, reductions)
{
    const double x6[] = {1, -5, 3, 4, 7, 7}, bad[] = {1, NAN, 3, -INFINITY, -INFINITY, -INFINITY};
    EACH_MODE {
        Fix f = fix_new(mode);
        NodeId x = input(&f, DT_F32, "2,3", x6), y = input(&f, DT_F32, "2,3", bad);
        NodeId i = input(&f, DT_I32, "2,3", x6);
        const int64_t last = 1;
        Attr axis = attr_int(ATTR_AXIS, 1);
        expect(&f, "sum", graph_reduce(f.g, OP_SUM, x, &last, 1, false, false), 2,
               (double[]){-1, 18});
        expect(&f, "int sum", graph_reduce(f.g, OP_SUM, i, (int64_t[]){0, 1}, 2, true, false), 1,
               (double[]){17});
        expect(&f, "max", graph_reduce(f.g, OP_REDUCE_MAX, x, &last, 1, false, false), 2,
               (double[]){3, 7});
        NodeId top = graph_reduce(f.g, OP_REDUCE_MAX, i, (int64_t[]){0}, 1, false, false);
        expect(&f, "int max", top, 3, (double[]){4, 7, 7});
        expect(&f, "NaN max", graph_reduce(f.g, OP_REDUCE_MAX, y, &last, 1, false, false), 2,
               (double[]){NAN, -INFINITY});
        expect(&f, "min", graph_reduce(f.g, OP_REDUCE_MIN, x, &last, 1, false, false), 2,
               (double[]){-5, 4});
        expect(&f, "argmax", graph_add(f.g, OP_ARGMAX, 1, &x, 1, &axis), 2, (double[]){2, 1});
        expect(&f, "NaN argmax", graph_add(f.g, OP_ARGMAX, 1, &y, 1, &axis), 2, (double[]){1, 0});
        expect(&f, "logsumexp of nothing",
               graph_reduce(f.g, OP_LOGSUMEXP, y, &last, 1, false, false), 2,
               (double[]){NAN, -INFINITY});
        arena_free(f.arena);
    }
}

static NodeId add1(Fix *f, OpCode op, NodeId x)
{
    return graph_unary(f->g, op, x);
}

static NodeId bin(Fix *f, OpCode op, NodeId x, NodeId y)
{
    return graph_binary(f->g, op, x, y);
}

// Reduction of the last axis of (B, N, M), kept.
static NodeId last(Fix *f, OpCode op, NodeId x)
{
    const int64_t axis = graph_type(f->g, x)->rank - 1;
    return graph_reduce(f->g, op, x, &axis, 1, true, false);
}

Test(eval, logsumexp_is_its_composition)
{
    EACH_MODE {
        Fix f = fix_new(mode);
        NodeId x = input(&f, DT_F32, "3,4,133", NULL), m = last(&f, OP_REDUCE_MAX, x);
        NodeId s = last(&f, OP_SUM, add1(&f, OP_EXP, bin(&f, OP_SUB, x, m)));
        expect_equal(&f, "logsumexp", last(&f, OP_LOGSUMEXP, x),
                     bin(&f, OP_ADD, m, add1(&f, OP_LOG, s)));
        arena_free(f.arena);
    }
}

// ---- contractions -------------------------------------------------------------------------------

// x (B, K, M, L) y (L, N, B, K) -> (B, M, N), contracting (L, K) in that order.
Test(eval, dot)
{
    enum { B = 2, K = 3, M = 5, L = 7, N = 21 };
    EACH_MODE {
        Fix f = fix_new(mode);
        NodeId x = input(&f, DT_F32, "2,3,5,7", NULL), y = input(&f, DT_F32, "7,21,2,3", NULL);
        Value a = run(&f, x), b = run(&f, y);
        Value c = run(&f, graph_dot(f.g, x, y, 1, (int64_t[]){0}, (int64_t[]){2}, 2,
                                    (int64_t[]){3, 1}, (int64_t[]){0, 3}));
        for (int i = 0; i < B * M * N; i++) {
            int n = i % N, m = i / N % M, bb = i / N / M;
            double sum = 0;
            float chain = 0;
            for (int l = 0; l < L; l++)
                for (int k = 0; k < K; k++) {
                    double u = at(&a, ((bb * K + k) * M + m) * L + l);
                    double v = at(&b, ((l * N + n) * B + bb) * K + k);
                    sum += u * v;
                    chain = fmaf((float)u, (float)v, chain);
                }
            cr_assert_eq(at(&c, i), mode == EVAL_F64 ? sum : (double)chain);
        }
        arena_free(f.arena);
    }
}

Test(eval, dot_rounds_once)
{
    Fix f = fix_new(EVAL_BITS);
    NodeId x = input(&f, DT_BF16, "300", NULL), y = input(&f, DT_BF16, "300", NULL);
    Value a = run(&f, x), b = run(&f, y);
    Value c = run(&f, graph_dot(f.g, x, y, 0, NULL, NULL, 1, (int64_t[]){0}, (int64_t[]){0}));
    float chain = 0;
    for (int64_t i = 0; i < 300; i++) chain = fmaf((float)at(&a, i), (float)at(&b, i), chain);
    cr_assert_eq(*(uint16_t *)c.data, f32_to_bf16(chain));
    arena_free(f.arena);
}

typedef struct Heads {
    NodeId q, k, v, out, lse, p, scores;
} Heads;

// Dot of (B, ., .) and (B, ., .) contracting axes lc and rc.
static NodeId bmm(Fix *f, NodeId x, NodeId y, int64_t lc, int64_t rc)
{
    const int64_t zero = 0;
    return graph_dot(f->g, x, y, 1, &zero, &zero, 1, &lc, &rc);
}

// Attention from its parts: q (3, 5, 8), k (3, M, 8), v (3, M, 6).
static Heads compose(Fix *f, bool causal)
{
    Graph *g = f->g;
    Heads h = {input(f, DT_F32, "3,5,8", NULL), input(f, DT_F32, "3,70,8", NULL),
               input(f, DT_F32, "3,70,6", NULL), 0, 0, 0, 0};
    NodeId s = bin(f, OP_MUL, bmm(f, h.q, h.k, 2, 2), graph_const(g, DT_F32, 0.3125));
    const Axis *axes = graph_type(g, s)->axes;
    NodeId i = graph_iota(g, DT_I32, 3, axes, 1), j = graph_iota(g, DT_I32, 3, axes, 2);
    NodeId c = bin(f, OP_LE, j, bin(f, OP_ADD, i, graph_const(g, DT_I32, causal ? 65 : 1000)));
    h.scores = graph_select(g, c, s, graph_const(g, DT_F32, -INFINITY));
    NodeId m = last(f, OP_REDUCE_MAX, h.scores);
    h.p = add1(f, OP_EXP, bin(f, OP_SUB, h.scores, m));
    NodeId l = last(f, OP_SUM, h.p);
    h.out = bin(f, OP_DIV, bmm(f, h.p, h.v, 2, 1), l);
    h.lse = graph_reshape(g, bin(f, OP_ADD, m, add1(f, OP_LOG, l)), 2, axes);
    return h;
}

static NodeId attention(Fix *f, const Heads *h, bool causal)
{
    Attr attrs[] = {attr_str(ATTR_MASK, causal ? "causal" : "none"),
                    attr_float(ATTR_SCALE, 0.3125)};
    return graph_add(f->g, OP_ATTENTION, 3, (NodeId[]){h->q, h->k, h->v}, 2, attrs);
}

Test(eval, attention_is_its_composition)
{
    EACH_MODE for (int causal = 0; causal < 2; causal++) {
        Fix f = fix_new(mode);
        Heads h = compose(&f, causal);
        NodeId a = attention(&f, &h, causal);
        expect_equal(&f, "out", graph_proj(f.g, a, 0), h.out);
        expect_equal(&f, "lse", graph_proj(f.g, a, 1), h.lse);
        arena_free(f.arena);
    }
}

// Segments and a bias, forward and gradients, against the same from elementwise ops. The first
// query of the second sample sees no key: its rows are 0, and none of its maximum, -inf, is NaN.
Test(eval, attention_with_masks_is_its_composition)
{
    EACH_MODE for (int causal = 0; causal < 2; causal++) {
        Fix f = fix_new(mode);
        Graph *g = f.g;
        double qs[15], ks[70];
        for (int i = 0; i < 15; i++) qs[i] = i == 5 ? 9 : i % 3;
        for (int j = 0; j < 70; j++) ks[j] = j / 9 % 3;
        Heads h = compose(&f, causal);
        NodeId bias = input(&f, DT_F32, "1,5,70", NULL), dout = input(&f, DT_F32, "3,5,6", NULL);
        NodeId of_q = input(&f, DT_I32, "3,5", qs), of_k = input(&f, DT_I32, "1,70", ks);
        Attr attrs[] = {attr_str(ATTR_MASK, causal ? "causal" : "none"),
                        attr_float(ATTR_SCALE, 0.3125)};
        NodeId args[] = {h.q, h.k, h.v, of_q, of_k, bias};
        NodeId a = graph_add(g, OP_ATTENTION, 6, args, 2, attrs);

        NodeId none = graph_const(g, DT_F32, -INFINITY), zero = graph_const(g, DT_F32, 0);
        NodeId seen = bin(&f, OP_EQ, graph_reshape(g, of_q, 3, (Axis[]){{3, 0}, {5, 0}, {1, 0}}),
                          graph_reshape(g, of_k, 3, (Axis[]){{1, 0}, {1, 0}, {70, 0}}));
        NodeId s = graph_select(g, seen, bin(&f, OP_ADD, h.scores, bias), none);
        NodeId m = last(&f, OP_REDUCE_MAX, s), no_key = bin(&f, OP_EQ, m, none);
        NodeId p = add1(&f, OP_EXP, bin(&f, OP_SUB, s, graph_select(g, no_key, zero, m)));
        NodeId l = last(&f, OP_SUM, p), by = graph_select(g, no_key, graph_const(g, DT_F32, 1), l);
        NodeId out = bin(&f, OP_DIV, bmm(&f, p, h.v, 2, 1), by);
        NodeId lse = bin(&f, OP_ADD, m, add1(&f, OP_LOG, l));
        NodeId flat = graph_reshape(g, lse, 2, (Axis[]){{3, 0}, {5, 0}});
        expect_equal(&f, "out", graph_proj(g, a, 0), out);
        expect_equal(&f, "lse", graph_proj(g, a, 1), flat);
        Value row = run(&f, out), ends = run(&f, flat);
        for (int e = 0; e < 6; e++) cr_assert_eq(at(&row, 5 * 6 + e), 0);
        cr_assert_eq(at(&ends, 5), (double)-INFINITY);

        p = add1(&f, OP_EXP, bin(&f, OP_SUB, s, graph_select(g, no_key, zero, lse)));
        NodeId delta = last(&f, OP_SUM, bin(&f, OP_MUL, dout, out));
        NodeId ds = bin(&f, OP_MUL, p, bin(&f, OP_SUB, bmm(&f, dout, h.v, 2, 2), delta));
        NodeId all[] = {h.q, h.k, h.v, out, flat, dout, of_q, of_k, bias};
        NodeId r = graph_add(g, OP_ATTENTION_GRAD, 9, all, 2, attrs);
        NodeId scale = graph_const(g, DT_F32, 0.3125);
        expect_equal(&f, "dq", graph_proj(g, r, 0), bin(&f, OP_MUL, bmm(&f, ds, h.k, 2, 1), scale));
        expect_equal(&f, "dk", graph_proj(g, r, 1), bin(&f, OP_MUL, bmm(&f, ds, h.q, 1, 1), scale));
        expect_equal(&f, "dv", graph_proj(g, r, 2), bmm(&f, p, dout, 1, 1));
        NodeId sum = graph_reduce(g, OP_SUM, ds, (int64_t[]){0}, 1, true, false); // a chain, of 3
        expect_equal(&f, "dbias", graph_add(g, OP_ATTENTION_BIAS_GRAD, 9, all, 2, attrs), sum);
        arena_free(f.arena);
    }
}

// Of 5 queries the first 3 see none of 2 keys.
Test(eval, attention_without_keys_is_zero)
{
    EACH_MODE {
        Fix f = fix_new(mode);
        Heads h = {.q = input(&f, DT_F32, "3,5,8", NULL),
                   .k = input(&f, DT_F32, "3,2,8", NULL),
                   .v = input(&f, DT_F32, "3,2,6", NULL)};
        NodeId a = attention(&f, &h, true);
        Value out = run(&f, graph_proj(f.g, a, 0)), lse = run(&f, graph_proj(f.g, a, 1));
        for (int i = 0; i < 3 * 5; i++) {
            bool none = i % 5 < 3;
            cr_assert_eq(at(&lse, i) == (double)-INFINITY, none);
            for (int e = 0; e < 6; e++) cr_assert_eq(at(&out, i * 6 + e) == 0, none);
        }
        arena_free(f.arena);
    }
}

Test(eval, attention_grad_is_its_composition)
{
    EACH_MODE for (int causal = 0; causal < 2; causal++) {
        Fix f = fix_new(mode);
        Heads h = compose(&f, causal);
        NodeId dout = input(&f, DT_F32, "3,5,6", NULL), scale = graph_const(f.g, DT_F32, 0.3125);
        Attr attrs[] = {attr_str(ATTR_MASK, causal ? "causal" : "none"),
                        attr_float(ATTR_SCALE, 0.3125)};
        NodeId r = graph_add(f.g, OP_ATTENTION_GRAD, 6,
                             (NodeId[]){h.q, h.k, h.v, h.out, h.lse, dout}, 2, attrs);
        NodeId lse = graph_reshape(f.g, h.lse, 3, (Axis[]){{3, 0}, {5, 0}, {1, 0}});
        NodeId p = add1(&f, OP_EXP, bin(&f, OP_SUB, h.scores, lse));
        NodeId delta = last(&f, OP_SUM, bin(&f, OP_MUL, dout, h.out));
        NodeId ds = bin(&f, OP_MUL, p, bin(&f, OP_SUB, bmm(&f, dout, h.v, 2, 2), delta));
        expect_equal(&f, "dq", graph_proj(f.g, r, 0),
                     bin(&f, OP_MUL, bmm(&f, ds, h.k, 2, 1), scale));
        expect_equal(&f, "dk", graph_proj(f.g, r, 1),
                     bin(&f, OP_MUL, bmm(&f, ds, h.q, 1, 1), scale));
        expect_equal(&f, "dv", graph_proj(f.g, r, 2), bmm(&f, p, dout, 1, 1));
        arena_free(f.arena);
    }
}

// The sum of out * w as a function of q, k, v: central differences against attention_grad.
Test(eval, attention_grad_is_the_gradient)
{
    Fix f = fix_new(EVAL_F64);
    Heads h = compose(&f, true);
    NodeId a = attention(&f, &h, true), w = input(&f, DT_F32, "3,5,6", NULL);
    NodeId out = graph_proj(f.g, a, 0), lse = graph_proj(f.g, a, 1);
    NodeId loss = graph_reduce(f.g, OP_SUM, bin(&f, OP_MUL, out, w), (int64_t[]){0, 1, 2}, 3, false,
                               false);
    Attr attrs[] = {attr_str(ATTR_MASK, "causal"), attr_float(ATTR_SCALE, 0.3125)};
    NodeId args[] = {h.q, h.k, h.v, out, lse, w};
    NodeId r = graph_add(f.g, OP_ATTENTION_GRAD, 6, args, 2, attrs);
    for (int i = 0; i < 3; i++) {
        Value d = run(&f, graph_proj(f.g, r, i));
        double *x = ((Tensor *)map_get(&f.inputs, str_printf(f.arena, "x%d", i)))->data;
        for (int64_t j = 0; j < type_count(d.type); j += 37) {
            double keep = x[j], h1 = 1e-5;
            x[j] = keep + h1;
            Value up = run(&f, loss);
            x[j] = keep - h1;
            Value down = run(&f, loss);
            x[j] = keep;
            double slope = (at(&up, 0) - at(&down, 0)) / (2 * h1);
            cr_assert(fabs(slope - at(&d, j)) < 1e-8, "%d: %g and %g", i, slope, at(&d, j));
        }
    }
    arena_free(f.arena);
}

// ---- entries ------------------------------------------------------------------------------------

Test(eval, state_and_errors)
{
    Fix f = fix_new(EVAL_BITS);
    const Type *t = type_of(&f, DT_F32, "2");
    float now[] = {1, 2};
    Tensor w = {t, now}, wrong = {type_of(&f, DT_F32, "3"), now};
    NodeId x = graph_state(f.g, "w", t), dead = graph_input(f.g, "unbound", t);
    Entry e = {.name = "step", .graph = f.g};
    cr_assert_neq(dead, 0);
    vec_push(f.arena, &e.updates, (NamedNode){"w", bin(&f, OP_ADD, x, x)});
    vec_push(f.arena, &e.outputs, (NamedNode){"old", x});
    Map state = {0}, out = {0};
    Error err = {0};
    cr_assert_not(entry_eval(&e, EVAL_BITS, NULL, &state, f.arena, &out, &err));
    cr_assert(strstr(err.text, "state 'w' is missing"), "%s", err.text);
    map_set(f.arena, &state, "w", &wrong);
    err = (Error){0};
    cr_assert_not(entry_eval(&e, EVAL_BITS, NULL, &state, f.arena, &out, &err));
    cr_assert(strstr(err.text, "must be"), "%s", err.text);
    map_set(f.arena, &state, "w", &w);
    cr_assert(entry_eval(&e, EVAL_BITS, NULL, &state, f.arena, &out, &err));
    now[0] = 50; // results are copies
    cr_assert_eq(((float *)((Tensor *)map_get(&out, "state:w"))->data)[1], 4);
    cr_assert_eq(((float *)((Tensor *)map_get(&out, "out:old"))->data)[0], 1);
    arena_free(f.arena);
}
