// Captions: HTML character references (by the rules of the HTML standard), white space, lower case
// (full Unicode mapping: one character that becomes two, one that looks at its neighbours).
#include "runtime/caption.h"

#include "runtime/entities.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

bool text_add(Text *to, const char *bytes, size_t n)
{
    enum { MOST = 1 << 28 }; // steps of a tokenizer may multiply a text
    if (n > MOST || to->n > MOST - n) return false;
    if (n > to->capacity - to->n) {
        size_t capacity = 2 * (to->n + n) + 64;
        char *at = realloc(to->at, capacity);
        if (!at) return false;
        to->at = at, to->capacity = capacity;
    }
    if (n) memcpy(to->at + to->n, bytes, n);
    to->n += n;
    return true;
}

int32_t text_next(const char *text, size_t n, size_t *at)
{
    int32_t c;
    utf8proc_ssize_t used =
        utf8proc_iterate((const uint8_t *)text + *at, (utf8proc_ssize_t)(n - *at), &c);
    *at += used > 0 ? (size_t)used : 1;
    return used > 0 ? c : 0xFFFD;
}

static bool add_char(Text *to, int32_t c)
{
    uint8_t bytes[4];
    return text_add(to, (char *)bytes, (size_t)utf8proc_encode_char(c, bytes));
}

// The character(s) of a name of n bytes; only names that count without a semicolon when `bare`.
static const char *entity_find(const char *name, size_t n, bool bare, size_t *length)
{
    bool upper = name[0] >= 'A' && name[0] <= 'Z';
    if (!upper && !(name[0] >= 'a' && name[0] <= 'z')) return NULL;
    const char *at = html_entities[upper ? name[0] - 'A' : name[0] - 'a' + 26];
    while (*at) {
        const char *end = strchr(at, '\xFF'), *blank = strchr(at, ' ');
        bool star = blank[-1] == '*' && blank > at;
        size_t rest = (size_t)(blank - at) - star;
        if (rest == n - 1 && memcmp(at, name + 1, rest) == 0 && (star || !bare)) {
            *length = (size_t)(end - blank - 1);
            return blank + 1;
        }
        at = end + 1;
    }
    return NULL;
}

// What a numeric reference stands for: -1 for nothing.
static int32_t numeric_reference(uint32_t c)
{
    // 0x80 to 0x9F are read as Windows-1252.
    static const uint16_t windows[32] = {
        0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
    if (c >= 0x80 && c <= 0x9F) return windows[c - 0x80];
    if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return 0xFFFD;
    bool control = c < 0x20 && c != '\t' && c != '\n' && c != '\f' && c != '\r';
    if (control || c == 0x7F || (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE) return -1;
    return (int32_t)c;
}

// Resolve "#38;" or "#x26;" at p; returns the bytes used, 0 when it is no reference.
static size_t resolve_number(const char *p, size_t n, Text *to, bool *ok)
{
    bool hex = n > 1 && (p[1] == 'x' || p[1] == 'X');
    size_t first = hex ? 2 : 1, i = first;
    uint32_t value = 0;
    for (; i < n; i++) {
        char lower = (char)(p[i] | 0x20);
        uint32_t digit = p[i] >= '0' && p[i] <= '9'            ? (uint32_t)(p[i] - '0')
                         : hex && lower >= 'a' && lower <= 'f' ? (uint32_t)(lower - 'a' + 10)
                                                               : 99;
        if (digit == 99) break;
        value = value > 0x110000 ? value : value * (hex ? 16 : 10) + digit;
    }
    if (i == first) return 0;
    int32_t c = numeric_reference(value);
    if (c >= 0) *ok = *ok && add_char(to, c);
    return i < n && p[i] == ';' ? i + 1 : i;
}

// Resolve "amp;" or "amp" at p; returns the bytes used, 0 when no name fits.
static size_t resolve_name(const char *p, size_t n, Text *to, bool *ok)
{
    size_t end = 0, length, chars = 0;
    for (; end < n && !memchr("\t\n\f <&#;", p[end], 8); end++)
        if ((p[end] & 0xC0) != 0x80 && ++chars > 32) break;
    if (!end) return 0;
    bool closed = end < n && p[end] == ';';
    const char *found = closed ? entity_find(p, end, false, &length) : NULL;
    size_t used = end + 1;
    for (size_t x = end; !found && x > 1; x--) found = entity_find(p, used = x, true, &length);
    if (!found) return 0;
    *ok = *ok && text_add(to, found, length);
    return used;
}

static bool unescape(const char *text, size_t n, Text *to)
{
    bool ok = true;
    to->n = 0;
    for (size_t at = 0; at < n && ok;) {
        const char *amp = memchr(text + at, '&', n - at);
        size_t plain = amp ? (size_t)(amp - text) - at : n - at;
        ok = text_add(to, text + at, plain);
        at += plain;
        if (!amp) break;
        at++;
        size_t left = n - at, used = 0;
        if (left)
            used = text[at] == '#' ? resolve_number(text + at, left, to, &ok)
                                   : resolve_name(text + at, left, to, &ok);
        if (!used) ok = ok && text_add(to, "&", 1);
        at += used;
    }
    return ok;
}

static bool is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

// Runs of white space to one blank, none at the ends.
static bool collapse(const char *text, size_t n, Text *to)
{
    bool ok = true, pending = false;
    to->n = 0;
    for (size_t at = 0; at < n && ok;) {
        size_t begin = at;
        if (is_space(text_next(text, n, &at))) {
            pending = to->n > 0;
            continue;
        }
        if (pending) ok = text_add(to, " ", 1);
        pending = false;
        ok = ok && text_add(to, text + begin, at - begin);
    }
    return ok;
}

static bool is_cased(int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT || c == 0xAA || c == 0xBA ||
           (c >= 0x2160 && c <= 0x217F) || (c >= 0x24B6 && c <= 0x24E9);
}

// Unicode's Case_Ignorable: marks, modifiers, format characters, and the middle punctuation of
// words.
static bool is_case_ignorable(int32_t c)
{
    static const uint16_t middle[] = {'\'',   '.',    ':',    0xB7,   0x387,  0x55F,
                                      0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                      0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    for (size_t i = 0; i < sizeof middle / sizeof *middle; i++)
        if (c == middle[i]) return true;
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
           category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
           category == UTF8PROC_CATEGORY_SK;
}

// Whether the first character from `at` that is not case-ignorable is cased.
static bool cased_after(const char *text, size_t n, size_t at)
{
    while (at < n) {
        int32_t c = text_next(text, n, &at);
        if (!is_case_ignorable(c)) return is_cased(c);
    }
    return false;
}

// Lower case; a sigma that ends a word becomes its final form.
static bool lower(const char *text, size_t n, Text *to)
{
    bool ok = true, cased_before = false;
    to->n = 0;
    for (size_t at = 0; at < n && ok;) {
        int32_t c = text_next(text, n, &at);
        if (c == 0x130)
            ok = text_add(to, "i\xCC\x87", 3); // i and a dot above
        else if (c == 0x3A3)
            ok = add_char(to, cased_before && !cased_after(text, n, at) ? 0x3C2 : 0x3C3);
        else
            ok = add_char(to, utf8proc_tolower(c));
        if (!is_case_ignorable(c)) cased_before = is_cased(c);
    }
    return ok;
}

size_t text_valid(const char *text, size_t n)
{
    size_t at = 0;
    while (at < n) {
        int32_t c;
        utf8proc_ssize_t used =
            utf8proc_iterate((const uint8_t *)text + at, (utf8proc_ssize_t)(n - at), &c);
        if (used <= 0) return at;
        at += (size_t)used;
    }
    return n;
}

bool caption_clean(const char *text, size_t n, Text *to, Error *err)
{
    size_t bad = text_valid(text, n);
    if (bad < n) return error_set(err, "invalid UTF-8 at byte %zu of %zu", bad, n);
    Text other = {0};
    bool ok = unescape(text, n, &other) && unescape(other.at, other.n, to) &&
              collapse(to->at, to->n, &other) && lower(other.at, other.n, to);
    free(other.at);
    return ok || error_set(err, "out of memory for a caption of %zu bytes", n);
}
