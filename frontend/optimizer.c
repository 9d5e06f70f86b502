// The optimisers of a step: that of train:, and those that rows of groups: name for what they
// match. An optimiser runs once a parameter, its update: in file order: a name read above its own
// new value, or in the same line, is old, below it is new.
#include "frontend/guess.h"
#include "frontend/train.h"

#include <ctype.h>
#include <stdlib.h>

// ---- globs of paths ---------------------------------------------------------------------------

// {NAME} stands for all the digits there; *end is behind the brace.
static bool is_capture(const char *p, const char **end)
{
    const char *at = p + 1;
    if (*p != '{') return false;
    while (word_part(*at)) at++;
    *end = at + 1;
    return *at == '}' && at > p + 1;
}

static bool path_match(Elab *el, const char *p, const char *s, CapturedList *captured)
{
    const char *end;
    if (!*p) return !*s;
    if (*p == '*') {
        for (;; s++) {
            uint32_t n = captured->n;
            if (path_match(el, p + 1, s, captured)) return true;
            captured->n = n;
            if (!*s) return false;
        }
    }
    if (is_capture(p, &end)) {
        char *after;
        if (!isdigit((unsigned char)*s)) return false;
        Captured c = {str_slice(el->arena, p + 1, (size_t)(end - p - 2)), strtoll(s, &after, 10)};
        vec_push(el->arena, captured, c);
        return path_match(el, end, after, captured);
    }
    return *s && (*p == '?' || *p == *s) && path_match(el, p + 1, s + 1, captured);
}

// Does one of the globs match, of those with a ! in front (without: of the others)?
static bool any_matches(Elab *el, const Tree *m, bool without, const char *path,
                        CapturedList *captured)
{
    uint32_t n = m->kind == TREE_SCALAR ? 1 : m->items.n;
    for (uint32_t i = 0; i < n; i++) {
        const Tree *item = m->kind == TREE_SCALAR ? m : m->items.at[i];
        captured->n = 0;
        if (item->kind != TREE_SCALAR || (item->text[0] == '!') != without) continue;
        if (path_match(el, item->text + without, path, captured)) return true;
    }
    return false;
}

bool row_matches(Elab *el, const Tree *row, const char *path, CapturedList *captured)
{
    CapturedList own = {0}, out = {0};
    const Tree *m = tree_get(row, "match");
    if (!captured) captured = &own;
    return m && any_matches(el, m, false, path, captured) && !any_matches(el, m, true, path, &out);
}

static bool has_task(const Elab *el, bool expert)
{
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        const Task *t = el->tasks.at[i].value;
        if (t->on && t->expert == expert) return true;
    }
    return false;
}

bool row_waits(const Elab *el, const Tree *row)
{
    static const char experts[] = "experts.", losses[] = "losses.";
    const Tree *m = tree_get(row, "match");
    uint32_t n = m->kind == TREE_SCALAR ? 1 : m->items.n;
    bool waits = true, any = false;
    for (uint32_t i = 0; i < n && waits; i++) {
        const Tree *item = m->kind == TREE_SCALAR ? m : m->items.at[i];
        const char *glob = item->kind == TREE_SCALAR ? item->text : "";
        bool expert = strncmp(glob, experts, sizeof experts - 1) == 0,
             loss = strncmp(glob, losses, sizeof losses - 1) == 0;
        waits = *glob == '!' || ((expert || loss) && !has_task(el, expert));
        any |= *glob != '!';
    }
    return waits && any;
}

bool in_last_phase(const Elab *el)
{
    return el->phase == el->phases.at[el->phases.n - 1];
}

static int64_t first_update(Elab *el, const char *name)
{
    int64_t *first = map_get(&el->first_update, name);
    if (!first) {
        first = arena_make(el->arena, int64_t);
        *first = el->phase;
        map_set(el->arena, &el->first_update, name, first);
    }
    return *first;
}

Value updates_of(Elab *el, const char *name)
{
    return updates_since(el, first_update(el, name));
}

// ---- groups -----------------------------------------------------------------------------------

static const Tree *groups(const Elab *el)
{
    return tree_get(tree_get(el->root, "train"), "groups");
}

// The optimiser that says which settings a row may have is any of those there are.
static bool has_setting(const Optimizers *o, const char *name)
{
    for (uint32_t i = 0; i < o->at.n; i++)
        if (decl_find(&o->at.at[i].def->in, name)) return true;
    return false;
}

static void suggest_setting(Elab *el, const Optimizers *o, const char *wrong)
{
    Map names = {0};
    for (uint32_t i = 0; i < o->at.n; i++)
        for (uint32_t k = 0; k < o->at.at[i].def->in.n; k++)
            map_set(el->arena, &names, o->at.at[i].def->in.at[k].name, NULL);
    suggest_near(el, wrong, &names);
}

// What parts the encoder, or what else a glob begins with, has parameters in.
static void say_parts(Elab *el, const Tree *match, const TrainedList *list)
{
    const Tree *first =
        match && match->kind == TREE_LIST && match->items.n ? match->items.at[0] : match;
    const char *glob = first && first->kind == TREE_SCALAR ? first->text : "", *said = "";
    const size_t n = strcspn(glob, ".*?{");
    Map seen = {0};
    for (uint32_t i = 0; n && glob[n] == '.' && i < list->n; i++) {
        const char *name = list->at[i].var->name;
        if (strncmp(name, glob, n + 1)) continue;
        const char *part = str_slice(el->arena, name + n + 1, strcspn(name + n + 1, "."));
        if (map_set(el->arena, &seen, part, el))
            said = str_printf(el->arena, "%s%s%s", said, *said ? ", " : "", part);
    }
    if (*said) diag_help(el->diag, "%.*s has parameters in: %s", (int)n, glob, said);
}

static bool check_group(Elab *el, const Optimizers *o, const Tree *row, const TrainedList *list)
{
    bool ok = true;
    for (uint32_t k = 0; k < row->entries.n; k++) {
        const Tree *key = row->entries.at[k].key;
        if (keys_reserved(MAPPING_GROUP, key->text) || has_setting(o, key->text)) continue;
        el_error(el, key->loc, "%s has no setting '%s'", o->at.at[0].def->name, key->text);
        suggest_setting(el, o, key->text);
        ok = false;
    }
    const char *key = str_printf(el->arena, "%p", (const void *)row);
    for (uint32_t k = 0; k < list->n; k++)
        if (row_matches(el, row, list->at[k].var->name, NULL))
            map_set(el->arena, &el->matched, key, (void *)row);
    if (in_last_phase(el) && list->n && !map_get(&el->matched, key) && !row_waits(el, row)) {
        diag_warning(el->diag, row->loc, "no trained parameter matches this row");
        say_parts(el, tree_get(row, "match"), list);
    }
    return ok;
}

static bool optimizer_open(Elab *el, Optimizers *all, const Tree *tree, const Tree *row,
                           const char *path)
{
    static const char *const skip[] = {"module", NULL};
    Scope *s = part_scope(el, NULL, path, path, tree->loc);
    Optimizer o = {.def = tree_module(el, tree, s), .tree = tree, .row = row};
    if (!o.def || !role_check(el, o.def, ROLE_OPTIMIZER, tree_get(tree, "module")->loc))
        return false;
    o.instance = instance_from_tree(el, o.def, path, tree, skip, s);
    vec_push(el->arena, &all->at, o);
    return o.instance != NULL;
}

bool optimizers_open(Elab *el, Optimizers *all, const TrainedList *list)
{
    const Tree *tree = tree_get(tree_get(el->root, "train"), "optimizer"), *rows = groups(el);
    if (!tree || tree->kind != TREE_MAP) return false; // reported by the key table
    bool ok = optimizer_open(el, all, tree, NULL, "train.optimizer"), known = all->at.n > 0;
    for (uint32_t i = 0; rows && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i], *own = NULL;
        bool good = keys_check(el, row, MAPPING_GROUP, true);
        if (good) own = tree_get(row, "optimizer");
        if (own && own->kind == TREE_MAP)
            good = optimizer_open(el, all, own, row, str_printf(el->arena, "train.groups.%u", i));
        ok &= good;
        known &= good;
    }
    for (uint32_t i = 0; known && rows && i < rows->items.n; i++)
        ok &= check_group(el, all, rows->items.at[i], list);
    return ok;
}

// That of the last row which has one and matches.
static const Optimizer *optimizer_of(Elab *el, const Optimizers *all, const char *path)
{
    uint32_t i = all->at.n - 1;
    while (i && !row_matches(el, all->at.at[i].row, path, NULL)) i--;
    return &all->at.at[i];
}

// A name that nothing has may be meant for a number of the glob, whose first star it then is.
static void guess_captured(Elab *el, const Tree *row)
{
    Loc at;
    const Tree *m = tree_get(row, "match");
    const Tree *glob = m && m->kind == TREE_LIST && m->items.n ? m->items.at[0] : m;
    const char *star = glob && glob->kind == TREE_SCALAR ? strchr(glob->text, '*') : NULL;
    if (!star || !diag_last(el->diag, &at)) return;
    const char *name = text_at(el, at), *text;
    if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name)) return;
    text = str_printf(el->arena, "\"%.*s{%s}%s\"", (int)(star - glob->text), glob->text, name,
                      star + 1);
    const Turn turn = el->turn;
    el->turn = TURN_FIRST;
    guess_key_as(el, glob->loc, "match", text);
    el->turn = turn;
}

// A setting of a row, which sees the numbers that its glob met.
static Value row_value(Elab *el, const Tree *row, const Tree *tree, const CapturedList *captured)
{
    Scope *s = scope_new(el, el->scope, el->scope->frame);
    for (uint32_t i = 0; i < captured->n; i++)
        scope_value(el, s, captured->at[i].name, tree->loc, value_int(captured->at[i].value));
    const uint32_t errors = diag_errors(el->diag);
    const Value v = tree_eval(el, s, tree, NULL);
    if (!captured->n && diag_errors(el->diag) > errors) guess_captured(el, row);
    return v;
}

// The value of a setting for one parameter: the last group row that has it, else the optimiser's,
// else the default.
static void bind_setting(Elab *el, const Optimizer *o, const Decl *d, const char *name, Scope *s,
                         ParamInfo *info)
{
    const Tree *rows = groups(el), *found = NULL, *scale = NULL, *found_in = NULL, *scale_in = NULL;
    Binding *own = map_get(&o->instance->args, d->name), *given = o->row ? NULL : own;
    CapturedList of_found = {0}, of_scale = {0};
    for (uint32_t i = 0; rows && i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i];
        CapturedList captured = {0};
        if (!row_matches(el, row, name, &captured)) continue;
        if (row == o->row && own) given = own, found = NULL;
        if (tree_get(row, d->name))
            found = tree_get(row, d->name), found_in = row, of_found = captured;
        if (tree_get(row, "lr_scale"))
            scale = tree_get(row, "lr_scale"), scale_in = row, of_scale = captured;
    }
    Value v;
    Loc loc = d->loc;
    const char *text = NULL;
    if (found) {
        v = row_value(el, found_in, found, &of_found);
        loc = found->loc;
        text = found->text;
    } else if (given) {
        v = binding_force(el, given);
        loc = given->loc;
        text = given->tree ? given->tree->text : NULL;
    } else if (d->def) {
        text = expr_text(el->arena, d->def);
        v = expr_eval(el, s, d->def);
    } else if (d->def_tree) {
        v = tree_eval(el, s, d->def_tree, NULL);
    } else {
        el_error(el, o->tree->loc, "optimiser %s needs '%s'", o->def->name, d->name);
        suggest_key(el, o->tree->loc, d->name);
        v = value_error();
    }
    v = decl_check(el, d, v, loc);
    double rate;
    if (given && !found && !strcmp(d->name, "lr") && value_number(v, &rate))
        warn_rate(el, loc, rate);
    if (info) param_setting(el, info, d->name, v, text);
    if (scale && strcmp(d->name, "lr") == 0) {
        Value factor = row_value(el, scale_in, scale, &of_scale);
        if (info) param_setting(el, info, "lr_scale", factor, scale->text);
        v = arith(el, EOP_MUL, v, factor, scale->loc);
    }
    scope_value(el, s, d->name, loc, v);
}

// ---- the optimiser ----------------------------------------------------------------------------

// Whose updates a state counts, as its name ends; NULL: none has to be counted, they are all since
// the parameter's first phase began. A parameter that is left out of some updates of its phase has
// a count of its own. With every: anywhere this is asked of all, as what one phase trains always
// may rest in the next. Where updates may be skipped, the others of a phase have one together.
static const char *counted(Elab *el, const Trained *t)
{
    if (t->frozen || el->periods.n > 0) return t->var->name;
    if (strcmp(nonfinite(el), "skip")) return NULL;
    return str_printf(el->arena, "@%lld", (long long)first_update(el, t->var->name));
}

static bool is_updated(const Entry *e, const char *name)
{
    for (uint32_t i = 0; i < e->updates.n; i++)
        if (strcmp(e->updates.at[i].name, name) == 0) return true;
    return false;
}

// Updates made before this one, where not all are: a state, as a corrected mean of gradients must
// know how many it is of.
static NodeId counted_updates(Elab *el, const Decl *d, const char *what, NodeId keep, Entry *entry)
{
    const char *name = str_printf(el->arena, "$opt.%s.%s", d->name, what);
    const Type *type = type_new(el->arena, DT_I64, 0, NULL);
    if (!program_find_state(el->program, name))
        program_state(el->program, name, STATE_OPT, type, d->loc);
    NodeId old = graph_state(el->graph, name, type);
    if (is_updated(entry, name)) return old;
    NodeId next = graph_binary(el->graph, OP_ADD, old, graph_const(el->graph, DT_I64, 1));
    vec_push(el->arena, &entry->updates,
             (NamedNode){name, graph_select(el->graph, keep, next, old)});
    return old;
}

// Updates of the parameter, this one included.
static Value update_count(Elab *el, const Decl *d, const Trained *t, NodeId keep, Entry *entry)
{
    const char *what = counted(el, t);
    NodeId before =
        what ? counted_updates(el, d, what, keep, entry) : updates_of(el, t->var->name).node;
    return value_node(el,
                      graph_binary(el->graph, OP_ADD, before, graph_const(el->graph, DT_I64, 1)));
}

static Value input_value(Elab *el, const Decl *d, const Trained *t, NodeId keep, Entry *entry)
{
    if (d->word == WORD_COUNT) return update_count(el, d, t, keep, entry);
    return value_node(el, d->word == WORD_PARAM ? t->p : t->g);
}

// A row of state: zeros, ones, a number, or {shape:, init:}; the type and initial value come back.
static bool state_row(Elab *el, const Item *item, const Trained *t, Scope *s, const Type **type,
                      double *init)
{
    const Tree *value = item->value;
    *type = t->var->type;
    *init = 0;
    if (value->kind == TREE_MAP) {
        if (!keys_check(el, value, MAPPING_ACCUMULATOR, false)) return false;
        const Tree *shape = tree_get(value, "shape");
        Axis *axes = NULL;
        uint32_t rank = 0;
        if (shape && !value_to_axes(el, tree_eval(el, s, shape, NULL), shape->loc, &axes, &rank))
            return false;
        *type = type_new(el->arena, DT_F32, rank, axes);
        return true;
    }
    Value v = tree_eval(el, s, value, NULL);
    if (v.kind == V_BUILTIN && strcmp(v.builtin->name, "zeros") == 0) return true;
    if (v.kind == V_BUILTIN && strcmp(v.builtin->name, "ones") == 0) {
        *init = 1;
        return true;
    }
    return value_to_float(el, v, value->loc, item->name, init);
}

static bool bind_state(Elab *el, const Optimizer *o, const Trained *t, Scope *s)
{
    for (uint32_t i = 0; i < o->def->state.n; i++) {
        const Item *item = &o->def->state.at[i];
        const Type *type;
        double init;
        if (!state_row(el, item, t, s, &type, &init)) return false;
        const char *name = str_printf(el->arena, "$opt.%s.%s", item->name, t->var->name);
        if (!program_find_state(el->program, name)) {
            program_state(el->program, name, STATE_OPT, type, item->loc);
            Init *how = arena_make(el->arena, Init);
            *how = (Init){.name = name, .loc = item->loc, .constant = init};
            map_set(el->arena, &el->inits, name, how);
        }
        scope_value(el, s, item->name, item->loc,
                    value_node(el, graph_state(el->graph, name, type)));
    }
    return true;
}

static NodeId limited(Elab *el, const char *name, NodeId x)
{
    const ParamLimit *l = map_get(&el->limits, name);
    if (!l || !x) return x;
    return graph_binary(el->graph, OP_MIN, x, graph_const(el->graph, DT_F32, l->max));
}

// What the optimiser calls the parameter.
static const char *param_name(const Optimizer *o)
{
    for (uint32_t i = 0; i < o->def->in.n; i++)
        if (o->def->in.at[i].word == WORD_PARAM) return o->def->in.at[i].name;
    return "p";
}

// One line of update: the new value replaces the old one for the lines below.
// keep: bool, the update counts.
static bool update_row(Elab *el, const Optimizer *o, const Item *item, const Trained *t,
                       NodeId keep, Scope *s, Entry *entry)
{
    const char *param = param_name(o);
    Binding *b = map_get(&s->names, item->name);
    bool is_param = strcmp(item->name, param) == 0;
    const char *name =
        is_param ? t->var->name : str_printf(el->arena, "$opt.%s.%s", item->name, t->var->name);
    const StateVar *var = program_find_state(el->program, name);
    Value v = tree_eval(el, s, item->value, NULL);
    if (v.kind == V_ERROR) return false;
    NodeId x = value_tensor(el, v, var ? var->type->dtype : DT_F32, item->value->loc);
    if (!x) return false;
    if (var) x = graph_broadcast_to(el->graph, x, var->type->rank, var->type->axes);
    if (is_param) x = limited(el, name, x);
    if (!x) return false;
    if (b)
        b->value = value_node(el, x);
    else
        scope_value(el, s, item->name, item->loc, value_node(el, x));
    if (!var) return true;
    // Where the loss or a gradient is not finite, or the parameter is frozen, the state stays as it
    // was.
    NodeId old = graph_state(el->graph, name, var->type);
    vec_push(el->arena, &entry->updates, (NamedNode){name, graph_select(el->graph, keep, x, old)});
    return true;
}

bool optimize(Elab *el, const Optimizers *all, const Trained *t, Entry *entry)
{
    const Optimizer *o = optimizer_of(el, all, t->var->name);
    NodeId keep = all->finite;
    if (t->frozen)
        keep = graph_binary(el->graph, OP_AND, keep, graph_unary(el->graph, OP_NOT, t->frozen));
    Frame *f = frame_new(el, el->scope->frame, str_printf(el->arena, "optimizer %s", o->def->name),
                         "", o->tree->loc);
    f->stream = hash_str(0, str_printf(el->arena, "$opt.%s", t->var->name));
    Scope *s = scope_new(el, el->globals, f);
    Frame *caller = el->frame;
    bool ok = true;
    ParamInfo *info = param_info(el, t->var->name);
    bool first = !info->optimizer;
    info->optimizer = o->def->name;
    if (first) param_rows(el, info, groups(el));
    el->frame = f;
    for (uint32_t i = 0; i < o->def->in.n; i++) {
        const Decl *d = &o->def->in.at[i];
        if (d->word == WORD_PARAM || d->word == WORD_GRAD || d->word == WORD_COUNT)
            scope_value(el, s, d->name, d->loc, input_value(el, d, t, keep, entry));
        else
            bind_setting(el, o, d, t->var->name, s, first ? info : NULL);
    }
    ok = bind_state(el, o, t, s);
    for (uint32_t i = 0; ok && i < o->def->update.n; i++)
        ok = update_row(el, o, &o->def->update.at[i], t, keep, s, entry);
    el->frame = caller;
    return ok;
}
