// metric: and baselines: of experts and losses. A metric module has accumulators (state), an update
// a batch, and results from the accumulators alone. Entry "eval" updates, "metrics" reads,
// "metrics_reset" zeroes. A baseline is a metric module too: what can be had without the network.
// Its results have names that the metric's have, and follow them as "experts.seg.iou.NAME".
#include "frontend/elab.h"

typedef struct Metric {
    const char *task;     // "experts.seg"
    const char *baseline; // its name; NULL for the metric itself
    const char *title;    // what the result "out" is called: the name of the task's metric module
    const ModuleDef *def;
    Scope *scope; // of the evaluation: dimensions and settings
    Loc loc;
} Metric;

static const char *state_name(Elab *el, const Metric *m, const char *name)
{
    if (!m->baseline) return str_printf(el->arena, "$metric.%s.%s", m->task, name);
    return str_printf(el->arena, "$metric.%s.%s.%s", m->task, m->baseline, name);
}

// "experts.seg.iou", and "experts.seg.iou.constant" of a baseline.
static const char *result_name(Elab *el, const Metric *m, const char *name)
{
    name = strcmp(name, "out") == 0 ? m->title : name;
    if (!m->baseline) return str_printf(el->arena, "%s.%s", m->task, name);
    return str_printf(el->arena, "%s.%s.%s", m->task, name, m->baseline);
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
    for (uint32_t i = 0; i < rank; i++) {
        axes[i].per = 0;
        if (axes[i].size >= 1) continue;
        el_error(el, shape->loc, "axis %u of accumulator '%s' has size %lld; sizes are at least 1",
                 i, item->name, (long long)axes[i].size);
        return false;
    }
    const char *name = state_name(el, m, item->name);
    if (!program_find_state(el->program, name))
        program_state(el->program, name, STATE_METRIC, type_new(el->arena, dt, rank, axes),
                      item->loc);
    return true;
}

static void bind_accumulators(Elab *el, const Metric *m, Scope *s)
{
    for (uint32_t i = 0; i < m->def->state.n; i++) {
        const Item *item = &m->def->state.at[i];
        const StateVar *v = program_find_state(el->program, state_name(el, m, item->name));
        if (v)
            scope_value(el, s, item->name, item->loc,
                        value_node(el, graph_state(el->graph, v->name, v->type)));
    }
}

static void update_row(Elab *el, const Metric *m, const Item *item, Scope *s, Entry *entry)
{
    const StateVar *v = program_find_state(el->program, state_name(el, m, item->name));
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

// What a baseline is set beside: each of its results has the name of one of the metric's.
static bool comparable(Elab *el, const Metric *metric, const Metric *baseline)
{
    bool ok = true;
    for (uint32_t i = 0; i < baseline->def->out.n; i++) {
        const Item *item = &baseline->def->out.at[i];
        uint32_t k = 0;
        while (k < metric->def->out.n && strcmp(metric->def->out.at[k].name, item->name) != 0) k++;
        if (k < metric->def->out.n) continue;
        el_error(el, baseline->loc, "baseline %s gives '%s', which the metric %s does not",
                 baseline->baseline, item->name, metric->def->name);
        ok = false;
    }
    return ok;
}

// The metric of a task (beside: NULL), or the baseline of that name beside it; NULL when reported.
static Metric *metric_open(Elab *el, Task *t, TaskKey key, const char *baseline,
                           const Metric *beside)
{
    static const char *const skip[] = {"module", NULL};
    const char *part = baseline ? path_join(el, "baselines", baseline) : "metric";
    const char *path = path_join(el, t->frame->path, part);
    Instance *inst = task_instance(el, t, ROLE_METRIC, key, path, skip);
    if (!inst) return NULL;
    App *app = app_open(el, inst, NULL, true, key.tree->loc);
    if (!app) return NULL;
    Metric *m = arena_make(el->arena, Metric);
    const char *title = beside ? beside->title : inst->def->name;
    *m = (Metric){t->path, baseline, title, inst->def, app->scope, key.tree->loc};
    return m;
}

// The results may use settings that the update does not.
static void force_settings(Elab *el, const Metric *m)
{
    for (uint32_t i = 0; i < m->def->let.n; i++) {
        Binding *b = map_get(&m->scope->names, m->def->let.at[i].name);
        if (b) binding_force(el, b);
    }
}

static void metric_update(Elab *el, const Metric *m, Entry *entry)
{
    Frame *caller = el->frame;
    el->frame = m->scope->frame;
    bool ok = true;
    for (uint32_t i = 0; i < m->def->state.n; i++) ok &= state_declare(el, m, &m->def->state.at[i]);
    if (ok) {
        bind_accumulators(el, m, m->scope);
        force_settings(el, m);
        for (uint32_t i = 0; i < m->def->update.n; i++)
            update_row(el, m, &m->def->update.at[i], m->scope, entry);
        map_set(el->arena, &el->metrics, result_name(el, m, "out"), (void *)m);
    }
    el->frame = caller;
}

static void task_metrics(Elab *el, Task *t, Entry *entry)
{
    TaskKey key = task_key(t, "metric"), rest = task_key(t, "baselines");
    const Tree *tree = key.tree, *others = rest.tree;
    if (others && !tree) {
        el_error(el, others->loc, "%s has baselines and no metric to set them beside", t->path);
        return;
    }
    if (!tree || !t->on) return;
    if (!task_build(el, t)) { // reported; the metric is looked at for its own errors
        const ModuleDef *def = tree_module(el, tree, key.scope);
        if (def) role_check(el, def, ROLE_METRIC, tree_get(tree, "module")->loc);
        return;
    }
    Metric *metric = metric_open(el, t, key, NULL, NULL);
    if (!metric) return;
    metric_update(el, metric, entry);
    for (uint32_t i = 0; others && i < others->entries.n; i++) {
        const TreeEntry *e = &others->entries.at[i];
        if (e->value->kind != TREE_MAP) {
            el_error(el, e->value->loc, "baseline '%s' is a metric, {module: NAME}", e->key->text);
            continue;
        }
        Metric *baseline =
            metric_open(el, t, (TaskKey){e->value, rest.scope}, e->key->text, metric);
        if (baseline && comparable(el, metric, baseline)) metric_update(el, baseline, entry);
    }
}

void metrics_update(Elab *el, Entry *entry)
{
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        Task *t = el->tasks.at[i].value;
        if (t->tree->kind == TREE_MAP) task_metrics(el, t, entry);
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
            if (x)
                vec_push(el->arena, &entry->outputs,
                         (NamedNode){result_name(el, m, item->name), x});
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
