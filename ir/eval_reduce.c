// Reductions of the interpreter and the order they are defined to run in (docs/ir.md).
//
// The reduced axes split into T, the longest suffix of the operand's axes that is all reduced,
// and O, the others; the operand is brought into the order (kept, O, T). In f32, T is reduced in
// 64 lanes, O in chains of 64; in f64 and integers everything is one rising chain.

#include "ir/eval.h"

#include <math.h>

enum { LANES = 64, SEGMENT = 4096, CHAIN = 64 };

typedef enum { FOLD_SUM, FOLD_MAX, FOLD_MIN } Fold;

static inline float fold_f32(Fold fold, float x, float y)
{
    if (fold == FOLD_SUM) return x + y;
    if (fold == FOLD_MAX) return x > y || x != x ? x : y;
    return x < y || x != x ? x : y;
}

static inline double fold_f64(Fold fold, double x, double y)
{
    if (fold == FOLD_SUM) return x + y;
    if (fold == FOLD_MAX) return x > y || x != x ? x : y;
    return x < y || x != x ? x : y;
}

static inline int64_t fold_int(Fold fold, int64_t x, int64_t y)
{
    if (fold == FOLD_SUM) return (int64_t)((uint64_t)x + (uint64_t)y);
    if (fold == FOLD_MAX) return x > y ? x : y;
    return x < y ? x : y;
}

static float start_of(Fold fold)
{
    return fold == FOLD_SUM ? 0 : fold == FOLD_MAX ? -INFINITY : INFINITY;
}

// ---- the defined orders -------------------------------------------------------------------------

static float segment(Fold fold, const float *x, int64_t n)
{
    if (n == 1) return fold_f32(fold, start_of(fold), x[0]); // the other lanes change nothing
    float lane[LANES];
    for (int l = 0; l < LANES; l++) lane[l] = start_of(fold);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] = fold_f32(fold, lane[l], x[i + l]);
    for (int l = 0; i + l < n; l++) lane[l] = fold_f32(fold, lane[l], x[i + l]);
    for (int w = LANES / 2; w > 0; w /= 2)
        for (int l = 0; l < w; l++) lane[l] = fold_f32(fold, lane[l], lane[l + w]);
    return lane[0];
}

// Segments' results in order, reduced by the same rule again.
static float row(Fold fold, const float *x, int64_t n)
{
    if (n <= SEGMENT) return segment(fold, x, n);
    Arena *scratch = arena_new();
    int64_t m = (n + SEGMENT - 1) / SEGMENT;
    float *part = arena_array(scratch, float, m);
    for (int64_t i = 0; i < m; i++) {
        int64_t left = n - i * SEGMENT;
        part[i] = segment(fold, x + i * SEGMENT, left < SEGMENT ? left : SEGMENT);
    }
    float r = row(fold, part, m);
    arena_free(scratch);
    return r;
}

static float column(Fold fold, const float *x, int64_t n)
{
    float total = start_of(fold);
    for (int64_t i = 0; i < n;) {
        float chain = start_of(fold);
        for (int64_t end = i + CHAIN; i < end && i < n; i++) chain = fold_f32(fold, chain, x[i]);
        total = fold_f32(fold, total, chain);
    }
    return total;
}

float row_sum(const float *x, int64_t n)
{
    return row(FOLD_SUM, x, n);
}

float row_max(const float *x, int64_t n)
{
    return row(FOLD_MAX, x, n);
}

float column_sum(const float *x, int64_t n)
{
    return column(FOLD_SUM, x, n);
}

// ---- axes ---------------------------------------------------------------------------------------

// The operand as (kept, outer, tail), row-major.
typedef struct Rows {
    const void *data;
    int64_t kept, outer, tail;
    Work work;
} Rows;

static bool contains(const int64_t *axes, uint32_t n, int64_t a)
{
    for (uint32_t i = 0; i < n; i++)
        if (axes[i] == a) return true;
    return false;
}

static Rows rows_of(Eval *ev, const Value *x, uint32_t n, const int64_t *axes)
{
    const Type *t = x->type;
    Rows rows = {.kept = 1, .outer = 1, .tail = 1, .work = work_of(x->stored)};
    int64_t *order = arena_array(ev->scratch, int64_t, t->rank);
    uint32_t suffix = t->rank, at = 0;
    while (suffix > 0 && (contains(axes, n, suffix - 1) || t->axes[suffix - 1].size == 1)) suffix--;
    for (uint32_t a = 0; a < t->rank; a++)
        if (!contains(axes, n, a)) order[at++] = a, rows.kept *= t->axes[a].size;
    for (uint32_t a = 0; a < t->rank; a++) {
        if (!contains(axes, n, a)) continue;
        order[at++] = a;
        *(a < suffix ? &rows.outer : &rows.tail) *= t->axes[a].size;
    }
    rows.data = value_ordered(ev->scratch, x, order);
    return rows;
}

// Reduce all of row k.
static float fold_rows_f32(Eval *ev, Fold fold, const Rows *rows, const float *x)
{
    float *part = arena_array(ev->scratch, float, rows->outer);
    for (int64_t o = 0; o < rows->outer; o++) part[o] = row(fold, x + o * rows->tail, rows->tail);
    return column(fold, part, rows->outer);
}

static double fold_all_f64(Fold fold, const double *x, int64_t n)
{
    double r = (double)start_of(fold);
    for (int64_t i = 0; i < n; i++) r = fold_f64(fold, r, x[i]);
    return r;
}

static int64_t fold_all_int(Fold fold, DType dt, const int64_t *x, int64_t n)
{
    int64_t lo, hi;
    int_range(dt, &lo, &hi);
    int64_t r = fold == FOLD_SUM ? 0 : fold == FOLD_MAX ? lo : hi;
    for (int64_t i = 0; i < n; i++) r = fold_int(fold, r, x[i]);
    return r;
}

// ---- ops ----------------------------------------------------------------------------------------

static void reduce(Eval *ev, Fold fold, const Rows *rows, Value *r)
{
    int64_t size = rows->outer * rows->tail;
    if (size == 1) { // axes of size 1 only: the operand, -0 too
        value_fill(r, rows->data);
        return;
    }
    char *out = arena_alloc(ev->scratch, work_size(rows->work) * (size_t)rows->kept);
    for (int64_t k = 0; k < rows->kept; k++) {
        if (rows->work == WORK_F32)
            ((float *)out)[k] = fold_rows_f32(ev, fold, rows, (const float *)rows->data + k * size);
        else if (rows->work == WORK_F64)
            ((double *)out)[k] = fold_all_f64(fold, (const double *)rows->data + k * size, size);
        else
            ((int64_t *)out)[k] =
                fold_all_int(fold, r->stored, (const int64_t *)rows->data + k * size, size);
    }
    value_fill(r, out);
}

static void logsumexp_f32(Eval *ev, const Rows *rows, Value *r)
{
    int64_t size = rows->outer * rows->tail;
    float *out = arena_array(ev->scratch, float, rows->kept);
    float *e = arena_array(ev->scratch, float, size);
    for (int64_t k = 0; k < rows->kept; k++) {
        const float *x = (const float *)rows->data + k * size;
        float m = fold_rows_f32(ev, FOLD_MAX, rows, x), s;
        if (!isfinite(m)) m = 0;
        for (int64_t i = 0; i < size; i++) e[i] = x[i] - m;
        eval_expand(ev, OP_EXP, size, e, e);
        s = fold_rows_f32(ev, FOLD_SUM, rows, e);
        eval_expand(ev, OP_LOG, 1, &s, &s);
        out[k] = m + s;
    }
    value_fill(r, out);
}

static void logsumexp_f64(Eval *ev, const Rows *rows, Value *r)
{
    int64_t size = rows->outer * rows->tail;
    double *out = arena_array(ev->scratch, double, rows->kept);
    for (int64_t k = 0; k < rows->kept; k++) {
        const double *x = (const double *)rows->data + k * size;
        double m = fold_all_f64(FOLD_MAX, x, size), s = 0;
        if (!isfinite(m)) m = 0;
        for (int64_t i = 0; i < size; i++) s += exp(x[i] - m);
        out[k] = m + log(s);
    }
    value_fill(r, out);
}

// Index of the first maximum; the first NaN counts as the maximum, as in op max.
#define FIRST_MAX(T, better)                                          \
    for (int64_t k = 0; k < rows.kept; k++) {                         \
        const T *at = (const T *)rows.data + k * rows.tail;           \
        for (int64_t i = 1; i < rows.tail; i++)                       \
            if (better) best[k] = i;                                  \
    }

static void argmax(Eval *ev, const Node *n, const Value *x, Value *r)
{
    int64_t axis = node_int(n, ATTR_AXIS);
    Rows rows = rows_of(ev, x, 1, &axis);
    rows.tail *= rows.outer;
    int64_t *best = arena_array(ev->scratch, int64_t, rows.kept);
#define MORE at[i] > at[best[k]]
#define NAN_FIRST (at[i] != at[i] && at[best[k]] == at[best[k]])
    if (rows.work == WORK_F32) {
        FIRST_MAX(float, MORE || NAN_FIRST)
    } else if (rows.work == WORK_F64) {
        FIRST_MAX(double, MORE || NAN_FIRST)
    } else {
        FIRST_MAX(int64_t, MORE)
    }
    value_fill(r, best);
}

void eval_reduce(Eval *ev, const Node *n, Value *r)
{
    const Value *x = eval_arg(ev, n, 0);
    if (n->op == OP_ARGMAX) {
        argmax(ev, n, x, r);
        return;
    }
    uint32_t count;
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    Rows rows = rows_of(ev, x, count, axes);
    switch (n->op) {
    case OP_SUM: reduce(ev, FOLD_SUM, &rows, r); break;
    case OP_REDUCE_MAX: reduce(ev, FOLD_MAX, &rows, r); break;
    case OP_REDUCE_MIN: reduce(ev, FOLD_MIN, &rows, r); break;
    case OP_LOGSUMEXP: (rows.work == WORK_F32 ? logsumexp_f32 : logsumexp_f64)(ev, &rows, r); break;
    default: bug("reduction %s", op_info(n->op)->name);
    }
}
