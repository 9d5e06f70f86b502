// Views of the interpreter: each is one strided copy of the operand's elements, bit for bit.

#include "ir/eval.h"

// The two sides of a copy: sizes of the walk, byte strides, and where each side begins.
typedef struct Copy {
    uint32_t rank;
    int64_t *sizes, *to, *from;
    int64_t to_at, from_at;
} Copy;

// The walk over all of `type`, both sides lying so; an op then changes what differs.
static Copy copy_over(Eval *ev, const Type *type, int64_t width)
{
    Copy c = {.rank = type->rank, .sizes = arena_array(ev->scratch, int64_t, type->rank)};
    for (uint32_t a = 0; a < type->rank; a++) c.sizes[a] = type->axes[a].size;
    c.to = strides_of(ev->scratch, type, width);
    c.from = strides_of(ev->scratch, type, width);
    return c;
}

static void copy_run(const Copy *c, const Value *x, Value *r)
{
    copy_strided(c->rank, c->sizes, (char *)r->data + c->to_at, c->to,
                 (const char *)x->data + c->from_at, c->from, (size_t)dtype_size(r->stored));
}

static void transpose(Eval *ev, const Node *n, const Value *x, Value *r)
{
    uint32_t rank;
    const int64_t *perm = node_ints(n, ATTR_PERM, &rank);
    Copy c = copy_over(ev, r->type, dtype_size(r->stored));
    const int64_t *strides = strides_of(ev->scratch, x->type, dtype_size(r->stored));
    for (uint32_t i = 0; i < rank; i++) c.from[i] = strides[perm[i]];
    copy_run(&c, x, r);
}

static void broadcast(Eval *ev, const Node *n, const Value *x, Value *r)
{
    uint32_t rank;
    const int64_t *map = node_ints(n, ATTR_AXES, &rank);
    Copy c = copy_over(ev, r->type, dtype_size(r->stored));
    const int64_t *strides = strides_of(ev->scratch, x->type, dtype_size(r->stored));
    memset(c.from, 0, c.rank * sizeof *c.from);
    for (uint32_t i = 0; i < rank; i++)
        if (x->type->axes[i].size != 1) c.from[map[i]] = strides[i];
    copy_run(&c, x, r);
}

static void slice(Eval *ev, const Node *n, const Value *x, Value *r)
{
    uint32_t rank;
    const int64_t *lo = node_ints(n, ATTR_LO, &rank), *stride = node_ints(n, ATTR_STRIDE, &rank);
    Copy c = copy_over(ev, r->type, dtype_size(r->stored));
    const int64_t *strides = strides_of(ev->scratch, x->type, dtype_size(r->stored));
    for (uint32_t i = 0; i < c.rank; i++) {
        c.from_at += lo[i] * strides[i];
        c.from[i] = strides[i] * stride[i];
    }
    copy_run(&c, x, r);
}

static void pad(Eval *ev, const Node *n, const Value *x, Value *r)
{
    uint32_t rank;
    const int64_t *lo = node_ints(n, ATTR_LO, &rank);
    int64_t width = dtype_size(r->stored), count = type_count(r->type), zero = 0;
    copy_strided(1, &count, r->data, &width, eval_arg(ev, n, 1)->data, &zero, (size_t)width);
    Copy c = copy_over(ev, x->type, width);
    c.to = strides_of(ev->scratch, r->type, width);
    for (uint32_t i = 0; i < c.rank; i++) c.to_at += lo[i] * c.to[i];
    copy_run(&c, x, r);
}

// Every element of the result, one after the other.
static void skew(Eval *ev, const Node *n, const Value *x, Value *r)
{
    uint32_t moves = skew_count(n), rank = r->type->rank;
    size_t width = (size_t)dtype_size(r->stored);
    const int64_t *strides = strides_of(ev->scratch, x->type, 1);
    const char *from = x->data, *fill = eval_arg(ev, n, 1)->data;
    char *to = r->data;
    int64_t *at = arena_array(ev->scratch, int64_t, rank + 1);
    for (int64_t i = 0, count = type_count(r->type); i < count; i++) {
        int64_t rest = i, index = 0;
        bool inside = true;
        for (uint32_t a = rank; a-- > 0; rest /= r->type->axes[a].size)
            at[a] = rest % r->type->axes[a].size;
        for (uint32_t k = 0; k < moves && inside; k++) {
            Skew s = skew_at(n, k);
            int64_t places = at[s.axis] * s.stride + at[s.along] * s.step + s.lo;
            inside =
                places >= 0 && places % s.up == 0 && places / s.up < x->type->axes[s.axis].size;
            at[s.axis] = places / s.up;
        }
        for (uint32_t a = 0; a < rank; a++) index += at[a] * strides[a];
        memcpy(to + (size_t)i * width, inside ? from + (size_t)index * width : fill, width);
    }
}

static void concat(Eval *ev, const Node *n, Value *r)
{
    int64_t axis = node_int(n, ATTR_AXIS), at = 0;
    for (uint32_t i = 0; i < n->nargs; i++) {
        const Value *x = eval_arg(ev, n, i);
        Copy c = copy_over(ev, x->type, dtype_size(r->stored));
        c.to = strides_of(ev->scratch, r->type, dtype_size(r->stored));
        c.to_at = at * c.to[axis];
        copy_run(&c, x, r);
        at += x->type->axes[axis].size;
    }
}

static void reverse(Eval *ev, const Node *n, const Value *x, Value *r)
{
    uint32_t count;
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    Copy c = copy_over(ev, r->type, dtype_size(r->stored));
    for (uint32_t i = 0; i < count; i++) {
        c.from_at += (c.sizes[axes[i]] - 1) * c.from[axes[i]];
        c.from[axes[i]] = -c.from[axes[i]];
    }
    copy_run(&c, x, r);
}

void eval_view(Eval *ev, const Node *n, Value *r)
{
    const Value *x = eval_arg(ev, n, 0);
    switch (n->op) {
    case OP_TRANSPOSE: transpose(ev, n, x, r); break;
    case OP_BROADCAST: broadcast(ev, n, x, r); break;
    case OP_SLICE: slice(ev, n, x, r); break;
    case OP_PAD: pad(ev, n, x, r); break;
    case OP_SKEW: skew(ev, n, x, r); break;
    case OP_CONCAT: concat(ev, n, r); break;
    case OP_REVERSE: reverse(ev, n, x, r); break;
    case OP_RESHAPE:
    case OP_BATCH_GATHER:
    case OP_BATCH_SPLIT:
        memcpy(r->data, x->data, (size_t)(type_count(r->type) * dtype_size(r->stored)));
        break;
    default: bug("view %s", op_info(n->op)->name);
    }
}
