// tests/errors/*/*.yaml: graphs that are wrong, with what is printed beside them. CZT_BLESS=1
// rewrites.
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "accidents.h"
#include "frontend/frontend.h"

static const char *printed(Arena *a, const char *path)
{
    Diag *diag = diag_new(a);
    FrontendOptions o = {.lib_dir = "graphs/lib"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    Frontend *f = frontend_load(a, diag, path, &o);
    diag_print(diag, out);
    fclose(out);
    cr_assert(!f, "%s is accepted", path);
    const char *copy = str_copy(a, text);
    free(text);
    return copy;
}

static char *read_text(Arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return str_copy(a, "");
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *text = arena_alloc(a, n + 1);
    n = fread(text, 1, n, f);
    text[n] = 0;
    fclose(f);
    return text;
}

// Those of a folder, each with its answer in another one.
static void run_cases(const char *folder, const char *answers)
{
    DIR *d = opendir(folder);
    cr_assert(d, "%s", folder);
    uint32_t cases = 0;
    for (struct dirent *e; (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (n < 5 || strcmp(e->d_name + n - 5, ".yaml") != 0 || strstr(e->d_name, "_lib.yaml"))
            continue;
        Arena *a = arena_new();
        const bool here = strcmp(folder, ".") == 0;
        const char *path = here ? e->d_name : str_printf(a, "%s/%s", folder, e->d_name);
        const char *answer = str_printf(a, "%s/%.*s.expected", answers, (int)n - 5, e->d_name);
        const char *got = printed(a, path);
        if (getenv("CZT_BLESS")) {
            FILE *f = fopen(answer, "wb");
            fputs(got, f);
            fclose(f);
        }
        cr_expect_str_eq(got, read_text(a, answer), "%s prints\n%s", path, got);
        cases++;
        arena_free(a);
    }
    closedir(d);
    cr_assert_gt(cases, 4);
}

static void run_folder(const char *folder)
{
    cr_assert_eq(chdir(CZT_SOURCE_DIR), 0);
    run_cases(folder, folder);
}

Test(elab_errors, accidents)
{
    Arena *a = arena_new();
    const char *folder = accidents_write(a);
    cr_assert_eq(chdir(folder), 0);
    run_cases(".", CZT_SOURCE_DIR "/tests/errors/accidents");
    accidents_remove(a, folder);
    arena_free(a);
}

Test(elab_errors, names)
{
    run_folder("tests/errors/names");
}
Test(elab_errors, shapes)
{
    run_folder("tests/errors/shapes");
}
Test(elab_errors, deep)
{
    run_folder("tests/errors/deep");
}
Test(elab_errors, structure)
{
    run_folder("tests/errors/structure");
}
Test(elab_errors, data)
{
    run_folder("tests/errors/data");
}
Test(elab_errors, blame)
{
    run_folder("tests/errors/blame");
}

Test(elab_errors, experts)
{
    run_folder("tests/errors/experts");
}

Test(elab_errors, phases)
{
    run_folder("tests/errors/phases");
}

Test(elab_errors, init)
{
    run_folder("tests/errors/init");
}

Test(elab_errors, teachers)
{
    run_folder("tests/errors/teachers");
}

Test(elab_errors, running)
{
    run_folder("tests/errors/running");
}

Test(elab_errors, stats)
{
    run_folder("tests/errors/stats");
}

Test(elab_errors, export)
{
    run_folder("tests/errors/export");
}

Test(elab_errors, dtypes)
{
    run_folder("tests/errors/dtypes");
}

Test(elab_errors, syntax)
{
    run_folder("tests/errors/syntax");
}

Test(elab_errors, schedules)
{
    run_folder("tests/errors/schedules");
}
