// Folders that commands make.
#ifndef CZT_RUNNER_FOLDERS_H
#define CZT_RUNNER_FOLDERS_H

#include "base/arena.h"
#include "base/diag.h"

// Make a folder and those above it.
bool make_folders(Arena *arena, const char *path, Error *err);
// XDG_CACHE_HOME/cztc, or HOME/.cache/cztc, which may not exist; NULL where neither is set.
const char *cache_folder(Arena *arena);

#endif
