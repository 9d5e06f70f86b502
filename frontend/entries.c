// The entries of a program: step, eval, metrics, one an encoder, and init last, when every state is
// known.
#include "frontend/advice.h"
#include "frontend/guess.h"
#include "frontend/json.h"
#include "frontend/unread.h"

static void output(Elab *el, Entry *e, const char *name, NodeId node)
{
    if (node) vec_push(el->arena, &e->outputs, (NamedNode){name, node});
}

// Begin an entry whose runs have so many samples.
static Entry *begin_batch(Elab *el, const char *name, bool training, bool marking, int64_t batch)
{
    el->batch = batch;
    el->marking = marking;
    if (!training) el->phase = PHASE_ALL;
    build_begin(el, training);
    Entry *e = program_find_entry(el->program, name);
    if (!e) e = program_entry(el->program, name);
    e->graph = el->graph;
    return e;
}

static Entry *begin(Elab *el, const char *name, bool training, bool marking)
{
    return begin_batch(el, name, training, marking, el->program->batch);
}

// What has no gradient takes the memory of a part of a step.
static Entry *begin_part(Elab *el, const char *name, bool marking)
{
    return begin_batch(el, name, false, marking, el->program->batch / el->parts);
}

// Behind all else, with errors alone: what these kept from being made is looked at for its own.
static void look_at_later(Elab *el)
{
    for (uint32_t i = 0; i < el->later.n && diag_errors(el->diag) && !el->initialising; i++)
        if (!el->later.at[i]->forcing) binding_force(el, el->later.at[i]);
}

// What the library makes says which line of the user's it is for.
static void name_calls(Elab *el)
{
    Frame *caller = el->frame;
    for (NodeId id = 1; id < el->makers.n; id++) {
        Node *n = &el->graph->nodes.at[id];
        el->frame = el->makers.at[id];
        for (uint32_t i = 0; i < n->origins.n; i++) {
            Loc *at = &n->origins.at[i];
            const Loc call = blame_call(el, *at);
            if (call.source != at->source) at->call = diag_call(el->diag, call);
        }
    }
    el->frame = caller;
}

static void finish(Elab *el, Entry *e)
{
    look_at_later(el);
    unread_note(el);
    if (diag_errors(el->diag)) return;
    name_calls(el);
    if (samples_apart(el, e)) entry_compact(e);
}

// Build every task that is on, so that all their errors are found; unweighted losses become
// outputs.
static void task_outputs(Elab *el, Entry *e)
{
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        Task *t = el->tasks.at[i].value;
        if (t->on && task_build(el, t)) output(el, e, t->path, t->loss);
    }
}

static NodeId minimized(Elab *el)
{
    const Tree *train = tree_get(el->root, "train"), *t = tree_get(train, "minimize");
    Value v;
    Loc loc = t ? t->loc : train ? train->loc : el->root->loc;
    if (t) {
        v = tree_eval(el, el->scope, t, NULL);
    } else {
        v = value_int(0);
        for (uint32_t i = 0; i < el->tasks.n; i++) {
            Value task = {.kind = V_TASK, .task = el->tasks.at[i].value};
            v = i ? arith(el, EOP_ADD, v, task, loc) : value_plain(el, task, loc);
        }
    }
    v = value_plain(el, v, loc);
    if (v.kind == V_ERROR) return 0;
    double x;
    if (!el->tasks.n && diag_errors(el->diag)) return 0; // which may be theirs
    if (value_number(v, &x)) {
        el_error(el, loc, "nothing is minimised%s: the loss is constantly %g",
                 el->phase > 0 ? str_printf(el->arena, " from update %lld on", (long long)el->phase)
                 : el->phases.n > 1
                     ? str_printf(el->arena, " before update %lld", (long long)el->phases.at[1])
                     : "",
                 x);
        guess_weights(el);
        guess_always(el);
        return 0;
    }
    NodeId n = value_tensor(el, v, DT_F32, loc);
    if (!n || graph_type(el->graph, n)->rank == 0) return n;
    el_error(el, loc, "the loss is %s, not one number",
             type_text(el->arena, graph_type(el->graph, n)));
    return 0;
}

static void build_phase(Elab *el, uint32_t phase, uint32_t resting)
{
    el->phase = el->phases.at[phase];
    el->resting = resting;
    Entry *e = begin(el, phase_entry(el, phase, resting), true, true);
    NodeId loss = minimized(el);
    output(el, e, "loss", loss);
    task_outputs(el, e);
    warn_untrained(el, loss);
    warn_unasked(el);
    watch_outputs(el, e);
    if (taps_here(el, e)) taps_outputs(el, e);
    // encoders nobody asked are looked at too, for their errors
    for (uint32_t i = 0; i < el->instances.n; i++)
        if (diag_errors(el->diag)) instance_default(el, el->instances.at[i].value, (Loc){0});
    if (tree_get(el->root, "train")) train_step(el, e, loss);
    finish(el, e);
}

void steps_build(Elab *el)
{
    const Rests rests = phase_rests(el);
    // every task is in the step of some phase where nothing rests: these are built for their errors
    for (uint32_t i = 0; i < el->phases.n; i++)
        for (uint32_t k = 0; k < rests.n && !(k && diag_errors(el->diag)); k++)
            build_phase(el, i, rests.at[k]);
    el->resting = 0;
}

static App *encoder_app(Elab *el, uint32_t i)
{
    Instance *inst = el->instances.at[i].value;
    return instance_default(el, inst, inst->loc);
}

static void build_eval(Elab *el)
{
    Entry *e = begin_part(el, "eval", true);
    output(el, e, "loss", minimized(el));
    task_outputs(el, e);
    for (uint32_t i = 0; i < el->instances.n; i++) {
        App *app = encoder_app(el, i);
        if (!app || !app->out.n) continue;
        const char *name =
            str_printf(el->arena, "%s.%s", el->instances.at[i].key, app->out.at[0].key);
        output(
            el, e, name,
            value_tensor(el, app_main(el, app, app->instance->loc), DT_NONE, app->instance->loc));
    }
    metrics_update(el, e);
    if (taps_here(el, e)) taps_outputs(el, e);
    finish(el, e);
    el->batch = el->program->batch; // settings see the whole one
    build_begin(el, false);
    el->program->data_json = data_json(el);
    el->program->eval_json = eval_json(el);
    el->program->train_json = train_json(el);
}

static void build_metrics(Elab *el)
{
    if (!el->metrics.n) return;
    Entry *e = begin(el, "metrics", false, false);
    metrics_result(el, e);
    finish(el, e);
    e = begin(el, "metrics_reset", false, false);
    metrics_reset(el, e);
    finish(el, e);
}

static void build_encoders(Elab *el)
{
    const Tree *t = tree_get(el->root, "encoders");
    for (uint32_t i = 0; t && i < t->entries.n && !diag_errors(el->diag); i++) {
        const char *name = t->entries.at[i].key->text;
        Entry *e = begin_part(el, str_printf(el->arena, "encode_%s", name), false);
        Instance *inst = map_get(&el->instances, name);
        App *app = inst ? instance_default(el, inst, inst->loc) : NULL;
        if (app && app->out.n)
            output(el, e, app->out.at[0].key,
                   value_tensor(el, app_main(el, app, inst->loc), DT_NONE, inst->loc));
        if (taps_here(el, e)) taps_outputs(el, e);
        finish(el, e);
    }
}

static void build_begins(Elab *el)
{
    for (uint32_t i = 0; i < el->phases.n; i++) {
        const char *name = emas_begin(el, el->phases.at[i]);
        if (!name) continue;
        Entry *e = begin(el, name, false, false);
        emas_take(el, e, el->phases.at[i]);
        finish(el, e);
    }
}

// ---- init -------------------------------------------------------------------------------------

static Value initial(Elab *el, const Init *how, const StateVar *v)
{
    if (how && how->statistic) return stats_initial(el, how);
    if (!how || (!how->tree && !how->expr)) return value_float(how ? how->constant : 0);
    Frame *f =
        frame_new(el, el->scope->frame, str_printf(el->arena, "the initialiser of %s", v->name),
                  v->name, how->loc);
    Scope *s = scope_new(el, how->scope, f);
    ValueList *shape = arena_make(el->arena, ValueList);
    for (uint32_t i = 0; i < v->type->rank; i++)
        vec_push(el->arena, &shape->v, value_int(v->type->axes[i].size));
    scope_value(el, s, "shape", how->loc, value_list(shape));
    Frame *caller = el->frame;
    el->frame = f;
    Value out = how->tree ? tree_eval(el, s, how->tree, NULL) : expr_eval(el, s, how->expr);
    el->frame = caller;
    return out;
}

// What a slow copy begins with: the initial value of its student, which is before it in the list.
static NodeId student_value(const Entry *e, const char *slow)
{
    const char *student = strchr(slow, '.') + 1;
    for (uint32_t i = 0; i < e->updates.n; i++)
        if (strcmp(e->updates.at[i].name, student) == 0) return e->updates.at[i].node;
    bug("%s is of nothing", slow);
}

static void build_init(Elab *el)
{
    el->initialising = true;
    Entry *e = begin(el, "init", false, false);
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        StateVar v = el->program->states.at[i];
        const Init *how = map_get(&el->inits, v.name);
        if (v.kind == STATE_EMA && el->partial) continue; // the student may not be there
        if (v.kind == STATE_EMA) {
            vec_push(el->arena, &e->updates, (NamedNode){v.name, student_value(e, v.name)});
            continue;
        }
        Value x = initial(el, how, &v);
        if (x.kind == V_ERROR) continue;
        warn_above(el, how, &v, x);
        NodeId n = value_tensor(el, x, v.type->dtype, v.loc);
        if (n) n = graph_broadcast_to(el->graph, n, v.type->rank, v.type->axes);
        if (n) vec_push(el->arena, &e->updates, (NamedNode){v.name, n});
    }
    finish(el, e);
    el->initialising = false;
}

// Parameters by the graph's own entries.
static void count_parts(Elab *el)
{
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        const StateVar *v = &el->program->states.at[i];
        const Init *how = map_get(&el->inits, v->name);
        bool frozen = v->kind == STATE_FROZEN;
        if ((v->kind != STATE_PARAM && !frozen) || !how) continue;
        const char *name = how->part ? how->part : "params";
        uint32_t k = 0;
        while (k < el->out->parts.n && (strcmp(el->out->parts.at[k].name, name) != 0 ||
                                        el->out->parts.at[k].frozen != frozen))
            k++;
        if (k == el->out->parts.n)
            vec_push(el->arena, &el->out->parts, (PartInfo){name, 0, frozen});
        el->out->parts.at[k].parameters += type_count(v->type);
    }
}

// What adds a batch to statistics, and what they are then.
static void build_statistics(Elab *el)
{
    Entry *e = begin_part(el, "stats", true);
    stats_update(el, e);
    finish(el, e);
    if (diag_errors(el->diag)) return;
    e = begin(el, "stats_result", false, false);
    stats_result(el, e);
    finish(el, e);
}

// The program that `cztc stats` runs instead of a step.
static void build_stats(Elab *el)
{
    build_statistics(el);
    if (diag_errors(el->diag)) return;
    el->program->data_json = data_json(el);
    el->program->train_json = stats_json(el);
    el->program->accumulate = 1;
    el->program->memory = 0; // it is of a step, and here nothing could be computed again
    Entry *e = begin(el, "stats_reset", false, false);
    metrics_reset(el, e);
    finish(el, e);
    build_init(el);
}

// Statistics, and what else nothing reads, are looked at too, for their errors, in a program that
// is dropped.
static void check_unread(Elab *el)
{
    Program *own = el->program;
    const Map statistics = el->statistics, inits = el->inits;
    bool stats = stats_unread(el), values = el->options->all && unread_any(el);
    if (!stats && !values) return;
    el->batch = own->batch; // not that of a part
    el->program = program_begin(el, own->name);
    el->statistics = el->inits = (Map){0};
    if (stats) build_statistics(el);
    el->phase = el->phases.at[el->phases.n - 1];
    if (values) begin(el, "values", true, false), unread_force(el);
    el->program = own;
    el->statistics = statistics;
    el->inits = inits;
}

static void verify(const Elab *el)
{
    Error err = {0};
    if (!diag_errors(el->diag) && !program_verify(el->program, &err)) bug("frontend: %s", err.text);
}

// When a step cannot be built, the rest of the file is looked at too, for its errors.
static void look_at_rest(Elab *el)
{
    Json rows = {.arena = el->arena};
    el->partial = true;
    metrics_update(el, begin(el, "eval", false, false));
    look_at_later(el);
    json_open(&rows, NULL, '{');
    put_init(el, &rows);
    put_frozen(el, &rows);
    put_export(el, &rows);
    json_close(&rows, '}');
    build_init(el);
    check_unread(el);
    if (el->options->all) lint_imported(el);
}

void entries_build(Elab *el)
{
    program_entry(el->program, "init"); // the first in the list
    if (el->options->stats) {
        build_stats(el);
        verify(el);
        return;
    }
    steps_build(el);
    if (!diag_errors(el->diag)) shapes_build(el);
    if (diag_errors(el->diag)) {
        look_at_rest(el);
        return;
    }
    build_eval(el);
    if (diag_errors(el->diag)) return;
    build_metrics(el);
    build_encoders(el);
    if (diag_errors(el->diag)) return;
    build_begins(el);
    build_init(el);
    count_parts(el);
    params_told(el);
    check_unread(el);
    if (el->options->all) lint_imported(el);
    if (diag_errors(el->diag)) return;
    stats_warn(el);
    verify(el);
}
