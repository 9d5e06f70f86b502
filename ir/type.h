// Tensor types: an element type and axes, each plain or batch.
#ifndef CZT_IR_TYPE_H
#define CZT_IR_TYPE_H

#include "base/arena.h"

#include <stdbool.h>

typedef enum {
#define DTYPE(e, text, bytes, class) DT_##e,
#include "ir/dtypes.def"
#undef DTYPE
    DT_COUNT,
    DT_NONE = DT_COUNT
} DType;

// Text, size in bytes and class of an element type.
const char *dtype_name(DType dt);
int64_t dtype_size(DType dt);
bool dtype_is_float(DType dt);
bool dtype_is_int(DType dt); // signed or unsigned, not bool
// A float of 16 or 8 bits: it is one in memory only, f32 in registers, rounded after each op.
bool dtype_is_narrow(DType dt);
// The element type of that name, or DT_NONE.
DType dtype_find(const char *name);

// What the operands of products and attention are rounded to before they are multiplied.
typedef enum { PRECISION_NONE, PRECISION_F32, PRECISION_TF32, PRECISION_BF16 } Precision;

// Its text, "" of PRECISION_NONE; the one of that text, PRECISION_NONE where there is no such.
const char *precision_name(Precision p);
Precision precision_find(const char *name);
#define PRECISIONS (PRECISION_BF16 + 1)

// An axis. per is 0 for a plain axis, k > 0 for a batch axis that holds k values of each sample, so
// that size = batch * k. Only the ops that say so mix a batch axis. Text: 16, 16b (k = 1), 128b8.
typedef struct Axis {
    int64_t size, per;
} Axis;

// Immutable; a tuple (result of an op with several results) has parts instead of axes.
typedef struct Type {
    DType dtype;
    uint32_t rank;
    const Axis *axes;
    uint32_t nparts;
    const struct Type *const *parts;
} Type;

// Make a type; axes are copied.
const Type *type_new(Arena *arena, DType dtype, uint32_t rank, const Axis *axes);
const Type *type_tuple(Arena *arena, uint32_t nparts, const Type *const *parts);
bool type_equal(const Type *a, const Type *b);
bool type_same_shape(const Type *a, const Type *b);
// Number of elements; bytes they take.
int64_t type_count(const Type *type);
int64_t type_bytes(const Type *type);
// "f32[16b, 197, 768]"; "(f32[..], f32[..])" for tuples.
const char *type_text(Arena *arena, const Type *type);

#endif
