// Ops along the last axis whose elements are not independent of each other: cumulative sums, the
// largest elements, greedy suppression of boxes.

#include "ir/eval.h"

#include <math.h>
#include <stdlib.h>

enum { CHUNK = 64, SEGMENT = 4096 }; // docs/ir.md, "Ordered ops"

// Length of a row of x, and how many there are.
static int64_t row_length(const Type *x, int64_t *rows)
{
    int64_t n = x->axes[x->rank - 1].size;
    *rows = type_count(x) / n;
    return n;
}

// ---- cumulative sums ----------------------------------------------------------------------------

// One row of n elements from the first on (step 1) or the last (step -1): x and y at that one. Sums
// start at -0, which leaves every number as it is. p and q are sums at the ends of a chunk and of a
// segment.
#define CUMSUM(name, T, start)                                                                     \
    static void name(int64_t n, int64_t step, const T *x, T *y)                                    \
    {                                                                                              \
        T c = start, s = start, p = start, q = start;                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            if (i % SEGMENT == 0 && i) q = y[(i - 1) * step];                                      \
            if (i % CHUNK == 0) p = i % SEGMENT == 0 ? start : s, c = start;                       \
            c = c + x[i * step];                                                                   \
            s = p + c;                                                                             \
            y[i * step] = q + s;                                                                   \
        }                                                                                          \
    }

CUMSUM(cumsum_f32, float, -0.0f)
CUMSUM(cumsum_f64, double, -0.0)
CUMSUM(cumsum_int, uint64_t, 0)

static void eval_cumsum(Eval *ev, const Node *n, Value *r)
{
    const Value *x = eval_arg(ev, n, 0);
    Work work = work_of(x->stored);
    size_t size = work_size(work);
    int64_t rows, length = row_length(x->type, &rows);
    bool reverse = node_int(n, ATTR_REVERSE);
    int64_t first = reverse ? length - 1 : 0, step = reverse ? -1 : 1;
    const char *from = value_ordered(ev->scratch, x, NULL);
    char *to = arena_alloc(ev->scratch, size * (size_t)(rows * length));
    for (int64_t row = 0; row < rows; row++) {
        size_t at = (size_t)(row * length + first) * size;
        if (work == WORK_F32)
            cumsum_f32(length, step, (const float *)(from + at), (float *)(to + at));
        else if (work == WORK_F64)
            cumsum_f64(length, step, (const double *)(from + at), (double *)(to + at));
        else
            cumsum_int(length, step, (const uint64_t *)(from + at), (uint64_t *)(to + at));
    }
    value_fill(r, to);
}

// ---- the largest --------------------------------------------------------------------------------

typedef struct Element {
    double x; // holds every number of the types that are ordered
    int64_t at;
} Element;

static int rising(const void *p, const void *q)
{
    const Element *a = p, *b = q;
    bool a_nan = a->x != a->x, b_nan = b->x != b->x;
    if (a_nan != b_nan) return a_nan ? 1 : -1;
    if (!a_nan && a->x != b->x) return a->x < b->x ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static int falling(const void *p, const void *q)
{
    const Element *a = p, *b = q;
    bool equal = a->x == b->x || (a->x != a->x && b->x != b->x);
    return equal ? rising(p, q) : rising(q, p);
}

// Element number i of a whole value in working form.
static double number(Work work, const void *x, int64_t i)
{
    if (work == WORK_F32) return ((const float *)x)[i];
    return work == WORK_F64 ? ((const double *)x)[i] : (double)((const int64_t *)x)[i];
}

static void eval_topk(Eval *ev, const Node *n, Value *r)
{
    const Value *x = eval_arg(ev, n, 0);
    int64_t rows, length = row_length(x->type, &rows), size = node_int(n, ATTR_SIZE);
    int64_t width = dtype_size(x->stored);
    const void *from = value_ordered(ev->scratch, x, NULL);
    Element *row = arena_array(ev->scratch, Element, length);
    for (int64_t at = 0; at < rows; at++) {
        for (int64_t i = 0; i < length; i++)
            row[i] = (Element){number(work_of(x->stored), from, at * length + i), i};
        qsort(row, (size_t)length, sizeof *row, node_int(n, ATTR_RISING) ? rising : falling);
        for (int64_t k = 0; k < size; k++) { // elements as they are stored, a -0 and a NaN too
            memcpy((char *)r->parts[0].data + (at * size + k) * width,
                   (const char *)x->data + (at * length + row[k].at) * width, (size_t)width);
            ((int32_t *)r->parts[1].data)[at * size + k] = (int32_t)row[k].at;
        }
    }
}

// ---- suppression --------------------------------------------------------------------------------

// Is the overlap of boxes a and b, x and y of two corners, more than t of their union?
#define OVERLAP(name, T)                                                                           \
    static T name##_max(T x, T y)                                                                  \
    {                                                                                              \
        return x > y || x != x ? x : y;                                                            \
    }                                                                                              \
    static T name##_min(T x, T y)                                                                  \
    {                                                                                              \
        return x < y || x != x ? x : y;                                                            \
    }                                                                                              \
    static T name##_area(const T *a)                                                               \
    {                                                                                              \
        return name##_max(a[2] - a[0], 0) * name##_max(a[3] - a[1], 0);                            \
    }                                                                                              \
    static bool name(const T *a, const T *b, T t)                                                  \
    {                                                                                              \
        T w = name##_max(name##_min(a[2], b[2]) - name##_max(a[0], b[0]), 0);                      \
        T h = name##_max(name##_min(a[3], b[3]) - name##_max(a[1], b[1]), 0);                      \
        T both = w * h;                                                                            \
        return both > t * (name##_area(a) + name##_area(b) - both);                                \
    }
OVERLAP(overlap_f32, float)
OVERLAP(overlap_f64, double)

// The first of the largest scores; -1 where all are -inf.
static int64_t largest(const double *score, int64_t n)
{
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++)
        if (score[i] > (best < 0 ? -INFINITY : score[best])) best = i;
    return best;
}

static void eval_nms(Eval *ev, const Node *n, Value *r)
{
    const Value *boxes = eval_arg(ev, n, 0), *scores = eval_arg(ev, n, 1);
    bool wide = work_of(boxes->stored) == WORK_F64;
    double t = node_float(n, ATTR_THRESHOLD);
    int64_t rows, length = row_length(scores->type, &rows), size = node_int(n, ATTR_SIZE);
    double *score = arena_array(ev->scratch, double, length);
    for (int64_t row = 0; row < rows; row++) {
        int32_t *to = (int32_t *)r->parts[0].data + row * size, count = 0;
        for (int64_t i = 0; i < length; i++) {
            score[i] = number(work_of(scores->stored), scores->data, row * length + i);
            if (score[i] != score[i]) score[i] = -INFINITY;
        }
        for (int64_t k = 0; k < size; k++) {
            int64_t best = largest(score, length), a = (row * length + best) * 4;
            to[k] = (int32_t)best;
            count += best >= 0;
            for (int64_t i = 0; i < length && best >= 0; i++) {
                int64_t b = (row * length + i) * 4;
                bool gone =
                    wide
                        ? overlap_f64((double *)boxes->data + a, (double *)boxes->data + b, t)
                        : overlap_f32((float *)boxes->data + a, (float *)boxes->data + b, (float)t);
                if (gone || i == best) score[i] = -INFINITY;
            }
        }
        ((int32_t *)r->parts[1].data)[row] = count;
    }
}

void eval_ordered(Eval *ev, const Node *n, Value *r)
{
    if (n->op == OP_CUMSUM)
        eval_cumsum(ev, n, r);
    else if (n->op == OP_TOPK)
        eval_topk(ev, n, r);
    else
        eval_nms(ev, n, r);
}
