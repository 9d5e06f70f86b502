// The corpus for another machine: with CZT_RECORD naming a folder, every file (and its forms in
// tf32 and bf16) is compiled for CZT_RECORD_TARGET, and written there beside what the interpreter
// makes of it. tests/gpu/check.c runs and compares them. Without CZT_RECORD nothing is done.
#include "executors.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>

ParameterizedTestParameters(record, corpus)
{
    static char names[CORPUS_MOST][CORPUS_NAME];
    return cr_make_param_array(char[CORPUS_NAME], names, corpus_names(names));
}

// A GPU adds up products of bf16 in an order of its own; in a chain of them a number that is
// rounded to bf16 in between may come out as its neighbour. Sums of f32 keep their order.
static void write(Arena *arena, const char *folder, const char *name, const char *text)
{
    Error err = {0};
    const char *target = getenv("CZT_RECORD_TARGET");
    Trial trial = {.mask = FUSE_ALL,
                   .level = 1,
                   .tolerance = 0x1p-7,
                   .attention_tolerance = 0x1p-6,
                   .record = str_printf(arena, "%s/%s", folder, name),
                   .target = target ? target : "cuda:sm_90a"};
    cr_assert(trial_run(arena, name, text, &trial, &err) == TRIAL_SAME, "%s", err.text);
}

ParameterizedTest(char (*name)[CORPUS_NAME], record, corpus)
{
    const char *folder = getenv("CZT_RECORD"), *only = getenv("CZT_ONLY");
    if (!folder) cr_skip_test("CZT_RECORD names no folder");
    if (only && strncmp(*name, only, strlen(only)) != 0) return;
    Arena *arena = arena_new();
    const char *stem = str_slice(arena, *name, strlen(*name) - 3);
    write(arena, folder, stem, corpus_text(arena, *name));
    for (Precision p = PRECISION_TF32; p < PRECISIONS; p++) {
        const char *text = corpus_in(arena, *name, p);
        if (text) write(arena, folder, str_printf(arena, "%s-%s", stem, precision_name(p)), text);
    }
    arena_free(arena);
}
