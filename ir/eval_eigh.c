// Eigenvalues and eigenvectors of symmetric matrices, by Jacobi's rotations from one side:
// docs/ir.md, "Ordered ops". Numbers are held as double; in bits mode each operation is rounded to
// f32 at once, which is the same as doing it in f32 (a double has more than twice the digits), and
// fma is done in f32.
#include "ir/eval.h"

#include <math.h>

enum { LANES = 64 }; // of the row stage

typedef struct Matrix {
    bool wide; // f64
    int64_t n;
    double *rows;  // (n, n)
    double *norms; // (n): squares of the rows' lengths
} Matrix;

static double rounded(const Matrix *m, double x)
{
    return m->wide ? x : (double)(float)x;
}

static double fused(const Matrix *m, double x, double y, double z)
{
    return m->wide ? fma(x, y, z) : (double)fmaf((float)x, (float)y, (float)z);
}

static double *row_at(const Matrix *m, int64_t i)
{
    return m->rows + i * m->n;
}

static double dot(const Matrix *m, const double *x, const double *y)
{
    double lane[LANES] = {0};
    for (int64_t i = 0; i < m->n; i++) lane[i % LANES] = fused(m, x[i], y[i], lane[i % LANES]);
    for (int w = LANES / 2; w; w /= 2)
        for (int l = 0; l < w; l++) lane[l] = rounded(m, lane[l] + lane[l + w]);
    return lane[0];
}

static void measure(Matrix *m)
{
    for (int64_t i = 0; i < m->n; i++) m->norms[i] = dot(m, row_at(m, i), row_at(m, i));
}

// The lower triangle of x, divided by its largest magnitude and by the length of all that together,
// plus 2 on the diagonal: eigenvalues are in [1, 3] then.
static void scale(Matrix *m, const double *x, double *largest, double *length)
{
    double most = 0, sum = 0;
    int64_t n = m->n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++)
            if (fabs(x[i * n + j]) > most) most = fabs(x[i * n + j]);
    *largest = most == 0 ? 1 : most;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            m->rows[i * n + j] = rounded(m, x[j <= i ? i * n + j : j * n + i] / *largest);
    measure(m);
    for (int64_t i = 0; i < n; i++) sum = rounded(m, sum + m->norms[i]);
    *length = rounded(m, sqrt(sum));
    if (*length == 0) *length = 1;
    for (int64_t i = 0; i < n * n; i++) m->rows[i] = rounded(m, m->rows[i] / *length);
    for (int64_t i = 0; i < n; i++) m->rows[i * n + i] = rounded(m, m->rows[i * n + i] + 2);
}

// Make rows p < q orthogonal; was there anything to do?
static bool rotate(Matrix *m, int64_t p, int64_t q)
{
    double *x = row_at(m, p), *y = row_at(m, q), *a = &m->norms[p], *b = &m->norms[q];
    double d = dot(m, x, y), least = m->wide ? EIGH_COSINE2 * EIGH_COSINE2 : EIGH_COSINE2;
    if (!(rounded(m, d * d) > rounded(m, least * rounded(m, *a * *b)))) return false;
    double z = rounded(m, rounded(m, *b - *a) / rounded(m, d + d));
    double root = rounded(m, sqrt(fused(m, z, z, 1)));
    double t = rounded(m, 1 / rounded(m, fabs(z) + root));
    t = z < 0 ? -t : t;
    double c = rounded(m, 1 / rounded(m, sqrt(fused(m, t, t, 1)))), s = rounded(m, c * t);
    double half = rounded(m, s / rounded(m, 1 + c)); // c u - s v = u - s (v + half u)
    for (int64_t i = 0; i < m->n; i++) {
        double u = x[i], v = y[i];
        x[i] = fused(m, -s, fused(m, half, u, v), u);
        y[i] = fused(m, s, fused(m, -half, v, u), v);
    }
    *a = fused(m, -t, d, *a);
    *b = fused(m, t, d, *b);
    return true;
}

// Every pair of rows once, in rounds that take each row once at most: number `last` plays against
// one after the other, the rest sits round a table.
static bool sweep(Matrix *m)
{
    int64_t last = m->n + m->n % 2 - 1;
    bool turned = false;
    measure(m);
    for (int64_t round = 0; round < last; round++)
        for (int64_t k = 0; k < (last + 1) / 2; k++) {
            int64_t a = k ? (round + k) % last : last, b = (round - k + last) % last;
            int64_t p = a < b ? a : b, q = a < b ? b : a;
            if (q < m->n) turned |= rotate(m, p, q);
        }
    return turned;
}

// Row i's place in rising order of length, of equal ones the first first; NaN counts as equal.
static int64_t place_of(const Matrix *m, int64_t i)
{
    int64_t place = 0;
    for (int64_t j = 0; j < m->n; j++)
        place += m->norms[j] < m->norms[i] || (j < i && !(m->norms[i] < m->norms[j]));
    return place;
}

static void finish(Matrix *m, double largest, double length, double *values, double *vectors)
{
    int64_t n = m->n;
    measure(m);
    for (int64_t i = 0; i < n; i++) m->norms[i] = rounded(m, sqrt(m->norms[i]));
    for (int64_t i = 0; i < n; i++) {
        const double *x = row_at(m, i);
        int64_t place = place_of(m, i), big = 0;
        for (int64_t j = 1; j < n; j++)
            if (fabs(x[j]) > fabs(x[big])) big = j;
        double by = x[big] < 0 ? -m->norms[i] : m->norms[i];
        for (int64_t j = 0; j < n; j++) vectors[place * n + j] = rounded(m, x[j] / by);
        double v = rounded(m, rounded(m, m->norms[i] - 2) * length);
        values[place] = rounded(m, v * largest);
    }
}

static const double *as_double(Arena *scratch, const Value *v, int64_t n)
{
    double *out = arena_array(scratch, double, n);
    Block block;
    for (int64_t at = 0; at < n; at += SCALAR_BLOCK) {
        int count = n - at < SCALAR_BLOCK ? (int)(n - at) : SCALAR_BLOCK;
        value_load(v, at, count, &block);
        for (int i = 0; i < count; i++)
            out[at + i] = work_of(v->stored) == WORK_F64 ? block.d[i] : (double)block.f[i];
    }
    return out;
}

static void put_double(Value *v, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (work_of(v->stored) == WORK_F64)
            ((double *)v->data)[i] = x[i];
        else
            ((float *)v->data)[i] = (float)x[i];
}

void eval_eigh(Eval *ev, const Node *n, Value *r)
{
    const Value *v = eval_arg(ev, n, 0);
    int64_t size = v->type->axes[v->type->rank - 1].size, all = type_count(v->type);
    const double *x = as_double(ev->scratch, v, all);
    double *values = arena_array(ev->scratch, double, all / size),
           *vectors = arena_array(ev->scratch, double, all), largest, length;
    Matrix m = {.wide = work_of(v->stored) == WORK_F64, .n = size};
    m.rows = arena_array(ev->scratch, double, size *size);
    m.norms = arena_array(ev->scratch, double, size);
    for (int64_t at = 0; at < all; at += size * size) {
        scale(&m, x + at, &largest, &length);
        for (int s = 0; s < EIGH_SWEEPS && sweep(&m); s++) continue;
        finish(&m, largest, length, values + at / size, vectors + at);
    }
    put_double(&r->parts[0], values, all / size);
    put_double(&r->parts[1], vectors, all);
}
