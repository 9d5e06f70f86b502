// Guesses that are tried. Where an error can have several causes, what would mend it is written
// down as guesses: a text in a place of the user's each. When the whole file has been looked at,
// each is put into its place and the file is read again; the first few that leave fewer errors, and
// no new one, are offered, as mends of the error and in a help. So a guess may be cheap, and what
// is offered is known to be right in its consequences, however deep in the library the error shows.
#include "frontend/elab.h"

#include "frontend/guess.h"

enum {
    OFFERED = 2,    // mends of one error
    MOST = 40,      // guesses for one error
    ALL_TRIALS = 80 // readings of one file
};

static void add(Elab *el, Loc at, const char *text, const char *said, bool sure)
{
    uint32_t error = diag_last_error(el->diag), same = 0;
    size_t size;
    const char *s = diag_source_text(el->diag, at.source, &size);
    if (!error || !s || at.end > size || el->options->no_trials || !is_users(el, at)) return;
    bool there = !strncmp(s + at.begin, text, at.end - at.begin);
    if (there && strlen(text) == at.end - at.begin) return;
    for (uint32_t i = 0; i < el->guesses.n; i++) {
        const Guess *g = &el->guesses.at[i];
        same += g->error == error;
        if (g->error == error && g->at.begin == at.begin && g->at.source == at.source &&
            g->at.end == at.end && strcmp(g->text, text) == 0)
            return;
    }
    Loc from;
    if (same < MOST && diag_last(el->diag, &from))
        vec_push(el->arena, &el->guesses, (Guess){error, from.source, at, text, said, sure});
}

void guess_add(Elab *el, Loc at, const char *text, const char *said)
{
    add(el, at, text, said, false);
}

void guess_sure(Elab *el, Loc at, const char *text, const char *said)
{
    add(el, at, text, said, true);
}

// The file's text with a guess in its place.
static const char *guessed(Elab *el, const Guess *g)
{
    size_t size;
    const char *s = diag_source_text(el->diag, g->at.source, &size);
    return str_printf(el->arena, "%.*s%s%.*s", (int)g->at.begin, s, g->text,
                      (int)(size - g->at.end), s + g->at.end);
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

static void offer(Elab *el, const Guess *good, uint32_t n)
{
    const char *said = "", *verb = "";
    for (uint32_t i = 0; i < n; i++) {
        const Guess *g = &good[i];
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
    diag_return_to(el->diag, good->error);
    diag_help(el->diag, "%s", said);
    for (uint32_t i = 0; i < n; i++)
        (n == 1 && good->sure ? diag_mend : diag_guess)(el->diag, good[i].at, good[i].text);
}

// The graph without the expert or loss, or what is watched, in which the mended place is.
static bool without_entry(Elab *el, Loc at, Guess *g)
{
    static const char *const sections[] = {"experts", "losses", "watch", "stats"};
    for (size_t k = 0; k < sizeof sections / sizeof *sections; k++) {
        const Tree *t = tree_get(el->root, sections[k]);
        for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++) {
            const Tree *key = t->entries.at[i].key;
            Loc whole = entry_whole(el, t, i);
            bool inside =
                key->loc.source == at.source && at.begin >= whole.begin && at.end <= whole.end;
            if (!inside) continue;
            if (t->entries.n == 1) { // the section
                key = tree_entry(el->root, sections[k])->key;
                uint32_t n = 0;
                while (el->root->entries.at[n].key != key) n++;
                whole = entry_whole(el, el->root, n);
            }
            g->at = whole;
            g->text = "";
            g->said = str_printf(el->arena, "'%s'", key->text);
            return true;
        }
    }
    return false;
}

void guesses_try(Elab *el, const char *path)
{
    uint32_t left = ALL_TRIALS, error = 0, n = 0;
    Guess good[OFFERED];
    for (uint32_t i = 0; i <= el->guesses.n; i++) {
        const Guess *g = i < el->guesses.n ? &el->guesses.at[i] : NULL;
        if (!g || g->error != error) {
            Guess away = good[0];
            if (n == 1 && !away.sure && without_entry(el, good[0].at, &away) &&
                helps(el, path, &away))
                good[n++] = away;
            if (n) offer(el, good, n);
            n = 0;
        }
        if (!g) return;
        error = g->error;
        if (n == OFFERED || !left || diag_has_mend(el->diag, error)) continue;
        if (n && g->at.source != good[0].at.source) continue; // the same, where it is passed on
        left--;
        if (helps(el, path, g)) good[n++] = *g;
    }
}
