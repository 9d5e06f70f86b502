// NVRTC, where it is installed, compiles attention for the sizes that matter on every architecture:
// nothing spills, and a block gets the registers that its number of threads allows.
#include "attention_case.h"

#include "codegen/nvrtc.h"

static void compile(Check *c, const Nvrtc *nvrtc, const char *arch, const AttentionCase *cases,
                    uint32_t n)
{
    Kernel **kernels = arena_array(c->arena, Kernel *, 2 * n + 1);
    CudaLaunch *launches = arena_array(c->arena, CudaLaunch, 2 * n + 1);
    for (uint32_t i = 0; i < 2 * n; i++)
        kernels[i] = attention_kernel(c->arena, &cases[i / 2], i % 2);
    const char *text = cuda_text(c->arena, 2 * n, kernels, launches);
    CudaImage image = {0};
    Error err = {0};
    bool good = nvrtc_compile(nvrtc, c->arena, text, arch, &image, &err);
    CHECK(c, good && image.n == 2 * n, "%s", err.text);
    for (uint32_t i = 0; i < image.n; i++) {
        const CudaUsage *u = &image.usage[i];
        uint32_t at = (uint32_t)strtoul(u->symbol + 1, NULL, 10);
        const AttentionCase *k = &cases[at / 2];
        const CudaLaunch *l = &launches[at];
        printf("%-7s %-8s %4lld x %4lld, %3lld%s: %3u threads, %3u registers, %6u bytes shared, "
               "%u spilled\n",
               arch, at % 2 ? "gradient" : "forward", (long long)k->queries, (long long)k->keys,
               (long long)k->dim, k->causal ? " causal" : "", l->threads, u->registers,
               l->shared_bytes, u->spilled);
        CHECK(c, u->spilled == 0, "it spills");
        CHECK(c, l->shared_bytes <= 99 << 10, "too much shared memory");
    }
}

int main(int argc, char **argv)
{
    static const AttentionCase tuned[] = {{197, 197, 64, 64, false, LIE_BETWEEN},
                                          {77, 77, 64, 64, true, LIE_BETWEEN},
                                          {257, 257, 64, 64, false, LIE_BETWEEN},
                                          {600, 600, 64, 64, true, LIE_BETWEEN}};
    static const AttentionCase others[] = {
        {197, 197, 64, 64, true, LIE_BETWEEN},    {197, 197, 80, 80, false, LIE_BETWEEN},
        {257, 257, 80, 80, false, LIE_BETWEEN},   {77, 77, 128, 128, true, LIE_BETWEEN},
        {600, 600, 128, 128, false, LIE_BETWEEN}, {290, 290, 40, 96, false, LIE_ACROSS}};
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
