// Element types, types and their text.
#include "fixture.h"

Test(type, dtypes_are_found_by_name)
{
    for (DType dt = 0; dt < DT_COUNT; dt++) cr_assert_eq(dtype_find(dtype_name(dt)), dt);
    cr_assert_eq(dtype_find("f128"), DT_NONE);
    cr_assert_eq(dtype_size(DT_BF16), 2);
    cr_assert(dtype_is_float(DT_F8E4M3) && !dtype_is_float(DT_I8));
    cr_assert(dtype_is_int(DT_U16) && !dtype_is_int(DT_BOOL));
}

Test(type, text_and_sizes)
{
    Arena *arena = arena_new();
    const Type *x = type_new(arena, DT_F32, 3, AXES({16, 1}, {197, 0}, {128, 8}));
    cr_assert_str_eq(type_text(arena, x), "f32[16b, 197, 128b8]");
    cr_assert_eq(type_count(x), 16 * 197 * 128);
    cr_assert_eq(type_bytes(x), 4 * 16 * 197 * 128);
    const Type *s = type_new(arena, DT_BOOL, 0, NULL);
    cr_assert_str_eq(type_text(arena, s), "bool[]");
    cr_assert_eq(type_count(s), 1);
    const Type *t = type_tuple(arena, 2, (const Type *[]){x, s});
    cr_assert_str_eq(type_text(arena, t), "(f32[16b, 197, 128b8], bool[])");
    cr_assert_eq(type_bytes(t), type_bytes(x) + 1);
    arena_free(arena);
}

Test(type, equality_looks_at_everything)
{
    Arena *arena = arena_new();
    const Type *x = type_new(arena, DT_F32, 2, AXES({16, 1}, {4, 0}));
    const Type *same = type_new(arena, DT_F32, 2, AXES({16, 1}, {4, 0}));
    const Type *plain = type_new(arena, DT_F32, 2, AXES({16, 0}, {4, 0}));
    const Type *half = type_new(arena, DT_F16, 2, AXES({16, 1}, {4, 0}));
    const Type *longer = type_new(arena, DT_F32, 3, AXES({16, 1}, {4, 0}, {1, 0}));
    cr_assert(type_equal(x, same));
    cr_assert(!type_equal(x, plain) && !type_equal(x, half) && !type_equal(x, longer));
    cr_assert(type_same_shape(x, half));
    const Type *t = type_tuple(arena, 2, (const Type *[]){x, half});
    cr_assert(type_equal(t, type_tuple(arena, 2, (const Type *[]){same, half})));
    cr_assert(!type_equal(t, type_tuple(arena, 2, (const Type *[]){x, same})));
    cr_assert(!type_equal(t, type_new(arena, DT_NONE, 0, NULL)));
    arena_free(arena);
}
