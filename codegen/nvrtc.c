// The few functions of NVRTC that are used, behind a table that dlopen fills; and its log, which is
// the only place that tells of registers and spills (PTX assembler, -v).
#include "codegen/nvrtc.h"

#include "base/object.h"
#include "base/vec.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef void *Unit; // nvrtcProgram

struct Nvrtc {
    void *library;
    int (*version)(int *major, int *minor);
    int (*create)(Unit *, const char *text, const char *name, int headers, const char *const *,
                  const char *const *);
    int (*compile)(Unit, int options, const char *const *);
    int (*log_size)(Unit, size_t *);
    int (*log)(Unit, char *);
    int (*cubin_size)(Unit, size_t *);
    int (*cubin)(Unit, char *);
    int (*ptx_size)(Unit, size_t *);
    int (*ptx)(Unit, char *);
    int (*destroy)(Unit *);
};

static void *open_library(Arena *arena)
{
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
    const char *folder = getenv("CZT_CUDA_LIBS");
    const char *const folders[] = {folder ? folder : "", "", "/usr/local/cuda/lib64"};
    for (size_t f = folder ? 0 : 1; f < 3; f++)
        for (size_t i = 0; i < 3; i++) {
            const char *path =
                *folders[f] ? str_printf(arena, "%s/%s", folders[f], names[i]) : names[i];
            void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
            if (library) return library;
        }
    return NULL;
}

Nvrtc *nvrtc_open(Arena *arena, Error *err)
{
    Nvrtc *n = arena_make(arena, Nvrtc);
    n->library = open_library(arena);
    if (!n->library) {
        error_set(err, "NVRTC is not installed: no libnvrtc.so in CZT_CUDA_LIBS, the loader's path "
                       "and /usr/local/cuda/lib64");
        return NULL;
    }
    const struct {
        const char *name;
        void **to;
    } functions[] = {{"nvrtcVersion", (void **)&n->version},
                     {"nvrtcCreateProgram", (void **)&n->create},
                     {"nvrtcCompileProgram", (void **)&n->compile},
                     {"nvrtcGetProgramLogSize", (void **)&n->log_size},
                     {"nvrtcGetProgramLog", (void **)&n->log},
                     {"nvrtcGetCUBINSize", (void **)&n->cubin_size},
                     {"nvrtcGetCUBIN", (void **)&n->cubin},
                     {"nvrtcGetPTXSize", (void **)&n->ptx_size},
                     {"nvrtcGetPTX", (void **)&n->ptx},
                     {"nvrtcDestroyProgram", (void **)&n->destroy}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *functions[i].to = dlsym(n->library, functions[i].name);
        if (*functions[i].to) continue;
        error_set(err, "libnvrtc lacks %s: it is too old (CUDA 12 or later is needed)",
                  functions[i].name);
        dlclose(n->library);
        return NULL;
    }
    return n;
}

void nvrtc_close(Nvrtc *n)
{
    if (n) dlclose(n->library);
}

// ---- the log ------------------------------------------------------------------------------------

// The number that stands in front of `what` in [line, end), 0 when it is not there.
static uint32_t number_before(const char *line, const char *end, const char *what)
{
    const char *at = strstr(line, what);
    if (!at || at >= end) return 0;
    while (at > line && at[-1] == ' ') at--;
    while (at > line && at[-1] >= '0' && at[-1] <= '9') at--;
    return (uint32_t)strtoul(at, NULL, 10);
}

static void read_usage(Arena *arena, const char *log, CudaImage *image)
{
    static const char opening[] = "Compiling entry function '";
    VEC(CudaUsage) all = {0};
    for (const char *line = log, *end; *line; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        const char *at = strstr(line, opening);
        if (at && at < end) {
            at += strlen(opening);
            CudaUsage u = {.symbol = str_slice(arena, at, strcspn(at, "'"))};
            vec_push(arena, &all, u);
        }
        if (!all.n) continue;
        CudaUsage *u = &all.at[all.n - 1];
        u->registers += number_before(line, end, "registers");
        u->spilled += number_before(line, end, "bytes spill stores");
        u->shared_bytes += number_before(line, end, "bytes smem");
    }
    image->n = all.n;
    image->usage = all.at;
}

// ---- compiling ----------------------------------------------------------------------------------

// After the architecture; the last is for the assembler, and so not for PTX.
static const char *const fixed_options[] = {"--fmad=false", "--std=c++17", "-default-device",
                                            "--ptxas-options=-v"};
enum { FIXED = sizeof fixed_options / sizeof *fixed_options };

const char *nvrtc_identity(const Nvrtc *n, Arena *arena)
{
    int major = 0, minor = 0;
    void *in_library;
    memcpy(&in_library, &n->version, sizeof in_library);
    n->version(&major, &minor);
    const char *text = str_printf(arena, "NVRTC %d.%d %016llx", major, minor,
                                  (unsigned long long)object_identity(in_library));
    for (int i = 0; i < FIXED; i++) text = str_printf(arena, "%s %s", text, fixed_options[i]);
    return text;
}

// The log without warnings, which come first and would hide what stopped it; all of it where no
// line is an error.
static const char *errors_of(Arena *arena, const char *log)
{
    const char *text = "";
    for (const char *line = log, *end; *line; line = *end ? end + 1 : end) {
        end = line + strcspn(line, "\n");
        const char *at = strstr(line, "error");
        if (at && at < end)
            text = str_printf(arena, "%s%s%.*s", text, *text ? "\n" : "", (int)(end - line), line);
    }
    return *text ? text : log;
}

static const void *fetch(Arena *arena, Unit unit, int (*size_of)(Unit, size_t *),
                         int (*get)(Unit, char *), size_t *size)
{
    if (size_of(unit, size) || !*size) return NULL;
    char *bytes = arena_alloc(arena, *size);
    return get(unit, bytes) ? NULL : bytes;
}

static bool compile(const Nvrtc *n, Unit unit, Arena *arena, const char *arch, CudaImage *image,
                    Error *err)
{
    int plain = (int)(strlen(arch) - (arch[strlen(arch) - 1] == 'a')); // sm_90 of sm_90a
    const char *options[1 + FIXED] = {str_printf(arena, "--gpu-architecture=%.*s", plain, arch)};
    memcpy(options + 1, fixed_options, sizeof fixed_options);
    bool ptx = strncmp(arch, "compute_", 8) == 0;
    int result = n->compile(unit, ptx ? FIXED : 1 + FIXED, options);
    size_t size = 0;
    n->log_size(unit, &size);
    char *log = arena_alloc(arena, size + 1);
    if (n->log(unit, log)) *log = 0;
    if (result)
        return error_set(err, "NVRTC for %s: %s", arch,
                         *log ? errors_of(arena, log) : "no message");
    image->log = log;
    image->ptx = fetch(arena, unit, n->ptx_size, n->ptx, &image->ptx_size);
    if (ptx) {
        image->bytes = image->ptx;
        image->size = image->ptx_size;
    } else {
        image->bytes = fetch(arena, unit, n->cubin_size, n->cubin, &image->size);
        read_usage(arena, log, image);
    }
    if (!image->bytes || !image->ptx) return error_set(err, "NVRTC made no code for %s", arch);
    return true;
}

bool nvrtc_compile(const Nvrtc *n, Arena *arena, const char *text, const char *arch,
                   CudaImage *image, Error *err)
{
    Unit unit;
    *image = (CudaImage){0};
    int result = n->create(&unit, text, "cztc.cu", 0, NULL, NULL);
    if (result) return error_set(err, "NVRTC cannot begin: error %d", result);
    bool good = compile(n, unit, arena, arch, image, err);
    n->destroy(&unit);
    return good;
}
