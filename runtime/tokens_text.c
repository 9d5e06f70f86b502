// Classes of characters as Rust and the Unicode tables of `tokenizers` have them, and the reading
// of the parts that several kinds of steps share.
#include "runtime/tokens.h"

#include <stdarg.h>
#include <utf8proc.h>

bool char_is_space(int32_t c) // White_Space
{
    return c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

bool char_is_number(int32_t c)
{
    if (c < 128) return c >= '0' && c <= '9';
    utf8proc_category_t g = utf8proc_category(c);
    return g >= UTF8PROC_CATEGORY_ND && g <= UTF8PROC_CATEGORY_NO;
}

bool char_is_punctuation(int32_t c)
{
    if (c < 128)
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
               (c >= 123 && c <= 126);
    utf8proc_category_t g = utf8proc_category(c);
    bool mark = g >= UTF8PROC_CATEGORY_PC && g <= UTF8PROC_CATEGORY_PO;
    return mark ? !char_is_later(c, TABLE_PUNCTUATION) : c == 0x166D || c == 0x111C9;
}

// Letters, marks, digits, connectors and joiners: \w of Unicode's technical standard 18.
bool char_is_word(int32_t c)
{
    if (c < 128)
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               c == '_';
    utf8proc_category_t g = utf8proc_category(c);
    return (g >= UTF8PROC_CATEGORY_LU && g <= UTF8PROC_CATEGORY_NL) || g == UTF8PROC_CATEGORY_PC ||
           c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
           (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
           (c >= 0x1F170 && c <= 0x1F189);
}

bool text_char(Text *to, int32_t c)
{
    char bytes[4];
    return text_add(to, bytes, (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)bytes));
}

// ---- reading ------------------------------------------------------------------------------------

bool reader_fail(const TokenReader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = str_vprintf(r->arena, fmt, ap);
    va_end(ap);
    return error_set(r->err, "%s: %s: %s", r->name, r->place, text);
}

TokenReader reader_at(const TokenReader *r, const char *key)
{
    TokenReader in = *r;
    in.place = *r->place ? str_printf(r->arena, "%s.%s", r->place, key) : key;
    return in;
}

TokenReader reader_item(const TokenReader *r, const char *key, uint32_t i)
{
    return reader_at(r, str_printf(r->arena, "%s[%u]", key, i));
}

bool reader_bool(const TokenReader *r, const Jv *map, const char *key, bool *to)
{
    const Jv *v = jv_get(map, key);
    if (v && v->kind != JV_TRUE && v->kind != JV_FALSE)
        return reader_fail(r, "'%s' is true or false", key);
    if (v) *to = v->kind == JV_TRUE;
    return true;
}

bool reader_text(const TokenReader *r, const Jv *map, const char *key, const Jv **to)
{
    const Jv *v = jv_get(map, key);
    if (v && v->kind != JV_TEXT) return reader_fail(r, "'%s' is a text", key);
    if (v) {
        Jv *copy = arena_copy(r->arena, v, sizeof *v);
        copy->text = str_slice(r->arena, v->text, v->n);
        *to = copy;
    }
    return true;
}

bool reader_int(const TokenReader *r, const Jv *map, const char *key, int64_t most, int64_t *to)
{
    const Jv *v = jv_get(map, key);
    if (!v) return true;
    if (v->kind != JV_NUMBER || !(v->number >= 0 && v->number <= (double)most) ||
        v->number != (double)(int64_t)v->number)
        return reader_fail(r, "'%s' is a whole number from 0 to %lld", key, (long long)most);
    *to = (int64_t)v->number;
    return true;
}

bool reader_pattern(const TokenReader *r, const Jv *map, Pattern *to)
{
    const Jv *pattern = jv_get(map, "pattern"), *text = NULL, *regex = NULL;
    if (!reader_text(r, pattern, "String", &text) || !reader_text(r, pattern, "Regex", &regex))
        return false;
    if (!text == !regex)
        return reader_fail(r, "'pattern' is {\"String\": text} or {\"Regex\": text}");
    if (text) {
        *to = (Pattern){.kind = PATTERN_TEXT, .text = text->text, .n = text->n};
        return text->n || reader_fail(r, "an empty pattern");
    }
    Error why = {0};
    *to = (Pattern){.kind = PATTERN_REGEX,
                    .regex = regex_compile(regex->text, regex->n, "pattern", &why)};
    if (!to->regex) return reader_fail(r, "%s", why.text);
    vec_push(r->arena, r->regexes, to->regex);
    return true;
}

enum { MOST_PARTS = 1000 };

bool reader_parts(const TokenReader *r, const Jv *part, const char *list, PartReader *one, void *to)
{
    const Jv *type = jv_get(part, "type");
    if (!part) return true;
    if (!type || type->kind != JV_TEXT) return reader_fail(r, "an object with a 'type' is wanted");
    if (!jv_is(type, "Sequence")) return one(r, part, type, to);
    const Jv *parts = jv_get(part, list);
    if (!parts || parts->kind != JV_LIST || parts->n > MOST_PARTS)
        return reader_fail(r, "'%s' is a list", list);
    for (uint32_t i = 0; i < parts->n; i++) {
        TokenReader in = reader_item(r, list, i);
        if (!reader_parts(&in, &parts->items[i], list, one, to)) return false;
    }
    return true;
}
