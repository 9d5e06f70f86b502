// Files of tensors in other formats than safetensors, seen as if they were in it.
#ifndef CZT_RUNTIME_TENSOR_FILE_H
#define CZT_RUNTIME_TENSOR_FILE_H

#include "runtime/safetensors.h"

// Open a safetensors file, or an .npy file as one of a single tensor that is called as the file is,
// without folder and ending.
bool tensor_file_open(SafeTensors *st, const char *path, Error *err);
// Error where the file's SHA-256 is another one: 64 small hexadecimal digits.
bool tensor_file_check(const char *path, const char *checksum, Error *err);

#endif
