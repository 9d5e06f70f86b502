// The three kinds of failure. The user's: collected in a Diag with place, caret and help. Ours:
// bug(). The machine's: an Error value with text, returned to the caller.
#ifndef CZT_BASE_DIAG_H
#define CZT_BASE_DIAG_H

#include "base/arena.h"

#include <stdbool.h>
#include <stdio.h>

// A place in a source text: bytes [begin, end) of source number `source`; 0 means nowhere.
typedef struct Loc {
    uint32_t source, begin, end;
    uint32_t call; // number of the place that led here, of what a node was made for (diag_call)
} Loc;

static inline Loc loc_in(uint32_t source, uint32_t begin, uint32_t end)
{
    return (Loc){.source = source, .begin = begin, .end = end};
}

typedef enum { DIAG_ERROR, DIAG_WARNING, DIAG_NOTE, DIAG_HELP } DiagKind;

typedef struct Diag Diag;

// Make a collector whose messages live in the arena.
Diag *diag_new(Arena *arena);
// Let a file that is read from now on have this text instead; both outlive the Diag.
void diag_overlay(Diag *diag, const char *path, const char *text);
// That text of a path; NULL where the file's own is to be read.
const char *diag_overlaid(const Diag *diag, const char *path);
// Register a text under the name shown in messages; the text must outlive the Diag. Returns its
// number.
uint32_t diag_source(Diag *diag, const char *path, const char *text, size_t size);
// Name and text of a source; NULL for 0.
const char *diag_source_path(const Diag *diag, uint32_t source);
const char *diag_source_text(const Diag *diag, uint32_t source, size_t *size);

// Report. A note or a help belongs to the error or warning before it; loc {0} prints no source
// line. Equal errors at the same place are kept once (their notes too).
void diag_error(Diag *diag, Loc loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(Diag *diag, Loc loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_note(Diag *diag, Loc loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_help(Diag *diag, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// A mend of the last error or warning: what to write in a place of a source, which may be empty. Of
// several for one error each mends it. It says nothing by itself: the help beside it does.
void diag_mend(Diag *diag, Loc at, const char *text);
// The same of one that is never sure, though it may be the only one.
void diag_guess(Diag *diag, Loc at, const char *text);
// A further place of the last mend, in the same source: what it writes there too. It is applied
// with all its places, or not at all.
void diag_mend_also(Diag *diag, Loc at, const char *text);
// "did you mean 'right'?", and the mend that writes it where the error's place has `wrong`: a guess
// where the words differ by more than a slip.
void diag_did_you_mean(Diag *diag, const char *wrong, const char *right);
// The same, which is never sure: the wrong word is a right one elsewhere.
void diag_may_you_mean(Diag *diag, const char *wrong, const char *right);
// The mends of the errors so far, in the order of reports; of one error they stand together, with
// equal `error`. Further places of one follow it.
typedef struct Mend {
    Loc at;
    const char *text;
    uint32_t error;
    bool guess, also; // also: a further place of the one before
} Mend;
const Mend *diag_mends(const Diag *diag, uint32_t *n);
// The last error or warning (0 where it was a repetition); has it mends? Let what is said from now
// on belong to it again.
uint32_t diag_last_error(const Diag *diag);
bool diag_has_mend(const Diag *diag, uint32_t error);
void diag_return_to(Diag *diag, uint32_t error);
// Take back the helps and mends of an error: there are better ones.
void diag_unhelp(Diag *diag, uint32_t error);
// How many errors and warnings there have been; they are numbered from 1, as above.
uint32_t diag_reports(const Diag *diag);
// The choice that leaves errors alone which have several mends, or a guess, or one that only takes
// away.
enum { MEND_SURE = UINT32_MAX };
// Which mends are applied to a source: of each error the mend number `choice`, or the last it has,
// where that is in this source. What lies inside another's place is left for the next time.
const bool *diag_mends_applied(const Diag *diag, Arena *arena, uint32_t source, uint32_t choice);
// A source with those applied, in the arena. *n: how many there were.
const char *diag_mended(const Diag *diag, Arena *arena, uint32_t source, uint32_t choice,
                        uint32_t *n);
// A source with the sure mend of one error alone, by its number; NULL where it has none there.
const char *diag_mended_of(const Diag *diag, Arena *arena, uint32_t source, uint32_t error);
// Text and place of the last error or warning; NULL when it was a repetition or there is none.
const char *diag_last(const Diag *diag, Loc *loc);
// Move that error to another place, before it has notes. It is dropped where it repeats another.
void diag_move_last(Diag *diag, Loc loc);
// The text of error i, from 0; NULL behind the last.
const char *diag_error_text(const Diag *diag, uint32_t i);
// The same, with its place.
const char *diag_error_at(const Diag *diag, uint32_t i, Loc *at);
// Its number, as of diag_last_error.
uint32_t diag_error_number(const Diag *diag, uint32_t i);
// Errors so far; messages of all kinds.
uint32_t diag_errors(const Diag *diag);
uint32_t diag_messages(const Diag *diag);

// Line and column (from 1; columns count characters, not bytes) of a place.
void diag_position(const Diag *diag, Loc loc, uint32_t *line, uint32_t *column);
// "file:line:col", in the arena of the Diag.
const char *diag_where(const Diag *diag, Loc loc);
// The number of a place that led to others, and "lib.yaml:7:3 of graph.yaml:12:5" of one of them.
uint32_t diag_call(Diag *diag, Loc loc);
const char *diag_whole_where(const Diag *diag, Loc loc);
// Print everything, sorted by place, in the form `file:line:col: error: text`, source line, caret.
void diag_print(const Diag *diag, FILE *out);

// A failure of the machine: a file, a system call, a library. text is NULL while there is none.
typedef struct Error {
    char text[1024];
    bool set;
    bool device; // a GPU has failed at work, by some kernel
} Error;

// Fill in the error (the first one stays) and return false, so that `return error_set(...)` reads
// well.
bool error_set(Error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// A defect of cztc itself: print where and what, exit code 70.
#define bug(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void bug_at(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
