// scatter_add as CUDA text, in the order that docs/ir.md defines. With few updates a warp owns a
// row of the result and looks through the indices 32 at a time. With many, a kernel before it lists
// the updates of each row (cuda_scatter.cuh); then a warp takes a row, and where a row has very
// many (the padding of captions) blocks take a few of its elements each.
#include "codegen/cuda_emit.h"

#include <inttypes.h>

enum {
    WARP = 32,
    WARPS = 8,
    LIST_ROWS = 128, // of a block that lists
    LONG = 256,      // updates of a row that is left to blocks
    LONG_POINTS = 16,
    LONG_SIDES = WARP * WARPS / LONG_POINTS,
    LONG_EACH = 24, // updates on their way to a thread
    CHUNKS = 4,     // packs of a lane
    RESIDENTS = 2   // blocks of a multiprocessor: 128 registers a thread, of which 48 hold updates
};

static int64_t blocks_for(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

static void search(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    int64_t rows = k->scatter.rows, width = k->scatter.width, count = k->scatter.count;
    DType dt = k->buffers.at[k->scatter.out].dtype;
    launch->blocks[0] = blocks_for(k->scatter.batch * rows, WARPS);
    launch->blocks[1] = 1;
    cuda_line(t, "const int lane = (int)thread() %% %d;", WARP);
    cuda_line(t, "const long long at = (long long)block_x() * %d + thread() / %d;", WARPS, WARP);
    cuda_open(t, "if (at < %" PRId64 ")", k->scatter.batch * rows);
    cuda_line(t, "const int row = (int)(at %% %" PRId64 ");", rows);
    cuda_line(t, "const long long first = at / %" PRId64 " * %" PRId64 ";", rows, count);
    cuda_line(t, "%s *out = b%u + at * %" PRId64 ";", cuda_memory_type(dt), k->scatter.out, width);
    cuda_line(t, "for (int x = lane; x < %" PRId64 "; x += %d) out[x] = 0;", width, WARP);
    cuda_open(t, "for (int i = 0; i < %" PRId64 "; i += %d)", count, WARP);
    cuda_line(t, "bool mine = i + lane < %" PRId64 ";", count);
    cuda_line(t, "if (mine) mine = clamp_index<int>(b%u[first + i + lane], 0, %" PRId64 ") == row;",
              k->scatter.index, rows - 1);
    cuda_line(t, "const unsigned hits = ballot(mine);");
    cuda_open(t, "for (int n = 0; hits >> n != 0 && n < %d; n++)", WARP);
    cuda_line(t, "if (!(hits >> n & 1)) continue;");
    cuda_line(t, "const %s *update = b%u + (first + i + n) * %" PRId64 ";", cuda_memory_type(dt),
              k->scatter.update, width);
    cuda_line(t, "for (int x = lane; x < %" PRId64 "; x += %d) out[x] = %s;", width, WARP,
              cuda_combine(t, OP_SUM, dt, "out[x]", "update[x]"));
    cuda_close(t);
    cuda_close(t);
    cuda_close(t);
}

// Declare a buffer's part for this one of the batch.
static void declare_part(CudaText *t, const char *name, uint32_t buffer, int64_t each)
{
    const KernelBuffer *b = &t->kernel->buffers.at[buffer];
    cuda_line(t, "%s%s *%s = b%u + (long long)block_y() * %" PRId64 ";", b->written ? "" : "const ",
              cuda_memory_type(b->dtype), name, buffer, each);
}

static int64_t list_length(const Kernel *k)
{
    return k->scatter.rows + 1 + k->scatter.count;
}

static void lists(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    launch->blocks[0] = blocks_for(k->scatter.rows, LIST_ROWS);
    launch->blocks[1] = k->scatter.batch;
    cuda_line(t, "SHARED(int, hits, %d);", LIST_ROWS * WARPS);
    cuda_line(t, "SHARED(int, totals, %d);", LIST_ROWS + 1);
    declare_part(t, "index", k->scatter.index, k->scatter.count);
    declare_part(t, "lists", k->scatter.lists, list_length(k));
    cuda_line(t, "scatter_lists<%d, %d>(index, %" PRId64 ", %" PRId64 ", lists, hits, totals);",
              LIST_ROWS, WARPS, k->scatter.rows, k->scatter.count);
}

// Blocks for rows with very many updates. Of the listed updates every LONG-th is one of such a row
// or not; the first in its row stands for it, so that each is found once.
static void long_rows(CudaText *t, const char *add, int64_t slices)
{
    const Kernel *k = t->kernel;
    cuda_line(t, "const int slice = (int)(block_x() %% %" PRId64 ");", slices);
    cuda_line(t, "const int at = (int)(block_x() / %" PRId64 ") * %d;", slices, LONG);
    cuda_line(t, "const int row = clamp_index<int>(index[order[at]], 0, %" PRId64 ");",
              k->scatter.rows - 1);
    cuda_line(t, "const int from = lists[row], to = lists[row + 1];");
    cuda_line(t, "if (to - from <= %d || at - from >= %d) return;", LONG, LONG);
    cuda_line(
        t,
        "scatter_long_row<%d, %d, %d>(update, order, from, to, %" PRId64 ", slice * %d, out + "
        "row * %" PRId64 "LL, kept, %s);",
        LONG_POINTS, LONG_SIDES, LONG_EACH, k->scatter.width, LONG_POINTS, k->scatter.width, add);
}

static void add_listed(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    int64_t rows = k->scatter.rows, width = k->scatter.width, count = k->scatter.count;
    DType dt = k->buffers.at[k->scatter.out].dtype;
    const char *type = cuda_memory_type(dt);
    int64_t slices = blocks_for(width, LONG_POINTS),
            longs = count > LONG ? blocks_for(count, LONG) * slices : 0;
    int pack = width % 4 || dtype_size(dt) != 4 ? 1 : 4;
    int64_t chunks = blocks_for(width, pack * WARP);
    const char *add = str_printf(t->arena, "[](%s x, %s y) { return (%s)(%s); }", type, type, type,
                                 cuda_combine(t, OP_SUM, dt, "x", "y"));
    launch->residents = longs ? RESIDENTS : 0;
    launch->blocks[0] = longs + blocks_for(rows, WARPS);
    launch->blocks[1] = k->scatter.batch;
    declare_part(t, "index", k->scatter.index, count);
    declare_part(t, "update", k->scatter.update, count * width);
    declare_part(t, "lists", k->scatter.lists, list_length(k));
    declare_part(t, "out", k->scatter.out, rows * width);
    cuda_line(t, "const int *order = lists + %" PRId64 ";", rows + 1);
    if (longs) {
        cuda_line(t, "SHARED(%s, kept, %d);", type, LONG_POINTS * LONG_SIDES * LONG_EACH);
        cuda_open(t, "if (block_x() < %" PRId64 ")", longs);
        long_rows(t, add, slices);
        cuda_line(t, "return;");
        cuda_close(t);
    }
    cuda_line(t, "(void)index;");
    cuda_line(t, "const long long row = ((long long)block_x() - %" PRId64 ") * %d + thread() / %d;",
              longs, WARPS, WARP);
    cuda_line(t, "if (row >= %" PRId64 ") return;", rows);
    cuda_line(t, "const int from = lists[row], to = lists[row + 1];");
    if (longs) cuda_line(t, "if (to - from > %d) return;", LONG);
    cuda_line(t,
              "scatter_row<%d, %d>(update, order, from, to, %" PRId64 ", out + row * %" PRId64
              ", %s);",
              pack, (int)(chunks < CHUNKS ? chunks : CHUNKS), width, width, add);
}

void cuda_scatter_kernel(CudaText *t, CudaLaunch *launch)
{
    launch->threads = WARP * WARPS;
    if (t->kernel->kind == KERNEL_LISTS)
        lists(t, launch);
    else
        (t->kernel->scatter.listed ? add_listed : search)(t, launch);
}
