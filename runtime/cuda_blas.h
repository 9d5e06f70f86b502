// cuBLASLt, NVIDIA's library of matrix products, found when it is needed. Types and numbers are
// those of cublasLt.h, which is not needed to build (a test compares them where it is there).
#ifndef CZT_RUNTIME_CUDA_BLAS_H
#define CZT_RUNTIME_CUDA_BLAS_H

#include "runtime/cuda_driver.h"
#include "runtime/step.h"

typedef int BlasStatus; // 0: success
typedef struct BlasHandleTag *BlasHandle;
typedef struct BlasDescTag *BlasDesc;
typedef struct BlasLayoutTag *BlasLayout;
typedef struct BlasPreferenceTag *BlasPreference;

typedef struct BlasAlgo {
    uint64_t data[8];
} BlasAlgo;

// cublasLtMatmulHeuristicResult_t.
typedef struct BlasHeuristic {
    BlasAlgo algo;
    size_t workspace;
    BlasStatus state;
    float waves;
    int reserved[4];
} BlasHeuristic;

enum {
    BLAS_R_32F = 0,
    BLAS_R_16F = 2,
    BLAS_R_16BF = 14,
    BLAS_R_8F_E4M3 = 28,
    BLAS_R_8F_E5M2 = 29,
    BLAS_COMPUTE_32F = 68,
    BLAS_COMPUTE_32F_FAST_TF32 = 77,
    BLAS_DESC_TRANSA = 3,
    BLAS_DESC_TRANSB = 4,
    BLAS_DESC_EPILOGUE = 7,
    BLAS_DESC_BIAS_POINTER = 8, // of the result's dtype
    BLAS_EPILOGUE_BIAS = 4,
    BLAS_LAYOUT_BATCH_COUNT = 5,
    BLAS_LAYOUT_BATCH_STRIDE = 6,
    BLAS_PREF_WORKSPACE = 1,
    BLAS_PREF_REDUCTIONS = 3,
    BLAS_REDUCTION_COMPUTE_TYPE = 2,
    BLAS_PREF_ALIGN_A = 5, // B, C and D follow
    BLAS_NOT_SUPPORTED = 15
};

// clang-format off
// X(field, symbol, parameters): every one returns a BlasStatus.
#define BLAS_FUNCTIONS(X) \
    X(create, "cublasLtCreate", (BlasHandle *)) \
    X(destroy, "cublasLtDestroy", (BlasHandle)) \
    X(desc_create, "cublasLtMatmulDescCreate", (BlasDesc *, int compute, int scale)) \
    X(desc_destroy, "cublasLtMatmulDescDestroy", (BlasDesc)) \
    X(desc_set, "cublasLtMatmulDescSetAttribute", (BlasDesc, int, const void *, size_t)) \
    X(layout_create, "cublasLtMatrixLayoutCreate", (BlasLayout *, int type, uint64_t rows, \
      uint64_t cols, int64_t ld)) \
    X(layout_destroy, "cublasLtMatrixLayoutDestroy", (BlasLayout)) \
    X(layout_set, "cublasLtMatrixLayoutSetAttribute", (BlasLayout, int, const void *, size_t)) \
    X(preference_create, "cublasLtMatmulPreferenceCreate", (BlasPreference *)) \
    X(preference_destroy, "cublasLtMatmulPreferenceDestroy", (BlasPreference)) \
    X(preference_set, "cublasLtMatmulPreferenceSetAttribute", (BlasPreference, int, const void *, \
      size_t)) \
    X(heuristic, "cublasLtMatmulAlgoGetHeuristic", (BlasHandle, BlasDesc, BlasLayout a, \
      BlasLayout b, BlasLayout c, BlasLayout d, BlasPreference, int wanted, BlasHeuristic *, \
      int *)) \
    X(matmul, "cublasLtMatmul", (BlasHandle, BlasDesc, const void *alpha, const void *a, \
      BlasLayout, const void *b, BlasLayout, const void *beta, const void *c, BlasLayout, \
      void *d, BlasLayout, \
      const BlasAlgo *, void *workspace, size_t, CuStream))
// clang-format on

typedef struct CudaBlas {
    void *library;
    size_t version;
    BlasHandle handle;
    size_t (*get_version)(void);
#define BLAS_FIELD(field, symbol, parameters) BlasStatus(*field) parameters;
    BLAS_FUNCTIONS(BLAS_FIELD)
#undef BLAS_FIELD
} CudaBlas;

enum { BLAS_WORKSPACE = 32 << 20, BLAS_ALGOS = 16 };

// A product ready to be launched, by any of its algorithms, the most promising first.
typedef struct BlasProduct {
    const StepProduct *product;
    BlasDesc desc;
    BlasLayout first, second, result; // as the library sees them, column by column
    bool swapped;                     // its first operand is our b
    BlasHeuristic algos[BLAS_ALGOS];
    int nalgos; // 0: it does not do this product
} BlasProduct;

// Load libcublasLt.so.13 or .12 from the folder that CZT_CUDA_LIBS names (where it is set, only
// from there), the loader's path, /usr/local/cuda, or beside a torch of the Python environment; the
// context of a GPU must be current. Errors say where it was looked for.
bool cuda_blas_open(CudaBlas *blas, Error *err);
void cuda_blas_close(CudaBlas *blas);
// Describe a product whose operands (and bias) have this alignment in bytes at least.
bool cuda_blas_prepare(const CudaBlas *blas, const StepProduct *product, uint32_t alignment,
                       BlasProduct *out, Error *err);
void cuda_blas_release(const CudaBlas *blas, BlasProduct *product);
// Launch it on the buffers of its kernel.
bool cuda_blas_run(const CudaBlas *blas, const BlasProduct *product, int algo, const CuPtr *buffers,
                   CuPtr workspace, CuStream stream, Error *err);

#endif
