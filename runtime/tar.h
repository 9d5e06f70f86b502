// Reader of tar archives (ustar, pax and GNU long names): headers one after the other, bodies by
// offset.
#ifndef CZT_RUNTIME_TAR_H
#define CZT_RUNTIME_TAR_H

#include "base/diag.h"

typedef struct Tar Tar;

// A regular file in the archive: its body is bytes [offset, offset + size) of the archive.
typedef struct TarMember {
    const char *name; // NUL-terminated, without a leading "./"; valid until the next tar_next
    int64_t offset, size;
} TarMember;

typedef enum { TAR_MEMBER, TAR_END, TAR_CUT, TAR_DAMAGED } TarResult;

// Open an archive at its first header. NULL with err when it cannot be opened or is no regular
// file.
Tar *tar_open(const char *path, Error *err);
// The next regular file; folders, links and devices are passed over. TAR_DAMAGED (err names file,
// member and offset) on a bad checksum, a bad number or a body cut off; what came before stays
// readable. member->name is then the member that is cut off, NULL when it is not known. TAR_CUT
// (err names file and offset) behind the last whole member, where the two zero blocks that end an
// archive are not: there may have been more.
TarResult tar_next(Tar *tar, TarMember *member, Error *err);
void tar_close(Tar *tar);

// Read size bytes at offset of fd; path is for the message only. Any thread may call it.
bool tar_read(int fd, const char *path, int64_t offset, void *to, int64_t size, Error *err);

// Split a member's name by the webdataset rule: the key ends before the first dot of the last path
// component, the extension is what follows that dot. False when there is no key or no extension.
bool tar_split(const char *name, size_t *key_length, const char **extension);

#endif
