// Guesses that are tried. Where an error can have several causes, what would mend it is written
// down as guesses: a text in a place of the user's each. When the whole file has been looked at,
// each is put into its place and the file is read again; the first few that leave fewer errors, and
// no new one, are offered, as mends of the error and in a help. So a guess may be cheap, and what
// is offered is known to be right in its consequences, however deep in the library the error shows.
#include "frontend/mend.h"

enum {
    OFFERED = 2,    // mends of one error
    MOST = 24,      // guesses for one error
    ALL_TRIALS = 48 // readings of one file
};

static void add(Elab *el, Guess g)
{
    uint32_t same = 0;
    size_t size;
    const char *s = diag_source_text(el->diag, g.at.source, &size);
    g.error = diag_last_error(el->diag);
    if (!g.error || !s || g.at.end > size || el->options->no_trials || !is_users(el, g.at)) return;
    bool there = !strncmp(s + g.at.begin, g.text, g.at.end - g.at.begin);
    if (there && strlen(g.text) == g.at.end - g.at.begin && !g.also.source) return;
    for (uint32_t i = 0; i < el->guesses.n; i++) {
        const Guess *o = &el->guesses.at[i];
        same += o->error == g.error;
        if (o->error == g.error && !memcmp(&o->at, &g.at, sizeof g.at) &&
            !memcmp(&o->also, &g.also, sizeof g.also) && strcmp(o->text, g.text) == 0)
            return;
    }
    Loc from;
    if (same >= MOST || !diag_last(el->diag, &from)) return;
    g.from = from.source;
    vec_push(el->arena, &el->guesses, g);
}

void guess_add(Elab *el, Loc at, const char *text, const char *said)
{
    add(el, (Guess){.at = at, .text = text, .said = said});
}

void guess_two(Elab *el, Loc at, const char *text, Loc also, const char *also_text,
               const char *said)
{
    add(el, (Guess){.at = at, .text = text, .said = said, .also = also, .also_text = also_text});
}

// The file's text with a guess in its places.
static const char *guessed(Elab *el, const Guess *g)
{
    size_t size;
    const char *s = diag_source_text(el->diag, g->at.source, &size);
    Loc a = g->at, b = g->also;
    const char *first = g->text, *second = g->also_text ? g->also_text : "";
    if (!b.source) b = (Loc){a.source, a.end, a.end};
    if (b.begin < a.begin) {
        const Loc other = a;
        const char *text = first;
        a = b, b = other, first = second, second = text;
    }
    return str_printf(el->arena, "%.*s%s%.*s%s%.*s", (int)a.begin, s, first, (int)(b.begin - a.end),
                      s + a.end, second, (int)(size - b.end), s + b.end);
}

static bool has_error(const Diag *diag, const char *text)
{
    const char *other;
    for (uint32_t i = 0; (other = diag_error_text(diag, i)); i++)
        if (strcmp(other, text) == 0) return true;
    return false;
}

// Are there fewer errors with a guess, and no new one, which might hide others? Of several shapes
// those are looked at that were when the errors showed, as far as these may depend on them.
static bool helps(Elab *el, const char *path, const Guess *g)
{
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    FrontendOptions o = *el->options;
    o.no_trials = true;
    o.only_shape = el->failed_shape;
    diag_overlay(diag, diag_source_path(el->diag, g->at.source), guessed(el, g));
    frontend_load(arena, diag, path, &o);
    bool good = diag_errors(diag) < diag_errors(el->diag);
    const char *text;
    for (uint32_t i = 0; good && (text = diag_error_text(diag, i)); i++)
        good = has_error(el->diag, text);
    arena_free(arena);
    return good;
}

static void offer(Elab *el, const Guess *const *good, uint32_t n)
{
    const char *said = "", *verb = "";
    for (uint32_t i = 0; i < n; i++) {
        const Guess *g = good[i];
        uint32_t line, column;
        diag_position(el->diag, g->at, &line, &column);
        const char *file = diag_source_path(el->diag, g->at.source);
        const char *place = g->at.source == g->from ? str_printf(el->arena, "line %u", line)
                                                    : str_printf(el->arena, "%s:%u", file, line);
        const char *before = verb;
        verb = *g->text ? "write " : "leave out ";
        said = str_printf(el->arena, "%s%s%s%s (%s)", said, i ? ", or " : "",
                          strcmp(before, verb) ? verb : "", g->said, place);
    }
    diag_return_to(el->diag, good[0]->error);
    diag_help(el->diag, "%s", said);
    for (uint32_t i = 0; i < n; i++) {
        const bool taken = n == 1 && !*good[i]->text; // which is never sure
        (taken ? diag_mend : diag_guess)(el->diag, good[i]->at, good[i]->text);
        if (good[i]->also.source) diag_mend_also(el->diag, good[i]->also, good[i]->also_text);
    }
}

void guesses_try(Elab *el, const char *path)
{
    uint32_t left = ALL_TRIALS, error = 0, n = 0;
    const Guess *good[OFFERED];
    for (uint32_t i = 0; i <= el->guesses.n; i++) {
        const Guess *g = i < el->guesses.n ? &el->guesses.at[i] : NULL;
        if (!g || g->error != error) {
            if (n) offer(el, good, n);
            n = 0;
        }
        if (!g) return;
        error = g->error;
        if (n == OFFERED || !left || diag_has_mend(el->diag, error)) continue;
        if (n && g->at.source != good[0]->at.source) continue; // the same, where it is passed on
        left--;
        if (helps(el, path, g)) good[n++] = g;
    }
}
