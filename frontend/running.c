// update: of a module: parameters that no gradient moves, such as running means, get new values in
// every step that the module takes part in. Of a module that is applied several times in a step,
// the mean of what each application makes of the old values is taken, so that no order counts.
// Copies and teachers update nothing.
#include "frontend/guess.h"
#include "frontend/train.h"

typedef struct Running {
    NodeId sum; // of the new values
    uint32_t n; // applications
} Running;

// The parameter of a row, a state that is not trained; NULL when reported.
static const StateVar *running_state(Elab *el, App *app, const Item *item)
{
    const ModuleDef *def = app->instance->def;
    Binding *b = map_get(&app->scope->names, item->name);
    const Items *params = &def->params;
    uint32_t i = 0;
    while (i < params->n && strcmp(params->at[i].name, item->name)) i++;
    if (i == params->n) {
        el_error(el, item->loc, "'%s' is no parameter of %s", item->name, def->name);
        diag_help(el->diag, "update: has a row for each parameter that changes without a gradient");
        const Map names = items_map(el, params);
        suggest_words(el, item->name, &names);
        return NULL;
    }
    Value v = binding_force(el, b);
    const char *path = path_join(el, app->scope->frame->owner->path, item->name);
    const StateVar *var = v.kind == V_TENSOR ? program_find_state(el->program, path) : NULL;
    if (v.kind == V_ERROR) return NULL;
    if (var && var->kind == STATE_PARAM && !var->trainable) return var;
    el_error(el, item->loc, "'%s' of %s is trained, so update: cannot change it", item->name,
             def->name);
    diag_note(el->diag, b->loc, "the parameter is declared here");
    diag_help(el->diag, "write `trainable: false` there");
    if (params->at[i].value->kind == TREE_MAP)
        guess_setting(el, params->at[i].value->loc, "trainable", "false");
    return NULL;
}

// Over the samples, and over the axes that the parameter lacks.
static void guess_reduced(Elab *el, Loc at, const Type *type, uint32_t rank)
{
    const bool batch = type->rank && type->axes[0].per;
    const uint32_t plain = type->rank - batch, more = plain > rank ? plain - rank : 0;
    static const char *const over[] = {"mean", "max", "sum"};
    for (int i = 0; i < 3; i++) {
        const char *before = batch ? i ? "batch_sum(" : "batch_mean(" : "",
                   *after = batch ? ")" : "";
        if (more) {
            const char *axes = "";
            for (uint32_t k = 0; k < more; k++)
                axes = str_printf(el->arena, "%s%s%u", axes, k ? ", " : "", k);
            before = str_printf(el->arena, "%s(%s", over[i], before);
            after =
                str_printf(el->arena, more > 1 ? "%s, axis=[%s])" : "%s, axis=%s)", after, axes);
        }
        guess_wrapped(el, at, before, after);
    }
}

static bool update_row(Elab *el, App *app, const Item *item, Scope *s)
{
    const StateVar *var = running_state(el, app, item);
    if (!var) return false;
    NodeId old = graph_state(el->graph, var->name, var->type);
    scope_value(el, s, item->name, item->loc, value_node(el, old));
    NodeId x =
        value_tensor(el, tree_eval(el, s, item->value, NULL), var->type->dtype, item->value->loc);
    if (!x) return false;
    const Type *type = graph_type(el->graph, x);
    bool fits = type->rank <= var->type->rank;
    for (uint32_t i = 0; fits && i < type->rank; i++) {
        const Axis *to = &var->type->axes[i + var->type->rank - type->rank];
        fits = !type->axes[i].per && (type->axes[i].size == 1 || type->axes[i].size == to->size);
    }
    if (!fits) {
        el_error(el, item->value->loc, "the new value of '%s' is %s, the parameter is %s",
                 item->name, type_text(el->arena, type), type_text(el->arena, var->type));
        guess_reduced(el, item->value->loc, type, var->type->rank);
        return false;
    }
    x = graph_broadcast_to(el->graph, x, var->type->rank, var->type->axes);
    ((Binding *)map_get(&s->names, item->name))->value = value_node(el, x);
    Running *r = map_get(&el->running, var->name);
    if (!r) map_set(el->arena, &el->running, var->name, r = arena_make(el->arena, Running));
    r->sum = r->n++ ? graph_binary(el->graph, OP_ADD, r->sum, x) : x;
    return true;
}

void running_update(Elab *el, App *app)
{
    const ModuleDef *def = app->instance->def;
    Frame *f = app->scope->frame, *caller = el->frame;
    if (!def->update.n || !el->training || el->initialising || f->ema || f->frozen) return;
    Scope *s = scope_new(el, app->scope, f);
    el->frame = f;
    for (uint32_t i = 0; i < def->update.n; i++)
        if (!update_row(el, app, &def->update.at[i], s)) break;
    el->frame = caller;
}

void running_updates(Elab *el, Entry *entry, NodeId finite)
{
    for (uint32_t i = 0; i < el->running.n; i++) {
        const char *name = el->running.at[i].key;
        const StateVar *var = program_find_state(el->program, name);
        NodeId old = graph_state(el->graph, name, var->type), keep = finite, frozen = 0;
        if (is_frozen(el, name, &frozen)) continue;
        if (frozen)
            keep = graph_binary(el->graph, OP_AND, keep, graph_unary(el->graph, OP_NOT, frozen));
        const Running *r = el->running.at[i].value;
        NodeId each = graph_const(el->graph, var->type->dtype, 1.0 / r->n);
        NodeId x = graph_binary(el->graph, OP_MUL, r->sum, each);
        vec_push(el->arena, &entry->updates,
                 (NamedNode){name, graph_select(el->graph, keep, x, old)});
    }
}
