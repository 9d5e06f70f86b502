// The library of modules, which is part of cztc.
#ifndef CZT_CLI_ASSETS_H
#define CZT_CLI_ASSETS_H

#include "base/diag.h"
#include "runner/assets.h"

// A folder with the library's files, as they are in the program: XDG_CACHE_HOME/cztc/lib-CHECKSUM,
// made or mended where needed, so that messages can name files one can open. NULL with err.
const char *assets_library(Arena *arena, Error *err);
// XDG_CACHE_HOME/cztc, or HOME/.cache/cztc, which may not exist; NULL where neither is set.
const char *assets_cache_folder(Arena *arena);
// Make the folders above a file.
bool assets_make_folders(Arena *arena, const char *path, Error *err);

#endif
