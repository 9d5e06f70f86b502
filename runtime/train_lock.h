// One trainer in a run's folder.
#ifndef CZT_RUNTIME_TRAIN_LOCK_H
#define CZT_RUNTIME_TRAIN_LOCK_H

#include "base/diag.h"

// Take the folder's lock, the file folder/lock, which also says the process that has it. The lock
// goes with the process, however it ends; the file stays. Gives a descriptor to keep open, or -1
// and an error that names the process which has it. Where the file system knows no locks, that is
// said on `warnings` (NULL: nowhere) and the run goes on without. Files that a killed holder left
// half-written in the folder itself are removed.
int train_lock(const char *folder, FILE *warnings, Error *err);

#endif
