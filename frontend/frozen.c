// What is never trained. Teachers: instances of modules whose parameters come from a file (or are
// random numbers of the seed), under teachers.NAME; nothing drops out in them. Their state is
// frozen, as constants of files are: checkpoints leave it out.
#include "frontend/elab.h"
#include "frontend/json.h"
#include "frontend/rewrite.h"

#include <ctype.h>

static const Tree *teacher_trees(const Elab *el)
{
    const Tree *t = tree_get(el->root, "teachers");
    return t && t->kind == TREE_MAP ? t : NULL;
}

static bool weights_check(Elab *el, const Tree *weights)
{
    if (!weights || weights->kind == TREE_NULL || weights->kind == TREE_SCALAR) return true;
    if (weights->kind == TREE_MAP) return keys_check(el, weights, MAPPING_INIT, false);
    el_error(el, weights->loc, "weights of a teacher are a file, or {file:, rename:, resize:}");
    suggest_item(el, weights);
    return false;
}

static Instance *teacher_new(Elab *el, const TreeEntry *e)
{
    static const char *const skip[] = {"module", "weights", "outputs", "precision", "doc", NULL};
    const char *name = e->key->text, *path = str_printf(el->arena, "teachers.%s", name);
    if (!keys_check(el, e->value, MAPPING_TEACHER, true)) {
        if (e->value->kind == TREE_NULL) suggest_modules(el, e, ROLE_MODULE, NULL);
        return NULL;
    }
    if (!weights_check(el, tree_get(e->value, "weights"))) return NULL;
    Scope *own = part_scope(el, NULL, path, path, e->key->loc);
    const Tree *module = tree_get(e->value, "module");
    const ModuleDef *def = tree_module(el, e->value, own);
    if (!module) suggest_modules(el, e, ROLE_MODULE, NULL);
    if (!def) return NULL;
    if (!role_check(el, def, ROLE_MODULE, module->loc)) {
        suggest_modules(el, e, ROLE_MODULE, module);
        return NULL;
    }
    Instance *inst = instance_from_tree(el, def, path, e->value, skip, own);
    if (!inst) return NULL;
    inst->frozen = true;
    inst->name = name;
    inst->outputs = tree_get(e->value, "outputs");
    inst->precision = precision_read(el, e->value);
    return inst;
}

void teachers_bind(Elab *el)
{
    const Tree *t = teacher_trees(el);
    if (!t) return;
    Map *all = arena_make(el->arena, Map);
    scope_value(el, el->scope, "teachers", t->loc, value_record(all));
    for (uint32_t i = 0; i < t->entries.n; i++) {
        Instance *inst = teacher_new(el, &t->entries.at[i]);
        record_put(el, all, t->entries.at[i].key->text,
                   inst ? (Value){.kind = V_INSTANCE, .instance = inst} : value_error());
    }
}

bool is_teacher(const Elab *el, const char *name)
{
    const Tree *t = teacher_trees(el);
    return t && tree_get(t, name);
}

const char *teacher_file(const Elab *el, const char *name)
{
    const Tree *t = teacher_trees(el), *one = tree_get(t, name),
               *weights = tree_get(one, "weights");
    if (weights && weights->kind == TREE_MAP) weights = tree_get(weights, "file");
    return weights && weights->kind == TREE_SCALAR ? weights->text : "";
}

Scope *teacher_names(Elab *el)
{
    const Binding *b = map_get(&el->scope->names, "teachers");
    if (!b || b->value.kind != V_RECORD) return el->scope;
    const Map *all = b->value.record;
    Scope *s = scope_new(el, el->scope, el->scope->frame);
    for (uint32_t i = 0; i < all->n; i++)
        if (!scope_find(el->scope, all->at[i].key))
            scope_value(el, s, all->at[i].key, b->loc, *(Value *)all->at[i].value);
    return s;
}

// A plain name that nothing has: what the module gives is meant.
static bool no_such_output(Elab *el, const App *app, const Scope *s, const Tree *value)
{
    const ModuleDef *def = app->instance->def;
    const Items *both[] = {&def->out, &def->body};
    const char *name = value->kind == TREE_SCALAR ? value->text : "";
    Map names = {0};
    if (!word_part(*name) || isdigit((unsigned char)*name)) return false;
    for (const char *c = name; *c; c++)
        if (!word_part(*c)) return false;
    if (scope_find(s, name) || builtin_find(name)) return false;
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < both[k]->n; i++)
            if (!strchr(both[k]->at[i].name, ','))
                map_set(el->arena, &names, both[k]->at[i].name, NULL);
    el_error(el, value->loc, "%s gives no '%s'", def->name, name);
    suggest_words(el, name, &names);
    return true;
}

void teacher_outputs(Elab *el, App *app)
{
    const Tree *t = app->instance->outputs;
    Scope *s = scope_new(el, app->scope, app->scope->frame);
    for (uint32_t i = 0; i < app->out.n; i++) // before parts of those names, as for members
        map_set(el->arena, &s->names, app->out.at[i].key, app->out.at[i].value);
    for (uint32_t i = 0; i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        Binding *b = binding_tree(el, e->key->text, e->value, s);
        if (no_such_output(el, app, s, e->value))
            b = binding_value(el, e->key->text, e->key->loc, value_error());
        b->loc = e->key->loc;
        map_set(el->arena, &app->extra, e->key->text, b);
        if (!map_find(&s->names, e->key->text)) map_set(el->arena, &s->names, e->key->text, b);
    }
}

// Is there state at the path, or below it?
static bool has_state(const Elab *el, const char *path)
{
    size_t n = strlen(path);
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        const StateVar *v = &el->program->states.at[i];
        bool below = strncmp(v->name, path, n) == 0 && (!v->name[n] || v->name[n] == '.');
        if (v->kind == STATE_FROZEN && below) return true;
    }
    return false;
}

static void put_teacher(Elab *el, Json *j, const TreeEntry *e)
{
    const Tree *weights = tree_get(e->value, "weights");
    const char *path = str_printf(el->arena, "teachers.%s", e->key->text);
    bool known = has_state(el, path) || el->partial;
    const Tree *file = weights && weights->kind == TREE_MAP ? tree_get(weights, "file") : weights;
    if (!file || file->kind != TREE_SCALAR || !known) return;
    json_open(j, NULL, '{');
    json_str(j, "owns", path);
    json_str(j, "prefix", path);
    json_str(j, "base_dir", folder_said_in(el, weights));
    json_str(j, "file", file->text);
    weights_format(el, file);
    warn_near_file(el, file);
    vec_push(el->arena, &el->out->weights, ((WeightsInfo){path, 0, file->loc}));
    if (weights->kind == TREE_MAP) put_checksum(el, j, weights);
    json_open(j, "rename", '[');
    const char *prefix = str_printf(el->arena, "%s.", path);
    put_rename(el, j, tree_get(weights, "rename"), prefix);
    json_close(j, ']');
    if (weights->kind == TREE_MAP) put_resize(el, j, tree_get(weights, "resize"), prefix);
    json_close(j, '}');
}

void put_file_rule(Json *j, const char *from, const char *to)
{
    json_open(j, NULL, '{');
    json_str(j, "from", from);
    json_str(j, "to", to);
    json_bool(j, "transpose", false);
    json_close(j, '}');
}

// Does a value below the tree have the name as a word? `teachers` alone is all of them.
static bool mentions(const Tree *t, const char *name)
{
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++)
        if (mentions(t->entries.at[i].value, name)) return true;
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++)
        if (mentions(t->items.at[i], name)) return true;
    return t->kind == TREE_SCALAR && (strcmp(t->text, "teachers") == 0 || has_word(t->text, name));
}

// Would a task that is off read the teacher? It is then no mistake that nothing does.
static bool off_task_reads(const Elab *el, const char *name)
{
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        const Task *t = el->tasks.at[i].value;
        if (!t->on && mentions(t->tree, name)) return true;
    }
    return false;
}

// A teacher that no entry applies costs nothing, and is a mistake more often than not.
static void warn_unused(Elab *el, const Tree *teachers)
{
    if (el->partial) return;
    const Tree *stats = tree_get(el->root, "stats");
    for (uint32_t i = 0; i < teachers->entries.n; i++) {
        const Tree *key = teachers->entries.at[i].key;
        bool used = map_find(&el->taught, key->text) || off_task_reads(el, key->text) ||
                    (stats && mentions(stats, key->text));
        if (!used) diag_warning(el->diag, key->loc, "nothing reads teachers.%s", key->text);
    }
}

void put_frozen(Elab *el, Json *j)
{
    const Tree *t = teacher_trees(el);
    if (t && !el->options->stats) warn_unused(el, t); // these have no use there but for statistics
    json_open(j, "frozen", '[');
    for (uint32_t i = 0; t && i < t->entries.n; i++) put_teacher(el, j, &t->entries.at[i]);
    for (uint32_t i = 0; i < el->constants.n; i++)
        if (has_state(el, el->constants.at[i].key))
            put_constant(el, j, el->constants.at[i].key, el->constants.at[i].value);
    put_statistics(el, j);
    json_close(j, ']');
}
