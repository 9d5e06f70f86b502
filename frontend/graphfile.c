// A graph file to a program: read, override, import, then build every entry.
#include "frontend/mend.h"
#include "frontend/rewrite.h"

#include <ctype.h>
#include <libgen.h>
#include <math.h>
#include <stdlib.h>

Scope *part_scope(Elab *el, const char *what, const char *path, const char *part, Loc loc)
{
    Frame *f = frame_new(el, el->scope->frame, what, path, loc);
    f->part = part;
    return scope_new(el, el->scope, f);
}

Precision precision_read(Elab *el, const Tree *map)
{
    const Tree *t = tree_get(map, "precision");
    Map names = {0};
    if (!t) return PRECISION_NONE;
    const char *text = t->kind == TREE_SCALAR ? t->text : "";
    Precision known = precision_find(text);
    if (known) return known;
    for (int p = PRECISION_F32; p < PRECISIONS; p++)
        map_set(el->arena, &names, precision_name((Precision)p), NULL);
    if (t->kind != TREE_SCALAR) {
        el_error(el, t->loc, "'precision' is a word");
        suggest_word(el, t, "f32", "bf16");
        return PRECISION_NONE;
    }
    el_error(el, t->loc, "there is no precision '%s'", t->text);
    suggest_words(el, t->text, &names);
    return PRECISION_NONE;
}

// ---- names every module sees ------------------------------------------------------------------

static void bind_reserved(Elab *el, Scope *s)
{
    Loc none = {0};
    scope_value(el, s, "batch", none, value_dim(el->batch, 1));
    scope_value(el, s, "world", none, value_int(1));
    scope_value(el, s, "training", none, value_bool(el->training));
    scope_value(el, s, "steps", none, value_int(el->steps));
    scope_value(el, s, "seed", none, value_int(el->seed));
    scope_value(el, s, "none", none, value_none());
    scope_value(el, s, "true", none, value_bool(true));
    scope_value(el, s, "false", none, value_bool(false));
    scope_value(el, s, "pi", none, value_float(3.14159265358979323846));
    scope_value(el, s, "inf", none, value_float(INFINITY));
    for (int dt = 0; dt < DT_COUNT; dt++)
        scope_value(el, s, dtype_name((DType)dt), none,
                    (Value){.kind = V_DTYPE, .dtype = (DType)dt});
    scope_value(el, s, "step", none, updates_since(el, 0));
    scope_value(el, s, "phase_step", none, updates_since(el, el->phase));
    for (uint32_t i = 0; i < s->names.n; i++)
        if (!name_reserved(s->names.at[i].key)) bug("'%s' is not reserved", s->names.at[i].key);
}

static void bind_definitions(Elab *el, Scope *s)
{
    for (uint32_t i = 0; i < el->defs.n; i++) {
        const Binding *d = el->defs.at[i].value;
        Binding *b = scope_add(el, s, d->name, d->loc, d->kind);
        *b = *d;
        if (d->kind == BIND_TREE) b->scope = s;
    }
}

// ---- names of the graph -----------------------------------------------------------------------

static void bind_lets(Elab *el, Scope *s)
{
    const Tree *t = tree_get(el->root, "let");
    for (uint32_t i = 0; t && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        if (strcmp(e->key->text, "batch") == 0 && el->batch) {
            scope_value(el, s, "batch", e->key->loc, value_dim(el->batch, 1));
            continue;
        }
        scope_add(el, s, e->key->text, e->key->loc, BIND_TREE)->tree = e->value;
    }
}

static void bind_instances(Elab *el, Scope *s, const char *section)
{
    static const char *const skip[] = {"module", "path", "precision", "doc", NULL};
    const Tree *t = tree_get(el->root, section);
    for (uint32_t i = 0; t && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        const char *name = e->key->text;
        Binding *b = scope_add(el, s, name, e->key->loc, BIND_VALUE);
        b->forced = true;
        if (!keys_check(el, e->value, MAPPING_INSTANCE, true)) continue;
        const Tree *given = tree_get(e->value, "path");
        const char *path = given && given->kind == TREE_SCALAR ? given->text : given ? "" : name;
        Scope *own = part_scope(el, NULL, path, name, e->key->loc);
        const ModuleDef *def = tree_module(el, e->value, own);
        bool good = def && role_check(el, def, ROLE_MODULE, tree_get(e->value, "module")->loc);
        Instance *inst = good ? instance_from_tree(el, def, path, e->value, skip, own) : NULL;
        if (!inst) continue;
        inst->precision = precision_read(el, e->value);
        b->value = (Value){.kind = V_INSTANCE, .instance = inst};
        if (strcmp(section, "encoders") == 0) map_set(el->arena, &el->instances, name, inst);
    }
}

static void bind_values(Elab *el, Scope *s)
{
    const Tree *t = tree_get(el->root, "values");
    for (uint32_t i = 0; t && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        Binding *b = scope_add(el, s, e->key->text, e->key->loc, BIND_TREE);
        const char *path = str_printf(el->arena, "values.%s", e->key->text);
        b->tree = e->value;
        b->scope = part_scope(el, NULL, path, path, e->key->loc);
    }
}

void build_begin(Elab *el, bool training)
{
    el->build = ++el->builds;
    el->training = training;
    el->graph = graph_new(el->arena, el->diag, el->batch ? el->batch : 1);
    el->unmixed = 1;
    el->makers.n = 0;
    Frame *root = frame_new(el, NULL, NULL, "", (Loc){0});
    if (el->shape) root->what = "this row of shapes", root->call = el->shape->row->loc;
    el->frame = root;
    el->globals = scope_new(el, NULL, root);
    el->scope = scope_new(el, el->globals, root);
    memset(&el->tasks, 0, sizeof el->tasks);
    memset(&el->instances, 0, sizeof el->instances);
    memset(&el->running, 0, sizeof el->running);
    memset(&el->mixed, 0, sizeof el->mixed);
    memset(&el->later, 0, sizeof el->later);
    bind_reserved(el, el->globals);
    bind_definitions(el, el->globals);
    bind_lets(el, el->scope);
    if (!el->batch) return; // the first build only evaluates settings
    root->part = "params";
    Items params = items_read(el, tree_get(el->root, "params"));
    params_bind(el, &params, el->scope);
    data_bind(el, el->scope);
    teachers_bind(el);
    stats_bind(el);
    bind_instances(el, el->scope, "encoders");
    bind_instances(el, el->scope, "heads");
    emas_bind(el);
    bind_values(el, el->scope);
    tasks_bind(el);
}

// ---- loading ----------------------------------------------------------------------------------

static bool read_number(Elab *el, const Tree *map, const char *key, int64_t def, int64_t least,
                        int64_t *out)
{
    const Tree *t = tree_get(map, key);
    *out = def;
    if (!t) return true;
    if (!value_to_int(el, tree_eval(el, el->scope, t, NULL), t->loc, key, out)) return false;
    if (*out >= least) return true;
    el_error(el, t->loc, "%s is %lld; it is at least %lld", key, (long long)*out, (long long)least);
    suggest_number(el, (double)*out, (double)least, 1e15, true);
    return false;
}

// Numbers that only the runtime reads.
static void check_numbers(Elab *el)
{
    static const struct {
        const char *section, *key;
        int64_t least;
    } rows[] = {{"checkpoint", "every", 0},
                {"checkpoint", "keep", 1},
                {"log", "every", 1},
                {"eval", "every", 0},
                {"eval", "samples", 0}};
    int64_t x;
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++)
        read_number(el, tree_get(el->root, rows[i].section), rows[i].key, 0, rows[i].least, &x);
    warn_near_file(el, tree_get(tree_get(el->root, "eval"), "classes"));
    warn_near_file(el, tree_get(tree_get(el->root, "eval"), "prompts"));
}

// Evaluate every constant, used or not, so that its errors are found.
static void check_lets(Elab *el, const Tree *let)
{
    for (uint32_t i = 0; let && i < let->entries.n; i++) {
        const Tree *key = let->entries.at[i].key;
        if (binding_force(el, scope_find(el->scope, key->text)).kind == V_TENSOR)
            el_error(el, key->loc, "'%s' is a constant; it cannot use values of the step",
                     key->text);
    }
}

enum { STAND_IN = 8 }; // for a batch that is wrong, so that the rest of the file is looked at too

// Parts that the batch can be cut into, or a batch of the row that can be cut into these.
static void guess_parts(Elab *el, const Tree *said, int64_t batch, int64_t wanted)
{
    const Tree *row = el->shape ? tree_get(el->shape->row, "batch") : NULL;
    const int64_t fit[] = {batch / wanted * wanted, (batch / wanted + 1) * wanted};
    for (int i = 1; row && i >= 0; i--)
        if (fit[i] > 0)
            guess_add(el, row->loc, str_printf(el->arena, "%lld", (long long)fit[i]),
                      str_printf(el->arena, "batch: %lld", (long long)fit[i]));
    for (int64_t near = wanted < batch ? wanted : batch; near > 0; near--)
        if (batch % near == 0)
            guess_add(el, said->loc, str_printf(el->arena, "%lld", (long long)near),
                      str_printf(el->arena, "accumulate: %lld, parts of %lld samples",
                                 (long long)near, (long long)(batch / near)));
}

// train.accumulate; batch is 0 where it is not known. The case of check: has a batch of its own,
// and as many parts as that can be cut into.
static void read_parts(Elab *el, const Tree *train, int64_t batch)
{
    bool known = read_number(el, train, "accumulate", 1, 1, &el->parts);
    int64_t wanted = el->parts, near = wanted < batch ? wanted : batch;
    el->parts = 1;
    if (!known || !batch) return;
    while (batch % near) near--;
    if (near == wanted || el->options->use_check) {
        el->parts = near;
        return;
    }
    const Tree *said = tree_get(train, "accumulate");
    el_error(el, said->loc, "a batch of %lld cannot be cut into %lld equal parts", (long long)batch,
             (long long)wanted);
    guess_parts(el, said, batch, wanted);
}

// train.memory: a size with its unit, or a number of bytes. The case of check: has none.
static void read_memory(Elab *el, const Tree *train)
{
    const Tree *t = tree_get(train, "memory");
    if (!t || el->options->use_check) return;
    el->out->memory = (MemoryInfo){t->loc, entry_span(el, train, "memory")};
    if (t->kind == TREE_SCALAR && bytes_read(t->text, &el->memory)) return;
    char *end = NULL;
    double x = t->kind == TREE_SCALAR ? strtod(t->text, &end) : 0;
    if (end && end > t->text && isalpha((unsigned char)end[strspn(end, " ")])) {
        el_error(el, t->loc, "'%s' is no size", t->text);
        if (!(x > 0 && x < 1e9)) x = 8;
        suggest(el, str_printf(el->arena, "%g GiB", x), str_printf(el->arena, "%g MiB", x));
        return;
    }
    read_number(el, train, "memory", 0, 1, &el->memory);
}

void settings_read(Elab *el)
{
    const Tree *let = tree_get(el->root, "let"), *train = tree_get(el->root, "train");
    build_begin(el, true);
    check_lets(el, let);
    int64_t batch;
    bool ok = read_number(el, let, "batch", 1, 1, &batch);
    read_number(el, train, "steps", 0, 1, &el->steps);
    read_number(el, train, "seed", 0, 0, &el->seed);
    if (!let || !tree_get(let, "batch")) {
        Loc head = let ? let->loc : el->root->loc;
        head.end = head.begin + 1;
        el_error(el, head, "let: needs 'batch', the number of samples of a step");
        if (let)
            suggest_key(el, let->loc, "batch");
        else
            suggest_choices(el, with_entry(el, el->root, "let", "{batch: 64}"),
                            with_entry(el, el->root, "let", "{batch: 256}"));
        ok = false;
    }
    read_parts(el, train, ok ? batch : 0);
    read_memory(el, train);
    Precision precision = train ? precision_read(el, train) : PRECISION_NONE;
    el->precision = precision ? precision : PRECISION_F32;
    if (ok && batch > 1 << 24) {
        el_error(el, tree_get(let, "batch")->loc, "batch is %lld; it is at most %d",
                 (long long)batch, 1 << 24);
        suggest_number(el, (double)batch, 1, 1 << 24, true);
        ok = false;
    }
    check_numbers(el);
    phases_read(el);
    data_check(el);
    if (el->shape)
        shape_settle(el, (Shape *)el->shape);
    else if (el->shapes.n)
        shape_settle(el, el->shapes.at[0]);
    el->batch = ok ? batch : STAND_IN;
}

// A loss is that of a fixture's weights and inputs; alone, either is looked at by nobody.
static void warn_half_check(Elab *el, const Tree *loss, const Tree *fixture)
{
    const Tree *one = loss ? loss : fixture;
    bool given = one && one->kind != TREE_NULL;
    if (!given || (loss && fixture)) return;
    diag_warning(el->diag, one->loc,
                 loss ? "this loss is compared with nothing: there is no "
                        "'fixture', whose weights and inputs give it"
                      : "this fixture is not used: there is no 'loss', which "
                        "its weights and inputs have to give");
    diag_help(el->diag, loss ? "say the fixture, or leave out 'loss'"
                             : "say the loss, or leave out 'fixture'");
}

static void read_check(Elab *el)
{
    const Tree *t = tree_get(el->root, "check");
    if (!t || !keys_check(el, t, MAPPING_CHECK, false)) return;
    const Tree *set = tree_get(t, "set"), *loss = tree_get(t, "loss"),
               *fixture = tree_get(t, "fixture");
    CheckInfo *c = &el->out->check;
    warn_half_check(el, loss, fixture);
    VEC(const char *) rows = {0};
    el->out->has_check = true;
    for (uint32_t i = 0; set && i < set->entries.n; i++) {
        const TreeEntry *e = &set->entries.at[i];
        const char *value = e->value->kind == TREE_SCALAR ? e->value->text : "";
        vec_push(el->arena, &rows, str_printf(el->arena, "%s=%s", e->key->text, value));
        c->own |= strcmp(diag_source_path(el->diag, e->key->loc.source), el->file) == 0;
    }
    c->set = rows.at;
    c->nset = rows.n;
    if (fixture && fixture->kind == TREE_SCALAR) {
        const char *dir = said_in(el, fixture);
        c->fixture = *dir ? str_printf(el->arena, "%s/%s", dir, fixture->text) : fixture->text;
    }
    if (loss)
        c->has_loss =
            value_to_float(el, tree_eval(el, el->scope, loss, NULL), loss->loc, "loss", &c->loss);
}

static bool apply_sets(Elab *el, Tree *root)
{
    const Tree *check = tree_get(root, "check"), *set = tree_get(check, "set");
    bool ok = true;
    for (uint32_t i = 0; i < el->options->nset; i++) ok &= set_apply(el, root, i);
    if (el->options->use_check) // last: the case has its own sizes, whatever the user sets
        for (uint32_t i = 0; set && i < set->entries.n; i++)
            if (strcmp(set->entries.at[i].key->text, "shapes") || tree_get(root, "shapes"))
                ok &= set_row(el, root, &set->entries.at[i]); // shapes=null goes before
    return ok;
}

static void check_sections(Elab *el)
{
    static const struct {
        const char *name;
        MappingId id;
    } sections[] = {{"data", MAPPING_DATA},
                    {"train", MAPPING_TRAIN},
                    {"eval", MAPPING_EVAL},
                    {"checkpoint", MAPPING_CHECKPOINT},
                    {"log", MAPPING_LOG}};
    for (uint32_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const Tree *t = tree_get(el->root, sections[i].name);
        if (t) keys_check(el, t, sections[i].id, false);
    }
    if (tree_get(el->root, "train")) return;
    Loc head = el->root->loc;
    head.end = head.begin + 1;
    el_error(el, head, "a graph file needs 'train'");
}

static const char *graph_name(Elab *el, const char *path)
{
    const Tree *t = tree_get(el->root, "name");
    if (t && t->kind == TREE_SCALAR) return t->text;
    char *base = basename(str_copy(el->arena, path));
    char *dot = strrchr(base, '.');
    return dot ? str_slice(el->arena, base, (size_t)(dot - base)) : base;
}

Program *program_begin(Elab *el, const char *name)
{
    Program *p = program_new(el->arena, el->diag, name, el->batch);
    p->steps = el->steps;
    p->seed = el->seed;
    p->precision = el->precision;
    p->accumulate = el->parts;
    p->memory = el->memory;
    return p;
}

// What a judge knows.
typedef struct Judge {
    const char *path;
    FrontendOptions options;
} Judge;

static uint32_t errors_with(const void *self, const char *text)
{
    const Judge *j = self;
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    diag_overlay(diag, j->path, text);
    frontend_load(arena, diag, j->path, &j->options);
    const uint32_t n = diag_errors(diag);
    arena_free(arena);
    return n;
}

TreeJudge frontend_judge(Arena *arena, const char *path, const FrontendOptions *options)
{
    Judge *j = arena_make(arena, Judge);
    j->path = path;
    if (options) j->options = *options;
    j->options.no_trials = j->options.trial = true;
    return (TreeJudge){errors_with, j};
}

Frontend *frontend_load(Arena *arena, Diag *diag, const char *path, const FrontendOptions *options)
{
    static const FrontendOptions none = {0};
    Elab *el = arena_make(arena, Elab);
    Loc start = {0};
    uint32_t before = diag_errors(diag);
    el->arena = arena;
    el->diag = diag;
    el->options = options ? options : &none;
    el->file = path;
    el->base_dir = folder_of(el, path);
    el->failed_shape = 1;
    el->out = arena_make(arena, Frontend);
    Tree *root = graph_read(el, path);
    if (!root) return NULL;
    apply_sets(el, root);
    el->root = root;
    keys_check(el, root, MAPPING_GRAPH, false);
    version_check(el, root);
    check_sections(el);
    names_check(el);
    library_file(el, "prelude", el->base_dir, start);
    const Tree *imports = tree_get(root, "import");
    if (imports) library_import(el, imports);
    shapes_read(el);
    settings_read(el);
    read_check(el);
    el->out->program = el->program = program_begin(el, graph_name(el, path));
    entries_build(el);
    if (diag_errors(diag) == before) return el->out;
    guesses_try(el, path);
    return NULL;
}
