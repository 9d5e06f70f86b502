// stats: what is known of teachers' outputs before training: results of a metric module (its
// `method`) over many samples, written by `cztc stats` and read here as frozen state, one record an
// output: stats.phi[t].summary.mean. Where no file is named they are those of no samples. With
// FrontendOptions.stats the program is the one that `cztc stats` runs.
#include "frontend/guess.h"
#include "frontend/json.h"

#include <inttypes.h>

struct Stats { // a row of the section
    const char *name;
    const Tree *tree;
    const ModuleDef *def;
};

// A row, of a teacher where it is known, of an output of it where that is known.
struct StatsAt {
    const Stats *stats;
    Instance *teacher;
    const char *output;
};

// One output under one row: "stats.phi.siglip.summary".
typedef struct Statistic {
    const char *path;
    const Stats *stats;
    const char *teacher;
    Identity of; // the output
    Tally tally;
    Map used; // results that are read: name -> Type
} Statistic;

// ---- what a row covers --------------------------------------------------------------------------

// "siglip", "siglip.summary", both also behind "teachers.": the teacher's name; *output NULL or it.
static const char *split(Elab *el, const char *text, const char **output)
{
    static const char all[] = "teachers.";
    if (strncmp(text, all, sizeof all - 1) == 0) text += sizeof all - 1;
    const char *dot = strchr(text, '.');
    *output = dot ? dot + 1 : NULL;
    return dot ? str_slice(el->arena, text, (size_t)(dot - text)) : text;
}

// The record that a name of the graph is; NULL where there is none.
static const Map *record_named(const Elab *el, const char *name)
{
    const Binding *b = map_get(&el->scope->names, name);
    return b && b->value.kind == V_RECORD ? b->value.record : NULL;
}

static const Map *all_teachers(const Elab *el)
{
    return record_named(el, "teachers");
}

static bool check_of(Elab *el, const Tree *of)
{
    bool ok = true;
    if (of->kind == TREE_SCALAR && strcmp(of->text, "teachers") == 0) {
        if (all_teachers(el)) return true;
        return el_error(el, of->loc, "the graph has no teachers");
    }
    if (of->kind != TREE_LIST) {
        el_error(el, of->loc, "statistics are of `teachers`, or of a list of some of them");
        diag_help(el->diag, "write of: teachers, or of: [big, other.map]");
        suggest(el, "teachers", NULL);
        return false;
    }
    for (uint32_t i = 0; i < of->items.n; i++) {
        const Tree *t = of->items.at[i];
        const char *output, *name = t->kind == TREE_SCALAR ? split(el, t->text, &output) : "";
        if (is_teacher(el, name)) continue;
        el_error(el, t->loc, "there is no teacher '%s'", name);
        if (all_teachers(el)) suggest_near(el, name, all_teachers(el));
        ok = false;
    }
    return ok;
}

// Does the row have this output (NULL: any) of the teacher?
static bool covers(Elab *el, const Stats *s, const char *teacher, const char *output)
{
    const Tree *of = tree_get(s->tree, "of");
    if (of->kind == TREE_SCALAR) return true;
    for (uint32_t i = 0; i < of->items.n; i++) {
        const char *one, *name = split(el, of->items.at[i]->text, &one);
        if (strcmp(name, teacher) == 0 && (!one || !output || strcmp(one, output) == 0))
            return true;
    }
    return false;
}

enum { TEACHER, OUTPUT, HOLES };

static const char *const holes[HOLES] = {"teacher", "output"};

// ---- binding ------------------------------------------------------------------------------------

// Further keys are settings of the method.
static bool check_settings(Elab *el, const Tree *t, const ModuleDef *def)
{
    bool ok = true;
    for (uint32_t i = 0; i < t->entries.n; i++) {
        const Tree *key = t->entries.at[i].key;
        if (keys_reserved(MAPPING_STATS, key->text) || decl_find(&def->let, key->text)) continue;
        Map names = {0};
        for (uint32_t k = 0; k < def->let.n; k++)
            map_set(el->arena, &names, def->let.at[k].name, NULL);
        for (const char *const *k = keys_names(el, MAPPING_STATS); *k; k++)
            map_set(el->arena, &names, *k, NULL);
        el_error(el, key->loc, "neither a statistic nor %s has a key '%s'", def->name, key->text);
        if (!suggest_near(el, key->text, &names)) suggest_without(el, t, key);
        ok = false;
    }
    return ok;
}

// One hole, with its braces, n characters.
static bool check_hole(Elab *el, const Tree *file, const char *open, size_t n)
{
    const Map names = words_map(el, holes, HOLES);
    size_t at = (size_t)(open - file->text);
    const char *name = str_slice(el->arena, open + 1, n - 2);
    if (map_find(&names, name)) return true;
    el_error(el, tree_place(file, at, at + n), "the name of a file of statistics has no '{%s}'",
             name);
    if (suggest_near(el, name, &names)) return false;
    diag_help(el->diag, "{teacher} and {output} stand for what each file is of");
    for (int k = 0; k < HOLES; k++)
        guess_word(el, tree_place(file, at, at + n), str_printf(el->arena, "{%s}", holes[k]));
    return false;
}

// The brace that is missing behind the name of a hole, or the text without this one.
static void guess_brace(Elab *el, const Tree *file, const char *brace)
{
    const size_t at = (size_t)(brace - file->text);
    for (int k = 0; *brace == '{' && k < HOLES; k++) {
        const size_t n = strlen(holes[k]);
        if (strncmp(brace + 1, holes[k], n)) continue;
        guess_sure_word(el, tree_place(file, at, at + 1 + n),
                        str_printf(el->arena, "{%s}", holes[k]));
        return;
    }
    guess_sure(el, tree_place(file, at, at + 1), "", str_printf(el->arena, "'%c'", *brace));
}

static bool check_file(Elab *el, const Tree *file)
{
    bool ok = true;
    if (!file || file->kind != TREE_SCALAR) return true;
    for (const char *at = file->text; (at = strpbrk(at, "{}")); at++) {
        const char *close = *at == '{' ? at + 1 + strcspn(at + 1, "{}") : NULL;
        size_t begin = (size_t)(at - file->text);
        if (close && *close == '}') {
            ok &= check_hole(el, file, at, (size_t)(close - at) + 1);
            at = close;
            continue;
        }
        el_error(el, tree_place(file, begin, begin + 1), "this brace has no other one");
        diag_help(el->diag, "{teacher} and {output} stand for what each file is of");
        guess_brace(el, file, at);
        ok = false;
    }
    return ok;
}

// Metrics of one input as the method: in a place, or as a new entry of the row.
static void guess_methods(Elab *el, Loc at, const char *key)
{
    for (uint32_t i = 0; i < el->defs.n; i++) {
        const ModuleDef *def = def_at(el, i, ROLE_METRIC);
        if (!def || def->in.n != 1) continue;
        if (key)
            guess_setting(el, at, key, def->name);
        else
            guess_sure_word(el, at, def->name);
    }
}

static Stats *stats_new(Elab *el, const TreeEntry *e)
{
    const char *name = e->key->text;
    if (!keys_check(el, e->value, MAPPING_STATS, true)) {
        if (e->value->kind == TREE_MAP && !tree_get(e->value, "method"))
            guess_methods(el, e->value->loc, "method");
        return NULL;
    }
    const Tree *method = tree_get(e->value, "method");
    bool file = check_file(el, tree_get(e->value, "file"));
    if (!check_of(el, tree_get(e->value, "of")) || !file) return NULL;
    Value v = callee_read(el, el->globals, method->text, method->loc);
    if (v.kind == V_ERROR) return NULL;
    if (v.kind != V_MODULE) {
        el_error(el, method->loc, "'%s' is %s, not a metric", method->text, value_text(el, v));
        guess_methods(el, method->loc, NULL);
        return NULL;
    }
    if (!role_check(el, v.module, ROLE_METRIC, method->loc)) {
        guess_methods(el, method->loc, NULL);
        return NULL;
    }
    if (!v.module->in.n) {
        el_error(el, method->loc, "%s has no input for a teacher's output", v.module->name);
        return NULL;
    }
    if (!check_settings(el, e->value, v.module)) return NULL;
    Stats *s = arena_make(el->arena, Stats);
    *s = (Stats){name, e->value, v.module};
    return s;
}

static Value at(Elab *el, const Stats *s, Instance *teacher, const char *output)
{
    StatsAt *a = arena_make(el->arena, StatsAt);
    *a = (StatsAt){s, teacher, output};
    return (Value){.kind = V_STATS, .stats = a};
}

void stats_bind(Elab *el)
{
    const Tree *t = tree_get(el->root, "stats");
    if (!t || t->kind != TREE_MAP) return;
    Map *all = arena_make(el->arena, Map);
    scope_value(el, el->scope, "stats", t->loc, value_record(all));
    for (uint32_t i = 0; i < t->entries.n; i++) {
        const Stats *s = stats_new(el, &t->entries.at[i]);
        record_put(el, all, t->entries.at[i].key->text, s ? at(el, s, NULL, NULL) : value_error());
    }
}

// ---- one output ---------------------------------------------------------------------------------

// A pattern of files with its holes filled.
static const char *fill(Elab *el, const char *text, const char *const by[HOLES])
{
    const char *done = "";
    for (const char *open; (open = strchr(text, '{')); text = strchr(open, '}') + 1) {
        int k = 0; // check_file has seen that it is one of them
        while (strncmp(open + 1, holes[k], strlen(holes[k])) != 0) k++;
        done = str_printf(el->arena, "%s%.*s%s", done, (int)(open - text), text, by[k]);
    }
    return str_printf(el->arena, "%s%s", done, text);
}

// The file of a statistic, as the row says it; NULL where there is none.
static const char *file_of(Elab *el, const Stats *s, const char *teacher, const char *output)
{
    const Tree *file = tree_get(s->tree, "file");
    if (!file || file->kind != TREE_SCALAR) return NULL;
    return fill(el, file->text, (const char *const[HOLES]){[TEACHER] = teacher, [OUTPUT] = output});
}

static bool own_file(Elab *el, const Stats *s, const char *path, const char *file)
{
    if (!file) return true;
    const Tree *t = tree_get(s->tree, "file");
    const char *whole = str_printf(el->arena, "%s/%s", said_in(el, t), file),
               *other = map_get(&el->stats_files, whole);
    if (!other) map_set(el->arena, &el->stats_files, whole, (void *)path);
    if (!other || strcmp(other, path) == 0) return true;
    el_error(el, t->loc, "%s and %s would both be in %s", other, path, file);
    suggest(el, str_printf(el->arena, "%s/{teacher}.{output}.safetensors", s->name), NULL);
    return false;
}

// The outputs that `cztc stats` takes of a teacher that the row names as a whole.
static Map outputs_of(Elab *el, const Instance *teacher)
{
    const Tree *named = teacher->outputs;
    return named ? keys_map(el, named) : items_map(el, &teacher->def->out);
}

// The method applied to the output, whose scope has dimensions and settings; *of is the output.
static App *method_app(Elab *el, const Stats *s, const char *path, Instance *teacher,
                       const char *output, Loc loc, Identity *of)
{
    static const char *const skip[] = {"of", "method", "file", "doc", NULL};
    Value x = member_read(el, (Value){.kind = V_INSTANCE, .instance = teacher}, output, loc);
    x = value_plain(el, x, loc);
    if (x.kind == V_ERROR) return NULL;
    NodeId n = value_tensor(el, x, DT_NONE, loc);
    if (!n) return NULL;
    if (!dtype_is_float(graph_type(el->graph, n)->dtype)) {
        el_error(el, loc, "%s of teacher %s is %s, which has no statistics", output, teacher->name,
                 value_text(el, x));
        const Map others = outputs_of(el, teacher);
        guess_last_part(el, loc, &others);
        return NULL;
    }
    *of = identity_of(el, n, str_printf(el->arena, "teachers.%s", teacher->name));
    const Tree *method = tree_get(s->tree, "method");
    Scope *own = part_scope(el, path, path, NULL, method->loc);
    Instance *inst = instance_from_tree(el, s->def, path, s->tree, skip, own);
    if (!inst) return NULL;
    const Decl *d = &s->def->in.at[0];
    Binding *b = binding_value(el, d->name, loc, x);
    b->decl = d;
    map_set(el->arena, &inst->args, d->name, b);
    return app_open(el, inst, NULL, true, loc);
}

// What is known of an output, found or begun; NULL when reported.
static Statistic *statistic_open(Elab *el, const StatsAt *a, Loc loc)
{
    const char *teacher = a->teacher->name;
    const char *path = str_printf(el->arena, "stats.%s.%s.%s", a->stats->name, teacher, a->output);
    Statistic *s = map_get(&el->statistics, path);
    if (s) return s;
    if (!own_file(el, a->stats, path, file_of(el, a->stats, teacher, a->output))) return NULL;
    Identity of;
    App *app = method_app(el, a->stats, path, a->teacher, a->output, loc, &of);
    if (!app) return NULL;
    s = arena_make(el->arena, Statistic);
    *s = (Statistic){.path = path, .stats = a->stats, .teacher = teacher, .of = of};
    s->tally = (Tally){str_printf(el->arena, "$%s.", path), a->stats->def, app->scope,
                       tree_get(a->stats->tree, "method")->loc};
    map_set(el->arena, &el->statistics, path, s);
    return s;
}

static const Item *result_item(const ModuleDef *def, const char *name)
{
    for (uint32_t i = 0; i < def->out.n; i++)
        if (strcmp(def->out.at[i].name, name) == 0) return &def->out.at[i];
    return NULL;
}

// A result, of what was added or of nothing; 0 when reported.
static NodeId result(Elab *el, const Statistic *s, const char *name, bool empty)
{
    const Item *item = result_item(s->tally.def, name);
    Scope *scope = tally_results(el, &s->tally, s->path, empty);
    if (!scope) return 0;
    Frame *caller = el->frame;
    el->frame = scope->frame;
    Value v = tree_eval(el, scope, item->value, NULL);
    NodeId n = value_tensor(el, v, DT_F32, item->loc);
    el->frame = caller;
    return n;
}

// ---- reading ------------------------------------------------------------------------------------

// The state that a result becomes; its type is found once.
static Value state_read(Elab *el, Statistic *s, const char *name, Loc loc)
{
    const Item *item = result_item(s->tally.def, name);
    if (!item) {
        const Map names = items_map(el, &s->tally.def->out);
        el_error(el, loc, "%s gives no '%s'", s->tally.def->name, name);
        suggest_words(el, name, &names);
        return value_error();
    }
    if (el->initialising) return el_fail(el, loc, "an initialiser cannot use a statistic");
    const char *path = str_printf(el->arena, "%s.%s", s->path, name);
    const Type *type = map_get(&s->used, name);
    if (!type) {
        NodeId n = result(el, s, name, true);
        if (!n) return value_error();
        type = graph_type(el->graph, n);
        map_set(el->arena, &s->used, name, (void *)type);
        program_state(el->program, path, STATE_FROZEN, type, loc)->trainable = false;
        Init *how = arena_make(el->arena, Init);
        const char *what = tree_get(s->stats->tree, "file") ? "" : " (of nothing)";
        *how = (Init){.name = path, .loc = loc, .statistic = s};
        how->part = str_printf(el->arena, "stats.%s%s", s->stats->name, what);
        map_set(el->arena, &el->inits, path, how);
    }
    el->graph->here = loc;
    return value_node(el, graph_state(el->graph, path, type));
}

Value stats_initial(Elab *el, const Init *how)
{
    NodeId n = result(el, how->statistic, strrchr(how->name, '.') + 1, true);
    return n ? value_node(el, n) : value_error();
}

// The row as one that has this too: a teacher, or an output of it.
static void guess_of(Elab *el, const Stats *s, const char *one)
{
    const Tree *of = tree_get(s->tree, "of");
    const char *text = text_at(el, of->loc);
    const size_t n = strlen(text);
    if (of->kind != TREE_LIST || !of->items.n || *text != '[' || text[n - 1] != ']') return;
    const char *more = str_printf(el->arena, "%.*s, %s]", (int)n - 1, text, one);
    guess_key_as(el, of->loc, "of", more);
}

// In place of a teacher's name in an expression those of others that the row has.
static void guess_teachers(Elab *el, const Stats *s, Loc loc, const char *before)
{
    const Map *all = all_teachers(el);
    for (uint32_t i = 0; all && i < all->n; i++) {
        const char *name = all->at[i].key;
        if (covers(el, s, name, NULL))
            guess_word(el, loc, str_printf(el->arena, "%s%s", before, name));
    }
}

static Value of_teacher(Elab *el, const StatsAt *a, Instance *teacher, Loc loc)
{
    if (covers(el, a->stats, teacher->name, NULL)) return at(el, a->stats, teacher, NULL);
    el_error(el, loc, "stats.%s is not of teacher %s", a->stats->name, teacher->name);
    guess_of(el, a->stats, teacher->name);
    guess_teachers(el, a->stats, loc, "");
    diag_note(el->diag, tree_get(a->stats->tree, "of")->loc, "it is of these");
    return value_error();
}

// Where the row names this output, `teacher.output`; NULL where it does not.
static const Tree *row_item(Elab *el, const Stats *s, const char *teacher, const char *output)
{
    const Tree *of = tree_get(s->tree, "of");
    for (uint32_t i = 0; of->kind == TREE_LIST && i < of->items.n; i++) {
        const char *one, *name = split(el, of->items.at[i]->text, &one);
        if (strcmp(name, teacher) == 0 && one && strcmp(one, output) == 0) return of->items.at[i];
    }
    return NULL;
}

// The row with the output in the place of others of the teacher, or of all; those instead of it.
static void guess_others(Elab *el, const Stats *s, const char *teacher, const char *output, Loc loc)
{
    const Tree *of = tree_get(s->tree, "of");
    for (uint32_t i = 0; of->kind == TREE_LIST && i < of->items.n; i++) {
        const Tree *item = of->items.at[i];
        const char *one, *name = split(el, item->text, &one);
        if (!one || strcmp(name, teacher)) continue;
        const char *text = str_printf(el->arena, "%s.%s", teacher, output);
        guess_exchanged(el, item->loc, text, item->text);
        guess_word(el, loc, one);
    }
    guess_add(el, of->loc, "teachers", "of: teachers");
}

static Value of_output(Elab *el, const StatsAt *a, const char *name, Loc loc)
{
    const Instance *t = a->teacher;
    const Map names = outputs_of(el, t);
    bool has = map_find(&names, name) || row_item(el, a->stats, t->name, name);
    if (has && covers(el, a->stats, t->name, name)) return at(el, a->stats, a->teacher, name);
    el_error(el, loc, "stats.%s is not of %s.%s", a->stats->name, t->name, name);
    if (!has) suggest_words(el, name, &names);
    if (has) guess_of(el, a->stats, str_printf(el->arena, "%s.%s", t->name, name));
    if (has) guess_others(el, a->stats, t->name, name, loc);
    diag_note(el->diag, tree_get(a->stats->tree, "of")->loc, "it is of these");
    return value_error();
}

Value stats_member(Elab *el, const StatsAt *a, const char *name, Loc loc)
{
    if (a->output) {
        Statistic *s = statistic_open(el, a, loc);
        return s ? state_read(el, s, name, loc) : value_error();
    }
    if (a->teacher) return of_output(el, a, name, loc);
    const Map *all = all_teachers(el);
    const Value *v = all ? map_get(all, name) : NULL;
    if (v && v->kind == V_INSTANCE) return of_teacher(el, a, v->instance, loc);
    if (v) return value_error(); // reported
    el_error(el, loc, "there is no teacher '%s'", name);
    if (all) suggest_near(el, name, all);
    return value_error();
}

Value stats_index(Elab *el, Scope *scope, const Expr *e, const StatsAt *a)
{
    const Expr *of = e->nargs == 2 ? e->args[1] : NULL;
    Value v = of ? expr_eval(el, scope, of) : value_none();
    if (v.kind == V_ERROR) return v;
    if (!a->teacher && v.kind == V_STR) return stats_member(el, a, v.s, of->loc);
    if (!a->teacher && v.kind == V_INSTANCE && v.instance->name)
        return of_teacher(el, a, v.instance, of->loc);
    el_error(el, of ? of->loc : e->loc, "the index of a statistic is a teacher, not %s",
             value_text(el, v));
    diag_help(el->diag, "stats.%s[t].summary, or stats.%s.%s.summary", a->stats->name,
              a->stats->name, "NAME");
    if (of && !a->teacher) guess_teachers(el, a->stats, of->loc, "teachers.");
    return value_error();
}

Map stats_results(const Elab *el, const StatsAt *a)
{
    return a->output ? items_map(el, &a->stats->def->out) : (Map){0};
}

const char *stats_text(const Elab *el, const StatsAt *a)
{
    const char *text = str_printf(el->arena, "stats.%s", a->stats->name);
    if (a->teacher) text = str_printf(el->arena, "%s.%s", text, a->teacher->name);
    return a->output ? str_printf(el->arena, "%s.%s, a record", text, a->output) : text;
}

// ---- the program of `cztc stats` ----------------------------------------------------------------

static bool asked(const Elab *el, const char *name)
{
    const FrontendOptions *o = el->options;
    bool yes = !o->nstats;
    for (uint32_t i = 0; i < o->nstats; i++) yes |= strcmp(o->stats_names[i], name) == 0;
    return yes;
}

typedef VEC(StatsAt) Outputs;

static void take(Elab *el, const Stats *s, Instance *teacher, const char *output, Outputs *to)
{
    for (uint32_t i = 0; i < to->n; i++)
        if (to->at[i].teacher == teacher && strcmp(to->at[i].output, output) == 0) return;
    if (covers(el, s, teacher->name, output))
        vec_push(el->arena, to, (StatsAt){s, teacher, output});
}

// Where the row names the output; all of what it is of where it does not.
static Loc item_loc(Elab *el, const StatsAt *a)
{
    const Tree *item = row_item(el, a->stats, a->teacher->name, a->output);
    return (item ? item : tree_get(a->stats->tree, "of"))->loc;
}

// What a row is of: outputs of teachers; behind them those that `outputs:` does not name, taps.
static Outputs outputs_taken(Elab *el, const Stats *s, const Map *teachers)
{
    Outputs to = {0};
    const Tree *of = tree_get(s->tree, "of");
    for (uint32_t i = 0; i < teachers->n; i++) {
        const Value *v = teachers->at[i].value;
        if (v->kind != V_INSTANCE) continue;
        const Map names = outputs_of(el, v->instance);
        for (uint32_t k = 0; k < names.n; k++) take(el, s, v->instance, names.at[k].key, &to);
    }
    for (uint32_t i = 0; of->kind == TREE_LIST && i < of->items.n; i++) {
        const char *output, *name = split(el, of->items.at[i]->text, &output);
        const Value *v = map_get(teachers, name);
        if (output && v && v->kind == V_INSTANCE) take(el, s, v->instance, output, &to);
    }
    return to;
}

static void check_asked(Elab *el, const Map *all)
{
    for (uint32_t i = 0; i < el->options->nstats; i++) {
        const char *name = el->options->stats_names[i];
        if (all && map_find(all, name)) continue;
        diag_error(el->diag, all ? tree_get(el->root, "stats")->loc : (Loc){0},
                   "the graph has no statistic '%s' under stats:", name);
        const char *best = all ? nearest_key(all, name, NULL) : NULL;
        if (best) diag_help(el->diag, "did you mean '%s'?", best);
    }
}

// What a teacher gives of which no statistic can be: another output of it, or all of them.
static void guess_outputs(Elab *el, const StatsAt *at)
{
    const Items *out = &at->teacher->def->out;
    for (uint32_t i = 0; i < out->n; i++)
        if (strcmp(out->at[i].name, at->output))
            guess_word(el, item_loc(el, at),
                       str_printf(el->arena, "%s.%s", at->teacher->name, out->at[i].name));
    guess_add(el, tree_get(at->stats->tree, "of")->loc, "teachers", "of: teachers");
}

static void update_row(Elab *el, const Stats *s, Entry *entry)
{
    const Outputs of = outputs_taken(el, s, all_teachers(el));
    if (!tree_get(s->tree, "file") && el->options->stats) {
        el_error(el, s->tree->loc, "stats.%s has no file to be written to", s->name);
        suggest_key(el, s->tree->loc, "file");
        return;
    }
    for (uint32_t i = 0; i < of.n; i++) {
        const uint32_t before = diag_errors(el->diag);
        const Statistic *one = statistic_open(el, &of.at[i], item_loc(el, &of.at[i]));
        if (one) tally_update(el, &one->tally, entry);
        if (diag_errors(el->diag) > before) guess_outputs(el, &of.at[i]);
    }
}

void stats_update(Elab *el, Entry *entry)
{
    const Map *all = record_named(el, "stats");
    check_asked(el, all);
    if (!all && !el->options->nstats)
        diag_error(el->diag, (Loc){0}, "the graph has no statistics: there is no stats:");
    for (uint32_t i = 0; all && all_teachers(el) && i < all->n; i++) {
        const Value *v = all->at[i].value;
        if (v->kind == V_STATS && asked(el, all->at[i].key)) update_row(el, v->stats->stats, entry);
    }
}

// Of a row without a file nothing more than what is read will ever be computed.
static bool row_unread(Elab *el, const Stats *s)
{
    const Outputs of = outputs_taken(el, s, all_teachers(el));
    uint32_t read = 0;
    for (uint32_t i = 0; i < of.n; i++)
        read += map_find(&el->statistics, str_printf(el->arena, "stats.%s.%s.%s", s->name,
                                                     of.at[i].teacher->name, of.at[i].output)) != 0;
    return tree_get(s->tree, "file") ? read < of.n : !read;
}

bool stats_unread(Elab *el)
{
    const Map *all = record_named(el, "stats");
    bool any = false;
    for (uint32_t i = 0; all && all_teachers(el) && i < all->n; i++) {
        const Value *v = all->at[i].value;
        any |= v->kind == V_STATS && row_unread(el, v->stats->stats);
    }
    return any;
}

void stats_warn(Elab *el)
{
    const Map *all = record_named(el, "stats");
    for (uint32_t i = 0; all && i < all->n; i++) {
        const char *name = all->at[i].key, *path = str_printf(el->arena, "stats.%s.", name);
        bool read = false;
        for (uint32_t k = 0; k < el->statistics.n; k++)
            read |= strncmp(el->statistics.at[k].key, path, strlen(path)) == 0;
        const Value *v = all->at[i].value;
        if (!read && v->kind == V_STATS)
            diag_warning(el->diag, v->stats->stats->tree->loc, "nothing reads stats.%s", name);
    }
}

void stats_result(Elab *el, Entry *entry)
{
    for (uint32_t i = 0; i < el->statistics.n; i++) {
        const Statistic *s = el->statistics.at[i].value;
        for (uint32_t k = 0; k < s->tally.def->out.n; k++) {
            const char *name = s->tally.def->out.at[k].name;
            NodeId n = result(el, s, name, false);
            const char *path = str_printf(el->arena, "%s.%s", s->path, name);
            if (n) vec_push(el->arena, &entry->outputs, (NamedNode){path, n});
        }
    }
}

// ---- for the runtime ----------------------------------------------------------------------------

// The file, and of what its numbers are.
static void put_file(Elab *el, Json *j, const Statistic *s)
{
    const char *output = strrchr(s->path, '.') + 1;
    json_str(j, "base_dir", folder_said_in(el, tree_get(s->stats->tree, "file")));
    json_str(j, "file", file_of(el, s->stats, s->teacher, output));
    json_open(j, "of", '{');
    json_str(j, "teacher", s->teacher);
    json_str(j, "network", str_printf(el->arena, "%016" PRIx64, s->of.sum));
    json_str(j, "weights_file", teacher_file(el, s->teacher));
    json_open(j, "state", '[');
    for (uint32_t i = 0; i < s->of.states.n; i++) json_str(j, NULL, s->of.states.at[i]);
    json_close(j, ']');
    json_close(j, '}');
}

void put_statistics(Elab *el, Json *j)
{
    for (uint32_t i = 0; i < el->statistics.n; i++) {
        const Statistic *s = el->statistics.at[i].value;
        if (!s->used.n || !tree_get(s->stats->tree, "file")) continue;
        json_open(j, NULL, '{');
        json_str(j, "owns", s->path);
        json_str(j, "written_by",
                 str_printf(el->arena, "cztc stats %s %s", el->file, s->stats->name));
        put_file(el, j, s);
        json_open(j, "rename", '[');
        for (uint32_t k = 0; k < s->used.n; k++)
            put_file_rule(j, s->used.at[k].key,
                          str_printf(el->arena, "%s.%s", s->path, s->used.at[k].key));
        put_file_rule(j, "*", "");
        json_close(j, ']');
        json_close(j, '}');
    }
}

const char *stats_json(Elab *el)
{
    Json j = {.arena = el->arena};
    json_open(&j, NULL, '{');
    json_int(&j, "steps", el->steps);
    json_int(&j, "seed", el->seed);
    put_frozen(el, &j);
    json_open(&j, "statistics", '[');
    for (uint32_t i = 0; i < el->statistics.n; i++) {
        const Statistic *s = el->statistics.at[i].value;
        json_open(&j, NULL, '{');
        json_str(&j, "path", s->path);
        put_file(el, &j, s);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    return json_text(&j);
}
