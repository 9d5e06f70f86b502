// Bump allocation by lifetime: session, graph, scratch. Compiler code allocates here and never
// frees.
#ifndef CZT_BASE_ARENA_H
#define CZT_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Arena Arena;

// Make an empty arena. Ends the process (exit code 70) when the machine has no memory.
Arena *arena_new(void);
// Give back everything allocated from it, and the arena itself. NULL is allowed.
void arena_free(Arena *arena);
// Zeroed bytes aligned to 16 (64 when size >= 64).
void *arena_alloc(Arena *arena, size_t size);
// A copy of size bytes.
void *arena_copy(Arena *arena, const void *from, size_t size);
// Let another arena live as long as this one does.
void arena_keep(Arena *arena, Arena *other);
// Bytes handed out so far, by those it keeps too.
size_t arena_used(const Arena *arena);

#define arena_make(arena, T) ((T *)arena_alloc((arena), sizeof(T)))
#define arena_array(arena, T, n) ((T *)arena_alloc((arena), sizeof(T) * (size_t)(n)))

// NUL-terminated strings in an arena.
char *str_copy(Arena *arena, const char *s);
char *str_slice(Arena *arena, const char *s, size_t n);
char *str_printf(Arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// A number of bytes: "24e9", "16 GiB", "500MB"; false where it is none, or less than 1.
bool bytes_read(const char *text, int64_t *bytes);
char *str_vprintf(Arena *arena, const char *fmt, va_list ap);

#endif
