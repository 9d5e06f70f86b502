// The eval section of a graph: its sets, and what they need, looked at before a run begins.
#include "runner/evaluate.h"

#include "runner/classes.h"

static const json_t *section(const Loaded *l)
{
    return json_object_get(l->step->manifest, "eval");
}

// A path of the section, beside the file that says it; NULL when it is not there.
static const char *path_of(Arena *arena, const Loaded *l, const json_t *path)
{
    const char *base = json_string_value(json_object_get(section(l), "base_dir"));
    const char *text = json_string_value(path);
    if (!text || text[0] == '/' || !base || !*base) return text;
    return str_printf(arena, "%s/%s", base, text);
}

const char **evaluate_sets(Arena *arena, const Loaded *l, uint32_t *n)
{
    json_t *sets = json_object_get(section(l), "sets"), *source;
    const char **names = arena_array(arena, const char *, json_object_size(sets) + 1), *name;
    *n = 0;
    json_object_foreach(sets, name, source) names[(*n)++] = name;
    return names;
}

EvalOptions evaluate_options(Arena *arena, const Loaded *l, const char *set)
{
    const json_t *eval = section(l);
    EvalOptions o = {.classes = path_of(arena, l, json_object_get(eval, "classes")),
                     .prompts = path_of(arena, l, json_object_get(eval, "prompts"))};
    if (!set) return o;
    o.source = path_of(arena, l, json_object_get(json_object_get(eval, "sets"), set));
    o.key = str_printf(arena, "eval.sets.%s", set);
    return o;
}

void evaluate_warn(const char *key, int64_t left_out, int64_t batches, int64_t batch)
{
    if (!left_out) return;
    if (batches)
        fprintf(stderr,
                "warning: %s: %lld samples of the last batch are left out of losses and metrics "
                "(a batch is %lld)\n",
                key, (long long)left_out, (long long)batch);
    else
        fprintf(stderr,
                "warning: %s: there are no losses and metrics: %lld samples are fewer than a batch "
                "of %lld\n",
                key, (long long)left_out, (long long)batch);
}

int64_t evaluate_batch(const Loaded *l)
{
    int32_t entry = step_entry(l->step, "eval");
    return entry < 0 ? l->step->batch : l->step->entries[entry].batch;
}

// The same of a set that is not gone through yet, if it will be: of all its samples, or as many
// whole batches as eval.samples asks for.
static void warn_before(const Loaded *l, const Feed *f, const char *key)
{
    int64_t batch = evaluate_batch(l), samples = data_counts(f->data).samples;
    int64_t most = json_integer_value(json_object_get(section(l), "samples"));
    bool wanted = json_integer_value(json_object_get(section(l), "every")) > 0;
    if (wanted && (most <= 0 || most > samples / batch * batch))
        evaluate_warn(key, samples % batch, samples / batch, batch);
}

bool evaluate_check(const Loaded *l, uint32_t workers, Error *err)
{
    Arena *arena = arena_new();
    uint32_t n, entry = 0;
    const char **sets = evaluate_sets(arena, l, &n);
    EvalOptions o = evaluate_options(arena, l, NULL);
    Classes classes;
    Error why = {0};
    bool ok = !o.classes || classes_read(arena, o.classes, o.prompts, &classes, &why);
    if (!ok) error_set(err, "eval.classes: %s", why.text);
    if (ok && n) ok = load_entry(l, "eval", &entry, err);
    for (uint32_t i = 0; ok && i < n; i++) {
        Feed feed;
        o = evaluate_options(arena, l, sets[i]);
        FeedOptions f = {.source = o.source,
                         .key = o.key,
                         .in_order = true,
                         .quiet = true,
                         .entry_at = feed_one_entry,
                         .ctx = &entry,
                         .classes = o.classes != NULL,
                         .workers = workers,
                         .batch = evaluate_batch(l)};
        ok = feed_open(&feed, l, &f, err) && feed_covers(&feed, entry, 0, err);
        if (ok) warn_before(l, &feed, o.key);
        if (feed.arena) feed_close(&feed);
    }
    arena_free(arena);
    return ok;
}
