// Which files a list of shards names: ranges and choices in braces, and folders.
#include "runtime/shards.h"

#include "base/brace.h"
#include "base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef VEC(const char *) List;

static bool expand(Arena *arena, const char *head, const char *tail, List *to, Error *err);

// What a brace stands for, one after the other; behind it comes tail.
static bool expand_brace(Arena *arena, const char *head, const Brace *b, List *to, Error *err)
{
    const char *at = b->open + 1;
    for (int64_t i = 0; b->width && i < b->count; i++)
        if (!expand(arena, str_printf(arena, "%s%0*lld", head, b->width, (long long)(b->first + i)),
                    b->close + 1, to, err))
            return false;
    for (int64_t i = 0; !b->width && i < b->count; i++) {
        size_t n = strcspn(at, ",}");
        if (!expand(arena, str_printf(arena, "%s%.*s", head, (int)n, at), b->close + 1, to, err))
            return false;
        at += n + 1;
    }
    return true;
}

// Expand the first brace of tail behind head, and all others by recursion.
static bool expand(Arena *arena, const char *head, const char *tail, List *to, Error *err)
{
    Brace b;
    bool good = brace_first(tail, &b);
    if (good && !b.open) {
        vec_push(arena, to, str_printf(arena, "%s%s", head, tail));
        return true;
    }
    if (!b.close) return error_set(err, "shard pattern: '%s' has no closing brace", tail);
    if (!good)
        return error_set(err, "shard pattern: '%.*s' is no range like {000..331}, nor {a,b}",
                         (int)(b.close - b.open) + 1, b.open);
    head = str_printf(arena, "%s%.*s", head, (int)(b.open - tail), tail);
    return expand_brace(arena, head, &b, to, err);
}

bool brace_expand(Arena *arena, const char *pattern, Names *to, Error *err)
{
    List list = {0};
    bool pipe = strncmp(pattern, "pipe:", 5) == 0; // the shell's braces are the shell's
    if (pipe)
        vec_push(arena, &list, str_copy(arena, pattern));
    else if (brace_count(pattern) > BRACE_MOST)
        return error_set(err, "shard pattern: more than %d shards", BRACE_MOST);
    else if (!expand(arena, "", pattern, &list, err))
        return false;
    *to = (Names){list.at, list.n};
    return true;
}

// ---- Folders ----

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Append the *.tar of a folder in byte order.
static bool add_folder(Arena *arena, const char *folder, List *to, Error *err)
{
    uint32_t first = to->n;
    DIR *dir = opendir(folder);
    if (!dir) return error_set(err, "%s: cannot read the folder: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (e->d_name[0] != '.' && n > 4 && strcmp(e->d_name + n - 4, ".tar") == 0)
            vec_push(arena, to, str_printf(arena, "%s/%s", folder, e->d_name));
    }
    closedir(dir);
    if (to->n == first) return error_set(err, "%s: the folder has no *.tar", folder);
    qsort(to->at + first, to->n - first, sizeof *to->at, by_bytes);
    return true;
}

static const char *without_slash(Arena *arena, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    return str_slice(arena, path, n);
}

bool shards_list(Arena *arena, const Names *patterns, const char *base_dir, Names *to, Error *err)
{
    List all = {0};
    for (uint32_t i = 0; i < patterns->n; i++) {
        Names part;
        if (!brace_expand(arena, patterns->at[i], &part, err)) return false;
        for (uint32_t k = 0; k < part.n; k++) {
            const char *path = part.at[k];
            struct stat st;
            bool pipe = strncmp(path, "pipe:", 5) == 0;
            if (!pipe && path[0] != '/' && base_dir)
                path = str_printf(arena, "%s/%s", base_dir, path);
            if (pipe || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
                vec_push(arena, &all, path);
            else if (!add_folder(arena, without_slash(arena, path), &all, err))
                return false;
        }
    }
    *to = (Names){all.at, all.n};
    return true;
}
