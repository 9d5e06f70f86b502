// The bytes of a source: it is UTF-8 without control characters. What else there is can be told
// from where such files come: another encoding, or a character that no editor shows.
#include "frontend/tree_text.h"

#include <string.h>

enum { MAX_SIZE = 16 << 20, MOST_MENDED = 1000 };

// Bytes of the UTF-8 character at s (n are left), its code point in *code; 0 when it is none.
static size_t utf8_size(const unsigned char *s, size_t n, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = s[0] < 0x80   ? 1
                  : s[0] < 0xc2 ? 0
                  : s[0] < 0xe0 ? 2
                  : s[0] < 0xf0 ? 3
                  : s[0] < 0xf5 ? 4
                                : 0;
    if (!size || size > n) return 0;
    *code = size == 1 ? s[0] : s[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (s[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[size] || surrogate || *code > 0x10ffff ? 0 : size;
}

static bool allowed(uint32_t c)
{
    if (c < 0x20) return c == '\t' || c == '\n' || c == '\r';
    return !(c >= 0x7f && c < 0xa0 && c != 0x85) && c != 0xfffe && c != 0xffff;
}

// A character as UTF-8, at most four bytes.
static size_t utf8_put(char *to, uint32_t c)
{
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint32_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[n] | c);
    return n;
}

// The character that a byte is in Windows-1252, of which ISO 8859-1 is a part; 0 for none.
static uint32_t western(unsigned char byte)
{
    static const uint16_t low[] = {0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                   0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
                                   0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                   0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};
    return byte < 0x80 ? byte : byte < 0xa0 ? low[byte - 0x80] : byte;
}

typedef enum { LEFT_OUT, READ_AS_WESTERN } ByteMend;

// Mend all bytes that are not UTF-8, or all control characters, which is one mend.
static void mend_all(const TreeText *t, bool control, ByteMend how)
{
    const unsigned char *s = (const unsigned char *)t->text;
    uint32_t mended = 0;
    for (size_t i = 0, n; i < t->size && mended < MOST_MENDED; i += n ? n : 1) {
        uint32_t code = 0;
        char text[5] = {0};
        n = utf8_size(s + i, t->size - i, &code);
        if (control ? !n || allowed(code) : n > 0) continue;
        if (how == READ_AS_WESTERN && western(s[i])) utf8_put(text, western(s[i]));
        const Loc at = tree_text_loc(t, i, i + (n ? n : 1));
        (mended++ ? diag_mend_also : diag_mend)(t->diag, at, text);
    }
}

// A file of UTF-16 begins with U+FEFF, whose bytes tell their order.
static bool is_utf16(const TreeText *t)
{
    const unsigned char *s = (const unsigned char *)t->text;
    return t->size > 1 && s[0] + s[1] == 0xfe + 0xff && (s[0] == 0xfe || s[0] == 0xff);
}

static void report_utf16(const TreeText *t)
{
    const unsigned char *s = (const unsigned char *)t->text;
    const int high = s[0] == 0xfe ? 0 : 1;
    char *out = arena_alloc(t->arena, 2 * t->size + 1), *to = out;
    for (size_t i = 2; i + 1 < t->size; i += 2) {
        uint32_t c = (uint32_t)s[i + high] << 8 | s[i + 1 - high];
        const bool pair = c >= 0xd800 && c < 0xdc00 && i + 3 < t->size;
        if (pair)
            c = 0x10000 + ((c & 0x3ff) << 10) +
                ((uint32_t)(s[i + 2 + high] & 3) << 8 | s[i + 3 - high]);
        if (pair) i += 2;
        if (c >= 0xd800 && c < 0xe000) c = 0xfffd; // half of a pair
        if (c) to += utf8_put(to, c);
    }
    tree_error(t, 0, 2, "the file is UTF-16, and not UTF-8");
    diag_help(t->diag, "save it as UTF-8");
    diag_mend(t->diag, tree_text_loc(t, 0, t->size), out);
}

static void report_byte(const TreeText *t, size_t at)
{
    const unsigned char byte = (unsigned char)t->text[at];
    char text[5] = {0};
    tree_error(t, at, at + 1, "the byte 0x%02X is not UTF-8", byte);
    if (western(byte)) {
        utf8_put(text, western(byte));
        diag_help(t->diag, "save the file as UTF-8, where it is '%s'; or leave it out", text);
        mend_all(t, false, READ_AS_WESTERN);
    } else {
        diag_help(t->diag, "leave it out");
    }
    mend_all(t, false, LEFT_OUT);
}

bool bytes_check(const TreeText *t)
{
    const unsigned char *s = (const unsigned char *)t->text;
    if (t->size > MAX_SIZE) {
        tree_error(t, 0, 0, "the file has %zu bytes; at most 16 MiB are read", t->size);
        return false;
    }
    if (is_utf16(t)) {
        report_utf16(t);
        return false;
    }
    for (size_t i = 0, n; i < t->size; i += n) {
        uint32_t code = 0;
        n = utf8_size(s + i, t->size - i, &code);
        if (n && allowed(code)) continue;
        if (!n) {
            report_byte(t, i);
            return false;
        }
        tree_error(t, i, i + n, "a control character (U+%04X) in the text", code);
        diag_help(t->diag, "leave it out");
        mend_all(t, true, LEFT_OUT);
        return false;
    }
    return true;
}
