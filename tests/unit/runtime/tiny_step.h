// A hand-made program for the tests of the runtime: four parameters, momentum, a derived copy, a
// counter, and the entries init, derive, step (input x f32 [4]; outputs loss, norms [2], lr). Its
// kernels are the C functions in tiny_kernels. The step is nonlinear and stateful: one wrong bit
// anywhere spreads.
#ifndef TINY_STEP_H
#define TINY_STEP_H

#include "base/container.h"
#include "runtime/exec.h"

extern const CztKernel tiny_kernels[4];

// The manifest text.
extern const char tiny_manifest[];
// The bytes of a step file with this manifest and code.
uint8_t *tiny_build(Arena *arena, const char *manifest, const void *code, size_t code_size,
                    size_t *size);
// The manifest with the first `from` replaced by `to`; the test fails when it has none.
char *tiny_replace(Arena *arena, const char *text, const char *from, const char *to);
// The tiny program, loaded; the test fails when it does not load.
Step *tiny_load(Arena *arena);
Exec *tiny_exec(const Step *step, uint32_t threads);
// A fresh folder under /tmp, in the arena, and its removal with all it holds.
char *tiny_folder(Arena *arena);
void tiny_remove(const char *folder);

#endif
