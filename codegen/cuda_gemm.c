// Products in f32 as CUDA text, in the order that docs/ir.md defines: each result is one chain of
// fma in rising k. A block has a tile of 64 x 64 results, a thread 4 x 4 of them; both operands'
// scalar bodies are evaluated on the way to shared memory, the epilogue on the way out. Sizes and
// strides are loose numbers (cuda_share.c), but for whether tiles divide a size: then nothing has
// to be asked, and the loop over a step of k is unrolled.
#include "codegen/cuda_emit.h"

#include "base/diag.h"

enum { TILE = 64, DEPTH = 16, EACH = 4, THREADS = TILE / EACH * (TILE / EACH) };

bool cuda_runs_along_k(const KernelBody *b, Arena *arena)
{
    IndexPool pool;
    int64_t c = 0;
    IndexId rest;
    index_copy(&pool, &b->index, arena);
    for (uint32_t i = 0; i < b->code.n; i++)
        if (b->code.at[i].kind == KI_LOAD &&
            index_affine(&pool, b->code.at[i].index, 2, &c, &rest) && c == 1)
            return true;
    return false;
}

// "if (x < size && y < other) {"; what tiles divide is not asked.
static void open_inside(CudaText *t, const char *const name[2], const int64_t size[2],
                        const int tile[2])
{
    const char *all = "";
    for (int i = 0; i < 2; i++)
        if (size[i] % tile[i])
            all = str_printf(t->arena, "%s%s%s < %s", all, *all ? " && " : "", name[i],
                             cuda_number(t, size[i]));
    cuda_open(t, *all ? "if (%s)" : "", all);
}

// Fill tile_a or tile_b: rows of k, 64 elements of the free axis each.
static void load_tile(CudaText *t, const KernelBody *body, const char *name, int64_t n)
{
    bool along_k = cuda_runs_along_k(body, t->arena);
    cuda_use_body(t, body);
    cuda_open(t, "for (int i = (int)thread(); i < %d; i += %d)", TILE * DEPTH, THREADS);
    cuda_line(t,
              along_k ? "const int at = i / %d, depth = i %% %d;"
                      : "const int depth = i / %d, at = i %% %d;",
              along_k ? DEPTH : TILE, along_k ? DEPTH : TILE);
    cuda_line(t, "const int free = %s0 + at, k = k0 + depth;", name);
    cuda_line(t, "float x = 0;");
    open_inside(t, (const char *const[]){"free", "k"}, (const int64_t[]){n, t->kernel->gemm.k},
                (const int[]){TILE, DEPTH});
    t->axis[0] = "batch";
    t->axis[1] = "free";
    t->axis[2] = "k";
    cuda_line(t, "x = %s;", cuda_value(t, body->code.n - 1));
    cuda_close(t);
    cuda_line(t, "tile_%s[depth * %d + at] = x;", name, TILE);
    cuda_close(t);
}

static void multiply(CudaText *t)
{
    int64_t k = t->kernel->gemm.k;
    if (k % DEPTH)
        cuda_line(t, "const int depths = smaller<int>(%d, %s - k0);", DEPTH, cuda_number(t, k));
    else
        cuda_line(t, "const int depths = %d;", DEPTH);
    cuda_open(t, "for (int k = 0; k < depths; k++)");
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int i = 0; i < %d; i++)", EACH);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int j = 0; j < %d; j++)", EACH);
    cuda_line(t,
              "sum[i][j] = fma_f32(tile_m[k * %d + row + i], tile_n[k * %d + col + j], sum[i][j]);",
              TILE, TILE);
    cuda_close(t);
    cuda_close(t);
    cuda_close(t);
}

static void epilogue(CudaText *t)
{
    const KernelBody *b = &t->kernel->body;
    cuda_use_body(t, b);
    for (int axis = 0; axis < 2; axis++) {
        cuda_line(t, "#pragma unroll");
        cuda_open(t, "for (int %c = 0; %c < %d; %c++)", "ij"[axis], "ij"[axis], EACH, "ij"[axis]);
    }
    cuda_line(t, "const int m = m0 + row + i, n = n0 + col + j;");
    open_inside(t, (const char *const[]){"m", "n"},
                (const int64_t[]){t->kernel->gemm.m, t->kernel->gemm.n}, (const int[]){TILE, TILE});
    t->axis[0] = "batch";
    t->axis[1] = "m";
    t->axis[2] = "n";
    t->acc = "sum[i][j]";
    for (uint32_t i = 0; i < b->stores.n; i++) cuda_value(t, b->stores.at[i].value);
    for (uint32_t i = 0; i < b->stores.n; i++) cuda_store(t, &b->stores.at[i]);
    for (int i = 0; i < 3; i++) cuda_close(t);
}

void cuda_gemm_kernel(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    int64_t down = (k->gemm.m + TILE - 1) / TILE, across = (k->gemm.n + TILE - 1) / TILE;
    if (!k->gemm.b.axes.n) bug("kernel %s: operands packed for another target", k->name);
    t->loose = true;
    launch->threads = THREADS;
    launch->blocks[0] = down * across;
    launch->blocks[1] = k->gemm.batch;
    cuda_line(t, "SHARED(float, tile_m, %d);", TILE * DEPTH);
    cuda_line(t, "SHARED(float, tile_n, %d);", TILE * DEPTH);
    cuda_line(t, "const int batch = (int)block_y();");
    cuda_line(t, "const int m0 = (int)block_x() / %s * %d;", cuda_number(t, across), TILE);
    cuda_line(t, "const int n0 = (int)block_x() %% %s * %d;", cuda_number(t, across), TILE);
    cuda_line(t, "const int row = (int)thread() / %d * %d;", TILE / EACH, EACH);
    cuda_line(t, "const int col = (int)thread() %% %d * %d;", TILE / EACH, EACH);
    cuda_line(t, "float sum[%d][%d] = {};", EACH, EACH);
    cuda_open(t, "for (int k0 = 0; k0 < %s; k0 += %d)", cuda_number(t, k->gemm.k), DEPTH);
    load_tile(t, &k->gemm.a, "m", k->gemm.m);
    load_tile(t, &k->gemm.b, "n", k->gemm.n);
    cuda_line(t, "sync();");
    multiply(t);
    cuda_line(t, "sync();");
    cuda_close(t);
    epilogue(t);
}
