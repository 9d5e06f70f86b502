// Expressions and YAML values to values: names, calls, members, lists, comprehensions,
// conditionals.
#include "frontend/guess.h"
#include "frontend/mend.h"

#include <stdlib.h>

const Expr *el_parse(Elab *el, const Tree *scalar)
{
    const char *key = str_printf(el->arena, "%p", (const void *)scalar);
    MapEntry *known = map_find(&el->parsed, key);
    if (known) return known->value;
    Expr *e = expr_parse(el->arena, el->diag, scalar);
    if (!e) guess_syntax(el, scalar);
    map_set(el->arena, &el->parsed, key, e);
    return e;
}

// ---- members ----------------------------------------------------------------------------------

static Value list_member(Elab *el, Value v, const char *name, Loc loc)
{
    char *end;
    long long i = strtoll(name, &end, 10);
    if (!*end && *name) {
        if (i < (long long)v.list->v.n) return v.list->v.at[i];
        return el_fail(el, loc, "there is no %lld in a list of %u", i, v.list->v.n);
    }
    ValueList *out = arena_make(el->arena, ValueList);
    for (uint32_t k = 0; k < v.list->v.n; k++) {
        Value x = member_read(el, v.list->v.at[k], name, loc);
        if (x.kind == V_ERROR) return x;
        vec_push(el->arena, &out->v, x);
    }
    return value_list(out);
}

// Has what is applied, or can be, such an output?
static bool has_output(const Value *v, const char *name)
{
    const Instance *inst = v->kind == V_INSTANCE ? v->instance
                           : v->kind == V_APP    ? v->app->instance
                                                 : NULL;
    const Items *both[] = {inst ? &inst->def->out : NULL, inst ? &inst->def->body : NULL};
    for (int k = 0; inst && k < 2; k++)
        for (uint32_t i = 0; i < both[k]->n; i++)
            if (strcmp(both[k]->at[i].name, name) == 0) return true;
    return false;
}

static Value record_member(Elab *el, const Map *record, const char *name, Loc loc)
{
    Value *v = map_get(record, name);
    if (v) return *v;
    el_error(el, loc, "there is no member '%s'", name);
    for (uint32_t i = 0; i < record->n; i++) {
        if (!has_output(record->at[i].value, name)) continue;
        suggest(el, str_printf(el->arena, "%s.%s", record->at[i].key, name), NULL);
        return value_error();
    }
    suggest_words(el, name, record);
    return value_error();
}

static Value tensor_member(Elab *el, Value v, const char *name, Loc loc)
{
    NodeId x = value_tensor(el, v, DT_NONE, loc);
    if (!x) return value_error();
    const Type *t = graph_type(el->graph, x);
    if (strcmp(name, "rank") == 0) return value_int(t->rank);
    if (strcmp(name, "dtype") == 0) return (Value){.kind = V_DTYPE, .dtype = t->dtype};
    if (strcmp(name, "shape") == 0) {
        ValueList *l = arena_make(el->arena, ValueList);
        for (uint32_t i = 0; i < t->rank; i++)
            vec_push(el->arena, &l->v, value_dim(t->axes[i].size, t->axes[i].per));
        return value_list(l);
    }
    el_error(el, loc, "%s has no member '%s'", value_text(el, v), name);
    if (!suggest_method(el, name, loc)) diag_help(el->diag, "it has shape, rank and dtype");
    return value_error();
}

static void no_member(Elab *el, const App *app, const char *name, Loc loc)
{
    el_error(el, loc, "%s has no output, tap or part '%s'", app->instance->def->name, name);
    const char *best = nearest_key(&app->out, name, NULL);
    best = nearest_key(&app->extra, name, best);
    if (app->scope) best = nearest_key(&app->scope->names, name, best);
    const char *list = "";
    for (uint32_t i = 0; i < app->out.n; i++)
        list = str_printf(el->arena, "%s%s%s", list, i ? ", " : "", app->out.at[i].key);
    if (best) diag_did_you_mean(el->diag, name, best);
    const char *taps = "";
    const Items *body = &app->instance->def->body;
    for (uint32_t i = 0; !best && i < body->n; i++)
        taps = str_printf(el->arena, "%s%s%s", taps, i ? ", " : "", body->at[i].name);
    diag_help(el->diag, *taps ? "its outputs are: %s; its taps: %s" : "its outputs are: %s", list,
              taps);
    if (!best && suggest_method(el, name, loc)) return;
    if (!best) guess_last_part(el, loc, &app->out);
}

static Value space_member(Elab *el, Space space, const char *name, Loc loc)
{
    if (space == SPACE_VIEWS) return view_read(el, name, loc);
    const char *path = space == SPACE_EXPERTS ? str_printf(el->arena, "experts.%s", name) : name;
    Task *t = map_get(&el->tasks, path);
    if (t && t->expert == (space == SPACE_EXPERTS)) return (Value){.kind = V_TASK, .task = t};
    Value family = family_value(el, name, space == SPACE_EXPERTS);
    if (family.kind != V_NONE) return family;
    el_error(el, loc, "there is no %s '%s'", space == SPACE_EXPERTS ? "expert" : "loss", name);
    Map names = {0};
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        const Task *o = el->tasks.at[i].value;
        if (o->expert == (space == SPACE_EXPERTS)) map_set(el->arena, &names, o->name, NULL);
    }
    suggest_near(el, name, &names);
    return value_error();
}

static Value app_read(Elab *el, App *app, const char *name, Loc loc)
{
    Value out;
    if (app_member(el, app, name, &out)) return out;
    static const char *const of_tensor[] = {"shape", "rank", "dtype", NULL};
    if (is_one_of(name, of_tensor)) return member_read(el, app_main(el, app, loc), name, loc);
    no_member(el, app, name, loc);
    return value_error();
}

// The names that an application of the module would have, without it.
static App names_alone(Elab *el, Instance *inst)
{
    const ModuleDef *def = inst->def;
    App app = {.instance = inst, .scope = scope_new(el, NULL, NULL)};
    const Decls *decls[] = {&def->in, &def->let};
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < decls[k]->n; i++) {
            const Decl *d = &decls[k]->at[i];
            map_set(el->arena, &app.scope->names, d->name, NULL);
            for (uint32_t n = 0; n < d->dims.n; n++)
                if (d->dims.at[n]->kind == EXPR_NAME)
                    map_set(el->arena, &app.scope->names, d->dims.at[n]->text, NULL);
        }
    body_bind(el, &def->params, app.scope);
    body_bind(el, &def->body, app.scope);
    for (uint32_t i = 0; i < def->out.n; i++)
        map_set(el->arena, &app.out, def->out.at[i].name, NULL);
    for (uint32_t i = 0; inst->outputs && i < inst->outputs->entries.n; i++)
        map_set(el->arena, &app.out, inst->outputs->entries.at[i].key->text, NULL);
    return app;
}

// A member of what could not be made, which is reported: a name that it would have is silent.
static Value lost_member(Elab *el, Instance *inst, const char *name, Loc loc)
{
    const App lost = names_alone(el, inst);
    const bool known = map_find(&lost.out, name) || map_find(&lost.scope->names, name) ||
                       !strcmp(name, "shape") || !strcmp(name, "rank") || !strcmp(name, "dtype");
    if (!known) no_member(el, &lost, name, loc);
    return value_error();
}

Value member_read(Elab *el, Value v, const char *name, Loc loc)
{
    switch (v.kind) {
    case V_ERROR: return v;
    case V_LIST: return list_member(el, v, name, loc);
    case V_RECORD: return record_member(el, v.record, name, loc);
    case V_INT:
    case V_FLOAT: // a tensor of rank 0
    case V_TENSOR: return tensor_member(el, v, name, loc);
    case V_APP: return app_read(el, v.app, name, loc);
    case V_INSTANCE: {
        if (v.instance->name && !strcmp(name, "name")) return value_str(v.instance->name);
        App *app = instance_read(el, v.instance, loc);
        return app ? app_read(el, app, name, loc) : lost_member(el, v.instance, name, loc);
    }
    case V_FIELD: return field_member(el, v.field, name, loc);
    case V_TASK: return task_member(el, v.task, name, loc);
    case V_STATS: return stats_member(el, v.stats, name, loc);
    case V_SPACE: return space_member(el, v.space, name, loc);
    default: el_error(el, loc, "%s has no members", value_text(el, v)); return value_error();
    }
}

// ---- calls ------------------------------------------------------------------------------------

// Of a function of the time, t, that is given numbers alone: the step before them.
static bool suggest_step(Elab *el, const FunctionDef *f, const Args *args, Loc loc)
{
    const char *text = text_at(el, loc), *open = strchr(text, '(');
    double x;
    if (strcmp(f->params.at[0], "t") || !open || !is_users(el, loc)) return false;
    for (uint32_t i = 0; i < args->n; i++) {
        const bool time = args->at[i].name && strcmp(args->at[i].name, "t") == 0;
        if (time || !value_number(args->at[i].value, &x)) return false;
    }
    const uint32_t begin = loc.begin + (uint32_t)(open - text) + 1;
    const char *first = args->n ? "step, " : "step";
    diag_help(el->diag, "%s is a function of the time: write %.*s%s..)", f->name,
              (int)(open - text) + 1, text, first);
    diag_mend(el->diag, loc_in(loc.source, begin, begin), first);
    return true;
}

Value function_call(Elab *el, const FunctionDef *f, const Args *args, Scope *scope, Loc loc)
{
    Frame *frame = frame_new(el, el->frame, str_printf(el->arena, "function %s", f->name), "", loc);
    frame->owner = scope->frame->owner;
    frame->path = frame->owner->path;
    Scope *s = scope_new(el, module_names(el, frame->owner), frame);
    for (uint32_t i = 0, position = 0; i < args->n; i++) {
        const Arg *a = &args->at[i];
        uint32_t k = 0;
        if (a->name) {
            while (k < f->params.n && strcmp(f->params.at[k], a->name) != 0) k++;
        } else {
            k = position++;
        }
        if (k >= f->params.n) {
            el_error(el, a->name ? a->name_loc : a->loc, "%s has no argument %s%s%s", f->text,
                     a->name ? "'" : "", a->name ? a->name : "here", a->name ? "'" : "");
            Map names = {0};
            for (uint32_t n = 0; n < f->params.n; n++)
                map_set(el->arena, &names, f->params.at[n], NULL);
            const char *best = a->name ? nearest_key(&names, a->name, NULL) : NULL;
            if (best) diag_did_you_mean(el->diag, a->name, best);
            return value_error();
        }
        if (map_find(&s->names, f->params.at[k]))
            return el_fail(el, a->loc, "argument '%s' of %s is given twice", f->params.at[k],
                           f->name);
        scope_value(el, s, f->params.at[k], a->loc, a->value);
        if (a->value.kind == V_ERROR) return value_error();
    }
    for (uint32_t k = 0; k < f->params.n; k++) {
        if (map_find(&s->names, f->params.at[k])) continue;
        if (!f->defaults.at[k]) {
            el_error(el, loc, "argument '%s' of %s is missing", f->params.at[k], f->text);
            if (!suggest_step(el, f, args, loc)) suggest_argument(el, f->params.at[k]);
            return value_error();
        }
        scope_add(el, s, f->params.at[k], f->loc, BIND_EXPR)->expr = f->defaults.at[k];
    }
    Frame *caller = el->frame;
    if (el->depth >= DEPTH_LIMIT) {
        el_error(el, loc, "%s calls itself without end", f->name);
        guess_end(el, loc, f->params.n ? f->params.at[0] : NULL);
        return value_error();
    }
    el->frame = frame;
    el->depth++;
    Value v = tree_eval(el, s, f->body, NULL);
    el->depth--;
    el->frame = caller;
    return v;
}

static Value call_value(Elab *el, Scope *s, Value f, const Args *args, Loc loc)
{
    for (uint32_t i = 0; i < args->n; i++)
        if (args->at[i].value.kind == V_ERROR) return value_error();
    App *app = NULL;
    switch (f.kind) {
    case V_ERROR: return f;
    case V_FUNCTION: return function_call(el, f.function, args, s, loc);
    case V_BUILTIN: return builtin_call(el, f.builtin, args, s, loc);
    case V_MODULE: app = module_call(el, f.module, args, s, loc); break;
    case V_INSTANCE: app = instance_apply(el, f.instance, args, loc); break;
    default:
        el_error(el, loc, "%s cannot be called", value_text(el, f));
        if (f.kind == V_DTYPE) suggest_cast_of(el, loc, f.dtype);
        return value_error();
    }
    return app ? (Value){.kind = V_APP, .app = app} : value_error();
}

static Value call_eval(Elab *el, Scope *s, const Expr *e)
{
    const Expr *callee = e->args[0];
    Value f = callee->kind == EXPR_NAME ? callee_read(el, s, callee->text, callee->loc)
                                        : expr_eval(el, s, callee);
    Args args = {0};
    for (uint32_t i = 1; i < e->nargs; i++) {
        const char *name = e->names ? e->names[i] : NULL;
        Loc at = e->args[i]->loc;
        vec_push(el->arena, &args,
                 (Arg){name, name ? e->name_locs[i] : at, at, expr_eval(el, s, e->args[i])});
    }
    return call_value(el, s, f, &args, e->loc);
}

// ---- the other forms --------------------------------------------------------------------------

static Value comprehension(Elab *el, Scope *s, const Expr *e)
{
    const ValueList *items;
    if (!value_items(el, expr_eval(el, s, e->args[1]), e->args[1]->loc, &items))
        return value_error();
    ValueList *out = arena_make(el->arena, ValueList);
    for (uint32_t i = 0; i < items->v.n; i++) {
        Scope *inner = scope_new(el, s, s->frame);
        scope_value(el, inner, e->text, e->at, items->v.at[i]);
        if (e->nargs > 2 && e->args[2]) {
            bool keep;
            Value c = expr_eval(el, inner, e->args[2]);
            if (!value_to_bool(el, c, e->args[2]->loc, "the condition", &keep))
                return value_error();
            if (!keep) continue;
        }
        Value v = expr_eval(el, inner, e->args[0]);
        if (v.kind == V_ERROR) return v;
        vec_push(el->arena, &out->v, v);
    }
    return value_list(out);
}

static Value binary_eval(Elab *el, Scope *s, const Expr *e)
{
    Value a = expr_eval(el, s, e->args[0]);
    if (e->op == EOP_AND || e->op == EOP_OR) { // a known left side may decide
        a = value_plain(el, a, e->args[0]->loc);
        if (a.kind == V_BOOL && a.b == (e->op == EOP_OR)) return a;
        if (a.kind == V_BOOL) {
            Value b = value_plain(el, expr_eval(el, s, e->args[1]), e->args[1]->loc);
            if (b.kind == V_BOOL || b.kind == V_TENSOR || b.kind == V_ERROR) return b;
            return el_fail(el, e->args[1]->loc, "a truth value is needed here, not %s",
                           value_text(el, b));
        }
    }
    Value b = expr_eval(el, s, e->args[1]);
    return arith(el, e->op, a, b, e->loc);
}

// select(condition, a, b) in place of an if.
static void mend_choice(Elab *el, const Expr *e)
{
    const char *text = str_printf(el->arena, "select(%s, %s, %s)", text_at(el, e->args[1]->loc),
                                  text_at(el, e->args[0]->loc), text_at(el, e->args[2]->loc));
    Loc at = e->loc;
    if (!is_users(el, at) || !diag_last_error(el->diag)) return;
    text = quoted_in(el, &at, text);
    diag_mend(el->diag, at, text);
}

static Value cond_eval(Elab *el, Scope *s, const Expr *e)
{
    bool yes;
    Value c = expr_eval(el, s, e->args[1]);
    if (!value_to_bool(el, c, e->args[1]->loc, "the condition of if", &yes)) {
        if (c.kind == V_TENSOR || c.kind == V_FIELD) mend_choice(el, e);
        return value_error();
    }
    return expr_eval(el, s, e->args[yes ? 0 : 2]);
}

static Value list_eval(Elab *el, Scope *s, const Expr *e)
{
    ValueList *l = arena_make(el->arena, ValueList);
    bool bad = false;
    for (uint32_t i = 0; i < e->nargs; i++) {
        Value v = expr_eval(el, s, e->args[i]);
        bad |= v.kind == V_ERROR;
        vec_push(el->arena, &l->v, v);
    }
    return bad ? value_error() : value_list(l);
}

Value expr_eval(Elab *el, Scope *s, const Expr *e)
{
    if (!e) return value_error();
    if (el->graph) el->graph->here = e->loc;
    switch (e->kind) {
    case EXPR_NUMBER: return e->is_int ? value_int((int64_t)e->number) : value_float(e->number);
    case EXPR_STRING: return value_str(e->text);
    case EXPR_NAME: return scope_read(el, s, e->text, e->loc);
    case EXPR_UNARY: return arith_unary(el, e->op, expr_eval(el, s, e->args[0]), e->loc);
    case EXPR_BINARY: return binary_eval(el, s, e);
    case EXPR_COND: return cond_eval(el, s, e);
    case EXPR_CALL: return call_eval(el, s, e);
    case EXPR_INDEX: return value_index(el, s, e, expr_eval(el, s, e->args[0]));
    case EXPR_MEMBER: return member_read(el, expr_eval(el, s, e->args[0]), e->text, e->at);
    case EXPR_LIST: return list_eval(el, s, e);
    case EXPR_COMP: return comprehension(el, s, e);
    case EXPR_SLICE: break;
    }
    return el_fail(el, e->loc, "a slice belongs between brackets");
}

// ---- YAML values ------------------------------------------------------------------------------

static Value tree_list(Elab *el, Scope *s, const Tree *t)
{
    ValueList *l = arena_make(el->arena, ValueList);
    bool bad = false;
    for (uint32_t i = 0; i < t->items.n; i++) {
        Value v = tree_eval(el, s, t->items.at[i], NULL);
        bad |= v.kind == V_ERROR;
        vec_push(el->arena, &l->v, v);
    }
    return bad ? value_error() : value_list(l);
}

static Value tree_record(Elab *el, Scope *s, const Tree *t)
{
    Map *record = arena_make(el->arena, Map);
    for (uint32_t i = 0; i < t->entries.n; i++) {
        Value *v = arena_make(el->arena, Value);
        *v = tree_eval(el, s, t->entries.at[i].value, NULL);
        map_set(el->arena, record, t->entries.at[i].key->text, v);
    }
    return value_record(record);
}

// {module: m, input: .., let: ..}: construct and apply. Without a name it takes the owner's path.
static Value tree_module_call(Elab *el, Scope *s, const Tree *t, const char *name)
{
    static const char *const skip[] = {"module", "path", "precision", NULL};
    const ModuleDef *def = tree_module(el, t, s);
    if (!def || !role_check(el, def, ROLE_MODULE, tree_get(t, "module")->loc)) return value_error();
    const Frame *owner = s->frame->owner;
    const Tree *given = tree_get(t, "path");
    const char *path = given && given->kind == TREE_SCALAR ? given->text
                       : name                              ? path_join(el, owner->path, name)
                                                           : owner->path;
    Instance *inst = instance_from_tree(el, def, path, t, skip, s);
    if (!inst) return value_error();
    inst->anonymous = !name && !given;
    inst->precision = precision_read(el, t);
    App *app = instance_default(el, inst, t->loc);
    return app ? (Value){.kind = V_APP, .app = app} : value_error();
}

Value tree_eval(Elab *el, Scope *s, const Tree *t, const char *name)
{
    if (data_wrong(el, t)) return value_error();
    switch (t->kind) {
    case TREE_NULL: return value_none();
    case TREE_SCALAR: return expr_eval(el, s, el_parse(el, t));
    case TREE_LIST: return tree_list(el, s, t);
    case TREE_MAP: break;
    }
    if (tree_get(t, "repeat")) return repeat_eval(el, t, s, name);
    if (tree_get(t, "module")) return tree_module_call(el, s, t, name);
    return tree_record(el, s, t);
}
