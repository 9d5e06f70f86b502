// The types and numbers of runtime/cuda_driver.h and cuda_blas.h are those of the toolkit: the
// compiler checks it. Symbols are looked at when it runs.
#include <cuda.h>

#include <cublasLt.h>

#include "runtime/cuda_blas.h"

#include <stdio.h>
#include <string.h>

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #ours)
#define SAME_SIZE(ours, theirs) _Static_assert(sizeof(ours) == sizeof(theirs), #ours)
#define SAME_PLACE(ours, theirs)                                                                   \
    _Static_assert(offsetof(CuKernelNode, ours) == offsetof(CUDA_KERNEL_NODE_PARAMS, theirs), #ours)

SAME(CU_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
SAME(CU_NO_DEVICE, CUDA_ERROR_NO_DEVICE);
SAME(CU_INVALID_IMAGE, CUDA_ERROR_INVALID_IMAGE);
SAME(CU_NO_BINARY_FOR_GPU, CUDA_ERROR_NO_BINARY_FOR_GPU);
SAME(CU_UNSUPPORTED_PTX_VERSION, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
SAME(CU_ATTRIBUTE_MULTIPROCESSORS, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME(CU_ATTRIBUTE_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME(CU_ATTRIBUTE_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME(CU_ATTRIBUTE_SHARED_OPTIN, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME(CU_FUNCTION_DYNAMIC_SHARED, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME(CU_NONBLOCKING_STREAM, CU_STREAM_NON_BLOCKING);
SAME(CU_EVENT_UNTIMED, CU_EVENT_DISABLE_TIMING);
SAME_SIZE(CuPtr, CUdeviceptr);
SAME_SIZE(CuDevice, CUdevice);
SAME_SIZE(CuKernelNode, CUDA_KERNEL_NODE_PARAMS);
SAME_PLACE(function, func);
SAME_PLACE(grid_x, gridDimX);
SAME_PLACE(block_x, blockDimX);
SAME_PLACE(shared_bytes, sharedMemBytes);
SAME_PLACE(parameters, kernelParams);
SAME_PLACE(extra, extra);
SAME_PLACE(kernel, kern);
SAME_PLACE(context, ctx);

SAME(BLAS_R_32F, CUDA_R_32F);
SAME(BLAS_R_16F, CUDA_R_16F);
SAME(BLAS_R_16BF, CUDA_R_16BF);
SAME(BLAS_R_8F_E4M3, CUDA_R_8F_E4M3);
SAME(BLAS_R_8F_E5M2, CUDA_R_8F_E5M2);
SAME(BLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F);
SAME(BLAS_COMPUTE_32F_FAST_TF32, CUBLAS_COMPUTE_32F_FAST_TF32);
SAME(BLAS_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(BLAS_DESC_TRANSB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(BLAS_LAYOUT_BATCH_COUNT, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
SAME(BLAS_LAYOUT_BATCH_STRIDE, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
SAME(BLAS_PREF_WORKSPACE, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(BLAS_PREF_REDUCTIONS, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(BLAS_REDUCTION_COMPUTE_TYPE, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
SAME(BLAS_NOT_SUPPORTED, CUBLAS_STATUS_NOT_SUPPORTED);
SAME(BLAS_PREF_ALIGN_A, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(BLAS_PREF_ALIGN_A + 3, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME_SIZE(BlasAlgo, cublasLtMatmulAlgo_t);
SAME_SIZE(BlasHeuristic, cublasLtMatmulHeuristicResult_t);
SAME(offsetof(BlasHeuristic, workspace), offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(BlasHeuristic, state), offsetof(cublasLtMatmulHeuristicResult_t, state));

// A symbol as cuda.h calls it now: cuMemAlloc is cuMemAlloc_v2.
#define TEXT(x) #x
#define NAME(x) TEXT(x)

int main(void)
{
    static const char *const theirs[] = {NAME(cuDevicePrimaryCtxRelease),
                                         NAME(cuMemGetInfo),
                                         NAME(cuMemAlloc),
                                         NAME(cuMemFree),
                                         NAME(cuMemcpyHtoDAsync),
                                         NAME(cuMemcpyDtoHAsync),
                                         NAME(cuMemcpyDtoDAsync),
                                         NAME(cuStreamDestroy),
                                         NAME(cuEventDestroy),
                                         NAME(cuGraphAddKernelNode)};
    static const char *const ours[] = {
#define SYMBOL(field, symbol, parameters) symbol,
        CUDA_FUNCTIONS(SYMBOL)
#undef SYMBOL
    };
    int missing = 0;
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) {
        bool found = false;
        for (size_t j = 0; j < sizeof ours / sizeof *ours; j++)
            found = found || strcmp(theirs[i], ours[j]) == 0;
        if (!found) printf("%s is not the symbol that is looked for\n", theirs[i]), missing++;
    }
    return missing != 0;
}
