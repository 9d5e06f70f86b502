// Ranks in similarity tables that are never stored: retrieval and zero-shot classification.
#ifndef CZT_RUNNER_RANKING_H
#define CZT_RUNNER_RANKING_H

#include "runtime/pool.h"

// Scale each row of (n, width) to length 1.
void rows_normalize(float *rows, int64_t n, int64_t width);
// How many of the queries (n, width) have their own candidate (index own[i], NULL: i) among the k
// most similar of (m, width); own[i] < 0 is left out. Equal similarities: the lower index first.
void rank_within(Pool *pool, const float *queries, int64_t n, const float *candidates, int64_t m,
                 int64_t width, const int32_t *own, const int64_t *k, int64_t *within, uint32_t nk);

#endif
