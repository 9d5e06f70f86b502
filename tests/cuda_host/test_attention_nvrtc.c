// NVRTC, where it is installed, compiles attention for the sizes that matter on every architecture:
// nothing spills, and a block gets the registers that its number of threads allows.
#include "attention_case.h"

#include "codegen/nvrtc.h"

static void compile(Check *c, const Nvrtc *nvrtc, const char *arch, const AttentionCase *cases,
                    uint32_t n)
{
    static const char *const names[] = {"forward", "gradient", "bias"};
    Kernel **kernels = arena_array(c->arena, Kernel *, KERNELS * n + 1);
    CudaLaunch *launches = arena_array(c->arena, CudaLaunch, KERNELS * n + 1);
    uint32_t *of = arena_array(c->arena, uint32_t, KERNELS * n + 1), count = 0;
    for (uint32_t i = 0; i < KERNELS * n; i++) {
        if (!has_kernel(&cases[i / KERNELS], (Which)(i % KERNELS))) continue;
        of[count] = i;
        kernels[count++] = attention_kernel(c->arena, &cases[i / KERNELS], (Which)(i % KERNELS));
    }
    const char *text = cuda_text(c->arena, count, kernels, launches);
    CudaImage image = {0};
    Error err = {0};
    bool good = nvrtc_compile(nvrtc, c->arena, text, arch, &image, &err);
    CHECK(c, good && image.n == count, "%s", err.text);
    for (uint32_t i = 0; i < image.n; i++) {
        const CudaUsage *u = &image.usage[i];
        uint32_t at = (uint32_t)strtoul(u->symbol + 1, NULL, 10);
        const AttentionCase *k = &cases[of[at] / KERNELS];
        const CudaLaunch *l = &launches[at];
        printf("%-7s %-8s %4lld x %4lld, %3lld%s masks %d: %3u threads, %3u registers, %6u bytes "
               "shared, "
               "%u spilled\n",
               arch, names[of[at] % KERNELS], (long long)k->queries, (long long)k->keys,
               (long long)k->dim, k->causal ? " causal" : "", k->masks, l->threads, u->registers,
               l->shared_bytes, u->spilled);
        CHECK(c, u->spilled == 0, "it spills");
        CHECK(c, l->shared_bytes <= 99 << 10, "too much shared memory");
    }
}

int main(int argc, char **argv)
{
    static const AttentionCase tuned[] = {{197, 197, 64, 64, false, LIE_BETWEEN, 0},
                                          {77, 77, 64, 64, true, LIE_BETWEEN, 0},
                                          {257, 257, 64, 64, false, LIE_BETWEEN, 0},
                                          {600, 600, 64, 64, true, LIE_BETWEEN, 0}};
    static const AttentionCase others[] = {
        {197, 197, 64, 64, true, LIE_BETWEEN, 0},
        {197, 197, 80, 80, false, LIE_BETWEEN, 0},
        {257, 257, 80, 80, false, LIE_BETWEEN, 0},
        {77, 77, 128, 128, true, LIE_BETWEEN, 0},
        {600, 600, 128, 128, false, LIE_BETWEEN, 0},
        {290, 290, 40, 96, false, LIE_ACROSS, 0},
        {197, 197, 64, 64, false, LIE_BETWEEN, SEGMENTS | BIASED},
        {77, 77, 64, 64, true, LIE_BETWEEN, SEGMENTS | BIASED},
        {257, 257, 64, 64, false, LIE_BETWEEN, SEGMENTS | BIASED},
        {600, 600, 64, 64, true, LIE_BETWEEN, SEGMENTS | BIASED},
        {77, 77, 64, 64, true, LIE_BETWEEN, SEGMENTS},
        {257, 257, 80, 80, false, LIE_BETWEEN, BIASED},
        {600, 600, 128, 128, false, LIE_BETWEEN, SEGMENTS | BIASED}};
    static const char *const archs[] = {"sm_80", "sm_89", "sm_90a", "sm_100", "sm_120"};
    Check c = check_begin(argc, argv);
    Error err = {0};
    Nvrtc *nvrtc = nvrtc_open(c.arena, &err);
    if (!nvrtc) {
        printf("skipped: %s\n", err.text);
        return 0;
    }
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        compile(&c, nvrtc, archs[i], tuned, sizeof tuned / sizeof *tuned);
    compile(&c, nvrtc, "sm_90a", others, sizeof others / sizeof *others);
    nvrtc_close(nvrtc);
    return check_end(&c);
}
