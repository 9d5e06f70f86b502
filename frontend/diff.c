// Mappings are compared key by key; lists item by item, where they are equally long or one begins
// with the other; all else as a whole, by its text. `extends` itself is no change: what it does is.
#include "frontend/diff.h"

#include "frontend/elab.h"

// A value on one line. Two values with the same text mean the same: inside of others, texts that
// would be taken apart are quoted.
static const char *flow_part(Arena *arena, const Tree *t, bool inside)
{
    const char *text = t->kind == TREE_LIST ? "[" : "{", *before = "";
    if (t->kind == TREE_NULL) return "null";
    if (t->kind == TREE_SCALAR && inside && strpbrk(t->text, ",[]{}\""))
        return str_printf(arena, "'%s'", t->text);
    if (t->kind == TREE_SCALAR) return *t->text ? t->text : "''";
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++, before = ", ")
        text = str_printf(arena, "%s%s%s", text, before, flow_part(arena, t->items.at[i], true));
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++, before = ", ")
        text = str_printf(arena, "%s%s%s: %s", text, before, t->entries.at[i].key->text,
                          flow_part(arena, t->entries.at[i].value, true));
    return str_printf(arena, "%s%c", text, t->kind == TREE_LIST ? ']' : '}');
}

static const char *flow_text(Arena *arena, const Tree *t)
{
    return flow_part(arena, t, false);
}

static void compare(Arena *arena, const Tree *from, const Tree *to, const char *path,
                    GraphChanges *out);

static bool same(Arena *arena, const Tree *a, const Tree *b)
{
    return strcmp(flow_text(arena, a), flow_text(arena, b)) == 0;
}

static void compare_maps(Arena *arena, const Tree *from, const Tree *to, const char *path,
                         GraphChanges *out)
{
    const char *prefix = *path ? str_printf(arena, "%s.", path) : "";
    for (uint32_t i = 0; i < from->entries.n; i++) {
        const TreeEntry *e = &from->entries.at[i];
        compare(arena, e->value, tree_get(to, e->key->text),
                str_printf(arena, "%s%s", prefix, e->key->text), out);
    }
    for (uint32_t i = 0; i < to->entries.n; i++) {
        const TreeEntry *e = &to->entries.at[i];
        if (tree_get(from, e->key->text)) continue;
        compare(arena, NULL, e->value, str_printf(arena, "%s%s", prefix, e->key->text), out);
    }
}

// False where the lists are to be compared as a whole.
static bool compare_lists(Arena *arena, const Tree *from, const Tree *to, const char *path,
                          GraphChanges *out)
{
    uint32_t a = from->items.n, b = to->items.n, least = a < b ? a : b, most = a < b ? b : a;
    for (uint32_t i = 0; a != b && i < least; i++)
        if (!same(arena, from->items.at[i], to->items.at[i])) return false;
    for (uint32_t i = 0; i < most; i++)
        compare(arena, i < a ? from->items.at[i] : NULL, i < b ? to->items.at[i] : NULL,
                str_printf(arena, "%s[%u]", path, i), out);
    return true;
}

static void compare(Arena *arena, const Tree *from, const Tree *to, const char *path,
                    GraphChanges *out)
{
    if (strcmp(path, "extends") == 0) return;
    if (from && to && from->kind == TREE_MAP && to->kind == TREE_MAP) {
        compare_maps(arena, from, to, path, out);
        return;
    }
    if (from && to && from->kind == TREE_LIST && to->kind == TREE_LIST &&
        compare_lists(arena, from, to, path, out))
        return;
    if (from && to && same(arena, from, to)) return;
    vec_push(arena, out,
             (GraphChange){path, from ? flow_text(arena, from) : NULL,
                           to ? flow_text(arena, to) : NULL});
}

static const char *beside(Arena *arena, const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    if (!slash || *name == '/') return name;
    return str_printf(arena, "%.*s/%s", (int)(slash - path), path, name);
}

const char *graph_extends(Arena *arena, Diag *diag, const char *path)
{
    const Tree *t = tree_read_file(arena, diag, path, (Loc){0}, NULL);
    const Tree *extends = tree_get(t, "extends");
    return extends && extends->kind == TREE_SCALAR ? beside(arena, path, extends->text) : NULL;
}

bool graph_changes(Arena *arena, Diag *diag, const char *from, const char *to,
                   const FrontendOptions *options, GraphChanges *out)
{
    Elab el = {.arena = arena, .diag = diag, .options = options};
    const Tree *base = graph_read(&el, from);
    Tree *changed = base ? graph_read(&el, to) : NULL;
    bool ok = changed != NULL;
    for (uint32_t i = 0; ok && i < options->nset; i++) ok = set_apply(&el, changed, i);
    if (ok) compare(arena, base, changed, "", out);
    return ok;
}
