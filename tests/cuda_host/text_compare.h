// One text for both: preprocessed for the device and for the shim, it differs in the bodies of the
// instruction table and in nothing else.
#ifndef CUDA_HOST_TEXT_COMPARE_H
#define CUDA_HOST_TEXT_COMPARE_H

#include "check.h"

#include <string.h>

typedef struct TextLines {
    VEC(char *) at;
} TextLines;

// What `static inline` is here is `__device__ __forceinline__` there (DEVICE, METHOD).
static inline char *text_plain(Arena *arena, const char *line)
{
    static const char *const opens[] = {"static inline ", "__device__ __forceinline__ ", "inline "};
    VEC(char) out = {0};
    while (*line) {
        size_t n = 0;
        for (int i = 0; i < 3 && !n; i++)
            if (strncmp(line, opens[i], strlen(opens[i])) == 0) n = strlen(opens[i]);
        bool space = *line == ' ' && (!out.n || out.at[out.n - 1] == ' ');
        if (n)
            vec_push(arena, &out, '@');
        else if (!space)
            vec_push(arena, &out, *line);
        line += n ? n : 1;
    }
    while (out.n && out.at[out.n - 1] == ' ') out.n--;
    vec_push(arena, &out, '\0');
    return out.at;
}

// Preprocess with or without CZT_HOST_SHIM; the lines that are not empty.
static inline TextLines text_preprocess(Check *c, const char *stub, const char *source, bool host)
{
    const char *out = str_printf(c->arena, "%s.%d.ii", source, host);
    const char *command = str_printf(c->arena, "%s -E -P -x c++ %s -I'%s' '%s' > '%s'", CZT_CXX,
                                     host ? "-DCZT_HOST_SHIM" : "-D__CUDACC__ -D__CUDA_ARCH__=900",
                                     stub, source, out);
    CHECK(c, system(command) == 0, "%s", command);
    FILE *in = fopen(out, "r");
    if (!in) bug("no %s", out);
    TextLines lines = {0};
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, in) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        char *plain = text_plain(c->arena, line);
        if (*plain) vec_push(c->arena, &lines.at, plain);
    }
    free(line);
    fclose(in);
    remove(out);
    return lines;
}

// True when the host's line is the same, or the prototype of the device's row; counts rows.
static inline bool text_same_line(const char *host, const char *device, uint32_t *rows)
{
    if (strcmp(host, device) == 0) return true;
    size_t n = strlen(host);
    if (n < 2 || strcmp(host + n - 2, ");") != 0 || strncmp(host, device, n - 1) != 0) return false;
    const char *body = device + n - 1;
    ++*rows;
    return body[strspn(body, " ")] == '{' && device[strlen(device) - 1] == '}';
}

static inline void text_write(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    if (!out) bug("cannot write %s", path);
    fputs(text, out);
    fclose(out);
}

// The macros that shim.h has to define for the prelude's text, and that stand in the prelude for
// the device.
static const char *const text_macros[] = {"KERNEL", "SHARED", "SHARED_BYTES"};

// A folder with a shim.h in it that defines these macros as the prelude does for the device, so
// that what is written with them is compared too.
static inline const char *text_stub(Check *c, const char *prelude)
{
    const char *folder = str_printf(c->arena, "%s/stub", c->folder), *stub = "";
    const char *command = str_printf(c->arena, "mkdir -p '%s'", folder);
    CHECK(c, system(command) == 0, "%s", command);
    for (int i = 0; i < 3; i++) {
        const char *at = strstr(prelude, str_printf(c->arena, "\n#define %s(", text_macros[i]));
        CHECK(c, at, "the prelude does not define %s", text_macros[i]);
        if (at) stub = str_printf(c->arena, "%s%.*s\n", stub, (int)(1 + strcspn(at + 1, "\n")), at);
    }
    text_write(str_printf(c->arena, "%s/shim.h", folder), stub);
    return folder;
}

// NULL, or the first difference of the two; `rows` counts rows of the table. NAME is for files.
static inline const char *text_compare(Check *c, const char *stub, const char *name,
                                       const char *text, uint32_t *rows)
{
    const char *source = str_printf(c->arena, "%s/%s.cuh", c->folder, name);
    text_write(source, text);
    TextLines host = text_preprocess(c, stub, source, true),
              device = text_preprocess(c, stub, source, false);
    remove(source);
    for (uint32_t i = 0; i < host.at.n && i < device.at.n; i++)
        if (!text_same_line(host.at.at[i], device.at.at[i], rows))
            return str_printf(c->arena, "host:   %s\ndevice: %s", host.at.at[i], device.at.at[i]);
    return host.at.n == device.at.n ? NULL : "different numbers of lines";
}

#endif
