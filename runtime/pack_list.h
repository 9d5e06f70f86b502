// Between the steps of packing: the list of what is packed (runtime/pack.c), the reading and
// checking of one sample (pack_check.c), the writing of shards (pack_write.c). For these only.
#ifndef CZT_RUNTIME_PACK_LIST_H
#define CZT_RUNTIME_PACK_LIST_H

#include "base/vec.h"
#include "runtime/image.h"
#include "runtime/pack.h"

// A member of a sample: a file to copy, or a text.
typedef struct Part {
    const char *extension; // NULL: the picture, by its content
    const char *path, *text;
} Part;

typedef struct PackSample {
    VEC(Part) parts;
    const char *where; // "table.csv:12", for messages; NULL in folders
    const char *class_name;
} PackSample;

typedef struct PackList {
    Arena *arena;
    const PackOptions *options;
    VEC(PackSample) samples;
    VEC(const char *) classes; // in byte order
    int64_t skipped;           // already, while the list was made
    Error *err;
} PackList;

// A member that was read.
typedef struct PackMember {
    const char *extension, *data;
    size_t size;
    char *file; // to be freed; NULL for texts
} PackMember;

// A sample that was read; zero-initialise, free with pack_unload.
typedef struct PackLoaded {
    PackMember *members;
    uint32_t n;
    Error err;
} PackLoaded;

// What decoding needs; zero-initialise, one a thread.
typedef struct PackDecoder {
    Image image;
    RawImage raw;
} PackDecoder;

// A whole file and a NUL behind it; free() it. NULL with err. where may be NULL.
char *pack_read_file(const char *path, const char *where, size_t *size, Error *err);
// The first byte that is not UTF-8; size where there is none.
size_t pack_utf8(const char *text, size_t size);
// Read the files of a sample and check them; to->err where it is bad.
void pack_load(const PackSample *sample, PackDecoder *decoder, PackLoaded *to);
void pack_unload(PackLoaded *loaded);
void pack_decoder_free(PackDecoder *decoder);
// A bad sample: told to warn and counted where options say skip_bad (true), else an error (false).
bool pack_reject(const PackOptions *options, const Error *why, int64_t *skipped, Error *err);
// Write shards and classes of a list, as runtime/pack.h says.
bool pack_write(const PackList *list, PackResult *result);

#endif
