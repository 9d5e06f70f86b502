// What reads single sections of a graph (init, watch, export, constants, names), what is told of
// parameters, and warnings. Part of elab.h.
#ifndef CZT_FRONTEND_SECTIONS_H
#define CZT_FRONTEND_SECTIONS_H

#include "frontend/elab.h"

// init.c: the rows of init:, into an object
void put_init(Elab *el, struct Json *j);
// {from, to, transpose} of a row's `rename:`, which may be NULL, into the list that is open; the
// new names are below the prefix, or are those of another file where it is NULL.
void put_rename(Elab *el, struct Json *j, const Tree *rename, const char *prefix);
// A row's `resize:`, which may be NULL, into the object that is open.
void put_resize(Elab *el, struct Json *j, const Tree *resize, const char *prefix);

// params.c: what the entries' update did with each parameter, into el->out
void params_told(Elab *el);

// running.c: values that modules keep from step to step. After an application's own are there:
void running_update(Elab *el, App *app);
// What all applications of the build made of them, where the update counts.
void running_updates(Elab *el, Entry *entry, NodeId finite);

// watch.c: the outputs of a step that watch: asks for.
void watch_outputs(Elab *el, Entry *e);

// taps.c: what the user wants to see beside the graph's own outputs, where it is asked of the
// entry.
bool taps_here(const Elab *el, const Entry *e);
void taps_outputs(Elab *el, Entry *e);

// names.c: what a name may be, and which are taken
// Report the names of a graph file, and of a module, that are none or are taken.
void names_check(Elab *el);
void names_of_module(Elab *el, const ModuleDef *m);
// May a library file define the name? Reported where not.
bool name_definable(Elab *el, const char *name, Loc loc);
// What a reserved name is; NULL for all others.
const char *name_reserved(const char *name);

// export.c: what export: writes, into an object.
void put_export(Elab *el, struct Json *j);

// constant.c
// Note that parameter t at this path is a constant of a file, if it is one, and what it says of its
// type; of its shape only where there is no `shape:`. False when reported.
bool constant_read(Elab *el, const Tree *t, const char *path, DType *dtype, Axis **axes,
                   uint32_t *rank);
// For the runtime: the file that a constant comes from; what a mapping has under `checksum:`.
void put_constant(Elab *el, struct Json *j, const char *path, const Tree *t);
void put_checksum(Elab *el, struct Json *j, const Tree *map);

// init.c: report a file of weights that is of another format, by its name.
void weights_format(Elab *el, const Tree *file);

// quiet.c: warnings of what nothing comes of.
// Of tasks of this build that `loss` is not of, where `minimize:` says it.
void warn_untrained(Elab *el, NodeId loss);
// Of tasks of this build that read an optional field and do not ask which samples have it.
void warn_unasked(Elab *el);
// Of a number of updates that is a share of one; of a rate of learning that is not above 0.
void warn_share(Elab *el, const Tree *t, const char *key, double x);
void warn_rate(Elab *el, Loc loc, double x);
// Of a file that is not there, where one beside it is called almost so.
void warn_near_file(Elab *el, const Tree *file);
// Of a parameter that begins above its max.
void warn_above(Elab *el, const Init *how, const StateVar *v, Value initial);

// off.c: the paths of parts that have no parameters in the program, where there are any.
void put_off(Elab *el, struct Json *j);

#endif
