// Which module is meant where one is named that is none, or none at all.
#include "frontend/guess.h"
#include "frontend/mend.h"
#include "frontend/rewrite.h"

typedef VEC(const char *) Names;

static void add_name(Elab *el, Names *to, const char *name, ModuleRole role, const Tree *map)
{
    const ModuleDef *def = def_named(el, name);
    if (!def || def->role != role) return;
    for (uint32_t i = 0; i < to->n; i++)
        if (strcmp(to->at[i], name) == 0) return;
    for (uint32_t i = 0; map && map->kind == TREE_MAP && i < map->entries.n; i++) {
        const char *key = map->entries.at[i].key->text;
        bool taken = keys_reserved(MAPPING_TEACHER, key) || keys_reserved(MAPPING_INSTANCE, key) ||
                     def_setting(def, key);
        if (!taken) return;
    }
    vec_push(el->arena, to, name);
}

// What the graph names under module: in its sections, then what is imported.
static void add_names(Elab *el, Names *to, ModuleRole role, const Tree *map)
{
    static const char *const sections[] = {"teachers", "encoders", "heads"};
    for (size_t k = 0; k < sizeof sections / sizeof *sections; k++) {
        const Tree *t = tree_get(el->root, sections[k]);
        for (uint32_t i = 0; t && i < t->entries.n; i++) {
            const Tree *name = tree_get(t->entries.at[i].value, "module");
            if (name && name->kind == TREE_SCALAR) add_name(el, to, name->text, role, map);
        }
    }
    for (uint32_t i = 0; i < el->defs.n; i++) add_name(el, to, el->defs.at[i].key, role, map);
}

static Choice module_choice(Elab *el, const TreeEntry *e, const Tree *at, const char *name)
{
    const Tree *map = e->value;
    if (at) return instead(el, at, name);
    if (map->kind == TREE_MAP) return with_entry(el, map, "module", name);
    const char *said = str_printf(el->arena, "{module: %s}", name);
    const uint32_t end = e->key->loc.end + 1; // behind the colon
    if (map->kind != TREE_NULL || !is_users(el, e->key->loc)) return instead(el, map, said);
    return (Choice){loc_in(e->key->loc.source, end, end), str_printf(el->arena, " %s", said),
                    str_printf(el->arena, "write %s", said)};
}

// {of: visual} where a module is wanted: what that encoder says.
static bool suggest_copied(Elab *el, const Tree *map)
{
    const Tree *of = tree_get(map, "of");
    const Tree *encoders = tree_get(el->root, "encoders");
    const Tree *copied =
        of && of->kind == TREE_SCALAR && encoders ? tree_get(encoders, of->text) : NULL;
    const char *text = "";
    for (uint32_t i = 0; copied && copied->kind == TREE_MAP && i < copied->entries.n; i++) {
        const TreeEntry *e = &copied->entries.at[i];
        const char *value = written(el, e->value);
        if (!*value) return false;
        text = str_printf(el->arena, "%s%s%s: %s", text, *text ? ", " : "", e->key->text, value);
    }
    const TreeEntry *entry = tree_entry(map, "of");
    if (!*text || !is_users(el, of->loc)) return false;
    diag_help(el->diag, "of: is for ema:; as %s, write %s", of->text, text);
    diag_mend(el->diag, loc_in(of->loc.source, entry->key->loc.begin, of->loc.end), text);
    return true;
}

void suggest_modules(Elab *el, const TreeEntry *e, ModuleRole role, const Tree *at)
{
    if (!at && suggest_copied(el, e->value)) return;
    Names names = {0};
    add_names(el, &names, role, e->value);
    if (names.n < 2) add_names(el, &names, role, NULL); // then its keys are wrong too
    if (names.n)
        suggest_choices(el, module_choice(el, e, at, names.at[0]),
                        names.n > 1 ? module_choice(el, e, at, names.at[1])
                                    : (Choice){.text = NULL});
}

// The size of a setting that is an axis of an input which is given; 0 where none is.
static int64_t size_of_input(Elab *el, const App *app, const Decl *d, const Map *given, Loc loc)
{
    const Decls *in = &app->instance->def->in;
    for (uint32_t i = 0; i < in->n; i++) {
        const Decl *x = &in->at[i];
        Binding *b = given ? map_get(given, x->name) : NULL;
        if (!b) b = map_get(&app->instance->args, x->name);
        const Value v =
            b && x->is_shape ? value_plain(el, binding_force(el, b), loc) : value_none();
        const Type *t = v.kind == V_TENSOR ? graph_type(el->graph, v.node) : NULL;
        if (!t || x->maybe || t->rank < x->dims.n) continue;
        for (uint32_t k = 0; k < x->dims.n; k++) {
            const Expr *dim = x->dims.at[k];
            const Axis *axis = &t->axes[x->lead ? t->rank - x->dims.n + k : k];
            if (dim->kind == EXPR_NAME && !strcmp(dim->text, d->name) && !axis->per)
                return axis->size;
        }
    }
    return 0;
}

// linear(16) and linear(x, 16) where linear(8, 16) is meant: the size of an input before the
// setting that was taken for it.
static bool suggest_before(Elab *el, const App *app, const Decl *missing, const Map *given, Loc loc)
{
    const Decls *let = &app->instance->def->let;
    for (uint32_t i = 0; i + 1 < let->n && let->at[i].name; i++) {
        const Binding *b = map_get(&app->instance->args, let->at[i].name);
        const int64_t size = b ? size_of_input(el, app, &let->at[i], given, loc) : 0;
        if (&let->at[i + 1] != missing || !size || !b->forced || b->value.kind != V_INT) continue;
        const char *s = diag_source_text(el->diag, b->loc.source, NULL);
        if (b->value.i == size || !is_users(el, b->loc) || s[b->loc.begin - 1] == '=') return false;
        const char *text = str_printf(el->arena, "%lld, ", (long long)size);
        diag_help(el->diag, "write %lld before %s: %s is the size of the input", (long long)size,
                  text_at(el, b->loc), let->at[i].name);
        diag_mend(el->diag, loc_in(b->loc.source, b->loc.begin, b->loc.begin), text);
        return true;
    }
    return false;
}

// The sizes of an input as those of what is made of it.
static void guess_same_size(Elab *el, const App *app, const Decl *missing, const Map *given,
                            Loc loc)
{
    const Decls *let = &app->instance->def->let;
    for (uint32_t i = 0; missing->word == WORD_INT && i < let->n; i++) {
        const int64_t size = size_of_input(el, app, &let->at[i], given, loc);
        const char *text = str_printf(el->arena, "%lld", (long long)size);
        const Choice c = with_setting(el, loc, missing->name, text);
        if (size && c.text)
            guess_add(
                el, c.at, c.text,
                str_printf(el->arena, "%s%s%s", missing->name, *c.text == ',' ? "=" : ": ", text));
    }
}

// What to write for an input or setting that is not given.
void suggest_given(Elab *el, const App *app, const Decl *d, const Map *given, Loc loc)
{
    const int64_t size = d->is_shape ? 0 : size_of_input(el, app, d, given, loc);
    const char *text = str_printf(el->arena, "%lld", (long long)size);
    const Choice c = size ? with_setting(el, loc, d->name, text) : (Choice){.text = NULL};
    if (c.text) {
        suggest_choices(el, c, (Choice){.text = NULL});
        return;
    }
    if (suggest_before(el, app, d, given, loc)) return;
    guess_same_size(el, app, d, given, loc);
    const char *usual[] = {usual_value(d->name, 0), usual_value(d->name, 1)};
    const Choice first = usual[0] ? with_setting(el, loc, d->name, usual[0]) : c;
    if (first.text && *first.text == ',') // of a call
        suggest_choices(el, first, with_setting(el, loc, d->name, usual[1]));
    else
        suggest_key(el, loc, d->name);
    guess_input(el, d, loc);
    guess_anyway(el, (Loc){0});
}

// ---- parts ------------------------------------------------------------------------------------

static void whole_of_part(Elab *el, Loc at, const char *name, const void *how)
{
    const Instance *inst = how;
    const size_t n = strlen(inst->path);
    const Binding *b = scope_find(el->scope, str_slice(el->arena, name, strcspn(name, ".")));
    for (uint32_t i = 0; el->program && i < el->program->states.n; i++) {
        const char *state = el->program->states.at[i].name;
        if (!strncmp(state, inst->path, n) && state[n] == '.') guess_word(el, at, state);
    }
    const Items *params = &inst->def->params;
    for (uint32_t i = 0; i < params->n; i++) // which may not be made yet
        guess_word(el, at, str_printf(el->arena, "%s.%s", inst->path, params->at[i].name));
    if (!b || !b->forced || b->value.kind != V_INSTANCE) return;
    const Items *out = &b->value.instance->def->out;
    for (uint32_t i = 0; i < out->n; i++)
        guess_word(el, at, str_printf(el->arena, "%s.%s", b->name, out->at[i].name));
}

void guess_of_part(Elab *el, const Instance *inst, Loc at)
{
    guess_each_name(el, at, whole_of_part, inst);
    guess_no_entry_around(el, at);
}
