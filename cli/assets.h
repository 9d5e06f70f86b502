// Files that are part of the program: the library of modules, the merges of CLIP's tokenizer.
#ifndef CZT_CLI_ASSETS_H
#define CZT_CLI_ASSETS_H

#include "base/diag.h"

typedef struct Asset {
    const char *name; // "lib/encoders/vit.yaml", "clip/bpe_simple_vocab_16e6.txt.gz"
    const unsigned char *data, *end;
} Asset;

// Made by CMake out of graphs/lib and graphs/data/clip; ends with a NULL name.
extern const Asset assets[];

// The asset of that name; a bug where there is none.
const Asset *assets_find(const char *name);
// A folder with the library's files, as they are in the program: XDG_CACHE_HOME/cztc/lib-CHECKSUM,
// made or mended where needed, so that messages can name files one can open. NULL with err.
const char *assets_library(Arena *arena, Error *err);

#endif
