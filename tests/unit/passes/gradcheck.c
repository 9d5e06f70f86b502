// The gradient checker: one program with an entry for the loss and one for its gradients.
#include "gradcheck.h"

#include <criterion/criterion.h>
#include <math.h>

double case_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static NodeId add_input(GradCase *c, DType dt, double lo, double hi, uint32_t rank,
                        const Axis *axes)
{
    char *name = str_printf(c->arena, "x%u", c->inputs.n);
    NodeId node = graph_input(c->g, name, type_new(c->arena, dt, rank, axes));
    vec_push(c->arena, &c->inputs, (GradInput){name, node, lo, hi});
    return node;
}

NodeId case_float(GradCase *c, double lo, double hi, uint32_t rank, const Axis *axes)
{
    return add_input(c, DT_F32, lo, hi, rank, axes);
}

NodeId case_int(GradCase *c, int64_t lo, int64_t hi, uint32_t rank, const Axis *axes)
{
    return add_input(c, DT_I32, (double)lo, (double)hi, rank, axes);
}

Program *case_program(void)
{
    Arena *arena = arena_new();
    return program_new(arena, diag_new(arena), "case", CASE_BATCH);
}

void case_run(Program *p, const char *passes)
{
    Error err = {0};
    bool good = passes_run(p, &(PassOptions){.list = passes}, &err);
    if (!good) diag_print(p->diag, stderr);
    cr_assert(good, "%s: %s", passes, err.text);
}

// Build the case into a new entry; the loss is sum(value * weights).
static GradCase build_entry(Program *p, Entry *e, GradBuild *build, NodeId *loss)
{
    GradCase c = {.arena = p->arena, .diag = p->diag, .g = e->graph};
    NodeId value = build(&c);
    if (!value) diag_print(p->diag, stderr);
    cr_assert(value, "the case does not build");
    const Type *t = graph_type(c.g, value);
    NodeId weights = graph_input(c.g, "weights", t);
    int64_t *axes = arena_array(p->arena, int64_t, t->rank + 1);
    for (uint32_t i = 0; i < t->rank; i++) axes[i] = i;
    *loss = graph_reduce(c.g, OP_SUM, graph_binary(c.g, OP_MUL, value, weights), axes, t->rank,
                         false, true);
    vec_push(p->arena, &c.inputs, (GradInput){"weights", weights, -1, 1});
    return c;
}

static void draw(Arena *arena, const GradCase *c, Map *inputs)
{
    uint64_t state = 7;
    for (uint32_t i = 0; i < c->inputs.n; i++) {
        const GradInput *in = &c->inputs.at[i];
        const Type *type = graph_type(c->g, in->node);
        Tensor *t = arena_make(arena, Tensor);
        *t = (Tensor){type, arena_alloc(arena, (size_t)type_count(type) * 8)};
        for (int64_t k = 0; k < type_count(type); k++) {
            double v = in->lo + (in->hi - in->lo) * case_random(&state);
            if (type->dtype == DT_I32)
                ((int32_t *)t->data)[k] = (int32_t)floor(v);
            else
                ((double *)t->data)[k] = v;
        }
        map_set(arena, inputs, in->name, t);
    }
}

static double loss_at(const Entry *e, const Map *inputs)
{
    Arena *arena = arena_new();
    Map out = {0};
    Error err = {0};
    cr_assert(entry_eval(e, EVAL_F64, inputs, NULL, arena, &out, &err), "%s", err.text);
    double v = *(double *)((Tensor *)map_get(&out, "out:loss"))->data;
    arena_free(arena);
    return v;
}

static void compare(const char *name, const Entry *f, const Map *inputs, const GradInput *in,
                    const Tensor *gradient)
{
    const Tensor *x = map_get(inputs, in->name);
    double *v = x->data, h = 1e-5;
    cr_assert(type_equal(gradient->type, x->type), "%s: the gradient of %s has another type", name,
              in->name);
    for (int64_t k = 0; k < type_count(x->type); k++) {
        double at = v[k];
        v[k] = at + h;
        double up = loss_at(f, inputs);
        v[k] = at - h;
        double down = loss_at(f, inputs);
        v[k] = at;
        double want = (up - down) / (2 * h), have = ((double *)gradient->data)[k];
        cr_assert(fabs(want - have) <= 1e-6 * fmax(1, fabs(want)),
                  "%s: gradient of %s[%lld] is %.12g, differences say %.12g", name, in->name,
                  (long long)k, have, want);
    }
}

void check_gradient(const char *name, GradBuild *build, const char *passes)
{
    Program *p = case_program();
    Entry *f = program_entry(p, "f"), *df = program_entry(p, "df");
    NodeId loss;
    build_entry(p, f, build, &loss);
    vec_push(p->arena, &f->outputs, (NamedNode){"loss", loss});
    GradCase c = build_entry(p, df, build, &loss);
    Map inputs = {0}, out = {0};
    draw(p->arena, &c, &inputs);
    for (uint32_t i = 0; i < c.inputs.n; i++) {
        NodeId x = c.inputs.at[i].node;
        if (graph_type(c.g, x)->dtype != DT_F32) continue;
        NodeId dx = graph_add(c.g, OP_GRAD, 2, (NodeId[]){loss, x}, 0, NULL);
        vec_push(p->arena, &df->outputs, (NamedNode){c.inputs.at[i].name, dx});
    }
    vec_push(p->arena, &df->outputs, (NamedNode){"loss", loss});
    case_run(p, passes);
    Error err = {0};
    cr_assert(entry_eval(df, EVAL_F64, &inputs, NULL, p->arena, &out, &err), "%s: %s", name,
              err.text);
    for (uint32_t i = 0; i < c.inputs.n; i++) {
        const Tensor *dx = map_get(&out, str_printf(p->arena, "out:%s", c.inputs.at[i].name));
        if (dx) compare(name, f, &inputs, &c.inputs.at[i], dx);
    }
    arena_free(p->arena);
}
