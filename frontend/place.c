// Places of entries and items, with what goes with them, so that they can be taken away or added.
// They are found in the source's text, as a tree knows no lines.
#include "frontend/mend.h"

#include "frontend/tree_text.h"

static bool text_of(const Elab *el, uint32_t source, TreeText *t)
{
    *t = (TreeText){.arena = el->arena, .diag = el->diag, .source = source};
    t->text = diag_source_text(el->diag, source, &t->size);
    return t->text && is_users(el, loc_in(source, 0, 0));
}

static Loc place_of(const TreeText *t, EntrySpan span)
{
    return tree_text_loc(t, span.begin, span.end);
}

static bool is_flow(const TreeText *t, const Tree *x)
{
    return x->loc.source == t->source && x->loc.begin < t->size &&
           (t->text[x->loc.begin] == '{' || t->text[x->loc.begin] == '[');
}

// The same of the mapping that a key stands in, of which another file may have the beginning.
static bool in_flow(const TreeText *t, const Tree *map, Loc key)
{
    size_t at = key.begin;
    if (map->loc.source == key.source) return is_flow(t, map);
    while (at && strchr(" \n\"'", t->text[at - 1])) at--;
    return at && strchr("{,", t->text[at - 1]);
}

// Behind the last line of what begins at `begin` in block style: deeper lines belong to it, and
// the items of its list.
static size_t block_end(const TreeText *t, size_t begin, const Tree *value)
{
    Line l = line_at(t, begin);
    const size_t column = begin - l.begin;
    const bool here = value->loc.source == t->source && value->loc.begin >= begin;
    size_t end = l.end;
    while (line_behind(t, &l)) {
        const bool item = value->kind == TREE_LIST && t->text[l.text] == '-';
        const bool inside = here && l.begin < value->loc.end;
        if (!inside && line_indent(&l) + item <= column) break;
        end = l.end;
    }
    return end;
}

// Behind a value of flow style, which may be an alias or nothing.
static size_t flow_end(const TreeText *t, size_t begin, const Tree *value)
{
    const bool here = value->loc.source == t->source && value->loc.begin >= begin;
    if (here && value->loc.end > begin) return value->loc.end;
    while (begin < t->size && !strchr(",]}\n", t->text[begin])) begin++;
    return begin;
}

Loc entry_place(const Elab *el, const Tree *map, uint32_t i)
{
    const TreeEntry *e = &map->entries.at[i];
    const Loc key = e->key->loc;
    TreeText t;
    if (!text_of(el, key.source, &t)) return (Loc){0};
    if (in_flow(&t, map, key))
        return place_of(&t,
                        span_comma(&t, (EntrySpan){key.begin, flow_end(&t, key.end, e->value)}));
    return place_of(&t, span_lines(&t, (EntrySpan){key.begin, block_end(&t, key.begin, e->value)}));
}

Loc item_place(const Elab *el, const Tree *list, uint32_t i)
{
    const Tree *x = list->items.at[i];
    TreeText t;
    if (list->loc.source != x->loc.source || !text_of(el, x->loc.source, &t)) return (Loc){0};
    if (is_flow(&t, list))
        return place_of(&t,
                        span_comma(&t, (EntrySpan){x->loc.begin, flow_end(&t, x->loc.begin, x)}));
    const Line l = line_at(&t, x->loc.begin);
    return place_of(&t, span_lines(&t, (EntrySpan){l.text, block_end(&t, l.text, x)}));
}

Loc line_place(const Elab *el, Loc at)
{
    TreeText t;
    if (!text_of(el, at.source, &t)) return (Loc){0};
    const Line l = line_at(&t, at.begin);
    return tree_text_loc(&t, l.begin, l.next);
}

const Tree *parent_map(const Tree *root, const Tree *value, uint32_t *i)
{
    const Tree *found = NULL;
    for (uint32_t k = 0; !found && k < root->entries.n; k++) {
        if (root->entries.at[k].value == value) {
            *i = k;
            return root;
        }
        found = parent_map(root->entries.at[k].value, value, i);
    }
    for (uint32_t k = 0; !found && k < root->items.n; k++)
        found = parent_map(root->items.at[k], value, i);
    return found;
}

Loc entry_added(Elab *el, const Tree *map, const char *key, const char *value, const char **text)
{
    TreeText t;
    if (map->kind != TREE_MAP || !text_of(el, map->loc.source, &t)) return (Loc){0};
    if (is_flow(&t, map)) {
        const size_t at = map->loc.begin + 1;
        *text = str_printf(el->arena, "%s: %s%s", key, value, map->entries.n ? ", " : "");
        return tree_text_loc(&t, at, at);
    }
    uint32_t last = map->entries.n;
    while (last && map->entries.at[last - 1].key->loc.source != t.source) last--;
    if (!last) { // none of its own is left: before the first that was written
        const size_t begin = map->loc.begin;
        *text = str_printf(el->arena, "%s: %s\n%*s", key, value,
                           (int)(begin - line_at(&t, begin).begin), "");
        return tree_text_loc(&t, begin, begin);
    }
    const TreeEntry *e = &map->entries.at[last - 1]; // behind the last of the file's own
    const size_t begin = e->key->loc.begin, column = begin - line_at(&t, begin).begin;
    const Line l = line_at(&t, block_end(&t, begin, e->value));
    *text = str_printf(el->arena, "%s%*s%s: %s\n",
                       l.next > l.begin && t.text[l.next - 1] == '\n' ? "" : "\n", (int)column, "",
                       key, value);
    return tree_text_loc(&t, l.next, l.next);
}

bool is_inherited(const Elab *el, Loc at)
{
    for (uint32_t i = 0; i < el->bases.n; i++)
        if (el->bases.at[i] == at.source) return true;
    return false;
}

Loc entry_left_out(Elab *el, const Tree *map, uint32_t i, const char **text, const char **said)
{
    const Tree *key = map->entries.at[i].key;
    *text = "";
    *said = str_printf(el->arena, "'%s'", key->text);
    if (!is_inherited(el, key->loc)) return entry_place(el, map, i);
    const char *name = key->text, *value = "null";
    for (; is_inherited(el, map->loc); name = map->entries.at[i].key->text) {
        map = parent_map(el->root, map, &i);
        if (!map) return (Loc){0};
        value = str_printf(el->arena, "{%s: %s}", name, value);
    }
    *said = str_printf(el->arena, "%s: %s", name, value);
    return entry_added(el, map, name, value, text);
}

// ---- guesses ----------------------------------------------------------------------------------

void guess_without(Elab *el, const Tree *map, const char *key)
{
    for (uint32_t i = 0; map && i < map->entries.n; i++)
        if (strcmp(map->entries.at[i].key->text, key) == 0) {
            const char *text, *said;
            const Loc at = entry_left_out(el, map, i, &text, &said);
            if (at.source) guess_add(el, at, text, said);
        }
}

void guess_without_item(Elab *el, const Tree *list, uint32_t i, const char *said)
{
    const Loc at = item_place(el, list, i);
    if (at.source && list->items.n > 1) guess_add(el, at, "", said);
}

void guess_added(Elab *el, const Tree *map, const char *key, const char *value)
{
    const char *text;
    const Loc at = map ? entry_added(el, map, key, value, &text) : (Loc){0};
    if (at.source) guess_add(el, at, text, str_printf(el->arena, "%s: %s", key, value));
}
