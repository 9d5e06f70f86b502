// Diagnostics: sources are registered once, messages hold byte ranges, printing finds lines and
// columns.
#include "base/diag.h"

#include "base/map.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct Source {
    const char *path, *text;
    size_t size;
    VEC(uint32_t) lines; // where each begins, the first one too
} Source;

typedef struct Message {
    DiagKind kind;
    Loc loc;
    const char *text;
    uint32_t group; // the error or warning it belongs to
} Message;

struct Diag {
    Arena *arena;
    VEC(Source) sources;
    VEC(Message) messages;
    VEC(Mend) mends;
    VEC(uint32_t) errors;   // their messages
    uint32_t group, groups; // group: what is said belongs to; groups: how many there are
    VEC(Source) overlays;
    VEC(Loc) calls;
    bool drop; // the last error was a repetition: drop its notes too
};

Diag *diag_new(Arena *arena)
{
    Diag *diag = arena_make(arena, Diag);
    diag->arena = arena;
    vec_push(arena, &diag->sources, (Source){0});
    return diag;
}

uint32_t diag_source(Diag *diag, const char *path, const char *text, size_t size)
{
    Source s = {.path = str_copy(diag->arena, path), .text = text, .size = size};
    vec_push(diag->arena, &s.lines, 0);
    for (const char *at = text; size && (at = memchr(at, '\n', size - (size_t)(at - text)));)
        vec_push(diag->arena, &s.lines, (uint32_t)(++at - text));
    vec_push(diag->arena, &diag->sources, s);
    return diag->sources.n - 1;
}

const char *diag_source_path(const Diag *diag, uint32_t source)
{
    return source && source < diag->sources.n ? diag->sources.at[source].path : NULL;
}

const char *diag_source_text(const Diag *diag, uint32_t source, size_t *size)
{
    if (!source || source >= diag->sources.n) return NULL;
    if (size) *size = diag->sources.at[source].size;
    return diag->sources.at[source].text;
}

static bool same_loc(Loc a, Loc b)
{
    return a.source == b.source && a.begin == b.begin && a.end == b.end;
}

// Is there such a message among the first n?
static bool repeats(const Diag *diag, uint32_t n, DiagKind kind, Loc loc, const char *text)
{
    for (uint32_t i = 0; i < n; i++) {
        const Message *m = &diag->messages.at[i];
        if (m->kind == kind && same_loc(m->loc, loc) && strcmp(m->text, text) == 0) return true;
    }
    return false;
}

static void report(Diag *diag, DiagKind kind, Loc loc, const char *fmt, va_list ap)
{
    char *text = str_vprintf(diag->arena, fmt, ap);
    if (kind <= DIAG_WARNING) {
        diag->drop = repeats(diag, diag->messages.n, kind, loc, text);
        if (!diag->drop) diag->group = ++diag->groups;
        if (!diag->drop && kind == DIAG_ERROR)
            vec_push(diag->arena, &diag->errors, diag->messages.n);
    }
    if (!diag->drop)
        vec_push(diag->arena, &diag->messages, (Message){kind, loc, text, diag->group});
}

#define REPORT(kind, loc)                                                                          \
    va_list ap;                                                                                    \
    va_start(ap, fmt);                                                                             \
    report(diag, (kind), (loc), fmt, ap);                                                          \
    va_end(ap)

void diag_error(Diag *diag, Loc loc, const char *fmt, ...)
{
    REPORT(DIAG_ERROR, loc);
}

void diag_warning(Diag *diag, Loc loc, const char *fmt, ...)
{
    REPORT(DIAG_WARNING, loc);
}

void diag_note(Diag *diag, Loc loc, const char *fmt, ...)
{
    REPORT(DIAG_NOTE, loc);
}

void diag_help(Diag *diag, const char *fmt, ...)
{
    REPORT(DIAG_HELP, (Loc){0});
}

static void add_mend(Diag *diag, Loc at, const char *text, bool guess)
{
    if (diag->drop || !at.source || !diag->group) return;
    const Mend mend = {at, str_copy(diag->arena, text), diag->group, guess, false};
    vec_push(diag->arena, &diag->mends, mend);
}

void diag_mend(Diag *diag, Loc at, const char *text)
{
    add_mend(diag, at, text, false);
}

void diag_guess(Diag *diag, Loc at, const char *text)
{
    add_mend(diag, at, text, true);
}

void diag_mend_also(Diag *diag, Loc at, const char *text)
{
    const Mend *last = diag->mends.n ? &diag->mends.at[diag->mends.n - 1] : NULL;
    if (diag->drop || !last || last->error != diag->group || last->at.source != at.source) return;
    add_mend(diag, at, text, last->guess);
    diag->mends.at[diag->mends.n - 1].also = true;
}

static uint32_t count_of(const Diag *diag, uint32_t error)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < diag->mends.n; i++)
        n += diag->mends.at[i].error == error && !diag->mends.at[i].also;
    return n;
}

uint32_t diag_last_error(const Diag *diag)
{
    return diag->drop ? 0 : diag->group;
}

uint32_t diag_reports(const Diag *diag)
{
    return diag->groups;
}

bool diag_has_mend(const Diag *diag, uint32_t error)
{
    return count_of(diag, error) > 0;
}

void diag_unhelp(Diag *diag, uint32_t error)
{
    uint32_t messages = 0, mends = 0, k = 0;
    for (uint32_t i = 0; i < diag->messages.n; i++) {
        const Message m = diag->messages.at[i];
        if (m.group == error && m.kind == DIAG_HELP) continue;
        if (k < diag->errors.n && diag->errors.at[k] == i) diag->errors.at[k++] = messages;
        diag->messages.at[messages++] = m;
    }
    for (uint32_t i = 0; i < diag->mends.n; i++)
        if (diag->mends.at[i].error != error) diag->mends.at[mends++] = diag->mends.at[i];
    diag->messages.n = messages;
    diag->mends.n = mends;
}

void diag_return_to(Diag *diag, uint32_t error)
{
    diag->drop = false;
    diag->group = error;
}

void diag_overlay(Diag *diag, const char *path, const char *text)
{
    vec_push(diag->arena, &diag->overlays,
             ((Source){.path = path, .text = text, .size = strlen(text)}));
}

const char *diag_overlaid(const Diag *diag, const char *path)
{
    for (uint32_t i = diag->overlays.n; i--;)
        if (strcmp(diag->overlays.at[i].path, path) == 0) return diag->overlays.at[i].text;
    return NULL;
}

// The only place of a text in another place; false where there is none, or several.
static bool find_in(const Diag *diag, Loc *at, const char *text)
{
    const Source *s = &diag->sources.at[at->source];
    size_t n = strlen(text), found = SIZE_MAX;
    for (size_t i = at->begin; n && i + n <= at->end && i + n <= s->size; i++) {
        if (memcmp(s->text + i, text, n)) continue;
        if (found != SIZE_MAX) return false;
        found = i;
    }
    if (found == SIZE_MAX) return false;
    at->begin = (uint32_t)found;
    at->end = (uint32_t)(found + n);
    return true;
}

static void did_you_mean(Diag *diag, const char *wrong, const char *right, bool sure)
{
    Loc at;
    diag_help(diag, "did you mean '%s'?", right);
    if (diag_last(diag, &at) && at.source < diag->sources.n && find_in(diag, &at, wrong))
        add_mend(diag, at, right, !sure);
}

void diag_did_you_mean(Diag *diag, const char *wrong, const char *right)
{
    did_you_mean(diag, wrong, right, str_is_slip(wrong, right));
}

void diag_may_you_mean(Diag *diag, const char *wrong, const char *right)
{
    did_you_mean(diag, wrong, right, false);
}

// ---- applied mends ----------------------------------------------------------------------------

static int by_place_of_mend(const void *a, const void *b)
{
    const Mend *const *p = a, *const *q = b, *x = *p, *y = *q;
    if (x->at.begin != y->at.begin) return x->at.begin < y->at.begin ? -1 : 1;
    if (x->at.end != y->at.end) return x->at.end < y->at.end ? -1 : 1;
    return x < y ? -1 : x > y;
}

typedef VEC(const Mend *) MendRefs;

static void sort_mends(MendRefs *list)
{
    if (list->n) qsort(list->at, list->n, sizeof *list->at, by_place_of_mend);
}

// The next mend behind all places of this one.
static const Mend *behind(const Diag *diag, const Mend *m)
{
    const Mend *end = diag->mends.at + diag->mends.n;
    for (m++; m < end && m->also;) m++;
    return m;
}

// The only one of its error, no guess, and not one that takes away what was written.
static bool is_sure(const Diag *diag, const Mend *m)
{
    bool writes = false;
    for (const Mend *part = m; part < behind(diag, m); part++) writes |= *part->text != 0;
    return writes && !m->guess && count_of(diag, m->error) == 1;
}

// Is it the mend number `choice` of its error, or the last it has, and in this source? Another of
// them may be in another source, and each mends the error alone.
static bool is_choice(const Diag *diag, const Mend *m, uint32_t source, uint32_t choice)
{
    uint32_t number = 0, there = 0; // of those of its error
    if (m->at.source != source || m->also) return false;
    if (choice == MEND_SURE) return is_sure(diag, m);
    for (uint32_t k = 0; k < diag->mends.n; k++) {
        const Mend *o = &diag->mends.at[k];
        bool same = o->error == m->error && !o->also;
        number += same && o < m;
        there += same;
    }
    return number == (choice < there ? choice : there - 1);
}

// Has it a place that is, or lies in, a place of these? Of equal ones one is enough.
static bool meets(const Diag *diag, const Mend *m, const MendRefs *list)
{
    for (const Mend *part = m; part < behind(diag, m); part++)
        for (uint32_t i = 0; i < list->n; i++) {
            const Loc a = part->at, b = list->at[i]->at;
            if (same_loc(a, b) || (a.begin < b.end && b.begin < a.end)) return true;
        }
    return false;
}

// The places that are written, by place: of all errors, or of one.
static MendRefs chosen(const Diag *diag, Arena *arena, uint32_t source, uint32_t choice,
                       uint32_t error)
{
    MendRefs heads = {0}, list = {0};
    const size_t size = diag->sources.at[source].size;
    for (uint32_t i = 0; i < diag->mends.n; i++)
        if ((!error || diag->mends.at[i].error == error) &&
            is_choice(diag, &diag->mends.at[i], source, choice))
            vec_push(arena, &heads, &diag->mends.at[i]);
    sort_mends(&heads);
    for (uint32_t i = 0; i < heads.n; i++) {
        bool outside = meets(diag, heads.at[i], &list);
        for (const Mend *m = heads.at[i]; m < behind(diag, heads.at[i]); m++)
            outside |= m->at.end > size;
        for (const Mend *m = heads.at[i]; !outside && m < behind(diag, heads.at[i]); m++)
            vec_push(arena, &list, m);
    }
    sort_mends(&list);
    return list;
}

const bool *diag_mends_applied(const Diag *diag, Arena *arena, uint32_t source, uint32_t choice)
{
    bool *applied = arena_array(arena, bool, diag->mends.n + 1);
    const MendRefs list = chosen(diag, arena, source, choice, 0);
    for (uint32_t i = 0; i < list.n; i++) applied[list.at[i] - diag->mends.at] = true;
    return applied;
}

// A source with these written.
static const char *written(const Source *s, Arena *arena, const MendRefs *list)
{
    size_t size = s->size, at = 0;
    for (uint32_t i = 0; i < list->n; i++)
        size += strlen(list->at[i]->text) - (list->at[i]->at.end - list->at[i]->at.begin);
    char *out = arena_alloc(arena, size + 1), *to = out;
    for (uint32_t i = 0; i < list->n; i++) {
        const Mend *m = list->at[i];
        memcpy(to, s->text + at, m->at.begin - at);
        to += m->at.begin - at;
        memcpy(to, m->text, strlen(m->text));
        to += strlen(m->text);
        at = m->at.end;
    }
    if (s->size > at) memcpy(to, s->text + at, s->size - at);
    to[s->size - at] = 0;
    return out;
}

const char *diag_mended(const Diag *diag, Arena *arena, uint32_t source, uint32_t choice,
                        uint32_t *n)
{
    const MendRefs list = chosen(diag, arena, source, choice, 0);
    *n = 0;
    for (uint32_t i = 0; i < list.n; i++) *n += !list.at[i]->also;
    return written(&diag->sources.at[source], arena, &list);
}

const char *diag_mended_of(const Diag *diag, Arena *arena, uint32_t source, uint32_t error)
{
    const MendRefs list = chosen(diag, arena, source, MEND_SURE, error);
    return list.n ? written(&diag->sources.at[source], arena, &list) : NULL;
}

const Mend *diag_mends(const Diag *diag, uint32_t *n)
{
    *n = diag->mends.n;
    return diag->mends.at;
}

const char *diag_last(const Diag *diag, Loc *loc)
{
    uint32_t i = diag->drop ? 0 : diag->messages.n;
    while (i && (diag->messages.at[i - 1].kind > DIAG_WARNING ||
                 diag->messages.at[i - 1].group != diag->group))
        i--;
    if (!i) return NULL;
    *loc = diag->messages.at[i - 1].loc;
    return diag->messages.at[i - 1].text;
}

void diag_move_last(Diag *diag, Loc loc)
{
    if (diag->drop || !diag->messages.n) return;
    uint32_t last = diag->messages.n - 1;
    Message *m = &diag->messages.at[last];
    if (m->kind > DIAG_WARNING) return;
    m->loc = loc;
    diag->drop = repeats(diag, last, m->kind, loc, m->text);
    if (!diag->drop) return;
    diag->errors.n -= m->kind == DIAG_ERROR;
    diag->messages.n = last; // it has no mends yet
}

const char *diag_error_at(const Diag *diag, uint32_t i, Loc *at)
{
    if (i >= diag->errors.n) return NULL;
    const Message *m = &diag->messages.at[diag->errors.at[i]];
    *at = m->loc;
    return m->text;
}

const char *diag_error_text(const Diag *diag, uint32_t i)
{
    Loc at;
    return diag_error_at(diag, i, &at);
}

uint32_t diag_error_number(const Diag *diag, uint32_t i)
{
    return diag->messages.at[diag->errors.at[i]].group;
}

uint32_t diag_errors(const Diag *diag)
{
    return diag->errors.n;
}

uint32_t diag_messages(const Diag *diag)
{
    return diag->messages.n;
}

static bool starts_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

void diag_position(const Diag *diag, Loc loc, uint32_t *line, uint32_t *column)
{
    const Source *s = &diag->sources.at[loc.source < diag->sources.n ? loc.source : 0];
    uint32_t low = 0, high = s->lines.n;
    while (high - low > 1) { // the last line that begins at or before the place
        uint32_t middle = low + (high - low) / 2;
        *(s->lines.at[middle] <= loc.begin ? &low : &high) = middle;
    }
    *line = low + 1;
    *column = 1;
    for (size_t i = s->lines.n ? s->lines.at[low] : 0; i < loc.begin && i < s->size; i++)
        *column += starts_character(s->text[i]);
}

const char *diag_where(const Diag *diag, Loc loc)
{
    uint32_t line, column;
    if (!diag_source_path(diag, loc.source)) return "?";
    diag_position(diag, loc, &line, &column);
    return str_printf(diag->arena, "%s:%u:%u", diag_source_path(diag, loc.source), line, column);
}

uint32_t diag_call(Diag *diag, Loc loc)
{
    for (uint32_t i = 0; i < diag->calls.n; i++)
        if (same_loc(diag->calls.at[i], loc)) return i + 1;
    vec_push(diag->arena, &diag->calls, loc);
    return diag->calls.n;
}

const char *diag_whole_where(const Diag *diag, Loc loc)
{
    const char *where = diag_where(diag, loc);
    if (!loc.call) return where;
    return str_printf(diag->arena, "%s of %s", where,
                      diag_where(diag, diag->calls.at[loc.call - 1]));
}

// The source line of a place and carets under it; a place over several lines is marked on its
// first.
static void print_caret(const Diag *diag, Loc loc, FILE *out)
{
    const Source *s = &diag->sources.at[loc.source];
    size_t at = loc.begin < s->size ? loc.begin : s->size, begin = at, end = at;
    while (begin > 0 && s->text[begin - 1] != '\n') begin--;
    while (end < s->size && s->text[end] != '\n') end++;
    uint32_t line, column;
    diag_position(diag, loc, &line, &column);
    fprintf(out, "%5u | %.*s\n      | ", line, (int)(end - begin), s->text + begin);
    for (size_t i = begin; i < at; i++)
        if (starts_character(s->text[i])) fputc(s->text[i] == '\t' ? '\t' : ' ', out);
    fputc('^', out);
    for (size_t i = at + 1; i < loc.end && i < end; i++)
        if (starts_character(s->text[i])) fputc('~', out);
    fputc('\n', out);
}

static const char *const kind_names[] = {"error", "warning", "note", "help"};

static void print_message(const Diag *diag, const Message *m, FILE *out)
{
    if (diag_source_path(diag, m->loc.source)) {
        fprintf(out, "%s: %s: %s\n", diag_where(diag, m->loc), kind_names[m->kind], m->text);
        print_caret(diag, m->loc, out);
    } else {
        fprintf(out, "%s%s: %s\n", m->kind <= DIAG_WARNING ? "" : "  ", kind_names[m->kind],
                m->text);
    }
}

static int by_place(const void *a, const void *b)
{
    const Message *const *x = a, *const *y = b;
    if ((*x)->loc.source != (*y)->loc.source) return (*x)->loc.source < (*y)->loc.source ? -1 : 1;
    if ((*x)->loc.begin != (*y)->loc.begin) return (*x)->loc.begin < (*y)->loc.begin ? -1 : 1;
    return (*x)->group < (*y)->group ? -1 : 1;
}

void diag_print(const Diag *diag, FILE *out)
{
    VEC(const Message *) heads = {0};
    for (uint32_t i = 0; i < diag->messages.n; i++)
        if (diag->messages.at[i].kind <= DIAG_WARNING)
            vec_push(diag->arena, &heads, &diag->messages.at[i]);
    if (heads.n) qsort(heads.at, heads.n, sizeof *heads.at, by_place);
    for (uint32_t i = 0; i < heads.n; i++)
        for (uint32_t j = 0; j < diag->messages.n; j++)
            if (diag->messages.at[j].group == heads.at[i]->group)
                print_message(diag, &diag->messages.at[j], out);
}

bool error_set(Error *err, const char *fmt, ...)
{
    if (err->set) return false;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    err->set = true;
    return false;
}

_Noreturn void bug_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "cztc: bug at %s:%d: ", file, line);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(70);
}
