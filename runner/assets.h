// Files that are part of the program: the merges of CLIP's tokenizer, and what else it has.
#ifndef CZT_RUNNER_ASSETS_H
#define CZT_RUNNER_ASSETS_H

#include <stddef.h>

typedef struct Asset {
    const char *name; // "lib/encoders/vit.yaml", "clip/bpe_simple_vocab_16e6.txt.gz"
    const unsigned char *data, *end;
} Asset;

// Made by CMake, for each program its own; ends with a NULL name.
extern const Asset assets[];

// The asset of that name; a bug where there is none.
const Asset *assets_find(const char *name);
size_t asset_size(const Asset *asset);

#endif
