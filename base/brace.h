// Braces in lists of files: {0000..0331} counts, {a,b} chooses.
#ifndef CZT_BASE_BRACE_H
#define CZT_BASE_BRACE_H

#include <stdbool.h>
#include <stdint.h>

enum { BRACE_MOST = 1 << 20 }; // names that one pattern may stand for

typedef struct Brace {
    const char *open, *close; // in the text; NULL: there is none, or it is not closed
    int64_t first, last;      // of a range, which is written as wide as its first number
    int width;                // 0: choices
    int64_t count;            // names that it stands for
} Brace;

// The first brace of a text. False where it is not closed or is neither of the two.
bool brace_first(const char *text, Brace *brace);
// Names that a text whose braces are right stands for; BRACE_MOST + 1: more than that.
int64_t brace_count(const char *text);

#endif
