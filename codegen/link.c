// A linker for what our modules need: relocatable ELF objects for x86-64 whose sections are laid
// out one after the other, text first, then read-only data, with relative relocations between them.
// Anything that would reach outside the blob is refused by name. Format: System V ABI, AMD64
// supplement.
#include "codegen/cpu.h"

#include <elf.h>

typedef struct Object {
    const uint8_t *data;
    size_t size;
    const Elf64_Shdr *sections;
    uint32_t n;
    const char *names;
    const Elf64_Sym *symbols;
    uint32_t nsymbols;
    const char *strings;
    uint64_t *place; // of each section in the blob, UINT64_MAX when left out
} Object;

static bool kept(const Object *o, const Elf64_Shdr *s)
{
    const char *name = o->names + s->sh_name;
    if (!(s->sh_flags & SHF_ALLOC) || s->sh_type == SHT_NOBITS || !s->sh_size) return false;
    return strcmp(name, ".eh_frame") != 0;
}

static bool open_object(Arena *arena, Object *o, const uint8_t *data, size_t size, Error *err)
{
    const Elf64_Ehdr *h = (const Elf64_Ehdr *)data;
    *o = (Object){.data = data, .size = size};
    if (size < sizeof *h || memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_machine != EM_X86_64 ||
        h->e_type != ET_REL)
        return error_set(err, "link: not a relocatable x86-64 object");
    o->sections = (const Elf64_Shdr *)(data + h->e_shoff);
    o->n = h->e_shnum;
    o->names = (const char *)data + o->sections[h->e_shstrndx].sh_offset;
    o->place = arena_array(arena, uint64_t, o->n + 1);
    for (uint32_t i = 0; i < o->n; i++) {
        const Elf64_Shdr *s = &o->sections[i];
        o->place[i] = UINT64_MAX;
        if (kept(o, s) && s->sh_flags & SHF_WRITE)
            return error_set(err, "link: section %s is writable", o->names + s->sh_name);
        if (s->sh_type != SHT_SYMTAB) continue;
        o->symbols = (const Elf64_Sym *)(data + s->sh_offset);
        o->nsymbols = (uint32_t)(s->sh_size / sizeof *o->symbols);
        o->strings = (const char *)data + o->sections[s->sh_link].sh_offset;
    }
    return true;
}

static void lay_out(Object *objects, uint32_t n, bool text, uint64_t *at)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t s = 0; s < objects[i].n; s++) {
            const Elf64_Shdr *h = &objects[i].sections[s];
            if (!kept(&objects[i], h) || text != !!(h->sh_flags & SHF_EXECINSTR)) continue;
            uint64_t align = h->sh_addralign ? h->sh_addralign : 1;
            *at = (*at + align - 1) / align * align;
            objects[i].place[s] = *at;
            *at += h->sh_size;
        }
}

static bool apply(const Object *o, const Elf64_Rela *r, uint64_t section, uint8_t *blob, Error *err)
{
    const Elf64_Sym *sym = &o->symbols[ELF64_R_SYM(r->r_info)];
    const char *name = o->strings + sym->st_name;
    if (sym->st_shndx == SHN_UNDEF)
        return error_set(err, "link: %s is not defined: generated code called a library", name);
    if (sym->st_shndx >= o->n || o->place[sym->st_shndx] == UINT64_MAX)
        return error_set(err, "link: %s lies in a section that was left out", name);
    uint64_t at = section + r->r_offset;
    int64_t value = (int64_t)(o->place[sym->st_shndx] + sym->st_value) + r->r_addend - (int64_t)at;
    switch (ELF64_R_TYPE(r->r_info)) {
    case R_X86_64_PC32:
    case R_X86_64_PLT32: {
        int32_t small = (int32_t)value;
        if (small != value) return error_set(err, "link: %s is too far away", name);
        memcpy(blob + at, &small, sizeof small);
        return true;
    }
    case R_X86_64_PC64: memcpy(blob + at, &value, sizeof value); return true;
    default:
        return error_set(err, "link: relocation %u to %s", (unsigned)ELF64_R_TYPE(r->r_info), name);
    }
}

static bool relocate(const Object *o, uint8_t *blob, Error *err)
{
    for (uint32_t i = 0; i < o->n; i++) {
        const Elf64_Shdr *s = &o->sections[i];
        if (s->sh_type != SHT_RELA || s->sh_info >= o->n || o->place[s->sh_info] == UINT64_MAX)
            continue;
        const Elf64_Rela *r = (const Elf64_Rela *)(o->data + s->sh_offset);
        for (uint64_t k = 0; k < s->sh_size / sizeof *r; k++)
            if (!apply(o, &r[k], o->place[s->sh_info], blob, err)) return false;
    }
    return true;
}

static void find_functions(const Object *o, const Map *index, Blob *blob)
{
    for (uint32_t i = 0; i < o->nsymbols; i++) {
        const Elf64_Sym *s = &o->symbols[i];
        if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || s->st_shndx >= o->n) continue;
        const MapEntry *e = map_find(index, o->strings + s->st_name);
        if (e) blob->offset[(uintptr_t)e->value - 1] = o->place[s->st_shndx] + s->st_value;
    }
}

bool link_objects(Arena *arena, uint32_t nobjects, const uint8_t *const *data, const size_t *sizes,
                  uint32_t n, const char *const *names, Blob *blob, Error *err)
{
    Object *objects = arena_array(arena, Object, nobjects);
    uint64_t size = 0;
    for (uint32_t i = 0; i < nobjects; i++)
        if (!open_object(arena, &objects[i], data[i], sizes[i], err)) return false;
    lay_out(objects, nobjects, true, &size);
    size = (size + 63) / 64 * 64;
    lay_out(objects, nobjects, false, &size);
    blob->bytes = arena_alloc(arena, size + 64);
    blob->size = size;
    blob->offset = arena_array(arena, uint64_t, n + 1);
    memset(blob->offset, 0xff, n * sizeof *blob->offset);
    Map index = {0};
    for (uint32_t i = 0; i < n; i++) map_set(arena, &index, names[i], (void *)(uintptr_t)(i + 1));
    for (uint32_t i = 0; i < nobjects; i++) {
        for (uint32_t s = 0; s < objects[i].n; s++)
            if (objects[i].place[s] != UINT64_MAX)
                memcpy(blob->bytes + objects[i].place[s],
                       data[i] + objects[i].sections[s].sh_offset, objects[i].sections[s].sh_size);
        if (!relocate(&objects[i], blob->bytes, err)) return false;
        find_functions(&objects[i], &index, blob);
    }
    for (uint32_t i = 0; i < n; i++)
        if (blob->offset[i] == UINT64_MAX)
            return error_set(err, "link: %s was not found", names[i]);
    return true;
}
