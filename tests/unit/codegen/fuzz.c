// A random program is a pool of values that grows: each step draws an operation and operands from
// the pool, bends operands to the shapes that it needs (by broadcast, reshape, slice, or a fresh
// input), and adds the result. What the shape rules refuse is dropped, so steps need not know them.
// At the end some values become outputs, updates of states, or a loss whose gradients are taken.
// The graph is printed as text, which the trial parses again.
#include "fuzz.h"

#include <stdlib.h>

enum { MOST_ELEMENTS = 40000 };

typedef struct Gen {
    Arena *arena;
    Graph *g;
    Program *p;
    Entry *entry;
    uint64_t seed;
    VEC(NodeId) pool;
    uint32_t names;
    const Type *main; // the shape that most values have
    bool special;     // of its trial
    DType narrow;     // a narrow float that some values have, or f32
} Gen;

static uint32_t draw(Gen *f, uint32_t n)
{
    f->seed ^= f->seed << 13; // xorshift64
    f->seed ^= f->seed >> 7;
    f->seed ^= f->seed << 17;
    return n ? (uint32_t)((f->seed * 0x2545F4914F6CDD1Du) >> 33) % n : 0;
}

static bool often(Gen *f, uint32_t percent)
{
    return draw(f, 100) < percent;
}

static const Type *type_of(const Gen *f, NodeId x)
{
    return graph_type(f->g, x);
}

static NodeId keep(Gen *f, NodeId x)
{
    if (!x || type_of(f, x)->nparts || type_count(type_of(f, x)) > MOST_ELEMENTS) return 0;
    vec_push(f->arena, &f->pool, x);
    return x;
}

// ---- leaves and shapes
// -----------------------------------------------------------------------------------

static int64_t some_size(Gen *f)
{
    static const int64_t sizes[] = {1,  1,  2,  2,  3,  3,  4,  5,  6,  7,  8,  9,
                                    12, 16, 17, 24, 31, 33, 63, 64, 65, 70, 130};
    return sizes[draw(f, sizeof sizes / sizeof *sizes)];
}

static const Type *some_shape(Gen *f, DType dt)
{
    if (often(f, 6)) { // long rows, many rows
        static const int64_t longs[][2] = {{1, 9000}, {2, 5000}, {4096, 3},  {700, 33},
                                           {513, 7},  {600, 64}, {1, 20000}, {3, 4097}};
        const int64_t *s = longs[draw(f, 8)];
        return type_new(f->arena, dt, 2, (Axis[]){{s[0], 0}, {s[1], 0}});
    }
    uint32_t rank = draw(f, 6);
    Axis axes[6] = {0};
    int64_t count = 1;
    bool batch = often(f, 50);
    for (uint32_t i = 0; i < rank; i++) {
        int64_t size = some_size(f);
        while (count * size > 6000) size = size / 2 ? size / 2 : 1;
        axes[i] = (Axis){size, 0};
        count *= size;
    }
    if (batch && rank) axes[0] = (Axis){f->g->batch, 1};
    return type_new(f->arena, dt, rank, axes);
}

static const Type *with_dtype(Gen *f, const Type *t, DType dt)
{
    return type_new(f->arena, dt, t->rank, t->axes);
}

static DType some_dtype(Gen *f)
{
    static const DType all[] = {DT_F32, DT_F32, DT_F32, DT_F32, DT_I32, DT_I64, DT_U8, DT_BOOL};
    return all[draw(f, sizeof all / sizeof *all)];
}

static NodeId fresh(Gen *f, const Type *type)
{
    const char *name = str_printf(f->arena, "n%u", f->names++);
    bool plain = true;
    for (uint32_t i = 0; i < type->rank; i++) plain &= !type->axes[i].per;
    if (plain && dtype_is_float(type->dtype) && often(f, 40)) {
        program_state(f->p, name, STATE_PARAM, type, (Loc){0})->trainable = true;
        return keep(f, graph_state(f->g, name, type));
    }
    return keep(f, graph_input(f->g, name, type));
}

static NodeId constant(Gen *f, DType dt)
{
    static const double at[] = {0, 1, 2, 0.5, -1, 3, 0.125, 7, 1e-5, -0.75};
    return graph_const(f->g, dt, dtype_is_float(dt) ? at[draw(f, 10)] : (double)draw(f, 4));
}

// A value of the pool, of this element type unless DT_NONE; a new leaf when there is none.
static NodeId pick(Gen *f, DType dt)
{
    for (int i = 0; i < 30 && f->pool.n; i++) {
        uint32_t k = draw(f, f->pool.n);
        if (often(f, 50)) k = f->pool.n - 1 - draw(f, f->pool.n < 4 ? f->pool.n : 4);
        NodeId x = f->pool.at[k];
        if (dt == DT_NONE || type_of(f, x)->dtype == dt) return x;
    }
    DType make = dt == DT_NONE ? DT_F32 : dt;
    return fresh(f, with_dtype(f, often(f, 70) ? f->main : some_shape(f, make), make));
}

static DType number_type(Gen *f)
{
    static const DType all[] = {DT_F32, DT_F32, DT_F32, DT_F32, DT_F32, DT_I32, DT_I64, DT_U8};
    if (f->narrow != DT_F32 && often(f, 40)) return f->narrow;
    return all[draw(f, 8)];
}

static DType float_type(Gen *f)
{
    return f->narrow != DT_F32 && often(f, 50) ? f->narrow : DT_F32;
}

// x at the shape of `to`: by rank-0 broadcast, leading or trailing axes, or reshape.
static NodeId bend(Gen *f, NodeId x, const Type *to)
{
    const Type *t = type_of(f, x);
    if (type_same_shape(t, to)) return x;
    if (t->rank == 0) return graph_broadcast_to(f->g, x, to->rank, to->axes);
    if (type_count(t) == type_count(to) && often(f, 80))
        return graph_reshape(f->g, x, to->rank, to->axes);
    int64_t map[8];
    uint32_t at = 0; // axes of x found in order among those of `to`
    for (uint32_t i = 0; i < to->rank && at < t->rank; i++)
        if (t->axes[at].size == to->axes[i].size && t->axes[at].per == to->axes[i].per)
            map[at++] = i;
    if (at == t->rank) return graph_broadcast(f->g, x, to->rank, to->axes, map);
    return 0;
}

// A value of this element type and shape.
static NodeId shaped(Gen *f, DType dt, const Type *to)
{
    for (int i = 0; i < 12; i++) {
        NodeId x = bend(f, pick(f, dt), to);
        if (x) return x;
    }
    if (often(f, 25)) return graph_broadcast_to(f->g, constant(f, dt), to->rank, to->axes);
    if (to->rank && often(f, 40)) { // a vector along one axis
        uint32_t axis = draw(f, to->rank);
        NodeId v = fresh(f, type_new(f->arena, dt, 1, &to->axes[axis]));
        return graph_broadcast(f->g, v, to->rank, to->axes, (int64_t[]){axis});
    }
    return fresh(f, with_dtype(f, to, dt));
}

// ---- operations
// -------------------------------------------------------------------------------------------

static NodeId make_unary(Gen *f)
{
    static const OpCode floats[] = {OP_NEG,  OP_ABS,  OP_SIGN, OP_FLOOR, OP_ROUND,
                                    OP_TF32, OP_SQRT, OP_EXP,  OP_LOG,   OP_SIN,
                                    OP_COS,  OP_ATAN, OP_TANH, OP_ERF,   OP_STOP_GRADIENT};
    static const OpCode ints[] = {OP_NEG, OP_ABS, OP_SIGN};
    NodeId x = pick(f, often(f, 90) ? number_type(f) : DT_BOOL);
    DType dt = type_of(f, x)->dtype;
    if (dt == DT_BOOL) return graph_unary(f->g, OP_NOT, x);
    if (dtype_is_float(dt) && often(f, 5)) return graph_unary(f->g, OP_IS_FINITE, x);
    return graph_unary(f->g, dtype_is_float(dt) ? floats[draw(f, 14)] : ints[draw(f, 3)], x);
}

static NodeId make_binary(Gen *f)
{
    static const OpCode floats[] = {OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MAX,
                                    OP_MIN, OP_ADD, OP_MUL, OP_SUB, OP_POW};
    static const OpCode ints[] = {OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_REM, OP_MAX, OP_MIN};
    NodeId x = pick(f, number_type(f));
    DType dt = type_of(f, x)->dtype;
    NodeId y = shaped(f, dt, type_of(f, x));
    OpCode op = dtype_is_float(dt) ? floats[draw(f, 10)] : ints[draw(f, 7)];
    return often(f, 50) ? graph_binary(f->g, op, x, y) : graph_binary(f->g, op, y, x);
}

static NodeId make_compare(Gen *f)
{
    static const OpCode ops[] = {OP_LT, OP_LE, OP_EQ, OP_NE},
                        bools[] = {OP_AND, OP_OR, OP_EQ, OP_NE};
    NodeId x = pick(f, often(f, 80) ? number_type(f) : DT_BOOL);
    DType dt = type_of(f, x)->dtype;
    NodeId y = shaped(f, dt, type_of(f, x));
    return graph_binary(f->g, dt == DT_BOOL ? bools[draw(f, 4)] : ops[draw(f, 4)], x, y);
}

static NodeId make_ternary(Gen *f)
{
    NodeId x = pick(f, often(f, 70) ? float_type(f) : DT_NONE);
    const Type *t = type_of(f, x);
    NodeId y = shaped(f, t->dtype, t);
    if (dtype_is_float(t->dtype) && often(f, 40)) {
        NodeId args[3] = {x, y, shaped(f, t->dtype, t)};
        return graph_add(f->g, OP_FMA, 3, args, 0, NULL);
    }
    return graph_select(f->g, shaped(f, DT_BOOL, t), x, y);
}

static NodeId make_cast(Gen *f)
{
    static const DType to[] = {DT_F32, DT_F32,  DT_F32, DT_I32, DT_I64,
                               DT_U8,  DT_BOOL, DT_U32, DT_I8};
    if (f->narrow != DT_F32 && often(f, 50)) return graph_cast(f->g, pick(f, DT_NONE), f->narrow);
    return graph_cast(f->g, pick(f, DT_NONE), to[draw(f, 9)]);
}

static NodeId make_reshape(Gen *f)
{
    NodeId x = pick(f, DT_NONE);
    int64_t count = type_count(type_of(f, x));
    Axis axes[8] = {0};
    uint32_t rank = 0;
    for (int64_t d = 2; d <= 70 && rank < 4 && count > 1; d++)
        if (count % d == 0 && often(f, 60)) {
            axes[rank++] = (Axis){d, 0};
            count /= d;
            d = 1;
        }
    if (count > 1 || often(f, 20)) axes[rank++] = (Axis){count, 0};
    for (uint32_t i = rank; i-- > 1;) { // shuffled
        uint32_t j = draw(f, i + 1);
        Axis t = axes[i];
        axes[i] = axes[j];
        axes[j] = t;
    }
    return graph_reshape(f->g, x, rank, axes);
}

static NodeId make_transpose(Gen *f)
{
    NodeId x = pick(f, DT_NONE);
    uint32_t rank = type_of(f, x)->rank;
    int64_t perm[8];
    for (uint32_t i = 0; i < rank; i++) perm[i] = i;
    for (uint32_t i = rank; i-- > 1;) {
        uint32_t j = draw(f, i + 1);
        int64_t t = perm[i];
        perm[i] = perm[j];
        perm[j] = t;
    }
    return graph_transpose(f->g, x, perm);
}

static NodeId make_slice(Gen *f)
{
    NodeId x = pick(f, DT_NONE);
    const Type *t = type_of(f, x);
    int64_t lo[8], hi[8], stride[8];
    for (uint32_t i = 0; i < t->rank; i++) {
        int64_t n = t->axes[i].size;
        bool whole = t->axes[i].per || often(f, 40);
        lo[i] = whole ? 0 : draw(f, (uint32_t)n);
        hi[i] = whole ? n : lo[i] + 1 + draw(f, (uint32_t)(n - lo[i]));
        stride[i] = whole ? 1 : 1 + draw(f, 3);
    }
    return graph_slice(f->g, x, lo, hi, stride);
}

static NodeId make_pad(Gen *f)
{
    NodeId x = pick(f, DT_NONE);
    const Type *t = type_of(f, x);
    int64_t lo[8] = {0}, hi[8] = {0};
    for (uint32_t i = 0; i < t->rank; i++)
        if (!t->axes[i].per && often(f, 50)) lo[i] = draw(f, 4), hi[i] = draw(f, 4);
    return graph_pad(f->g, x, constant(f, t->dtype), lo, hi);
}

// One plain axis moved by another one, or windows taken along it.
static NodeId make_skew(Gen *f)
{
    NodeId x = pick(f, DT_NONE);
    const Type *t = type_of(f, x);
    uint32_t rank = t->rank, axis = rank ? draw(f, rank) : 0, along = rank ? draw(f, rank) : 0;
    if (!rank || t->axes[axis].per) return 0;
    if (along == axis || t->axes[along].per) { // a new one: windows
        Axis axes[9];
        int64_t map[8];
        if (rank > 6) return 0;
        for (uint32_t i = 0; i < rank; i++) axes[map[i] = i] = t->axes[i];
        axes[along = rank] = (Axis){1 + draw(f, 4), 0};
        x = graph_broadcast(f->g, x, rank + 1, axes, map);
    }
    Skew at = {.axis = axis,
               .along = along,
               .lo = (int64_t)draw(f, 7) - 3,
               .stride = 1 + draw(f, 2),
               .step = (int64_t)draw(f, 5) - 2,
               .up = 1 + draw(f, 2),
               .size = 1 + draw(f, 12)};
    return graph_skew(f->g, x, constant(f, type_of(f, x)->dtype), 1, &at);
}

static NodeId make_concat(Gen *f)
{
    NodeId xs[4] = {pick(f, DT_NONE)};
    const Type *t = type_of(f, xs[0]);
    if (!t->rank) return 0;
    uint32_t n = 2 + draw(f, 2), axis = draw(f, t->rank);
    if (t->axes[axis].per) return 0;
    for (uint32_t i = 1; i < n; i++) {
        xs[i] = shaped(f, t->dtype, t);
        if (often(f, 40)) {
            int64_t lo[8] = {0}, hi[8], stride[8];
            for (uint32_t a = 0; a < t->rank; a++) hi[a] = t->axes[a].size, stride[a] = 1;
            lo[axis] = draw(f, (uint32_t)hi[axis]);
            xs[i] = graph_slice(f->g, xs[i], lo, hi, stride);
        }
    }
    return graph_concat(f->g, n, xs, axis);
}

static uint32_t some_axes(Gen *f, const Type *t, int64_t *axes)
{
    uint32_t n = 0, percent = often(f, 50) ? 40 : 70;
    for (uint32_t i = 0; i < t->rank; i++)
        if (often(f, percent)) axes[n++] = i;
    if (!n && t->rank) axes[n++] = often(f, 60) ? t->rank - 1 : draw(f, t->rank);
    return n;
}

static NodeId make_reverse(Gen *f)
{
    NodeId x = pick(f, DT_NONE);
    int64_t axes[8];
    uint32_t n = some_axes(f, type_of(f, x), axes);
    Attr attr = attr_ints(ATTR_AXES, axes, n);
    return n ? graph_add(f->g, OP_REVERSE, 1, &x, 1, &attr) : 0;
}

static NodeId make_broadcast(Gen *f)
{
    NodeId x = pick(f, DT_NONE);
    const Type *t = type_of(f, x);
    if (t->rank > 4 || type_count(t) > 3000) return 0;
    Axis axes[8];
    int64_t map[8];
    uint32_t rank = 0, extra = draw(f, t->rank + 1);
    for (uint32_t i = 0; i <= t->rank; i++) {
        if (i == extra) axes[rank++] = (Axis){some_size(f) % 13 + 1, 0};
        if (i == t->rank) break;
        map[i] = rank;
        axes[rank++] = t->axes[i].size == 1 && !t->axes[i].per && often(f, 30)
                           ? (Axis){1 + draw(f, 8), 0}
                           : t->axes[i];
    }
    return graph_broadcast(f->g, x, rank, axes, map);
}

static NodeId make_view(Gen *f)
{
    switch (draw(f, 9)) {
    case 0:
    case 1: return make_reshape(f);
    case 2: return make_transpose(f);
    case 3: return make_slice(f);
    case 4: return make_pad(f);
    case 5: return make_concat(f);
    case 6: return make_reverse(f);
    case 7: return make_skew(f);
    default: return make_broadcast(f);
    }
}

static NodeId make_reduce(Gen *f)
{
    static const OpCode ops[] = {OP_SUM,        OP_SUM,        OP_SUM,
                                 OP_REDUCE_MAX, OP_REDUCE_MIN, OP_LOGSUMEXP};
    NodeId x = pick(f, often(f, 85) ? float_type(f) : number_type(f));
    const Type *t = type_of(f, x);
    int64_t axes[8];
    uint32_t n = some_axes(f, t, axes);
    if (!n) return 0;
    if (often(f, 8)) {
        Attr attr = attr_int(ATTR_AXIS, axes[0]);
        return graph_add(f->g, OP_ARGMAX, 1, &x, 1, &attr);
    }
    return graph_reduce(f->g, ops[draw(f, dtype_is_float(t->dtype) ? 6 : 5)], x, axes, n,
                        often(f, 40), true);
}

// x minus something of its rows, over another such thing: softmax, norms and their kin.
static NodeId make_row(Gen *f)
{
    NodeId x = pick(f, DT_F32);
    const Type *t = type_of(f, x);
    int64_t axes[8];
    uint32_t n = some_axes(f, t, axes);
    if (!n) return 0;
    NodeId m = graph_reduce(f->g, often(f, 50) ? OP_SUM : OP_REDUCE_MAX, x, axes, n, true, true);
    m = graph_broadcast_to(f->g, m, t->rank, t->axes);
    NodeId c = graph_binary(f->g, OP_SUB, x, m);
    NodeId e = often(f, 50) ? graph_unary(f->g, OP_EXP, c) : graph_binary(f->g, OP_MUL, c, c);
    NodeId s = graph_reduce(f->g, OP_SUM, e, axes, n, true, true);
    if (often(f, 30)) keep(f, s);
    s = graph_unary(f->g, often(f, 50) ? OP_SQRT : OP_ABS, s);
    s = graph_broadcast_to(f->g, s, t->rank, t->axes);
    return graph_binary(f->g, OP_DIV, often(f, 50) ? c : e, s);
}

// The same product of 16-bit operands with its sums in f32.
static NodeId widened_dot(Gen *f, NodeId d)
{
    const Node *n = graph_node(f->g, d);
    Attr attrs[8];
    if (n->op != OP_DOT) return d;
    memcpy(attrs, n->attrs, n->nattrs * sizeof *attrs);
    attrs[n->nattrs] = attr_dtype(ATTR_DTYPE, DT_F32);
    return graph_add(f->g, OP_DOT, 2, n->args, n->nattrs + 1, attrs);
}

static NodeId make_dot(Gen *f)
{
    NodeId x = pick(f, float_type(f));
    const Type *t = type_of(f, x);
    if (!t->rank || type_count(t) > 8000) return 0;
    int64_t lb[8], lc[8], rb[8], rc[8];
    Axis axes[12];
    uint32_t nb = 0, nc = 0, rank = 0, order[12];
    for (uint32_t i = 0; i < t->rank; i++) {
        uint32_t kind = draw(f, 3);
        if (t->axes[i].per && often(f, 60)) kind = 0;
        if (kind == 0) lb[nb++] = i;
        if (kind == 1) lc[nc++] = i;
    }
    for (uint32_t i = 0; i < nb; i++) axes[rank++] = t->axes[lb[i]];
    for (uint32_t i = 0; i < nc; i++) axes[rank++] = t->axes[lc[i]];
    for (uint32_t i = draw(f, 3); i > 0 && rank < 5; i--)
        axes[rank++] = (Axis){some_size(f) % 40 + 1, 0};
    for (uint32_t i = 0; i < rank; i++) order[i] = i;
    for (uint32_t i = rank; i-- > 1;) { // order[i]: which of `axes` is axis i of the right operand
        uint32_t j = draw(f, i + 1), w = order[i];
        order[i] = order[j];
        order[j] = w;
    }
    Axis mixed[12] = {0};
    for (uint32_t i = 0; i < rank; i++) {
        mixed[i] = axes[order[i]];
        if (order[i] < nb)
            rb[order[i]] = i;
        else if (order[i] < nb + nc)
            rc[order[i] - nb] = i;
    }
    const Type *to = type_new(f->arena, t->dtype, rank, mixed);
    if (type_count(to) > 20000) return 0;
    NodeId y = shaped(f, t->dtype, to);
    NodeId d = graph_dot(f->g, x, y, nb, lb, rb, nc, lc, rc);
    if (d && t->dtype != DT_F32 && often(f, 60)) return widened_dot(f, d);
    if (!d || !often(f, 20)) return d;
    NodeId both[2] = {
        d, graph_dot(f->g, x, fresh(f, to), nb, lb, rb, nc, lc, rc)}; // parts of one buffer
    const Type *of = type_of(f, d);
    uint32_t axis = of->rank ? draw(f, of->rank) : 0;
    if (!of->rank || of->axes[axis].per) return d;
    if (often(f, 20)) keep(f, d);
    return graph_concat(f->g, 2, both, axis);
}

static NodeId make_gather(Gen *f)
{
    NodeId x = pick(f, often(f, 80) ? DT_F32 : DT_NONE);
    const Type *t = type_of(f, x);
    if (!t->rank) return 0;
    uint32_t batch = draw(f, t->rank < 3 ? t->rank : 3), rank = batch;
    Axis axes[8];
    memcpy(axes, t->axes, batch * sizeof *axes);
    for (uint32_t i = draw(f, 3); i > 0; i--) axes[rank++] = (Axis){some_size(f) % 20 + 1, 0};
    NodeId args[2] = {x, shaped(f, DT_I32, type_new(f->arena, DT_I32, rank, axes))};
    Attr attr = attr_int(ATTR_BATCH, batch);
    return graph_add(f->g, OP_GATHER, 2, args, 1, &attr);
}

static NodeId make_scatter(Gen *f)
{
    NodeId u = pick(f, often(f, 80) ? DT_F32 : number_type(f));
    const Type *t = type_of(f, u);
    if (!t->rank) return 0;
    uint32_t rank = 1 + draw(f, t->rank), batch = draw(f, rank);
    NodeId args[2] = {shaped(f, DT_I32, type_new(f->arena, DT_I32, rank, t->axes)), u};
    Attr attrs[2] = {attr_int(ATTR_BATCH, batch), attr_int(ATTR_SIZE, 1 + draw(f, 9))};
    return graph_add(f->g, OP_SCATTER_ADD, 2, args, 2, attrs);
}

static NodeId make_ordered(Gen *f)
{
    NodeId x = pick(f, often(f, 80) ? DT_F32 : number_type(f));
    const Type *t = type_of(f, x);
    if (!t->rank) return 0;
    int64_t n = t->axes[t->rank - 1].size;
    if (often(f, 40)) {
        Attr reverse = attr_int(ATTR_REVERSE, draw(f, 2));
        return graph_add(f->g, OP_CUMSUM, 1, &x, 1, &reverse);
    }
    if (often(f, 30)) {
        Axis axes[8];
        memcpy(axes, t->axes, t->rank * sizeof *axes);
        axes[t->rank] = (Axis){4, 0};
        NodeId args[2] = {shaped(f, DT_F32, type_new(f->arena, DT_F32, t->rank + 1, axes)),
                          shaped(f, DT_F32, type_new(f->arena, DT_F32, t->rank, axes))};
        Attr attrs[2] = {attr_int(ATTR_SIZE, 1 + draw(f, 9)),
                         attr_float(ATTR_THRESHOLD, draw(f, 9) / 8.0)};
        NodeId y = graph_add(f->g, OP_NMS, 2, args, 2, attrs);
        if (y && often(f, 50)) keep(f, graph_proj(f->g, y, 1));
        return y ? graph_proj(f->g, y, 0) : 0;
    }
    if (often(f, 30) && t->dtype == DT_F32 && t->rank == 2 && n <= 40 && !t->axes[0].per &&
        !t->axes[1].per) {
        x = graph_unary(f->g, OP_STOP_GRADIENT, x);
        x = graph_dot(f->g, x, x, 0, NULL, NULL, 1, (int64_t[]){0}, (int64_t[]){0});
        return graph_proj(f->g, graph_add(f->g, OP_EIGH, 1, &x, 0, NULL), draw(f, 2));
    }
    Attr attrs[2] = {attr_int(ATTR_SIZE, 1 + draw(f, often(f, 50) ? (uint32_t)n : 1)),
                     attr_int(ATTR_RISING, draw(f, 2))};
    NodeId y = graph_add(f->g, OP_TOPK, 1, &x, 2, attrs);
    if (y && often(f, 50)) keep(f, graph_proj(f->g, y, 1));
    return y ? graph_proj(f->g, y, 0) : 0;
}

// Something beside q, k and v: its outer axes, each 1 sometimes, and then one or two of its own.
static NodeId beside(Gen *f, DType dt, uint32_t outer, const Axis *axes, uint32_t own,
                     const int64_t *sizes)
{
    Axis all[4];
    for (uint32_t i = 0; i < outer; i++) all[i] = often(f, 40) ? (Axis){1, 0} : axes[i];
    for (uint32_t i = 0; i < own; i++) all[outer + i] = (Axis){sizes[i], 0};
    return shaped(f, dt, type_new(f->arena, dt, outer + own, all));
}

static NodeId make_attention(Gen *f)
{
    static const int64_t dims[] = {8, 16, 24, 32, 40, 64};
    Axis outer[2] = {{f->g->batch, 1}, {1 + draw(f, 3), 0}};
    uint32_t nb = draw(f, 3);
    int64_t n = 1 + draw(f, 20), m = often(f, 40) ? n : some_size(f), d = dims[draw(f, 6)],
            e = often(f, 70) ? d : dims[draw(f, 6)];
    if (often(f, 20)) n = some_size(f);
    // Compiled attention multiplies keys that take no part by 0, which is not 0 for those that are
    // not finite.
    bool causal = m >= n && !f->special && often(f, 40);
    int64_t rows[3] = {n, m, m}, cols[3] = {d, d, e};
    NodeId args[6];
    DType dt = float_type(f);
    uint32_t nargs = 3;
    for (int i = 0; i < 3; i++) {
        Axis axes[4];
        memcpy(axes, outer, sizeof outer);
        axes[nb] = (Axis){rows[i], 0};
        axes[nb + 1] = (Axis){cols[i], 0};
        const Type *to = type_new(f->arena, dt, nb + 2, axes);
        if (nb == 2 && often(f, 40)) { // as a model has it: (B, N, H, D) with heads inside
            Axis inside[4] = {axes[0], axes[2], axes[1], axes[3]};
            args[i] = graph_transpose(f->g, shaped(f, dt, type_new(f->arena, dt, 4, inside)),
                                      (int64_t[]){0, 2, 1, 3});
        } else {
            args[i] = shaped(f, dt, to);
        }
    }
    Attr attrs[2] = {attr_str(ATTR_MASK, causal ? "causal" : "none"), attr_float(ATTR_SCALE, 0.25)};
    const int64_t lengths[2] = {n, m};
    if (often(f, 25)) {
        args[nargs++] = beside(f, DT_I32, nb, outer, 1, &lengths[0]);
        args[nargs++] = beside(f, DT_I32, nb, outer, 1, &lengths[1]);
    }
    if (often(f, 25)) args[nargs++] = beside(f, DT_F32, nb, outer, 2, lengths);
    NodeId a = graph_add(f->g, OP_ATTENTION, nargs, args, 2, attrs);
    if (!a) return 0;
    NodeId lse = graph_proj(f->g, a, 1);
    if (often(f, 30)) keep(f, lse);
    return graph_proj(f->g, a, 0);
}

static NodeId make_random(Gen *f)
{
    const Type *i64 = type_new(f->arena, DT_I64, 0, NULL);
    NodeId args[3] = {graph_input(f->g, "$seed", i64), graph_input(f->g, "$step", i64)};
    args[2] = graph_cast(f->g, args[draw(f, 2)], DT_I32);
    const Type *t = often(f, 60) ? f->main : some_shape(f, DT_U32);
    Attr attrs[2] = {attr_int(ATTR_STREAM, 1000 + draw(f, 3) + ((int64_t)draw(f, 2) << 40)),
                     attr_axes(ATTR_SHAPE, t->axes, t->rank)};
    NodeId u = graph_add(f->g, OP_RANDOM, often(f, 30) ? 3 : 2, args, 2, attrs);
    if (!u) return 0;
    if (often(f, 20)) return u;
    NodeId x = graph_cast(f->g, u, DT_F32);
    return graph_binary(f->g, OP_MUL, x, graph_const(f->g, DT_F32, 0x1p-32));
}

static NodeId make_iota(Gen *f)
{
    static const DType all[] = {DT_I32, DT_I32, DT_F32, DT_I64};
    const Type *t = often(f, 60) ? f->main : some_shape(f, DT_I32);
    return t->rank ? graph_iota(f->g, all[draw(f, 4)], t->rank, t->axes, draw(f, t->rank)) : 0;
}

static NodeId step(Gen *f)
{
    uint32_t r = draw(f, 100);
    if (r < 14) return make_unary(f);
    if (r < 34) return make_binary(f);
    if (r < 39) return make_compare(f);
    if (r < 46) return make_ternary(f);
    if (r < 50) return make_cast(f);
    if (r < 66) return make_view(f);
    if (r < 76) return make_reduce(f);
    if (r < 78) return make_ordered(f);
    if (r < 84) return make_row(f);
    if (r < 90) return make_dot(f);
    if (r < 93) return make_gather(f);
    if (r < 95) return make_scatter(f);
    if (r < 97) return make_attention(f);
    if (r < 98) return make_random(f);
    if (r < 99) return make_iota(f);
    return fresh(f, some_shape(f, some_dtype(f)));
}

// ---- what comes out
// ---------------------------------------------------------------------------------------

static void output(Gen *f, NodeId x)
{
    NamedNode named = {str_printf(f->arena, "o%u", f->entry->outputs.n), x};
    if (x) vec_push(f->arena, &f->entry->outputs, named);
}

static NodeId total(Gen *f, NodeId x)
{
    int64_t axes[12];
    uint32_t rank = type_of(f, x)->rank;
    for (uint32_t i = 0; i < rank; i++) axes[i] = i;
    return rank ? graph_reduce(f->g, OP_SUM, x, axes, rank, false, true) : x;
}

static void take_gradients(Gen *f)
{
    NodeId loss = 0;
    for (int i = 0; i < 3; i++) {
        NodeId t = total(f, pick(f, DT_F32));
        loss = loss && t ? graph_binary(f->g, OP_ADD, loss, t) : t;
    }
    if (!loss) return;
    if (often(f, 50)) output(f, loss);
    for (uint32_t i = 1 + draw(f, 3); i > 0; i--) {
        NodeId args[2] = {loss, pick(f, DT_F32)};
        NodeId grad = graph_add(f->g, OP_GRAD, 2, args, 0, NULL);
        if (!grad) continue;
        if (often(f, 60)) output(f, grad);
        vec_push(f->arena, &f->pool, grad);
    }
}

static void update_states(Gen *f)
{
    for (uint32_t i = 0; i < f->p->states.n; i++) {
        const StateVar *s = &f->p->states.at[i];
        if (!often(f, 60)) continue;
        NodeId x = shaped(f, s->type->dtype, s->type);
        if (often(f, 60)) {
            NodeId old = graph_state(f->g, s->name, s->type);
            x = graph_binary(f->g, often(f, 50) ? OP_SUB : OP_MUL,
                             often(f, 80) ? old : shaped(f, DT_F32, s->type), x);
        }
        if (x && type_same_shape(type_of(f, x), s->type))
            vec_push(f->arena, &f->entry->updates, (NamedNode){s->name, x});
    }
}

static void choose_results(Gen *f)
{
    for (uint32_t i = 1 + draw(f, 4); i > 0; i--) output(f, pick(f, DT_NONE));
    if (often(f, 10)) output(f, f->entry->outputs.at[0].node); // twice
    if (often(f, 10)) output(f, f->pool.at[0]);                // a leaf
    if (f->pool.n) output(f, f->pool.at[f->pool.n - 1]);
}

const char *fuzz_program(Arena *arena, uint64_t seed)
{
    Diag *diag = diag_new(arena);
    Gen f = {.arena = arena, .seed = hash_u64(1, seed) | 1, .special = fuzz_trial(seed).special};
    uint64_t r = hash_u64(
        3, seed); // a third has narrow values, a third of all products in bf16, a third in tf32
    static const DType narrows[] = {DT_BF16, DT_F16, DT_F8E4M3, DT_F8E5M2};
    if (r % 3 == 0) f.narrow = narrows[r / 18 % 4];
    f.p = program_new(arena, diag, str_printf(arena, "seed %llu", (unsigned long long)seed),
                      1 + draw(&f, 4));
    if (r / 6 % 3 == 0) f.p->precision = PRECISION_BF16;
    if (r / 6 % 3 == 1) f.p->precision = PRECISION_TF32;
    f.entry = program_entry(f.p, "step");
    f.g = f.entry->graph;
    f.main = some_shape(&f, DT_F32);
    for (uint32_t i = 1 + draw(&f, 3); i > 0; i--) fresh(&f, f.main);
    for (uint32_t i = 5 + draw(&f, 36); i > 0; i--) keep(&f, step(&f));
    if (often(&f, 40)) take_gradients(&f);
    update_states(&f);
    choose_results(&f);
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    program_print(f.p, out);
    fclose(out);
    const char *copy = str_slice(arena, text, size);
    free(text);
    return copy;
}

Trial fuzz_trial(uint64_t seed)
{
    static const uint32_t threads[][3] = {{1, 3, 0}, {2, 5, 0}, {8, 1, 0}, {3, 2, 0}};
    static const uint32_t masks[] = {FUSE_ALL, FUSE_ALL,       FUSE_ALL,
                                     0,        FUSE_POINTWISE, FUSE_ALL & ~FUSE_RECOMPUTE};
    uint64_t r = hash_u64(2, seed);
    uint32_t mask = r % 8 < 6 ? masks[r % 8] : (uint32_t)(r >> 20) & FUSE_ALL;
    return (Trial){.mask = mask,
                   .threads = threads[(r >> 8) % 4],
                   .level = (int)(r >> 12) % 8 ? 1
                            : (r >> 30) % 2    ? 2
                                               : 0,
                   .special = (r >> 16) % 4 == 0,
                   .exact = true,
                   .fenced = true};
}
