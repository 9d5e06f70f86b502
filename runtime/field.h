// Decoding of one sample's labels, by role.
#ifndef CZT_RUNTIME_FIELD_H
#define CZT_RUNTIME_FIELD_H

#include "runtime/image.h"
#include "runtime/spec.h"
#include "runtime/tokenizer.h"

// Buffers of one worker. Zero-initialise.
typedef struct Decoder {
    Image image;
    RawImage raw;
    RecordRoom record;
    Scratch bytes, values, resample, cut;
    int64_t dropped; // boxes and points of the sample that were more than their fields hold
} Decoder;
void decoder_free(Decoder *d);

// How many views' geometries a field is made for: its view's count, 1 when it follows none. Boxes
// and points are read by boxes.h.
int64_t field_copies(const DataSpec *spec, const FieldSpec *field);
// Bytes of a sample's value, and of its .valid (one a pixel, or one).
size_t field_bytes(const DataSpec *spec, const FieldSpec *field);
size_t field_valid_bytes(const DataSpec *spec, const FieldSpec *field);

// Decode a member. geometry has `copies` entries; value and valid are filled whole: pixel labels
// (copies, h, w), normals (copies, 3, h, w). Where valid is 0 the value is 0. Err when the member
// is damaged or does not fit the field.
bool field_decode(const FieldSpec *field, const Tokenizer *tokenizer, const void *data, size_t size,
                  const Geometry *geometry, int64_t copies, Decoder *decoder, void *value,
                  uint8_t *valid, Error *err);

#endif
