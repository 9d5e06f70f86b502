// What to write instead: helps and mends of the last error, and guesses that are tried first.
// Part of elab.h.
#ifndef CZT_FRONTEND_SUGGEST_H
#define CZT_FRONTEND_SUGGEST_H

#include "frontend/elab.h"

// mend.c: what to write instead, said of the last error and as its mends

// One text or another (b may be NULL) in the error's place, quoted where it must be.
void suggest(Elab *el, const char *a, const char *b);
// A text in a place, as the help says; true.
bool suggest_text(Elab *el, Loc at, const char *text);
// The same of what is not known to be meant, though it may be the only text.
void suggest_guess(Elab *el, const char *a, const char *b);
// A guess with the reason for it, or another.
void suggest_because(Elab *el, const char *text, const char *why, const char *other);
// Two numbers from lo to hi that may be meant by x, where the place is a number and there are some.
void suggest_number(Elab *el, double x, double lo, double hi, bool whole);
// true or false, for what is neither.
void suggest_bool(Elab *el, Value v);
// The word nearest to a wrong one; all of them where none is near.
void suggest_words(Elab *el, const char *wrong, const Map *names);
// The same where one is near; false where none is. And the names for that: words, keys of a mapping
// (NULL: none), items.
bool suggest_near(Elab *el, const char *wrong, const Map *names);
Map words_map(const Elab *el, const char *const *words, size_t n);
Map keys_map(const Elab *el, const Tree *map);
Map items_map(const Elab *el, const Items *items);
// [x], [x, x]: a list of n where there is one value.
void suggest_list(Elab *el, uint32_t n);
// A mapping {key: x}, and [..] around it for a list, where the place has x alone.
void suggest_row(Elab *el, const char *key, bool list);
// The numbers nearest to a wrong one that divide another, where the place is the wrong one.
void suggest_factor(Elab *el, int64_t whole, int64_t wrong);
// An argument more of the call in the error's place, where its usual values are known.
void suggest_argument(Elab *el, const char *key);
// The place's expression between two texts, or between two others.
void suggest_wrapped(Elab *el, const char *const a[2], const char *const b[2]);
// The mapping without a key; with a key whose usual values are known.
void suggest_without(Elab *el, const Tree *map, const Tree *key);
void suggest_key(Elab *el, Loc map, const char *key);
// The text as it is to be written in a place: with the quotes that were there, or that it needs.
const char *quoted(Elab *el, Loc at, const char *text);
// The same, where the place may be a part of a text: it becomes all of it where that needs quotes.
const char *quoted_in(Elab *el, Loc *at, const char *text);

// guess_form.c: the text of a source that a place is in, NULL where it is in none; that of the
// place, "" where it is none.
const char *source_of(const Elab *el, Loc at);
const char *text_at(const Elab *el, Loc at);

// trial.c: mends of the last error that are offered only where they help: a text in a place of the
// user's, said so
void guess_add(Elab *el, Loc at, const char *text, const char *said);
// Read the file with each guess in its place, and offer the first few that leave fewer errors.
void guesses_try(Elab *el, const char *path);

// guess.c: guesses for the last error
// Two sizes that should be the same: the numbers themselves; and then what is as many times larger.
void guess_exact_sizes(Elab *el, int64_t a, int64_t b);
void guess_sizes(Elab *el, int64_t a, int64_t b);
// A value in a place, or in the calls that lead here, of `rank` axes where `wanted` are; 0 where
// that is not known.
void guess_values(Elab *el, Loc at, uint32_t rank, uint32_t wanted);
// Another word in the place of one, which may be sure where no other helps, or is said with the old
// one; a value of a key; an entry before the first of a mapping.
void guess_sure_word(Elab *el, Loc at, const char *word);
void guess_exchanged(Elab *el, Loc at, const char *word, const char *old);
void guess_key_as(Elab *el, Loc value, const char *key, const char *word);
void guess_word(Elab *el, Loc at, const char *word);
void guess_entry(Elab *el, Loc map, const char *key, const char *value);
// Another name for one of two things that have the same.
void guess_names(Elab *el, Loc one, Loc other, const char *name);
// A number known at compile time in the last error's place.
void guess_number(Elab *el);
// Another path for a part that says one.
void guess_paths(Elab *el);
// That something is minimised.
void guess_weights(Elab *el);
// What an input may be given that is missing; loc is the mapping, or a word in it.
void guess_input(Elab *el, const Decl *d, Loc loc);
// Fields of a role, and the role of a field.
void guess_role(Elab *el, const char *role, const Field *f, Loc at);
// Sizes and values, for shapes that the error's text names.
void guess_from_text(Elab *el, const char *text);

#endif
