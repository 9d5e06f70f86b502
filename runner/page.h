// One HTML page of samples, which needs nothing but itself.
#ifndef CZT_RUNNER_PAGE_H
#define CZT_RUNNER_PAGE_H

#include "runner/look.h"

typedef struct Page {
    Look *look;
    char *text; // of the samples so far
    size_t size;
    FILE *out; // to the text
    int64_t shown;
} Page;

bool page_open(Page *page, Look *look, Error *err);
// Add the sample that was read last.
bool page_add(Page *page, Error *err);
// Write the page: a head with the figures of all that was looked at, then the samples. `notes` are
// lines of plain text above them.
bool page_write(Page *page, Arena *arena, const char *path, const char *title,
                const char *const *notes, uint32_t nnotes, Error *err);
// A zeroed page is allowed.
void page_close(Page *page);

#endif
