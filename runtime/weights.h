// State tensors from and to safetensors files, under their paths.
#ifndef CZT_RUNTIME_WEIGHTS_H
#define CZT_RUNTIME_WEIGHTS_H

#include "runtime/exec.h"
#include "runtime/positions.h"
#include "runtime/safetensors.h"

// Sets of state kinds.
#define KIND_BIT(kind) (1u << (kind))
enum {
    KINDS_PARAMS = KIND_BIT(CZT_PARAM),
    // what an update needs besides; accumulators of metrics begin anew with each evaluation
    KINDS_REST = ((1u << CZT_KIND_COUNT) - 1) &
                 ~(KINDS_PARAMS | KIND_BIT(CZT_DERIVED) | KIND_BIT(CZT_FROZEN) |
                   KIND_BIT(CZT_TRANSIENT) | KIND_BIT(CZT_METRIC)),
};

enum {
    WEIGHTS_STRICT = 0,
    WEIGHTS_ALLOW_MISSING = 1,
    WEIGHTS_ALLOW_EXTRA = 2,
    WEIGHTS_ALLOW_OFF = 4
};

// Is the tensor of a part that the graph names, and that is off in this program?
bool weights_off(const Step *step, const char *name);

// How a tensor of a file becomes one of the state.
typedef struct TensorPlan {
    const CztTensor *from; // NULL: none does
    bool transpose, resize;
    Positions positions;
} TensorPlan;

// Tables of positions that have another size: by which rules they are taken, and what was.
typedef struct WeightsResize {
    PositionsRules rules; // of names as they are here
    Arena *arena;
    uint32_t n;
    const char *text; // all of them, with their sizes; "" for none
} WeightsResize;

// Plan to bring tensor f of a file to tensor t of the state, and add it to the text. Err says why
// it cannot be, without names.
bool weights_resize(WeightsResize *resize, const PositionsRule *rule, const CztTensor *f,
                    const CztTensor *t, TensorPlan *plan, Error *err);
// Copy into state tensor i what was planned for it.
bool weights_put(Exec *exec, const SafeTensors *file, uint32_t i, const TensorPlan *plan,
                 Error *err);
// Copy a file's tensors into the state tensors of these kinds, by name. All is checked before
// anything is changed; one error lists what is missing, unknown, or of another shape or dtype (the
// first 8 and a count). Other floats are taken for f32, and tables of another size where a
// rule of resize, which may be NULL, says so. Run exec_derive afterwards.
bool weights_load(Exec *exec, const SafeTensors *file, uint32_t kinds, uint32_t flags,
                  WeightsResize *resize, Error *err);
// Write the state tensors of these kinds, as they are or (exec is not touched then) as they were
// when exec_snapshot gave `snapshot`, which may be NULL; so may metadata (texts); *sum as in
// safetensors_end.
bool weights_save(Exec *exec, const uint8_t *snapshot, const char *path, uint32_t kinds,
                  const json_t *metadata, uint64_t *sum, Error *err);

#endif
