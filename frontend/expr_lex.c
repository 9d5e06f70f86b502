// Expression text to tokens, one at a time. A dot after an operand begins a member, whose name may
// be a number (`blocks.8`); anywhere else it begins a number (`.5`).
#include "frontend/expr_lex.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char peek(const Lexer *lex, size_t ahead)
{
    return lex->at + ahead < lex->end ? lex->scalar->text[lex->at + ahead] : '\0';
}

static Loc place(const Lexer *lex, size_t begin, size_t end)
{
    return tree_place(lex->scalar, begin, end);
}

static Token token(Lexer *lex, TokenKind kind, size_t size)
{
    Token t = {.kind = kind, .begin = lex->at, .end = lex->at + size};
    lex->at += size;
    return t;
}

// Report at the next `size` bytes and stop the lexer there.
static Token bad(Lexer *lex, size_t size, const char *message)
{
    const char *s = lex->scalar->text + lex->at;
    diag_error(lex->diag, place(lex, lex->at, lex->at + size), "%s: '%.*s'", message, (int)size, s);
    Token t = token(lex, TOK_BAD, size);
    lex->at = lex->end;
    return t;
}

static bool whole_number(Lexer *lex, const char *digits, Token *t)
{
    bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    errno = 0;
    unsigned long long n = strtoull(digits, NULL, hex ? 16 : 10);
    t->is_int = true;
    t->number = (double)n;
    if (!errno && n <= 1ull << 53) return true;
    diag_error(lex->diag, place(lex, t->begin, t->end), "a whole number is at most 2 ** 53");
    diag_help(lex->diag, "with an exponent it is a float: 1e30");
    return false;
}

static bool float_number(Lexer *lex, const char *digits, Token *t)
{
    t->number = strtod(digits, NULL);
    if (isfinite(t->number)) return true;
    diag_error(lex->diag, place(lex, t->begin, t->end), "the number is too large");
    return false;
}

// Where the digits that begin at `from` end; single underscores may stand between them.
static size_t digit_run(const Lexer *lex, size_t from, bool hex)
{
    size_t n = from;
    for (char c = peek(lex, n), last = '_'; c; last = c, c = peek(lex, ++n)) {
        bool digit = is_digit(c) || (hex && is_letter(c) && c != '_' && (c | 32) <= 'f');
        if (!digit && (c != '_' || last == '_')) break;
    }
    return n > from && peek(lex, n - 1) == '_' ? n - 1 : n;
}

static Token number(Lexer *lex)
{
    size_t n;
    bool whole = true, hex = peek(lex, 0) == '0' && (peek(lex, 1) | 32) == 'x';
    if (hex) {
        n = digit_run(lex, 2, true);
    } else {
        n = digit_run(lex, 0, false);
        if (peek(lex, n) == '.') {
            whole = false;
            n = digit_run(lex, n + 1, false);
        }
        size_t sign = peek(lex, n + 1) == '-' || peek(lex, n + 1) == '+';
        if ((peek(lex, n) | 32) == 'e' && is_digit(peek(lex, n + 1 + sign))) {
            whole = false;
            n = digit_run(lex, n + 1 + sign, false);
        }
    }
    size_t rest = n;
    while (is_letter(peek(lex, rest)) || is_digit(peek(lex, rest))) rest++;
    if (rest > n || (hex && n == 2)) return bad(lex, rest, "this is not a number");
    Token t = token(lex, TOK_NUMBER, n);
    char *digits = arena_alloc(lex->arena, n + 1);
    for (size_t i = 0, k = 0; i < n; i++)
        if (lex->scalar->text[t.begin + i] != '_') digits[k++] = lex->scalar->text[t.begin + i];
    if (!(whole ? whole_number(lex, digits, &t) : float_number(lex, digits, &t))) t.kind = TOK_BAD;
    return t;
}

static Token string(Lexer *lex)
{
    static const char from[] = "\\\"'nt", to[] = "\\\"'\n\t";
    char quote = peek(lex, 0);
    char *text = arena_alloc(lex->arena, lex->end - lex->at + 1);
    size_t n = 1, k = 0;
    for (; lex->at + n < lex->end && peek(lex, n) != quote; n++) {
        char c = peek(lex, n);
        if (c == '\\') {
            const char *escape = lex->at + n + 1 < lex->end ? strchr(from, peek(lex, n + 1)) : NULL;
            if (!escape || !*escape) {
                lex->at += n;
                return bad(lex, lex->at + 1 < lex->end ? 2 : 1, "unknown escape in a string");
            }
            c = to[escape - from];
            n++;
        }
        text[k++] = c;
    }
    if (lex->at + n >= lex->end) return bad(lex, lex->end - lex->at, "the string is not closed");
    Token t = token(lex, TOK_STRING, n + 1);
    t.text = text;
    return t;
}

// TOK_NAME for all other words.
static TokenKind word_kind(const char *text)
{
    static const struct {
        const char *text;
        TokenKind kind;
    } keywords[] = {{"and", TOK_AND}, {"or", TOK_OR},     {"not", TOK_NOT}, {"in", TOK_IN},
                    {"if", TOK_IF},   {"else", TOK_ELSE}, {"for", TOK_FOR}};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (strcmp(keywords[i].text, text) == 0) return keywords[i].kind;
    return TOK_NAME;
}

bool lex_keyword(const char *text)
{
    return word_kind(text) != TOK_NAME;
}

static Token name(Lexer *lex)
{
    size_t n = 1;
    while (is_letter(peek(lex, n)) || is_digit(peek(lex, n))) n++;
    bool member = lex->last == TOK_DOT; // any word may be a member's name
    Token t = token(lex, TOK_NAME, n);
    t.text = str_slice(lex->arena, lex->scalar->text + t.begin, n);
    if (!member) t.kind = word_kind(t.text);
    return t;
}

static Token member_number(Lexer *lex)
{
    size_t n = 1;
    while (is_letter(peek(lex, n)) || is_digit(peek(lex, n))) n++;
    for (size_t i = 0; i < n; i++)
        if (!is_digit(peek(lex, i)))
            return bad(lex, n, "a member's name begins with a letter or is a number");
    Token t = token(lex, TOK_NAME, n);
    t.text = str_slice(lex->arena, lex->scalar->text + t.begin, n);
    return t;
}

// Signs that other languages have, and what to write here.
static const struct {
    const char *text, *help, *mend;
} foreign[] = {
    {"&&", "write 'and'", "and"},
    {"||", "write 'or'", "or"},
    {"&", "write 'and'", "and"},
    {"|", "write 'or'", "or"},
    {"!", "write 'not'", "not "},
    {"~", "write 'not'", "not "},
    {"^", "a power is written a ** b", "**"},
    {"?", "a choice is written a if condition else b", NULL},
    {"{", "a list is written [a, b]", NULL},
    {"->", "this belongs inside the string of einsum or rearrange", NULL},
    {"...", "name or number the axes", NULL},
    {"$", "names stand without a sign", NULL},
    {"#", "a comment ends the whole value in YAML", NULL},
};

// Signs that only look like ours, as an input method or a word processor writes them.
static const char *const alike[][2] = {
    {"\uff0c", ","},  {"\u3001", ","}, {"\uff1b", ","}, {"\uff1a", ":"},  {"\uff08", "("},
    {"\uff09", ")"},  {"\uff3b", "["}, {"\uff3d", "]"}, {"\uff1d", "="},  {"\uff0b", "+"},
    {"\uff0d", "-"},  {"\u2212", "-"}, {"\u2013", "-"}, {"\u2014", "-"},  {"`", ""},
    {"\u00d7", "*"},  {"\u00b7", "*"}, {"\u00f7", "/"}, {"\u2264", "<="}, {"\u2265", ">="},
    {"\u2260", "!="}, {"\u201c", "'"}, {"\u201d", "'"}, {"\u2018", "'"},  {"\u2019", "'"},
    {"\u00a0", " "},  {"\u3000", " "}, {"\u200b", ""},
};

// What a byte of the text begins, as we write it: a sign that is alike, a name behind '$' or in
// ${ }. *size: its bytes; NULL where it is none of these.
static const char *as_ours(const Lexer *lex, size_t at, size_t *size)
{
    const char *s = lex->scalar->text + at, *end;
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
        *size = strlen(alike[i][0]);
        if (!strncmp(s, alike[i][0], *size)) return alike[i][1];
    }
    *size = 1;
    if (*s == '$' && is_letter(s[1])) return "";
    if (*s != '$' || s[1] != '{' || !(end = strchr(s, '}'))) return NULL;
    *size = (size_t)(end - s) + 1;
    return str_slice(lex->arena, s + 2, *size - 3);
}

// All of these from here on are written at once, up to a string: until then nothing can be read.
static void mend_alike(const Lexer *lex, size_t at)
{
    const char *ours, *s = lex->scalar->text;
    size_t size, end = at, n = 0;
    char *text = arena_alloc(lex->arena, lex->end - at + 1); // ours are no longer than theirs
    for (size_t i = at; i < lex->end && !strchr("\"'", s[i]); i += size) {
        const Loc here = place(lex, at, i + 1);
        const bool whole = here.end - here.begin == i + 1 - at;
        if (!whole) break; // it is folded, or has escapes
        ours = as_ours(lex, i, &size);
        if (!ours) size = 1;
        const size_t length = ours ? strlen(ours) : 1;
        memcpy(text + n, ours ? ours : s + i, length);
        n += length;
        end = i + size;
    }
    text[n] = '\0';
    if (end > at) diag_mend(lex->diag, place(lex, at, end), text);
}

static Token unexpected(Lexer *lex)
{
    const char *s = lex->scalar->text + lex->at, *help = NULL, *mend = NULL;
    size_t size = 1, left = lex->end - lex->at;
    while (size < left && ((unsigned char)s[size] & 0xc0) == 0x80) size++; // a whole character
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign && !help; i++) {
        size_t n = strlen(foreign[i].text);
        if (n > left || strncmp(s, foreign[i].text, n) != 0) continue;
        help = foreign[i].help;
        mend = foreign[i].mend;
        size = n;
    }
    size_t other;
    const char *ours = as_ours(lex, lex->at, &other);
    if (ours && !help)
        help = !*ours          ? "leave it out"
               : *ours == ' '  ? "write a plain blank"
               : *ours == '\'' ? "write straight quotes"
                               : str_printf(lex->arena, "write '%s'", ours);
    const size_t begin = lex->at;
    Token t = bad(lex, size, "unexpected character");
    Loc at;
    if (help) diag_help(lex->diag, "%s", help);
    if (ours) mend_alike(lex, begin);
    if (mend && diag_last(lex->diag, &at)) diag_mend(lex->diag, at, mend);
    return t;
}

static Token sign(Lexer *lex)
{
    static const struct {
        char text[3];
        TokenKind kind;
    } signs[] = {// the longer first
                 {"**", TOK_POWER}, {"//", TOK_FLOORDIV}, {"<=", TOK_LE},        {">=", TOK_GE},
                 {"==", TOK_EQ},    {"!=", TOK_NE},       {"->", TOK_BAD},       {"+", TOK_PLUS},
                 {"-", TOK_MINUS},  {"*", TOK_STAR},      {"/", TOK_SLASH},      {"%", TOK_PERCENT},
                 {"@", TOK_AT},     {"<", TOK_LT},        {">", TOK_GT},         {"(", TOK_OPEN},
                 {")", TOK_CLOSE},  {"[", TOK_OPEN_LIST}, {"]", TOK_CLOSE_LIST}, {",", TOK_COMMA},
                 {":", TOK_COLON},  {"=", TOK_ASSIGN}};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t n = strlen(signs[i].text);
        if (peek(lex, 0) != signs[i].text[0] || (n == 2 && peek(lex, 1) != signs[i].text[1]))
            continue;
        return signs[i].kind == TOK_BAD ? unexpected(lex) : token(lex, signs[i].kind, n);
    }
    if (peek(lex, 0) == '.' && peek(lex, 1) != '.') return token(lex, TOK_DOT, 1);
    return unexpected(lex);
}

Token lex_next(Lexer *lex)
{
    while (lex->at < lex->end && is_space(peek(lex, 0))) lex->at++;
    char c = peek(lex, 0);
    bool operand = lex->last == TOK_NAME || lex->last == TOK_STRING || lex->last == TOK_CLOSE ||
                   lex->last == TOK_CLOSE_LIST;
    Token t;
    if (lex->at >= lex->end)
        t = token(lex, TOK_END, 0);
    else if (is_digit(c) && lex->last == TOK_DOT)
        t = member_number(lex);
    else if (is_digit(c) || (c == '.' && is_digit(peek(lex, 1)) && !operand))
        t = number(lex);
    else if (is_letter(c))
        t = name(lex);
    else if (c == '"' || c == '\'')
        t = string(lex);
    else
        t = sign(lex);
    lex->last = t.kind;
    return t;
}
