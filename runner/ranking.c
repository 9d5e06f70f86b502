// A query's rank is the number of candidates before its own, counted in one sweep over the
// candidates; the queries are shared out to the pool's threads in blocks, so memory is one row of
// similarities a thread.
#include "runner/ranking.h"

#include <math.h>
#include <stdlib.h>

void rows_normalize(float *rows, int64_t n, int64_t width)
{
    for (int64_t i = 0; i < n; i++) {
        float *row = rows + i * width;
        double sum = 0;
        for (int64_t d = 0; d < width; d++) sum += (double)row[d] * row[d];
        double scale = sum > 0 ? 1 / sqrt(sum) : 0;
        for (int64_t d = 0; d < width; d++) row[d] = (float)(row[d] * scale);
    }
}

typedef struct Ranking {
    const float *queries, *candidates;
    int64_t m, width;
    const int32_t *own;
    int64_t *rank; // of each query; -1: left out
} Ranking;

// Eight chains, so that the compiler can use vectors.
static float similarity(const float *a, const float *b, int64_t n)
{
    float sum[8] = {0}, all = 0;
    int64_t d = 0;
    for (; d + 8 <= n; d += 8)
        for (int lane = 0; lane < 8; lane++) sum[lane] += a[d + lane] * b[d + lane];
    for (; d < n; d++) all += a[d] * b[d];
    for (int lane = 0; lane < 8; lane++) all += sum[lane];
    return all;
}

static void rank_queries(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    const Ranking *r = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const float *q = r->queries + i * r->width;
        int64_t own = r->own ? r->own[i] : i, before = 0;
        r->rank[i] = -1;
        if (own < 0 || own >= r->m) continue;
        float mine = similarity(q, r->candidates + own * r->width, r->width);
        for (int64_t c = 0; c < r->m; c++) {
            float s = similarity(q, r->candidates + c * r->width, r->width);
            before += s > mine || (s == mine && c < own) || isnan(mine);
        }
        r->rank[i] = before;
    }
}

void rank_within(Pool *pool, const float *queries, int64_t n, const float *candidates, int64_t m,
                 int64_t width, const int32_t *own, const int64_t *k, int64_t *within, uint32_t nk)
{
    Arena *arena = arena_new();
    Ranking r = {queries, candidates, m, width, own, arena_array(arena, int64_t, n + 1)};
    pool_run(pool, rank_queries, &r, n);
    for (uint32_t j = 0; j < nk; j++) {
        within[j] = 0;
        for (int64_t i = 0; i < n; i++) within[j] += r.rank[i] >= 0 && r.rank[i] < k[j];
    }
    arena_free(arena);
}
