// The .npy format, versions 1 to 3: a magic, the length of a header, and the header as the text of
// a Python dictionary with the keys descr, fortran_order and shape.
#include "base/npy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// The text behind 'key': in the header, NULL when it is missing.
static const char *value_of(const char *header, size_t n, const char *key)
{
    const char *at = memmem(header, n, key, strlen(key));
    if (!at) return NULL;
    const char *end = header + n;
    for (at += strlen(key); at < end && (*at == ' ' || *at == ':');) at++;
    return at < end ? at : NULL;
}

// "(3, 4)" into the shape; false when malformed or too large.
static bool read_shape(const char *at, const char *end, Npy *npy)
{
    npy->elements = 1;
    if (at == end || *at++ != '(') return false;
    for (;;) {
        while (at < end && (*at == ' ' || *at == ',')) at++;
        if (at == end) return false;
        if (*at == ')') return true;
        int64_t n = 0;
        const char *begin = at;
        for (; at < end && *at >= '0' && *at <= '9'; at++) {
            if (n > INT64_MAX / 16) return false;
            n = 10 * n + (*at - '0');
        }
        if (at == begin || npy->rank == NPY_MAX_RANK) return false;
        if (n && npy->elements > (INT64_C(1) << 40) / n) return false;
        npy->shape[npy->rank++] = n;
        npy->elements *= n;
    }
}

static bool read_descr(const char *at, const char *end, Npy *npy)
{
    if (end - at < 5 || (*at != '\'' && *at != '"')) return false;
    bool byte_order = at[1] == '<' || at[1] == '|' || at[1] == '=';
    npy->kind = at[2], npy->bytes = at[3] - '0';
    int b = npy->bytes;
    bool integer = npy->kind == 'i' || npy->kind == 'u';
    bool known = (npy->kind == 'f' && (b == 2 || b == 4 || b == 8)) ||
                 (npy->kind == 'b' && b == 1) || (npy->kind == 'V' && b == 2) ||
                 (integer && (b == 1 || b == 2 || b == 4 || b == 8));
    return byte_order && known && at[4] == at[0];
}

bool npy_is(const void *data, size_t size)
{
    return size >= 6 && memcmp(data, "\x93NUMPY", 6) == 0;
}

bool npy_view(const void *data, size_t size, Npy *npy, Error *err)
{
    const uint8_t *p = data;
    *npy = (Npy){0};
    if (size < 12 || !npy_is(p, size) || p[6] < 1 || p[6] > 3)
        return error_set(err, "not an .npy file");
    size_t start = p[6] == 1 ? 10 : 12;
    size_t n = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] > 1) n |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (n > size - start) return error_set(err, "npy: the header is cut off");
    const char *header = (const char *)p + start, *end = header + n;
    const char *descr = value_of(header, n, "'descr'"), *shape = value_of(header, n, "'shape'");
    const char *order = value_of(header, n, "'fortran_order'");
    if (!descr || !read_descr(descr, end, npy))
        return error_set(err, "npy: little-endian floats, integers or bools are wanted");
    if (!order || *order != 'F') return error_set(err, "npy: the array must be in C order");
    if (!shape || !read_shape(shape, end, npy)) return error_set(err, "npy: malformed shape");
    npy->at = p + start + n;
    if ((size_t)npy->elements > (size - start - n) / (size_t)npy->bytes)
        return error_set(err, "npy: cut off: %" PRId64 " elements of %d bytes in %zu bytes",
                         npy->elements, npy->bytes, size - start - n);
    return true;
}

const char *npy_dtype(const Npy *npy)
{
    static const struct {
        char kind, bytes;
        const char *name;
    } rows[] = {{'f', 4, "f32"}, {'f', 2, "f16"}, {'i', 1, "i8"},  {'i', 2, "i16"},
                {'i', 4, "i32"}, {'i', 8, "i64"}, {'u', 1, "u8"},  {'u', 2, "u16"},
                {'u', 4, "u32"}, {'u', 8, "u64"}, {'b', 1, "bool"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].kind == npy->kind && rows[i].bytes == npy->bytes) return rows[i].name;
    return NULL;
}

static double half(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double x = exponent == 31  ? (fraction ? NAN : INFINITY)
               : exponent == 0 ? ldexp(fraction, -24)
                               : ldexp(fraction + 1024, exponent - 25);
    return h & 0x8000 ? -x : x;
}

double npy_number(const Npy *npy, int64_t i)
{
    const uint8_t *p = npy->at + i * npy->bytes;
    uint64_t bits = 0;
    memcpy(&bits, p, (size_t)npy->bytes);
    if (npy->kind == 'f') {
        float f = 0;
        double d = 0;
        memcpy(&f, p, npy->bytes == 4 ? 4 : 0);
        memcpy(&d, p, npy->bytes == 8 ? 8 : 0);
        return npy->bytes == 2 ? half((uint16_t)bits) : npy->bytes == 4 ? (double)f : d;
    }
    if (npy->kind == 'V') {
        uint32_t high = (uint32_t)bits << 16;
        float f;
        memcpy(&f, &high, 4);
        return (double)f;
    }
    if (npy->kind != 'i') return (double)bits;
    int unused = 64 - 8 * npy->bytes;
    return (double)((int64_t)(bits << unused) >> unused);
}

void npy_to_f32(const Npy *npy, float *to)
{
    if (npy->kind == 'f' && npy->bytes == 4)
        memcpy(to, npy->at, (size_t)npy->elements * 4);
    else
        for (int64_t i = 0; i < npy->elements; i++) to[i] = (float)npy_number(npy, i);
}

size_t npy_header(const Npy *npy, uint8_t to[NPY_MOST_HEADER])
{
    enum { START = 10, ALIGN = 64 }; // the dictionary's place; elements begin at a multiple
    char text[NPY_MOST_HEADER - START], order = npy->bytes > 1 && npy->kind != 'V' ? '<' : '|';
    int n = snprintf(text, sizeof text, "{'descr': '%c%c%d', 'fortran_order': False, 'shape': (",
                     order, npy->kind, npy->bytes);
    for (int i = 0; i < npy->rank; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%" PRId64 ", ", npy->shape[i]);
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    int whole = (START + n + ALIGN) / ALIGN * ALIGN - START;
    memcpy(to, "\x93NUMPY\1\0", 8);
    to[8] = (uint8_t)(whole & 255), to[9] = (uint8_t)(whole >> 8);
    memcpy(to + START, text, (size_t)n);
    memset(to + START + n, ' ', (size_t)(whole - n));
    to[START + whole - 1] = '\n';
    return (size_t)(START + whole);
}
