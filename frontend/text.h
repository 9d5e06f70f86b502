// What a text is made of, for those that look through one: words, brackets and lines.
#ifndef CZT_FRONTEND_TEXT_H
#define CZT_FRONTEND_TEXT_H

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Of a name; of a name with dots.
static inline bool word_part(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static inline bool path_part(char c)
{
    return word_part(c) || c == '.';
}

static inline size_t word_size(const char *s)
{
    size_t n = 0;
    while (word_part(s[n])) n++;
    return n;
}

// How much deeper it is behind a character: 1 behind one of `([`, -1 behind one of `)]`.
static inline int bracket_step(char c)
{
    return (c == '(' || c == '[') - (c == ')' || c == ']');
}

// Behind the bracket that closes the one at `at`, on its line; 0 where it is not closed there.
static inline uint32_t bracket_end(const char *s, uint32_t at)
{
    int depth = 0;
    for (; s[at] && s[at] != '\n'; at++)
        if (!(depth += bracket_step(s[at]))) return at + 1;
    return 0;
}

// Where the line of a place begins.
static inline uint32_t line_begin(const char *s, uint32_t at)
{
    while (at && s[at - 1] != '\n') at--;
    return at;
}

static inline bool is_number_text(const char *s)
{
    return strspn(s, "0123456789.e-") == strlen(s);
}

// Is a text one of some words, behind which is a NULL?
static inline bool is_one_of(const char *text, const char *const *words)
{
    while (words && *words && strcmp(*words, text)) words++;
    return words && *words;
}

// Does a text have a word, alone?
static inline bool has_word(const char *text, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at++)
        if ((at == text || !word_part(at[-1])) && !word_part(at[n])) return true;
    return false;
}

#endif
