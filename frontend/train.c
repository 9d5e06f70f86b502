// train: the update part of entry "step". Gradients are GRAD nodes of the loss; clip_grad is a
// module over their list; optimizer.c has what they do to the parameters.
#include "frontend/advice.h"
#include "frontend/json.h"
#include "frontend/rewrite.h"
#include "frontend/train.h"

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

// A condition of freeze sees the parameter's own phase_step.
static Value frozen_while(Elab *el, const Tree *condition, const char *name)
{
    Scope *s = scope_new(el, el->scope, el->scope->frame);
    scope_value(el, s, "phase_step", condition->loc, updates_of(el, name));
    Value v = value_plain(el, tree_eval(el, s, condition, NULL), condition->loc);
    double x;
    if (v.kind == V_BOOL || v.kind == V_ERROR) return v;
    const Type *type = v.kind == V_TENSOR ? graph_type(el->graph, v.node) : NULL;
    if (type && type->dtype == DT_BOOL && !type->rank) return v;
    el_error(el, condition->loc, "the condition of a row of freeze is %s, not one truth value",
             value_text(el, v));
    diag_help(el->diag, "while: a condition of step or phase_step, under which the row counts");
    guess_condition(el, condition->loc,
                    value_number(v, &x) || (type && type->dtype != DT_BOOL && !type->rank));
    return value_error();
}

static void told_frozen(Elab *el, const char *name, const Tree *condition)
{
    bool text = condition && condition->kind == TREE_SCALAR;
    param_info(el, name)->rests =
        text ? str_printf(el->arena, "frozen while %s", condition->text) : "frozen";
}

bool is_frozen(Elab *el, const char *name, NodeId *while_so)
{
    const Tree *rows = tree_get(tree_get(el->root, "train"), "freeze");
    for (uint32_t i = 0; rows && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i], *condition = NULL;
        if (row->kind != TREE_MAP || !tree_get(row, "match") || !row_matches(el, row, name, NULL))
            continue;
        condition = tree_get(row, "while");
        if (!condition && row->entries.n > 1) continue; // reported
        Value v = condition ? frozen_while(el, condition, name) : value_bool(true);
        if ((v.kind == V_BOOL && v.b) || v.kind == V_TENSOR) told_frozen(el, name, condition);
        if (v.kind == V_BOOL && v.b) return true;
        if (v.kind == V_TENSOR)
            *while_so = *while_so ? graph_binary(el->graph, OP_OR, *while_so, v.node) : v.node;
    }
    return false;
}

static bool good_match(Elab *el, const Tree *row)
{
    const TreeEntry *match = tree_entry(row, "match");
    const Tree *m = match->value;
    bool good = m->kind == TREE_SCALAR || (m->kind == TREE_LIST && m->items.n);
    for (uint32_t i = 0; m->kind == TREE_LIST && i < m->items.n; i++)
        good &= m->items.at[i]->kind == TREE_SCALAR;
    if (good) return true;
    el_error(el, m->kind == TREE_NULL ? match->key->loc : m->loc,
             "'match' of a row of freeze is a glob, or a list of them");
    guess_match(el, match);
    return false;
}

static void check_freeze(Elab *el)
{
    const Tree *rows = tree_get(tree_get(el->root, "train"), "freeze");
    for (uint32_t i = 0; rows && rows->kind == TREE_LIST && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i];
        bool any = !keys_check(el, row, MAPPING_FREEZE, false) || !good_match(el, row);
        for (uint32_t k = 0; k < el->program->states.n && !any; k++) {
            const StateVar *v = &el->program->states.at[k];
            any = v->kind == STATE_PARAM && row_matches(el, row, v->name, NULL);
        }
        if (any) continue;
        if (!row_waits(el, row)) diag_warning(el->diag, row->loc, "no parameter matches this row");
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

static Instance *clip_open(Elab *el, const Tree *t)
{
    static const char *const skip[] = {"module", NULL};
    Scope *s = part_scope(el, NULL, "train.clip_grad", "train.clip_grad", t->loc);
    const ModuleDef *def = tree_module(el, t, s);
    if (!def || !role_check(el, def, ROLE_MODULE, tree_get(t, "module")->loc)) return NULL;
    return instance_from_tree(el, def, "train.clip_grad", t, skip, s);
}

// clip_grad: {module: m, ..} over all gradients.
static bool clip(Elab *el, TrainedList *list)
{
    const Tree *t = tree_get(tree_get(el->root, "train"), "clip_grad");
    if (!t) return true;
    Instance *inst = clip_open(el, t);
    if (!inst) return false;
    const ModuleDef *def = inst->def;
    ValueList *grads = arena_make(el->arena, ValueList);
    for (uint32_t i = 0; i < list->n; i++)
        vec_push(el->arena, &grads->v, value_node(el, list->at[i].g));
    Args args = {0};
    vec_push(el->arena, &args, (Arg){"grads", t->loc, t->loc, value_list(grads)});
    App *app = instance_apply(el, inst, &args, t->loc);
    const ValueList *out;
    if (!app || !value_items(el, app_main(el, app, t->loc), t->loc, &out)) return false;
    if (out->v.n != list->n)
        return el_error(el, t->loc, "%s gives %u gradients for %u", def->name, out->v.n, list->n);
    for (uint32_t i = 0; i < list->n; i++) {
        NodeId g = value_tensor(el, out->v.at[i], DT_F32, t->loc);
        if (!g) return false;
        if (!type_equal(graph_type(el->graph, g), list->at[i].var->type))
            return el_error(el, t->loc, "%s changes the shape of gradient %u", def->name, i);
        list->at[i].g = g;
    }
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

const char *nonfinite(Elab *el)
{
    const Tree *train = tree_get(el->root, "train");
    const Tree *t = tree_get(train, "nonfinite");
    if (!t || t->kind != TREE_SCALAR) return "stop";
    if (strcmp(t->text, "stop") && strcmp(t->text, "skip")) {
        el_error(el, t->loc, "nonfinite is stop or skip, not '%s'", t->text);
        suggest(el, "stop", "skip");
    }
    return t->text;
}

// Without a loss nothing is trained; what train: says is looked at for its errors.
static void look_at_train(Elab *el)
{
    Optimizers o = {0};
    const TrainedList none = {0};
    const Tree *train = tree_get(el->root, "train"), *clip = tree_get(train, "clip_grad"),
               *rows = tree_get(train, "freeze");
    for (uint32_t i = 0; rows && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i];
        const Tree *condition = tree_get(row, "while");
        if (condition) frozen_while(el, condition, "");
    }
    if (clip && clip->kind == TREE_MAP) clip_open(el, clip);
    optimizers_open(el, &o, &none);
}

void train_step(Elab *el, Entry *entry, NodeId loss)
{
    Optimizers o = {0};
    nonfinite(el);
    if (in_last_phase(el)) check_freeze(el);
    if (!loss) { // reported
        look_at_train(el);
        return;
    }
    TrainedList list = find_trained(el, loss);
    if (el->options->grads)
        for (uint32_t i = 0; i < list.n; i++) {
            const char *name = str_printf(el->arena, "grad.%s", list.at[i].var->name);
            vec_push(el->arena, &entry->outputs, (NamedNode){name, list.at[i].g});
        }
    if (!list.n) {
        el_error(el, tree_get(el->root, "train")->loc,
                 "the loss depends on no trainable parameter");
        diag_help(el->diag, "slow copies, teachers, what freeze: matches and what stop_gradient is "
                            "around are not trained");
        guess_trained(el);
        guess_constants(el);
        return;
    }
    o.finite = all_finite(el, loss, &list);
    vec_push(el->arena, &entry->outputs, (NamedNode){"$finite", o.finite});
    bool ok = clip(el, &list);
    if (!optimizers_open(el, &o, &list) || !ok) return;
    for (uint32_t i = 0; i < list.n; i++)
        if (!optimize(el, &o, &list.at[i], entry)) return;
    running_updates(el, entry, o.finite);
    emas_update(el, entry, o.finite);
}

// ---- settings for the runtime -----------------------------------------------------------------

static void put_every(Elab *el, Json *j, const char *section, const char *key, const char *name,
                      int64_t def)
{
    const Tree *map = tree_get(el->root, section), *t = tree_get(map, key);
    int64_t x = def;
    if (t) value_to_int(el, tree_eval(el, el->scope, t, NULL), t->loc, key, &x);
    json_int(j, name, x);
}

const char *train_json(Elab *el)
{
    Json j = {.arena = el->arena};
    json_open(&j, NULL, '{');
    json_int(&j, "steps", el->steps);
    json_int(&j, "seed", el->seed);
    json_str(&j, "nonfinite", nonfinite(el));
    put_phases(el, &j);
    put_shapes(el, &j);
    put_init(el, &j);
    put_frozen(el, &j);
    put_off(el, &j);
    put_export(el, &j);
    put_every(el, &j, "checkpoint", "every", "checkpoint_every", 1000);
    put_every(el, &j, "checkpoint", "keep", "checkpoint_keep", 2);
    put_every(el, &j, "log", "every", "log_every", 10);
    json_close(&j, '}');
    return json_text(&j);
}

const char *eval_json(Elab *el)
{
    const Tree *t = tree_get(el->root, "eval"), *sets = tree_get(t, "sets");
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
