// Checkpoints. A save writes every file into a folder of temporary name (each fsynced), the
// manifest with the checksums last, then syncs that folder, renames it and syncs the parent: at no
// instant can a kill or a power cut leave a folder step-N that is not whole. Removal goes the other
// way: rename away, then delete.
#include "runtime/checkpoint.h"

#include "runtime/frozen.h"

#include "base/file.h"
#include "base/vec.h"
#include "runtime/weights.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char temporary_mark[] = ".tmp.";

// One file a checkpoint consists of, as its manifest lists it.
static bool list_file(json_t *files, const char *folder, const char *name, uint64_t sum, Error *err)
{
    Arena *arena = arena_new();
    struct stat st;
    const char *path = str_printf(arena, "%s/%s", folder, name);
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, sum);
    bool ok = !stat(path, &st) || error_set(err, "%s: %s", path, strerror(errno));
    if (ok)
        json_object_set_new(
            files, name,
            json_pack("{s:I, s:s}", "bytes", (json_int_t)st.st_size, "checksum", text));
    arena_free(arena);
    return ok;
}

struct CheckpointJob {
    Arena *arena;
    Exec *exec; // its step alone where there is a snapshot
    const uint8_t *snapshot;
    const char *folder, *position;
    int64_t step, seed;
    pthread_t thread;
    bool threaded, ok;
    atomic_bool done;
    Error err;
};

static bool save_state(const CheckpointJob *job, const char *folder, const char *name,
                       uint32_t kinds, json_t *files, Error *err)
{
    Arena *arena = arena_new();
    uint64_t sum;
    bool ok = weights_save(job->exec, job->snapshot, str_printf(arena, "%s/%s", folder, name),
                           kinds, NULL, &sum, err) &&
              list_file(files, folder, name, sum, err);
    arena_free(arena);
    return ok;
}

static bool save_json(const char *folder, const char *name, const json_t *value, json_t *files,
                      Error *err)
{
    Arena *arena = arena_new();
    FileWriter w;
    char *text = json_dumps(value, JSON_INDENT(1));
    bool ok = text ? file_create(&w, arena, str_printf(arena, "%s/%s", folder, name), 0666, err)
                   : error_set(err, "%s/%s: no memory", folder, name);
    if (ok) {
        ok = file_put(&w, text, strlen(text), err) && file_commit(&w, err);
        file_cancel(&w);
        if (ok && files) ok = list_file(files, folder, name, checksum_end(&w.sum), err);
    }
    free(text);
    arena_free(arena);
    return ok;
}

static bool save_position(const char *folder, int64_t step, int64_t seed, const char *position,
                          json_t *files, Error *err)
{
    json_error_t where;
    json_t *data = json_loads(position ? position : "null", JSON_DECODE_ANY, &where);
    if (!data) return error_set(err, "%s: the data's position is no JSON: %s", folder, where.text);
    json_t *value = json_pack("{s:I, s:I, s:o}", "step", (json_int_t)step, "seed", (json_int_t)seed,
                              "data", data);
    bool ok = save_json(folder, "position.json", value, files, err);
    json_decref(value);
    return ok;
}

static bool save_all(const CheckpointJob *job, const char *folder, Error *err)
{
    json_t *files = json_object();
    bool ok = save_state(job, folder, "params.safetensors", KINDS_PARAMS, files, err) &&
              save_state(job, folder, "state.safetensors", KINDS_REST, files, err) &&
              save_position(folder, job->step, job->seed, job->position, files, err);
    json_t *manifest = json_pack("{s:i, s:I, s:s, s:o}", "cztc", 1, "step", (json_int_t)job->step,
                                 "source_hash", exec_step(job->exec)->source_hash, "files", files);
    char frozen[32];
    snprintf(frozen, sizeof frozen, "%016" PRIx64, exec_frozen(job->exec));
    if (exec_frozen(job->exec)) {
        json_object_set_new(manifest, "frozen", json_string(frozen));
        json_object_set_new(manifest, "frozen_parts", json_deep_copy(exec_frozen_parts(job->exec)));
    }
    ok = ok && save_json(folder, "manifest.json", manifest, NULL, err);
    json_decref(manifest);
    return ok;
}

// Delete a folder of plain files. Best effort.
static void remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) unlinkat(dirfd(dir), e->d_name, 0);
    if (dir) closedir(dir);
    rmdir(path);
}

// Make `path` the folder `temporary`; what had the name before is gone afterwards.
static bool put_in_place(const char *temporary, const char *path, Error *err)
{
    if (!rename(temporary, path)) return true;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return error_set(err, "%s: rename: %s", path, strerror(errno));
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_EXCHANGE))
        return error_set(err, "%s: cannot replace it: %s", path, strerror(errno));
    remove_folder(temporary);
    return true;
}

static bool make_folder(const char *path, Error *err)
{
    if (!mkdir(path, 0777) || errno == EEXIST) return true;
    return error_set(err, "%s: cannot create the folder: %s", path, strerror(errno));
}

static void *write_checkpoint(void *ctx)
{
    CheckpointJob *job = ctx;
    const char *path = str_printf(job->arena, "%s/step-%08lld", job->folder, (long long)job->step);
    const char *temporary = str_printf(job->arena, "%s%s%ld", path, temporary_mark, (long)getpid());
    bool ok = make_folder(job->folder, &job->err);
    if (ok) {
        remove_folder(temporary); // of an earlier process with this number
        ok = make_folder(temporary, &job->err) && save_all(job, temporary, &job->err) &&
             folder_sync(temporary, &job->err) && put_in_place(temporary, path, &job->err);
        if (!ok) remove_folder(temporary);
    }
    job->ok = ok && folder_sync(job->folder, &job->err);
    atomic_store(&job->done, true);
    return NULL;
}

CheckpointJob *checkpoint_begin(Exec *exec, const char *folder, int64_t step, int64_t seed,
                                const char *position, Error *err)
{
    const uint8_t *snapshot = exec_snapshot(exec, err);
    if (err->set) return NULL;
    Arena *arena = arena_new();
    CheckpointJob *job = arena_make(arena, CheckpointJob);
    *job = (CheckpointJob){.arena = arena,
                           .exec = exec,
                           .snapshot = snapshot,
                           .folder = str_copy(arena, folder),
                           .position = position ? str_copy(arena, position) : NULL,
                           .step = step,
                           .seed = seed};
    sigset_t all, before; // signals are the caller's
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    job->threaded = snapshot && !pthread_create(&job->thread, NULL, write_checkpoint, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!job->threaded) write_checkpoint(job);
    return job;
}

bool checkpoint_written(CheckpointJob *job)
{
    return atomic_load(&job->done);
}

bool checkpoint_end(CheckpointJob *job, Error *err)
{
    if (job->threaded) pthread_join(job->thread, NULL);
    bool ok = job->ok || error_set(err, "%s", job->err.text);
    arena_free(job->arena);
    return ok;
}

bool checkpoint_save(Exec *exec, const char *folder, int64_t step, int64_t seed,
                     const char *position, Error *err)
{
    CheckpointJob *job = checkpoint_begin(exec, folder, step, seed, position, err);
    return job && checkpoint_end(job, err);
}

static json_t *read_json(const char *path, Error *err)
{
    FileMap map;
    json_error_t where;
    if (!file_map(&map, path, err)) return NULL;
    json_t *value = json_loadb((const char *)map.data, map.size, JSON_REJECT_DUPLICATES, &where);
    if (!value) error_set(err, "%s: line %d: %s", path, where.line, where.text);
    file_unmap(&map);
    return value;
}

static bool check_file(const char *path, json_t *row, Error *err)
{
    FileMap map;
    const char *text = json_string_value(json_object_get(row, "checksum"));
    if (!text) return error_set(err, "%s: no checksum in the manifest", path);
    if (!file_map(&map, path, err)) return false;
    char found[17];
    snprintf(found, sizeof found, "%016" PRIx64, checksum_bytes(map.data, map.size));
    int64_t size = (int64_t)map.size, want = json_integer_value(json_object_get(row, "bytes"));
    file_unmap(&map);
    if (size != want)
        return error_set(err, "%s: %lld bytes, %lld were written", path, (long long)size,
                         (long long)want);
    return strcmp(found, text) == 0 || error_set(err, "%s: damaged: its checksum differs", path);
}

static bool check_files(Arena *arena, const char *path, json_t *manifest, Error *err)
{
    static const char names[3][24] = {"params.safetensors", "state.safetensors", "position.json"};
    json_t *files = json_object_get(manifest, "files");
    for (int i = 0; i < 3; i++)
        if (!check_file(str_printf(arena, "%s/%s", path, names[i]),
                        json_object_get(files, names[i]), err))
            return false;
    return true;
}

static bool read_position(Arena *arena, const char *path, Checkpoint *out, Error *err)
{
    const char *file = str_printf(arena, "%s/position.json", path);
    json_t *value = read_json(file, err), *step = json_object_get(value, "step");
    json_t *seed = json_object_get(value, "seed"), *data = json_object_get(value, "data");
    bool ok = value && ((json_is_integer(step) && json_is_integer(seed) && data) ||
                        error_set(err, "%s: needs step, seed and data", file));
    if (ok) {
        char *text = json_dumps(data, JSON_ENCODE_ANY | JSON_COMPACT);
        out->step = json_integer_value(step);
        out->seed = json_integer_value(seed);
        out->position = str_copy(arena, text ? text : "null");
        free(text);
    }
    json_decref(value);
    return ok;
}

bool checkpoint_open(Arena *arena, const char *path, Checkpoint *out, Error *err)
{
    const char *file = str_printf(arena, "%s/manifest.json", path);
    *out = (Checkpoint){.path = str_copy(arena, path)};
    json_t *manifest = read_json(file, err);
    if (!manifest) return false;
    int64_t version = json_integer_value(json_object_get(manifest, "cztc"));
    const char *hash = json_string_value(json_object_get(manifest, "source_hash"));
    bool ok = version == 1 && hash;
    if (!ok)
        error_set(err, "%s: checkpoint version %lld, this cztc reads 1", file, (long long)version);
    ok = ok && check_files(arena, path, manifest, err) && read_position(arena, path, out, err);
    const char *frozen = json_string_value(json_object_get(manifest, "frozen"));
    if (ok) out->source_hash = str_copy(arena, hash);
    if (ok && frozen) out->frozen = strtoull(frozen, NULL, 16);
    json_decref(manifest);
    return ok;
}

// The N of a name step-N without anything after it, or -1.
static int64_t step_of(const char *name)
{
    if (strncmp(name, "step-", 5) || !name[5] || name[5 + strspn(name + 5, "0123456789")])
        return -1;
    errno = 0;
    long long step = strtoll(name + 5, NULL, 10);
    return errno ? -1 : step;
}

typedef struct Found {
    const char *path;
    int64_t step;
} Found;
typedef VEC(Found) FoundList;

static int newest_first(const void *a, const void *b)
{
    const Found *x = a, *y = b;
    return (x->step < y->step) - (x->step > y->step);
}

// All step-N folders, newest first; those half-written into `left`, where it is not NULL. A folder
// that is not there has none.
static bool scan(Arena *arena, const char *folder, FoundList *list, FoundList *left, Error *err)
{
    DIR *dir = opendir(folder);
    if (!dir) return errno == ENOENT || error_set(err, "%s: %s", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir));) {
        int64_t step = step_of(e->d_name);
        Found found = {str_printf(arena, "%s/%s", folder, e->d_name), step};
        if (step >= 0)
            vec_push(arena, list, found);
        else if (left && strncmp(e->d_name, "step-", 5) == 0 && strstr(e->d_name, temporary_mark))
            vec_push(arena, left, found);
    }
    closedir(dir);
    if (list->n) qsort(list->at, list->n, sizeof *list->at, newest_first);
    return true;
}

bool checkpoint_latest(Arena *arena, const char *folder, Checkpoint *out, CheckpointWarn warn,
                       Error *err)
{
    FoundList list = {0};
    *out = (Checkpoint){0};
    if (!scan(arena, folder, &list, NULL, err)) return false;
    Error first = {0};
    for (uint32_t i = 0; i < list.n; i++) {
        Error why = {0};
        if (checkpoint_open(arena, list.at[i].path, out, &why)) return true;
        if (!first.set) first = why;
        if (warn.warn)
            warn.warn(warn.ctx, str_printf(arena, "checkpoint passed over: %s", why.text));
    }
    *out = (Checkpoint){0};
    // Starting anew over checkpoints nobody can read would lose a run silently.
    return !list.n || error_set(err, "%s: none of its %u checkpoints is whole: %s", folder, list.n,
                                first.text);
}

static bool load_file(Exec *exec, const char *path, uint32_t kinds, Error *err)
{
    SafeTensors st;
    if (!safetensors_open(&st, path, err)) return false;
    Error why = {0};
    bool ok = weights_load(exec, &st, kinds, WEIGHTS_STRICT, NULL, &why) ||
              error_set(err,
                        "the run keeps its parameters and the state of its optimisers, and the "
                        "program has others: %s",
                        why.text);
    safetensors_close(&st);
    return ok;
}

// Is the frozen state that of the run?
static bool check_frozen(Exec *exec, const Checkpoint *checkpoint, Arena *arena, Error *err)
{
    if (!checkpoint->frozen || !exec_frozen(exec) || checkpoint->frozen == exec_frozen(exec))
        return true;
    Error ignored = {0};
    json_t *manifest = read_json(str_printf(arena, "%s/manifest.json", checkpoint->path), &ignored);
    const char *which = frozen_changed(exec, arena, json_object_get(manifest, "frozen_parts"));
    json_decref(manifest);
    return error_set(err,
                     "%s: the frozen weights of its run were others: %s; bring the files back, or "
                     "begin a new run from its parameters",
                     checkpoint->path,
                     *which ? which : "teachers, constants of files, or statistics");
}

bool checkpoint_load(Exec *exec, const Checkpoint *checkpoint, Error *err)
{
    Arena *arena = arena_new();
    const char *path = checkpoint->path;
    bool ok = !frozen_any(exec_step(exec)) || exec_init(exec, checkpoint->seed, err);
    ok = ok && check_frozen(exec, checkpoint, arena, err);
    ok = ok &&
         load_file(exec, str_printf(arena, "%s/params.safetensors", path), KINDS_PARAMS, err) &&
         load_file(exec, str_printf(arena, "%s/state.safetensors", path), KINDS_REST, err) &&
         exec_derive(exec, err);
    arena_free(arena);
    return ok;
}

void checkpoint_prune(const char *folder, int64_t step, uint32_t keep, CheckpointWarn warn)
{
    Arena *arena = arena_new();
    FoundList list = {0}, left = {0};
    Error err = {0};
    if (!scan(arena, folder, &list, &left, &err) && warn.warn) warn.warn(warn.ctx, err.text);
    for (uint32_t i = 0; i < left.n; i++) remove_folder(left.at[i].path);
    uint32_t first = keep;
    for (uint32_t i = 0; i < list.n && list.at[i].step > step; i++) first++;
    for (uint32_t i = first; keep && i < list.n; i++) {
        const char *path = list.at[i].path,
                   *away = str_printf(arena, "%s%sold", path, temporary_mark);
        if (rename(path, away) && warn.warn)
            warn.warn(warn.ctx, str_printf(arena, "%s: cannot remove: %s", path, strerror(errno)));
        else
            remove_folder(away);
    }
    arena_free(arena);
}
