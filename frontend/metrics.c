// metric: of experts and losses. A metric module has accumulators (state), an update a batch, and
// results from the accumulators alone. Entry "eval" updates, "metrics" reads, "metrics_reset"
// zeroes.
#include "frontend/elab.h"

typedef struct Metric {
    const char *task; // "experts.seg"
    const ModuleDef *def;
    Scope *scope; // of the evaluation: dimensions and settings
} Metric;

static const char *state_name(Elab *el, const char *task, const char *name)
{
    return str_printf(el->arena, "$metric.%s.%s", task, name);
}

static bool state_declare(Elab *el, const Metric *m, const Item *item)
{
    const Tree *t = item->value, *shape = t->kind == TREE_MAP ? tree_get(t, "shape") : NULL;
    const Tree *dtype = t->kind == TREE_MAP ? tree_get(t, "dtype") : NULL;
    Axis *axes = NULL;
    uint32_t rank = 0;
    DType dt = dtype && dtype->kind == TREE_SCALAR ? dtype_find(dtype->text) : DT_F32;
    if (!keys_check(el, t, MAPPING_ACCUMULATOR, false)) return false;
    if (dt == DT_NONE) {
        el_error(el, dtype->loc, "'%s' is no element type", dtype->text);
        return false;
    }
    if (shape && !value_to_axes(el, tree_eval(el, m->scope, shape, NULL), shape->loc, &axes, &rank))
        return false;
    for (uint32_t i = 0; i < rank; i++) axes[i].per = 0;
    const char *name = state_name(el, m->task, item->name);
    if (!program_find_state(el->program, name))
        program_state(el->program, name, STATE_METRIC, type_new(el->arena, dt, rank, axes),
                      item->loc);
    return true;
}

static void bind_accumulators(Elab *el, const Metric *m, Scope *s)
{
    for (uint32_t i = 0; i < m->def->state.n; i++) {
        const Item *item = &m->def->state.at[i];
        const StateVar *v = program_find_state(el->program, state_name(el, m->task, item->name));
        if (v)
            scope_value(el, s, item->name, item->loc,
                        value_node(el, graph_state(el->graph, v->name, v->type)));
    }
}

static void update_row(Elab *el, const Metric *m, const Item *item, Scope *s, Entry *entry)
{
    const StateVar *v = program_find_state(el->program, state_name(el, m->task, item->name));
    if (!v) {
        el_error(el, item->loc, "'%s' is no state of %s", item->name, m->def->name);
        return;
    }
    Value x = tree_eval(el, s, item->value, NULL);
    if (x.kind == V_ERROR) return;
    NodeId n = value_tensor(el, x, v->type->dtype, item->value->loc);
    if (n) n = graph_broadcast_to(el->graph, n, v->type->rank, v->type->axes);
    if (n) vec_push(el->arena, &entry->updates, (NamedNode){v->name, n});
}

static void metric_update(Elab *el, Task *t, const Tree *tree, Entry *entry)
{
    static const char *const skip[] = {"module", NULL};
    Instance *inst = task_instance(el, t, tree, path_join(el, t->frame->path, "metric"), skip);
    if (!inst) return;
    if (inst->def->role != ROLE_METRIC) {
        el_error(el, tree->loc, "%s is no metric", inst->def->name);
        return;
    }
    App *app = app_open(el, inst, NULL, true, tree->loc);
    if (!app) return;
    Frame *caller = el->frame;
    Metric *m = arena_make(el->arena, Metric);
    *m = (Metric){t->path, inst->def, app->scope};
    el->frame = app->scope->frame;
    bool ok = true;
    for (uint32_t i = 0; i < m->def->state.n; i++) ok &= state_declare(el, m, &m->def->state.at[i]);
    if (ok) {
        bind_accumulators(el, m, app->scope);
        for (uint32_t i = 0; i < m->def->update.n; i++)
            update_row(el, m, &m->def->update.at[i], app->scope, entry);
        map_set(el->arena, &el->metrics, t->path, m);
    }
    el->frame = caller;
}

void metrics_update(Elab *el, Entry *entry)
{
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        Task *t = el->tasks.at[i].value;
        const Tree *tree = t->tree->kind == TREE_MAP ? tree_get(t->tree, "metric") : NULL;
        if (tree && t->on && task_build(el, t)) metric_update(el, t, tree, entry);
    }
}

// Names of the evaluation that hold compile-time values: they stay known where only accumulators
// are.
static void copy_constants(Elab *el, const Metric *m, Scope *s)
{
    for (uint32_t i = 0; i < m->scope->names.n; i++) {
        const Binding *b = m->scope->names.at[i].value;
        ValueKind k = b->value.kind;
        bool constant = b->forced && (k == V_INT || k == V_FLOAT || k == V_BOOL || k == V_STR);
        if (constant && !map_find(&s->names, b->name))
            scope_value(el, s, b->name, b->loc, b->value);
    }
}

void metrics_result(Elab *el, Entry *entry)
{
    for (uint32_t i = 0; i < el->metrics.n; i++) {
        const Metric *m = el->metrics.at[i].value;
        const char *what = str_printf(el->arena, "metric %s of %s", m->def->name, m->task);
        Scope *s =
            scope_new(el, el->globals, frame_new(el, el->scope->frame, what, "", m->def->loc));
        Frame *caller = el->frame;
        el->frame = s->frame;
        bind_accumulators(el, m, s);
        copy_constants(el, m, s);
        for (uint32_t k = 0; k < m->def->out.n; k++) {
            const Item *item = &m->def->out.at[k];
            NodeId x = value_tensor(el, tree_eval(el, s, item->value, NULL), DT_F32, item->loc);
            const char *name =
                str_printf(el->arena, "%s.%s", m->task,
                           strcmp(item->name, "out") == 0 ? m->def->name : item->name);
            if (x) vec_push(el->arena, &entry->outputs, (NamedNode){name, x});
        }
        el->frame = caller;
    }
}

void metrics_reset(Elab *el, Entry *entry)
{
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        const StateVar *v = &el->program->states.at[i];
        if (v->kind != STATE_METRIC) continue;
        NodeId zero = graph_const(el->graph, v->type->dtype, 0);
        zero = graph_broadcast_to(el->graph, zero, v->type->rank, v->type->axes);
        vec_push(el->arena, &entry->updates, (NamedNode){v->name, zero});
    }
}
