// The state of a run: its newest checkpoint's, or parameters of a file.
#ifndef CZT_RUNNER_NEWEST_H
#define CZT_RUNNER_NEWEST_H

#include "runner/load.h"

// Initialise, then take the parameters of `weights` (where not NULL), or of the newest checkpoint
// of the folder `run` (where not NULL); slow copies that have not begun, or that a file does not
// have, become the student. Says on stderr what was taken. *step: finished updates, of weights all
// of the graph's.
bool newest_state(Arena *arena, const Loaded *l, const char *run, const char *weights,
                  int64_t *step, Error *err);

#endif
