// YAML text to a tree with exact places. The reader knows YAML 1.2's core schema only as far as "a
// scalar is a text, quoted or plain"; what a scalar means is decided by the kind of its key.
#ifndef CZT_FRONTEND_TREE_H
#define CZT_FRONTEND_TREE_H

#include "base/diag.h"
#include "base/vec.h"

typedef enum { TREE_NULL, TREE_SCALAR, TREE_LIST, TREE_MAP } TreeKind;

typedef struct Tree Tree;

typedef struct TreeEntry {
    Tree *key; // a scalar
    Tree *value;
} TreeEntry;

struct Tree {
    TreeKind kind;
    Loc loc; // scalars and flow collections whole; block ones: the first key, or the first '-'
    const char *text;       // scalar: its value, NUL-terminated UTF-8
    const uint32_t *place;  // scalar: source byte of text[i], strlen(text) + 1 of them
    bool quoted;            // scalar: single or double quoted (so never a number, bool or null)
    VEC(Tree *) items;      // list
    VEC(TreeEntry) entries; // map, in file order, no duplicate keys
};

// Read a registered source. Errors (syntax, duplicate keys, alias bombs, nesting past 100, more
// than one document, tags) go to diag. Accidents, such as an expression with a comma in flow style,
// are reported with the line quoted as it should be, and the tree holds what was meant, so that
// more errors can be looked for. NULL, with an error reported, when that is not possible.
Tree *tree_read(Arena *arena, Diag *diag, uint32_t source);
// Tells what a text means: how many errors what reads the file would report. Where several mends
// make a text YAML, those are offered with which it has the fewest.
typedef struct TreeJudge {
    uint32_t (*errors)(const void *self, const char *text);
    const void *self;
} TreeJudge;
Tree *tree_read_judged(Arena *arena, Diag *diag, uint32_t source, const TreeJudge *judge);
// Read a file and register it; a missing or unreadable file is reported at `from`.
Tree *tree_read_file(Arena *arena, Diag *diag, const char *path, Loc from, const TreeJudge *judge);
// The value under a key of a map; NULL when absent or t is not a map.
Tree *tree_get(const Tree *t, const char *key);
// The same, with the key's tree.
TreeEntry *tree_entry(const Tree *t, const char *key);
// The place of bytes [begin, end) of a scalar's text in its source.
Loc tree_place(const Tree *t, size_t begin, size_t end);

#endif
