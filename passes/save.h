// How forward values reach the backward part (save.c), and which are given up where memory is short
// (save_again.c).
#ifndef CZT_PASSES_SAVE_H
#define CZT_PASSES_SAVE_H

#include "passes/pass.h"

typedef enum { AT_HAND_NOT, AT_HAND_KEPT, AT_HAND_LEAF, AT_HAND_AGAIN } AtHand;

// Make kept values ones that are computed again, with all that this takes, until `share` parts of
// RECOMPUTE_ALL of the bytes that can be given up are. Arrays by node.
void save_again(const Graph *g, const bool *forward, AtHand *hand, int64_t share, Arena *scratch);

#endif
