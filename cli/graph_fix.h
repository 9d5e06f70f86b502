// cztc check --fix: errors whose mend is sure are mended in the file.
#ifndef CZT_CLI_GRAPH_FIX_H
#define CZT_CLI_GRAPH_FIX_H

#include "base/arena.h"
#include "base/diag.h"

// Write into the file the mends of the errors that have just one, where fewer errors are left by
// that and no new one but what a mended one hid, and print a line for each. A valid file is not
// touched; what is left is not printed. A library file is looked at alone. lib: of the library's
// files, or NULL for the built-in ones. False: err is set, the file whole.
bool graph_fix(Arena *arena, const char *file, const char *lib, Error *err);

#endif
