// One walk along the text. Where it goes no further, the last star takes one character more: what
// is before that star stands where it met first, so that moving it could only leave less text.
#include "base/glob.h"

#include <string.h>

static bool is_one(char pattern, char c, bool path)
{
    return pattern == '?' ? !path || c != '.' : pattern == c;
}

static bool walk(const char *p, const char *s, bool path, GlobPart *parts)
{
    const char *star = NULL, *begin = NULL; // behind the last star, and where the rest began
    uint32_t n = 0;
    while (*s || *p) {
        if (*p == '*') {
            star = ++p;
            begin = s;
            n++;
            if (parts) parts[n - 1] = (GlobPart){s, 0};
        } else if (*p && *s && is_one(*p, *s, path)) {
            p++, s++;
        } else {
            if (!star || !*begin || (path && *begin == '.')) return false;
            s = ++begin;
            p = star;
            if (parts) parts[n - 1].n++;
        }
    }
    return true;
}

bool glob_match(const char *pattern, const char *text)
{
    return walk(pattern, text, false, NULL);
}

bool glob_parts(const char *pattern, const char *text, GlobPart *parts)
{
    return walk(pattern, text, false, parts);
}

bool glob_path(const char *pattern, const char *path)
{
    return walk(pattern, path, true, NULL);
}

uint32_t glob_stars(const char *pattern)
{
    uint32_t n = 0;
    for (; *pattern; pattern++) n += *pattern == '*';
    return n;
}

bool glob_any(const char *pattern)
{
    return strpbrk(pattern, "*?") != NULL;
}
