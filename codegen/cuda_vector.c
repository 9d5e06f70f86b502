// Elements that lie side by side, moved at once: what of a body may be, by its indices, and the
// text for it.
#include "codegen/cuda_loop.h"

static int64_t gcd(int64_t x, int64_t y)
{
    while (y) {
        int64_t r = x % y;
        x = y;
        y = r;
    }
    return x < 0 ? -x : x;
}

bool vector_depends(const CudaLoop *l, IndexId index, uint32_t axis)
{
    const IndexNode *n = index_node(&l->body->index, index);
    switch (n->op) {
    case IX_CONST: return false;
    case IX_AXIS: return n->a == axis;
    case IX_VALUE: return l->body->code.at[n->a].axes & axis_bit(axis);
    case IX_ADD: return vector_depends(l, n->a, axis) || vector_depends(l, n->b, axis);
    default: return vector_depends(l, n->a, axis);
    }
}

// A number that divides every value of the index; 0 for the constant 0.
static int64_t divisor(const CudaLoop *l, IndexId index)
{
    const IndexNode *n = index_node(&l->body->index, index);
    switch (n->op) {
    case IX_CONST: return n->c;
    case IX_ADD: return gcd(divisor(l, n->a), divisor(l, n->b));
    case IX_MUL: return divisor(l, n->a) * n->c;
    case IX_MOD: return gcd(divisor(l, n->a), n->c);
    default: return 1;
    }
}

// index = step * axis + rest, `of` dividing rest; false where it is no such sum.
static bool split(const CudaLoop *l, IndexId index, uint32_t axis, int64_t scale, int64_t *step,
                  int64_t *of)
{
    const IndexNode *n = index_node(&l->body->index, index);
    switch (n->op) {
    case IX_ADD:
        return split(l, n->a, axis, scale, step, of) && split(l, n->b, axis, scale, step, of);
    case IX_MUL: return split(l, n->a, axis, scale * n->c, step, of);
    case IX_AXIS:
        if (n->a == axis) {
            *step += scale;
            return true;
        }
        break;
    default: break;
    }
    if (vector_depends(l, index, axis)) return false;
    *of = gcd(*of, divisor(l, index) * scale);
    return true;
}

bool vector_fits(const CudaLoop *l, IndexId index, uint32_t axis, uint32_t width)
{
    int64_t step = 0, of = 0;
    return split(l, index, axis, 1, &step, &of) && step == 1 && of % width == 0;
}

bool vector_fits_load(const CudaLoop *l, const KernelInstr *in, uint32_t axis, uint32_t width)
{
    if (in->kind != KI_LOAD || !vector_fits(l, in->index, axis, width)) return false;
    for (uint32_t i = 0; i < in->nguards; i++)
        if (vector_depends(l, in->guards[i].index, axis)) return false;
    return true;
}

uint32_t vector_loads(const CudaLoop *l, uint32_t axis, uint32_t width)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->body->code.n; i++)
        n += vector_fits_load(l, &l->body->code.at[i], axis, width);
    return n;
}

// ---- text ---------------------------------------------------------------------------------------

// In registers a bool of memory is a byte here.
static const char *held_type(DType dt)
{
    return dt == DT_BOOL ? "unsigned char" : cuda_type(dt);
}

void vector_load(CudaLoop *l, uint32_t instr, uint32_t width, const char *many, const char *left)
{
    CudaText *t = l->t;
    const KernelInstr *in = &l->body->code.at[instr];
    const char *guard = cuda_guards(t, in->guards, in->nguards);
    const char *from = str_printf(t->arena, "load_pack<%u>(b%u + %s%s%s)", width, in->buffer,
                                  cuda_index(t, in->index), left ? ", " : "", left ? left : "");
    const char *type = str_printf(t->arena, "Pack<%s, %u>", held_type(in->dtype), width);
    if (guard) from = str_printf(t->arena, "%s ? %s : %s{}", guard, from, type);
    if (many)
        cuda_line(t, "x%u[%s] = %s;", instr, many, from);
    else
        cuda_line(t, "const %s x%u = %s;", type, instr, from);
}

void vector_use(CudaLoop *l, uint32_t instr, const char *many, const char *each)
{
    CudaText *t = l->t;
    const char *to = l->body->code.at[instr].dtype == DT_BOOL ? " != 0" : "";
    t->known[instr] = many ? str_printf(t->arena, "x%u[%s].at[%s]%s", instr, many, each, to)
                           : str_printf(t->arena, "x%u.at[%s]%s", instr, each, to);
}

void vector_forget(CudaLoop *l)
{
    for (uint32_t i = 0; i < l->body->code.n; i++) l->t->known[i] = NULL;
}

static DType store_dtype(const CudaLoop *l, uint32_t store)
{
    return l->body->code.at[l->body->stores.at[store].value].dtype;
}

void vector_declare(CudaLoop *l, uint32_t store, uint32_t width)
{
    cuda_line(l->t, "Pack<%s, %u> y%u;", held_type(store_dtype(l, store)), width, store);
}

// What a store rounds need not be rounded before.
static uint32_t unrounded(const CudaLoop *l, uint32_t instr)
{
    const KernelInstr *in = &l->body->code.at[instr];
    if (in->kind != KI_OP || in->op != OP_CAST || l->t->known[instr]) return instr;
    if (!dtype_is_narrow(in->dtype)) return instr;
    return l->body->code.at[in->args[0]].dtype == DT_F32 ? in->args[0] : instr;
}

void vector_put(CudaLoop *l, uint32_t store, const char *each)
{
    cuda_line(l->t, "y%u.at[%s] = %s;", store, each,
              cuda_value(l->t, unrounded(l, l->body->stores.at[store].value)));
}

void vector_store(CudaLoop *l, uint32_t store, uint32_t width, const char *left)
{
    const KernelStore *s = &l->body->stores.at[store];
    cuda_line(l->t, "store_pack<%u>(b%u + %s, y%u%s%s);", width, s->buffer,
              cuda_index(l->t, s->index), store, left ? ", " : "", left ? left : "");
}
