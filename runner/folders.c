#include "runner/folders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool make_folders(Arena *arena, const char *path, Error *err)
{
    for (const char *end = path; *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        const char *folder = str_slice(arena, path, (size_t)(end - path));
        if (mkdir(folder, 0777) != 0 && errno != EEXIST)
            return error_set(err, "%s: cannot make the folder: %s", folder, strerror(errno));
    }
    return true;
}

const char *cache_folder(Arena *arena)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') return str_printf(arena, "%s/cztc", cache);
    return home && home[0] == '/' ? str_printf(arena, "%s/.cache/cztc", home) : NULL;
}
