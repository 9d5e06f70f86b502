// tests/errors/accidents: whole graphs, each with one accident of YAML. NAME.edit says what is
// wrong in its first line, then which lines of graph.yaml ('-') are written otherwise ('+').
#ifndef CZT_TESTS_ACCIDENTS_H
#define CZT_TESTS_ACCIDENTS_H

#include "base/arena.h"

// The graph itself.
const char *accidents_graph(Arena *a);
// A new folder with all these graphs as NAME.yaml, and a link to graphs/; to be removed.
const char *accidents_write(Arena *a);
void accidents_remove(Arena *a, const char *folder);

#endif
