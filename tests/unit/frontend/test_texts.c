// Texts for people in a graph: whatever they hold, the graph is valid, and an error elsewhere says
// what it says without them.
#include <criterion/criterion.h>
#include <string.h>

#include "accidents.h"
#include "frontend/frontend.h"

static const char *const texts[] = {
    "doc: lr=3 is what it uses",
    "doc:\n  lr=3 is what it uses",
    "doc:\n  see:also the other one\n  width=32",
    "doc: |\n  x = 3\n  -- a list\n  // and more\n  ; of it\n  key: value, other: value",
    "doc: >-\n  {{ a }} and [b\n  % of all",
    "doc: \"key: value, other: value\"",
    "doc: “Attention” is all",
    "doc: “Attention”",
    "doc: ‘tis the season’s graph",
    "doc: see https://example.org/a:b, or f(x, y)",
    "doc: a (b\n  -- c) d",
    "doc: |\n  (a\n  b",
    "doc: it costs $5 at @home, `x` each",
    "name: a-b_c.d",
};
enum { TEXTS = sizeof texts / sizeof *texts };

// Errors of a graph, as they are said, but for the lines that the text takes.
static const char *errors_of(Arena *a, const char *graph)
{
    Diag *diag = diag_new(a);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    const char *all = "", *text;
    diag_overlay(diag, "graph.yaml", graph);
    frontend_load(a, diag, "graph.yaml", &o);
    for (uint32_t i = 0; (text = diag_error_text(diag, i)); i++)
        all = str_printf(a, "%s%s\n", all, text);
    return all;
}

static const char *replaced(Arena *a, const char *graph, const char *from, const char *to)
{
    const char *at = strstr(graph, from);
    cr_assert(at, "%s", from);
    return str_printf(a, "%.*s%s%s", (int)(at - graph), graph, to, at + strlen(from));
}

Test(texts, are_no_accidents)
{
    static const char *const wrong[][2] = {
        {"embed: embed\n", "embed: embd\n"},           {"    layers: 2\n", "    layers 2\n"},
        {"    target: seg\n", "    target: x y: z\n"}, {"betas: [0.9, 0.98]", "betas: [0.9, 0.98"},
        {"    heads: 2\n", "     heads: 2\n"},
    };
    Arena *a = arena_new();
    const char *plain = accidents_graph(a);
    for (int i = 0; i < TEXTS; i++) {
        const bool name = !strncmp(texts[i], "name", 4);
        const char *graph = name
                                ? replaced(a, plain, "name: accident", texts[i])
                                : replaced(a, plain, "name:", str_printf(a, "%s\nname:", texts[i]));
        cr_expect_str_eq(errors_of(a, graph), "", "%s\n%s", texts[i], errors_of(a, graph));
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            const char *want = errors_of(a, replaced(a, plain, wrong[k][0], wrong[k][1])),
                       *got = errors_of(a, replaced(a, graph, wrong[k][0], wrong[k][1]));
            cr_expect_str_eq(got, want, "%s\nwith %s: %s\nnot %s", texts[i], wrong[k][1], got,
                             want);
        }
    }
    arena_free(a);
}
