// Support of the shim's tests, each a program of its own: compile texts, launch, count failures.
#ifndef CUDA_HOST_CHECK_H
#define CUDA_HOST_CHECK_H

#include "base/vec.h"
#include "shim_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Check {
    Arena *arena;
    Shim *shim;
    const char *folder; // for files
    uint32_t checks, failures;
} Check;

// Count one check; say which failed.
#define CHECK(c, good, ...)                                                                        \
    do {                                                                                           \
        (c)->checks++;                                                                             \
        if (!(good)) {                                                                             \
            (c)->failures++;                                                                       \
            printf("%s:%d: ", __FILE__, __LINE__);                                                 \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
        }                                                                                          \
    } while (0)

static inline Check check_begin(int argc, char **argv)
{
    Check c = {.arena = arena_new(), .shim = shim_new(), .folder = argc > 1 ? argv[1] : "."};
    return c;
}

static inline int check_end(Check *c)
{
    printf("%u checks, %u failed\n", c->checks, c->failures);
    shim_free(c->shim);
    arena_free(c->arena);
    return c->failures != 0 || c->checks == 0;
}

// A file of the source tree as a string.
static inline char *check_read(Check *c, const char *path)
{
    FILE *in = fopen(str_printf(c->arena, "%s/%s", CZT_SOURCE_DIR, path), "r");
    if (!in) bug("cannot open %s", path);
    VEC(char) text = {0};
    for (int ch; (ch = getc(in)) != EOF;) vec_push(c->arena, &text, (char)ch);
    fclose(in);
    vec_push(c->arena, &text, '\0');
    return text.at;
}

// The prelude and the kernels of a file here.
static inline char *check_text(Check *c, const char *name)
{
    return str_printf(c->arena, "%s\n%s", check_read(c, "codegen/cuda_prelude.cuh"),
                      check_read(c, str_printf(c->arena, "tests/cuda_host/%s", name)));
}

static inline ShimModule *check_compile(Check *c, const char *text, const char *name, bool races)
{
    Error err = {0};
    ShimModule *m =
        shim_compile(text, str_printf(c->arena, "%s/%s.so", c->folder, name), races, &err);
    if (!m) printf("%s\n", err.text);
    return m;
}

// Launch with buffers as the only parameter; the error is left in err.
static inline bool check_launch(Check *c, const ShimOptions *options, const ShimModule *m,
                                const char *kernel, void *buffers, uint32_t grid_x, uint32_t grid_y,
                                uint32_t threads, size_t dynamic, Error *err)
{
    const ShimEntry *k = shim_kernel(m, kernel);
    if (!k) return error_set(err, "no kernel %s", kernel);
    return shim_launch(c->shim, options, m, k, &buffers, grid_x, grid_y, threads, dynamic, err);
}

// Numbers in [-1, 1) that differ from run to run of n only.
static inline float check_number(uint64_t n)
{
    n = (n + 1) * 0x9e3779b97f4a7c15u;
    n ^= n >> 29;
    n *= 0xbf58476d1ce4e5b9u;
    return (float)(int32_t)(n >> 32) * 0x1p-31f;
}

#endif
