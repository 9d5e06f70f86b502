// Arrays of numbers of any dtype: reading one as a double, converting a whole array.
#ifndef CZT_RUNTIME_VALUES_H
#define CZT_RUNTIME_VALUES_H

#include "base/diag.h"
#include "runtime/cztc.h"

// Element i as a double; 64-bit integers beyond 2^53 are rounded. data needs no alignment.
double value_get(CztDtype dtype, const void *data, int64_t i);
// Convert n integers (bool counts) to another integer dtype. False, with the first one that does
// not fit named after `what`, when one does not.
bool values_to_integer(CztDtype to, void *out, CztDtype from, const void *data, int64_t n,
                       const char *what, Error *err);
// Convert n floats of any dtype to f32, f64 rounded to nearest.
void values_to_f32(float *out, CztDtype from, const void *data, int64_t n);
// Convert n floats to f32, bf16 or f16, rounded to nearest even; beyond f16's range is infinite.
void values_from_f32(CztDtype to, void *out, const float *data, int64_t n);
// True for the floats; true for the integers and bool.
bool value_is_float(CztDtype dtype);
bool dtype_is_integer(CztDtype dtype);

#endif
