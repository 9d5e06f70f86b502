// An axis of a body cut into runs along which its loads lie side by side: what a window of an image
// shows of one place of its filter, in one row. Inside of a run no index has a division, most
// guards hold for all of it or for none, and what depends on the run is computed once.
#ifndef CZT_CODEGEN_RUNS_H
#define CZT_CODEGEN_RUNS_H

#include "ir/kernel.h"

typedef struct Runs {
    KernelBody body; // the axis counts runs here; the last axis, a new one, counts inside of a run
    uint32_t inside; // that axis
    int64_t length;  // of a run; the size of the axis where one run is all of it
    double cost;     // of an element, about, in instructions
} Runs;

// The cheapest cut for vectors of so many lanes.
void runs_find(Runs *r, Arena *arena, const KernelBody *body, uint32_t axis, uint32_t lanes);

#endif
