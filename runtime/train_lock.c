// The lock of a run's folder: flock(2), which the kernel lets go when the process ends, even by
// SIGKILL. The number in the file is for the message only; one that a dead process left is
// overwritten by the next.
#include "runtime/train_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static bool refuse(int fd, const char *folder, const char *path, Error *err)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long holder = n > 0 ? strtol(text, NULL, 10) : 0;
    if (holder <= 0)
        return error_set(err, "%s: another process trains here (it holds %s)", folder, path);
    return error_set(err, "%s: process %ld trains here (it holds %s); wait for it, or end it",
                     folder, holder, path);
}

static bool take(int fd, const char *folder, const char *path, FILE *warnings, Error *err)
{
    while (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno == EINTR) continue;
        if (errno == EWOULDBLOCK) return refuse(fd, folder, path, err);
        if (warnings)
            fprintf(warnings, "warning: %s: %s; nothing keeps a second trainer out of the folder\n",
                    path, strerror(errno));
        return true;
    }
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    // Without room for the number (a full disk) the lock holds all the same.
    return ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) < 0 || true;
}

// Files a killed trainer left half-written, "NAME.tmp.PROCESS", are nobody's now.
static void clear_left(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        const char *mark = strstr(e->d_name, ".tmp.");
        if (mark && mark[5] && !mark[5 + strspn(mark + 5, "0123456789")])
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir) closedir(dir);
}

int train_lock(const char *folder, FILE *warnings, Error *err)
{
    Arena *arena = arena_new();
    const char *path = str_printf(arena, "%s/lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        error_set(err, "%s: %s", path, strerror(errno));
    } else if (!take(fd, folder, path, warnings, err)) {
        close(fd);
        fd = -1;
    } else {
        clear_left(folder);
    }
    arena_free(arena);
    return fd;
}
