// The numbers that a step's integer inputs may hold, as its graph says.
#ifndef CZT_CLI_RANGES_H
#define CZT_CLI_RANGES_H

#include "base/container.h"
#include "frontend/frontend.h"
#include "ir/program.h"

#include <jansson.h>

// Add to the manifest among a step file's sections, as its key "ranges", how many values each
// integer input of entry "step" has, from 0: the rows of the table it indexes, the classes it is
// compared with. Inputs of which nothing is known are left out.
void ranges_add(Arena *arena, Program *program, Section *sections, uint32_t n);
// The same as an object {"text": 49408}; the caller frees it.
json_t *ranges_find(Arena *arena, Program *program);
// Warn of fields that say they have more classes than the step has outputs to compare them with.
void ranges_check(Arena *arena, Diag *diag, const Frontend *frontend);
// Does a step look for the place of an integer input's largest elements?
bool ranges_largest(Arena *arena, Program *program, const char *input);
// Add a key to the manifest among a step file's sections.
void manifest_add(Arena *arena, Section *sections, uint32_t n, const char *key,
                  const json_t *value);

#endif
