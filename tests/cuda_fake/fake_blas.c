// A stand-in for cuBLASLt: products by plain loops, each sum one chain of fma in rising k, so that
// results have the bits of the project's own kernels. It takes what it is told literally: a wrong
// layout gives wrong numbers, an address that is less aligned than was promised an error, a number
// that tf32 does not have NaN where tf32 is to be multiplied.
#include "runtime/cuda_blas.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { INVALID_VALUE = 7 };

struct BlasHandleTag {
    CuResult (*launch)(CuStream, void (*)(void *), void *);
};

struct BlasDescTag {
    int compute;
    int32_t first, second; // turned
    int32_t epilogue;
    const void *bias;
};

struct BlasLayoutTag {
    int type;
    uint64_t rows, cols;
    int64_t ld, stride;
    int32_t batch;
};

struct BlasPreferenceTag {
    uint32_t alignment;
};

typedef struct Product {
    struct BlasDescTag desc;
    struct BlasLayoutTag a, b, d;
    const void *x, *y, *from; // from: what is added, or NULL
    void *to;
} Product;

EXPORT size_t cublasLtGetVersion(void)
{
    return 130000;
}

EXPORT BlasStatus cublasLtCreate(BlasHandle *handle)
{
    // The driver is in the process already; it was loaded by its path.
    char path[4096];
    snprintf(path, sizeof path, "%.4000s/libcuda.so.1", getenv("CZT_CUDA_LIBS"));
    void *driver = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    *handle = calloc(1, sizeof **handle);
    if (driver) *(void **)&(*handle)->launch = dlsym(driver, "cuLaunchHostFunc");
    return (*handle)->launch ? 0 : INVALID_VALUE;
}

EXPORT BlasStatus cublasLtDestroy(BlasHandle handle)
{
    free(handle);
    return 0;
}

EXPORT BlasStatus cublasLtMatmulDescCreate(BlasDesc *desc, int compute, int scale)
{
    *desc = calloc(1, sizeof **desc);
    (*desc)->compute = compute;
    bool known = compute == BLAS_COMPUTE_32F || compute == BLAS_COMPUTE_32F_FAST_TF32;
    return known && scale == BLAS_R_32F ? 0 : BLAS_NOT_SUPPORTED;
}

EXPORT BlasStatus cublasLtMatmulDescDestroy(BlasDesc desc)
{
    free(desc);
    return 0;
}

EXPORT BlasStatus cublasLtMatmulDescSetAttribute(BlasDesc desc, int what, const void *value,
                                                 size_t bytes)
{
    void *to = what == BLAS_DESC_TRANSA     ? (void *)&desc->first
               : what == BLAS_DESC_TRANSB   ? (void *)&desc->second
               : what == BLAS_DESC_EPILOGUE ? (void *)&desc->epilogue
                                            : (void *)&desc->bias;
    if (bytes != (what == BLAS_DESC_BIAS_POINTER ? 8 : 4)) return INVALID_VALUE;
    if (to == &desc->bias && what != BLAS_DESC_BIAS_POINTER) return INVALID_VALUE;
    memcpy(to, value, bytes);
    if (to == &desc->epilogue && desc->epilogue != BLAS_EPILOGUE_BIAS) return INVALID_VALUE;
    return 0;
}

EXPORT BlasStatus cublasLtMatrixLayoutCreate(BlasLayout *layout, int type, uint64_t rows,
                                             uint64_t cols, int64_t ld)
{
    *layout = calloc(1, sizeof **layout);
    **layout = (struct BlasLayoutTag){type, rows, cols, ld, 0, 1};
    return ld >= (int64_t)rows ? 0 : INVALID_VALUE;
}

EXPORT BlasStatus cublasLtMatrixLayoutDestroy(BlasLayout layout)
{
    free(layout);
    return 0;
}

EXPORT BlasStatus cublasLtMatrixLayoutSetAttribute(BlasLayout layout, int what, const void *value,
                                                   size_t bytes)
{
    if (what == BLAS_LAYOUT_BATCH_COUNT && bytes == 4)
        memcpy(&layout->batch, value, bytes);
    else if (what == BLAS_LAYOUT_BATCH_STRIDE && bytes == 8)
        memcpy(&layout->stride, value, bytes);
    else
        return INVALID_VALUE;
    return 0;
}

EXPORT BlasStatus cublasLtMatmulPreferenceCreate(BlasPreference *preference)
{
    *preference = calloc(1, sizeof **preference);
    (*preference)->alignment = 256;
    return 0;
}

EXPORT BlasStatus cublasLtMatmulPreferenceDestroy(BlasPreference preference)
{
    free(preference);
    return 0;
}

EXPORT BlasStatus cublasLtMatmulPreferenceSetAttribute(BlasPreference preference, int what,
                                                       const void *value, size_t bytes)
{
    if (what >= BLAS_PREF_ALIGN_A && what < BLAS_PREF_ALIGN_A + 4 && bytes == 4)
        memcpy(&preference->alignment, value, bytes);
    return 0;
}

// Of 8-bit floats: k dense in both, multiples of 16, not two of e5m2; a bias of bf16, which is the
// result's type.
static bool bytes_fit(BlasDesc desc, BlasLayout a, BlasLayout b, BlasLayout d, uint32_t alignment)
{
    int64_t all[] = {(int64_t)a->rows, (int64_t)a->cols, (int64_t)b->cols, a->ld,    b->ld, d->ld,
                     a->stride,        b->stride,        d->stride,        alignment};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] % 16) return false;
    return desc->compute == BLAS_COMPUTE_32F && desc->first && !desc->second &&
           (a->type == BLAS_R_8F_E4M3 || b->type == BLAS_R_8F_E4M3) &&
           (d->type == BLAS_R_16BF || (d->type == BLAS_R_32F && !desc->epilogue));
}

EXPORT BlasStatus cublasLtMatmulAlgoGetHeuristic(BlasHandle handle, BlasDesc desc, BlasLayout a,
                                                 BlasLayout b, BlasLayout c, BlasLayout d,
                                                 BlasPreference preference, int wanted,
                                                 BlasHeuristic *out, int *n)
{
    (void)handle, (void)c;
    *n = 0;
    if (a->type == BLAS_R_8F_E4M3 || a->type == BLAS_R_8F_E5M2) {
        if (!bytes_fit(desc, a, b, d, preference->alignment)) return BLAS_NOT_SUPPORTED;
    }
    if (a->type == BLAS_R_16F) return BLAS_NOT_SUPPORTED; // half precision is what it does not do
    // The first answer is one that must not be taken.
    if (wanted > 1) out[(*n)++] = (BlasHeuristic){.state = BLAS_NOT_SUPPORTED};
    if (wanted > 0) out[(*n)++] = (BlasHeuristic){.algo = {{preference->alignment}}};
    return 0;
}

static float bf16_value(uint16_t bits)
{
    uint32_t u = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static uint16_t bf16_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (x != x) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

// An 8-bit float; e4m3 (3 bits, 7) has no infinities.
static float byte_value(uint8_t bits, int mantissa, int bias)
{
    int e = (bits & 0x7f) >> mantissa, m = bits & ((1 << mantissa) - 1);
    float x = ldexpf((float)(e ? m | 1 << mantissa : m), (e ? e : 1) - bias - mantissa);
    if (mantissa == 2 && e == 31) x = m ? NAN : INFINITY;
    if (mantissa == 3 && (bits & 0x7f) == 0x7f) x = NAN;
    return bits & 0x80 ? -x : x;
}

static float load(const struct BlasLayoutTag *l, const void *at, int64_t batch, uint64_t row,
                  uint64_t col)
{
    int64_t i = batch * l->stride + (int64_t)row + (int64_t)col * l->ld;
    if (l->type == BLAS_R_8F_E4M3) return byte_value(((const uint8_t *)at)[i], 3, 7);
    if (l->type == BLAS_R_8F_E5M2) return byte_value(((const uint8_t *)at)[i], 2, 15);
    return l->type == BLAS_R_32F ? ((const float *)at)[i] : bf16_value(((const uint16_t *)at)[i]);
}

// An operand's element; of tf32 it must be one.
static float operand(const Product *p, const struct BlasLayoutTag *l, const void *at, int64_t batch,
                     uint64_t row, uint64_t col)
{
    float x = load(l, at, batch, row, col);
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return p->desc.compute == BLAS_COMPUTE_32F_FAST_TF32 && u & 0x1fff ? NAN : x;
}

static void multiply(void *data)
{
    const Product *p = data;
    const struct BlasLayoutTag bias = {.type = p->d.type};
    uint64_t depth = p->desc.first ? p->a.rows : p->a.cols;
    if (p->d.rows * p->d.cols > 1 << 24) return; // of whose time alone somebody wants to know
    for (int64_t batch = 0; batch < p->d.batch; batch++)
        for (uint64_t col = 0; col < p->d.cols; col++)
            for (uint64_t row = 0; row < p->d.rows; row++) {
                float sum = 0;
                for (uint64_t k = 0; k < depth; k++)
                    sum = fmaf(p->desc.first ? operand(p, &p->a, p->x, batch, k, row)
                                             : operand(p, &p->a, p->x, batch, row, k),
                               p->desc.second ? operand(p, &p->b, p->y, batch, col, k)
                                              : operand(p, &p->b, p->y, batch, k, col),
                               sum);
                if (p->from) sum += load(&p->d, p->from, batch, row, col);
                if (p->desc.bias) sum += load(&bias, p->desc.bias, 0, row, 0);
                int64_t i = batch * p->d.stride + (int64_t)row + (int64_t)col * p->d.ld;
                if (p->d.type == BLAS_R_32F)
                    ((float *)p->to)[i] = sum;
                else
                    ((uint16_t *)p->to)[i] = bf16_bits(sum);
            }
}

EXPORT BlasStatus cublasLtMatmul(BlasHandle handle, BlasDesc desc, const void *alpha, const void *x,
                                 BlasLayout a, const void *y, BlasLayout b, const void *beta,
                                 const void *c, BlasLayout layout_c, void *to, BlasLayout d,
                                 const BlasAlgo *algo, void *workspace, size_t bytes,
                                 CuStream stream)
{
    float times = *(const float *)beta;
    uintptr_t all = (uintptr_t)x | (uintptr_t)y | (uintptr_t)to | (uintptr_t)c;
    if (*(const float *)alpha != 1 || (times != 0 && (times != 1 || d->type != BLAS_R_32F)) ||
        memcmp(layout_c, d, sizeof *d) != 0 || a->type != b->type || a->type == BLAS_R_16F ||
        (desc->compute == BLAS_COMPUTE_32F_FAST_TF32 && a->type != BLAS_R_32F) || !algo->data[0] ||
        !workspace || bytes != BLAS_WORKSPACE || all % algo->data[0] ||
        !desc->epilogue != !desc->bias || (uintptr_t)desc->bias % algo->data[0])
        return INVALID_VALUE;
    Product *p = malloc(sizeof *p); // a graph may run it again and again: it is never freed
    *p = (Product){*desc, *a, *b, *d, x, y, times != 0 ? c : NULL, to};
    return handle->launch(stream, multiply, p) ? INVALID_VALUE : 0;
}
