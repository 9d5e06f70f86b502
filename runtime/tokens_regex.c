// Patterns: texts, classes of characters, and regular expressions, which PCRE2 matches. They are
// written for Oniguruma (Ruby's syntax); what it means otherwise is rewritten or refused.
#include "runtime/tokens.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

struct Regex {
    pcre2_code *code;
};

// Append what an escape means: \s and \w of Unicode, which are other sets in PCRE2. False where
// there is no equal.
static bool add_escape(Text *to, char c, bool in_class, bool *ok)
{
    static const char space[] = "\\x09-\\x0d\\x20\\x{85}\\p{Z}";
    static const char word[] =
        "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\xB2\\xB3\\xB9\\xBC-\\xBE\\x{24B6}-\\x{24E9}\\x{1F130}-"
        "\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}";
    const char *set = c == 's' || c == 'S' ? space : c == 'w' || c == 'W' ? word : NULL;
    bool inverse = c == 'S' || c == 'W';
    char plain[3] = {'\\', c, 0};
    if (strchr("hHKgkQEN", c)) return false; // of another meaning in PCRE2, or of none
    if (!set || (in_class && inverse)) return *ok = *ok && text_add(to, plain, 2), true;
    if (!in_class) *ok = *ok && text_add(to, inverse ? "[^" : "[", inverse ? 2 : 1);
    *ok = *ok && text_add(to, set, strlen(set));
    if (!in_class) *ok = *ok && text_add(to, "]", 1);
    return true;
}

// The pattern in PCRE2's syntax. NULL, or what is not understood.
static const char *translate(const char *text, size_t n, Text *to, bool *ok)
{
    bool in_class = false;
    for (size_t i = 0; i < n && *ok; i++) {
        char c = text[i], next = i + 1 < n ? text[i + 1] : 0;
        if (c == '\\') {
            if (!next) return "a backslash at the end";
            if (!add_escape(to, next, in_class, ok)) return "an escape that is not supported";
            i++;
            bool named = strchr("pPx", next) && i + 1 < n && text[i + 1] == '{';
            while (named && *ok && i + 1 < n && text[i] != '}') *ok = text_add(to, &text[++i], 1);
            continue;
        }
        if (in_class && c == '&' && next == '&') return "intersections of classes";
        if (in_class && c == '[') return next == ':' ? "POSIX classes" : "nested classes";
        if (!in_class && c == '}' && next == '+') return "'+' behind a number of repetitions";
        if (!in_class && c == '(' && next == '?' && i + 2 < n &&
            strchr("&R~+-0123456789", text[i + 2]))
            return text[i + 2] == '-' ? "options that are taken away" : "recursion";
        if (!in_class && c == '(' && next == '*') return "verbs";
        *ok = *ok && text_add(to, &c, 1);
        if (in_class && c == ']')
            in_class = false;
        else if (!in_class && c == '[') {
            in_class = true;
            if (next == '^') *ok = *ok && text_add(to, "^", 1), i++;
            if (i + 1 < n && text[i + 1] == ']') return "an empty class";
        }
    }
    return NULL;
}

struct Regex *regex_compile(const char *text, size_t n, const char *place, Error *err)
{
    Text own = {0};
    bool ok = true;
    const char *unknown = translate(text, n, &own, &ok);
    int code = 0;
    size_t at = 0;
    pcre2_compile_context *how = pcre2_compile_context_create(NULL);
    struct Regex *regex = calloc(1, sizeof *regex);
    if (how && regex && ok && !unknown) {
        pcre2_set_newline(how, PCRE2_NEWLINE_LF);
        regex->code = pcre2_compile(
            (PCRE2_SPTR)(own.n ? own.at : ""), own.n,
            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, how);
    }
    pcre2_compile_context_free(how);
    free(own.at);
    if (regex && regex->code) {
        pcre2_jit_compile(regex->code,
                          PCRE2_JIT_COMPLETE); // where there is none, it is interpreted
        return regex;
    }
    free(regex);
    PCRE2_UCHAR why[160] = "out of memory";
    if (code) pcre2_get_error_message(code, why, sizeof why);
    error_set(err, "%s: the regular expression '%.200s': %s%s", place, text,
              unknown ? unknown : (const char *)why, unknown ? " are not supported" : "");
    return NULL;
}

void regex_free(struct Regex *regex)
{
    if (!regex) return;
    pcre2_code_free(regex->code);
    free(regex);
}

static bool match_at(const struct Regex *regex, const char *text, size_t n, size_t at, Span *match,
                     Error *err)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data) return error_set(err, "out of memory for a regular expression");
    int code = pcre2_match(regex->code, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK, data, NULL);
    if (code == PCRE2_ERROR_JIT_STACKLIMIT)
        code = pcre2_match(regex->code, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                           data, NULL);
    if (code >= 0) {
        const PCRE2_SIZE *found = pcre2_get_ovector_pointer(data);
        *match = (Span){found[0], found[1]};
    }
    pcre2_match_data_free(data);
    if (code < 0 && code != PCRE2_ERROR_NOMATCH)
        error_set(err, "the tokenizer's regular expression takes too long on this text (%d)", code);
    return code >= 0 && match->begin <= match->end;
}

// An empty match right behind the one before, or at the beginning, is none.
static bool regex_next(const Pattern *p, const char *text, size_t n, size_t *at, Span *match,
                       Error *err)
{
    size_t from = *at, last = *at;
    while (from <= n && match_at(p->regex, text, n, from, match, err)) {
        if (match->end > match->begin || match->begin > last) {
            *at = match->end;
            return true;
        }
        if (from == n) return false;
        char_next(text, &from);
    }
    return false;
}

static bool words_next(const char *text, size_t n, size_t *at, Span *match)
{
    int32_t c;
    size_t next = *at;
    do {
        if (*at >= n) return false;
        match->begin = *at = next;
        if (next >= n) return false;
        c = char_next(text, &next);
    } while (char_is_space(c));
    bool word = char_is_word(c);
    for (*at = next; next < n; *at = next) {
        c = char_next(text, &next);
        if (char_is_space(c) || char_is_word(c) != word) break;
    }
    match->end = *at;
    return true;
}

bool pattern_next(const Pattern *p, const char *text, size_t n, size_t *at, Span *match, Error *err)
{
    if (p->kind == PATTERN_REGEX) return regex_next(p, text, n, at, match, err);
    if (p->kind == PATTERN_WORDS) return words_next(text, n, at, match);
    if (p->kind == PATTERN_TEXT) {
        const char *found = *at < n ? memmem(text + *at, n - *at, p->text, p->n) : NULL;
        if (!found) return false;
        *match = (Span){(size_t)(found - text), (size_t)(found - text) + p->n};
        *at = match->end;
        return true;
    }
    while (*at < n) {
        match->begin = *at;
        bool hit = p->test(char_next(text, at));
        match->end = *at;
        if (hit) return true;
    }
    return false;
}
