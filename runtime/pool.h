// A persistent thread pool: the caller and threads - 1 workers share the tasks of one region at a
// time.
#ifndef CZT_RUNTIME_POOL_H
#define CZT_RUNTIME_POOL_H

#include "base/diag.h"

typedef struct Pool Pool;

// Do tasks [begin, end); worker is a number below pool_threads, the caller's is 0.
typedef void (*PoolFn)(void *arg, int64_t begin, int64_t end, uint32_t worker);

// Make a pool of that many threads, the caller counted; 0 means one for each core this process may
// use. Workers (never the caller, whose later threads would inherit it) are pinned when there is a
// core for each; they block all signals.
Pool *pool_new(uint32_t threads, Error *err);
// Stop and join the workers. NULL is allowed.
void pool_free(Pool *pool);
uint32_t pool_threads(const Pool *pool);
// Cores this process may use.
uint32_t pool_cores(void);
// Call fn on disjoint ranges that cover [0, n), from several threads; return when all are done. How
// the tasks are split is not defined. One region at a time; fn must not call pool_run on the same
// pool. Every call runs in IEEE mode: round to nearest, denormals kept.
void pool_run(Pool *pool, PoolFn fn, void *arg, int64_t n);

#endif
