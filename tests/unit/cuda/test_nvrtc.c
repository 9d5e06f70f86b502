// NVRTC, where it is installed: PTX beside code, errors; and what tests have of the corpus'
// kernels.
#include "codegen/cuda.h"
#include "codegen/nvrtc.h"
#include "shim_engine.h"

#include <criterion/criterion.h>

typedef struct Kernels {
    Arena *arena;
    VEC(Kernel *) all;
    Map known; // by text
} Kernels;

static void add_kernels(Kernels *k, const char *name, const char *text)
{
    Error err = {0};
    Diag *diag = diag_new(k->arena);
    Target target = cuda_target();
    Program *p = program_parse(k->arena, diag, diag_source(diag, name, text, strlen(text)));
    cr_assert(p && passes_run(p, &(PassOptions){.level = 1}, &err), "%s", err.text);
    const Plan *plan = plan_build(k->arena, p, &target, FUSE_ALL);
    for (uint32_t i = 0; i < plan->kernels.n; i++) {
        const char *key = kernel_text(k->arena, plan->kernels.at[i]);
        if (map_get(&k->known, key)) continue;
        map_set(k->arena, &k->known, key, diag);
        vec_push(k->arena, &k->all, plan->kernels.at[i]);
    }
}

// All distinct kernels of the corpus, in f32, tf32 and bf16.
CudaProgram corpus_program(Arena *arena)
{
    Kernels k = {.arena = arena};
    static char names[CORPUS_MOST][CORPUS_NAME];
    for (size_t f = 0, files = corpus_names(names); f < files; f++) {
        add_kernels(&k, names[f], corpus_text(arena, names[f]));
        for (Precision p = PRECISION_TF32; p < PRECISIONS; p++) {
            const char *text = corpus_in(arena, names[f], p);
            if (text) add_kernels(&k, names[f], text);
        }
    }
    return cuda_program(arena, k.all.n, k.all.at);
}

Nvrtc *nvrtc_or_skip(Arena *arena)
{
    Error err = {0};
    Nvrtc *nvrtc = nvrtc_open(arena, &err);
    if (!nvrtc) {
        printf("skipped: %s\n", err.text); // which ctest looks for
        cr_skip_test("%s", err.text);
    }
    return nvrtc;
}

Test(nvrtc, makes_ptx_and_reports_errors)
{
    Arena *arena = arena_new();
    Nvrtc *nvrtc = nvrtc_or_skip(arena);
    CudaImage image;
    Error err = {0};
    cr_assert(
        nvrtc_compile(nvrtc, arena, cuda_text(arena, 0, NULL, NULL), "compute_80", &image, &err),
        "%s", err.text);
    cr_expect(image.size > 0 && strstr(image.bytes, ".target sm_80"));
    // Code for a GPU brings PTX that later ones take, which they do not of sm_90a.
    cr_assert(nvrtc_compile(nvrtc, arena, cuda_text(arena, 0, NULL, NULL), "sm_90a", &image, &err),
              "%s", err.text);
    cr_expect(image.size > 0 && strstr(image.ptx, ".target sm_90\n"));
    cr_expect(!nvrtc_compile(nvrtc, arena, "int x = nothing;", "sm_90a", &image, &err));
    cr_expect(strstr(err.text, "NVRTC for sm_90a: ") && strstr(err.text, "nothing"), "%s",
              err.text);
    nvrtc_close(nvrtc);
    arena_free(arena);
}
