// A YAML source while it is read; private to the tree_*.c files.
#ifndef CZT_FRONTEND_TREE_TEXT_H
#define CZT_FRONTEND_TREE_TEXT_H

#include "frontend/text.h"
#include "frontend/tree.h"

#include <ctype.h>
#include <yaml.h>

enum { TREE_DEPTH = 100 };

// A value that YAML would misread. libyaml sees a placeholder of the same length in its place, so
// all marks stay right; the tree gets the text that was meant.
typedef struct Patch {
    size_t begin, end; // the value, without blanks around it
    size_t caret;      // where YAML goes astray
    const char *message;
} Patch;

// A text in a place of the source.
typedef struct TreeEdit {
    size_t begin, end;
    const char *text;
} TreeEdit;

// What may mend an error.
typedef struct Try {
    uint32_t error;
    bool only, last;     // see try_only, try_last
    const char *said;    // in a help
    VEC(TreeEdit) edits; // in order of place
} Try;

typedef struct TreeText {
    Arena *arena;
    Diag *diag;
    uint32_t source;
    const char *text; // the source
    char *cleaned; // NULL, or the copy that `text` is, with blanks for comments inside expressions
    char *fed;     // what libyaml reads
    size_t size;
    uint32_t *byte_of; // byte of each character of `fed` and of its end; NULL when all are ASCII
    VEC(Patch) patches;
    uint32_t repairs;       // made in this pass
    bool hopeless;          // an error after which the tree would mislead
    bool trial;             // it is read to see whether a candidate mends it
    const TreeJudge *judge; // NULL: none
    VEC(Try) tries;
} TreeText;

// A byte of what libyaml is fed; 0 behind its end.
static inline char fed_at(const TreeText *t, size_t i)
{
    return i < t->size ? t->fed[i] : '\0';
}

// The same of the source.
static inline char text_byte(const TreeText *t, size_t i)
{
    return i < t->size ? t->text[i] : '\0';
}

static inline bool tree_blank(char c)
{
    return c == ' ' || c == '\t';
}

// A blank, or the end of a line.
static inline bool tree_space(char c)
{
    return tree_blank(c) || c == '\n' || c == '\r';
}

// A blank, or the first byte of an end of a line that has two.
static inline bool line_blank(char c)
{
    return tree_blank(c) || c == '\r';
}

#define tree_error(t, begin, end, ...)                                                             \
    diag_error((t)->diag, tree_text_loc((t), (begin), (end)), __VA_ARGS__)

static inline size_t fed_skip(const TreeText *t, size_t i)
{
    while (tree_blank(fed_at(t, i))) i++;
    return i;
}

// Recompute byte_of, after the text was changed.
void tree_text_map(TreeText *t);
// The byte of a mark; at most t->size.
size_t tree_text_byte(const TreeText *t, const yaml_mark_t *mark);
Loc tree_text_loc(const TreeText *t, size_t begin, size_t end);

// tree_place.c: text and places of a scalar event that lies at bytes [begin, end) of the source.
void scalar_place(TreeText *t, Tree *to, const yaml_event_t *event, size_t begin, size_t end);
// The same for a repaired value: the source between begin and end, folded as a plain scalar.
void scalar_patched(TreeText *t, Tree *to, size_t begin, size_t end);
// Size of the line break at byte `at` of text: 0 where there is none.
size_t break_size(const char *text, size_t size, size_t at);

// tree_span.c: how far a value goes when it is read as an expression, brackets and strings kept
// whole.
typedef struct Span {
    size_t end;   // without blanks at its end
    size_t caret; // the first byte that YAML would take for its own; SIZE_MAX where there is none
    size_t open;  // the bracket that is never closed; SIZE_MAX where there is none
} Span;

// The value from `begin` on. Inside a flow collection it ends at its comma or closing bracket,
// elsewhere at the end of its line; both only outside of brackets.
Span span_scan(const TreeText *t, size_t begin, bool flow);
// The end of the quoted scalar that begins at `at`; t->size when it is not closed.
size_t span_quoted(const TreeText *t, size_t at);
// Find the accidents of the flow collection that begins at `begin`.
typedef VEC(Patch) Patches;
void flow_accidents(TreeText *t, size_t begin, Patches *found);

// tree_accidents.c: report and repair until libyaml reads the text without error. False when it
// does not.
bool accidents_repair(TreeText *t);
// Bytes [begin, end) of the source in quotes, as one line.
const char *quoted_source(const TreeText *t, size_t begin, size_t end);
// Repair accidents; accidents_repair reports them at its end.
void accidents_add(TreeText *t, const Patch *found, uint32_t n);
// Report none of those from a byte on: behind an open quote they are not what was meant.
void accidents_drop(TreeText *t, size_t from);

// tree_slips.c: what is plainly a slip is reported, and set right in `fed`, or else the reading
// ends. Each is true where it is one.
// Commas and semicolons behind a value that ends at `end`, and its line with them.
bool slip_behind(TreeText *t, size_t end);
// A semicolon where a comma belongs in flow style.
bool slip_between(TreeText *t, size_t sign);
// A mapping in parentheses; '-' without a blank; a mapping behind its key without { }, whose own
// first key ends at `colon`.
bool slip_round(TreeText *t, size_t begin);
bool slip_dash(TreeText *t, size_t begin);
bool slip_nested(TreeText *t, size_t begin, size_t colon);
// "width 128", "width:128" or "width = 128" at [begin, end), as an entry.
typedef struct EntryText {
    const char *key, *value, *said; // said: "width: 128"
    size_t at;                      // of the value
    bool plain;                     // no two words, which may be a text
} EntryText;
bool slip_entry(const TreeText *t, size_t begin, size_t end, EntryText *e);
// An item that is numbers without commas between them: they are added to the list.
bool slip_numbers(TreeText *t, Tree *list, const Tree *item);

// tree_foreign.c: the same of signs of other languages. Each is true where it is one.
// `@name` and "`name`"; a scalar [begin, end) that is one text in typographic quotes.
bool slip_sign(TreeText *t, size_t begin);
bool slip_marks(TreeText *t, size_t begin, size_t end);
// A comment that does not begin with '#', on the line of a place or above it.
bool slip_comment(TreeText *t, size_t place);
// `f(x, name: value)` in a value that begins at `begin`; the colon.
bool slip_argument(TreeText *t, size_t begin, size_t colon);
// `key:value` or `key = value` on the line of a place, and the lines around it.
bool slip_entries(TreeText *t, size_t place);
// `key {..}` or `key [..]` at a place.
bool slip_opening(TreeText *t, size_t begin);
// `key: value, other: value`: a value from `begin` on, with the colon that is one too many.
bool slip_line(TreeText *t, size_t begin, size_t colon);
// `{a: 1}, b: 2}`, a mapping that seems to end at `end`.
bool slip_early(TreeText *t, size_t begin, size_t end);

// tree_syntax.c: explain an error of libyaml, repaired where it is an accident (t->repairs grows).
void syntax_repair(TreeText *t, const yaml_parser_t *parser);
// Report an error of libyaml that nothing explains better.
void syntax_error(TreeText *t, const yaml_parser_t *parser);

// tree.c: read a text to see whether it can be.
void tree_read_trial(Arena *arena, Diag *diag, uint32_t source);

// A line without the blanks and the comment around what it says.
typedef struct Line {
    size_t begin, text, end, next; // text: the first byte that is no blank
} Line;

// tree_mend.c
Line line_at(const TreeText *t, size_t at);
// Does it say nothing?
bool line_empty(const Line *l);
size_t line_indent(const Line *l);
// The next line before or behind this one that says something; false where there is none.
bool line_before(const TreeText *t, Line *l);
bool line_behind(const TreeText *t, Line *l);
// Does it open brackets that it does not close?
bool line_open(const TreeText *t, const Line *l);
// Is it in a text over lines, or between brackets that a line above opens?
bool line_inside(const TreeText *t, const Line *l);
// Whole lines of a text with more blanks before them, or less: what is in column `from` is then in
// column `to`.
const char *tree_indented(const TreeText *t, size_t begin, size_t end, size_t from, size_t to);
const char *tree_slice(const TreeText *t, size_t begin, size_t end);
// Does ", key: " or the like begin at i?
bool key_follows(const TreeText *t, size_t i);

// tree_try.c: candidates for a mend of the last error, offered in this order; NULL in a trial.
Try *try_new(TreeText *t, const char *said);
// Where it mends the error nothing else is meant.
Try *try_only(TreeText *t, const char *said);
// It is offered where no other one mends the error; without edits it is but a help.
Try *try_last(TreeText *t, const char *said);
// One that writes a text, and is said so; the same of what stands there, in quotes.
void try_write(TreeText *t, size_t begin, size_t end, const char *text);
void try_write_only(TreeText *t, size_t begin, size_t end, const char *text);
void try_quoted(TreeText *t, size_t begin, size_t end);
void try_edit(TreeText *t, Try *try, size_t begin, size_t end, const char *text);
// When all is read: try them, and offer what mends.
void tries_offer(TreeText *t);

// tree_mend.c: candidates by the kind of error; `at` is its place, `from` that of libyaml's
// context.
typedef void MendFn(TreeText *t, size_t at, size_t from);
MendFn mend_quote, mend_flow, mend_column, mend_below, mend_colon, mend_escape, mend_tabs,
    mend_block_header, mend_second_value, mend_no_value, mend_own_line, mend_directive;
// A value in flow style that begins at `value` and does not close its bracket.
void mend_unclosed(TreeText *t, size_t value);
// What may mend any of them: the value in quotes, or the line left out.
void mend_line(TreeText *t, size_t at, size_t value);

// tree_entry.c: candidates for what can be read, and means nothing.
void mend_nul(TreeText *t, const Tree *scalar, const char *value, size_t length);
void mend_tag(TreeText *t, size_t begin, size_t end, bool plain, bool flow);
void mend_documents(TreeText *t, size_t at);
void mend_empty(TreeText *t);
void mend_alias(TreeText *t, size_t begin, size_t end);
void mend_nesting(TreeText *t, size_t at);
// Entries of a map, from the key to behind the value.
typedef struct EntrySpan {
    size_t begin, end;
} EntrySpan;
// What goes with one: the comma of flow style, the lines of block style.
EntrySpan span_comma(const TreeText *t, EntrySpan e);
EntrySpan span_lines(const TreeText *t, EntrySpan e);
void mend_twice(TreeText *t, EntrySpan first, EntrySpan second, bool flow, bool no_first);
void mend_no_key(TreeText *t, size_t at);
void mend_key(TreeText *t, const Tree *key, EntrySpan entry, bool flow);
void mend_merge(TreeText *t, const Tree *map, const Tree *value, EntrySpan entry, bool flow);

// tree_bytes.c: is it UTF-8 without control characters, and not too large? Says what it is, else.
bool bytes_check(const TreeText *t);

#endif
