// What the step of a run was compiled of, in its folder's graph.json: so --set may change a run
// whose graph file is not named again.
#ifndef CZT_RUNNER_ORIGIN_H
#define CZT_RUNNER_ORIGIN_H

#include "runner/load.h"

// Have the program of a run's folder compiled from its graph file again, with the run's settings
// and those of the options behind. Err where the folder does not say of what, or a file has changed
// since; `instead` says what to do then. Everything new in the options lives in the arena.
bool origin_take(Arena *arena, LoadOptions *options, const char *folder, const char *instead,
                 Error *err);
// Say on stderr in what a loaded program differs from what the step of a folder was compiled of:
// the files that have changed, --set, the target. Nothing where the folder does not say.
void origin_tell(const Loaded *loaded, const LoadOptions *options, const char *folder);
// Note what a loaded program was compiled of, in a folder; of a step file, nothing.
bool origin_save(const Loaded *loaded, const LoadOptions *options, const char *folder, Error *err);

#endif
