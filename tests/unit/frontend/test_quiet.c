// Warnings of what a graph says and nothing comes of: each is told once, at its place, and what is
// right beside it is not.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

#define GRAPH CZT_SOURCE_DIR "/tests/graphs/quiet.yaml"

static const char *const told[] = {
    "'losses.left.weight' is not trained: 'minimize' leaves left out",
    "reads reads 'some' of all samples; of those that have none it is 0",
    "nothing reads stats.other",
    "scale begins at 5, above its max of 4",
    "quiet.yaml:36:7: warning: no trained parameter matches this row",
    "quiet.yaml:39:7: warning: no parameter matches this row",
};
enum { TOLD = sizeof told / sizeof *told };

Test(quiet, each_is_told_and_nothing_else)
{
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    Frontend *f = frontend_load(arena, diag, GRAPH, &o);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    diag_print(diag, out);
    fclose(out);
    cr_assert(f, "%s", text);
    for (int i = 0; i < TOLD; i++)
        cr_expect(strstr(text, told[i]), "%s\nis not in\n%s", told[i], text);
    cr_expect_eq(diag_reports(diag), TOLD, "%s", text);
    cr_expect(strstr(text, "mine has parameters in: weight, bias"), "%s", text);
    // a weight of 0 times the step is a weight of 0: nothing of the task is there
    for (uint32_t i = 0; i < f->program->states.n; i++) {
        const char *name = f->program->states.at[i].name;
        cr_expect(!strstr(name, "nothing") && !strstr(name, "less"), "%s", name);
    }
    free(text);
    arena_free(arena);
}

// A number of updates below 1 is no share of the run; with a rate of 0 nothing is learned, below it
// worse; a warmup that ends with the run never comes down.
Test(quiet, numbers_that_mean_little)
{
    static const char *const sets[][2] = {
        {"losses.reads.from=0.5", "is 0.5 of one update"},
        {"losses.reads.until=0.5", "is 0.5 of one update"},
        {"train.optimizer.lr=0", "lr is 0: nothing is learned"},
        {"train.optimizer.lr=-0.1", "lr is -0.1: updates go"},
        {"losses.reads.from=begin", "is 0.5 of one update"},
        {"losses.reads.from=0.5 * 2", NULL},
        {"train.optimizer.lr=warmup_cosine(step, 1, 9, steps)", NULL},
        {"train.optimizer.lr=warmup_cosine(step, 1, 10, steps)",
         "a warmup of 10 leaves nothing of 10"}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        Arena *arena = arena_new();
        Diag *diag = diag_new(arena);
        FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = sets[i], .nset = 1};
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        bool good = frontend_load(arena, diag, GRAPH, &o);
        diag_print(diag, out);
        fclose(out);
        cr_expect(good, "%s", text);
        cr_expect_eq(diag_reports(diag), TOLD + (sets[i][1] != NULL), "%s", text);
        if (sets[i][1]) cr_expect(strstr(text, sets[i][1]), "%s", text);
        free(text);
        arena_free(arena);
    }
}

// Of a value that is used twice at each of many turns every node is looked at once.
Test(quiet, a_weight_of_shared_values_is_looked_at_once, .timeout = 20)
{
    enum { TURNS = 40 };
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const char *sets[TURNS + 3] = {"values.a0=1 + step"};
    for (int i = 1; i <= TURNS; i++)
        sets[i] = str_printf(arena, "values.a%d=a%d * a%d", i, i - 1, i - 1);
    sets[TURNS + 1] = str_printf(arena, "losses.reads.weight=a%d", TURNS);
    sets[TURNS + 2] = str_printf(arena, "losses.nothing.weight=a%d * 0", TURNS);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = sets, .nset = TURNS + 3};
    Frontend *f = frontend_load(arena, diag, GRAPH, &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    for (uint32_t i = 0; i < f->program->states.n; i++)
        cr_expect(!strstr(f->program->states.at[i].name, "nothing"));
    arena_free(arena);
}

// Files that only a run reads may not be there yet; one beside is named, and never written by
// itself.
Test(quiet, a_file_that_is_called_almost_so)
{
    static const char graph[] = "cztc: 1\nextends: slow.yaml\neval: {classes: buitins.yaml}\n"
                                "init: [{file: running_libb.safetensors}]\n"
                                "checkpoint: {every: 2}\n",
                      path[] = CZT_SOURCE_DIR "/tests/graphs/near.yaml";
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    char *text = NULL;
    size_t size = 0;
    uint32_t applied = 0;
    FILE *out = open_memstream(&text, &size);
    diag_overlay(diag, path, graph);
    Frontend *f = frontend_load(arena, diag, path, &o);
    diag_print(diag, out);
    fclose(out);
    cr_assert(f, "%s", text);
    cr_expect(strstr(text, "warning: there is no file 'buitins.yaml'"), "%s", text);
    cr_expect(strstr(text, "'builtins.yaml'"), "%s", text);
    cr_expect_eq(diag_reports(diag), 1, "%s", text);
    diag_mended(diag, arena, 1, MEND_SURE, &applied);
    cr_expect_eq(applied, 0);
    free(text);
    arena_free(arena);
}
