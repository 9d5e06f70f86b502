// Dead-code elimination: keep what outputs and updates need.
// Needs nothing; keeps every fact; afterwards all nodes are live.
#include "passes/pass.h"

bool pass_dce(Program *p, PassContext *ctx)
{
    (void)ctx;
    for (uint32_t i = 0; i < p->entries.n; i++) entry_compact(p->entries.at[i]);
    return true;
}
