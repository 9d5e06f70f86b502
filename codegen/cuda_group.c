// Accesses of neighbours. The axis becomes width * group + within in each index, the simplifier of
// index expressions does the rest: an index that comes out as multiple of width + within runs side
// by side, however many divisions led to it (heads, patches of channels-last images).
#include "codegen/cuda_group.h"

void cuda_groups_begin(Groups *g, Arena *arena, const KernelBody *body, uint32_t axis,
                       int64_t width)
{
    uint32_t n = body->axes.n;
    *g = (Groups){.body = body, .axis = axis, .within = n, .width = width};
    g->whole = body->axes.at[axis].size % width == 0;
    index_init(&g->pool, arena);
    g->map = arena_array(arena, IndexId, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        int64_t size = body->axes.at[i].size;
        if (i == axis) size = (size + width - 1) / width;
        g->map[i] = index_axis(&g->pool, i, size);
    }
    g->map[axis] = index_add(&g->pool, index_mul(&g->pool, g->map[axis], width),
                             index_axis(&g->pool, n, width));
}

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a < 0 ? -a : a;
}

// Does c divide every value of the expression? No means that it is not seen.
static bool divides(const IndexPool *pool, IndexId e, int64_t c)
{
    const IndexNode *n = index_node(pool, e);
    if (c == 1) return true;
    switch (n->op) {
    case IX_CONST: return n->c % c == 0;
    case IX_ADD: return divides(pool, n->a, c) && divides(pool, n->b, c);
    case IX_MUL: return divides(pool, n->a, c / gcd(c, n->c));
    case IX_MOD: return n->c % c == 0 && divides(pool, n->a, c);
    case IX_DIV: return divides(pool, n->a, c * n->c);
    default: return false;
    }
}

static GroupKind kind_of(Groups *g, IndexId index, IndexId *rest)
{
    int64_t step;
    IndexId e = index_substitute(&g->pool, &g->body->index, index, g->map);
    if (!index_affine(&g->pool, e, g->within, &step, rest)) return GROUP_APART;
    if (step == 0) return GROUP_EQUAL;
    return step == 1 && divides(&g->pool, *rest, g->width) ? GROUP_BESIDE : GROUP_APART;
}

GroupKind cuda_groups_index(Groups *g, IndexId index)
{
    IndexId rest;
    return kind_of(g, index, &rest);
}

bool cuda_groups_guards(Groups *g, const KernelGuard *guards, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        GroupKind kind = cuda_groups_index(g, guards[i].index);
        bool ends = guards[i].lo % g->width == 0 && guards[i].hi % g->width == 0;
        if (kind == GROUP_APART || (kind == GROUP_BESIDE && !ends)) return false;
    }
    return true;
}

static bool one_access(Groups *g, IndexId index, const KernelGuard *guards, uint32_t n)
{
    return g->whole && cuda_groups_index(g, index) == GROUP_BESIDE &&
           cuda_groups_guards(g, guards, n);
}

bool cuda_groups_load(Groups *g, const KernelBuffer *buffers, uint32_t instr)
{
    const KernelInstr *in = &g->body->code.at[instr];
    if (in->kind != KI_LOAD) return false;
    DType dt = buffers[in->buffer].dtype;
    bool byte = dt == DT_U8 || (dtype_is_narrow(dt) && dtype_size(dt) == 1);
    bool moves = dt == DT_F32 || dt == DT_BF16 || (byte && g->width == 8);
    return moves && one_access(g, in->index, in->guards, in->nguards);
}

bool cuda_groups_store(Groups *g, const KernelBuffer *buffers, const KernelStore *s)
{
    DType dt = buffers[s->buffer].dtype;
    return (dt == DT_F32 || dt == DT_BF16) && one_access(g, s->index, s->guards, s->nguards);
}

const char *cuda_groups_type(CudaText *t, const Groups *g, uint32_t instr)
{
    uint32_t buffer = g->body->code.at[instr].buffer;
    return str_printf(t->arena, "Neighbours<%s, %d>",
                      cuda_memory_type(t->kernel->buffers.at[buffer].dtype), (int)g->width);
}

const char *cuda_groups_loaded(CudaText *t, const Groups *g, uint32_t instr)
{
    const KernelInstr *in = &g->body->code.at[instr];
    const char *type = cuda_groups_type(t, g, instr),
               *guard = cuda_guards(t, in->guards, in->nguards);
    const char *x = str_printf(t->arena, "load_neighbours<%d>(b%u + %s)", (int)g->width, in->buffer,
                               cuda_index(t, in->index));
    return guard ? str_printf(t->arena, "%s ? %s : %s{}", guard, x, type) : x;
}
