// Names that files give: which are read as they are meant. Those that are refused are in
// tests/errors/names.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "frontend/elab.h"

#define DATA                                                                                       \
    "let: {batch: 4}\n"                                                                            \
    "data: {source: none.tar, fields: {one: {as: vector, size: 3}}}\n"
#define TRAIN "train: {steps: 10, optimizer: {module: sgd, lr: 1}}\n"

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f && fputs(text, f) >= 0 && !fclose(f), "%s", path);
}

typedef struct Loaded {
    Arena *arena;
    Diag *diag;
    Frontend *f;
    const char *printed;
} Loaded;

// A graph, and the library file own.yaml beside it.
static Loaded load(const char *graph, const char *library)
{
    Loaded l = {.arena = arena_new()};
    char folder[] = "/tmp/cztc-names-XXXXXX", *text = NULL;
    size_t size = 0;
    cr_assert(mkdtemp(folder));
    const char *path = str_printf(l.arena, "%s/graph.yaml", folder),
               *own = str_printf(l.arena, "%s/own.yaml", folder);
    write_text(path, graph);
    write_text(own, library);
    l.diag = diag_new(l.arena);
    l.f = frontend_load(l.arena, l.diag, path,
                        &(FrontendOptions){.lib_dir = CZT_SOURCE_DIR "/graphs/lib"});
    FILE *out = open_memstream(&text, &size);
    diag_print(l.diag, out);
    fclose(out);
    l.printed = str_copy(l.arena, text);
    free(text);
    unlink(path);
    unlink(own);
    rmdir(folder);
    return l;
}

static void expect_good(const char *graph, const char *library)
{
    Loaded l = load(graph, library);
    cr_expect(l.f, "%s", l.printed);
    cr_expect_str_empty(l.printed);
    arena_free(l.arena);
}

static const char net[] = "cztc: 1\n"
                          "modules:\n"
                          "  net:\n"
                          "    in: {x: \"[B, D]\"}\n"
                          "    params: {w: {shape: [D]}}\n"
                          "    out: x * w\n";

Test(names, an_encoder_may_be_called_as_its_module)
{
    expect_good("cztc: 1\nimport: [own, optim/sgd]\n" DATA
                "encoders: {net: {module: net, x: one}}\n"
                "heads: {other: {module: net}}\n"
                "teachers: {old: {module: net, x: one}}\n"
                "losses: {a: {loss: \"sum(net + net(2 * one) + old_net(), axis=1)\"}}\n"
                "values: {old_net: teachers.old}\n" TRAIN,
                net);
}

Test(names, a_field_may_be_called_as_a_built_in_function)
{
    expect_good("cztc: 1\nimport: [optim/sgd]\nlet: {batch: 4}\n"
                "data: {source: none.tar, fields: {sum: {as: vector, size: 3}}}\n"
                "params: {w: {shape: [3]}}\n"
                "losses: {a: {loss: \"sum(sum * w, axis=1)\"}}\n" TRAIN,
                "");
}

Test(names, of_outputs_may_be_words_of_expressions)
{
    expect_good("cztc: 1\nimport: [own, optim/sgd]\n" DATA "encoders: {e: {module: net, x: one}}\n"
                "losses: {a: {loss: \"sum(e.in + e.in_, axis=1)\"}}\n" TRAIN,
                "cztc: 1\n"
                "modules:\n"
                "  net:\n"
                "    in: {x: \"[B, D]\"}\n"
                "    params: {w: {shape: [D]}}\n"
                "    body: {\"in_, _2\": [x, w]}\n"
                "    out: {in: x * w}\n");
}

Test(names, a_byte_order_mark_is_no_part_of_the_text)
{
    Loaded l = load("\xef\xbb\xbf"
                    "cztc: 1\nimport: [optim/sgd]\n" DATA "params: {w: {shape: [3]}}\n"
                    "losses: {a: {loss: \"sum(one * w, axis=1)\"}}\n" TRAIN,
                    "");
    cr_expect(l.f, "%s", l.printed);
    arena_free(l.arena);
    l = load("\xef\xbb\xbf"
             "a: {lr: f(step, 1e-3)}\n",
             "");
    cr_expect_null(strstr(l.printed, "\xef\xbb\xbf"), "%s", l.printed);
    cr_expect(strstr(l.printed, ":1:1: error: a graph file has no key 'a'"), "%s", l.printed);
    arena_free(l.arena);
    l = load("\xef\xbb\xbf"
             "cztc: 1\nimport: [a(b, c)]\n",
             ""); // an accident
    cr_expect(strstr(l.printed, "no library file 'a(b, c)'"), "%s", l.printed);
    arena_free(l.arena);
}
