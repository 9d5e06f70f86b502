// Files that are part of the program, by name.
#include "runner/assets.h"

#include "base/diag.h"

#include <string.h>

const Asset *assets_find(const char *name)
{
    for (const Asset *a = assets; a->name; a++)
        if (strcmp(a->name, name) == 0) return a;
    bug("no asset %s", name);
}

size_t asset_size(const Asset *a)
{
    return (size_t)(a->end - a->data);
}
