// Zip archives (PKWARE's APPNOTE.TXT): members lie one after the other, each behind a local header;
// the directory at the end says where, and the end record where the directory is. Sizes are taken
// from the directory, since a local header may leave them to what follows the data. Encrypted
// members and those of 4 GiB and more (zip64) are refused, and every checksum is looked at.
#include "runtime/zip.h"

#include <string.h>
#include <zlib.h>

enum {
    END_BYTES = 22, // the end record, without its comment
    MOST_COMMENT = 65535,
    ENTRY_BYTES = 46,    // of the directory, without name, extra field and comment
    LOCAL_BYTES = 30,    // a local header, without name and extra field
    MOST_BYTES = 1 << 30 // of a member
};

static uint32_t u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

bool zip_is(const void *data, size_t size)
{
    return size >= 4 && memcmp(data, "PK\3\4", 4) == 0;
}

typedef struct Zip {
    const uint8_t *at;
    size_t size;
    size_t directory, end; // of the directory
    uint32_t n;            // entries
} Zip;

// One entry of the directory.
typedef struct Entry {
    const char *name; // not terminated
    uint32_t name_bytes, flags, method, check, packed, bytes;
    size_t local; // its local header
} Entry;

static bool damaged(Error *err)
{
    return error_set(err, "zip: the archive is damaged or cut off");
}

// The end record is the last thing but for a comment.
static bool open_zip(Zip *z, const void *data, size_t size, Error *err)
{
    *z = (Zip){.at = data, .size = size};
    size_t lowest = size > END_BYTES + MOST_COMMENT ? size - END_BYTES - MOST_COMMENT : 0;
    for (size_t at = size < END_BYTES ? 0 : size - END_BYTES + 1; at-- > lowest;) {
        const uint8_t *p = z->at + at;
        if (memcmp(p, "PK\5\6", 4) != 0 || at + END_BYTES + u16(p + 20) != size) continue;
        z->n = u16(p + 10), z->directory = u32(p + 16), z->end = at;
        return z->directory <= at || damaged(err);
    }
    return damaged(err);
}

// The entry at *at of the directory, and on to the next.
static bool next_entry(const Zip *z, size_t *at, Entry *e, Error *err)
{
    const uint8_t *p = z->at + *at;
    if (z->end - *at < ENTRY_BYTES || memcmp(p, "PK\1\2", 4) != 0) return damaged(err);
    *e = (Entry){(const char *)p + ENTRY_BYTES,
                 u16(p + 28),
                 u16(p + 8),
                 u16(p + 10),
                 u32(p + 16),
                 u32(p + 20),
                 u32(p + 24),
                 u32(p + 42)};
    size_t bytes = ENTRY_BYTES + (size_t)u16(p + 28) + u16(p + 30) + u16(p + 32);
    if (bytes > z->end - *at) return damaged(err);
    *at += bytes;
    return true;
}

// "a, b, c" for messages, which are short.
static void add_name(char *list, size_t room, const Entry *e)
{
    size_t n = strlen(list);
    snprintf(list + n, room - n, "%s%.*s", n ? ", " : "", (int)e->name_bytes, e->name);
}

static bool find(const Zip *z, const char *name, Entry *e, Error *err)
{
    char known[120] = "";
    size_t at = z->directory;
    for (uint32_t i = 0; i < z->n; i++) {
        if (!next_entry(z, &at, e, err)) return false;
        if (e->name_bytes == strlen(name) && memcmp(e->name, name, e->name_bytes) == 0) return true;
        add_name(known, sizeof known, e);
    }
    return error_set(err, "zip: there is no '%s' (there are: %s)", name, known);
}

// The whole of `packed` bytes to exactly `bytes`.
static bool inflate_all(const uint8_t *from, const Entry *e, uint8_t *to)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)from,
                  .avail_in = e->packed,
                  .next_out = to,
                  .avail_out = e->bytes};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return false;
    bool ok = inflate(&z, Z_FINISH) == Z_STREAM_END && !z.avail_out;
    inflateEnd(&z);
    return ok;
}

bool zip_member(const void *data, size_t size, const char *name, Scratch *room, const uint8_t **at,
                size_t *bytes, Error *err)
{
    Zip z;
    Entry e = {0};
    if (!open_zip(&z, data, size, err) || !find(&z, name, &e, err)) return false;
    if (e.flags & 1) return error_set(err, "zip: '%s' is encrypted", name);
    if (e.bytes > MOST_BYTES || e.packed > MOST_BYTES)
        return error_set(err, "zip: '%s' has more than %d bytes", name, MOST_BYTES);
    if (e.local > z.end || z.end - e.local < LOCAL_BYTES) return damaged(err);
    const uint8_t *local = z.at + e.local;
    if (memcmp(local, "PK\3\4", 4) != 0) return damaged(err);
    size_t start = e.local + LOCAL_BYTES + u16(local + 26) + u16(local + 28);
    if (start > z.end || z.end - start < e.packed) return damaged(err);
    *at = z.at + start, *bytes = e.bytes;
    if (e.method == 0) {
        if (e.packed != e.bytes) return damaged(err);
    } else if (e.method == 8) {
        uint8_t *to = scratch_reserve(room, (size_t)e.bytes + 1);
        if (!to) return error_set(err, "out of memory for a member of %u bytes", e.bytes);
        if (!inflate_all(*at, &e, to)) return damaged(err);
        *at = to;
    } else {
        return error_set(err, "zip: '%s' is packed by method %u; stored and deflated are read",
                         name, e.method);
    }
    return crc32(0, *at, e.bytes) == e.check || damaged(err);
}
