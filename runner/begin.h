// The weights that a graph's init: names, for a new run.
#ifndef CZT_RUNNER_BEGIN_H
#define CZT_RUNNER_BEGIN_H

#include "runner/load.h"

// After exec_init: take the tensors of every row's file, and tell on `to` what was taken and what
// was left. True where there are no rows.
bool begin_weights(const Loaded *l, FILE *to, Error *err);

#endif
