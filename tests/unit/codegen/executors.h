// Runs programs on the interpreter and on compiled code and compares every output and update bit for bit.
#ifndef CZT_TESTS_EXECUTORS_H
#define CZT_TESTS_EXECUTORS_H

#include "codegen/cpu.h"
#include "passes/lower.h"

// Parse IR text (NAME is shown on failure), run the default passes, compile with the FUSE_* mask, and run every entry on
// both executors with the same drawn inputs and state, with `threads` threads. Fails the Criterion test on a difference.
void same_on_both(const char *name, const char *text, uint32_t mask, uint32_t threads);
// The same for a program whose passes have not run yet.
void same_program_on_both(const char *name, Program *p, uint32_t mask, uint32_t threads);
// Kernels of the first entry after fusion: launches in the plan, finishing stages of column sums not counted.
uint32_t count_kernels(const char *name, const char *text, const char *entry);

#endif
