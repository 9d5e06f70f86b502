// YAML of any bytes: no crash, an error where there is no tree, and places that lie in the source
// in order.
#include "frontend/expr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) abort();
}

static void check_scalar(const Tree *t, size_t size)
{
    size_t n = strlen(t->text);
    for (size_t i = 0; i <= n; i++)
        check(t->place[i] <= size && (!i || t->place[i] >= t->place[i - 1]));
    check(!n || t->place[0] >= t->loc.begin);
}

static void check_tree(Arena *arena, Diag *diag, const Tree *t, size_t size, uint32_t *left)
{
    if (!*left) return;
    --*left;
    check(t->loc.begin <= t->loc.end && t->loc.end <= size + 1);
    switch (t->kind) {
    case TREE_NULL:
        break;
    case TREE_SCALAR:
        check_scalar(t, size);
        expr_parse(arena, diag, t);
        break;
    case TREE_LIST:
        for (uint32_t i = 0; i < t->items.n; i++)
            check_tree(arena, diag, t->items.at[i], size, left);
        break;
    case TREE_MAP:
        for (uint32_t i = 0; i < t->entries.n; i++) {
            check_scalar(t->entries.at[i].key, size);
            check(tree_get(t, t->entries.at[i].key->text) == t->entries.at[i].value);
            check_tree(arena, diag, t->entries.at[i].value, size, left);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    char *text = arena_copy(arena, data, size);
    const Tree *t = tree_read(arena, diag, diag_source(diag, "f.yaml", text, size));
    uint32_t left = 10000; // aliases may stand for many
    if (t)
        check_tree(arena, diag, t, size, &left);
    else
        check(diag_errors(diag) > 0);
    char *out;
    size_t n;
    FILE *f = open_memstream(&out, &n);
    diag_print(diag, f);
    fclose(f);
    free(out);
    arena_free(arena);
    return 0;
}
