// Webdataset shards. Opening reads headers only, several shards at a time; members are then read by
// offset, so samples can come in any order and a position is a number. Neighbouring members with
// one key make a sample (the key ends before the first dot of the base name). Each shard keeps its
// own lists and strings; a sample's number is found by bisection over the shards' first numbers.
#include "runtime/shards.h"

#include "base/map.h"
#include "base/vec.h"
#include "runtime/tar.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEEP_OPEN = 256 }; // more files than these are opened for each read

typedef struct Entry {
    const char *key, *twice;
    uint32_t first, n; // members
    bool again;        // the key stood further up, apart
} Entry;

typedef struct Shard {
    Arena *arena;
    const char *name, *path; // as reported; of the file
    VEC(Entry) entries;
    VEC(Member) members;
    Map extensions;
    Map keys;      // while the shard is read
    int64_t first; // number of its first sample
    int fd;
    bool temporary; // made by a pipe
    Error opening;
    Error damage; // with the key and member it is about
    const char *damage_key, *damage_member;
} Shard;

struct Shards {
    Arena *arena;
    Shard *at;
    uint32_t n;
    int64_t samples, damaged;
    uint32_t *slots; // sample + 1 by the hash of its key
    uint64_t mask;
};

// ---- One shard ----

static const char *extension_of(Shard *shard, const char *extension)
{
    char *lower = str_copy(shard->arena, extension);
    for (char *c = lower; *c; c++) *c = (char)tolower((unsigned char)*c);
    MapEntry *entry = map_find(&shard->extensions, lower);
    if (entry) return entry->key;
    map_set(shard->arena, &shard->extensions, lower, shard);
    return map_find(&shard->extensions, lower)->key;
}

static void add_member(Arena *scratch, Shard *shard, const TarMember *found)
{
    size_t length;
    const char *extension;
    if (!tar_split(found->name, &length, &extension)) return;
    Entry *last = shard->entries.n ? &shard->entries.at[shard->entries.n - 1] : NULL;
    if (!last || strncmp(last->key, found->name, length) != 0 || last->key[length]) {
        const char *key = str_slice(shard->arena, found->name, length);
        bool again = !map_set(scratch, &shard->keys, key, shard);
        vec_push(shard->arena, &shard->entries, (Entry){key, NULL, shard->members.n, 0, again});
        last = &shard->entries.at[shard->entries.n - 1];
    }
    Member member = {found->offset, found->size, extension_of(shard, extension)};
    for (uint32_t i = 0; i < last->n; i++)
        if (shard->members.at[last->first + i].extension == member.extension)
            last->twice = member.extension;
    vec_push(shard->arena, &shard->members, member);
    last->n++;
}

// After damage: forget the last sample, unless the member cut off belongs to the next one.
static void drop_incomplete(Shard *shard, const char *cut_off)
{
    size_t length;
    const char *extension;
    bool known = cut_off && tar_split(cut_off, &length, &extension);
    shard->damage_key = known ? str_slice(shard->arena, cut_off, length) : "";
    shard->damage_member = known ? str_copy(shard->arena, extension) : "";
    if (!shard->entries.n) return;
    const char *last = shard->entries.at[shard->entries.n - 1].key;
    if (known && strcmp(last, shard->damage_key) != 0) return;
    shard->damage_key = last;
    shard->entries.n--;
}

static void index_shard(Shard *shard)
{
    Tar *tar = tar_open(shard->path, &shard->opening);
    if (!tar) return;
    TarMember member;
    TarResult result;
    Arena *scratch = arena_new();
    while ((result = tar_next(tar, &member, &shard->damage)) == TAR_MEMBER)
        add_member(scratch, shard, &member);
    if (result == TAR_DAMAGED) drop_incomplete(shard, member.name);
    if (result != TAR_DAMAGED) {
        shard->damage_key = shard->damage_member = "";
        if (!shard->entries.n) {
            shard->damage = (Error){0};
            error_set(&shard->damage, "%s: no samples are in the shard", shard->name);
        }
    }
    tar_close(tar);
    shard->keys = (Map){0};
    arena_free(scratch);
}

// ---- All shards ----

// Run a command and keep its output in a temporary file.
static bool run_pipe(Shard *shard, const char *command, Error *err)
{
    const char *folder = getenv("TMPDIR");
    char *path = str_printf(shard->arena, "%s/czt-shard-XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(path);
    FILE *from = fd >= 0 ? popen(command, "r") : NULL;
    FILE *to = fd >= 0 ? fdopen(fd, "wb") : NULL;
    bool ok = from && to;
    char part[1 << 16];
    for (size_t n; ok && (n = fread(part, 1, sizeof part, from)) > 0;)
        ok = fwrite(part, 1, n, to) == n;
    if (to && fclose(to) != 0) ok = false;
    int status = from ? pclose(from) : -1;
    shard->path = path, shard->temporary = fd >= 0;
    return (ok && status == 0) ||
           error_set(err, "%s: the command failed (status %d)", shard->name, status);
}

static bool name_shard(Shard *shard, const char *path, const ShardsOptions *options, Error *err)
{
    shard->fd = -1;
    shard->arena = arena_new();
    shard->name = shard->path = str_copy(shard->arena, path);
    if (strncmp(path, "pipe:", 5) != 0) return true;
    if (!options->allow_pipe)
        return error_set(err, "%s: pipes run commands, and are read only with --allow-pipe", path);
    return run_pipe(shard, path + 5, err);
}

static bool name_shards(Shards *s, const Names *patterns, const ShardsOptions *options, Error *err)
{
    Names all;
    if (!shards_list(s->arena, patterns, options->base_dir, &all, err)) return false;
    s->at = arena_array(s->arena, Shard, all.n + 1);
    for (uint32_t i = 0; i < all.n; i++) {
        s->n = i + 1;
        if (!name_shard(&s->at[i], all.at[i], options, err)) return false;
    }
    return true;
}

typedef struct Indexing {
    Shards *shards;
    atomic_uint next;
} Indexing;

static void *index_some(void *arg)
{
    Indexing *work = arg;
    for (uint32_t i; (i = atomic_fetch_add(&work->next, 1)) < work->shards->n;)
        index_shard(&work->shards->at[i]);
    return NULL;
}

static void index_all(Shards *s, int threads)
{
    enum { MOST = 16 };
    pthread_t helper[MOST];
    Indexing work = {.shards = s};
    int started = 0;
    while (started < MOST && started + 1 < threads && (uint32_t)started + 1 < s->n &&
           pthread_create(&helper[started], NULL, index_some, &work) == 0)
        started++;
    index_some(&work);
    while (started) pthread_join(helper[--started], NULL);
}

// Whether all could be opened; else the first that could not, and how many.
static bool all_opened(const Shards *s, Error *err)
{
    const Shard *first = NULL;
    uint32_t n = 0;
    for (uint32_t i = s->n; i-- > 0;)
        if (s->at[i].opening.set) first = &s->at[i], n++;
    if (n > 1)
        return error_set(err, "%s (and %u more of %u shards)", first->opening.text, n - 1, s->n);
    return !n || error_set(err, "%s", first->opening.text);
}

// Number the samples, report damage, open the files that stay open.
static void settle(Shards *s, const ShardsOptions *options)
{
    for (uint32_t i = 0; i < s->n; i++) {
        Shard *shard = &s->at[i];
        shard->first = s->samples;
        s->samples += shard->entries.n;
        if (s->n <= KEEP_OPEN) shard->fd = open(shard->path, O_RDONLY | O_CLOEXEC);
        if (!shard->damage.set) continue;
        s->damaged++;
        if (options->report)
            options->report(options->user,
                            &(DataProblem){shard->name, shard->damage_key, shard->damage_member,
                                           shard->damage.text});
    }
}

// One that has the key of an earlier sample is told of: it will not be found.
static void report_hidden(const Shards *s, const ShardsOptions *options, int64_t i)
{
    Sample sample = shards_sample(s, i);
    Sample first = shards_sample(s, shards_find(s, sample.key));
    char text[1024];
    snprintf(text, sizeof text, "the key is in %s already, whose sample is used", first.shard);
    if (options->report)
        options->report(options->user, &(DataProblem){sample.shard, sample.key, "", text});
}

static void build_slots(Shards *s, const ShardsOptions *options)
{
    uint64_t n = 16;
    while (n < 2 * (uint64_t)s->samples) n *= 2;
    s->slots = arena_array(s->arena, uint32_t, n);
    s->mask = n - 1;
    for (int64_t i = 0; i < s->samples; i++) {
        const char *key = shards_sample(s, i).key;
        if (shards_find(s, key) >= 0) {
            report_hidden(s, options, i);
            continue;
        }
        uint64_t at = hash_str(0, key) & s->mask;
        while (s->slots[at]) at = (at + 1) & s->mask;
        s->slots[at] = (uint32_t)i + 1;
    }
}

Shards *shards_open(const Names *patterns, const ShardsOptions *options, Error *err)
{
    Arena *arena = arena_new();
    Shards *s = arena_make(arena, Shards);
    s->arena = arena;
    bool ok = name_shards(s, patterns, options, err);
    if (ok) {
        index_all(s, options->threads);
        ok = all_opened(s, err);
    }
    if (ok) settle(s, options);
    if (ok && s->samples >= UINT32_MAX) ok = error_set(err, "more than 2^32 samples in one source");
    if (!ok) {
        shards_close(s);
        return NULL;
    }
    if (options->by_key) build_slots(s, options);
    return s;
}

void shards_close(Shards *s)
{
    if (!s) return;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->at[i].fd >= 0) close(s->at[i].fd);
        if (s->at[i].temporary) unlink(s->at[i].path);
        arena_free(s->at[i].arena);
    }
    arena_free(s->arena);
}

int64_t shards_count(const Shards *s)
{
    return s->samples;
}

int64_t shards_damaged(const Shards *s)
{
    return s->damaged;
}

Sample shards_sample(const Shards *s, int64_t i)
{
    uint32_t low = 0, high = s->n - 1; // the last shard whose first sample is not behind i
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (s->at[middle].first <= i)
            low = middle;
        else
            high = middle - 1;
    }
    const Shard *shard = &s->at[low];
    const Entry *entry = &shard->entries.at[i - shard->first];
    return (Sample){shard->name, entry->key,   &shard->members.at[entry->first],
                    entry->n,    entry->twice, entry->again,
                    low};
}

int64_t shards_find(const Shards *s, const char *key)
{
    for (uint64_t at = hash_str(0, key) & s->mask; s->slots[at]; at = (at + 1) & s->mask)
        if (strcmp(shards_sample(s, s->slots[at] - 1).key, key) == 0) return s->slots[at] - 1;
    return -1;
}

const Member *sample_member(const Sample *sample, const Names *extensions)
{
    for (uint32_t i = 0; i < extensions->n; i++)
        for (uint32_t k = 0; k < sample->n; k++)
            if (strcmp(sample->members[k].extension, extensions->at[i]) == 0)
                return &sample->members[k];
    return NULL;
}

bool shards_read(const Shards *s, const Sample *sample, const Member *member, void *to, Error *err)
{
    const Shard *shard = &s->at[sample->shard_index];
    int fd = shard->fd >= 0 ? shard->fd : open(shard->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, "%s: cannot open the shard: %s", shard->name, strerror(errno));
    bool ok = tar_read(fd, shard->name, member->offset, to, member->size, err);
    if (shard->fd < 0) close(fd);
    return ok;
}
