// cztc eval: held-out figures of a run or of any parameters.
#include "cli/evaluate.h"
#include "runtime/checkpoint.h"

#include <math.h>
#include <sys/stat.h>

typedef struct Values {
    const char *what, *data, *series, *classes, *weights, *lib;
    Texts set;
    int64_t samples, threads, workers;
    bool json, compare;
} Values;

static const Option options[] = {
    {"RUN", 0, OPTION_OPERAND, offsetof(Values, what), NULL,
     "a folder of cztc train, a step file or a graph file"},
    {"data", 0, OPTION_TEXT, offsetof(Values, data), "SHARDS",
     "the samples: dir/test-{0000..0003}.tar; none: the graph's first eval set"},
    {"series", 0, OPTION_TEXT, offsetof(Values, series), "NAME=SHARDS",
     "label shards to the samples"},
    {"classes", 0, OPTION_TEXT, offsetof(Values, classes), "FILE.json",
     "{\"classes\": [..], \"templates\": [..]}; none: the graph's"},
    {"weights", 0, OPTION_TEXT, offsetof(Values, weights), "W.safetensors",
     "parameters instead of the newest checkpoint's"},
    {"baselines", 0, OPTION_FLAG, offsetof(Values, compare), NULL,
     "also evaluate the untrained network"},
    {"samples", 0, OPTION_COUNT, offsetof(Values, samples), "N",
     "at most (rounded up to a batch); 0: all"},
    {"threads", 0, OPTION_COUNT, offsetof(Values, threads), "N", "that compute; 0: one a core"},
    {"workers", 0, OPTION_COUNT, offsetof(Values, workers), "N", "that decode; 0: one a core"},
    {"set", 0, OPTION_TEXTS, offsetof(Values, set), "K=V",
     "change a value of the graph file; globs allowed"},
    {"lib", 0, OPTION_TEXT, offsetof(Values, lib), "DIR",
     "library files instead of the built-in ones"},
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print one JSON object"},
};

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "warning: %s\n", text);
}

// A path of the graph's eval section, beside the file that says it.
static const char *graph_path(Arena *arena, const Step *step, const json_t *path)
{
    const char *base =
        json_string_value(json_object_get(json_object_get(step->manifest, "eval"), "base_dir"));
    const char *text = json_string_value(path);
    if (!text || text[0] == '/' || !base || !*base) return text;
    return str_printf(arena, "%s/%s", base, text);
}

static bool eval_options(Arena *arena, const Loaded *l, const Values *v, EvalOptions *o, Error *err)
{
    json_t *eval = json_object_get(l->step->manifest, "eval");
    void *first = json_object_iter(json_object_get(eval, "sets"));
    *o = (EvalOptions){.source = v->data,
                       .series = v->series,
                       .classes = v->classes,
                       .samples = v->samples,
                       .workers = (uint32_t)v->workers};
    if (!o->source && first) o->source = graph_path(arena, l->step, json_object_iter_value(first));
    if (!o->classes) o->classes = graph_path(arena, l->step, json_object_get(eval, "classes"));
    return o->source ||
           error_set(err, "no samples: the graph names no eval set; give --data SHARDS");
}

// Bring the state to what is evaluated; step: its finished updates, all of the graph's for weights from a file.
static bool set_state(Arena *arena, const Loaded *l, const Values *v, bool folder, int64_t *step,
                      Error *err)
{
    Checkpoint latest = {0};
    *step = v->weights ? l->step->steps : 0;
    if (!exec_init(l->exec, l->step->seed, err)) return false;
    if (v->weights) return load_weights(l, v->weights, false, err);
    if (!folder) {
        fprintf(stderr, "note: untrained parameters; --weights or a run's folder gives others\n");
        return true;
    }
    const char *at = str_printf(arena, "%s/checkpoints", v->what);
    if (!checkpoint_latest(arena, at, &latest, (CheckpointWarn){warn, NULL}, err)) return false;
    if (!latest.path) return error_set(err, "%s: no checkpoint is there", at);
    fprintf(stderr, "parameters of %s\n", latest.path);
    *step = latest.step;
    return checkpoint_load(l->exec, &latest, err);
}

static void print_number(double x)
{
    if (isnan(x))
        printf(" %10s", "-");
    else
        printf(" %10.4f", x);
}

static void print_figures(const Figures *f, const Figures *untrained, bool json)
{
    json_t *figures = json_object();
    if (!json) {
        printf("%lld samples; losses and metrics over %lld whole batches\n", (long long)f->samples,
               (long long)f->batches);
        printf("%-34s %10s %10s%s\n", "", "value", "guessing", untrained ? "  untrained" : "");
    }
    for (uint32_t i = 0; i < f->at.n; i++) {
        const Figure *x = &f->at.at[i];
        json_t *row = json_pack("{s:o, s:o}", "value", json_f32(x->value), "guessing",
                                isnan(x->baseline) ? json_null() : json_f32(x->baseline));
        if (untrained) json_object_set_new(row, "untrained", json_f32(untrained->at.at[i].value));
        json_object_set_new(figures, x->name, row);
        if (json) continue;
        printf("%-34s", x->name);
        print_number(x->value);
        print_number(x->baseline);
        if (untrained) print_number(untrained->at.at[i].value);
        putchar('\n');
    }
    json_t *all = json_pack("{s:I, s:I, s:o}", "samples", (json_int_t)f->samples, "batches",
                            (json_int_t)f->batches, "figures", figures);
    if (json) json_line(all, stdout);
    json_decref(all);
}

static bool run_all(Arena *arena, const Loaded *l, const Values *v, bool folder, Error *err)
{
    EvalOptions o;
    Figures figures, untrained;
    if (!eval_options(arena, l, v, &o, err)) return false;
    if (!set_state(arena, l, v, folder, &o.step, err) || !evaluate(arena, l, &o, &figures, err))
        return false;
    if (v->compare && // at the same step, so that the losses mean the same
        (!exec_init(l->exec, l->step->seed, err) || !evaluate(arena, l, &o, &untrained, err)))
        return false;
    print_figures(&figures, v->compare ? &untrained : NULL, v->json);
    return true;
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Loaded l;
    Error err = {0};
    struct stat st;
    bool folder = stat(v->what, &st) == 0 && S_ISDIR(st.st_mode);
    LoadOptions o = {.file = folder ? str_printf(cli->arena, "%s/step.czt", v->what) : v->what,
                     .threads = (uint32_t)v->threads};
    o.frontend = (FrontendOptions){.lib_dir = v->lib, .set = v->set.at, .nset = v->set.n};
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
