// Layouts: where the elements of a value lie; made by pass layout. Groups: which nodes of an entry
// become one kernel and what is stored; made by pass fuse (fuse.c, store.c). Read by lower.
#ifndef CZT_PASSES_GROUPS_H
#define CZT_PASSES_GROUPS_H

#include "ir/index.h"
#include "ir/program.h"

// A stored node as a part of another's buffer: element [i0, i1, ..] at offset + sum of stride[k] *
// ik.
typedef struct Part {
    NodeId whole;
    int64_t offset;
    const int64_t *stride;
} Part;

// Of one entry; arrays by node.
typedef struct Layout {
    Arena *arena;
    const Graph *graph;
    const Entry *entry;
    const bool *live;
    bool *root;             // named by outputs or updates
    bool *dense;            // operands of scatters and ordered ops, which read row-major buffers
    const int64_t **stride; // of the node's axes in its buffer, in elements
    const Part **part;      // nodes that lie inside a concat's buffer; else NULL
    bool *assembled;        // concats whose parts all do
} Layout;

typedef enum {
    GROUP_LOOP,
    GROUP_DOT,
    GROUP_ATTENTION,
    GROUP_ATTENTION_GRAD,
    GROUP_ATTENTION_BIAS_GRAD,
    GROUP_SCATTER,
    GROUP_ORDERED
} GroupKind;

// How a loop group's points (outer a, reduced r, inner c) lie in its row-major domain of outer *
// red * inner points.
typedef enum {
    SPLIT_NONE,   // no reduction: any split will do
    SPLIT_ROW,    // r is innermost (inner = 1)
    SPLIT_MIDDLE, // r has kept axes inside it
    SPLIT_COLUMN  // sums over a only: red = 1
} Split;

// Which points a member has a value for.
typedef enum {
    LEVEL_FULL,  // every (a, r, c)
    LEVEL_OUTER, // every (a, c): what a reduction over r gives, and what follows from it
    LEVEL_COLUMN // every (r, c): a sum over a; finished after the kernel, so not readable inside
                 // the group
} Level;

typedef VEC(NodeId) Nodes;

typedef struct Group {
    GroupKind kind;
    bool gone; // merged into another
    Split split;
    bool columns; // has members of LEVEL_COLUMN
    bool rounds;  // a contraction whose epilogue ends in 16 bits, so far
    bool again;   // has members that are computed again, only when they are needed (COPY_AGAIN)
    bool early;   // has members that come before any of those
    int64_t total, outer, red, inner;
    Nodes members;    // rising
    Nodes reads;      // nodes of groups that must be finished before (of this one too, once merged)
    Nodes readers;    // nodes of groups that wait for this one
    uint64_t rank;    // above that of every group that it waits for
    uint64_t seen[2]; // by the way it went: the last search that met it
} Group;

typedef enum {
    WAY_BACK, // to what is read
    WAY_FORTH // to who reads
} Way;

typedef VEC(Group *) Groups;

// For a group that waits for another (group_reach.c).
typedef struct Search {
    uint64_t number, low, high; // ranks that it does not leave
    Groups stack[2];            // by way: what is to be looked at
    uint64_t taken[2];          // steps
    uint64_t steps;             // of all searches: edges that were followed
} Search;

typedef struct Grouping {
    Arena *arena;
    const Graph *graph;
    const Layout *layout;
    struct {
        Group *at; // they stay where they are
        uint32_t n;
    } groups;
    Nodes sources; // of a node being placed
    Search search;
    NodeId again;       // the first node that is computed again; nodes.n: none
    uint32_t *group_of; // node -> group + 1; 0 for leaves and views
    uint8_t *level;     // of members
    bool *stored;       // nodes with a buffer of their own (members; and leaves always)
} Grouping;

// Switches of the fuser, for tests that compare kernels with and without a kind of fusion.
enum {
    FUSE_POINTWISE = 1, // members join the group of an operand
    FUSE_REDUCE = 2,    // reductions join, and nodes join reductions
    FUSE_EPILOGUE = 4,  // pointwise groups join a contraction
    FUSE_RECOMPUTE = 8, // cheap values are computed again instead of stored
    FUSE_ALL = 15
};

// Decide which members are stored (sets grouping->stored).
void groups_store(Grouping *grouping, uint32_t mask);

// A reduction's operand as before * reduced * after points; false when its axes are not one run.
bool reduction_extent(const Graph *g, const Node *n, int64_t *before, int64_t *red, int64_t *after);
// Coordinates of a reduction's operand (an array of its rank in `to`) from those of its result and
// the flattened reduced index.
void reduce_coordinates(IndexPool *pool, const Node *n, const Type *of, const IndexId *at,
                        IndexId red, IndexId *to);

// Node `reader` of group k reads `source` (nothing where that is in no other group).
void group_read(Grouping *gr, uint32_t k, NodeId reader, NodeId source);
// Group k reads what `other` does, and is read by its readers.
void group_read_all(Grouping *gr, uint32_t k, uint32_t other);
// Does one of the groups that are read, but for k itself and `but`, wait for k?
bool group_waits(Grouping *gr, const Nodes *reads, uint32_t but, uint32_t k);
// Does group k wait for all groups that are read, but for itself and `but`?
bool group_follows(Grouping *gr, const Nodes *reads, uint32_t but, uint32_t k);
// The order in which groups run; returns how many there are.
uint32_t groups_order(const Grouping *gr, Arena *arena, uint32_t **order);
// A cast from a wider float to one of 16 bits, or rounding to tf32.
bool op_narrows(const Graph *g, const Node *n);
// True for ops that only rearrange elements and are absorbed into the indices of their users.
bool op_is_view(OpCode op);
// For a node at coordinates `at` (one an axis) follow simple views down to what they show; at is
// replaced by its coordinates (an array in the pool's arena). Stops at pads, concats, and skews
// that reach beyond their operand.
NodeId view_source(IndexPool *pool, const Graph *g, NodeId id, const IndexId **at);
// Sizes of a type's axes.
const int64_t *type_sizes(Arena *arena, const Type *type);
// What a moved axis of a skew shows at these coordinates, before it is divided by `up`.
IndexId skew_place(IndexPool *pool, const Skew *s, const IndexId *at);
// Call `visit` for every node that the operands of `user` show through views (also those at which
// view_source stops; exact is false for what is seen through them).
void visit_sources(const Grouping *gr, NodeId user,
                   void (*visit)(void *ctx, NodeId source, uint32_t operand, bool exact),
                   void *ctx);
// Expected row-major index of a member of this level at the point (a, r, c) of its group.
IndexId level_linear(IndexPool *pool, const Group *gp, Level level, IndexId a, IndexId r,
                     IndexId c);

#endif
