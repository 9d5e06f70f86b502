// Patterns, and what their stars meet, against a matcher that tries everything.
#include "base/glob.h"

#include <criterion/criterion.h>
#include <string.h>

enum { STARS = 8 };

// Every length of every star, the shortest first.
static bool tries(const char *p, const char *s, bool path, GlobPart *parts)
{
    if (*p != '*') {
        if (!*p || !*s) return !*p && !*s;
        bool one = *p == '?' ? !path || *s != '.' : *p == *s;
        return one && tries(p + 1, s + 1, path, parts);
    }
    for (size_t n = 0;; n++) {
        *parts = (GlobPart){s, n};
        if (tries(p + 1, s + n, path, parts + 1)) return true;
        if (!s[n] || (path && s[n] == '.')) return false;
    }
}

// Number i in letters.
static void spell(char *to, int i, const char *letters)
{
    int base = (int)strlen(letters) + 1;
    for (; i; i /= base)
        if (i % base) *to++ = letters[i % base - 1];
    *to = 0;
}

Test(glob, as_if_everything_was_tried)
{
    int met = 0;
    for (int i = 0; i < 3125; i++) // up to 5 characters of four
        for (int k = 0; k < 1024; k++) {
            char p[16], s[16];
            GlobPart got[STARS] = {{0}}, want[STARS] = {{0}};
            spell(p, i, "*?a.");
            spell(s, k, "ab.");
            bool yes = tries(p, s, false, want);
            met += yes;
            cr_assert_eq(glob_match(p, s), yes, "'%s' of '%s'", p, s);
            cr_assert_eq(glob_parts(p, s, got), yes, "'%s' of '%s'", p, s);
            cr_assert_eq(glob_path(p, s), tries(p, s, true, (GlobPart[STARS]){{0}}),
                         "'%s' of the path '%s'", p, s);
            for (uint32_t j = 0; yes && j < glob_stars(p); j++)
                cr_assert(got[j].at == want[j].at && got[j].n == want[j].n,
                          "star %u of '%s' of '%s' met %zu at %td, not %zu at %td", j, p, s,
                          got[j].n, got[j].at - s, want[j].n, want[j].at - s);
        }
    cr_assert_gt(met, 10000);
}

// One that goes back to each star takes ages.
Test(glob, many_stars)
{
    char text[4096];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    cr_expect(!glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
    cr_expect(glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*", text));
    cr_expect_eq(glob_stars("*a*b?*"), 3u);
    cr_expect(glob_any("a?") && glob_any("*") && !glob_any("a.b"));
}
