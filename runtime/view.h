// One view of a sample: from a decoded picture to pixels of the view's size.
#ifndef CZT_RUNTIME_VIEW_H
#define CZT_RUNTIME_VIEW_H

#include "runtime/field.h"

// Buffers come from the decoder, whose image is the picture. Err when the box is not in it, or
// memory is out.

// The pixels (h, w, 3) under a geometry.
bool view_pixels(const ViewSpec *view, const Geometry *geometry, Decoder *decoder, uint8_t *to,
                 Error *err);
// The same as stored: the box is cut out first, so that nothing beside it has a share in the
// pixels. *geometry becomes that of labels.
bool view_replay(const ViewSpec *view, const Replay *replay, Decoder *decoder, Geometry *geometry,
                 uint8_t *to, Error *err);

#endif
