#include "folder.h"

#include "base/file.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *folder_make(Arena *arena)
{
    char *path = str_copy(arena, "/tmp/czt-examples-XXXXXX");
    cr_assert(mkdtemp(path), "cannot make %s", path);
    return path;
}

const char *folder_write(Arena *arena, const char *folder, const char *name, const char *text)
{
    char *path = str_printf(arena, "%s/%s", folder, name);
    for (char *p = path + strlen(folder) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(path, 0755);
        *p = '/';
    }
    FILE *f = fopen(path, "wb");
    cr_assert(f, "cannot write %s", path);
    fputs(text, f);
    fclose(f);
    return path;
}

const char *folder_copy(Arena *arena, const char *folder, const char *name, const char *from)
{
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, from, &err), "%s", err.text);
    const char *text = str_slice(arena, (const char *)map.data, map.size);
    file_unmap(&map);
    return folder_write(arena, folder, name, text);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

void folder_remove(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
