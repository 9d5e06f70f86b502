// Attention and its gradient in f32 as CUDA text, in the orders that docs/ir.md defines; elements
// in memory may be 16-bit floats.
//
// Attention: a block of 64 threads has one query; a thread has the keys of one lane. The scores of
// that query stand in shared memory. Gradient: a block has one query (for dq) or one key (for dk
// and dv) and computes what it needs of scores again.
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

int64_t cuda_outer_points(CudaText *t, int64_t each)
{
    const KernelBody *b = &t->kernel->body;
    int64_t points = 1;
    cuda_use_body(t, b);
    cuda_line(t, "const int at = (int)(block_x() %% %" PRId64 ");", each);
    cuda_line(t, "int point = (int)(block_x() / %" PRId64 ");", each);
    for (uint32_t i = b->axes.n; i-- > 0;) {
        cuda_line(t, "const int a%u = point %% %" PRId64 ";", i, b->axes.at[i].size);
        cuda_line(t, "point /= %" PRId64 ";", b->axes.at[i].size);
        t->axis[i] = str_printf(t->arena, "a%u", i);
        points *= b->axes.at[i].size;
    }
    return points;
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
    cuda_line(t, "most = larger(most, score[j]);");
    cuda_close(t);
    cuda_line(t, "most = block_max(most, lanes);");
    cuda_open(t, "for (int j = lane; j < keys; j += %d)", LANES);
    cuda_line(t, "score[j] = expand_exp_minus(most - score[j]);");
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
    forward(t);
}

// p and ds of query i and key j.
static void score_gradient(CudaText *t)
{
    const Kernel *k = t->kernel;
    cuda_line(
        t, "const float s = chain_of_products(%s, %" PRId64 ", %s, %" PRId64 ", 0, %" PRId64 ");",
        row_of(t, "q", &k->attention.q, "i"), k->attention.q.col,
        row_of(t, "k", &k->attention.k, "j"), k->attention.k.col, k->attention.dim);
    cuda_line(t, "const float p = expand_exp(s * %s - %s);", scale_text(t),
              element(t, "lse", &k->attention.lse, "i", "0"));
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

static void query_gradient(CudaText *t)
{
    const Kernel *k = t->kernel;
    int64_t later = k->attention.keys - k->attention.queries;
    cuda_line(t, "const int row = at, i = at, from = 0;");
    if (k->attention.causal)
        cuda_line(t,
                  "const int end = larger<int>(0, smaller<int>(%" PRId64 ", i + 1 + %" PRId64 "));",
                  k->attention.keys, later);
    else
        cuda_line(t, "const int end = %" PRId64 ";", k->attention.keys);
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
    view(t, "q", &k->attention.q);
    view(t, "k", &k->attention.k);
    view(t, "v", &k->attention.v);
    view(t, "out", &k->attention.out);
    view(t, "lse", &k->attention.lse);
    view(t, "dout", &k->attention.dout);
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

void cuda_engine_kernel(CudaText *t, CudaLaunch *launch)
{
    launch->blocks[1] = 1;
    switch (t->kernel->kind) {
    case KERNEL_ATTENTION: attention(t, launch); return;
    case KERNEL_ATTENTION_GRAD: attention_grad(t, launch); return;
    case KERNEL_LISTS:
    case KERNEL_SCATTER: cuda_scatter_kernel(t, launch); return;
    default: bug("kernel %s: no CUDA text for this kind", t->kernel->name);
    }
}
