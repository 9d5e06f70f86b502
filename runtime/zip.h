// Members of a zip archive in memory, as .npz files are: stored or deflated.
#ifndef CZT_RUNTIME_ZIP_H
#define CZT_RUNTIME_ZIP_H

#include "base/diag.h"
#include "runtime/transform.h"

// Is it a zip archive, by its first bytes?
bool zip_is(const void *data, size_t size);

// The bytes of the member `name`, in the archive itself when it is stored, else in `room`, where
// they stay until it is used again. Err when there is no such member, which names those that there
// are, and when it is damaged.
bool zip_member(const void *data, size_t size, const char *name, Scratch *room, const uint8_t **at,
                size_t *bytes, Error *err);

#endif
