// State tensors from and to safetensors files, under their paths.
#ifndef CZT_RUNTIME_WEIGHTS_H
#define CZT_RUNTIME_WEIGHTS_H

#include "runtime/exec.h"
#include "runtime/safetensors.h"

// Sets of state kinds.
#define KIND_BIT(kind) (1u << (kind))
enum {
    KINDS_PARAMS = KIND_BIT(CZT_PARAM),
    KINDS_REST = ((1u << CZT_KIND_COUNT) - 1) &
                 ~(KINDS_PARAMS | KIND_BIT(CZT_DERIVED) | KIND_BIT(CZT_FROZEN) |
                   KIND_BIT(CZT_TRANSIENT)),
};

enum { WEIGHTS_STRICT = 0, WEIGHTS_ALLOW_MISSING = 1, WEIGHTS_ALLOW_EXTRA = 2 };

// Copy a file's tensors into the state tensors of these kinds, by name. All is checked before
// anything is changed; one error lists what is missing, unknown, or of another shape or dtype (the
// first 8 and a count). f64, bf16 and f16 are taken for f32. Run exec_derive afterwards.
bool weights_load(Exec *exec, const SafeTensors *file, uint32_t kinds, uint32_t flags, Error *err);
// Write the state tensors of these kinds, as they are or (exec is not touched then) as they were
// when exec_snapshot gave `snapshot`, which may be NULL; so may metadata (texts); *sum as in
// safetensors_end.
bool weights_save(Exec *exec, const uint8_t *snapshot, const char *path, uint32_t kinds,
                  const json_t *metadata, uint64_t *sum, Error *err);

#endif
