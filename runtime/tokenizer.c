// The door to tokenizers: which kind a file is, and what both kinds are asked.
#include "runtime/tokenizer.h"

#include "base/file.h"
#include "runtime/clip_tokens.h"
#include "runtime/tokens.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

struct Tokenizer {
    ClipTokens *clip; // one of the two
    TokenFile *file;
    int32_t pad;
};

// What the end of a gzip file says, or what is likely where that is too much.
static size_t unpacked_size(const uint8_t *bytes, size_t size)
{
    const uint8_t *p = bytes + size - 4;
    size_t said = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    return said / 64 < size ? said + 64 : size * 4 + 64;
}

// Unpack gzip or zlib data, or copy plain text; NUL-terminated. NULL with err.
static char *unpack(const void *data, size_t size, size_t *n, const char *name, Error *err)
{
    enum { LIMIT = 1 << 28 };
    const uint8_t *bytes = data;
    bool packed = size > 18 && bytes[0] == 0x1F && bytes[1] == 0x8B;
    size_t room = packed ? unpacked_size(bytes, size) : size;
    for (;; room *= 2) {
        char *text = room < LIMIT && size < LIMIT ? malloc(room + 1) : NULL;
        if (!text) {
            error_set(err, "%s: too large for a tokenizer", name);
            return NULL;
        }
        if (!packed) {
            memcpy(text, data, size);
            text[ *n = size] = 0;
            return text;
        }
        z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes,
                      .avail_in = (uInt)size,
                      .next_out = (Bytef *)text,
                      .avail_out = (uInt)room};
        int code = inflateInit2(&z, 15 + 32);
        if (code == Z_OK) code = inflate(&z, Z_FINISH);
        inflateEnd(&z);
        if (code == Z_STREAM_END) {
            text[ *n = z.total_out] = 0;
            return text;
        }
        free(text);
        if (code != Z_BUF_ERROR || z.avail_out > 0) {
            error_set(err, "%s: damaged or cut off gzip data", name);
            return NULL;
        }
    }
}

// A tokenizer.json is an object; a list of merges begins with its version.
static bool is_object(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '{';
}

Tokenizer *tokenizer_open_bytes(const void *data, size_t size, const char *name, Error *err)
{
    size_t n = 0;
    char *text = unpack(data, size, &n, name, err);
    Tokenizer *t = text ? calloc(1, sizeof *t) : NULL;
    if (text && !t) error_set(err, "%s: out of memory", name);
    if (t && is_object(text))
        t->file = token_file_open(text, n, name, err);
    else if (t)
        t->clip = clip_tokens_open(text, name, err);
    free(text);
    if (t && t->file) t->pad = token_file_pad(t->file, NULL);
    if (t && (t->file || t->clip)) return t;
    tokenizer_close(t);
    return NULL;
}

Tokenizer *tokenizer_open(const char *path, Error *err)
{
    FileMap map;
    if (!file_map(&map, path, err)) return NULL;
    Tokenizer *t = tokenizer_open_bytes(map.data, map.size, path, err);
    file_unmap(&map);
    return t;
}

Tokenizer *tokenizer_named(const TokenizerFiles *files, const char *name, Error *err)
{
    for (uint32_t i = 0; i < files->n; i++)
        if (strcmp(files->at[i].name, name) == 0)
            return tokenizer_open_bytes(files->at[i].data, files->at[i].size, name, err);
    if (strcmp(name, "clip") != 0) return tokenizer_open(name, err);
    error_set(err, "CLIP's merges are not given");
    return NULL;
}

const void *tokenizer_pack(Arena *arena, const void *data, size_t size, size_t *packed)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    size_t room = deflateBound(&z, (uLong)size);
    void *to = arena_alloc(arena, room);
    z.next_out = to, z.avail_out = (uInt)room;
    int code = deflate(&z, Z_FINISH);
    *packed = z.total_out;
    deflateEnd(&z);
    return code == Z_STREAM_END ? to : NULL;
}

void tokenizer_close(Tokenizer *t)
{
    if (!t) return;
    clip_tokens_close(t->clip);
    token_file_close(t->file);
    free(t);
}

bool tokenizer_fit(Tokenizer *t, const char *pad, int64_t length, Error *err)
{
    if (t->clip) return true;
    if (pad) t->pad = token_file_pad(t->file, pad);
    if (t->pad < 0 && pad)
        return error_set(err, "the tokenizer has no token '%s' to pad with", pad);
    if (t->pad < 0)
        return error_set(err, "the tokenizer's file names no token to pad with: say one, as in "
                              "'pad: <|endoftext|>'");
    return length >= token_file_around(t->file) ||
           error_set(err,
                     "a length of %" PRId64 " has no room for the %" PRId64 " tokens around a text",
                     length, token_file_around(t->file));
}

int32_t tokenizer_size(const Tokenizer *t)
{
    return t->clip ? clip_tokens_size() : token_file_size(t->file);
}

int32_t tokenizer_end(const Tokenizer *t)
{
    return t->clip ? clip_tokens_size() - 1 : token_file_end(t->file);
}

bool tokenizer_encode(const Tokenizer *t, const char *text, size_t n, int32_t *out, int64_t length,
                      Error *err)
{
    if (t->clip) return clip_tokens_encode(t->clip, text, n, out, length, err);
    return token_file_encode(t->file, text, n, out, length, t->pad, err);
}

char *tokenizer_decode(const Tokenizer *t, const int32_t *tokens, int64_t n)
{
    return t->clip ? clip_tokens_decode(t->clip, tokens, n) : token_file_decode(t->file, tokens, n);
}

int64_t tokenizer_used(const Tokenizer *t, const int32_t *tokens, int64_t n)
{
    int64_t used = 0;
    if (t->clip) {
        while (used < n && tokens[used] != clip_tokens_size() - 1) used++;
        return used < n ? used + 1 : n;
    }
    for (used = n; used && tokens[used - 1] == t->pad;) used--;
    return used;
}
