// Finding NVIDIA's driver and its GPUs at run time.
#include "runtime/cuda_driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *open_library(void)
{
    const char *folder = getenv("CZT_CUDA_LIBS");
    char path[4096];
    void *library = NULL;
    if (folder && snprintf(path, sizeof path, "%s/libcuda.so.1", folder) < (int)sizeof path)
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return library ? library : dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
}

static bool find_functions(CudaDriver *d, Error *err)
{
    const struct {
        const char *symbol;
        void **to;
    } functions[] = {
#define CUDA_ROW(field, symbol, parameters) {symbol, (void **)&d->field},
        CUDA_FUNCTIONS(CUDA_ROW)
#undef CUDA_ROW
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *functions[i].to = dlsym(d->library, functions[i].symbol);
        if (!*functions[i].to)
            return error_set(err,
                             "NVIDIA's driver (libcuda.so.1) lacks %s: it is too old; one for "
                             "CUDA 12.0 or later is needed (525.60 or later)",
                             functions[i].symbol);
    }
    return true;
}

bool cuda_check(const CudaDriver *d, CuResult result, const char *what, Error *err)
{
    const char *name = NULL, *text = NULL;
    if (!result) return true;
    d->error_name(result, &name);
    d->error_string(result, &text);
    return error_set(err, "%s: %s, %s", what, name ? name : "error of an unknown number",
                     text ? text : "no text");
}

bool cuda_driver_open(CudaDriver *d, Error *err)
{
    *d = (CudaDriver){.library = open_library()};
    if (!d->library)
        return error_set(err, "there is no NVIDIA driver: libcuda.so.1 is neither in CZT_CUDA_LIBS "
                              "nor in the loader's path; install the driver, or run the graph file "
                              "with --target cpu (a run goes on there with: train GRAPH.yaml "
                              "--resume RUN)");
    if (find_functions(d, err) && cuda_check(d, d->init(0), "starting NVIDIA's driver", err))
        return true;
    cuda_driver_close(d);
    return false;
}

void cuda_driver_close(CudaDriver *d)
{
    if (d->library) dlclose(d->library);
    *d = (CudaDriver){0};
}

bool cuda_device_open(const CudaDriver *d, int number, CudaDevice *device, Error *err)
{
    int n = 0;
    *device = (CudaDevice){0};
    if (!cuda_check(d, d->device_count(&n), "counting GPUs", err)) return false;
    if (!n)
        return error_set(err, "NVIDIA's driver sees no GPU (is CUDA_VISIBLE_DEVICES set so that "
                              "none is left?)");
    if (number < 0 || number >= n)
        return error_set(err, "there is no GPU %d: the driver sees %d, numbered from 0", number, n);
    bool good =
        cuda_check(d, d->device_get(&device->device, number), "opening the GPU", err) &&
        cuda_check(d, d->device_name(device->name, sizeof device->name, device->device),
                   "asking the GPU's name", err) &&
        cuda_check(d, d->driver_version(&device->version), "asking the driver's version", err) &&
        cuda_check(d, d->device_attribute(&device->major, CU_ATTRIBUTE_MAJOR, device->device),
                   "asking the compute capability", err) &&
        cuda_check(d, d->device_attribute(&device->minor, CU_ATTRIBUTE_MINOR, device->device),
                   "asking the compute capability", err) &&
        cuda_check(d,
                   d->device_attribute(&device->multiprocessors, CU_ATTRIBUTE_MULTIPROCESSORS,
                                       device->device),
                   "counting multiprocessors", err);
    if (!good || !device->major || device->major >= 8) return good; // 0: the tests' stand-in
    return error_set(err,
                     "GPU %d (%s) has compute capability %d.%d, and 8.0 (A100, RTX 30) or later is "
                     "needed: run the graph file with --target cpu",
                     number, device->name, device->major, device->minor);
}

const char *cuda_architecture(Arena *arena, const CudaDevice *d)
{
    if (!d->major) return "text";
    // Of 9.0 the accelerated instructions are wanted, which later ones do not have.
    return str_printf(arena, "sm_%d%d%s", d->major, d->minor, d->major == 9 ? "a" : "");
}
