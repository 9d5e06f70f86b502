// Hash map from strings to pointers, in insertion order; and the hash functions of the project.
#ifndef CZT_BASE_MAP_H
#define CZT_BASE_MAP_H

#include "base/arena.h"

#include <stdbool.h>

typedef struct MapEntry {
    const char *key;
    void *value;
    uint64_t hash;
} MapEntry;

// Zero-initialise. Entries lie in insertion order in at[0..n-1]; a value may be overwritten in
// place.
typedef struct Map {
    MapEntry *at;
    uint32_t n, cap;
    uint32_t *slots; // index + 1 into at; power of two long
    uint32_t nslots;
} Map;

// The value under key, or NULL.
void *map_get(const Map *map, const char *key);
// The entry under key, or NULL.
MapEntry *map_find(const Map *map, const char *key);
// Set key to value; copies the key into the arena when it is new. Returns true when it was new.
bool map_set(Arena *arena, Map *map, const char *key, void *value);

// FNV-1a style 64-bit hash with a final mix; chain by passing the previous result as seed (0
// first).
uint64_t hash_bytes(uint64_t seed, const void *data, size_t size);
uint64_t hash_str(uint64_t seed, const char *s);
uint64_t hash_u64(uint64_t seed, uint64_t x);

// Edit distance for "did you mean"; at most limit + 1 is returned.
uint32_t str_distance(const char *a, const char *b, uint32_t limit);
// Do the words differ in two neighbours' order alone?
bool str_swapped(const char *a, const char *b);

// nearest.c: what a wrong name may mean

// The nearest key of a map to a name, or `best`, the nearest of other maps, where none is nearer;
// NULL when none is near.
const char *nearest_key(const Map *m, const char *name, const char *best);
// Our word for one of another tool; NULL where none is known.
const char *str_our_word(const char *name);
// Is the wrong word a slip of the fingers, or another tool's word for the right one, so that
// nothing else can be meant?
bool str_is_slip(const char *wrong, const char *right);

#endif
