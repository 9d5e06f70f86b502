// Small accidents in a whole graph, one by one: a sign is lost, a line slips to another column, a
// line is doubled or joined with the next. What is printed first leads back to the graph nearly
// always, and never far from a valid one.
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "accidents.h"
#include "frontend/frontend.h"

enum { ROUNDS = 12 };

typedef struct Counts {
    uint32_t all, valid, back, other, stuck;
} Counts;

// The texts without their blanks and quotes are the same.
static bool is_same(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a && strchr(" \n\"'", *a)) a++;
        while (*b && strchr(" \n\"'", *b)) b++;
        if (*a != *b || !*a) return *a == *b;
    }
}

static Frontend *load(Arena *a, Diag *diag, const char *path, const char *text)
{
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    diag_overlay(diag, path, text);
    return frontend_load(a, diag, path, &o);
}

// Apply the first mends of each error until the graph is valid.
static void mend(const char *graph, const char *text, const char *path, Counts *c)
{
    Arena *a = arena_new();
    c->all++;
    for (int round = 0; round < ROUNDS; round++) {
        Diag *diag = diag_new(a);
        uint32_t applied = 0, source = 1;
        if (load(a, diag, path, text)) {
            if (!round)
                c->valid++;
            else if (is_same(text, graph))
                c->back++;
            else
                c->other++;
            arena_free(a);
            return;
        }
        while (diag_source_path(diag, source) && strcmp(diag_source_path(diag, source), path))
            source++;
        text = diag_mended(diag, a, source, 0, &applied);
        if (!applied) break;
    }
    if (getenv("CZT_SHOW")) fprintf(stderr, "left:\n%s\n", text);
    c->stuck++;
    arena_free(a);
}

// The graph with other text in [begin, end).
static void change(const char *graph, size_t begin, size_t end, const char *text, Counts *c)
{
    Arena *a = arena_new();
    const char *changed = str_printf(a, "%.*s%s%s", (int)begin, graph, text, graph + end);
    mend(graph, changed, "accident.yaml", c);
    arena_free(a);
}

static void lose_signs(const char *graph, size_t begin, size_t end, Counts *c)
{
    for (size_t i = begin; i < end; i++) {
        if (strchr("[]{}():,\"", graph[i])) change(graph, i, i + 1, "", c);
        if (graph[i] == ' ' && i > begin && graph[i - 1] == ':') change(graph, i, i + 1, "", c);
    }
}

static void move_line(const char *graph, size_t begin, size_t end, Counts *c)
{
    size_t indent = 0;
    while (graph[begin + indent] == ' ') indent++;
    for (size_t n = 1; n <= 2 && n <= indent; n++) change(graph, begin, begin + n, "", c);
    change(graph, begin, begin, " ", c);
    change(graph, begin, begin, "  ", c);
    if (indent) change(graph, begin, begin + indent, indent == 2 ? "\t" : "\t\t", c);
    change(graph, end, end, ",", c);
    Arena *a = arena_new();
    change(graph, begin, begin, str_printf(a, "%.*s\n", (int)(end - begin), graph + begin), c);
    arena_free(a);
    size_t next = end + 1, more = 0;
    while (graph[end] && graph[next + more] == ' ') more++;
    if (graph[end] && more == indent && isalpha((unsigned char)graph[next + more]))
        change(graph, end, next + more, " ", c);
}

Test(mends, mutants)
{
    Arena *a = arena_new();
    const char *graph = accidents_graph(a);
    Counts c = {0};
    for (size_t begin = 0, end; graph[begin]; begin = end + 1) {
        end = begin + strcspn(graph + begin, "\n");
        if (end == begin) continue;
        lose_signs(graph, begin, end, &c);
        move_line(graph, begin, end, &c);
    }
    const uint32_t wrong = c.all - c.valid;
    fprintf(stderr, "%u changes: %u are valid, %u led back, %u to another graph, %u to none\n",
            c.all, c.valid, c.back, c.other, c.stuck);
    cr_expect_gt(wrong, 500u);
    cr_expect_geq(c.back * 100, wrong * 90, "%u of %u led back", c.back, wrong);
    cr_expect_leq(c.stuck * 100, wrong * 2, "%u of %u are stuck", c.stuck, wrong);
    arena_free(a);
}
