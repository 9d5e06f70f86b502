// What the graph says and nothing reads: it is looked at too, for its errors.
#ifndef CZT_FRONTEND_UNREAD_H
#define CZT_FRONTEND_UNREAD_H

#include "frontend/elab.h"

// Note the rows of values: that were read since build_begin.
void unread_note(Elab *el);
// Is there a row of values: that no build has read?
bool unread_any(Elab *el);
// Evaluate those rows in the present build.
void unread_force(Elab *el);
// lint.c: look at the definitions of library files that are the user's.
void lint_imported(Elab *el);

#endif
