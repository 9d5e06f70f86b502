// The library of modules, which is part of cztc.
#ifndef CZT_CLI_ASSETS_H
#define CZT_CLI_ASSETS_H

#include "base/diag.h"
#include "runner/assets.h"

// A folder with the library's files, as they are in the program: XDG_CACHE_HOME/cztc/lib-CHECKSUM,
// made or mended where needed, so that messages can name files one can open. NULL with err.
const char *assets_library(Arena *arena, Error *err);

#endif
