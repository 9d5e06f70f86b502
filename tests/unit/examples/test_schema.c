// The JSON Schema of `cztc schema` against files: it allows every file that the frontend takes, and
// refuses what the frontend's table of keys refuses.
#include "folder.h"
#include "frontend/frontend.h"
#include "frontend/schema.h"
#include "json_schema.h"

#include "base/file.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

typedef struct Schemas {
    Arena *arena;
    json_t *graph, *library;
} Schemas;

static Schemas schemas_make(void)
{
    Schemas s = {.arena = arena_new()};
    s.graph = json_loads(schema_json(s.arena, SCHEMA_GRAPH), 0, NULL);
    s.library = json_loads(schema_json(s.arena, SCHEMA_LIBRARY), 0, NULL);
    cr_assert(s.graph && s.library);
    return s;
}

static void schemas_free(Schemas *s)
{
    json_decref(s->graph);
    json_decref(s->library);
    arena_free(s->arena);
}

static const Tree *read_tree(Arena *a, const char *name, const char *text)
{
    Diag *diag = diag_new(a);
    const Tree *t = tree_read(a, diag, diag_source(diag, name, text, strlen(text)));
    cr_assert(t && !diag_errors(diag), "%s is no YAML", name);
    return t;
}

static const char *read_text(Arena *a, const char *path)
{
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, path, &err), "%s", err.text);
    const char *text = str_slice(a, (const char *)map.data, map.size);
    file_unmap(&map);
    return text;
}

static const char *refused(const Schemas *s, const Tree *t)
{
    bool graph = tree_get(t, "train") || tree_get(t, "extends");
    return schema_refuses(s->arena, graph ? s->graph : s->library, t);
}

// ---- what is allowed ----------------------------------------------------------------------------

static size_t allow_files(const Schemas *s, const char *pattern)
{
    glob_t g;
    cr_assert_eq(glob(pattern, 0, NULL, &g), 0, "%s", pattern);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        const char *path = g.gl_pathv[i];
        const char *why = refused(s, read_tree(s->arena, path, read_text(s->arena, path)));
        cr_expect(!why, "%s is refused: %s", path, why);
    }
    size_t n = g.gl_pathc;
    globfree(&g);
    return n;
}

Test(tables, the_schema_allows_every_file)
{
    Schemas s = schemas_make();
    cr_expect_geq(allow_files(&s, CZT_SOURCE_DIR "/graphs/*.yaml"), 2);
    cr_expect_geq(allow_files(&s, CZT_SOURCE_DIR "/graphs/bench/*.yaml"), 4);
    cr_expect_geq(allow_files(&s, CZT_SOURCE_DIR "/graphs/lib/*.yaml"), 1);
    cr_expect_geq(allow_files(&s, CZT_SOURCE_DIR "/graphs/lib/*/*.yaml"), 8);
    cr_expect_geq(allow_files(&s, CZT_SOURCE_DIR "/tests/graphs/*.yaml"), 6);
    schemas_free(&s);
}

#ifdef CZT_PROGRAM
Test(tables, the_schema_allows_what_new_writes)
{
    static const char *const options[] = {
        "--model tiny", "--model small --experts none", "--model base --experts seg,depth",
        "--model tiny --experts normal,features,a:class,b:vector,c:class_map,d:map,e:normals",
        "--model tiny --data " CZT_SOURCE_DIR "/graphs/demo/train-{0000..0004}.tar"};
    Schemas s = schemas_make();
    const char *folder = folder_make(s.arena);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const char *path = str_printf(s.arena, "%s/new%zu.yaml", folder, i);
        const char *command =
            str_printf(s.arena, "%s new %s %s >/dev/null", CZT_PROGRAM, path, options[i]);
        cr_assert_eq(system(command), 0, "%s", command);
        const Tree *t = read_tree(s.arena, path, read_text(s.arena, path));
        const char *why = refused(&s, t);
        cr_expect(tree_get(t, "train") && !why, "%s: %s", options[i], why ? why : "no graph");
    }
    folder_remove(folder);
    schemas_free(&s);
}
#endif

// The blocks of a page that are files, or rows of a graph.
static uint32_t allow_blocks(const Schemas *s, const char *page)
{
    static const char fence[] = "\n```yaml\n";
    uint32_t n = 0;
    const char *p = read_text(s->arena, page);
    while ((p = strstr(p, fence))) {
        const char *begin = p + strlen(fence), *end = strstr(begin, "\n```");
        cr_assert(end, "%s", page);
        const char *text = str_slice(s->arena, begin, (size_t)(end - begin) + 1);
        p = end;
        const Tree *t = read_tree(s->arena, page, text);
        if (!tree_get(t, "cztc")) continue;
        const char *why = refused(s, t);
        cr_expect(!why, "%s: a block is refused: %s\n%s", page, why, text);
        n++;
    }
    return n;
}

Test(tables, the_schema_allows_the_files_of_the_pages)
{
    Schemas s = schemas_make();
    cr_expect_geq(allow_blocks(&s, CZT_SOURCE_DIR "/docs/language.md"), 3);
    cr_expect_geq(allow_blocks(&s, CZT_SOURCE_DIR "/docs/experts.md"), 2);
    schemas_free(&s);
}

// ---- what is refused ----------------------------------------------------------------------------

// A graph that is right, with places for a wrong row.
static const char right[] = "cztc: 1\n"
                            "let: {batch: 2}\n"
                            "data:\n"
                            "  source: none.tar\n"
                            "  views: {image: {size: \"[8, 8]\"}}\n"
                            "  fields: {x: {as: array, shape: [3]}}\n"
                            "params: {w: {shape: []}}\n"
                            "losses: {one: {loss: \"x[:, 0] * w\"}}\n"
                            "experts:\n"
                            "  two: {output: \"x * w\", target: x, loss: {module: l1_of_test}}\n"
                            "train: {steps: 1, optimizer: {module: sgd_of_test, lr: 1}}\n";
static const char library[] = "cztc: 1\n"
                              "modules:\n"
                              "  l1_of_test:\n"
                              "    in: {output: \"[B, N]\", target: \"[B, N]\"}\n"
                              "    out: {num: \"mean(abs(output - target), axis=1)\"}\n"
                              "optimizers:\n"
                              "  sgd_of_test:\n"
                              "    in: {p: param, g: grad, lr: float}\n"
                              "    update: {p: p - lr * g}\n";

static const char *replaced(Arena *a, const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    cr_assert(at, "'%s' is not there", from);
    return str_printf(a, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

// Messages of the frontend about a graph; "" where it is right.
static const char *frontend_says(Arena *a, const char *path)
{
    char *text = NULL;
    size_t size;
    Diag *diag = diag_new(a);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    if (frontend_load(a, diag, path, &o)) return "";
    FILE *to = open_memstream(&text, &size);
    diag_print(diag, to);
    fclose(to);
    const char *copy = str_copy(a, text);
    free(text);
    return copy;
}

static const struct {
    const char *from, *to; // in `right`
    const char *schema;    // what the schema says, NULL: it is allowed
    const char *frontend;  // what the frontend says, NULL: it is allowed
} changes[] = {
    {"cztc: 1", "cztc: 1", NULL, NULL},
    // a key that is not there
    {"params:", "parms:", ": additionalProperties parms", "no key 'parms'"},
    {"source:", "sorce:", "data: additionalProperties sorce", "no key 'sorce'"},
    {"{size:", "{sise: 1, size:", "data.views.image: additionalProperties sise", "no key 'sise'"},
    {"shape: [3]", "shap: [3]", "data.fields.x: additionalProperties shap", "no key 'shap'"},
    {"shape: []", "shap: []", "params.w: additionalProperties shap", "no key 'shap'"},
    {"{loss: \"x", "{los: \"x", "losses.one: additionalProperties los", "no key 'los'"},
    {"target: x", "targt: x", "experts.two: additionalProperties targt", "no key 'targt'"},
    {"steps:", "step: 1, steps:", "train: additionalProperties step", "no key 'step'"},
    {"let:", "log: {evry: 3}\nlet:", "log: additionalProperties evry", "no key 'evry'"},
    // a kind that is another
    {"let: {batch: 2}", "let: [2]", "let: type array", "'let' of a graph file is a mapping"},
    {"source: none", "seed: [3]\n  source: none", "data.seed: type array",
     "'seed' of data is a number"},
    {"as: array", "as: [array]", "data.fields.x.as: type array", "'as' of a field is a word"},
    {"as: array", "as: null", "data.fields.x.as: type null", "'as' of a field is a word"},
    {"{shape: []}", "{shape: {a: 1}}", "params.w.shape: type object",
     "'shape' of a parameter is an expression"},
    {"data:\n", "import: sgd\ndata:\n", "import: type string",
     "'import' of a graph file is a list"},
    {"target: x", "target: x, metric: 3", "experts.two.metric: type number",
     "'metric' of an expert is a mapping"},
    // a key that is missing
    {"{size: \"[8, 8]\"}", "{flip: 0.5}", "data.views.image: required size", "a view needs 'size'"},
    {"output: \"x * w\", ", "", NULL, "an expert needs 'output'"}, // a kind may say it
    {"steps: 1, ", "", "train: required steps", "train needs 'steps'"},
    {"cztc: 1\n", "", ": required cztc", "a graph file needs 'cztc'"},
    // further keys belong to a module where there is one
    {"lr: 1", "lr: 1, other: 2", NULL, "other"},
    {"let: {batch: 2}", "let: {batch: 2, anything: [1]}", NULL, NULL},
    {"loss: {module:", "loss: {modul:", NULL, "loss"},
};

Test(tables, the_schema_refuses_what_the_table_of_keys_refuses)
{
    Schemas s = schemas_make();
    const char *folder = folder_make(s.arena);
    folder_write(s.arena, folder, "of_test.yaml", library);
    const char *graph = replaced(s.arena, right, "cztc: 1\n", "cztc: 1\nimport: [of_test]\n");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *base = strncmp(changes[i].to, "import", 6) == 0 ? right : graph;
        const char *text = replaced(s.arena, base, changes[i].from, changes[i].to);
        const char *why = refused(&s, read_tree(s.arena, changes[i].to, text));
        if (changes[i].schema)
            cr_expect(why && strcmp(why, changes[i].schema) == 0, "%s: the schema says %s",
                      changes[i].to, why ? why : "nothing");
        else
            cr_expect(!why, "%s: the schema says %s", changes[i].to, why);
        const char *says =
            frontend_says(s.arena, folder_write(s.arena, folder, "graph.yaml", text));
        if (changes[i].frontend)
            cr_expect(strstr(says, changes[i].frontend), "%s: the frontend says\n%s", changes[i].to,
                      says);
        else
            cr_expect(!*says, "%s: the frontend says\n%s", changes[i].to, says);
    }
    folder_remove(folder);
    schemas_free(&s);
}

Test(tables, the_schema_of_changes)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"experts: {edge: null, seg: {weight: 2}}", NULL},
        {"train: {groups+: [{match: x}], clip_grad: null}", NULL},
        {"losses: {pair: {texts: null, labels: y}}", NULL}, // of the module
        {"experts: {seg: {classes: 2}}", NULL},             // of its kind
        {"data: {views: {image: {sise: 2}}}", "data.views.image: additionalProperties sise"},
        {"train: {group+: [1]}", "train: additionalProperties group+"},
        {"train: {groups+: 1}", "train.groups+: type number"},
        {"train: {steps+: [1]}", "train: additionalProperties steps+"},
        {"experts: [a]", "experts: type array"},
    };
    Schemas s = schemas_make();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *changed = str_printf(s.arena, "extends: other.yaml\n%s\n", rows[i].text);
        const char *why = refused(&s, read_tree(s.arena, rows[i].text, changed));
        cr_expect(rows[i].says ? why && strcmp(why, rows[i].says) == 0 : !why, "%s: %s",
                  rows[i].text, why ? why : "nothing");
        if (!strstr(rows[i].text, "null") && !strstr(rows[i].text, "+")) continue;
        const char *alone = str_printf(s.arena, "cztc: 1\n%s\n", rows[i].text);
        cr_expect(schema_refuses(s.arena, s.graph, read_tree(s.arena, rows[i].text, alone)),
                  "%s is allowed without extends", rows[i].text);
    }
    schemas_free(&s);
}

// A mapping that no row of `links` reaches has keys that no editor knows.
Test(tables, the_schemas_have_every_mapping)
{
    static const char *const names[] = {
#define MAPPING(e, text) #e,
#define KEY(...)
#include "frontend/keys.def"
#undef KEY
#undef MAPPING
    };
    Schemas s = schemas_make();
    const char *graph = json_dumps(json_object_get(s.graph, "definitions"), 0),
               *other = json_dumps(json_object_get(s.library, "definitions"), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *name = str_printf(s.arena, "\"%s\": {\"properties\"", names[i]);
        for (char *p = name; *p != ':'; p++)
            if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
        cr_expect(strstr(graph, name) || strstr(other, name) ||
                      strstr(graph, str_printf(s.arena, "open_%s", name + 1)),
                  "frontend/schema.c: nothing leads to the keys of %s", names[i]);
    }
    free((char *)graph);
    free((char *)other);
    schemas_free(&s);
}
