// The JSON Schema of graph and library files, for editors.
#ifndef CZT_FRONTEND_SCHEMA_H
#define CZT_FRONTEND_SCHEMA_H

#include "base/arena.h"

typedef enum { SCHEMA_GRAPH, SCHEMA_LIBRARY } SchemaOf;

// The schema as JSON text, in the arena. It is of draft 07: YAML language servers of before 2025
// read no later one.
const char *schema_json(Arena *arena, SchemaOf of);

#endif
