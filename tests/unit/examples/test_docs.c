// The YAML of docs/*.md and README.md, and the library. A block fenced as yaml that has the key
// `cztc` is a file: a graph is elaborated and stepped on both executors, a library is imported.
// Other blocks are fragments: rows of a graph are tried on top of graphs/demo.yaml, rows of a
// library in a file of their own, of anything else the expressions are parsed. A block that begins
// with a comment "# NAME.yaml" is saved under that name, so that the blocks of a page can import
// each other. Blocks fenced as sh are run, in a folder that looks like the source tree.
#include "folder.h"
#include "frontend/expr.h"
#include "steps.h"

#include "base/file.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIB CZT_SOURCE_DIR "/graphs/lib"

// ---- pages and blocks -------------------------------------------------------------------------

typedef struct Block {
    const char *page, *info, *text;
    uint32_t line;
} Block;

typedef VEC(Block) Blocks;

static const char *read_text(Arena *a, const char *path)
{
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, path, &err), "%s", err.text);
    const char *text = str_slice(a, (const char *)map.data, map.size);
    file_unmap(&map);
    return text;
}

// The fenced blocks of a page, in order.
static Blocks blocks_of(Arena *a, const char *path)
{
    Blocks blocks = {0};
    Block open = {0};
    const char *begin = NULL;
    uint32_t line = 1;
    for (const char *p = read_text(a, path); *p; line++) {
        const char *end = strchr(p, '\n'), *next = end ? end + 1 : p + strlen(p);
        bool fence = strncmp(p, "```", 3) == 0;
        if (fence && begin) {
            open.text = str_slice(a, begin, (size_t)(p - begin));
            vec_push(a, &blocks, open);
            begin = NULL;
        } else if (fence) {
            const char *name = strrchr(path, '/') + 1;
            open = (Block){.page = name, .line = line};
            open.info = str_slice(a, p + 3, (size_t)(next - p) - 4);
            begin = next;
        }
        p = next;
    }
    cr_assert_null(begin, "%s: line %u: the block is not closed", path, open.line);
    return blocks;
}

// "# my/lib.yaml" on the first line names the file; else page and line do.
static const char *file_name(Arena *a, const Block *b)
{
    size_t n = strcspn(b->text, "\n");
    bool named = b->text[0] == '#' && n > 7 && strncmp(b->text + n - 5, ".yaml", 5) == 0;
    if (named) return str_slice(a, b->text + 2, n - 2);
    return str_printf(a, "%s-%u.yaml", b->page, b->line);
}

// The block as a file whose errors show the lines of the page; `head` goes before it.
static const char *write_block(Arena *a, const char *folder, const Block *b, const char *head)
{
    uint32_t lines = b->line;
    for (const char *p = head; *p; p++) lines -= *p == '\n';
    char *blank = arena_alloc(a, lines + 1);
    memset(blank, '\n', lines);
    return folder_write(a, folder, file_name(a, b), str_printf(a, "%s%s%s", head, blank, b->text));
}

// ---- expressions ------------------------------------------------------------------------------

// Keys whose values are words, texts or declarations.
static bool is_word_key(const char *key)
{
    static const char *const words[] = {
#define MAPPING(e, text)
#define KEY(mapping, key, kind, ...) K_##kind(key)
#define K_NAME(key) #key,
#define K_TEXT(key) #key,
#define K_NUMBER(key)
#define K_EXPR(key)
#define K_LIST(key)
#define K_MAP(key)
#define K_ANY(key)
#define K_LATER(key)
#include "frontend/keys.def"
#undef KEY
#undef MAPPING
        "member", "match", "source", "import", "series", "sets", "path",
        "parts",  "in",    "needs",  "rename", "names",  "let",  "crop"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], key) == 0) return true;
    return false;
}

// Parse every scalar that is an expression; returns how many there are.
static uint32_t parse_expressions(Arena *a, Diag *diag, const Tree *t)
{
    uint32_t n = 0;
    if (t->kind == TREE_SCALAR) return expr_parse(a, diag, t) ? 1 : 0;
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++)
        n += parse_expressions(a, diag, t->items.at[i]);
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        if (strchr(e->key->text, '(') && expr_parse(a, diag, e->key)) n++;
        if (!is_word_key(e->key->text)) n += parse_expressions(a, diag, e->value);
    }
    return n;
}

static uint32_t check_expressions(Arena *a, const char *name, const char *text)
{
    Diag *diag = diag_new(a);
    const Tree *t = tree_read(a, diag, diag_source(diag, name, text, strlen(text)));
    uint32_t n = t ? parse_expressions(a, diag, t) : 0;
    if (diag_errors(diag)) diag_print(diag, stderr);
    cr_expect(t && !diag_errors(diag), "%s", name);
    return n;
}

// ---- graphs and libraries ---------------------------------------------------------------------

static void check_graph(const char *path)
{
    Arena *a = arena_new();
    Diag *diag = diag_new(a);
    FrontendOptions o = {.lib_dir = LIB};
    Frontend *f = frontend_load(a, diag, path, &o);
    if (!f) diag_print(diag, stderr);
    cr_expect(f, "%s has errors", path);
    arena_free(a);
}

// Import library files (a list, "a, b") from a graph in the folder that does next to nothing.
static void check_library(Arena *a, const char *folder, const char *imports)
{
    static const char rest[] = "let: {batch: 2}\n"
                               "data: {source: none.tar, fields: {x: {as: array, shape: [3]}}}\n"
                               "params: {w: {shape: []}}\n"
                               "losses: {one: {loss: \"x[:, 0] * w\"}}\n"
                               "train: {steps: 1, optimizer: {module: sgd_of_test, lr: 1}}\n";
    static const char optimizer[] =
        "cztc: 1\noptimizers:\n  sgd_of_test:\n    in: {p: param, g: grad, lr: float}\n"
        "    update: {p: p - lr * g}\n";
    folder_write(a, folder, "sgd_of_test.yaml", optimizer);
    const char *text = str_printf(a, "cztc: 1\nimport: [%s, sgd_of_test]\n%s", imports, rest);
    check_graph(folder_write(a, folder, "importing.yaml", text));
}

static bool all_keys_are(const Tree *t, const char *const *keys)
{
    for (uint32_t i = 0; i < t->entries.n; i++) {
        const char *const *k = keys;
        while (*k && strcmp(*k, t->entries.at[i].key->text) != 0) k++;
        if (!*k) return false;
    }
    return t->kind == TREE_MAP && t->entries.n;
}

static const char *without_suffix(Arena *a, const char *name)
{
    return str_slice(a, name, strlen(name) - strlen(".yaml"));
}

static void check_file(Arena *a, const char *folder, const Block *b, const Tree *t)
{
    const char *path = write_block(a, folder, b, "");
    if (!tree_get(t, "train") && !tree_get(t, "extends")) {
        check_library(a, folder, without_suffix(a, file_name(a, b)));
        return;
    }
    Error err = {0};
    check_graph(path);
    cr_expect(steps_agree(&(Source){.path = path, .check = true}, &err), "%s", err.text);
}

static void check_yaml(Arena *a, const char *folder, const Block *b)
{
    static const char *const graph[] = {
        "data",     "encoders", "heads", "params",     "values", "experts", "losses",
        "train",    "eval",     "log",   "checkpoint", "check",  "init",    "ema",
        "teachers", "export",   "watch", "import+",    "shapes", "stats",   NULL};
    static const char *const library[] = {"constants",  "names",   "functions", "modules",
                                          "optimizers", "metrics", NULL};
    const char *name = str_printf(a, "%s:%u", b->page, b->line);
    check_expressions(a, name, b->text);
    Diag *diag = diag_new(a);
    const Tree *t = tree_read(a, diag, diag_source(diag, name, b->text, strlen(b->text)));
    if (!t) return; // reported
    if (tree_get(t, "cztc")) {
        check_file(a, folder, b, t);
    } else if (all_keys_are(t, graph)) {
        check_graph(write_block(a, folder, b, "cztc: 1\nextends: graphs/demo.yaml"));
    } else if (all_keys_are(t, library)) {
        write_block(a, folder, b, "cztc: 1");
        check_library(a, folder, without_suffix(a, file_name(a, b)));
    }
}

// ---- commands ---------------------------------------------------------------------------------

static void run_commands(Arena *a, const char *folder, const Block *b)
{
#ifdef CZT_PROGRAM
    const char *script = folder_write(a, folder, "commands.sh", b->text);
    const char *cache = str_printf(a, "%s/cache", folder);
    const char *command = str_printf(a, "cd %s && XDG_CACHE_HOME=%s sh -e %s >output.txt 2>&1",
                                     folder, cache, script);
    int status = system(command);
    const char *output = read_text(a, str_printf(a, "%s/output.txt", folder));
    cr_expect_eq(status, 0, "%s:%u ends with %d:\n%s", b->page, b->line, status, output);
#else
    (void)a, (void)folder, (void)b;
#endif
}

// A folder that looks like the source tree after a build.
static const char *tree_like_folder(Arena *a)
{
    const char *folder = folder_make(a);
    cr_assert_eq(symlink(CZT_SOURCE_DIR "/graphs", str_printf(a, "%s/graphs", folder)), 0);
#ifdef CZT_PROGRAM
    folder_write(a, folder, "build/made", "");
    cr_assert_eq(symlink(CZT_PROGRAM, str_printf(a, "%s/build/cztc", folder)), 0);
#endif
    return folder;
}

static uint32_t check_page(const char *path)
{
    Arena *a = arena_new();
    const char *folder = tree_like_folder(a);
    Blocks blocks = blocks_of(a, path);
    uint32_t checked = 0;
    for (uint32_t i = 0; i < blocks.n; i++) {
        const Block *b = &blocks.at[i];
        bool yaml = strcmp(b->info, "yaml") == 0, sh = strcmp(b->info, "sh") == 0;
        if (yaml) check_yaml(a, folder, b);
        if (sh) run_commands(a, folder, b);
        checked += yaml || sh;
    }
    folder_remove(folder);
    arena_free(a);
    return checked;
}

Test(docs, language)
{
    cr_assert_gt(check_page(CZT_SOURCE_DIR "/docs/language.md"), 5);
}
Test(docs, experts)
{
    cr_assert_gt(check_page(CZT_SOURCE_DIR "/docs/experts.md"), 5);
}
Test(docs, the_other_pages)
{
    glob_t g;
    cr_assert_eq(glob(CZT_SOURCE_DIR "/docs/*.md", 0, NULL, &g), 0);
    cr_assert_eq(glob(CZT_SOURCE_DIR "/README.md", GLOB_APPEND, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        const char *name = strrchr(g.gl_pathv[i], '/') + 1;
        if (strcmp(name, "language.md") != 0 && strcmp(name, "experts.md") != 0)
            check_page(g.gl_pathv[i]);
    }
    globfree(&g);
}

// ---- the library ------------------------------------------------------------------------------

// `cztc lib` shows these texts.
static void check_docs(Arena *a, const char *name, const char *text)
{
    static const char *const sections[] = {"modules", "optimizers", "metrics"};
    Diag *diag = diag_new(a);
    const Tree *t = tree_read(a, diag, diag_source(diag, name, text, strlen(text)));
    cr_assert(t);
    cr_expect(tree_get(t, "doc"), "%s has no doc", name);
    for (int k = 0; k < 3; k++) {
        const Tree *section = tree_get(t, sections[k]);
        for (uint32_t i = 0; section && i < section->entries.n; i++) {
            const TreeEntry *e = &section->entries.at[i];
            cr_expect(tree_get(e->value, "doc"), "%s: %s has no doc", name, e->key->text);
        }
    }
}

Test(docs, library_files)
{
    Arena *a = arena_new();
    const char *folder = folder_make(a), *imports = "";
    glob_t g;
    cr_assert_eq(glob(LIB "/*.yaml", 0, NULL, &g), 0);
    cr_assert_eq(glob(LIB "/*/*.yaml", GLOB_APPEND, NULL, &g), 0);
    cr_assert_gt(g.gl_pathc, 8);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        const char *name = without_suffix(a, g.gl_pathv[i] + strlen(LIB "/"));
        const char *text = read_text(a, g.gl_pathv[i]);
        cr_expect(check_expressions(a, name, text) > 1 || strstr(text, "\nnames:"));
        check_docs(a, name, text);
        imports = str_printf(a, "%s%s%s", imports, *imports ? ", " : "", name);
    }
    check_library(a, folder, imports);
    globfree(&g);
    folder_remove(folder);
    arena_free(a);
}

Test(docs, graph_files)
{
    Arena *a = arena_new();
    glob_t g;
    cr_assert_eq(glob(CZT_SOURCE_DIR "/graphs/*.yaml", 0, NULL, &g), 0);
    cr_assert_eq(glob(CZT_SOURCE_DIR "/graphs/bench/*.yaml", GLOB_APPEND, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        check_expressions(a, g.gl_pathv[i], read_text(a, g.gl_pathv[i]));
        check_graph(g.gl_pathv[i]);
    }
    globfree(&g);
    arena_free(a);
}
