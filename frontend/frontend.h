// The frontend: a graph file and its imports to a Program.
#ifndef CZT_FRONTEND_FRONTEND_H
#define CZT_FRONTEND_FRONTEND_H

#include "frontend/tree.h"
#include "ir/program.h"

typedef struct FrontendOptions {
    const char *lib_dir; // a folder used instead of the embedded library; NULL for the embedded one
    const char *const *set; // "name=value" overrides, globs allowed: "experts.*.enabled=false"
    uint32_t nset;
    const char *const *set_in; // folders that paths in the first of them begin in, absolute; those
    uint32_t nset_in;          // of the rest begin in the current one
    bool use_check;            // also apply the --set values of the graph's check: block
    const char *const
        *taps; // expressions, and paths with *, to be outputs too (run --print, --tap)
    uint32_t ntaps, nprints; // the first ones are those of --print
    const char *tap_entry;   // of this entry: eval, or that of an encoder; NULL: of the steps
    bool no_trials;          // offer no mend that has to be tried by reading the file again
    bool trial; // read to try a mend: errors count, and what would be said of them does not
    uint32_t only_shape; // of several: read for the errors of this one, from 1, and the first
    bool stats;          // the program that computes what stats: says, with no step: `cztc stats`
    const char *const *stats_names; // of it these rows, all where there are none
    uint32_t nstats;
    bool all;   // look also at what imported library files define and nothing uses, for its errors
    bool grads; // entry "step" also gives "grad.PATH" of every trained parameter, before clipping
} FrontendOptions;

// A judge of a graph's texts: the errors that it has with each, in the place of what `path` holds.
TreeJudge frontend_judge(Arena *arena, const char *path, const FrontendOptions *options);

// One encoder's share, for `cztc check`.
typedef struct PartInfo {
    const char *name; // "visual", "experts.seg"
    int64_t parameters;
    bool frozen; // a teacher's, or constants of files
} PartInfo;

// Of what precision the products are that are written in one of the graph's own entries.
typedef struct PartProducts {
    const char *part;
    uint32_t precisions; // a bit for each Precision, as asked for
} PartProducts;

// One of several input shapes.
typedef struct ShapeInfo {
    const char *text;   // "size: 224, batch: 256"
    const char *suffix; // of the names of its entries: "", "/2"
    int64_t batch;
    double weight;
} ShapeInfo;

// What an optimiser does with a parameter, for `cztc check --params`, as text.
typedef struct ParamSetting {
    const char *name, *value;
} ParamSetting;

typedef struct ParamInfo {
    const char *name;
    const Type *type;
    const char *optimizer;      // NULL where it is never updated
    VEC(ParamSetting) settings; // of the optimiser; lr_scale where a row has it
    VEC(const char *) rows;     // globs of the rows of groups: that match
    const char *rests;          // why it is never updated, or while what it is not; NULL
} ParamInfo;

typedef struct CheckInfo {
    const char *fixture; // path of the safetensors case, or NULL
    bool has_loss;
    double loss; // expected loss of the first step
    const char *const *set;
    uint32_t nset;
    bool own; // a row of set stands in the graph file itself
} CheckInfo;

// A tokenizer that a field names.
typedef struct TokenizerInfo {
    const char *field,
        *path;       // of a tokenizer.json, absolute, as the data's JSON has it; NULL: CLIP's
    const char *pad; // a token, or NULL
    int64_t length;
    Loc loc;
} TokenizerInfo;

// How many classes a field says that it has.
typedef struct ClassesInfo {
    const char *input; // that holds them: the field's, or the classes of its places
    int64_t classes;
    Loc loc;
} ClassesInfo;

// Where the file of a row of init:, or of a teacher's weights, is named.
typedef struct WeightsInfo {
    const char *owns; // the teacher's path; NULL: of init:
    uint32_t row;     // of init:
    Loc loc;
} WeightsInfo;

// Where train.memory is said: its value, and the whole entry.
typedef struct MemoryInfo {
    Loc value, entry;
} MemoryInfo;

typedef struct Frontend {
    Program *program;
    MemoryInfo memory;             // nowhere: it is not said
    VEC(TokenizerInfo) tokenizers; // of fields that are read
    VEC(ClassesInfo) classes;      // the same
    VEC(WeightsInfo) weights;
    VEC(PartInfo) parts;
    VEC(PartProducts) products;
    VEC(ShapeInfo) shapes; // none where there is one alone
    VEC(ParamInfo) params;
    CheckInfo check;
    bool has_check;
} Frontend;

// Elaborate a graph file. Errors go to diag, as many as can be found; NULL when there was one.
Frontend *frontend_load(Arena *arena, Diag *diag, const char *path, const FrontendOptions *options);
typedef struct LibraryInfo { // what a library file defines
    uint32_t modules, functions, constants;
} LibraryInfo;

// Is the file a library file, by its sections?
bool frontend_is_library(Arena *arena, const char *path);
// Look at a library file alone; false when there was an error.
bool frontend_check_library(Arena *arena, Diag *diag, const char *path,
                            const FrontendOptions *options, LibraryInfo *info);
// Describe the library, or one module or function of it (doc, inputs, parameters, taps, defaults),
// on out.
bool frontend_lib(Arena *arena, const char *lib_dir, const char *name, FILE *out, Error *err);

#endif
