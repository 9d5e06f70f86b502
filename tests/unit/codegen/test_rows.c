// Twelve functions of rows, written over primitive ops: each must become one kernel forward, and at
// most one more with its gradients towards the rows and a parameter vector, though nothing in the
// compiler knows them. Second stages of column sums and the last stages of the loss, which make
// single numbers, do not count (kernels_counted). Results are compared bit for bit.
#include "executors.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>

enum { BATCH = 4, TOKENS = 150, WIDTH = 70 };

typedef struct Rows {
    Arena *arena;
    Program *program;
    Graph *g;
    const Type *full, *row; // (B, N, D), (B, N)
    NodeId param;           // a vector of D that y depends on, or 0
} Rows;

// ---- what every function is written with
// ------------------------------------------------------------------

static NodeId input(Rows *r, const char *name, const Type *like, DType dt)
{
    return graph_input(r->g, name, type_new(r->arena, dt, like->rank, like->axes));
}

static NodeId vector(Rows *r, const char *name)
{
    const Type *type = type_new(r->arena, DT_F32, 1, (Axis[]){{WIDTH, 0}});
    if (!program_find_state(r->program, name))
        program_state(r->program, name, STATE_PARAM, type, (Loc){0})->trainable = true;
    return r->param = graph_state(r->g, name, type);
}

static NodeId number(Rows *r, double x)
{
    return graph_const(r->g, DT_F32, x);
}

static NodeId reduced(Rows *r, OpCode op, NodeId x)
{
    return graph_reduce(r->g, op, x, (int64_t[]){2}, 1, true, false);
}

static NodeId mean(Rows *r, NodeId x)
{
    return graph_binary(r->g, OP_MUL, reduced(r, OP_SUM, x), number(r, 1.0 / WIDTH));
}

static NodeId flat(Rows *r, NodeId x) // (B, N, 1) to (B, N)
{
    return graph_reshape(r->g, x, r->row->rank, r->row->axes);
}

#define add(x, y) graph_binary(r->g, OP_ADD, x, y)
#define sub(x, y) graph_binary(r->g, OP_SUB, x, y)
#define mul(x, y) graph_binary(r->g, OP_MUL, x, y)
#define divide(x, y) graph_binary(r->g, OP_DIV, x, y)
#define un(op, x) graph_unary(r->g, OP_##op, x)
#define sum(x) reduced(r, OP_SUM, x)

static NodeId softmax(Rows *r, NodeId x)
{
    NodeId e = un(EXP, sub(x, reduced(r, OP_REDUCE_MAX, x)));
    return divide(e, sum(e));
}

static NodeId norm(Rows *r, NodeId x)
{
    return un(SQRT, add(sum(mul(x, x)), number(r, 1e-6)));
}

// bool: is this the column that the row's target names?
static NodeId is_target(Rows *r)
{
    NodeId t = input(r, "target", r->row, DT_I32),
           at = graph_iota(r->g, DT_I32, 3, r->full->axes, 2);
    return graph_binary(r->g, OP_EQ, at,
                        graph_broadcast(r->g, t, 3, r->full->axes, (int64_t[]){0, 1}));
}

static NodeId at_target(Rows *r, NodeId x)
{
    return sum(graph_select(r->g, is_target(r), x, number(r, 0)));
}

// ---- the functions
// ----------------------------------------------------------------------------------------

static NodeId rms_norm(Rows *r, NodeId x)
{
    NodeId scale = un(SQRT, add(mean(r, mul(x, x)), number(r, 1e-6)));
    return mul(divide(x, scale), vector(r, "w"));
}

static NodeId layer_norm(Rows *r, NodeId x)
{
    NodeId c = sub(x, mean(r, x)), sd = un(SQRT, add(mean(r, mul(c, c)), number(r, 1e-5)));
    NodeId b = vector(r, "b");
    return add(mul(divide(c, sd), vector(r, "w")), b);
}

static NodeId masked_temperature_softmax(Rows *r, NodeId x)
{
    NodeId seen = input(r, "mask", r->full, DT_BOOL), hot = divide(x, un(EXP, vector(r, "tau")));
    return softmax(r, graph_select(r->g, seen, hot, number(r, -1e9)));
}

static NodeId log_softmax_nll(Rows *r, NodeId x)
{
    return flat(r, sub(reduced(r, OP_LOGSUMEXP, x), at_target(r, x)));
}

static NodeId cosine(Rows *r, NodeId x)
{
    NodeId z = input(r, "z", r->full, DT_F32);
    return divide(sum(mul(x, z)), mul(norm(r, x), norm(r, z)));
}

static NodeId cosine_similarity(Rows *r, NodeId x)
{
    return flat(r, cosine(r, mul(x, vector(r, "w"))));
}

static NodeId angular_distance(Rows *r, NodeId x)
{
    NodeId c = mul(cosine(r, x), number(r, 0.999));
    NodeId other = un(SQRT, sub(number(r, 1), mul(c, c)));
    return flat(r,
                sub(number(r, 1), mul(un(ATAN, divide(c, other)), number(r, 0.6366197723675814))));
}

static NodeId standardise(Rows *r, NodeId x)
{
    NodeId c = sub(x, mean(r, x));
    return mul(divide(c, add(mean(r, un(ABS, c)), number(r, 1e-5))), vector(r, "w"));
}

static NodeId logsumexp_margin(Rows *r, NodeId x)
{
    NodeId margin = graph_select(r->g, is_target(r), number(r, 0), number(r, 0.2));
    return flat(r, sub(reduced(r, OP_LOGSUMEXP, add(x, margin)), at_target(r, x)));
}

static NodeId weighted_mean(Rows *r, NodeId x)
{
    return flat(r, sum(mul(softmax(r, mul(x, vector(r, "w"))), x)));
}

static NodeId huber(Rows *r, NodeId x)
{
    NodeId z = input(r, "z", r->full, DT_F32);
    NodeId d = un(ABS, sub(divide(x, norm(r, x)), divide(z, norm(r, z)))), delta = number(r, 0.1);
    NodeId square = mul(mul(d, d), number(r, 0.5)), line = mul(delta, sub(d, number(r, 0.05)));
    return flat(r, sum(graph_select(r->g, graph_binary(r->g, OP_LT, d, delta), square, line)));
}

static NodeId softplus_gated_sum(Rows *r, NodeId x)
{
    NodeId s = mul(x, vector(r, "w"));
    NodeId tail = un(LOG, add(un(EXP, un(NEG, un(ABS, s))), number(r, 1)));
    return flat(r, sum(mul(add(graph_binary(r->g, OP_MAX, s, number(r, 0)), tail), x)));
}

static NodeId softmax_entropy(Rows *r, NodeId x)
{
    NodeId p = softmax(r, mul(x, vector(r, "w")));
    return flat(r, un(NEG, sum(mul(p, un(LOG, add(p, number(r, 1e-9)))))));
}

typedef struct RowFunction {
    const char *name;
    NodeId (*make)(Rows *r, NodeId x);
} RowFunction;

static const RowFunction functions[] = {
    {"rms_norm", rms_norm},
    {"layer_norm", layer_norm},
    {"masked_temperature_softmax", masked_temperature_softmax},
    {"log_softmax_nll", log_softmax_nll},
    {"cosine_similarity", cosine_similarity},
    {"angular_distance", angular_distance},
    {"standardise", standardise},
    {"logsumexp_margin", logsumexp_margin},
    {"weighted_mean", weighted_mean},
    {"huber", huber},
    {"softplus_gated_sum", softplus_gated_sum},
    {"softmax_entropy", softmax_entropy},
};

// ---- programs
// ---------------------------------------------------------------------------------------------

static Entry *begin(Rows *r, const char *name)
{
    Entry *e = program_entry(r->program, name);
    r->g = e->graph;
    r->param = 0;
    return e;
}

static void output(Rows *r, Entry *e, const char *name, NodeId x)
{
    vec_push(r->arena, &e->outputs, (NamedNode){name, x});
}

// Entry "forward" gives y; entry "both" also the loss sum(y * t) and its gradients.
static const char *text_of(Arena *arena, const RowFunction *f)
{
    Rows rows = {.arena = arena, .program = program_new(arena, diag_new(arena), f->name, BATCH)},
         *r = &rows;
    r->full = type_new(arena, DT_F32, 3, (Axis[]){{BATCH, 1}, {TOKENS, 0}, {WIDTH, 0}});
    r->row = type_new(arena, DT_F32, 2, r->full->axes);
    Entry *forward = begin(r, "forward");
    output(r, forward, "y", f->make(r, input(r, "x", r->full, DT_F32)));
    Entry *both = begin(r, "both");
    NodeId x = input(r, "x", r->full, DT_F32), y = f->make(r, x);
    NodeId e = mul(y, input(r, "t", graph_type(r->g, y), DT_F32));
    if (graph_type(r->g, e)->rank == 3) e = flat(r, sum(e));
    NodeId loss = graph_reduce(r->g, OP_SUM, e, (int64_t[]){0, 1}, 2, false, true);
    output(r, both, "y", y);
    output(r, both, "loss", loss);
    output(r, both, "gx", graph_add(r->g, OP_GRAD, 2, (NodeId[]){loss, x}, 0, NULL));
    if (r->param)
        output(r, both, "gw", graph_add(r->g, OP_GRAD, 2, (NodeId[]){loss, r->param}, 0, NULL));
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    program_print(r->program, out);
    fclose(out);
    const char *copy = str_slice(arena, text, size);
    free(text);
    return copy;
}

enum { FUNCTIONS = sizeof functions / sizeof *functions };

ParameterizedTestParameters(rows, one_kernel_each_way)
{
    static int numbers[FUNCTIONS];
    for (int i = 0; i < FUNCTIONS; i++) numbers[i] = i;
    return cr_make_param_array(int, numbers, FUNCTIONS);
}

ParameterizedTest(int *number_of, rows, one_kernel_each_way)
{
    Arena *arena = arena_new();
    const RowFunction *f = &functions[*number_of];
    const char *text = text_of(arena, f);
    if (getenv("CZT_TEXT")) puts(text);
    KernelCount forward = kernels_counted(f->name, text, "forward"),
                both = kernels_counted(f->name, text, "both");
    if (getenv("CZT_COUNTS"))
        fprintf(stderr, "%s: forward %u, both %u + %u finish + %u scalar\n", f->name,
                forward.kernels, both.kernels, both.finish, both.scalars);
    cr_expect(forward.kernels == 1 && forward.scalars == 0, "%s: %u kernels forward", f->name,
              forward.kernels);
    cr_expect(both.kernels <= 2, "%s: %u kernels forward and backward", f->name, both.kernels);
    cr_expect(both.finish <= 2 && both.scalars <= 2, "%s: %u and %u small ones", f->name,
              both.finish, both.scalars);
    same_on_both(f->name, text, FUSE_ALL, (uint32_t[]){3, 0});
    arena_free(arena);
}
