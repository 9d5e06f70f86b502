// Rows of values: that nothing reads. Names are evaluated when they are asked for, so an error in
// such a row would show only when somebody asks.
#include "frontend/unread.h"

static Binding *row_at(Elab *el, const Tree *values, uint32_t i)
{
    return map_get(&el->scope->names, values->entries.at[i].key->text);
}

void unread_note(Elab *el)
{
    const Tree *t = tree_get(el->root, "values");
    for (uint32_t i = 0; t && i < t->entries.n; i++) {
        const Binding *b = row_at(el, t, i);
        if (b && b->forced) map_set(el->arena, &el->read, b->name, NULL);
    }
}

bool unread_values(Elab *el)
{
    const Tree *t = tree_get(el->root, "values");
    for (uint32_t i = 0; t && i < t->entries.n; i++)
        if (!map_find(&el->read, t->entries.at[i].key->text)) return true;
    return false;
}

void unread_force(Elab *el)
{
    const Tree *t = tree_get(el->root, "values");
    for (uint32_t i = 0; i < t->entries.n; i++) {
        Binding *b = row_at(el, t, i);
        if (b && !map_find(&el->read, b->name)) binding_force(el, b);
    }
}
