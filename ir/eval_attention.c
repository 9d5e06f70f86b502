// Attention and its gradients in the interpreter, in the order docs/ir.md defines: in f32 every
// dot is one chain of fma in rising order from +0, softmax sums have the row order; in f64 all is
// plain.

#include "ir/eval.h"

#include <math.h>

// One step of a dot product's chain.
#define STEP_F32(x, y, sum) fmaf(x, y, sum)
#define STEP_F64(x, y, sum) ((sum) + (x) * (y))

enum { Q, K, V, OUT, LSE, DOUT, MATRICES };

// q (B, N, D), k (B, M, D), v (B, M, E), all outer axes flattened.
typedef struct Attention {
    int64_t b, n, m, d, e;
    bool causal, masked; // masked: with segments or a bias
    double scale;
    const Type *q;
    Work work;
    AttentionBeside beside;
    const Type *type[3];  // queries' segments, keys' segments, bias; NULL where there is none
    const void *value[3]; // segments are int64_t
} Attention;

enum { QUERY_SEGMENTS, KEY_SEGMENTS, BIAS };

static Attention attention_of(const Eval *ev, const Node *n)
{
    const Type *q = eval_arg(ev, n, 0)->type, *v = eval_arg(ev, n, 2)->type;
    Attention a = {.b = 1,
                   .causal = strcmp(node_str(n, ATTR_MASK), "causal") == 0,
                   .scale = node_float(n, ATTR_SCALE),
                   .q = q,
                   .work = work_of(eval_arg(ev, n, 0)->stored),
                   .beside = attention_beside(n->op, n->nargs)};
    for (uint32_t i = 0; i + 2 < q->rank; i++) a.b *= q->axes[i].size;
    a.n = q->axes[q->rank - 2].size;
    a.d = q->axes[q->rank - 1].size;
    a.m = v->axes[v->rank - 2].size;
    a.e = v->axes[v->rank - 1].size;
    a.masked = a.beside.segments || a.beside.bias;
    for (uint32_t i = QUERY_SEGMENTS; i <= BIAS; i++) {
        uint32_t arg = i == BIAS ? a.beside.bias : a.beside.segments ? a.beside.segments + i : 0;
        if (!arg) continue;
        a.type[i] = eval_arg(ev, n, arg)->type;
        a.value[i] = value_ordered(ev->scratch, eval_arg(ev, n, arg), NULL);
    }
    return a;
}

// Which of the operand's own outer points belongs to outer point b of q.
static int64_t point_of(const Attention *a, const Type *type, int64_t b)
{
    int64_t point = 0, size = 1;
    for (uint32_t i = a->q->rank - 2; i-- > 0; b /= a->q->axes[i].size) {
        point += type->axes[i].size == 1 ? 0 : b % a->q->axes[i].size * size;
        size *= type->axes[i].size;
    }
    return point;
}

// What is beside the matrices at one outer point; NULL where there is none.
typedef struct Site {
    const int64_t *queries, *keys;
    const float *bias32;
    const double *bias64;
} Site;

static Site site_of(const Attention *a, int64_t b)
{
    Site s = {0};
    if (a->beside.segments) {
        s.queries = (const int64_t *)a->value[QUERY_SEGMENTS] +
                    point_of(a, a->type[QUERY_SEGMENTS], b) * a->n;
        s.keys =
            (const int64_t *)a->value[KEY_SEGMENTS] + point_of(a, a->type[KEY_SEGMENTS], b) * a->m;
    }
    int64_t at = a->beside.bias ? point_of(a, a->type[BIAS], b) * a->n * a->m : 0;
    if (a->beside.bias && a->work == WORK_F32) s.bias32 = (const float *)a->value[BIAS] + at;
    if (a->beside.bias && a->work != WORK_F32) s.bias64 = (const double *)a->value[BIAS] + at;
    return s;
}

// Keys 0 .. count - 1 take part for query i.
static int64_t keys_of(const Attention *a, int64_t i)
{
    int64_t count = a->causal ? i + a->m - a->n + 1 : a->m;
    return count < 0 ? 0 : count < a->m ? count : a->m;
}

static bool unseen(const Site *s, int64_t i, int64_t j)
{
    return s->queries && s->queries[i] != s->keys[j];
}

// What is subtracted from the scores of a row: its maximum or log-sum-exp, but 0 where a mask
// leaves nothing but -inf, so that all of the row's exponentials are 0.
static double shift_of(const Attention *a, double m)
{
    return a->masked && m == -INFINITY ? 0 : m;
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

// ---- forward ------------------------------------------------------------------------------------

// Scores of query i with the keys that take part; q (N, D), k (M, D).
static void scores_f32(const Attention *a, const Site *s, int64_t i, const float *q, const float *k,
                       float *to)
{
    for (int64_t j = 0; j < keys_of(a, i); j++) {
        to[j] = chain_f32(a->d, q + i * a->d, 1, k + j * a->d, 1) * (float)a->scale;
        if (s->bias32) to[j] += s->bias32[i * a->m + j];
        if (unseen(s, i, j)) to[j] = -INFINITY;
    }
}

static void scores_f64(const Attention *a, const Site *s, int64_t i, const double *q,
                       const double *k, double *to)
{
    for (int64_t j = 0; j < keys_of(a, i); j++) {
        to[j] = chain_f64(a->d, q + i * a->d, 1, k + j * a->d, 1) * a->scale;
        if (s->bias64) to[j] += s->bias64[i * a->m + j];
        if (unseen(s, i, j)) to[j] = -INFINITY;
    }
}

// Query i to its row of out (E). Returns the row's log-sum-exp. p has room for M.
static float query_f32(Eval *ev, const Attention *a, const Site *s, int64_t i, const float *q,
                       const float *k, const float *v, float *out, float *p)
{
    int64_t keys = keys_of(a, i);
    scores_f32(a, s, i, q, k, p);
    for (int64_t j = keys; j < a->m; j++) p[j] = -INFINITY;
    float m = row_max(p, a->m), shift = (float)shift_of(a, (double)m), l;
    for (int64_t j = 0; j < keys; j++) p[j] -= shift;
    eval_expand(ev, OP_EXP, keys, p, p);
    for (int64_t j = keys; j < a->m; j++) p[j] = 0;
    l = row_sum(p, a->m);
    float by = l == 0 ? 1 : l; // a query without keys
    for (int64_t e = 0; e < a->e; e++) out[e] = chain_f32(keys, p, 1, v + e, a->e) / by;
    eval_expand(ev, OP_LOG, 1, &l, &l);
    return m + l;
}

static double query_f64(const Attention *a, const Site *s, int64_t i, const double *q,
                        const double *k, const double *v, double *out, double *p)
{
    double m = -INFINITY, l = 0;
    int64_t keys = keys_of(a, i);
    scores_f64(a, s, i, q, k, p);
    for (int64_t j = 0; j < keys; j++) m = m > p[j] || m != m ? m : p[j];
    for (int64_t j = 0; j < keys; j++) l += p[j] = exp(p[j] - shift_of(a, m));
    double by = l == 0 ? 1 : l; // a query without keys
    for (int64_t e = 0; e < a->e; e++) out[e] = chain_f64(keys, p, 1, v + e, a->e) / by;
    return m + log(l);
}

void eval_attention(Eval *ev, const Node *n, Value *r)
{
    Attention a = attention_of(ev, n);
    const void *in[3];
    for (uint32_t i = 0; i < 3; i++) in[i] = value_ordered(ev->scratch, eval_arg(ev, n, i), NULL);
    size_t size = work_size(a.work);
    void *out = arena_alloc(ev->scratch, size * (size_t)(a.b * a.n * a.e));
    void *lse = arena_alloc(ev->scratch, size * (size_t)(a.b * a.n));
    void *p = arena_alloc(ev->scratch, size * (size_t)a.m);
    for (int64_t b = 0; b < a.b; b++) {
        Site s = site_of(&a, b);
        for (int64_t i = 0; i < a.n; i++) {
            int64_t row = b * a.n + i;
            if (a.work == WORK_F32)
                ((float *)lse)[row] =
                    query_f32(ev, &a, &s, i, (const float *)in[Q] + b * a.n * a.d,
                              (const float *)in[K] + b * a.m * a.d,
                              (const float *)in[V] + b * a.m * a.e, (float *)out + row * a.e, p);
            else
                ((double *)lse)[row] =
                    query_f64(&a, &s, i, (const double *)in[Q] + b * a.n * a.d,
                              (const double *)in[K] + b * a.m * a.d,
                              (const double *)in[V] + b * a.m * a.e, (double *)out + row * a.e, p);
        }
    }
    value_fill(&r->parts[0], out);
    value_fill(&r->parts[1], lse);
}

// ---- gradients ----------------------------------------------------------------------------------

// Room for p and ds (N, M) of one outer point, and for a row; the matrices of that point.
typedef struct Point {
    const char *all[MATRICES];
    const void *in[MATRICES];
    void *p, *ds, *room;
} Point;

static Point point_new(Eval *ev, const Node *n, const Attention *a)
{
    Point t = {0};
    size_t size = work_size(a->work), scores = size * (size_t)(a->n * a->m);
    for (uint32_t i = 0; i < MATRICES; i++)
        t.all[i] = value_ordered(ev->scratch, eval_arg(ev, n, i), NULL);
    t.p = arena_alloc(ev->scratch, scores);
    t.ds = arena_alloc(ev->scratch, scores);
    t.room = arena_alloc(ev->scratch, size * (size_t)a->e);
    return t;
}

// p and ds of the keys that take part.
static void gradients_f32(Eval *ev, const Attention *a, const Site *s, const Point *t)
{
    const float *lse = t->in[LSE], *out = t->in[OUT], *dout = t->in[DOUT], *v = t->in[V];
    float *p = t->p, *ds = t->ds, *room = t->room;
    for (int64_t i = 0; i < a->n; i++, p += a->m, ds += a->m, out += a->e, dout += a->e) {
        int64_t keys = keys_of(a, i);
        float shift = (float)shift_of(a, (double)lse[i]);
        scores_f32(a, s, i, t->in[Q], t->in[K], p);
        for (int64_t j = 0; j < keys; j++) p[j] -= shift;
        eval_expand(ev, OP_EXP, keys, p, p);
        for (int64_t e = 0; e < a->e; e++) room[e] = dout[e] * out[e];
        float delta = row_sum(room, a->e);
        for (int64_t j = 0; j < keys; j++)
            ds[j] = p[j] * (chain_f32(a->e, dout, 1, v + j * a->e, 1) - delta);
    }
}

static void gradients_f64(const Attention *a, const Site *s, const Point *t)
{
    const double *lse = t->in[LSE], *out = t->in[OUT], *dout = t->in[DOUT], *v = t->in[V];
    double *p = t->p, *ds = t->ds;
    for (int64_t i = 0; i < a->n; i++, p += a->m, ds += a->m, out += a->e, dout += a->e) {
        double delta = chain_f64(a->e, dout, 1, out, 1), shift = shift_of(a, lse[i]);
        scores_f64(a, s, i, t->in[Q], t->in[K], p);
        for (int64_t j = 0; j < keys_of(a, i); j++) {
            p[j] = exp(p[j] - shift);
            ds[j] = p[j] * (chain_f64(a->e, dout, 1, v + j * a->e, 1) - delta);
        }
    }
}

// Go to outer point b: its p and ds, 0 where a key takes no part.
static void point_at(Eval *ev, const Attention *a, Point *t, int64_t b)
{
    size_t size = work_size(a->work);
    int64_t rows[] = {a->n * a->d, a->m * a->d, a->m * a->e, a->n * a->e, a->n, a->n * a->e};
    for (int i = 0; i < MATRICES; i++) t->in[i] = t->all[i] + size * (size_t)(b * rows[i]);
    Site s = site_of(a, b);
    if (a->work == WORK_F32)
        gradients_f32(ev, a, &s, t);
    else
        gradients_f64(a, &s, t);
}

// Queries first .. N - 1 are those that key j takes part for.
static int64_t first_query(const Attention *a, int64_t j)
{
    int64_t first = a->causal ? j - a->m + a->n : 0;
    return first < 0 ? 0 : first < a->n ? first : a->n;
}

// dq, dk, dv of one outer point from p and ds.
static void products_f32(const Attention *a, const Point *t, float *dq, float *dk, float *dv)
{
    const float *q = t->in[Q], *k = t->in[K], *dout = t->in[DOUT], *p = t->p, *ds = t->ds;
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

static void products_f64(const Attention *a, const Point *t, double *dq, double *dk, double *dv)
{
    const double *q = t->in[Q], *k = t->in[K], *dout = t->in[DOUT], *p = t->p, *ds = t->ds;
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
    Point t = point_new(ev, n, &a);
    size_t size = work_size(a.work);
    int64_t rows[] = {a.n * a.d, a.m * a.d, a.m * a.e};
    char *out[3];
    for (uint32_t i = 0; i < 3; i++)
        out[i] = arena_alloc(ev->scratch, size * (size_t)(a.b * rows[i]));
    for (int64_t b = 0; b < a.b; b++) {
        void *y[3];
        for (int i = 0; i < 3; i++) y[i] = out[i] + size * (size_t)(b * rows[i]);
        point_at(ev, &a, &t, b);
        if (a.work == WORK_F32)
            products_f32(&a, &t, y[0], y[1], y[2]);
        else
            products_f64(&a, &t, y[0], y[1], y[2]);
    }
    for (uint32_t i = 0; i < 3; i++) value_fill(&r->parts[i], out[i]);
}

void eval_attention_bias_grad(Eval *ev, const Node *n, Value *r)
{
    Attention a = attention_of(ev, n);
    Point t = point_new(ev, n, &a);
    int64_t scores = a.n * a.m;
    void *out = arena_alloc(ev->scratch, work_size(a.work) * (size_t)type_count(n->type));
    for (int64_t b = 0; b < a.b; b++) {
        int64_t at = point_of(&a, n->type, b) * scores;
        point_at(ev, &a, &t, b);
        for (int64_t i = 0; i < scores; i++)
            if (a.work == WORK_F32)
                ((float *)out)[at + i] += ((float *)t.ds)[i];
            else
                ((double *)out)[at + i] += ((double *)t.ds)[i];
    }
    value_fill(r, out);
}
