// The execution corpus: tests/corpus/*.ir on the interpreter and the CPU, with and without each
// kind of fusion, bit for bit; the fused program with 1, 2, 3, 5 and 8 threads.
#include "executors.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>

ParameterizedTestParameters(corpus, same_bits)
{
    static char names[CORPUS_MOST][CORPUS_NAME];
    return cr_make_param_array(char[CORPUS_NAME], names, corpus_names(names));
}

// Only the programs whose names begin so.
static bool left_out(const char *name)
{
    const char *only = getenv("CZT_ONLY");
    return only && strncmp(name, only, strlen(only)) != 0;
}

ParameterizedTest(char (*name)[CORPUS_NAME], corpus, same_bits)
{
    if (left_out(*name)) return;
    Arena *arena = arena_new();
    const char *text = corpus_text(arena, *name);
    uint32_t masks[] = {FUSE_ALL, 0, FUSE_POINTWISE, FUSE_ALL & ~FUSE_RECOMPUTE,
                        FUSE_ALL & ~FUSE_EPILOGUE};
    const uint32_t every[] = {1, 2, 3, 5, 8, 0}, fewer[] = {1, 2, 0};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++)
        same_on_both(str_printf(arena, "%s mask %u", *name, masks[i]), text, masks[i],
                     i == 0 ? every : fewer);
    arena_free(arena);
}

// The same programs with products in tf32 and bf16, as pass precision makes them.
ParameterizedTestParameters(corpus, same_bits_rounded)
{
    static char names[CORPUS_MOST][CORPUS_NAME];
    return cr_make_param_array(char[CORPUS_NAME], names, corpus_names(names));
}

ParameterizedTest(char (*name)[CORPUS_NAME], corpus, same_bits_rounded)
{
    if (left_out(*name)) return;
    Arena *arena = arena_new();
    const uint32_t threads[] = {1, 3, 0};
    for (Precision p = PRECISION_TF32; p < PRECISIONS; p++) {
        const char *text = corpus_in(arena, *name, p);
        const char *title = str_printf(arena, "%s in %s", *name, precision_name(p));
        if (text) same_on_both(title, text, FUSE_ALL, threads);
        if (text) same_on_both(str_printf(arena, "%s, unfused", title), text, 0, threads);
    }
    arena_free(arena);
}
