// Whole training steps on CUDA text: two encoders, a contrastive loss, three experts, clipping and
// AdamW, at a size that the host shim runs in seconds; and one whose parts differ in precision.
#include "frontend/frontend.h"
#include "shim_engine.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void same(const char *name, const char *graph, const char *const *set, uint32_t n)
{
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = set, .nset = n};
    Frontend *f = frontend_load(arena, diag, graph, &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f, "the graph is refused");
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    program_print(f->program, out);
    fclose(out);
    same_on_cuda_text(arena, name, text);
    free(text);
    arena_free(arena);
}

static void step(const char *precision)
{
    const char *const set[] = {"batch=3",       "size=16",      "width=16", "layers=1",
                               "heads=2",       "context=9",    "vocab=40", "text_width=16",
                               "text_layers=1", "text_heads=2", "embed=12", "lab=6",
                               "classes=5",     "patch=8",      precision};
    same(precision, CZT_SOURCE_DIR "/graphs/bench/tiny.yaml", set, sizeof set / sizeof *set);
}

Test(cuda, step_in_f32)
{
    step("precision=f32");
}

Test(cuda, step_in_tf32)
{
    step("precision=tf32");
}

Test(cuda, step_in_bf16)
{
    step("precision=bf16");
}

Test(cuda, step_of_parts_in_both)
{
    same("precisions", CZT_SOURCE_DIR "/tests/graphs/precisions.yaml", NULL, 0);
}
