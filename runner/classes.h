// Class names and prompt templates of zero-shot classification.
#ifndef CZT_RUNNER_CLASSES_H
#define CZT_RUNNER_CLASSES_H

#include "base/diag.h"

typedef struct Classes {
    const char **names, **templates; // of UTF-8; a template has {} where the name goes
    int64_t n, ntemplates;           // 1 or more of each
} Classes;

// Read the names of a file: JSON {"classes": [..], "templates": [..]}, or a text with a name a
// line. prompts (may be NULL): a file with other templates, JSON {"templates": [..]} or a template
// a line. Without any templates: "a photo of a {}.". Everything lives in the arena; err names the
// file.
bool classes_read(Arena *arena, const char *file, const char *prompts, Classes *out, Error *err);

#endif
