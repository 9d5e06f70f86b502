// The reader of tokenizer.json files, and the encoder of what it takes: no crash, and tokens of the
// vocabulary or an error. The input is a file, a zero byte, and a caption.
#include "runtime/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) abort();
}

static void check_caption(const Tokenizer *t, const char *caption, size_t n)
{
    enum { LENGTH = 24 };
    Error err = {0};
    int32_t tokens[LENGTH];
    bool ok = tokenizer_encode(t, caption, n, tokens, LENGTH, &err);
    check(ok != err.set);
    for (int i = 0; ok && i < LENGTH; i++) check(tokens[i] >= 0 && tokens[i] < tokenizer_size(t));
    if (ok) free(tokenizer_decode(t, tokens, tokenizer_used(t, tokens, LENGTH)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size;
    Error err = {0};
    Tokenizer *t = tokenizer_open_bytes(data, n, "input", &err);
    check(!t == err.set);
    if (t && tokenizer_fit(t, NULL, 24, &err)) {
        check_caption(t, "a b, 12 \xC3\xA9", 10);
        if (zero) check_caption(t, (const char *)zero + 1, size - n - 1);
    }
    tokenizer_close(t);
    return 0;
}
