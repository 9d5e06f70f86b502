// The manifest's "data" object becomes the data pipeline's specification; batches go straight into
// the inputs of the entry that runs next.
#include "runner/feed.h"

#include "runner/tokens.h"

#include <inttypes.h>
#include <stdlib.h>

#define CLASSES "$class" // the field of samples' classes

// A bad sample comes again in every epoch, and is told of once.
static void report_skipped(void *user, const DataProblem *p)
{
    Feed *f = user;
    enum { SHOWN = 20 };
    const char *sample =
        *p->key ? str_printf(f->arena, "%s: sample %s", p->shard, p->key) : p->shard;
    if (!map_set(f->arena, &f->seen, sample, f)) return;
    const char *reason = *p->member ? str_printf(f->arena, "member .%s: %s", p->member, p->reason)
                                    : str_copy(f->arena, p->reason);
    vec_push(f->arena, &f->untold, (Skipped){f->seen.at[f->seen.n - 1].key, reason});
    if (f->seen.n <= SHOWN) fprintf(stderr, "warning: %s: %s; left out\n", sample, reason);
    if (f->seen.n == SHOWN + 1) fprintf(stderr, "warning: further bad samples are not named\n");
}

// The paths of the graph's series, which lie in `base`, as seen from the working directory.
static void place_series(json_t *series, const char *base, Arena *arena)
{
    const char *name;
    json_t *paths, *path;
    size_t i;
    json_object_foreach(series, name, paths)
    {
        json_array_foreach(paths, i, path)
        {
            const char *text = json_string_value(path);
            if (text && *base && text[0] != '/' && strncmp(text, "pipe:", 5) != 0)
                json_array_set_new(paths, i, json_string(str_printf(arena, "%s/%s", base, text)));
        }
    }
}

// Is the item in a series of this name, or what it replays? Else add the names that there are.
static bool names_series(Arena *arena, const json_t *item, const char *name, const char **known)
{
    const json_t *in[] = {item, json_object_get(item, "replay")};
    for (int i = 0; i < 2; i++) {
        const char *of = json_string_value(json_object_get(in[i], "series"));
        if (of && strcmp(of, name) == 0) return true;
        if (of && !strstr(*known, of))
            *known = str_printf(arena, "%s%s%s", *known, **known ? ", " : "", of);
    }
    return false;
}

// --series must give a series that a view or a field of the graph is in.
static bool check_series(Arena *arena, const json_t *spec, const char *text, Error *err)
{
    static const char *const lists[] = {"fields", "views"};
    const char *eq = strchr(text, '='), *known = "";
    const json_t *item;
    size_t i;
    if (!eq || eq == text || !eq[1])
        return error_set(err, "--series: '%s' is no NAME=SHARDS", text);
    const char *name = str_slice(arena, text, (size_t)(eq - text));
    for (int list = 0; list < 2; list++) {
        json_array_foreach(json_object_get(spec, lists[list]), i, item)
        {
            if (names_series(arena, item, name, &known)) return true;
        }
    }
    return error_set(err, "--series: nothing of the graph is in a series '%s' (there are: %s)",
                     name, *known ? known : "none");
}

// What is evaluated need not have the series of what is trained on.
static void without_series(json_t *spec)
{
    json_t *field;
    size_t i;
    json_array_foreach(json_object_get(spec, "fields"), i, field)
    {
        if (json_is_string(json_object_get(field, "series")))
            json_object_set_new(field, "required", json_false());
    }
}

// Options that stand in the specification.
static void put_options(json_t *spec, const FeedOptions *o)
{
    if (o->in_order) without_series(spec);
    if (o->in_order) json_object_set_new(spec, "shuffle", json_false());
    if (o->in_order) json_object_set_new(spec, "augment", json_false());
    if (o->any_bad) json_object_set_new(spec, "max_bad", json_integer(1));
    if (o->batch) json_object_set_new(spec, "batch", json_integer(o->batch));
    if (o->seed) json_object_set_new(spec, "seed", json_integer(option_seed(o->seed, 0)));
}

// The specification with this run's changes; *base is the folder of relative paths.
static json_t *specification(const json_t *manifest, const char *file, const FeedOptions *o,
                             const char **base, Arena *arena, Error *err)
{
    if (!manifest) {
        error_set(err, "%s: the graph has no data", file);
        return NULL;
    }
    if (o->series && !check_series(arena, manifest, o->series, err)) return NULL;
    json_t *spec = json_deep_copy(manifest);
    const char *folder = json_string_value(json_object_get(spec, "base_dir"));
    *base = folder ? str_copy(arena, folder) : "";
    json_object_del(spec, "base_dir");
    if (o->source) {
        place_series(json_object_get(spec, "series"), *base, arena);
        *base = "";
        json_object_set_new(spec, "source", json_string(o->source));
        json_object_del(spec, "mixture");
    }
    if (o->series) {
        const char *eq = strchr(o->series, '=');
        json_t *series = json_object();
        json_object_set_new(series, str_slice(arena, o->series, (size_t)(eq - o->series)),
                            json_string(eq + 1));
        json_object_set_new(spec, "series", series);
    }
    put_options(spec, o);
    if (!o->shape_at) json_object_del(spec, "shapes");
    if (o->classes) {
        json_t *fields = json_object_get(spec, "fields");
        if (!fields) json_object_set_new(spec, "fields", fields = json_array());
        json_array_append_new(fields, json_pack("{s:s, s:s, s:[s]}", "name", CLASSES, "role",
                                                "class", "member", "cls"));
    }
    return spec;
}

// What the samples come from, by its key: two patterns at most are spelled out.
static const char *describe(Arena *arena, const Names *source, const char *base, const char *key)
{
    enum { SHOWN = 2 };
    const char *text = str_printf(arena, "%s:", key);
    for (uint32_t i = 0; i < source->n && i < SHOWN; i++) {
        bool beside = *base && source->at[i][0] != '/' && strncmp(source->at[i], "pipe:", 5) != 0;
        text = str_printf(arena, "%s%s %s%s%s", text, i ? "," : "", beside ? base : "",
                          beside ? "/" : "", source->at[i]);
    }
    if (source->n <= SHOWN) return text;
    return str_printf(arena, "%s and %u more", text, source->n - SHOWN);
}

// What each entry reads of the data; the classes are for no entry, and wanted with all.
static const Names *entry_inputs(const Feed *f, const FeedOptions *o, uint32_t *n)
{
    const Step *step = f->program->step;
    Names *of = arena_array(f->arena, Names, step->nentries + 1);
    for (uint32_t i = 0; i < step->nentries; i++) {
        const StepEntry *e = &step->entries[i];
        of[i].at = arena_array(f->arena, const char *, e->ninputs + 1);
        for (uint32_t k = 0; k < e->ninputs; k++) of[i].at[of[i].n++] = e->inputs[k].name;
        if (o->classes) of[i].at[of[i].n++] = CLASSES;
    }
    *n = step->nentries;
    return of;
}

uint32_t feed_one_entry(void *ctx, int64_t number)
{
    (void)number;
    return *(const uint32_t *)ctx;
}

static bool open_data(Feed *f, const json_t *data, TokenizerFiles carried, const char *file,
                      const FeedOptions *o, Error *err)
{
    const char *base = "";
    json_t *json = specification(data, file, o, &base, f->arena, err);
    DataSpec *spec = json ? spec_parse(f->arena, json, err) : NULL;
    json_decref(json);
    f->spec = spec;
    f->base = base;
    if (spec) {
        DataOptions d = {.base_dir = *base ? base : NULL,
                         .key = o->source ? o->key : NULL,
                         .tokenizers = tokens_files(f->arena, carried),
                         .threads = (int)o->workers,
                         .ahead = o->ahead,
                         .samples = o->samples,
                         .report = o->quiet ? NULL : report_skipped,
                         .user = f,
                         .shape_at = o->shape_at,
                         .ctx = o->ctx};
        if (o->entry_at) d.want_at = o->entry_at, d.wants = entry_inputs(f, o, &d.nwants);
        f->shards = describe(f->arena, &spec->source, base, d.key ? d.key : "data.source");
        f->given = o->source ? str_copy(f->arena, o->source) : NULL;
        f->data = data_open(spec, &d, err);
    }
    if (f->data) {
        f->slots = data_slots(f->data, &f->nslots);
        return true;
    }
    feed_close(f);
    return false;
}

bool feed_open(Feed *f, const Loaded *program, const FeedOptions *o, Error *err)
{
    const Step *step = program->step;
    *f = (Feed){.arena = arena_new(), .program = program};
    return open_data(f, json_object_get(step->manifest, "data"), step->tokenizers, step->file, o,
                     err);
}

bool feed_open_data(Feed *f, const json_t *data, TokenizerFiles carried, const char *file,
                    const FeedOptions *o, Error *err)
{
    *f = (Feed){.arena = arena_new()};
    return open_data(f, data, carried, file, o, err);
}

void feed_close(Feed *f)
{
    data_close(f->data);
    arena_free(f->arena);
    *f = (Feed){0};
}

static bool fits(const DataSlot *slot, const CztTensor *t)
{
    const char *want = t->dtype == CZT_BOOL ? "u8" : czt_dtype_name(t->dtype);
    return strcmp(slot->dtype, want) == 0 && slot->bytes == (size_t)t->bytes;
}

static int32_t slot_named(const DataSlot *slots, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(slots[i].name, name) == 0) return (int32_t)i;
    return -1;
}

int32_t feed_slot(const Feed *f, const char *name)
{
    return slot_named(f->slots, f->nslots, name);
}

bool feed_covers(const Feed *f, uint32_t entry, uint32_t shape, Error *err)
{
    const StepEntry *e = &f->program->step->entries[entry];
    uint32_t n;
    const DataSlot *slots = data_slots_of(f->data, shape, &n);
    for (uint32_t i = 0; i < e->ninputs; i++) {
        const CztTensor *t = &e->inputs[i];
        if (t->name[0] == '$') continue;
        int32_t s = slot_named(slots, n, t->name);
        if (s < 0)
            return error_set(err, "input '%s' of entry '%s' is not in the data", t->name, e->name);
        if (!fits(&slots[s], t))
            return error_set(err,
                             "input '%s' of entry '%s' is %s, the data gives %s with %zu bytes",
                             t->name, e->name, tensor_text(f->arena, t->dtype, t->rank, t->shape),
                             slots[s].dtype, slots[s].bytes);
    }
    return true;
}

void feed_places(const Feed *f, uint32_t entry, uint32_t shape, void **to)
{
    const StepEntry *e = &f->program->step->entries[entry];
    uint32_t n;
    const DataSlot *slots = data_slots_of(f->data, shape, &n);
    for (uint32_t i = 0; i < n; i++) {
        int32_t input = tensor_find(e->inputs, e->ninputs, slots[i].name);
        to[i] = input < 0 ? NULL : exec_input(f->program->exec, entry, (uint32_t)input);
    }
}

// ---- train_run
// ----------------------------------------------------------------------------------------

static bool next(void *ctx, uint32_t entry, void *const *slots, Error *err)
{
    Feed *f = ctx;
    (void)slots; // the same places, by input
    uint32_t shape = data_shape(f->data), n;
    data_slots_of(f->data, shape, &n);
    void **to = malloc(sizeof *to * (n + 1));
    if (!to) return error_set(err, "no memory");
    feed_places(f, entry, shape, to);
    Error why = {0};
    bool ok = data_next(f->data, to, NULL, &why) || error_set(err, "%s: %s", f->shards, why.text);
    free(to);
    return ok;
}

static bool tell(void *ctx, Log *log, int64_t step, Error *err)
{
    Feed *f = ctx;
    bool ok = true;
    for (uint32_t i = 0; ok && i < f->untold.n; i++)
        ok = log_skipped(log, step, f->untold.at[i].sample, f->untold.at[i].reason, err);
    f->untold.n = 0;
    return ok;
}

static int64_t skipped(void *ctx)
{
    const Feed *f = ctx;
    return data_counts(f->data).bad;
}

static char *position(void *ctx)
{
    const Feed *f = ctx;
    DataPosition at = data_position(f->data);
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:I}", "epoch", (json_int_t)at.epoch, "index",
                  (json_int_t)at.index, "used", (json_int_t)at.used, "bad", (json_int_t)at.bad);
    if (f->given) json_object_set_new(json, "data", json_string(f->given));
    char *text = json_dumps(json, 0);
    json_decref(json);
    return text;
}

// Shards that the user named for the run before have to be named again.
static bool same_source(const Feed *f, const json_t *json, Error *err)
{
    const char *data = json_string_value(json_object_get(json, "data"));
    if (!data || f->given) return true;
    return error_set(err, "this run is trained on --data '%s': give it again", data);
}

static bool seek(void *ctx, const char *text, int64_t step, Error *err)
{
    Feed *f = ctx;
    json_int_t epoch, index, used = 0, bad = 0; // older checkpoints have no counts
    json_t *json = json_loads(text, 0, NULL);
    bool ok = json && json_unpack(json, "{s:I, s:I, s?I, s?I}", "epoch", &epoch, "index", &index,
                                  "used", &used, "bad", &bad) == 0;
    bool same = !ok || same_source(f, json, err);
    json_decref(json);
    if (!same) return false;
    if (!ok)
        return error_set(err, "the checkpoint's data position is no {\"epoch\":, \"index\":}: %s",
                         text);
    data_seek(f->data, (DataPosition){(uint64_t)epoch, (uint64_t)index, used, bad, step});
    return true;
}

TrainFeed feed_train(Feed *f)
{
    return (TrainFeed){f, next, position, seek, tell, skipped};
}
