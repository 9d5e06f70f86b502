// Dot products and attention of the interpreter.
//
// In f32 every dot is one chain of fma in rising k from +0, softmax sums have the row order; in
// f64 all is plain. Operands are brought into the order (batch, free, contracting) first.

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

// ---- attention ----------------------------------------------------------------------------------

// q (B, N, D), k (B, M, D), v (B, M, E), all batch axes flattened.
typedef struct Attention {
    int64_t b, n, m, d, e;
    bool causal;
    double scale;
} Attention;

static Attention attention_of(const Eval *ev, const Node *n)
{
    const Type *q = eval_arg(ev, n, 0)->type, *v = eval_arg(ev, n, 2)->type;
    Attention a = {.b = 1, .causal = strcmp(node_str(n, ATTR_MASK), "causal") == 0,
                   .scale = node_float(n, ATTR_SCALE)};
    for (uint32_t i = 0; i + 2 < q->rank; i++) a.b *= q->axes[i].size;
    a.n = q->axes[q->rank - 2].size;
    a.d = q->axes[q->rank - 1].size;
    a.m = v->axes[v->rank - 2].size;
    a.e = v->axes[v->rank - 1].size;
    return a;
}

// Keys 0 .. count - 1 take part for query i.
static int64_t keys_of(const Attention *a, int64_t i)
{
    int64_t count = a->causal ? i + a->m - a->n + 1 : a->m;
    return count < 0 ? 0 : count < a->m ? count : a->m;
}

// The dot product of x and y at strides xs and ys.
EVAL_FAST static float chain_f32(int64_t n, const float *x, int64_t xs, const float *y, int64_t ys)
{
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum = STEP_F32(x[i * xs], y[i * ys], sum);
    return sum;
}

static double chain_f64(int64_t n, const double *x, int64_t xs, const double *y, int64_t ys)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum = STEP_F64(x[i * xs], y[i * ys], sum);
    return sum;
}

// One query; q (D), k (M, D), v (M, E) -> out (E). Returns the row's log-sum-exp. p has room for M.
static float query_f32(Eval *ev, const Attention *a, int64_t keys, const float *q, const float *k,
                       const float *v, float *out, float *p)
{
    float scale = (float)a->scale;
    for (int64_t j = 0; j < a->m; j++)
        p[j] = j < keys ? chain_f32(a->d, q, 1, k + j * a->d, 1) * scale : -INFINITY;
    float m = row_max(p, a->m), l;
    for (int64_t j = 0; j < keys; j++) p[j] -= m;
    eval_expand(ev, OP_EXP, keys, p, p);
    for (int64_t j = keys; j < a->m; j++) p[j] = 0;
    l = row_sum(p, a->m);
    float by = l == 0 ? 1 : l; // a query without keys
    for (int64_t e = 0; e < a->e; e++) out[e] = chain_f32(keys, p, 1, v + e, a->e) / by;
    eval_expand(ev, OP_LOG, 1, &l, &l);
    return m + l;
}

static double query_f64(const Attention *a, int64_t keys, const double *q, const double *k,
                        const double *v, double *out, double *p)
{
    double m = -INFINITY, l = 0;
    for (int64_t j = 0; j < keys; j++) {
        p[j] = chain_f64(a->d, q, 1, k + j * a->d, 1) * a->scale;
        m = m > p[j] || m != m ? m : p[j];
    }
    for (int64_t j = 0; j < keys; j++) l += p[j] = exp(p[j] - m);
    double by = l == 0 ? 1 : l; // a query without keys
    for (int64_t e = 0; e < a->e; e++) out[e] = chain_f64(keys, p, 1, v + e, a->e) / by;
    return m + log(l);
}

void eval_attention(Eval *ev, const Node *n, Value *r)
{
    Attention a = attention_of(ev, n);
    const void *in[3];
    for (uint32_t i = 0; i < 3; i++) in[i] = value_ordered(ev->scratch, eval_arg(ev, n, i), NULL);
    Work work = work_of(eval_arg(ev, n, 0)->stored);
    size_t size = work_size(work);
    void *out = arena_alloc(ev->scratch, size * (size_t)(a.b * a.n * a.e));
    void *lse = arena_alloc(ev->scratch, size * (size_t)(a.b * a.n));
    void *p = arena_alloc(ev->scratch, size * (size_t)a.m);
    for (int64_t b = 0; b < a.b; b++)
        for (int64_t i = 0; i < a.n; i++) {
            int64_t row = b * a.n + i, keys = keys_of(&a, i);
            if (work == WORK_F32)
                ((float *)lse)[row] =
                    query_f32(ev, &a, keys, (const float *)in[0] + row * a.d,
                              (const float *)in[1] + b * a.m * a.d,
                              (const float *)in[2] + b * a.m * a.e, (float *)out + row * a.e, p);
            else
                ((double *)lse)[row] =
                    query_f64(&a, keys, (const double *)in[0] + row * a.d,
                              (const double *)in[1] + b * a.m * a.d,
                              (const double *)in[2] + b * a.m * a.e, (double *)out + row * a.e, p);
        }
    value_fill(&r->parts[0], out);
    value_fill(&r->parts[1], lse);
}

// ---- attention's gradient -----------------------------------------------------------------------

// p and ds (N, M) of one batch element, zero where masked; room holds at least max(M, E).
static void scores_f32(Eval *ev, const Attention *a, const float *const in[6], float *p, float *ds,
                       float *room)
{
    const float *q = in[0], *k = in[1], *v = in[2], *out = in[3], *lse = in[4], *dout = in[5];
    for (int64_t i = 0; i < a->n; i++) {
        int64_t keys = keys_of(a, i);
        float *pi = p + i * a->m, *dsi = ds + i * a->m;
        for (int64_t j = 0; j < keys; j++)
            pi[j] = chain_f32(a->d, q + i * a->d, 1, k + j * a->d, 1) * (float)a->scale - lse[i];
        eval_expand(ev, OP_EXP, keys, pi, pi);
        for (int64_t e = 0; e < a->e; e++) room[e] = dout[i * a->e + e] * out[i * a->e + e];
        float delta = row_sum(room, a->e);
        for (int64_t j = 0; j < keys; j++)
            dsi[j] = pi[j] * (chain_f32(a->e, dout + i * a->e, 1, v + j * a->e, 1) - delta);
    }
}

static void scores_f64(const Attention *a, const double *const in[6], double *p, double *ds)
{
    const double *q = in[0], *k = in[1], *v = in[2], *out = in[3], *lse = in[4], *dout = in[5];
    for (int64_t i = 0; i < a->n; i++) {
        double delta = chain_f64(a->e, dout + i * a->e, 1, out + i * a->e, 1);
        for (int64_t j = 0; j < keys_of(a, i); j++) {
            double s = chain_f64(a->d, q + i * a->d, 1, k + j * a->d, 1) * a->scale;
            double dp = chain_f64(a->e, dout + i * a->e, 1, v + j * a->e, 1);
            p[i * a->m + j] = exp(s - lse[i]);
            ds[i * a->m + j] = p[i * a->m + j] * (dp - delta);
        }
    }
}

// Queries first .. N - 1 are those that key j takes part for.
static int64_t first_query(const Attention *a, int64_t j)
{
    int64_t first = a->causal ? j - a->m + a->n : 0;
    return first < 0 ? 0 : first < a->n ? first : a->n;
}

// dq, dk, dv of one batch element from p and ds.
static void products_f32(const Attention *a, const float *const in[6], const float *p,
                         const float *ds, float *dq, float *dk, float *dv)
{
    const float *q = in[0], *k = in[1], *dout = in[5];
    float scale = (float)a->scale;
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t d = 0; d < a->d; d++)
            dq[i * a->d + d] = chain_f32(keys_of(a, i), ds + i * a->m, 1, k + d, a->d) * scale;
    for (int64_t j = 0; j < a->m; j++) {
        int64_t first = first_query(a, j), count = a->n - first, at = first * a->m + j;
        for (int64_t d = 0; d < a->d; d++)
            dk[j * a->d + d] = chain_f32(count, ds + at, a->m, q + first * a->d + d, a->d) * scale;
        for (int64_t e = 0; e < a->e; e++)
            dv[j * a->e + e] = chain_f32(count, p + at, a->m, dout + first * a->e + e, a->e);
    }
}

static void products_f64(const Attention *a, const double *const in[6], const double *p,
                         const double *ds, double *dq, double *dk, double *dv)
{
    const double *q = in[0], *k = in[1], *dout = in[5];
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t d = 0; d < a->d; d++)
            dq[i * a->d + d] = chain_f64(keys_of(a, i), ds + i * a->m, 1, k + d, a->d) * a->scale;
    for (int64_t j = 0; j < a->m; j++) {
        int64_t first = first_query(a, j), count = a->n - first, at = first * a->m + j;
        for (int64_t d = 0; d < a->d; d++)
            dk[j * a->d + d] =
                chain_f64(count, ds + at, a->m, q + first * a->d + d, a->d) * a->scale;
        for (int64_t e = 0; e < a->e; e++)
            dv[j * a->e + e] = chain_f64(count, p + at, a->m, dout + first * a->e + e, a->e);
    }
}

void eval_attention_grad(Eval *ev, const Node *n, Value *r)
{
    Attention a = attention_of(ev, n);
    Work work = work_of(eval_arg(ev, n, 0)->stored);
    size_t size = work_size(work), scores = size * (size_t)(a.n * a.m);
    int64_t rows[] = {a.n * a.d, a.m * a.d, a.m * a.e, a.n * a.e, a.n, a.n * a.e};
    const char *in[6];
    char *out[3];
    for (uint32_t i = 0; i < 6; i++) in[i] = value_ordered(ev->scratch, eval_arg(ev, n, i), NULL);
    for (uint32_t i = 0; i < 3; i++)
        out[i] = arena_alloc(ev->scratch, size * (size_t)(a.b * rows[i]));
    void *p = arena_alloc(ev->scratch, scores), *ds = arena_alloc(ev->scratch, scores);
    void *room = arena_alloc(ev->scratch, size * (size_t)a.e);
    for (int64_t b = 0; b < a.b; b++) {
        const void *x[6];
        void *y[3];
        for (int i = 0; i < 6; i++) x[i] = in[i] + size * (size_t)(b * rows[i]);
        for (int i = 0; i < 3; i++) y[i] = out[i] + size * (size_t)(b * rows[i]);
        if (work == WORK_F32) {
            const float *f[] = {x[0], x[1], x[2], x[3], x[4], x[5]};
            scores_f32(ev, &a, f, p, ds, room);
            products_f32(&a, f, p, ds, y[0], y[1], y[2]);
        } else {
            const double *f[] = {x[0], x[1], x[2], x[3], x[4], x[5]};
            scores_f64(&a, f, p, ds);
            products_f64(&a, f, p, ds, y[0], y[1], y[2]);
        }
    }
    for (uint32_t i = 0; i < 3; i++) value_fill(&r->parts[i], out[i]);
}
