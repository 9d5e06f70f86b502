// The container of a step file: header, table, sections; all numbers little-endian.
//   magic[8] u32 version u32 sections u64 checksum of the table
//   table: { name[16] u64 offset u64 size u64 checksum }*
// Bytes between sections are zero. Offsets count from the container's own start, which is
// 64-byte-aligned in the file. After a prefix the last 16 bytes of the file are u64 start of the
// container and the trailer's magic.
#include "base/container.h"

#include "base/file.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the container is little-endian");

static const char magic[8] = "CZTSTEP";
static const char trailer_magic[8] = "CZTTAIL";
enum { HEADER = 24, ROW = SECTION_NAME + 24, TRAILER = 16 };

static uint64_t align_up(uint64_t x)
{
    return (x + SECTION_ALIGN - 1) / SECTION_ALIGN * SECTION_ALIGN;
}

static void put_u64(uint8_t *at, uint64_t x)
{
    memcpy(at, &x, 8);
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t x;
    memcpy(&x, at, 8);
    return x;
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t x;
    memcpy(&x, at, 4);
    return x;
}

// Header and table, padded to the first section; *total becomes the size of the whole container.
static uint8_t *build_head(Arena *arena, const Section *sections, uint32_t n, uint64_t *head_size,
                           uint64_t *total)
{
    uint64_t at = *head_size = align_up(HEADER + (uint64_t)n * ROW);
    uint8_t *head = arena_alloc(arena, at);
    uint32_t version = CONTAINER_VERSION;
    memcpy(head, magic, 8);
    memcpy(head + 8, &version, 4);
    memcpy(head + 12, &n, 4);
    *total = at;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *row = head + HEADER + (size_t)i * ROW;
        size_t length = strlen(sections[i].name);
        if (length > SECTION_NAME) bug("section name '%s' is too long", sections[i].name);
        memcpy(row, sections[i].name, length);
        put_u64(row + SECTION_NAME, at);
        put_u64(row + SECTION_NAME + 8, sections[i].size);
        put_u64(row + SECTION_NAME + 16, checksum_bytes(sections[i].data, sections[i].size));
        *total = at + sections[i].size;
        at = align_up(*total);
    }
    put_u64(head + HEADER - 8, checksum_bytes(head + HEADER, (size_t)n * ROW));
    return head;
}

static bool put_all(FileWriter *w, Arena *arena, const void *prefix, size_t prefix_size,
                    const Section *sections, uint32_t n, Error *err)
{
    uint64_t head_size, total, start = align_up(prefix_size);
    uint8_t *head = build_head(arena, sections, n, &head_size, &total);
    if (prefix &&
        (!file_put(w, prefix, prefix_size, err) || !file_pad(w, start - prefix_size, err)))
        return false;
    if (!file_put(w, head, head_size, err)) return false;
    for (uint32_t i = 0; i < n; i++) {
        size_t size = sections[i].size;
        if (!file_put(w, sections[i].data, size, err)) return false;
        if (i + 1 < n && !file_pad(w, align_up(size) - size, err)) return false;
    }
    if (!prefix) return true;
    uint8_t trailer[TRAILER];
    put_u64(trailer, start);
    memcpy(trailer + 8, trailer_magic, 8);
    return file_put(w, trailer, TRAILER, err);
}

bool container_write(const char *path, const void *prefix, size_t prefix_size,
                     const Section *sections, uint32_t n, Error *err)
{
    Arena *arena = arena_new();
    FileWriter w;
    bool ok = file_create(&w, arena, path, prefix ? 0777 : 0666, err);
    if (ok) {
        ok = put_all(&w, arena, prefix, prefix_size, sections, n, err) && file_commit(&w, err);
        file_cancel(&w);
    }
    arena_free(arena);
    return ok;
}

uint8_t *container_build(Arena *arena, const Section *sections, uint32_t n, size_t *size)
{
    uint64_t head_size, total;
    const uint8_t *head = build_head(arena, sections, n, &head_size, &total);
    uint8_t *to = arena_alloc(arena, total < 64 ? 64 : total); // 64 bytes or more are 64-aligned
    memcpy(to, head, head_size);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = get_u64(head + HEADER + (size_t)i * ROW + SECTION_NAME);
        if (sections[i].size) memcpy(to + at, sections[i].data, sections[i].size);
    }
    *size = total;
    return to;
}

// Narrow data to the container's own bytes. False when there is none.
static bool locate(const uint8_t **data, size_t *size)
{
    if (*size >= 8 && memcmp(*data, magic, 8) == 0) return true;
    if (*size < TRAILER) return false;
    const uint8_t *trailer = *data + *size - TRAILER;
    uint64_t start = get_u64(trailer), end = *size - TRAILER;
    if (memcmp(trailer + 8, trailer_magic, 8) || start % SECTION_ALIGN || start > end) return false;
    *data += start;
    *size = end - start;
    return *size >= 8 && memcmp(*data, magic, 8) == 0;
}

bool container_narrow(const void **data, size_t *size)
{
    const uint8_t *at = *data;
    bool found = locate(&at, size);
    if (found) *data = at;
    return found;
}

bool container_present(const void *data, size_t size)
{
    return container_narrow(&data, &size);
}

static bool all_zero(const uint8_t *data, uint64_t begin, uint64_t end)
{
    for (; begin < end; begin++)
        if (data[begin]) return false;
    return true;
}

static bool read_row(Arena *arena, const char *file, const uint8_t *data, size_t size,
                     const uint8_t *row, uint64_t *end, Section *out, Error *err)
{
    out->name = str_slice(arena, (const char *)row, SECTION_NAME); // stops at the first NUL
    uint64_t offset = get_u64(row + SECTION_NAME), bytes = get_u64(row + SECTION_NAME + 8);
    if (offset > size || bytes > size - offset)
        return error_set(err, "%s: truncated: section '%s' needs bytes %llu to %llu, there are %zu",
                         file, out->name, (unsigned long long)offset,
                         (unsigned long long)(offset + bytes), size);
    if (offset % SECTION_ALIGN || offset < *end || !all_zero(data, *end, offset))
        return error_set(err, "%s: damaged table: section '%s' at %llu", file, out->name,
                         (unsigned long long)offset);
    out->data = data + offset;
    out->size = bytes;
    *end = offset + bytes;
    if (checksum_bytes(out->data, bytes) != get_u64(row + SECTION_NAME + 16))
        return error_set(err,
                         "%s: section '%s' is damaged (its checksum differs); compile it again",
                         file, out->name);
    return true;
}

bool container_read(Arena *arena, const char *file, const void *bytes, size_t size,
                    Section **sections, uint32_t *n, Error *err)
{
    const uint8_t *data = bytes;
    if (!locate(&data, &size)) return error_set(err, "%s: not a step file of cztc", file);
    if (size < HEADER) return error_set(err, "%s: truncated: %zu bytes", file, size);
    uint32_t version = get_u32(data + 8), count = get_u32(data + 12);
    if (version < OLDEST_VERSION || version > CONTAINER_VERSION)
        return error_set(err, "%s: step file version %u, this cztc reads %d: %s", file, version,
                         CONTAINER_VERSION,
                         version > CONTAINER_VERSION ? "use a newer cztc" : "compile it again");
    if (count > (size - HEADER) / ROW)
        return error_set(err, "%s: truncated: %u sections do not fit %zu bytes", file, count, size);
    if (checksum_bytes(data + HEADER, (size_t)count * ROW) != get_u64(data + HEADER - 8))
        return error_set(err, "%s: the table is damaged; compile it again", file);
    Section *out = arena_array(arena, Section, count ? count : 1);
    uint64_t end = HEADER + (uint64_t)count * ROW;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *row = data + HEADER + (size_t)i * ROW;
        if (!read_row(arena, file, data, size, row, &end, &out[i], err)) return false;
        if (container_find(out, i, out[i].name))
            return error_set(err, "%s: damaged table: two sections '%s'", file, out[i].name);
    }
    if (end != size)
        return error_set(err, "%s: %zu bytes, its table ends at %llu", file, size,
                         (unsigned long long)end);
    *sections = out;
    *n = count;
    return true;
}

const Section *container_find(const Section *sections, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(sections[i].name, name) == 0) return &sections[i];
    return NULL;
}
