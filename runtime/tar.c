// Tar archives, read as POSIX.1-2001 describes ustar and pax, with GNU's long names and base-256
// sizes. Headers alone are read, one pread each, so that an index of a shard costs no body; every
// number is checked against the file's size before it is used.
#include "runtime/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK = 512,
    LONGEST_EXTRA = 1 << 20
}; // a pax or long-name body larger than this is refused

struct Tar {
    int fd;
    char *path;
    int64_t at, size;
    char *name;        // of the current member
    char *long_name;   // for the next member, from a pax or GNU header
    int64_t long_size; // from pax, -1 when absent
};

// Field offsets of a ustar header.
enum { AT_NAME = 0, AT_SIZE = 124, AT_SUM = 148, AT_TYPE = 156, AT_MAGIC = 257, AT_PREFIX = 345 };

Tar *tar_open(const char *path, Error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe would wait for its writer
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        error_set(err, "%s: cannot read the shard: %s", path,
                  fd < 0 ? strerror(errno) : "not a regular file");
        if (fd >= 0) close(fd);
        return NULL;
    }
    Tar *tar = calloc(1, sizeof *tar);
    char *copy = strdup(path);
    if (!tar || !copy) {
        free(tar);
        free(copy);
        close(fd);
        error_set(err, "%s: out of memory", path);
        return NULL;
    }
    *tar = (Tar){.fd = fd, .path = copy, .size = st.st_size, .long_size = -1};
    return tar;
}

void tar_close(Tar *tar)
{
    if (!tar) return;
    close(tar->fd);
    free(tar->path);
    free(tar->name);
    free(tar->long_name);
    free(tar);
}

bool tar_read(int fd, const char *path, int64_t offset, void *to, int64_t size, Error *err)
{
    char *at = to;
    while (size > 0) {
        ssize_t n = pread(fd, at, (size_t)(size < INT_MAX ? size : INT_MAX), offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return error_set(err, "%s: cannot read at byte %" PRId64 ": %s", path, offset,
                             n < 0 ? strerror(errno) : "the file ends there");
        at += n, offset += n, size -= n;
    }
    return true;
}

// An octal field, or GNU's base-256 when the top bit of its first byte is set. -1 when malformed.
static int64_t number(const unsigned char *field, int n)
{
    int64_t value = 0;
    if (field[0] & 0x80) {
        if (field[0] != 0x80) return -1;
        for (int i = 1; i < n; i++) {
            if (value > INT64_MAX >> 8) return -1;
            value = value << 8 | field[i];
        }
        return value;
    }
    int i = 0;
    while (i < n && field[i] == ' ') i++;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++) value = value << 3 | (field[i] - '0');
    return i == n || field[i] == ' ' || !field[i] ? value : -1;
}

// The checksum counts its own field as blanks; old archives summed signed bytes.
static bool checksum_ok(const unsigned char *h)
{
    int64_t plain = 0, with_sign = 0, want = number(h + AT_SUM, 8);
    for (int i = 0; i < BLOCK; i++) {
        int byte = i >= AT_SUM && i < AT_SUM + 8 ? ' ' : h[i];
        plain += byte;
        with_sign += (signed char)byte;
    }
    return want == plain || want == with_sign;
}

static bool all_zero(const unsigned char *h)
{
    for (int i = 0; i < BLOCK; i++)
        if (h[i]) return false;
    return true;
}

// Set tar->name from the long name seen before, or from the header's prefix and name.
static bool set_name(Tar *tar, const unsigned char *h)
{
    free(tar->name);
    if (tar->long_name) {
        tar->name = tar->long_name;
        tar->long_name = NULL;
        return true;
    }
    const char *prefix = (const char *)h + AT_PREFIX, *name = (const char *)h + AT_NAME;
    bool ustar = memcmp(h + AT_MAGIC, "ustar\0", 6) == 0;
    size_t np = ustar ? strnlen(prefix, 155) : 0, nn = strnlen(name, 100);
    char *to = tar->name = malloc(np + nn + 2);
    if (!to) return false;
    memcpy(to, prefix, np);
    if (np) to[np++] = '/';
    memcpy(to + np, name, nn);
    to[np + nn] = 0;
    return true;
}

// Take path and size out of a pax body: records "LENGTH KEY=VALUE\n".
static bool read_pax(Tar *tar, char *body, size_t n)
{
    for (size_t at = 0; at < n;) {
        char *end;
        unsigned long length = strtoul(body + at, &end, 10);
        size_t head = (size_t)(end - (body + at));
        if (!head || *end != ' ' || length < head + 3 || length > n - at) return false;
        char *key = end + 1, *last = body + at + length - 1;
        if (*last != '\n') return false;
        *last = 0;
        if (strncmp(key, "path=", 5) == 0) {
            free(tar->long_name);
            if (!(tar->long_name = strdup(key + 5))) return false;
        } else if (strncmp(key, "size=", 5) == 0) {
            errno = 0;
            tar->long_size = strtoll(key + 5, &end, 10);
            if (errno || *end || tar->long_size < 0) return false;
        }
        at += length;
    }
    return true;
}

// Read the body of a pax header ('x') or of a GNU long name ('L') into what overrides the next
// header.
static bool read_extra(Tar *tar, char type, int64_t offset, int64_t size, Error *err)
{
    char *body = calloc(1, (size_t)size + 1);
    if (!body) return error_set(err, "%s: out of memory", tar->path);
    bool ok = tar_read(tar->fd, tar->path, offset, body, size, err);
    if (ok && type == 'L') {
        free(tar->long_name);
        tar->long_name = body;
        return true;
    }
    if (ok && !read_pax(tar, body, (size_t)size))
        ok = error_set(err, "%s: malformed pax header at byte %" PRId64, tar->path, offset);
    free(body);
    return ok;
}

// The current member's name without a leading "./".
static const char *plain_name(const Tar *tar)
{
    const char *name = tar->name;
    while (name[0] == '.' && name[1] == '/') name += 2;
    return name;
}

// Behind the last member, where the file ends or a zero block begins: is it a whole archive's end?
static TarResult at_end(const Tar *tar, int64_t at, Error *err)
{
    unsigned char second[BLOCK];
    if (tar->size - at < 2 * BLOCK) {
        error_set(err,
                  "%s: cut off at byte %" PRId64 ": the two zero blocks that end an archive are "
                  "missing, and with them any samples that followed",
                  tar->path, tar->size);
        return TAR_CUT;
    }
    if (!tar_read(tar->fd, tar->path, at + BLOCK, second, BLOCK, err)) return TAR_DAMAGED;
    if (all_zero(second)) return TAR_END;
    error_set(err,
              "%s: a lone zero block at byte %" PRId64 ", where two end an archive: any samples "
              "behind it",
              tar->path, at);
    return TAR_CUT;
}

TarResult tar_next(Tar *tar, TarMember *member, Error *err)
{
    *member = (TarMember){0};
    for (;;) {
        unsigned char h[BLOCK] = {0};
        int64_t header = tar->at, left = tar->size - header; // below 0: padding is cut off
        if (!tar_read(tar->fd, tar->path, header, h, left < BLOCK ? left : BLOCK, err))
            return TAR_DAMAGED;
        if (all_zero(h)) return at_end(tar, header, err);
        if (left < BLOCK) {
            error_set(err, "%s: cut off inside a header at byte %" PRId64, tar->path, header);
            return TAR_DAMAGED;
        }
        if (!checksum_ok(h)) {
            error_set(err, "%s: bad header checksum at byte %" PRId64 " (after member %s)",
                      tar->path, header, tar->name ? tar->name : "none");
            return TAR_DAMAGED;
        }
        char type = (char)h[AT_TYPE];
        bool extra = type == 'x' || type == 'L';
        int64_t size = number(h + AT_SIZE, 12), offset = header + BLOCK;
        if (!extra) {
            if (tar->long_size >= 0) size = tar->long_size;
            tar->long_size = -1;
            if (!set_name(tar, h)) {
                error_set(err, "%s: out of memory", tar->path);
                return TAR_DAMAGED;
            }
        }
        if (size < 0 || size > tar->size - offset || (extra && size > LONGEST_EXTRA)) {
            error_set(err,
                      "%s: member %s is cut off: %" PRId64 " bytes at byte %" PRId64
                      " of a file of %" PRId64,
                      tar->path, extra ? "(long name)" : tar->name, size, offset, tar->size);
            if (!extra) member->name = plain_name(tar);
            return TAR_DAMAGED;
        }
        tar->at = offset + (size + BLOCK - 1) / BLOCK * BLOCK;
        if (extra && !read_extra(tar, type, offset, size, err)) return TAR_DAMAGED;
        if (type == '0' || type == 0 || type == '7') {
            *member = (TarMember){plain_name(tar), offset, size};
            return TAR_MEMBER;
        }
    }
}

bool tar_split(const char *name, size_t *key_length, const char **extension)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    const char *dot = strchr(base, '.');
    if (!dot || dot == base || !dot[1]) return false;
    *key_length = (size_t)(dot - name);
    *extension = dot + 1;
    return true;
}
