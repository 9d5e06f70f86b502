// What would mend an error of YAML, tried: each candidate is put into the text, which is read
// again; the first two are offered with which no error is left up to the line of this one. So a
// candidate may be cheap, and what is offered is known to be read.
#include "frontend/tree_text.h"

#include "base/map.h"

#include <string.h>

enum {
    OFFERED = 2,           // mends of one error
    JUDGED = 6,            // of which there may be a choice
    JUDGED_SIZE = 1 << 15, // larger files are read once a candidate alone
    JUDGED_ERRORS = 4,     // of one file
    MOST = 12,             // candidates for one error
    TRIED_SIZE = 1 << 18,  // larger files are read but once
    TRIED_ERRORS = 16      // of one file
};

static Try *add(TreeText *t, Try try)
{
    uint32_t same = 0;
    try.error = diag_last_error(t->diag);
    for (uint32_t i = 0; i < t->tries.n; i++) same += t->tries.at[i].error == try.error;
    if (t->trial || !try.error || same >= MOST) return NULL;
    vec_push(t->arena, &t->tries, try);
    return &t->tries.at[t->tries.n - 1];
}

Try *try_new(TreeText *t, const char *said)
{
    return add(t, (Try){.said = said});
}

Try *try_only(TreeText *t, const char *said)
{
    return add(t, (Try){.said = said, .only = true});
}

Try *try_last(TreeText *t, const char *said)
{
    return add(t, (Try){.said = said, .last = true});
}

void try_edit(TreeText *t, Try *try, size_t begin, size_t end, const char *text)
{
    if (!try) return;
    if (try->edits.n && begin < try->edits.at[try->edits.n - 1].end)
        bug("edits of '%s' are not in order of place", try->said);
    vec_push(t->arena, &try->edits, ((TreeEdit){begin, end, str_copy(t->arena, text)}));
}

void try_write(TreeText *t, size_t begin, size_t end, const char *text)
{
    try_edit(t, try_new(t, str_printf(t->arena, "write %s", text)), begin, end, text);
}

void try_write_only(TreeText *t, size_t begin, size_t end, const char *text)
{
    try_edit(t, try_only(t, str_printf(t->arena, "write %s", text)), begin, end, text);
}

void try_quoted(TreeText *t, size_t begin, size_t end)
{
    try_write(t, begin, end, quoted_source(t, begin, end));
}

// ---- trials -----------------------------------------------------------------------------------

// The text with a candidate's edits, which are in order of place.
static char *edited(const TreeText *t, Arena *arena, const Try *try, size_t *size)
{
    size_t n = t->size, at = 0;
    for (uint32_t i = 0; i < try->edits.n; i++) n += strlen(try->edits.at[i].text);
    const char *source = diag_source_text(t->diag, t->source, NULL);
    char *out = arena_alloc(arena, n + 1), *to = out;
    for (uint32_t i = 0; i < try->edits.n; i++) {
        const TreeEdit *e = &try->edits.at[i];
        memcpy(to, source + at, e->begin - at);
        to += e->begin - at;
        memcpy(to, e->text, strlen(e->text));
        to += strlen(e->text);
        at = e->end;
    }
    memcpy(to, source + at, t->size - at);
    *size = (size_t)(to - out) + t->size - at;
    return out;
}

// Where a byte behind all edits lies in the edited text.
static size_t moved(const Try *try, size_t at)
{
    size_t to = at;
    for (uint32_t i = 0; i < try->edits.n; i++) {
        const TreeEdit *e = &try->edits.at[i];
        if (e->begin >= at) continue;
        const size_t end = e->end < at ? e->end : at;
        to += strlen(e->text) - (end - e->begin);
    }
    return to;
}

static size_t line_end(const TreeText *t, size_t at)
{
    while (at < t->size && t->text[at] != '\n') at++;
    return at;
}

// Is there such an error already? It says the same at the same place, which the edits have moved.
static bool is_known(const TreeText *t, const Try *try, const char *text, Loc at)
{
    Loc here;
    const char *other;
    for (uint32_t i = 0; (other = diag_error_at(t->diag, i, &here)); i++)
        if (here.source == t->source && moved(try, here.begin) == at.begin && !strcmp(other, text))
            return true;
    return false;
}

// Where the last edit ends.
static size_t edits_end(const Try *try)
{
    return try->edits.at[try->edits.n - 1].end;
}

// Is the text read with a candidate, at least as far as behind the place of the error and what the
// candidate writes? What says the same, or stands on a line of the candidate's, may be its work.
static bool helps(const TreeText *t, const Try *try)
{
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Loc failed, at;
    size_t size;
    const char *wrong = diag_last(t->diag, &failed), *text;
    char *copy = edited(t, arena, try, &size);
    const size_t from = line_begin(t->text, failed.begin), edit = edits_end(try);
    const size_t line = line_end(t, edit > failed.begin ? edit : failed.begin);
    const size_t behind = moved(try, line), place = moved(try, edit < from ? failed.begin : line);
    tree_read_trial(arena, diag, diag_source(diag, "", copy, size));
    bool good = true;
    for (uint32_t i = 0; good && (text = diag_error_at(diag, i, &at)); i++) {
        const bool same = wrong && !strcmp(text, wrong);
        const bool again = same && at.begin == moved(try, failed.begin);
        good = at.begin > (same ? behind : place) || (!again && is_known(t, try, text, at));
    }
    arena_free(arena);
    return good;
}

static void offer(TreeText *t, const Try *const *good, uint32_t n)
{
    const char *said = "";
    for (uint32_t i = 0; i < n; i++)
        said = str_printf(t->arena, "%s%s%s", said, i ? "; or " : "", good[i]->said);
    diag_help(t->diag, "%s", said);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < good[i]->edits.n; k++) {
            const TreeEdit *e = &good[i]->edits.at[k];
            (k ? diag_mend_also : diag_mend)(t->diag, tree_text_loc(t, e->begin, e->end), e->text);
        }
}

static bool same_edits(const Try *a, const Try *b)
{
    bool same = a->edits.n == b->edits.n;
    for (uint32_t i = 0; same && i < a->edits.n; i++) {
        const TreeEdit *x = &a->edits.at[i], *y = &b->edits.at[i];
        same = x->begin == y->begin && x->end == y->end && !strcmp(x->text, y->text);
    }
    return same;
}

// Errors of what is read with a candidate.
static uint32_t judged(const TreeText *t, const Try *try)
{
    Arena *arena = arena_new();
    size_t size;
    char *text = edited(t, arena, try, &size);
    text[size] = '\0';
    const uint32_t n = t->judge->errors(t->judge->self, text);
    arena_free(arena);
    return n;
}

// Those of n that have the fewest errors come first; how many there are, OFFERED at most.
static uint32_t best_of(const TreeText *t, const Try **good, uint32_t n)
{
    uint32_t errors[JUDGED], least = UINT32_MAX, kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        errors[i] = judged(t, good[i]);
        if (errors[i] < least) least = errors[i];
    }
    for (uint32_t i = 0; i < n && kept < OFFERED; i++)
        if (errors[i] == least) good[kept++] = good[i];
    return kept;
}

// The candidates [begin, end) of one error.
static void offer_for(TreeText *t, uint32_t begin, uint32_t end, bool tried, bool judged)
{
    const Try *good[JUDGED];
    const uint32_t most = judged ? JUDGED : OFFERED;
    uint32_t n = 0;
    bool only = false;
    diag_return_to(t->diag, t->tries.at[begin].error);
    for (uint32_t i = begin; i < end && n < most && !only; i++) {
        const Try *try = &t->tries.at[i];
        if (n && (try->only || (try->last && !good[0]->last))) continue;
        if (!try->edits.n && !n) diag_help(t->diag, "%s", try->said);
        if (!try->edits.n || !tried || (n && same_edits(good[0], try)) || !helps(t, try)) continue;
        good[n++] = try;
        only = try->only;
    }
    if (judged && n > 1) n = best_of(t, good, n);
    if (n) offer(t, good, n);
}

void tries_offer(TreeText *t)
{
    uint32_t errors = 0;
    for (uint32_t i = 0, end; i < t->tries.n; i = end) {
        for (end = i; end < t->tries.n && t->tries.at[end].error == t->tries.at[i].error;) end++;
        offer_for(t, i, end, t->size <= TRIED_SIZE && errors < TRIED_ERRORS,
                  t->judge && t->size <= JUDGED_SIZE && errors < JUDGED_ERRORS);
        errors++;
    }
}
