// SentencePiece's normalisation table (`precompiled_charsmap`): base64 of the bytes of a
// double-array trie (Aoe 1989, as Darts-clone writes it) and of the replacements, which end in
// zeros.
#include "runtime/tokens.h"

#include <stdlib.h>
#include <utf8proc.h>

struct Charsmap {
    const uint32_t *units;
    uint32_t nunits;
    const char *texts; // that end in a zero, the last too
    uint32_t size;
};

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

const struct Charsmap *charsmap_read(Arena *arena, const char *base64, size_t n)
{
    while (n && base64[n - 1] == '=') n--;
    size_t size = n / 4 * 3 + n % 4 * 3 / 4;
    uint8_t *bytes = arena_alloc(arena, size + 4);
    uint32_t bits = 0, held = 0;
    for (size_t i = 0, to = 0; i < n; i++) {
        int digit = digit_of(base64[i]);
        if (digit < 0) return NULL;
        bits = bits << 6 | (uint32_t)digit;
        if ((held += 6) < 8) continue;
        held -= 8;
        if (to < size) bytes[to++] = (uint8_t)(bits >> held);
    }
    uint32_t trie;
    if (size < 8) return NULL;
    memcpy(&trie, bytes, 4);
    if (trie < 4 || trie % 4 || trie > size - 4) return NULL;
    struct Charsmap *m = arena_make(arena, struct Charsmap);
    *m = (struct Charsmap){.units = (const uint32_t *)(const void *)(bytes + 4),
                           .nunits = trie / 4,
                           .texts = (const char *)bytes + 4 + trie,
                           .size = (uint32_t)(size - 4 - trie)};
    return text_valid(m->texts, m->size) == m->size ? m : NULL;
}

// Where the node's children begin, relative to it.
static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & (1U << 9)) >> 6);
}

// What the shortest key that begins `text` becomes; NULL where none does.
static const char *replacement(const struct Charsmap *m, const char *text, size_t n)
{
    uint32_t at = offset_of(m->units[0]);
    for (size_t i = 0; i < n && text[i]; i++) {
        at ^= (uint8_t)text[i];
        if (at >= m->nunits || (m->units[at] & (1U << 31 | 0xFF)) != (uint8_t)text[i]) return NULL;
        uint32_t unit = m->units[at];
        at ^= offset_of(unit);
        if (!(unit >> 8 & 1)) continue;
        uint32_t value = at < m->nunits ? m->units[at] & (UINT32_MAX >> 1) : UINT32_MAX;
        if (value >= m->size || (m->texts[value] & 0xC0) == 0x80) return NULL;
        return m->texts + value;
    }
    return NULL;
}

// A grapheme of fewer than 6 bytes is replaced whole, by what its beginning becomes; of others each
// character is.
static bool put_grapheme(const struct Charsmap *m, const char *text, size_t n, Text *to)
{
    const char *whole = n < 6 ? replacement(m, text, n) : NULL;
    if (whole) return text_add(to, whole, strlen(whole));
    bool ok = true;
    for (size_t at = 0, begin; ok && at < n;) {
        begin = at;
        char_next(text, &at);
        const char *one = replacement(m, text + begin, at - begin);
        ok = one ? text_add(to, one, strlen(one)) : text_add(to, text + begin, at - begin);
    }
    return ok;
}

bool charsmap_run(const struct Charsmap *m, const char *text, size_t n, Text *to)
{
    bool ok = true;
    utf8proc_int32_t state = 0;
    size_t begin = 0, at = 0;
    for (int32_t before = -1; ok && at < n;) {
        size_t here = at;
        int32_t c = char_next(text, &at);
        if (before >= 0 && utf8proc_grapheme_break_stateful(before, c, &state)) {
            ok = put_grapheme(m, text + begin, here - begin, to);
            begin = here;
        }
        before = c;
    }
    return ok && (begin == n || put_grapheme(m, text + begin, n - begin, to));
}
