// experts: and losses:. A task that is off (enabled: false, or a weight constantly 0) leaves
// nothing in the graph. A loss module gives num (B,) and perhaps den (B,); the loss is
// batch_sum(select(valid, num, 0)) / batch_sum(select(valid, den, 0)), 0 where that is 0.
#include "frontend/guess.h"
#include "frontend/mend.h"
#include "frontend/rewrite.h"

// ---- binding ----------------------------------------------------------------------------------

static bool constant(Elab *el, Task *t, const char *key, Value *v)
{
    TaskKey k = task_key(t, key);
    if (!k.tree) return false;
    *v = value_plain(el, tree_eval(el, k.scope, k.tree, NULL), k.tree->loc);
    return v->kind != V_ERROR;
}

// In a task that begins later, phase_step counts from there.
static void bind_phase_step(Elab *el, Task *t)
{
    int64_t from = phase_bound(el, t->tree, "from", 0);
    if (!from) return;
    const Value since = updates_since(el, el->phase == PHASE_ALL ? 0 : from);
    task_name(el, t, "phase_step", binding_value(el, "phase_step", t->loc, since));
}

// Is a weight 0 whatever the step: 0 * step, (1 - 1) * ramp(..)? Operands precede their users.
static bool is_zero(const Graph *g, NodeId id)
{
    Arena *scratch = arena_new();
    bool *zero = arena_array(scratch, bool, id + 1);
    for (NodeId i = 1; i <= id; i++) {
        const Node *n = graph_node(g, i);
        double x;
        bool first = n->nargs && zero[n->args[0]];
        if (graph_is_const(g, i, &x))
            zero[i] = x == 0;
        else if (n->op == OP_MUL)
            zero[i] = first || zero[n->args[1]];
        else if (n->op == OP_ADD || n->op == OP_SUB)
            zero[i] = first && zero[n->args[1]];
        else
            zero[i] = first && (n->op == OP_DIV || n->op == OP_CAST || n->op == OP_NEG);
    }
    bool yes = zero[id];
    arena_free(scratch);
    return yes;
}

// Decide whether a task is on, and its weight.
static void task_switch(Elab *el, Task *t)
{
    Value v;
    double x;
    if (constant(el, t, "enabled", &v)) {
        bool yes;
        if (value_to_bool(el, v, tree_get(t->tree, "enabled")->loc, "enabled", &yes)) t->on = yes;
    }
    int64_t from = phase_bound(el, t->tree, "from", 0);
    t->on = t->on && phase_has(el, from, phase_bound(el, t->tree, "until", INT64_MAX)) &&
            phase_works(el, t->tree);
    if (!t->on || !task_key(t, "weight").tree) return;
    if (!constant(el, t, "weight", &v)) {
        t->weight = value_error();
        return;
    }
    t->weight = v;
    if (value_number(v, &x) ? x == 0 : v.kind == V_TENSOR && is_zero(el->graph, v.node))
        t->on = false;
}

// output, target, decode: lazily evaluated where they are said, seen by the expert and its kind.
static void bind_key(Elab *el, Task *t, const char *key, const char *name)
{
    TaskKey k = task_key(t, key);
    if (!k.tree) return;
    Binding *b = binding_tree(el, name, k.tree, k.scope);
    if (t->kind) b->decl = decl_find(&t->kind->instance->def->in, name);
    task_name(el, t, name, b);
}

// The prefix of a task's parameters; members of a family with a `path:` keep their own names.
static const char *prefix_of(Elab *el, const TreeEntry *e, const char *name, const char *label)
{
    const Tree *path = tree_get(e->value, "path");
    if (!path) return label;
    const char *given = path->kind == TREE_SCALAR ? path->text : "";
    const char *member = name + strlen(e->key->text);
    return *member ? path_join(el, given, member + 1) : given;
}

static Task *task_new(Elab *el, const TreeEntry *e, const char *name, bool expert)
{
    Task *t = arena_make(el->arena, Task);
    t->name = name;
    t->expert = expert;
    t->on = true;
    t->weight = value_int(1);
    t->tree = e->value;
    t->loc = e->key->loc;
    t->path = expert ? str_printf(el->arena, "experts.%s", t->name) : t->name;
    const char *label = expert ? t->path : str_printf(el->arena, "losses.%s", t->name);
    t->scope = part_scope(el, label, prefix_of(el, e, name, label), label, t->loc);
    t->frame = t->scope->frame;
    if (e->value->kind == TREE_MAP) t->frame->precision = precision_read(el, e->value);
    map_set(el->arena, &el->tasks, t->path, t);
    return t;
}

MappingId task_mapping(const Task *t)
{
    return t->expert ? MAPPING_EXPERT : MAPPING_LOSS;
}

Task *task_begin(Elab *el, const TreeEntry *e, const char *name, bool expert)
{
    if (map_find(&el->tasks, expert ? str_printf(el->arena, "experts.%s", name) : name)) {
        if (strchr(e->key->text, '.')) return NULL; // no name, which is reported
        el_error(el, e->key->loc,
                 expert ? "there are two experts '%s'" : "there are two losses '%s'", name);
        return NULL;
    }
    return task_new(el, e, name, expert);
}

// What neither the task nor its kind says and has to be said; a loss needs no output. Where a key
// is strange, that may be what is meant to say it.
static bool complete(Elab *el, const Task *t, bool strange)
{
    static const char *const needed[] = {"loss", "output"};
    bool ok = true, module = !t->expert && tree_get(t->tree, "module");
    for (int i = t->expert; i >= 0; i--) {
        if (task_key(t, needed[i]).tree || module) continue;
        ok = false;
        if (strange) continue;
        if (t->expert)
            el_error(el, t->loc, "an expert needs '%s'", needed[i]);
        else
            el_error(el, t->loc, "loss '%s' needs 'module' or 'loss'", t->name);
        if (t->kind)
            diag_help(el->diag, "its kind does not say it");
        else if (t->expert)
            diag_help(el->diag, "write it, or a kind: that says it");
        if (!strcmp(needed[i], "loss")) guess_loss(el, t->tree, t->expert);
        guess_no_entry_around(el, t->loc);
    }
    return ok;
}

void task_bind(Elab *el, Task *t)
{
    t->done = true; // until it is known to be whole
    const bool kind = tree_get(t->tree, "kind") != NULL;
    const bool module = !t->expert && tree_get(t->tree, "module") != NULL;
    const bool open = kind || module; // further keys are theirs
    if (kind && module) {
        el_error(el, tree_get(t->tree, "kind")->loc, "a loss has a module or a kind, not both");
        suggest_without(el, t->tree, tree_entry(t->tree, "kind")->key);
        return;
    }
    const bool good = keys_check(el, t->tree, task_mapping(t), open);
    if (t->tree->kind != TREE_MAP) return;
    // a kind or module that is misspelt would have known the other keys
    const bool lost = !open && (tree_get(t->tree, "kind") || tree_get(t->tree, "module"));
    const bool strange = !open && keys_strange(el, t->tree, task_mapping(t));
    const bool whole = good && !lost && (!kind || kind_open(el, t)) && complete(el, t, strange);
    static const char *const bound[][2] = {
        {"output", "output"}, {"target", "target"}, {"decode", "decoded"}};
    if (!whole) t->kind = NULL; // which is not looked at
    Items params = items_read(el, tree_get(t->tree, "params"));
    params_bind(el, &params, t->scope);
    for (int i = 0; i < 3; i++) {
        bind_key(el, t, bound[i][0], bound[i][1]);
        if ((!whole || strange) && !map_find(&t->scope->names, bound[i][1]))
            scope_value(el, t->scope, bound[i][1], t->loc, value_error());
    }
    t->done = !whole;
    if (!whole) look_later(el, &t->scope->names);
}

static void section_bind(Elab *el, const Tree *section, bool experts)
{
    for (uint32_t i = 0; section && i < section->entries.n; i++) {
        const TreeEntry *e = &section->entries.at[i];
        const char *name = e->key->text;
        const bool family = tree_get(e->value, "for") != NULL;
        Task *t = family ? NULL : task_begin(el, e, name, experts);
        if (t) task_bind(el, t);
        if (family) family_bind(el, e, experts);
        if (experts) continue; // which are not said alone
        Value v = t ? (Value){.kind = V_TASK, .task = t} : family_value(el, name, false);
        scope_value(el, el->scope, name, e->key->loc, v.kind == V_NONE ? value_error() : v);
    }
}

void tasks_bind(Elab *el)
{
    section_bind(el, tree_get(el->root, "losses"), false);
    section_bind(el, tree_get(el->root, "experts"), true);
    scope_value(el, el->scope, "losses", (Loc){0}, (Value){.kind = V_SPACE, .space = SPACE_LOSSES});
    scope_value(el, el->scope, "experts", (Loc){0},
                (Value){.kind = V_SPACE, .space = SPACE_EXPERTS});
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        Task *t = el->tasks.at[i].value;
        if (t->done || el->initialising) continue; // a learned weight has no value there
        bind_phase_step(el, t);
        task_switch(el, t);
    }
}

// ---- target, output, validity -----------------------------------------------------------------

static Value stopped(Elab *el, Value v, Loc loc)
{
    if (v.kind == V_FIELD || v.kind == V_NONE || v.kind == V_ERROR) return v;
    if (v.kind == V_LIST || v.kind == V_RECORD) return v;
    v = value_plain(el, v, loc);
    if (v.kind != V_TENSOR || !dtype_is_float(graph_type(el->graph, v.node)->dtype)) return v;
    el->graph->here = loc;
    Value out = value_node(el, graph_unary(el->graph, OP_STOP_GRADIENT, v.node));
    out.names = v.names;
    return out;
}

// Evaluate the target once, under stop_gradient, and settle `valid`.
static bool task_inputs(Elab *el, Task *t)
{
    Binding *target = map_get(&t->scope->names, "target");
    TaskKey valid = task_key(t, "valid");
    Value v = value_none(), given = target ? binding_force(el, target) : value_none();
    if (target) target->value = stopped(el, given, target->loc);
    if (valid.tree)
        v = tree_eval(el, valid.scope, valid.tree, NULL);
    else if (given.kind == V_FIELD && given.field->has_valid)
        v = field_member(el, given.field, field_is_places(given.field) ? "labelled" : "valid",
                         t->loc);
    const Loc loc = valid.tree ? valid.tree->loc : t->loc;
    task_name(el, t, "valid", binding_value(el, "valid", loc, v));
    Binding *output = map_get(&t->scope->names, "output");
    bool bad = output && binding_force(el, output).kind == V_ERROR;
    if (output && output->value.kind == V_APP)
        output->value = value_plain(el, output->value, output->loc);
    return !bad && given.kind != V_ERROR && v.kind != V_ERROR;
}

// One truth value a sample: a sample with valid elements counts.
static NodeId sample_valid(Elab *el, Task *t)
{
    Value v = value_plain(el, scope_read(el, t->scope, "valid", t->loc), t->loc);
    if (v.kind == V_NONE || v.kind == V_ERROR || (v.kind == V_BOOL && v.b)) return 0;
    NodeId x = value_tensor(el, v, DT_BOOL, t->loc);
    if (!x) return 0;
    Graph *g = el->graph;
    const Type *type = graph_type(g, x);
    if (type->rank <= 1) return x;
    int64_t *axes = arena_array(el->arena, int64_t, type->rank);
    for (uint32_t i = 1; i < type->rank; i++) axes[i - 1] = i;
    NodeId count =
        graph_reduce(g, OP_SUM, graph_cast(g, x, DT_F32), axes, type->rank - 1, false, false);
    return graph_binary(g, OP_LT, graph_const(g, DT_F32, 0), count);
}

// ---- the loss module --------------------------------------------------------------------------

// Names that reach a loss or metric unasked where its module has such an input. False when
// reported.
static bool bind_reaching(Elab *el, Instance *inst, Scope *s)
{
    static const char *const names[] = {"output", "target", "valid", "decoded"};
    bool ok = true;
    for (int i = 0; i < 4; i++) {
        const Decl *d = decl_find(&inst->def->in, names[i]);
        Binding *from = map_get(&s->names, names[i]);
        if (!d || !from || map_find(&inst->args, names[i])) continue;
        if (binding_force(el, from).kind == V_NONE && !d->optional && !d->def && !d->def_tree) {
            el_error(el, from->loc, "%s needs '%s', and there is none", inst->def->name, names[i]);
            if (strcmp(names[i], "valid") == 0)
                diag_help(el->diag, "a target that is a field brings its own; else write valid: "
                                    "such as label.valid");
            if (strcmp(names[i], "valid") == 0)
                guess_valid(el, from->loc);
            else
                guess_input(el, d, from->loc);
            ok = false;
            continue;
        }
        Binding *b = binding_value(el, d->name, from->loc, binding_force(el, from));
        b->decl = d;
        map_set(el->arena, &inst->args, names[i], b);
    }
    return ok;
}

Instance *task_instance(Elab *el, Task *t, ModuleRole role, TaskKey map, const char *path,
                        const char *const *skip)
{
    const ModuleDef *def = tree_module(el, map.tree, map.scope);
    if (!def || !role_check(el, def, role, tree_get(map.tree, "module")->loc)) return NULL;
    Instance *inst = instance_from_tree(el, def, path, map.tree, skip, map.scope);
    if (inst && map.tree != t->tree) inst->precision = precision_read(el, map.tree);
    return inst && bind_reaching(el, inst, t->scope) ? inst : NULL;
}

// The name alone of a module, `loss: l1`, is neither a call nor a number.
static Value loss_expression(Elab *el, Task *t, TaskKey loss)
{
    Value v = tree_eval(el, loss.scope, loss.tree, NULL);
    if (v.kind != V_MODULE || !role_check(el, v.module, ROLE_MODULE, loss.tree->loc)) return v;
    el_error(el, loss.tree->loc, "module %s stands here without being applied", v.module->name);
    if (t->expert) {
        suggest_row(el, "module", false);
        return value_error();
    }
    diag_help(el->diag, "write module: %s in its place", v.module->name);
    const Tree *key = tree_entry(t->tree, "loss")->key;
    const Loc whole = loc_in(key->loc.source, key->loc.begin, loss.tree->loc.end);
    const char *text = str_printf(el->arena, "module: %s", v.module->name);
    if (whole.source == loss.tree->loc.source) guess_add(el, whole, text, text);
    guess_no_entry_around(el, loss.tree->loc);
    return value_error();
}

// Beside a module, output and target are its inputs, or what a metric is of.
static bool all_taken(Elab *el, const Task *t, const ModuleDef *def)
{
    static const char *const names[] = {"output", "target"};
    bool ok = true;
    for (int i = 0; i < 2; i++) {
        const TreeEntry *e = tree_entry(t->tree, names[i]);
        if (!e || decl_find(&def->in, names[i]) || tree_get(t->tree, "metric")) continue;
        el_error(el, e->key->loc, "%s has no input or setting '%s'", def->name, names[i]);
        suggest_without(el, t->tree, e->key);
        ok = false;
    }
    return ok;
}

static const char *const module_keys[] = {"module", "path", "precision", "doc", NULL};

static Value loss_value(Elab *el, Task *t)
{
    TaskKey loss = task_key(t, "loss");
    const bool shorthand = !t->expert && tree_get(t->tree, "module");
    if (shorthand) loss.tree = t->tree;
    if (loss.tree->kind != TREE_MAP) return loss_expression(el, t, loss);
    const char *path = t->expert ? path_join(el, t->frame->path, "loss") : t->frame->path;
    const char *const *skip = shorthand ? keys_names(el, MAPPING_LOSS) : module_keys;
    Instance *inst = task_instance(el, t, ROLE_MODULE, loss, path, skip);
    if (inst && shorthand && !all_taken(el, t, inst->def)) return value_error();
    App *app = inst ? instance_default(el, inst, loss.tree->loc) : NULL;
    t->module = app;
    return app ? (Value){.kind = V_APP, .app = app} : value_error();
}

static bool per_sample(Elab *el, Task *t, NodeId x, const char *what)
{
    const Type *type = graph_type(el->graph, x);
    if (type->rank == 1 && type->axes[0].per == 1) return true;
    const Tree *loss = task_key(t, "loss").tree;
    el_error(el, loss ? loss->loc : t->loc, "%s of %s is %s; it has one value a sample, (B,)", what,
             t->path, type_text(el->arena, type));
    const char *axes = "";
    if (loss && guess_unpaired_below(el, x)) { // which no sum mends
        guess_no_entry_around(el, loss->loc);
        return false;
    }
    for (uint32_t i = 1; i < type->rank && type->axes[0].per == 1; i++)
        axes = str_printf(el->arena, "%s%s%u", axes, *axes ? ", " : "", i);
    if (loss && *axes) {
        const char *over =
            str_printf(el->arena, type->rank > 2 ? ", axis=[%s])" : ", axis=%s)", axes);
        suggest_wrapped(el, (const char *[]){"mean(", over}, (const char *[]){"sum(", over});
        if (!diag_has_mend(el->diag, diag_last_error(el->diag))) { // a text in lines of its own
            diag_help(el->diag, "write mean(..%s, or sum(..%s, around it", over, over);
            guess_no_entry_around(el, loss->loc);
        }
    }
    if (loss && type->rank && !type->axes[0].per) guess_values(el, loss->loc, type->rank, 1);
    if (loss && type->rank == 1 && type->axes[0].per > 1)
        guess_wrapped(el, loss->loc, "mean(rearrange(",
                      str_printf(el->arena, ", \"(b k) -> b k\", k=%lld), axis=1)",
                                 (long long)type->axes[0].per));
    if (loss && !type->rank) {
        diag_help(el->diag, "what is of no sample is added under train:, in minimize:");
        guess_minimized(el, t->tree, loss);
        guess_no_entry_around(el, loss->loc);
    }
    return false;
}

static NodeId masked(Elab *el, NodeId valid, NodeId x)
{
    Graph *g = el->graph;
    return valid ? graph_select(g, valid, x, graph_const(g, DT_F32, 0)) : x;
}

static NodeId batch_total(Elab *el, NodeId x)
{
    return graph_reduce(el->graph, OP_SUM, x, (int64_t[]){0}, 1, false, true);
}

// The quotient of sums; a sum of ones needs no guard.
static bool combine(Elab *el, Task *t, NodeId num, NodeId den)
{
    Graph *g = el->graph;
    uint32_t before = diag_errors(el->diag);
    NodeId valid = sample_valid(el, t), zero = graph_const(g, DT_F32, 0),
           one = graph_const(g, DT_F32, 1);
    bool counted = !den && !valid; // every sample counts as one
    const Type *type = graph_type(g, num);
    if (!den) den = graph_broadcast_to(g, one, 1, type->axes);
    num = masked(el, valid, num);
    den = masked(el, valid, den);
    NodeId top = batch_total(el, num);
    NodeId own = den; // .per_sample: each sample by its own denominator
    if (counted) {
        t->loss = graph_binary(g, OP_DIV, top, graph_const(g, DT_F32, (double)el->batch));
        t->per_sample = num;
    } else {
        NodeId bottom = batch_total(el, den), empty = graph_binary(g, OP_EQ, bottom, zero);
        t->loss = graph_select(g, empty, zero,
                               graph_binary(g, OP_DIV, top, graph_select(g, empty, one, bottom)));
        NodeId none = graph_binary(g, OP_EQ, own, zero);
        t->per_sample = graph_select(g, none, zero,
                                     graph_binary(g, OP_DIV, num, graph_select(g, none, one, own)));
    }
    if (!t->loss && diag_errors(el->diag) > before) el_notes(el);
    return t->loss != 0;
}

static bool one_weight(Elab *el, Task *t)
{
    const Tree *said = task_key(t, "weight").tree;
    if (!said) return true;
    t->weight = value_plain(el, t->weight, said->loc);
    if (t->weight.kind != V_TENSOR) {
        if (t->weight.kind != V_LIST) return value_tensor(el, t->weight, DT_F32, said->loc) != 0;
        el_error(el, said->loc, "the weight of %s is %s, not one number", t->path,
                 value_text(el, t->weight));
        suggest_item(el, said);
        return false;
    }
    const Type *type = graph_type(el->graph, t->weight.node);
    if (!type->rank) return true;
    el_error(el, said->loc, "the weight of %s is %s, not one number", t->path,
             type_text(el->arena, type));
    const char *over = type->rank > 1 ? ", axis=[0, 1])" : ", axis=0)";
    suggest_wrapped(el, (const char *[]){"mean(", over}, (const char *[]){"sum(", over});
    return false;
}

void look_at_module(Elab *el, const Task *t, ModuleRole role, TaskKey map, const char *const *skip)
{
    const ModuleDef *def = tree_module(el, map.tree, map.scope);
    if (!def || !role_check(el, def, role, tree_get(map.tree, "module")->loc)) return;
    Instance *inst = instance_from_tree(el, def, t->frame->path, map.tree, skip, map.scope);
    if (inst) look_later(el, &inst->args);
}

// What goes into the loss is wrong; the module is looked at for its own errors.
static bool look_at_loss(Elab *el, const Task *t)
{
    TaskKey loss = task_key(t, "loss");
    const bool shorthand = !t->expert && tree_get(t->tree, "module");
    if (shorthand) loss.tree = t->tree;
    if (loss.tree && loss.tree->kind == TREE_MAP)
        look_at_module(el, t, ROLE_MODULE, loss,
                       shorthand ? keys_names(el, MAPPING_LOSS) : module_keys);
    return false;
}

// A loss module of the user's whose output is not called so: its `out:`; else the module is none.
static bool no_num(Elab *el, const Task *t, const ModuleDef *def)
{
    const Tree *loss = task_key(t, "loss").tree,
               *map = loss && loss->kind == TREE_MAP ? loss : t->tree;
    const Tree *name = tree_get(map, "module"), *out = tree_get(def->tree, "out");
    const bool own = out && is_users(el, out->loc);
    const bool one = own && out->kind == TREE_MAP && out->entries.n == 1;
    const Tree *at = one ? out->entries.at[0].key : own ? out : name;
    el_error(el, at ? at->loc : t->loc, "%s is the loss of %s, and has no output 'num'", def->name,
             t->path);
    diag_help(el->diag, "num is a loss of each sample, (B,); den, if any, what it is divided by");
    if (own && name) diag_note(el->diag, name->loc, "it is the loss here");
    const char *text = own && out->kind == TREE_SCALAR ? written(el, out) : "";
    Choice renamed = one ? instead(el, at, "num") : (Choice){0};
    renamed.said = str_printf(el->arena, "write num in place of %s", one ? at->text : "");
    suggest_choices(el, renamed, (Choice){0});
    if (*text && strpbrk(text, ",[]{}:#") && !strchr("\"'", *text))
        text = str_printf(el->arena, "\"%s\"", text);
    if (*text)
        suggest_choices(el, instead(el, out, str_printf(el->arena, "{num: %s}", text)),
                        (Choice){0});
    if (!own && name) guess_modules(el, ROLE_MODULE, def, name->loc);
    return false;
}

static bool task_make(Elab *el, Task *t)
{
    if (t->kind && !app_solve(el, t->kind)) return look_at_loss(el, t);
    if (!task_inputs(el, t)) return look_at_loss(el, t);
    Value v = loss_value(el, t), num = v, den = value_none();
    if (v.kind == V_ERROR) return false;
    if (v.kind == V_APP && !t->module && !map_find(&v.app->out, "num"))
        num = value_plain(el, v, t->loc); // an expression's value, whose module is no loss
    else if (v.kind == V_APP && v.app->out.n && !map_find(&v.app->out, "num"))
        return no_num(el, t, v.app->instance->def);
    else if (v.kind == V_APP || v.kind == V_RECORD) {
        num = member_read(el, v, "num", t->loc);
        bool has_den = v.kind == V_APP ? map_find(&v.app->out, "den") != NULL
                                       : map_find(v.record, "den") != NULL;
        if (has_den) den = member_read(el, v, "den", t->loc);
    }
    NodeId n = value_tensor(el, num, DT_F32, t->loc), d = 0;
    if (!n || !per_sample(el, t, n, "num")) return false;
    if (den.kind != V_NONE) {
        d = value_tensor(el, den, DT_F32, t->loc);
        if (!d || !per_sample(el, t, d, "den")) return false;
    }
    el->graph->here = t->loc;
    if (!combine(el, t, n, d)) return false;
    if (!one_weight(el, t)) return false;
    Value weighted = arith(el, EOP_MUL, value_node(el, t->loss), t->weight, t->loc);
    double x;
    if (value_number(t->weight, &x) && x == 1)
        t->weighted = t->loss;
    else
        t->weighted = value_tensor(el, weighted, DT_F32, t->loc);
    return t->weighted != 0;
}

bool task_build(Elab *el, Task *t)
{
    if (t->doing) {
        el_error(el, t->loc, "%s depends on itself", t->path);
        t->done = true;
        return false;
    }
    if (t->done) return t->weighted != 0;
    Frame *caller = el->frame;
    t->doing = true;
    el->frame = t->frame;
    bool ok = task_make(el, t);
    el->frame = caller;
    t->doing = false;
    t->done = true;
    if (!ok) t->weighted = 0;
    return ok;
}

// ---- in expressions ---------------------------------------------------------------------------

Value task_value(Elab *el, Task *t, Loc loc)
{
    (void)loc;
    if (!t->on) return value_int(0);
    return task_build(el, t) ? value_node(el, t->weighted) : value_error();
}

bool task_find(Elab *el, const Task *t, const char *name, Value *out)
{
    const Scope *both[] = {t->scope, t->kind ? t->kind->scope : NULL};
    for (int i = 0; i < 2; i++) {
        Binding *b = both[i] ? map_get(&both[i]->names, name) : NULL;
        if (!b) continue;
        *out = binding_force(el, b);
        return true;
    }
    return t->module && app_member(el, t->module, name, out);
}

static void unknown_member(Elab *el, const Task *t, const char *name, Loc loc)
{
    static const char *const all[] = {"loss", "per_sample", "weight", "name"};
    const Map names = words_map(el, all, 4);
    const char *best = nearest_key(&t->scope->names, name, nearest_key(&names, name, NULL));
    if (t->kind) best = nearest_key(&t->kind->scope->names, name, best);
    if (t->module) best = nearest_key(&t->module->scope->names, name, best);
    el_error(el, loc, "%s has no member '%s'", t->path, name);
    if (best)
        diag_did_you_mean(el->diag, name, best);
    else
        diag_help(el->diag,
                  "it has loss, per_sample, weight, output, target, valid, decoded, its params, "
                  "and what its loss module has");
}

Value task_member(Elab *el, Task *t, const char *name, Loc loc)
{
    Value v;
    if (strcmp(name, "name") == 0) return value_str(t->name);
    if (strcmp(name, "weight") == 0) return t->on ? t->weight : value_int(0);
    bool loss = strcmp(name, "loss") == 0, each = strcmp(name, "per_sample") == 0;
    if (!t->on && loss) return value_int(0);
    if (!t->on) {
        if (el->tapping) return value_error();
        return el_fail(el, loc, "%s is off; it has no '%s'", t->path, name);
    }
    if (!task_build(el, t)) return value_error();
    if (loss || each) return value_node(el, loss ? t->loss : t->per_sample);
    if (task_find(el, t, name, &v)) return v;
    unknown_member(el, t, name, loc);
    return value_error();
}
