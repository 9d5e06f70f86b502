// What the tests of the IR share: a graph with its diagnostics, and their text.
#ifndef CZT_TESTS_IR_FIXTURE_H
#define CZT_TESTS_IR_FIXTURE_H

#include "ir/program.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

typedef struct Fixture {
    Arena *arena;
    Diag *diag;
    Graph *g;
} Fixture;

// An arena that stays reachable to the end of the process, where the leak checker looks.
static inline Arena *test_arena(void)
{
    static Arena *kept[4096];
    static uint32_t n;
    return kept[n++ % 4096] = arena_new();
}

static inline Fixture fixture(int64_t batch)
{
    Arena *arena = test_arena();
    Diag *diag = diag_new(arena);
    return (Fixture){arena, diag, graph_new(arena, diag, batch)};
}

#define AXES(...) ((Axis[]){__VA_ARGS__})
#define RANK(...) (sizeof(AXES(__VA_ARGS__)) / sizeof(Axis))
// An input of the given element type and axes, each {size, per}.
#define INPUT(f, name, dt, ...)                                                                    \
    graph_input((f)->g, name, type_new((f)->arena, dt, RANK(__VA_ARGS__), AXES(__VA_ARGS__)))

// All messages so far as printed.
static inline const char *messages(const Fixture *f)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    diag_print(f->diag, out);
    fclose(out);
    const char *copy = str_copy(f->arena, text);
    free(text);
    return copy;
}

static inline const char *type_of(const Fixture *f, NodeId id)
{
    return id ? type_text(f->arena, graph_type(f->g, id)) : "none";
}

#define assert_type(f, id, want)                                                                   \
    cr_assert_str_eq(type_of(f, id), want, "%s\n%s", type_of(f, id), messages(f))
// The node was refused with exactly this error (the first one reported).
#define assert_refused(f, id, want)                                                                \
    do {                                                                                           \
        cr_assert_eq(id, 0u);                                                                      \
        cr_assert(strstr(messages(f), want), "wanted '%s' in:\n%s", want, messages(f));            \
    } while (0)

#endif
