// Cleaning of captions, as CLIP's tokenizer wants them before it splits words.
#ifndef CZT_RUNTIME_CAPTION_H
#define CZT_RUNTIME_CAPTION_H

#include "base/diag.h"

// Growable bytes. Zero-initialise; free(at).
typedef struct Text {
    char *at;
    size_t n, capacity;
} Text;

// Clean n bytes of UTF-8 into `to`: HTML character references resolved (twice), runs of white space
// made one blank, both ends trimmed, lower case (with the final sigma). Err on invalid UTF-8.
// Mending of wrongly decoded text (ftfy) is left out: it guesses, and belongs into the making of a
// data set.
bool caption_clean(const char *text, size_t n, Text *to, Error *err);

// Append n bytes; false when memory is out.
bool text_add(Text *to, const char *bytes, size_t n);

// Position of the first byte that is not UTF-8; n when all is.
size_t text_valid(const char *text, size_t n);

// Decode the character at text[*at] and step over it. The text must be valid UTF-8.
int32_t text_next(const char *text, size_t n, size_t *at);

#endif
