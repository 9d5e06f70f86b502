// Labels by role. The role alone decides how a member is decoded, how it follows its view's
// geometry, and what makes an element invalid; no task is known here.
#include "runtime/field.h"

#include "base/npy.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void decoder_free(Decoder *d)
{
    image_free(&d->image);
    raw_free(&d->raw);
    record_free(&d->record);
    scratch_free(&d->bytes);
    scratch_free(&d->values);
    scratch_free(&d->resample);
    scratch_free(&d->cut);
}

int64_t field_copies(const DataSpec *spec, const FieldSpec *field)
{
    bool follows =
        (role_has_pixels(field->role) || role_is_places(field->role)) && field->follow >= 0;
    return follows ? spec->views[field->follow].count : 1;
}

size_t field_valid_bytes(const DataSpec *spec, const FieldSpec *field)
{
    if (!role_has_pixels(field->role)) return 1;
    return (size_t)(field_copies(spec, field) * field->height * field->width);
}

size_t field_bytes(const DataSpec *spec, const FieldSpec *field)
{
    size_t pixels = field_valid_bytes(spec, field), elements = 1;
    switch (field->role) {
    case ROLE_TOKENS:
    case ROLE_VECTOR: return (size_t)field->length * 4;
    case ROLE_CLASS_MAP:
    case ROLE_MAP: return pixels * 4;
    case ROLE_NORMALS: return pixels * 12;
    case ROLE_CLASS: return 4;
    case ROLE_ARRAY:
        for (uint32_t i = 0; i < field->rank; i++) elements *= (size_t)field->shape[i];
        return elements * dtype_bytes(field->dtype);
    default: return 0; // a record has several
    }
}

// A label with pixels as it is stored: (H, W, channels) numbers of a PNG or of an array.
typedef struct Stored {
    const RawImage *raw; // or NULL
    Npy npy;
    int64_t height, width;
    int channels;
    bool planes; // (channels, H, W)
} Stored;

static bool is_npy(const void *data, size_t size)
{
    return size > 6 && memcmp(data, "\x93NUMPY", 6) == 0;
}

// Height, width and order of an array's axes: (H, W), (H, W, channels) or (channels, H, W).
static bool array_axes(Stored *s, int channels, Error *err)
{
    const Npy *a = &s->npy;
    s->channels = channels;
    int first = 0;
    bool ok = a->rank == 2 && channels == 1;
    if (a->rank == 3) {
        s->planes = a->shape[2] != channels;
        first = s->planes;
        ok = a->shape[s->planes ? 0 : 2] == channels;
    }
    if (!ok) return error_set(err, "npy: an array (H, W%s) is wanted", channels == 3 ? ", 3" : "");
    s->height = a->shape[first], s->width = a->shape[first + 1];
    return a->elements > 0 || error_set(err, "npy: an empty array");
}

static bool open_stored(Stored *s, int channels, const void *data, size_t size, RawImage *raw,
                        Error *err)
{
    *s = (Stored){0};
    if (is_npy(data, size))
        return npy_view(data, size, &s->npy, err) && array_axes(s, channels, err);
    if (!image_decode_raw(data, size, raw, err)) return false;
    s->raw = raw;
    s->height = raw->height, s->width = raw->width, s->channels = raw->channels;
    return raw->channels == channels ||
           error_set(err, "PNG: %d channel(s) where %d are wanted", raw->channels, channels);
}

// Value of channel c of pixel i.
static double stored_number(const Stored *s, int64_t i, int c)
{
    if (s->raw) return s->raw->at[i * s->channels + c];
    return npy_number(&s->npy, s->planes ? c * s->height * s->width + i : i * s->channels + c);
}

// Room for n numbers of 4 bytes.
static void *values(Decoder *d, int64_t n, Error *err)
{
    void *at = scratch_reserve(&d->values, (size_t)n * 4);
    if (!at) error_set(err, "out of memory for a label");
    return at;
}

// Rename, check and blank a resampled class.
static bool settle_class(const FieldSpec *f, int32_t *value, uint8_t *valid, Error *err)
{
    if (f->remap && *value >= 0 && *value < 65536) *value = f->remap[*value];
    *valid = !(f->has_ignore && *value == f->ignore);
    if (*valid && (*value < 0 || (f->classes && *value >= f->classes)))
        return error_set(err, "class %d is outside 0 to %" PRId64, *value,
                         f->classes ? f->classes - 1 : (int64_t)INT32_MAX);
    if (!*valid) *value = 0;
    return true;
}

static bool decode_class_map(const FieldSpec *f, const void *data, size_t size, const Geometry *g,
                             int64_t copies, Decoder *d, int32_t *value, uint8_t *valid, Error *err)
{
    Stored s;
    if (!open_stored(&s, 1, data, size, &d->raw, err)) return false;
    if (!s.raw && s.npy.kind == 'f') return error_set(err, "npy: a class map holds integers");
    int64_t n = s.height * s.width, pixels = f->height * f->width;
    int32_t *from = values(d, n, err);
    if (!from) return false;
    for (int64_t i = 0; i < n; i++) {
        double x = stored_number(&s, i, 0);
        from[i] = x >= INT32_MIN && x <= INT32_MAX ? (int32_t)x : INT32_MIN;
    }
    for (int64_t c = 0; c < copies; c++)
        resample_nearest(from, s.height, s.width, &g[c], value + c * pixels, f->height, f->width);
    for (int64_t i = 0; i < copies * pixels; i++)
        if (!settle_class(f, &value[i], &valid[i], err)) return false;
    return true;
}

static bool decode_map(const FieldSpec *f, const void *data, size_t size, const Geometry *g,
                       int64_t copies, Decoder *d, float *value, uint8_t *valid, Error *err)
{
    Stored s;
    if (!open_stored(&s, 1, data, size, &d->raw, err)) return false;
    int64_t n = s.height * s.width, pixels = f->height * f->width;
    float *from = values(d, n, err);
    if (!from) return false;
    for (int64_t i = 0; i < n; i++) {
        double x = stored_number(&s, i, 0);
        float v = (float)(x * f->scale + f->offset);
        from[i] = isfinite(v) && !(f->has_ignore && x == f->ignore) ? v : NAN;
    }
    for (int64_t c = 0; c < copies; c++)
        resample_bilinear(from, s.height, s.width, 1, &g[c], value + c * pixels, valid + c * pixels,
                          f->height, f->width);
    return true;
}

// One stored normal to a vector; unsigned integers span [-1, 1]. NaN first when it is invalid.
static void read_normal(const FieldSpec *f, const Stored *s, int64_t i, float to[3])
{
    bool whole = s->raw || s->npy.kind == 'u';
    double most = s->raw ? (double)((1 << s->raw->bits) - 1) : ldexp(1, 8 * s->npy.bytes) - 1;
    bool finite = true, marked = f->has_ignore;
    for (int c = 0; c < 3; c++) {
        double x = stored_number(s, i, c);
        finite = finite && isfinite(x);
        marked = marked && x == f->ignore;
        to[c] = (float)(whole ? 2 * x / most - 1 : x);
    }
    if (!finite || marked) to[0] = NAN;
}

// Mirror, bring to length 1, blank what has none. n (3, pixels).
static void settle_normals(float *n, uint8_t *valid, int64_t pixels, bool flip)
{
    for (int64_t i = 0; i < pixels; i++) {
        float *x = n + i, *y = x + pixels, *z = y + pixels;
        float length = sqrtf(*x * *x + *y * *y + *z * *z);
        valid[i] = valid[i] && length > 1e-6F && isfinite(length);
        float scale = valid[i] ? 1 / length : 0;
        *x = valid[i] ? (flip ? -*x : *x) * scale : 0;
        *y = valid[i] ? *y * scale : 0;
        *z = valid[i] ? *z * scale : 0;
    }
}

static bool decode_normals(const FieldSpec *f, const void *data, size_t size, const Geometry *g,
                           int64_t copies, Decoder *d, float *value, uint8_t *valid, Error *err)
{
    Stored s;
    if (!open_stored(&s, 3, data, size, &d->raw, err)) return false;
    int64_t n = s.height * s.width, pixels = f->height * f->width;
    float *from = values(d, 3 * n, err);
    if (!from) return false;
    for (int64_t i = 0; i < n; i++) read_normal(f, &s, i, from + 3 * i);
    for (int64_t c = 0; c < copies; c++) {
        float *to = value + 3 * c * pixels;
        resample_bilinear(from, s.height, s.width, 3, &g[c], to, valid + c * pixels, f->height,
                          f->width);
        settle_normals(to, valid + c * pixels, pixels, g[c].flip);
    }
    return true;
}

static bool vector_from_json(const void *data, size_t size, int64_t n, float *to, Error *err)
{
    json_error_t why;
    json_t *list = json_loadb(data, size, 0, &why);
    bool ok = json_is_array(list) && (int64_t)json_array_size(list) == n;
    for (int64_t i = 0; ok && i < n; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        ok = json_is_number(item);
        to[i] = (float)json_number_value(item);
    }
    json_decref(list);
    return ok || error_set(err, "json: a list of %" PRId64 " numbers is wanted", n);
}

static bool decode_vector(const FieldSpec *f, const void *data, size_t size, float *to,
                          uint8_t *valid, Error *err)
{
    Npy npy;
    if (!is_npy(data, size)) {
        if (!vector_from_json(data, size, f->length, to, err)) return false;
    } else {
        if (!npy_view(data, size, &npy, err)) return false;
        if (npy.elements != f->length)
            return error_set(err, "npy: %" PRId64 " elements where %" PRId64 " are wanted",
                             npy.elements, f->length);
        npy_to_f32(&npy, to);
    }
    *valid = 1;
    for (int64_t i = 0; i < f->length; i++)
        if (!isfinite(to[i])) *valid = 0;
    if (!*valid) memset(to, 0, (size_t)f->length * 4);
    return true;
}

static bool decode_class(const FieldSpec *f, const char *data, size_t size, int32_t *to,
                         uint8_t *valid, Error *err)
{
    char text[32] = {0}, *end;
    if (size < sizeof text) memcpy(text, data, size);
    errno = 0;
    long value = strtol(text, &end, 10);
    bool ok = end != text && !errno && value >= INT32_MIN && value <= INT32_MAX;
    if (!ok || end[strspn(end, " \t\r\n")])
        return error_set(err, "a class is one whole number, not '%.20s'", text);
    *to = (int32_t)value;
    return settle_class(f, to, valid, err);
}

static bool decode_array(const FieldSpec *f, const void *data, size_t size, void *to,
                         uint8_t *valid, Error *err)
{
    Npy npy;
    if (!npy_view(data, size, &npy, err)) return false;
    const char *dtype = npy_dtype(&npy);
    if (!dtype || strcmp(dtype, f->dtype) != 0)
        return error_set(err, "npy: elements '%c%d' where %s is wanted", npy.kind, npy.bytes,
                         f->dtype);
    bool same = (uint32_t)npy.rank == f->rank;
    for (uint32_t i = 0; same && i < f->rank; i++) same = npy.shape[i] == f->shape[i];
    if (!same) return error_set(err, "npy: the array has another shape than the field");
    memcpy(to, npy.at, (size_t)npy.elements * (size_t)npy.bytes);
    *valid = 1;
    return true;
}

bool field_decode(const FieldSpec *field, const Tokenizer *tokenizer, const void *data, size_t size,
                  const Geometry *geometry, int64_t copies, Decoder *decoder, void *value,
                  uint8_t *valid, Error *err)
{
    switch (field->role) {
    case ROLE_TOKENS:
        *valid = 1;
        return tokenizer_encode(tokenizer, data, size, value, field->length, err);
    case ROLE_CLASS_MAP:
        return decode_class_map(field, data, size, geometry, copies, decoder, value, valid, err);
    case ROLE_MAP:
        return decode_map(field, data, size, geometry, copies, decoder, value, valid, err);
    case ROLE_NORMALS:
        return decode_normals(field, data, size, geometry, copies, decoder, value, valid, err);
    case ROLE_VECTOR: return decode_vector(field, data, size, value, valid, err);
    case ROLE_CLASS: return decode_class(field, data, size, value, valid, err);
    case ROLE_ARRAY: return decode_array(field, data, size, value, valid, err);
    default: bug("field %s has no decoder", field->name);
    }
}
