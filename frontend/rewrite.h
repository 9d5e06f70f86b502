// Mends that rewrite parts of the user's mappings and lists: said of the last error, as those of
// mend.c are.
#ifndef CZT_FRONTEND_REWRITE_H
#define CZT_FRONTEND_REWRITE_H

#include "frontend/advice.h"

// What to write in a place, and how that is said behind no verb of its own: "write max: 16", "leave
// out 'max'". text NULL: none.
typedef struct Choice {
    Loc at;
    const char *text, *said;
} Choice;

// One help that says both, and a mend each; nothing for those outside of the user's files.
void suggest_choices(Elab *el, Choice a, Choice b);

// The choices there are:
// a mapping without a key;
Choice without_key(Elab *el, const Tree *map, const char *key);
// with a key more;
Choice with_entry(Elab *el, const Tree *map, const char *key, const char *value);
// a mapping in block style as the only item of a list;
Choice as_list(Elab *el, const Tree *map);
// a value, or a key, that is written otherwise.
Choice instead(Elab *el, const Tree *t, const char *text);

// A list where one value belongs: its only item, or the first and the last.
void suggest_item(Elab *el, const Tree *list);
// One word or another in the place of a value which is no word.
void suggest_word(Elab *el, const Tree *t, const char *a, const char *b);
// Has the last error one mend, which is a guess?
bool has_lone_guess(const Elab *el);
// The text of a value as it is written in its file; "" where it is a block.
const char *written(Elab *el, const Tree *t);
// The place of an entry with what goes with it; nowhere where the mapping would be left empty and
// has no brackets.
Loc entry_span(Elab *el, const Tree *map, const char *key);
// The name of the file beside one that is not there whose name is almost the same; NULL: none.
const char *near_file(Elab *el, const char *path);
// The file beside one that is not there whose name is almost the same; false where there is none.
bool suggest_file(Elab *el, const char *path);

// trial.c: offer the guesses for the last error in a place, or the first of all where its source is
// 0, also where none of them helps: alone they may be no mend, and are right nevertheless.
void guess_anyway(Elab *el, Loc at);
// A setting more in a mapping or a call: "width: 3", ", width=3".
Choice with_setting(Elab *el, Loc at, const char *key, const char *value);
// constant.c: that a constant of a file is a parameter.
void guess_constants(Elab *el);

// Modules, or others of a role, of which two are written where one is needed: those that the graph
// uses already come first, and those that take what the mapping says. `at`: the word of the
// mapping that is none; NULL: it has no `module:`, or there is nothing but its key.
void suggest_modules(Elab *el, const TreeEntry *e, ModuleRole role, const Tree *at);

// What the library's files have in a section, "names" or "modules", imported or not.
Map lib_names(Elab *el, const char *section);

#endif
