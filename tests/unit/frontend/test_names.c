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

static NodeId output_of(const Frontend *f, const char *name)
{
    const Entry *e = program_find_entry(f->program, "step");
    for (uint32_t i = 0; i < e->outputs.n; i++)
        if (strcmp(e->outputs.at[i].name, name) == 0) return e->outputs.at[i].node;
    return 0;
}

// Equal values are one node.
Test(names, of_axes_are_those_of_the_declared_shape)
{
    Loaded l =
        load("cztc: 1\nimport: [own, optim/sgd]\nlet: {batch: 4}\n"
             "data: {source: none.tar, fields: {x: {as: array, shape: [2, 3, 5]}}}\n"
             "params: {w: {shape: []}}\n"
             "losses:\n"
             "  named: {module: by_name, x: w * x}\n"
             "  numbered: {module: by_number, x: w * x}\n"
             "  absent: {module: by_name, x: \"sum(w * x, axis=1)\"}\n"
             "  absent_too: {module: by_number, x: \"sum(w * x, axis=1)\"}\n" TRAIN,
             "cztc: 1\n"
             "functions:\n"
             "  share(x, axis): exp(x - max(x, axis=axis, keep=true)) / 2\n"
             "modules:\n"
             "  by_name:\n"
             "    in: {x: \"[B, N?, H, C]\"}\n"
             "    body:\n"
             "      y: \"-share(select(x > 9, max(x, 2), cast(x, f32)), 'C') + 1\"\n"
             "      z: inner(y)\n"
             "    out:\n      num: \"sum(z + flip(y, 'H') + sum(y, axis=['H', 'C'], keep=true)\n"
             "          + sort(x, 'C'), axis=range(1, x.rank))\"\n"
             "  by_number:\n"
             "    in: {x: \"[B, N?, H, C]\"}\n"
             "    body:\n"
             "      y: \"-share(select(x > 9, max(x, 2), x), -1) + 1\"\n"
             "      z: \"2 * sum(y, axis=-1, keep=true)\"\n"
             "    out:\n      num: \"sum(z + flip(y, -2) + sum(y, axis=[-2, -1], keep=true)\n"
             "          + sort(x, -1), axis=range(1, x.rank))\"\n"
             "  inner:\n"
             "    in: {x: \"[..., last]\"}\n"
             "    out: \"2 * sum(x, axis='last', keep=true)\"\n");
    cr_assert(l.f, "%s", l.printed);
    cr_expect_neq(output_of(l.f, "named"), output_of(l.f, "absent"));
    cr_expect_eq(output_of(l.f, "named"), output_of(l.f, "numbered"));
    cr_expect_eq(output_of(l.f, "absent"), output_of(l.f, "absent_too"));
    arena_free(l.arena);
}
