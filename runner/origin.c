// graph.json of a run's folder:
//   {"graph": "/g/clip.yaml", "step": "checksum", "set": ["batch=64"], "set_in": ["/g"],
//    "check": true, "lib": "/l", "root": "/data", "target": "cuda",
//    "files": {"/g/clip.yaml": "checksum", "/g/base.yaml": "checksum"}}
// where all from check to target may be missing. Relative paths in a text of set begin in the
// folder of set_in that it was given in. Library files inside the program are none of the files.
#include "runner/origin.h"

#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static const char *path_of(Arena *arena, const char *folder)
{
    return str_printf(arena, "%s/graph.json", folder);
}

static const char *step_of(Arena *arena, const char *folder)
{
    return str_printf(arena, "%s/step.czt", folder);
}

// From the root, links followed: of a folder, in which nothing else begins than there.
static const char *whole_folder(Arena *arena, const char *path)
{
    char full[PATH_MAX];
    return str_copy(arena, realpath(path, full) ? full : path);
}

static const char *checksum_text(Arena *arena, uint64_t sum)
{
    return str_printf(arena, "%016" PRIx64, sum);
}

static bool is_unchanged(const SourceFile *file, const char *instead, Error *err)
{
    FileMap map;
    Error why = {0};
    if (!file_map(&map, file->path, &why))
        return error_set(err, "%s, and the run was compiled of it; %s", why.text, instead);
    bool same = checksum_bytes(map.data, map.size) == file->sum;
    file_unmap(&map);
    return same || error_set(err, "%s: it has changed since the run was compiled of it; %s",
                             file->path, instead);
}

static bool are_unchanged(const SourceFiles *files, const char *instead, Error *err)
{
    for (uint32_t i = 0; i < files->n; i++)
        if (!is_unchanged(&files->at[i], instead, err)) return false;
    return true;
}

static uint64_t sum_of(const json_t *text)
{
    return json_is_string(text) ? strtoull(json_string_value(text), NULL, 16) : 0;
}

// A step that was written when the process was killed has the old graph.json beside it.
static bool has_step(Arena *arena, const json_t *json, const char *folder, const char *instead,
                     Error *err)
{
    FileMap map;
    if (!file_map(&map, step_of(arena, folder), err)) return false;
    bool same = checksum_bytes(map.data, map.size) == sum_of(json_object_get(json, "step"));
    file_unmap(&map);
    return same || error_set(err,
                             "%s/graph.json: of another step than step.czt beside it (perhaps the "
                             "run was killed between the two); %s",
                             folder, instead);
}

// The text of a key, in the arena, or NULL.
static const char *text_at(Arena *arena, const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? str_copy(arena, text) : NULL;
}

static void take(Arena *arena, LoadOptions *o, const json_t *json)
{
    Source *source = &o->graph.source;
    Texts all = {0};
    const json_t *set = json_object_get(json, "set"), *set_in = json_object_get(json, "set_in");
    for (size_t i = 0; i < json_array_size(set); i++) {
        const char *text = json_string_value(json_array_get(set, i)),
                   *in = json_string_value(json_array_get(set_in, i));
        if (!text || !in) continue;
        vec_push(arena, &all, str_copy(arena, text));
        vec_push(arena, &source->set_in, str_copy(arena, in));
    }
    for (uint32_t i = 0; i < source->set.n; i++) vec_push(arena, &all, source->set.at[i]);
    source->set = all;
    source->check |= json_is_true(json_object_get(json, "check"));
    if (!source->lib) source->lib = text_at(arena, json, "lib");
    if (!o->root) o->root = text_at(arena, json, "root");
    if (!o->place.target) o->place.target = text_at(arena, json, "target");
    o->file = text_at(arena, json, "graph");
}

static SourceFiles files_of(Arena *arena, json_t *json)
{
    SourceFiles all = {0};
    const char *path;
    json_t *sum;
    json_object_foreach(json, path, sum)
        vec_push(arena, &all, ((SourceFile){str_copy(arena, path), sum_of(sum)}));
    return all;
}

bool origin_take(Arena *arena, LoadOptions *o, const char *folder, const char *instead, Error *err)
{
    FileMap map;
    Error why = {0};
    json_error_t where;
    const char *path = path_of(arena, folder);
    if (!file_map(&map, path, &why))
        return error_set(err, "--set: %s does not say which graph file it was compiled of; %s",
                         folder, instead);
    json_t *json = json_loadb((const char *)map.data, map.size, 0, &where);
    file_unmap(&map);
    bool ok = json_is_string(json_object_get(json, "graph")) ||
              error_set(err, "%s: damaged; %s", path, instead);
    o->of = files_of(arena, json_object_get(json, "files"));
    o->instead = instead;
    ok = ok && has_step(arena, json, folder, instead, err) && are_unchanged(&o->of, instead, err);
    if (ok) take(arena, o, json);
    json_decref(json);
    return ok;
}

static json_t *origin_json(Arena *arena, const Loaded *l, const LoadOptions *o)
{
    const Source *source = &o->graph.source;
    json_t *set = json_array(), *set_in = json_array(), *files = json_object();
    const char *here = whole_folder(arena, ".");
    for (uint32_t i = 0; i < source->set.n; i++) {
        json_array_append_new(set, json_string(source->set.at[i]));
        json_array_append_new(set_in,
                              json_string(i < source->set_in.n ? source->set_in.at[i] : here));
    }
    for (uint32_t i = 0; i < l->sources.n; i++) {
        const SourceFile *s = &l->sources.at[i];
        json_object_set_new(files, s->path, json_string(checksum_text(arena, s->sum)));
    }
    const char *step = checksum_text(arena, checksum_bytes(l->bytes, l->size));
    json_t *json = json_pack("{s:s, s:s, s:o, s:o, s:o}", "graph", path_whole(arena, o->file),
                             "step", step, "set", set, "set_in", set_in, "files", files);
    if (source->check) json_object_set_new(json, "check", json_true());
    if (source->lib)
        json_object_set_new(json, "lib", json_string(whole_folder(arena, source->lib)));
    if (o->root) json_object_set_new(json, "root", json_string(whole_folder(arena, o->root)));
    if (o->place.target) json_object_set_new(json, "target", json_string(o->place.target));
    return json;
}

static bool differ(const json_t *a, const json_t *b)
{
    return a != b && !json_equal(a, b); // which two that are missing are not, to jansson
}

// Lines for the keys whose values differ, or that one side alone has.
static void tell_values(const json_t *was, const json_t *is, const char *what)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)is, key, value)
    {
        const json_t *old = json_object_get(was, key);
        if (differ(old, value))
            fprintf(stderr, "note: %s%s %s since this run was compiled\n", what, key,
                    old ? "has changed" : "has come");
    }
    json_object_foreach((json_t *)was, key, value) if (!json_object_get(is, key))
        fprintf(stderr, "note: %s%s has gone since this run was compiled\n", what, key);
}

// A list of texts as keys.
static json_t *as_keys(const json_t *list)
{
    json_t *keys = json_object();
    for (size_t i = 0; i < json_array_size(list); i++)
        json_object_set_new(keys, json_string_value(json_array_get(list, i)), json_true());
    return keys;
}

void origin_tell(const Loaded *l, const LoadOptions *o, const char *folder)
{
    static const char *const settings[] = {"target", "check", "lib"};
    if (!l->sources.n) return; // a step file
    Arena *arena = arena_new();
    json_t *was = json_load_file(path_of(arena, folder), 0, NULL), *is = origin_json(arena, l, o);
    if (was) {
        tell_values(json_object_get(was, "files"), json_object_get(is, "files"), "");
        json_t *a = as_keys(json_object_get(was, "set")), *b = as_keys(json_object_get(is, "set"));
        tell_values(a, b, "--set ");
        json_decref(a);
        json_decref(b);
    }
    for (size_t i = 0; was && i < sizeof settings / sizeof *settings; i++)
        if (differ(json_object_get(was, settings[i]), json_object_get(is, settings[i])))
            fprintf(stderr, "note: --%s is another than that this run was compiled with\n",
                    settings[i]);
    json_decref(was);
    json_decref(is);
    arena_free(arena);
}

bool origin_save(const Loaded *l, const LoadOptions *o, const char *folder, Error *err)
{
    Arena *arena = arena_new();
    const char *path = path_of(arena, folder);
    bool ok = true;
    if (!l->sources.n) {
        ok =
            unlink(path) == 0 || errno == ENOENT || error_set(err, "%s: %s", path, strerror(errno));
    } else {
        FileWriter w;
        json_t *json = origin_json(arena, l, o);
        char *text = json_dumps(json, JSON_INDENT(1));
        ok = text ? file_create(&w, arena, path, 0666, err)
                  : error_set(err, "%s: a path or setting is no UTF-8", path);
        if (ok) {
            ok = file_put(&w, text, strlen(text), err) && file_commit(&w, err);
            file_cancel(&w);
        }
        free(text); // jansson's own allocation
        json_decref(json);
    }
    arena_free(arena);
    return ok;
}
