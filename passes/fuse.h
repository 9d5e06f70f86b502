// What fuse.c shares with lower.c.
#ifndef CZT_PASSES_FUSE_H
#define CZT_PASSES_FUSE_H

#include "passes/groups.h"

// Coordinates of a reduction's operand (an array of its rank in `to`) from those of its result and
// the flattened reduced index.
void reduce_coordinates(IndexPool *pool, const Node *n, const Type *of, const IndexId *at,
                        IndexId red, IndexId *to);

#endif
