// Products of bf16 or tf32 on tensor cores as CUDA text: sums in f32, any scalar body before them
// and behind. cuda_mma.cuh has the block's tile, its loop and its way through shared memory; here
// is chosen how each operand comes there.
//   direct     the body is one load (or a load within zeros), and a chunk's neighbours (16 bytes)
//              along k or along the free axis lie side by side: cp.async copies them
//   computed   anything else: a chunk at a time is evaluated and stored. Loads that depend
//              on k and on the free axis are made before the product of an earlier step and kept in
//              registers behind it
// The epilogue reads the sums from shared memory, four along n a thread, so that accesses that run
// along n are of 8 or 16 bytes.
#include "codegen/cuda_group.h"

#include "base/diag.h"

#include <inttypes.h>
#include <math.h>

enum {
    CHUNK_BYTES = 16, // of an operand that are brought at once
    RESULTS = 4,      // of a thread in the epilogue, at most
    EARLY_WORDS = 48, // registers for an operand's loads
    // The GPU that is chosen for: an H100, whose multiprocessors do 2.2e12 steps of mma.sync and
    // get 2.3e10 bytes from memory in a second; a launch takes 3e-6 s.
    PROCESSORS = 132,
    STEPS_PER_SUM = 6, // 8 bytes, shared by all multiprocessors
    STEPS_PER_LAUNCH = 6600000,
    PARTS_MOST = 32,  // of a sum over k
    PART_LEAST = 512, // of k
    // Of blocks that evaluate an operand, a multiprocessor needs so many: a step waits for its
    // loads.
    FULL_COMPUTING = 3,
};

// ---- the tile -----------------------------------------------------------------------------------

typedef struct Tile {
    int m, n, k, warps_m, warps_n, stages; // MmaTile's, in bf16; a k of tf32 is half of it
    int rate;    // of the tensor cores' peak, in percent, on a multiprocessor that is full
    int full;    // blocks that make it full
    bool spares; // has registers to spare, for operands that are computed or read one by one
} Tile;

// Rates are estimates: by how often an element that came to shared memory is used, and by the
// loop's other instructions. The tiles of 32 are for few rows or columns, where what counts is that
// enough of the other operand is on its way.
static const Tile tiles[] = {
    {128, 128, 32, 2, 2, 3, 100, 1, false}, {128, 128, 32, 2, 4, 3, 90, 1, true},
    {128, 64, 32, 2, 2, 4, 85, 1, true},    {64, 128, 32, 2, 2, 4, 85, 1, true},
    {64, 64, 32, 2, 2, 4, 65, 1, true},     {128, 32, 32, 4, 1, 4, 45, 3, true},
    {32, 128, 32, 1, 4, 4, 45, 3, true},
};

static int64_t blocks_for(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

// Steps of one multiply and add of a result by one multiprocessor that is full, until the one with
// the most blocks is done.
static double tile_steps(const Tile *t, int64_t batch, int64_t m, int64_t n, int64_t k,
                         bool computes)
{
    int64_t blocks = blocks_for(blocks_for(m, t->m) * blocks_for(n, t->n) * batch, PROCESSORS);
    int full = computes ? FULL_COMPUTING : t->full;
    if (blocks < full) blocks = full;
    return (double)(blocks * t->m * t->n) * (double)k * 100 / t->rate;
}

// The tile with which a product takes the least time. The choice is static, and the tile is all
// that it decides: sums are the same with any other.
static const Tile *tile_for(int64_t batch, int64_t m, int64_t n, int64_t k, bool computes,
                            bool spares)
{
    const Tile *best = NULL;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        const Tile *t = &tiles[i];
        if ((computes || spares) && !t->spares) continue;
        if (!best ||
            tile_steps(t, batch, m, n, k, computes) < tile_steps(best, batch, m, n, k, computes))
            best = t;
    }
    return best;
}

static DType element_type(const KernelBody *b)
{
    return b->code.n ? b->code.at[b->code.n - 1].dtype : DT_F32;
}

static DType element_of(const Kernel *k)
{
    return k->gemm.tf32 ? DT_F32 : DT_BF16;
}

static int chunk_of(const Kernel *k)
{
    return CHUNK_BYTES / (int)dtype_size(element_of(k));
}

// k in numbers that the tensor cores multiply in the time of one bf16.
static int64_t bf16_depth(const Kernel *k)
{
    return k->gemm.k * (int64_t)dtype_size(element_of(k)) / 2;
}

// Of every size: with a single row or a k of 1 most of the multiplying is by zeros, but operands
// and results still come and go in the widest accesses there are.
bool cuda_mma_takes(const Kernel *k)
{
    return k->gemm.b.axes.n && element_type(&k->gemm.a) == element_of(k) &&
           element_type(&k->gemm.b) == element_of(k);
}

// Products with few results and a long k, as the gradients of weights are, have too few blocks for
// all multiprocessors. The number of parts that takes the least time: that of the product, of its
// sums' way through memory, written and read, and of one more launch. Rows that are no whole chunks
// make an operand a computed one.
int64_t cuda_mma_parts(const Kernel *kernel)
{
    int64_t best = 1, batch = kernel->gemm.batch, m = kernel->gemm.m, n = kernel->gemm.n,
            k = kernel->gemm.k, depth = bf16_depth(kernel);
    double least = 0;
    bool computes = m % chunk_of(kernel) || n % chunk_of(kernel);
    for (int64_t p = 1; p <= PARTS_MOST && k / p >= PART_LEAST; p++) {
        if (!cuda_mma_takes(kernel) || k % p || batch * p > UINT16_MAX) continue;
        const Tile *tile = tile_for(batch * p, m, n, depth / p, computes, kernel->gemm.tf32);
        double steps = tile_steps(tile, batch * p, m, n, depth / p, computes);
        if (p > 1) steps += (double)(p * batch * m * n) * STEPS_PER_SUM + STEPS_PER_LAUNCH;
        if (p > 1 && steps >= least) continue;
        best = p;
        least = steps;
    }
    return best;
}

// ---- operands -----------------------------------------------------------------------------------

typedef struct Operand {
    CudaText *t;
    const KernelBody *body;
    const Tile *tile;
    DType dtype;         // bf16, or f32 that was rounded to tf32
    int chunk;           // elements that are brought at once
    char name;           // 'a' or 'b'
    int64_t free, depth; // the product's
    int across;          // free indices in a tile
    uint32_t inner;      // the axis that lies innermost: 1, free, or 2, k
    bool direct;
    Groups groups; // chunks
    bool *early;   // by instruction: loaded before the product of an earlier step
} Operand;

static bool same_guards(const KernelInstr *x, const KernelInstr *y)
{
    bool same = x->nguards == y->nguards;
    for (uint32_t i = 0; same && i < x->nguards; i++)
        same = x->guards[i].index == y->guards[i].index && x->guards[i].lo == y->guards[i].lo &&
               x->guards[i].hi == y->guards[i].hi;
    return same;
}

// The load that is all of a body, or NULL. Padding with zeros counts: a load whose guards fail is
// 0.
static const KernelInstr *only_load(const KernelBody *b)
{
    const KernelInstr *last = &b->code.at[b->code.n - 1];
    if (last->kind == KI_LOAD) return last;
    if (last->kind != KI_OP || last->op != OP_SELECT) return NULL;
    const KernelInstr *test = &b->code.at[last->args[0]], *load = &b->code.at[last->args[1]],
                      *fill = &b->code.at[last->args[2]];
    bool pads = test->kind == KI_TEST && load->kind == KI_LOAD && fill->kind == KI_CONST &&
                fill->value == 0 && !signbit(fill->value) && same_guards(test, load);
    return pads ? load : NULL;
}

static bool is_direct(Groups *g, const Operand *o)
{
    const KernelInstr *in = only_load(g->body);
    return in && o->t->kernel->buffers.at[in->buffer].dtype == o->dtype &&
           cuda_groups_index(g, in->index) == GROUP_BESIDE &&
           cuda_groups_guards(g, in->guards, in->nguards);
}

static uint32_t loads_beside(Groups *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->body->code.n; i++)
        n += g->body->code.at[i].kind == KI_LOAD &&
             cuda_groups_index(g, g->body->code.at[i].index) == GROUP_BESIDE;
    return n;
}

// How the operand lies in shared memory: as it does in memory, as far as that can be told.
static void lay_out(Operand *o)
{
    Arena *arena = o->t->arena;
    Groups along_k, along_free;
    cuda_groups_begin(&along_k, arena, o->body, 2, o->chunk);
    cuda_groups_begin(&along_free, arena, o->body, 1, o->chunk);
    bool k = is_direct(&along_k, o), free = is_direct(&along_free, o);
    o->direct = k || free;
    if (!o->direct) {
        uint32_t beside_k = loads_beside(&along_k), beside_free = loads_beside(&along_free);
        k = beside_k > beside_free ||
            (beside_k == beside_free && cuda_runs_along_k(o->body, arena));
    }
    o->inner = k ? 2 : 1;
    o->groups = k ? along_k : along_free;
}

// Of a step, along k.
static int step_depth(const Operand *o)
{
    return o->tile->k * 2 / (int)dtype_size(o->dtype);
}

// Chunks of one step that a thread brings.
static int chunks_each(const Operand *o)
{
    const Tile *t = o->tile;
    return o->across * step_depth(o) / o->chunk / (32 * t->warps_m * t->warps_n);
}

static void choose_early(Operand *o)
{
    int words = 0;
    o->early = arena_array(o->t->arena, bool, o->body->code.n);
    for (uint32_t i = 0; i < o->body->code.n && !o->direct; i++) {
        const KernelInstr *in = &o->body->code.at[i];
        if (in->kind != KI_LOAD || (in->axes & 6) != 6) continue;
        if (index_uses_value(&o->body->index, in->index)) continue;
        const KernelBuffer *buffers = o->t->kernel->buffers.at;
        int bytes = (int)dtype_size(buffers[in->buffer].dtype);
        if (bytes < 4 && !cuda_groups_load(&o->groups, buffers, i)) bytes = 4;
        words += chunks_each(o) * o->chunk * bytes / 4;
        o->early[i] = words <= EARLY_WORDS;
    }
}

// "free < 50 && k < 70", only what a tile can violate; NULL where nothing.
static const char *inside(const Operand *o)
{
    Arena *a = o->t->arena;
    const char *free =
        o->free % o->across ? str_printf(a, "free < %s", cuda_number(o->t, o->free)) : NULL;
    const char *k =
        o->depth % step_depth(o) ? str_printf(a, "k < %s", cuda_number(o->t, o->depth)) : NULL;
    return free && k ? str_printf(a, "%s && %s", free, k) : free ? free : k;
}

// A body's axes at a chunk's first element, in terms of variables of the text.
static void at_chunk(const Operand *o)
{
    cuda_use_body(o->t, o->body);
    o->t->axis[0] = "batch";
    o->t->axis[1] = "free";
    o->t->axis[2] = "k";
}

static void at_element(const Operand *o)
{
    o->t->axis[o->inner] = o->inner == 2 ? "(k + j)" : "(free + j)";
}

// The condition that element j of a chunk exists, where its first does; NULL where it must.
static const char *inside_chunk(const Operand *o)
{
    int64_t size = o->inner == 2 ? o->depth : o->free;
    if (o->groups.whole) return NULL;
    return str_printf(o->t->arena, "%s + j < %s", o->inner == 2 ? "k" : "free",
                      cuda_number(o->t, size));
}

static void copy_chunks(const Operand *o)
{
    CudaText *t = o->t;
    const KernelInstr *in = only_load(o->body);
    const char *exists = inside(o), *bytes = "16u";
    if (!o->groups.whole)
        bytes = str_printf(t->arena, "%d * (uint32_t)smaller<int>(%d, %s - %s)",
                           (int)dtype_size(o->dtype), o->chunk,
                           cuda_number(t, o->inner == 2 ? o->depth : o->free),
                           o->inner == 2 ? "k" : "free");
    cuda_open(t, "mma_copy<T::%c, T::threads>(stage%s, [&](int at, int depth) INLINE -> MmaChunk",
              o->name - 'a' + 'A', o->name == 'b' ? " + T::A::elements" : "");
    cuda_line(t, "const int free = %c0 + at, k = k0 + depth;", o->name == 'a' ? 'm' : 'n');
    at_chunk(o);
    const char *guard = cuda_guards(t, in->guards, in->nguards);
    if (exists && guard) exists = str_printf(t->arena, "%s && %s", exists, guard);
    if (!exists) exists = guard;
    if (exists) bytes = str_printf(t->arena, "%s ? %s : 0u", exists, bytes);
    cuda_line(t, "return {b%u + %s, %s};", in->buffer, cuda_index(t, in->index), bytes);
    t->indent--;
    cuda_line(t, "});");
}

static void open_chunks(const Operand *o)
{
    CudaText *t = o->t;
    char side = (char)(o->name - 'a' + 'A'), first = o->name == 'a' ? 'm' : 'n';
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int u = 0; u < %d; u++)", chunks_each(o));
    cuda_line(t, "const int row = mma_chunk_row<T::%c, T::threads>(u);", side);
    cuda_line(t, "const int chunk = mma_chunk<T::%c>();", side);
    cuda_line(t,
              o->inner == 2 ? "const int free = %c0 + row, k = k0 + chunk * %d;"
                            : "const int free = %c0 + chunk * %d, k = k0 + row;",
              first, o->chunk);
    cuda_line(t, "(void)free, (void)k;");
}

static const char *early_name(const Operand *o, uint32_t instr)
{
    return str_printf(o->t->arena, "%c_%u", o->name, instr);
}

static void declare_early(const Operand *o)
{
    CudaText *t = o->t;
    for (uint32_t i = 0; i < o->body->code.n; i++) {
        const char *name = early_name(o, i);
        if (!o->early[i]) continue;
        if (cuda_groups_load((Groups *)&o->groups, t->kernel->buffers.at, i))
            cuda_line(t, "%s %s[%d];", cuda_groups_type(t, &o->groups, i), name, chunks_each(o));
        else
            cuda_line(t, "%s %s[%d][%d];", cuda_type(o->body->code.at[i].dtype), name,
                      chunks_each(o), o->chunk);
    }
}

static void load_one_by_one(const Operand *o, uint32_t instr, const char *exists)
{
    CudaText *t = o->t;
    const char *type = cuda_type(o->body->code.at[instr].dtype), *also = inside_chunk(o);
    at_chunk(o);
    at_element(o);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int j = 0; j < %d; j++)", o->chunk);
    cuda_line(t, "%s x = 0;", type);
    if (exists) cuda_open(t, "if (%s)", exists);
    if (also) cuda_open(t, "if (%s)", also);
    cuda_line(t, "x = %s;", cuda_value(t, instr));
    if (also) cuda_close(t);
    if (exists) cuda_close(t);
    cuda_line(t, "%s[u][j] = x;", early_name(o, instr));
    cuda_close(t);
}

static void load_early(Operand *o)
{
    CudaText *t = o->t;
    const char *exists = inside(o);
    bool any = false;
    for (uint32_t i = 0; i < o->body->code.n; i++) {
        if (!o->early[i]) continue;
        if (!any) open_chunks(o);
        any = true;
        if (!cuda_groups_load(&o->groups, t->kernel->buffers.at, i)) {
            load_one_by_one(o, i, exists);
            continue;
        }
        at_chunk(o);
        const char *x = cuda_groups_loaded(t, &o->groups, i);
        if (exists)
            x = str_printf(t->arena, "%s ? (%s) : %s{}", exists, x,
                           cuda_groups_type(t, &o->groups, i));
        cuda_line(t, "%s[u] = %s;", early_name(o, i), x);
    }
    if (any) cuda_close(t);
}

// Declare what is the same for all of a group, then the loads of whole groups that are not there.
static void group_values(CudaText *t, Groups *g, const bool *early, char name)
{
    for (uint32_t i = 0; i < g->body->code.n; i++)
        if (!(g->body->code.at[i].axes >> g->axis & 1)) cuda_value(t, i);
    for (uint32_t i = 0; i < g->body->code.n; i++) {
        bool whole = cuda_groups_load(g, t->kernel->buffers.at, i);
        if (early && early[i]) {
            t->memo[i] =
                str_printf(t->arena, whole ? "number(%c_%u[u], j)" : "%c_%u[u][j]", name, i);
        } else if (whole) {
            cuda_line(t, "const %s %c_%u = %s;", cuda_groups_type(t, g, i), name, i,
                      cuda_groups_loaded(t, g, i));
            t->memo[i] = str_printf(t->arena, "number(%c_%u, j)", name, i);
        }
    }
}

// The value of an instruction on its way to memory, where it is rounded: not before.
static const char *unrounded(CudaText *t, uint32_t instr)
{
    const KernelInstr *in = &t->body->code.at[instr];
    bool rounds = in->kind == KI_OP && in->op == OP_CAST && in->dtype == DT_BF16 &&
                  t->body->code.at[in->args[0]].dtype == DT_F32;
    return cuda_value(t, rounds ? in->args[0] : instr);
}

static void compute_chunks(Operand *o)
{
    CudaText *t = o->t;
    const char *exists = inside(o), *also = inside_chunk(o);
    open_chunks(o);
    cuda_line(t, "float value[%d] = {};", o->chunk);
    if (exists) cuda_open(t, "if (%s)", exists);
    at_chunk(o);
    group_values(t, &o->groups, o->early, o->name);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int j = 0; j < %d; j++)", o->chunk);
    if (also) cuda_open(t, "if (%s)", also);
    at_element(o);
    cuda_line(t, "value[j] = %s;", unrounded(t, o->body->code.n - 1));
    if (also) cuda_close(t);
    cuda_close(t);
    if (exists) cuda_close(t);
    cuda_line(t, "store_u32x4(stage + %smma_place<T::%c>(row, chunk), mma_pack(value));",
              o->name == 'b' ? "T::A::elements + " : "", o->name - 'a' + 'A');
    cuda_close(t);
}

// ---- the kernel ---------------------------------------------------------------------------------

static void loop(CudaText *t, Operand *operands)
{
    cuda_line(t, "mma_loop<T>(shared, %s, sums,",
              cuda_number(t, blocks_for(t->kernel->gemm.k, step_depth(operands))));
    for (int behind = 0; behind < 2; behind++) {
        cuda_open(t, "[&](int step, T::Element *stage) INLINE");
        cuda_line(t, "const int k0 = step * T::k;");
        cuda_line(t, "(void)k0;");
        for (Operand *o = operands; o < operands + 2; o++) {
            if (!behind && o->direct) copy_chunks(o);
            if (!behind && !o->direct) load_early(o);
            if (behind && !o->direct) compute_chunks(o);
        }
        t->indent--;
        cuda_line(t, behind ? "});" : "},");
    }
}

// The results of one thread, `each` neighbours along n: values first, then stores, which may change
// what others load.
static void results(CudaText *t, int each)
{
    const KernelBody *b = &t->kernel->body;
    Groups g;
    cuda_groups_begin(&g, t->arena, b, 2, each);
    cuda_use_body(t, b);
    t->axis[0] = "batch";
    t->axis[1] = "m";
    t->axis[2] = "n";
    t->acc = each > 1 ? "number(acc, j)" : "acc";
    if (each > 1) group_values(t, &g, NULL, 'c');
    for (uint32_t i = 0; i < b->stores.n; i++)
        cuda_line(t, "%s out%u[%d];", cuda_type(b->code.at[b->stores.at[i].value].dtype), i, each);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int j = 0; j < %d; j++)", each);
    t->axis[2] = "(n + j)";
    for (uint32_t i = 0; i < b->stores.n; i++)
        cuda_line(t, "out%u[j] = %s;", i, unrounded(t, b->stores.at[i].value));
    cuda_close(t);
    for (uint32_t i = 0; i < b->stores.n; i++) {
        const KernelStore *s = &b->stores.at[i];
        t->axis[2] = "n";
        if (each > 1 && cuda_groups_store(&g, t->kernel->buffers.at, s)) {
            cuda_line(t, "store_neighbours<%d>(b%u + %s, out%u);", each, s->buffer,
                      cuda_index(t, s->index), i);
            continue;
        }
        cuda_line(t, "#pragma unroll");
        cuda_open(t, "for (int j = 0; j < %d; j++)", each);
        t->axis[2] = "(n + j)";
        t->memo[s->value] = str_printf(t->arena, "out%u[j]", i);
        cuda_store(t, s);
        cuda_close(t);
    }
}

static void epilogue(CudaText *t, const Tile *tile)
{
    int64_t m = t->kernel->gemm.m, n = t->kernel->gemm.n;
    int each = n % RESULTS == 0 ? RESULTS : n % 2 == 0 ? 2 : 1;
    int across = (n < tile->n ? (int)n : tile->n) / each; // groups of a row
    cuda_line(t, "#pragma unroll 1");
    cuda_open(t, "for (int slab = 0; slab < T::slabs; slab++)");
    cuda_line(t, "float *slab_at = (float *)shared;");
    cuda_line(t, "if (slab) sync();");
    cuda_line(t, "mma_lay_out<T>(slab_at, sums, slab);");
    cuda_line(t, "sync();");
    cuda_open(t, "for (int i = (int)thread(); i < T::slab_rows * %d; i += T::threads)", across);
    cuda_line(t, "const int row = i / %d, column = i %% %d * %d;", across, across, each);
    cuda_line(t, "const int m = m0 + mma_row<T>(slab, row), n = n0 + column;");
    if (m % tile->m) cuda_line(t, "if (m >= %s) continue;", cuda_number(t, m));
    if (n > tile->n && n % tile->n) cuda_line(t, "if (n >= %s) continue;", cuda_number(t, n));
    if (each > 1)
        cuda_line(t,
                  "const Neighbours<float, %d> acc = load_neighbours<%d>(slab_at + row * "
                  "T::out_stride + column);",
                  each, each);
    else
        cuda_line(t, "const float acc = slab_at[row * T::out_stride + column];");
    results(t, each);
    cuda_close(t);
    cuda_close(t);
}

void cuda_mma_kernel(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    Operand operands[2] = {
        {.t = t, .body = &k->gemm.a, .name = 'a', .free = k->gemm.m, .depth = k->gemm.k},
        {.t = t, .body = &k->gemm.b, .name = 'b', .free = k->gemm.n, .depth = k->gemm.k}};
    for (int i = 0; i < 2; i++) {
        operands[i].dtype = element_of(k);
        operands[i].chunk = chunk_of(k);
        lay_out(&operands[i]);
    }
    // tf32 whose free axis is innermost comes to registers number by number, with more addresses.
    bool spares = k->gemm.tf32 && (operands[0].inner == 1 || operands[1].inner == 1);
    const Tile *tile = tile_for(k->gemm.batch, k->gemm.m, k->gemm.n, bf16_depth(k),
                                !operands[0].direct || !operands[1].direct, spares);
    for (int i = 0; i < 2; i++) {
        operands[i].tile = tile;
        operands[i].across = i ? tile->n : tile->m;
        choose_early(&operands[i]);
    }
    t->loose = true;
    launch->tensor_cores = true;
    launch->threads = (uint32_t)(32 * tile->warps_m * tile->warps_n);
    launch->shared_bytes = (uint32_t)(2 * tile->stages * tile->k * (tile->m + tile->n));
    int64_t down = blocks_for(k->gemm.m, tile->m), across = blocks_for(k->gemm.n, tile->n);
    launch->blocks[0] = down * across;
    launch->blocks[1] = k->gemm.batch;
    cuda_line(t, "typedef MmaTile<%s, %d, %d, %d, %d, %d, %d, %s, %s> T;",
              cuda_memory_type(element_of(k)), tile->m, tile->n, step_depth(operands),
              tile->warps_m, tile->warps_n, tile->stages, operands[0].inner == 2 ? "true" : "false",
              operands[1].inner == 2 ? "true" : "false");
    cuda_line(t, "SHARED_BYTES(shared);");
    cuda_line(t, "const int batch = (int)block_y();");
    cuda_line(t, "(void)batch;");
    cuda_line(t, "int m0, n0;");
    cuda_line(t, "mma_tile(%s, %s, m0, n0);", cuda_number(t, down), cuda_number(t, across));
    cuda_line(t, "m0 *= T::m;");
    cuda_line(t, "n0 *= T::n;");
    cuda_line(t, "MmaSums<T> sums;");
    for (int i = 0; i < 2; i++) declare_early(&operands[i]);
    loop(t, operands);
    epilogue(t, tile);
}
