// Guesses where a value has another type than is wanted: truth values, texts, integers, indices.
#include "frontend/guess.h"

#include <ctype.h>

static const char *const truths[] = {" > 0", " != 0"};

static void truth_of(Elab *el, Loc at, const char *name, const void *how)
{
    (void)how;
    for (int i = 0; i < 2; i++)
        guess_word(el, at, str_printf(el->arena, "(%s%s)", name, truths[i]));
}

// "a and b" as truth values of both.
static void guess_both_sides(Elab *el, Loc at, const char *text)
{
    static const char *const between[] = {" and ", " or "};
    for (int k = 0; k < 2; k++) {
        const char *found = strstr(text, between[k]);
        for (int i = 0; found && i < 2; i++)
            guess_word(el, at,
                       str_printf(el->arena, "%.*s%s%s%s%s", (int)(found - text), text, truths[i],
                                  between[k], found + strlen(between[k]), truths[i]));
    }
}

void guess_truth(Elab *el, Loc at)
{
    const char *text = text_at(el, at);
    bool one = *text && !strpbrk(text, " \n"); // of several words the operators come first
    for (int i = 0; one && i < 2; i++) guess_wrapped(el, at, "", truths[i]);
    if (!one) guess_both_sides(el, at, text);
    if (!one) guess_each_name(el, at, truth_of, NULL);
}

void guess_sign(Elab *el, Loc at, bool truth)
{
    const char *text = text_at(el, at), *of = text + (truth ? 3 : 1);
    if (strncmp(text, truth ? "not" : "-", truth ? 3 : 1)) return;
    while (*of == ' ') of++;
    if (truth) {
        guess_word(el, at, str_printf(el->arena, "(%s == 0)", of));
        guess_word(el, at, str_printf(el->arena, "(%s <= 0)", of));
        return;
    }
    guess_word(el, at, str_printf(el->arena, "not %s", of));
    guess_word(el, at, str_printf(el->arena, "-cast(%s, f32)", of));
}

void guess_unquoted(Elab *el, Loc at)
{
    const char *text = text_at(el, at);
    for (const char *p = text; *p; p++) {
        if (*p != '"' && *p != '\'') continue;
        const char *end = strchr(p + 1, *p);
        if (!end) return;
        const uint32_t begin = at.begin + (uint32_t)(p - text), n = (uint32_t)(end - p) + 1;
        const Loc place = loc_in(at.source, begin, begin + n);
        const char *bare = str_slice(el->arena, p + 1, (size_t)(end - p - 1));
        if (*bare) guess_sure_word(el, place, bare);
        const bool number = is_number_text(bare);
        for (int i = 0; !number && i < 2; i++) // a class has a number
            guess_add(el, place, i ? "1" : "0",
                      str_printf(el->arena, "%d in place of %s", i, text_at(el, place)));
        p = end;
    }
}

void guess_whole_parts(Elab *el, Loc at)
{
    const char *text = text_at(el, at), *by = strchr(text, '/');
    if (!by || by[1] == '/') return;
    guess_sure_word(el, at, str_printf(el->arena, "%.*s/%s", (int)(by - text) + 1, text, by + 1));
}

static void as_integer(Elab *el, Loc at, const char *name, const void *how)
{
    (void)how;
    guess_sure_word(el, at, str_printf(el->arena, "cast(%s, i32)", name));
}

void guess_cast_names(Elab *el, Loc at)
{
    guess_each_name(el, at, as_integer, NULL);
}

void guess_gathered(Elab *el, const Expr *e)
{
    const char *of = text_at(el, e->args[0]->loc), *last = text_at(el, e->args[e->nargs - 1]->loc);
    if (!*of || !*last || e->nargs > 3) return;
    if (e->nargs == 2) {
        guess_sure(el, e->loc, str_printf(el->arena, "gather(%s, %s)", of, last),
                   str_printf(el->arena, "gather(%s, %s)", of, last));
        return;
    }
    const char *pick = str_printf(el->arena, "pick(%s, %s, 1)", of, last);
    guess_word(el, e->loc, str_printf(el->arena, "gather(%s, %s, batch=1)", of, last));
    guess_add(el, e->loc, pick, pick);
}
