// CLIP's byte-pair tokenizer, with its cleaning of captions. runtime/tokenizer.h is the door.
#ifndef CZT_RUNTIME_CLIP_TOKENS_H
#define CZT_RUNTIME_CLIP_TOKENS_H

#include "base/diag.h"

typedef struct ClipTokens ClipTokens;

// Read the published merges, NUL-terminated; the text is cut up. NULL with err.
ClipTokens *clip_tokens_open(char *text, const char *name, Error *err);
void clip_tokens_close(ClipTokens *t);
int32_t clip_tokens_size(void);
// As tokenizer_encode and tokenizer_decode.
bool clip_tokens_encode(const ClipTokens *t, const char *text, size_t n, int32_t *out,
                        int64_t length, Error *err);
char *clip_tokens_decode(const ClipTokens *t, const int32_t *tokens, int64_t n);

#endif
