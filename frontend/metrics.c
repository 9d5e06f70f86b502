// metric: and baselines: of experts and losses. A metric module has accumulators (state), an update
// a batch, and results from the accumulators alone. Entry "eval" updates, "metrics" reads,
// "metrics_reset" zeroes. A baseline is a metric module too: what can be had without the network.
// Its results have names that the metric's have, and follow them as "experts.seg.iou.NAME".
#include "frontend/mend.h"

typedef struct Metric {
    const char *task;     // "experts.seg"
    const char *baseline; // its name; NULL for the metric itself
    const char *title;    // what the result "out" is called: the name of the task's metric module
    Tally tally;
    Loc module; // the name of its module
} Metric;

// "$metric.experts.seg.", and with a baseline's name behind the task's.
static const char *state_prefix(Elab *el, const char *task, const char *baseline)
{
    if (!baseline) return str_printf(el->arena, "$metric.%s.", task);
    return str_printf(el->arena, "$metric.%s.%s.", task, baseline);
}

// "experts.seg.iou", and "experts.seg.iou.constant" of a baseline.
static const char *result_name(Elab *el, const Metric *m, const char *name)
{
    name = strcmp(name, "out") == 0 ? m->title : name;
    if (!m->baseline) return str_printf(el->arena, "%s.%s", m->task, name);
    return str_printf(el->arena, "%s.%s.%s", m->task, name, m->baseline);
}

// What a baseline is set beside: each of its results has the name of one of the metric's.
static bool comparable(Elab *el, const Metric *metric, const Metric *baseline)
{
    bool ok = true;
    for (uint32_t i = 0; i < baseline->tally.def->out.n; i++) {
        const Item *item = &baseline->tally.def->out.at[i];
        uint32_t k = 0;
        while (k < metric->tally.def->out.n &&
               strcmp(metric->tally.def->out.at[k].name, item->name) != 0)
            k++;
        if (k < metric->tally.def->out.n) continue;
        el_error(el, baseline->tally.loc, "baseline %s gives '%s', which the metric %s does not",
                 baseline->baseline, item->name, metric->tally.def->name);
        guess_metrics(el, baseline->tally.def, metric->module);
        guess_no_entry_around(el, baseline->tally.loc);
        ok = false;
    }
    return ok;
}

// The metric of a task (beside: NULL), or the baseline of that name beside it; NULL when reported.
static Metric *metric_open(Elab *el, Task *t, TaskKey key, const char *baseline,
                           const Metric *beside)
{
    static const char *const skip[] = {"module", NULL};
    if (key.tree->kind != TREE_MAP && diag_errors(el->diag)) return NULL; // which is one of them
    const char *part = baseline ? path_join(el, "baselines", baseline) : "metric";
    const char *path = path_join(el, t->frame->path, part);
    Instance *inst = task_instance(el, t, ROLE_METRIC, key, path, skip);
    if (!inst) return NULL;
    App *app = app_open(el, inst, NULL, true, key.tree->loc);
    if (!app) return NULL;
    Metric *m = arena_make(el->arena, Metric);
    const char *title = beside ? beside->title : inst->def->name;
    *m = (Metric){.task = t->path, .baseline = baseline, .title = title};
    m->tally = (Tally){state_prefix(el, t->path, baseline), inst->def, app->scope, key.tree->loc};
    m->module = tree_get(key.tree, "module")->loc;
    return m;
}

static void metric_update(Elab *el, const Metric *m, Entry *entry)
{
    if (tally_update(el, &m->tally, entry))
        map_set(el->arena, &el->metrics, result_name(el, m, "out"), (void *)m);
}

// Beside baselines: the metric that one of them is, or none of them.
static void guess_metric(Elab *el, const Task *t, const Tree *others)
{
    for (uint32_t i = 0; i < others->entries.n; i++) {
        const Tree *module = tree_get(others->entries.at[i].value, "module");
        const char *text = module ? str_printf(el->arena, "{module: %s}", module->text) : NULL;
        if (text && module->kind == TREE_SCALAR) guess_added(el, t->tree, "metric", text);
    }
    guess_without(el, t->tree, "baselines");
}

// The task is wrong, which is reported.
static void look_at_metrics(Elab *el, const Task *t, TaskKey key, TaskKey rest)
{
    static const char *const skip[] = {"module", NULL};
    look_at_module(el, t, ROLE_METRIC, key, skip);
    for (uint32_t i = 0; rest.tree && i < rest.tree->entries.n; i++) {
        const Tree *one = rest.tree->entries.at[i].value;
        if (one->kind == TREE_MAP)
            look_at_module(el, t, ROLE_METRIC, (TaskKey){one, rest.scope}, skip);
    }
}

// A baseline that is no mapping, or the mapping of one that has no name yet.
static void suggest_baseline(Elab *el, const Tree *all, const TreeEntry *e)
{
    const char *module = e->value->kind == TREE_SCALAR ? e->value->text : NULL;
    if (strcmp(e->key->text, "module") || !module) {
        suggest_row(el, "module", false);
        return;
    }
    const char *named = str_printf(el->arena, "%s: {module: %s}", module, module);
    diag_help(el->diag, "a baseline has a name: write %s", named);
    const Loc entry = loc_in(e->key->loc.source, e->key->loc.begin, e->value->loc.end);
    if (all->entries.n == 1 && is_users(el, entry)) diag_mend(el->diag, entry, named);
}

static void task_metrics(Elab *el, Task *t, Entry *entry)
{
    TaskKey key = task_key(t, "metric"), rest = task_key(t, "baselines");
    const Tree *tree = key.tree, *others = rest.tree;
    if (others && !tree && keys_strange(el, t->tree, task_mapping(t))) return;
    if (others && !tree) {
        el_error(el, others->loc, "%s has baselines and no metric to set them beside", t->path);
        guess_metric(el, t, others);
        return;
    }
    if (!tree || !t->on) return;
    if (!task_build(el, t)) { // reported; the metric is looked at for its own errors
        if (tree->kind == TREE_MAP) look_at_metrics(el, t, key, rest);
        return;
    }
    Metric *metric = metric_open(el, t, key, NULL, NULL);
    if (!metric) return;
    metric_update(el, metric, entry);
    for (uint32_t i = 0; others && i < others->entries.n; i++) {
        const TreeEntry *e = &others->entries.at[i];
        if (e->value->kind != TREE_MAP) {
            el_error(el, e->value->loc, "baseline '%s' is a metric, {module: NAME}", e->key->text);
            suggest_baseline(el, others, e);
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

void metrics_result(Elab *el, Entry *entry)
{
    for (uint32_t i = 0; i < el->metrics.n; i++) {
        const Metric *m = el->metrics.at[i].value;
        const ModuleDef *def = m->tally.def;
        Scope *s = tally_results(
            el, &m->tally, str_printf(el->arena, "metric %s of %s", def->name, m->task), false);
        Frame *caller = el->frame;
        el->frame = s->frame;
        for (uint32_t k = 0; k < def->out.n; k++) {
            const Item *item = &def->out.at[k];
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
