// Values of the interpreter: conversion between stored and working form, and strided copies.

#include "ir/eval.h"

Work work_of(DType stored)
{
    if (stored == DT_F64) return WORK_F64;
    return dtype_is_float(stored) ? WORK_F32 : WORK_INT;
}

size_t work_size(Work work)
{
    return work == WORK_F32 ? sizeof(float) : sizeof(double);
}

void int_range(DType dt, int64_t *lo, int64_t *hi)
{
    int bits = dt == DT_BOOL ? 1 : 8 * (int)dtype_size(dt);
    bool is_signed = dt == DT_I64 || dt == DT_I32 || dt == DT_I8;
    *hi = (int64_t)(UINT64_MAX >> (64 - bits + is_signed));
    *lo = is_signed ? -*hi - 1 : 0;
}

// ---- blocks -------------------------------------------------------------------------------------

#define LOAD(member, T, ...)                                \
    for (int l = 0; l < n; l++) {                           \
        T x = ((const T *)v->data)[at + l];                 \
        b->member[l] = __VA_ARGS__;                         \
    }                                                       \
    break

void value_load(const Value *v, int64_t at, int n, Block *b)
{
    switch (v->stored) {
    case DT_F32: memcpy(b->f, (const float *)v->data + at, sizeof(float) * (size_t)n); break;
    case DT_F64: memcpy(b->d, (const double *)v->data + at, sizeof(double) * (size_t)n); break;
    case DT_BF16: LOAD(f, uint16_t, bf16_to_f32(x));
    case DT_F16: LOAD(f, uint16_t, f16_to_f32(x));
    case DT_F8E4M3: LOAD(f, uint8_t, f8e4m3_to_f32(x));
    case DT_F8E5M2: LOAD(f, uint8_t, f8e5m2_to_f32(x));
    case DT_I64: LOAD(i, int64_t, x);
    case DT_I32: LOAD(i, int32_t, x);
    case DT_I8: LOAD(i, int8_t, x);
    case DT_U32: LOAD(i, uint32_t, x);
    case DT_U16: LOAD(i, uint16_t, x);
    case DT_U8: LOAD(i, uint8_t, x);
    case DT_BOOL: LOAD(i, uint8_t, x != 0);
    default: bug("no values of type %s", dtype_name(v->stored));
    }
}

#define STORE(T, ...) \
    for (int l = 0; l < n; l++) ((T *)v->data)[at + l] = (__VA_ARGS__); \
    break

void value_store(Value *v, int64_t at, int n, const Block *b)
{
    switch (v->stored) {
    case DT_F32: memcpy((float *)v->data + at, b->f, sizeof(float) * (size_t)n); break;
    case DT_F64: memcpy((double *)v->data + at, b->d, sizeof(double) * (size_t)n); break;
    case DT_BF16: STORE(uint16_t, f32_to_bf16(b->f[l]));
    case DT_F16: STORE(uint16_t, f32_to_f16(b->f[l]));
    case DT_F8E4M3: STORE(uint8_t, f32_to_f8e4m3(b->f[l]));
    case DT_F8E5M2: STORE(uint8_t, f32_to_f8e5m2(b->f[l]));
    case DT_I64: STORE(int64_t, b->i[l]);
    case DT_I32:
    case DT_U32: STORE(uint32_t, (uint32_t)b->i[l]);
    case DT_U16: STORE(uint16_t, (uint16_t)b->i[l]);
    case DT_I8:
    case DT_U8: STORE(uint8_t, (uint8_t)b->i[l]);
    case DT_BOOL: STORE(uint8_t, b->i[l] != 0);
    default: bug("no values of type %s", dtype_name(v->stored));
    }
}

int64_t value_int(const Value *v)
{
    Block b;
    value_load(v, 0, 1, &b);
    return b.i[0];
}

// ---- whole values -------------------------------------------------------------------------------

int64_t *strides_of(Arena *arena, const Type *type, int64_t width)
{
    int64_t *strides = arena_array(arena, int64_t, type->rank);
    for (uint32_t a = type->rank; a-- > 0; width *= type->axes[a].size) strides[a] = width;
    return strides;
}

#define COPY_ROW(T)                                                   \
    for (int64_t i = 0; i < n; i++, to += ts, from += fs) {           \
        T x;                                                          \
        memcpy(&x, from, sizeof x);                                   \
        memcpy(to, &x, sizeof x);                                     \
    }                                                                 \
    break

static void copy_row(int64_t n, char *to, int64_t ts, const char *from, int64_t fs, size_t width)
{
    if (ts == (int64_t)width && fs == (int64_t)width) {
        memcpy(to, from, width * (size_t)n);
        return;
    }
    switch (width) {
    case 1: COPY_ROW(uint8_t);
    case 2: COPY_ROW(uint16_t);
    case 4: COPY_ROW(uint32_t);
    case 8: COPY_ROW(uint64_t);
    default: bug("elements of %zu bytes", width);
    }
}

void copy_strided(uint32_t rank, const int64_t *sizes, char *to, const int64_t *to_strides,
                  const char *from, const int64_t *from_strides, size_t width)
{
    if (rank == 0) {
        memcpy(to, from, width);
    } else if (rank == 1) {
        if (sizes[0] > 0) copy_row(sizes[0], to, to_strides[0], from, from_strides[0], width);
    } else {
        for (int64_t i = 0; i < sizes[0]; i++)
            copy_strided(rank - 1, sizes + 1, to + i * to_strides[0], to_strides + 1,
                         from + i * from_strides[0], from_strides + 1, width);
    }
}

// The value's elements, stored as they are, with axes in another order.
static const void *reorder(Arena *scratch, const Value *v, const int64_t *order)
{
    uint32_t rank = v->type->rank;
    int64_t width = dtype_size(v->stored), stride = width;
    const int64_t *strides = strides_of(scratch, v->type, width);
    int64_t *sizes = arena_array(scratch, int64_t, rank);
    int64_t *from = arena_array(scratch, int64_t, rank), *to = arena_array(scratch, int64_t, rank);
    bool same = true;
    for (uint32_t i = rank; i-- > 0; stride *= sizes[i]) {
        sizes[i] = v->type->axes[order[i]].size;
        from[i] = strides[order[i]];
        to[i] = stride;
        same &= order[i] == (int64_t)i;
    }
    if (same) return v->data;
    char *data = arena_alloc(scratch, (size_t)stride);
    copy_strided(rank, sizes, data, to, v->data, from, (size_t)width);
    return data;
}

const void *value_ordered(Arena *scratch, const Value *v, const int64_t *order)
{
    Value u = *v;
    if (order) u.data = (void *)(uintptr_t)reorder(scratch, v, order);
    if (v->stored == DT_F32 || v->stored == DT_F64 || v->stored == DT_I64) return u.data;
    int64_t count = type_count(v->type);
    size_t size = work_size(work_of(v->stored));
    char *work = arena_alloc(scratch, size * (size_t)count);
    for (int64_t at = 0; at < count; at += SCALAR_BLOCK) {
        Block b;
        int n = (int)(count - at < SCALAR_BLOCK ? count - at : SCALAR_BLOCK);
        value_load(&u, at, n, &b);
        memcpy(work + size * (size_t)at, &b, size * (size_t)n);
    }
    return work;
}

void value_fill(Value *v, const void *work)
{
    int64_t count = type_count(v->type);
    size_t size = work_size(work_of(v->stored));
    for (int64_t at = 0; at < count; at += SCALAR_BLOCK) {
        Block b;
        int n = (int)(count - at < SCALAR_BLOCK ? count - at : SCALAR_BLOCK);
        memcpy(&b, (const char *)work + size * (size_t)at, size * (size_t)n);
        value_store(v, at, n, &b);
    }
}
