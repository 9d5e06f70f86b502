// Modules at work. An instance is a module with a path and settings; applying it opens a scope with
// inputs, solved dimensions, settings, parts and body names, all lazily evaluated, then evaluates
// them in file order so that every error is found. Parameters belong to paths, not to applications:
// the same instance applied again finds the same ones.
#include "frontend/mend.h"
#include "frontend/guess.h"
#include "frontend/rewrite.h"

const char *path_join(Elab *el, const char *prefix, const char *name)
{
    if (!*name) return prefix; // path: ''
    return *prefix ? str_printf(el->arena, "%s.%s", prefix, name) : name;
}

// The name of a module. One of the graph's own, an encoder perhaps, does not hide the library's.
static Value module_named(Elab *el, Scope *scope, const Expr *e)
{
    const Binding *def = map_get(&el->defs, e->text);
    const Scope *s = scope;
    while (s && !map_find(&s->names, e->text)) s = s->parent;
    const Binding *own = s ? map_get(&s->names, e->text) : NULL;
    const bool itself = own && own->forcing && !own->forced; // the part that is made of it
    if (def && (s == el->scope || itself) && def->value.kind == V_MODULE) return def->value;
    return callee_read(el, scope, e->text, e->loc);
}

const ModuleDef *tree_module(Elab *el, const Tree *map, Scope *scope)
{
    const Tree *t = tree_get(map, "module");
    const bool reported = map->kind != TREE_MAP && map->kind != TREE_NULL;
    if (reported && diag_errors(el->diag)) return NULL;
    if (!t || t->kind != TREE_SCALAR) {
        el_error(el, map->loc, "a module's name is needed under 'module'");
        diag_help(el->diag, "cztc lib lists the library's modules");
        return NULL;
    }
    const Expr *e = el_parse(el, t);
    if (!e) return NULL;
    Value v = e->kind == EXPR_NAME ? module_named(el, scope, e) : expr_eval(el, scope, e);
    if (v.kind == V_MODULE) return v.module;
    if (v.kind == V_ERROR && diag_errors(el->diag)) return NULL;
    const char *is = v.kind == V_ERROR ? "what this makes" : value_text(el, v);
    el_error(el, t->loc, "'%s' is %s, not a module", t->text, is);
    if (!map_find(&el->defs, t->text)) suggest_import(el, t->text);
    return NULL;
}

bool role_check(Elab *el, const ModuleDef *def, ModuleRole role, Loc loc)
{
    static const char *const names[] = {"a module", "an optimiser", "a metric", "an expert kind"};
    if (def->role == role) return true;
    el_error(el, loc, "'%s' is %s, not %s", def->name, names[def->role], names[role]);
    switch (def->role) {
    case ROLE_MODULE:
        diag_help(el->diag, "modules stand under encoders:, losses:, params: and in loss:");
        break;
    case ROLE_OPTIMIZER:
        diag_help(el->diag, "an optimiser stands in train:, as optimizer: {module: %s, lr: ..}",
                  def->name);
        break;
    case ROLE_METRIC:
        diag_help(el->diag, "a metric stands in an expert or a loss, as metric: {module: %s}",
                  def->name);
        break;
    case ROLE_KIND: diag_help(el->diag, "a kind stands in an expert, as kind: %s", def->name);
    }
    if (role != ROLE_KIND) guess_modules(el, role, def, loc);
    return false;
}

Items items_read(Elab *el, const Tree *map)
{
    Items items = {0};
    if (map && map->kind == TREE_MAP)
        for (uint32_t i = 0; i < map->entries.n; i++) {
            const TreeEntry *e = &map->entries.at[i];
            vec_push(el->arena, &items, (Item){e->key->text, e->key->loc, e->value});
        }
    else if (map && map->kind != TREE_NULL)
        vec_push(el->arena, &items, (Item){"out", map->loc, map});
    return items;
}

// ---- instances --------------------------------------------------------------------------------

static Instance *instance_new(Elab *el, const ModuleDef *def, const char *path, Scope *scope,
                              Loc loc)
{
    Instance *inst = arena_make(el->arena, Instance);
    inst->def = def;
    inst->path = path;
    inst->loc = loc;
    inst->frame = scope->frame;
    inst->precision = PRECISION_NONE;
    inst->site = hash_u64(hash_u64(scope->frame->site, loc.source), loc.begin);
    return inst;
}

// own: further keys of the mapping that the arguments stand in, or NULL. The nearest name, or NULL.
static const char *unknown_argument(Elab *el, const ModuleDef *def, const char *name, Loc loc,
                                    const char *const *own)
{
    Map names = {0};
    const char *list = "";
    const Decls *both[] = {&def->in, &def->let};
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < both[k]->n; i++) {
            Word w = both[k]->at[i].word;
            if (w == WORD_PARAM || w == WORD_GRAD || w == WORD_COUNT)
                continue; // nobody gives these
            map_set(el->arena, &names, both[k]->at[i].name, NULL);
            list = str_printf(el->arena, "%s%s%s", list, *list ? ", " : "", both[k]->at[i].name);
        }
    for (; own && *own; own++) map_set(el->arena, &names, *own, NULL);
    el_error(el, loc, "%s has no input or setting '%s'", def->name, name);
    const char *best = nearest_key(&names, name, NULL);
    const bool word = el->scope && scope_find(el->scope, name); // which is written as it is meant
    if (best)
        (word ? diag_may_you_mean : diag_did_you_mean)(el->diag, name, best);
    else if (*list)
        diag_help(el->diag, "it has: %s", list);
    else
        diag_help(el->diag, "it has none");
    return best;
}

static Binding *argument(Elab *el, Instance *inst, const Decl *d, Loc loc, BindKind kind,
                         Scope *scope)
{
    Binding *b = arena_make(el->arena, Binding);
    *b = (Binding){.name = d->name, .loc = loc, .kind = kind, .scope = scope, .decl = d};
    map_set(el->arena, &inst->args, d->name, b);
    return b;
}

void look_later(Elab *el, const Map *args)
{
    for (uint32_t i = 0; i < args->n; i++) vec_push(el->arena, &el->later, args->at[i].value);
}

static void give_tree(Elab *el, Instance *inst, const Decl *d, const TreeEntry *e, Scope *scope)
{
    Binding *b = argument(el, inst, d, e->key->loc, BIND_TREE, scope);
    b->tree = e->value;
    b->loc = e->value->kind == TREE_NULL ? e->key->loc : e->value->loc;
    if (d->word != WORD_NAME || e->value->kind != TREE_SCALAR) return;
    b->kind = BIND_VALUE; // a word is never looked up
    b->value = value_str(e->value->text);
    b->forced = true;
}

// The only input that is needed and not given, for a key that is none and has a value of the graph;
// NULL: there is no such.
static const char *suggest_missing(Elab *el, const Instance *inst, const Tree *map,
                                   const TreeEntry *e, Scope *scope)
{
    const char *only = NULL, *text = e->value->kind == TREE_SCALAR ? e->value->text : "";
    const Binding *b = scope_find(scope, str_slice(el->arena, text, strcspn(text, ".")));
    const Decls *in = &inst->def->in;
    const Loc key = e->key->loc, at = entry_span(el, map, e->key->text);
    uint32_t n = 0, strange = 0;
    for (uint32_t i = 0; i < in->n; i++)
        if (!in->at[i].optional && !in->at[i].def && !in->at[i].def_tree &&
            !tree_get(map, in->at[i].name))
            only = in->at[i].name, n++;
    for (uint32_t i = 0; i < map->entries.n; i++)
        strange += !def_setting(inst->def, map->entries.at[i].key->text) &&
                   strcmp(map->entries.at[i].key->text, "module");
    const bool value = b && b->value.kind != V_MODULE && b->value.kind != V_FUNCTION;
    if (!value || n != 1 || strange != 1 || inst->def->role != ROLE_MODULE) return NULL;
    diag_help(el->diag, "write %s, which it needs, or leave out '%s'", only, e->key->text);
    if (is_users(el, key)) diag_guess(el->diag, key, only);
    if (is_users(el, key) && at.source) diag_guess(el->diag, at, "");
    return only;
}

// `frozen: true` of an encoder or the like: a row of train.freeze. False where it is none of that.
static bool suggest_freeze(Elab *el, const Instance *inst, const Tree *map, const TreeEntry *e)
{
    static const char *const words[] = {"frozen", "freeze", "trainable", "requires_grad", NULL};
    const Tree *train = tree_get(el->root, "train");
    if (!is_one_of(e->key->text, words) || !*inst->path) return false;
    const char *row = str_printf(el->arena, "[{match: \"%s.*\"}]", inst->path), *text;
    diag_help(el->diag, "what rests in training is said by train: freeze: %s", row);
    uint32_t i = 0;
    while (i < map->entries.n && map->entries.at[i].key != e->key) i++;
    const Loc at = i < map->entries.n ? entry_place(el, map, i) : (Loc){0};
    const Loc also = train && !tree_get(train, "freeze")
                         ? entry_added(el, train, "freeze", row, &text)
                         : (Loc){0};
    if (at.source && at.source == also.source)
        guess_both(el, also, text, at, "", str_printf(el->arena, "freeze: %s under train", row));
    guess_without(el, map, e->key->text);
    return true;
}

// What a key that is no argument of the module stands for probably; what has another value from a
// file that the graph extends is given the graph's own. False when nothing is known of what the
// module would make.
static bool give_misnamed(Elab *el, Instance *inst, const Tree *map, const TreeEntry *e,
                          const char *const *own, Scope *scope)
{
    const char *name = e->key->text, *best = NULL;
    const Loc loc = e->key->loc;
    const bool others = is_inherited(el, loc) && inst->loc.source != loc.source;
    if (others) // of another module
        el_error(el, loc, "%s has no input or setting '%s'", inst->def->name, name);
    else
        best = unknown_argument(el, inst->def, name, loc, own);
    if (!strcmp(name, "repeat"))
        diag_help(el->diag, "repeat: stands under body:, where its turns are applied");
    if (!best && !others) best = suggest_missing(el, inst, map, e, scope);
    const bool mended = (!best && !others && suggest_freeze(el, inst, map, e)) ||
                        diag_has_mend(el->diag, diag_last_error(el->diag));
    if (!mended && !guess_moved(el, map, e->key)) suggest_without(el, map, e->key);
    if (others) return true;
    if (best && is_one_of(best, own)) {
        if (strcmp(best, "path") == 0) return false; // which has been read
        if (!tree_get(map, best)) key_read_as(el, tree_entry(map, name), best);
        return true;
    }
    const Decl *d = best ? def_setting(inst->def, best) : NULL;
    const TreeEntry *said = d ? tree_entry(map, best) : NULL;
    if (d && (!said || said->key->loc.source != loc.source)) give_tree(el, inst, d, e, scope);
    return d != NULL;
}

Instance *instance_from_tree(Elab *el, const ModuleDef *def, const char *path, const Tree *map,
                             const char *const *skip, Scope *scope)
{
    Instance *inst = instance_new(el, def, path, scope, map->loc);
    bool ok = true;
    for (uint32_t i = 0; i < map->entries.n; i++) {
        const TreeEntry *e = &map->entries.at[i];
        const Decl *d = def_setting(def, e->key->text);
        if (d && !is_one_of(e->key->text, skip)) give_tree(el, inst, d, e, scope);
    }
    for (uint32_t i = 0; i < map->entries.n; i++) {
        const TreeEntry *e = &map->entries.at[i];
        if (is_one_of(e->key->text, skip) || def_setting(def, e->key->text)) continue;
        ok &= give_misnamed(el, inst, map, e, skip, scope);
    }
    if (!ok) look_later(el, &inst->args);
    return ok ? inst : NULL;
}

// Give a value to an input or setting; false when reported.
static bool give(Elab *el, Instance *inst, const char *name, const Arg *a, Loc loc)
{
    if (map_find(&inst->args, name))
        return el_error(el, loc, "'%s' of %s is given twice", name, inst->def->name);
    const Decl *d = def_setting(inst->def, name);
    if (!d) {
        unknown_argument(el, inst->def, name, loc, NULL);
        return false;
    }
    Binding *b = argument(el, inst, d, loc, BIND_VALUE, NULL);
    b->value = decl_check(el, b->decl, a->value, a->loc);
    b->loc = a->loc;
    b->forced = true;
    return true;
}

// Positional arguments fill `first`, then `second`, in order; the rest come by name.
static Instance *instance_from_args(Elab *el, const ModuleDef *def, const char *path,
                                    const Args *args, const Decls *first, const Decls *second,
                                    Scope *scope, Loc loc)
{
    Instance *inst = instance_new(el, def, path, scope, loc);
    uint32_t position = 0;
    for (uint32_t i = 0; i < args->n; i++) {
        const Arg *a = &args->at[i];
        if (!a->name && position >= first->n + second->n) {
            el_error(el, a->loc, "%s takes %u values by position", def->name, first->n + second->n);
            return NULL;
        }
        const char *name = a->name;
        if (!name) {
            name = position < first->n ? first->at[position].name
                                       : second->at[position - first->n].name;
            position++;
        }
        if (!give(el, inst, name, a, a->name ? a->name_loc : a->loc)) return NULL;
    }
    return inst;
}

Instance *instance_construct(Elab *el, const ModuleDef *def, const char *path, const Args *args,
                             Scope *scope, Loc loc)
{
    static const Decls none = {0};
    return instance_from_args(el, def, path, args, &def->let, &none, scope, loc);
}

// ---- opening an application -------------------------------------------------------------------

static Frame *app_frame(Elab *el, Instance *inst, bool main, Loc loc)
{
    const char *what = str_printf(el->arena, "module %s", inst->def->name);
    Frame *f = frame_new(el, el->frame, what, inst->path, loc);
    f->site = inst->site;
    f->instance = inst;
    f->ema = inst->ema ? inst->ema : inst->frame->owner->ema;
    f->frozen = inst->frozen || inst->frame->owner->frozen;
    f->precision = inst->precision ? inst->precision : inst->frame->owner->precision;
    if (!main) {
        Frame *caller = el->frame->owner;
        f->stream = hash_u64(hash_str(caller->stream, inst->path), ++caller->count);
    }
    return f;
}

// A name of the scope that is another scope's binding.
static void alias(Elab *el, Scope *s, const char *name, Binding *b)
{
    Binding *old = map_get(&s->names, name);
    if (old) {
        diag_error(el->diag, b->loc, "'%s' is defined twice", name);
        diag_note(el->diag, old->loc, "it is defined here too");
        guess_names(el, b->loc, old->loc, name);
        return;
    }
    map_set(el->arena, &s->names, name, b);
}

bool decl_bind(Elab *el, App *app, const Decl *d, const Map *given, Loc loc)
{
    Instance *inst = app->instance;
    Binding *b = given ? map_get(given, d->name) : NULL;
    if (!b) b = map_get(&inst->args, d->name);
    if (b) {
        alias(el, app->scope, d->name, b);
        return true;
    }
    bool has_default = d->def || d->def_tree;
    if (!has_default && !d->optional) {
        const bool made = inst->part && decl_find(&inst->def->let, d->name) == d;
        if (made && is_users(el, inst->loc)) loc = inst->loc;
        el_error(el, loc, "%s needs '%s'", inst->def->name, d->name);
        diag_note(el->diag, d->loc, "it is declared here");
        suggest_given(el, app, d, given, loc);
        return false;
    }
    if (d->wrong) {
        scope_value(el, app->scope, d->name, d->loc, value_error());
        return true;
    }
    b = scope_add(el, app->scope, d->name, d->loc, d->def ? BIND_EXPR : BIND_TREE);
    b->decl = d;
    b->expr = d->def;
    b->tree = d->def_tree;
    if (!has_default) {
        b->kind = BIND_VALUE;
        b->value = value_none();
        b->forced = true;
    }
    return true;
}

bool app_solve(Elab *el, App *app)
{
    const ModuleDef *def = app->instance->def;
    NodeId *nodes = arena_array(el->arena, NodeId, def->in.n + 1);
    bool ok = true;
    for (uint32_t i = 0; i < def->in.n; i++) {
        const Decl *d = &def->in.at[i];
        if (!d->is_shape) continue;
        Binding *b = map_get(&app->scope->names, d->name);
        if (!b) continue; // an expert has no such part
        Value v = binding_force(el, b);
        if (v.kind == V_NONE && d->optional) continue;
        if (v.kind == V_NONE) {
            el_error(el, b->loc, "input '%s' of %s is none", d->name, def->name);
            guess_input(el, d, b->loc);
            ok = false;
            continue;
        }
        nodes[i] = value_tensor(el, v, DT_NONE, b->loc);
        if (!nodes[i]) ok = false;
    }
    for (int named = 1; named >= 0; named--)
        for (uint32_t i = 0; i < def->in.n; i++) {
            if (!nodes[i]) continue;
            Binding *b = map_get(&app->scope->names, def->in.at[i].name);
            if (decl_unify(el, def, &def->in.at[i], nodes[i], app->scope, b->loc, named)) {
                b->value.names = &def->in.at[i];
                continue;
            }
            nodes[i] = 0;
            ok = false;
        }
    return ok;
}

static bool bind_arguments(Elab *el, App *app, const Map *given, Loc loc)
{
    const ModuleDef *def = app->instance->def;
    bool ok = true;
    for (uint32_t i = 0; i < def->let.n; i++)
        ok &= decl_bind(el, app, &def->let.at[i], given, loc); // for what it says of their sizes
    for (uint32_t i = 0; i < def->in.n; i++) ok &= decl_bind(el, app, &def->in.at[i], given, loc);
    return ok && app_solve(el, app);
}

App *app_open(Elab *el, Instance *inst, const Map *given, bool main, Loc loc)
{
    App *app = arena_make(el->arena, App);
    Frame *caller = el->frame;
    app->instance = inst;
    Frame *f = app_frame(el, inst, main, loc);
    app->scope = scope_new(el, module_names(el, f), f);
    el->frame = app->scope->frame;
    bool ok = el->depth < DEPTH_LIMIT && bind_arguments(el, app, given, loc);
    if (el->depth >= DEPTH_LIMIT) {
        el_error(el, loc, "%s nests too deep", inst->def->name);
        guess_end(el, loc, NULL);
    }
    if (ok) {
        params_bind(el, &inst->def->params, app->scope);
        body_bind(el, &inst->def->body, app->scope);
        for (uint32_t i = 0; i < inst->def->out.n; i++) {
            const Item *item = &inst->def->out.at[i];
            Binding *b = binding_tree(el, item->name, item->value, app->scope);
            b->loc = item->loc;
            map_set(el->arena, &app->out, item->name, b);
        }
        if (inst->outputs) teacher_outputs(el, app);
    } else {
        look_later(el, &inst->args);
    }
    el->frame = caller;
    return ok ? app : NULL;
}

void app_force(Elab *el, App *app)
{
    const ModuleDef *def = app->instance->def;
    const Items *parts[] = {&def->params, &def->body};
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < parts[k]->n; i++)
            binding_force(el, map_get(&app->scope->names, parts[k]->at[i].name));
    for (uint32_t i = 0; i < app->out.n; i++) binding_force(el, app->out.at[i].value);
    running_update(el, app);
}

static App *apply(Elab *el, Instance *inst, const Map *given, bool main, Loc loc)
{
    if (inst->ema && !ema_there(el, inst->ema, loc)) return NULL;
    if (inst->name) map_set(el->arena, &el->taught, inst->name, el);
    el->depth++;
    App *app = app_open(el, inst, given, main, loc);
    if (app) app_force(el, app);
    el->depth--;
    return app;
}

App *module_call(Elab *el, const ModuleDef *def, const Args *args, Scope *scope, Loc loc)
{
    if (!role_check(el, def, ROLE_MODULE, loc)) return NULL;
    const char *path = scope->frame->owner->path;
    Instance *inst = instance_from_args(el, def, path, args, &def->in, &def->let, scope, loc);
    if (!inst) return NULL;
    inst->anonymous = true;
    return apply(el, inst, NULL, false, loc);
}

App *instance_apply(Elab *el, Instance *inst, const Args *args, Loc loc)
{
    Map given = {0};
    uint32_t position = 0;
    for (uint32_t i = 0; i < args->n; i++) {
        const Arg *a = &args->at[i];
        if (!a->name && position >= inst->def->in.n) {
            el_error(el, a->loc, "%s takes %u inputs", inst->def->name, inst->def->in.n);
            return NULL;
        }
        const char *name = a->name ? a->name : inst->def->in.at[position++].name;
        const Decl *d = decl_find(&inst->def->in, name);
        if (!d) {
            unknown_argument(el, inst->def, name, a->name ? a->name_loc : a->loc, NULL);
            if (decl_find(&inst->def->let, name))
                diag_help(el->diag,
                          "settings are given where the instance is made, not where it is called");
            return NULL;
        }
        Binding *b = binding_value(el, name, a->loc, decl_check(el, d, a->value, a->loc));
        b->decl = d;
        if (!map_set(el->arena, &given, name, b)) {
            el_error(el, a->loc, "input '%s' of %s is given twice", name, inst->def->name);
            return NULL;
        }
    }
    return apply(el, inst, &given, false, loc);
}

App *instance_default(Elab *el, Instance *inst, Loc loc)
{
    const char *name = *inst->path ? inst->path : inst->def->name;
    if (inst->doing) {
        el_error(el, inst->loc, "'%s' depends on itself", name);
        guess_instead(el, inst->loc, name);
    }
    if (inst->app) return inst->app->instance ? inst->app : NULL;
    inst->app = arena_make(el->arena, App); // empty: a failed application is silent
    inst->doing = true;
    bool own_place = inst->loc.source && !inst->ema; // a copy has none
    App *app = apply(el, inst, NULL, !inst->anonymous, own_place ? inst->loc : loc);
    inst->doing = false;
    if (app) inst->app = app;
    return app;
}

App *instance_read(Elab *el, Instance *inst, Loc loc)
{
    const Decls *in = &inst->def->in;
    for (uint32_t i = 0; inst->part && !inst->app && i < in->n; i++) {
        const Decl *d = &in->at[i];
        if (d->optional || d->def || d->def_tree || map_find(&inst->args, d->name)) continue;
        el_error(el, loc, "%s is a part, and is given its input '%s' where it is called",
                 *inst->path ? inst->path : inst->def->name, d->name);
        guess_of_part(el, inst, loc);
        inst->app = arena_make(el->arena, App); // once
        return NULL;
    }
    return instance_default(el, inst, loc);
}

// ---- members ----------------------------------------------------------------------------------

bool app_member(Elab *el, App *app, const char *name, Value *out)
{
    Binding *b = map_get(&app->out, name);
    if (!b) b = map_get(&app->extra, name);
    if (!b && app->scope) b = map_get(&app->scope->names, name); // none where it was wrong early
    if (!b) return false;
    *out = binding_force(el, b);
    return true;
}

Value app_main(Elab *el, App *app, Loc loc)
{
    if (!app->out.n) return el_fail(el, loc, "%s has no output", app->instance->def->name);
    return value_plain(el, binding_force(el, app->out.at[0].value), loc);
}
