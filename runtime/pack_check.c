// Reading and checking of one sample, by any thread. Pictures, label pictures and arrays are
// decoded once, so that what is broken is found here and not in the middle of a run; other labels
// are copied unread.
#include "runtime/pack_list.h"

#include "base/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utf8proc.h>

char *pack_read_file(const char *path, const char *where, size_t *size, Error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    char *data = ok ? malloc((size_t)st.st_size + 1) : NULL;
    size_t n = 0;
    for (ssize_t got = 1; data && n < (size_t)st.st_size && got > 0;
         n += (size_t)(got > 0 ? got : 0))
        got = read(fd, data + n, (size_t)st.st_size - n);
    int code = errno;
    if (fd >= 0) close(fd);
    if (data && n == (size_t)st.st_size) {
        *size = n;
        data[n] = 0;
        return data;
    }
    free(data);
    error_set(err, "%s%s%s: cannot read the file: %s", where ? where : "", where ? ": " : "", path,
              fd >= 0 && !ok ? "not a regular file" : strerror(code));
    return NULL;
}

size_t pack_utf8(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        utf8proc_int32_t c;
        utf8proc_ssize_t used =
            utf8proc_iterate((const uint8_t *)text + at, (utf8proc_ssize_t)(size - at), &c);
        if (used <= 0) return at;
        at += (size_t)used;
    }
    return size;
}

bool pack_reject(const PackOptions *options, const Error *why, int64_t *skipped, Error *err)
{
    if (!options->skip_bad) return error_set(err, "%s", why->text);
    ++*skipped;
    if (options->warn) options->warn(options->ctx, why->text);
    return true;
}

static bool check_caption(const PackMember *m, Error *err)
{
    size_t bad = pack_utf8(m->data, m->size), i = 0;
    if (bad < m->size) return error_set(err, "invalid UTF-8 at byte %zu", bad);
    while (i < m->size && strchr(" \t\r\n", m->data[i])) i++;
    return i < m->size || error_set(err, "the caption is empty");
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcasecmp(s + n - k, end) == 0;
}

// Whether a member can be decoded; a picture is told by its extension NULL, and gets its own.
static bool check_member(PackMember *m, PackDecoder *d, Error *err)
{
    Npy npy;
    if (!m->extension) {
        m->extension = image_format(m->data, m->size);
        if (!m->extension) return error_set(err, "neither JPEG, PNG nor WebP");
        return image_decode(m->data, m->size, &d->image, err);
    }
    if (strcasecmp(m->extension, "txt") == 0) return check_caption(m, err);
    if (ends_with(m->extension, ".png")) return image_decode_raw(m->data, m->size, &d->raw, err);
    return !ends_with(m->extension, ".npy") || npy_view(m->data, m->size, &npy, err);
}

static bool check_names(const PackLoaded *s, Error *err)
{
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (strcasecmp(s->members[i].extension, s->members[k].extension) == 0)
                return error_set(err, "two members are called .%s", s->members[i].extension);
    return true;
}

// The message of a sample: row and file in front.
static void explain(const PackSample *s, const char *path, const Error *why, Error *err)
{
    if (path && s->where)
        error_set(err, "%s: %s: %s", s->where, path, why->text);
    else
        error_set(err, "%s: %s", path ? path : s->where, why->text);
}

void pack_load(const PackSample *s, PackDecoder *d, PackLoaded *to)
{
    to->members = calloc(s->parts.n + 1, sizeof *to->members);
    if (!to->members) error_set(&to->err, "out of memory");
    for (uint32_t i = 0; i < s->parts.n && !to->err.set; i++) {
        const Part *part = &s->parts.at[i];
        PackMember *m = &to->members[to->n++];
        Error why = {0};
        *m = (PackMember){.extension = part->extension, .data = part->text};
        if (part->text)
            m->size = strlen(part->text);
        else
            m->data = m->file = pack_read_file(part->path, s->where, &m->size, &to->err);
        if (m->data && !check_member(m, d, &why)) explain(s, part->path, &why, &to->err);
    }
    Error why = {0};
    if (!to->err.set && !check_names(to, &why)) explain(s, s->parts.at[0].path, &why, &to->err);
}

void pack_unload(PackLoaded *s)
{
    for (uint32_t i = 0; i < s->n; i++) free(s->members[i].file);
    free(s->members);
    *s = (PackLoaded){0};
}

void pack_decoder_free(PackDecoder *d)
{
    image_free(&d->image);
    raw_free(&d->raw);
}
