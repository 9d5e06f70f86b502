// Library files looked at alone: ours are without errors, and tests/errors/library/*.yaml print
// what is beside them. CZT_BLESS=1 rewrites.
#include <criterion/criterion.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "frontend/frontend.h"

static const char *printed(Arena *a, const char *path, LibraryInfo *info)
{
    char *text = NULL;
    size_t size = 0;
    Diag *diag = diag_new(a);
    FILE *out = open_memstream(&text, &size);
    bool good =
        frontend_check_library(a, diag, path, &(FrontendOptions){.lib_dir = "graphs/lib"}, info);
    diag_print(diag, out);
    fclose(out);
    cr_expect_eq(good, !*text, "%s", path);
    const char *copy = str_copy(a, text);
    free(text);
    return copy;
}

static glob_t files_of(const char *first, const char *second)
{
    glob_t files = {0};
    cr_assert_eq(chdir(CZT_SOURCE_DIR), 0);
    cr_assert_eq(glob(first, 0, NULL, &files), 0);
    if (second) cr_assert_eq(glob(second, GLOB_APPEND, NULL, &files), 0);
    return files;
}

Test(lint, our_library_has_no_errors)
{
    glob_t files = files_of("graphs/lib/*.yaml", "graphs/lib/*/*.yaml");
    cr_assert_gt(files.gl_pathc, 20u);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        Arena *a = arena_new();
        LibraryInfo info;
        cr_expect(frontend_is_library(a, files.gl_pathv[i]), "%s", files.gl_pathv[i]);
        cr_expect_str_empty(printed(a, files.gl_pathv[i], &info));
        cr_expect(info.modules + info.functions + info.constants, "%s", files.gl_pathv[i]);
        arena_free(a);
    }
    globfree(&files);
}

Test(lint, graphs_are_no_library_files)
{
    glob_t files = files_of("graphs/*.yaml", "graphs/bench/*.yaml");
    Arena *a = arena_new();
    for (size_t i = 0; i < files.gl_pathc; i++)
        cr_expect(!frontend_is_library(a, files.gl_pathv[i]), "%s", files.gl_pathv[i]);
    arena_free(a);
    globfree(&files);
}

static const char *read_text(Arena *a, const char *path)
{
    FileMap map;
    Error err = {0};
    if (!file_map(&map, path, &err)) return "";
    const char *text = str_slice(a, (const char *)map.data, map.size);
    file_unmap(&map);
    return text;
}

Test(lint, errors_are_as_they_stand_beside)
{
    glob_t files = files_of("tests/errors/library/*.yaml", NULL);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        Arena *a = arena_new();
        LibraryInfo info;
        const char *path = files.gl_pathv[i], *got = printed(a, path, &info);
        const char *answer =
            str_printf(a, "%.*s.expected", (int)(strlen(path) - strlen(".yaml")), path);
        if (getenv("CZT_BLESS")) {
            FILE *f = fopen(answer, "wb");
            cr_assert(f && fputs(got, f) >= 0 && !fclose(f));
        }
        cr_expect_str_eq(got, read_text(a, answer), "%s prints\n%s", path, got);
        arena_free(a);
    }
    globfree(&files);
}

// What a graph says or imports and nothing uses is looked at for `check` alone.
Test(lint, what_nothing_uses_is_looked_at)
{
    Arena *a = arena_new();
    char template[] = "/tmp/cztc-lint-XXXXXX";
    const char *dir = str_copy(a, mkdtemp(template)), *graph = str_printf(a, "%s/g.yaml", dir),
               *lib = str_printf(a, "%s/own.yaml", dir);
    const char *texts[] = {"cztc: 1\nimport: [own, optim/sgd]\nlet: {batch: 2}\n"
                           "data: {source: x.tar, fields: {one: {as: vector, size: 3}}}\n"
                           "params: {w: {shape: [3]}, idle: {shape: [-1]}}\n"
                           "values: {later: \"sum(w * usde)\"}\n"
                           "losses: {a: {loss: \"sum(one * w, axis=1)\", decode: foo}}\n"
                           "train: {steps: 2, optimizer: {module: sgd, lr: 1}}\n",
                           "cztc: 1\nfunctions: {twice(x): 2 * y}\n"};
    const char *paths[] = {graph, lib};
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(paths[i], "wb");
        cr_assert(f && fputs(texts[i], f) >= 0 && !fclose(f));
    }
    for (int all = 0; all < 2; all++) {
        Diag *diag = diag_new(a);
        FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib", .all = all};
        cr_expect_eq(frontend_load(a, diag, graph, &o) != NULL, !all);
        cr_expect_eq(diag_errors(diag), all ? 4u : 0u);
        if (!all) continue;
        cr_expect_str_eq(diag_error_text(diag, 0), "there is no 'usde' here");
        cr_expect_str_eq(diag_error_text(diag, 1), "size -1 of axis 0 is negative");
        cr_expect_str_eq(diag_error_text(diag, 2), "there is no 'foo' here");
        cr_expect_str_eq(diag_error_text(diag, 3), "there is no 'y' here");
    }
    unlink(graph), unlink(lib), rmdir(dir);
    arena_free(a);
}
