// Mends and guesses that take away entries or add them; the others are in frontend/elab.h.
#ifndef CZT_FRONTEND_MEND_H
#define CZT_FRONTEND_MEND_H

#include "frontend/elab.h"

// The place of an entry with what goes with it: its lines, or its comma. Nowhere where it is not
// the user's.
Loc entry_place(const Elab *el, const Tree *map, uint32_t i);
// The same of an item of a list.
Loc item_place(const Elab *el, const Tree *list, uint32_t i);
// The map that a tree is a value in, and the number of its entry; NULL where there is none.
const Tree *parent_map(const Tree *root, const Tree *value, uint32_t *i);
// Where an entry may be added to a map, and the text that does; nowhere where that is not known.
Loc entry_added(Elab *el, const Tree *map, const char *key, const char *value, const char **text);

// Guesses of the last error. Two places: both are written.
void guess_both(Elab *el, Loc at, const char *text, Loc also, const char *also_text,
                const char *said);
void guess_without(Elab *el, const Tree *map, const char *key);
void guess_without_item(Elab *el, const Tree *list, uint32_t i, const char *said);
void guess_added(Elab *el, const Tree *map, const char *key, const char *value);

#endif
