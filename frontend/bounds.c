// Ranges of numbers that declarations have, `float 0..<1 = 0`: read, held, and numbers of them for
// those that are outside.
#include "frontend/bounds.h"
#include "frontend/advice.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

static size_t skip_blanks(const char *s, size_t i)
{
    while (s[i] == ' ') i++;
    return i;
}

// A bound from *p on, as far as a number goes; `none` where there is none.
static double bound(Elab *el, const char *s, size_t *p, double none)
{
    size_t n = *p;
    while (s[n] && !strchr(" <=", s[n]) && strncmp(s + n, "..", 2)) n++;
    const char *text = str_slice(el->arena, s + *p, n - *p);
    char *end;
    const double x = strtod(text, &end);
    if (*text && *end) return NAN;
    *p = n;
    return *text ? x : none;
}

static const char *range_text(Elab *el, const Bounds *r)
{
    if (isinf(r->hi))
        return str_printf(el->arena, r->lo_open ? "above %.10g" : "%.10g or more", r->lo);
    if (isinf(r->lo))
        return str_printf(el->arena, r->hi_open ? "below %.10g" : "%.10g or less", r->hi);
    if (r->lo_open)
        return str_printf(el->arena,
                          r->hi_open ? "above %.10g and below %.10g" : "above %.10g, at most %.10g",
                          r->lo, r->hi);
    return str_printf(el->arena, r->hi_open ? "from %.10g to below %.10g" : "from %.10g to %.10g",
                      r->lo, r->hi);
}

// "0..1", "0..<1", "0<.." at *p; the declaration goes without one that is wrong.
void bounds_parse(Elab *el, const Tree *t, size_t *p, Decl *d)
{
    const char *s = t->text;
    const size_t begin = *p;
    Bounds *r = arena_make(el->arena, Bounds);
    r->lo = bound(el, s, p, -INFINITY);
    r->lo_open = s[*p] == '<';
    *p += r->lo_open;
    const bool dots = strncmp(s + *p, "..", 2) == 0;
    if (dots) *p += 2;
    r->hi_open = dots && s[*p] == '<';
    *p += r->hi_open;
    r->hi = bound(el, s, p, INFINITY);
    r->text = range_text(el, r);
    d->range = r;
    const bool numbers = d->word == WORD_INT || d->word == WORD_FLOAT || d->word == WORD_LIST;
    if (numbers && dots && r->lo < r->hi && (isfinite(r->lo) || isfinite(r->hi))) return;
    const size_t end = begin + strcspn(s + begin, "=");
    const Loc at = tree_place(t, begin, end);
    el_error(el, at,
             numbers ? "a range is written 0..1, 0..<1, 0.. or 0<.., its numbers in order"
                     : "a range is one of int, float or list");
    diag_help(el->diag, numbers ? "write 0.., or leave it out" : "leave it out");
    if (numbers) diag_guess(el->diag, at, s[end] ? "0.. " : "0..");
    (numbers ? diag_guess : diag_mend)(el->diag, at, "");
    d->range = NULL;
    *p = end;
}

// `float = 0 0..1`, a range behind the default that begins at p. False where it is none.
bool bounds_behind(Elab *el, const Tree *t, size_t p)
{
    const char *s = t->text, *dots = strstr(s + p, "..");
    size_t begin = dots ? (size_t)(dots - s) : 0, type = 0;
    while (begin > p && s[begin - 1] != ' ') begin--;
    while (word_part(s[type])) type++;
    if (!dots || begin <= p + 1 || strchr(s + begin, '"')) return false;
    const size_t first = skip_blanks(s, p);
    size_t end = begin;
    while (end > first && s[end - 1] == ' ') end--;
    const char *text = str_printf(el->arena, "%.*s %s = %.*s", (int)type, s, s + begin,
                                  (int)(end - first), s + first);
    el_error(el, tree_place(t, begin, strlen(s)), "the range stands before the default");
    return suggest_text(el, t->loc, text);
}

static bool in_range(const Bounds *r, double x)
{
    return (r->lo_open ? x > r->lo : x >= r->lo) && (r->hi_open ? x < r->hi : x <= r->hi);
}

// A number of the range, at one of its ends where these are of it: the upper one first, or the
// lower.
static double some_in_range(const Bounds *r, bool upper)
{
    const bool lo = isfinite(r->lo), hi = isfinite(r->hi);
    if (hi && !r->hi_open && (upper || !lo || r->lo_open)) return r->hi;
    if (lo && !r->lo_open) return r->lo;
    return lo && hi ? (r->lo + r->hi) / 2 : lo ? r->lo + 1 : r->hi - 1;
}

// A number of the range that may be meant by one outside: a share by percents, less digits or no
// sign.
static double into_range(const Bounds *r, double x)
{
    if (in_range(r, -x)) return -x;
    if (!isfinite(x) || x <= r->lo || x <= 0) return some_in_range(r, x > r->hi);
    if (r->hi == 1 && x > 1 && x < 2) x -= 1;
    if (r->hi == 1 && x >= 10 && x <= 100) x /= 100;
    for (double y = x; y > 1e-9; y /= 10)
        if (in_range(r, y)) return y;
    return some_in_range(r, true);
}

// Numbers in their range for those of a value: nearest to them (0), or other ones.
static const char *in_range_text(Elab *el, const Decl *d, Value v, int which)
{
    const Bounds *r = d->range;
    const bool list = v.kind == V_LIST;
    const char *text = "";
    double x;
    for (uint32_t i = 0; i < (list ? v.list->v.n : 1); i++) {
        if (!value_number(list ? v.list->v.at[i] : v, &x)) return NULL;
        if (!in_range(r, x)) x = which ? some_in_range(r, true) : into_range(r, x);
        text = str_printf(el->arena, "%s%s%.10g", text, i ? ", " : "", x);
    }
    return list ? str_printf(el->arena, "[%s]", text) : text;
}

// The value as it is by itself, where that is written in numbers alone; NULL where it is not.
const char *decl_plain_default(Elab *el, const Decl *d)
{
    const char *text = d->def ? expr_text(el->arena, d->def) : "";
    const bool number = d->def && d->def->kind == EXPR_NUMBER;
    if (number && (d->word == WORD_LIST || !in_range(d->range, d->def->number))) return NULL;
    return *text && strspn(text, "0123456789.e+-[], ") == strlen(text) ? text : NULL;
}

// One more number of the range, farther from its ends; NULL where there is none such.
static const char *inner_number(Elab *el, const Decl *d)
{
    const Bounds *r = d->range;
    double x = isinf(r->hi) ? r->lo + 2 : isinf(r->lo) ? r->hi - 2 : r->lo + (r->hi - r->lo) / 10;
    if (d->word == WORD_INT) x = round(x);
    return d->word != WORD_LIST && in_range(r, x) ? str_printf(el->arena, "%.10g", x) : NULL;
}

static const char *usual_in_range(const Decl *d)
{
    const char *text = usual_value(d->name, 0);
    char *end = NULL;
    const double x = text ? strtod(text, &end) : NAN;
    return text && end > text && !*end && in_range(d->range, x) ? text : NULL;
}

static void suggest_in_range(Elab *el, const Decl *d, Value v)
{
    const char *all[] = {in_range_text(el, d, v, 0), decl_plain_default(el, d), usual_in_range(d),
                         in_range_text(el, d, v, 1), inner_number(el, d)};
    const char *two[2] = {NULL, NULL};
    for (size_t i = 0, n = 0; i < sizeof all / sizeof *all && n < 2; i++)
        if (all[i] && (!n || strcmp(all[i], two[0]))) two[n++] = all[i];
    if (two[0]) suggest_guess(el, two[0], two[1]);
}

void decl_check_default(Elab *el, Decl *d)
{
    if (!d->def || d->def->kind != EXPR_NUMBER) return;
    if (d->word == WORD_LIST) {
        const char *text = str_printf(el->arena, "[%s]", expr_text(el->arena, d->def));
        el_error(el, d->def->loc, "'%s' is a list, and its default is not", d->name);
        suggest(el, text, NULL);
        d->wrong = true;
    }
    if (d->wrong || !d->range) return;
    if (in_range(d->range, d->def->number)) return;
    el_error(el, d->def->loc, "'%s' is %s, and its default is not", d->name, d->range->text);
    suggest_in_range(el, d, value_float(d->def->number));
    d->range = NULL;
}

Value bounds_check(Elab *el, const Decl *d, Value v, Loc loc)
{
    const Value *items = v.kind == V_LIST ? v.list->v.at : &v;
    const uint32_t n = v.kind == V_LIST ? v.list->v.n : 1;
    double x;
    for (uint32_t i = 0; i < n; i++) {
        if (!value_number(items[i], &x) || in_range(d->range, x)) continue;
        el_error(el, loc,
                 v.kind == V_LIST ? "numbers of '%s' are %s, not %s" : "'%s' is %s, not %s",
                 d->name, d->range->text, value_text(el, items[i]));
        diag_note(el->diag, d->loc, "it is declared here");
        suggest_in_range(el, d, v);
        return value_error();
    }
    return v;
}
