// The tokenizer.json files that a graph's fields name: read when the graph is, and carried by its
// step.
#ifndef CZT_CLI_TOKENIZERS_H
#define CZT_CLI_TOKENIZERS_H

#include "base/container.h"
#include "base/file.h"
#include "frontend/frontend.h"

// A file; of fields with the same one there is one.
typedef struct TokenizerPart {
    const char *path;
    FileMap map;       // stays as long as the program runs; zero where the file is not there
    uint64_t checksum; // of it
    int32_t tokens;    // the largest + 1
} TokenizerPart;

typedef VEC(TokenizerPart) TokenizerParts;

// Read them all; problems go to the diag. A file that is not there is warned of. Errors: a file
// that is no tokenizer or has what is not supported, no token to pad with, or, where `fits` is
// asked for, more tokens than the table that they index has rows (of CLIP's: a warning).
TokenizerParts tokenizers_read(Arena *arena, Diag *diag, const Frontend *frontend, bool fits);
// The step's sections with theirs, and "tokenizers" in the manifest.
void tokenizers_add(Arena *arena, const TokenizerParts *parts, Section **sections, uint32_t *n);
// How many tokens the tokenizer of a field has; 0 where that is not known, or it is CLIP's.
int32_t tokenizers_size(const Frontend *frontend, const TokenizerParts *parts, const char *field);

#endif
