// The execution corpus on CUDA text: the very text that NVRTC gets, run by the host shim with
// threads, barriers and shuffles, against the interpreter bit for bit.
#include "shim_engine.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

ParameterizedTestParameters(cuda, corpus)
{
    static char names[CORPUS_MOST][CORPUS_NAME];
    return cr_make_param_array(char[CORPUS_NAME], names, corpus_names(names));
}

ParameterizedTest(char (*name)[CORPUS_NAME], cuda, corpus)
{
    Arena *arena = arena_new();
    const char *text = corpus_text(arena, *name), *half = corpus_in_bf16(arena, *name);
    same_on_cuda_text(arena, *name, text);
    if (half) same_on_cuda_text(arena, str_printf(arena, "%s in bf16", *name), half);
    arena_free(arena);
}
