// Typed growable arrays in an arena: VEC(int) v = {0}; vec_push(arena, &v, 3); v.at[0]; v.n.
#ifndef CZT_BASE_VEC_H
#define CZT_BASE_VEC_H

#include "base/arena.h"

#include <string.h>

// Declares an anonymous vector struct of T: elements at[0..n-1].
#define VEC(T)           \
    struct {             \
        T *at;           \
        uint32_t n, cap; \
    }

// Append one element.
#define vec_push(arena, v, ...)                                                              \
    do {                                                                                     \
        if ((v)->n == (v)->cap)                                                              \
            (v)->at = vec_grow((arena), (v)->at, (v)->n, &(v)->cap, sizeof *(v)->at);        \
        (v)->at[(v)->n++] = (__VA_ARGS__);                                                   \
    } while (0)

// Make room for one more element: twice the capacity in fresh arena memory, old elements copied.
static inline void *vec_grow(Arena *arena, const void *at, uint32_t n, uint32_t *cap, size_t size)
{
    *cap = *cap ? *cap * 2 : 8;
    void *to = arena_alloc(arena, *cap * size);
    if (n) memcpy(to, at, n * size);
    return to;
}

#endif
