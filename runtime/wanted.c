// A tensor belongs to a view by its name and to a field by what stands before the dot.
#include "runtime/wanted.h"

#include <string.h>

static bool is_of(const char *tensor, const char *item)
{
    size_t n = strlen(item);
    return strncmp(tensor, item, n) == 0 && (!tensor[n] || tensor[n] == '.');
}

static bool has_part(const Names *tensors, const char *item)
{
    bool found = !tensors;
    for (uint32_t i = 0; !found && i < tensors->n; i++) found = is_of(tensors->at[i], item);
    return found;
}

Wanted *wanted_of(Arena *arena, const DataSpec *spec, const Names *tensors)
{
    Wanted *w = arena_make(arena, Wanted);
    bool *views = arena_array(arena, bool, spec->nviews + 1);
    bool *fields = arena_array(arena, bool, spec->nfields + 1);
    for (uint32_t i = 0; i < spec->nviews; i++) views[i] = has_part(tensors, spec->views[i].name);
    for (uint32_t i = 0; i < spec->nfields; i++) {
        const FieldSpec *f = &spec->fields[i];
        fields[i] = has_part(tensors, f->name);
        if (fields[i] && f->follow >= 0) views[f->follow] = true;
    }
    *w = (Wanted){views, fields};
    return w;
}

bool wanted_same(const DataSpec *spec, const Wanted *a, const Wanted *b)
{
    return memcmp(a->views, b->views, spec->nviews * sizeof *a->views) == 0 &&
           memcmp(a->fields, b->fields, spec->nfields * sizeof *a->fields) == 0;
}
