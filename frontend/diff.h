// What differs between two graph files, key by key.
#ifndef CZT_FRONTEND_DIFF_H
#define CZT_FRONTEND_DIFF_H

#include "frontend/frontend.h"

// A key whose value is not the same. Values are texts in YAML's flow style; NULL: there is none.
typedef struct GraphChange {
    const char *path; // "experts.seg.weight"
    const char *old, *now;
} GraphChange;

typedef VEC(GraphChange) GraphChanges;

// The file that a graph file extends, as a path; NULL where it extends none.
const char *graph_extends(Arena *arena, Diag *diag, const char *path);
// The changes from one graph file to another, after what both extend; the options' settings are of
// the second. False, with errors in diag, where one cannot be read.
bool graph_changes(Arena *arena, Diag *diag, const char *from, const char *to,
                   const FrontendOptions *options, GraphChanges *out);

#endif
