// Kernels without a reduced axis. A thread takes a pack of elements of the vector axis, 16 bytes
// where the indices let it, and several packs that lie a block's width apart, all of whose loads
// come first, so that enough of them are on their way. With sums over the outer axes (columns) a
// thread walks the 64 outer points of its task instead.
#include "codegen/cuda_loop.h"

#include <inttypes.h>

enum {
    FLAT_POINTS = 4096, // of a block with sizes from a table
    MANY_POINTS = 1 << 17,
    COLUMN_BLOCK = 128, // small, so that the last blocks of a launch fill the GPU
    LOADS = 4,          // that a thread should have on their way
    WORDS = 160         // registers that packs may take of a thread's 255
};

static uint32_t bytes_of(const CudaLoop *l, uint32_t buffer)
{
    return (uint32_t)dtype_size(l->k->buffers.at[buffer].dtype);
}

// Elements of a pack: 16 bytes of the smallest type that is moved in packs, at most 8, fewer where
// a thread would run out of registers; 1 where nothing can be.
static uint32_t choose_width(const CudaLoop *l)
{
    const KernelBody *b = l->body;
    uint32_t axis = l->s.inner;
    if (axis == UINT32_MAX) return 1;
    for (uint32_t width = 8; width > 1; width /= 2) {
        uint32_t least = 8, fit = 0, all = 0; // all: bytes of an element of each
        if (!l->flat.on && loop_axis_size(l, axis) % width) continue;
        for (uint32_t i = 0; i < b->code.n; i++) {
            const KernelInstr *in = &b->code.at[i];
            if (!vector_fits_load(l, in, axis, width)) continue;
            fit++;
            all += bytes_of(l, in->buffer);
            if (bytes_of(l, in->buffer) < least) least = bytes_of(l, in->buffer);
        }
        for (uint32_t i = 0; i < b->stores.n; i++) {
            const KernelStore *s = &b->stores.at[i];
            if (s->kind == STORE_PLAIN && !vector_fits(l, s->index, axis, width)) continue;
            fit++;
            all += bytes_of(l, s->buffer);
            if (bytes_of(l, s->buffer) < least) least = bytes_of(l, s->buffer);
        }
        if (fit && least * width <= 16 && all * width <= 4 * WORDS) return width;
    }
    return 1;
}

static bool packed_store(const CudaLoop *l, const KernelStore *s, uint32_t width)
{
    return width > 1 && s->kind == STORE_PLAIN && vector_fits(l, s->index, l->s.inner, width);
}

static void declare_packs(CudaLoop *l, uint32_t width, uint32_t many)
{
    for (uint32_t i = 0; i < l->body->code.n; i++) {
        const KernelInstr *in = &l->body->code.at[i];
        if (!vector_fits_load(l, in, l->s.inner, width)) continue;
        const char *type = in->dtype == DT_BOOL ? "unsigned char" : cuda_type(in->dtype);
        cuda_line(l->t, "Pack<%s, %u> x%u[%u];", type, width, i, many);
    }
}

static void load_packs(CudaLoop *l, uint32_t width, const char *many, const char *left)
{
    for (uint32_t i = 0; i < l->body->code.n; i++)
        if (vector_fits_load(l, &l->body->code.at[i], l->s.inner, width))
            vector_load(l, i, width, many, left);
}

static void load_many(CudaLoop *l, uint32_t width, const char *left)
{
    load_packs(l, width, "u", left);
}

static void store_packs(CudaLoop *l, uint32_t width, const char *left)
{
    for (uint32_t i = 0; i < l->body->stores.n; i++)
        if (packed_store(l, &l->body->stores.at[i], width)) vector_store(l, i, width, left);
}

// Whole packs and the one at the end apart, so that all loads (or stores) of a pack take one
// branch.
static void split_packs(CudaLoop *l, uint32_t width, const char *left,
                        void (*move)(CudaLoop *l, uint32_t width, const char *left))
{
    cuda_open(l->t, "if (%s >= %u)", left, width);
    move(l, width, NULL);
    cuda_close(l->t);
    cuda_open(l->t, "else");
    move(l, width, left);
    cuda_close(l->t);
}

// The body at the elements of a pack that begins at `at`; `column`: a line for each column sum.
static void pack_body(CudaLoop *l, uint32_t width, const char *at, const char *many,
                      const char *left, void (*sums)(CudaLoop *))
{
    CudaText *t = l->t;
    const KernelBody *b = l->body;
    uint64_t inner = axis_bit(l->s.inner);
    l->t->axis[l->s.inner] = at;
    cuda_hoist(t, &l->s, inner, 0);
    for (uint32_t i = 0; width > 1 && i < b->code.n; i++)
        if (vector_fits_load(l, &b->code.at[i], l->s.inner, width)) vector_use(l, i, many, "e");
    for (uint32_t i = 0; i < b->stores.n; i++)
        if (packed_store(l, &b->stores.at[i], width)) vector_declare(l, i, width);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int e = 0; e < %u; e++)", width);
    cuda_line(t, "const %s a%u = %s + e;", l->flat.on ? "point_t" : "int", l->s.inner, at);
    loop_axis(l, l->s.inner);
    for (uint32_t i = 0; i < b->stores.n; i++)
        if (b->stores.at[i].kind == STORE_PLAIN) cuda_value(t, b->stores.at[i].value);
    if (sums) sums(l);
    for (uint32_t i = 0; i < b->stores.n; i++) {
        if (packed_store(l, &b->stores.at[i], width))
            vector_put(l, i, "e");
        else if (b->stores.at[i].kind == STORE_PLAIN)
            cuda_store(t, &b->stores.at[i]);
    }
    cuda_close(t);
    cuda_forget(t, inner);
    vector_forget(l);
    t->axis[l->s.inner] = at;
    if (width > 1 && left) split_packs(l, width, left, store_packs);
    if (width > 1 && !left) store_packs(l, width, NULL);
}

// How many packs a thread has on their way.
static uint32_t choose_many(const CudaLoop *l, uint32_t width)
{
    uint32_t loads = vector_loads(l, l->s.inner, width);
    return loads > LOADS / 2 ? 1 : loads == LOADS / 2 ? 2 : loads ? LOADS : 1;
}

// ---- sizes from a table -------------------------------------------------------------------------

static void flat_points(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    int64_t n = loop_axis_size(l, l->s.inner);
    bool one = n == 1; // a number: nothing to share out
    uint32_t width = one ? 1 : choose_width(l), each = one ? 1 : FLAT_POINTS / BLOCK;
    uint32_t many = one ? 1 : choose_many(l, width);
    if (many > each / width) many = each / width;
    launch->table = true;
    launch->threads = one ? WARP : BLOCK;
    launch->blocks[0] = loop_blocks(n, FLAT_POINTS);
    launch->size[0] = n;
    cuda_line(t, "typedef %s point_t;", loop_point_type(n));
    cuda_hoist(t, &l->s, axis_bit(l->s.inner), 0);
    cuda_line(t, "const point_t begin = (point_t)block * %d + (int)thread() * %u;", FLAT_POINTS,
              width);
    if (each > width * many) cuda_line(t, "#pragma unroll 1");
    cuda_open(t, "for (int round = 0; round < %u; round += %u)", each / width, many);
    if (width > 1) {
        declare_packs(l, width, many);
        cuda_line(t, "#pragma unroll");
        cuda_open(t, "for (int u = 0; u < %u; u++)", many);
        cuda_line(t, "const point_t point = begin + (round + u) * %u;", BLOCK * width);
        t->axis[l->s.inner] = "point";
        split_packs(l, width, "size0 - point", load_many);
        cuda_close(t);
    }
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int u = 0; u < %u; u++)", many);
    cuda_line(t, "const point_t point = begin + (round + u) * %u;", BLOCK * width);
    cuda_open(t, "if (point < size0)");
    pack_body(l, width, "point", "u", "size0 - point", NULL);
    cuda_close(t);
    cuda_close(t);
    cuda_close(t);
}

// ---- any indices --------------------------------------------------------------------------------

// The coordinates of pack number "point": the outer axes and "at" of the vector axis.
static void coordinates(CudaLoop *l, uint32_t width)
{
    int64_t packs = l->s.inner == UINT32_MAX ? 1 : loop_axis_size(l, l->s.inner) / width;
    if (l->s.inner == UINT32_MAX) {
        loop_outer_axes(l, "point");
        return;
    }
    cuda_line(l->t, "const int at = (int)(point %% %" PRId64 ") * %u;", packs, width);
    cuda_line(l->t, "const %s row = point / %" PRId64 ";", loop_point_type(l->rows * packs), packs);
    loop_outer_axes(l, "row");
    l->t->axis[l->s.inner] = "at";
}

static void open_packs(CudaLoop *l, uint32_t width, uint32_t many, int64_t n)
{
    CudaText *t = l->t;
    const char *type = loop_point_type(n);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int u = 0; u < %u; u++)", many);
    cuda_line(t, "const %s point = (%s)block_x() * %u + u * %d + (int)thread();", type, type,
              BLOCK * many, BLOCK);
    cuda_open(t, "if (point < %" PRId64 ")", n);
    coordinates(l, width);
}

static void close_packs(CudaLoop *l)
{
    cuda_close(l->t);
    cuda_close(l->t);
    cuda_forget(l->t, UINT64_MAX);
}

void cuda_points(CudaLoop *l, CudaLaunch *launch)
{
    if (l->flat.on) {
        flat_points(l, launch);
        return;
    }
    int64_t inner = l->s.inner == UINT32_MAX ? 1 : loop_axis_size(l, l->s.inner);
    uint32_t width = choose_width(l), many;
    int64_t n = l->rows * (inner / width);
    many = n < MANY_POINTS ? 1 : width > 1 ? choose_many(l, width) : LOADS;
    launch->threads = BLOCK;
    launch->blocks[0] = loop_blocks(n, BLOCK * (int64_t)many);
    if (width > 1) {
        declare_packs(l, width, many);
        open_packs(l, width, many, n);
        load_packs(l, width, "u", NULL);
        close_packs(l);
    }
    open_packs(l, width, many, n);
    if (l->s.inner == UINT32_MAX)
        loop_stores(l, 0, true);
    else
        pack_body(l, width, "at", "u", NULL, NULL);
    close_packs(l);
}

// ---- sums over the outer axes -------------------------------------------------------------------

static void add_to_columns(CudaLoop *l)
{
    CudaText *t = l->t;
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        const KernelStore *s = loop_column(l, c);
        const char *x = cuda_value(t, s->value), *sum = str_printf(t->arena, "column%u.at[e]", c);
        cuda_line(t, "%s = %s;", sum, cuda_combine(t, s->op, loop_column_dtype(l, c), sum, x));
    }
}

static void declare_columns(CudaLoop *l, uint32_t width)
{
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        DType dt = loop_column_dtype(l, c);
        cuda_line(l->t, "Pack<%s, %u> column%u;", cuda_type(dt), width, c);
        cuda_line(l->t, "for (int e = 0; e < %u; e++) column%u.at[e] = %s;", width, c,
                  cuda_identity(l->t, loop_column(l, c)->op, dt));
    }
}

void cuda_columns(CudaLoop *l, CudaLaunch *launch)
{
    CudaText *t = l->t;
    int64_t inner = loop_axis_size(l, l->s.inner);
    uint32_t width = choose_width(l);
    // Small packs where there are few threads. The bits stay: a column is added up by one thread.
    if (width == 8 && inner / width * l->k->tasks < MANY_POINTS) width = 4;
    int64_t packs = inner / width, threads = (packs + WARP - 1) / WARP * WARP;
    if (threads > COLUMN_BLOCK) threads = COLUMN_BLOCK;
    launch->threads = (uint32_t)threads;
    launch->blocks[0] = l->k->tasks;
    launch->blocks[1] = loop_blocks(packs, threads);
    cuda_line(t, "const int at = ((int)block_y() * %" PRId64 " + (int)thread()) * %u;", threads,
              width);
    cuda_open(t, "if (at < %" PRId64 ")", inner);
    loop_open_task(l);
    declare_columns(l, width);
    uint32_t loads = vector_loads(l, l->s.inner, width);
    cuda_line(t, "#pragma unroll %d", loads > LOADS ? 2 : 4);
    cuda_open(t, "for (%s row = first; row < last; row++)", loop_point_type(l->rows + l->k->grain));
    loop_outer_axes(l, "row");
    t->axis[l->s.inner] = "at";
    if (width > 1) load_packs(l, width, NULL, NULL);
    pack_body(l, width, "at", NULL, NULL, add_to_columns);
    cuda_close(t);
    for (uint32_t c = 0; c < l->s.columns.n; c++)
        cuda_line(t, "store_pack<%u>(b%u + (long long)block_x() * %" PRId64 " + at, column%u);",
                  width, loop_column(l, c)->buffer, inner, c);
    cuda_close(t);
}
