// advice.c: guesses (see trial.c) for a value that a key has: what is usual there, its default, no
// such entry at all; and for a name that nothing has.
#ifndef CZT_FRONTEND_ADVICE_H
#define CZT_FRONTEND_ADVICE_H

#include "frontend/elab.h"

// Other values for the key that has a value in a place: those that are usual, and a few numbers.
void guess_usual(Elab *el, Loc at);
// The same for a value that fails in the library, once the other guesses for the error are tried:
// where it is a constant of the graph for that constant; and the default of the setting.
void guess_blamed(Elab *el, Loc at);
// That the entry is left out which a place is in, or the row of a list.
void guess_without(Elab *el, Loc at);
// A definition of a name that nothing has: under let: of the graph, or of the module that reads it;
// or a number in its place.
void guess_definition(Elab *el, const char *name, Loc at);

// The value of the graph's constant that is all there is in a place; source 0: it is none.
Loc constant_place(Elab *el, Loc at);
// Where a tree ends, with all that is in it.
uint32_t tree_end(const Tree *t);

// mend.c: a usual value of a key, 0 or 1; NULL where none is known.
const char *usual_value(const char *key, int which);
// The place of an entry of a mapping with what parts it from the others.
Loc entry_place(const Tree *map, uint32_t i, const char *s, size_t size);

// guess.c: "width: 5" for a value in a place; "5 in place of 4" where no key is before it.
const char *with_key(Elab *el, const char *s, Loc at, const char *value);

#endif
