// Attention and its gradients in bf16 as CUDA text: which form of codegen/cuda_attention.cuh and
// codegen/cuda_attention_grad.cuh a kernel takes, with how many warps, and the call.
//
// Forward: where keys and values of a head fit into shared memory, a block has a head (up to
// MOST_TILES tiles of 16 queries of it); else they pass through in parts and a block has a tile a
// warp. Gradient: where a block can hold the queries of a head, it computes each score once; else
// some blocks have keys (dk, dv) and others queries (dq), and scores are computed twice.
#include "codegen/cuda_emit.h"

#include "base/diag.h"

#include <inttypes.h>

enum {
    TILE = 16,
    WARPS = 8,                // of a block where nothing else decides
    FEW_WARPS = 4,            // at least so many, to load
    FINISHERS = 4,            // of a head's gradient, where some warps work ahead of others
    MOST_TILES = 32,          // of queries in a block
    BIAS_KEYS = 64,           // of a block, as in cuda_attention_grad.cuh
    KEYS_AT_A_TIME = 48,      // that pass through, forward
    SHARED_LIMIT = 99 << 10,  // bytes that a block can have on every GPU from sm_80 on
    SHARED_OF_ALL = 226 << 10 // of all blocks on a multiprocessor of sm_90; most have less
};

static int64_t ceil_div(int64_t x, int64_t y)
{
    return (x + y - 1) / y;
}

// ---- what is taken ------------------------------------------------------------------------------

static bool is_bf16(const Kernel *k, const StridedView *v)
{
    return k->buffers.at[v->buffer].dtype == DT_BF16;
}

static bool good_width(int64_t n)
{
    return n % 8 == 0 && n >= 32 && n <= 128;
}

bool cuda_attention_takes(const Kernel *k)
{
    if (!kernel_attends(k)) return false;
    if (!good_width(k->attention.dim) || !good_width(k->attention.vdim)) return false;
    const StridedView *all[] = {&k->attention.q,    &k->attention.k,  &k->attention.v,
                                &k->attention.out,  // forward
                                &k->attention.dout, // gradient of a bias
                                &k->attention.dq,   &k->attention.dk, &k->attention.dv};
    int n = k->kind == KERNEL_ATTENTION ? 4 : k->kind == KERNEL_ATTENTION_BIAS_GRAD ? 5 : 8;
    for (int i = 0; i < n; i++)
        if (!is_bf16(k, all[i])) return false;
    return true;
}

// ---- shapes -------------------------------------------------------------------------------------

// Bytes of a row of a matrix in shared memory (Width<W>::PITCH).
static int64_t row_bytes(int64_t width)
{
    return 2 * (ceil_div(width, TILE) * TILE + 8);
}

typedef struct Shape {
    bool whole;         // a head, or its keys, in one block
    int64_t warps;      // of a block
    int64_t each;       // forward: tiles of queries of a block
    int64_t key_parts;  // gradient in two kinds: blocks of keys of a head
    int64_t parts;      // blocks of a head
    int64_t rows, keys; // tiles of queries at a time; gradient of a head: R and S of its function
    bool ahead;         // and AHEAD
    int64_t own;        // warps with queries
    int64_t registers;  // that a thread needs, about: by them a form is chosen
    int64_t shared;
} Shape;

// A multiprocessor has four parts with 16384 registers each; a block's warps are dealt round.
static int64_t warps_of_part(const Shape *s)
{
    return ceil_div(s->warps, 4);
}

// Registers that segments and a bias need.
static int64_t mask_registers(const Kernel *k)
{
    return (k->attention.segments ? 12 : 0) + (k->attention.biased ? 12 : 0);
}

// Blocks that a multiprocessor can hold by registers, where that leaves 128 or 168 to a thread.
static int64_t residents(const Shape *s)
{
    int64_t most = (s->registers < 136 ? 16 : s->registers <= 168 ? 12 : 0) / s->warps;
    return most < 1 ? 1 : most;
}

static Shape forward_shape(const Kernel *k)
{
    int64_t tiles = ceil_div(k->attention.queries, TILE);
    int64_t both = row_bytes(k->attention.dim) + row_bytes(k->attention.vdim);
    int64_t all = ceil_div(k->attention.keys, TILE) * TILE * both;
    Shape s = {.whole = all <= SHARED_LIMIT, .shared = all};
    s.parts = ceil_div(tiles, s.whole ? MOST_TILES : WARPS);
    s.each = ceil_div(tiles, s.parts);
    s.warps = ceil_div(s.each, ceil_div(s.each, WARPS)); // rounds of equal numbers of warps
    if (!s.whole) s.shared = 2 * KEYS_AT_A_TIME * both;
    if (s.warps < FEW_WARPS) s.warps = FEW_WARPS;
    s.rows = 1;
    int64_t masks = mask_registers(k);
    s.registers = k->attention.vdim / 2 + k->attention.dim / 4 + 80 + masks;
    // Two tiles a warp read keys and values half as often. A multiprocessor has 12 such warps, in
    // up to three blocks, so that some load while others compute.
    int64_t twice = k->attention.vdim + k->attention.dim / 2 + 72 + masks,
            pairs = ceil_div(s.each, 2);
    if (!s.whole || s.each <= WARPS || twice > 168) return s;
    int64_t blocks = SHARED_OF_ALL / s.shared, most = 12 / (blocks < 3 ? blocks : 3);
    s.rows = 2;
    s.each = 2 * pairs; // no pair is two blocks'
    s.parts = ceil_div(tiles, s.each);
    s.warps = ceil_div(pairs, ceil_div(pairs, most));
    if (s.warps < FEW_WARPS) s.warps = FEW_WARPS;
    s.registers = twice;
    return s;
}

static bool head_fits(const Kernel *k, Shape *s)
{
    int64_t tiles = ceil_div(k->attention.queries, TILE);
    int64_t both = row_bytes(k->attention.dim) + row_bytes(k->attention.vdim);
    int64_t passing = s->keys * both + tiles * TILE * (s->keys == 32 ? 144 : 64);
    s->own = ceil_div(tiles, s->rows);
    s->warps = s->ahead ? s->own + FINISHERS : s->own;
    if (s->warps < FEW_WARPS) s->warps = FEW_WARPS;
    s->shared = tiles * TILE * both + (s->ahead ? 2 : 1) * passing;
    if (s->ahead) s->shared += tiles * TILE * 8;
    s->registers = s->rows * (k->attention.dim / 2 + s->keys) + 60 + mask_registers(k);
    if (s->ahead) s->registers += s->rows * k->attention.dim / 4 - 20;
    int64_t most = 16384 / 32 / warps_of_part(s) / 8 * 8;
    return s->shared <= SHARED_LIMIT && s->registers <= (most < 255 ? most : 255);
}

static Shape gradient_shape(const Kernel *k)
{
    // Queries, keys, ahead.
    static const int forms[][3] = {{2, 16, true}, {1, 32, false}, {1, 16, false}, {2, 16, false}};
    int64_t keys = ceil_div(k->attention.keys, TILE), tiles = ceil_div(k->attention.queries, TILE);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        Shape s = {.whole = true,
                   .rows = forms[i][0],
                   .keys = forms[i][1],
                   .parts = 1,
                   .ahead = forms[i][2]};
        // Where few warps have queries, several blocks on a multiprocessor do more.
        if (s.ahead && tiles <= WARPS) continue;
        if (head_fits(k, &s)) return s;
    }
    int64_t v = row_bytes(k->attention.vdim), both = row_bytes(k->attention.dim) + v;
    bool broad = k->attention.dim + k->attention.vdim > 192;
    int64_t staged = (broad ? 16 : 32) * (2 * both + v + 16); // queries at a time
    int64_t longer = keys > tiles ? keys : tiles, most = broad ? FEW_WARPS : WARPS;
    Shape s = {.warps = ceil_div(longer, ceil_div(longer, most)), .registers = 255};
    if (s.warps < FEW_WARPS) s.warps = FEW_WARPS;
    s.shared = s.warps * TILE * both + staged;
    s.key_parts = ceil_div(keys, s.warps);
    s.parts = s.key_parts + ceil_div(tiles, s.warps);
    return s;
}

// ---- text ---------------------------------------------------------------------------------------

static int64_t common(int64_t x, int64_t y)
{
    if (x < 0) x = -x;
    while (y) {
        int64_t rest = x % y;
        x = y;
        y = rest < 0 ? -rest : rest;
    }
    return x;
}

// A number that divides every value of the index; 0 where it is always 0.
static int64_t divisor_of(const IndexPool *pool, IndexId e)
{
    const IndexNode *n = index_node(pool, e);
    switch (n->op) {
    case IX_CONST: return n->c < 0 ? -n->c : n->c;
    case IX_ADD: return common(divisor_of(pool, n->a), divisor_of(pool, n->b));
    case IX_MUL: return common(n->c * divisor_of(pool, n->a), 0);
    default: return 1;
    }
}

// Can rows be read 16 bytes at a time?
static bool is_wide(const Kernel *k, const StridedView *v)
{
    return v->col == 1 && v->row % 8 == 0 && divisor_of(&k->body.index, v->base) % 8 == 0;
}

// "{b0 + 24 * a0, 64, 1, true}".
static const char *rows_text(CudaText *t, const StridedView *v)
{
    return str_printf(t->arena, "{b%u + %s, %" PRId64 ", %" PRId64 ", %s}", v->buffer,
                      cuda_index(t, v->base), v->row, v->col,
                      is_wide(t->kernel, v) ? "true" : "false");
}

// NULL among the views: one that is not there.
static void operands(CudaText *t, uint32_t n, const StridedView *const *views)
{
    const Kernel *k = t->kernel;
    bool segments = k->attention.segments;
    for (uint32_t i = 0; i < n; i++)
        cuda_line(t, "  %s,", views[i] ? rows_text(t, views[i]) : "{}");
    cuda_line(t, "  {%af, %" PRId64 ", %" PRId64 ", %s,", (double)k->attention.scale,
              k->attention.queries, k->attention.keys, k->attention.causal ? "true" : "false");
    cuda_line(t, "   %s,", segments ? rows_text(t, &k->attention.query_segments) : "{}");
    cuda_line(t, "   %s,", segments ? rows_text(t, &k->attention.key_segments) : "{}");
    cuda_line(t, "   %s}};", k->attention.biased ? rows_text(t, &k->attention.bias) : "{}");
}

static void forward(CudaText *t, const Shape *s)
{
    const Kernel *k = t->kernel;
    const StridedView *views[] = {&k->attention.q, &k->attention.k, &k->attention.v,
                                  &k->attention.out, &k->attention.lse};
    cuda_line(t, "const AttentionForward a = {");
    operands(t, sizeof views / sizeof *views, views);
    cuda_line(t,
              "const int first = at * %" PRId64 ", end = smaller<int>(first + %" PRId64 ", %" PRId64
              ");",
              s->each, s->each, ceil_div(k->attention.queries, TILE));
    if (s->whole)
        cuda_line(t,
                  "attention_at_once<%" PRId64 ", %" PRId64 ", %" PRId64
                  ">(a, shared, first, end, %" PRId64 ");",
                  k->attention.dim, k->attention.vdim, s->rows, s->warps);
    else
        cuda_line(
            t, "attention_in_parts<%" PRId64 ", %" PRId64 ">(a, shared, first, end, %" PRId64 ");",
            k->attention.dim, k->attention.vdim, s->warps);
}

static void gradient_operands(CudaText *t)
{
    const Kernel *k = t->kernel;
    bool bias = k->kind == KERNEL_ATTENTION_BIAS_GRAD;
    const StridedView *views[] = {&k->attention.q,
                                  &k->attention.k,
                                  &k->attention.v,
                                  &k->attention.out,
                                  &k->attention.dout,
                                  &k->attention.lse,
                                  bias ? NULL : &k->attention.dq,
                                  bias ? NULL : &k->attention.dk,
                                  bias ? NULL : &k->attention.dv};
    cuda_line(t, "const AttentionGradient a = {");
    operands(t, sizeof views / sizeof *views, views);
}

static void gradient(CudaText *t, const Shape *s)
{
    const Kernel *k = t->kernel;
    int64_t dim = k->attention.dim, vdim = k->attention.vdim;
    gradient_operands(t);
    if (s->whole) {
        cuda_line(t,
                  "attention_gradient_head<%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                  ", %s>(a, shared, %" PRId64 ", %" PRId64 ", %" PRId64 ");",
                  dim, vdim, s->rows, s->keys, s->ahead ? "true" : "false",
                  ceil_div(k->attention.queries, TILE), s->warps, s->own);
        return;
    }
    cuda_open(t, "if (at < %" PRId64 ")", s->key_parts);
    cuda_line(t,
              "attention_gradient_keys<%" PRId64 ", %" PRId64 ">(a, shared, at * %" PRId64
              ", %" PRId64 ");",
              dim, vdim, s->warps, s->warps);
    t->indent--;
    cuda_open(t, "} else");
    cuda_line(t,
              "attention_gradient_queries<%" PRId64 ", %" PRId64 ">(a, shared, (at - %" PRId64
              ") * %" PRId64 ", %" PRId64 ");",
              dim, vdim, s->key_parts, s->warps, s->warps);
    cuda_close(t);
}

// A block has BIAS_KEYS keys and a tile of queries a warp, of all heads that share the bias.
static void bias_gradient(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    int64_t queries = k->attention.queries, keys = k->attention.keys, dim = k->attention.dim,
            vdim = k->attention.vdim, tiles = ceil_div(queries, TILE), points = 1;
    int64_t warps = tiles < FEW_WARPS ? FEW_WARPS : tiles < WARPS ? tiles : WARPS;
    int64_t parts = ceil_div(keys, BIAS_KEYS), each = parts * ceil_div(tiles, warps);
    for (uint32_t i = 0; i < k->body.axes.n; i++) points *= k->body.axes.at[i].size;
    launch->threads = (uint32_t)warps * 32;
    launch->residents = 1;
    launch->shared_bytes = (uint32_t)(BIAS_KEYS * (row_bytes(dim) + row_bytes(vdim)));
    launch->blocks[0] = points / k->attention.shared * each;
    launch->blocks[1] = 1;
    launch->tensor_cores = true;
    cuda_line(t, "SHARED_BYTES(shared);");
    cuda_line(t, "const int at = (int)(block_x() %% %" PRId64 ");", each);
    cuda_line(t, "const int first = (int)(block_x() / %" PRId64 ") * %" PRId64 ";", each,
              k->attention.shared);
    cuda_line(t, "const int key = at %% %" PRId64 " * %d;", parts, BIAS_KEYS);
    cuda_line(t, "const int row = (at / %" PRId64 " * %" PRId64 " + (int)thread() / 32) * %d;",
              parts, warps, TILE);
    cuda_line(t, "f32x4 sum[1][%d];", BIAS_KEYS / 8);
    cuda_line(t, "clear_tiles(sum);");
    cuda_line(t, "#pragma unroll 1");
    cuda_open(t, "for (int head = 0; head < %" PRId64 "; head++)", k->attention.shared);
    cuda_line(t, "int point = first + head;");
    cuda_outer_axes(t);
    gradient_operands(t);
    cuda_line(
        t, "add_bias_gradient<%" PRId64 ", %" PRId64 ">(sum[0], a, shared, row, key, %" PRId64 ");",
        dim, vdim, warps);
    cuda_close(t);
    cuda_line(t, "int point = first;");
    cuda_outer_axes(t);
    cuda_line(t, "const HeadRows<float> to = %s;", rows_text(t, &k->attention.dbias));
    cuda_line(t, "put_bias_gradient(to, sum[0], row, key, %" PRId64 ", %" PRId64 ");", queries,
              keys);
}

void cuda_attention_kernel(CudaText *t, CudaLaunch *launch)
{
    bool grad = t->kernel->kind == KERNEL_ATTENTION_GRAD;
    if (t->kernel->kind == KERNEL_ATTENTION_BIAS_GRAD) {
        bias_gradient(t, launch);
        return;
    }
    Shape s = grad ? gradient_shape(t->kernel) : forward_shape(t->kernel);
    launch->threads = (uint32_t)s.warps * 32;
    launch->residents = (uint32_t)residents(&s);
    launch->shared_bytes = (uint32_t)s.shared;
    cuda_line(t, "SHARED_BYTES(shared);");
    launch->blocks[0] = cuda_outer_points(t, s.parts) * s.parts;
    launch->blocks[1] = 1;
    launch->tensor_cores = true;
    (grad ? gradient : forward)(t, &s);
}
