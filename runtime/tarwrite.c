// ustar headers with everything fixed that is not content, and pax headers for long names.
#include "runtime/tarwrite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512 };

struct TarWriter {
    FILE *file;
    char *path;
};

TarWriter *tarwrite_open(const char *path, Error *err)
{
    TarWriter *t = calloc(1, sizeof *t);
    FILE *file = t ? fopen(path, "wbe") : NULL;
    char *copy = file ? strdup(path) : NULL;
    if (copy) {
        *t = (TarWriter){file, copy};
        return t;
    }
    error_set(err, "%s: cannot create the shard: %s", path, strerror(errno));
    if (file) fclose(file);
    free(t);
    return NULL;
}

void tarwrite_abandon(TarWriter *t)
{
    if (!t) return;
    fclose(t->file);
    free(t->path);
    free(t);
}

static bool put(TarWriter *t, const void *data, size_t size)
{
    return fwrite(data, 1, size, t->file) == size;
}

// Header, body, zeros up to the next block.
static bool put_member(TarWriter *t, const char *name, char type, const void *data, size_t size)
{
    static const char zeros[BLOCK];
    char h[BLOCK] = {0};
    memcpy(h, name, strnlen(name, 100));
    snprintf(h + 100, 8, "%07o", 0644);
    snprintf(h + 108, 8, "%07o", 0);
    snprintf(h + 116, 8, "%07o", 0);
    snprintf(h + 124, 12, "%011llo", (unsigned long long)size);
    snprintf(h + 136, 12, "%011o", 0);
    memset(h + 148, ' ', 8);
    h[156] = type;
    memcpy(h + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum & 0777777);
    return put(t, h, BLOCK) && put(t, data, size) && put(t, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

// "LENGTH path=NAME\n", where LENGTH counts itself.
static bool put_pax(TarWriter *t, const char *name)
{
    size_t rest = strlen(name) + strlen(" path=\n"), length = rest + 1;
    char digits[24];
    while ((size_t)snprintf(digits, sizeof digits, "%zu", length) + rest > length) length++;
    char *record = malloc(length + 1);
    if (!record) return false;
    snprintf(record, length + 1, "%zu path=%s\n", length, name);
    bool ok = put_member(t, "pax_header", 'x', record, length);
    free(record);
    return ok;
}

bool tarwrite_add(TarWriter *t, const char *name, const void *data, size_t size, Error *err)
{
    if ((unsigned long long)size > 077777777777ULL)
        return error_set(err, "%s: member %s is larger than 8 GiB", t->path, name);
    bool ok = strlen(name) <= 100 || put_pax(t, name);
    ok = ok && put_member(t, name, '0', data, size);
    return ok || error_set(err, "%s: cannot write member %s: %s", t->path, name, strerror(errno));
}

bool tarwrite_close(TarWriter *t, Error *err)
{
    static const char end[2 * BLOCK];
    bool ok = put(t, end, sizeof end) && fflush(t->file) == 0 && fsync(fileno(t->file)) == 0;
    int code = errno;
    if (fclose(t->file) != 0 && ok) ok = false, code = errno;
    if (!ok) error_set(err, "%s: cannot finish the shard: %s", t->path, strerror(code));
    free(t->path);
    free(t);
    return ok;
}
