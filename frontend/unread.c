// What nothing reads: rows of values: and params:, and `decode` of tasks. Names are evaluated when
// they are asked for, so an error in one of these would show only when somebody asks.
#include "frontend/unread.h"

// The names of a section that are no build's; calls fn for each, where fn is given. How many.
static uint32_t each_row(Elab *el, const char *section, bool (*fn)(Elab *, Binding *))
{
    const Tree *t = tree_get(el->root, section);
    uint32_t n = 0;
    for (uint32_t i = 0; t && i < t->entries.n; i++) {
        Binding *b = map_get(&el->scope->names, t->entries.at[i].key->text);
        if (b) n += fn(el, b);
    }
    return n;
}

static bool note(Elab *el, Binding *b)
{
    return b->forced && map_set(el->arena, &el->read, b->name, NULL);
}

static bool is_unread(Elab *el, Binding *b)
{
    return !map_find(&el->read, b->name);
}

static bool force(Elab *el, Binding *b)
{
    if (is_unread(el, b)) binding_force(el, b);
    return true;
}

// The tasks that say how their answers are read; calls task_member for each, where `force` is.
static uint32_t each_decode(Elab *el, bool read)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        Task *t = el->tasks.at[i].value;
        const TreeEntry *e = t->on ? tree_entry(t->tree, "decode") : NULL;
        if (e && read) task_member(el, t, "decoded", e->key->loc);
        n += e != NULL;
    }
    return n;
}

void unread_note(Elab *el)
{
    each_row(el, "values", note);
    each_row(el, "params", note);
}

bool unread_any(Elab *el)
{
    return each_row(el, "values", is_unread) || each_row(el, "params", is_unread) ||
           each_decode(el, false);
}

void unread_force(Elab *el)
{
    each_row(el, "values", force);
    each_row(el, "params", force);
    each_decode(el, true);
}
