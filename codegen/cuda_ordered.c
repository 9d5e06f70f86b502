// Ordered ops as CUDA text: calls of cuda_ordered.cuh with sizes and element types.
#include "codegen/cuda_emit.h"

#include "base/diag.h"

#include <inttypes.h>

enum {
    CHUNK = 64,
    SEGMENT = 4096,  // of cumulative sums
    SUM_BYTES = 512, // of the last elements of chunks that a block has
    SUM_THREADS = 128,
    TILE = 4096, // pairs that a block sorts at once
    LEAST_TILE = 1024,
    PAIRS = 4,        // of a thread that sorts
    MERGED = 32,      // by a thread at once
    MOST_BLOCKS = 264 // for long rows: two a multiprocessor
};

static int64_t blocks_for(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

static const char *type_of(const CudaText *t, uint32_t buffer)
{
    return cuda_memory_type(t->kernel->buffers.at[buffer].dtype);
}

// ---- cumulative sums ----------------------------------------------------------------------------

static void cumsum(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    DType dt = k->buffers.at[k->ordered.args[0]].dtype;
    const char *type = type_of(t, k->ordered.args[0]);
    if (dtype_is_narrow(dt)) bug("cumsum of %s", dtype_name(dt));
    int64_t n = k->ordered.n, chunks = blocks_for(n < SEGMENT ? n : SEGMENT, CHUNK);
    int64_t size = dtype_size(dt) < 4 ? 4 : dtype_size(dt), rows = SUM_BYTES / size / chunks;
    launch->threads = SUM_THREADS;
    launch->blocks[0] = blocks_for(k->ordered.rows, rows);
    cuda_line(t, "SHARED(%s, tile, %" PRId64 ");", type, rows * chunks * (CHUNK + 1));
    cuda_line(t, "SHARED(%s, before, %" PRId64 ");", type, rows * chunks);
    cuda_line(t, "SHARED(%s, carry, %" PRId64 ");", type, rows);
    cuda_line(t,
              "cumsum_rows<%" PRId64 ", %" PRId64 ", %d, %s>(b%u, b%u, %" PRId64 ", %" PRId64
              ", (%s)%s, tile, before, carry,",
              rows, chunks, SUM_THREADS, k->ordered.flag ? "true" : "false", k->ordered.args[0],
              k->ordered.results[0], k->ordered.rows, n, type, dtype_is_float(dt) ? "-0.0f" : "0");
    cuda_line(t, "    [](%s x, %s y) { return (%s)(%s); });", type, type, type,
              cuda_combine(t, OP_SUM, dt, "x", "y"));
}

// ---- the largest --------------------------------------------------------------------------------

static int64_t long_blocks(const Kernel *k)
{
    return k->ordered.rows < MOST_BLOCKS ? k->ordered.rows : MOST_BLOCKS;
}

// The element as a number that has a key.
static const char *number_text(CudaText *t, DType dt, const char *x)
{
    if (dtype_is_narrow(dt)) return str_printf(t->arena, "%s_to_f32(%s)", dtype_name(dt), x);
    if (dtype_is_float(dt)) return x;
    return str_printf(t->arena, "(%s)%s", dt == DT_I32 || dt == DT_I8 ? "int" : "unsigned", x);
}

static void topk(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    DType dt = k->buffers.at[k->ordered.args[0]].dtype;
    int64_t n = k->ordered.n, size = k->ordered.size, run = 2;
    while (run < n && run < TILE) run *= 2;
    int64_t tile = run < LEAST_TILE ? LEAST_TILE : run, rows = tile / run;
    bool is_long = n > TILE;
    launch->threads = (uint32_t)(tile / PAIRS);
    launch->blocks[0] = is_long ? long_blocks(k) : blocks_for(k->ordered.rows, rows);
    cuda_line(t, "SHARED(uint64_t, tile, %" PRId64 ");", tile);
    cuda_open(t, "auto pair = [&](long long row, int i)");
    cuda_line(
        t, "const uint32_t key = order_key(%s);",
        number_text(t, dt,
                    str_printf(t->arena, "b%u[row * %" PRId64 " + i]", k->ordered.args[0], n)));
    cuda_line(t, "return order_pair(%skey, i);", k->ordered.flag ? "" : "~");
    t->indent--;
    cuda_line(t, "};");
    cuda_open(t, "auto put = [&](long long row, int place, uint32_t i)");
    cuda_line(t, "b%u[row * %" PRId64 " + place] = b%u[row * %" PRId64 " + i];",
              k->ordered.results[0], size, k->ordered.args[0], n);
    cuda_line(t, "b%u[row * %" PRId64 " + place] = (int)i;", k->ordered.results[1], size);
    t->indent--;
    cuda_line(t, "};");
    if (is_long)
        cuda_line(t,
                  "topk_long<%d, %d, %u>(%" PRId64 ", %" PRId64 ", %" PRId64
                  ", tile, (uint64_t *)b%u, pair, put);",
                  TILE, MERGED, launch->threads, k->ordered.rows, n, size, k->ordered.work);
    else
        cuda_line(t,
                  "topk_short<%" PRId64 ", %" PRId64 ", %u>(%" PRId64 ", %" PRId64 ", %" PRId64
                  ", tile, pair, put);",
                  run, rows, launch->threads, k->ordered.rows, n, size);
}

// ---- suppression --------------------------------------------------------------------------------

static void nms(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    int64_t n = k->ordered.n, size = k->ordered.size;
    int warps = n <= 512 ? 4 : n <= 2048 ? 8 : 32;
    launch->threads = (uint32_t)warps * 32;
    launch->blocks[0] = k->ordered.rows;
    cuda_line(t, "SHARED(uint64_t, best, %d);", 2 * warps);
    cuda_line(t, "const long long row = block_x();");
    cuda_line(t,
              "nms_row<%d>(b%u + row * %" PRId64 ", b%u + row * %" PRId64 ", %" PRId64 ", %" PRId64
              ", %af, b%u + row * %" PRId64 ", b%u + row * %" PRId64 ", b%u + row, best);",
              warps, k->ordered.args[0], 4 * n, k->ordered.args[1], n, n, size,
              (double)k->ordered.threshold, k->ordered.work, n, k->ordered.results[0], size,
              k->ordered.results[1]);
}

// ---- eigenvalues --------------------------------------------------------------------------------

static void eigh(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    int64_t n = k->ordered.n;
    int warps = n <= 64 ? 4 : n <= 256 ? 8 : 32;
    launch->threads = (uint32_t)warps * 32;
    launch->blocks[0] = k->ordered.rows;
    cuda_line(t, "SHARED(uint64_t, best, %d);", 2 * warps);
    cuda_line(t, "SHARED(int, turned, %d);", warps);
    cuda_line(t, "const long long row = block_x();");
    cuda_line(t,
              "eigh_matrix<%d>(b%u + row * %" PRId64 ", %" PRId64 ", %d, %af, b%u + row * %" PRId64
              ", b%u + row * %" PRId64 ", b%u + row * %" PRId64 ", best, turned);",
              warps, k->ordered.args[0], n * n, n, EIGH_SWEEPS, EIGH_COSINE2, k->ordered.work,
              n * n + n, k->ordered.results[0], n, k->ordered.results[1], n * n);
}

int64_t cuda_workspace(const Kernel *k, DType *dt)
{
    int64_t n = k->ordered.n, size = k->ordered.size;
    *dt = k->kind == KERNEL_EIGH ? DT_F32 : k->kind == KERNEL_NMS ? DT_U32 : DT_I64;
    if (k->kind == KERNEL_EIGH) return k->ordered.rows * (n * n + n);
    if (k->kind == KERNEL_NMS) return k->ordered.rows * n;
    if (k->kind != KERNEL_TOPK || n <= TILE) return 0;
    return long_blocks(k) * 2 * (blocks_for(n, TILE) + 1) * (size < TILE ? size : TILE);
}

void cuda_ordered_kernel(CudaText *t, CudaLaunch *launch)
{
    launch->blocks[1] = 1;
    switch (t->kernel->kind) {
    case KERNEL_CUMSUM: cumsum(t, launch); return;
    case KERNEL_TOPK: topk(t, launch); return;
    case KERNEL_EIGH: eigh(t, launch); return;
    default: nms(t, launch);
    }
}
