// Patterns of names, as graph files and options have them: * stands for any text, ? for one
// character.
#ifndef CZT_BASE_GLOB_H
#define CZT_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct GlobPart { // of a text, that a star met
    const char *at;
    size_t n;
} GlobPart;

bool glob_match(const char *pattern, const char *text);
// The same; parts, as many as the pattern has stars, become what each met: as little as it can, the
// first ones first. What it says is of use where the pattern matches.
bool glob_parts(const char *pattern, const char *text, GlobPart *parts);
// The same of paths: neither stands for a dot.
bool glob_path(const char *pattern, const char *path);
// Its stars.
uint32_t glob_stars(const char *pattern);
// Has it any * or ?
bool glob_any(const char *pattern);

#endif
