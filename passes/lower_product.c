// Products that a library can do: both operands are plain strided matrices. Then the kernel has
// besides its own code a description of the product (with its bias, or what it is added to), and
// where its epilogue is more than a store a second kernel with the rest, which reads the product
// where it was stored or from a workspace.
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

static bool is_byte(DType dt)
{
    return dtype_is_narrow(dt) && dtype_size(dt) == 1;
}

// Do this matrix's rows (of its dense axis: columns) begin at multiples of 16 elements?
static bool even(const MatrixView *v)
{
    int64_t apart = v->col == 1 ? v->row : v->col;
    return v->offset % 16 == 0 && v->batch % 16 == 0 && apart % 16 == 0;
}

// cuBLASLt multiplies 8-bit floats where k is dense in both operands and everything is a multiple
// of 16, and two of f8e5m2 not at all.
static bool operands_fit(const Kernel *k, const LibraryProduct *p)
{
    DType dt = k->buffers.at[p->a.buffer].dtype;
    if (dt != k->buffers.at[p->b.buffer].dtype) return false;
    if (!is_byte(dt)) return true;
    return dt == DT_F8E4M3 && p->a.col == 1 && p->b.col == 1 && even(&p->a) && even(&p->b) &&
           k->gemm.m % 16 == 0 && k->gemm.n % 16 == 0 && k->gemm.k % 16 == 0;
}

// The instruction that is all that reads value `of`, and reads it once; 0: there is none.
static uint32_t only_user(const KernelBody *b, uint32_t of)
{
    uint32_t user = 0, uses = 0;
    for (uint32_t i = of + 1; i < b->code.n; i++)
        for (uint32_t a = 0;
             b->code.at[i].kind == KI_OP && a < (uint32_t)op_info(b->code.at[i].op)->arity; a++)
            if (b->code.at[i].args[a] == of) user = i, uses++;
    for (uint32_t i = 0; i < b->stores.n; i++) uses += b->stores.at[i].value == of;
    return uses == 1 ? user : 0;
}

// Is the value a vector along n as it lies in memory, widened or not?
static bool is_bias(Arena *arena, const KernelBody *b, uint32_t value, MatrixView *view)
{
    const KernelInstr *in = &b->code.at[value];
    if (in->kind == KI_OP && in->op == OP_CAST) in = &b->code.at[in->args[0]];
    if (in->kind != KI_LOAD || in->nguards) return false;
    IndexPool pool;
    int64_t step;
    IndexId index;
    index_copy(&pool, &b->index, arena);
    if (!index_affine(&pool, in->index, 2, &step, &index) || step != 1) return false;
    const IndexNode *rest = index_node(&pool, index);
    *view = (MatrixView){.buffer = in->buffer, .offset = rest->c, .col = 1};
    return rest->op == IX_CONST;
}

// The store of the product that can be left to the library, which adds a bias along what is dense:
// its number + 1, or 0.
static uint32_t product_store(Arena *arena, const KernelBody *b, uint32_t product, bool biased,
                              const int64_t sizes[3], MatrixView *view)
{
    for (uint32_t i = 0; i < b->stores.n; i++) {
        const KernelStore *s = &b->stores.at[i];
        if (s->value == product && !s->nguards &&
            strided_index(arena, b, s->buffer, s->index, sizes, view) &&
            (!biased || view->col == 1))
            return i + 1;
    }
    return 0;
}

// Is the value a matrix of f32 that lies like the result that is stored of instruction `sum`?
static bool is_added(Arena *arena, const Kernel *k, uint32_t value, uint32_t sum, LibraryProduct *p)
{
    const KernelBody *b = &k->body;
    const KernelInstr *in = &b->code.at[value];
    const int64_t sizes[3] = {k->gemm.batch, k->gemm.m, k->gemm.n};
    if (in->kind != KI_LOAD || in->nguards || in->dtype != DT_F32 ||
        !strided_index(arena, b, in->buffer, in->index, sizes, &p->sum))
        return false;
    MatrixView c;
    uint32_t store = product_store(arena, b, sum, false, sizes, &c);
    return store && c.buffer != p->sum.buffer && c.batch == p->sum.batch && c.row == p->sum.row &&
           c.col == p->sum.col;
}

// The instruction that is the product as the library can write it: with its bias, and rounded,
// where nothing reads what was before; or with a matrix that is added. Of 8-bit operands it has f32
// and bf16, and biases of bf16.
static uint32_t product_instr(Arena *arena, const Kernel *k, LibraryProduct *p)
{
    const KernelBody *b = &k->body;
    DType from = k->buffers.at[p->a.buffer].dtype;
    bool bytes = is_byte(from);
    uint32_t user = only_user(b, 0), product = 0;
    const KernelInstr *in = &b->code.at[user];
    if (user && in->op == OP_ADD) {
        uint32_t other = in->args[in->args[0] == 0];
        p->biased = is_bias(arena, b, other, &p->bias);
        p->added = !p->biased && is_added(arena, k, other, user, p);
    }
    if (p->added) return user;
    if (p->biased) product = user;
    user = only_user(b, product);
    in = &b->code.at[user];
    bool rounds = user && in->op == OP_CAST && dtype_is_narrow(in->dtype);
    if (rounds && in->dtype == (bytes ? DT_BF16 : from)) product = user;
    DType to = b->code.at[product].dtype;
    if (!p->biased || (k->buffers.at[p->bias.buffer].dtype == to && (!bytes || to == DT_BF16)))
        return product;
    p->biased = false; // the library has no sum of two types
    return 0;
}

// The kernel that does the rest: the epilogue with a load for the product, which is where the
// library's store (number + 1) has it, or in a workspace.
static uint32_t rest_kernel(Lower *lo, const Kernel *k, uint32_t product, uint32_t store,
                            uint32_t workspace)
{
    Kernel *rest = arena_make(lo->work, Kernel);
    *rest = (Kernel){.kind = KERNEL_LOOP,
                     .rest = true,
                     .name = str_printf(lo->work, "%s_rest", k->name),
                     .grain = 1,
                     .tasks = k->gemm.batch * k->gemm.m};
    memcpy(&rest->origins, &k->origins, sizeof k->origins);
    memcpy(&rest->buffers, &k->buffers, sizeof k->buffers);
    rest->buffers.at = arena_copy(lo->work, k->buffers.at, k->buffers.n * sizeof *k->buffers.at);
    KernelBody *b = &rest->body;
    *b = k->body;
    b->code.at = arena_copy(lo->work, k->body.code.at, k->body.code.n * sizeof *b->code.at);
    b->stores.at = arena_copy(lo->work, b->stores.at, b->stores.n * sizeof *b->stores.at);
    index_copy(&b->index, &k->body.index, lo->work);
    index_init(&rest->gemm.a.index, lo->work);
    KernelInstr load = {.kind = KI_LOAD, .buffer = workspace, .axes = 7};
    if (store) {
        load.buffer = b->stores.at[store - 1].buffer;
        load.index = b->stores.at[store - 1].index;
        b->stores.n--;
        memmove(&b->stores.at[store - 1], &b->stores.at[store],
                (b->stores.n - (store - 1)) * sizeof *b->stores.at);
    } else {
        int64_t sizes[3] = {k->gemm.batch, k->gemm.m, k->gemm.n};
        IndexId at[3];
        for (uint32_t i = 0; i < 3; i++) at[i] = index_axis(&b->index, i, sizes[i]);
        load.index = index_linear(&b->index, 3, at, sizes);
    }
    load.dtype = k->buffers.at[load.buffer].dtype;
    rest->buffers.at[load.buffer].written = false;
    b->code.at[0] = (KernelInstr){.kind = KI_CONST, .dtype = DT_F32}; // read where product is 0
    b->code.at[product] = load;
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
    if (!lo->target->library || !plain_operand(lo->work, &k->gemm.a, a, &p.a) ||
        !plain_operand(lo->work, &k->gemm.b, w, &p.b) || !operands_fit(k, &p))
        return;
    uint32_t product = product_instr(lo->work, k, &p), workspace = 0;
    uint32_t store = product_store(lo->work, &k->body, product, p.biased, c, &p.c);
    if (store && is_byte(k->buffers.at[p.a.buffer].dtype) && !even(&p.c)) return;
    if (!store) {
        DType dt = k->body.code.at[product].dtype;
        int64_t count = k->gemm.batch * k->gemm.m * k->gemm.n;
        workspace = build_slot(b, lower_buffer(lo, BLOCK_SCRATCH, dt, count, NULL), true);
        p.c = (MatrixView){workspace, 0, k->gemm.m * k->gemm.n, k->gemm.n, 1};
        p.workspace = true;
    }
    if (!store || k->body.stores.n > 1) p.rest = rest_kernel(lo, k, product, store, workspace) + 1;
    k->gemm.library = arena_copy(lo->work, &p, sizeof p);
}
