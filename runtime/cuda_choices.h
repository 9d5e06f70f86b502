// Who does which product on a GPU, as it was measured: kept in files, so that the next opening need
// not measure, and a run that is resumed has the same bits.
//   {"NVIDIA H200, driver for CUDA 13.0, cuBLASLt 130100, code for sm_90a":
//       {"bf16-bf16 1x50432x768x3072 ..": "own", "..": "0a12.."}}
// A choice is "own", the kernel's own code, or an algorithm's 64 bytes in hexadecimal digits. Its
// key says what decides how fast the ways are: the product as it lies in memory, and the code of
// the kernel and of the one that does the rest, by their names and their units' checksums.
// Processes may share a file: it is replaced as a whole, and the last one wins.
#ifndef CZT_RUNTIME_CUDA_CHOICES_H
#define CZT_RUNTIME_CUDA_CHOICES_H

#include "runtime/cuda_blas.h"

#include <jansson.h>

enum { CHOICE_FILES = 2, CHOICE_OWN = -1, CHOICE_UNKNOWN = -2 };

typedef struct CudaChoices {
    const char *const *paths; // CHOICE_FILES of them; NULL: none
    const char *device;       // cuda_choices_device
    json_t *files[CHOICE_FILES];
    bool changed[CHOICE_FILES];
    bool stay; // the files are not to be written
    bool lost; // the first file is damaged, or lacks what was asked for, though it holds choices
} CudaChoices;

// Read the files; one that is not there or not whole holds nothing. Texts and paths are kept.
void cuda_choices_open(CudaChoices *c, const char *const *paths, const char *device);
// The number of the product's algorithm that is kept under the key, CHOICE_OWN, or CHOICE_UNKNOWN.
// The first file that has one counts.
int cuda_choices_find(CudaChoices *c, const char *key, const BlasProduct *product);
// Keep a choice in the first so many files.
void cuda_choices_keep(CudaChoices *c, const char *key, const BlasProduct *product, int algo,
                       int files);
// Write the files that changed. Only of the first it is an error when that cannot be: the others'
// choices are measured again another time.
bool cuda_choices_close(CudaChoices *c, Error *err);

// What all choices are made on: the GPU, its driver, the library, and the code's architecture.
const char *cuda_choices_device(Arena *arena, const CudaDevice *device, size_t library,
                                const StepImage *image);
// The key of a kernel's product on operands of an alignment, in this image of the step's code.
const char *cuda_choice_key(Arena *arena, const Step *step, const StepImage *image,
                            const StepKernel *kernel, uint32_t alignment);

#endif
