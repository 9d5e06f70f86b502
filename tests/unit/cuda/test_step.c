// A whole training step on CUDA text: two encoders, a contrastive loss, three experts, clipping and
// AdamW, at a size that the host shim runs in seconds.
#include "frontend/frontend.h"
#include "shim_engine.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void step(const char *precision)
{
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const char *const set[] = {"batch=3",       "size=16",      "width=16", "layers=1",
                               "heads=2",       "context=9",    "vocab=40", "text_width=16",
                               "text_layers=1", "text_heads=2", "embed=12", "lab=6",
                               "classes=5",     "patch=8",      precision};
    FrontendOptions o = {
        .lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = set, .nset = sizeof set / sizeof *set};
    Frontend *f = frontend_load(arena, diag, CZT_SOURCE_DIR "/graphs/bench/tiny.yaml", &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f, "the graph is refused");
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    program_print(f->program, out);
    fclose(out);
    same_on_cuda_text(arena, precision, text);
    free(text);
    arena_free(arena);
}

Test(cuda, step_in_f32)
{
    step("precision=f32");
}

Test(cuda, step_in_bf16)
{
    step("precision=bf16");
}
