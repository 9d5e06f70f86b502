// A graph to start from, out of the templates of graphs/new.
#ifndef CZT_CLI_NEW_GRAPH_H
#define CZT_CLI_NEW_GRAPH_H

#include "cli/members.h"
#include "cli/template.h"

typedef struct NewGraph {
    Arena *arena;
    const char *file;
    Map values;     // of the main template: those of the model, then what was asked for
    ShardLook look; // samples 0: nothing was looked at
    const char
        *experts; // names with commas, "seg,depth" or "seg:class_map"; NULL: what the shard has
    Parts parts;
} NewGraph;

// The names of the models, "tiny, small, ...".
const char *new_models(Arena *arena);
// Take the values of a model. False where there is none of the name.
bool new_model(NewGraph *g, const char *name);
// The names of labels in the shard that can be experts, "seg,depth", or "".
const char *new_found(const NewGraph *g);
// A whole number from 1 up, perhaps with "_" between its digits; 0 where it is none.
int64_t new_number(const char *text);
// Set the main template's values that follow from others, and choose the parts. Err is of usage.
bool new_choose(NewGraph *g, Error *err);
// The graph's text, in the arena.
const char *new_text(const NewGraph *g);

#endif
