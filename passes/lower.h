// From a program to kernels, launches and buffers (ir/kernel.h). The compiler's last
// target-independent step.
#ifndef CZT_PASSES_LOWER_H
#define CZT_PASSES_LOWER_H

#include "ir/target.h"
#include "passes/groups.h"
#include "passes/pass.h"

// What the passes from layout on make of one entry.
typedef struct Lower {
    Arena *arena;
    Arena *work; // of a group's kernels while they are made; freed,
    bool keep;   // but where one of them is new
    Plan *plan;
    PlanEntry *entry;
    const Program *program;
    const Target *target;
    const Layout *layout;      // by layout
    Grouping *gr;              // by fuse
    uint32_t *buffer_of;       // by lower: node -> plan buffer + 1
    uint32_t *copy_of;         // leaf that is a result -> buffer of its copy + 1
    VEC(uint32_t) constant_of; // number of the plan's constant -> buffer + 1
    bool late;                 // of the launches that are made now (Segment.late)
} Lower;

// The way of a program through the passes that need a target; given to them in
// PassOptions.lowering.
typedef struct Lowering {
    Arena *arena; // of all that they make
    const Target *target;
    uint32_t mask; // FUSE_*
    Plan *plan;
    bool planned;   // it is complete
    Lower *entries; // one for each of the program's
} Lowering;

// Start anew: an empty plan with the program's state.
void lowering_start(Lowering *lowering, const Program *p);
// Run the passes layout to memplan. Needs: no GRAD nodes, expanded reductions.
Plan *plan_build(Arena *arena, Program *p, const Target *target, uint32_t mask);
// Bytes that a plan takes on its target: state, constants, the largest scratch block, outputs, and
// inputs. What a thread has for itself, or a library wants, is not the plan's.
int64_t plan_bytes(const Plan *plan, const Target *target);
// Check what lower and schedule made: kernels, buffers, reads after writes; and with `planned` that
// no two buffers share bytes while both are needed. The first violation in err.
bool plan_verify(const Plan *plan, bool planned, Error *err);
// Print what stands when these FACT_* hold: layouts, groups, or the plan.
void lowering_print(const Lowering *lowering, uint32_t facts, FILE *out);
// The same in a few words.
void lowering_count(const Lowering *lowering, uint32_t facts, char *text, size_t size);

// ---- inside the passes: lower*.c, schedule.c, memplan.c
// ----------------------------------------------

// One kernel being built.
typedef struct Emitted {
    NodeId node;
    IndexId linear;
    const void *guards;
    uint32_t instr;
} Emitted;

typedef struct GuardList {
    KernelGuard guard;
    const struct GuardList *next;
} GuardList;

typedef struct Build {
    Lower *lo;
    Kernel *kernel;
    KernelBody *body;
    Segment *segment;
    const Group *group; // whose members are computed here; NULL in operands of contractions
    uint32_t group_id;  // + 1
    IndexId a, r, c;    // the point
    const GuardList *guards;
    VEC(Emitted) emitted;
    uint32_t acc; // 1 + the finished product in a contraction's epilogue
} Build;

uint32_t lower_buffer(Lower *lo, Block block, DType dtype, int64_t count, const char *name);
// A buffer of the constant block that holds one i64.
uint32_t lower_constant(Lower *lo, int64_t x);
// The plan buffer of a stored node, an input or a state.
uint32_t lower_node_buffer(Lower *lo, NodeId id);
// Where the group of a node puts it: the same, but a copy of an input or a state.
uint32_t lower_result_buffer(Lower *lo, NodeId id);
void lower_place_result(Lower *lo, NodeId id, uint32_t buffer);
// The element where the node begins in its buffer.
int64_t lower_offset(const Lower *lo, NodeId id);
// The kernel's slot for a plan buffer.
uint32_t build_slot(Build *b, uint32_t buffer, bool written);
void build_axis(Build *b, int64_t size, AxisRole role);
// Emit a node's value at coordinates; gives the instruction.
uint32_t build_value(Build *b, NodeId id, const IndexId *at);
// Emit a plain store of a stored node whose value at the group's point is `value`.
void build_store(Build *b, NodeId id, uint32_t value);
// The buffer of an operand that lies densely in row-major order, as the kernel's slot.
uint32_t lower_dense(Build *b, NodeId id);
// Intern the kernel and append a launch with the one segment. A loop kernel and its segment are
// brought into canonical form; the stores keep their order.
void lower_launch(Lower *lo, Kernel *k, Segment *segment);
// Give the kernel buffers from where it first reaches into them (passes/window.c); once more
// changes nothing.
void lower_windows(Lower *lo, Kernel *k, Segment *segment);
// That form (passes/canonical.c).
void lower_canonical(Arena *arena, Kernel *k, Segment *segment);
Kernel *lower_kernel(Lower *lo, KernelKind kind, const char *stem, NodeId node);
// Note where in the source the kernel of a group came from.
void lower_origins(Lower *lo, Kernel *k, const Group *gp);

// The vector axis of `count` points in one row: their largest divisor that leaves rows to share
// out.
int64_t lower_inner(int64_t count);
// The number of an equal kernel of the plan, or of this one, added.
uint32_t lower_intern(Lower *lo, Kernel *k);
// Describe a contraction's product for a library, where the target has one and the product is
// plain.
void lower_product(Lower *lo, Kernel *k, Build *b);
// Tasks and grain of a loop kernel that is complete; `columns`: it has column stores.
void lower_tasks(Kernel *k, bool columns);

void lower_loop(Lower *lo, uint32_t group);
void lower_engine(Lower *lo, uint32_t group);
void lower_ordered(Lower *lo, uint32_t group);

#endif
