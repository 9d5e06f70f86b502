#ifndef CZT_CLI_FIT_H
#define CZT_CLI_FIT_H

#include "passes/lower.h"

// Run the passes. Where the program has a limit of memory and all passes run, pass save gives up as
// much as its plan needs to keep to it, `recompute` parts of RECOMPUTE_ALL; where none does, the
// smallest plan is made. For a GPU p->least becomes what a plan takes that gives up all it can, or
// the plan itself where that is smaller. False
// as passes_run.
bool fit_passes(Program *p, const PassOptions *options, int64_t *recompute, Error *err);

#endif
