// A YAML source while it is read; private to the tree_*.c files.
#ifndef CZT_FRONTEND_TREE_TEXT_H
#define CZT_FRONTEND_TREE_TEXT_H

#include "frontend/tree.h"

#include <yaml.h>

enum { TREE_DEPTH = 100 };

// A value that YAML would misread. libyaml sees a placeholder of the same length in its place, so
// all marks stay right; the tree gets the text that was meant.
typedef struct Patch {
    size_t begin, end; // the value, without blanks around it
    size_t caret;      // where YAML goes astray
    const char *message;
} Patch;

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
    uint32_t repairs; // made in this pass
    bool hopeless;    // an error after which the tree would mislead
} TreeText;

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
// Repair accidents; accidents_repair reports them at its end.
void accidents_add(TreeText *t, const Patch *found, uint32_t n);

// tree_syntax.c: explain an error of libyaml, repaired where it is an accident (t->repairs grows).
void syntax_repair(TreeText *t, const yaml_parser_t *parser);
// Report an error of libyaml that nothing explains better.
void syntax_error(TreeText *t, const yaml_parser_t *parser);

#endif
