// What is applied of the mends that errors offer.
#include "base/diag.h"

#include <criterion/criterion.h>
#include <string.h>

static const char text[] = "one two three";

typedef struct Said {
    Arena *arena;
    Diag *diag;
    uint32_t source;
} Said;

static Said begin(void)
{
    Said s = {.arena = arena_new()};
    s.diag = diag_new(s.arena);
    s.source = diag_source(s.diag, "x", text, strlen(text));
    return s;
}

static Loc word(const Said *s, const char *name)
{
    uint32_t at = (uint32_t)(strstr(text, name) - text);
    return loc_in(s->source, at, at + (uint32_t)strlen(name));
}

static void check(const Said *s, uint32_t choice, uint32_t applied, const char *want)
{
    uint32_t n;
    cr_expect_str_eq(diag_mended(s->diag, s->arena, s->source, choice, &n), want);
    cr_expect_eq(n, applied);
}

Test(diag, choices)
{
    Said s = begin();
    diag_error(s.diag, word(&s, "two"), "wrong");
    diag_mend(s.diag, word(&s, "two"), "2");
    diag_mend(s.diag, word(&s, "two"), "");
    diag_error(s.diag, word(&s, "one"), "wrong");
    diag_mend(s.diag, word(&s, "one"), "1");
    check(&s, 0, 2, "1 2 three");
    check(&s, 1, 2, "1  three");
    check(&s, MEND_SURE, 1, "1 two three");
    arena_free(s.arena);
}

// All places of a mend are written, or none where another mend has one of them.
Test(diag, places)
{
    Said s = begin();
    diag_error(s.diag, word(&s, "two"), "wrong");
    diag_mend(s.diag, word(&s, "three"), "");
    diag_mend_also(s.diag, word(&s, "one"), "three");
    check(&s, 0, 1, "three two ");
    check(&s, MEND_SURE, 1, "three two ");
    const bool *applied = diag_mends_applied(s.diag, s.arena, s.source, MEND_SURE);
    cr_expect(applied[0] && applied[1]);
    diag_error(s.diag, word(&s, "one two"), "wrong");
    diag_mend(s.diag, word(&s, "one two"), "1");
    check(&s, 0, 1, "1 three");
    arena_free(s.arena);
}

// A further place belongs to the mend before it: it is no choice of its own.
Test(diag, places_are_no_choice)
{
    Said s = begin();
    diag_error(s.diag, word(&s, "one"), "wrong");
    diag_guess(s.diag, word(&s, "one"), "1");
    diag_mend_also(s.diag, word(&s, "two"), "2");
    diag_mend(s.diag, word(&s, "one"), "I");
    check(&s, 0, 1, "1 2 three");
    check(&s, 1, 1, "I two three");
    check(&s, MEND_SURE, 0, text);
    arena_free(s.arena);
}

// What only takes away is not sure, in however many places.
Test(diag, taking_away)
{
    Said s = begin();
    diag_error(s.diag, word(&s, "one"), "wrong");
    diag_mend(s.diag, word(&s, "one"), "");
    diag_mend_also(s.diag, word(&s, "two"), "");
    check(&s, MEND_SURE, 0, text);
    check(&s, 0, 1, "  three");
    arena_free(s.arena);
}
