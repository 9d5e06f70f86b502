#include "runtime/tensor_file.h"

#include "base/npy.h"
#include "base/sha256.h"
#include "runtime/step.h"

#include <string.h>

static bool npy_type(const Npy *npy, CztDtype *dtype)
{
    const char *name = npy_dtype(npy);
    if (npy->kind == 'f' && npy->bytes == 8) name = "f64"; // of files alone
    if (npy->kind == 'V') name = "bf16";
    return name && dtype_parse(name, dtype);
}

static const char *base_name(Arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return dot ? str_slice(arena, name, (size_t)(dot - name)) : name;
}

// The file's one tensor; the map becomes the SafeTensors'.
static bool from_npy(SafeTensors *st, const char *path, const FileMap *map, Error *err)
{
    Npy npy;
    CztDtype dtype;
    Error why = {0};
    if (!npy_view(map->data, map->size, &npy, &why))
        return error_set(err, "%s: %s", path, why.text);
    if (!npy_type(&npy, &dtype))
        return error_set(err, "%s: arrays of '%c%d' are not read", path, npy.kind, npy.bytes);
    *st = (SafeTensors){.arena = arena_new(), .n = 1, .map = *map, .data = npy.at};
    CztTensor *t = arena_make(st->arena, CztTensor);
    int64_t *shape = arena_array(st->arena, int64_t, (size_t)npy.rank + 1);
    memcpy(shape, npy.shape, (size_t)npy.rank * sizeof *shape);
    *t = (CztTensor){.name = base_name(st->arena, path),
                     .dtype = dtype,
                     .rank = (uint32_t)npy.rank,
                     .shape = shape,
                     .bytes = npy.elements * npy.bytes};
    st->file = str_copy(st->arena, path);
    st->tensors = t;
    map_set(st->arena, &st->names, t->name, t);
    return true;
}

bool tensor_file_open(SafeTensors *st, const char *path, Error *err)
{
    FileMap map;
    if (!file_map(&map, path, err)) return false;
    bool npy = npy_is(map.data, map.size), ok = npy && from_npy(st, path, &map, err);
    if (!ok) file_unmap(&map);
    return npy ? ok : safetensors_open(st, path, err);
}

bool tensor_file_check(const char *path, const char *checksum, Error *err)
{
    FileMap map;
    char sum[SHA256_DIGITS + 1];
    if (!file_map(&map, path, err)) return false;
    sha256_text(map.data, map.size, sum);
    file_unmap(&map);
    return strcmp(sum, checksum) == 0 ||
           error_set(err,
                     "%s: this is another file than the graph means: checksum: is %s, the "
                     "file's SHA-256 %s",
                     path, checksum, sum);
}
