// NVRTC, where it is installed, compiles the shim's test kernels for every architecture, and says
// what registers they take. Kernels that are run on the CPU and never compiled for a GPU prove
// little.
#include "codegen/nvrtc.h"
#include "mma_tiles.h"

// Print what each kernel takes. None may spill.
static void compile(Check *c, const Nvrtc *nvrtc, const char *text, const char *name,
                    const char *arch)
{
    CudaImage image = {0};
    Error err = {0};
    bool good = nvrtc_compile(nvrtc, c->arena, text, arch, &image, &err);
    CHECK(c, good && image.n, "%s: %s", name, err.text);
    CHECK(c, !good || !strstr(image.log, "warning"), "%s for %s: %s", name, arch, image.log);
    for (uint32_t i = 0; i < image.n; i++) {
        const CudaUsage *u = &image.usage[i];
        printf("%-7s %-14s %u registers\n", arch, u->symbol, u->registers);
        CHECK(c, !u->spilled, "%s for %s spills %u bytes", u->symbol, arch, u->spilled);
    }
}

int main(int argc, char **argv)
{
    Check c = check_begin(argc, argv);
    Error err = {0};
    Nvrtc *nvrtc = nvrtc_open(c.arena, &err);
    if (!nvrtc) {
        printf("skipped: %s\n", err.text);
        return 0;
    }
    static const char *const archs[] = {"sm_80", "sm_89", "sm_90a", "sm_100", "sm_120"};
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        compile(&c, nvrtc, check_text(&c, "kernels.cuh"), "kernels.cuh", archs[i]);
        compile(&c, nvrtc, check_text(&c, "rows.cuh"), "rows.cuh", archs[i]);
        compile(&c, nvrtc, mma_text(&c, true), "mma.cuh", archs[i]);
    }
    nvrtc_close(nvrtc);
    return check_end(&c);
}
