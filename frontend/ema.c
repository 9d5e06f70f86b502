// ema: slow copies of encoders and heads. A copy is an instance of the same module under another
// prefix: slow.visual has the parameters slow.visual.PATH, which are state of their own, follow the
// student's after every update, and are never trained. Nothing drops out in a copy. At its first
// update it takes the student's values (entry "begin@N").
#include "frontend/advice.h"
#include "frontend/mend.h"

static const char *slow_path(Elab *el, const Ema *ema, const char *path)
{
    return *path ? path_join(el, ema->name, path) : ema->name;
}

// False where it is not known what is copied.
static bool copy_part(Elab *el, Ema *ema, const Tree *name, Map *parts)
{
    Binding *b = name->kind == TREE_SCALAR ? map_get(&el->scope->names, name->text) : NULL;
    if (!b || b->value.kind != V_INSTANCE) {
        if (b && b->value.kind == V_ERROR && b->forced) { // reported
            record_put(el, parts, name->text, value_error());
            return true;
        }
        el_error(el, name->loc, "'%s' is no encoder or head",
                 name->kind == TREE_SCALAR ? name->text : "");
        diag_help(el->diag, "of: [a, b] names what stands under encoders: and heads:");
        if (name->kind == TREE_SCALAR) suggest_words(el, name->text, &el->instances);
        return false;
    }
    Instance *slow = arena_make(el->arena, Instance);
    *slow = *b->value.instance;
    slow->path = slow_path(el, ema, slow->path);
    slow->ema = ema;
    slow->app = NULL;
    record_put(el, parts, name->text, (Value){.kind = V_INSTANCE, .instance = slow});
    vec_push(el->arena, &ema->of, name->text);
    return true;
}

// The copy that is evaluated; NULL: the student.
static const Tree *eval_model(Elab *el)
{
    const Tree *eval = tree_get(el->root, "eval");
    const Tree *model = tree_get(eval, "model");
    return model && model->kind == TREE_SCALAR ? model : NULL;
}

static void stand_in(Elab *el, const Ema *ema, const Map *parts)
{
    const Tree *model = eval_model(el);
    if (el->training || !model || strcmp(model->text, ema->name)) return;
    for (uint32_t i = 0; i < parts->n; i++) {
        const Value *v = parts->at[i].value;
        if (v->kind != V_INSTANCE) continue;
        ((Binding *)map_get(&el->scope->names, parts->at[i].key))->value = *v;
        for (uint32_t k = 0; k < el->instances.n; k++)
            if (strcmp(el->instances.at[k].key, parts->at[i].key) == 0)
                el->instances.at[k].value = v->instance;
    }
}

static void ema_bind(Elab *el, const TreeEntry *e)
{
    Binding *b = scope_add(el, el->scope, e->key->text, e->key->loc, BIND_VALUE);
    Map *parts = arena_make(el->arena, Map);
    b->forced = true;
    if (!keys_check(el, e->value, MAPPING_EMA, false)) return;
    const Tree *of = tree_get(e->value, "of");
    Ema *ema = arena_make(el->arena, Ema);
    *ema = (Ema){.name = e->key->text,
                 .tree = e->value,
                 .from = phase_bound(el, e->value, "from", 0),
                 .until = phase_bound(el, e->value, "until", INT64_MAX)};
    bool known = of->kind == TREE_SCALAR ? copy_part(el, ema, of, parts) : of->kind == TREE_LIST;
    for (uint32_t i = 0; of->kind == TREE_LIST && i < of->items.n; i++)
        known &= copy_part(el, ema, of->items.at[i], parts);
    if (of->kind != TREE_SCALAR && !(of->kind == TREE_LIST && of->items.n)) {
        el_error(el, of->kind == TREE_NULL ? e->key->loc : of->loc,
                 "'of' of a slow copy is an encoder or head, or a list of them");
        if (of->kind != TREE_NULL) guess_any(el, &el->instances);
        guess_left_out(el, e->key->loc);
    }
    map_set(el->arena, &el->emas, ema->name, ema);
    stand_in(el, ema, parts);
    if (known) b->value = value_record(parts);
}

static void check_model(Elab *el)
{
    const Tree *model = eval_model(el), *copies = tree_get(el->root, "ema");
    if (!model || (copies && tree_get(copies, model->text))) return;
    el_error(el, model->loc, "there is no slow copy '%s'", model->text);
    suggest_words(el, model->text, &el->emas);
    if (copies || !el->instances.n) return;
    const char *of = el->instances.at[0].key;
    guess_added(el, el->root, "ema",
                str_printf(el->arena, "{%s: {of: %s, momentum: %s}}", model->text, of,
                           usual_value("momentum", 0)));
    guess_without(el, tree_get(el->root, "eval"), "model");
}

void emas_bind(Elab *el)
{
    const Tree *t = tree_get(el->root, "ema");
    el->still = scope_new(el, el->globals, el->globals->frame);
    scope_value(el, el->still, "training", (Loc){0}, value_bool(false));
    memset(&el->emas, 0, sizeof el->emas);
    for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++)
        ema_bind(el, &t->entries.at[i]);
    if (el->training && !el->phase) check_model(el);
}

Scope *module_names(Elab *el, const Frame *owner)
{
    return owner->ema || owner->frozen ? el->still : el->globals;
}

// ---- parameters of a copy ---------------------------------------------------------------------

const char *ema_student(const Ema *ema, const char *path)
{
    return path + strlen(ema->name) + 1;
}

// What reads it begins and ends with the copy; or the copy is always there.
static void guess_bounds(Elab *el, const Ema *ema)
{
    static const char *const keys[] = {"from", "until"}, *const wide[] = {"0", "steps"};
    const char *part = part_frame(el->frame->owner)->part, *dot = part ? strchr(part, '.') : NULL;
    const char *section = dot ? str_slice(el->arena, part, (size_t)(dot - part)) : "";
    const Tree *row = dot ? tree_get(tree_get(el->root, section), dot + 1) : NULL;
    for (int k = 0; k < 2; k++) {
        const Tree *x = tree_get(ema->tree, keys[k]);
        if (!x) continue;
        if (row && x->kind == TREE_SCALAR && !tree_get(row, keys[k]))
            guess_entry(el, row->loc, keys[k], x->text);
        guess_key_as(el, x->loc, keys[k], wide[k]);
        guess_left_out(el, x->loc);
    }
}

bool ema_there(Elab *el, const Ema *ema, Loc loc)
{
    if (phase_has(el, ema->from, ema->until)) return true;
    if (el->tapping) return false;
    el_error(el, loc, "slow copy '%s' is read in updates in which it is not there", ema->name);
    const Tree *from = tree_get(ema->tree, "from"), *until = tree_get(ema->tree, "until");
    if (from) diag_note(el->diag, from->loc, "it begins at update %lld", (long long)ema->from);
    if (until) diag_note(el->diag, until->loc, "it ends at update %lld", (long long)ema->until);
    diag_help(el->diag, "what reads it wants the same from: and until:");
    guess_bounds(el, ema);
    return false;
}

NodeId ema_state(Elab *el, const char *path, const Type *type, Loc loc)
{
    const StateVar *old = program_find_state(el->program, path);
    if (old && old->kind != STATE_EMA) {
        const char *copy = str_printf(el->arena, "copy %.*s", (int)strcspn(path, "."), path);
        if (!map_set(el->arena, &el->clashes, copy, el)) return 0; // the first is reported
        const char *name = str_slice(el->arena, path, strcspn(path, "."));
        const TreeEntry *e = tree_entry(tree_get(el->root, "ema"), name);
        el_error(el, e ? e->key->loc : loc, "a slow copy and a part both have a parameter at '%s'",
                 path);
        diag_note(el->diag, old->loc, "the other one is declared here");
        diag_help(el->diag, "give the copy another name, or the part another path:");
        guess_paths(el);
        return 0;
    }
    if (!old) program_state(el->program, path, STATE_EMA, type, loc);
    return graph_state(el->graph, path, type);
}

static bool has_part(Elab *el, const Ema *ema, const char *parameter)
{
    const Init *how = map_get(&el->inits, parameter);
    for (uint32_t i = 0; how && how->part && i < ema->of.n; i++)
        if (strcmp(how->part, ema->of.at[i]) == 0) return true;
    return false;
}

const char *ema_parameter(Elab *el, const Ema *ema, const char *parameter)
{
    return has_part(el, ema, parameter) ? slow_path(el, ema, parameter) : NULL;
}

// ---- following the student --------------------------------------------------------------------

static NodeId updated(Elab *el, const Entry *entry, const StateVar *v)
{
    for (uint32_t i = 0; i < entry->updates.n; i++)
        if (strcmp(entry->updates.at[i].name, v->name) == 0) return entry->updates.at[i].node;
    return graph_state(el->graph, v->name, v->type);
}

// The share of the old value, of phase_step since the copy began.
static Value momentum(Elab *el, const Ema *ema)
{
    const Tree *t = tree_get(ema->tree, "momentum");
    Scope *s = scope_new(el, el->scope, el->scope->frame);
    scope_value(el, s, "phase_step", t->loc, updates_since(el, ema->from));
    Value v = value_plain(el, tree_eval(el, s, t, NULL), t->loc);
    double x;
    if (value_number(v, &x) && !(x >= 0 && x <= 1)) {
        el_error(el, t->loc, "the momentum of '%s' is %g; it is from 0 to 1", ema->name, x);
        suggest_number(el, x, 0, 1, false);
        return value_error();
    }
    NodeId m = value_tensor(el, v, DT_F32, t->loc);
    if (!m || !graph_type(el->graph, m)->rank) return value_node(el, m);
    el_error(el, t->loc, "the momentum of '%s' is %s, not one number", ema->name,
             type_text(el->arena, graph_type(el->graph, m)));
    guess_usual(el, t->loc);
    return value_error();
}

static bool follow(Elab *el, const Ema *ema, Entry *entry, NodeId finite)
{
    Value m = momentum(el, ema), rest = arith(el, EOP_SUB, value_float(1), m, ema->tree->loc);
    if (m.kind == V_ERROR) return false;
    uint32_t known = el->program->states.n; // copies are added to the list
    for (uint32_t i = 0; i < known; i++) {
        StateVar v = el->program->states.at[i];
        const char *path = v.kind == STATE_PARAM ? ema_parameter(el, ema, v.name) : NULL;
        if (!path) continue;
        NodeId old = ema_state(el, path, v.type, v.loc);
        if (!old) return false;
        Value kept = arith(el, EOP_MUL, value_node(el, old), m, v.loc),
              taken = arith(el, EOP_MUL, value_node(el, updated(el, entry, &v)), rest, v.loc);
        NodeId x = value_tensor(el, arith(el, EOP_ADD, kept, taken, v.loc), DT_F32, v.loc);
        if (!x) return false;
        vec_push(el->arena, &entry->updates,
                 (NamedNode){path, graph_select(el->graph, finite, x, old)});
    }
    return true;
}

bool emas_update(Elab *el, Entry *entry, NodeId finite)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < el->emas.n; i++) {
        const Ema *ema = el->emas.at[i].value;
        if (phase_has(el, ema->from, ema->until)) ok = follow(el, ema, entry, finite);
    }
    return ok;
}

const char *emas_begin(Elab *el, int64_t at)
{
    for (uint32_t i = 0; i < el->emas.n; i++)
        if (((const Ema *)el->emas.at[i].value)->from == at)
            return str_printf(el->arena, "begin@%lld", (long long)at);
    return NULL;
}

void emas_take(Elab *el, Entry *entry, int64_t at)
{
    for (uint32_t k = 0; k < el->emas.n; k++) {
        const Ema *ema = el->emas.at[k].value;
        if (ema->from != at) continue;
        for (uint32_t i = 0; i < el->program->states.n; i++) {
            const StateVar *v = &el->program->states.at[i];
            const char *path = slow_path(el, ema, v->name);
            if (v->kind != STATE_PARAM || !program_find_state(el->program, path)) continue;
            vec_push(el->arena, &entry->updates,
                     (NamedNode){path, graph_state(el->graph, v->name, v->type)});
        }
    }
}
