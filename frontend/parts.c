// The rows of params: and body:, parameters, and repetition.
#include "frontend/guess.h"
#include "frontend/mend.h"

#include <ctype.h>

// ---- body -------------------------------------------------------------------------------------

// "q, k, v: list": one binding for the list, one for each name.
static void bind_several(Elab *el, const Item *item, Scope *scope)
{
    Binding *pack = scope_add(el, scope, item->name, item->loc, BIND_BODY);
    VEC(Binding *) parts = {0};
    pack->tree = item->value;
    for (const char *p = item->name; *p;) {
        while (*p == ' ' || *p == ',') p++;
        const char *end = p;
        while (*end && *end != ',' && *end != ' ') end++;
        if (end > p) {
            char *name = str_slice(el->arena, p, (size_t)(end - p));
            Binding *b = scope_add(el, scope, name, item->loc, BIND_BODY);
            b->pack = pack;
            b->index = parts.n;
            vec_push(el->arena, &parts, b);
        }
        p = end;
    }
    for (uint32_t i = 0; i < parts.n; i++) parts.at[i]->npack = parts.n;
}

void body_bind(Elab *el, const Items *body, Scope *scope)
{
    for (uint32_t i = 0; i < body->n; i++) {
        if (strchr(body->at[i].name, ',')) {
            bind_several(el, &body->at[i], scope);
            continue;
        }
        scope_add(el, scope, body->at[i].name, body->at[i].loc, BIND_BODY)->tree =
            body->at[i].value;
    }
}

Value body_eval(Elab *el, Binding *b)
{
    if (b->tree->kind == TREE_NULL) return el_fail(el, b->loc, "'%s' has no value", b->name);
    return tree_eval(el, b->scope, b->tree, b->name);
}

// ---- parameters -------------------------------------------------------------------------------

void params_bind(Elab *el, const Items *params, Scope *scope)
{
    for (uint32_t i = 0; i < params->n; i++) {
        Binding *b = scope_add(el, scope, params->at[i].name, params->at[i].loc, BIND_PARAM);
        b->tree = params->at[i].value;
    }
}

const Frame *part_frame(const Frame *f)
{
    while (!f->part && f->instance) f = f->instance->frame->owner;
    return f;
}

// Two parts that share a prefix clash in many parameters; the first is reported.
static void clash(Elab *el, const char *path, const Frame *old, const Frame *owner, Loc loc)
{
    const Frame *a = part_frame(old), *b = part_frame(owner);
    const char *pair = str_printf(el->arena, "%p %p", (const void *)a, (const void *)b);
    if (!map_set(el->arena, &el->clashes, pair, el)) return;
    el_error(el, blame_call(el, loc), "two parts have a parameter at '%s'", path);
    diag_note(el->diag, old->call, "the other one is in %s", old->what ? old->what : a->path);
    if (a != old) diag_note(el->diag, a->call, "which belongs to this");
    diag_help(el->diag, "name the parts, or give one of them another path:");
    guess_paths(el);
}

// Two owners of one path are an error, so are two anonymous calls with parameters in one place.
static bool claim(Elab *el, const char *path, const Frame *owner, Loc loc)
{
    const Instance *inst = owner->instance;
    if (inst && inst->anonymous) {
        Frame *place = inst->frame->owner;
        if (place->anonymous && place->anonymous != inst->site) {
            el_error(el, inst->loc, "two calls here own parameters; they need names");
            diag_note(el->diag, place->anonymous_loc, "the other call");
            diag_help(el->diag, "make them parts under params:, each with a name");
            guess_part(el, inst->def, inst->loc);
            guess_part(el, inst->def, place->anonymous_loc);
            return false;
        }
        place->anonymous = inst->site;
        place->anonymous_loc = inst->loc;
    }
    const Frame *old = map_get(&el->sites, path);
    if (!old) map_set(el->arena, &el->sites, path, (void *)owner);
    if (!old || old->site == owner->site) return true;
    clash(el, path, old, owner, loc);
    return false;
}

static bool reads(const Tree *t, const char *name)
{
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++)
        if (reads(t->items.at[i], name)) return true;
    return t->kind == TREE_SCALAR && has_word(t->text, name);
}

// The setting as the last size of each input that an application has.
static void guess_sizes_of(Elab *el, const Instance *inst, const Scope *s, const char *name)
{
    for (uint32_t i = 0; s && i < inst->def->in.n; i++) {
        const Binding *in = map_get(&s->names, inst->def->in.at[i].name);
        const Value v = in && in->forced ? value_plain(el, in->value, inst->loc) : value_none();
        if (v.kind != V_TENSOR || v.build != el->build) continue;
        const Type *t = graph_type(el->graph, v.node);
        const long long size = t->rank ? (long long)t->axes[t->rank - 1].size : 0;
        guess_setting(el, inst->loc, name, str_printf(el->arena, "%lld", size));
    }
}

// The setting as any number that the data have under that key.
static void guess_sizes_in(Elab *el, const Instance *inst, const Tree *t, const char *name,
                           bool under)
{
    if (!t) return;
    if (under && t->kind == TREE_SCALAR && strspn(t->text, "0123456789") == strlen(t->text))
        guess_setting(el, inst->loc, name, t->text);
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++)
        guess_sizes_in(el, inst, t->items.at[i], name, under);
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++)
        guess_sizes_in(el, inst, t->entries.at[i].value, name,
                       !strcmp(t->entries.at[i].key->text, name));
}

// A parameter whose shape follows an input, in a module that was called with two sizes of it: the
// settings at 0 that its shape reads are for that, such as size of an encoder.
static void help_sizes(Elab *el, const Binding *b, const Tree *shape, const char *path)
{
    const Instance *inst = b->scope->frame->owner->instance;
    const StateVar *old = program_find_state(el->program, path);
    if (!old || !inst || !shape) return;
    for (uint32_t i = 0; i < inst->def->let.n; i++) {
        const char *name = inst->def->let.at[i].name;
        Binding *setting = map_get(&b->scope->names, name);
        Value v = setting && reads(shape, name) ? binding_force(el, setting) : value_none();
        if (v.kind != V_INT || v.i != 0) continue;
        diag_help(el->diag, "give %s its `%s`, and inputs may have other sizes", inst->path, name);
        guess_sizes_of(el, inst, b->scope, name);
        guess_sizes_in(el, inst, tree_get(el->root, "data"), name, false);
    }
}

// The parameter of a path.
static Value param_own(Elab *el, const char *path, const Type *type, const Tree *init_tree,
                       const Expr *init, Scope *scope, bool trainable, Value max, Loc loc)
{
    if (el->initialising) return el_fail(el, loc, "an initialiser cannot use a parameter");
    if (!claim(el, path, scope->frame->owner, loc)) return value_error();
    const StateVar *old = program_find_state(el->program, path);
    if (old && !type_equal(old->type, type))
        return el_fail(el, blame_call(el, loc), "parameter '%s' is %s here and %s elsewhere", path,
                       type_text(el->arena, type), type_text(el->arena, old->type));
    StateKind kind =
        scope->frame->owner->frozen || map_get(&el->constants, path) ? STATE_FROZEN : STATE_PARAM;
    if (old && old->kind != kind) {
        el_error(el, loc, "a part and %s both have a parameter at '%s'",
                 old->kind == STATE_EMA ? "a slow copy" : "a teacher", path);
        diag_help(el->diag, "give one of them another name, or another path:");
        return value_error();
    }
    if (!old) {
        program_state(el->program, path, kind, type, loc)->trainable =
            trainable && kind == STATE_PARAM;
        Init *how = arena_make(el->arena, Init);
        *how = (Init){.name = path, .tree = init_tree, .expr = init, .scope = scope, .loc = loc};
        how->part = part_frame(scope->frame->owner)->part;
        map_set(el->arena, &el->inits, path, how);
        ParamLimit *limit = arena_make(el->arena, ParamLimit);
        if (max.kind != V_NONE) {
            if (!value_to_float(el, max, loc, "max", &limit->max)) return value_error();
            map_set(el->arena, &el->limits, path, limit);
        }
    }
    uint32_t before = diag_errors(el->diag);
    el->graph->here = loc;
    return el_node(el, graph_state(el->graph, path, type), before);
}

Value param_make(Elab *el, const char *path, const Type *type, const Tree *init_tree,
                 const Expr *init, Scope *scope, bool trainable, Value max, Loc loc)
{
    const Ema *ema = scope->frame->owner->ema;
    const char *own = ema ? ema_student(ema, path) : path;
    Value student = param_own(el, own, type, init_tree, init, scope, trainable, max, loc);
    if (!ema || student.kind == V_ERROR) return student;
    el->graph->here = loc;
    NodeId slow = ema_state(el, path, type, loc);
    return slow ? value_node(el, slow) : value_error();
}

// {shape: .., init: .., max: .., trainable: ..}
static Value param_tensor(Elab *el, Binding *b)
{
    const Tree *t = b->tree;
    if (!keys_check(el, t, MAPPING_PARAM, false)) return value_error();
    const Tree *shape = tree_get(t, "shape"), *max = tree_get(t, "max"),
               *train = tree_get(t, "trainable");
    Axis *axes = NULL;
    uint32_t rank = 0;
    bool trainable = true;
    if (shape && !value_to_axes(el, tree_eval(el, b->scope, shape, NULL), shape->loc, &axes, &rank))
        return value_error();
    for (uint32_t i = 0; i < rank; i++) {
        axes[i].per = 0;
        if (axes[i].size >= 1) continue;
        el_error(el, shape->loc, "axis %u of parameter '%s' has size %lld; sizes are at least 1", i,
                 b->name, (long long)axes[i].size);
        suggest_number(el, (double)axes[i].size, 1, 1e15, true);
        return value_error();
    }
    if (train && !value_to_bool(el, tree_eval(el, b->scope, train, NULL), train->loc, "trainable",
                                &trainable))
        return value_error();
    Value limit = max ? tree_eval(el, b->scope, max, NULL) : value_none();
    const char *path = path_join(el, b->scope->frame->owner->path, b->name);
    DType dtype = DT_F32;
    if (!constant_read(el, t, path, &dtype, &axes, &rank)) return value_error();
    const Type *type = type_new(el->arena, dtype, rank, axes);
    Value v =
        param_make(el, path, type, tree_get(t, "init"), NULL, b->scope, trainable, limit, b->loc);
    const StateVar *var = program_find_state(el->program, path);
    if (v.kind == V_ERROR && var && !type_equal(var->type, type)) help_sizes(el, b, shape, path);
    return v;
}

// Under params: a call of a module constructs.
static Value param_expr(Elab *el, Binding *b, const Expr *e)
{
    Scope *s = b->scope;
    if (!e) return value_error();
    if (e->kind == EXPR_COND) {
        bool yes;
        Value c = expr_eval(el, s, e->args[1]);
        if (!value_to_bool(el, c, e->args[1]->loc, "the condition of if", &yes))
            return value_error();
        return param_expr(el, b, e->args[yes ? 0 : 2]);
    }
    if (e->kind != EXPR_CALL || e->args[0]->kind != EXPR_NAME) return expr_eval(el, s, e);
    Value f = expr_eval(el, s, e->args[0]);
    if (f.kind == V_ERROR) return f;
    if (f.kind != V_MODULE) return expr_eval(el, s, e);
    Args args = {0};
    for (uint32_t i = 1; i < e->nargs; i++) {
        const char *name = e->names ? e->names[i] : NULL;
        Loc at = e->args[i]->loc;
        Value v = expr_eval(el, s, e->args[i]);
        if (v.kind == V_ERROR) return v;
        vec_push(el->arena, &args, (Arg){name, name ? e->name_locs[i] : at, at, v});
    }
    const char *path = path_join(el, s->frame->owner->path, b->name);
    Instance *inst = instance_construct(el, f.module, path, &args, s, e->loc);
    if (inst) inst->part = true;
    return inst ? (Value){.kind = V_INSTANCE, .instance = inst} : value_error();
}

Value param_eval(Elab *el, Binding *b)
{
    static const char *const skip[] = {"module", "path", "precision", "doc", NULL};
    const Tree *t = b->tree;
    if (t->kind == TREE_SCALAR) {
        Value v = param_expr(el, b, el_parse(el, t));
        if (v.kind != V_INT && v.kind != V_FLOAT && v.kind != V_BOOL) return v;
        el_error(el, t->loc, "parameter '%s' is a constant, which nothing would train", b->name);
        diag_help(el->diag, "write {shape: [], init: %s}, or put it under let:", t->text);
        if (is_users(el, t->loc) && diag_last_error(el->diag))
            diag_mend(el->diag, t->loc, str_printf(el->arena, "{shape: [], init: %s}", t->text));
        return value_error();
    }
    if (t->kind != TREE_MAP)
        return el_fail(el, b->loc, "a parameter is {shape:, init:} or a call such as linear(D, D)");
    if (!tree_get(t, "module")) return param_tensor(el, b);
    const ModuleDef *def = tree_module(el, t, b->scope);
    if (!def || !role_check(el, def, ROLE_MODULE, tree_get(t, "module")->loc)) return value_error();
    const Tree *given = tree_get(t, "path");
    const char *own = given && given->kind == TREE_SCALAR ? given->text : b->name;
    const char *path = path_join(el, b->scope->frame->owner->path, own);
    Instance *inst = instance_from_tree(el, def, path, t, skip, b->scope);
    if (inst) inst->part = true, inst->precision = precision_read(el, t);
    return inst ? (Value){.kind = V_INSTANCE, .instance = inst} : value_error();
}

// ---- repetition -------------------------------------------------------------------------------

typedef struct Repeat {
    const Tree *tree;
    Scope *scope;
    const char *name, *index;
    const ModuleDef *def;
    Items carry, body;
    Value *carried;    // one a row of carry
    const char **skip; // keys that are no arguments of the module
} Repeat;

static bool repeat_read(Elab *el, Repeat *r)
{
    const Tree *t = r->tree;
    bool module = tree_get(t, "module") != NULL;
    if (!keys_check(el, t, MAPPING_REPEAT, module)) return false;
    const Tree *index = tree_get(t, "index");
    r->carry = items_read(el, tree_get(t, "carry"));
    r->body = items_read(el, tree_get(t, "body"));
    r->index = index ? index->text : NULL;
    if (!module && !r->body.n) return el_error(el, t->loc, "a repetition needs a module or a body");
    if (module && !(r->def = tree_module(el, t, r->scope))) return false;
    if (module && !role_check(el, r->def, ROLE_MODULE, tree_get(t, "module")->loc)) return false;
    const char *const *keys = keys_names(el, MAPPING_REPEAT);
    VEC(const char *) skip = {0};
    for (; *keys; keys++) vec_push(el->arena, &skip, *keys);
    vec_push(el->arena, &skip, NULL);
    r->skip = skip.at;
    r->carried = arena_array(el->arena, Value, r->carry.n + 1);
    for (uint32_t i = 0; i < r->carry.n; i++) {
        r->carried[i] = tree_eval(el, r->scope, r->carry.at[i].value, NULL);
        if (r->carried[i].kind == V_ERROR) return false;
    }
    return true;
}

static void bind_carried(Elab *el, const Repeat *r, Scope *s)
{
    for (uint32_t k = 0; k < r->carry.n; k++)
        scope_value(el, s, r->carry.at[k].name, r->carry.at[k].loc, r->carried[k]);
}

// The module of one turn; its body names become further taps of the application.
static Value turn_module(Elab *el, const Repeat *r, Scope *s, Scope **inner)
{
    Instance *inst = instance_from_tree(el, r->def, s->frame->path, r->tree, r->skip, s);
    if (!inst) return value_error();
    inst->site = s->frame->site;
    Args args = {0};
    for (uint32_t k = 0; k < r->carry.n; k++) {
        const Item *c = &r->carry.at[k];
        vec_push(el->arena, &args, (Arg){c->name, c->loc, c->value->loc, r->carried[k]});
    }
    App *app = instance_apply(el, inst, &args, r->tree->loc);
    if (!app) return value_error();
    *inner = scope_new(el, s, s->frame);
    for (uint32_t i = 0; i < app->out.n; i++)
        map_set(el->arena, &(*inner)->names, app->out.at[i].key, app->out.at[i].value);
    body_bind(el, &r->body, *inner);
    for (uint32_t i = 0; i < r->body.n; i++) {
        Binding *b = map_get(&(*inner)->names, r->body.at[i].name);
        map_set(el->arena, &app->extra, r->body.at[i].name, b);
        binding_force(el, b);
    }
    return (Value){.kind = V_APP, .app = app};
}

static Value turn_body(Elab *el, const Repeat *r, Scope *s, Scope **inner)
{
    Map *record = arena_make(el->arena, Map);
    *inner = scope_new(el, s, s->frame);
    body_bind(el, &r->body, *inner);
    for (uint32_t i = 0; i < (*inner)->names.n; i++) {
        const Value v = binding_force(el, (*inner)->names.at[i].value);
        if (v.kind == V_ERROR) return v;
        record_put(el, record, (*inner)->names.at[i].key, v);
    }
    return value_record(record);
}

// What the carried values become.
static bool turn_next(Elab *el, Repeat *r, Scope *inner, Value turn)
{
    Items next = items_read(el, tree_get(r->tree, "next"));
    Value *fresh = arena_array(el->arena, Value, r->carry.n + 1);
    for (uint32_t k = 0; k < r->carry.n; k++) {
        const char *name = r->carry.at[k].name;
        const Tree *rule = NULL;
        for (uint32_t i = 0; i < next.n; i++)
            if (strcmp(next.at[i].name, name) == 0) rule = next.at[i].value;
        if (rule) {
            fresh[k] = tree_eval(el, inner, rule, NULL);
        } else if (r->carry.n == 1 && turn.kind == V_APP) {
            fresh[k] = app_main(el, turn.app, r->tree->loc);
        } else if (turn.kind == V_APP) {
            fresh[k] = member_read(el, turn, name, r->carry.at[k].loc);
        } else if (r->carry.n == 1) {
            fresh[k] = *(Value *)turn.record->at[turn.record->n - 1].value;
        } else {
            return el_error(el, r->carry.at[k].loc, "next: does not say what '%s' becomes", name);
        }
        if (fresh[k].kind == V_ERROR) return false;
    }
    memcpy(r->carried, fresh, r->carry.n * sizeof *fresh);
    return true;
}

static bool turn(Elab *el, Repeat *r, int64_t i, ValueList *out)
{
    Frame *outer = r->scope->frame->owner;
    const char *place = r->name ? path_join(el, outer->path, r->name) : outer->path;
    Frame *f = frame_new(el, el->frame, NULL, str_printf(el->arena, "%s.%lld", place, (long long)i),
                         r->tree->loc);
    f->site = hash_u64(hash_u64(outer->site, (uint64_t)r->tree->loc.begin), (uint64_t)i + 1);
    f->instance = outer->instance;
    f->ema = outer->ema;
    f->frozen = outer->frozen;
    f->precision = outer->precision;
    Scope *s = scope_new(el, r->scope, f), *inner = NULL;
    Frame *caller = el->frame;
    if (r->index) scope_value(el, s, r->index, r->tree->loc, value_int(i));
    bind_carried(el, r, s);
    el->frame = f;
    Value v = r->def ? turn_module(el, r, s, &inner) : turn_body(el, r, s, &inner);
    bool ok = v.kind != V_ERROR && turn_next(el, r, inner, v);
    el->frame = caller;
    vec_push(el->arena, &out->v, v);
    return ok;
}

enum { MOST_TURNS = 1000 }; // each makes nodes of its own; the deepest networks have some hundred

Value repeat_eval(Elab *el, const Tree *t, Scope *scope, const char *name)
{
    Repeat r = {.tree = t, .scope = scope, .name = name};
    const Tree *count = tree_get(t, "repeat");
    int64_t n;
    if (!repeat_read(el, &r)) return value_error();
    if (!value_to_int(el, tree_eval(el, scope, count, NULL), count->loc, "repeat", &n))
        return value_error();
    if (n < 0 || n > MOST_TURNS)
        return el_fail(el, count->loc, "cannot repeat %lld times: 0 to %d are possible",
                       (long long)n, MOST_TURNS);
    ValueList *out = arena_make(el->arena, ValueList);
    for (int64_t i = 0; i < n; i++)
        if (!turn(el, &r, i, out)) return value_error();
    return value_list(out);
}
