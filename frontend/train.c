// train: the update part of entry "step". Gradients are GRAD nodes of the loss; clip_grad is a
// module over their list; the optimiser module runs once a parameter, its update: in file order: a
// name read above its own new value, or in the same line, is old, below it is new.
#include "frontend/elab.h"
#include "frontend/json.h"

typedef struct Trained {
    const StateVar *var;
    NodeId p, g;
    NodeId frozen; // bool, or 0: never
} Trained;
typedef VEC(Trained) TrainedList;

typedef struct Optimizer {
    const ModuleDef *def;
    const Tree *tree;
    Instance *instance; // settings
    NodeId count; // of the parameter at hand: updates since it was first trained, this one included
    NodeId keep;  // of the parameter at hand: bool, the update counts
    NodeId finite; // bool: the loss and all gradients are
} Optimizer;

// Nodes that the loss depends on through differentiable ops.
static bool *reached(Elab *el, NodeId loss)
{
    const Graph *g = el->graph;
    bool *on = arena_array(el->arena, bool, g->nodes.n);
    on[loss] = true;
    for (NodeId id = loss; id > 0; id--) {
        if (!on[id]) continue;
        const Node *n = graph_node(g, id);
        if (op_info(n->op)->flags & OPF_FLAT) continue;
        for (uint32_t i = 0; i < n->nargs; i++)
            if (n->args[i]) on[n->args[i]] = true;
    }
    return on;
}

// ---- freeze ------------------------------------------------------------------------------------

static bool row_matches(const Tree *row, const char *name)
{
    const Tree *m = tree_get(row, "match");
    if (m->kind == TREE_SCALAR) return glob_match(m->text, name);
    for (uint32_t i = 0; i < m->items.n; i++)
        if (m->items.at[i]->kind == TREE_SCALAR && glob_match(m->items.at[i]->text, name))
            return true;
    return false;
}

// Updates since the phase in which a parameter was trained first.
static Value updates_of(Elab *el, const char *name)
{
    int64_t *first = map_get(&el->first_update, name);
    if (!first) {
        first = arena_make(el->arena, int64_t);
        *first = el->phase;
        map_set(el->arena, &el->first_update, name, first);
    }
    return updates_since(el, *first);
}

// A condition of freeze sees the parameter's own phase_step.
static Value frozen_while(Elab *el, const Tree *condition, const char *name)
{
    Scope *s = scope_new(el, el->scope, el->scope->frame);
    scope_value(el, s, "phase_step", condition->loc, updates_of(el, name));
    Value v = value_plain(el, tree_eval(el, s, condition, NULL), condition->loc);
    if (v.kind == V_BOOL || v.kind == V_ERROR) return v;
    const Type *type = v.kind == V_TENSOR ? graph_type(el->graph, v.node) : NULL;
    if (type && type->dtype == DT_BOOL && !type->rank) return v;
    el_error(el, condition->loc, "the condition of a row of freeze is %s, not one truth value",
             value_text(el, v));
    return value_error();
}

// Is a parameter never updated in this phase? Else *while_so is when not, or 0.
static bool is_frozen(Elab *el, const char *name, NodeId *while_so)
{
    const Tree *rows = tree_get(tree_get(el->root, "train"), "freeze");
    for (uint32_t i = 0; rows && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i], *condition = NULL;
        if (row->kind != TREE_MAP || !tree_get(row, "match") || !row_matches(row, name)) continue;
        condition = tree_get(row, "while");
        if (!condition && row->entries.n > 1) continue; // reported
        Value v = condition ? frozen_while(el, condition, name) : value_bool(true);
        if (v.kind == V_BOOL && v.b) return true;
        if (v.kind == V_TENSOR)
            *while_so = *while_so ? graph_binary(el->graph, OP_OR, *while_so, v.node) : v.node;
    }
    return false;
}

static bool good_match(Elab *el, const Tree *row)
{
    const Tree *m = tree_get(row, "match");
    bool good = m->kind == TREE_SCALAR || (m->kind == TREE_LIST && m->items.n);
    for (uint32_t i = 0; m->kind == TREE_LIST && i < m->items.n; i++)
        good &= m->items.at[i]->kind == TREE_SCALAR;
    if (!good) el_error(el, row->loc, "'match' of a row of freeze is a glob, or a list of them");
    return good;
}

static void check_freeze(Elab *el)
{
    const Tree *rows = tree_get(tree_get(el->root, "train"), "freeze");
    for (uint32_t i = 0; rows && rows->kind == TREE_LIST && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i];
        bool any = !keys_check(el, row, MAPPING_FREEZE, false) || !good_match(el, row);
        for (uint32_t k = 0; k < el->program->states.n && !any; k++) {
            const StateVar *v = &el->program->states.at[k];
            any = v->kind == STATE_PARAM && row_matches(row, v->name);
        }
        if (any) continue;
        diag_warning(el->diag, row->loc, "no parameter matches this row");
        if (tree_get(row, "while")) frozen_while(el, tree_get(row, "while"), "");
    }
}

static TrainedList find_trained(Elab *el, NodeId loss)
{
    TrainedList list = {0};
    const Program *p = el->program;
    uint32_t known = el->graph->nodes.n;
    bool *on = reached(el, loss);
    for (uint32_t i = 0; i < p->states.n; i++) {
        const StateVar *v = &p->states.at[i];
        if (v->kind != STATE_PARAM || !v->trainable) continue;
        NodeId x = graph_state(el->graph, v->name, v->type);
        NodeId frozen = 0;
        if (x < known && on[x] && !is_frozen(el, v->name, &frozen))
            vec_push(el->arena, &list, (Trained){v, x, 0, frozen});
    }
    for (uint32_t i = 0; i < list.n; i++) {
        el->graph->here = list.at[i].var->loc;
        list.at[i].g = graph_add(el->graph, OP_GRAD, 2, (NodeId[]){loss, list.at[i].p}, 0, NULL);
        if (list.at[i].frozen) // counts neither in norms nor as not finite
            list.at[i].g = graph_select(el->graph, list.at[i].frozen,
                                        graph_const(el->graph, DT_F32, 0), list.at[i].g);
    }
    return list;
}

// clip_grad: {module: m, ..} over all gradients.
static bool clip(Elab *el, TrainedList *list)
{
    static const char *const skip[] = {"module", NULL};
    const Tree *t = tree_get(tree_get(el->root, "train"), "clip_grad");
    if (!t) return true;
    Scope *s = part_scope(el, NULL, "train.clip_grad", "train.clip_grad", t->loc);
    const ModuleDef *def = tree_module(el, t, s);
    if (!def || !role_check(el, def, ROLE_MODULE, tree_get(t, "module")->loc)) return false;
    Instance *inst = instance_from_tree(el, def, "train.clip_grad", t, skip, s);
    if (!inst) return false;
    ValueList *grads = arena_make(el->arena, ValueList);
    for (uint32_t i = 0; i < list->n; i++)
        vec_push(el->arena, &grads->v, value_node(el, list->at[i].g));
    Args args = {0};
    vec_push(el->arena, &args, (Arg){"grads", t->loc, t->loc, value_list(grads)});
    App *app = instance_apply(el, inst, &args, t->loc);
    const ValueList *out;
    if (!app || !value_items(el, app_main(el, app, t->loc), t->loc, &out)) return false;
    if (out->v.n != list->n) {
        el_error(el, t->loc, "%s gives %u gradients for %u", def->name, out->v.n, list->n);
        return false;
    }
    for (uint32_t i = 0; i < list->n; i++) {
        NodeId g = value_tensor(el, out->v.at[i], DT_F32, t->loc);
        if (!g) return false;
        if (!type_equal(graph_type(el->graph, g), list->at[i].var->type)) {
            el_error(el, t->loc, "%s changes the shape of gradient %u", def->name, i);
            return false;
        }
        list->at[i].g = g;
    }
    return true;
}

// ---- groups -----------------------------------------------------------------------------------

static const Tree *groups(Elab *el)
{
    return tree_get(tree_get(el->root, "train"), "groups");
}

static bool check_groups(Elab *el, const ModuleDef *def, const TrainedList *list)
{
    const Tree *rows = groups(el);
    bool ok = true;
    for (uint32_t i = 0; rows && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i];
        if (!keys_check(el, row, MAPPING_GROUP, true)) {
            ok = false;
            continue;
        }
        for (uint32_t k = 0; k < row->entries.n; k++) {
            const Tree *key = row->entries.at[k].key;
            if (keys_reserved(MAPPING_GROUP, key->text) || decl_find(&def->in, key->text)) continue;
            el_error(el, key->loc, "%s has no setting '%s'", def->name, key->text);
            ok = false;
        }
        bool any = false;
        for (uint32_t k = 0; k < list->n && !any; k++)
            any = row_matches(row, list->at[k].var->name);
        if (!any && list->n)
            diag_warning(el->diag, row->loc, "no trained parameter matches this row");
    }
    return ok;
}

// The value of a setting for one parameter: the last group row that has it, else the optimiser's,
// else the default.
static void bind_setting(Elab *el, const Optimizer *o, const Decl *d, const char *name, Scope *s)
{
    const Tree *rows = groups(el), *found = NULL, *scale = NULL;
    for (uint32_t i = 0; rows && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i];
        if (!row_matches(row, name)) continue;
        if (tree_get(row, d->name)) found = tree_get(row, d->name);
        if (tree_get(row, "lr_scale")) scale = tree_get(row, "lr_scale");
    }
    Binding *given = map_get(&o->instance->args, d->name);
    Value v;
    Loc loc = d->loc;
    if (found) {
        v = tree_eval(el, el->scope, found, NULL);
        loc = found->loc;
    } else if (given) {
        v = binding_force(el, given);
        loc = given->loc;
    } else if (d->def) {
        v = expr_eval(el, s, d->def);
    } else if (d->def_tree) {
        v = tree_eval(el, s, d->def_tree, NULL);
    } else {
        el_error(el, o->tree->loc, "optimiser %s needs '%s'", o->def->name, d->name);
        v = value_error();
    }
    v = decl_check(el, d, v, loc);
    if (scale && strcmp(d->name, "lr") == 0)
        v = arith(el, EOP_MUL, v, tree_eval(el, el->scope, scale, NULL), scale->loc);
    scope_value(el, s, d->name, loc, v);
}

// ---- the optimiser ----------------------------------------------------------------------------

static Value input_value(const Elab *el, const Optimizer *o, const Trained *t, Word word)
{
    if (word == WORD_PARAM) return value_node(el, t->p);
    return value_node(el, word == WORD_GRAD ? t->g : o->count);
}

// A row of state: zeros, ones, a number, or {shape:, init:}; the type and initial value come back.
static bool state_row(Elab *el, const Item *item, const Trained *t, Scope *s, const Type **type,
                      double *init)
{
    const Tree *value = item->value;
    *type = t->var->type;
    *init = 0;
    if (value->kind == TREE_MAP) {
        const Tree *shape = tree_get(value, "shape");
        Axis *axes = NULL;
        uint32_t rank = 0;
        if (!keys_check(el, value, MAPPING_ACCUMULATOR, false)) return false;
        if (shape && !value_to_axes(el, tree_eval(el, s, shape, NULL), shape->loc, &axes, &rank))
            return false;
        *type = type_new(el->arena, DT_F32, rank, axes);
        return true;
    }
    Value v = tree_eval(el, s, value, NULL);
    if (v.kind == V_BUILTIN && strcmp(v.builtin->name, "zeros") == 0) return true;
    if (v.kind == V_BUILTIN && strcmp(v.builtin->name, "ones") == 0) {
        *init = 1;
        return true;
    }
    return value_to_float(el, v, value->loc, item->name, init);
}

static bool bind_state(Elab *el, const Optimizer *o, const Trained *t, Scope *s)
{
    for (uint32_t i = 0; i < o->def->state.n; i++) {
        const Item *item = &o->def->state.at[i];
        const Type *type;
        double init;
        if (!state_row(el, item, t, s, &type, &init)) return false;
        const char *name = str_printf(el->arena, "$opt.%s.%s", item->name, t->var->name);
        if (!program_find_state(el->program, name)) {
            program_state(el->program, name, STATE_OPT, type, item->loc);
            Init *how = arena_make(el->arena, Init);
            *how = (Init){.name = name, .loc = item->loc, .constant = init};
            map_set(el->arena, &el->inits, name, how);
        }
        scope_value(el, s, item->name, item->loc,
                    value_node(el, graph_state(el->graph, name, type)));
    }
    return true;
}

static NodeId limited(Elab *el, const char *name, NodeId x)
{
    const ParamLimit *l = map_get(&el->limits, name);
    if (!l || !x) return x;
    return graph_binary(el->graph, OP_MIN, x, graph_const(el->graph, DT_F32, l->max));
}

// What the optimiser calls the parameter.
static const char *param_name(const Optimizer *o)
{
    for (uint32_t i = 0; i < o->def->in.n; i++)
        if (o->def->in.at[i].word == WORD_PARAM) return o->def->in.at[i].name;
    return "p";
}

// One line of update: the new value replaces the old one for the lines below.
static bool update_row(Elab *el, const Optimizer *o, const Item *item, const Trained *t, Scope *s,
                       Entry *entry)
{
    const char *param = param_name(o);
    Binding *b = map_get(&s->names, item->name);
    bool is_param = strcmp(item->name, param) == 0;
    const char *name =
        is_param ? t->var->name : str_printf(el->arena, "$opt.%s.%s", item->name, t->var->name);
    const StateVar *var = program_find_state(el->program, name);
    Value v = tree_eval(el, s, item->value, NULL);
    if (v.kind == V_ERROR) return false;
    NodeId x = value_tensor(el, v, var ? var->type->dtype : DT_F32, item->value->loc);
    if (!x) return false;
    if (var) x = graph_broadcast_to(el->graph, x, var->type->rank, var->type->axes);
    if (is_param) x = limited(el, name, x);
    if (!x) return false;
    if (b)
        b->value = value_node(el, x);
    else
        scope_value(el, s, item->name, item->loc, value_node(el, x));
    if (!var) return true;
    // Where the loss or a gradient is not finite, or the parameter is frozen, the state stays as it
    // was.
    NodeId old = graph_state(el->graph, name, var->type);
    vec_push(el->arena, &entry->updates,
             (NamedNode){name, graph_select(el->graph, o->keep, x, old)});
    return true;
}

static bool optimize(Elab *el, Optimizer *o, const Trained *t, Entry *entry)
{
    o->count = graph_binary(el->graph, OP_ADD, updates_of(el, t->var->name).node,
                            graph_const(el->graph, DT_I64, 1));
    o->keep = o->finite;
    if (t->frozen)
        o->keep =
            graph_binary(el->graph, OP_AND, o->finite, graph_unary(el->graph, OP_NOT, t->frozen));
    Frame *f = frame_new(el, el->scope->frame, str_printf(el->arena, "optimizer %s", o->def->name),
                         "", o->tree->loc);
    f->stream = hash_str(0, str_printf(el->arena, "$opt.%s", t->var->name));
    Scope *s = scope_new(el, el->globals, f);
    Frame *caller = el->frame;
    bool ok = true;
    el->frame = f;
    for (uint32_t i = 0; i < o->def->in.n; i++) {
        const Decl *d = &o->def->in.at[i];
        if (d->word == WORD_PARAM || d->word == WORD_GRAD || d->word == WORD_COUNT)
            scope_value(el, s, d->name, d->loc, input_value(el, o, t, d->word));
        else
            bind_setting(el, o, d, t->var->name, s);
    }
    ok = bind_state(el, o, t, s);
    for (uint32_t i = 0; ok && i < o->def->update.n; i++)
        ok = update_row(el, o, &o->def->update.at[i], t, s, entry);
    el->frame = caller;
    return ok;
}

static bool optimizer_open(Elab *el, Optimizer *o)
{
    static const char *const skip[] = {"module", NULL};
    o->tree = tree_get(tree_get(el->root, "train"), "optimizer");
    if (!o->tree || o->tree->kind != TREE_MAP) return false; // reported by the key table
    Scope *s = part_scope(el, NULL, "train.optimizer", "train.optimizer", o->tree->loc);
    o->def = tree_module(el, o->tree, s);
    if (!o->def) return false;
    if (!role_check(el, o->def, ROLE_OPTIMIZER, tree_get(o->tree, "module")->loc)) return false;
    o->instance = instance_from_tree(el, o->def, "train.optimizer", o->tree, skip, s);
    return true;
}

// Whether loss and gradients are finite: a sum of squares is not where one of its terms is not (nor
// where their joint norm is over 1.8e19, which no update survives).
// Clipping by the joint norm wants the same sums.
static NodeId all_finite(Elab *el, NodeId loss, const TrainedList *list)
{
    Graph *g = el->graph;
    NodeId sum = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        NodeId x = list->at[i].g;
        uint32_t rank = graph_type(g, x)->rank;
        int64_t *axes = arena_array(el->arena, int64_t, rank + 1);
        for (uint32_t a = 0; a < rank; a++) axes[a] = a;
        NodeId one = graph_binary(g, OP_MUL, x, x);
        if (rank) one = graph_reduce(g, OP_SUM, one, axes, rank, false, false);
        sum = sum ? graph_binary(g, OP_ADD, sum, one) : one;
    }
    return graph_binary(g, OP_AND, graph_unary(g, OP_IS_FINITE, loss),
                        graph_unary(g, OP_IS_FINITE, sum));
}

static const char *nonfinite(Elab *el)
{
    const Tree *train = tree_get(el->root, "train");
    const Tree *t = train && train->kind == TREE_MAP ? tree_get(train, "nonfinite") : NULL;
    if (!t || t->kind != TREE_SCALAR) return "stop";
    if (strcmp(t->text, "stop") && strcmp(t->text, "skip"))
        el_error(el, t->loc, "nonfinite is stop or skip, not '%s'", t->text);
    return t->text;
}

void train_step(Elab *el, Entry *entry, NodeId loss)
{
    Optimizer o = {0};
    nonfinite(el);
    if (!el->phase) check_freeze(el);
    TrainedList list = {0};
    if (!loss) { // reported; the rest is looked at for its errors
        if (optimizer_open(el, &o)) check_groups(el, o.def, &list);
        return;
    }
    list = find_trained(el, loss);
    if (el->options->grads)
        for (uint32_t i = 0; i < list.n; i++) {
            const char *name = str_printf(el->arena, "grad.%s", list.at[i].var->name);
            vec_push(el->arena, &entry->outputs, (NamedNode){name, list.at[i].g});
        }
    if (!list.n) {
        el_error(el, tree_get(el->root, "train")->loc,
                 "the loss depends on no trainable parameter");
        return;
    }
    o.finite = all_finite(el, loss, &list);
    vec_push(el->arena, &entry->outputs, (NamedNode){"$finite", o.finite});
    bool ok = clip(el, &list);
    if (!optimizer_open(el, &o) || !check_groups(el, o.def, &list) || !ok || !o.instance) return;
    for (uint32_t i = 0; i < list.n; i++)
        if (!optimize(el, &o, &list.at[i], entry)) return;
    emas_update(el, entry, o.finite);
}

// ---- settings for the runtime -----------------------------------------------------------------

static void put_every(Elab *el, Json *j, const char *section, const char *key, const char *name,
                      int64_t def)
{
    const Tree *map = tree_get(el->root, section), *t = map ? tree_get(map, key) : NULL;
    int64_t x = def;
    if (t) value_to_int(el, tree_eval(el, el->scope, t, NULL), t->loc, key, &x);
    json_int(j, name, x);
}

// Which entry an update is, by the finished ones.
static void put_phases(Elab *el, Json *j)
{
    json_open(j, "phases", '[');
    for (uint32_t i = 0; i < el->phases.n; i++) {
        json_open(j, NULL, '{');
        json_int(j, "from", el->phases.at[i]);
        json_str(j, "entry", phase_entry(el, i));
        const char *begin = emas_begin(el, el->phases.at[i]);
        if (begin) json_str(j, "begin", begin);
        json_close(j, '}');
    }
    json_close(j, ']');
}

const char *train_json(Elab *el)
{
    Json j = {.arena = el->arena};
    json_open(&j, NULL, '{');
    json_int(&j, "steps", el->steps);
    json_int(&j, "seed", el->seed);
    json_str(&j, "nonfinite", nonfinite(el));
    put_phases(el, &j);
    put_init(el, &j);
    put_frozen(el, &j);
    put_every(el, &j, "checkpoint", "every", "checkpoint_every", 1000);
    put_every(el, &j, "checkpoint", "keep", "checkpoint_keep", 2);
    put_every(el, &j, "log", "every", "log_every", 10);
    json_close(&j, '}');
    return json_text(&j);
}

const char *eval_json(Elab *el)
{
    const Tree *t = tree_get(el->root, "eval"), *sets = t ? tree_get(t, "sets") : NULL;
    if (!t) return NULL;
    Json j = {.arena = el->arena};
    json_open(&j, NULL, '{');
    json_str(&j, "base_dir", folder_said_in(el, sets ? sets : t));
    put_every(el, &j, "eval", "every", "every", 0);
    put_every(el, &j, "eval", "samples", "samples", 0);
    json_open(&j, "sets", '{');
    for (uint32_t i = 0; sets && i < sets->entries.n; i++)
        if (sets->entries.at[i].value->kind == TREE_SCALAR)
            json_str(&j, sets->entries.at[i].key->text, sets->entries.at[i].value->text);
    json_close(&j, '}');
    static const char *const files[] = {"classes", "prompts"};
    for (int i = 0; i < 2; i++) {
        const Tree *f = tree_get(t, files[i]);
        if (f && f->kind == TREE_SCALAR) json_str(&j, files[i], f->text);
    }
    json_close(&j, '}');
    return json_text(&j);
}
