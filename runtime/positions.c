// Resampling is separable: along w, then along h, each output a weighted mean of a few inputs,
// added up in f64.
#include "runtime/positions.h"

#include "base/arena.h"
#include "base/glob.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_MOST = 16 };

bool positions_way(const char *name, PositionsWay *way)
{
    static const char *const names[] = {"grid", "line", "first"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *way = (PositionsWay)i;
        return true;
    }
    return false;
}

const PositionsRule *positions_rule(const PositionsRules *rules, const char *name)
{
    for (uint32_t i = 0; i < rules->n; i++)
        if (glob_match(rules->at[i].match, name)) return &rules->at[i];
    return NULL;
}

// ---- sizes ------------------------------------------------------------------------------------

// (1, n, d) counts as (n, d).
static bool table(const CztTensor *t, int64_t *rows, int64_t *width)
{
    uint32_t skip = t->rank == 3 && t->shape[0] == 1;
    if (t->rank != skip + 2) return false;
    *rows = t->shape[skip];
    *width = t->shape[skip + 1];
    return *rows > 0;
}

bool positions_alike(const CztTensor *from, const CztTensor *to)
{
    int64_t n, m, d, e;
    return table(from, &n, &d) && table(to, &m, &e) && d == e;
}

bool positions_reshape(const PositionsRule *rule)
{
    return rule->way == POSITIONS_GRID && rule->from[0] && rule->to[0] &&
           (rule->from[0] != rule->to[0] || rule->from[1] != rule->to[1]);
}

// The side of a square; 0 where it is none.
static int64_t side(int64_t n)
{
    int64_t s = n > 0 ? llround(sqrt((double)n)) : 0;
    return s * s == n ? s : 0;
}

// The number of rows in front that leaves a square of both, of 2 x 2 or more; -1: none. There is
// one at most: squares that are no more than PREFIX_MOST apart are small ones.
static int64_t find_prefix(int64_t n, int64_t m)
{
    for (int64_t p = 0; p <= PREFIX_MOST; p++)
        if (side(n - p) > 1 && side(m - p) > 1) return p;
    return -1;
}

// One grid (h, w) of n rows: as it is said, or a square.
static bool settle_grid(const int64_t *said, int64_t n, const char *whose, int64_t *grid,
                        Error *err)
{
    bool known = said[0] > 0;
    grid[0] = known ? said[0] : side(n);
    grid[1] = known ? said[1] : side(n);
    if (grid[0] && grid[1] <= n && grid[0] * grid[1] == n) return true;
    if (known)
        return error_set(err, "%s has %lld rows, which are no grid of %lld x %lld", whose,
                         (long long)n, (long long)said[0], (long long)said[1]);
    return error_set(err, "%s has %lld rows, which are no square: from: and to: say the grids",
                     whose, (long long)n);
}

// The rows in front of the grid, from what is said of the grids.
static bool settle_prefix(const PositionsRule *rule, int64_t n, int64_t m, int64_t *prefix,
                          Error *err)
{
    *prefix = rule->prefix;
    if (*prefix < 0 && rule->from[0]) *prefix = n - rule->from[0] * rule->from[1];
    if (*prefix < 0 && rule->to[0]) *prefix = m - rule->to[0] * rule->to[1];
    if (*prefix < 0 && !rule->from[0] && !rule->to[0]) *prefix = find_prefix(n, m);
    if (*prefix >= 0 && *prefix < n && *prefix < m) return true;
    return error_set(err,
                     "%lld and %lld rows are not two grids behind one number of others: "
                     "from:, to: and prefix: say what they are",
                     (long long)n, (long long)m);
}

// What is in between, (from h, to w), is held in memory.
static bool small_middle(const Positions *p, Error *err)
{
    int64_t rows = p->from[0] * p->to[1];
    if (rows <= POSITIONS_MIDDLE) return true;
    return error_set(err,
                     "from a grid of %lld x %lld to one of %lld x %lld there is one of %lld x %lld "
                     "in between, and that has %d rows at most",
                     (long long)p->from[0], (long long)p->from[1], (long long)p->to[0],
                     (long long)p->to[1], (long long)p->from[0], (long long)p->to[1],
                     POSITIONS_MIDDLE);
}

bool positions_plan(const PositionsRule *rule, const CztTensor *from, const CztTensor *to,
                    Positions *plan, Error *err)
{
    int64_t n = 0, m = 0, d = 0, e = 0;
    if (!table(from, &n, &d) || !table(to, &m, &e) || d != e)
        return error_set(err, "only a table (n, d), or (1, n, d), is resized, and d stays");
    *plan = (Positions){.way = rule->way, .from = {n}, .to = {m}, .width = d};
    if (n == m && !positions_reshape(rule)) {
        plan->way = POSITIONS_FIRST; // as it is
        return true;
    }
    if (rule->way == POSITIONS_FIRST && n < m)
        return error_set(err, "the file has no more than %lld of the first %lld rows", (long long)n,
                         (long long)m);
    if (rule->way != POSITIONS_GRID) return true;
    return settle_prefix(rule, n, m, &plan->prefix, err) &&
           settle_grid(rule->from, n - plan->prefix, "the file's grid", plan->from, err) &&
           settle_grid(rule->to, m - plan->prefix, "the program's grid", plan->to, err) &&
           small_middle(plan, err);
}

// ---- resampling -------------------------------------------------------------------------------

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

// Weights of the inputs [*first, *first + count) of output i; the array has n.
static int64_t cubic_weights(int64_t i, int64_t n, int64_t m, int64_t *first, double *weight)
{
    double scale = (double)n / (double)m, wide = scale > 1 ? scale : 1, sum = 0;
    double centre = scale * ((double)i + 0.5);
    int64_t lo = (int64_t)(centre - 2 * wide + 0.5), hi = (int64_t)(centre + 2 * wide + 0.5);
    *first = lo > 0 ? lo : 0;
    int64_t count = (hi < n ? hi : n) - *first;
    for (int64_t k = 0; k < count; k++) {
        weight[k] = cubic(((double)(k + *first) - centre + 0.5) / wide);
        sum += weight[k];
    }
    for (int64_t k = 0; k < count; k++) weight[k] /= sum;
    return count;
}

static int64_t linear_weights(int64_t i, int64_t n, int64_t m, int64_t *first, double *weight)
{
    double at = ((double)i + 0.5) * (double)n / (double)m - 0.5;
    if (at < 0) at = 0;
    *first = (int64_t)at < n - 1 ? (int64_t)at : n - 1;
    weight[0] = 1 - (at - (double)*first);
    weight[1] = 1 - weight[0];
    return *first + 1 < n ? 2 : (weight[0] = 1, 1);
}

typedef int64_t Weights(int64_t i, int64_t n, int64_t m, int64_t *first, double *weight);

// (outer, n, width) -> (outer, m, width)
static void resample(Weights *weights, const float *from, float *to, int64_t outer, int64_t n,
                     int64_t m, int64_t width, double *weight)
{
    for (int64_t i = 0; i < m; i++) {
        int64_t first, count = weights(i, n, m, &first, weight);
        for (int64_t o = 0; o < outer; o++)
            for (int64_t c = 0; c < width; c++) {
                const float *x = from + (o * n + first) * width + c;
                double sum = 0;
                for (int64_t k = 0; k < count; k++) sum += weight[k] * (double)x[k * width];
                to[(o * m + i) * width + c] = (float)sum;
            }
    }
}

void positions_resize(const Positions *p, const float *from, float *to)
{
    int64_t d = p->width, most = p->from[0] > p->from[1] ? p->from[0] : p->from[1];
    Arena *arena = arena_new();
    double *weight = arena_array(arena, double, most + 2);
    if (p->way == POSITIONS_FIRST) {
        memcpy(to, from, (size_t)(p->to[0] * d) * sizeof *to);
    } else if (p->way == POSITIONS_LINE) {
        resample(linear_weights, from, to, 1, p->from[0], p->to[0], d, weight);
    } else {
        float *middle = arena_array(arena, float, p->from[0] * p->to[1] * d);
        memcpy(to, from, (size_t)(p->prefix * d) * sizeof *to);
        from += p->prefix * d;
        to += p->prefix * d;
        resample(cubic_weights, from, middle, p->from[0], p->from[1], p->to[1], d, weight);
        resample(cubic_weights, middle, to, 1, p->from[0], p->to[0], p->to[1] * d, weight);
    }
    arena_free(arena);
}
