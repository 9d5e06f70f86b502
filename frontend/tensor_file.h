// What a file of tensors says of one: a constant without `shape:` takes its shape from it.
#ifndef CZT_FRONTEND_TENSOR_FILE_H
#define CZT_FRONTEND_TENSOR_FILE_H

#include "base/arena.h"
#include "base/diag.h"

// The sizes of tensor `name` of a safetensors file, or of the array that an .npy file is; in the
// arena. False with err.
bool tensor_file_shape(Arena *arena, const char *path, const char *name, int64_t **sizes,
                       uint32_t *rank, Error *err);

#endif
