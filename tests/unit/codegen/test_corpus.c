// The execution corpus: tests/corpus/*.ir on the interpreter and the CPU, with and without each
// kind of fusion, bit for bit; the fused program with 1, 2, 3, 5 and 8 threads.
#include "base/file.h"
#include "executors.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <stdlib.h>

#define FOLDER CZT_SOURCE_DIR "/tests/corpus"

ParameterizedTestParameters(corpus, same_bits)
{
    static char names[256][64];
    size_t n = 0;
    DIR *dir = opendir(FOLDER);
    for (struct dirent *d; dir && (d = readdir(dir)) && n < 256;) {
        size_t length = strlen(d->d_name);
        if (length > 3 && length < 64 && strcmp(d->d_name + length - 3, ".ir") == 0)
            strcpy(names[n++], d->d_name);
    }
    closedir(dir);
    return cr_make_param_array(char[64], names, n);
}

ParameterizedTest(char (*name)[64], corpus, same_bits)
{
    const char *only = getenv("CZT_ONLY");
    if (only && strncmp(*name, only, strlen(only))) return;
    Arena *arena = arena_new();
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, str_printf(arena, FOLDER "/%s", *name), &err), "%s", err.text);
    const char *text = str_slice(arena, (const char *)map.data, map.size);
    file_unmap(&map);
    uint32_t masks[] = {FUSE_ALL, 0, FUSE_POINTWISE, FUSE_ALL & ~FUSE_RECOMPUTE,
                        FUSE_ALL & ~FUSE_EPILOGUE};
    const uint32_t every[] = {1, 2, 3, 5, 8, 0}, fewer[] = {1, 2, 0};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++)
        same_on_both(str_printf(arena, "%s mask %u", *name, masks[i]), text, masks[i],
                     i == 0 ? every : fewer);
    arena_free(arena);
}
