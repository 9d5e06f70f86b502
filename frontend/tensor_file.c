// Headers alone are read: of .npy by base/npy.h, of safetensors the JSON behind the length, as far
// as the tensor asked for. Whether the rest of the file is whole is the runtime's to say.
#include "frontend/tensor_file.h"

#include "base/file.h"
#include "base/npy.h"
#include "base/vec.h"

#include <ctype.h>
#include <string.h>

typedef struct Text {
    const char *at, *end;
} Text;

static bool take(Text *t, char c)
{
    while (t->at < t->end && strchr(" \t\r\n", *t->at)) t->at++;
    if (t->at == t->end || *t->at != c) return false;
    t->at++;
    return true;
}

// A string, as it stands between its quotes.
static bool take_string(Text *t, Text *string)
{
    if (!take(t, '"')) return false;
    string->at = t->at;
    while (t->at < t->end && *t->at != '"') t->at += *t->at == '\\' ? 2 : 1;
    if (t->at >= t->end) return false;
    string->end = t->at++;
    return true;
}

// The four digits of \uXXXX; -1 when they are none.
static int32_t take_code(Text *t)
{
    int32_t code = 0;
    if (t->end - t->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef";
        const char *d = memchr(digits, tolower((unsigned char)*t->at++), 16);
        if (!d) return -1;
        code = code << 4 | (int32_t)(d - digits);
    }
    return code;
}

static size_t put_utf8(char *to, uint32_t code)
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; i > 1; i--, code >>= 6) to[i - 1] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)(lead[n == 1 ? 0 : n] | code);
    return n;
}

// The bytes that an escape, behind its backslash, stands for; 0 when it is damaged.
static size_t take_escape(Text *t, char to[4])
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char c = t->at < t->end ? *t->at++ : 0;
    const char *letter = memchr(letters, c, sizeof letters - 1);
    if (letter) {
        to[0] = meant[letter - letters];
        return 1;
    }
    int32_t code = c == 'u' ? take_code(t) : -1;
    if (code >= 0xd800 && code < 0xdc00) { // the first of the two halves of a large one
        bool more = t->end - t->at >= 6 && t->at[0] == '\\' && t->at[1] == 'u';
        t->at += more ? 2 : 0;
        int32_t low = more ? take_code(t) : -1;
        code = low < 0xdc00 || low > 0xdfff ? -1 : 0x10000 + ((code - 0xd800) << 10) + low - 0xdc00;
    }
    return code < 0 ? 0 : put_utf8(to, (uint32_t)code);
}

// Does a string, as it stands between its quotes, mean this text?
static bool means(Text string, const char *text)
{
    while (string.at < string.end) {
        char bytes[4] = {*string.at++};
        size_t n = bytes[0] == '\\' ? take_escape(&string, bytes) : 1;
        if (!n || !bytes[0] || strncmp(text, bytes, n) != 0) return false;
        text += n;
    }
    return !*text;
}

// A value of any kind: up to the comma or bracket that ends it.
static bool skip(Text *t)
{
    Text string;
    for (int depth = 0; t->at < t->end; t->at++) {
        if (*t->at == '"') {
            if (!take_string(t, &string)) return false;
            t->at--;
        }
        if (!depth && strchr(",]}", *t->at)) return true;
        if (strchr("[{", *t->at)) depth++;
        if (strchr("]}", *t->at)) depth--;
    }
    return false;
}

// Go to the value of a key in the object that begins here.
static bool go_to(Text *t, const char *key)
{
    Text name;
    if (!take(t, '{')) return false;
    do {
        if (!take_string(t, &name) || !take(t, ':')) return false;
        if (means(name, key)) return true;
        if (!skip(t)) return false;
    } while (take(t, ','));
    return false;
}

static bool take_sizes(Arena *arena, Text *t, int64_t **sizes, uint32_t *rank)
{
    VEC(int64_t) all = {0};
    bool ok = take(t, '[');
    while (ok && !take(t, ']')) {
        int64_t n = 0;
        ok = (!all.n || take(t, ',')) && !take(t, '\0');
        while (ok && t->at < t->end && *t->at == ' ') t->at++;
        const char *begin = t->at;
        for (; t->at < t->end && *t->at >= '0' && *t->at <= '9' && n < INT64_MAX / 16; t->at++)
            n = 10 * n + (*t->at - '0');
        ok = ok && t->at > begin;
        vec_push(arena, &all, n);
    }
    *sizes = all.at, *rank = all.n;
    return ok;
}

static bool safetensors_shape(Arena *arena, const FileMap *map, const char *name, int64_t **sizes,
                              uint32_t *rank, Error *err)
{
    uint64_t n = 0;
    for (size_t i = 0; i < 8 && map->size >= 8; i++) n |= (uint64_t)map->data[i] << 8 * i;
    if (map->size < 8 || n > map->size - 8)
        return error_set(err, "neither a safetensors file nor an .npy");
    const char *header = (const char *)map->data + 8;
    Text t = {header, header + n};
    if (!go_to(&t, name)) return error_set(err, "it has no tensor '%s'", name);
    return (go_to(&t, "shape") && take_sizes(arena, &t, sizes, rank)) ||
           error_set(err, "its header is damaged");
}

static bool npy_shape(Arena *arena, const FileMap *map, int64_t **sizes, uint32_t *rank, Error *err)
{
    Npy npy;
    if (!npy_view(map->data, map->size, &npy, err)) return false;
    *rank = (uint32_t)npy.rank;
    *sizes = arena_array(arena, int64_t, *rank + 1);
    memcpy(*sizes, npy.shape, *rank * sizeof **sizes);
    return true;
}

bool tensor_file_shape(Arena *arena, const char *path, const char *name, int64_t **sizes,
                       uint32_t *rank, Error *err)
{
    FileMap map;
    Error why = {0};
    if (!file_map(&map, path, err)) return false;
    bool ok = npy_is(map.data, map.size) ? npy_shape(arena, &map, sizes, rank, &why)
                                         : safetensors_shape(arena, &map, name, sizes, rank, &why);
    file_unmap(&map);
    return ok || error_set(err, "%s: %s", path, why.text);
}
