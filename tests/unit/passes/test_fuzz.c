// Random graphs: outputs and gradients are the same numbers after autodiff alone and after every
// pass. Tensors are f64, so that folded constants are no coarser than what is evaluated.
#include "gradcheck.h"

#include <criterion/criterion.h>
#include <math.h>

enum { GRAPHS = 400, STEPS = 24, LIMIT = 600 };

typedef struct Fuzz {
    Arena *arena;
    Graph *g;
    uint64_t state;
    VEC(NodeId) pool; // f64 tensors
} Fuzz;

static uint32_t pick(Fuzz *f, uint32_t n)
{
    return (uint32_t)(case_random(&f->state) * n);
}

// A value of the pool, the later ones more often, so that graphs grow deep.
static NodeId any(Fuzz *f)
{
    uint32_t a = pick(f, f->pool.n), b = pick(f, f->pool.n);
    return f->pool.at[a > b ? a : b];
}

static const Type *type_of(const Fuzz *f, NodeId x)
{
    return graph_type(f->g, x);
}
static int64_t *ints(Fuzz *f, uint32_t n)
{
    return arena_array(f->arena, int64_t, n + 1);
}

static NodeId random_const(Fuzz *f)
{
    static const double values[] = {0, 1, -1, 2, 0.5, -4};
    return graph_const(f->g, DT_F64, values[pick(f, 6)]);
}

static NodeId random_elementwise(Fuzz *f)
{
    static const OpCode unary[] = {OP_NEG, OP_ABS, OP_TANH, OP_SIN};
    static const OpCode two[] = {OP_ADD, OP_SUB, OP_MUL, OP_MAX, OP_MIN};
    NodeId x = any(f), y = random_const(f);
    if (pick(f, 3) == 0) return graph_unary(f->g, unary[pick(f, 4)], x);
    for (int tries = 0; tries < 8 && pick(f, 4); tries++) {
        NodeId z = any(f);
        if (type_same_shape(type_of(f, z), type_of(f, x))) y = z;
    }
    if (pick(f, 6) == 0)
        return graph_select(f->g, graph_binary(f->g, OP_LT, x, y), graph_unary(f->g, OP_NEG, y), x);
    return pick(f, 2) ? graph_binary(f->g, two[pick(f, 5)], x, y)
                      : graph_binary(f->g, two[pick(f, 5)], y, x);
}

static NodeId random_broadcast(Fuzz *f)
{
    NodeId x = any(f);
    const Type *t = type_of(f, x);
    uint32_t rank = t->rank, n = 0;
    Axis *axes = arena_array(f->arena, Axis, rank + 2);
    int64_t *map = ints(f, rank);
    uint32_t at = pick(f, rank + 1);
    for (uint32_t i = 0; i <= rank; i++) {
        if (i == at) axes[n++] = (Axis){1 + pick(f, 3), 0};
        if (i == rank) break;
        map[i] = n;
        bool one = t->axes[i].size == 1 && !t->axes[i].per;
        axes[n++] = one ? (Axis){1 + pick(f, 3), 0} : t->axes[i];
    }
    return graph_broadcast(f->g, x, n, axes, map);
}

static NodeId random_transpose(Fuzz *f)
{
    NodeId x = any(f);
    uint32_t rank = type_of(f, x)->rank;
    int64_t *perm = ints(f, rank);
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t j = pick(f, i + 1);
        perm[i] = perm[j];
        perm[j] = i;
    }
    return graph_transpose(f->g, x, perm);
}

static NodeId random_window(Fuzz *f)
{
    NodeId x = any(f);
    const Type *t = type_of(f, x);
    int64_t *lo = ints(f, t->rank), *hi = ints(f, t->rank), *stride = ints(f, t->rank);
    bool cut = pick(f, 2);
    for (uint32_t i = 0; i < t->rank; i++) {
        int64_t size = t->axes[i].size;
        bool plain = !t->axes[i].per;
        lo[i] = plain ? pick(f, cut ? (uint32_t)size : 3) : 0;
        hi[i] = cut     ? plain ? lo[i] + 1 + pick(f, (uint32_t)(size - lo[i])) : size
                : plain ? pick(f, 3)
                        : 0;
        stride[i] = plain && pick(f, 3) == 0 ? 2 : 1;
    }
    if (cut) return graph_slice(f->g, x, lo, hi, stride);
    return graph_pad(f->g, x, graph_const(f->g, DT_F64, pick(f, 4) ? 0 : 1), lo, hi);
}

// Slices of one tensor along an axis, used one by one, put together again: as packed projections
// are.
static NodeId random_split(Fuzz *f)
{
    NodeId x = any(f), part[2];
    const Type *t = type_of(f, x);
    uint32_t axis = t->rank ? pick(f, t->rank) : 0;
    if (!t->rank || t->axes[axis].per || t->axes[axis].size < 2) return 0;
    int64_t middle = 1 + pick(f, (uint32_t)t->axes[axis].size - 1);
    for (int i = 0; i < 2; i++) {
        int64_t *lo = ints(f, t->rank), *hi = ints(f, t->rank);
        for (uint32_t a = 0; a < t->rank; a++) hi[a] = t->axes[a].size;
        (i ? lo : hi)[axis] = middle;
        part[i] = graph_slice(f->g, x, lo, hi, NULL);
        if (pick(f, 2)) part[i] = graph_unary(f->g, OP_TANH, part[i]);
    }
    bool turned = pick(f, 3) == 0;
    return graph_concat(f->g, 2, (NodeId[]){part[turned], part[!turned]}, axis);
}

static NodeId random_reshape(Fuzz *f)
{
    NodeId x = any(f);
    const Type *t = type_of(f, x);
    Axis *axes = arena_array(f->arena, Axis, t->rank + 2);
    uint32_t n = 0, at = pick(f, t->rank + 1);
    for (uint32_t i = 0; i < t->rank; i++) {
        Axis a = t->axes[i];
        bool last = n && !axes[n - 1].per && !a.per;
        if (i == at && last)
            axes[n - 1].size *= a.size;
        else if (i == at && !a.per && a.size % 2 == 0) {
            axes[n++] = (Axis){2, 0};
            axes[n++] = (Axis){a.size / 2, 0};
        } else if (i == at && a.size == 1 && !a.per)
            continue;
        else
            axes[n++] = a;
    }
    if (at == t->rank) axes[n++] = (Axis){1, 0};
    return graph_reshape(f->g, x, n, axes);
}

static NodeId random_reverse(Fuzz *f)
{
    NodeId x = any(f);
    const Type *t = type_of(f, x);
    if (!t->rank) return 0;
    int64_t axis = pick(f, t->rank);
    Attr axes = attr_ints(ATTR_AXES, &axis, 1);
    return graph_add(f->g, OP_REVERSE, 1, &x, 1, &axes);
}

static NodeId random_reduce(Fuzz *f)
{
    static const OpCode ops[] = {OP_SUM, OP_SUM, OP_SUM, OP_REDUCE_MAX, OP_REDUCE_MIN};
    NodeId x = any(f);
    const Type *t = type_of(f, x);
    int64_t *axes = ints(f, t->rank);
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->rank; i++)
        if (pick(f, 2)) axes[n++] = i;
    return graph_reduce(f->g, ops[pick(f, 5)], x, axes, n, pick(f, 2), true);
}

static NodeId random_dot(Fuzz *f)
{
    NodeId x = any(f), y = any(f);
    const Type *a = type_of(f, x), *b = type_of(f, y);
    int64_t *axes[4];
    uint32_t n[2] = {0};
    for (int i = 0; i < 4; i++) axes[i] = ints(f, a->rank + b->rank);
    bool *used = arena_array(f->arena, bool, b->rank + 1);
    for (uint32_t i = 0; i < a->rank; i++)
        for (uint32_t k = 0, j = pick(f, b->rank + 1); k < b->rank; k++, j++) {
            uint32_t other = j % b->rank, kind = pick(f, 3) == 0 ? 0 : 1;
            if (used[other] || memcmp(&a->axes[i], &b->axes[other], sizeof(Axis)) || !pick(f, 4))
                continue;
            used[other] = true;
            axes[2 * kind][n[kind]] = i;
            axes[2 * kind + 1][n[kind]++] = other;
            break;
        }
    if (n[0] + n[1] == 0) return 0;
    int64_t free_count = 1;
    for (uint32_t i = 0; i < a->rank; i++) free_count *= a->axes[i].size;
    if (free_count * type_count(b) > LIMIT * LIMIT) return 0;
    return graph_dot(f->g, x, y, n[0], axes[0], axes[1], n[1], axes[2], axes[3]);
}

static NodeId random_node(Fuzz *f)
{
    switch (pick(f, 14)) {
    case 0: return random_broadcast(f);
    case 1: return random_transpose(f);
    case 2: return random_window(f);
    case 3: return random_split(f);
    case 4: return random_reshape(f);
    case 5: return random_reverse(f);
    case 6:
    case 7: return random_reduce(f);
    case 8:
    case 9: return random_dot(f);
    default: return random_elementwise(f);
    }
}

static NodeId total(Fuzz *f, NodeId x)
{
    const Type *t = type_of(f, x);
    int64_t *axes = ints(f, t->rank);
    for (uint32_t i = 0; i < t->rank; i++) axes[i] = i;
    return graph_reduce(f->g, OP_SUM, graph_unary(f->g, OP_TANH, x), axes, t->rank, false, true);
}

// The same graph for the same seed: outputs, and the gradients of their sum towards the two inputs.
static Program *random_program(uint64_t seed)
{
    Program *p = case_program();
    p->batch = 1 + (int64_t)(seed % 3);
    Entry *e = program_entry(p, "f");
    Fuzz f = {.arena = p->arena, .g = e->graph, .state = seed};
    Axis axes[2][3] = {{{p->batch, 1}, {2, 0}, {4, 0}}, {{4, 0}, {2, 0}}};
    for (int i = 0; i < 2; i++)
        vec_push(p->arena, &f.pool,
                 graph_input(f.g, i ? "y" : "x", type_new(p->arena, DT_F64, i ? 2 : 3, axes[i])));
    for (int step = 0; step < STEPS; step++) {
        NodeId n = random_node(&f);
        if (n && type_count(type_of(&f, n)) <= LIMIT) vec_push(p->arena, &f.pool, n);
    }
    NodeId loss = 0;
    for (uint32_t i = f.pool.n > 5 ? f.pool.n - 3 : 2; i < f.pool.n; i++) {
        NodeId x = f.pool.at[i], sum = total(&f, x);
        vec_push(p->arena, &e->outputs, (NamedNode){str_printf(p->arena, "out%u", i), x});
        loss = loss ? graph_binary(f.g, OP_ADD, loss, sum) : sum;
    }
    vec_push(p->arena, &e->outputs, (NamedNode){"loss", loss});
    for (int i = 0; i < 2; i++) {
        NodeId dx = graph_add(f.g, OP_GRAD, 2, (NodeId[]){loss, f.pool.at[i]}, 0, NULL);
        vec_push(p->arena, &e->outputs, (NamedNode){i ? "dy" : "dx", dx});
    }
    cr_assert_eq(diag_errors(p->diag), 0, "seed %llu", (unsigned long long)seed);
    return p;
}

static Map results(Program *p)
{
    static const char *const names[] = {"x", "y"};
    Map inputs = {0}, out = {0};
    uint64_t state = 11;
    Axis axes[2][3] = {{{p->batch, 1}, {2, 0}, {4, 0}}, {{4, 0}, {2, 0}}};
    for (int i = 0; i < 2; i++) {
        Tensor *t = arena_make(p->arena, Tensor);
        t->type = type_new(p->arena, DT_F64, i ? 2 : 3, axes[i]);
        double *v = t->data = arena_array(p->arena, double, type_count(t->type));
        for (int64_t k = 0; k < type_count(t->type); k++) v[k] = 2 * case_random(&state) - 1;
        map_set(p->arena, &inputs, names[i], t);
    }
    Error err = {0};
    cr_assert(entry_eval(p->entries.at[0], EVAL_F64, &inputs, NULL, p->arena, &out, &err), "%s",
              err.text);
    return out;
}

static void same_results(uint64_t seed, const Map *a, const Map *b)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const Tensor *x = a->at[i].value, *y = map_get(b, a->at[i].key);
        cr_assert(y && type_equal(x->type, y->type));
        const double *u = x->data, *v = y->data;
        for (int64_t k = 0; k < type_count(x->type); k++)
            cr_assert(fabs(u[k] - v[k]) <= 1e-8 * fmax(1, fabs(u[k])),
                      "seed %llu: %s[%lld] is %.12g after autodiff, %.12g after all passes",
                      (unsigned long long)seed, a->at[i].key, (long long)k, u[k], v[k]);
    }
}

Test(fuzz, passes_keep_results)
{
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        Program *p = random_program(seed), *q = random_program(seed);
        case_run(p, "autodiff");
        case_run(q, "autodiff,simplify,merge,expand,dce,save");
        Map want = results(p), have = results(q);
        same_results(seed, &want, &have);
        arena_free(p->arena);
        arena_free(q->arena);
    }
}

// Is any product made in pieces?
static bool is_cut(const Graph *g)
{
    for (NodeId id = 1; id < g->nodes.n; id++)
        if (graph_node(g, id)->op == OP_DOT && graph_node(g, id)->copy) return true;
    return false;
}

// Whatever can be cut is, into pieces of a row or two.
Test(fuzz, pieces_keep_results)
{
    uint32_t cut = 0;
    for (uint64_t seed = 1; seed <= 8 * GRAPHS; seed++) {
        Program *p = random_program(seed), *q = random_program(seed);
        PassOptions o = {.list = "autodiff,simplify,stream", .stream_above = 1};
        o.stream_piece = 1 + (int64_t)(seed % 97);
        Error err = {0};
        cr_assert(passes_run(q, &o, &err), "%s", err.text);
        if (is_cut(q->entries.at[0]->graph)) {
            cut++;
            case_run(p, "autodiff");
            case_run(q, "expand,dce,save");
            Map want = results(p), have = results(q);
            same_results(seed, &want, &have);
        }
        arena_free(p->arena);
        arena_free(q->arena);
    }
    cr_expect_geq(cut, 20, "only %u graphs have products that are cut", cut);
}
