// The mends of the graphs in tests/errors: every error of a file has one, and applying them makes
// the file valid; where a mend is a guess there are two, and each does.
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "accidents.h"
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

// Is it the first source of that path, and one of the case's files?
static bool is_own(const Case *c, const Diag *diag, uint32_t source)
{
    const char *path = diag_source_path(diag, source);
    for (uint32_t i = 1; i < source; i++)
        if (strcmp(diag_source_path(diag, i), path) == 0) return false;
    return strncmp(path, c->folder, strlen(c->folder)) == 0;
}

// Errors that have a mend in one of the case's files.
static uint32_t mendable(const Case *c, const Diag *diag)
{
    uint32_t n, count = 0, last = 0;
    const Mend *m = diag_mends(diag, &n);
    for (uint32_t i = 0; i < n; i++)
        if (is_own(c, diag, m[i].at.source) && m[i].error != last) last = m[i].error, count++;
    return count;
}

// Apply what is printed to all files of the case; the number of mends.
static uint32_t apply(const Case *c, const Diag *diag, uint32_t choice)
{
    uint32_t all = 0;
    for (uint32_t i = 1; diag_source_path(diag, i); i++) {
        uint32_t applied = 0;
        if (!is_own(c, diag, i)) continue;
        const char *text = diag_mended(diag, c->arena, i, choice, &applied);
        if (applied) write_text(diag_source_path(diag, i), text);
        all += applied;
    }
    return all;
}

// Read as a graph; as YAML alone where the cases are no graphs.
static bool is_valid(const Case *c, Diag *diag, const char *path)
{
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    if (!c->yaml) return frontend_load(c->arena, diag, path, &o) != NULL;
    return tree_read_file(c->arena, diag, path, (Loc){0}, NULL) && !diag_errors(diag);
}

// Did the file become valid? *all: every error had a mend, in every round.
static bool mend(const Case *c, uint32_t choice, bool *all)
{
    const char *path = str_printf(c->arena, "%s/%s", c->folder, c->name);
    *all = true;
    for (int round = 0; round < ROUNDS; round++) {
        Diag *diag = diag_new(c->arena);
        if (is_valid(c, diag, path)) return true;
        *all &= mendable(c, diag) >= diag_errors(diag);
        if (!apply(c, diag, choice)) {
            if (getenv("CZT_SHOW")) diag_print(diag, stderr);
            return false;
        }
    }
    return false;
}

static bool is_case(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".yaml") == 0 && !strstr(name, "_lib.yaml");
}

// Let a folder have links to all files of another.
static void link_all(Arena *a, const char *from, const char *to)
{
    DIR *d = opendir(from);
    cr_assert(d, "%s", from);
    for (struct dirent *e; (e = readdir(d));) {
        const char *link = str_printf(a, "%s/%s", to, e->d_name);
        if (e->d_name[0] == '.') continue;
        unlink(link);
        cr_assert_eq(symlink(str_printf(a, "%s/%s", from, e->d_name), link), 0);
    }
    closedir(d);
}

static const char *linked(Arena *a, const char *from)
{
    char template[] = "/tmp/cztc-mends-XXXXXX";
    const char *to = str_copy(a, mkdtemp(template));
    link_all(a, from, to);
    return to;
}

// Errors of a file that are printed without a help.
static uint32_t unhelped(const Case *c, const Diag *diag, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    diag_print(diag, out);
    fclose(out);
    uint32_t n = 0;
    bool open = false;
    const char *error = str_printf(c->arena, "%s:", path);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        bool help = strncmp(line, "  help: ", 8) == 0;
        bool next = strncmp(line, error, strlen(error)) == 0 && strstr(line, ": error: ");
        n += open && next;
        open = next || (open && !help);
    }
    free(text);
    return n + open;
}

// What is missing of a file's errors: a help, a mend, or a second guess beside the only one.
static const char *missing(const Case *c, const char *path)
{
    Diag *diag = diag_new(c->arena);
    if (is_valid(c, diag, path)) return "an error";
    uint32_t n;
    const Mend *m = diag_mends(diag, &n);
    for (uint32_t i = 0, next; i < n; i = next) {
        uint32_t count = 0;
        for (next = i; next < n && m[next].error == m[i].error; next++) count += !m[next].also;
        if (is_own(c, diag, m[i].at.source) && m[i].guess && count == 1) return "a second guess";
    }
    if (mendable(c, diag) < diag_errors(diag)) return "a mend";
    return unhelped(c, diag, path) ? "a help" : NULL;
}

// The line "NAME: why no mend can be told" of a folder's unmended.txt; NULL where there is none.
static const char *excuse(const Case *c, const char *from)
{
    FILE *f = fopen(str_printf(c->arena, "%s/unmended.txt", from), "rb");
    char line[256];
    const char *found = NULL;
    size_t n = strlen(c->name);
    while (f && !found && fgets(line, sizeof line, f))
        if (strncmp(line, c->name, n) == 0 && line[n] == ':')
            found = str_copy(c->arena, line + n + 1);
    if (f) fclose(f);
    return found;
}

// Is every choice of mends a mend?
static bool is_mended(const Case *c, const char *from)
{
    const char *path = str_printf(c->arena, "%s/%s", c->folder, c->name);
    bool good = true;
    for (uint32_t choice = 0; choice < 2; choice++) {
        bool all, valid = mend(c, choice, &all);
        cr_expect(valid || !all, "%s: what its errors say does not mend it (choice %u)", path,
                  choice);
        good &= valid && all;
        link_all(c->arena, from, c->folder);
    }
    return good;
}

// Every case of a folder is mended by what is printed, but those that unmended.txt excuses; so many
// of them are mended at least.
static void run_cases(Arena *a, const char *name, const char *from, uint32_t least)
{
    const char *to = linked(a, from);
    uint32_t mended = 0;
    DIR *d = opendir(from);
    for (struct dirent *e; (e = readdir(d));) {
        if (!is_case(e->d_name)) continue;
        const Case c = {arena_new(), to, str_copy(a, e->d_name), strcmp(name, "yaml") == 0};
        const char *lacks = missing(&c, str_printf(a, "%s/%s", to, c.name));
        const char *why = excuse(&c, from);
        bool good = is_mended(&c, from) && !lacks;
        if (getenv("CZT_SHOW") && !good)
            fprintf(stderr, "%s/%s: %s\n", name, c.name, lacks ? lacks : "a later round");
        cr_expect(good || why, "%s/%s lacks %s", name, c.name, lacks ? lacks : "a valid end");
        cr_expect(!good || !why, "%s/%s is mended: unmended.txt need not name it", name, c.name);
        mended += good;
        arena_free(c.arena);
    }
    closedir(d);
    accidents_remove(a, to);
    cr_expect(mended >= least, "%s: %u files are mended by what is printed, not %u", name, mended,
              least);
}

static void run_folder(const char *name, uint32_t least)
{
    Arena *a = arena_new();
    run_cases(a, name, str_printf(a, "%s/tests/errors/%s", CZT_SOURCE_DIR, name), least);
    arena_free(a);
}

Test(mends, accidents)
{
    Arena *a = arena_new();
    const char *folder = accidents_write(a);
    run_cases(a, "accidents", folder, 86);
    accidents_remove(a, folder);
    arena_free(a);
}

Test(mends, yaml)
{
    run_folder("yaml", 10);
}
Test(mends, syntax)
{
    run_folder("syntax", 15);
}
Test(mends, names)
{
    run_folder("names", 10);
}
Test(mends, shapes)
{
    run_folder("shapes", 10);
}
Test(mends, deep)
{
    run_folder("deep", 8);
}
Test(mends, structure)
{
    run_folder("structure", 10);
}
Test(mends, data)
{
    run_folder("data", 10);
}
Test(mends, experts)
{
    run_folder("experts", 10);
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
    run_folder("export", 8);
}
Test(mends, blame)
{
    run_folder("blame", 11);
}
Test(mends, running)
{
    run_folder("running", 0);
}
