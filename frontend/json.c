// Writes JSON text into an arena.
#include "frontend/json.h"

#include <math.h>

static void put(Json *j, const char *s)
{
    for (; *s; s++) vec_push(j->arena, &j->text, *s);
}

static void quote(Json *j, const char *s)
{
    put(j, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            put(j, c == '"' ? "\\\"" : "\\\\");
        else if (c < 0x20)
            put(j, str_printf(j->arena, "\\u%04x", c));
        else
            vec_push(j->arena, &j->text, (char)c);
    }
    put(j, "\"");
}

static void item(Json *j, const char *key)
{
    if (j->comma) put(j, ",");
    j->comma = true;
    if (!key) return;
    quote(j, key);
    put(j, ":");
}

void json_open(Json *j, const char *key, char open)
{
    item(j, key);
    vec_push(j->arena, &j->text, open);
    j->comma = false;
}

void json_close(Json *j, char close)
{
    vec_push(j->arena, &j->text, close);
    j->comma = true;
}

void json_str(Json *j, const char *key, const char *s)
{
    item(j, key);
    quote(j, s);
}

void json_int(Json *j, const char *key, int64_t i)
{
    item(j, key);
    put(j, str_printf(j->arena, "%lld", (long long)i));
}

void json_float(Json *j, const char *key, double f)
{
    item(j, key);
    bool whole = floor(f) == f && fabs(f) < 1e15;
    put(j, whole ? str_printf(j->arena, "%.0f", f) : str_printf(j->arena, "%.17g", f));
}

void json_bool(Json *j, const char *key, bool b)
{
    item(j, key);
    put(j, b ? "true" : "false");
}

void json_raw(Json *j, const char *key, const char *text)
{
    item(j, key);
    put(j, text);
}

const char *json_text(Json *j)
{
    vec_push(j->arena, &j->text, '\0');
    return j->text.at;
}
