#include "base/brace.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MOST = 18 }; // of a range's number: all of them, and what is behind, are an int64_t

// The digits from one place to another, which are all that is there.
static bool read_number(const char *from, const char *to, int64_t *x)
{
    char *end;
    if (!isdigit((unsigned char)*from) || to - from > DIGITS_MOST) return false;
    *x = strtoll(from, &end, 10);
    return end == to;
}

// "000..331", up to the closing brace.
static bool read_range(Brace *b, const char *dots)
{
    const char *from = b->open + 1;
    if (!read_number(from, dots, &b->first) || !read_number(dots + 2, b->close, &b->last))
        return false;
    if (b->last < b->first || b->last - b->first >= BRACE_MOST) return false;
    b->width = (int)(dots - from);
    b->count = b->last - b->first + 1;
    return true;
}

bool brace_first(const char *text, Brace *b)
{
    *b = (Brace){.open = strchr(text, '{')};
    if (!b->open) return true;
    b->close = strchr(b->open, '}');
    if (!b->close) return false;
    const char *dots = strstr(b->open, "..");
    if (dots && dots < b->close) return read_range(b, dots);
    b->count = 1;
    for (const char *at = b->open; at < b->close; at++) b->count += *at == ',';
    return b->count > 1;
}

int64_t brace_count(const char *text)
{
    int64_t n = 1;
    Brace b;
    for (; brace_first(text, &b) && b.open; text = b.close + 1) {
        n *= b.count;
        if (n > BRACE_MOST) return BRACE_MOST + 1;
    }
    return n;
}
