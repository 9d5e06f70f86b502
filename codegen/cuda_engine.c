// Attention and its gradient in f32 as CUDA text, in the orders that docs/ir.md defines; elements
// in memory may be 16-bit floats.
//
// Attention: a block of 64 threads has one query; a thread has the keys of one lane. The scores of
// that query stand in shared memory. Gradient: a block has one query (for dq) or one key (for dk
// and dv) and computes what it needs of scores again. Gradient of a bias: a block has one query of
// all heads that share the bias, one after the other.
#include "codegen/cuda_emit.h"

#include "base/diag.h"

#include <inttypes.h>

enum { LANES = ROW_LANES };

// ---- attention ----------------------------------------------------------------------------------

// Declare NAME, the address of the matrix at this outer point.
static void view(CudaText *t, const char *name, const StridedView *v)
{
    const KernelBuffer *b = &t->kernel->buffers.at[v->buffer];
    cuda_line(t, "%s%s *%s = b%u + %s;", b->written ? "" : "const ", cuda_memory_type(b->dtype),
              name, v->buffer, cuda_index(t, v->base));
}

int64_t cuda_outer_axes(CudaText *t)
{
    const KernelBody *b = &t->kernel->body;
    int64_t points = 1;
    cuda_use_body(t, b);
    for (uint32_t i = b->axes.n; i-- > 0;) {
        cuda_line(t, "const int a%u = point %% %" PRId64 ";", i, b->axes.at[i].size);
        cuda_line(t, "point /= %" PRId64 ";", b->axes.at[i].size);
        t->axis[i] = str_printf(t->arena, "a%u", i);
        points *= b->axes.at[i].size;
    }
    return points;
}

int64_t cuda_outer_points(CudaText *t, int64_t each)
{
    cuda_line(t, "const int at = (int)(block_x() %% %" PRId64 ");", each);
    cuda_line(t, "int point = (int)(block_x() / %" PRId64 ");", each);
    return cuda_outer_axes(t);
}

static const char *element(CudaText *t, const char *name, const StridedView *v, const char *row,
                           const char *col)
{
    return str_printf(t->arena, "%s[(long long)(%s) * %" PRId64 " + (long long)(%s) * %" PRId64 "]",
                      name, row, v->row, col, v->col);
}

static const char *row_of(CudaText *t, const char *name, const StridedView *v, const char *row)
{
    return str_printf(t->arena, "%s + (long long)(%s) * %" PRId64, name, row, v->row);
}

static const char *scale_text(CudaText *t)
{
    return str_printf(t->arena, "%af", (double)t->kernel->attention.scale);
}

// Declare what is beside q, k and v.
static void view_beside(CudaText *t)
{
    const Kernel *k = t->kernel;
    if (k->attention.segments) {
        view(t, "query_segments", &k->attention.query_segments);
        view(t, "key_segments", &k->attention.key_segments);
    }
    if (k->attention.biased) view(t, "bias", &k->attention.bias);
}

// The scaled score `s` of this query and key with its bias, or -inf where the key is not seen.
static void mask_score(CudaText *t, const char *s, const char *query, const char *key)
{
    const Kernel *k = t->kernel;
    if (k->attention.biased)
        cuda_line(t, "%s = %s + %s;", s, s, element(t, "bias", &k->attention.bias, query, key));
    if (k->attention.segments)
        cuda_line(t, "if (%s != %s) %s = least<float>();",
                  element(t, "query_segments", &k->attention.query_segments, query, "0"),
                  element(t, "key_segments", &k->attention.key_segments, key, "0"), s);
}

// What is subtracted from scores: x, or with masks 0 where a row has nothing but -inf.
static const char *shift_text(CudaText *t, const char *x)
{
    if (!kernel_masks(t->kernel)) return x;
    return str_printf(t->arena, "(%s == least<float>() ? 0 : %s)", x, x);
}

static void forward(CudaText *t)
{
    const Kernel *k = t->kernel;
    int64_t later = k->attention.keys - k->attention.queries;
    if (k->attention.causal)
        cuda_line(t, "const int keys = smaller<int>(%" PRId64 ", at + 1 + %" PRId64 ");",
                  k->attention.keys, later);
    else
        cuda_line(t, "const int keys = %" PRId64 ";", k->attention.keys);
    cuda_line(t, "float most = least<float>(), sum = 0;");
    cuda_open(t, "for (int j = lane; j < keys; j += %d)", LANES);
    cuda_line(
        t, "score[j] = chain_of_products(%s, %" PRId64 ", %s, %" PRId64 ", 0, %" PRId64 ") * %s;",
        row_of(t, "q", &k->attention.q, "at"), k->attention.q.col,
        row_of(t, "k", &k->attention.k, "j"), k->attention.k.col, k->attention.dim, scale_text(t));
    mask_score(t, "score[j]", "at", "j");
    cuda_line(t, "most = larger(most, score[j]);");
    cuda_close(t);
    cuda_line(t, "most = block_max(most, lanes);");
    cuda_open(t, "for (int j = lane; j < keys; j += %d)", LANES);
    cuda_line(t, "score[j] = expand_exp_minus(%s - score[j]);", shift_text(t, "most"));
    cuda_line(t, "sum = sum + score[j];");
    cuda_close(t);
    cuda_line(t, "sum = block_sum(sum, lanes);");
    cuda_line(t, "const float by = sum == 0 ? 1 : sum; // a query without keys");
    cuda_open(t, "for (int e = lane; e < %" PRId64 "; e += %d)", k->attention.vdim, LANES);
    cuda_line(t,
              "put(%s, chain_of_products(score, 1, v + (long long)e * %" PRId64 ", %" PRId64
              ", 0, keys) / by);",
              element(t, "out", &k->attention.out, "at", "e"), k->attention.v.col,
              k->attention.v.row);
    cuda_close(t);
    cuda_line(t, "if (lane == 0) %s = most + expand_log(sum);",
              element(t, "lse", &k->attention.lse, "at", "0"));
}

static void attention(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    if (k->attention.keys > ROW_SEGMENT)
        bug("attention over %lld keys", (long long)k->attention.keys);
    launch->threads = LANES;
    cuda_line(t, "SHARED(float, score, %" PRId64 ");", k->attention.keys);
    cuda_line(t, "SHARED(float, lanes, %d);", LANES);
    cuda_line(t, "const int lane = (int)thread();");
    launch->blocks[0] = cuda_outer_points(t, k->attention.queries) * k->attention.queries;
    view(t, "q", &k->attention.q);
    view(t, "k", &k->attention.k);
    view(t, "v", &k->attention.v);
    view(t, "out", &k->attention.out);
    view(t, "lse", &k->attention.lse);
    view_beside(t);
    forward(t);
}

// p and ds of query i and key j.
static void score_gradient(CudaText *t)
{
    const Kernel *k = t->kernel;
    cuda_line(
        t, "float s = chain_of_products(%s, %" PRId64 ", %s, %" PRId64 ", 0, %" PRId64 ") * %s;",
        row_of(t, "q", &k->attention.q, "i"), k->attention.q.col,
        row_of(t, "k", &k->attention.k, "j"), k->attention.k.col, k->attention.dim, scale_text(t));
    mask_score(t, "s", "i", "j");
    cuda_line(t, "const float p = expand_exp(s - %s);",
              shift_text(t, element(t, "lse", &k->attention.lse, "i", "0")));
    cuda_line(t,
              "const float delta = row_sum_of_products(%s, %" PRId64 ", %s, %" PRId64 ", %" PRId64
              ");",
              row_of(t, "dout", &k->attention.dout, "i"), k->attention.dout.col,
              row_of(t, "out", &k->attention.out, "i"), k->attention.out.col, k->attention.vdim);
    cuda_line(
        t, "const float dp = chain_of_products(%s, %" PRId64 ", %s, %" PRId64 ", 0, %" PRId64 ");",
        row_of(t, "dout", &k->attention.dout, "i"), k->attention.dout.col,
        row_of(t, "v", &k->attention.v, "j"), k->attention.v.col, k->attention.vdim);
    cuda_line(t, "const float ds = p * (dp - delta);");
}

// to[x] of this block's row = chain over [from, end) of weight * matrix, times scale where wanted.
static void chain_rows(CudaText *t, const char *name, const StridedView *to, const char *weight,
                       const char *matrix, const StridedView *of, int64_t width, bool scaled)
{
    cuda_open(t, "for (int x = lane; x < %" PRId64 "; x += %d)", width, LANES);
    cuda_line(t,
              "put(%s, chain_of_products(%s, 1, %s + (long long)x * %" PRId64 ", %" PRId64
              ", from, end)%s%s);",
              element(t, name, to, "row", "x"), weight, matrix, of->col, of->row,
              scaled ? " * " : "", scaled ? scale_text(t) : "");
    cuda_close(t);
}

// Declare the end of the keys that take part for query i.
static void keys_end(CudaText *t)
{
    const Kernel *k = t->kernel;
    int64_t later = k->attention.keys - k->attention.queries;
    if (k->attention.causal)
        cuda_line(t,
                  "const int end = larger<int>(0, smaller<int>(%" PRId64 ", i + 1 + %" PRId64 "));",
                  k->attention.keys, later);
    else
        cuda_line(t, "const int end = %" PRId64 ";", k->attention.keys);
}

static void query_gradient(CudaText *t)
{
    const Kernel *k = t->kernel;
    cuda_line(t, "const int row = at, i = at, from = 0;");
    keys_end(t);
    cuda_open(t, "for (int j = lane; j < end; j += %d)", LANES);
    score_gradient(t);
    cuda_line(t, "gradient[j] = ds;");
    cuda_close(t);
    cuda_line(t, "sync();");
    chain_rows(t, "dq", &k->attention.dq, "gradient", "k", &k->attention.k, k->attention.dim, true);
}

static void key_gradient(CudaText *t)
{
    const Kernel *k = t->kernel;
    int64_t later = k->attention.keys - k->attention.queries;
    cuda_line(t, "const int row = at - %" PRId64 ", j = row, end = %" PRId64 ";",
              k->attention.queries, k->attention.queries);
    if (k->attention.causal)
        cuda_line(t, "const int from = larger<int>(0, smaller<int>(end, j - %" PRId64 "));", later);
    else
        cuda_line(t, "const int from = 0;");
    cuda_open(t, "for (int i = from + lane; i < end; i += %d)", LANES);
    score_gradient(t);
    cuda_line(t, "gradient[i] = ds;");
    cuda_line(t, "share[i] = p;");
    cuda_close(t);
    cuda_line(t, "sync();");
    chain_rows(t, "dk", &k->attention.dk, "gradient", "q", &k->attention.q, k->attention.dim, true);
    chain_rows(t, "dv", &k->attention.dv, "share", "dout", &k->attention.dout, k->attention.vdim,
               false);
}

static void gradient_views(CudaText *t)
{
    const Kernel *k = t->kernel;
    view(t, "q", &k->attention.q);
    view(t, "k", &k->attention.k);
    view(t, "v", &k->attention.v);
    view(t, "out", &k->attention.out);
    view(t, "lse", &k->attention.lse);
    view(t, "dout", &k->attention.dout);
    view_beside(t);
}

static void attention_grad(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    int64_t both = k->attention.queries + k->attention.keys,
            most =
                k->attention.queries > k->attention.keys ? k->attention.queries : k->attention.keys;
    launch->threads = LANES;
    cuda_line(t, "SHARED(float, gradient, %" PRId64 ");", most);
    cuda_line(t, "SHARED(float, share, %" PRId64 ");", most);
    cuda_line(t, "const int lane = (int)thread();");
    launch->blocks[0] = cuda_outer_points(t, both) * both;
    gradient_views(t);
    view(t, "dq", &k->attention.dq);
    view(t, "dk", &k->attention.dk);
    view(t, "dv", &k->attention.dv);
    cuda_open(t, "if (at < %" PRId64 ")", k->attention.queries);
    query_gradient(t);
    t->indent--;
    cuda_open(t, "} else");
    key_gradient(t);
    cuda_close(t);
}

// A lane adds up its keys of the row alone, so that nothing waits.
static void attention_bias_grad(CudaText *t, CudaLaunch *launch)
{
    const Kernel *k = t->kernel;
    int64_t queries = k->attention.queries, keys = k->attention.keys, shared = k->attention.shared;
    int64_t points = 1;
    for (uint32_t i = 0; i < k->body.axes.n; i++) points *= k->body.axes.at[i].size;
    launch->threads = LANES;
    launch->blocks[0] = points / shared * queries;
    cuda_line(t, "SHARED(float, sums, %" PRId64 ");", keys);
    cuda_line(t, "const int lane = (int)thread(), i = (int)(block_x() %% %" PRId64 ");", queries);
    cuda_line(t, "const int first = (int)(block_x() / %" PRId64 ") * %" PRId64 ";", queries,
              shared);
    keys_end(t);
    cuda_line(t, "for (int j = lane; j < %" PRId64 "; j += %d) sums[j] = 0;", keys, LANES);
    cuda_open(t, "for (int head = 0; head < %" PRId64 "; head++)", shared);
    cuda_line(t, "int point = first + head;");
    cuda_outer_axes(t);
    gradient_views(t);
    cuda_open(t, "for (int j = lane; j < end; j += %d)", LANES);
    score_gradient(t);
    cuda_line(t, "sums[j] = sums[j] + ds;");
    cuda_close(t);
    cuda_close(t);
    cuda_line(t, "int point = first;");
    cuda_outer_axes(t);
    view(t, "dbias", &k->attention.dbias);
    cuda_line(t, "for (int j = lane; j < %" PRId64 "; j += %d) put(%s, sums[j]);", keys, LANES,
              element(t, "dbias", &k->attention.dbias, "i", "j"));
}

void cuda_engine_kernel(CudaText *t, CudaLaunch *launch)
{
    launch->blocks[1] = 1;
    switch (t->kernel->kind) {
    case KERNEL_ATTENTION: attention(t, launch); return;
    case KERNEL_ATTENTION_GRAD: attention_grad(t, launch); return;
    case KERNEL_ATTENTION_BIAS_GRAD: attention_bias_grad(t, launch); return;
    case KERNEL_LISTS:
    case KERNEL_SCATTER: cuda_scatter_kernel(t, launch); return;
    case KERNEL_CUMSUM:
    case KERNEL_TOPK:
    case KERNEL_NMS:
    case KERNEL_EIGH: cuda_ordered_kernel(t, launch); return;
    default: bug("kernel %s: no CUDA text for this kind", t->kernel->name);
    }
}
