// A kernel's text to a loaded shared object. Behind the text comes a table of its kernels, found by
// the words KERNEL(threads) name( at the beginning of a line.
#include "shim_fiber.h"

#include "base/vec.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct ShimModule {
    void *handle;
    const ShimEntry *entries;
    ShimLane **(*lane_slot)(void);
    bool races;
};

static const char *skip_space(const char *p)
{
    while (isspace((unsigned char)*p)) p++;
    return p;
}

// The table's rows for all kernels of the text.
static void write_entries(FILE *out, const char *text)
{
    fprintf(out, "\nextern \"C\" __attribute__((visibility(\"default\"))) const ShimEntry "
                 "shim_entries[] = {\n");
    for (const char *p = text; (p = strstr(p, "KERNEL(")); p++) {
        if (p > text && p[-1] != '\n') continue;
        const char *bounds = p + strlen("KERNEL"), *end = strchr(bounds, ')');
        if (!end) break;
        const char *name = skip_space(end + 1);
        int n = 0;
        while (isalnum((unsigned char)name[n]) || name[n] == '_') n++;
        if (n && *skip_space(name + n) == '(')
            fprintf(out, "    SHIM_ENTRY(%.*s, %.*s),\n", n, name, (int)(end + 1 - bounds), bounds);
    }
    fprintf(out, "    {0, 0, 0, 0, 0}};\n");
}

static bool write_source(const char *path, const char *text, Error *err)
{
    FILE *out = fopen(path, "w");
    if (!out) return error_set(err, "cannot write %s: %s", path, strerror(errno));
    fputs(text, out);
    write_entries(out, text);
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed)
        return error_set(err, "cannot write %s: %s", path, strerror(errno));
    return true;
}

static void read_log(const char *path, char *log, size_t n)
{
    FILE *in = fopen(path, "r");
    size_t got = in ? fread(log, 1, n - 1, in) : 0;
    log[got] = '\0';
    if (in) fclose(in);
}

// Run a program with what it prints in a file; the error carries that text.
static bool run(char *const *argv, const char *log_path, Error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    pid_t pid;
    int status = 0, failed = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed) return error_set(err, "cannot run %s: %s", argv[0], strerror(failed));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    char log[900];
    read_log(log_path, log, sizeof log);
    return error_set(err, "%s failed: %s", argv[0], log);
}

static char *beside(Arena *arena, const char *so_path, const char *end)
{
    const char *dot = strrchr(so_path, '.'), *slash = strrchr(so_path, '/');
    size_t n = dot && (!slash || dot > slash) ? (size_t)(dot - so_path) : strlen(so_path);
    return str_printf(arena, "%.*s%s", (int)n, so_path, end);
}

// The kernels' part is compiled with the sanitizer's calls but linked with our own functions for
// them.
static bool build(Arena *arena, const char *source, const char *so_path, bool races, Error *err)
{
    const char *object = beside(arena, so_path, ".o"), *log = beside(arena, so_path, ".log");
    const char *compile[] = {CZT_CXX,
                             "-std=c++17",
                             "-O1",
                             "-g1",
                             "-ffp-contract=off",
                             "-fno-strict-aliasing",
                             "-fno-math-errno",
                             "-fPIC",
                             "-fvisibility=hidden",
                             "-Wno-unknown-pragmas",
                             "-DCZT_HOST_SHIM",
                             "-I" CZT_SHIM_DIR,
                             "-c",
                             "-o",
                             object,
                             "-x",
                             "c++",
                             source,
                             races ? "-fsanitize=thread" : NULL,
                             NULL};
    if (!run((char *const *)(uintptr_t)compile, log, err)) return false;
    const char *link[] = {CZT_CXX,
                          "-std=c++17",
                          "-O1",
                          "-fPIC",
                          "-fvisibility=hidden",
                          "-shared",
                          "-Wl,-z,defs",
                          "-o",
                          so_path,
                          object,
                          races ? CZT_SHIM_DIR "/shim_hooks.cc" : NULL,
                          NULL};
    bool good = run((char *const *)(uintptr_t)link, log, err);
    unlink(object);
    unlink(log);
    return good;
}

bool shim_build(const char *text, const char *so_path, bool races, Error *err)
{
    Arena *arena = arena_new();
    const char *source = beside(arena, so_path, ".cc");
    bool good = write_source(source, text, err) && build(arena, source, so_path, races, err);
    arena_free(arena);
    return good;
}

ShimModule *shim_compile(const char *text, const char *so_path, bool races, Error *err)
{
    return shim_build(text, so_path, races, err) ? shim_load(so_path, races, err) : NULL;
}

ShimModule *shim_load(const char *so_path, bool races, Error *err)
{
    ShimModule *m = calloc(1, sizeof *m);
    if (!m) bug("no memory");
    m->races = races;
    m->handle = dlopen(so_path, RTLD_NOW | RTLD_LOCAL);
    if (m->handle) {
        m->entries = dlsym(m->handle, "shim_entries");
        *(void **)&m->lane_slot = dlsym(m->handle, "shim_lane_slot");
    }
    if (!m->handle || !m->entries || !m->lane_slot) {
        error_set(err, "cannot load %s: %s", so_path, dlerror());
        shim_unload(m);
        return NULL;
    }
    return m;
}

void shim_unload(ShimModule *m)
{
    if (!m) return;
    if (m->handle) dlclose(m->handle);
    free(m);
}

const ShimEntry *shim_kernel(const ShimModule *m, const char *name)
{
    for (const ShimEntry *e = m->entries; e->name; e++)
        if (strcmp(e->name, name) == 0) return e;
    return NULL;
}

uint32_t shim_parameter_bytes(const ShimEntry *entry)
{
    return entry->bytes;
}

ShimLane **module_lane_slot(const ShimModule *m)
{
    return m->lane_slot();
}

bool module_races(const ShimModule *m)
{
    return m->races;
}
