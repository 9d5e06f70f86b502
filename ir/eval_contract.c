// Dot products of the interpreter.
//
// In f32 every dot is one chain of fma in rising k from +0; in f64 all is plain. Operands are
// brought into the order (batch, free, contracting) first.

#include "ir/eval.h"

#include <math.h>

// ---- dot ----------------------------------------------------------------------------------------

enum { TILE = 16 };

// One step of a dot product's chain.
#define STEP_F32(x, y, sum) fmaf(x, y, sum)
#define STEP_F64(x, y, sum) ((sum) + (x) * (y))

// c (m, n) = a (m, k) b (k, n), TILE columns at a time: each element is its own chain in rising k.
#define PRODUCT(name, T, STEP)                                                                  \
    EVAL_FAST static void name(int64_t m, int64_t n, int64_t k, const T *a, const T *b, T *c)   \
    {                                                                                           \
        for (int64_t i = 0; i < m; i++, a += k, c += n) {                                       \
            int64_t j = 0;                                                                      \
            for (; j + TILE <= n; j += TILE) {                                                  \
                T sum[TILE] = {0};                                                              \
                for (int64_t p = 0; p < k; p++)                                                 \
                    for (int l = 0; l < TILE; l++) sum[l] = STEP(a[p], b[p * n + j + l], sum[l]); \
                memcpy(c + j, sum, sizeof sum);                                                 \
            }                                                                                   \
            for (; j < n; j++) {                                                                \
                T sum = 0;                                                                      \
                for (int64_t p = 0; p < k; p++) sum = STEP(a[p], b[p * n + j], sum);            \
                c[j] = sum;                                                                     \
            }                                                                                   \
        }                                                                                       \
    }

PRODUCT(product_f32, float, STEP_F32)
PRODUCT(product_f64, double, STEP_F64)

typedef struct Axes {
    const int64_t *at;
    uint32_t n;
} Axes;

static bool contains(Axes axes, int64_t a)
{
    for (uint32_t i = 0; i < axes.n; i++)
        if (axes.at[i] == a) return true;
    return false;
}

static int64_t append(int64_t *order, uint32_t *at, Axes axes, const Type *t)
{
    int64_t count = 1;
    for (uint32_t i = 0; i < axes.n; i++) {
        order[(*at)++] = axes.at[i];
        count *= t->axes[axes.at[i]].size;
    }
    return count;
}

// Axes of t in neither list.
static Axes free_axes(Arena *arena, const Type *t, Axes batch, Axes contract)
{
    int64_t *at = arena_array(arena, int64_t, t->rank);
    uint32_t n = 0;
    for (uint32_t a = 0; a < t->rank; a++)
        if (!contains(batch, a) && !contains(contract, a)) at[n++] = a;
    return (Axes){at, n};
}

static Axes axes_attr(const Node *n, AttrKey key)
{
    Axes axes;
    axes.at = node_ints(n, key, &axes.n);
    return axes;
}

void eval_dot(Eval *ev, const Node *n, Value *r)
{
    const Value *x = eval_arg(ev, n, 0), *y = eval_arg(ev, n, 1);
    Axes lb = axes_attr(n, ATTR_LBATCH), rb = axes_attr(n, ATTR_RBATCH);
    Axes lc = axes_attr(n, ATTR_LCONTRACT), rc = axes_attr(n, ATTR_RCONTRACT);
    int64_t *xo = arena_array(ev->scratch, int64_t, x->type->rank);
    int64_t *yo = arena_array(ev->scratch, int64_t, y->type->rank);
    uint32_t xn = 0, yn = 0;
    int64_t batch = append(xo, &xn, lb, x->type);
    int64_t rows = append(xo, &xn, free_axes(ev->scratch, x->type, lb, lc), x->type);
    int64_t k = append(xo, &xn, lc, x->type);
    append(yo, &yn, rb, y->type);
    append(yo, &yn, rc, y->type);
    int64_t cols = append(yo, &yn, free_axes(ev->scratch, y->type, rb, rc), y->type);
    const char *a = value_ordered(ev->scratch, x, xo), *b = value_ordered(ev->scratch, y, yo);
    size_t size = work_size(work_of(x->stored));
    char *c = arena_alloc(ev->scratch, size * (size_t)(batch * rows * cols));
    for (int64_t i = 0; i < batch; i++) {
        const void *ai = a + size * (size_t)(i * rows * k), *bi = b + size * (size_t)(i * k * cols);
        void *ci = c + size * (size_t)(i * rows * cols);
        if (work_of(x->stored) == WORK_F32) product_f32(rows, cols, k, ai, bi, ci);
        else product_f64(rows, cols, k, ai, bi, ci);
    }
    value_fill(r, c);
}
