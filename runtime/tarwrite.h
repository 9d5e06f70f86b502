// Writer of tar archives: the same members give the same bytes.
#ifndef CZT_RUNTIME_TARWRITE_H
#define CZT_RUNTIME_TARWRITE_H

#include "base/diag.h"

typedef struct TarWriter TarWriter;

// Create an archive at path (replaced if it is there). NULL with err.
TarWriter *tarwrite_open(const char *path, Error *err);
// Append a regular file: mode 0644, owner 0, time 0. Names past 100 bytes get a pax header.
bool tarwrite_add(TarWriter *t, const char *name, const void *data, size_t size, Error *err);
// Write the end, fsync, close. The writer is freed in any case.
bool tarwrite_close(TarWriter *t, Error *err);
// Close without an end, after a failure; the file stays behind.
void tarwrite_abandon(TarWriter *t);

#endif
