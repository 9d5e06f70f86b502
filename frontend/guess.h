// More that may mend an error (guess_form.c, trial.c): guesses for the last error, which trial.c
// tries. What depends on the shapes that are wanted has these in a Wanted.
#ifndef CZT_FRONTEND_GUESS_H
#define CZT_FRONTEND_GUESS_H

#include "frontend/elab.h"

// Of a value: how many axes it has and should have, and where these are the same the axis whose
// size is not the one that is wanted (-1: none; sizes are 0 where they are not known). wanted: 0
// where any number of axes will do, and it is the last axis.
typedef struct Wanted {
    uint32_t rank, wanted;
    int64_t axis, size, other;
    DType dtype; // of what is certain where it is the only one; DT_NONE: any
} Wanted;

// A guess that is certain where no other one helps.
void guess_sure(Elab *el, Loc at, const char *text, const char *said);
// A new entry of a mapping, certain where it alone helps.
void guess_setting(Elab *el, Loc map, const char *key, const char *value);
// Views as images, for what is none.
void guess_views(Elab *el, Loc at);
// What the graph has a name for, in the place of another name there and in the calls that lead
// here; a part of that value; a linear map of it.
void guess_fitting(Elab *el, Loc at, Wanted w);
// The lists that are written in a place, and those that have a name there, as tensors.
void guess_stacked(Elab *el, Loc at);
// Other products of the two sides of an @: of samples one by one, with one side turned.
void guess_products(Elab *el, Loc at);
// A place's text between two others, and without its index.
void guess_wrapped(Elab *el, Loc at, const char *before, const char *after);
void guess_unindexed(Elab *el, Loc at);
// The same of each name in it that has one.
void guess_whole(Elab *el, Loc at);
// What has a name in the graph and is a tensor, in a place.
void guess_tensors(Elab *el, Loc at);
// The same where a name is read in a place.
void guess_instead(Elab *el, Loc at, const char *name);
// What is behind the last dot of a place as one of several names.
void guess_last_part(Elab *el, Loc at, const Map *names);
// A member of what is a record, of each name in a place; what is a tensor instead of a value.
void guess_members(Elab *el, Loc at, Value record);
void guess_tensor_of(Elab *el, Loc at, Value v);
// The call without the argument in a place; the list without the item.
void guess_less(Elab *el, Loc at);
// An entry that a mapping does not know in another one that does, or no such entry. False where
// none is near that does.
bool guess_moved(Elab *el, const Tree *map, const Tree *key);
// The mapping without a key; the graph without the mapping where that is its only one.
void guess_without_key(Elab *el, const Tree *map, const char *key);
// The first n items of a list in a place; the first alone for 0.
void guess_shorter(Elab *el, Loc at, uint32_t n);
// An argument under another name; a slice that ends at another number.
void guess_renamed(Elab *el, Loc at, const char *name);
void guess_slice(Elab *el, Loc at, int64_t end, int64_t other);
// Numbers of the plain axes of a type, in a place.
void guess_axes(Elab *el, Loc at, const Type *t);
// A size as another one, wherever it is written in the graph.
void guess_size_to(Elab *el, int64_t from, int64_t to);
// Truth values of the numbers in a place; numbers, or the opposite, of what has a sign before it.
void guess_truth(Elab *el, Loc at);
void guess_sign(Elab *el, Loc at, bool truth);
// Each name in a place with its channels behind the other axes, or before them.
void guess_layouts(Elab *el, Loc at);
// What stands in quotes in a place without them.
void guess_unquoted(Elab *el, Loc at);
// A whole part, 7 // 2, in the place of a fraction; the names in a place as integers.
void guess_whole_parts(Elab *el, Loc at);
void guess_cast_names(Elab *el, Loc at);
// What reads a tensor at an index that is a tensor: e is x[i].
void guess_gathered(Elab *el, const Expr *e);

// guess_syntax.c: expressions in the place of a text that is none.
void guess_syntax(Elab *el, const Tree *scalar);
// A comment behind //, where what is in a place stands in it.
void guess_comment(Elab *el, Loc at);

// Another axis where one is said in a place.
void guess_other_axes(Elab *el, Loc at);

// samples.c: report what mixes samples in an entry that is built. False where there is any.
bool samples_apart(Elab *el, const Entry *e);
// What keeps samples apart that a node mixes, in the place that is blamed for it.
void guess_apart(Elab *el, NodeId node, Loc loc, const char *text);
// A value that pairs samples with samples in a place, of operands one of which has an axis of one
// element that the other one has not: without it, or with it in both.
void guess_unpaired(Elab *el, Loc at);
// The same where that is what a node is computed of first; false where nothing is.
bool guess_unpaired_below(Elab *el, NodeId node);
// The same of what `node` is computed of, where that pairs samples: one side with the whole batch.
void guess_pairing(Elab *el, NodeId node);

// A call that reduces a value of a type, along all axes but that of the samples; or those too.
void guess_axis_said(Elab *el, Loc call, const char *name, const Type *t);

// guess_task.c: another name for the items of a family, and the mend that gives them one; a loss;
// a kind in the place of a word, and beside it the metric that this was.
void guess_item_word(Elab *el, const Tree *entry, Loc at);
void suggest_items(Elab *el, const Tree *entry);
void guess_loss(Elab *el, const Tree *task, bool expert);
void guess_kinds(Elab *el, Loc at, const ModuleDef *metric);

// foreign.c, each with a mend that is sure; false where it knows none:
// a name that other tools have, or a prefix of theirs;
bool suggest_foreign(Elab *el, const Scope *s, const char *name, Loc loc);
// a member that is a method there;
bool suggest_method(Elab *el, const char *name, Loc loc);
// a type that is called.
void suggest_cast_of(Elab *el, Loc call, DType dtype);
// lib.c: the library's file that defines a name; NULL where none does.
const char *lib_defining(Elab *el, const char *name);

// schema.c: is a key's value a mapping, and which? A mapping of things that the user names, and
// which mapping is each (MAPPING_COUNT: not always one)?
bool schema_value(MappingId id, const char *key, MappingId *value);
bool schema_each(MappingId id, const char *key, MappingId *item);
// keys.c: is another key probably meant by one that a mapping does not know?
bool keys_meant(Elab *el, const Tree *map, const Tree *key, MappingId id);
// guess_column.c: for the first errors of the file, entries in the columns of other mappings.
void guess_columns(Elab *el);
// guess_list.c: a list in block style, of mappings that are an entry each: the mend of the last
// error that takes its dashes away, and the entry's value from here on. False where it is none.
bool list_as_mapping(Elab *el, TreeEntry *e);
// stats.c: what a statistic of an output has.
Map stats_results(const Elab *el, const StatsAt *a);

// mend.c: the last error's value in another type, or in one of two; a type for what is none.
void suggest_cast(Elab *el, DType dtype);
void suggest_casts(Elab *el, DType a, DType b);
void suggest_type(Elab *el, Value v);
// guess.c: call fn for each name in a place that is no function and no key; how many there were.
typedef void NameGuess(Elab *el, Loc at, const char *name, const void *how);
uint32_t guess_each_name(Elab *el, Loc at, NameGuess *fn, const void *how);

#endif
