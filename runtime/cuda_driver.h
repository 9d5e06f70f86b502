// NVIDIA's driver, found when it is needed: the functions that are used, behind a table that dlopen
// fills. Types and numbers are those of cuda.h, which is not needed to build (a test compares them
// where it is there).
#ifndef CZT_RUNTIME_CUDA_DRIVER_H
#define CZT_RUNTIME_CUDA_DRIVER_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

typedef int CuResult; // 0: success
typedef int CuDevice;
typedef uint64_t CuPtr; // an address on the device
typedef struct CuContextTag *CuContext;
typedef struct CuModuleTag *CuModule;
typedef struct CuFunctionTag *CuFunction;
typedef struct CuStreamTag *CuStream;
typedef struct CuEventTag *CuEvent;
typedef struct CuGraphTag *CuGraph;
typedef struct CuGraphNodeTag *CuGraphNode;
typedef struct CuGraphExecTag *CuGraphExec;

// CUDA_KERNEL_NODE_PARAMS_v2.
typedef struct CuKernelNode {
    CuFunction function;
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
    void **parameters, **extra;
    void *kernel;
    CuContext context;
} CuKernelNode;

enum {
    CU_OUT_OF_MEMORY = 2,
    CU_NO_DEVICE = 100,
    CU_INVALID_IMAGE = 200,
    CU_NO_BINARY_FOR_GPU = 209,
    CU_UNSUPPORTED_PTX_VERSION = 222,

    CU_ATTRIBUTE_MULTIPROCESSORS = 16,
    CU_ATTRIBUTE_MAJOR = 75,
    CU_ATTRIBUTE_MINOR = 76,
    CU_ATTRIBUTE_SHARED_OPTIN = 97,
    CU_FUNCTION_DYNAMIC_SHARED = 8,

    CU_NONBLOCKING_STREAM = 1,
    CU_EVENT_TIMED = 0,
    CU_EVENT_UNTIMED = 2
};

// clang-format off
// X(field, symbol, parameters): every one returns a CuResult.
#define CUDA_FUNCTIONS(X) \
    X(init, "cuInit", (unsigned flags)) \
    X(driver_version, "cuDriverGetVersion", (int *version)) \
    X(error_name, "cuGetErrorName", (CuResult, const char **)) \
    X(error_string, "cuGetErrorString", (CuResult, const char **)) \
    X(device_count, "cuDeviceGetCount", (int *)) \
    X(device_get, "cuDeviceGet", (CuDevice *, int ordinal)) \
    X(device_name, "cuDeviceGetName", (char *, int size, CuDevice)) \
    X(device_attribute, "cuDeviceGetAttribute", (int *, int attribute, CuDevice)) \
    X(context_retain, "cuDevicePrimaryCtxRetain", (CuContext *, CuDevice)) \
    X(context_release, "cuDevicePrimaryCtxRelease_v2", (CuDevice)) \
    X(context_set, "cuCtxSetCurrent", (CuContext)) \
    X(memory_info, "cuMemGetInfo_v2", (size_t *available, size_t *total)) \
    X(memory_alloc, "cuMemAlloc_v2", (CuPtr *, size_t)) \
    X(memory_free, "cuMemFree_v2", (CuPtr)) \
    X(host_alloc, "cuMemHostAlloc", (void **, size_t, unsigned flags)) \
    X(host_free, "cuMemFreeHost", (void *)) \
    X(to_device, "cuMemcpyHtoDAsync_v2", (CuPtr, const void *, size_t, CuStream)) \
    X(to_host, "cuMemcpyDtoHAsync_v2", (void *, CuPtr, size_t, CuStream)) \
    X(on_device, "cuMemcpyDtoDAsync_v2", (CuPtr to, CuPtr from, size_t, CuStream)) \
    X(set_bytes, "cuMemsetD8Async", (CuPtr, unsigned char, size_t, CuStream)) \
    X(module_load, "cuModuleLoadData", (CuModule *, const void *image)) \
    X(module_unload, "cuModuleUnload", (CuModule)) \
    X(module_function, "cuModuleGetFunction", (CuFunction *, CuModule, const char *)) \
    X(function_set, "cuFuncSetAttribute", (CuFunction, int attribute, int value)) \
    X(stream_create, "cuStreamCreate", (CuStream *, unsigned flags)) \
    X(stream_destroy, "cuStreamDestroy_v2", (CuStream)) \
    X(stream_wait, "cuStreamWaitEvent", (CuStream, CuEvent, unsigned flags)) \
    X(stream_synchronize, "cuStreamSynchronize", (CuStream)) \
    X(event_create, "cuEventCreate", (CuEvent *, unsigned flags)) \
    X(event_destroy, "cuEventDestroy_v2", (CuEvent)) \
    X(event_record, "cuEventRecord", (CuEvent, CuStream)) \
    X(event_synchronize, "cuEventSynchronize", (CuEvent)) \
    X(event_elapsed, "cuEventElapsedTime", (float *ms, CuEvent from, CuEvent to)) \
    X(launch, "cuLaunchKernel", \
      (CuFunction, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, \
       unsigned shared, CuStream, void **parameters, void **extra)) \
    X(graph_create, "cuGraphCreate", (CuGraph *, unsigned flags)) \
    X(graph_destroy, "cuGraphDestroy", (CuGraph)) \
    X(graph_kernel, "cuGraphAddKernelNode_v2", \
      (CuGraphNode *, CuGraph, const CuGraphNode *after, size_t n, const CuKernelNode *)) \
    X(graph_child, "cuGraphAddChildGraphNode", \
      (CuGraphNode *, CuGraph, const CuGraphNode *after, size_t n, CuGraph child)) \
    X(capture_begin, "cuStreamBeginCapture_v2", (CuStream, int mode)) \
    X(capture_end, "cuStreamEndCapture", (CuStream, CuGraph *)) \
    X(graph_instantiate, "cuGraphInstantiateWithFlags", (CuGraphExec *, CuGraph, \
      unsigned long long flags)) \
    X(graph_upload, "cuGraphUpload", (CuGraphExec, CuStream)) \
    X(graph_exec_destroy, "cuGraphExecDestroy", (CuGraphExec)) \
    X(graph_launch, "cuGraphLaunch", (CuGraphExec, CuStream))
// clang-format on

typedef struct CudaDriver {
    void *library;
#define CUDA_FIELD(field, symbol, parameters) CuResult(*field) parameters;
    CUDA_FUNCTIONS(CUDA_FIELD)
#undef CUDA_FIELD
} CudaDriver;

// What is known of a GPU.
typedef struct CudaDevice {
    CuDevice device;
    int major, minor; // compute capability
    int version;      // of the driver: 13000 is CUDA 13.0
    int multiprocessors;
    char name[128];
} CudaDevice;

// Load libcuda.so.1 from the folder that CZT_CUDA_LIBS names or the loader's path, and start it.
// Errors say what is missing and what to install.
bool cuda_driver_open(CudaDriver *driver, Error *err);
void cuda_driver_close(CudaDriver *driver);
// The GPU of that number; errors name those that are there.
bool cuda_device_open(const CudaDriver *driver, int number, CudaDevice *device, Error *err);
// The name of code for it: "sm_80", "sm_90a"; "text" for the stand-in of the tests, which has
// compute capability 0.0.
const char *cuda_architecture(Arena *arena, const CudaDevice *device);
// True for success; else err is set to "WHAT: NAME, TEXT" with the driver's name and text.
bool cuda_check(const CudaDriver *driver, CuResult result, const char *what, Error *err);

#endif
