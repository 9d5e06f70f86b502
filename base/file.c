// Files that appear whole or not at all, and the checksum of the project's own formats.
// The checksum runs four independent lanes of xor, rotate, multiply over eight-byte words: each
// step is a bijection of its lane, so a change confined to one word always shows.
#include "base/file.h"

#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

Checksum checksum_start(void)
{
    return (Checksum){.lane = {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu,
                               0xd6e8feb86659fd93u}};
}

static void add_blocks(uint64_t lane[4], const uint8_t *p, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++, p += 32) {
        for (int i = 0; i < 4; i++) {
            uint64_t word;
            memcpy(&word, p + 8 * i, 8);
            uint64_t x = lane[i] ^ word;
            lane[i] = (x << 29 | x >> 35) * 0x9fb21c651e98df25u;
        }
    }
}

void checksum_add(Checksum *sum, const void *data, size_t size)
{
    const uint8_t *p = data;
    size_t held = sum->size % 32;
    sum->size += size;
    if (held) {
        size_t take = size < 32 - held ? size : 32 - held;
        memcpy(sum->tail + held, p, take);
        if (held + take < 32) return;
        add_blocks(sum->lane, sum->tail, 1);
        p += take;
        size -= take;
    }
    add_blocks(sum->lane, p, size / 32);
    if (size % 32) memcpy(sum->tail, p + size / 32 * 32, size % 32);
}

uint64_t checksum_end(const Checksum *sum)
{
    uint64_t lane[4];
    uint8_t last[32] = {0};
    memcpy(lane, sum->lane, sizeof lane);
    memcpy(last, sum->tail, sum->size % 32);
    add_blocks(lane, last, 1);
    uint64_t h = sum->size;
    for (int i = 0; i < 4; i++) h = hash_u64(h, lane[i]);
    return h;
}

uint64_t checksum_bytes(const void *data, size_t size)
{
    Checksum sum = checksum_start();
    if (size) checksum_add(&sum, data, size);
    return checksum_end(&sum);
}

static bool is_file(const struct stat *st, const char *path, Error *err)
{
    if (S_ISREG(st->st_mode)) return true;
    return error_set(err, "%s: not a regular file, but a %s", path,
                     S_ISDIR(st->st_mode)    ? "folder"
                     : S_ISFIFO(st->st_mode) ? "pipe"
                                             : "device or socket");
}

static bool map_descriptor(FileMap *map, int fd, const char *path, Error *err)
{
    struct stat st;
    if (fstat(fd, &st)) return error_set(err, "%s: fstat: %s", path, strerror(errno));
    if (!is_file(&st, path, err)) return false;
    map->size = (size_t)st.st_size;
    map->data = (const uint8_t *)"";
    if (!map->size) return true;
    void *at = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
        *map = (FileMap){0};
        return error_set(err, "%s: mmap of %lld bytes: %s", path, (long long)st.st_size,
                         strerror(errno));
    }
    map->data = at;
    return true;
}

bool file_map(FileMap *map, const char *path, Error *err)
{
    *map = (FileMap){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe would wait for its writer
    if (fd < 0) return error_set(err, "%s: %s", path, strerror(errno));
    bool ok = map_descriptor(map, fd, path, err);
    close(fd);
    return ok;
}

void file_unmap(FileMap *map)
{
    if (map->size) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (FileMap){0};
}

bool file_create(FileWriter *w, Arena *arena, const char *path, uint32_t mode, Error *err)
{
    *w = (FileWriter){.fd = -1, .path = str_copy(arena, path), .sum = checksum_start()};
    w->temporary = str_printf(arena, "%s.tmp.%ld", path, (long)getpid());
    struct stat there;
    if (stat(path, &there) == 0 && !is_file(&there, path, err)) return false; // not over /dev/null
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
    if (w->fd < 0) return error_set(err, "%s: cannot create it: %s", path, strerror(errno));
    return true;
}

bool file_put(FileWriter *w, const void *data, size_t size, Error *err)
{
    if (size) checksum_add(&w->sum, data, size);
    for (const uint8_t *p = data; size;) {
        ssize_t n = write(w->fd, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(err, "%s: write: %s", w->path, strerror(errno));
        p += n;
        size -= (size_t)n;
    }
    return true;
}

bool file_pad(FileWriter *w, size_t n, Error *err)
{
    static const uint8_t zeros[4096];
    for (; n > sizeof zeros; n -= sizeof zeros)
        if (!file_put(w, zeros, sizeof zeros, err)) return false;
    return file_put(w, zeros, n, err);
}

bool folder_sync(const char *path, Error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return error_set(err, "%s: %s", path, strerror(errno));
    int failed = fsync(fd) ? errno : 0;
    close(fd);
    // Some file systems cannot sync a folder and say EINVAL; there is nothing more to do on them.
    if (failed && failed != EINVAL) return error_set(err, "%s: fsync: %s", path, strerror(failed));
    return true;
}

static bool sync_parent(const char *path, Error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return folder_sync(".", err);
    Arena *arena = arena_new();
    bool ok =
        folder_sync(slash == path ? "/" : str_slice(arena, path, (size_t)(slash - path)), err);
    arena_free(arena);
    return ok;
}

bool file_commit(FileWriter *w, Error *err)
{
    bool ok = !fsync(w->fd) || error_set(err, "%s: fsync: %s", w->path, strerror(errno));
    if (ok && close(w->fd))
        ok = error_set(err, "%s: close: %s", w->path, strerror(errno));
    else if (!ok)
        close(w->fd);
    w->fd = -1;
    if (ok && rename(w->temporary, w->path))
        ok = error_set(err, "%s: rename: %s", w->path, strerror(errno));
    if (!ok) {
        unlink(w->temporary);
        return false;
    }
    return sync_parent(w->path, err);
}

void file_cancel(FileWriter *w)
{
    if (w->fd < 0) return;
    close(w->fd);
    unlink(w->temporary);
    w->fd = -1;
}

const char *path_whole(Arena *arena, const char *path)
{
    char full[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *folder = ".";
    if (slash) folder = str_slice(arena, path, slash == path ? 1 : (size_t)(slash - path));
    if (!realpath(folder, full)) return str_copy(arena, path);
    return str_printf(arena, full[1] ? "%s/%s" : "%s%s", full, name);
}
