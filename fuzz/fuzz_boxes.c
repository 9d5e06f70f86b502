// Labels of boxes and points of any bytes: no crash; an error, or rows that lie in the view, those
// of boxes first and no more than there is room for. The first byte chooses role, format and view.
#include "runtime/boxes.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 5, COPIES = 2, WIDTH = 20, HEIGHT = 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) abort();
}

static void check_row(const float *at, int width)
{
    check(at[0] >= 0 && at[1] >= 0 && at[0] <= WIDTH && at[1] <= HEIGHT);
    if (width == 4) check(at[0] < at[2] && at[1] < at[3] && at[2] <= WIDTH && at[3] <= HEIGHT);
}

static void check_rows(const FieldSpec *f, const PlaceRows *rows)
{
    int width = f->role == ROLE_BOXES ? 4 : 2;
    for (int i = 0; i < COPIES * ROWS; i++) {
        check(rows->class[i] >= 0 && rows->class[i] < f -> classes);
        if (rows->valid[i]) check_row(rows->at + i * width, width);
        bool gap = width == 4 && i % ROWS && rows->valid[i] && !rows->valid[i - 1];
        check(!gap && rows->valid[i] <= 1);
    }
    check(rows->dropped >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"cat", "dog", "bird"};
    static const Geometry views[] = {{0, 0, 1, 1, false}, {0.25, 0.1, 0.75, 0.9, true}};
    float at[COPIES * ROWS * 4], score[COPIES * ROWS];
    int32_t class[COPIES * ROWS];
    uint8_t valid[COPIES * ROWS], kind = size ? *data : 0;
    if (!size) return 0;
    FieldSpec f = {.name = "b",
                   .role = kind & 1 ? ROLE_POINTS : ROLE_BOXES,
                   .format = (PlaceFormat)((kind >> 1) % 3),
                   .height = HEIGHT,
                   .width = WIDTH,
                   .length = ROWS,
                   .names = {(const char **)(uintptr_t)names, 3},
                   .classes = 3,
                   .min_score = -1e30,
                   .min_visible = 0.1};
    PlaceRows rows = {at, class, score, valid, 0};
    Scratch scratch = {0};
    Error err = {0};
    if (places_decode(&f, data + 1, size - 1, &(Cuts){views, COPIES, 100, 200}, &scratch, &rows,
                      &err))
        check_rows(&f, &rows);
    else
        check(err.set && *err.text);
    scratch_free(&scratch);
    return 0;
}
