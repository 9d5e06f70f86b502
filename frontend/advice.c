// Guesses (see trial.c) for a value that a key has: what is usual there, its default, no such entry
// at all; and for a name that nothing has.
#include "frontend/advice.h"

#include <ctype.h>
#include <stdlib.h>

// ---- places -----------------------------------------------------------------------------------

static bool is_word_part(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

// The key or argument whose value begins in a place; "" where there is none before it.
static const char *key_before(Elab *el, const char *s, uint32_t i)
{
    if (i && strchr("\"'", s[i - 1])) i--;
    while (i && s[i - 1] == ' ') i--;
    if (!i || !strchr(":=", s[i - 1])) return "";
    uint32_t end = i - 1, begin = end;
    while (begin && is_word_part(s[begin - 1])) begin--;
    return str_slice(el->arena, s + begin, end - begin);
}

static const char *text_of(Elab *el, Loc at)
{
    size_t size;
    const char *s = diag_source_text(el->diag, at.source, &size);
    return s && at.begin < at.end && at.end <= size
               ? str_slice(el->arena, s + at.begin, at.end - at.begin)
               : "";
}

uint32_t tree_end(const Tree *t)
{
    uint32_t end = t->loc.end;
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++)
        if (tree_end(t->items.at[i]) > end) end = tree_end(t->items.at[i]);
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        if (e->key->loc.end > end) end = e->key->loc.end;
        if (tree_end(e->value) > end) end = tree_end(e->value);
    }
    return end;
}

// The innermost entry that a place is in; `many`: of mappings with others beside it.
static const Tree *entry_at(const Tree *t, Loc at, bool many, uint32_t *number)
{
    const Tree *found = NULL;
    for (uint32_t i = 0; !found && t->kind == TREE_LIST && i < t->items.n; i++)
        found = entry_at(t->items.at[i], at, many, number);
    for (uint32_t i = 0; !found && t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        const Loc key = e->key->loc;
        if (key.source != at.source || at.begin < key.begin || at.end > tree_end(e->value) + 1)
            continue;
        if ((found = entry_at(e->value, at, many, number))) return found;
        if (many && t->entries.n == 1) continue;
        *number = i;
        return t;
    }
    return found;
}

// ---- values -----------------------------------------------------------------------------------

static void guess_written(Elab *el, Loc at, const char *text)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    text = quoted(el, at, text);
    guess_add(el, at, text, with_key(el, s, at, text));
}

static void guess_for_key(Elab *el, Loc at, const char *key)
{
    static const char *const numbers[] = {"1", "2", "8", "64"};
    char *end;
    const char *old = text_of(el, at);
    double x = strtod(old, &end);
    if (!*old) return;
    if (x < 0 && !*end) guess_written(el, at, str_printf(el->arena, "%.10g", -x));
    for (int i = 0; i < 2 && usual_value(key, i); i++) guess_written(el, at, usual_value(key, i));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) guess_written(el, at, numbers[i]);
}

void guess_usual(Elab *el, Loc at)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    if (s) guess_for_key(el, at, key_before(el, s, at.begin));
}

Loc constant_place(Elab *el, Loc at)
{
    const Binding *b = map_get(&el->scope->names, text_of(el, at));
    if (b && b->tree && b->tree->kind == TREE_SCALAR) return b->tree->loc;
    return b && b->expr ? b->expr->loc : (Loc){0};
}

// What a module's setting is where nobody says it.
static void guess_default(Elab *el, Loc at)
{
    uint32_t i;
    const Tree *map = entry_at(el->root, at, false, &i),
               *name = map ? tree_get(map, "module") : NULL;
    const Binding *b = name && name->kind == TREE_SCALAR ? map_get(&el->defs, name->text) : NULL;
    if (!b || b->value.kind != V_MODULE) return;
    const ModuleDef *def = b->value.module;
    const char *key = map->entries.at[i].key->text;
    const Decl *d = decl_find(&def->in, key);
    if (!d) d = decl_find(&def->let, key);
    if (!d || (!d->def && !d->def_tree)) return;
    guess_written(el, map->entries.at[i].value->loc,
                  text_of(el, d->def_tree ? d->def_tree->loc : d->def->loc));
    guess_without(el, at);
}

void guess_blamed(Elab *el, Loc at)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    if (!s || !is_users(el, at) || !el->scope) return;
    const char *key = key_before(el, s, at.begin);
    Loc constant = constant_place(el, at);
    el->late = true;
    if (constant.source)
        guess_for_key(el, constant, key);
    else if (*key && usual_value(key, 0))
        guess_for_key(el, at, key);
    guess_default(el, at);
    el->late = false;
}

// ---- entries ----------------------------------------------------------------------------------

void guess_without(Elab *el, Loc at)
{
    uint32_t i;
    size_t size;
    const char *s = diag_source_text(el->diag, at.source, &size);
    const Tree *map = s ? entry_at(el->root, at, true, &i) : NULL;
    if (!map) return;
    guess_add(el, entry_place(map, i, s, size), "",
              str_printf(el->arena, "'%s'", map->entries.at[i].key->text));
}

// An entry before the first of a mapping.
static void guess_first(Elab *el, const Tree *map, const char *entry, const char *said)
{
    size_t size;
    const char *s = diag_source_text(el->diag, map->loc.source, &size);
    if (!s || map->kind != TREE_MAP || !map->entries.n) return;
    Loc at = map->entries.at[0].key->loc;
    uint32_t line = at.end = at.begin;
    while (line && s[line - 1] != '\n') line--;
    bool flow = s[map->loc.begin] == '{';
    guess_add(el, at,
              flow ? str_printf(el->arena, "%s, ", entry)
                   : str_printf(el->arena, "%s\n%*s", entry, (int)(at.begin - line), ""),
              said);
}

// let: {name: value} in a graph's file or in a module's mapping.
static void guess_let(Elab *el, const Tree *map, const char *name, const char *value)
{
    const char *entry = str_printf(el->arena, "%s: %s", name, value),
               *whole = str_printf(el->arena, "let: {%s}", entry);
    const Tree *let = tree_get(map, "let"), *version = tree_get(map, "cztc");
    if (let && let->kind == TREE_MAP && let->entries.n)
        guess_first(el, let, entry, whole);
    else if (!let && version)
        guess_add(el, (Loc){version->loc.source, version->loc.end, version->loc.end},
                  str_printf(el->arena, "\n%s", whole), whole);
    else if (!let)
        guess_first(el, map, whole, whole);
}

// The mapping of the file's own that may have a let: for a place: the graph, or the module.
static const Tree *let_owner(const Elab *el, Loc at)
{
    if (at.source == el->root->loc.source) return el->root;
    for (const Frame *f = el->frame; f; f = f->parent)
        if (f->instance && f->instance->def->loc.source == at.source) return f->instance->def->tree;
    return NULL;
}

void guess_definition(Elab *el, const char *name, Loc at)
{
    static const char *const numbers[] = {"1", "2", "8"};
    size_t size;
    const char *s = diag_source_text(el->diag, at.source, &size), *values[6];
    if (!s || at.end >= size || s[at.end] == '(' || !is_users(el, at)) return;
    const char *key = key_before(el, s, at.begin);
    if (strcmp(key, "module") == 0 || strcmp(key, "kind") == 0) return;
    const Tree *owner = let_owner(el, at);
    const Binding *b = map_get(&el->scope->names, name);
    uint32_t n = 0;
    double x;
    if (b && value_number(b->value, &x)) values[n++] = str_printf(el->arena, "%.10g", x);
    for (int i = 0; i < 2; i++)
        if (usual_value(name, i) || usual_value(key, i))
            values[n++] = usual_value(usual_value(name, i) ? name : key, i);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) values[n++] = numbers[i];
    for (uint32_t i = 0; i < n; i++) {
        if (owner) guess_let(el, owner, name, values[i]);
        guess_written(el, at, values[i]);
    }
}
