// JSON (RFC 8259) by recursive descent. Items of a list or mapping are collected on a stack and
// copied when it closes, so that they lie side by side.
#include "runtime/textjson.h"

#include "base/vec.h"

#include <math.h>
#include <stdlib.h>
#include <utf8proc.h>

enum { DEEPEST = 64 };

typedef struct Parser {
    Arena *arena;
    const char *text, *at, *end;
    const char *name;
    Error *err;
    VEC(Jv) stack;
    int depth;
} Parser;

static bool fail(const Parser *p, const char *what)
{
    int line = 1, column = 1;
    for (const char *c = p->text; c < p->at; c++) {
        column = *c == '\n' ? 1 : column + ((*c & 0xC0) != 0x80);
        line += *c == '\n';
    }
    return error_set(p->err, "%s:%d:%d: JSON: %s", p->name, line, column, what);
}

static void skip_blanks(Parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

// Four hexadecimal digits at p->at; -1 where there are none.
static int32_t hex4(Parser *p)
{
    int32_t value = 0;
    if (p->end - p->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = *p->at++, lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + (lower - 'a' + 10);
        else
            return -1;
    }
    return value;
}

// The character of \uXXXX, of two of them where they are a pair.
static bool unicode_escape(Parser *p, char **to)
{
    int32_t c = hex4(p);
    if (c >= 0xD800 && c < 0xDC00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
        p->at += 2;
        int32_t low = hex4(p);
        c = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : -1;
    }
    if (c < 0 || (c >= 0xD800 && c < 0xE000)) return fail(p, "a wrong \\u escape");
    *to += utf8proc_encode_char(c, (utf8proc_uint8_t *)*to);
    return true;
}

// A text with escapes, whose first one is at `slash`; the quote before it is at `begin` - 1.
static bool escaped(Parser *p, const char *begin, const char *slash, Jv *v)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    const char *close = slash;
    while (close < p->end && *close != '"') close += *close == '\\' ? 2 : 1;
    if (close >= p->end) return fail(p, "a text that does not end");
    char *out = arena_alloc(p->arena, (size_t)(close - begin) + 1), *to = out;
    for (p->at = begin; p->at < close;) {
        char c = *p->at++;
        if ((unsigned char)c < 0x20) return fail(p, "a control character in a text");
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        char e = *p->at++;
        const char *found = e ? strchr(from, e) : NULL;
        if (found)
            *to++ = into[found - from];
        else if (e != 'u' || p->at > close)
            return fail(p, "a wrong escape");
        else if (!unicode_escape(p, &to))
            return false;
    }
    p->at = close + 1;
    *v = (Jv){.text = out, .n = (uint32_t)(to - out), .kind = JV_TEXT};
    return true;
}

static bool text(Parser *p, Jv *v)
{
    const char *begin = ++p->at, *c = begin;
    while (c < p->end && *c != '"' && *c != '\\' && (unsigned char)*c >= 0x20) c++;
    if (c == p->end) return fail(p, "a text that does not end");
    if (*c == '\\') return escaped(p, begin, c, v);
    p->at = c;
    if (*c != '"') return fail(p, "a control character in a text");
    p->at = c + 1;
    *v = (Jv){.text = begin, .n = (uint32_t)(c - begin), .kind = JV_TEXT};
    return true;
}

static bool number(Parser *p, Jv *v)
{
    const char *c = p->at;
    int64_t whole = 0;
    while (c < p->end && *c >= '0' && *c <= '9' && c - p->at < 15)
        whole = whole * 10 + (*c++ - '0');
    *v = (Jv){.number = (double)whole, .kind = JV_NUMBER};
    bool plain = c > p->at && !(*c && strchr("0123456789.eE", *c));
    if (!plain) {
        char *end;
        const char *digit = p->at + (*p->at == '-');
        if (digit == p->end || *digit < '0' || *digit > '9') return fail(p, "a value is wanted");
        v->number = strtod(p->at, &end);
        c = end;
        if (!isfinite(v->number) || memchr(p->at, 'x', (size_t)(c - p->at)) ||
            memchr(p->at, 'X', (size_t)(c - p->at)))
            return fail(p, "a wrong number");
    }
    if (c == p->at) return fail(p, "a value is wanted");
    p->at = c;
    return true;
}

static bool word(Parser *p, Jv *v)
{
    static const char *const words[] = {"null", "false", "true"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(p->end - p->at) < n || memcmp(p->at, words[i], n) != 0) continue;
        p->at += n;
        *v = (Jv){.kind = (JvKind)i};
        return true;
    }
    return number(p, v);
}

static bool value(Parser *p, Jv *v);

// The items up to the closing bracket, on the stack.
static bool items(Parser *p, bool map)
{
    char close = map ? '}' : ']';
    skip_blanks(p);
    if (p->at < p->end && *p->at == close) return true;
    for (;;) {
        Jv v;
        skip_blanks(p);
        if (map) {
            if (p->at == p->end || *p->at != '"') return fail(p, "a key is wanted");
            if (!text(p, &v)) return false;
            vec_push(p->arena, &p->stack, v);
            skip_blanks(p);
            if (p->at == p->end || *p->at != ':') return fail(p, "':' is wanted");
            p->at++;
        }
        if (!value(p, &v)) return false;
        vec_push(p->arena, &p->stack, v);
        skip_blanks(p);
        if (p->at < p->end && *p->at == close) return true;
        if (p->at == p->end || *p->at != ',')
            return fail(p, map ? "',' or '}' is wanted" : "',' or ']' is wanted");
        p->at++;
    }
}

static bool value(Parser *p, Jv *v)
{
    skip_blanks(p);
    char c = p->at < p->end ? *p->at : 0;
    if (c == '"') return text(p, v);
    if (c != '{' && c != '[') return word(p, v);
    if (p->depth == DEEPEST) return fail(p, "nested too deeply");
    uint32_t first = p->stack.n;
    p->at++;
    p->depth++;
    if (!items(p, c == '{')) return false;
    p->depth--;
    p->at++;
    uint32_t n = p->stack.n - first;
    *v = (Jv){.items = n ? arena_copy(p->arena, p->stack.at + first, n * sizeof(Jv)) : NULL,
              .n = c == '{' ? n / 2 : n,
              .kind = c == '{' ? JV_MAP : JV_LIST};
    p->stack.n = first;
    return true;
}

const Jv *jv_parse(Arena *arena, const char *from, size_t n, const char *name, Error *err)
{
    Parser p = {
        .arena = arena, .text = from, .at = from, .end = from + n, .name = name, .err = err};
    Jv v;
    if (n >= UINT32_MAX) return error_set(err, "%s: too large", name), NULL;
    if (!value(&p, &v)) return NULL;
    skip_blanks(&p);
    if (p.at == p.end) return arena_copy(arena, &v, sizeof v);
    fail(&p, "something behind the value");
    return NULL;
}

const Jv *jv_get(const Jv *map, const char *key)
{
    if (!map || map->kind != JV_MAP) return NULL;
    for (uint32_t i = map->n; i-- > 0;)
        if (jv_is(&map->items[2 * i], key))
            return map->items[2 * i + 1].kind == JV_NULL ? NULL : &map->items[2 * i + 1];
    return NULL;
}

bool jv_is(const Jv *v, const char *text_)
{
    return v && v->kind == JV_TEXT && v->n == strlen(text_) && memcmp(v->text, text_, v->n) == 0;
}
