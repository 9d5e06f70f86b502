// NVRTC, where it is installed, compiles the shim's test kernels for every architecture, and says
// what registers they take. Kernels that are run on the CPU and never compiled for a GPU prove
// little.
#include "mma_tiles.h"

#include <dlfcn.h>

typedef struct Nvrtc {
    int (*create)(void **, const char *, const char *, int, const char *const *,
                  const char *const *);
    int (*compile)(void *, int, const char *const *);
    int (*log_size)(void *, size_t *);
    int (*log)(void *, char *);
    int (*destroy)(void **);
} Nvrtc;

static bool nvrtc_open(Nvrtc *n)
{
    static const char *const names[] = {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12",
                                        "/usr/local/cuda/lib64/libnvrtc.so"};
    void *lib = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !lib; i++)
        lib = dlopen(names[i], RTLD_NOW);
    if (!lib) return false;
    *(void **)&n->create = dlsym(lib, "nvrtcCreateProgram");
    *(void **)&n->compile = dlsym(lib, "nvrtcCompileProgram");
    *(void **)&n->log_size = dlsym(lib, "nvrtcGetProgramLogSize");
    *(void **)&n->log = dlsym(lib, "nvrtcGetProgramLog");
    *(void **)&n->destroy = dlsym(lib, "nvrtcDestroyProgram");
    return n->create && n->compile && n->log_size && n->log && n->destroy;
}

// Print a line for each kernel of ptxas' log: registers. None may spill.
static void print_usage(Check *c, const char *arch, char *log)
{
    const char *name = "", *spills = "";
    for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
        char *at = strstr(line, "Compiling entry function '");
        if (at) {
            name = at + strlen("Compiling entry function '");
            at = strchr(name, '\'');
            if (at) *at = '\0';
        }
        if (strstr(line, "bytes spill")) spills = strstr(line, " 0 bytes spill") ? "" : line;
        at = strstr(line, "Used ");
        if (at) printf("%-7s %-14s %s%s\n", arch, name, at, spills);
        CHECK(c, !at || !*spills, "%s for %s spills registers", name, arch);
    }
}

static void compile(Check *c, const Nvrtc *n, const char *text, const char *name, const char *arch)
{
    void *program = NULL;
    const char *options[] = {str_printf(c->arena, "--gpu-architecture=%s", arch), "--fmad=false",
                             "-default-device", "--ptxas-options=-v", "--std=c++17"};
    CHECK(c, n->create(&program, text, name, 0, NULL, NULL) == 0, "nvrtcCreateProgram");
    int result = n->compile(program, 5, options);
    size_t size = 0;
    n->log_size(program, &size);
    char *log = arena_alloc(c->arena, size + 1);
    n->log(program, log);
    CHECK(c, result == 0, "%s for %s: %s", name, arch, log);
    CHECK(c, !strstr(log, "warning"), "%s for %s: %s", name, arch, log);
    if (result == 0) print_usage(c, arch, log);
    n->destroy(&program);
}

int main(int argc, char **argv)
{
    Check c = check_begin(argc, argv);
    Nvrtc nvrtc = {0};
    if (!nvrtc_open(&nvrtc)) {
        printf("skipped: libnvrtc is not installed here\n");
        return 0;
    }
    static const char *const archs[] = {"sm_80", "sm_89", "sm_90a", "sm_100", "sm_120"};
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        compile(&c, &nvrtc, check_text(&c, "kernels.cuh"), "kernels.cuh", archs[i]);
        compile(&c, &nvrtc, check_text(&c, "rows.cuh"), "rows.cuh", archs[i]);
        compile(&c, &nvrtc, mma_text(&c, true), "mma.cuh", archs[i]);
    }
    return check_end(&c);
}
