// Shape rules of reductions, contractions, attention, gather and scatter, ordered ops, projections
// and gradients.
#include "ir/shape.h"

static bool in_list(const int64_t *list, uint32_t n, int64_t x)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i] == x) return true;
    return false;
}

const Type *shape_reduce(ShapeCall *c)
{
    const Type *x = c->args[0];
    uint32_t n, rank = 0;
    if (!shape_check_rising(c, ATTR_AXES, x->rank)) return NULL;
    const int64_t *out = shape_ints(c, ATTR_AXES, &n);
    Axis *axes = arena_array(c->arena, Axis, x->rank + 1);
    for (uint32_t i = 0; i < x->rank; i++)
        if (!in_list(out, n, i)) axes[rank++] = x->axes[i];
    int64_t cross = shape_int(c, ATTR_CROSS);
    if (cross != 0 && cross != 1) return shape_fail(c, "cross is 0 or 1");
    return type_new(c->arena, x->dtype, rank, axes);
}

const Type *shape_argmax(ShapeCall *c)
{
    const Type *x = c->args[0];
    int64_t axis = shape_int(c, ATTR_AXIS);
    if (!shape_check_axis(c, axis, x)) return NULL;
    Axis *axes = arena_array(c->arena, Axis, x->rank);
    for (uint32_t i = 0, rank = 0; i < x->rank; i++)
        if (i != axis) axes[rank++] = x->axes[i];
    return type_new(c->arena, DT_I32, x->rank - 1, axes);
}

// The axis lists of one operand of a dot: in range, no axis twice.
static bool check_dot_axes(ShapeCall *c, uint32_t arg, AttrKey batch, AttrKey contract)
{
    uint32_t nb, nc;
    const int64_t *b = shape_ints(c, batch, &nb), *k = shape_ints(c, contract, &nc);
    for (uint32_t i = 0; i < nb + nc; i++) {
        int64_t a = i < nb ? b[i] : k[i - nb];
        if (!shape_check_axis(c, a, c->args[arg])) return false;
        if (in_list(b, i < nb ? i : nb, a) || (i > nb && in_list(k, i - nb, a)))
            return shape_fail(c, "axis %lld of %s is named twice", (long long)a,
                              shape_text(c, c->args[arg]));
    }
    return true;
}

// Pairs of axes of the two operands.
static bool check_dot_pairs(ShapeCall *c, AttrKey left, AttrKey right)
{
    uint32_t n, m;
    const int64_t *l = shape_ints(c, left, &n), *r = shape_ints(c, right, &m);
    if (n != m)
        return shape_fail(c, "%s and %s differ in length", attr_name(left), attr_name(right));
    for (uint32_t i = 0; i < n; i++)
        if (!shape_check_pair(c, 0, l[i], 1, r[i])) return false;
    return true;
}

// The result's element type: the attribute, dropped again where it says what the operands say.
static DType dot_dtype(ShapeCall *c)
{
    const Attr *given = shape_attr(c, ATTR_DTYPE);
    DType dt = given ? given->dtype : c->args[0]->dtype;
    if (!given || dt != c->args[0]->dtype) return dt;
    uint32_t at = (uint32_t)(given - c->attrs);
    memmove(&c->attrs[at], &c->attrs[at + 1], (--c->nattrs - at) * sizeof *c->attrs);
    return dt;
}

const Type *shape_dot(ShapeCall *c)
{
    if (!shape_check_dtype(c, 0, 1) || !check_dot_axes(c, 0, ATTR_LBATCH, ATTR_LCONTRACT) ||
        !check_dot_axes(c, 1, ATTR_RBATCH, ATTR_RCONTRACT) ||
        !check_dot_pairs(c, ATTR_LBATCH, ATTR_RBATCH) ||
        !check_dot_pairs(c, ATTR_LCONTRACT, ATTR_RCONTRACT))
        return NULL;
    DType dt = dot_dtype(c);
    if (dt != c->args[0]->dtype && dt != DT_F32)
        return shape_fail(c, "of %s gives %s or f32, not %s", dtype_name(c->args[0]->dtype),
                          dtype_name(c->args[0]->dtype), dt < DT_COUNT ? dtype_name(dt) : "none");
    Axis *axes = arena_array(c->arena, Axis, c->args[0]->rank + c->args[1]->rank + 1);
    uint32_t rank = 0, nb, nc;
    for (uint32_t arg = 0; arg < 2; arg++) {
        const Type *x = c->args[arg];
        const int64_t *b = shape_ints(c, arg ? ATTR_RBATCH : ATTR_LBATCH, &nb);
        const int64_t *k = shape_ints(c, arg ? ATTR_RCONTRACT : ATTR_LCONTRACT, &nc);
        for (uint32_t i = 0; i < nb && arg == 0; i++) axes[rank++] = x->axes[b[i]];
        for (uint32_t i = 0; i < x->rank; i++)
            if (!in_list(b, nb, i) && !in_list(k, nc, i)) axes[rank++] = x->axes[i];
    }
    return type_new(c->arena, dt, rank, axes);
}

// Where the first of the operands beside q, k, v (and out, lse, dout) is.
static uint32_t beside_at(OpCode op)
{
    return op == OP_ATTENTION ? 3 : 6;
}

AttentionBeside attention_beside(OpCode op, uint32_t nargs)
{
    uint32_t at = beside_at(op), n = nargs - at;
    return (AttentionBeside){n >= 2 ? at : 0, n % 2 ? nargs - 1 : 0};
}

// Operand `arg` has q's outer axes, or plain ones of size 1, and then axes of these sizes.
static bool check_beside(ShapeCall *c, uint32_t arg, const char *what, DType dt, uint32_t n,
                         const int64_t *sizes)
{
    const Type *q = c->args[0], *x = c->args[arg];
    uint32_t outer = q->rank - 2, rank = outer + n;
    Axis *axes = arena_array(c->arena, Axis, rank + 1);
    bool ok = x->dtype == dt && x->rank == rank;
    for (uint32_t i = 0; i < rank; i++) {
        axes[i] = i < outer ? q->axes[i] : (Axis){sizes[i - outer], 0};
        ok = ok && ((x->axes[i].size == axes[i].size && x->axes[i].per == axes[i].per) ||
                    (i < outer && x->axes[i].size == 1 && !x->axes[i].per));
    }
    if (ok) return true;
    return shape_fail(c, "%s: %s, or 1 for outer axes, not %s", what,
                      shape_text(c, type_new(c->arena, dt, rank, axes)), shape_text(c, x));
}

// Segments and bias, as far as they are there.
static bool check_all_beside(ShapeCall *c)
{
    const Type *q = c->args[0], *k = c->args[1];
    int64_t sizes[] = {q->axes[q->rank - 2].size, k->axes[k->rank - 2].size};
    AttentionBeside beside = attention_beside(c->op, c->nargs);
    if (beside.segments &&
        (!check_beside(c, beside.segments, "segments of the queries", DT_I32, 1, &sizes[0]) ||
         !check_beside(c, beside.segments + 1, "segments of the keys", DT_I32, 1, &sizes[1])))
        return false;
    DType dt = q->dtype == DT_F64 ? DT_F64 : DT_F32;
    return !beside.bias || check_beside(c, beside.bias, "the bias", dt, 2, sizes);
}

// q (B.., N, D), k (B.., M, D), v (B.., M, E), what is beside them, and the attributes.
static bool check_attention(ShapeCall *c)
{
    uint32_t rank = c->args[0]->rank, at = beside_at(c->op);
    const char *mask = shape_attr(c, ATTR_MASK)->s;
    if (c->nargs < at || c->nargs > at + 3)
        return shape_fail(c, "takes %u to %u operands, not %u", at, at + 3, c->nargs);
    if (strcmp(mask, "none") != 0 && strcmp(mask, "causal") != 0)
        return shape_fail(c, "mask is none or causal, not %s", mask);
    for (uint32_t i = 0; i < 3; i++) {
        const Type *x = c->args[i];
        if (x->rank != rank || rank < 2)
            return shape_fail(c, "q, k and v have one rank of at least 2, not %s",
                              shape_text(c, x));
        if (!shape_check_dtype(c, 0, i)) return false;
        if (x->axes[rank - 1].per || x->axes[rank - 2].per)
            return shape_fail(c, "mixes a batch axis: the last two axes of %s", shape_text(c, x));
        for (uint32_t a = 0; a + 2 < rank; a++)
            if (!shape_check_pair(c, 0, a, i, a)) return false;
    }
    return shape_check_pair(c, 0, rank - 1, 1, rank - 1) &&
           shape_check_pair(c, 1, rank - 2, 2, rank - 2) && check_all_beside(c);
}

// (out (B.., N, E), lse (B.., N) f32)
const Type *shape_attention(ShapeCall *c)
{
    if (!check_attention(c)) return NULL;
    const Type *q = c->args[0];
    Axis *axes = arena_copy(c->arena, q->axes, q->rank * sizeof *axes);
    axes[q->rank - 1] = c->args[2]->axes[q->rank - 1];
    const Type *out = type_new(c->arena, q->dtype, q->rank, axes);
    const Type *lse = type_new(c->arena, DT_F32, q->rank - 1, q->axes);
    return type_tuple(c->arena, 2, (const Type *[]){out, lse});
}

static bool check_attention_grad(ShapeCall *c)
{
    const Type *forward = shape_attention(c);
    if (!forward) return false;
    const Type *want[] = {forward->parts[0], forward->parts[1], forward->parts[0]};
    static const char *const names[] = {"out", "lse", "dout"};
    for (uint32_t i = 0; i < 3; i++)
        if (!type_equal(c->args[3 + i], want[i]))
            return shape_fail(c, "%s is %s, not %s", names[i], shape_text(c, want[i]),
                              shape_text(c, c->args[3 + i]));
    return true;
}

const Type *shape_attention_grad(ShapeCall *c)
{
    return check_attention_grad(c) ? type_tuple(c->arena, 3, c->args) : NULL;
}

// dbias is as the bias.
const Type *shape_attention_bias_grad(ShapeCall *c)
{
    if (!check_attention_grad(c)) return NULL;
    uint32_t bias = attention_beside(c->op, c->nargs).bias;
    if (!bias) return shape_fail(c, "has no bias among its %u operands", c->nargs);
    return c->args[bias];
}

// The leading axes that operand 0 and operand 1 share; each must have `least` axes beyond them.
static bool check_shared(ShapeCall *c, int64_t shared, int64_t least0, int64_t least1)
{
    const Type *x = c->args[0], *y = c->args[1];
    if (shared < 0 || shared > (int64_t)x->rank - least0 || shared > (int64_t)y->rank - least1)
        return shape_fail(c, "batch %lld does not suit %s and %s", (long long)shared,
                          shape_text(c, x), shape_text(c, y));
    for (int64_t i = 0; i < shared; i++)
        if (!shape_check_pair(c, 0, i, 1, i)) return false;
    return true;
}

static bool check_index(ShapeCall *c, const Type *index)
{
    if (index->dtype == DT_I32) return true;
    return shape_fail(c, "its indices are i32, not %s", shape_text(c, index));
}

// (x (b.., n, r..), i (b.., k..)) -> (b.., k.., r..)
const Type *shape_gather(ShapeCall *c)
{
    const Type *x = c->args[0], *index = c->args[1];
    int64_t shared = shape_int(c, ATTR_BATCH);
    if (!check_index(c, index) || !check_shared(c, shared, 1, 0)) return NULL;
    Axis *axes = arena_array(c->arena, Axis, x->rank + index->rank);
    uint32_t rank = 0;
    for (uint32_t i = 0; i < index->rank; i++) axes[rank++] = index->axes[i];
    for (uint32_t i = (uint32_t)shared + 1; i < x->rank; i++) axes[rank++] = x->axes[i];
    return type_new(c->arena, x->dtype, rank, axes);
}

// (i (b.., k..), u (b.., k.., r..)) -> (b.., size, r..)
const Type *shape_scatter_add(ShapeCall *c)
{
    const Type *index = c->args[0], *u = c->args[1];
    int64_t shared = shape_int(c, ATTR_BATCH), size = shape_int(c, ATTR_SIZE);
    if (!check_index(c, index) || !check_shared(c, shared, 0, 0)) return NULL;
    if (u->rank < index->rank)
        return shape_fail(c, "%s has fewer axes than its indices %s", shape_text(c, u),
                          shape_text(c, index));
    for (uint32_t i = 0; i < index->rank; i++)
        if (!shape_check_pair(c, 0, i, 1, i)) return NULL;
    Axis *axes = arena_array(c->arena, Axis, u->rank + 1);
    uint32_t rank = 0;
    for (int64_t i = 0; i < shared; i++) axes[rank++] = u->axes[i];
    axes[rank++] = (Axis){size, 0};
    for (uint32_t i = index->rank; i < u->rank; i++) axes[rank++] = u->axes[i];
    return type_new(c->arena, u->dtype, rank, axes);
}

// 0 or 1.
static bool check_switch(ShapeCall *c, AttrKey key)
{
    int64_t x = shape_int(c, key);
    if (x == 0 || x == 1) return true;
    return shape_fail(c, "%s is 0 or 1", attr_name(key));
}

static bool check_row(ShapeCall *c, const Type *x)
{
    if (x->rank) return true;
    return shape_fail(c, "%s has no axis", shape_text(c, x));
}

const Type *shape_cumsum(ShapeCall *c)
{
    const Type *x = c->args[0];
    return check_row(c, x) && check_switch(c, ATTR_REVERSE) ? x : NULL;
}

// x (B.., N) -> ((B.., size), (B.., size) i32)
const Type *shape_topk(ShapeCall *c)
{
    const Type *x = c->args[0];
    int64_t size = shape_int(c, ATTR_SIZE);
    if (!check_row(c, x) || !check_switch(c, ATTR_RISING)) return NULL;
    if (dtype_size(x->dtype) > 4) {
        shape_fail(c, "orders elements of at most 4 bytes, not %s", shape_text(c, x));
        diag_help(c->diag, "cast them to f32 or i32");
        return NULL;
    }
    int64_t n = x->axes[x->rank - 1].size;
    if (size < 1 || size > n || n > INT32_MAX)
        return shape_fail(c, "has no %lld elements to take of %s", (long long)size,
                          shape_text(c, x));
    Axis *axes = arena_copy(c->arena, x->axes, x->rank * sizeof *axes);
    axes[x->rank - 1] = (Axis){size, 0};
    const Type *parts[] = {type_new(c->arena, x->dtype, x->rank, axes),
                           type_new(c->arena, DT_I32, x->rank, axes)};
    return type_tuple(c->arena, 2, parts);
}

// boxes (B.., N, 4), scores (B.., N) -> ((B.., size) i32, (B..) i32)
const Type *shape_nms(ShapeCall *c)
{
    const Type *boxes = c->args[0], *scores = c->args[1];
    int64_t size = shape_int(c, ATTR_SIZE);
    double threshold = shape_attr(c, ATTR_THRESHOLD)->f;
    if (boxes->dtype != DT_F32 || scores->dtype != DT_F32 || boxes->rank != scores->rank + 1 ||
        !scores->rank || boxes->axes[scores->rank].size != 4 || boxes->axes[scores->rank].per)
        return shape_fail(c, "takes boxes f32[.., N, 4] and scores f32[.., N], not %s and %s",
                          shape_text(c, boxes), shape_text(c, scores));
    for (uint32_t i = 0; i < scores->rank; i++)
        if (!shape_check_pair(c, 0, i, 1, i)) return NULL;
    if (size < 1 || size > INT32_MAX || type_count(scores) > INT32_MAX)
        return shape_fail(c, "cannot take %lld boxes of %s", (long long)size, shape_text(c, boxes));
    if (!(threshold >= 0 && threshold <= 1))
        return shape_fail(c, "its threshold is in [0, 1], not %g", threshold);
    Axis *axes = arena_copy(c->arena, scores->axes, scores->rank * sizeof *axes);
    axes[scores->rank - 1] = (Axis){size, 0};
    const Type *parts[] = {type_new(c->arena, DT_I32, scores->rank, axes),
                           type_new(c->arena, DT_I32, scores->rank - 1, axes)};
    return type_tuple(c->arena, 2, parts);
}

// x (B.., N, N) -> ((B.., N), (B.., N, N))
const Type *shape_eigh(ShapeCall *c)
{
    const Type *x = c->args[0];
    uint32_t r = x->rank;
    if (x->dtype != DT_F32 || r < 2 || x->axes[r - 1].per || x->axes[r - 2].per ||
        x->axes[r - 1].size != x->axes[r - 2].size)
        return shape_fail(c, "takes symmetric matrices f32[.., N, N], not %s", shape_text(c, x));
    if (x->axes[r - 1].size > EIGH_MOST)
        return shape_fail(c, "takes matrices of at most %d rows, not %s", EIGH_MOST,
                          shape_text(c, x));
    const Type *parts[] = {type_new(c->arena, DT_F32, r - 1, x->axes), x};
    return type_tuple(c->arena, 2, parts);
}

const Type *shape_proj(ShapeCall *c)
{
    int64_t index = shape_int(c, ATTR_INDEX);
    const Type *x = c->args[0];
    if (index < 0 || index >= x->nparts)
        return shape_fail(c, "%s has no part %lld", shape_text(c, x), (long long)index);
    return x->parts[index];
}

const Type *shape_grad(ShapeCall *c)
{
    for (uint32_t i = 0; i < 2; i++)
        if (!dtype_is_float(c->args[i]->dtype) || (i == 0 && c->args[i]->rank))
            return shape_fail(c, "%s, not %s", i ? "the value is a float" : "the loss has rank 0",
                              shape_text(c, c->args[i]));
    return c->args[1];
}
