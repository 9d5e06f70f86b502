// CLIP's byte-pair tokenizer.
#ifndef CZT_RUNTIME_TOKENIZER_H
#define CZT_RUNTIME_TOKENIZER_H

#include "base/diag.h"

typedef struct Tokenizer Tokenizer;

// Load the published merges (bpe_simple_vocab_16e6.txt, gzip or plain). NULL with err.
Tokenizer *tokenizer_open(const char *path, Error *err);
// The same from memory, where the file is embedded; name is for messages.
Tokenizer *tokenizer_open_bytes(const void *data, size_t size, const char *name, Error *err);
void tokenizer_close(Tokenizer *t);

// Tokens of a caption of n bytes: out (length) = start, tokens, end, zeros. A long caption is cut
// so that the last token is the end. Err on invalid UTF-8. Any number of threads may use one
// tokenizer.
bool tokenizer_encode(const Tokenizer *t, const char *text, size_t n, int32_t *out, int64_t length,
                      Error *err);
// The words of n tokens, without start, end and padding, NUL-terminated; free() it. NULL when
// memory is out.
char *tokenizer_decode(const Tokenizer *t, const int32_t *tokens, int64_t n);
// Number of tokens (49408); start and end are the last two.
int32_t tokenizer_size(const Tokenizer *t);

#endif
