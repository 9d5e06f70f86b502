#include "runtime/cuda_choices.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEX = 2 * sizeof(BlasAlgo) };

static json_t *read_file(const char *path)
{
    FileMap map;
    Error none = {0};
    json_t *all = NULL;
    if (path && file_map(&map, path, &none)) {
        all = json_loadb((const char *)map.data, map.size, 0, NULL);
        file_unmap(&map);
    }
    if (json_is_object(all)) return all;
    json_decref(all);
    return json_object();
}

void cuda_choices_open(CudaChoices *c, const char *const *paths, const char *device)
{
    *c = (CudaChoices){.paths = paths, .device = device};
    for (int i = 0; i < CHOICE_FILES; i++) c->files[i] = read_file(paths[i]);
}

static void hex_of(const BlasAlgo *algo, char text[HEX + 1])
{
    uint8_t bytes[sizeof *algo];
    memcpy(bytes, algo, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

int cuda_choices_find(const CudaChoices *c, const char *key, const BlasProduct *product)
{
    char text[HEX + 1];
    for (int i = 0; i < CHOICE_FILES; i++) {
        const char *kept =
            json_string_value(json_object_get(json_object_get(c->files[i], c->device), key));
        if (!kept) continue;
        if (strcmp(kept, "own") == 0) return CHOICE_OWN;
        for (int a = 0; a < product->nalgos; a++) {
            hex_of(&product->algos[a].algo, text);
            if (strcmp(kept, text) == 0) return a;
        }
    }
    return CHOICE_UNKNOWN;
}

void cuda_choices_keep(CudaChoices *c, const char *key, const BlasProduct *product, int algo)
{
    char text[HEX + 1] = "own";
    if (algo >= 0) hex_of(&product->algos[algo].algo, text);
    for (int i = 0; i < CHOICE_FILES; i++) {
        json_t *mine = json_object_get(c->files[i], c->device);
        const char *kept = json_string_value(json_object_get(mine, key));
        if (kept && strcmp(kept, text) == 0) continue;
        if (!json_is_object(mine)) {
            mine = json_object();
            json_object_set_new(c->files[i], c->device, mine);
        }
        json_object_set_new(mine, key, json_string(text));
        c->changed[i] = true;
    }
}

static void write_file(const char *path, const json_t *all)
{
    Error none = {0};
    FileWriter w;
    Arena *arena = arena_new();
    char *text = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (text && file_create(&w, arena, path, 0666, &none)) {
        if (file_put(&w, text, strlen(text), &none)) file_commit(&w, &none);
        file_cancel(&w);
    }
    free(text);
    arena_free(arena);
}

void cuda_choices_close(CudaChoices *c)
{
    for (int i = 0; i < CHOICE_FILES; i++) {
        if (c->changed[i] && c->paths[i]) write_file(c->paths[i], c->files[i]);
        json_decref(c->files[i]);
    }
    *c = (CudaChoices){0};
}

static const char *matrix_text(Arena *arena, const StepMatrix *m)
{
    return str_printf(arena, "%" PRId64 "/%" PRId64 "/%" PRId64, m->batch, m->row, m->col);
}

const char *cuda_choice_key(Arena *arena, const StepKernel *kernel, uint32_t alignment)
{
    const StepProduct *p = kernel->product;
    return str_printf(arena,
                      "%s-%s %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64
                      " a %s b %s c %s%s%s, %u bytes, own %u x %u x %u, %u",
                      czt_dtype_name(p->from), czt_dtype_name(p->to), p->batch, p->m, p->n, p->k,
                      matrix_text(arena, &p->a), matrix_text(arena, &p->b),
                      matrix_text(arena, &p->c), p->biased ? ", bias" : "",
                      p->rest < 0 ? "" : ", rest", alignment, kernel->blocks[0], kernel->blocks[1],
                      kernel->threads, kernel->shared_bytes);
}
