// The mends of the graphs in tests/errors: where every error of a file has one, applying them makes
// the file valid; where a mend is a guess, each of those that are offered.
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "frontend/frontend.h"
#include "frontend/tree.h"

enum { ROUNDS = 12 };

typedef struct Case {
    Arena *arena;
    const char *folder; // a copy, with links to what the file names
    const char *name;
    bool yaml; // fragments of YAML
} Case;

static void write_text(const char *path, const char *text)
{
    unlink(path);
    FILE *f = fopen(path, "wb");
    cr_assert(f && fputs(text, f) >= 0 && !fclose(f), "%s", path);
}

static uint32_t mendable(const Diag *diag, uint32_t source)
{
    uint32_t n, count = 0, last = 0;
    const Mend *m = diag_mends(diag, &n);
    for (uint32_t i = 0; i < n; i++)
        if (m[i].at.source == source && m[i].error != last) last = m[i].error, count++;
    return count;
}

static uint32_t source_of(const Diag *diag, const char *path)
{
    uint32_t i = 1;
    while (diag_source_path(diag, i) && strcmp(diag_source_path(diag, i), path) != 0) i++;
    return i;
}

// Read as a graph; as YAML alone where the cases are no graphs.
static bool is_valid(const Case *c, Diag *diag, const char *path)
{
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    if (!c->yaml) return frontend_load(c->arena, diag, path, &o) != NULL;
    return tree_read_file(c->arena, diag, path, (Loc){0}) && !diag_errors(diag);
}

// Did the file become valid? *all: every error had a mend, in every round.
static bool mend(const Case *c, uint32_t choice, bool *all)
{
    const char *path = str_printf(c->arena, "%s/%s", c->folder, c->name);
    *all = true;
    for (int round = 0; round < ROUNDS; round++) {
        Diag *diag = diag_new(c->arena);
        if (is_valid(c, diag, path)) return true;
        uint32_t source = source_of(diag, path), applied = 0;
        *all &= mendable(diag, source) >= diag_errors(diag);
        if (!mendable(diag, source)) return false;
        write_text(path, diag_mended(diag, c->arena, source, choice, &applied));
        if (!applied) return false;
    }
    return false;
}

static bool is_case(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".yaml") == 0 && !strstr(name, "_lib.yaml");
}

// A folder with links to all files of another.
static const char *linked(Arena *a, const char *from)
{
    char template[] = "/tmp/cztc-mends-XXXXXX";
    const char *to = str_copy(a, mkdtemp(template));
    DIR *d = opendir(from);
    cr_assert(d, "%s", from);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            cr_assert_eq(symlink(str_printf(a, "%s/%s", from, e->d_name),
                                 str_printf(a, "%s/%s", to, e->d_name)),
                         0);
    closedir(d);
    return to;
}

static void remove_linked(Arena *a, const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') unlink(str_printf(a, "%s/%s", folder, e->d_name));
    closedir(d);
    rmdir(folder);
}

// Mend every case of a folder; at least so many must become valid.
static void run_folder(const char *name, uint32_t least)
{
    Arena *a = arena_new();
    const char *from = str_printf(a, "%s/tests/errors/%s", CZT_SOURCE_DIR, name);
    const char *to = linked(a, from), *left = "";
    uint32_t mended = 0;
    DIR *d = opendir(from);
    for (struct dirent *e; (e = readdir(d));) {
        if (!is_case(e->d_name)) continue;
        bool good = true;
        for (uint32_t choice = 0; choice < 2; choice++) {
            Case c = {arena_new(), to, e->d_name, strcmp(name, "yaml") == 0};
            bool all, valid = mend(&c, choice, &all);
            cr_expect(valid || !all, "%s/%s: what its errors say does not mend it (choice %u)",
                      name, e->d_name, choice);
            good &= valid;
            const char *path = str_printf(a, "%s/%s", to, e->d_name);
            unlink(path);
            cr_assert_eq(symlink(str_printf(a, "%s/%s", from, e->d_name), path), 0);
            arena_free(c.arena);
        }
        mended += good;
        if (!good) left = str_printf(a, "%s %s", left, e->d_name);
    }
    closedir(d);
    remove_linked(a, to);
    if (getenv("CZT_SHOW")) fprintf(stderr, "%s: %u mended; not:%s\n", name, mended, left);
    cr_expect(mended >= least, "%s: %u files are mended by what is printed, not %u; the others:%s",
              name, mended, least, left);
    arena_free(a);
}

Test(mends, yaml)
{
    run_folder("yaml", 30);
}
Test(mends, names)
{
    run_folder("names", 10);
}
Test(mends, shapes)
{
    run_folder("shapes", 23);
}
Test(mends, deep)
{
    run_folder("deep", 10);
}
Test(mends, structure)
{
    run_folder("structure", 12);
}
Test(mends, data)
{
    run_folder("data", 10);
}
Test(mends, experts)
{
    run_folder("experts", 14);
}
Test(mends, teachers)
{
    run_folder("teachers", 10);
}
Test(mends, stats)
{
    run_folder("stats", 10);
}
Test(mends, phases)
{
    run_folder("phases", 10);
}
Test(mends, init)
{
    run_folder("init", 10);
}
Test(mends, dtypes)
{
    run_folder("dtypes", 10);
}
Test(mends, schedules)
{
    run_folder("schedules", 10);
}
Test(mends, export)
{
    run_folder("export", 3);
}
