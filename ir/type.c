// Tensor types: construction, comparison and text. Element types are rows of dtypes.def.
#include "ir/type.h"

#include "base/vec.h"

typedef enum { DTYPE_F, DTYPE_S, DTYPE_U, DTYPE_B } DTypeClass;

static const struct {
    const char *name;
    int64_t bytes;
    DTypeClass class;
} dtypes[] = {
#define DTYPE(e, text, bytes, class) {text, bytes, DTYPE_##class},
#include "ir/dtypes.def"
#undef DTYPE
    {"none", 0, DTYPE_B},
};

static const char *const precisions[PRECISIONS] = {"", "f32", "tf32", "bf16"};

const char *precision_name(Precision p)
{
    return precisions[p];
}

Precision precision_find(const char *name)
{
    Precision p = PRECISION_BF16;
    while (p && strcmp(precisions[p], name) != 0) p--;
    return p;
}

const char *dtype_name(DType dt)
{
    return dtypes[dt].name;
}

int64_t dtype_size(DType dt)
{
    return dtypes[dt].bytes;
}

bool dtype_is_float(DType dt)
{
    return dtypes[dt].class == DTYPE_F;
}

bool dtype_is_int(DType dt)
{
    return dtypes[dt].class == DTYPE_S || dtypes[dt].class == DTYPE_U;
}

bool dtype_is_narrow(DType dt)
{
    return dtype_is_float(dt) && dtypes[dt].bytes < 4;
}

DType dtype_find(const char *name)
{
    DType dt = 0;
    while (dt < DT_COUNT && strcmp(dtypes[dt].name, name) != 0) dt++;
    return dt;
}

const Type *type_new(Arena *arena, DType dtype, uint32_t rank, const Axis *axes)
{
    Type *type = arena_make(arena, Type);
    type->dtype = dtype;
    type->rank = rank;
    if (rank) type->axes = arena_copy(arena, axes, rank * sizeof *axes);
    return type;
}

const Type *type_tuple(Arena *arena, uint32_t nparts, const Type *const *parts)
{
    Type *type = arena_make(arena, Type);
    type->dtype = DT_NONE;
    type->nparts = nparts;
    type->parts = arena_copy(arena, parts, nparts * sizeof *parts);
    return type;
}

bool type_same_shape(const Type *a, const Type *b)
{
    if (a->rank != b->rank) return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->axes[i].size != b->axes[i].size || a->axes[i].per != b->axes[i].per) return false;
    return true;
}

bool type_equal(const Type *a, const Type *b)
{
    if (a == b) return true;
    if (a->dtype != b->dtype || a->nparts != b->nparts || !type_same_shape(a, b)) return false;
    for (uint32_t i = 0; i < a->nparts; i++)
        if (!type_equal(a->parts[i], b->parts[i])) return false;
    return true;
}

int64_t type_count(const Type *type)
{
    int64_t count = 1;
    for (uint32_t i = 0; i < type->rank; i++) count *= type->axes[i].size;
    return count;
}

int64_t type_bytes(const Type *type)
{
    if (!type->nparts) return type_count(type) * dtype_size(type->dtype);
    int64_t bytes = 0;
    for (uint32_t i = 0; i < type->nparts; i++) bytes += type_bytes(type->parts[i]);
    return bytes;
}

static const char *axis_text(Arena *arena, Axis axis)
{
    if (axis.per == 0) return str_printf(arena, "%lld", (long long)axis.size);
    if (axis.per == 1) return str_printf(arena, "%lldb", (long long)axis.size);
    return str_printf(arena, "%lldb%lld", (long long)axis.size, (long long)axis.per);
}

const char *type_text(Arena *arena, const Type *type)
{
    const char *text = type->nparts ? "(" : str_printf(arena, "%s[", dtype_name(type->dtype));
    uint32_t n = type->nparts ? type->nparts : type->rank;
    for (uint32_t i = 0; i < n; i++) {
        const char *item =
            type->nparts ? type_text(arena, type->parts[i]) : axis_text(arena, type->axes[i]);
        text = str_printf(arena, "%s%s%s", text, i ? ", " : "", item);
    }
    return str_printf(arena, "%s%s", text, type->nparts ? ")" : "]");
}
