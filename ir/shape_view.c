// Shape rules of the views. A view along a batch axis that does not keep whole samples in their
// order gives a plain axis; entry_check_batch reports it where the source may not do so.
#include "ir/shape.h"

static const Type *result(ShapeCall *c, uint32_t rank, const Axis *axes)
{
    return type_new(c->arena, c->args[0]->dtype, rank, axes);
}

// A copy of the operand's axes to change.
static Axis *copy_axes(ShapeCall *c)
{
    const Type *x = c->args[0];
    Axis *axes = arena_array(c->arena, Axis, x->rank + 1);
    if (x->rank) memcpy(axes, x->axes, x->rank * sizeof *axes);
    return axes;
}

// A copy of the SHAPE attribute, its sizes checked; per of its axes may be open (0).
static Axis *open_shape(ShapeCall *c, uint32_t *rank)
{
    const Attr *shape = shape_attr(c, ATTR_SHAPE);
    *rank = shape->axes.n;
    Axis *axes = arena_array(c->arena, Axis, *rank + 1);
    if (*rank) memcpy(axes, shape->axes.at, *rank * sizeof *axes);
    return shape_check_axes(c, *rank, axes) ? axes : NULL;
}

// What the SHAPE attribute says, for messages.
static const char *wanted_text(ShapeCall *c)
{
    const Attr *shape = shape_attr(c, ATTR_SHAPE);
    return shape_axes_text(c, shape->axes.n, shape->axes.at);
}

// The result axis that continues the operand's batch axis before which `before` elements lie: it
// starts after as many, holds whole samples and is not taken. Only axes of size 1 leave a choice:
// then the one given as batch, else the first. -1 when there is none.
static int64_t batch_target(ShapeCall *c, uint32_t rank, const Axis *given, const Axis *axes,
                            int64_t before)
{
    int64_t target = -1, count = 1;
    for (uint32_t i = 0; i < rank && count <= before; count *= axes[i++].size) {
        if (count != before || axes[i].size % c->batch || axes[i].per) continue;
        if (target < 0 || (given[i].per && !given[target].per)) target = i;
    }
    return target;
}

// A batch axis survives when the elements of one sample stay together at the same place.
const Type *shape_reshape(ShapeCall *c)
{
    const Type *x = c->args[0];
    uint32_t rank;
    Axis *axes = open_shape(c, &rank);
    if (!axes) return NULL;
    const Axis *given = shape_attr(c, ATTR_SHAPE)->axes.at;
    int64_t count = 1;
    for (uint32_t i = 0; i < rank; i++) count *= axes[i].size;
    if (count != type_count(x))
        return shape_fail(c, "%s has %lld elements, %s has %lld", shape_text(c, x),
                          (long long)type_count(x), wanted_text(c), (long long)count);
    for (uint32_t i = 0; i < rank; i++) axes[i].per = 0;
    int64_t before = 1;
    for (uint32_t i = 0; i < x->rank; before *= x->axes[i++].size) {
        if (!x->axes[i].per) continue;
        int64_t target = batch_target(c, rank, given, axes, before);
        if (target < 0)
            return shape_fail(c, "%s to %s mixes the batch axis %u", shape_text(c, x),
                              wanted_text(c), i);
        axes[target].per = axes[target].size / c->batch;
    }
    for (uint32_t i = 0; i < rank; i++)
        if (given[i].per && given[i].per != axes[i].per)
            return shape_fail(c, "axis %u of %s does not come from a batch axis of %s", i,
                              wanted_text(c), shape_text(c, x));
    *shape_attr(c, ATTR_SHAPE) = attr_axes(ATTR_SHAPE, axes, rank);
    return result(c, rank, axes);
}

const Type *shape_transpose(ShapeCall *c)
{
    const Type *x = c->args[0];
    if (!shape_check_length(c, ATTR_PERM, x)) return NULL;
    uint32_t n;
    const int64_t *perm = shape_ints(c, ATTR_PERM, &n);
    Axis *axes = arena_array(c->arena, Axis, n + 1);
    bool *seen = arena_array(c->arena, bool, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        if (!shape_check_axis(c, perm[i], x)) return NULL;
        if (seen[perm[i]]) return shape_fail(c, "perm has axis %lld twice", (long long)perm[i]);
        seen[perm[i]] = true;
        axes[i] = x->axes[perm[i]];
    }
    return result(c, n, axes);
}

const Type *shape_broadcast(ShapeCall *c)
{
    const Type *x = c->args[0];
    uint32_t rank, n;
    Axis *axes = open_shape(c, &rank);
    if (!axes || !shape_check_length(c, ATTR_AXES, x) || !shape_check_rising(c, ATTR_AXES, rank))
        return NULL;
    const int64_t *map = shape_ints(c, ATTR_AXES, &n);
    for (uint32_t i = 0; i < n; i++) {
        Axis *to_axis = &axes[map[i]];
        Axis a = x->axes[i];
        if (a.size == 1 && !a.per) continue; // repeated, or of size 1 as before
        if (a.size != to_axis->size)
            return shape_fail(c, "axis %u of %s cannot become axis %lld of %s", i, shape_text(c, x),
                              (long long)map[i], wanted_text(c));
        if (to_axis->per && to_axis->per != a.per)
            return shape_fail(c, "mixes a batch axis: axis %u of %s becomes axis %lld of %s", i,
                              shape_text(c, x), (long long)map[i], wanted_text(c));
        to_axis->per = a.per;
    }
    *shape_attr(c, ATTR_SHAPE) = attr_axes(ATTR_SHAPE, axes, rank);
    return result(c, rank, axes);
}

const Type *shape_slice(ShapeCall *c)
{
    const Type *x = c->args[0];
    uint32_t n;
    if (!shape_check_length(c, ATTR_LO, x) || !shape_check_length(c, ATTR_HI, x) ||
        !shape_check_length(c, ATTR_STRIDE, x))
        return NULL;
    const int64_t *lo = shape_ints(c, ATTR_LO, &n), *hi = shape_ints(c, ATTR_HI, &n);
    const int64_t *stride = shape_ints(c, ATTR_STRIDE, &n);
    Axis *axes = copy_axes(c);
    for (uint32_t i = 0; i < n; i++) {
        if (lo[i] < 0 || hi[i] <= lo[i] || hi[i] > axes[i].size)
            return shape_fail(c, "%lld:%lld is not a part of axis %u of %s", (long long)lo[i],
                              (long long)hi[i], i, shape_text(c, x));
        if (stride[i] < 1)
            return shape_fail(c, "stride %lld of axis %u is below 1", (long long)stride[i], i);
        int64_t size = (hi[i] - lo[i] - 1) / stride[i] + 1;
        if (size != axes[i].size) axes[i].per = 0;
        axes[i].size = size;
    }
    return result(c, n, axes);
}

const Type *shape_pad(ShapeCall *c)
{
    const Type *x = c->args[0];
    uint32_t n;
    if (c->args[1]->rank)
        return shape_fail(c, "its fill has rank 0, not %s", shape_text(c, c->args[1]));
    if (!shape_check_dtype(c, 0, 1) || !shape_check_length(c, ATTR_LO, x) ||
        !shape_check_length(c, ATTR_HI, x))
        return NULL;
    const int64_t *lo = shape_ints(c, ATTR_LO, &n), *hi = shape_ints(c, ATTR_HI, &n);
    Axis *axes = copy_axes(c);
    for (uint32_t i = 0; i < n; i++) {
        if (lo[i] < 0 || hi[i] < 0 || lo[i] > SHAPE_LIMIT || hi[i] > SHAPE_LIMIT)
            return shape_fail(c, "cannot pad axis %u of %s by %lld and %lld", i, shape_text(c, x),
                              (long long)lo[i], (long long)hi[i]);
        if (lo[i] + hi[i] == 0) continue;
        axes[i].size += lo[i] + hi[i];
        axes[i].per = 0;
    }
    return result(c, n, axes);
}

// The lists of a skew, one entry a moved axis.
static bool check_moves(ShapeCall *c, const Type *x)
{
    uint32_t n, count;
    const int64_t *axes = shape_ints(c, ATTR_AXES, &n);
    static const AttrKey lists[] = {ATTR_LO, ATTR_STRIDE, ATTR_ALONG, ATTR_STEP, ATTR_UP};
    for (uint32_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const int64_t *at = shape_ints(c, lists[i], &count);
        if (count != n)
            return shape_fail(c, "%s has %u entries for %u axes", attr_name(lists[i]), count, n);
        bool positive = lists[i] == ATTR_STRIDE || lists[i] == ATTR_UP;
        for (uint32_t k = 0; k < n; k++) {
            int64_t least = positive ? 1 : -SHAPE_LIMIT;
            if (at[k] < least || at[k] > SHAPE_LIMIT)
                return shape_fail(c, "%s %lld is out of range", attr_name(lists[i]),
                                  (long long)at[k]);
        }
    }
    const int64_t *along = shape_ints(c, ATTR_ALONG, &count);
    for (uint32_t k = 0; k < n; k++) {
        if (!shape_check_axis(c, along[k], x)) return false;
        for (uint32_t i = 0; i < n; i++)
            if (along[k] == axes[i] || (i < k && along[i] == along[k]))
                return shape_fail(c, "axis %lld cannot move others, it is one itself or does twice",
                                  (long long)along[k]);
        if (x->axes[axes[k]].per || x->axes[along[k]].per)
            return shape_fail(c, "cannot move axis %lld along axis %lld of %s: a batch axis",
                              (long long)axes[k], (long long)along[k], shape_text(c, x));
    }
    return true;
}

// Where a moved axis looks at its operand, before it is divided by up, is a place that indices can
// say without overflow.
static bool check_reach(ShapeCall *c, uint32_t k, int64_t size, int64_t places)
{
    uint32_t n;
    int64_t stride = shape_ints(c, ATTR_STRIDE, &n)[k], step = shape_ints(c, ATTR_STEP, &n)[k];
    int64_t lo = shape_ints(c, ATTR_LO, &n)[k], far, wide;
    bool over = __builtin_mul_overflow(size - 1, stride, &far) ||
                __builtin_mul_overflow(places - 1, step < 0 ? -step : step, &wide) ||
                __builtin_add_overflow(far, wide, &far) ||
                __builtin_add_overflow(far, lo < 0 ? -lo : lo, &far) || far > SHAPE_LIMIT;
    if (over) shape_fail(c, "axis %lld moves too far", (long long)shape_ints(c, ATTR_AXES, &n)[k]);
    return !over;
}

const Type *shape_skew(ShapeCall *c)
{
    const Type *x = c->args[0];
    uint32_t rank, n;
    Axis *axes = open_shape(c, &rank);
    if (!axes || !shape_check_rising(c, ATTR_AXES, x->rank) || !check_moves(c, x)) return NULL;
    if (c->args[1]->rank)
        return shape_fail(c, "its fill has rank 0, not %s", shape_text(c, c->args[1]));
    if (!shape_check_dtype(c, 0, 1)) return NULL;
    if (rank != x->rank)
        return shape_fail(c, "shapes %s and %s differ in rank", shape_text(c, x), wanted_text(c));
    const int64_t *moved = shape_ints(c, ATTR_AXES, &n);
    for (uint32_t i = 0, k = 0; i < rank; i++) {
        bool moves = k < n && moved[k] == i;
        k += moves;
        if (!moves &&
            (axes[i].size != x->axes[i].size || (axes[i].per && axes[i].per != x->axes[i].per)))
            return shape_fail(c, "axis %u of %s stays, and is another in %s", i, shape_text(c, x),
                              wanted_text(c));
        if (moves && axes[i].per)
            return shape_fail(c, "axis %u of %s cannot be a batch axis", i, wanted_text(c));
        int64_t along = moves ? shape_ints(c, ATTR_ALONG, &n)[k - 1] : 0;
        if (moves && !check_reach(c, k - 1, axes[i].size, x->axes[along].size)) return NULL;
        if (!moves) axes[i].per = x->axes[i].per;
    }
    *shape_attr(c, ATTR_SHAPE) = attr_axes(ATTR_SHAPE, axes, rank);
    return result(c, rank, axes);
}

const Type *shape_concat(ShapeCall *c)
{
    const Type *x = c->args[0];
    int64_t axis = shape_int(c, ATTR_AXIS);
    if (!shape_check_axis(c, axis, x)) return NULL;
    Axis *axes = copy_axes(c);
    for (uint32_t k = 1; k < c->nargs; k++) {
        const Type *y = c->args[k];
        if (!shape_check_dtype(c, 0, k)) return NULL;
        if (y->rank != x->rank)
            return shape_fail(c, "shapes %s and %s differ in rank", shape_text(c, x),
                              shape_text(c, y));
        for (uint32_t i = 0; i < x->rank; i++)
            if (i != axis && !shape_check_pair(c, 0, i, k, i)) return NULL;
        if (__builtin_add_overflow(axes[axis].size, y->axes[axis].size, &axes[axis].size))
            return shape_fail(c, "the result is too large");
        axes[axis].per = 0;
    }
    return result(c, x->rank, axes);
}

const Type *shape_batch_gather(ShapeCall *c)
{
    const Type *x = c->args[0];
    int64_t axis = shape_int(c, ATTR_AXIS);
    if (!shape_check_axis(c, axis, x)) return NULL;
    if (!x->axes[axis].per)
        return shape_fail(c, "axis %lld of %s is no batch axis", (long long)axis, shape_text(c, x));
    Axis *axes = copy_axes(c);
    axes[axis].per = 0;
    return result(c, x->rank, axes);
}

const Type *shape_batch_split(ShapeCall *c)
{
    const Type *x = c->args[0];
    int64_t axis = shape_int(c, ATTR_AXIS);
    if (!shape_check_axis(c, axis, x)) return NULL;
    if (x->axes[axis].per || !c->batch || x->axes[axis].size % c->batch)
        return shape_fail(c, "axis %lld of %s is no plain axis over a batch of %lld",
                          (long long)axis, shape_text(c, x), (long long)c->batch);
    Axis *axes = copy_axes(c);
    axes[axis].per = axes[axis].size / c->batch;
    return result(c, x->rank, axes);
}
