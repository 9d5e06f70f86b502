// Parts that the graph names and that have no parameters in the program: tasks that are off, and
// encoders, heads and parameters that nothing reads. A file of weights may have theirs.
#include "frontend/elab.h"
#include "frontend/json.h"

static bool has_parameters(const Elab *el, const char *path)
{
    size_t n = strlen(path);
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        const char *name = el->program->states.at[i].name;
        if (strncmp(name, path, n) == 0 && (!name[n] || name[n] == '.')) return true;
    }
    return false;
}

static void add(Elab *el, Map *off, const char *path)
{
    if (*path && !has_parameters(el, path)) map_set(el->arena, off, path, el);
}

static void add_section(Elab *el, Map *off, const char *section)
{
    const Tree *t = tree_get(el->root, section);
    for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        const Tree *path = tree_get(e->value, "path");
        add(el, off, path && path->kind == TREE_SCALAR ? path->text : e->key->text);
    }
}

void put_off(Elab *el, Json *j)
{
    static const char *const sections[] = {"encoders", "heads", "params"};
    Map off = {0};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        add_section(el, &off, sections[i]);
    for (uint32_t i = 0; i < el->tasks.n; i++)
        add(el, &off, ((const Task *)el->tasks.at[i].value)->frame->path);
    if (!off.n) return;
    json_open(j, "off", '[');
    for (uint32_t i = 0; i < off.n; i++) json_str(j, NULL, off.at[i].key);
    json_close(j, ']');
}
