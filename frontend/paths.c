// Parameters by their paths. A path such as visual.patch.weight is no expression where it leads
// through a part that is applied without a name of its own; where a value is looked at (watch:, run
// --print) it stands for the parameter. What the text means as an expression comes first.
#include "frontend/elab.h"

#include <ctype.h>
#include <stdlib.h>

static bool is_path(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '_' && *p != '.' && *p != '-') return false;
    return strchr(text, '.') != NULL;
}

static bool space_find(Elab *el, Space space, const char *name, Value *out)
{
    if (space == SPACE_VIEWS) return false;
    bool expert = space == SPACE_EXPERTS;
    Task *t = map_get(&el->tasks, expert ? str_printf(el->arena, "experts.%s", name) : name);
    if (t && t->expert == expert) {
        *out = (Value){.kind = V_TASK, .task = t};
        return true;
    }
    *out = family_value(el, name, expert);
    return out->kind == V_RECORD;
}

// The application that members of an instance are of: of one with inputs of its own.
static bool applied(Elab *el, Instance *inst, Value *out)
{
    bool own = inst->frozen;
    for (uint32_t i = 0; i < el->instances.n; i++) own |= el->instances.at[i].value == inst;
    App *app = own ? instance_default(el, inst, inst->loc) : inst->app;
    *out = (Value){.kind = V_APP, .app = app};
    return app != NULL;
}

// The member of a value, as expressions have it, but that nothing is reported.
static bool member_find(Elab *el, Value v, const char *name, Value *out)
{
    char *end;
    if (v.kind == V_INSTANCE && !applied(el, v.instance, &v)) return false;
    switch (v.kind) {
    case V_APP: return app_member(el, v.app, name, out);
    case V_SPACE: return space_find(el, v.space, name, out);
    case V_TASK: return v.task->on && v.task->done && task_find(el, v.task, name, out);
    case V_RECORD: {
        const Value *x = map_get(v.record, name);
        if (x) *out = *x;
        return x != NULL;
    }
    case V_LIST: {
        unsigned long i = strtoul(name, &end, 10);
        if (*end || end == name || i >= v.list->v.n) return false;
        *out = v.list->v.at[i];
        return true;
    }
    default: return false;
    }
}

// Is the text an expression that means something?
static bool is_value(Elab *el, const char *text)
{
    size_t n = strcspn(text, ".");
    Binding *b = scope_find(el->scope, str_slice(el->arena, text, n));
    Value v = b ? binding_force(el, b) : value_error();
    while (b && text[n]) {
        text += n + 1;
        n = strcspn(text, ".");
        const char *name = str_slice(el->arena, text, n);
        bool figure = v.kind == V_TASK && (!strcmp(name, "loss") || !strcmp(name, "per_sample") ||
                                           !strcmp(name, "weight") || !strcmp(name, "name"));
        if (figure) return !text[n];
        if (!member_find(el, v, name, &v)) return false;
    }
    return b != NULL;
}

enum { SLIPS = 2 }; // letters in which a wrong path may differ from the right one

// What comes nearest to a path.
typedef struct Nearest {
    const char *path, *name;
    const StateVar *of; // the parameter, or the one that the copy's follows
    const Ema *copy;    // NULL: no slow copy
    uint32_t slips;
} Nearest;

static void offer(Nearest *n, const char *name, const StateVar *of, const Ema *copy)
{
    uint32_t d = str_distance(n->path, name, SLIPS);
    if (d < n->slips) *n = (Nearest){n->path, name, of, copy, d};
}

// A slow copy's parameters are states only where they are read, but known by the student's.
static Nearest find(Elab *el, const char *path)
{
    Nearest n = {.path = path, .slips = SLIPS + 1};
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        const StateVar *v = &el->program->states.at[i];
        if (v->kind == STATE_PARAM || v->kind == STATE_FROZEN) offer(&n, v->name, v, NULL);
        for (uint32_t k = 0; v->kind == STATE_PARAM && k < el->emas.n; k++) {
            const Ema *copy = el->emas.at[k].value;
            const char *name = ema_parameter(el, copy, v->name);
            if (name) offer(&n, name, v, copy);
        }
    }
    return n;
}

static NodeId state_node(Elab *el, const Nearest *n, Loc loc)
{
    StateVar of = *n->of; // the list may move
    if (!n->copy) return graph_state(el->graph, of.name, of.type);
    return ema_there(el, n->copy, loc) ? ema_state(el, n->name, of.type, of.loc) : 0;
}

bool param_by_path(Elab *el, const char *text, Loc loc, Value *out)
{
    if (!is_path(text)) return false;
    Nearest n = find(el, text);
    if (!n.name || is_value(el, text)) return false;
    *out = n.slips ? value_error() : value_node(el, state_node(el, &n, loc));
    if (!n.slips) return true;
    el_error(el, loc, "no value is called '%s'", text);
    diag_did_you_mean(el->diag, text, n.name);
    return true;
}
