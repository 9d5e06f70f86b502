// Elementwise ops of the interpreter: blocks of operands are brought into working form, one plain
// loop an op computes the result block, which is rounded to the result's type when it is stored.

#include "ir/eval.h"
#include "ir/fold.h"

#include <tgmath.h>

typedef struct Operands {
    int n;
    Work work; // of the operands; the third's, for select
    const Block *a, *b, *c;
    Block *r;
} Operands;

// e over x, y, z in the operands' float kind.
#define FLOATS(e)                                                                     \
    if (o->work == WORK_F32)                                                          \
        for (int l = 0; l < o->n; l++) {                                              \
            const float x = o->a->f[l], y = o->b->f[l], z = o->c->f[l];               \
            (void)x, (void)y, (void)z;                                                \
            o->r->f[l] = (float)(e);                                                  \
        }                                                                             \
    else                                                                              \
        for (int l = 0; l < o->n; l++) {                                              \
            const double x = o->a->d[l], y = o->b->d[l], z = o->c->d[l];              \
            (void)x, (void)y, (void)z;                                                \
            o->r->d[l] = (double)(e);                                                 \
        }                                                                             \
    return

// e over x and y as integers; sums and products wrap, so they are computed unsigned.
#define INTS(e)                                                                       \
    for (int l = 0; l < o->n; l++) {                                                  \
        const int64_t x = o->a->i[l], y = o->b->i[l];                                 \
        const uint64_t ux = (uint64_t)x, uy = (uint64_t)y;                            \
        (void)y, (void)ux, (void)uy;                                                  \
        o->r->i[l] = (int64_t)(e);                                                    \
    }                                                                                 \
    return

// e, a truth value, over x and y of any kind.
#define TRUTHS(e)                                                                     \
    for (int l = 0; l < o->n; l++) {                                                  \
        if (o->work == WORK_F32) {                                                    \
            const float x = o->a->f[l], y = o->b->f[l];                               \
            (void)y;                                                                  \
            o->r->i[l] = (e);                                                         \
        } else if (o->work == WORK_F64) {                                             \
            const double x = o->a->d[l], y = o->b->d[l];                              \
            (void)y;                                                                  \
            o->r->i[l] = (e);                                                         \
        } else {                                                                      \
            const int64_t x = o->a->i[l], y = o->b->i[l];                             \
            (void)y;                                                                  \
            o->r->i[l] = (e);                                                         \
        }                                                                             \
    }                                                                                 \
    return

static int64_t floor_div(int64_t x, int64_t y)
{
    if (y == 0) return 0;
    if (y == -1) return (int64_t)(0 - (uint64_t)x);
    int64_t q = x / y;
    return q - (x % y != 0 && (x < 0) != (y < 0));
}

static int64_t floor_rem(int64_t x, int64_t y)
{
    if (y == 0 || y == -1) return 0;
    int64_t m = x % y;
    return m + (m != 0 && (x < 0) != (y < 0) ? y : 0);
}

static double power(double x, double y)
{
    if (y == 0) return 1;
    if (x > 0) return isnan(y * log(x)) ? NAN : pow(x, y);
    return x == 0 && y > 0 ? 0 : NAN;
}

EVAL_FAST static void float_op(OpCode op, const Operands *o)
{
    switch (op) {
    case OP_NEG: FLOATS(-x);
    case OP_ABS: FLOATS(fabs(x));
    case OP_SIGN: FLOATS(x > 0 ? 1 : x < 0 ? -1 : x);
    case OP_FLOOR: FLOATS(floor(x));
    case OP_ROUND: FLOATS(rint(x));
    case OP_TF32: FLOATS(fold_tf32(x));
    case OP_SQRT: FLOATS(sqrt(x));
    case OP_ADD: FLOATS(x + y);
    case OP_SUB: FLOATS(x - y);
    case OP_MUL: FLOATS(x * y);
    case OP_DIV: FLOATS(x / y);
    case OP_MAX: FLOATS(x > y || x != x ? x : y);
    case OP_MIN: FLOATS(x < y || x != x ? x : y);
    case OP_FMA: FLOATS(fma(x, y, z));
    // In f64 only: in f32 these have expansions.
    case OP_EXP: FLOATS(exp(x));
    case OP_LOG: FLOATS(log(x));
    case OP_SIN: FLOATS(sin(x));
    case OP_COS: FLOATS(cos(x));
    case OP_ATAN: FLOATS(atan(x));
    case OP_TANH: FLOATS(tanh(x));
    case OP_ERF: FLOATS(erf(x));
    case OP_POW: FLOATS(power((double)x, (double)y));
    default: bug("float op %s", op_info(op)->name);
    }
}

static void int_op(OpCode op, const Operands *o)
{
    switch (op) {
    case OP_NEG: INTS(0 - ux);
    case OP_ABS: INTS(x < 0 ? 0 - ux : ux);
    case OP_SIGN: INTS((x > 0) - (x < 0));
    case OP_NOT: INTS(!x);
    case OP_ADD: INTS(ux + uy);
    case OP_SUB: INTS(ux - uy);
    case OP_MUL: INTS(ux * uy);
    case OP_DIV: INTS(floor_div(x, y));
    case OP_REM: INTS(floor_rem(x, y));
    case OP_MAX: INTS(x > y ? x : y);
    case OP_MIN: INTS(x < y ? x : y);
    case OP_AND: INTS(x && y);
    case OP_OR: INTS(x || y);
    default: bug("integer op %s", op_info(op)->name);
    }
}

// Results of another type than the operands'. False for the other ops.
static bool is_truth(OpCode op)
{
    return op == OP_IS_FINITE || op == OP_LT || op == OP_LE || op == OP_EQ || op == OP_NE;
}

static void truth_op(OpCode op, const Operands *o)
{
    switch (op) {
    case OP_IS_FINITE: TRUTHS(x - x == 0);
    case OP_LT: TRUTHS(x < y);
    case OP_LE: TRUTHS(x <= y);
    case OP_EQ: TRUTHS(x == y);
    case OP_NE: TRUTHS(x != y);
    default: bug("comparison %s", op_info(op)->name);
    }
}

static void select_op(const Operands *o)
{
    for (int l = 0; l < o->n; l++) {
        const Block *from = o->a->i[l] ? o->b : o->c;
        if (o->work == WORK_F32) o->r->f[l] = from->f[l];
        else o->r->i[l] = from->i[l]; // f64 too: the same bytes
    }
}

static int64_t saturate(double x, int64_t lo, int64_t hi)
{
    if (isnan(x)) return 0;
    if (x <= (double)lo) return lo;
    // For i64, (double)hi is 2^63, one above hi.
    return x >= (double)hi ? hi : (int64_t)x;
}

// x as stored in `from` to the working form of `to`.
static void cast_block(Work from, DType to, int n, const Block *x, Block *r)
{
    int64_t lo = 0, hi = 0;
    Work work = work_of(to);
    if (work == WORK_INT) int_range(to, &lo, &hi);
    for (int l = 0; l < n; l++) {
        double d = from == WORK_F32 ? (double)x->f[l] : from == WORK_F64 ? x->d[l] : 0;
        if (work == WORK_F32) r->f[l] = from == WORK_INT ? (float)x->i[l] : (float)d;
        else if (work == WORK_F64) r->d[l] = from == WORK_INT ? (double)x->i[l] : d;
        else if (to == DT_BOOL) r->i[l] = from == WORK_INT ? x->i[l] != 0 : d != 0;
        else r->i[l] = from == WORK_INT ? x->i[l] : saturate(d, lo, hi);
    }
}

static void run_op(Eval *ev, const Node *n, const Operands *o, DType stored)
{
    if (n->op == OP_CAST) cast_block(o->work, stored, o->n, o->a, o->r);
    else if (n->op == OP_SELECT) select_op(o);
    else if (is_truth(n->op)) truth_op(n->op, o);
    else if (o->work == WORK_INT) int_op(n->op, o);
    else if (o->work == WORK_F32 && op_info(n->op)->flags & OPF_EXPAND)
        scalar_run_block(eval_expansion(ev, n->op), o->n, (const float *[]){o->a->f, o->b->f},
                         o->r->f);
    else float_op(n->op, o);
}

void eval_elementwise(Eval *ev, const Node *n, Value *r)
{
    int64_t count = type_count(r->type);
    bool exact = r->stored != n->type->dtype; // f64 mode, which rounds nothing
    if (n->op == OP_STOP_GRADIENT || (n->op == OP_TF32 && exact)) {
        memcpy(r->data, eval_arg(ev, n, 0)->data, (size_t)(count * dtype_size(r->stored)));
        return;
    }
    Block x[3] = {0}, result;
    Operands o = {.work = work_of(eval_arg(ev, n, n->nargs - 1)->stored),
                  .a = &x[0], .b = &x[1], .c = &x[2], .r = &result};
    for (int64_t at = 0; at < count; at += SCALAR_BLOCK) {
        o.n = (int)(count - at < SCALAR_BLOCK ? count - at : SCALAR_BLOCK);
        for (uint32_t i = 0; i < n->nargs; i++) value_load(eval_arg(ev, n, i), at, o.n, &x[i]);
        run_op(ev, n, &o, r->stored);
        value_store(r, at, o.n, &result);
    }
}
