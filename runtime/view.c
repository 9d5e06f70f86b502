#include "runtime/view.h"

#include <inttypes.h>
#include <string.h>

bool view_pixels(const ViewSpec *view, const Geometry *geometry, Decoder *decoder, uint8_t *to,
                 Error *err)
{
    const Image *image = &decoder->image;
    return resample_u8(image->at, image->height, image->width, geometry, to, view->height,
                       view->width, &decoder->resample) ||
           error_set(err, "out of memory for a view");
}

// The pixels of the box alone, (height, width, 3) and a few readable bytes; NULL when memory is
// out.
static const uint8_t *cut(const Image *image, const int64_t box[4], Scratch *room)
{
    enum { SLACK = 16 };
    size_t row = (size_t)box[3] * 3;
    uint8_t *to = scratch_reserve(room, (size_t)box[2] * row + SLACK);
    for (int64_t y = 0; to && y < box[2]; y++)
        memcpy(to + (size_t)y * row, image->at + ((box[0] + y) * image->width + box[1]) * 3, row);
    return to;
}

static void mirror(uint8_t *at, int64_t h, int64_t w)
{
    for (int64_t y = 0; y < h; y++, at += 3 * w)
        for (int64_t x = 0; x < w / 2; x++)
            for (int c = 0; c < 3; c++) {
                uint8_t *a = at + 3 * x + c, *b = at + 3 * (w - 1 - x) + c, swap = *a;
                *a = *b, *b = swap;
            }
}

static bool box_fits(const Image *image, const int64_t box[4], Error *err)
{
    if (box[0] <= image->height - box[2] && box[1] <= image->width - box[3]) return true;
    return error_set(err,
                     "augmentation: the box [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                     "] is not in a picture of height %" PRId64 " and width %" PRId64,
                     box[0], box[1], box[2], box[3], image->height, image->width);
}

bool view_replay(const ViewSpec *view, const Replay *replay, Decoder *decoder, Geometry *geometry,
                 uint8_t *to, Error *err)
{
    static const Geometry whole = {0, 0, 1, 1, false};
    const Image *image = &decoder->image;
    double height = (double)image->height, width = (double)image->width;
    int64_t all[4] = {0, 0, image->height, image->width};
    const int64_t *box = replay->has_box ? replay->box : all;
    if (!box_fits(image, box, err)) return false;
    *geometry = (Geometry){(double)box[1] / width, (double)box[0] / height,
                           (double)(box[1] + box[3]) / width, (double)(box[0] + box[2]) / height,
                           replay->flip};
    const uint8_t *from = cut(image, box, &decoder->cut);
    bool ok = from && resample_u8(from, box[2], box[3], &whole, to, view->height, view->width,
                                  &decoder->resample);
    if (ok && replay->flip) mirror(to, view->height, view->width);
    for (uint32_t i = 0; ok && i < replay->nops; i++)
        ok = augment_pixels(&replay->ops[i], to, view->height, view->width, &decoder->resample);
    return ok || error_set(err, "out of memory for a view");
}
