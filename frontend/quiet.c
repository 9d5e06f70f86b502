// Warnings of what a graph says and nothing comes of: losses that are not minimised, values that
// are not there and count as 0, parameters that begin above their limit, numbers that mean little.
#include "frontend/advice.h"
#include "frontend/rewrite.h"

#include <stdlib.h>

// The nodes that a value is computed from. Operands stand before their users.
static bool *reached(Elab *el, NodeId from)
{
    const Graph *g = el->graph;
    bool *seen = arena_array(el->arena, bool, g->nodes.n + 1);
    seen[from] = true;
    for (NodeId id = from; id > 0; id--) {
        const Node *n = graph_node(g, id);
        for (uint32_t i = 0; seen[id] && i < n->nargs; i++) seen[n->args[i]] = true;
    }
    return seen;
}

// The first parameter that one value is computed from and another is not; NULL: there is none.
static const char *parameter_of(Elab *el, const bool *seen, NodeId last, const bool *others)
{
    for (NodeId id = 1; id <= last; id++) {
        const Node *n = graph_node(el->graph, id);
        if (!seen[id] || others[id] || n->op != OP_STATE) continue;
        const StateVar *v = program_find_state(el->program, node_str(n, ATTR_NAME));
        if (v && v->kind == STATE_PARAM && v->trainable) return v->name;
    }
    return NULL;
}

// What is for a loss alone that minimize: leaves out is never trained. A loss without parameters of
// its own may be there to be looked at.
void warn_untrained(Elab *el, NodeId loss)
{
    const Tree *train = tree_get(el->root, "train"), *minimize = tree_get(train, "minimize");
    if (!minimize || !loss || diag_errors(el->diag)) return;
    const bool *minimized = reached(el, loss);
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        const Task *t = el->tasks.at[i].value;
        const char *name =
            t->on && t->loss ? parameter_of(el, reached(el, t->loss), t->loss, minimized) : NULL;
        if (!name) continue;
        diag_warning(el->diag, t->loc, "'%s' is not trained: 'minimize' leaves %s out", name,
                     t->path);
        diag_note(el->diag, minimize->loc, "this is what is minimised");
        diag_help(el->diag, "add it there, or say enabled: false");
    }
}

static bool is_optional(Elab *el, const Tree *field)
{
    const Tree *t = tree_get(field, "optional");
    bool yes = false;
    return t && value_to_bool(el, tree_eval(el, el->scope, t, NULL), t->loc, "optional", &yes) &&
           yes;
}

// Does it read a tensor of the field; and one that tells which samples have it?
static void reads_field(const Graph *g, const bool *seen, NodeId last, const char *field,
                        bool *reads, bool *asks)
{
    size_t n = strlen(field);
    *reads = *asks = false;
    for (NodeId id = 1; id <= last; id++) {
        const Node *node = graph_node(g, id);
        if (!seen[id] || node->op != OP_INPUT) continue;
        const char *name = node_str(node, ATTR_NAME);
        if (strncmp(name, field, n) != 0 || (name[n] && name[n] != '.')) continue;
        if (strcmp(name + n, ".valid") == 0 || strcmp(name + n, ".present") == 0)
            *asks = true;
        else
            *reads = true;
    }
}

static void warn_of_field(Elab *el, const Task *t, const bool *seen, const Tree *field)
{
    bool reads, asks;
    reads_field(el->graph, seen, t->loss, field->text, &reads, &asks);
    if (!reads || asks) return;
    diag_warning(el->diag, t->loc, "%s reads '%s' of all samples; of those that have none it is 0",
                 t->path, field->text);
    diag_note(el->diag, field->loc, "it is optional");
    diag_help(el->diag, "add valid: %s.valid", field->text);
}

void warn_unasked(Elab *el)
{
    const Tree *fields = data_section(el, "fields");
    if (!fields || fields->kind != TREE_MAP || diag_errors(el->diag)) return;
    for (uint32_t i = 0; i < fields->entries.n; i++) {
        const TreeEntry *e = &fields->entries.at[i];
        if (!is_optional(el, e->value)) continue;
        for (uint32_t k = 0; k < el->tasks.n; k++) {
            const Task *t = el->tasks.at[k].value;
            if (t->on && t->loss) warn_of_field(el, t, reached(el, t->loss), e->key);
        }
    }
}

void warn_above(Elab *el, const Init *how, const StateVar *v, Value initial)
{
    const ParamLimit *limit = map_get(&el->limits, v->name);
    double x;
    if (!how || !limit || !value_number(initial, &x) || !(x > limit->max)) return;
    diag_warning(el->diag, how->tree ? how->tree->loc : how->loc,
                 "%s begins at %g, above its max of %g, where the first update takes it", v->name,
                 x, limit->max);
}

void warn_share(Elab *el, const Tree *t, const char *key, double x)
{
    const bool plain = t->kind == TREE_SCALAR && !strpbrk(t->text, "*/+- (");
    if (!plain || x <= 0 || x >= 1) return;
    diag_warning(el->diag, t->loc, "'%s' is %g of one update, not of the run", key, x);
    suggest_guess(el, str_printf(el->arena, "%s * steps", t->text), x < 0.5 ? "0" : "1");
}

void warn_rate(Elab *el, Loc loc, double x)
{
    if (x > 0) return;
    if (x < 0)
        diag_warning(el->diag, loc, "lr is %g: updates go where the loss grows", x);
    else
        diag_warning(el->diag, loc, "lr is 0: nothing is learned");
    if (x < 0)
        suggest(el, str_printf(el->arena, "%.10g", -x), NULL);
    else
        suggest_guess(el, usual_value("lr", 0), usual_value("lr", 1));
}

void warn_near_file(Elab *el, const Tree *file)
{
    if (!file || file->kind != TREE_SCALAR) return;
    const char *dir = said_in(el, file), *path = file->text;
    if (*dir && *path != '/') path = str_printf(el->arena, "%s/%s", dir, path);
    const char *near = near_file(el, path), *slash = strrchr(file->text, '/');
    if (!near) return;
    diag_warning(el->diag, file->loc, "there is no file '%s'", file->text);
    diag_may_you_mean(el->diag, slash ? slash + 1 : file->text, near);
}
