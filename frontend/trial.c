// Guesses that are tried. Where an error can have several causes, what would mend it is written
// down as guesses: a text in a place of the user's each. When the whole file has been looked at,
// each is put into its place and the file is read again; the first few that leave fewer errors, and
// no new one, are offered, as mends of the error and in a help. So a guess may be cheap, and what
// is offered is known to be right in its consequences, however deep in the library the error shows.
#include "frontend/guess.h"
#include "frontend/mend.h"

#include <ctype.h>
#include <stdlib.h>

enum {
    OFFERED = 2,     // mends of one error
    MOST = 40,       // guesses for one error
    ALL_TRIALS = 80, // readings of one file with few errors
    FEW = 20,
    LEAST_TRIALS = 16 // of one with many
};

static void add(Elab *el, Guess g)
{
    uint32_t same = 0;
    size_t size;
    const char *s = diag_source_text(el->diag, g.at.source, &size);
    g.error = diag_last_error(el->diag);
    if (!g.error || !s || g.at.end > size || el->options->no_trials || !is_users(el, g.at)) return;
    // the head of a text in lines of its own is not that text
    if (g.at.end == g.at.begin + 1 && strchr("|>", s[g.at.begin])) return;
    bool there = !strncmp(s + g.at.begin, g.text, g.at.end - g.at.begin);
    if (there && strlen(g.text) == g.at.end - g.at.begin && !g.also.source) return;
    Guesses *all = &el->guesses;
    while (all->last.n <= g.error) vec_push(el->arena, &all->last, 0);
    uint32_t *last = &all->last.at[g.error];
    for (uint32_t i = *last; i; i = all->all.at[i - 1].before, same++) {
        Guess *o = &all->all.at[i - 1];
        bool known = !memcmp(&o->at, &g.at, sizeof g.at) &&
                     !memcmp(&o->also, &g.also, sizeof g.also) && strcmp(o->text, g.text) == 0;
        if (known) o->sure |= g.sure;
        if (known && o->turn <= el->turn) return;
        if (known) o->error = 0; // its turn comes earlier now
    }
    Loc from;
    if ((same >= MOST && el->turn != TURN_COLUMN) || !diag_last(el->diag, &from)) return;
    g.from = from.source;
    g.turn = el->turn;
    g.sure |= g.turn == TURN_EARLY;
    g.before = *last;
    vec_push(el->arena, &all->all, g);
    *last = all->all.n;
}

void guess_add(Elab *el, Loc at, const char *text, const char *said)
{
    add(el, (Guess){.at = at, .text = text, .said = said});
}

void guess_sure(Elab *el, Loc at, const char *text, const char *said)
{
    add(el, (Guess){.at = at, .text = text, .said = said, .sure = true});
}

void guess_both(Elab *el, Loc at, const char *text, Loc also, const char *also_text,
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
    if (!b.source) b = loc_in(a.source, a.end, a.end);
    if (b.begin < a.begin) {
        const Loc other = a;
        const char *text = first;
        a = b, b = other, first = second, second = text;
    }
    return str_printf(el->arena, "%.*s%s%.*s%s%.*s", (int)a.begin, s, first, (int)(b.begin - a.end),
                      s + a.end, second, (int)(size - b.end), s + b.end);
}

// What is tried for one error.
typedef struct Trials {
    Elab *el;
    const char *path; // of the file
    Map texts;        // of its errors
    const char *own;  // the error's, and its place
    Loc at;
    uint32_t left;              // how many may still be tried
    bool all, wants;            // the last that helped leaves no error; only such are wanted
    bool worse;                 // the last one helps none of the errors
    VEC(const Guess *) columns; // that are worse
} Trials;

static void begin(Trials *t, uint32_t error)
{
    diag_return_to(t->el->diag, error);
    t->own = diag_last(t->el->diag, &t->at);
}

// Where what begins at a byte of the guess's source begins with the guess; both ends of what is
// written there where it begins in a place of the guess.
static void moved(const Guess *g, uint32_t at, uint32_t *first, uint32_t *last)
{
    const Loc places[] = {g->at, g->also};
    const uint32_t sizes[] = {(uint32_t)strlen(g->text),
                              g->also.source ? (uint32_t)strlen(g->also_text) : 0};
    *first = *last = at;
    for (int i = 0; i < 2; i++) {
        const Loc p = places[i];
        if (!p.source || at < p.begin) continue;
        if (at >= p.end) *last += sizes[i] - (p.end - p.begin);
        if (at >= p.end && at > p.begin) *first += sizes[i] - (p.end - p.begin);
        if (at < p.end) *first -= at - p.begin, *last += sizes[i] - (at - p.begin);
    }
}

// Is the error that the guess is for still among these?
static bool is_left(const Trials *t, const Guess *g, const Diag *diag)
{
    const Elab *el = t->el;
    const char *text, *file = diag_source_path(el->diag, t->at.source);
    uint32_t first = t->at.begin, last = first;
    if (t->at.source == g->at.source) moved(g, first, &first, &last);
    Loc at;
    for (uint32_t i = 0; (text = diag_error_at(diag, i, &at)); i++) {
        const char *path = diag_source_path(diag, at.source);
        bool same_file = path && file ? strcmp(path, file) == 0 : path == file;
        if (same_file && at.begin >= first && at.begin <= last && !strcmp(text, t->own))
            return true;
    }
    return false;
}

// Is the error gone with a guess, and no new one there, which might hide others? Of several shapes
// those are looked at that were when the errors showed, as far as these may depend on them.
static bool helps(Trials *t, const Guess *g)
{
    Elab *el = t->el;
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    FrontendOptions o = *el->options;
    o.no_trials = o.trial = true;
    o.only_shape = el->failed_shape;
    diag_overlay(diag, diag_source_path(el->diag, g->at.source), guessed(el, g));
    frontend_load(arena, diag, t->path, &o);
    bool good = diag_errors(diag) < diag_errors(el->diag);
    const char *text;
    for (uint32_t i = 0; good && (text = diag_error_text(diag, i)); i++)
        good = map_find(&t->texts, text);
    t->worse = !good;
    good = good && !is_left(t, g, diag);
    if (good) t->all = !diag_errors(diag);
    arena_free(arena);
    return good && (t->all || !t->wants);
}

// "line 7", "lines 7 and 11", "file.yaml:7": where a guess writes.
static const char *lines_of(Elab *el, const Guess *g)
{
    uint32_t line, column, other;
    diag_position(el->diag, g->at, &line, &column);
    const char *file = diag_source_path(el->diag, g->at.source);
    bool here = g->at.source == g->from, two = false;
    if (g->also.source) {
        diag_position(el->diag, g->also, &other, &column);
        two = other != line;
    }
    const char *text = here ? str_printf(el->arena, two ? "lines %u" : "line %u", line)
                            : str_printf(el->arena, "%s:%u", file, line);
    return two ? str_printf(el->arena, "%s and %u", text, other) : text;
}

static void offer(Elab *el, const Guess *const *good, uint32_t n, bool sure)
{
    const char *said = "";
    for (uint32_t i = 0; i < n; i++) {
        const Guess *g = good[i];
        const char *verb = *g->text ? "write " : "leave out ";
        bool again = i && !*g->text == !*good[i - 1]->text;
        said = str_printf(el->arena, "%s%s%s%s (%s)", said, i ? ", or " : "", again ? "" : verb,
                          g->said, lines_of(el, g));
    }
    diag_return_to(el->diag, good[0]->error);
    diag_help(el->diag, "%s", said);
    for (uint32_t i = 0; i < n; i++) {
        const bool alone =
            n == 1 && (sure || good[i]->sure || !*good[i]->text); // taking away is never sure
        (alone ? diag_mend : diag_guess)(el->diag, good[i]->at, good[i]->text);
        if (good[i]->also.source) diag_mend_also(el->diag, good[i]->also, good[i]->also_text);
    }
}

// By errors, then in turn, else as they were added: which they are compared by where they stand.
static int by_error(const void *a, const void *b)
{
    const Guess *x = *(const Guess *const *)a, *y = *(const Guess *const *)b;
    if (x->error != y->error) return x->error < y->error ? -1 : 1;
    if (x->turn != y->turn) return x->turn < y->turn ? -1 : 1;
    return x < y ? -1 : x > y;
}

// The graph without the expert or loss, or what is watched, in which the mended place is.
static Guess *without_entry(Elab *el, const Guess *of)
{
    static const char *const sections[] = {"experts", "losses", "watch", "stats"};
    for (size_t k = 0; k < sizeof sections / sizeof *sections; k++) {
        const Tree *t = tree_get(el->root, sections[k]);
        for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++) {
            const Loc at = entry_place(el, t, i);
            bool inside =
                at.source == of->at.source && of->at.begin >= at.begin && of->at.end <= at.end;
            if (!inside || (of->at.begin == at.begin && of->at.end == at.end)) continue;
            Guess *g = arena_make(el->arena, Guess);
            *g = *of;
            if (t->entries.n == 1) t = parent_map(el->root, t, &i); // the section
            g->at = entry_left_out(el, t, i, &g->text, &g->said);
            g->also = (Loc){0};
            return g->at.source ? g : NULL;
        }
    }
    return NULL;
}

void guess_all(Elab *el)
{
    const uint32_t error = diag_last_error(el->diag);
    for (uint32_t i = 0; i < el->guesses.all.n; i++)
        el->guesses.all.at[i].sure |= el->guesses.all.at[i].error == error;
}

void guess_anyway(Elab *el, Loc at)
{
    const uint32_t error = diag_last_error(el->diag);
    for (uint32_t i = 0; i < el->guesses.all.n; i++) {
        Guess *g = &el->guesses.all.at[i];
        bool there = !at.source || (g->at.source == at.source && g->at.begin == at.begin);
        g->anyway |= g->error == error && there;
    }
}

// What is missing may be no mend alone: the first guesses then say what kind of thing it is.
static void offer_anyway(Elab *el, uint32_t error)
{
    const Guess *good[OFFERED];
    uint32_t n = 0;
    if (!error || diag_has_mend(el->diag, error)) return;
    for (uint32_t i = 0; i < el->guesses.all.n && n < OFFERED; i++)
        if (el->guesses.all.at[i].error == error && el->guesses.all.at[i].anyway)
            good[n++] = &el->guesses.all.at[i];
    if (n) offer(el, good, n, false);
}

// How often a file may be read, which takes as long as it has errors.
static uint32_t trials_of(const Elab *el)
{
    const uint32_t errors = diag_errors(el->diag);
    const uint32_t n = errors > FEW ? ALL_TRIALS * FEW / errors : ALL_TRIALS;
    return n > LEAST_TRIALS ? n : LEAST_TRIALS;
}

// What fails in a file that the graph extends fails, as a rule, because of what the graph changes;
// of what nothing else is known, the graph may do without it.
static void guess_entries(Elab *el)
{
    Loc at;
    for (uint32_t i = 0; i < FEW && diag_error_at(el->diag, i, &at); i++) {
        el->turn = is_inherited(el, at) ? TURN_EARLY : TURN_LAST;
        diag_return_to(el->diag, diag_error_number(el->diag, i));
        guess_no_entry_around(el, at);
    }
    el->turn = TURN_PLAIN;
}

// What is written otherwise in the graph's own file, for what fails in a file that it extends, is
// more likely than that the graph does without what fails.
static void own_values_first(Elab *el)
{
    Loc at;
    for (uint32_t i = 0; i < el->guesses.all.n; i++) {
        Guess *g = &el->guesses.all.at[i];
        const bool value = g->at.end > g->at.begin && *g->text && g->turn == TURN_PLAIN;
        if (!value || !g->error || g->at.source != el->root->loc.source) continue;
        diag_return_to(el->diag, g->error);
        if (diag_last(el->diag, &at) && is_inherited(el, at)) g->turn = TURN_FIRST;
    }
}

// Is there no need to try a guess, since others help?
static bool is_needless(const Elab *el, const Guess *g, const Guess *const *good, uint32_t n)
{
    if (!n) return false;
    if (g->turn == TURN_LAST || n == OFFERED) return true;
    if (g->turn == TURN_EARLY && good[0]->turn <= TURN_FIRST) return true;
    return g->at.source != good[0]->at.source && !is_inherited(el, g->at); // the same elsewhere
}

// A second guess beside one that alone helps and is not sure.
static const Guess *another(Trials *t, const Guess *one, const Guess *const *of_error, uint32_t n)
{
    const Guess *less = one->turn == TURN_COLUMN ? NULL : without_entry(t->el, one);
    if (less && helps(t, less)) return less;
    for (uint32_t i = 0; one->turn <= TURN_FIRST && i < n; i++) {
        const Turn turn = of_error[i]->turn;
        const bool next = turn == TURN_EARLY || (turn == TURN_LAST && one->turn == TURN_COLUMN);
        if (next && helps(t, of_error[i])) return of_error[i];
    }
    return NULL;
}

// Has what a name stands for failed, so that its error is known?
static bool is_error(const Elab *el, const char *name)
{
    const Binding *b = el->scope ? scope_find(el->scope, name) : NULL;
    if (!b || !b->forced) return false;
    const App *app = b->value.kind == V_INSTANCE ? b->value.instance->app : NULL;
    return b->value.kind == V_ERROR || (app && !app->instance);
}

// Does a guess write a name that failed where there was another? What reads it would be silent.
static bool writes_error(Elab *el, const Guess *g)
{
    const char *old = text_at(el, g->at), *s = diag_source_text(el->diag, g->at.source, NULL);
    if (s[g->at.end] == ':') return false; // a key
    for (const char *p = g->text; *p;) {
        size_t n = 0;
        const char *close = *p == '"' ? strchr(p + 1, '"') : NULL; // a text, which may be a glob
        if (close && strchr("*.", close[-1])) {
            p = close + 1;
            continue;
        }
        while (path_part(p[n])) n++;
        const char *name = str_slice(el->arena, p, strcspn(p, ".") < n ? strcspn(p, ".") : n);
        const bool value = n && (isalpha((unsigned char)*p) || *p == '_') && p[n] != '(' &&
                           p[n] != ':' && p[n] != '=';
        if (value && !strstr(old, name) && is_error(el, name)) return true;
        p += n ? n : 1;
    }
    return false;
}

// Has a guess been tried in vain for another error?
static bool is_worse(const Trials *t, const Guess *g)
{
    for (uint32_t i = 0; i < t->columns.n; i++) {
        const Guess *o = t->columns.at[i];
        if (!memcmp(&o->at, &g->at, sizeof g->at) && !strcmp(o->text, g->text)) return true;
    }
    return false;
}

// The guesses for one error. An entry in another column that mends all errors of the file is what
// happened: beside it only what mends all of them is offered, and without such it is certain.
static void try_all(Trials *t, uint32_t error, const Guess *const *list, uint32_t count)
{
    Elab *el = t->el;
    const Guess *good[OFFERED];
    uint32_t n = 0;
    begin(t, error);
    t->wants = false;
    for (uint32_t k = 0; k < count && t->left; k++) {
        const bool instead = list[k]->turn == TURN_COLUMN;
        if (!instead && diag_has_mend(el->diag, error)) break;
        if (is_needless(el, list[k], good, n) || writes_error(el, list[k])) continue;
        if (instead && is_worse(t, list[k])) continue;
        t->left--;
        if (!helps(t, list[k])) {
            if (instead && t->worse) vec_push(el->arena, &t->columns, list[k]);
            continue;
        }
        good[n++] = list[k];
        if (instead) diag_unhelp(el->diag, error), t->wants |= t->all;
    }
    const bool alone = n == 1 && (!good[0]->sure || good[0]->turn == TURN_COLUMN);
    if (alone && (good[1] = another(t, good[0], list, count))) n++;
    if (n)
        offer(el, good, n, t->wants);
    else
        offer_anyway(el, error);
}

void guesses_try(Elab *el, const char *path)
{
    guess_columns(el);
    guess_entries(el);
    own_values_first(el);
    const uint32_t all = el->guesses.all.n;
    const Guess **list = arena_array(el->arena, const Guess *, all + 1);
    Trials t = {.el = el, .path = path, .left = trials_of(el)};
    const char *text;
    for (uint32_t i = 0; (text = diag_error_text(el->diag, i)); i++)
        map_set(el->arena, &t.texts, text, el);
    for (uint32_t i = 0; i < all; i++) list[i] = &el->guesses.all.at[i];
    if (all) qsort(list, all, sizeof *list, by_error);
    for (uint32_t i = 0, end; i < all; i = end) {
        for (end = i; end < all && list[end]->error == list[i]->error;) end++;
        if (list[i]->error) try_all(&t, list[i]->error, list + i, end - i);
    }
}
