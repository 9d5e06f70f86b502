// What a record is shows in its first bytes: zip (.npz), NumPy's magic (.npy), otherwise JSON. A
// text in JSON that a path goes on into is JSON itself: lists that were packed into a text are
// stored like that.
#include "runtime/record.h"

#include "base/npy.h"
#include "runtime/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void record_free(RecordRoom *room)
{
    scratch_free(&room->inflated);
    scratch_free(&room->part);
}

static int64_t step_index(const KeyStep *step, const int64_t *draws)
{
    int64_t i = step->base;
    for (uint32_t t = 0; t < step->nterms; t++)
        i += step->terms[t].times * draws[step->terms[t].draw];
    return i;
}

static bool out_of_range(int64_t i, int64_t n, Error *err)
{
    return error_set(err, "key: index %" PRId64 " of %" PRId64 " items", i, n);
}

// ---- JSON ---------------------------------------------------------------------------------------

// One step down; a new reference, NULL with err.
static json_t *step_down(const json_t *value, const KeyStep *step, const int64_t *draws, Error *err)
{
    const json_t *next = NULL;
    if (step->name) {
        if (!json_is_object(value))
            error_set(err, "key: '%s' is looked for in what is no object", step->name);
        else if (!(next = json_object_get(value, step->name)))
            error_set(err, "key: the record has no '%s'", step->name);
    } else {
        int64_t i = step_index(step, draws);
        if (!json_is_array(value))
            error_set(err, "key: index %" PRId64 " of what is no list", i);
        else if (i < 0 || i >= (int64_t)json_array_size(value))
            out_of_range(i, (int64_t)json_array_size(value), err);
        else
            next = json_array_get(value, (size_t)i);
    }
    return json_incref((json_t *)(uintptr_t)next);
}

// A text that is JSON in turn.
static json_t *unpacked(json_t *text, Error *err)
{
    json_error_t why;
    json_t *value =
        json_loadb(json_string_value(text), json_string_length(text), JSON_DECODE_ANY, &why);
    if (!value) error_set(err, "key: a text that is no JSON: %s", why.text);
    json_decref(text);
    return value;
}

json_t *record_json(const KeyPath *path, const int64_t *draws, const void *data, size_t size,
                    Error *err)
{
    json_error_t why;
    json_t *value = json_loadb(data, size, JSON_DECODE_ANY, &why);
    if (!value) error_set(err, "json: line %d, column %d: %s", why.line, why.column, why.text);
    for (uint32_t i = 0; value && i < path->n; i++) {
        if (json_is_string(value) && !(value = unpacked(value, err))) break;
        json_t *next = step_down(value, &path->steps[i], draws, err);
        json_decref(value);
        value = next;
    }
    return value;
}

static void *reserve(Scratch *room, size_t bytes, Error *err)
{
    void *to = scratch_reserve(room, bytes + 1);
    if (!to) error_set(err, "out of memory for a part of %zu bytes", bytes);
    return to;
}

static bool json_part(const KeyPath *path, const int64_t *draws, const void *data, size_t size,
                      RecordRoom *room, const void **at, size_t *bytes, Error *err)
{
    json_t *value = record_json(path, draws, data, size, err);
    if (!value) return false;
    char *dumped = NULL;
    const char *text = json_string_value(value);
    if (text)
        *bytes = json_string_length(value);
    else if ((text = dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT)) != NULL)
        *bytes = strlen(text);
    else
        error_set(err, "out of memory for a part of a record");
    void *to = text ? reserve(&room->part, *bytes, err) : NULL;
    if (to) memcpy(to, text, *bytes);
    *at = to;
    free(dumped);
    json_decref(value);
    return to != NULL;
}

// ---- arrays -------------------------------------------------------------------------------------

// Every index takes the first axis off.
static bool take_axes(Npy *a, const KeyPath *path, uint32_t first, const int64_t *draws, Error *err)
{
    for (uint32_t i = first; i < path->n; i++) {
        const KeyStep *step = &path->steps[i];
        if (step->name) return error_set(err, "key: '%s' is looked for in an array", step->name);
        if (!a->rank) return error_set(err, "key: more indices than the array has axes");
        int64_t at = step_index(step, draws), n = a->shape[0];
        if (at < 0 || at >= n) return out_of_range(at, n, err);
        a->elements /= n;
        a->at += at * a->elements * a->bytes;
        a->rank--;
        memmove(a->shape, a->shape + 1, (size_t)a->rank * sizeof *a->shape);
    }
    return true;
}

static bool array_part(const KeyPath *path, uint32_t first, const int64_t *draws, const void *data,
                       size_t size, RecordRoom *room, const void **at, size_t *bytes, Error *err)
{
    Npy a;
    if (!npy_view(data, size, &a, err) || !take_axes(&a, path, first, draws, err)) return false;
    uint8_t *to = reserve(&room->part, NPY_MOST_HEADER + (size_t)a.elements * (size_t)a.bytes, err);
    if (!to) return false;
    size_t header = npy_header(&a, to);
    memcpy(to + header, a.at, (size_t)a.elements * (size_t)a.bytes);
    *at = to, *bytes = header + (size_t)a.elements * (size_t)a.bytes;
    return true;
}

static bool npz_part(const KeyPath *path, const int64_t *draws, const void *data, size_t size,
                     RecordRoom *room, const void **at, size_t *bytes, Error *err)
{
    char name[256];
    const char *first = path->steps[0].name;
    if (!first) return error_set(err, "key: of an .npz it begins with an array's name");
    snprintf(name, sizeof name, "%s.npy", first);
    const uint8_t *array;
    size_t n;
    return zip_member(data, size, name, &room->inflated, &array, &n, err) &&
           array_part(path, 1, draws, array, n, room, at, bytes, err);
}

bool record_part(const KeyPath *path, const int64_t *draws, const void *data, size_t size,
                 RecordRoom *room, const void **at, size_t *bytes, Error *err)
{
    if (zip_is(data, size)) return npz_part(path, draws, data, size, room, at, bytes, err);
    if (size > 6 && memcmp(data, "\x93NUMPY", 6) == 0)
        return array_part(path, 0, draws, data, size, room, at, bytes, err);
    if (size > 2 && memcmp(data, "\x1f\x8b", 2) == 0)
        return error_set(err, "a gzip file, such as .pth.gz; records are .npz, .npy or JSON "
                              "(docs/data.md says how one becomes an .npz)");
    return json_part(path, draws, data, size, room, at, bytes, err);
}
