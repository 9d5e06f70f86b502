// Products that a library can do: both operands are plain strided matrices. Then the kernel has
// besides its own code a description of the product, and where its epilogue is more than a store a
// second kernel with the rest, which reads the product from a workspace.
#include "passes/lower.h"

// The buffer that a body's last instruction loads, as a strided matrix over axes (batch, row, col)
// of these sizes; false where it is anything else.
static bool strided_index(Arena *arena, const KernelBody *body, uint32_t buffer, IndexId index,
                          const int64_t sizes[3], MatrixView *view)
{
    IndexPool pool;
    int64_t stride[3];
    index_copy(&pool, &body->index, arena);
    for (uint32_t axis = 0; axis < 3; axis++)
        if (!index_affine(&pool, index, axis, &stride[axis], &index)) return false;
    const IndexNode *rest = index_node(&pool, index);
    if (rest->op != IX_CONST) return false;
    *view = (MatrixView){buffer, rest->c, stride[0], stride[1], stride[2]};
    // A stride that is never taken may be anything; a dense one is known by a 1.
    if (sizes[1] == 1 && view->col != 1) view->row = 1;
    if (sizes[2] == 1 && view->row != 1) view->col = 1;
    // Rows (or columns) must not overlap, nor be one and the same.
    bool rows = view->col == 1 && (sizes[1] == 1 || view->row >= sizes[2]);
    bool cols = view->row == 1 && (sizes[2] == 1 || view->col >= sizes[1]);
    return view->batch >= 0 && (rows || cols);
}

static bool plain_operand(Arena *arena, const KernelBody *body, const int64_t sizes[3],
                          MatrixView *view)
{
    const KernelInstr *in = &body->code.at[body->code.n - 1];
    return in->kind == KI_LOAD && !in->nguards && body->code.n == 1 &&
           strided_index(arena, body, in->buffer, in->index, sizes, view);
}

// Where the epilogue is the store of the product, rounded or not.
static bool plain_result(Arena *arena, const Kernel *k, uint32_t product, const int64_t sizes[3],
                         MatrixView *view)
{
    const KernelBody *b = &k->body;
    if (b->stores.n != 1 || b->stores.at[0].value != product || b->stores.at[0].nguards)
        return false;
    return strided_index(arena, b, b->stores.at[0].buffer, b->stores.at[0].index, sizes, view);
}

// The instruction that is the product as the library can write it: its rounded form where nothing
// else reads the sum.
static uint32_t product_instr(const KernelBody *b)
{
    if (b->code.n < 2 || b->code.at[1].kind != KI_OP || b->code.at[1].op != OP_CAST ||
        dtype_size(b->code.at[1].dtype) != 2)
        return 0;
    for (uint32_t i = 2; i < b->code.n; i++)
        for (uint32_t a = 0; a < 3; a++)
            if (b->code.at[i].kind == KI_OP && a < (uint32_t)op_info(b->code.at[i].op)->arity &&
                b->code.at[i].args[a] == 0)
                return 0;
    for (uint32_t i = 0; i < b->stores.n; i++)
        if (b->stores.at[i].value == 0) return 0;
    return 1;
}

// The kernel that does the rest: the epilogue with a load from the workspace for the product.
static uint32_t rest_kernel(Lower *lo, const Kernel *k, uint32_t product, uint32_t workspace)
{
    Kernel *rest = arena_make(lo->arena, Kernel);
    *rest = (Kernel){.kind = KERNEL_LOOP,
                     .rest = true,
                     .name = str_printf(lo->arena, "%s_rest", k->name),
                     .grain = 1,
                     .tasks = k->gemm.batch * k->gemm.m};
    memcpy(&rest->origins, &k->origins, sizeof k->origins);
    memcpy(&rest->buffers, &k->buffers, sizeof k->buffers);
    rest->buffers.at = arena_copy(lo->arena, k->buffers.at, k->buffers.n * sizeof *k->buffers.at);
    rest->buffers.at[workspace].written = false;
    KernelBody *b = &rest->body;
    *b = k->body;
    b->code.at = arena_copy(lo->arena, k->body.code.at, k->body.code.n * sizeof *b->code.at);
    index_copy(&b->index, &k->body.index, lo->arena);
    index_init(&rest->gemm.a.index, lo->arena);
    int64_t sizes[3] = {k->gemm.batch, k->gemm.m, k->gemm.n};
    IndexId at[3];
    for (uint32_t i = 0; i < 3; i++) at[i] = index_axis(&b->index, i, sizes[i]);
    b->code.at[0] = (KernelInstr){.kind = KI_CONST, .dtype = DT_F32}; // read where product is 0
    b->code.at[product] = (KernelInstr){.kind = KI_LOAD,
                                        .dtype = k->buffers.at[workspace].dtype,
                                        .buffer = workspace,
                                        .index = index_linear(&b->index, 3, at, sizes),
                                        .axes = 7};
    for (uint32_t i = 0; i < rest->buffers.n; i++)
        rest->bytes += rest->buffers.at[i].count * dtype_size(rest->buffers.at[i].dtype);
    return lower_intern(lo, rest);
}

void lower_product(Lower *lo, Kernel *k, Build *b)
{
    LibraryProduct p = {0};
    int64_t a[3] = {k->gemm.batch, k->gemm.m, k->gemm.k};
    int64_t w[3] = {k->gemm.batch, k->gemm.n, k->gemm.k};
    int64_t c[3] = {k->gemm.batch, k->gemm.m, k->gemm.n};
    if (!lo->target->library || !plain_operand(lo->arena, &k->gemm.a, a, &p.a) ||
        !plain_operand(lo->arena, &k->gemm.b, w, &p.b) ||
        k->buffers.at[p.a.buffer].dtype != k->buffers.at[p.b.buffer].dtype)
        return;
    uint32_t product = product_instr(&k->body);
    if (!plain_result(lo->arena, k, product, c, &p.c)) {
        DType dt = k->body.code.at[product].dtype;
        int64_t count = k->gemm.batch * k->gemm.m * k->gemm.n;
        uint32_t slot =
            build_slot(b, lower_buffer(lo, BLOCK_SCRATCH, dt, count, NULL), true);
        p.c = (MatrixView){slot, 0, k->gemm.m * k->gemm.n, k->gemm.n, 1};
        p.rest = rest_kernel(lo, k, product, slot) + 1;
    }
    k->gemm.library = arena_copy(lo->arena, &p, sizeof p);
}
