// cuBLASLt counts columns first. A result whose rows are dense is, read that way, its own
// transpose: then our b is the library's first operand and our a its second.
#include "runtime/cuda_blas.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

static void *open_matching(const char *pattern)
{
    glob_t found;
    void *library = NULL;
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; !library && i < found.gl_pathc; i++)
            library = dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_LOCAL);
    globfree(&found);
    return library;
}

// In the folder CZT_CUDA_LIBS nothing else is looked at, so that tests see what they put there.
static void *open_library(void)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
    const char *folder = getenv("CZT_CUDA_LIBS"), *python = getenv("VIRTUAL_ENV");
    char path[4096];
    void *library = NULL;
    for (int i = 0; !library && i < 2; i++) {
        snprintf(path, sizeof path, "%.4000s/%s", folder ? folder : "", names[i]);
        library = dlopen(folder ? path : names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (library || folder) return library;
    library = open_matching("/usr/local/cuda/lib64/libcublasLt.so.1[23]");
    snprintf(path, sizeof path, "%.3900s/lib/python3*/*-packages/nvidia/*/lib/libcublasLt.so.1[23]",
             python ? python : "/usr/local");
    return library ? library : open_matching(path);
}

bool cuda_blas_open(CudaBlas *b, Error *err)
{
    *b = (CudaBlas){.library = open_library()};
    const struct {
        const char *symbol;
        void **to;
    } functions[] = {{"cublasLtGetVersion", (void **)&b->get_version},
#define BLAS_ROW(field, symbol, parameters) {symbol, (void **)&b->field},
                     BLAS_FUNCTIONS(BLAS_ROW)
#undef BLAS_ROW
    };
    if (!b->library)
        return error_set(err, "cuBLASLt is not installed: no libcublasLt.so.13 or .12 in "
                              "CZT_CUDA_LIBS (where that is set, nowhere else), the loader's path, "
                              "/usr/local/cuda/lib64 and beside the Python environment's torch");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *functions[i].to = dlsym(b->library, functions[i].symbol);
        if (*functions[i].to) continue;
        error_set(err, "libcublasLt lacks %s: CUDA 12 or later is needed", functions[i].symbol);
        cuda_blas_close(b);
        return false;
    }
    b->version = b->get_version();
    BlasStatus status = b->create(&b->handle);
    if (!status) return true;
    cuda_blas_close(b);
    return error_set(err, "cuBLASLt does not start: status %d", status);
}

void cuda_blas_close(CudaBlas *b)
{
    if (b->handle) b->destroy(b->handle);
    if (b->library) dlclose(b->library);
    *b = (CudaBlas){0};
}

static int type_of(CztDtype dtype)
{
    switch (dtype) {
    case CZT_F32: return BLAS_R_32F;
    case CZT_F16: return BLAS_R_16F;
    case CZT_F8E4M3: return BLAS_R_8F_E4M3;
    case CZT_F8E5M2: return BLAS_R_8F_E5M2;
    default: return BLAS_R_16BF;
    }
}

// The layout of rows x cols elements at r * row + c * col, and whether the library sees it turned.
static BlasStatus make_layout(const CudaBlas *b, BlasLayout *layout, CztDtype dtype, int64_t rows,
                              int64_t cols, const StepMatrix *m, int64_t batch, bool *turned)
{
    *turned = m->row != 1;
    int64_t ld = *turned ? m->row : m->col, tall = *turned ? cols : rows;
    int32_t count = (int32_t)batch;
    if ((*turned ? rows : cols) == 1) ld = tall; // a stride that is never taken
    BlasStatus s = b->layout_create(layout, type_of(dtype), (uint64_t)tall,
                                    (uint64_t)(*turned ? rows : cols), ld);
    if (!s) s = b->layout_set(*layout, BLAS_LAYOUT_BATCH_COUNT, &count, sizeof count);
    if (!s) s = b->layout_set(*layout, BLAS_LAYOUT_BATCH_STRIDE, &m->batch, sizeof m->batch);
    return s;
}

// In the library's terms: result (M, N) = first (M, K) second (K, N), none of it turned when dense
// along its rows' index.
static BlasStatus describe(const CudaBlas *b, BlasProduct *out)
{
    const StepProduct *p = out->product;
    out->swapped = p->biased || p->c.row != 1; // a bias runs down the library's columns
    const StepMatrix *x = out->swapped ? &p->b : &p->a, *y = out->swapped ? &p->a : &p->b;
    StepMatrix z = p->c, w = *y;
    int64_t rows = out->swapped ? p->n : p->m, cols = out->swapped ? p->m : p->n;
    if (out->swapped) z.row = p->c.col, z.col = p->c.row;
    w.row = y->col, w.col = y->row; // (n, k) becomes (k, n)
    bool turned_x, turned_y, turned_z;
    int compute = p->tf32 ? BLAS_COMPUTE_32F_FAST_TF32 : BLAS_COMPUTE_32F;
    BlasStatus s = b->desc_create(&out->desc, compute, BLAS_R_32F);
    if (!s) s = make_layout(b, &out->first, p->from, rows, p->k, x, p->batch, &turned_x);
    if (!s) s = make_layout(b, &out->second, p->from, p->k, cols, &w, p->batch, &turned_y);
    if (!s) s = make_layout(b, &out->result, p->to, rows, cols, &z, p->batch, &turned_z);
    int32_t first = !s && turned_x, second = !s && turned_y;
    if (!s) s = b->desc_set(out->desc, BLAS_DESC_TRANSA, &first, sizeof first);
    if (!s) s = b->desc_set(out->desc, BLAS_DESC_TRANSB, &second, sizeof second);
    int32_t epilogue = BLAS_EPILOGUE_BIAS;
    if (!s && p->biased) s = b->desc_set(out->desc, BLAS_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    return s;
}

static BlasStatus find_algorithms(const CudaBlas *b, uint32_t alignment, BlasProduct *out)
{
    BlasPreference preference = NULL;
    uint64_t workspace = BLAS_WORKSPACE;
    uint32_t reductions = BLAS_REDUCTION_COMPUTE_TYPE; // parts of a sum are added up in f32
    // Of the bias's address only the alignment counts here.
    const void *bias = (const void *)(uintptr_t)alignment;
    BlasStatus s = b->preference_create(&preference);
    if (!s && out->product->biased)
        s = b->desc_set(out->desc, BLAS_DESC_BIAS_POINTER, &bias, sizeof bias);
    if (!s) s = b->preference_set(preference, BLAS_PREF_WORKSPACE, &workspace, sizeof workspace);
    for (int i = 0; !s && i < 4; i++)
        s = b->preference_set(preference, BLAS_PREF_ALIGN_A + i, &alignment, sizeof alignment);
    if (!s) s = b->preference_set(preference, BLAS_PREF_REDUCTIONS, &reductions, sizeof reductions);
    if (!s)
        s = b->heuristic(b->handle, out->desc, out->first, out->second, out->result, out->result,
                         preference, BLAS_ALGOS, out->algos, &out->nalgos);
    if (preference) b->preference_destroy(preference);
    if (s == BLAS_NOT_SUPPORTED) out->nalgos = 0; // a product that it does not do
    int good = 0;
    for (int i = 0; i < out->nalgos; i++)
        if (!out->algos[i].state) out->algos[good++] = out->algos[i];
    out->nalgos = good;
    return s == BLAS_NOT_SUPPORTED ? 0 : s;
}

bool cuda_blas_prepare(const CudaBlas *b, const StepProduct *product, uint32_t alignment,
                       BlasProduct *out, Error *err)
{
    *out = (BlasProduct){.product = product};
    BlasStatus s = describe(b, out);
    if (!s) s = find_algorithms(b, alignment, out);
    if (!s) return true;
    cuda_blas_release(b, out);
    return error_set(err, "cuBLASLt cannot be told of a product of %lld x %lld x %lld: status %d",
                     (long long)product->m, (long long)product->n, (long long)product->k, s);
}

void cuda_blas_release(const CudaBlas *b, BlasProduct *p)
{
    if (p->desc) b->desc_destroy(p->desc);
    if (p->first) b->layout_destroy(p->first);
    if (p->second) b->layout_destroy(p->second);
    if (p->result) b->layout_destroy(p->result);
    *p = (BlasProduct){0};
}

static void *address(const StepMatrix *m, CztDtype dtype, const CuPtr *buffers)
{
    return (void *)(uintptr_t)(buffers[m->buffer] + (CuPtr)(m->offset * czt_dtype_size(dtype)));
}

bool cuda_blas_run(const CudaBlas *b, const BlasProduct *p, int algo, const CuPtr *buffers,
                   CuPtr workspace, CuStream stream, Error *err)
{
    const StepProduct *s = p->product;
    float one = 1, beta = s->added;
    void *x = address(p->swapped ? &s->b : &s->a, s->from, buffers),
         *y = address(p->swapped ? &s->a : &s->b, s->from, buffers),
         *z = address(&s->c, s->to, buffers),
         *sum = s->added ? address(&s->sum, s->to, buffers) : z;
    BlasStatus status = 0;
    if (s->biased) {
        const void *bias = address(&s->bias, s->to, buffers);
        status = b->desc_set(p->desc, BLAS_DESC_BIAS_POINTER, &bias, sizeof bias);
    }
    if (!status)
        status = b->matmul(b->handle, p->desc, &one, x, p->first, y, p->second, &beta, sum,
                           p->result, z, p->result, &p->algos[algo].algo,
                           (void *)(uintptr_t)workspace, BLAS_WORKSPACE, stream);
    return !status || error_set(err, "cuBLASLt: product of %lld x %lld x %lld: status %d",
                                (long long)s->m, (long long)s->n, (long long)s->k, status);
}
