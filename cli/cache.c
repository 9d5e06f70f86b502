// The cache: a folder of containers (base/container.h), each named after the hash of its key. An
// entry is written whole or not at all, so that processes may share the folder. It holds two hashes
// of its key and its length beside what is kept; an entry that is damaged, or another key's, is as
// good as none, and replaced by the next one of its name. Reading an entry touches it; what exceeds
// LIMIT goes, the longest untouched first. No failure of the cache is an error of the command.
#include "cli/cache.h"

#include "base/file.h"
#include "base/map.h"
#include "base/object.h"
#include "runner/folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t LIMIT = (int64_t)2 << 30; // bytes

// What an entry says of its key.
typedef struct Key {
    uint64_t hash, checksum, size;
} Key;

static Key key_of(const void *key, size_t size)
{
    return (Key){hash_bytes(0, key, size), checksum_bytes(key, size), size};
}

static const char *entry_path(Arena *arena, const Cache *c, const Key *key)
{
    return str_printf(arena, "%s/%016llx%016llx", c->folder, (unsigned long long)key->hash,
                      (unsigned long long)key->checksum);
}

// Entries hold code that will run: nobody else may have put them there.
static bool is_private(const char *folder)
{
    struct stat st;
    return stat(folder, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           !(st.st_mode & (S_IWGRP | S_IWOTH)) && access(folder, R_OK | W_OK | X_OK) == 0;
}

void cache_open(Cache *cache, Arena *arena)
{
    Error none = {0};
    const char *above = cache_folder(arena);
    const char *folder = above ? str_printf(arena, "%s/steps", above) : NULL;
    *cache = (Cache){0};
    if (!folder || !make_folders(arena, above, &none)) return;
    mkdir(folder, 0700); // where it failed, the next line says what is there
    if (!is_private(folder)) return;
    cache->folder = folder;
    cache->program = objects_identity();
}

// ---- entries ------------------------------------------------------------------------------------

// The whole file in the arena, so that another process may remove it.
static bool read_file(Arena *arena, const char *path, uint8_t **data, size_t *size)
{
    FileMap map;
    Error none = {0};
    if (!file_map(&map, path, &none)) return false;
    *size = map.size;
    *data = arena_copy(arena, map.data, map.size);
    file_unmap(&map);
    return true;
}

static bool get(void *ctx, Arena *arena, const void *bytes, size_t length, Section **sections,
                uint32_t *n)
{
    const Cache *c = ctx;
    const Key key = key_of(bytes, length);
    Error none = {0};
    uint8_t *data;
    size_t size;
    if (!c->folder) return false;
    const char *path = entry_path(arena, c, &key);
    if (!read_file(arena, path, &data, &size) ||
        !container_read(arena, path, data, size, sections, n, &none))
        return false;
    const Section *own = container_find(*sections, *n, "key");
    if (!own || own->size != sizeof key || memcmp(own->data, &key, sizeof key) != 0) return false;
    utimensat(AT_FDCWD, path, NULL, 0);
    return true;
}

// ---- the limit ----------------------------------------------------------------------------------

typedef struct Kept {
    const char *path;
    struct timespec touched;
    int64_t size;
} Kept;

static int by_age(const void *a, const void *b)
{
    const Kept *x = a, *y = b;
    if (x->touched.tv_sec != y->touched.tv_sec)
        return x->touched.tv_sec < y->touched.tv_sec ? -1 : 1;
    return x->touched.tv_nsec < y->touched.tv_nsec   ? -1
           : x->touched.tv_nsec > y->touched.tv_nsec ? 1
                                                     : 0;
}

// Temporary files count too: those of killed processes age like all else.
static void keep_limit(const Cache *c)
{
    Arena *arena = arena_new();
    VEC(Kept) all = {0};
    int64_t sum = 0;
    DIR *folder = opendir(c->folder);
    for (struct dirent *e; folder && (e = readdir(folder));) {
        struct stat st;
        const char *path = str_printf(arena, "%s/%s", c->folder, e->d_name);
        if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) continue;
        vec_push(arena, &all, (Kept){path, st.st_mtim, st.st_size});
        sum += st.st_size;
    }
    if (folder) closedir(folder);
    if (sum > LIMIT) qsort(all.at, all.n, sizeof *all.at, by_age);
    for (uint32_t i = 0; i < all.n && sum > LIMIT; i++) {
        unlink(all.at[i].path);
        sum -= all.at[i].size;
    }
    arena_free(arena);
}

static void put(void *ctx, const void *bytes, size_t length, const Section *sections, uint32_t n)
{
    const Cache *c = ctx;
    const Key key = key_of(bytes, length);
    Error none = {0};
    if (!c->folder) return;
    Arena *arena = arena_new();
    Section *all = arena_array(arena, Section, n + 1);
    memcpy(all, sections, n * sizeof *all);
    all[n] = (Section){"key", &key, sizeof key};
    if (container_write(entry_path(arena, c, &key), NULL, 0, all, n + 1, &none)) keep_limit(c);
    arena_free(arena);
}

CodeStore cache_store(Cache *cache)
{
    return (CodeStore){cache, get, put};
}
