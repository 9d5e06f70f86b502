// The execution corpus on CUDA text: the very text that NVRTC gets, run by the host shim with
// threads, barriers and shuffles, against the interpreter bit for bit. Accesses to shared memory
// without a barrier between them are errors.
#include "codegen/cuda.h"
#include "fuzz.h"
#include "passes/lower.h"
#include "shim_engine.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>

// The text of a corpus file's kernels.
static const char *text_of(Arena *arena, const char *file)
{
    const Plan *plan = cuda_plan(arena, corpus_text(arena, file));
    CudaLaunch *launches = arena_array(arena, CudaLaunch, plan->kernels.n + 1);
    return cuda_text(arena, plan->kernels.n, plan->kernels.at, launches);
}

ParameterizedTestParameters(cuda, corpus)
{
    static char names[CORPUS_MOST][CORPUS_NAME];
    return cr_make_param_array(char[CORPUS_NAME], names, corpus_names(names));
}

ParameterizedTest(char (*name)[CORPUS_NAME], cuda, corpus)
{
    const char *only = getenv("CZT_ONLY");
    if (only && strncmp(*name, only, strlen(only))) return;
    Arena *arena = arena_new();
    same_on_cuda_text(arena, *name, corpus_text(arena, *name));
    for (Precision p = PRECISION_TF32; p < PRECISIONS; p++) {
        const char *text = corpus_in(arena, *name, p);
        const char *title = str_printf(arena, "%s in %s", *name, precision_name(p));
        if (text) same_on_cuda_text(arena, title, text);
    }
    arena_free(arena);
}

// Which rows those are, and how many warps a block has for them.
Test(cuda, rows_are_fetched_ahead)
{
    Arena *arena = arena_new();
    const char *text = text_of(arena, "rows_ahead.ir");
    cr_expect(strstr(text, "(turn * 8 + warp) * 8 +") && strstr(text, "(turn * 8 + warp) * 72 +"));
    cr_expect(strstr(text, "(turn * 4 + warp) * 768 +"));
    cr_expect(strstr(text, "(turn * 2 + warp) * 1528 +"));
    cr_expect(!strstr(text, "warp) * 2048"), "there is no room for these");
    cr_expect(strstr(text, "cp_async_wait_group<1>();"), "the next row's copies go on");
    arena_free(arena);
}

// The largest tile, which is taken where there are enough of them; its sums leave in two slabs.
Test(cuda, large_tiles)
{
    static const char text[] = "program \"large\" batch=0 steps=1 seed=0\n"
                               "entry \"step\" {\n"
                               "  %x = input {name=\"x\"} : bf16[1400, 24]\n"
                               "  %y = input {name=\"y\"} : bf16[24, 1528]\n"
                               "  %z = dot %x, %y {lc=[1], rc=[0]} : bf16[1400, 1528]\n"
                               "  output \"z\" %z\n"
                               "}\n";
    Arena *arena = arena_new();
    Error err = {0};
    Engine engine = cuda_text_engine(false);
    Trial trial = {.engine = &engine, .mask = FUSE_ALL, .level = 1};
    cr_expect(trial_run(arena, "large", text, &trial, &err) == TRIAL_SAME, "%s", err.text);
    arena_free(arena);
}

// Sums over a long k are cut into parts, and these added up by a kernel that has the epilogue. In
// the shim each part is a chain of fma; 4096 terms of up to 4, at most 2^-12 of the largest sum
// apart from one chain were all errors of one sign, come out far nearer.
Test(cuda, sums_in_parts)
{
    static const char text[] =
        "program \"parts\" batch=2 steps=1 seed=0\n"
        "entry \"step\" {\n"
        "  %x = input {name=\"x\"} : bf16[2b, 4096, 24]\n"
        "  %y = input {name=\"y\"} : bf16[2b, 4096, 16]\n"
        "  %bias = input {name=\"bias\"} : f32[16]\n"
        "  %z = dot %x, %y {lc=[0, 1], rc=[0, 1]} : f32[24, 16]\n"
        "  %bb = broadcast %bias {axes=[1]} : f32[24, 16]\n"
        "  %zb = add %z, %bb\n"
        "  %half = cast %zb : bf16[24, 16]\n"
        "  %each = dot %x, %y {lb=[0], lc=[1], rb=[0], rc=[1]} : bf16[2b, 24, 16]\n"
        "  %three = slice %x {lo=[0, 0, 8], hi=[2, 4096, 11]} : bf16[2b, 4096, 3]\n"
        "  %thin = dot %three, %y {lc=[0, 1], rc=[0, 1]} : f32[3, 16]\n"
        "  output \"z\" %zb\n"
        "  output \"half\" %half\n"
        "  output \"each\" %each\n"
        "  output \"thin\" %thin\n"
        "}\n";
    Arena *arena = arena_new();
    Error err = {0};
    Engine engine = cuda_text_engine(false);
    engine.target.library = false; // which would cut them by itself
    Trial trial = {.engine = &engine, .mask = FUSE_ALL, .level = 1, .tolerance = 0x1p-18};
    cr_expect(trial_run(arena, "parts", text, &trial, &err) == TRIAL_SAME, "%s", err.text);
    trial.tolerance = 0; // the order is another one
    cr_expect(trial_run(arena, "parts", text, &trial, &err) == TRIAL_DIFFERS);
    arena_free(arena);
}

// Attention in bf16 is written for tensor cores, and reads 16 bytes where rows lie side by side.
Test(cuda, attention_takes_tensor_cores)
{
    Arena *arena = arena_new();
    const char *text = text_of(arena, "half_heads.ir");
    cr_expect(strstr(text, "attention_at_once<64, 64, 1>(") && strstr(text, ", 384, 1, true}"));
    cr_expect(strstr(text, "attention_gradient_head<64, 64, 1, 32, false>("));
    cr_expect(strstr(text, "attention_at_once<40, 32, 1>(") && strstr(text, ", 1, 35, false}"));
    arena_free(arena);
}

// ---- random programs ----------------------------------------------------------------------------

enum { SEEDS = 8 };

// CZT_FUZZ=FIRST:COUNT runs other seeds.
Test(cuda, random_programs)
{
    const char *range = getenv("CZT_FUZZ"), *colon = range ? strchr(range, ':') : NULL;
    uint64_t first = range ? strtoull(range, NULL, 10) : 1000;
    uint64_t count = colon ? strtoull(colon + 1, NULL, 10) : range ? 1 : SEEDS;
    for (uint64_t seed = first; seed < first + count; seed++) {
        Arena *arena = arena_new();
        Error err = {0};
        const char *name = str_printf(arena, "seed %llu", (unsigned long long)seed);
        const char *text = fuzz_program(arena, seed);
        Engine engine = cuda_text_engine(true);
        Trial trial = fuzz_trial(seed);
        trial.engine = &engine;
        TrialResult r = trial_run(arena, name, text, &trial, &err);
        cr_expect(r == TRIAL_SAME || r == TRIAL_INVALID, "%s: %s", name, err.text);
        arena_free(arena);
    }
}
