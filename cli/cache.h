// What compiling made, kept on disk for the next time.
#ifndef CZT_CLI_CACHE_H
#define CZT_CLI_CACHE_H

#include "codegen/code.h"

typedef struct Cache {
    const char *folder; // NULL: nothing is kept
    uint64_t program;   // what compiles: this program and its libraries
} Cache;

// Find the folder, XDG_CACHE_HOME/cztc/steps, or make it. Where that cannot be, or another user
// could write there, nothing is kept, and nobody is told.
void cache_open(Cache *cache, Arena *arena);
// The cache as codegen/ takes it; it must outlive what is made of it.
CodeStore cache_store(Cache *cache);

#endif
