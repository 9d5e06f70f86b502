// Library files looked at without a graph that uses what they define: every definition is read,
// every expression parsed, and names that nothing defines are reported, as far as that can be known
// without shapes. Which members a value has is not.
#include "frontend/unread.h"

// Names that are seen in a place; those around it are the parent's.
typedef struct Names {
    const struct Names *parent;
    bool any; // whatever a module that is not known here gives
    Map map;
} Names;

static void add(Elab *el, Names *n, const char *name)
{
    map_set(el->arena, &n->map, name, NULL);
}

// "q, k, v" are several.
static void add_items(Elab *el, Names *n, const Items *items)
{
    for (uint32_t i = 0; i < items->n; i++)
        for (const char *p = items->at[i].name; *p;) {
            p += strspn(p, " ,");
            size_t size = strcspn(p, " ,");
            if (size) add(el, n, str_slice(el->arena, p, size));
            p += size;
        }
}

static bool is_local(const Names *n, const char *name)
{
    for (; n; n = n->parent)
        if (n->any || map_find(&n->map, name)) return true;
    return false;
}

static void unknown(Elab *el, const Names *n, const char *name, Loc loc)
{
    el_error(el, loc, "there is no '%s' here", name);
    if (suggest_import(el, name)) return;
    const char *best = nearest_key(&el->defs, name, NULL);
    for (; n; n = n->parent) best = nearest_key(&n->map, name, best);
    if (best) diag_did_you_mean(el->diag, name, best);
}

// ---- expressions ------------------------------------------------------------------------------

static void look_expr(Elab *el, const Names *n, const Expr *e)
{
    if (!e) return; // was reported, or is left out of a slice
    if (e->kind == EXPR_NAME) {
        bool known = is_local(n, e->text) || map_find(&el->defs, e->text) ||
                     name_reserved(e->text) || builtin_find(e->text);
        if (!known) unknown(el, n, e->text, e->loc);
        return;
    }
    Names inner = {.parent = n};
    const Names *own = n;
    if (e->kind == EXPR_COMP) {
        look_expr(el, n, e->args[1]);
        add(el, &inner, e->text);
        own = &inner;
    }
    for (uint32_t i = 0; i < e->nargs; i++)
        if (e->kind != EXPR_COMP || i != 1) look_expr(el, own, e->args[i]);
}

static void look(Elab *el, const Names *n, const Tree *t);

// The library's module of that name; NULL where it is known only when it is applied.
static const ModuleDef *module_of(Elab *el, const Names *n, const Tree *t)
{
    const Expr *e = t->kind == TREE_SCALAR ? el_parse(el, t) : NULL;
    if (!e || e->kind != EXPR_NAME || is_local(n, e->text)) return NULL;
    return def_named(el, e->text);
}

// What a mapping gives to a module, but for the keys that are its own; words are never looked up.
static void look_arguments(Elab *el, const Names *n, const ModuleDef *def, const Tree *t,
                           const char *const *own)
{
    for (uint32_t i = 0; i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        if (is_one_of(e->key->text, own)) continue;
        const Decl *d = def ? def_setting(def, e->key->text) : NULL;
        if (def && !d)
            el_error(el, e->key->loc, "%s has no input or setting '%s'", def->name, e->key->text);
        else if (e->value->kind != TREE_SCALAR || (d && d->word != WORD_NAME))
            look(el, n, e->value);
    }
}

// carry: and index: are seen by the module's arguments, its outputs too by body: and next:.
static void look_repeat(Elab *el, const Names *n, const Tree *t)
{
    static const char *const outer[] = {"repeat", "carry", NULL}, *const inside[] = {"body", "next",
                                                                                     NULL};
    const Tree *module = tree_get(t, "module"), *index = tree_get(t, "index");
    const ModuleDef *def = module ? module_of(el, n, module) : NULL;
    const Items carry = items_read(el, tree_get(t, "carry")),
                body = items_read(el, tree_get(t, "body"));
    Names turn = {.parent = n}, inner = {.parent = &turn, .any = module && !def};
    if (module) look(el, n, module);
    if (index && index->kind == TREE_SCALAR) add(el, &turn, index->text);
    add_items(el, &turn, &carry);
    if (def) add_items(el, &inner, &def->out);
    add_items(el, &inner, &body);
    for (int i = 0; outer[i]; i++)
        if (tree_get(t, outer[i])) look(el, n, tree_get(t, outer[i]));
    for (int i = 0; inside[i]; i++)
        if (tree_get(t, inside[i])) look(el, &inner, tree_get(t, inside[i]));
    if (module) look_arguments(el, &turn, def, t, keys_names(el, MAPPING_REPEAT));
}

static void look(Elab *el, const Names *n, const Tree *t)
{
    const Tree *module = tree_get(t, "module");
    if (t->kind == TREE_SCALAR) look_expr(el, n, el_parse(el, t));
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++) look(el, n, t->items.at[i]);
    if (t->kind != TREE_MAP) return;
    if (tree_get(t, "repeat")) {
        look_repeat(el, n, t);
        return;
    }
    if (module) {
        look(el, n, module);
        look_arguments(el, n, module_of(el, n, module), t, keys_names(el, MAPPING_INSTANCE));
        return;
    }
    for (uint32_t i = 0; i < t->entries.n; i++) look(el, n, t->entries.at[i].value);
}

// ---- definitions ------------------------------------------------------------------------------

static void add_decls(Elab *el, Names *n, const Decls *decls)
{
    for (uint32_t i = 0; i < decls->n; i++) {
        const Decl *d = &decls->at[i];
        add(el, n, d->name);
        for (uint32_t k = 0; k < d->dims.n; k++)
            if (d->dims.at[k]->kind == EXPR_NAME) add(el, n, d->dims.at[k]->text);
    }
}

static void look_decls(Elab *el, const Names *n, const Decls *decls)
{
    for (uint32_t i = 0; i < decls->n; i++) {
        const Decl *d = &decls->at[i];
        for (uint32_t k = 0; k < d->dims.n; k++) look_expr(el, n, d->dims.at[k]);
        look_expr(el, n, d->def);
        if (d->def_tree) look(el, n, d->def_tree);
    }
}

// A parameter's shape and so on, or an accumulator's; `init` sees the shape.
static void look_tensor(Elab *el, const Names *n, const Tree *t)
{
    static const char *const keys[] = {"shape", "init", "max", "trainable"};
    Names inner = {.parent = n};
    add(el, &inner, "shape");
    for (int i = 0; i < 4; i++)
        if (tree_get(t, keys[i])) look(el, &inner, tree_get(t, keys[i]));
}

static void look_items(Elab *el, const Names *n, const Items *items, bool tensors)
{
    for (uint32_t i = 0; i < items->n; i++) {
        const Tree *t = items->at[i].value;
        if (tensors && t->kind == TREE_MAP && !tree_get(t, "module"))
            look_tensor(el, n, t);
        else
            look(el, n, t);
    }
}

// What a kind says for its experts, who bring these names.
static void look_kind(Elab *el, Names *n, const Tree *t)
{
    static const char *const brought[] = {"output", "target", "valid", "decoded"}, *const rest[] = {
                                                                                       "doc",
                                                                                       "needs",
                                                                                       "params",
                                                                                       NULL};
    for (int i = 0; i < 4; i++) add(el, n, brought[i]);
    for (uint32_t i = 0; i < t->entries.n; i++)
        if (!is_one_of(t->entries.at[i].key->text, rest)) look(el, n, t->entries.at[i].value);
}

static void look_module(Elab *el, const ModuleDef *m)
{
    Names n = {0};
    const Items *bound[] = {&m->params, &m->body, &m->state, &m->update};
    add_decls(el, &n, &m->in);
    add_decls(el, &n, &m->let);
    for (int i = 0; i < 4; i++) add_items(el, &n, bound[i]);
    look_decls(el, &n, &m->in);
    look_decls(el, &n, &m->let);
    look_items(el, &n, &m->params, true);
    look_items(el, &n, &m->state, true);
    look_items(el, &n, &m->body, false);
    look_items(el, &n, &m->update, false);
    look_items(el, &n, &m->out, false);
    if (m->role == ROLE_KIND) look_kind(el, &n, m->tree);
}

static void look_function(Elab *el, const FunctionDef *f)
{
    Names n = {0};
    for (uint32_t i = 0; i < f->params.n; i++) {
        look_expr(el, &n, f->defaults.at[i]);
        add(el, &n, f->params.at[i]);
    }
    look(el, &n, f->body);
}

// ---- the file ---------------------------------------------------------------------------------

// A library's sections, or kinds with needs; and no section that graph files alone have.
static bool is_library(const Tree *root)
{
    bool library = false;
    for (uint32_t i = 0; root && root->kind == TREE_MAP && i < root->entries.n; i++) {
        const TreeEntry *e = &root->entries.at[i];
        bool of_library = keys_reserved(MAPPING_LIBRARY, e->key->text);
        if (!of_library && keys_reserved(MAPPING_GRAPH, e->key->text)) return false;
        library |= of_library && !keys_reserved(MAPPING_GRAPH, e->key->text);
        bool kinds = strcmp(e->key->text, "experts") == 0 && e->value->kind == TREE_MAP;
        for (uint32_t k = 0; kinds && k < e->value->entries.n; k++)
            library |= tree_get(e->value->entries.at[k].value, "needs") != NULL;
    }
    return library;
}

bool frontend_is_library(Arena *arena, const char *path)
{
    size_t n = strlen(path);
    if (n < 5 || strcmp(path + n - 5, ".yaml") != 0) return false;
    return is_library(tree_read_file(arena, diag_new(arena), path, (Loc){0}, NULL));
}

static void look_at(Elab *el, const Binding *b)
{
    if (b->value.kind == V_MODULE)
        look_module(el, b->value.module);
    else if (b->value.kind == V_FUNCTION)
        look_function(el, b->value.function);
}

void lint_imported(Elab *el)
{
    for (uint32_t i = 0; i < el->defs.n; i++) {
        const Binding *b = el->defs.at[i].value;
        if (is_users(el, b->loc)) look_at(el, b);
    }
}

// The definitions that stand in the file.
static void look_all(Elab *el, LibraryInfo *info)
{
    for (uint32_t i = 0; i < el->defs.n; i++) {
        const Binding *b = el->defs.at[i].value;
        if (b->loc.source != el->root->loc.source) continue;
        look_at(el, b);
        *(b->value.kind == V_MODULE     ? &info->modules
          : b->value.kind == V_FUNCTION ? &info->functions
                                        : &info->constants) += 1;
    }
    const Tree *constants = tree_get(el->root, "constants");
    Names none = {0};
    for (uint32_t i = 0; constants && i < constants->entries.n; i++)
        look(el, &none, constants->entries.at[i].value);
}

bool frontend_check_library(Arena *arena, Diag *diag, const char *path,
                            const FrontendOptions *options, LibraryInfo *info)
{
    Elab *el = arena_make(arena, Elab);
    *el = (Elab){.arena = arena, .diag = diag, .options = options, .file = path};
    el->base_dir = folder_of(el, path);
    *info = (LibraryInfo){0};
    library_file(el, "prelude", el->base_dir, (Loc){0});
    el->root = library_read(el, path, path, (Loc){0});
    if (el->root) look_all(el, info);
    return !diag_errors(diag);
}
