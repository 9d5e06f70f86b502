// Index expressions: integer arithmetic over the axes of a kernel, kept in simplest form by
// construction.
#ifndef CZT_IR_INDEX_H
#define CZT_IR_INDEX_H

#include "base/vec.h"

#include <stdbool.h>

typedef uint32_t IndexId; // into IndexPool.nodes; 0 is the constant 0

typedef enum {
    IX_CONST, // c
    IX_AXIS,  // value of axis a of the kernel
    IX_ADD,   // a + b
    IX_MUL,   // a * c
    IX_DIV,   // floor(a / c), c > 0
    IX_MOD,   // a - c * floor(a / c), c > 0
    IX_VALUE  // the value of instruction a of the kernel body, clamped to [lo, hi]
} IndexOp;

typedef struct IndexNode {
    IndexOp op;
    uint32_t a, b;
    int64_t c;
    int64_t lo, hi; // every value lies in [lo, hi]
} IndexNode;

typedef struct IndexPool {
    Arena *arena;
    VEC(IndexNode) nodes; // hash-consed; operands before users
    uint32_t *slots, nslots;
} IndexPool;

void index_init(IndexPool *pool, Arena *arena);
// A copy with the same ids that grows in another arena: what a thread needs to simplify on its own.
void index_copy(IndexPool *to, const IndexPool *from, Arena *arena);
IndexId index_const(IndexPool *pool, int64_t c);
// Axis number `axis`, running over [0, size).
IndexId index_axis(IndexPool *pool, uint32_t axis, int64_t size);
IndexId index_value(IndexPool *pool, uint32_t instr, int64_t lo, int64_t hi);
// Simplifying constructors: sums are flat and sorted, (a * c + b) / c = a where 0 <= b < c, and so
// on.
IndexId index_add(IndexPool *pool, IndexId a, IndexId b);
IndexId index_mul(IndexPool *pool, IndexId a, int64_t c);
IndexId index_div(IndexPool *pool, IndexId a, int64_t c);
IndexId index_mod(IndexPool *pool, IndexId a, int64_t c);
// Row-major linear index of coordinates over sizes, and back.
IndexId index_linear(IndexPool *pool, uint32_t rank, const IndexId *at, const int64_t *sizes);
void index_split(IndexPool *pool, IndexId linear, uint32_t rank, const int64_t *sizes, IndexId *at);
// True when the expression is rest + coefficient * axis with rest free of the axis.
bool index_affine(IndexPool *pool, IndexId e, uint32_t axis, int64_t *coefficient, IndexId *rest);
// Does it depend on the axis (or on loaded values)?
bool index_uses(const IndexPool *pool, IndexId e, uint32_t axis);
bool index_uses_value(const IndexPool *pool, IndexId e);
// The same expression in another pool with axis i replaced by map[i].
IndexId index_substitute(IndexPool *to, const IndexPool *from, IndexId e, const IndexId *map);
// "12*a0 + a1/4".
const char *index_text(const IndexPool *pool, Arena *arena, IndexId e);
static inline const IndexNode *index_node(const IndexPool *pool, IndexId e)
{
    return &pool->nodes.at[e];
}

#endif
