// The interpreter on gather, scatter and the ordered ops, as test_eval.c does on the others.

#include "eval_fixture.h"

// ---- gather and scatter -------------------------------------------------------------------------

Test(eval, gather_and_scatter)
{
    const double x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, i6[] = {2, 0, 9, -4, 1, 1};
    EACH_MODE
    {
        Fix f = fix_new(mode);
        // x (2, 3, 2), i (2, 3): rows of two, indices outside are clamped.
        NodeId data = input(&f, DT_F32, "2,3,2", x), i = input(&f, DT_I32, "2,3", i6);
        Attr batch = attr_int(ATTR_BATCH, 1);
        NodeId y = graph_add(f.g, OP_GATHER, 2, (NodeId[]){data, i}, 1, &batch);
        expect(&f, "gather", y, 12, (double[]){4, 5, 0, 1, 4, 5, 6, 7, 8, 9, 8, 9});
        Attr attrs[] = {attr_int(ATTR_BATCH, 1), attr_int(ATTR_SIZE, 3)};
        NodeId s = graph_add(f.g, OP_SCATTER_ADD, 2, (NodeId[]){i, data}, 2, attrs);
        expect(&f, "scatter_add", s, 12, (double[]){2, 3, 0, 0, 4, 6, 6, 7, 18, 20, 0, 0});
        attrs[0] = attr_int(ATTR_BATCH, 0);
        s = graph_add(f.g, OP_SCATTER_ADD, 2, (NodeId[]){i, graph_cast(f.g, i, DT_I64)}, 2, attrs);
        expect(&f, "int scatter_add", s, 3, (double[]){-4, 2, 11});
        NodeId z = graph_add(f.g, OP_GATHER, 2, (NodeId[]){data, graph_const(f.g, DT_I32, 1)}, 1,
                             (Attr[]){attr_int(ATTR_BATCH, 0)});
        expect(&f, "gather one", z, 6, (double[]){6, 7, 8, 9, 10, 11});
        arena_free(f.arena);
    }
}

// ---- ordered ops --------------------------------------------------------------------------------

// The order of docs/ir.md once more: ends of chunks and of segments are sums as well.
Test(eval, cumsum_order)
{
    Fix f = fix_new(EVAL_BITS);
    enum { N = 8300 };
    NodeId x = input(&f, DT_F32, "8300", NULL);
    Attr back = attr_int(ATTR_REVERSE, 1);
    Value y = run(&f, graph_add(f.g, OP_CUMSUM, 1, &x, 0, NULL));
    NodeId turned =
        graph_add(f.g, OP_REVERSE, 1, &x, 1, (Attr[]){attr_ints(ATTR_AXES, (int64_t[]){0}, 1)});
    Value z = run(&f, graph_add(f.g, OP_CUMSUM, 1, &turned, 1, &back));
    const float *from = ((Tensor *)map_get(&f.inputs, "x0"))->data, *to = y.data;
    float segment = 0;
    for (int s = 0; s < N; segment = to[(s += 4096) < N ? s - 1 : 0]) {
        float chunk = 0;
        for (int c = s; c < N && c < s + 4096; c += 64) {
            float sum = 0;
            for (int i = c; i < N && i < c + 64; i++) {
                sum += from[i];
                cr_assert_eq(to[i], segment + (chunk + sum), "%d", i);
                cr_assert_eq(to[i], ((const float *)z.data)[N - 1 - i], "%d", i);
            }
            chunk += sum;
        }
    }
    arena_free(f.arena);
}

Test(eval, eigenvalues)
{
    // [2, 1; 1, 2] by its lower triangle; a diagonal; rows of [[0, 1, 0], [1, 0, 0], [0, 0, -3]]
    const double two[] = {2, 99, 1, 2}, diagonal[] = {3, 0, 0, 0, -1, 0, 0, 0, 2},
                 odd[] = {0, 1, 0, 1, 0, 0, 0, 0, -3}, r = sqrt(0.5);
    EACH_MODE
    {
        Fix f = fix_new(mode);
        NodeId args[] = {input(&f, DT_F32, "2,2", two), input(&f, DT_F32, "3,3", diagonal),
                         input(&f, DT_F32, "3,3", odd)};
        const double values[3][3] = {{1, 3}, {-1, 2, 3}, {-3, -1, 1}};
        const double vectors[3][9] = {
            {r, -r, r, r}, {0, 1, 0, 0, 0, 1, 1, 0, 0}, {0, 0, 1, r, -r, 0, r, r, 0}};
        for (int i = 0; i < 3; i++) {
            int n = i ? 3 : 2;
            NodeId t = graph_add(f.g, OP_EIGH, 1, &args[i], 0, NULL);
            Value v = run(&f, graph_proj(f.g, t, 0)), w = run(&f, graph_proj(f.g, t, 1));
            for (int k = 0; k < n; k++)
                cr_expect(fabs(at(&v, k) - values[i][k]) < 3e-6, "%d: %g", i, at(&v, k));
            for (int k = 0; k < n * n; k++) // of two as large, either may be the larger
                cr_expect(fabs(fabs(at(&w, k)) - fabs(vectors[i][k])) < 3e-6, "%d %d: %g", i, k,
                          at(&w, k));
            for (int k = 1; k < n * n && i == 1; k++) cr_expect(at(&w, k) >= 0);
        }
        arena_free(f.arena);
    }
}

Test(eval, ordered_ops)
{
    const double x[] = {1, -0.0, 5, NAN, 5, 0, -INFINITY, 2}, whole[] = {3, -4, 3, 9},
                 box[] = {0, 0, 4, 4, 0, 0, 4, 3, 4, 0, 8, 4, 1, 0, 5, 4, 6, 6, 5, 9, 0, 0, 1, 1},
                 score[] = {0.5, 0.7, 0.7, 0.9, -INFINITY, NAN};
    EACH_MODE
    {
        Fix f = fix_new(mode);
        NodeId a = input(&f, DT_F32, "1,8", x), i = input(&f, DT_I32, "2,2", whole);
        expect(&f, "cumsum", graph_add(f.g, OP_CUMSUM, 1, &i, 0, NULL), 4,
               (double[]){3, -1, 3, 12});
        Attr back = attr_int(ATTR_REVERSE, 1);
        expect(&f, "from the end", graph_add(f.g, OP_CUMSUM, 1, &i, 1, &back), 4,
               (double[]){-1, -4, 12, 9});
        Attr most[] = {attr_int(ATTR_SIZE, 8), attr_int(ATTR_RISING, 0)};
        NodeId t = graph_add(f.g, OP_TOPK, 1, &a, 2, most);
        expect(&f, "falling", graph_proj(f.g, t, 1), 8, (double[]){3, 2, 4, 7, 0, 1, 5, 6});
        Value v = run(&f, graph_proj(f.g, t, 0));
        cr_expect(isnan(at(&v, 0)) && at(&v, 1) == 5 && signbit(at(&v, 5)) && !signbit(at(&v, 6)));
        most[0].i = 3;
        most[1].i = 1;
        t = graph_add(f.g, OP_TOPK, 1, &a, 2, most);
        expect(&f, "rising", graph_proj(f.g, t, 1), 3, (double[]){6, 1, 5});
        // 3 is the best and overlaps 0 by 12 / 20 of both, 1 by 9 / 19, 2 by 4 / 28.
        NodeId args[] = {input(&f, DT_F32, "6,4", box), input(&f, DT_F32, "6", score)};
        Attr attrs[] = {attr_int(ATTR_SIZE, 5), attr_float(ATTR_THRESHOLD, 0.45)};
        NodeId n = graph_add(f.g, OP_NMS, 2, args, 2, attrs);
        expect(&f, "nms", graph_proj(f.g, n, 0), 5, (double[]){3, 2, -1, -1, -1});
        expect(&f, "their number", graph_proj(f.g, n, 1), 1, (double[]){2});
        attrs[1].f = 0.625;
        n = graph_add(f.g, OP_NMS, 2, args, 2, attrs);
        expect(&f, "ties", graph_proj(f.g, n, 0), 5, (double[]){3, 1, 2, -1, -1});
        attrs[1].f = 0.75; // 0 and 1 overlap by 12 / 16, which is not more
        n = graph_add(f.g, OP_NMS, 2, args, 2, attrs);
        expect(&f, "no more than", graph_proj(f.g, n, 0), 5, (double[]){3, 1, 2, 0, -1});
        arena_free(f.arena);
    }
}
