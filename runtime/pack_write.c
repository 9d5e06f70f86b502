// Shards of a list. Samples are read and checked a few at a time by all threads and written by one.
// Every file is whole and synced under a temporary name before anything of the prefix changes; then
// the older shards go, and the new ones come, one rename each, the classes last. So a process
// killed at any moment leaves the old set, or a set with shards missing, never two sets mixed.
#include "runtime/pack_list.h"

#include "base/file.h"
#include "base/map.h"
#include "base/progress.h"
#include "runtime/philox.h"
#include "runtime/pool.h"
#include "runtime/tarwrite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Writer {
    const PackList *list;
    const PackOptions *options;
    Arena *arena;
    const char *folder, *base; // of the prefix
    VEC(const char *) old;     // shards and classes of the prefix that are there
    uint32_t *order;
    Pool *pool;
    PackDecoder *decoders;
    TarWriter *tar;   // of shard number shards - 1, or NULL
    int64_t in_shard; // samples written to it
    int lock;
    PackResult *result;
    Error *err;
} Writer;

static const char *shard_path(const Writer *w, int64_t shard, bool temporary)
{
    return str_printf(w->arena, "%s-%05lld.tar%s", w->options->prefix, (long long)shard,
                      temporary ? ".tmp" : "");
}

static const char *classes_path(const Writer *w, bool temporary)
{
    return str_printf(w->arena, "%s-classes.json%s", w->options->prefix, temporary ? ".tmp" : "");
}

static const char *lock_path(const Writer *w)
{
    return str_printf(w->arena, "%s-pack.lock", w->options->prefix);
}

// ---- what is there already ----

// Make the folders of a path's parent.
static bool make_folders(const Writer *w)
{
    for (const char *p = w->options->prefix; (p = strchr(p + 1, '/')) != NULL;) {
        const char *folder =
            str_slice(w->arena, w->options->prefix, (size_t)(p - w->options->prefix));
        if (mkdir(folder, 0777) != 0 && errno != EEXIST)
            return error_set(w->err, "%s: cannot make the folder: %s", folder, strerror(errno));
    }
    return true;
}

// One packing of a prefix at a time. The lock's file goes with it.
static bool lock_prefix(Writer *w)
{
    struct stat st;
    w->lock = open(lock_path(w), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (w->lock < 0)
        return error_set(w->err, "%s: cannot write here: %s", lock_path(w), strerror(errno));
    if (flock(w->lock, LOCK_EX | LOCK_NB) == 0 && fstat(w->lock, &st) == 0 && st.st_nlink)
        return true;
    close(w->lock);
    w->lock = -1;
    return error_set(w->err, "%s: another cztc pack is writing these shards", w->options->prefix);
}

// What a file of the prefix's folder is to it: "PREFIX-00012.tar" and the classes (1), what a
// killed packing left of them (2), or nothing (0).
static int role_of(const Writer *w, const char *name)
{
    static const char classes[] = "-classes.json";
    size_t n = strlen(w->base), k;
    if (strncmp(name, w->base, n) != 0 || name[n] != '-') return 0;
    const char *rest = name + n;
    if (strncmp(rest, classes, sizeof classes - 1) == 0) {
        rest += sizeof classes - 1;
    } else {
        k = strspn(rest + 1, "0123456789");
        if (k < 5 || strncmp(rest + 1 + k, ".tar", 4) != 0) return 0;
        rest += 1 + k + 4;
    }
    return !*rest ? 1 : strcmp(rest, ".tmp") == 0 ? 2 : 0;
}

static bool look_around(Writer *w)
{
    DIR *dir = opendir(w->folder);
    if (!dir)
        return error_set(w->err, "%s: cannot read the folder: %s", w->folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        int role = role_of(w, e->d_name);
        const char *path = str_printf(w->arena, "%s/%s", w->folder, e->d_name);
        if (role == 1) vec_push(w->arena, &w->old, path);
        if (role == 2) unlink(path);
    }
    closedir(dir);
    if (!w->old.n || w->options->force) return true;
    return error_set(w->err,
                     "%s is there already (%u files of this prefix): --force replaces them; or "
                     "remove them, or choose another prefix",
                     w->old.at[0], w->old.n);
}

// ---- shards ----

static bool end_shard(Writer *w)
{
    struct stat st;
    if (!w->tar) return true;
    TarWriter *tar = w->tar;
    w->tar = NULL;
    if (!tarwrite_close(tar, w->err)) return false;
    const char *path = shard_path(w, w->result->shards - 1, true);
    if (stat(path, &st) != 0) return error_set(w->err, "%s: %s", path, strerror(errno));
    w->result->bytes += st.st_size;
    return true;
}

static bool add_sample(Writer *w, const PackLoaded *s, int64_t number)
{
    int64_t per_shard = w->options->per_shard > 0 ? w->options->per_shard : 1000;
    if (s->err.set) return pack_reject(w->options, &s->err, &w->result->skipped, w->err);
    if (w->tar && w->in_shard == per_shard && !end_shard(w)) return false;
    if (!w->tar) {
        w->in_shard = 0;
        w->tar = tarwrite_open(shard_path(w, w->result->shards, true), w->err);
        if (!w->tar) return false;
        w->result->shards++;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        const PackMember *m = &s->members[i];
        char *name = NULL;
        if (asprintf(&name, "%08lld.%s", (long long)number, m->extension) < 0)
            return error_set(w->err, "out of memory");
        bool ok = tarwrite_add(w->tar, name, m->data, m->size, w->err);
        free(name);
        if (!ok) return false;
    }
    w->in_shard++;
    w->result->samples++;
    return true;
}

// A few samples that are read at a time.
typedef struct Chunk {
    const Writer *w;
    int64_t first;
    PackLoaded *at;
} Chunk;

static void load_some(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    Chunk *c = arg;
    for (int64_t i = begin; i < end; i++)
        pack_load(&c->w->list->samples.at[c->w->order[c->first + i]], &c->w->decoders[worker],
                  &c->at[i]);
}

static bool write_samples(Writer *w)
{
    enum { CHUNK = 64 };
    PackLoaded loaded[CHUNK] = {0};
    int64_t n = w->list->samples.n;
    Progress progress = progress_begin("pack", "samples", n);
    bool ok = true;
    for (int64_t first = 0; ok && first < n; first += CHUNK) {
        int64_t count = n - first < CHUNK ? n - first : CHUNK;
        if (w->options->stop && w->options->stop(w->options->ctx)) {
            ok = error_set(w->err, "stopped by a signal; nothing was packed");
            break;
        }
        pool_run(w->pool, load_some, &(Chunk){w, first, loaded}, count);
        for (int64_t i = 0; i < count; i++) {
            ok = ok && add_sample(w, &loaded[i], first + i);
            pack_unload(&loaded[i]);
        }
        if (w->options->progress) progress_at(&progress, first + count);
    }
    progress_end(&progress);
    return ok && end_shard(w);
}

static bool make_order(Writer *w)
{
    uint32_t n = w->list->samples.n;
    w->order = arena_array(w->arena, uint32_t, n);
    for (uint32_t i = 0; i < n; i++) w->order[i] = i;
    Philox random = philox_begin(hash_str(hash_u64(0, w->options->seed), "pack.order"), 0, 0);
    for (uint32_t i = n - 1; i > 0 && w->options->shuffle; i--) {
        uint32_t k = (uint32_t)philox_below(&random, (uint64_t)i + 1), swap = w->order[i];
        w->order[i] = w->order[k];
        w->order[k] = swap;
    }
    w->pool = pool_new(w->options->threads, w->err);
    if (w->pool) w->decoders = arena_array(w->arena, PackDecoder, pool_threads(w->pool));
    return w->pool != NULL;
}

// ---- classes ----

// {"classes": [..], "templates": [..]}, the caption's template where it has a place for the class.
static char *classes_text(const PackList *list)
{
    const char *caption = list->options->caption;
    json_t *names = json_array();
    for (uint32_t i = 0; i < list->classes.n; i++)
        json_array_append_new(names, json_string(list->classes.at[i]));
    const char *template = caption && strstr(caption, "{}") ? caption : "a photo of a {}.";
    json_t *all = json_pack("{s:o, s:[s]}", "classes", names, "templates", template);
    char *text = json_dumps(all, JSON_INDENT(1));
    json_decref(all);
    return text;
}

static bool write_classes(const Writer *w)
{
    const char *path = classes_path(w, true);
    if (!w->list->classes.n) return true;
    char *text = classes_text(w->list);
    FILE *file = fopen(path, "wbe");
    bool ok = file && text && fprintf(file, "%s\n", text) > 0 && fflush(file) == 0 &&
              fsync(fileno(file)) == 0;
    int code = errno;
    if (file && fclose(file) != 0 && ok) ok = false, code = errno;
    free(text);
    return ok || error_set(w->err, "%s: cannot write the classes: %s", path, strerror(code));
}

// ---- all ----

static bool rename_file(const Writer *w, const char *from, const char *to)
{
    return rename(from, to) == 0 ||
           error_set(w->err, "%s: cannot rename to %s: %s; what was packed lies beside it as *.tmp",
                     from, to, strerror(errno));
}

// Out with the old, in with the new.
static bool commit(const Writer *w)
{
    for (uint32_t i = 0; i < w->old.n; i++)
        if (unlink(w->old.at[i]) != 0)
            return error_set(w->err,
                             "%s: cannot remove it: %s; what was packed lies beside it as *.tmp",
                             w->old.at[i], strerror(errno));
    if (w->old.n && !folder_sync(w->folder, w->err)) return false;
    for (int64_t i = 0; i < w->result->shards; i++)
        if (!rename_file(w, shard_path(w, i, true), shard_path(w, i, false))) return false;
    if (w->list->classes.n && !rename_file(w, classes_path(w, true), classes_path(w, false)))
        return false;
    return folder_sync(w->folder, w->err);
}

static bool write_all(Writer *w)
{
    bool ok = make_order(w) && write_samples(w);
    if (ok && !w->result->samples)
        ok = error_set(w->err, "all %lld samples are bad", (long long)w->result->skipped);
    ok = ok && write_classes(w);
    if (ok) return commit(w);
    tarwrite_abandon(w->tar);
    for (int64_t i = 0; i < w->result->shards; i++) unlink(shard_path(w, i, true));
    unlink(classes_path(w, true));
    return false;
}

bool pack_write(const PackList *list, PackResult *result)
{
    Writer w = {.list = list,
                .options = list->options,
                .arena = arena_new(),
                .lock = -1,
                .result = result,
                .err = list->err};
    const char *prefix = list->options->prefix, *slash = strrchr(prefix, '/');
    w.base = slash ? slash + 1 : prefix;
    w.folder = !slash            ? "."
               : slash == prefix ? "/"
                                 : str_slice(w.arena, prefix, (size_t)(slash - prefix));
    *result = (PackResult){.classes = list->classes.n, .skipped = list->skipped};
    bool ok = list->samples.n || error_set(list->err, "no pictures to pack");
    ok = ok &&
         (*w.base || error_set(list->err, "%s: a prefix ends with a name, not with '/'", prefix));
    ok = ok && make_folders(&w) && lock_prefix(&w) && look_around(&w) && write_all(&w);
    if (w.lock >= 0) {
        unlink(lock_path(&w));
        close(w.lock);
    }
    for (uint32_t i = 0; w.decoders && i < pool_threads(w.pool); i++)
        pack_decoder_free(&w.decoders[i]);
    pool_free(w.pool);
    arena_free(w.arena);
    return ok;
}
