// Steps in parts against the whole step: every tests/accumulate/*.ir is run both ways by the
// interpreter in f64, in 2, 4 and 8 parts of its batch of 8, and gives the same outputs and
// updates. A first line "# features: none" or "# features: OP OP .." holds pass accumulate to the
// products and other ops that its first pass over the parts may need: none of "dot" where it is not
// listed. "crossing: N" is the most elements that a value has which passes from one entry to
// another.
#include "base/file.h"
#include "gradcheck.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>

#define FOLDER CZT_SOURCE_DIR "/tests/accumulate"

typedef struct Both {
    Arena *arena;
    const char *name, *text;
    Map state, inputs; // of the whole step
} Both;

static Program *read_program(const Both *t, int64_t parts)
{
    Diag *diag = diag_new(t->arena);
    Program *p =
        program_parse(t->arena, diag, diag_source(diag, t->name, t->text, strlen(t->text)));
    if (!p) diag_print(diag, stderr);
    cr_assert(p, "%s does not parse", t->name);
    p->accumulate = parts;
    case_run(p, "accumulate,autodiff");
    return p;
}

static size_t width(DType dt)
{
    return dtype_is_float(dt) ? sizeof(double) : (size_t)dtype_size(dt);
}

// Values by name alone; integers below 4.
static Tensor *drawn(Arena *arena, const char *name, const Type *type, bool zeros)
{
    int64_t n = type_count(type);
    uint64_t seed = hash_str(5, name);
    Tensor *t = arena_make(arena, Tensor);
    *t = (Tensor){type, arena_alloc(arena, (size_t)n * 8)};
    memset(t->data, 0, (size_t)n * 8);
    for (int64_t i = 0; i < n && !zeros; i++) {
        double x = case_random(&seed);
        if (dtype_is_float(type->dtype))
            ((double *)t->data)[i] = 2 * x - 1;
        else if (type->dtype == DT_I64)
            ((int64_t *)t->data)[i] = name[0] == '$' ? 3 : (int64_t)(4 * x);
        else if (type->dtype == DT_I32)
            ((int32_t *)t->data)[i] = (int32_t)(4 * x);
        else
            ((uint8_t *)t->data)[i] = (uint8_t)(2 * x);
    }
    return t;
}

static void draw_states(Both *t, const Program *p)
{
    for (uint32_t i = 0; i < p->states.n; i++) {
        const StateVar *v = &p->states.at[i];
        map_set(t->arena, &t->state, v->name,
                drawn(t->arena, v->name, v->type, v->kind == STATE_TRANSIENT));
    }
}

// The inputs of an entry: drawn for the whole batch, or the rows of a part of what was.
static Map inputs_of(Both *t, const Entry *e, int64_t part)
{
    Map map = {0};
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op != OP_INPUT) continue;
        const char *name = node_str(n, ATTR_NAME);
        Tensor *own = arena_make(t->arena, Tensor), *all = map_get(&t->inputs, name);
        if (!all) {
            all = drawn(t->arena, name, n->type, false);
            map_set(t->arena, &t->inputs, name, all);
        }
        *own = (Tensor){n->type, all->data};
        if (strcmp(name, "$part") == 0)
            own->data = arena_copy(t->arena, &part, sizeof part);
        else if (type_count(n->type) < type_count(all->type))
            own->data =
                (uint8_t *)all->data + (size_t)(part * type_count(n->type)) * width(n->type->dtype);
        map_set(t->arena, &map, name, own);
    }
    return map;
}

static Map run_entry(Both *t, const Entry *e, int64_t part)
{
    Map inputs = inputs_of(t, e, part), out = {0};
    Error err = {0};
    cr_assert(entry_eval(e, EVAL_F64, &inputs, &t->state, t->arena, &out, &err), "%s: %s: %s",
              t->name, e->name, err.text);
    for (uint32_t i = 0; i < out.n; i++)
        if (strncmp(out.at[i].key, "state:", 6) == 0)
            map_set(t->arena, &t->state, out.at[i].key + 6, out.at[i].value);
    return out;
}

// Outputs and updates of a step, with all that runs before it.
static Map run_step(Both *t, Program *p)
{
    const Entry *step = program_find_entry(p, "step");
    t->state = (Map){0};
    draw_states(t, p);
    for (uint32_t i = 0; i < step->before.n; i++)
        for (int64_t part = 0; part < step->before.at[i].parts; part++)
            run_entry(t, program_find_entry(p, step->before.at[i].entry), part);
    return run_entry(t, step, 0);
}

static double value_at(const Tensor *t, int64_t i)
{
    switch (t->type->dtype) {
    case DT_I64: return (double)((int64_t *)t->data)[i];
    case DT_I32: return ((int32_t *)t->data)[i];
    case DT_BOOL:
    case DT_U8: return ((uint8_t *)t->data)[i];
    default: return ((double *)t->data)[i];
    }
}

static void same(const Both *t, int64_t parts, const Map *want, const Map *got)
{
    cr_expect_eq(want->n, got->n);
    for (uint32_t k = 0; k < want->n; k++) {
        const Tensor *a = want->at[k].value, *b = map_get(got, want->at[k].key);
        cr_assert(b && type_equal(a->type, b->type), "%s: %s", t->name, want->at[k].key);
        for (int64_t i = 0; i < type_count(a->type); i++) {
            double x = value_at(a, i), y = value_at(b, i);
            cr_assert(fabs(x - y) <= 1e-12 * fmax(1, fabs(x)) || (isnan(x) && isnan(y)),
                      "%s in %lld parts: %s[%lld] is %.17g, not %.17g", t->name, (long long)parts,
                      want->at[k].key, (long long)i, y, x);
        }
    }
}

static void check_features(const Both *t, const Program *p)
{
    static const char asked[] = "# features:";
    Entry *e = program_find_entry((Program *)p, "step.features");
    if (strncmp(t->text, asked, sizeof asked - 1) != 0) return;
    const char *line = str_slice(t->arena, t->text, strcspn(t->text, "\n"));
    cr_expect_eq(!e, strstr(line, " none") != NULL, "%s: step.features", t->name);
    for (NodeId id = 1; e && id < e->graph->nodes.n; id++)
        cr_expect(graph_node(e->graph, id)->op != OP_DOT || strstr(line, " dot"),
                  "%s: step.features has a product", t->name);
}

static void check_crossing(const Both *t, const Program *p)
{
    static const char asked[] = "crossing: ";
    const char *line = str_slice(t->arena, t->text, strcspn(t->text, "\n"));
    const char *at = strstr(line, asked);
    int64_t most = at ? strtoll(at + sizeof asked - 1, NULL, 10) : INT64_MAX;
    for (uint32_t i = 0; i < p->states.n; i++) {
        const StateVar *v = &p->states.at[i];
        if (strncmp(v->name, "$part.", 6) == 0)
            cr_expect_leq(type_count(v->type), most, "%s: %s has %lld elements", t->name, v->name,
                          (long long)type_count(v->type));
    }
}

static void check_file(const char *file)
{
    Both t = {.arena = arena_new(), .name = file};
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, str_printf(t.arena, FOLDER "/%s", file), &err), "%s", err.text);
    t.text = str_slice(t.arena, (const char *)map.data, map.size);
    file_unmap(&map);
    Map want = run_step(&t, read_program(&t, 1));
    for (int64_t parts = 2; parts <= 8; parts *= 2) {
        Program *p = read_program(&t, parts);
        cr_assert(program_find_entry(p, "step")->before.n, "%s: not in parts", file);
        check_features(&t, p);
        check_crossing(&t, p);
        Map got = run_step(&t, p);
        same(&t, parts, &want, &got);
    }
    arena_free(t.arena);
}

Test(accumulate, parts_give_what_the_whole_gives)
{
    DIR *dir = opendir(FOLDER);
    uint32_t n = 0;
    cr_assert(dir, FOLDER);
    for (struct dirent *d; (d = readdir(dir));) {
        size_t size = strlen(d->d_name);
        if (size < 4 || strcmp(d->d_name + size - 3, ".ir") != 0) continue;
        check_file(d->d_name);
        n++;
    }
    closedir(dir);
    cr_assert_geq(n, 11);
}
