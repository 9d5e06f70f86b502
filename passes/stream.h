// Inside of pass stream (stream*.c): how a cut along one axis goes through an op, and the region of
// nodes that is cut.
#ifndef CZT_PASSES_STREAM_H
#define CZT_PASSES_STREAM_H

#include "passes/pass.h"

// ---- one op (stream_cut.c) ----------------------------------------------------------------------

enum {
    CUT_NOT = -1, // the axis is not there, or what the op does along it cannot be cut
    CUT_SUMS = -2 // the op adds up along it: results of pieces are combined
};

// Where axis `axis` of operand number `operand` is in the result of n.
int64_t cut_result(const Graph *g, const Node *n, uint32_t operand, int64_t axis);
// A piece of n along axis `axis` of its result needs pieces of its operands along at[i], or all of
// them (CUT_NOT). False where there is no such piece.
bool cut_operands(const Graph *g, const Node *n, int64_t axis, int64_t *at);
// The same of an op that adds up along axis `axis` of that operand.
void cut_summed(const Node *n, uint32_t operand, int64_t axis, int64_t *at);

// Rows [lo, lo + rows) of an axis.
typedef struct Piece {
    int64_t lo, rows;
    uint32_t copy; // number of the nodes made for it
} Piece;

// The piece of n along axis `axis` of its result (CUT_SUMS: n adds up over it) from what
// cut_operands or cut_summed say. Sums of 16-bit floats come as f32.
NodeId cut_node(Graph *to, const Node *n, const NodeId *args, int64_t axis, Piece piece);
// A window of a whole value.
NodeId cut_window(Graph *to, NodeId x, int64_t axis, Piece piece);

// ---- regions (stream_region.c) ------------------------------------------------------------------

typedef enum {
    ROLE_NONE,
    ROLE_LARGE, // cut, and never whole
    ROLE_SMALL, // cut; whole too where that is asked for
    ROLE_SUM    // adds up along the axis
} Role;

typedef struct Users {
    uint32_t *first; // by node: its users are at[first[id]] .. at[first[id + 1] - 1]
    NodeId *at;
    const bool *forward; // by node: output "loss" needs it; every node where there is none
} Users;

// Arrays by node.
typedef struct Region {
    const Graph *graph;
    const Entry *entry;
    const bool *live;
    const Users *users;
    Arena *arena;
    int64_t rows, width; // of the axis; elements of the seed for each of its rows
    uint8_t *role;       // Role
    int64_t *axis;       // where it is cut
    uint32_t *operand;   // of a sum: the operand that it adds up
    bool *whole;         // small nodes that are needed whole
    uint32_t *level;     // sweep in which it can be computed first
    uint32_t levels;
    const bool **need; // by sweep, then by node: it is computed in there
    int64_t row_bytes; // of the largest product for each row
    int64_t beside;    // rows of its operand for each
    double products;   // what they cost in all sweeps, in floating-point operations
    int64_t sums;      // bytes of what is added up piece by piece
} Region;

// What the nodes of an entry are used by.
Users users_of(const Entry *e, const bool *live, Arena *arena);
// The region around a product with axis `axis` of its result cut; NULL where there is none.
Region *region_find(const Entry *e, const bool *live, const Users *users, NodeId seed, int64_t axis,
                    Arena *arena);
// Axes of the operands of a node of the region.
void region_operands(const Region *r, NodeId id, int64_t *at);
// Is x, needed along `axis`, there piece by piece?
bool region_has(const Region *r, NodeId x, int64_t axis);

#endif
