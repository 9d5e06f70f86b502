// Whole records at the end of a file: what the log and the event files are made of.
#ifndef CZT_RUNTIME_APPEND_H
#define CZT_RUNTIME_APPEND_H

#include "base/diag.h"

// Append a record to a file opened for appending, all of it or nothing: where the disk is full the
// part that found room is cut off again, so that only a kill or a power cut leaves a torn record.
// `path` is for the error.
bool append_record(int fd, const char *path, const void *data, size_t size, Error *err);
// Make all records durable.
bool append_sync(int fd, const char *path, Error *err);

#endif
