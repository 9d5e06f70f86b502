// What the tests of the interpreter share: one-node graphs of both modes, run on values given or
// drawn.
#ifndef CZT_TESTS_EVAL_FIXTURE_H
#define CZT_TESTS_EVAL_FIXTURE_H

#include "ir/eval.h"

#include <criterion/criterion.h>
#include <math.h>

typedef struct Fix {
    Arena *arena;
    Diag *diag;
    Graph *g;
    Map inputs;
    uint32_t count;
    uint64_t seed;
    EvalMode mode;
} Fix;

static inline Fix fix_new(EvalMode mode)
{
    Fix f = {.arena = arena_new(), .seed = 1, .mode = mode};
    f.diag = diag_new(f.arena);
    f.g = graph_new(f.arena, f.diag, 2);
    return f;
}

static inline double uniform(Fix *f)
{
    f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(f->seed >> 32) / 0x1p31;
}

static const Type *type_of(Fix *f, DType dt, const char *shape)
{
    Axis axes[8];
    uint32_t rank = 0;
    for (const char *s = shape; *s;) {
        char *end;
        axes[rank] = (Axis){strtoll(s, &end, 10), 0};
        if (*end == 'b') axes[rank].per = axes[rank].size / 2, end++;
        rank++;
        s = *end ? end + 1 : end;
    }
    return type_new(f->arena, dt, rank, axes);
}

// An input tensor with the given values (stored as the mode stores them), or with random ones.
static inline NodeId input(Fix *f, DType dt, const char *shape, const double *values)
{
    const Type *type = type_of(f, dt, shape);
    int64_t count = type_count(type);
    Value v = {type, f->mode == EVAL_F64 && dtype_is_float(dt) ? DT_F64 : dt,
               arena_alloc(f->arena, (size_t)count * 8), NULL};
    for (int64_t i = 0; i < count; i++) {
        double x = values ? values[i] : uniform(f);
        if (f->mode == EVAL_F64 && dtype_is_float(dt) && !values) x = (float)x;
        Block b;
        if (work_of(v.stored) == WORK_F32)
            b.f[0] = (float)x;
        else if (work_of(v.stored) == WORK_F64)
            b.d[0] = x;
        else
            b.i[0] = (int64_t)x;
        value_store(&v, i, 1, &b);
    }
    Tensor *t = arena_make(f->arena, Tensor);
    *t = (Tensor){type, v.data};
    const char *name = str_printf(f->arena, "x%u", f->count++);
    map_set(f->arena, &f->inputs, name, t);
    return graph_input(f->g, name, type);
}

// Run the graph; element i of the result is returned as double by at().
static inline Value run(Fix *f, NodeId node)
{
    diag_print(f->diag, stderr);
    cr_assert_neq(node, 0, "the builder refused");
    Entry e = {.name = "test", .graph = f->g};
    vec_push(f->arena, &e.outputs, (NamedNode){"y", node});
    Map out = {0};
    Error err = {0};
    cr_assert(entry_eval(&e, f->mode, &f->inputs, NULL, f->arena, &out, &err), "%s", err.text);
    Tensor *t = map_get(&out, "out:y");
    DType dt = t->type->dtype;
    return (Value){t->type, f->mode == EVAL_F64 && dtype_is_float(dt) ? DT_F64 : dt, t->data, NULL};
}

static inline double at(const Value *v, int64_t i)
{
    Block b;
    value_load(v, i, 1, &b);
    if (work_of(v->stored) == WORK_F32) return (double)b.f[0];
    return work_of(v->stored) == WORK_F64 ? b.d[0] : (double)b.i[0];
}

static inline bool same(double x, double y)
{
    return x == y || (isnan(x) && isnan(y));
}

#define EACH_MODE for (EvalMode mode = EVAL_F64; mode <= EVAL_BITS; mode++)

// Values of node must be those listed.
static inline void expect(Fix *f, const char *what, NodeId node, int64_t n, const double *want)
{
    Value v = run(f, node);
    cr_assert_eq(type_count(v.type), n, "%s", what);
    for (int64_t i = 0; i < n; i++)
        cr_assert(same(at(&v, i), want[i]), "%s, mode %d, element %lld: %g, not %g", what, f->mode,
                  (long long)i, at(&v, i), want[i]);
}

// Two nodes have the same bits.
static inline void expect_equal(Fix *f, const char *what, NodeId x, NodeId y)
{
    Value a = run(f, x), b = run(f, y);
    cr_assert_eq(type_count(a.type), type_count(b.type), "%s", what);
    for (int64_t i = 0; i < type_count(a.type); i++)
        cr_assert(same(at(&a, i), at(&b, i)), "%s, element %lld: %a and %a", what, (long long)i,
                  at(&a, i), at(&b, i));
}

#endif
