// Files: mapped whole for reading; written so that they appear complete or not at all.
#ifndef CZT_BASE_FILE_H
#define CZT_BASE_FILE_H

#include "base/arena.h"
#include "base/diag.h"

// A 64-bit checksum of a stream of bytes: any change within eight aligned bytes changes it.
// It finds damage, it does not withstand malice. Start from checksum_start().
typedef struct Checksum {
    uint64_t lane[4], size;
    uint8_t tail[32];
} Checksum;

Checksum checksum_start(void);
void checksum_add(Checksum *sum, const void *data, size_t size);
uint64_t checksum_end(const Checksum *sum);
// The three above for one block.
uint64_t checksum_bytes(const void *data, size_t size);

// A file mapped read-only; data is page-aligned, and not NULL even when the file is empty.
typedef struct FileMap {
    const uint8_t *data;
    size_t size;
} FileMap;

// Err, and no waiting, where the path is a folder, a pipe or a device.
bool file_map(FileMap *map, const char *path, Error *err);
// A zeroed map is allowed.
void file_unmap(FileMap *map);

// The path from the root of a file, whose folder is there. The file's own name is kept where it is
// a link: what it says begins in the folder that it was named in.
const char *path_whole(Arena *arena, const char *path);

// A file being written under a temporary name beside its place.
typedef struct FileWriter {
    int fd; // -1 when closed
    const char *path, *temporary;
    Checksum sum; // of all bytes so far
} FileWriter;

// Create the temporary file; mode as in open(2). The names live in the arena. Err where something
// is at the path that is no regular file.
bool file_create(FileWriter *w, Arena *arena, const char *path, uint32_t mode, Error *err);
// Append bytes. After a failure only file_cancel is allowed.
bool file_put(FileWriter *w, const void *data, size_t size, Error *err);
// Append n zero bytes.
bool file_pad(FileWriter *w, size_t n, Error *err);
// Make it durable and visible: fsync, rename, fsync of the folder. On failure the file is removed.
bool file_commit(FileWriter *w, Error *err);
// Remove the temporary file; nothing after a commit.
void file_cancel(FileWriter *w);
// fsync a folder, so that names made or renamed in it last.
bool folder_sync(const char *path, Error *err);

#endif
