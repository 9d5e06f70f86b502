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
// Is a place in a file that the graph extends?
bool is_inherited(const Elab *el, Loc at);
// Where an entry may be left out, what is written there, and what is said of it: nothing in its
// place; of one that is inherited, its key with null in the file itself. Nowhere as above.
Loc entry_left_out(Elab *el, const Tree *map, uint32_t i, const char **text, const char **said);

// Guesses of the last error. Two places: both are written.
void guess_both(Elab *el, Loc at, const char *text, Loc also, const char *also_text,
                const char *said);
void guess_without(Elab *el, const Tree *map, const char *key);
void guess_without_item(Elab *el, const Tree *list, uint32_t i, const char *said);
// The guesses for the last error are all that there can be: one that alone helps is certain.
void guess_all(Elab *el);
void guess_added(Elab *el, const Tree *map, const char *key, const char *value);

// Guesses between shapes, of the one that is built (own): its row; settings of the modules around a
// frame; when tasks begin and end. A row that is no mapping.
void guess_rows(Elab *own);
void guess_settings(Elab *own, const Frame *f);
void guess_times(Elab *own);
// A list of n where a value is wanted: its item, their sum.
void guess_item(Elab *el, Loc at, uint32_t n);
// The nearest multiples of a factor in the place of a size.
void guess_multiples(Elab *el, int64_t size, int64_t factor);
void guess_row(Elab *el, const Tree *row, const Tree *list, uint32_t number);
// Entries that a place is in, from the innermost outwards, left out.
void guess_no_entry_around(Elab *el, Loc at);
// Modules of a role in the place of one of another, the more alike the earlier; or no such entry.
void guess_modules(Elab *el, ModuleRole role, const ModuleDef *wrong, Loc at);
// Metrics that give what a baseline gives, in the place of one that does not.
void guess_metrics(Elab *el, const ModuleDef *baseline, Loc at);
// An optimiser that is imported, for train: without one. What says which samples of the target of
// the task at a place are valid.
void guess_optimizer(Elab *el, const Tree *train);
void guess_valid(Elab *el, Loc task);
// What the parameter begins with whose name is in a place.
void guess_init(Elab *el, Loc name);
// A list of a module and a setting where an instance is wanted, or no such entry.
void guess_instance(Elab *el, const Tree *t);
// A loss that is of no sample, as a part of minimize:
void guess_minimized(Elab *el, const Tree *task, const Tree *loss);
// A call in a place, which calls what it is in: its argument, an end by an argument that counts (or
// NULL), another function.
void guess_end(Elab *el, Loc at, const char *counted);
// The same of a call of a name in a place, which nothing has.
void guess_uncalled(Elab *el, Loc name);
// The call in a place as a mapping: {module: conv, x: a, out: 3}; NULL where it is none.
const char *call_as_mapping(Elab *el, Loc at);
// The expert or loss in which a place is; NULL where there is none.
const Tree *task_around(const Elab *el, Loc at);
// A call of a module under params:, of a part that has its name, as a mapping.
void guess_as_mapping(Elab *el, Loc at, const char *name);
// A call of a module in a place as a part of the task around it, with a name.
void guess_part(Elab *el, const ModuleDef *def, Loc at);
// module_mends.c: what to write for an input or setting that is not given; and in the place of a
// part that has no values, its parameters.
void suggest_given(Elab *el, const App *app, const Decl *d, const Map *given, Loc loc);
void guess_of_part(Elab *el, const Instance *inst, Loc at);
// The line of a place; nowhere where it is not the user's.
Loc line_place(const Elab *el, Loc at);

#endif
