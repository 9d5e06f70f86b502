// A list of mappings where a mapping of names is wanted, as other tools write it: each item is one
// entry, by its only key or by its name.
#include "frontend/guess.h"
#include "frontend/mend.h"

#include "frontend/tree_text.h"

// How the first line of an item begins as an entry.
typedef struct Head {
    size_t dash, key; // where these begin
    const char *text; // in the place of what is from there
    size_t to;        // up to here
} Head;

static bool by_name(const TreeEntry *e)
{
    const char *key = e->key->text;
    return e->value->kind == TREE_SCALAR && (!strcmp(key, "name") || !strcmp(key, "id"));
}

// "- seg:" with its keys below or beside it, "- name: seg", "- seg: {..}".
static bool head_of(const TreeText *t, const Tree *item, Head *h)
{
    if (item->kind != TREE_MAP || !item->entries.n || item->loc.source != t->source) return false;
    const TreeEntry *e = &item->entries.at[0];
    const size_t begin = item->loc.begin;
    const Line l = line_at(t, begin);
    if (t->text[l.text] != '-' || l.text >= begin || t->text[begin] == '{') return false;
    *h = (Head){.dash = l.text, .to = begin, .text = ""};
    if (item->entries.n == 1 || e->value->kind == TREE_NULL) return true;
    if (!by_name(e)) return false;
    h->text = str_printf(t->arena, "%s:", e->value->text);
    h->to = e->value->loc.end;
    return true;
}

// The entry that an item is.
static TreeEntry entry_of(Arena *arena, const Tree *item)
{
    TreeEntry e = item->entries.at[0];
    if (item->entries.n == 1) return e;
    if (by_name(&e)) e.key = e.value;
    e.value = arena_make(arena, Tree);
    *e.value = (Tree){.kind = TREE_MAP, .loc = item->entries.at[1].key->loc};
    for (uint32_t i = 1; i < item->entries.n; i++)
        vec_push(arena, &e.value->entries, item->entries.at[i]);
    return e;
}

// The lines of items as those of entries, under a key in a column; *at: their place. NULL where
// they are none.
static const char *entries_text(Elab *el, const TreeText *t, const Tree *list, size_t column,
                                Loc *at)
{
    const char *out = "";
    for (uint32_t i = 0; i < list->items.n; i++) {
        Head h;
        if (!head_of(t, list->items.at[i], &h)) return NULL;
        const Line l = line_at(t, h.dash);
        const Loc lines = item_place(el, list, i);
        const size_t from = l.text - l.begin, to = from > column ? from : column + 2;
        if (!lines.source) return NULL;
        if (!i) at->begin = (uint32_t)l.begin;
        const char *between = i ? tree_slice(t, at->end, l.begin) : ""; // as comments
        at->end = lines.end;
        out = str_printf(t->arena, "%s%s%*s%s%.*s%s", out, between, (int)to, "", h.text,
                         (int)(l.next - h.to), t->text + h.to,
                         tree_indented(t, l.next, at->end, from, to));
    }
    return out;
}

bool list_as_mapping(Elab *el, TreeEntry *e)
{
    const Tree *list = e->value;
    TreeText t = {.arena = el->arena, .diag = el->diag, .source = list->loc.source};
    t.text = diag_source_text(el->diag, t.source, &t.size);
    if (!t.text || !list->items.n || !is_users(el, list->loc)) return false;
    if (e->key->loc.source != t.source) return false;
    const Line section = line_at(&t, e->key->loc.begin);
    Loc at = {.source = t.source};
    const char *text = entries_text(el, &t, list, section.text - section.begin, &at), *names = "";
    if (!text) return false;
    Tree *map = arena_make(el->arena, Tree);
    *map = (Tree){.kind = TREE_MAP, .loc = list->loc};
    for (uint32_t i = 0; i < list->items.n; i++) {
        const TreeEntry entry = entry_of(el->arena, list->items.at[i]);
        const char *name = entry.key->text;
        if (tree_get(map, name)) return false;
        vec_push(el->arena, &map->entries, entry);
        if (i < 2) names = str_printf(el->arena, "%s%s%s:", names, i ? ", " : "", name);
    }
    if (list->items.n > 2) names = str_printf(el->arena, "%s ..", names);
    diag_help(el->diag, "write %s without '-'", names);
    diag_mend(el->diag, at, text);
    e->value = map;
    return true;
}
