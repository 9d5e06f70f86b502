// cztc data: what the data is that a step trains on, as figures and as a page of samples. The
// pipeline is that of train, with a batch of one, so the samples are those that training begins
// with.
#include "runner/origin.h"
#include "runner/page.h"

#include <sys/stat.h>

typedef struct Values {
    const char *file, *out, *seed;
    int64_t show, look_at;
    Source source;
    Samples samples;
    bool in_order, json;
} Values;

static const char doc[] =
    "look at samples as the step sees them, and write a page of them\n"
    "\n"
    "Views, labels drawn over them, tokens as text, vectors and arrays by their range, after all\n"
    "transforms and in the order of training; what no part of the step reads is not decoded. The\n"
    "page is one HTML file that needs no other. Without -o only the figures are printed.";

static const Option options[] = {
    {"FILE", 0, OPTION_OPERAND | IN_CZTC, offsetof(Values, file), NULL,
     "a graph file, which is not compiled for this, a step file, or a folder of train"},
    {"STEP", 0, OPTION_OPERAND | IN_RUNNER, offsetof(Values, file), NULL,
     "a step file, or a folder of train"},
    {"output", 'o', OPTION_TEXT, offsetof(Values, out), "PAGE.html", "write the page"},
    {"show", 0, OPTION_NUMBER, offsetof(Values, show), "N", "samples on the page (32)"},
    {"look-at", 0, OPTION_NUMBER, offsetof(Values, look_at), "N",
     "samples that the figures are of (256, at least those shown)"},
    SAMPLES_OPTIONS(Values),
    {"in-order", 0, OPTION_FLAG, offsetof(Values, in_order), NULL,
     "the first samples of the shards, without augmentation, as eval sees them"},
    {"seed", 0, OPTION_SEED, offsetof(Values, seed), "N",
     "of order and augmentation (the graph's)"},
    SOURCE_OPTIONS(Values),
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print the figures as one JSON object"},
};

typedef struct Run {
    const Cli *cli;
    const Values *v;
    const char *title;
    int64_t batch; // of the step
    double max_bad;
    uint32_t shards;
    Feed feed;
    Look look;
    Page page;
} Run;

static int64_t number_or(int64_t given, int64_t otherwise)
{
    return given ? given : otherwise;
}

// Read the samples; the first ones go onto the page.
static bool look(Run *run, Error *err)
{
    int64_t show = number_or(run->v->show, 32), most = number_or(run->v->look_at, 256);
    if (most < show) most = show;
    bool got = true;
    for (int64_t i = 0; i < most; i++) {
        if (!look_next(&run->look, &got, err)) return false;
        if (!got) break;
        if (run->page.out && i < show && !page_add(&run->page, err)) return false;
    }
    if (run->look.seen) return true;
    return error_set(err, "none of %lld samples can be used", (long long)run->look.in_source);
}

// What is to be said in words, above all figures.
static const char *const *notes(const Run *run, uint32_t *n)
{
    Arena *arena = run->cli->arena;
    DataCounts counts = data_counts(run->feed.data);
    VEC(const char *) list = {0};
    vec_push(arena, &list, run->feed.shards);
    vec_push(arena, &list,
             str_printf(arena, "%lld samples in %u shard%s; %lld looked at, %lld left out",
                        (long long)counts.samples, run->shards, run->shards == 1 ? "" : "s",
                        (long long)run->look.seen, (long long)counts.bad));
    if (counts.damaged)
        vec_push(arena, &list, str_printf(arena, "%lld damaged shards", (long long)counts.damaged));
    if (counts.dropped)
        vec_push(arena, &list,
                 str_printf(arena,
                            "%lld boxes or points were more than their fields' max, and dropped",
                            (long long)counts.dropped));
    if (counts.samples < run->batch)
        vec_push(arena, &list,
                 str_printf(arena,
                            "%lld samples are fewer than a batch of %lld: train refuses them",
                            (long long)counts.samples, (long long)run->batch));
    double tried = (double)(run->look.seen + counts.bad);
    if ((double)counts.bad > run->max_bad * tried)
        vec_push(arena, &list,
                 str_printf(arena, "%.3g %% were left out: train stops above %.3g %% (max_bad)",
                            100 * (double)counts.bad / tried, 100 * run->max_bad));
    *n = list.n;
    return list.at;
}

static void print(const Run *run)
{
    uint32_t n;
    Arena *arena = run->cli->arena;
    const char *const *lines = notes(run, &n);
    for (uint32_t i = 0; i < n; i++) printf("%s\n", lines[i]);
    for (uint32_t i = 0; i < run->feed.spec->nviews; i++) {
        const char *name = run->feed.spec->views[i].name;
        printf("  %-16s view       %s\n", name,
               slot_text(arena, &run->feed.slots[feed_slot(&run->feed, name)]));
    }
    for (uint32_t i = 0; i < run->feed.spec->nfields; i++) {
        const FieldLook *f = &run->look.fields[i];
        printf("  %-16s %-10s %-18s %s", f->spec->name, role_text(f->spec->role),
               slot_text(arena, &run->feed.slots[f->slot]), look_text(&run->look, f));
        if (f->missing)
            printf("; missing in %lld (%.3g %%)", (long long)f->missing,
                   100.0 * (double)f->missing / (double)run->look.seen);
        putchar('\n');
    }
    if (run->page.out) printf("%lld samples on %s\n", (long long)run->page.shown, run->v->out);
}

static void print_json(const Run *run)
{
    json_t *o = look_json(&run->look);
    json_object_set_new(o, "shards", json_integer(run->shards));
    json_object_set_new(o, "batch", json_integer(run->batch));
    if (run->page.out) {
        json_object_set_new(o, "page", json_string(run->v->out));
        json_object_set_new(o, "shown", json_integer(run->page.shown));
    }
    json_line(o, stdout);
    json_decref(o);
}

static bool show(Run *run, Error *err)
{
    uint32_t n;
    Names files = {0};
    const char *base = *run->feed.base ? run->feed.base : NULL;
    if (!shards_list(run->cli->arena, &run->feed.spec->source, base, &files, err)) return false;
    run->shards = files.n;
    if (!look_open(&run->look, run->cli->arena, &run->feed, err) ||
        (run->v->out && !page_open(&run->page, &run->look, err)) || !look(run, err))
        return false;
    const char *const *lines = notes(run, &n);
    if (run->v->out &&
        !page_write(&run->page, run->cli->arena, run->v->out, run->title, lines, n, err))
        return false;
    if (run->v->json)
        print_json(run);
    else
        print(run);
    return true;
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Run run = {.cli = cli, .v = v, .title = v->file ? v->file : cli->carried};
    LoadOptions o = {.cli = cli, .file = v->file, .root = v->samples.root};
    json_t *data;
    TokenizerFiles carried;
    Error err = {0};
    struct stat st;
    bool folder = false;
    if (v->file && stat(v->file, &st) == 0 && S_ISDIR(st.st_mode))
        folder = true, o.file = str_printf(cli->arena, "%s/step.czt", v->file);
    o.graph.source = v->source;
    if (folder && v->source.set.n &&
        !origin_take(cli->arena, &o, v->file, "name a graph file", &err))
        return fail(&err);
    if (!load_data(&data, &carried, &o)) return EXIT_INPUT;
    FeedOptions f = {.source = v->samples.data,
                     .key = "--data",
                     .in_order = v->in_order,
                     .any_bad = true,
                     .batch = 1,
                     .ahead = 64,
                     .seed = v->seed,
                     .workers = (uint32_t)v->samples.workers};
    const json_t *max_bad = json_object_get(data, "max_bad");
    run.batch = json_integer_value(json_object_get(data, "batch"));
    run.max_bad = json_is_number(max_bad) ? json_number_value(max_bad) : 0.1;
    bool ok = feed_open_data(&run.feed, data, carried, run.title, &f, &err) && show(&run, &err);
    if (!ok) fail(&err);
    page_close(&run.page);
    look_close(&run.look);
    if (run.feed.arena) feed_close(&run.feed);
    json_decref(data);
    return ok ? EXIT_OK : EXIT_INPUT;
}

const Command command_data = {
    "data", doc, options, sizeof options / sizeof *options, sizeof(Values), run,
};
