// A program: entries over one state. What the frontend produces, passes transform and codegen
// compiles.
#ifndef CZT_IR_PROGRAM_H
#define CZT_IR_PROGRAM_H

#include "base/map.h"
#include "ir/graph.h"

typedef enum {
    STATE_PARAM,
    STATE_OPT,
    STATE_EMA,
    STATE_STAT,
    STATE_METRIC,
    STATE_FROZEN, // never changed; not in checkpoints: of a file, or initialised by the seed
    STATE_DERIVED,
    STATE_TRANSIENT, // between the entries of one update; begins as zeros, in no checkpoint
    STATE_KINDS
} StateKind;

// Text of a kind: "param", "opt", ...
const char *state_kind_name(StateKind kind);

typedef struct StateVar {
    const char
        *name; // the path, as in checkpoints: "visual.blocks.0.ln_1.weight"; "$opt.m.visual..."
    StateKind kind;
    const Type *type;
    bool trainable;
    Loc loc;
} StateVar;

typedef struct NamedNode {
    const char *name;
    NodeId node;
} NamedNode;

// An entry that is run before another one, once for each of the parts that the batch is cut into.
typedef struct PartRun {
    const char *entry;
    int64_t parts;
} PartRun;

// Inputs are the graph's INPUT nodes. "$step", "$seed" and "$part" (i64, rank 0; the number of the
// part) are filled in by the executor.
typedef struct Entry {
    const char *name; // "init", "derive", "step", "eval", "metrics", "encode_image" ...
    Graph *graph;
    VEC(NamedNode) outputs; // what the host reads: losses, metrics, embeddings
    VEC(NamedNode) updates; // state name -> its value after the entry; the others stay
    VEC(PartRun) before;    // what a run of this entry runs first, in this order
} Entry;

typedef struct Program {
    Arena *arena;
    Diag *diag;
    const char *name;
    int64_t batch, steps, seed;
    int64_t accumulate;  // parts that pass accumulate cuts the batch of a step into; 1: it does not
    int64_t memory;      // bytes that its plan may take (plan_bytes); 0: as many as it likes
    int64_t least;       // bytes that its plan can be made to take, few; 0: not known
    Precision precision; // of the operands of products that do not say it themselves
    VEC(StateVar) states;
    Map state_index; // name -> (void *)(index + 1)
    VEC(Entry *) entries;
    // What the runtime needs and the compiler does not look into, as JSON text: the data pipeline's
    // specification, train and eval settings. NULL when absent.
    const char *data_json, *train_json, *eval_json;
} Program;

// A copy of the program as it is: no pass that changes the one changes the other.
Program *program_keep(const Program *p);
// Make of p what was kept; the entries that there were keep their address.
void program_restore(Program *p, const Program *kept);

Program *program_new(Arena *arena, Diag *diag, const char *name, int64_t batch);
// Declare a state variable; a second one of that name is a bug. The pointer is good until the next
// one.
StateVar *program_state(Program *p, const char *name, StateKind kind, const Type *type, Loc loc);
const StateVar *program_find_state(const Program *p, const char *name);
// Add an entry with an empty graph (batch as the program's). Entries keep their address.
Entry *program_entry(Program *p, const char *name);
Entry *program_find_entry(Program *p, const char *name);
typedef struct EntryInput {
    const char *name;
    const Type *type;
    bool own; // of the entry's graph, not only of what runs before it
} EntryInput;
typedef VEC(EntryInput) EntryInputs;
// What the host has to give for a run of an entry: its own inputs, in the order of its graph, and
// of what runs before it the whole batch. Those that the executor fills are left out.
EntryInputs entry_inputs(const Program *p, const Entry *e, Arena *arena);
// Live nodes of an entry: keep[id] for everything outputs and updates need. Array of nodes.n in the
// arena.
bool *entry_live(const Entry *e, Arena *arena);
// The coarsest precision that the program, or a product of one of its entries, asks for.
Precision program_coarsest(const Program *p);
// Rebuild an entry's graph with only live nodes, in the same order (dead-code elimination).
// e->graph stays the same pointer; node ids change (outputs and updates are renumbered).
void entry_compact(Entry *e);

// ---- text ---------------------------------------------------------------------------------------

// Print in the text form of docs/ir.md. What is printed parses back to an equal program.
void program_print(const Program *p, FILE *out);
void entry_print(const Entry *e, FILE *out);
// Parse text registered as `source` in diag; NULL when errors were reported.
Program *program_parse(Arena *arena, Diag *diag, uint32_t source);

// ---- checks -------------------------------------------------------------------------------------

// Check every numbered invariant of docs/ir.md; the first violation comes back in err
// ("invariant 7: node %12 ...").
bool program_verify(const Program *p, Error *err);
// Invariant 17, which holds from pass autodiff on: no live node is a GRAD.
bool program_check_no_grad(const Program *p, Error *err);
// The rule of batch axes, for graphs before autodiff: any op outside batch_gather and cross
// reductions that mixes a batch axis is reported to diag at its origin. False when there is one.
bool entry_check_batch(const Entry *e, Diag *diag);
// The same for those who report it themselves: fn is called with each such node, in order.
typedef void MixFn(void *of, NodeId node, const char *text, const char *help);
bool entry_each_mix(const Entry *e, MixFn *fn, void *of);

// The same of one node, but for pairs that a constant alone makes.
bool node_each_mix(const Graph *g, NodeId id, MixFn *fn, void *of);

// ---- reference interpreter (eval.c)
// ---------------------------------------------------------------

// A dense row-major tensor. In f64 mode floats are stored as double, in bits mode as their dtype.
typedef struct Tensor {
    const Type *type;
    void *data;
} Tensor;

typedef enum { EVAL_F64, EVAL_BITS } EvalMode;

// Run an entry. inputs and state: name -> Tensor * (Map); outputs and updates are put into `out`
// under their names ("out:NAME", "state:NAME"). EVAL_BITS rounds as docs/ir.md defines and equals
// the compiled CPU code bit for bit. Missing inputs give an error by name.
bool entry_eval(const Entry *e, EvalMode mode, const Map *inputs, const Map *state, Arena *arena,
                Map *out, Error *err);

#endif
