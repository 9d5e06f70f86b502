// The library's files, unpacked into the user's cache. The folder is named after the files'
// checksum, each file is written atomically, and what is there is compared before it is trusted:
// several processes and several versions of cztc may share the cache.
#include "cli/assets.h"

#include "base/file.h"
#include "runner/folders.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_library(const Asset *a)
{
    return strncmp(a->name, "lib/", 4) == 0;
}

static uint64_t library_checksum(void)
{
    Checksum sum = checksum_start();
    for (const Asset *a = assets; a->name; a++) {
        if (!is_library(a)) continue;
        checksum_add(&sum, a->name, strlen(a->name) + 1);
        checksum_add(&sum, a->data, asset_size(a));
    }
    return checksum_end(&sum);
}

static bool same_file(const Asset *a, const char *path)
{
    FileMap map = {0};
    Error none = {0};
    struct stat st;
    if (stat(path, &st) != 0 || (size_t)st.st_size != asset_size(a) || !file_map(&map, path, &none))
        return false;
    bool same = map.size == asset_size(a) && memcmp(map.data, a->data, map.size) == 0;
    file_unmap(&map);
    return same;
}

static bool unpack(Arena *arena, const Asset *a, const char *path, Error *err)
{
    FileWriter w;
    if (same_file(a, path)) return true;
    Error inner = {0};
    const char *folder = str_slice(arena, path, (size_t)(strrchr(path, '/') - path));
    if (!make_folders(arena, folder, &inner))
        return error_set(err, "%s (the library is kept there; --lib names another folder)",
                         inner.text);
    if (!file_create(&w, arena, path, 0666, err)) return false;
    if (file_put(&w, a->data, asset_size(a), err)) return file_commit(&w, err);
    file_cancel(&w);
    return false;
}

const char *assets_library(Arena *arena, Error *err)
{
    const char *cache = cache_folder(arena);
    if (!cache) {
        error_set(err,
                  "no place for the library: set XDG_CACHE_HOME or HOME, or give --lib FOLDER");
        return NULL;
    }
    const char *folder =
        str_printf(arena, "%s/lib-%016llx", cache, (unsigned long long)library_checksum());
    for (const Asset *a = assets; a->name; a++)
        if (is_library(a) &&
            !unpack(arena, a, str_printf(arena, "%s/%s", folder, a->name + 4), err))
            return NULL;
    return folder;
}
