// One text: preprocessed for the device and for the shim, the prelude differs in the bodies of the
// instruction table and in nothing else (unit.cuda holds kernels to the same), and shim.h redefines
// no name but to note where threads meet. Every row of the table has a kernel in rows.cuh.
#include "text_compare.h"

#include <ctype.h>

// A row of the table: its name, and its body on the device.
typedef struct Row {
    const char *name, *body;
} Row;

typedef VEC(Row) Rows;

static const char *word_at(Arena *arena, const char *at)
{
    size_t n = 0;
    while (isalnum((unsigned char)at[n]) || at[n] == '_') n++;
    return str_slice(arena, at, n);
}

static Rows rows_of(Arena *arena, const char *prelude)
{
    Rows rows = {0};
    for (const char *p = prelude; (p = strstr(p, "\nINSTRUCTION")); p++) {
        const char *end = strstr(p + 1, "})\n"), *at = strchr(p, ',');
        if (!end || !at) bug("a row is not read: %.60s", p + 1);
        Row row = {word_at(arena, at + 1 + strspn(at + 1, " ")),
                   str_slice(arena, at, (size_t)(end - at))};
        vec_push(arena, &rows, row);
    }
    return rows;
}

// Does the text call this name?
static bool calls(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = text; (p = strstr(p, name)); p++)
        if (!isalnum((unsigned char)p[-1]) && p[-1] != '_' && (p[n] == '(' || p[n] == '<'))
            return true;
    return false;
}

// Threads wait for each other in an instruction that is called .sync or _sync (and not .async).
static bool meets(const char *body)
{
    for (const char *p = body; (p = strstr(p, "sync")); p++)
        if (p[-1] != 'a') return true;
    return false;
}

// The macros of shim.h behind the rows' bodies: what a kernel's text calls by them is what it says.
static void check_macros(Check *c, const Rows *rows, const char *shim)
{
    uint32_t found = 0, wanted = 0;
    for (const char *p = shim; (p = strstr(p, "\n#define ")); p++) {
        const char *name = word_at(c->arena, p + strlen("\n#define "));
        bool known = strncmp(name, "SHIM_", 5) == 0;
        for (int i = 0; i < 3; i++) known = known || strcmp(name, text_macros[i]) == 0;
        if (known) continue;
        const char *line = str_slice(c->arena, p + 1, strcspn(p + 1, "\n"));
        static const char form[] = "#define %s(%s) (shim_site(__LINE__, __COUNTER__), %s(%s))";
        bool plain = strcmp(line, str_printf(c->arena, form, name, "", name, "")) == 0,
             given =
                 strcmp(line, str_printf(c->arena, form, name, "...", name, "__VA_ARGS__")) == 0;
        CHECK(c, plain || given, "shim.h has a macro of another form: %s", line);
        bool row = false;
        for (uint32_t i = 0; i < rows->n; i++)
            row = row || (strcmp(rows->at[i].name, name) == 0 && meets(rows->at[i].body));
        CHECK(c, row, "%s, a macro of shim.h, is no row where threads meet", name);
        found++;
    }
    for (uint32_t i = 0; i < rows->n; i++) wanted += meets(rows->at[i].body);
    CHECK(c, found == wanted, "%u of %u rows where threads meet have a macro in shim.h", found,
          wanted);
}

// The comparison itself: it must find each of these.
static void check_planted(Check *c, const char *stub, const char *prelude)
{
    static const char *const planted[] = {
        "#ifdef CZT_HOST_SHIM\nDEVICE int f() { return 1; }\n#else\nDEVICE int f() { return 2; "
        "}\n#endif\n",
        "#ifndef CZT_HOST_SHIM\nint only_there;\n#endif\n",
        "#ifdef CZT_HOST_SHIM\nDEVICE int f(int x);\n#else\nDEVICE int f(long x) { return 2; "
        "}\n#endif\n",
        "#if __CUDA_ARCH__ >= 900\nint newer;\n#endif\n"};
    for (int i = 0; i < 4; i++) {
        uint32_t ignored = 0;
        const char *text = str_printf(c->arena, "%s\n%s", prelude, planted[i]);
        CHECK(c, text_compare(c, stub, "planted", text, &ignored),
              "planted difference %d is not found", i);
    }
}

int main(int argc, char **argv)
{
    Check c = check_begin(argc, argv);
    uint32_t compared = 0;
    const char *prelude = check_read(&c, "codegen/cuda_prelude.cuh"),
               *kernels = check_read(&c, "tests/cuda_host/rows.cuh"),
               *shim = check_read(&c, "tests/cuda_host/shim.h");
    const char *stub = text_stub(&c, prelude);
    const char *difference = text_compare(&c, stub, "prelude", prelude, &compared);
    CHECK(&c, !difference, "%s", difference ? difference : "");
    Rows rows = rows_of(c.arena, prelude);
    CHECK(&c, compared == rows.n, "%u rows, %u of them in the table", compared, rows.n);
    for (uint32_t i = 0; i < rows.n; i++)
        CHECK(&c, calls(kernels, rows.at[i].name), "no kernel of rows.cuh calls %s",
              rows.at[i].name);
    check_macros(&c, &rows, shim);
    check_planted(&c, stub, prelude);
    return check_end(&c);
}
