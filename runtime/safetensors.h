// The safetensors file format (huggingface.co/docs/safetensors): u64 header size, JSON header,
// tensor bytes.
#ifndef CZT_RUNTIME_SAFETENSORS_H
#define CZT_RUNTIME_SAFETENSORS_H

#include "base/file.h"
#include "base/map.h"
#include "runtime/cztc.h"

#include <jansson.h>

// An open file. A tensor's bytes are at data + its offset, little-endian, not always aligned.
typedef struct SafeTensors {
    Arena *arena;
    const char *file;
    const CztTensor *tensors; // in the header's order; kind has no meaning
    uint32_t n;
    const uint8_t *data;
    json_t *metadata; // the strings under "__metadata__", or NULL
    Map names;        // name -> CztTensor
    FileMap map;
} SafeTensors;

// Map a file and check its whole header: sizes, dtypes, no gap and no overlap, no name twice.
bool safetensors_open(SafeTensors *st, const char *path, Error *err);
// The same from bytes, which must outlive it; `name` is shown in errors.
bool safetensors_read(SafeTensors *st, const char *name, const void *data, size_t size, Error *err);
// A zeroed struct is allowed.
void safetensors_close(SafeTensors *st);
// The tensor of that name, or NULL.
const CztTensor *safetensors_find(const SafeTensors *st, const char *name);

// Writing a file piece by piece: begin with all names and shapes, then every tensor's bytes in
// order.
typedef struct SafeWriter {
    Arena *arena;
    FileWriter out;
    int64_t left; // bytes still to come
} SafeWriter;

// Tensors are written in the given order (put larger element sizes first, so that all are aligned);
// their offsets are not read. metadata is an object of strings, or NULL; it stays the caller's.
bool safetensors_begin(SafeWriter *w, const char *path, const CztTensor *tensors, uint32_t n,
                       const json_t *metadata, Error *err);
// The next bytes, of any tensor boundaries.
bool safetensors_put(SafeWriter *w, const void *data, int64_t bytes, Error *err);
// Finish: fsync, rename. *sum, where not NULL, becomes the checksum of the file. After begin
// succeeded, exactly one of these two must follow, also when a put failed.
bool safetensors_end(SafeWriter *w, uint64_t *sum, Error *err);
void safetensors_cancel(SafeWriter *w);

#endif
