// Chunked bump allocator. Chunks double in size; a request larger than a chunk gets its own.
#include "base/arena.h"

#include "base/diag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FIRST_CHUNK = 1 << 14, LARGEST_CHUNK = 1 << 22 };

typedef struct Chunk {
    struct Chunk *next;
    size_t size, used;
    _Alignas(64) unsigned char data[];
} Chunk;

struct Arena {
    Chunk *chunks;
    size_t next_size, used;
    Arena *kept, *next; // arenas that it keeps; the next one that is kept beside it
};

Arena *arena_new(void)
{
    Arena *arena = calloc(1, sizeof *arena);
    if (!arena) bug("out of memory");
    arena->next_size = FIRST_CHUNK;
    return arena;
}

void arena_free(Arena *arena)
{
    if (!arena) return;
    for (Chunk *c = arena->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (Arena *a = arena->kept, *next; a; a = next) {
        next = a->next;
        arena_free(a);
    }
    free(arena);
}

void arena_keep(Arena *arena, Arena *other)
{
    other->next = arena->kept;
    arena->kept = other;
}

static Chunk *add_chunk(Arena *arena, size_t need)
{
    size_t size = arena->next_size;
    if (arena->next_size < LARGEST_CHUNK) arena->next_size *= 2;
    if (size < need + 64) size = need + 64;
    size_t bytes = (sizeof(Chunk) + size + 63) / 64 * 64;
    Chunk *c = aligned_alloc(64, bytes);
    if (!c) bug("out of memory: %zu bytes", bytes);
    c->size = bytes - sizeof(Chunk);
    c->used = 0;
    c->next = arena->chunks;
    arena->chunks = c;
    return c;
}

void *arena_alloc(Arena *arena, size_t size)
{
    size_t align = size >= 64 ? 64 : 16;
    Chunk *c = arena->chunks;
    size_t at = c ? (c->used + align - 1) / align * align : 0;
    if (!c || at > c->size || c->size - at < size) {
        c = add_chunk(arena, size);
        at = 0;
    }
    c->used = at + size;
    arena->used += size;
    return memset(c->data + at, 0, size);
}

void *arena_copy(Arena *arena, const void *from, size_t size)
{
    void *to = arena_alloc(arena, size);
    if (size) memcpy(to, from, size);
    return to;
}

size_t arena_used(const Arena *arena)
{
    size_t used = arena->used;
    for (const Arena *a = arena->kept; a; a = a->next) used += arena_used(a);
    return used;
}

char *str_slice(Arena *arena, const char *s, size_t n)
{
    char *to = arena_alloc(arena, n + 1);
    if (n) memcpy(to, s, n);
    return to;
}

char *str_copy(Arena *arena, const char *s)
{
    return str_slice(arena, s, strlen(s));
}

char *str_vprintf(Arena *arena, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0) bug("bad format '%s'", fmt);
    char *to = arena_alloc(arena, (size_t)n + 1);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    return to;
}

char *str_printf(Arena *arena, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *to = str_vprintf(arena, fmt, ap);
    va_end(ap);
    return to;
}

bool bytes_read(const char *text, int64_t *bytes)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"", 1},      {"B", 1},        {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
                 {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char *end;
    double x = strtod(text, &end);
    if (end == text || strchr("+-", *text)) return false;
    end += strspn(end, " ");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        double all = x * units[i].factor;
        if (strcasecmp(end, units[i].name) != 0) continue;
        *bytes = all >= 1 && all < 0x1p62 ? (int64_t)all : 0;
        return *bytes > 0;
    }
    return false;
}
