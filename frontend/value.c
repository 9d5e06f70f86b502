// Values: text for messages, and conversions from what the user wrote to what an operation needs.
#include "frontend/guess.h"
#include "frontend/mend.h"

#include <math.h>

void record_put(const Elab *el, Map *record, const char *name, Value v)
{
    map_set(el->arena, record, name, arena_copy(el->arena, &v, sizeof v));
}

Value value_record(Map *record)
{
    return (Value){.kind = V_RECORD, .record = record};
}

Value value_node(const Elab *el, NodeId node)
{
    return (Value){.kind = node ? V_TENSOR : V_ERROR, .build = el->build, .node = node};
}

bool value_number(Value v, double *x)
{
    if (v.kind == V_INT)
        *x = (double)v.i;
    else if (v.kind == V_FLOAT)
        *x = v.f;
    else
        return false;
    return true;
}

static bool list_equal(const ValueList *a, const ValueList *b)
{
    if (a->v.n != b->v.n) return false;
    for (uint32_t i = 0; i < a->v.n; i++)
        if (!value_equal(a->v.at[i], b->v.at[i])) return false;
    return true;
}

bool value_equal(Value a, Value b)
{
    double x, y;
    if (value_number(a, &x) && value_number(b, &y)) return x == y;
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case V_NONE: return true;
    case V_BOOL: return a.b == b.b;
    case V_STR: return strcmp(a.s, b.s) == 0;
    case V_DTYPE: return a.dtype == b.dtype;
    case V_LIST: return list_equal(a.list, b.list);
    case V_TASK: return a.task == b.task;
    case V_FIELD: return a.field == b.field;
    case V_INSTANCE: return a.instance == b.instance;
    case V_MODULE: return a.module == b.module;
    default: return false;
    }
}

static const char *list_text(const Elab *el, const ValueList *l)
{
    const char *text = "[";
    for (uint32_t i = 0; i < l->v.n; i++) {
        if (i == 8) return str_printf(el->arena, "%s, ...] (%u values)", text, l->v.n);
        text = str_printf(el->arena, "%s%s%s", text, i ? ", " : "", value_text(el, l->v.at[i]));
    }
    return str_printf(el->arena, "%s]", text);
}

const char *value_text(const Elab *el, Value v)
{
    static const char *const spaces[] = {"views", "experts", "losses"};
    switch (v.kind) {
    case V_ERROR: return "an error";
    case V_NONE: return "none";
    case V_INT: return str_printf(el->arena, "%lld", (long long)v.i);
    case V_FLOAT: return str_printf(el->arena, "%g", v.f);
    case V_BOOL: return v.b ? "true" : "false";
    case V_STR: return str_printf(el->arena, "\"%s\"", v.s);
    case V_DTYPE: return dtype_name(v.dtype);
    case V_LIST: return list_text(el, v.list);
    case V_TENSOR:
        if (v.build != el->build) return "a tensor";
        return type_text(el->arena, graph_type(el->graph, v.node));
    case V_RECORD: return "a record";
    case V_APP: return str_printf(el->arena, "the result of %s", v.app->instance->def->name);
    case V_INSTANCE: return str_printf(el->arena, "an instance of %s", v.instance->def->name);
    case V_MODULE: return str_printf(el->arena, "module %s", v.module->name);
    case V_FUNCTION: return str_printf(el->arena, "function %s", v.function->name);
    case V_BUILTIN: return str_printf(el->arena, "built-in function %s", v.builtin->name);
    case V_FIELD: return str_printf(el->arena, "field %s", v.field->name);
    case V_TASK: return str_printf(el->arena, "%s", v.task->path);
    case V_STATS: return stats_text(el, v.stats);
    case V_SPACE: return spaces[v.space];
    }
    return "?";
}

Value value_plain(Elab *el, Value v, Loc loc)
{
    const Decl *names = v.names;
    for (;;) {
        switch (v.kind) {
        case V_APP: v = app_main(el, v.app, loc); break;
        case V_INSTANCE: {
            App *app = instance_read(el, v.instance, loc);
            if (!app) return value_error();
            v = (Value){.kind = V_APP, .app = app};
            break;
        }
        case V_FIELD: v = field_value(el, v.field, loc); break;
        case V_TASK: v = task_value(el, v.task, loc); break;
        default:
            if (names && v.kind == V_TENSOR) v.names = names;
            return v;
        }
    }
}

// The members of a family that are on, or all teachers; other records are no lists.
static Value family_items(Elab *el, Value v)
{
    ValueList *l = arena_make(el->arena, ValueList);
    for (uint32_t i = 0; i < v.record->n; i++) {
        const Value *member = v.record->at[i].value;
        if (member->kind == V_ERROR) return *member;
        if (member->kind != V_TASK && member->kind != V_INSTANCE) return v;
        if (member->kind == V_INSTANCE || member->task->on) vec_push(el->arena, &l->v, *member);
    }
    return v.record->n ? value_list(l) : v;
}

static Value space_items(Elab *el, Space space)
{
    ValueList *l = arena_make(el->arena, ValueList);
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        Task *t = el->tasks.at[i].value;
        if (t->on && t->expert == (space == SPACE_EXPERTS))
            vec_push(el->arena, &l->v, (Value){.kind = V_TASK, .task = t});
    }
    return value_list(l);
}

bool value_items(Elab *el, Value v, Loc loc, const ValueList **items)
{
    if (v.kind == V_ERROR) return false;
    if (v.kind == V_SPACE && v.space != SPACE_VIEWS) v = space_items(el, v.space);
    if (v.kind == V_RECORD) v = family_items(el, v);
    if (v.kind == V_APP || v.kind == V_INSTANCE) v = value_plain(el, v, loc);
    if (v.kind == V_ERROR) return false;
    if (v.kind != V_LIST)
        return el_error(el, loc, "a list is needed here, not %s", value_text(el, v));
    *items = v.list;
    return true;
}

NodeId value_tensor(Elab *el, Value v, DType want, Loc loc)
{
    v = value_plain(el, v, loc);
    double x;
    el->graph->here = loc;
    if (v.kind == V_ERROR) return 0;
    if (v.kind == V_TENSOR) {
        if (v.build != el->build) {
            el_error(el, loc,
                     "an initialiser can use compile-time values only, not tensors of the step");
            return 0;
        }
        return want == DT_NONE ? v.node : node_cast(el, v.node, want);
    }
    if (value_number(v, &x)) return graph_const(el->graph, want == DT_NONE ? DT_F32 : want, x);
    if (v.kind == V_BOOL) {
        NodeId b = graph_const(el->graph, DT_BOOL, v.b);
        return want == DT_NONE ? b : node_cast(el, b, want);
    }
    el_error(el, loc, "a tensor is needed here, not %s", value_text(el, v));
    if (v.kind == V_LIST) diag_help(el->diag, "stack(list) makes a tensor of a list");
    guess_tensor_of(el, loc, v);
    if (v.kind == V_LIST) guess_item(el, loc, v.list->v.n);
    if (v.kind == V_MODULE)
        diag_help(el->diag, "{module: %s, ..} or %s(..) applies it", v.module->name,
                  v.module->name);
    if (v.kind == V_FUNCTION) diag_help(el->diag, "%s calls it", v.function->text);
    if (v.kind == V_BUILTIN)
        diag_help(el->diag, "%s(%s) calls it", v.builtin->name, v.builtin->signature);
    if (v.kind == V_STR) guess_init(el, loc);
    guess_no_entry_around(el, loc);
    return 0;
}

bool value_to_int(Elab *el, Value v, Loc loc, const char *what, int64_t *out)
{
    v = value_plain(el, v, loc);
    if (v.kind == V_ERROR) return false;
    if (v.kind == V_FLOAT && floor(v.f) == v.f && fabs(v.f) < 9e15) v = value_int((int64_t)v.f);
    if (v.kind != V_INT) {
        el_error(el, loc, "%s must be a whole number known at compile time, not %s", what,
                 value_text(el, v));
        if (v.kind == V_BOOL) suggest_guess(el, v.b ? "1" : "0", v.b ? "2" : "1");
        if (v.kind == V_FLOAT) suggest_number(el, v.f, -9e15, 9e15, true);
        if (v.kind == V_FLOAT) guess_whole_parts(el, loc);
        if (v.kind == V_TENSOR || v.kind == V_FUNCTION) guess_number(el);
        return false;
    }
    *out = v.i;
    return true;
}

bool value_to_float(Elab *el, Value v, Loc loc, const char *what, double *out)
{
    v = value_plain(el, v, loc);
    if (v.kind == V_ERROR) return false;
    if (value_number(v, out)) return true;
    el_error(el, loc, "%s must be a number known at compile time, not %s", what, value_text(el, v));
    if (v.kind == V_BOOL) suggest_guess(el, v.b ? "1" : "0", "0.5");
    if (v.kind == V_TENSOR || v.kind == V_FUNCTION) guess_number(el);
    return false;
}

bool value_to_bool(Elab *el, Value v, Loc loc, const char *what, bool *out)
{
    v = value_plain(el, v, loc);
    if (v.kind == V_ERROR) return false;
    if (v.kind != V_BOOL) {
        el_error(el, loc, "%s must be true or false at compile time, not %s", what,
                 value_text(el, v));
        if (v.kind == V_INT) suggest_bool(el, v);
        if (v.kind == V_TENSOR)
            diag_help(el->diag, "select(condition, a, b) chooses between tensors as the step runs");
        return false;
    }
    *out = v.b;
    return true;
}

bool value_to_axes(Elab *el, Value v, Loc loc, Axis **axes, uint32_t *rank)
{
    const ValueList *items;
    if (v.kind == V_INT || v.kind == V_FLOAT) {
        ValueList *one = arena_make(el->arena, ValueList);
        vec_push(el->arena, &one->v, v);
        v = value_list(one);
    }
    if (!value_items(el, v, loc, &items)) return false;
    *rank = items->v.n;
    *axes = arena_array(el->arena, Axis, items->v.n + 1);
    for (uint32_t i = 0; i < items->v.n; i++) {
        Value x = items->v.at[i];
        int64_t size;
        if (!value_to_int(el, x, loc, "a size", &size)) return false;
        if (size < 0)
            return el_error(el, loc, "size %lld of axis %u is negative", (long long)size, i);
        (*axes)[i] = (Axis){size, x.kind == V_INT ? x.per : 0};
    }
    return true;
}

static bool axis_add(Elab *el, Value v, Loc loc, uint32_t rank, int64_t *axes, uint32_t *n)
{
    int64_t a;
    if (!value_to_int(el, v, loc, "an axis", &a)) return false;
    if (a < -(int64_t)rank || a >= (int64_t)rank) {
        el_error(el, loc, "axis %lld of a tensor of %u axes", (long long)a, rank);
        if (rank > 1) suggest(el, str_printf(el->arena, "%u", rank - 1), "-1");
        return false;
    }
    if (a < 0) a += rank;
    uint32_t at = *n;
    for (; at > 0 && axes[at - 1] >= a; at--) {
        if (axes[at - 1] == a) return el_error(el, loc, "axis %lld is given twice", (long long)a);
        axes[at] = axes[at - 1];
    }
    axes[at] = a;
    ++*n;
    return true;
}

bool value_to_axis_list(Elab *el, Value v, Loc loc, uint32_t rank, int64_t **axes, uint32_t *n)
{
    *n = 0;
    if (v.kind == V_ERROR) return false;
    if (v.kind != V_LIST) {
        *axes = arena_array(el->arena, int64_t, 1);
        return axis_add(el, v, loc, rank, *axes, n);
    }
    *axes = arena_array(el->arena, int64_t, v.list->v.n + 1);
    for (uint32_t i = 0; i < v.list->v.n; i++)
        if (!axis_add(el, v.list->v.at[i], loc, rank, *axes, n)) return false;
    return true;
}
