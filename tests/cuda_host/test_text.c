// One text: preprocessed for the device and for the shim, the prelude differs in the bodies of the
// instruction table and in nothing else.
#include "check.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// Preprocess with or without CZT_HOST_SHIM, with an empty shim.h; the lines that are not empty.
typedef struct Lines {
    VEC(char *) at;
} Lines;

static Lines preprocess(Check *c, const char *source, bool host)
{
    const char *out = str_printf(c->arena, "%s/text_%d.ii", c->folder, host);
    const char *command =
        str_printf(c->arena, "%s -E -P -x c++ %s -I'%s/empty' '%s' > '%s'", CZT_CXX,
                   host ? "-DCZT_HOST_SHIM" : "", c->folder, source, out);
    CHECK(c, system(command) == 0, "%s", command);
    FILE *in = fopen(out, "r");
    if (!in) bug("no %s", out);
    Lines lines = {0};
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, in) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        if (*line) vec_push(c->arena, &lines.at, str_copy(c->arena, line));
    }
    free(line);
    fclose(in);
    return lines;
}

// Text behind an optional prefix.
static const char *behind(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    while (*text == ' ') text++;
    return strncmp(text, prefix, n) == 0 ? text + n : text;
}

// True when the host's line is the same, or the prototype of the device's row; counts rows.
static bool same_line(const char *host, const char *device, uint32_t *rows)
{
    host = behind(behind(host, "template <int N>"), " static inline ");
    device = behind(behind(device, "template <int N>"), " __device__ __forceinline__ ");
    host = behind(host, "static inline ");
    device = behind(device, "__device__ __forceinline__ ");
    if (strcmp(host, device) == 0) return true;
    size_t n = strlen(host);
    if (n < 2 || strcmp(host + n - 2, ");") != 0 || strncmp(host, device, n - 1) != 0) return false;
    const char *body = device + n - 1;
    ++*rows;
    return body[strspn(body, " ")] == '{' && device[strlen(device) - 1] == '}';
}

static const char *compare(Check *c, const char *text, uint32_t *rows)
{
    const char *source = str_printf(c->arena, "%s/text.cuh", c->folder);
    FILE *out = fopen(source, "w");
    if (!out) bug("cannot write %s", source);
    fputs(text, out);
    fclose(out);
    Lines host = preprocess(c, source, true), device = preprocess(c, source, false);
    for (uint32_t i = 0; i < host.at.n && i < device.at.n; i++)
        if (!same_line(host.at.at[i], device.at.at[i], rows))
            return str_printf(c->arena, "host:   %s\ndevice: %s", host.at.at[i], device.at.at[i]);
    return host.at.n == device.at.n ? NULL : "different numbers of lines";
}

int main(int argc, char **argv)
{
    Check c = check_begin(argc, argv);
    const char *empty =
        str_printf(c.arena, "mkdir -p '%s/empty' && : > '%s/empty/shim.h'", c.folder, c.folder);
    CHECK(&c, system(empty) == 0, "%s", empty);
    uint32_t rows = 0;
    const char *prelude = check_read(&c, "codegen/cuda_prelude.cuh");
    const char *difference = compare(&c, prelude, &rows);
    CHECK(&c, !difference, "%s", difference ? difference : "");
    uint32_t written = 0;
    for (const char *p = prelude; (p = strstr(p, "\nINSTRUCTION")); p++) written++;
    CHECK(&c, rows == written, "%u rows, %u of them in the table", rows, written);
    // The comparison itself: it must find each of these.
    static const char *const planted[] = {
        "#ifdef CZT_HOST_SHIM\nDEVICE int f() { return 1; }\n#else\nDEVICE int f() { return 2; "
        "}\n#endif\n",
        "#ifndef CZT_HOST_SHIM\nint only_there;\n#endif\n",
        "#ifdef CZT_HOST_SHIM\nDEVICE int f(int x);\n#else\nDEVICE int f(long x) { return 2; "
        "}\n#endif\n"};
    for (int i = 0; i < 3; i++) {
        uint32_t ignored = 0;
        const char *text = str_printf(c.arena, "%s\n%s", prelude, planted[i]);
        CHECK(&c, compare(&c, text, &ignored), "planted difference %d is not found", i);
    }
    return check_end(&c);
}
