// tests/errors/yaml: each file's messages are exactly those of the .expected file beside it. Run
// with CZT_BLESS=1 in the environment to write the answers anew; then review the difference.
#include "frontend/tree.h"

#include <criterion/criterion.h>

#include <glob.h>
#include <stdlib.h>
#include <string.h>

// The bytes of a file, NUL-terminated; NULL when there is none.
static char *slurp(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    for (int c; (c = fgetc(f)) != EOF;) fputc(c, out);
    fclose(out);
    fclose(f);
    return text;
}

static char *messages_of(const char *path)
{
    size_t size, length;
    char *text = slurp(path, &size), *out = NULL;
    cr_assert_not_null(text, "%s", path);
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const Tree *t = tree_read(arena, diag, diag_source(diag, strrchr(path, '/') + 1, text, size));
    cr_expect_gt(diag_errors(diag), 0u, "%s gives no error", path);
    FILE *f = open_memstream(&out, &length);
    diag_print(diag, f);
    fprintf(f, "%s\n", t ? "read" : "not read");
    fclose(f);
    arena_free(arena);
    free(text);
    return out;
}

static void check_file(const char *path)
{
    char *got = messages_of(path), *answer;
    cr_assert_geq(asprintf(&answer, "%.*s.expected", (int)(strlen(path) - strlen(".yaml")), path),
                  0);
    if (getenv("CZT_BLESS")) {
        FILE *f = fopen(answer, "wb");
        cr_assert_not_null(f, "%s", answer);
        fputs(got, f);
        fclose(f);
    }
    size_t size;
    char *want = slurp(answer, &size);
    cr_expect(want && strcmp(want, got) == 0, "%s\n--- expected\n%s--- got\n%s", path,
              want ? want : "", got);
    free(want);
    free(answer);
    free(got);
}

Test(errors_yaml, golden)
{
    glob_t g;
    cr_assert_eq(glob(CZT_SOURCE_DIR "/tests/errors/yaml/*.yaml", 0, NULL, &g), 0);
    cr_assert_gt(g.gl_pathc, 50u);
    for (size_t i = 0; i < g.gl_pathc; i++) check_file(g.gl_pathv[i]);
    globfree(&g);
}
