// Ranges of numbers that declarations have.
#ifndef CZT_FRONTEND_BOUNDS_H
#define CZT_FRONTEND_BOUNDS_H

#include "frontend/elab.h"

// Read "0..1", "0..<1" or "0<.." at *p of a declaration's text; it goes without one that is wrong.
void bounds_parse(Elab *el, const Tree *t, size_t *p, Decl *d);
// Report a range behind the default that begins at p: `float = 0 0..1`. False where it is none.
bool bounds_behind(Elab *el, const Tree *t, size_t p);
// Hold a value, or the items of a list, to the range of a declaration that has one. An error where
// it is outside.
Value bounds_check(Elab *el, const Decl *d, Value v, Loc loc);
// The value as it is by itself, where that is written in numbers alone; NULL where it is not.
const char *decl_plain_default(Elab *el, const Decl *d);

#endif
