// Loading a step file: container, manifest, target, then one private mapping that holds the code
// (read and execute) and the constants (read), so that files and memory buffers take the same way.
#include "runtime/step.h"

#include "base/container.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *czt_dtype_name(CztDtype dtype)
{
    static const char names[][8] = {
#define ROW(suffix, name, bytes) name,
        CZT_DTYPES(ROW)
#undef ROW
    };
    return dtype < CZT_DTYPE_COUNT ? names[dtype] : "?";
}

int64_t czt_dtype_size(CztDtype dtype)
{
    static const uint8_t sizes[] = {
#define ROW(suffix, name, bytes) bytes,
        CZT_DTYPES(ROW)
#undef ROW
    };
    return dtype < CZT_DTYPE_COUNT ? sizes[dtype] : 0;
}

bool dtype_parse(const char *name, CztDtype *dtype)
{
    for (*dtype = 0; *dtype < CZT_DTYPE_COUNT; ++*dtype)
        if (strcmp(czt_dtype_name(*dtype), name) == 0) return true;
    return false;
}

const char *kind_name(CztKind kind)
{
    static const char names[][10] = {
#define ROW(suffix, name) name,
        CZT_KINDS(ROW)
#undef ROW
    };
    return kind < CZT_KIND_COUNT ? names[kind] : "?";
}

const char *tensor_text(Arena *arena, CztDtype dtype, uint32_t rank, const int64_t *shape)
{
    const char *text = str_printf(arena, "%s [", czt_dtype_name(dtype));
    for (uint32_t i = 0; i < rank; i++)
        text = str_printf(arena, "%s%s%lld", text, i ? ", " : "", (long long)shape[i]);
    return str_printf(arena, "%s]", text);
}

int32_t tensor_find(const CztTensor *tensors, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(tensors[i].name, name) == 0) return (int32_t)i;
    return -1;
}

int32_t step_entry(const Step *step, const char *name)
{
    for (uint32_t i = 0; i < step->nentries; i++)
        if (strcmp(step->entries[i].name, name) == 0) return (int32_t)i;
    return -1;
}

// Copy both sections into one mapping: code from its start, constants from the next page.
static bool map_sections(Step *step, const Section *code, const Section *constants, Error *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t split = (code->size + page - 1) / page * page;
    step->mapping_size = split + constants->size;
    step->code_size = code->size;
    if (!step->mapping_size) step->mapping_size = page; // so that every address is one
    void *at =
        mmap(NULL, step->mapping_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return error_set(err, "%s: mmap of %zu bytes for code and constants: %s", step->file,
                         step->mapping_size, strerror(errno));
    }
    step->mapping = at;
    step->code = at;
    step->constants = (uint8_t *)at + split;
    if (code->size) memcpy(at, code->data, code->size);
    if (constants->size) memcpy((uint8_t *)at + split, constants->data, constants->size);
    if ((split && mprotect(at, split, PROT_READ | PROT_EXEC)) ||
        (constants->size && mprotect((uint8_t *)at + split, constants->size, PROT_READ)))
        return error_set(err, "%s: mprotect of code: %s", step->file, strerror(errno));
    return true;
}

// Sections "ARCH.UNIT" of the architectures that the target lists, copied with a zero behind each,
// as the driver wants PTX.
static bool read_images(Step *step, const Section *sections, uint32_t n, Error *err)
{
    Arena *a = step->arena;
    json_t *list = json_object_get(json_object_get(step->manifest, "target"), "images");
    if (!step->cuda) return true;
    step->nimages = (uint32_t)json_array_size(list);
    StepImage *images = arena_array(a, StepImage, step->nimages + 1);
    for (uint32_t i = 0; i < step->nimages; i++) {
        const char *arch = json_string_value(json_array_get(list, i));
        if (!arch) return error_set(err, "%s: manifest: target.images must hold texts", step->file);
        const void **units = arena_array(a, const void *, step->nunits + 1);
        uint64_t *checksums = arena_array(a, uint64_t, step->nunits + 1);
        for (uint32_t u = 0; u < step->nunits; u++) {
            const char *name = str_printf(a, "%s.%u", arch, u);
            const Section *s = container_find(sections, n, name);
            if (!s) return error_set(err, "%s: no section '%s'", step->file, name);
            char *bytes = arena_alloc(a, s->size + 1);
            memcpy(bytes, s->data, s->size);
            units[u] = bytes;
            checksums[u] = checksum_bytes(s->data, s->size);
        }
        images[i] = (StepImage){arch, units, checksums};
    }
    step->images = images;
    return step->nimages || error_set(err, "%s: manifest: target.images is empty", step->file);
}

// Sections "tokenizer.0" and so on: the files that the manifest's list names.
static bool read_tokenizers(Step *step, const Section *sections, uint32_t n, Error *err)
{
    json_t *list = json_object_get(step->manifest, "tokenizers");
    uint32_t count = (uint32_t)json_array_size(list);
    TokenizerFile *files = arena_array(step->arena, TokenizerFile, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        const char *section = str_printf(step->arena, "tokenizer.%u", i);
        const Section *s = container_find(sections, n, section);
        if (!name) return error_set(err, "%s: manifest: tokenizers must hold texts", step->file);
        if (!s) return error_set(err, "%s: no section '%s'", step->file, section);
        files[i] = (TokenizerFile){str_copy(step->arena, name),
                                   arena_copy(step->arena, s->data, s->size), s->size};
    }
    step->tokenizers = (TokenizerFiles){files, count};
    return true;
}

static bool load(Step *step, const void *data, size_t size, Error *err)
{
    Section *sections;
    uint32_t n;
    if (!container_read(step->arena, step->file, data, size, &sections, &n, err)) return false;
    const Section none = {0}, *code = container_find(sections, n, "code");
    const Section *manifest = container_find(sections, n, "manifest");
    const Section *constants = container_find(sections, n, "const");
    if (!manifest) return error_set(err, "%s: no section 'manifest'", step->file);
    if (!code) code = &none;
    if (!constants) constants = &none;
    step->code_size = code->size;
    step->const_bytes = (int64_t)constants->size;
    return manifest_read(step, manifest->data, manifest->size, err) &&
           read_images(step, sections, n, err) && read_tokenizers(step, sections, n, err) &&
           map_sections(step, code, constants, err);
}

Step *step_load_memory(const char *name, const void *data, size_t size, Error *err)
{
    Step *step = calloc(1, sizeof *step);
    if (!step) {
        error_set(err, "%s: no memory", name);
        return NULL;
    }
    step->arena = arena_new();
    step->file = str_copy(step->arena, name);
    if (load(step, data, size, err)) return step;
    step_free(step);
    return NULL;
}

Step *step_load(const char *path, Error *err)
{
    FileMap map;
    if (!file_map(&map, path, err)) return NULL;
    Step *step = step_load_memory(path, map.data, map.size, err);
    file_unmap(&map);
    return step;
}

void step_free(Step *step)
{
    if (!step) return;
    if (step->mapping) munmap(step->mapping, step->mapping_size);
    json_decref(step->manifest);
    arena_free(step->arena);
    free(step);
}
