// Values and slopes of the library's functions, also where they have corners.
#include <criterion/criterion.h>
#include <math.h>

#include "frontend/frontend.h"
#include "passes/pass.h"

typedef struct Slope {
    const char *function;
    double at, value, slope;
} Slope;

static const Slope slopes[] = {
    {"softplus(w)", 0, M_LN2, 0.5},
    {"softplus(w)", 2, 2.1269280110429727, 0.8807970779778823},
    {"softplus(w)", -40, 4.248354255291589e-18, 4.248354255291589e-18},
    {"softplus(w)", 80, 80, 1},
    {"relu(w)", 0, 0, 0},
    {"relu(w)", 3, 3, 1},
    {"sigmoid(w)", 0, 0.5, 0.25},
    {"silu(w)", 0, 0, 0.5},
    {"gelu(w)", 0, 0, 0.5},
    {"abs(w)", 0, 0, 0},
    {"clamp(w, -1, 1)", 0.5, 0.5, 1},
    {"clamp(w, -1, 1)", 2, 1, 0},
    {"max(w, 0 * w)", 0, 0, 0}, // where two are equal, the second one has the slope
    {"max(0 * w, w)", 0, 0, 1},
    {"min(w, 0 * w)", 0, 0, 0},
    {"min(0 * w, w)", 0, 0, 1},
};

static Map run(Arena *a, Program *p, const char *name, const Map *state)
{
    const Entry *e = program_find_entry(p, name);
    Map inputs = {0}, out = {0};
    Error err = {0};
    for (uint32_t i = 1; i < e->graph->nodes.n; i++) {
        const Node *n = graph_node(e->graph, i);
        if (n->op != OP_INPUT) continue;
        Tensor *t = arena_make(a, Tensor);
        *t = (Tensor){.type = n->type, .data = arena_alloc(a, 64)};
        memset(t->data, 0, 64);
        map_set(a, &inputs, node_str(n, ATTR_NAME), t);
    }
    cr_assert(entry_eval(e, EVAL_F64, &inputs, state, a, &out, &err), "%s", err.text);
    return out;
}

static double number(const Map *out, const char *name)
{
    const Tensor *t = map_get(out, name);
    cr_assert(t, "no %s", name);
    return *(const double *)t->data;
}

Test(functions, have_their_slopes)
{
    for (size_t i = 0; i < sizeof slopes / sizeof *slopes; i++) {
        const Slope *s = &slopes[i];
        Arena *a = arena_new();
        Diag *diag = diag_new(a);
        const char *const sets[] = {
            str_printf(a, "at=%g", s->at),
            str_printf(a, "losses.one.loss=\"0 * sum(x, axis=1) + %s\"", s->function)};
        FrontendOptions o = {
            .lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = sets, .nset = 2, .grads = true};
        Frontend *f = frontend_load(a, diag, CZT_SOURCE_DIR "/tests/graphs/scalar.yaml", &o);
        if (!f) diag_print(diag, stderr);
        cr_assert(f, "%s", s->function);
        Error err = {0};
        cr_assert(passes_run(f->program, &(PassOptions){.list = "autodiff,dce"}, &err), "%s",
                  err.text);
        Map state = {0}, begin = run(a, f->program, "init", &state);
        for (uint32_t k = 0; k < begin.n; k++)
            map_set(a, &state, begin.at[k].key + strlen("state:"), begin.at[k].value);
        const Map out = run(a, f->program, "step", &state);
        cr_expect_float_eq(number(&out, "out:loss"), s->value, 1e-12, "%s at %g is %.17g",
                           s->function, s->at, number(&out, "out:loss"));
        cr_expect_float_eq(number(&out, "out:grad.w"), s->slope, 1e-12,
                           "%s at %g has the slope %.17g", s->function, s->at,
                           number(&out, "out:grad.w"));
        arena_free(a);
    }
}
