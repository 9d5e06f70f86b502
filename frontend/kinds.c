// Kinds and families of tasks. A kind is what a library says of a task once for all: output, loss,
// decode, metric and so on; an expert (or loss) of that kind gives what it needs and may say any
// key itself. A kind's expressions see its needs, never the graph. A family (`for:`) is a task for
// each item of a list.
#include "frontend/guess.h"

#include <ctype.h>

// ---- kinds ------------------------------------------------------------------------------------

static const ModuleDef *kind_find(Elab *el, const Tree *name)
{
    const ModuleDef *def = def_named(el, name->text);
    if (def && role_check(el, def, ROLE_KIND, name->loc)) return def;
    if (def) {
        guess_kinds(el, name->loc, def->role == ROLE_METRIC ? def : NULL);
        return NULL;
    }
    el_error(el, name->loc, "there is no expert kind '%s'", name->text);
    Map kinds = {0};
    for (uint32_t i = 0; i < el->defs.n; i++)
        if (def_at(el, i, ROLE_KIND)) map_set(el->arena, &kinds, el->defs.at[i].key, NULL);
    if (!suggest_import(el, name->text) && !suggest_near(el, name->text, &kinds))
        diag_help(el->diag, "kinds are under experts: of library files; cztc lib lists them");
    return NULL;
}

// Names that the task has whatever its kind needs.
static bool own_name(MappingId task, const char *name)
{
    return keys_reserved(task, name) || strcmp(name, "decoded") == 0;
}

bool kind_open(Elab *el, Task *t)
{
    const Tree *name = tree_get(t->tree, "kind");
    const ModuleDef *def = kind_find(el, name);
    if (!def) return false;
    Instance *inst = instance_from_tree(el, def, t->frame->path, t->tree,
                                        keys_names(el, task_mapping(t)), t->scope);
    if (!inst) return false;
    Frame *f = frame_new(el, t->frame, str_printf(el->arena, "expert kind %s", def->name),
                         t->frame->path, name->loc);
    f->site = t->frame->site;
    f->part = t->frame->part;
    f->precision = t->frame->precision;
    f->instance = inst;
    t->kind = arena_make(el->arena, App);
    *t->kind = (App){.instance = inst, .scope = scope_new(el, el->globals, f)};
    bool ok = true;
    for (uint32_t i = 0; i < def->in.n; i++) {
        const Decl *d = &def->in.at[i];
        if (!own_name(task_mapping(t), d->name)) {
            ok &= decl_bind(el, t->kind, d, NULL, name->loc);
            continue;
        }
        if (task_key(t, d->name).tree || d->optional || d->def || d->def_tree) continue;
        el_error(el, name->loc, "%s needs '%s'", def->name, d->name);
        diag_note(el->diag, d->loc, "it is declared here");
        guess_input(el, d, name->loc);
        ok = false;
    }
    params_bind(el, &def->params, t->kind->scope);
    return ok;
}

TaskKey task_key(const Task *t, const char *key)
{
    const Tree *own = tree_get(t->tree, key);
    if (own || !t->kind) return (TaskKey){own, t->scope};
    return (TaskKey){tree_get(t->kind->instance->def->tree, key), t->kind->scope};
}

void task_name(Elab *el, Task *t, const char *name, Binding *b)
{
    Scope *both[] = {t->scope, t->kind ? t->kind->scope : NULL};
    for (int i = 0; i < 2; i++)
        if (both[i]) map_set(el->arena, &both[i]->names, name, b);
}

// ---- families ---------------------------------------------------------------------------------

// One name of `for:` and its items.
typedef struct Loop {
    const Tree *key, *list;
    const ValueList *values; // of an expression; NULL: of the list's items
    uint32_t n;
} Loop;

static bool loop_read(Elab *el, const Tree *family, const TreeEntry *e, MappingId task, Loop *l)
{
    *l = (Loop){.key = e->key, .list = e->value};
    if (own_name(task, e->key->text)) {
        el_error(el, e->key->loc, "'%s' cannot be the name of an item of a family", e->key->text);
        guess_item_word(el, family, e->key->loc);
        return false;
    }
    if (e->value->kind == TREE_LIST) {
        l->n = e->value->items.n;
    } else {
        Value v = tree_eval(el, el->scope, e->value, NULL);
        if (!value_items(el, v, e->value->loc, &l->values)) return false;
        l->n = l->values->v.n;
    }
    if (l->n) return true;
    return el_error(el, e->value->loc, "a family over no items has no member");
}

// What a member is called: the item where that is a word or a number, else its place.
static const char *member_name(Elab *el, const Loop *l, uint32_t i)
{
    const char *text = NULL;
    if (l->values && l->values->v.at[i].kind == V_INT)
        text = str_printf(el->arena, "%lld", (long long)l->values->v.at[i].i);
    if (l->values && l->values->v.at[i].kind == V_STR) text = l->values->v.at[i].s;
    if (l->values && l->values->v.at[i].kind == V_INSTANCE)
        text = l->values->v.at[i].instance->name;
    if (!l->values && l->list->items.at[i]->kind == TREE_SCALAR) text = l->list->items.at[i]->text;
    for (const char *c = text; c && *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && !(*c == '-' && c == text)) text = NULL;
    return text && *text ? text : str_printf(el->arena, "%u", i);
}

static void bind_item(Elab *el, Task *t, const Loop *l, uint32_t i)
{
    if (l->values) {
        scope_value(el, t->scope, l->key->text, l->key->loc, l->values->v.at[i]);
        return;
    }
    const Tree *item = l->list->items.at[i];
    Binding *b = scope_add(el, t->scope, l->key->text, item->loc, BIND_TREE);
    b->tree = item;
    b->scope = teacher_names(el); // the item is the graph's, not the member's
}

// Of two members with one name: the family without the item of the second, or another item.
static void guess_other_items(Elab *el, const Loop *loops, const uint32_t *at, uint32_t n)
{
    for (uint32_t i = 0; i < n && diag_last_error(el->diag); i++) {
        if (loops[i].values) continue;
        const Loc item = loops[i].list->items.at[at[i]]->loc;
        guess_less(el, item);
        guess_tensors(el, item);
    }
}

void family_bind(Elab *el, const TreeEntry *e, bool experts)
{
    const MappingId task = experts ? MAPPING_EXPERT : MAPPING_LOSS;
    const Tree *over = tree_get(e->value, "for");
    VEC(Loop) loops = {0};
    uint32_t members = 1;
    if (over->kind != TREE_MAP || !over->entries.n) {
        el_error(el, over->loc, "for is {name: list}");
        if (over->kind == TREE_MAP)
            diag_help(el->diag, "write for: {t: [a, b]}, and t in the other keys");
        else
            suggest_items(el, e->value);
        return;
    }
    for (uint32_t i = 0; i < over->entries.n; i++) {
        Loop l;
        if (!loop_read(el, e->value, &over->entries.at[i], task, &l)) return;
        vec_push(el->arena, &loops, l);
        if (l.n <= FAMILY_LIMIT / members) {
            members *= l.n;
            continue;
        }
        el_error(el, over->loc, "a family of more than %d members", FAMILY_LIMIT);
        return;
    }
    for (uint32_t m = 0; m < members; m++) {
        const char *name = e->key->text;
        uint32_t *at = arena_array(el->arena, uint32_t, loops.n);
        for (uint32_t i = loops.n, rest = m; i--; rest /= loops.at[i].n)
            at[i] = rest % loops.at[i].n;
        for (uint32_t i = 0; i < loops.n; i++)
            name = path_join(el, name, member_name(el, &loops.at[i], at[i]));
        Task *t = task_begin(el, e, name, experts);
        if (!t) guess_other_items(el, loops.at, at, loops.n);
        if (!t) continue;
        for (uint32_t i = 0; i < loops.n; i++) bind_item(el, t, &loops.at[i], at[i]);
        task_bind(el, t);
    }
}

Value family_value(Elab *el, const char *name, bool experts)
{
    const char *prefix = str_printf(el->arena, experts ? "experts.%s." : "%s.", name);
    Map *members = arena_make(el->arena, Map);
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        Task *t = el->tasks.at[i].value;
        if (t->expert != experts || strncmp(t->path, prefix, strlen(prefix)) != 0) continue;
        record_put(el, members, t->path + strlen(prefix), (Value){.kind = V_TASK, .task = t});
    }
    return members->n ? value_record(members) : value_none();
}
