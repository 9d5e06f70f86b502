// A reader of JSON for large files: everything at once into an arena, some 100 MB a second.
#ifndef CZT_RUNTIME_TEXTJSON_H
#define CZT_RUNTIME_TEXTJSON_H

#include "base/diag.h"

typedef enum { JV_NULL, JV_FALSE, JV_TRUE, JV_NUMBER, JV_TEXT, JV_LIST, JV_MAP } JvKind;

typedef struct Jv {
    union {
        double number;
        const char *text; // n bytes, which may be zeros too; a zero follows where it had escapes
        const struct Jv *items; // n of a list; 2 n of a mapping: keys and values in turns
    };
    uint32_t n;
    JvKind kind;
} Jv;

// Parse `text`, n bytes of UTF-8 and a zero behind them. Texts without escapes are not copied, so
// it must outlive the values. NULL with err, which says the line and the column.
const Jv *jv_parse(Arena *arena, const char *text, size_t n, const char *name, Error *err);

// The value of a key of a mapping, the last where there are several; NULL where there is none,
// where it is null, or where `map` is NULL or no mapping.
const Jv *jv_get(const Jv *map, const char *key);
// Whether a value is a text and this one; `v` may be NULL.
bool jv_is(const Jv *v, const char *text);

#endif
