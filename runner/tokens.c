// The tokenizers that a program has with it: by their names in the manifest's data.
#include "runner/tokens.h"

#include "runner/assets.h"

#include <string.h>

TokenizerFiles tokens_files(Arena *arena, TokenizerFiles carried)
{
    const Asset *merges = assets_find("clip/bpe_simple_vocab_16e6.txt.gz");
    uint32_t n = carried.n;
    TokenizerFile *files = arena_array(arena, TokenizerFile, n + 1);
    for (uint32_t i = 0; i < n; i++) files[i] = carried.at[i];
    if (merges) files[n++] = (TokenizerFile){"clip", merges->data, asset_size(merges)};
    return (TokenizerFiles){files, n};
}

Tokenizer *tokens_of_input(Arena *arena, const Step *step, const CztTensor *input, Error *err)
{
    const json_t *fields = json_object_get(json_object_get(step->manifest, "data"), "fields");
    const json_t *field, *found = NULL;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)fields, i, field)
    {
        const char *name = json_string_value(json_object_get(field, "name"));
        if (name && strcmp(name, input->name) == 0) found = field;
    }
    const char *name = json_string_value(json_object_get(found, "tokenizer"));
    const char *pad = json_string_value(json_object_get(found, "pad"));
    const TokenizerFiles files = tokens_files(arena, step->tokenizers);
    Tokenizer *t = tokenizer_named(&files, name ? name : "clip", err);
    if (t && tokenizer_fit(t, pad, input->shape[1], err)) return t;
    tokenizer_close(t);
    return NULL;
}
