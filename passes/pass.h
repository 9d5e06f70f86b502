// The passes and their runner. A pass is a row of passes.def; order.def says what must
// precede what.
#ifndef CZT_PASSES_PASS_H
#define CZT_PASSES_PASS_H

#include "ir/program.h"

// Facts about a program that passes rely on and establish.
enum {
    FACT_GRADLESS = 1, // no grad node is left
    FACT_COMPACT = 2,  // every node is live
    FACT_SIMPLE = 4,   // no rule of simplify applies
    FACT_EXPANDED = 8, // reductions are sums, maxima and minima over one run of axes
    FACT_GRAPH = 15,   // all of the graph's

    FACT_TARGET = 16, // there is a target to make kernels for
    FACT_LAYOUT = 32,
    FACT_GROUPED = 64,
    FACT_LOWERED = 128,
    FACT_SCHEDULED = 256,
    FACT_PLANNED = 512,
    FACT_LAST = FACT_PLANNED
};

enum { RECOMPUTE_ALL = 64 };

typedef struct PassOptions {
    const char *list;       // comma list of names; NULL: every row up to level, as in passes.def
    int level;              // 0: what compiling needs; 1: what makes it fast; 2: what saves memory
    const char *skip;       // comma list of names left out
    const char *stop_after; // name of the last pass to run
    const char *before;     // without a list: a row; those before it run, or
    const char *from;       // it and those behind it, on a program that those before it made
    const char *dump_after; // comma list of names: the program is printed to `out` after each
    const char *dump_dir;   // folder for NN-NAME.ir after every pass (00-input.ir before the first)
    int64_t stream_above;   // bytes of a product that pass stream cuts, and
    int64_t stream_piece;   // of a piece; 0: its own choice
    int64_t recompute; // what pass save gives up of the values it can, in parts of RECOMPUTE_ALL
    bool discarded;    // what comes out is measured and thrown away: it is not verified
    bool time;         // print each pass's seconds, nodes before and after, to `out`
    FILE *out;         // NULL: stderr
    struct Lowering *lowering; // target and result of the passes that make kernels
                               // (passes/lower.h); NULL: those run only when named, and then fail
} PassOptions;

typedef struct PassContext {
    Arena *scratch; // dies after the pass
    const PassOptions *options;
} PassContext;

// Transform every entry; false after errors were reported to the program's Diag.
typedef bool PassFn(Program *p, PassContext *ctx);

typedef struct PassInfo {
    const char *name;
    PassFn *run;
    int level;
    uint32_t needs, keeps, gives; // FACT_*: must hold before; still hold after; hold after anyway
    const char *doc;
} PassInfo;

// Row i of passes.def, NULL past the end.
const PassInfo *pass_at(uint32_t i);
// The row of that name, or NULL.
const PassInfo *pass_find(const char *name);
// Check order.def against passes.def: names known, default order allowed.
bool passes_check_tables(Error *err);
// Run passes, verifying the program before the first and after each. False with err set: an unknown
// name, a forbidden order, a fact missing, an invalid input, a file; false with err unset: the Diag
// has errors. A program that a pass leaves invalid is a bug().
bool passes_run(Program *p, const PassOptions *options, Error *err);

#define PASS(name, function, level, needs, keeps, gives, doc) PassFn function;
#include "passes/passes.def"
#undef PASS

#endif
