// The machine's peak, measured as the design defines it.
#ifndef CZT_RUNNER_PEAK_H
#define CZT_RUNNER_PEAK_H

#include "runtime/exec.h"

// f32 operations a second of all threads in a register-tile product whose operands stay in the
// first cache: the median of 5 runs.
double peak_f32(Pool *pool);
// Of where a program runs: the CPU's, or the GPU's (exec_peak); NAN where it cannot be measured.
double peak_of(Exec *exec);

#endif
