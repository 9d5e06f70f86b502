// cztc stats: compute what a graph's stats: says of its teachers' outputs, and write the files that
// its step reads. The program has three entries: "stats_reset", "stats", which adds a batch,
// "stats_result".
#include "base/progress.h"
#include "cli/commands.h"
#include "runner/evaluate.h"
#include "runner/folders.h"
#include "runtime/frozen.h"
#include "runtime/safetensors.h"

#include <math.h>
#include <unistd.h>

enum { SAMPLES = 65536 }; // where --samples does not say how many

typedef struct Values {
    const char *file;
    Texts names;
    int64_t most;
    Source source;
    Place place;
    Samples samples;
    bool force, json;
} Values;

static const Option options[] = {
    {"FILE", 0, OPTION_OPERAND, offsetof(Values, file), NULL, "a graph file"},
    {"NAME", 0, OPTION_REST, offsetof(Values, names), NULL,
     "rows of its stats:, such as phi; none: all"},
    {"samples", 0, OPTION_NUMBER, offsetof(Values, most), "N",
     "at most, rounded up to a batch (65536)"},
    {"force", 0, OPTION_FLAG, offsetof(Values, force), NULL, "replace files that are there"},
    SAMPLES_OPTIONS(Values),
    PLACE_OPTIONS(Values),
    SOURCE_OPTIONS(Values),
    CACHE_OPTION(Values),
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print one JSON object a file"},
};

typedef struct Run {
    Arena *arena;
    const Values *v;
    bool again; // it is done once more (runner/again.h)
    Loaded l;
    const json_t *rows; // {path, base_dir, file, of} of each statistic
    int64_t batch, samples, left_out;
} Run;

static const char *member(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

static const char *path_of(const Run *r, const json_t *row)
{
    const char *base = member(row, "base_dir"), *file = member(row, "file");
    return *file == '/' || !*base ? file : str_printf(r->arena, "%s/%s", base, file);
}

// Before hours of work.
static bool may_write(const Run *r, Error *err)
{
    for (size_t i = 0; i < json_array_size(r->rows) && !r->v->force; i++) {
        const char *path = path_of(r, json_array_get(r->rows, i));
        if (access(path, F_OK) == 0)
            return error_set(err, "%s: it is there already; --force replaces it", path);
    }
    return true;
}

// ---- the samples --------------------------------------------------------------------------------

static bool sweep(Run *r, Feed *feed, uint32_t entry, Error *err)
{
    int64_t most = r->v->most ? r->v->most : SAMPLES, count;
    void **to = arena_array(r->arena, void *, feed->nslots + 1);
    Progress progress = progress_begin("stats", "samples", most);
    feed_places(feed, entry, 0, to);
    bool ok = true;
    while (ok && r->samples < most) {
        ok = data_next(feed->data, to, &count, err);
        if (ok && count < r->batch) {
            r->left_out = count;
            break;
        }
        ok = ok && exec_run(r->l.exec, entry, 0, r->l.step->seed, err);
        if (ok) r->samples += count;
        progress_at(&progress, r->samples);
    }
    progress_end(&progress);
    if (!ok) return false;
    if (r->samples) return true;
    return error_set(err, "%s: %lld samples are less than a batch of %lld", feed->shards,
                     (long long)r->left_out, (long long)r->batch);
}

static bool run_named(Run *r, const char *name, uint32_t *entry, Error *err)
{
    return load_entry(&r->l, name, entry, err) &&
           exec_run(r->l.exec, *entry, 0, r->l.step->seed, err);
}

static bool gather(Run *r, Error *err)
{
    uint32_t entry;
    if (!load_entry(&r->l, "stats", &entry, err)) return false;
    const StepEntry *e = &r->l.step->entries[entry];
    for (uint32_t i = 0; i < e->ninputs && !r->batch; i++)
        if (e->inputs[i].name[0] != '$') r->batch = e->inputs[i].shape[0];
    if (!r->batch) return error_set(err, "%s: the teachers look at no sample", r->l.step->file);
    FeedOptions o = {.source = r->v->samples.data,
                     .key = "--data",
                     .in_order = true,
                     .batch = r->batch,
                     .samples = r->v->most ? r->v->most : SAMPLES,
                     .entry_at = feed_one_entry,
                     .ctx = &entry,
                     .workers = (uint32_t)r->v->samples.workers};
    Feed feed;
    uint32_t reset;
    if (!feed_open(&feed, &r->l, &o, err)) return false;
    bool ok = feed_covers(&feed, entry, 0, err) && run_named(r, "stats_reset", &reset, err) &&
              sweep(r, &feed, entry, err);
    feed_close(&feed);
    return ok;
}

// ---- the files ----------------------------------------------------------------------------------

static bool is_of(const char *name, const char *path)
{
    size_t n = strlen(path);
    return strncmp(name, path, n) == 0 && name[n] == '.' && !strchr(name + n + 1, '.');
}

static bool all_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static json_t *about(const Run *r, const json_t *row, Error *err)
{
    json_t *to = frozen_identity(r->l.exec, json_object_get(row, "of"), err);
    if (!to) return NULL;
    json_object_set_new(to, "graph", json_string(r->l.step->name));
    json_object_set_new(to, "statistic", json_string(member(row, "path")));
    json_object_set_new(to, "samples",
                        json_string(str_printf(r->arena, "%lld", (long long)r->samples)));
    return to;
}

static void tell(const Run *r, const json_t *row, const char *path, const CztTensor *tensors,
                 uint32_t n)
{
    if (!r->v->json) {
        printf("%s: %s of %lld samples\n", path, member(row, "path"), (long long)r->samples);
        return;
    }
    json_t *shapes = json_object();
    for (uint32_t i = 0; i < n; i++)
        json_object_set_new(shapes, tensors[i].name,
                            json_string(tensor_text(r->arena, tensors[i].dtype, tensors[i].rank,
                                                    tensors[i].shape)));
    json_t *o = json_pack("{s:s, s:s, s:I, s:o}", "statistic", member(row, "path"), "file", path,
                          "samples", (json_int_t)r->samples, "tensors", shapes);
    json_line(o, stdout);
    json_decref(o);
}

static bool write_one(const Run *r, uint32_t entry, const json_t *row, Error *err)
{
    const StepEntry *e = &r->l.step->entries[entry];
    const char *name = member(row, "path"), *path = path_of(r, row), *slash = strrchr(path, '/');
    CztTensor *tensors = arena_array(r->arena, CztTensor, e->noutputs + 1);
    uint32_t *from = arena_array(r->arena, uint32_t, e->noutputs + 1), n = 0;
    for (uint32_t i = 0; i < e->noutputs; i++) {
        if (!is_of(e->outputs[i].name, name)) continue;
        if (!all_finite(exec_output(r->l.exec, entry, i), e->outputs[i].bytes / 4))
            return error_set(err, "%s: not finite, so %s says something that is not, or too much",
                             e->outputs[i].name, member(json_object_get(row, "of"), "teacher"));
        tensors[n] = e->outputs[i];
        tensors[n].name += strlen(name) + 1;
        from[n++] = i;
    }
    SafeWriter w;
    json_t *metadata = about(r, row, err);
    bool ok = metadata &&
              (!slash ||
               make_folders(r->arena, str_slice(r->arena, path, (size_t)(slash - path)), err)) &&
              safetensors_begin(&w, path, tensors, n, metadata, err);
    json_decref(metadata);
    if (!ok) return false;
    for (uint32_t i = 0; ok && i < n; i++)
        ok = safetensors_put(&w, exec_output(r->l.exec, entry, from[i]), tensors[i].bytes, err);
    if (!ok) {
        safetensors_cancel(&w);
        return false;
    }
    if (!safetensors_end(&w, NULL, err)) return false;
    tell(r, row, path, tensors, n);
    return true;
}

static bool write_all(Run *r, Error *err)
{
    uint32_t entry;
    if (!run_named(r, "stats_result", &entry, err)) return false;
    if (r->again) return true; // the files are not what it is done once more for
    for (size_t i = 0; i < json_array_size(r->rows); i++)
        if (!write_one(r, entry, json_array_get(r->rows, i), err)) return false;
    if (r->left_out)
        fprintf(stderr, "note: the last %lld samples are no whole batch of %lld, and left out\n",
                (long long)r->left_out, (long long)r->batch);
    return true;
}

static int run(Cli *cli, const void *values)
{
    Run r = {.arena = cli->arena, .v = values, .again = cli->again};
    const Values *v = values;
    Error err = {0};
    LoadOptions o = {.cli = cli, .file = v->file, .root = v->samples.root, .place = v->place};
    if (load_is_step(v->file))
        return fail_text("%s: a step file has no statistics to compute; give its graph file",
                         v->file);
    o.graph = (GraphOptions){
        .source = v->source, .stats = true, .stats_names = v->names.at, .nstats = v->names.n};
    cli->repeats = true;
    if (!load_program(&r.l, &o)) return EXIT_INPUT;
    r.rows = json_object_get(json_object_get(r.l.step->manifest, "train"), "statistics");
    bool ok = may_write(&r, &err) && exec_init(r.l.exec, r.l.step->seed, &err) &&
              gather(&r, &err) && write_all(&r, &err);
    load_free(&r.l);
    return ok ? EXIT_OK : fail(&err);
}

const Command command_stats = {
    "stats",        "compute statistics of teachers' outputs, which whitened targets are made of",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
