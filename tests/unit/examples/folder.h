// A temporary folder, written and removed by a test.
#ifndef CZT_TESTS_FOLDER_H
#define CZT_TESTS_FOLDER_H

#include "base/arena.h"

// Make a folder of its own; its path.
const char *folder_make(Arena *arena);
// Write a file in it, and the folders that `name` names. Its path.
const char *folder_write(Arena *arena, const char *folder, const char *name, const char *text);
// Copy a file of the source tree into it under that name. Its path.
const char *folder_copy(Arena *arena, const char *folder, const char *name, const char *from);
// Remove it with all that is in it.
void folder_remove(const char *folder);

#endif
