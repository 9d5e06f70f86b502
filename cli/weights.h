// Files of weights that a graph names: what init: and teachers take.
#ifndef CZT_CLI_WEIGHTS_H
#define CZT_CLI_WEIGHTS_H

#include "frontend/frontend.h"

// Do those that are there have what the program takes of them, in names, shapes and dtypes? What
// does not fit is an error where the file is named. Only headers are read, and all of a file that
// has a checksum.
void weights_check(Arena *arena, Diag *diag, const Frontend *frontend);

#endif
