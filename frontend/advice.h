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
void guess_left_out(Elab *el, Loc at);
// A definition of a name that nothing has: under let: of the graph, or of the module that reads it;
// or a number in its place.
void guess_definition(Elab *el, const char *name, Loc at);

// Any of some names in the last error's place.
void guess_any(Elab *el, const Map *names);
// That something is minimised at all times: bounds of losses and experts that are wide, or left
// out.
void guess_always(Elab *el);
// That not all is frozen which is trained.
void guess_trained(Elab *el);
// What a row of freeze, the match of which is nothing, may be of: parts, and their parts.
void guess_match(Elab *el, const TreeEntry *match);
// A condition of the update, in the place of what is none.
void guess_condition(Elab *el, Loc at, bool number);
// names.c: say of the last error, a name that nothing has, where it is given in a form that is no
// name. False where it is not.
bool suggest_formed(Elab *el, const Scope *s, const char *name);
// Guesses of a name that is known behind a dot: of an expert, a view, a teacher, a constant. False
// where it is not.
bool guess_owned(Elab *el, const Scope *s, const char *name, Loc loc);
// A number in the place of what a name reads, which depends on that name in turn; or neither.
void guess_circle(Elab *el, const Binding *b, Loc read);
// The value of the graph's constant that is all there is in a place; source 0: it is none.
Loc constant_place(Elab *el, Loc at);
// The key or argument whose value begins in a place of a text; "" where there is none before it.
const char *key_before(Elab *el, const char *s, uint32_t i);
// Where a tree ends, with all that is in it.
uint32_t tree_end(const Tree *t);

// mend.c: a usual value of a key, 0 or 1; NULL where none is known.
const char *usual_value(const char *key, int which);

// guess.c: "width: 5" for a value in a place; "5 in place of 4" where no key is before it.
const char *with_key(Elab *el, const char *s, Loc at, const char *value);

#endif
