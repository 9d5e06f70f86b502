// Shape inference: attributes are brought into canonical form, operands are checked against the
// op's row, then the row's rule computes the result's type. Here are the checks the rules share,
// and the rules of leaves and elementwise ops; shape_view.c has the views, shape_ops.c the rest.
#include "ir/shape.h"

#include "ir/fold.h"

// ---- reports ------------------------------------------------------------------------------------

const Type *shape_fail(ShapeCall *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = str_vprintf(c->arena, fmt, ap);
    va_end(ap);
    diag_error(c->diag, c->here, "%s: %s", op_info(c->op)->name, text);
    return NULL;
}

const char *shape_text(ShapeCall *c, const Type *type)
{
    return type_text(c->arena, type);
}

const char *shape_axes_text(ShapeCall *c, uint32_t rank, const Axis *axes)
{
    const char *text = type_text(c->arena, &(Type){.dtype = DT_NONE, .rank = rank, .axes = axes});
    return strchr(text, '[');
}

// ---- attributes ---------------------------------------------------------------------------------

bool attr_optional(OpCode op, AttrKey key)
{
    switch (key) {
    case ATTR_CROSS:
    case ATTR_BATCH:
    case ATTR_REVERSE:
    case ATTR_RISING:
    case ATTR_STRIDE:
    case ATTR_STEP:
    case ATTR_UP:
    case ATTR_MASK:
    case ATTR_PRECISION:
    case ATTR_LBATCH:
    case ATTR_RBATCH:
    case ATTR_LCONTRACT:
    case ATTR_RCONTRACT: return true;
    case ATTR_DTYPE: return op == OP_DOT;
    default: return false;
    }
}

bool attr_is_default(const Attr *attr)
{
    switch (attr->key) {
    case ATTR_CROSS:
    case ATTR_REVERSE:
    case ATTR_RISING:
    case ATTR_BATCH: return attr->i == 0;
    case ATTR_MASK: return strcmp(attr->s, "none") == 0;
    case ATTR_PRECISION: return !*attr->s;
    case ATTR_LBATCH:
    case ATTR_RBATCH:
    case ATTR_LCONTRACT:
    case ATTR_RCONTRACT: return attr->ints.n == 0;
    case ATTR_STRIDE:
    case ATTR_STEP:
    case ATTR_UP:
        for (uint32_t i = 0; i < attr->ints.n; i++)
            if (attr->ints.at[i] != 1) return false;
        return true;
    default: return false;
    }
}

// Fill in the default of a missing attribute; false where it has none.
static bool default_attr(ShapeCall *c, AttrKey key, Attr *attr)
{
    *attr = (Attr){.key = key};
    if (key == ATTR_DTYPE) return false;
    if (key == ATTR_MASK) attr->s = "none";
    if (key == ATTR_PRECISION) attr->s = c->precision;
    if ((key == ATTR_STRIDE || key == ATTR_STEP || key == ATTR_UP) && c->nargs) {
        uint32_t n = c->args[0]->rank; // a slice has one an axis, skew one for each that it moves
        if (c->op == OP_SKEW) shape_ints(c, ATTR_AXES, &n);
        int64_t *ones = arena_array(c->arena, int64_t, n + 1);
        for (uint32_t i = 0; i < n; i++) ones[i] = 1;
        *attr = attr_ints(key, ones, n);
    }
    return true;
}

bool shape_attrs(ShapeCall *c)
{
    const Attr *given = c->attrs;
    uint32_t ngiven = c->nattrs, used = 0;
    c->attrs = arena_array(c->arena, Attr, __builtin_popcount(op_info(c->op)->attrs));
    c->nattrs = 0;
    for (AttrKey key = 0; key < ATTR_COUNT; key++) {
        bool allowed = op_info(c->op)->attrs & (1u << key);
        const Attr *found = NULL;
        for (uint32_t i = 0; i < ngiven; i++) {
            if (given[i].key != key) continue;
            if (found) return shape_fail(c, "attribute %s is given twice", attr_name(key));
            if (!allowed) return shape_fail(c, "has no attribute %s", attr_name(key));
            found = &given[i];
            used++;
        }
        if (!allowed) continue;
        if (found)
            c->attrs[c->nattrs++] = *found;
        else if (!attr_optional(c->op, key))
            return shape_fail(c, "attribute %s is missing", attr_name(key));
        else if (default_attr(c, key, &c->attrs[c->nattrs]))
            c->nattrs++;
    }
    if (used != ngiven) bug("%s: unknown attribute key", op_info(c->op)->name);
    return true;
}

Attr *shape_attr(ShapeCall *c, AttrKey key)
{
    for (uint32_t i = 0; i < c->nattrs; i++)
        if (c->attrs[i].key == key) return &c->attrs[i];
    return NULL;
}

int64_t shape_int(ShapeCall *c, AttrKey key)
{
    const Attr *a = shape_attr(c, key);
    return a ? a->i : 0;
}

const int64_t *shape_ints(ShapeCall *c, AttrKey key, uint32_t *n)
{
    const Attr *a = shape_attr(c, key);
    *n = a ? a->ints.n : 0;
    return a ? a->ints.at : NULL;
}

// ---- checks -------------------------------------------------------------------------------------

bool shape_check_axes(ShapeCall *c, uint32_t rank, const Axis *axes)
{
    int64_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        Axis a = axes[i];
        if (a.size < 1)
            return shape_fail(c, "axis %u has size %lld; sizes are at least 1", i,
                              (long long)a.size);
        if (a.per < 0 || (a.per && !c->batch))
            return shape_fail(c, "axis %u is a batch axis, but this graph has no batch", i);
        if (a.per && (a.size % c->batch || a.size / c->batch != a.per))
            return shape_fail(c,
                              "axis %u has size %lld, but %lld a sample of batch %lld make another",
                              i, (long long)a.size, (long long)a.per, (long long)c->batch);
        if (__builtin_mul_overflow(count, a.size, &count) || count > SHAPE_LIMIT)
            return shape_fail(c, "a tensor of shape %s is too large",
                              shape_axes_text(c, rank, axes));
    }
    return true;
}

bool shape_check_axis(ShapeCall *c, int64_t a, const Type *type)
{
    if (a >= 0 && a < type->rank) return true;
    return shape_fail(c, "axis %lld is not an axis of %s", (long long)a, shape_text(c, type));
}

bool shape_check_rising(ShapeCall *c, AttrKey key, uint32_t rank)
{
    uint32_t n;
    const int64_t *axes = shape_ints(c, key, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (axes[i] < 0 || axes[i] >= rank)
            return shape_fail(c, "%s: axis %lld is not below the rank %u", attr_name(key),
                              (long long)axes[i], rank);
        if (i && axes[i] <= axes[i - 1])
            return shape_fail(c, "%s: axes must rise, %lld follows %lld", attr_name(key),
                              (long long)axes[i], (long long)axes[i - 1]);
    }
    return true;
}

bool shape_check_length(ShapeCall *c, AttrKey key, const Type *type)
{
    uint32_t n;
    shape_ints(c, key, &n);
    if (n == type->rank) return true;
    return shape_fail(c, "%s has %u entries for the axes of %s", attr_name(key), n,
                      shape_text(c, type));
}

bool shape_check_pair(ShapeCall *c, uint32_t x, int64_t i, uint32_t y, int64_t j)
{
    const Type *a = c->args[x], *b = c->args[y];
    if (a->axes[i].size == b->axes[j].size && a->axes[i].per == b->axes[j].per) return true;
    const char *ta = shape_text(c, a), *tb = shape_text(c, b);
    if (a->axes[i].size == b->axes[j].size)
        shape_fail(c, "mixes a batch axis: axis %lld of %s with axis %lld of %s", (long long)i, ta,
                   (long long)j, tb);
    else if (i == j)
        shape_fail(c, "shapes %s and %s differ on axis %lld (%lld and %lld)", ta, tb, (long long)i,
                   (long long)a->axes[i].size, (long long)b->axes[j].size);
    else
        shape_fail(c, "axis %lld of %s and axis %lld of %s differ (%lld and %lld)", (long long)i,
                   ta, (long long)j, tb, (long long)a->axes[i].size, (long long)b->axes[j].size);
    return false;
}

bool shape_check_same(ShapeCall *c, uint32_t x, uint32_t y)
{
    const Type *a = c->args[x], *b = c->args[y];
    if (a->rank != b->rank)
        return shape_fail(c, "shapes %s and %s differ in rank", shape_text(c, a), shape_text(c, b));
    for (uint32_t i = 0; i < a->rank; i++)
        if (!shape_check_pair(c, x, i, y, i)) return false;
    return true;
}

bool shape_check_dtype(ShapeCall *c, uint32_t x, uint32_t y)
{
    if (c->args[x]->dtype == c->args[y]->dtype) return true;
    shape_fail(c, "element types %s and %s differ", dtype_name(c->args[x]->dtype),
               dtype_name(c->args[y]->dtype));
    diag_help(c->diag, "cast one of the two");
    return false;
}

// The operands' element types against the flags of the row.
static bool check_class(ShapeCall *c)
{
    uint32_t flags = op_info(c->op)->flags;
    uint32_t n = op_info(c->op)->class == CLASS_ATTENTION && c->nargs > 3 ? 3 : c->nargs;
    for (uint32_t i = c->op == OP_SCATTER_ADD ? 1 : 0; i < n; i++) {
        DType dt = c->args[i]->dtype;
        const char *want = NULL;
        if ((flags & OPF_NUMBER) && dt == DT_BOOL) want = "numbers";
        if ((flags & OPF_FLOAT) && !dtype_is_float(dt)) want = "floats";
        if ((flags & OPF_INT) && !dtype_is_int(dt)) want = "integers";
        if ((flags & OPF_BOOL) && dt != DT_BOOL) want = "bool";
        if (want) return shape_fail(c, "takes %s, not %s", want, shape_text(c, c->args[i]));
    }
    return true;
}

static bool check_precision(ShapeCall *c)
{
    const Attr *a = shape_attr(c, ATTR_PRECISION);
    return !a || !*a->s || precision_find(a->s) ||
           shape_fail(c, "precision is f32, tf32 or bf16, not %s", a->s);
}

typedef const Type *Rule(ShapeCall *c);

static Rule *const rules[] = {
#define OP(e, text, class, operands, attrs, flags, rule, meaning) shape_##rule,
#include "ir/ops.def"
#undef OP
};

const Type *shape_infer(ShapeCall *c)
{
    int arity = op_info(c->op)->arity;
    if (arity < 0 ? c->nargs == 0 : c->nargs != (uint32_t)arity)
        return shape_fail(c, "takes %d operands, not %u", arity < 0 ? 1 : arity, c->nargs);
    for (uint32_t i = 0; i < c->nargs; i++)
        if (c->args[i]->nparts && c->op != OP_PROJ)
            return shape_fail(c, "operand %u is a tuple; take one part with proj", i);
    if (!check_class(c) || !shape_attrs(c) || !check_precision(c)) return NULL;
    const Type *type = rules[c->op](c);
    if (!type || type->nparts || shape_check_axes(c, type->rank, type->axes)) return type;
    return NULL;
}

// ---- leaves -------------------------------------------------------------------------------------

const Type *shape_given(ShapeCall *c)
{
    const Attr *shape = shape_attr(c, ATTR_SHAPE), *name = shape_attr(c, ATTR_NAME);
    const Axis *axes = shape->axes.at;
    uint32_t rank = shape->axes.n;
    DType dt = shape_attr(c, ATTR_DTYPE)->dtype;
    if (dt >= DT_COUNT) return shape_fail(c, "has no element type");
    if (name && !*name->s) return shape_fail(c, "its name is empty");
    if (!shape_check_axes(c, rank, axes)) return NULL;
    const Type *type = type_new(c->arena, dt, rank, axes);
    for (uint32_t i = 0; i < rank && c->op == OP_STATE; i++)
        if (axes[i].per)
            return shape_fail(c,
                              "'%s' of type %s has a batch axis; state lasts longer than a batch",
                              name->s, shape_text(c, type));
    if (c->op == OP_IOTA && dt == DT_BOOL) return shape_fail(c, "counts in numbers, not bool");
    if (c->op == OP_IOTA && !shape_check_axis(c, shape_int(c, ATTR_AXIS), type)) return NULL;
    return type;
}

const Type *shape_scalar(ShapeCall *c)
{
    DType dt = shape_attr(c, ATTR_DTYPE)->dtype;
    Attr *value = shape_attr(c, ATTR_VALUE);
    if (dt >= DT_COUNT) return shape_fail(c, "has no element type");
    if (!dtype_is_float(dt) && !fold_fits(dt, value->f))
        return shape_fail(c, "%.17g is not a value of %s", value->f, dtype_name(dt));
    value->f = fold_round(dt, value->f);
    return type_new(c->arena, dt, 0, NULL);
}

const Type *shape_random(ShapeCall *c)
{
    static const char *const names[] = {"seed", "step", "first sample"};
    if (c->nargs < 2 || c->nargs > 3)
        return shape_fail(c, "takes 2 or 3 operands, not %u", c->nargs);
    for (uint32_t i = 0; i < c->nargs; i++) {
        DType want = i < 2 ? DT_I64 : DT_I32;
        if (c->args[i]->dtype != want || c->args[i]->rank)
            return shape_fail(c, "its %s is %s[], not %s", names[i], dtype_name(want),
                              shape_text(c, c->args[i]));
    }
    const Attr *shape = shape_attr(c, ATTR_SHAPE);
    uint32_t batches = 0;
    if (!shape_check_axes(c, shape->axes.n, shape->axes.at)) return NULL;
    for (uint32_t i = 0; i < shape->axes.n; i++) batches += shape->axes.at[i].per > 0;
    if (batches > 1)
        return shape_fail(c, "%s has more than one batch axis",
                          shape_axes_text(c, shape->axes.n, shape->axes.at));
    return type_new(c->arena, DT_U32, shape->axes.n, shape->axes.at);
}

// ---- elementwise --------------------------------------------------------------------------------

const Type *shape_same(ShapeCall *c)
{
    for (uint32_t i = 1; i < c->nargs; i++)
        if (!shape_check_dtype(c, 0, i) || !shape_check_same(c, 0, i)) return NULL;
    if (shape_attr(c, ATTR_AXES) && !shape_check_rising(c, ATTR_AXES, c->args[0]->rank))
        return NULL;
    return c->args[0];
}

const Type *shape_compare(ShapeCall *c)
{
    if (!shape_same(c)) return NULL;
    return type_new(c->arena, DT_BOOL, c->args[0]->rank, c->args[0]->axes);
}

const Type *shape_cast(ShapeCall *c)
{
    DType dt = shape_attr(c, ATTR_DTYPE)->dtype;
    if (dt >= DT_COUNT) return shape_fail(c, "has no element type");
    return type_new(c->arena, dt, c->args[0]->rank, c->args[0]->axes);
}

const Type *shape_select(ShapeCall *c)
{
    if (c->args[0]->dtype != DT_BOOL)
        return shape_fail(c, "its condition is bool, not %s", shape_text(c, c->args[0]));
    if (!shape_check_dtype(c, 1, 2) || !shape_check_same(c, 1, 2) || !shape_check_same(c, 0, 1))
        return NULL;
    return c->args[1];
}
