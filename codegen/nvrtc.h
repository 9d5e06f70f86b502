// NVRTC, NVIDIA's run-time compiler, found when it is needed: CUDA text to code of one
// architecture. No GPU and no driver take part.
#ifndef CZT_CODEGEN_NVRTC_H
#define CZT_CODEGEN_NVRTC_H

#include "base/diag.h"

typedef struct Nvrtc Nvrtc;

// What the assembler says of a kernel.
typedef struct CudaUsage {
    const char *symbol;
    uint32_t registers;    // of a thread
    uint32_t spilled;      // bytes a thread stores because registers ran out
    uint32_t shared_bytes; // of a block, static
} CudaUsage;

typedef struct CudaImage {
    const void *bytes;
    size_t size;
    const void *ptx; // of the same compilation, for later GPUs; bytes where that is PTX
    size_t ptx_size;
    uint32_t n;
    const CudaUsage *usage; // n kernels; none for PTX
    const char *log;        // what was said on the way: warnings, registers
} CudaImage;

// Load libnvrtc: from the folder that CZT_CUDA_LIBS names, the loader's path, or /usr/local/cuda.
// NULL where it is not installed; err says where it was looked for.
Nvrtc *nvrtc_open(Arena *arena, Error *err);
void nvrtc_close(Nvrtc *nvrtc);
// What an image depends on beside text and architecture: the library and the options, as text.
const char *nvrtc_identity(const Nvrtc *nvrtc, Arena *arena);
// Compile text for "sm_90a", .. (a cubin, and the PTX it was made of) or "compute_80", .. (PTX
// alone). No text uses what only the variants with an a have, so code for sm_90a is that for sm_90,
// and its PTX serves later GPUs too. False with NVRTC's messages in err. May be called by several
// threads at once, each with its own arena.
bool nvrtc_compile(const Nvrtc *nvrtc, Arena *arena, const char *text, const char *arch,
                   CudaImage *image, Error *err);

#endif
