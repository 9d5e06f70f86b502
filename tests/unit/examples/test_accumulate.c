// Every loss and every kind of expert of the library, as compiled code: steps in parts of their
// batch give the losses of the whole step, and parameters, optimiser state and slow copies to a
// millionth of their tensor's largest, over two updates, the second of which sees what the first
// did. Evaluation in parts gives the same metrics. Gradients through batch norm are differences of
// large sums, so there it is a hundred-thousandth.
#include "frontend/tree.h"
#include "steps.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <math.h>
#include <string.h>

#define GRAPHS CZT_SOURCE_DIR "/tests/graphs/"

typedef struct Method {
    const char *path;
    uint32_t losses, parameters; // all of its losses are on
    double near;                 // share of a tensor's largest
} Method;

static const Method methods[] = {{GRAPHS "accumulate.yaml", 11, 100, 1e-6},
                                 {GRAPHS "accumulate_methods.yaml", 14, 150, 1e-6},
                                 {GRAPHS "accumulate_norm.yaml", 1, 20, 1e-5}};
enum { METHODS = sizeof methods / sizeof *methods };

static Steps open_parts(const Method *g, int parts)
{
    char text[32];
    const char *set[] = {text};
    snprintf(text, sizeof text, "train.accumulate=%d", parts);
    return steps_open(&(Source){.path = g->path, .set = set, .nset = 1});
}

// ---- steps --------------------------------------------------------------------------------------

static void same_numbers(const Steps *whole, const Steps *parts, const char *entry,
                         const char *when)
{
    const Entry *e = program_find_entry((Program *)whole->program, entry);
    for (uint32_t i = 0; i < e->outputs.n; i++) {
        const char *name = e->outputs.at[i].name;
        if (name[0] == '$') continue;
        double x = steps_output(whole, entry, name), y = steps_output(parts, entry, name);
        cr_expect(isfinite(x) && (x != 0 || strcmp(entry, "metrics") == 0), "%s is %g", name, x);
        cr_expect(fabs(x - y) <= 1e-6 * fmax(1, fabs(x)), "%s: %s is %.9g, not %.9g", when, name, y,
                  x);
    }
}

// In the first update, by how much a parameter changed is its clipped gradient. `noise` is what is
// nothing: the momentum of a bias that no loss depends on is rounding alone, from the second on.
static void same_state(const Steps *whole, const Steps *parts, const Method *g, double noise,
                       const char *when)
{
    uint32_t compared = 0;
    for (uint32_t k = 0; k < whole->program->states.n; k++) {
        const StateVar *v = &whole->program->states.at[k];
        size_t bytes, others;
        if (v->kind != STATE_PARAM && v->kind != STATE_OPT && v->kind != STATE_EMA) continue;
        const float *x = steps_state(whole, v->name, &bytes),
                    *y = steps_state(parts, v->name, &others);
        cr_assert(x && y && bytes == others, "%s", v->name);
        double most = 0, apart = 0;
        for (size_t i = 0; i < bytes / sizeof *x; i++) {
            most = fmax(most, fabs((double)x[i]));
            apart = fmax(apart, fabs((double)x[i] - (double)y[i]));
        }
        cr_expect(apart <= g->near * most + noise, "%s: %s is %g off, its largest is %g", when,
                  v->name, apart, most);
        compared += most > 0;
    }
    cr_expect_gt(compared, g->parameters);
}

static void check_metrics(Steps *whole, Steps *parts, int n)
{
    steps_run(whole, "eval", 2);
    for (int part = 0; part < n; part++) steps_run_part(parts, "eval", 2, n, part);
    steps_run(whole, "metrics", 2);
    steps_run(parts, "metrics", 2);
    same_numbers(whole, parts, "metrics", str_printf(whole->arena, "%d parts", n));
}

static void check_parts(Steps *whole, const Method *g, int n)
{
    Steps parts = open_parts(g, n);
    steps_init(whole);
    steps_init(&parts);
    for (int update = 0; update < 2; update++) {
        const char *when = str_printf(whole->arena, "%d parts, update %d", n, update);
        steps_run(whole, "step", update);
        steps_run(&parts, "step", update);
        same_numbers(whole, &parts, "step", when);
        same_state(whole, &parts, g, update ? 1e-8 : 1e-15, when);
    }
    if (program_find_entry((Program *)whole->program, "metrics")) check_metrics(whole, &parts, n);
    steps_close(&parts);
}

// Two parts, more, and parts of one sample.
static void check_graph(const Method *g)
{
    Steps whole = open_parts(g, 1);
    const Entry *e = program_find_entry((Program *)whole.program, "step");
    cr_expect_eq(e->outputs.n, g->losses + 2, "%s: its losses, the loss, $finite", g->path);
    for (int n = 2; n <= 8; n *= 2) check_parts(&whole, g, n);
    steps_close(&whole);
}

Test(accumulate, losses_and_targets)
{
    check_graph(&methods[0]);
}

Test(accumulate, methods_and_kinds)
{
    check_graph(&methods[1]);
}

Test(accumulate, running_means)
{
    check_graph(&methods[2]);
}

// ---- nothing of the library is left out ---------------------------------------------------------

// The texts that stand under `module:` and `kind:`, anywhere below.
static void named(Arena *arena, const Tree *t, Map *names)
{
    for (uint32_t i = 0; i < t->items.n; i++) named(arena, t->items.at[i], names);
    for (uint32_t i = 0; i < t->entries.n; i++) {
        const char *key = t->entries.at[i].key->text;
        const Tree *value = t->entries.at[i].value;
        bool names_one = strcmp(key, "module") == 0 || strcmp(key, "kind") == 0;
        if (names_one && value->kind == TREE_SCALAR) map_set(arena, names, value->text, names);
        named(arena, value, names);
    }
}

static const Tree *read_tree(Arena *arena, const char *path)
{
    const Tree *t = tree_read_file(arena, diag_new(arena), path, (Loc){0}, NULL);
    cr_assert(t, "%s is no YAML", path);
    return t;
}

// Of a library file: its kinds of experts, and its modules that give a numerator.
static uint32_t check_file(const Tree *file, const char *path, const Map *used)
{
    const Tree *kinds = tree_get(file, "experts"), *modules = tree_get(file, "modules");
    uint32_t n = 0;
    for (uint32_t i = 0; kinds && i < kinds->entries.n; i++, n++)
        cr_expect(map_get(used, kinds->entries.at[i].key->text), "no graph has the kind %s of %s",
                  kinds->entries.at[i].key->text, path);
    for (uint32_t i = 0; modules && i < modules->entries.n; i++) {
        const TreeEntry *m = &modules->entries.at[i];
        if (!tree_get(tree_get(m->value, "out"), "num")) continue;
        cr_expect(map_get(used, m->key->text), "no graph has the loss %s of %s", m->key->text,
                  path);
        n++;
    }
    return n;
}

Test(accumulate, graphs_have_every_loss_and_kind)
{
    Arena *arena = arena_new();
    Map used = {0};
    glob_t files;
    uint32_t n = 0;
    for (int i = 0; i < METHODS; i++) named(arena, read_tree(arena, methods[i].path), &used);
    cr_assert_eq(glob(CZT_SOURCE_DIR "/graphs/lib/*/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        n += check_file(read_tree(arena, files.gl_pathv[i]), files.gl_pathv[i], &used);
    cr_expect_geq(n, 19, "%u losses and kinds in the library", n);
    globfree(&files);
    arena_free(arena);
}
