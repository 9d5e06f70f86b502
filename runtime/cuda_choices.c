#include "runtime/cuda_choices.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEX = 2 * sizeof(BlasAlgo) };

static json_t *read_file(const char *path, bool *damaged)
{
    FileMap map;
    Error none = {0};
    json_t *all = NULL;
    if (path && file_map(&map, path, &none)) {
        all = json_loadb((const char *)map.data, map.size, 0, NULL);
        file_unmap(&map);
        *damaged = !json_is_object(all);
    }
    if (json_is_object(all)) return all;
    json_decref(all);
    return json_object();
}

void cuda_choices_open(CudaChoices *c, const char *const *paths, const char *device)
{
    *c = (CudaChoices){.paths = paths, .device = device};
    for (int i = 0; i < CHOICE_FILES; i++) {
        bool damaged = false;
        c->files[i] = read_file(paths[i], &damaged);
        c->lost |= !i && damaged;
    }
}

static void hex_of(const BlasAlgo *algo, char text[HEX + 1])
{
    uint8_t bytes[sizeof *algo];
    memcpy(bytes, algo, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static int find_in(json_t *file, const CudaChoices *c, const char *key, const BlasProduct *product)
{
    char text[HEX + 1];
    const char *kept = json_string_value(json_object_get(json_object_get(file, c->device), key));
    if (kept && strcmp(kept, "own") == 0) return CHOICE_OWN;
    for (int a = 0; kept && a < product->nalgos; a++) {
        hex_of(&product->algos[a].algo, text);
        if (strcmp(kept, text) == 0) return a;
    }
    return CHOICE_UNKNOWN;
}

int cuda_choices_find(CudaChoices *c, const char *key, const BlasProduct *product)
{
    int found = CHOICE_UNKNOWN;
    for (int i = 0; i < CHOICE_FILES && found == CHOICE_UNKNOWN; i++) {
        found = find_in(c->files[i], c, key, product);
        c->lost |=
            !i && found == CHOICE_UNKNOWN && json_object_size(c->files[0]) > 0 && !c->changed[0];
    }
    return found;
}

void cuda_choices_keep(CudaChoices *c, const char *key, const BlasProduct *product, int algo,
                       int files)
{
    char text[HEX + 1] = "own";
    if (algo >= 0) hex_of(&product->algos[algo].algo, text);
    for (int i = 0; i < files; i++) {
        json_t *mine = json_object_get(c->files[i], c->device);
        const char *kept = json_string_value(json_object_get(mine, key));
        if (kept && strcmp(kept, text) == 0) continue;
        if (!json_is_object(mine)) {
            mine = json_object();
            if (json_object_set_new(c->files[i], c->device, mine)) continue; // no text
        }
        json_object_set_new(mine, key, json_string(text));
        c->changed[i] = true;
    }
}

static bool write_file(const char *path, const json_t *all, Error *err)
{
    FileWriter w;
    Arena *arena = arena_new();
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS);
    bool ok =
        text ? file_create(&w, arena, path, 0666, err) : error_set(err, "%s: no memory", path);
    if (ok) {
        ok = file_put(&w, text, strlen(text), err) && file_commit(&w, err);
        file_cancel(&w);
    }
    free(text);
    arena_free(arena);
    return ok;
}

bool cuda_choices_close(CudaChoices *c, Error *err)
{
    bool ok = true;
    for (int i = 0; i < CHOICE_FILES; i++) {
        Error none = {0};
        if (c->changed[i] && c->paths[i] && !c->stay)
            ok &= write_file(c->paths[i], c->files[i], i ? &none : err) || i;
        json_decref(c->files[i]);
    }
    *c = (CudaChoices){0};
    return ok;
}

const char *cuda_choices_device(Arena *arena, const CudaDevice *d, size_t library,
                                const StepImage *image)
{
    return str_printf(arena, "%s, driver for CUDA %d.%d, cuBLASLt %zu, code for %s", d->name,
                      d->version / 1000, d->version % 1000 / 10, library, image->arch);
}

static const char *matrix_text(Arena *arena, const StepMatrix *m)
{
    return str_printf(arena, "%" PRId64 "/%" PRId64 "/%" PRId64, m->batch, m->row, m->col);
}

static const char *code_text(Arena *arena, const StepImage *image, const StepKernel *k)
{
    return str_printf(arena, "%s of %016" PRIx64, k->symbol, image->checksums[k->unit]);
}

const char *cuda_choice_key(Arena *arena, const Step *step, const StepImage *image,
                            const StepKernel *kernel, uint32_t alignment)
{
    const StepProduct *p = kernel->product;
    return str_printf(arena,
                      "%s-%s %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64
                      " a %s b %s c %s%s, %u bytes, or %s%s%s",
                      p->tf32 ? "tf32" : czt_dtype_name(p->from), czt_dtype_name(p->to), p->batch,
                      p->m, p->n, p->k, matrix_text(arena, &p->a), matrix_text(arena, &p->b),
                      matrix_text(arena, &p->c),
                      p->biased  ? " bias"
                      : p->added ? " sum"
                                 : "",
                      alignment, code_text(arena, image, kernel), p->rest < 0 ? "" : ", rest ",
                      p->rest < 0 ? "" : code_text(arena, image, &step->kernels[p->rest]));
}
