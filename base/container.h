// The file container of a step: named, checksummed, 64-byte-aligned sections (docs/step-format.md).
// The compiler writes it, the runtime reads it. It may stand alone, or after another file's bytes
// (an executable), found there by a trailer.
#ifndef CZT_BASE_CONTAINER_H
#define CZT_BASE_CONTAINER_H

#include "base/arena.h"
#include "base/diag.h"

enum { CONTAINER_VERSION = 4, OLDEST_VERSION = 1, SECTION_NAME = 16, SECTION_ALIGN = 64 };

// One section; the name has at most SECTION_NAME bytes.
typedef struct Section {
    const char *name;
    const void *data;
    size_t size;
} Section;

// Write the sections to path: under a temporary name first, fsynced, renamed. When prefix is not
// NULL its bytes come first, a trailer comes last, and the file is made executable.
bool container_write(const char *path, const void *prefix, size_t prefix_size,
                     const Section *sections, uint32_t n, Error *err);
// The same bytes (without prefix) in the arena, 64-byte-aligned.
uint8_t *container_build(Arena *arena, const Section *sections, uint32_t n, size_t *size);

// Read the table of a container, checking every bound and checksum; sections point into data, which
// must be 64-byte-aligned for them to be. `file` is the name shown in errors.
bool container_read(Arena *arena, const char *file, const void *data, size_t size,
                    Section **sections, uint32_t *n, Error *err);
// Narrow data to the container's own bytes, without a prefix and its trailer. False when there is
// no container (of any version).
bool container_narrow(const void **data, size_t *size);
// The same question alone.
bool container_present(const void *data, size_t size);
// The section of that name, or NULL.
const Section *container_find(const Section *sections, uint32_t n, const char *name);

#endif
