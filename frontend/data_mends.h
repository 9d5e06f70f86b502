// What to write instead in data:, said of the last error.
#ifndef CZT_FRONTEND_DATA_MENDS_H
#define CZT_FRONTEND_DATA_MENDS_H

#include "frontend/elab.h"

// Braces that are no range, at bytes [begin, end) of a scalar; braces that are not closed, from
// there on; a pattern that stands for too many files.
void suggest_range(Elab *el, const Tree *t, size_t begin, size_t end);
void suggest_closed(Elab *el, const Tree *t, size_t begin);
void suggest_fewer(Elab *el, const Tree *t);
// A member's name with slashes; a crop that is a list; the table that a list of classes means.
void suggest_member(Elab *el, const Tree *t);
void suggest_crop(Elab *el, const Tree *t);
const char *table_of(Elab *el, const Tree *list);
// A section of the data with what an item names in it under a key; or the item without the key.
void suggest_section(Elab *el, const Tree *item, const char *key);
// Another view for a field to follow: one without stored operations.
void suggest_view(Elab *el, const Tree *field, const Tree *views);
// The value of a key whose expression failed, or the list that has some numbers out of a range.
void suggest_some(Elab *el, const Tree *t, double lo, double hi);
// Usual numbers in place of one out of a range, where nothing else was suggested.
void suggest_inside(Elab *el, double x, double lo, double hi);
void suggest_legal(Elab *el, const Tree *t, const ValueList *items, double lo, double hi);
// A key with 'max' and the like that a field needs.
void suggest_needed(Elab *el, const Field *f, const char *key);

#endif
