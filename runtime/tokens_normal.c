// Normalizers: each is one or more steps from text to text.
#include "runtime/tokens.h"

#include <stdlib.h>
#include <utf8proc.h>

// ---- what becomes of a character ----------------------------------------------------------------

static bool map_lower(int32_t c, Text *to)
{
    return c == 0x130 ? text_add(to, "i\xCC\x87", 3) : text_char(to, utf8proc_tolower(c));
}

static bool drop_marks(int32_t c, Text *to)
{
    utf8proc_category_t g = utf8proc_category(c);
    bool mark =
        (g >= UTF8PROC_CATEGORY_MN && g <= UTF8PROC_CATEGORY_ME) || c == 0x1CF2 || c == 0x1CF3;
    return (mark && !char_is_later(c, TABLE_FORMS)) || text_char(to, c);
}

static bool drop_accents(int32_t c, Text *to)
{
    bool mark = utf8proc_category(c) == UTF8PROC_CATEGORY_MN || c == 0x1734;
    return (mark && !char_is_later(c, TABLE_ACCENTS)) || text_char(to, c);
}

// BERT: control characters go, white space becomes blanks.
static bool clean(int32_t c, Text *to)
{
    if (c == '\t' || c == '\n' || c == '\r') return text_add(to, " ", 1);
    utf8proc_category_t g = utf8proc_category(c);
    bool control = g >= UTF8PROC_CATEGORY_CC && g <= UTF8PROC_CATEGORY_CO;
    if (c == 0 || c == 0xFFFD || (control && !char_is_later(c, TABLE_FORMATS))) return true;
    return char_is_space(c) ? text_add(to, " ", 1) : text_char(to, c);
}

// BERT: blanks around the unified ideographs.
static bool space_ideographs(int32_t c, Text *to)
{
    bool ideograph = (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
                     (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
                     (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
                     (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
    if (!ideograph) return text_char(to, c);
    return text_add(to, " ", 1) && text_char(to, c) && text_add(to, " ", 1);
}

static bool map_nmt(int32_t c, Text *to)
{
    if ((c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F ||
        c == 0x9F)
        return true;
    bool blank = c == 9 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                 (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                 c == 0xFEFF || c == 0xFFFD;
    return blank ? text_add(to, " ", 1) : text_char(to, c);
}

// Printable bytes of Latin-1 are written as themselves, the others as U+0100 on.
static bool is_own_letter(int b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b != 173);
}

bool byte_letter(uint8_t byte, Text *to)
{
    if (byte >= 33 && byte <= 126) return text_add(to, (const char *)&byte, 1);
    int c = byte;
    if (!is_own_letter(byte)) c = 256 + (byte <= 32 ? byte : byte <= 160 ? byte - 127 + 33 : 67);
    return text_char(to, c);
}

int byte_of_letter(int32_t c)
{
    if (c < 256) return is_own_letter(c) ? c : -1;
    if (c > 256 + 67) return -1;
    return c - 256 <= 32 ? c - 256 : c - 256 <= 66 ? c - 256 - 33 + 127 : 173;
}

// ---- reading ------------------------------------------------------------------------------------

static void add(const TokenReader *r, NormalSteps *to, NormalStep step)
{
    vec_push(r->arena, to, step);
}

static void add_map(const TokenReader *r, NormalSteps *to, CharMap *map)
{
    add(r, to, (NormalStep){.kind = NORMAL_MAP, .map = map});
}

static bool read_bert(const TokenReader *r, const Jv *part, NormalSteps *to)
{
    bool cleans = true, ideographs = true, lower = true;
    if (!reader_bool(r, part, "clean_text", &cleans) ||
        !reader_bool(r, part, "handle_chinese_chars", &ideographs) ||
        !reader_bool(r, part, "lowercase", &lower))
        return false;
    bool accents = lower;
    if (!reader_bool(r, part, "strip_accents", &accents)) return false;
    if (cleans) add_map(r, to, clean);
    if (ideographs) add_map(r, to, space_ideographs);
    if (accents) {
        add(r, to, (NormalStep){.kind = NORMAL_FORM, .form = UTF8PROC_DECOMPOSE});
        add_map(r, to, drop_accents);
    }
    if (lower) add_map(r, to, map_lower);
    return true;
}

static bool read_replace(const TokenReader *r, const Jv *part, NormalSteps *to)
{
    NormalStep s = {.kind = NORMAL_REPLACE};
    const Jv *content = NULL;
    if (!reader_pattern(r, part, &s.pattern) || !reader_text(r, part, "content", &content))
        return false;
    if (!content) return reader_fail(r, "'content' is missing");
    s.text = content->text, s.n = content->n;
    add(r, to, s);
    return true;
}

static bool read_others(const TokenReader *r, const Jv *part, const Jv *type, NormalSteps *to)
{
    NormalStep s = {.kind = NORMAL_STRIP, .left = true, .right = true};
    const Jv *text = NULL;
    if (jv_is(type, "Strip")) {
        if (!reader_bool(r, part, "strip_left", &s.left) ||
            !reader_bool(r, part, "strip_right", &s.right))
            return false;
    } else if (jv_is(type, "Prepend")) {
        if (!reader_text(r, part, "prepend", &text)) return false;
        if (!text) return reader_fail(r, "'prepend' is missing");
        s = (NormalStep){.kind = NORMAL_PREPEND, .text = text->text, .n = text->n};
    } else if (jv_is(type, "Precompiled")) {
        if (!reader_text(r, part, "precompiled_charsmap", &text)) return false;
        if (!text) return true; // null: nothing is replaced
        s = (NormalStep){.kind = NORMAL_CHARSMAP,
                         .charsmap = charsmap_read(r->arena, text->text, text->n)};
        if (!s.charsmap) return reader_fail(r, "'precompiled_charsmap' is damaged");
    } else if (jv_is(type, "ByteLevel")) {
        s = (NormalStep){.kind = NORMAL_BYTES};
    } else {
        return reader_fail(r, "the normalizer '%.40s' is not supported", type->text);
    }
    add(r, to, s);
    return true;
}

bool normal_read(const TokenReader *r, const Jv *part, const Jv *named, void *steps)
{
    static const struct {
        const char *name;
        int form;
        CharMap *map;
    } rows[] = {{"NFC", UTF8PROC_COMPOSE, NULL},
                {"NFD", UTF8PROC_DECOMPOSE, NULL},
                {"NFKC", UTF8PROC_COMPOSE | UTF8PROC_COMPAT, NULL},
                {"NFKD", UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, NULL},
                {"Lowercase", 0, map_lower},
                {"StripAccents", 0, drop_marks},
                {"Nmt", 0, map_nmt}};
    Jv copy = *named, *type = &copy;
    copy.text = str_slice(r->arena, named->text, named->n);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!jv_is(type, rows[i].name)) continue;
        add(r, steps,
            (NormalStep){.kind = rows[i].map ? NORMAL_MAP : NORMAL_FORM,
                         .form = rows[i].form,
                         .map = rows[i].map});
        return true;
    }
    if (jv_is(type, "BertNormalizer")) return read_bert(r, part, steps);
    if (jv_is(type, "Replace")) return read_replace(r, part, steps);
    return read_others(r, part, type, steps);
}

// ---- running ------------------------------------------------------------------------------------

static bool is_ascii(const Text *text)
{
    for (size_t i = 0; i < text->n; i++)
        if ((unsigned char)text->at[i] >= 0x80) return false;
    return true;
}

static bool put_form(const NormalStep *s, const char *text, size_t size, Text *to)
{
    utf8proc_uint8_t *out = NULL;
    if (!size) return true;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &out,
                                      (utf8proc_option_t)(s->form | UTF8PROC_STABLE));
    bool ok = n >= 0 && text_add(to, (const char *)out, (size_t)n);
    free(out);
    return ok;
}

// Characters that the library does not know stay, and nothing moves or joins across them.
static bool run_form(const NormalStep *s, const Text *text, Text *to)
{
    size_t done = 0;
    if (is_ascii(text)) return text_add(to, text->at, text->n);
    for (size_t at = 0; at < text->n;) {
        size_t begin = at;
        if (!char_is_later(char_next(text->at, &at), TABLE_FORMS)) continue;
        if (!put_form(s, text->at + done, begin - done, to) ||
            !text_add(to, text->at + begin, at - begin))
            return false;
        done = at;
    }
    return put_form(s, text->at + done, text->n - done, to);
}

static bool run_map(const NormalStep *s, const Text *text, Text *to, bool *start)
{
    bool ok = true;
    for (size_t at = 0; ok && at < text->n;) {
        bool first = at == 0;
        ok = s->map(char_next(text->at, &at), to);
        if (first && !to->n) *start = false;
    }
    return ok;
}

static bool run_replace(const NormalStep *s, const Text *text, Text *to, bool *start, Error *err)
{
    bool ok = true;
    size_t done = 0;
    Span match;
    for (size_t at = 0; ok && pattern_next(&s->pattern, text->at, text->n, &at, &match, err);) {
        ok = text_add(to, text->at + done, match.begin - done) && text_add(to, s->text, s->n);
        if (!match.begin && match.end && !s->n) *start = false;
        done = match.end;
    }
    return ok && !err->set && text_add(to, text->at + done, text->n - done);
}

static bool run_strip(const NormalStep *s, const Text *text, Text *to, bool *start)
{
    size_t begin = 0, end = 0;
    for (size_t at = 0; at < text->n;) {
        bool space = char_is_space(char_next(text->at, &at));
        if (!space) end = at;
        if (space && !end) begin = at;
    }
    if (!s->left) begin = 0;
    if (!s->right) end = text->n;
    if (begin) *start = false;
    return end <= begin || text_add(to, text->at + begin, end - begin);
}

static bool run_one(const NormalStep *s, const Text *text, Text *to, bool *start, Error *err)
{
    bool ok = true;
    switch (s->kind) {
    case NORMAL_FORM: return run_form(s, text, to);
    case NORMAL_MAP: return run_map(s, text, to, start);
    case NORMAL_REPLACE: return run_replace(s, text, to, start, err);
    case NORMAL_PREPEND: return text_add(to, s->text, s->n) && text_add(to, text->at, text->n);
    case NORMAL_STRIP: return run_strip(s, text, to, start);
    case NORMAL_CHARSMAP: return charsmap_run(s->charsmap, text->at, text->n, to);
    case NORMAL_BYTES:
        for (size_t i = 0; ok && i < text->n; i++) ok = byte_letter((uint8_t)text->at[i], to);
        return ok;
    }
    return false;
}

bool normal_run(const NormalSteps *steps, Text *text, Text *other, bool *start, Error *err)
{
    for (uint32_t i = 0; i < steps->n && text->n; i++) {
        other->n = 0;
        if (!run_one(&steps->at[i], text, other, start, err))
            return error_set(err, "out of memory for a caption of %zu bytes", text->n);
        Text swapped = *text;
        *text = *other;
        *other = swapped;
    }
    return true;
}
