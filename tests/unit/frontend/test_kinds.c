// Kinds and families of experts: the same program as the same experts written out.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "frontend/frontend.h"

typedef VEC(char *) Lines;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Without the place behind it and the numbers of nodes, which depend on the order in which values
// are asked for; "feature.one" is "feature_one".
static void normalise(char *line)
{
    char *to = line, *place = strstr(line, "  # ");
    if (place) *place = 0;
    for (const char *at = line; *at;) {
        if (strncmp(at, "feature.", 8) == 0) {
            memcpy(to, "feature_", 8);
            at += 8;
            to += 8;
            continue;
        }
        *to++ = *at;
        if (*at++ == '%')
            while (*at >= '0' && *at <= '9') at++;
    }
    *to = 0;
}

static Lines lines_of(Arena *arena, const char *name)
{
    Lines lines = {0};
    Diag *diag = diag_new(arena);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    const char *path = str_printf(arena, CZT_SOURCE_DIR "/tests/graphs/%s.yaml", name);
    Frontend *f = frontend_load(arena, diag, path, &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    program_print(f->program, out);
    fclose(out);
    char *rest = strchr(text, '\n') + 1; // behind the program's name
    for (char *line; (line = strsep(&rest, "\n"));) {
        normalise(line);
        vec_push(arena, &lines, str_copy(arena, line));
    }
    free(text);
    qsort(lines.at, lines.n, sizeof *lines.at, by_text);
    return lines;
}

static void expect_same(const char *name, const char *by_hand, uint32_t least)
{
    Arena *arena = arena_new();
    Lines lines = lines_of(arena, name), hand = lines_of(arena, by_hand);
    for (uint32_t i = 0; i < lines.n && i < hand.n; i++)
        cr_assert_str_eq(lines.at[i], hand.at[i], "%s has\n%s\nand %s\n%s", name, lines.at[i],
                         by_hand, hand.at[i]);
    cr_assert_eq(lines.n, hand.n, "%u and %u lines", lines.n, hand.n);
    cr_assert(lines.n > least);
    arena_free(arena);
}

Test(kinds, are_what_is_written_out)
{
    expect_same("kinds", "kinds_by_hand", 500);
}

// A loss takes what an expert takes.
Test(kinds, of_losses_are_what_is_written_out)
{
    expect_same("losses", "losses_by_hand", 300);
}
