// Beginning a run with tensors of a file whose names are others: a pre-trained model's.
#ifndef CZT_RUNTIME_WEIGHTS_INIT_H
#define CZT_RUNTIME_WEIGHTS_INIT_H

#include "runtime/weights.h"

// A tensor whose name matches `from`, a pattern of base/glob.h, is `to` here, where a * stands for
// what the star of that place met. The first rule that matches counts. "" leaves the tensor out.
typedef struct WeightsRule {
    const char *from, *to;
    bool transpose; // the file has (n, m), the program (m, n)
    bool own;       // of the graph file itself, so that it is meant to match something
} WeightsRule;

// A file of weights, as the manifest says it: {file, base_dir, checksum, constant, rename: [{from,
// to, transpose}], prefix, resize: [{match, as, prefix, from: [h, w], to: [h, w]}]}.
typedef struct WeightsRow {
    const char *path;
    const char *prefix;   // of the state that the names, when renamed, are below; "" for none
    CztKind kind;         // of that state
    bool constant;        // a constant: of an .npy too, its numbers converted to what is wanted
    const char *checksum; // SHA-256 that the file must have; NULL: any
    const WeightsRule *rules;
    uint32_t nrules;
    PositionsRules resize; // of names as they are here, without the prefix
} WeightsRow;

typedef struct WeightsTaken {
    uint32_t taken, unused;  // tensors of the file
    const char *unused_text; // the first names, in the arena
    const char *idle;        // names of the file that rules say and it has not; "" for none
    const char *idle_resize; // globs of resize: that match nothing that was taken; "" for none
    WeightsResize resized;
} WeightsTaken;

// Read the rules of a row of the manifest, its `rename`, alone.
bool weights_rules(const Step *step, const json_t *json, Arena *arena, WeightsRow *row, Error *err);
// Read a row of the manifest; base: where its relative path begins.
bool weights_row(const Step *step, const json_t *json, const char *base, CztKind kind, Arena *arena,
                 WeightsRow *row, Error *err);
// Copy what the file has of the program's state; the rest stays as it is. given[i] becomes true for
// state tensor i that was set. At least one must be; all is checked before anything is changed.
// Run exec_derive afterwards.
bool weights_init(Exec *exec, const WeightsRow *row, bool *given, Arena *arena, WeightsTaken *taken,
                  Error *err);

// The same, but nothing is copied: do the tensors fit? Of the step only `file`, `state` and
// `nstate` are read.
bool weights_fit(const Step *step, const WeightsRow *row, bool *given, Arena *arena,
                 WeightsTaken *taken, Error *err);

// What was not as one would think; "" for nothing.
typedef struct WeightsTold {
    const char *resized; // as WeightsResize.text
    const char *off;     // names that are of parts which are off
} WeightsTold;

// Copy a file that has all parameters as they are called here (--weights), and perhaps those of
// parts that are off. Tables of positions of another size are taken as resize: in the graph's rows
// of init: says, that of a later row first. flags are those of weights_load. Run exec_derive
// afterwards.
bool weights_whole(Exec *exec, const SafeTensors *file, uint32_t flags, Arena *arena,
                   WeightsTold *told, Error *err);
// What the rules and the prefix of a row make of a name, and whether it is transposed; "" where it
// is left out.
const char *weights_name(const WeightsRow *row, const char *name, bool *transpose, Arena *arena);
// Match `name` and make the new name; NULL where the pattern does not match.
const char *weights_rename(Arena *arena, const WeightsRule *rule, const char *name);

#endif
