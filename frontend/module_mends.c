// Which module is meant where one is named that is none, or none at all.
#include "frontend/rewrite.h"

typedef VEC(const char *) Names;

static void add_name(Elab *el, Names *to, const char *name, ModuleRole role, const Tree *map)
{
    const Binding *b = map_get(&el->defs, name);
    if (!b || b->value.kind != V_MODULE || b->value.module->role != role) return;
    const ModuleDef *def = b->value.module;
    for (uint32_t i = 0; i < to->n; i++)
        if (strcmp(to->at[i], name) == 0) return;
    for (uint32_t i = 0; map && map->kind == TREE_MAP && i < map->entries.n; i++) {
        const char *key = map->entries.at[i].key->text;
        bool taken = keys_reserved(MAPPING_TEACHER, key) || keys_reserved(MAPPING_INSTANCE, key) ||
                     decl_find(&def->in, key) || decl_find(&def->let, key);
        if (!taken) return;
    }
    vec_push(el->arena, to, name);
}

// What the graph names under module: in its sections, then what is imported.
static void add_names(Elab *el, Names *to, ModuleRole role, const Tree *map)
{
    static const char *const sections[] = {"teachers", "encoders", "heads"};
    for (size_t k = 0; k < sizeof sections / sizeof *sections; k++) {
        const Tree *t = tree_get(el->root, sections[k]);
        for (uint32_t i = 0; t && i < t->entries.n; i++) {
            const Tree *name = tree_get(t->entries.at[i].value, "module");
            if (name && name->kind == TREE_SCALAR) add_name(el, to, name->text, role, map);
        }
    }
    for (uint32_t i = 0; i < el->defs.n; i++) add_name(el, to, el->defs.at[i].key, role, map);
}

static Choice module_choice(Elab *el, const TreeEntry *e, const Tree *at, const char *name)
{
    const Tree *map = e->value;
    if (at) return instead(el, at, name);
    if (map->kind == TREE_MAP) return with_entry(el, map, "module", name);
    const char *said = str_printf(el->arena, "{module: %s}", name);
    const uint32_t end = e->key->loc.end + 1; // behind the colon
    if (map->kind != TREE_NULL || !is_users(el, e->key->loc)) return instead(el, map, said);
    return (Choice){{e->key->loc.source, end, end},
                    str_printf(el->arena, " %s", said),
                    str_printf(el->arena, "write %s", said)};
}

void suggest_modules(Elab *el, const TreeEntry *e, ModuleRole role, const Tree *at)
{
    Names names = {0};
    add_names(el, &names, role, e->value);
    if (names.n < 2) add_names(el, &names, role, NULL); // then its keys are wrong too
    if (names.n)
        suggest_choices(el, module_choice(el, e, at, names.at[0]),
                        names.n > 1 ? module_choice(el, e, at, names.at[1])
                                    : (Choice){.text = NULL});
}
