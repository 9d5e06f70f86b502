// The machine's peak, measured as the design defines it.
#ifndef CZT_RUNNER_PEAK_H
#define CZT_RUNNER_PEAK_H

#include "runtime/exec.h"

// f32 operations a second of all threads in a register-tile product whose operands stay in the
// first cache: the median of 5 runs.
double peak_f32(Pool *pool);
// The same in tile registers: bf16 times bf16, sums in f32. Only where they are lent.
double peak_tiles(Pool *pool);
// Of where a program runs: the CPU's, in tile registers where the program uses them, or the GPU's
// (exec_peak); NAN where it cannot be measured.
double peak_of(Exec *exec);

#endif
