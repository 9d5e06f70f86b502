// The peak that products are held against on a GPU: the fastest that cuBLASLt has for a large
// square one, of numbers in the precision of the program's largest product.
#include "runtime/cuda_engine.h"
#include "runtime/philox.h"

#include <math.h>
#include <stdlib.h>

enum { SIDE = 8192, ALGOS = 4, RUNS = 5, FILL = 1 << 20 };

// That of the kernel with the most operations; false: the program has no product that a library may
// do.
static bool precision_of(const Step *step, StepProduct *to)
{
    double most = 0;
    for (uint32_t i = 0; i < step->nkernels; i++) {
        const StepKernel *k = &step->kernels[i];
        if (!k->product || (double)k->flops <= most) continue;
        most = (double)k->flops;
        *to = (StepProduct){.from = k->product->from, .tf32 = k->product->tf32};
    }
    StepMatrix square = {.row = SIDE, .col = 1};
    to->batch = 1;
    to->m = to->n = to->k = SIDE;
    to->to = to->from;
    to->a = to->b = to->c = square;
    to->c.buffer = 1;
    to->rest = -1;
    return most > 0;
}

// Numbers from 1/2 to 1 of both signs: how fast a GPU multiplies under its limit of power depends
// on the bits. f32 gets no more of them than tf32 has.
static bool fill(CudaEngine *c, const StepProduct *p, CuPtr to, int64_t bytes)
{
    uint32_t *numbers = malloc(FILL);
    uint32_t keep = p->from == CZT_F32    ? 0x807fe000
                    : p->from == CZT_BF16 ? 0x807f807f
                                          : 0x83ff83ff,
             half = p->from == CZT_F32    ? 0x3f000000
                    : p->from == CZT_BF16 ? 0x3f003f00
                                          : 0x38003800;
    bool ok = numbers != NULL;
    for (uint32_t i = 0; ok && i < FILL / 16; i++) {
        const uint32_t key[2] = {1, 2}, counter[4] = {i};
        philox_block(key, counter, numbers + 4 * i);
    }
    for (uint32_t i = 0; ok && i < FILL / 4; i++) numbers[i] = (numbers[i] & keep) | half;
    for (int64_t at = 0; ok && at < bytes; at += FILL)
        ok = !c->driver.to_device(to + (CuPtr)at, numbers, FILL, c->main);
    ok = ok && !c->driver.stream_synchronize(c->main);
    free(numbers);
    return ok;
}

// Seconds of the fastest; NAN where it cannot be had.
static double seconds_of(CudaEngine *c, const CudaBlas *blas, const BlasProduct *p,
                         const CuPtr *buffers, CuPtr workspace)
{
    double least = NAN;
    for (int i = 0; i < ALGOS * RUNS && i < p->nalgos * RUNS; i++) {
        float ms;
        Error refused = {0};
        if (!c->driver.event_record(c->from, c->main) &&
            cuda_blas_run(blas, p, i / RUNS, buffers, workspace, c->main, &refused) &&
            !c->driver.event_record(c->to, c->main) && !c->driver.event_synchronize(c->to) &&
            !c->driver.event_elapsed(&ms, c->from, c->to) && ms > 0)
            least = fmin(least, (double)ms * 1e-3); // of NAN and a number that is the number
    }
    return least;
}

double cuda_peak(CudaEngine *c)
{
    StepProduct product = {0};
    BlasProduct prepared = {0};
    CudaBlas opened = {0};
    const CudaBlas *blas = &c->blas;
    Error none = {0};
    CuPtr all = 0;
    double seconds = NAN;
    if (!precision_of(c->step, &product) || c->broken.set || c->driver.context_set(c->context))
        return NAN;
    int64_t bytes = (int64_t)SIDE * SIDE * czt_dtype_size(product.from);
    if (!blas->library && cuda_blas_open(&opened, &none)) blas = &opened;
    if (blas->library && cuda_memory_has(c, 2 * bytes + BLAS_WORKSPACE) &&
        !c->driver.memory_alloc(&all, (size_t)(2 * bytes + BLAS_WORKSPACE)) &&
        fill(c, &product, all, bytes) && cuda_blas_prepare(blas, &product, 256, &prepared, &none)) {
        const CuPtr buffers[] = {all, all + (CuPtr)bytes};
        seconds = seconds_of(c, blas, &prepared, buffers, all + 2 * (CuPtr)bytes);
        cuda_blas_release(blas, &prepared);
    }
    if (all) c->driver.memory_free(all);
    if (opened.library) cuda_blas_close(&opened);
    return 2.0 * SIDE * SIDE * SIDE / seconds;
}
