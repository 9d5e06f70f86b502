// Tokenizers: CLIP's byte pairs, and those of `tokenizer.json` files.
#ifndef CZT_RUNTIME_TOKENIZER_H
#define CZT_RUNTIME_TOKENIZER_H

#include "base/diag.h"

typedef struct Tokenizer Tokenizer;

// Load a file, gzip or plain: CLIP's published merges (bpe_simple_vocab_16e6.txt), or a
// tokenizer.json. Err names the part of one that is damaged or not supported. NULL with err.
Tokenizer *tokenizer_open(const char *path, Error *err);
// The same from memory, where the file is embedded; name is for messages.
Tokenizer *tokenizer_open_bytes(const void *data, size_t size, const char *name, Error *err);
void tokenizer_close(Tokenizer *t);
// Files by name: what a program or a step carries.
typedef struct TokenizerFile {
    const char *name; // "clip", or a path
    const void *data;
    size_t size;
} TokenizerFile;

typedef struct TokenizerFiles {
    const TokenizerFile *at;
    uint32_t n;
} TokenizerFiles;

// Open the file of that name, from among the files, else at that path. NULL with err.
Tokenizer *tokenizer_named(const TokenizerFiles *files, const char *name, Error *err);
// A file's bytes as a step carries them: gzip. NULL when memory is out.
const void *tokenizer_pack(Arena *arena, const void *data, size_t size, size_t *packed);
// Choose the token to pad with by its text (NULL: what the file says), and see that a sequence of
// that length can be made. CLIP's pads with 0 alone.
bool tokenizer_fit(Tokenizer *t, const char *pad, int64_t length, Error *err);

// Tokens of a caption of n bytes, out (length). CLIP's: start, tokens, end, zeros; a long caption
// is cut so that the last token is the end. A file's: as the library `tokenizers` gives them with
// enable_truncation(length) and enable_padding(length). Err on invalid UTF-8. Any number of threads
// may use one tokenizer.
bool tokenizer_encode(const Tokenizer *t, const char *text, size_t n, int32_t *out, int64_t length,
                      Error *err);
// How many of n tokens are there before the padding, which begins behind CLIP's end.
int64_t tokenizer_used(const Tokenizer *t, const int32_t *tokens, int64_t n);
// The words of n tokens, without special tokens and padding, NUL-terminated; free() it. NULL when
// memory is out.
char *tokenizer_decode(const Tokenizer *t, const int32_t *tokens, int64_t n);
// The largest token + 1 (CLIP: 49408; start and end are the last two).
int32_t tokenizer_size(const Tokenizer *t);
// The token that ends every text; -1: there is none.
int32_t tokenizer_end(const Tokenizer *t);

#endif
