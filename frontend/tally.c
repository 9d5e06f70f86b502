// Accumulators of a metric module: state that an entry adds to, batch by batch, and results of the
// accumulators alone. metrics.c has them for tasks, stats.c for the features of teachers.
#include "frontend/elab.h"

static const char *state_name(Elab *el, const Tally *t, const char *name)
{
    return str_printf(el->arena, "%s%s", t->prefix, name);
}

// The type of a row of state:; NULL when reported.
static const Type *row_type(Elab *el, const Tally *m, const Item *item)
{
    const Tree *t = item->value;
    if (!keys_check(el, t, MAPPING_ACCUMULATOR, false)) return NULL;
    const Tree *shape = tree_get(t, "shape"), *dtype = tree_get(t, "dtype");
    Axis *axes = NULL;
    uint32_t rank = 0;
    DType dt = dtype && dtype->kind == TREE_SCALAR ? dtype_find(dtype->text) : DT_F32;
    if (dt == DT_NONE) {
        el_error(el, dtype->loc, "'%s' is no element type", dtype->text);
        return NULL;
    }
    if (shape && !value_to_axes(el, tree_eval(el, m->scope, shape, NULL), shape->loc, &axes, &rank))
        return NULL;
    for (uint32_t i = 0; i < rank; i++) {
        axes[i].per = 0;
        if (axes[i].size >= 1) continue;
        el_error(el, shape->loc, "axis %u of accumulator '%s' has size %lld; sizes are at least 1",
                 i, item->name, (long long)axes[i].size);
        suggest_number(el, (double)axes[i].size, 1, 1e15, true);
        return NULL;
    }
    return type_new(el->arena, dt, rank, axes);
}

static bool declare(Elab *el, const Tally *t)
{
    bool ok = true;
    for (uint32_t i = 0; i < t->def->state.n; i++) {
        const Item *item = &t->def->state.at[i];
        const Type *type = row_type(el, t, item);
        const char *name = state_name(el, t, item->name);
        if (type && !program_find_state(el->program, name))
            program_state(el->program, name, STATE_METRIC, type, item->loc);
        ok &= type != NULL;
    }
    return ok;
}

static void bind_accumulators(Elab *el, const Tally *t, Scope *s)
{
    for (uint32_t i = 0; i < t->def->state.n; i++) {
        const Item *item = &t->def->state.at[i];
        const StateVar *v = program_find_state(el->program, state_name(el, t, item->name));
        if (v)
            scope_value(el, s, item->name, item->loc,
                        value_node(el, graph_state(el->graph, v->name, v->type)));
    }
}

// Accumulators that nothing was added to: zeros.
static bool bind_empty(Elab *el, const Tally *t, Scope *s)
{
    for (uint32_t i = 0; i < t->def->state.n; i++) {
        const Item *item = &t->def->state.at[i];
        const Type *type = row_type(el, t, item);
        if (!type) return false;
        NodeId zero = graph_const(el->graph, type->dtype, 0);
        zero = graph_broadcast_to(el->graph, zero, type->rank, type->axes);
        scope_value(el, s, item->name, item->loc, value_node(el, zero));
    }
    return true;
}

static void update_row(Elab *el, const Tally *t, const Item *item, Entry *entry)
{
    const StateVar *v = program_find_state(el->program, state_name(el, t, item->name));
    if (!v) {
        el_error(el, item->loc, "'%s' is no state of %s", item->name, t->def->name);
        const Map names = items_map(el, &t->def->state);
        if (!suggest_near(el, item->name, &names))
            diag_help(el->diag, "state: declares it: %s: {}", item->name);
        return;
    }
    Value x = tree_eval(el, t->scope, item->value, NULL);
    if (x.kind == V_ERROR) return;
    NodeId n = value_tensor(el, x, v->type->dtype, item->value->loc);
    if (n) n = graph_broadcast_to(el->graph, n, v->type->rank, v->type->axes);
    if (n) vec_push(el->arena, &entry->updates, (NamedNode){v->name, n});
}

// The results may use settings that the update does not.
static void force_settings(Elab *el, const Tally *t)
{
    for (uint32_t i = 0; i < t->def->let.n; i++) {
        Binding *b = map_get(&t->scope->names, t->def->let.at[i].name);
        if (b) binding_force(el, b);
    }
}

bool tally_update(Elab *el, const Tally *t, Entry *entry)
{
    Frame *caller = el->frame;
    el->frame = t->scope->frame;
    bool ok = declare(el, t);
    if (ok) {
        bind_accumulators(el, t, t->scope);
        force_settings(el, t);
        for (uint32_t i = 0; i < t->def->update.n; i++)
            update_row(el, t, &t->def->update.at[i], entry);
    }
    el->frame = caller;
    return ok;
}

// Names of the update that hold compile-time values: they stay known where only accumulators are.
static void copy_constants(Elab *el, const Tally *t, Scope *s)
{
    for (uint32_t i = 0; i < t->scope->names.n; i++) {
        const Binding *b = t->scope->names.at[i].value;
        ValueKind k = b->value.kind;
        bool constant = b->forced && (k == V_INT || k == V_FLOAT || k == V_BOOL || k == V_STR);
        if (constant && !map_find(&s->names, b->name))
            scope_value(el, s, b->name, b->loc, b->value);
    }
}

Scope *tally_results(Elab *el, const Tally *t, const char *what, bool empty)
{
    Scope *s = scope_new(el, el->globals, frame_new(el, el->scope->frame, what, "", t->loc));
    Frame *caller = el->frame;
    el->frame = s->frame;
    if (empty) force_settings(el, t);
    bool ok = !empty || bind_empty(el, t, s);
    if (!empty) bind_accumulators(el, t, s);
    copy_constants(el, t, s);
    el->frame = caller;
    return ok ? s : NULL;
}
