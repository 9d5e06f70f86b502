// Open-addressing string map over an insertion-ordered entry array.
#include "base/map.h"

#include <string.h>

uint64_t hash_u64(uint64_t seed, uint64_t x)
{
    uint64_t h = (seed ^ x) + 0x9e3779b97f4a7c15u; // splitmix64 finaliser (Steele et al. 2014)
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

uint64_t hash_bytes(uint64_t seed, const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t h = seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return hash_u64(h, size);
}

uint64_t hash_str(uint64_t seed, const char *s)
{
    return hash_bytes(seed, s, strlen(s));
}

static uint32_t *find_slot(const Map *map, const char *key, uint64_t hash)
{
    uint32_t mask = map->nslots - 1;
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        uint32_t at = map->slots[i];
        if (!at) return &map->slots[i];
        const MapEntry *e = &map->at[at - 1];
        if (e->hash == hash && strcmp(e->key, key) == 0) return &map->slots[i];
    }
}

MapEntry *map_find(const Map *map, const char *key)
{
    if (!map->nslots) return NULL;
    uint32_t at = *find_slot(map, key, hash_str(0, key));
    return at ? &map->at[at - 1] : NULL;
}

void *map_get(const Map *map, const char *key)
{
    MapEntry *e = map_find(map, key);
    return e ? e->value : NULL;
}

static void grow(Arena *arena, Map *map)
{
    uint32_t cap = map->cap ? map->cap * 2 : 8;
    MapEntry *at = arena_array(arena, MapEntry, cap);
    if (map->n) memcpy(at, map->at, map->n * sizeof *at);
    map->at = at;
    map->cap = cap;
    map->nslots = cap * 2;
    map->slots = arena_array(arena, uint32_t, map->nslots);
    for (uint32_t i = 0; i < map->n; i++) *find_slot(map, at[i].key, at[i].hash) = i + 1;
}

bool map_set(Arena *arena, Map *map, const char *key, void *value)
{
    if (map->n == map->cap) grow(arena, map);
    uint64_t hash = hash_str(0, key);
    uint32_t *slot = find_slot(map, key, hash);
    if (*slot) {
        map->at[*slot - 1].value = value;
        return false;
    }
    map->at[map->n] = (MapEntry){str_copy(arena, key), value, hash};
    *slot = ++map->n;
    return true;
}

uint32_t str_distance(const char *a, const char *b, uint32_t limit)
{
    enum { LONGEST = 64 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= LONGEST || m >= LONGEST || (n > m ? n - m : m - n) > limit) return limit + 1;
    uint32_t row[LONGEST];
    for (size_t j = 0; j <= m; j++) row[j] = (uint32_t)j;
    for (size_t i = 1; i <= n; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= m; j++) {
            uint32_t up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (up + 1 < best) best = up + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[m] > limit ? limit + 1 : row[m];
}

bool str_swapped(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return *a && a[0] == b[1] && a[1] == b[0] && strcmp(a + 2, b + 2) == 0;
}
