// Values to look at: expressions, and paths with * in them, that the user names beside the graph
// file become outputs of an entry. A path's parts are members, as in expressions, or patterns,
// which stand for outputs, body names and turns of repetitions: "visual.blocks.*.x".
#include "frontend/elab.h"

typedef struct Taps {
    Elab *el;
    Entry *entry;
    Tree *text; // what the user wrote, for its place
    uint32_t found;
} Taps;

static bool is_output(const Entry *e, const char *name)
{
    for (uint32_t i = 0; i < e->outputs.n; i++)
        if (strcmp(e->outputs.at[i].name, name) == 0) return true;
    return false;
}

static void put(Taps *t, const char *name, Value v)
{
    if (v.kind == V_ERROR || is_output(t->entry, name)) return; // a loss is an output anyway
    NodeId x = value_tensor(t->el, v, DT_NONE, t->text->loc);
    if (x) vec_push(t->el->arena, &t->entry->outputs, (NamedNode){name, x});
}

// ---- paths with patterns ------------------------------------------------------------------------

// A part between dots that is * alone makes a path of it: no expression has one.
static bool is_path(const char *text)
{
    bool star = false;
    for (const char *p = text; *p; p++) {
        if (!strchr("_.*?", *p) && !(*p >= '0' && *p <= '9') &&
            !((*p | 32) >= 'a' && (*p | 32) <= 'z'))
            return false;
        star |= *p == '*' && (p == text || p[-1] == '.') && (!p[1] || p[1] == '.');
    }
    return star;
}

static void walk(Taps *t, Value v, const char *path, const char *rest);

// Go on into a member that the pattern meets.
static void enter(Taps *t, const char *path, const char *name, const char *part, const char *rest,
                  Value v)
{
    if (glob_match(part, name)) walk(t, v, path_join(t->el, path, name), rest);
}

// A name is any member. A pattern stands for what an application made: outputs, names of a
// repetition's body, body names; inputs and parts are left out.
static void walk_app(Taps *t, App *app, const char *path, const char *part, const char *rest)
{
    Value v;
    if (!glob_any(part)) {
        if (app_member(t->el, app, part, &v)) walk(t, v, path_join(t->el, path, part), rest);
        return;
    }
    const Map *maps[] = {&app->out, &app->extra, &app->scope->names};
    Map seen = {0};
    for (int m = 0; m < 3; m++)
        for (uint32_t i = 0; i < maps[m]->n; i++) {
            Binding *b = maps[m]->at[i].value;
            if ((m == 2 && b->kind != BIND_BODY) || strchr(b->name, ',')) continue;
            if (!map_set(t->el->arena, &seen, maps[m]->at[i].key, b)) continue;
            enter(t, path, maps[m]->at[i].key, part, rest, binding_force(t->el, b));
        }
}

static void walk_members(Taps *t, Value v, const char *path, const char *part, const char *rest)
{
    if (v.kind == V_APP) walk_app(t, v.app, path, part, rest);
    for (uint32_t i = 0; v.kind == V_LIST && i < v.list->v.n; i++)
        enter(t, path, str_printf(t->el->arena, "%u", i), part, rest, v.list->v.at[i]);
    for (uint32_t i = 0; v.kind == V_RECORD && i < v.record->n; i++)
        enter(t, path, v.record->at[i].key, part, rest, *(Value *)v.record->at[i].value);
}

// The members of v that the rest of the path, "part.part", meets; v itself where there is no rest.
// Instances are met at the top and under `teachers` alone: there they have inputs of their own.
static void walk(Taps *t, Value v, const char *path, const char *rest)
{
    if (v.kind == V_INSTANCE) {
        App *app = instance_default(t->el, v.instance, t->text->loc);
        v = app ? (Value){.kind = V_APP, .app = app} : value_error();
    }
    if (!*rest) {
        if (v.kind != V_TENSOR && (v.kind != V_APP || !v.app->out.n)) return;
        t->found++;
        put(t, path, v);
        return;
    }
    size_t n = strcspn(rest, ".");
    const char *part = str_slice(t->el->arena, rest, n);
    walk_members(t, v, path, part, rest[n] ? rest + n + 1 : "");
}

// The first part is a name of the graph; a pattern is one of encoders.
static void walk_graph(Taps *t, const char *text)
{
    Elab *el = t->el;
    size_t n = strcspn(text, ".");
    const char *part = str_slice(el->arena, text, n), *rest = text[n] ? text + n + 1 : "";
    bool pattern = glob_any(part);
    for (uint32_t i = 0; i < el->scope->names.n; i++) {
        const char *name = el->scope->names.at[i].key;
        if (!glob_match(part, name) || (pattern && !map_find(&el->instances, name))) continue;
        walk(t, binding_force(el, el->scope->names.at[i].value), name, rest);
    }
    const Binding *b = el->tapping ? map_get(&el->scope->names, part) : NULL;
    const bool away = b && b->value.kind == V_INSTANCE && b->value.instance->ema &&
                      !ema_there(el, b->value.instance->ema, t->text->loc);
    if (t->found || away || diag_errors(el->diag)) return;
    el_error(el, t->text->loc, "no value is called '%s'", text);
    diag_help(el->diag, "parts are encoders, outputs, body names and turns of a repetition, as in "
                        "visual.blocks.*.x; cztc lib shows what a module has");
}

// ---- all ----------------------------------------------------------------------------------------

void taps_outputs(Elab *el, Entry *e)
{
    const FrontendOptions *o = el->options;
    el->tapping = el->phases.n > 1 || el->periods.n; // another step may have it
    for (uint32_t i = 0; i < o->ntaps; i++) {
        const char *text = o->taps[i], *from = i < o->nprints ? "--print" : "--tap";
        const char *yaml = str_printf(el->arena, "'%s'\n", text);
        Tree *t = tree_read(el->arena, el->diag, diag_source(el->diag, from, yaml, strlen(yaml)));
        if (!t) continue;
        Taps taps = {el, e, t, 0};
        Value v;
        if (is_path(text))
            walk_graph(&taps, text);
        else if (param_by_path(el, text, t->loc, &v))
            put(&taps, text, v);
        else
            put(&taps, text, tree_eval(el, el->scope, t, NULL));
    }
    el->tapping = false;
}

bool taps_here(const Elab *el, const Entry *e)
{
    const char *named = el->options->tap_entry;
    bool step = strncmp(e->name, "step", 4) == 0;
    return !named || strncmp(named, "step", 4) == 0 ? step : strcmp(named, e->name) == 0;
}
