// Small shards, pictures and arrays for the tests of the data pipeline.
#ifndef CZT_TESTS_DATA_MAKE_H
#define CZT_TESTS_DATA_MAKE_H

#include "runtime/tarwrite.h"
#include "runtime/tokenizer.h"

#include <criterion/criterion.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIP_MERGES CZT_SOURCE_DIR "/graphs/data/clip/bpe_simple_vocab_16e6.txt.gz"
#define FIXTURES CZT_SOURCE_DIR "/tests/data/runtime/images"

typedef struct Bytes {
    unsigned char *at;
    size_t n;
} Bytes;

// A new folder under TMPDIR; the caller need not remove it.
static inline const char *make_folder(char *to, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(to, size, "%s/czt-test-XXXXXX", base ? base : "/tmp");
    cr_assert(mkdtemp(to));
    return to;
}

static inline void remove_folder(const char *folder)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static inline Bytes slurp(const char *path)
{
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s", path);
    fseek(file, 0, SEEK_END);
    Bytes b = {.n = (size_t)ftell(file)};
    rewind(file);
    b.at = malloc(b.n + 1);
    cr_assert_eq(fread(b.at, 1, b.n, file), b.n);
    b.at[b.n] = 0;
    fclose(file);
    return b;
}

// CLIP's merges under their name.
static inline TokenizerFiles clip_files(void)
{
    static TokenizerFile file = {.name = "clip"};
    if (!file.data) {
        Bytes bytes = slurp(CLIP_MERGES);
        file.data = bytes.at, file.size = bytes.n;
    }
    return (TokenizerFiles){&file, 1};
}

static inline void spit(const char *path, const void *data, size_t n)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file, "%s", path);
    cr_assert_eq(fwrite(data, 1, n, file), n);
    fclose(file);
}

// A PNG of 8-bit samples (height, width, channels 1 or 3).
static inline Bytes make_png(const unsigned char *pixels, int height, int width, int channels)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
    Bytes b = {0};
    int known = png_image_write_get_memory_size(image, b.n, 0, pixels, 0, NULL);
    cr_assert(known, "%s", image.message);
    b.at = malloc(b.n);
    int written = png_image_write_to_memory(&image, b.at, &b.n, 0, pixels, 0, NULL);
    cr_assert(written, "%s", image.message);
    return b;
}

// An .npy file of a descr ("<f4"), a shape as Python writes it ("(3, 4)") and its bytes.
static inline Bytes make_npy(const char *descr, const char *shape, const void *data, size_t size)
{
    char header[128];
    int n = snprintf(header, sizeof header,
                     "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    memset(header + n, ' ', sizeof header - (size_t)n);
    header[117] = '\n';
    Bytes b = {malloc(128 + size), 128 + size};
    memcpy(b.at, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(b.at + 10, header, 118);
    if (size) memcpy(b.at + 128, data, size);
    return b;
}

#endif
