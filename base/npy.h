// Arrays in NumPy's .npy format, viewed in place.
#ifndef CZT_BASE_NPY_H
#define CZT_BASE_NPY_H

#include "base/diag.h"

enum {
    NPY_MAX_RANK = 64,     // NumPy's own limit
    NPY_MOST_HEADER = 1536 // bytes of what npy_header writes, which 64 axes do not fill
};

typedef struct Npy {
    const uint8_t *at; // elements in C order, little-endian, not aligned
    char kind;         // 'f' float, 'i' and 'u' integers, 'b' bool, 'V' bf16
    int bytes;         // of one element
    int rank;
    int64_t shape[NPY_MAX_RANK];
    int64_t elements;
} Npy;

// Do the bytes begin as an .npy file does?
bool npy_is(const void *data, size_t size);
// Read the header of `size` bytes of a file. Big-endian, Fortran-ordered and structured arrays are
// refused. Two bytes that NumPy knows nothing about ('V2') are bf16, which it has no type for.
bool npy_view(const void *data, size_t size, Npy *npy, Error *err);
// The dtype's name ("f32", "u8", "bool", ...), NULL when cztc has none.
const char *npy_dtype(const Npy *npy);
// Element i as a number; an i64 beyond 2^53 is rounded.
double npy_number(const Npy *npy, int64_t i);
// All elements as f32.
void npy_to_f32(const Npy *npy, float *to);
// Write the header of such a file for the array's type and shape; the number of bytes, after which
// the elements follow.
size_t npy_header(const Npy *npy, uint8_t to[NPY_MOST_HEADER]);

#endif
