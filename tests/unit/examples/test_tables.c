// docs/language.md against the tables it describes: every key and every built-in function has its
// row, word for word.
#include "base/arena.h"
#include "base/file.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct Row {
    const char *mapping, *key, *kind, *def, *doc;
} Row;

static const Row keys[] = {
#define MAPPING(e, text)
#define KEY(mapping, key, kind, required, def, doc)                                                \
    {#mapping, #key, #kind, (required) ? "required" : (def), doc},
#include "frontend/keys.def"
#undef KEY
#undef MAPPING
};

static const struct {
    const char *id, *text;
} mappings[] = {
#define MAPPING(e, text) {#e, text},
#define KEY(...)
#include "frontend/keys.def"
#undef KEY
#undef MAPPING
};

static const struct {
    const char *name, *signature, *doc;
} builtins[] = {
#define BUILTIN(name, run, op, signature, doc) {#name, signature, doc},
#include "frontend/builtin.def"
#undef BUILTIN
};

static const char *page(Arena *a)
{
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, CZT_SOURCE_DIR "/docs/language.md", &err), "%s", err.text);
    const char *text = str_slice(a, (const char *)map.data, map.size);
    file_unmap(&map);
    return text;
}

// A table's cells have their bars escaped.
static const char *cell(Arena *a, const char *text)
{
    char *out = arena_alloc(a, 2 * strlen(text) + 1), *p = out;
    for (; *text; text++) {
        if (*text == '|') *p++ = '\\';
        *p++ = *text;
    }
    return out;
}

// The text under "### Keys of a graph file", up to the next heading.
static const char *section(Arena *a, const char *text, const char *title)
{
    const char *heading = str_printf(a, "\n### Keys of %s\n", title);
    const char *begin = strstr(text, heading);
    cr_assert(begin, "docs/language.md has no heading%s", heading);
    begin += strlen(heading);
    const char *end = strstr(begin, "\n#");
    return end ? str_slice(a, begin, (size_t)(end - begin) + 1) : begin;
}

static const char *kind_text(const char *kind)
{
    static const char *const texts[][2] = {
        {"NAME", "word"}, {"TEXT", "text"},   {"NUMBER", "number"},          {"EXPR", "expression"},
        {"LIST", "list"}, {"MAP", "mapping"}, {"ANY", "as its meaning says"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i][0], kind) == 0) return texts[i][1];
    return kind;
}

Test(tables, every_key_has_its_row)
{
    Arena *a = arena_new();
    const char *text = page(a);
    for (size_t m = 0; m < sizeof mappings / sizeof *mappings; m++) {
        const char *part = section(a, text, mappings[m].text);
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            const Row *k = &keys[i];
            if (strcmp(k->mapping, mappings[m].id) != 0) continue;
            const char *row =
                strcmp(k->kind, "LATER") == 0
                    ? str_printf(a, "| `%s` | not supported yet | | %s |\n", k->key, k->doc)
                    : str_printf(a, "| `%s` | %s | %s | %s |\n", k->key, kind_text(k->kind),
                                 cell(a, k->def), cell(a, k->doc));
            cr_expect(strstr(part, row), "under 'Keys of %s' there is no row\n%s", mappings[m].text,
                      row);
        }
    }
    arena_free(a);
}

Test(tables, every_function_has_its_row)
{
    Arena *a = arena_new();
    const char *text = page(a);
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++) {
        const char *row = str_printf(a, "| `%s(%s)` | %s |\n", builtins[i].name,
                                     cell(a, builtins[i].signature), cell(a, builtins[i].doc));
        cr_expect(strstr(text, row), "docs/language.md has no row\n%s", row);
    }
    arena_free(a);
}
