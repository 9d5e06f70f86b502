// Text made of templates, which are files inside of cztc: {{name}} stands for a value. A main
// template has lines that stand for sections of its parts:
//     @each KEY     the section KEY of every part
//     @under KEY    the same under an empty line and `KEY:`, or nothing where no part has it
//     @set KEY      the lines of these sections, each once
// A part is sections alone, which begin with @KEY.
#ifndef CZT_CLI_TEMPLATE_H
#define CZT_CLI_TEMPLATE_H

#include "base/map.h"
#include "base/vec.h"

// Values by name: Map of const char *.
typedef struct Part {
    const char *text;
    Map values;
    const char *leave; // a section that is not to be had of this part, or NULL
} Part;

typedef VEC(Part) Parts;

// A file inside of cztc, NUL-terminated in the arena; NULL where there is none of the name.
const char *template_text(Arena *arena, const char *name);
// The main template with its values and parts. A value that is not there is a bug.
const char *template_fill(Arena *arena, const char *text, const Map *values, const Parts *parts);

// A text as a YAML value, in quotes where it needs them.
const char *yaml_text(Arena *arena, const char *text);

// A row of words of a text: of its lines that are neither empty nor begin with '#'.
typedef VEC(const char *) Words;
typedef VEC(Words) WordRows;
WordRows template_rows(Arena *arena, const char *text);

#endif
