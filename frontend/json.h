// Writes JSON text into an arena.
#ifndef CZT_FRONTEND_JSON_H
#define CZT_FRONTEND_JSON_H

#include "base/vec.h"

#include <stdbool.h>

typedef struct Json {
    Arena *arena;
    VEC(char) text;
    bool comma; // the next item needs one before it
} Json;

// Begin or end an object or list; key is NULL inside a list. open is '{' or '['.
void json_open(Json *j, const char *key, char open);
void json_close(Json *j, char close);
void json_str(Json *j, const char *key, const char *s);
void json_int(Json *j, const char *key, int64_t i);
void json_float(Json *j, const char *key, double f);
void json_bool(Json *j, const char *key, bool b);
// Text that is JSON already.
void json_raw(Json *j, const char *key, const char *text);
// The text, NUL-terminated.
const char *json_text(Json *j);

#endif
