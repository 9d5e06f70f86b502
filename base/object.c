// A shared library is known by its build id, which the linker makes of its contents and which lies
// in memory already; one without is known by the checksum of its file. The program's own file is
// small enough to be read.
#include "base/object.h"

#include "base/file.h"
#include "base/map.h"

#include <elf.h>
#include <link.h>
#include <string.h>

typedef struct Search {
    const void *address; // NULL: all objects
    uint64_t identity;
} Search;

static uint64_t file_identity(const char *path)
{
    FileMap map;
    Error none = {0};
    if (!file_map(&map, path, &none)) return 0;
    uint64_t sum = checksum_bytes(map.data, map.size);
    file_unmap(&map);
    return sum;
}

static size_t align_up(size_t x, size_t to)
{
    return (x + to - 1) / to * to;
}

// The hash of a segment's note with the build id, 0 where it has none.
static uint64_t note_identity(const struct dl_phdr_info *info, const ElfW(Phdr) * segment)
{
    const char *at = (const char *)(info->dlpi_addr + segment->p_vaddr);
    const char *end = at + segment->p_memsz;
    size_t align = segment->p_align == 8 ? 8 : 4;
    ElfW(Nhdr) note;
    while ((size_t)(end - at) >= sizeof note) {
        memcpy(&note, at, sizeof note);
        const char *name = at + sizeof note;
        size_t before = align_up(sizeof note + note.n_namesz, align);
        if (before + note.n_descsz > (size_t)(end - at)) break;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(name, "GNU", 4) == 0)
            return hash_bytes(1, at + before, note.n_descsz);
        size_t whole = align_up(before + note.n_descsz, align);
        if (whole > (size_t)(end - at)) break;
        at += whole;
    }
    return 0;
}

static uint64_t library_identity(const struct dl_phdr_info *info)
{
    for (uint32_t i = 0; i < info->dlpi_phnum; i++) {
        uint64_t id =
            info->dlpi_phdr[i].p_type == PT_NOTE ? note_identity(info, &info->dlpi_phdr[i]) : 0;
        if (id) return id;
    }
    return file_identity(info->dlpi_name);
}

static bool holds(const struct dl_phdr_info *info, const void *address)
{
    for (uint32_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *s = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + s->p_vaddr;
        if (s->p_type == PT_LOAD && (uintptr_t)address - begin < s->p_memsz) return true;
    }
    return false;
}

// The program itself has no name here, what the kernel adds (vdso) no path.
static int visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    Search *s = arg;
    (void)size;
    if (!strchr(info->dlpi_name, '/') || (s->address && !holds(info, s->address))) return 0;
    s->identity = hash_u64(s->identity, library_identity(info));
    return s->address != NULL;
}

uint64_t objects_identity(void)
{
    Search s = {.identity = file_identity("/proc/self/exe")};
    dl_iterate_phdr(visit, &s);
    return s.identity;
}

uint64_t object_identity(const void *address)
{
    Search s = {.address = address};
    dl_iterate_phdr(visit, &s);
    return s.identity;
}
