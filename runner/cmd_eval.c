// cztc eval: held-out figures of a run or of any parameters.
#include "runner/evaluate.h"
#include "runner/newest.h"
#include "runner/origin.h"

#include <math.h>
#include <sys/stat.h>

typedef struct Values {
    const char *what, *series, *classes, *weights;
    int64_t most;
    Source source;
    Place place;
    Samples samples;
    bool json, compare;
} Values;

static const Option options[] = {
    RUN_OPERANDS(Values),
    SAMPLES_OPTIONS(Values),
    {"series", 0, OPTION_TEXT, offsetof(Values, series), "NAME=SHARDS",
     "label shards to the samples"},
    {"classes", 0, OPTION_TEXT, offsetof(Values, classes), "FILE",
     "class names: pack's JSON, or one a line; none: the graph's"},
    {"weights", 0, OPTION_TEXT, offsetof(Values, weights), "W.safetensors",
     "parameters instead of the newest checkpoint's"},
    {"baselines", 0, OPTION_FLAG, offsetof(Values, compare), NULL,
     "also evaluate the untrained network"},
    {"samples", 0, OPTION_COUNT, offsetof(Values, most), "N",
     "evenly spread over each set (rounded up to a batch); 0: all"},
    PLACE_OPTIONS(Values),
    SOURCE_OPTIONS(Values),
    CACHE_OPTION(Values),
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print one JSON object a set"},
};

// The graph's options for a set (NULL: for --data), changed by the command's.
static EvalOptions options_of(Arena *arena, const Loaded *l, const Values *v, const char *set)
{
    EvalOptions o = evaluate_options(arena, l, set);
    if (!set) o.source = v->samples.data, o.key = "--data";
    if (v->classes) o.classes = v->classes, o.prompts = NULL;
    o.series = v->series;
    o.samples = v->most;
    o.workers = (uint32_t)v->samples.workers;
    return o;
}

static void print_number(double x)
{
    if (isnan(x))
        printf(" %10s", "-");
    else
        printf(" %10.4f", x);
}

// One line; a baseline that the graph declares is a guess, under the figure that it belongs to.
static void print_row(const Figure *x, const Figure *untrained)
{
    if (x->under) {
        printf("  %-32s %10s", x->under, "");
        print_number(x->value);
    } else {
        printf("%-34s", x->name);
        print_number(x->value);
        print_number(x->baseline);
        if (untrained) print_number(untrained->value);
    }
    putchar('\n');
}

static json_t *json_row(const Figure *x, const Figure *untrained)
{
    json_t *row = json_pack("{s:o, s:o}", "value", json_f32(x->value), "guessing",
                            isnan(x->baseline) ? json_null() : json_f32(x->baseline));
    if (untrained) json_object_set_new(row, "untrained", json_f32(untrained->value));
    return row;
}

static json_t *json_figures(const Figures *f, const Figures *untrained)
{
    json_t *figures = json_object(), *row = NULL;
    for (uint32_t i = 0; i < f->at.n; i++) {
        const Figure *x = &f->at.at[i];
        if (x->under) { // row: the figure that it belongs to
            if (!json_object_get(row, "baselines"))
                json_object_set_new(row, "baselines", json_object());
            json_object_set_new(json_object_get(row, "baselines"), x->under, json_f32(x->value));
            continue;
        }
        row = json_row(x, untrained ? &untrained->at.at[i] : NULL);
        json_object_set_new(figures, x->name, row);
    }
    return figures;
}

static void print_figures(const Figures *f, const Figures *untrained, const char *set, bool json)
{
    if (json) {
        json_t *all = json_pack("{s:I, s:I, s:I, s:o}", "samples", (json_int_t)f->samples,
                                "batches", (json_int_t)f->batches, "left_out",
                                (json_int_t)f->left_out, "figures", json_figures(f, untrained));
        if (set) json_object_set_new(all, "set", json_string(set));
        json_line(all, stdout);
        json_decref(all);
        return;
    }
    if (set) printf("%s: ", set);
    printf("%lld samples; losses and metrics over %lld whole batches\n", (long long)f->samples,
           (long long)f->batches);
    printf("%-34s %10s %10s%s\n", "", "value", "guessing", untrained ? "  untrained" : "");
    for (uint32_t i = 0; i < f->at.n; i++)
        print_row(&f->at.at[i], untrained ? &untrained->at.at[i] : NULL);
}

// One set; NULL: --data.
static bool run_set(Arena *arena, const Loaded *l, const Values *v, bool folder, const char *set,
                    Error *err)
{
    EvalOptions o = options_of(arena, l, v, set);
    Figures figures, untrained;
    o.progress = true;
    if (!newest_state(arena, l, folder ? v->what : NULL, v->weights, &o.step, err) ||
        !evaluate(arena, l, &o, &figures, err))
        return false;
    if (v->compare && // at the same step, so that the losses mean the same
        (!exec_init(l->exec, l->step->seed, err) || !evaluate(arena, l, &o, &untrained, err)))
        return false;
    evaluate_warn(o.key, figures.left_out, figures.batches, evaluate_batch(l));
    if (!figures.at.n)
        return error_set(err, "%s: %lld samples give no figure: there must be a batch of %lld",
                         o.key, (long long)figures.samples, (long long)evaluate_batch(l));
    print_figures(&figures, v->compare ? &untrained : NULL, set, v->json);
    return true;
}

static bool run_all(Arena *arena, const Loaded *l, const Values *v, bool folder, Error *err)
{
    uint32_t n;
    const char **sets = evaluate_sets(arena, l, &n);
    if (v->samples.data) return run_set(arena, l, v, folder, NULL, err);
    if (!n) return error_set(err, "no samples: the graph names no eval set; give --data SHARDS");
    for (uint32_t i = 0; i < n; i++)
        if (!run_set(arena, l, v, folder, sets[i], err)) return false;
    return true;
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Loaded l;
    Error err = {0};
    struct stat st;
    bool folder = v->what && stat(v->what, &st) == 0 && S_ISDIR(st.st_mode);
    cli->repeats = true;
    if (cli->carried && v->what && !folder)
        return fail_text("%s: no folder of train (the program carries its step)", v->what);
    LoadOptions o = {.cli = cli, .place = v->place};
    if (!cli->carried) o.file = folder ? str_printf(cli->arena, "%s/step.czt", v->what) : v->what;
    o.root = v->samples.root;
    if (folder) o.choices = str_printf(cli->arena, "%s/products.json", v->what);
    o.graph.source = v->source;
    if (folder && v->source.set.n &&
        !origin_take(cli->arena, &o, v->what,
                     "name a graph file: eval FILE --weights W.safetensors", &err))
        return fail(&err);
    if (!load_program(&l, &o)) return EXIT_INPUT;
    bool ok = run_all(cli->arena, &l, v, folder, &err);
    load_free(&l);
    return ok ? EXIT_OK : fail(&err);
}

const Command command_eval = {
    "eval",         "held-out figures: losses, experts' metrics, retrieval, zero-shot",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
