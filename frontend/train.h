// What the parts of a step's update share: the trained parameters and their optimisers.
#ifndef CZT_FRONTEND_TRAIN_H
#define CZT_FRONTEND_TRAIN_H

#include "frontend/elab.h"

typedef struct Trained {
    const StateVar *var;
    NodeId p, g;
    NodeId frozen; // bool, or 0: never
} Trained;
typedef VEC(Trained) TrainedList;

// That of train:, or one of a row of groups:.
typedef struct Optimizer {
    const ModuleDef *def;
    const Tree *tree, *row; // row: NULL for train's own
    Instance *instance;     // settings
} Optimizer;

typedef struct Optimizers {
    VEC(Optimizer) at; // train's own first
    NodeId finite;     // bool: the loss and all gradients are
} Optimizers;

// What {NAME} of a glob met in a path: a whole number.
typedef struct Captured {
    const char *name;
    int64_t value;
} Captured;
typedef VEC(Captured) CapturedList;

// Does a glob of a row's `match:` match the path? Into captured, where not NULL, goes what its
// numbers are called; without it, {NAME} matches them too.
bool row_matches(Elab *el, const Tree *row, const char *path, CapturedList *captured);
// Is the row for experts or losses alone, of which the graph has none that is on? Then it is for
// graphs that extend this one.
bool row_waits(const Elab *el, const Tree *row);
// Is a parameter never updated in this phase? Else *while_so is when not, or 0.
bool is_frozen(Elab *el, const char *name, NodeId *while_so);
bool in_last_phase(const Elab *el);
// train.nonfinite: "stop" or "skip".
const char *nonfinite(Elab *el);
// Updates since the phase in which a parameter was trained first.
Value updates_of(Elab *el, const char *name);

// params.c: what is told of parameters
ParamInfo *param_info(Elab *el, const char *name);
// A setting, with its text in the file or its number.
void param_setting(Elab *el, ParamInfo *info, const char *name, Value v, const char *text);
// Those of the rows of groups: that match.
void param_rows(Elab *el, ParamInfo *info, const Tree *rows);

// Open the optimisers and check the rows of groups:. False when reported.
bool optimizers_open(Elab *el, Optimizers *o, const TrainedList *list);
// Put the update of a parameter and its state into the entry. False when reported.
bool optimize(Elab *el, const Optimizers *all, const Trained *t, Entry *entry);

#endif
