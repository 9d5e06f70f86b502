// What `cztc compile` writes.
#ifndef CZT_CLI_OUTPUT_H
#define CZT_CLI_OUTPUT_H

#include "base/container.h"

// Write a step's sections: as a step file where the path ends in .czt, else as an executable, which
// is cztc-run with the step after it. The file appears whole or not at all; one that stood there,
// or runs, is replaced.
bool output_write(const char *path, const Section *sections, uint32_t n, Error *err);

#endif
