// update: of modules: running means after a step, of all applications; none of copies,
// teachers and entries that train nothing; those that freeze: rows rest.
#include <criterion/criterion.h>
#include <math.h>

#include "frontend/frontend.h"
#include "passes/pass.h"

enum { BATCH = 4, PLACES = 16, CHANNELS = 3, VALUES = BATCH * PLACES * CHANNELS };

static Program *load(Arena *a, const char *const *sets, uint32_t nsets)
{
    Diag *diag = diag_new(a);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = sets, .nset = nsets};
    Frontend *f = frontend_load(a, diag, CZT_SOURCE_DIR "/tests/graphs/running.yaml", &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    Error err = {0};
    cr_assert(passes_run(f->program, &(PassOptions){.list = "autodiff,dce"}, &err), "%s", err.text);
    return f->program;
}

static double pixel(int i)
{
    return i * 37 % 256;
}

static double other(int i)
{
    return (i * 53 % 101) / 50.0 - 1;
}

static void run(Arena *a, Program *p, const char *name, Map *state, Map *out)
{
    const Entry *e = program_find_entry(p, name);
    Map inputs = {0};
    Error err = {0};
    cr_assert(e, "no entry %s", name);
    for (uint32_t i = 1; i < e->graph->nodes.n; i++) {
        const Node *n = graph_node(e->graph, i);
        if (n->op != OP_INPUT) continue;
        Tensor *t = arena_make(a, Tensor);
        const char *input = node_str(n, ATTR_NAME);
        *t = (Tensor){.type = n->type, .data = arena_alloc(a, VALUES * 8)};
        for (int k = 0; k < VALUES && input[0] != '$'; k++) {
            if (n->type->dtype == DT_U8) ((uint8_t *)t->data)[k] = (uint8_t)pixel(k);
            if (n->type->dtype == DT_F32) ((double *)t->data)[k] = other(k);
            if (n->type->dtype == DT_BOOL) ((uint8_t *)t->data)[k] = 1;
        }
        map_set(a, &inputs, input, t);
    }
    *out = (Map){0};
    cr_assert(entry_eval(e, EVAL_F64, &inputs, state, a, out, &err), "%s", err.text);
}

static const double *value(Arena *a, const Map *out, const char *state)
{
    const Tensor *t = map_get(out, str_printf(a, "state:%s", state));
    return t ? t->data : NULL;
}

// Mean and variance of a channel, as a step takes them in: by a quarter.
static void take(double (*x)(int), double scale, int channel, double *mean, double *var)
{
    double m = 0, v = 0, n = BATCH * PLACES;
    for (int i = channel; i < VALUES; i += CHANNELS) m += x(i) * scale / n;
    for (int i = channel; i < VALUES; i += CHANNELS) v += pow(x(i) * scale - m, 2) / (n - 1);
    *mean += 0.25 * (m - *mean);
    *var += 0.25 * (v - *var);
}

Test(running, values_are_the_mean_of_applications)
{
    Arena *a = arena_new();
    Program *p = load(a, NULL, 0);
    Map state = {0}, out;
    run(a, p, "init", &state, &out);
    for (uint32_t i = 0; i < out.n; i++) map_set(a, &state, out.at[i].key + 6, out.at[i].value);
    run(a, p, "step", &state, &out);
    cr_expect_eq(value(a, &out, "enc.seen")[0], 11);
    cr_expect_eq(value(a, &out, "enc.twice")[1], 22, "the row above it counts");
    for (int c = 0; c < CHANNELS; c++) {
        double mean = 0, var = 1;
        double mean2 = 0, var2 = 1;
        take(pixel, 1 / 255.0, c, &mean, &var);
        take(other, 1, c, &mean2, &var2);
        mean = (mean + mean2) / 2, var = (var + var2) / 2;
        cr_expect_float_eq(value(a, &out, "enc.norm.running_mean")[c], mean, 1e-9);
        cr_expect_float_eq(value(a, &out, "enc.norm.running_var")[c], var, 1e-7);
        double slow = value(a, &out, "slow.enc.norm.running_mean")[c];
        cr_expect_float_eq(slow, mean / 2, 1e-9, "a copy follows the student's");
    }
    cr_expect_null(value(a, &out, "teachers.big.seen"));
    run(a, p, "eval", &state, &out);
    cr_expect_null(value(a, &out, "enc.seen"));
    arena_free(a);
}

Test(running, freezing_rests_them)
{
    Arena *a = arena_new();
    const char *sets[] = {"train.freeze=[{match: [\"enc.norm.running_*\", \"!*_var\"]}]"};
    Program *p = load(a, sets, 1);
    Map state = {0}, out;
    run(a, p, "init", &state, &out);
    for (uint32_t i = 0; i < out.n; i++) map_set(a, &state, out.at[i].key + 6, out.at[i].value);
    run(a, p, "step", &state, &out);
    cr_expect_null(value(a, &out, "enc.norm.running_mean"));
    cr_expect(value(a, &out, "enc.norm.running_var"), "a glob with ! leaves it out");
    cr_expect_eq(value(a, &out, "enc.seen")[0], 11);
    arena_free(a);
}
