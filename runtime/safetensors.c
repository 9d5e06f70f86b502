// safetensors: reader and streaming writer. The reader is as strict as the format's reference: the
// tensors must cover the data exactly, each byte once, so a damaged header cannot go unnoticed.
#include "runtime/safetensors.h"

#include "runtime/step.h"

#include <stdlib.h>
#include <string.h>

static const int64_t LARGEST_HEADER = 100 << 20; // the reference implementation's limit

// The format's names, in the order of CztDtype.
static const char dtype_names[CZT_DTYPE_COUNT][8] = {
    [CZT_F32] = "F32",        [CZT_F64] = "F64",        [CZT_BF16] = "BF16", [CZT_F16] = "F16",
    [CZT_F8E4M3] = "F8_E4M3", [CZT_F8E5M2] = "F8_E5M2", [CZT_I8] = "I8",     [CZT_U8] = "U8",
    [CZT_I16] = "I16",        [CZT_U16] = "U16",        [CZT_I32] = "I32",   [CZT_U32] = "U32",
    [CZT_I64] = "I64",        [CZT_U64] = "U64",        [CZT_BOOL] = "BOOL",
};

static bool fail(const SafeTensors *st, const char *tensor, const char *what, Error *err)
{
    return error_set(err, "%s: tensor '%s': %s", st->file, tensor, what);
}

static bool read_dtype(json_t *value, CztDtype *dtype)
{
    const char *name = json_string_value(value);
    for (*dtype = 0; name && *dtype < CZT_DTYPE_COUNT; ++*dtype)
        if (strcmp(dtype_names[*dtype], name) == 0) return true;
    return false;
}

static bool read_tensor(SafeTensors *st, const char *name, json_t *row, int64_t data_size,
                        CztTensor *t, Error *err)
{
    json_t *shape = json_object_get(row, "shape"), *offsets = json_object_get(row, "data_offsets");
    t->name = str_copy(st->arena, name);
    if (!json_is_array(shape) || json_array_size(offsets) != 2 || json_object_size(row) != 3)
        return fail(st, name, "needs dtype, shape and data_offsets, nothing else", err);
    if (!read_dtype(json_object_get(row, "dtype"), &t->dtype))
        return fail(st, name, "has an unknown dtype", err);
    t->rank = (uint32_t)json_array_size(shape);
    int64_t *sizes = arena_array(st->arena, int64_t, t->rank + 1), bytes = czt_dtype_size(t->dtype);
    for (uint32_t i = 0; i < t->rank; i++) {
        json_t *size = json_array_get(shape, i);
        sizes[i] = json_integer_value(size);
        if (!json_is_integer(size) || sizes[i] < 0 ||
            __builtin_mul_overflow(bytes, sizes[i], &bytes))
            return fail(st, name, "has a shape that is none", err);
    }
    json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    t->shape = sizes;
    t->offset = json_integer_value(begin);
    if (!json_is_integer(begin) || !json_is_integer(end) || t->offset < 0 ||
        t->offset > data_size || json_integer_value(end) > data_size ||
        __builtin_sub_overflow(json_integer_value(end), t->offset, &t->bytes))
        return fail(st, name, "leaves the file (is it truncated?)", err);
    if (t->bytes != bytes)
        return error_set(err, "%s: tensor '%s': %s takes %lld bytes, data_offsets span %lld",
                         st->file, name, tensor_text(st->arena, t->dtype, t->rank, sizes),
                         (long long)bytes, (long long)t->bytes);
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const CztTensor *const *x = a, *const *y = b;
    if ((*x)->offset != (*y)->offset) return (*x)->offset < (*y)->offset ? -1 : 1;
    return ((*x)->bytes > (*y)->bytes) - ((*x)->bytes < (*y)->bytes);
}

// Every byte of the data belongs to exactly one tensor.
static bool check_cover(SafeTensors *st, int64_t data_size, Error *err)
{
    const CztTensor **order = arena_array(st->arena, const CztTensor *, st->n + 1);
    for (uint32_t i = 0; i < st->n; i++) order[i] = &st->tensors[i];
    if (st->n) qsort(order, st->n, sizeof *order, by_offset);
    int64_t at = 0;
    for (uint32_t i = 0; i < st->n; i++) {
        if (order[i]->offset != at)
            return fail(st, order[i]->name, "does not begin where the one before it ends", err);
        at += order[i]->bytes;
    }
    if (at == data_size) return true;
    return error_set(err, "%s: its tensors end at byte %lld of %lld (truncated or damaged)",
                     st->file, (long long)at, (long long)data_size);
}

static bool read_metadata(SafeTensors *st, json_t *object, Error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return error_set(err, "%s: __metadata__ '%s' must be a text", st->file, key);
    }
    st->metadata = json_incref(object);
    return true;
}

static bool read_header(SafeTensors *st, json_t *header, int64_t data_size, Error *err)
{
    if (!json_is_object(header)) return error_set(err, "%s: the header is no object", st->file);
    CztTensor *tensors = arena_array(st->arena, CztTensor, json_object_size(header) + 1);
    const char *name;
    json_t *row;
    st->tensors = tensors;
    json_object_foreach(header, name, row)
    {
        if (strcmp(name, "__metadata__") == 0) {
            if (!read_metadata(st, row, err)) return false;
            continue;
        }
        CztTensor *t = &tensors[st->n];
        if (!read_tensor(st, name, row, data_size, t, err)) return false;
        map_set(st->arena, &st->names, t->name, t);
        st->n++;
    }
    return check_cover(st, data_size, err);
}

static bool read_bytes(SafeTensors *st, const uint8_t *data, size_t size, Error *err)
{
    uint64_t header_size;
    if (size < 8) return error_set(err, "%s: not safetensors: %zu bytes", st->file, size);
    memcpy(&header_size, data, 8);
    if (header_size > (uint64_t)LARGEST_HEADER || header_size > size - 8)
        return error_set(
            err, "%s: not safetensors, or truncated: its header has %llu bytes, the file %zu",
            st->file, (unsigned long long)header_size, size);
    json_error_t where;
    json_t *header =
        json_loadb((const char *)data + 8, header_size, JSON_REJECT_DUPLICATES, &where);
    if (!header)
        return error_set(err, "%s: header: byte %d: %s", st->file, where.position, where.text);
    st->data = data + 8 + header_size;
    bool ok = read_header(st, header, (int64_t)(size - 8 - header_size), err);
    json_decref(header);
    return ok;
}

bool safetensors_read(SafeTensors *st, const char *name, const void *data, size_t size, Error *err)
{
    *st = (SafeTensors){.arena = arena_new()};
    st->file = str_copy(st->arena, name);
    if (read_bytes(st, data, size, err)) return true;
    safetensors_close(st);
    return false;
}

bool safetensors_open(SafeTensors *st, const char *path, Error *err)
{
    FileMap map;
    *st = (SafeTensors){0};
    if (!file_map(&map, path, err)) return false;
    if (!safetensors_read(st, path, map.data, map.size, err)) {
        file_unmap(&map);
        return false;
    }
    st->map = map;
    return true;
}

void safetensors_close(SafeTensors *st)
{
    json_decref(st->metadata);
    file_unmap(&st->map);
    arena_free(st->arena);
    *st = (SafeTensors){0};
}

const CztTensor *safetensors_find(const SafeTensors *st, const char *name)
{
    return map_get(&st->names, name);
}

// The header object; NULL when a name is not UTF-8 or stands twice.
static json_t *build_header(const CztTensor *tensors, uint32_t n, const json_t *metadata)
{
    json_t *header = json_object();
    int64_t at = 0;
    bool ok = !metadata || !json_object_set_new(header, "__metadata__", json_deep_copy(metadata));
    for (uint32_t i = 0; ok && i < n; i++) {
        const CztTensor *t = &tensors[i];
        json_t *shape = json_array();
        for (uint32_t d = 0; d < t->rank; d++)
            json_array_append_new(shape, json_integer(t->shape[d]));
        json_t *row = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_names[t->dtype], "shape",
                                shape, "data_offsets", (json_int_t)at, (json_int_t)(at + t->bytes));
        bool twice = json_object_get(header, t->name) != NULL;
        ok = !json_object_set_new(header, t->name, row) && !twice; // takes row also when it fails
        at += t->bytes;
    }
    if (ok) return header;
    json_decref(header);
    return NULL;
}

static bool put_header(SafeWriter *w, const CztTensor *tensors, uint32_t n, const json_t *metadata,
                       Error *err)
{
    json_t *header = build_header(tensors, n, metadata);
    char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (!text)
        return error_set(err, "%s: a tensor's name is not UTF-8, or stands twice", w->out.path);
    uint64_t length = strlen(text), padded = (length + 7) / 8 * 8;
    bool ok = file_put(&w->out, &padded, 8, err) && file_put(&w->out, text, length, err) &&
              file_put(&w->out, "       ", padded - length, err);
    free(text);
    return ok;
}

bool safetensors_begin(SafeWriter *w, const char *path, const CztTensor *tensors, uint32_t n,
                       const json_t *metadata, Error *err)
{
    *w = (SafeWriter){.arena = arena_new()};
    for (uint32_t i = 0; i < n; i++) w->left += tensors[i].bytes;
    bool ok =
        file_create(&w->out, w->arena, path, 0666, err) && put_header(w, tensors, n, metadata, err);
    if (!ok) safetensors_cancel(w);
    return ok;
}

bool safetensors_put(SafeWriter *w, const void *data, int64_t bytes, Error *err)
{
    w->left -= bytes;
    return file_put(&w->out, data, (size_t)bytes, err);
}

bool safetensors_end(SafeWriter *w, uint64_t *sum, Error *err)
{
    if (w->left) bug("%s: %lld bytes of its tensors were not put", w->out.path, (long long)w->left);
    if (sum) *sum = checksum_end(&w->out.sum);
    bool ok = file_commit(&w->out, err);
    arena_free(w->arena);
    return ok;
}

void safetensors_cancel(SafeWriter *w)
{
    file_cancel(&w->out);
    arena_free(w->arena);
}
