// A folder and an arena for each test of a suite that writes shards.
#ifndef CZT_TESTS_DATA_FOLDER_H
#define CZT_TESTS_DATA_FOLDER_H

#include "data_make.h"

static char folder[300];
static Arena *arena;

static void begin(void)
{
    make_folder(folder, sizeof folder);
    arena = arena_new();
}

static void end(void)
{
    remove_folder(folder);
    arena_free(arena);
}

#endif
