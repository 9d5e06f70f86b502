// Expressions of any bytes: no crash; an error where there is no tree; the canonical text parses to
// itself.
#include "frontend/expr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) abort();
}

static const Tree *scalar(Arena *arena, Diag *diag, const char *text)
{
    size_t n = strlen(text);
    Tree *t = arena_make(arena, Tree);
    uint32_t *place = arena_array(arena, uint32_t, n + 1);
    for (size_t i = 0; i <= n; i++) place[i] = (uint32_t)i;
    *t = (Tree){.kind = TREE_SCALAR, .text = text, .place = place};
    t->loc = loc_in(diag_source(diag, "expression", text, n), 0, (uint32_t)n);
    return t;
}

static uint32_t check_expr(const Expr *e, size_t size)
{
    uint32_t deepest = 0;
    check(e->loc.begin <= e->loc.end && e->loc.end <= size && e->at.end <= size);
    for (uint32_t i = 0; i < e->nargs; i++) {
        uint32_t depth = e->args[i] ? check_expr(e->args[i], size) : 0;
        if (depth > deepest) deepest = depth;
    }
    return deepest + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (memchr(data, '\0', size)) return 0;
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const char *text = str_slice(arena, (const char *)data, size);
    const Expr *e = expr_parse(arena, diag, scalar(arena, diag, text));
    check((e == NULL) == (diag_errors(diag) > 0));
    if (e) {
        check(check_expr(e, size) <= 201);
        const char *canonical = expr_text(arena, e);
        const Expr *again = expr_parse(arena, diag, scalar(arena, diag, canonical));
        check(again && strcmp(expr_text(arena, again), canonical) == 0);
    }
    arena_free(arena);
    return 0;
}
