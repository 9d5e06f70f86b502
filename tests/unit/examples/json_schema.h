// A validator for the part of JSON Schema that `cztc schema` uses.
#ifndef CZT_TESTS_JSON_SCHEMA_H
#define CZT_TESTS_JSON_SCHEMA_H

#include "frontend/tree.h"

#include <jansson.h>

// What a schema refuses of a file: the path of the value and the keyword, "experts.seg: required
// output"; NULL where it is allowed. A keyword that the validator does not know is refused too.
const char *schema_refuses(Arena *arena, const json_t *schema, const Tree *file);

#endif
