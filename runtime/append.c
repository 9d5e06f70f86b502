// Appending whole records. One write(2) each as a rule; a short one (a disk about to be full) is
// followed by another, which then says why, and the file gets back the size it had.
#include "runtime/append.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool append_record(int fd, const char *path, const void *data, size_t size, Error *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = write(fd, (const char *)data + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
    if (done == size) return true;
    int why = errno;
    bool torn = done && ftruncate(fd, lseek(fd, 0, SEEK_END) - (off_t)done);
    return error_set(err, "%s: write: %s%s", path, strerror(why),
                     torn ? " (its last record is torn)" : "");
}

bool append_sync(int fd, const char *path, Error *err)
{
    if (!fsync(fd) || errno == EINVAL) return true; // EINVAL: a pipe
    return error_set(err, "%s: fsync: %s", path, strerror(errno));
}
