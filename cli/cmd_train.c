// cztc train: a run in a folder. OUT/step.czt is the program, OUT/log.jsonl the log,
// OUT/checkpoints the state.
#include "cli/evaluate.h"
#include "runtime/checkpoint.h"

#include <errno.h>
#include <sys/stat.h>

typedef struct Values {
    const char *file, *lib, *out, *resume, *data, *weights;
    Texts set;
    const char *seed;
    int64_t steps, threads, workers, every;
    bool json;
} Values;

static const Option options[] = {
    {"FILE", 0, OPTION_MAYBE, offsetof(Values, file), NULL,
     "a graph file or step file; with --resume, OUT/step.czt by default"},
    {"out", 'o', OPTION_TEXT, offsetof(Values, out), "DIR", "folder of a new run"},
    {"resume", 0, OPTION_TEXT, offsetof(Values, resume), "DIR",
     "go on with the run in this folder"},
    {"steps", 'n', OPTION_COUNT, offsetof(Values, steps), "N",
     "finished updates to reach (the graph's)"},
    {"data", 0, OPTION_TEXT, offsetof(Values, data), "SHARDS",
     "train on these shards, not the graph's: dir/train-{0000..0003}.tar"},
    {"weights", 0, OPTION_TEXT, offsetof(Values, weights), "W.safetensors",
     "begin with these parameters"},
    {"checkpoint-every", 0, OPTION_COUNT, offsetof(Values, every), "N", "updates (the graph's)"},
    {"seed", 0, OPTION_TEXT, offsetof(Values, seed), "N", "of a new run (the graph's)"},
    {"threads", 0, OPTION_COUNT, offsetof(Values, threads), "N", "that compute; 0: one a core"},
    {"workers", 0, OPTION_COUNT, offsetof(Values, workers), "N", "that decode; 0: one a core"},
    {"set", 0, OPTION_TEXTS, offsetof(Values, set), "K=V",
     "change a value of the file; globs allowed"},
    {"lib", 0, OPTION_TEXT, offsetof(Values, lib), "DIR",
     "library files instead of the built-in ones"},
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print the result as one JSON object"},
};

typedef struct Run {
    Loaded program;
    Feed feed;
    const Values *values;
    int64_t eval_every;
    int64_t seed;
} Run;

static int64_t setting(const Step *step, const char *section, const char *key, int64_t otherwise)
{
    const json_t *x = json_object_get(json_object_get(step->manifest, section), key);
    return json_is_number(x) ? (int64_t)json_number_value(x) : otherwise;
}

static bool start(void *ctx, Exec *exec, Error *err)
{
    const Run *run = ctx;
    return exec_init(exec, run->seed, err) &&
           (!run->values->weights || load_weights(&run->program, run->values->weights, false, err));
}

// Evaluate the graph's sets; figures go to the log as "eval.SET.NAME".
static bool evaluate_set(const Run *run, Log *log, int64_t step, const char *name,
                         const char *source, Error *err)
{
    Figures figures;
    Arena *arena = arena_new();
    EvalOptions o = {.source = source,
                     .samples = setting(run->program.step, "eval", "samples", 0),
                     .step = step,
                     .workers = (uint32_t)run->values->workers};
    const json_t *eval = json_object_get(run->program.step->manifest, "eval");
    const char *base = json_string_value(json_object_get(eval, "base_dir"));
    const char *classes = json_string_value(json_object_get(eval, "classes"));
    if (base && *base && source[0] != '/') o.source = str_printf(arena, "%s/%s", base, source);
    if (classes)
        o.classes = base && *base && classes[0] != '/' ? str_printf(arena, "%s/%s", base, classes)
                                                       : classes;
    bool ok = evaluate(arena, &run->program, &o, &figures, err);
    if (ok) {
        LogValue *values = arena_array(arena, LogValue, figures.at.n + 1);
        for (uint32_t i = 0; i < figures.at.n; i++)
            values[i] = (LogValue){str_printf(arena, "eval.%s.%s", name, figures.at.at[i].name),
                                   figures.at.at[i].value, true};
        ok = log_values(log, step, values, figures.at.n, err);
    }
    arena_free(arena);
    return ok;
}

static bool after(void *ctx, Exec *exec, Log *log, int64_t step, Error *err)
{
    const Run *run = ctx;
    (void)exec;
    if (run->eval_every <= 0 || step % run->eval_every != 0) return true;
    json_t *sets = json_object_get(json_object_get(run->program.step->manifest, "eval"), "sets"),
           *source;
    const char *name;
    json_object_foreach(sets, name,
                        source) if (!evaluate_set(run, log, step, name, json_string_value(source),
                                                  err)) return false;
    return true;
}

static int report(const Run *run, const TrainResult *r)
{
    double pairs = (double)((r->step - r->first) * run->program.step->batch) / r->seconds;
    if (run->values->json) {
        json_t *o =
            json_pack("{s:I, s:I, s:o, s:f, s:f, s:f, s:b}", "first", (json_int_t)r->first, "step",
                      (json_int_t)r->step, "loss", json_f32(r->loss), "seconds", r->seconds,
                      "pairs_per_s", pairs, "loader_wait_s", r->waited, "stopped", (int)r->stopped);
        json_line(o, stdout);
        json_decref(o);
    } else {
        printf("%s at step %lld: loss %.6g, %.1f s, %.1f pairs/s, %.1f s of waiting for data\n",
               r->stopped ? "stopped" : "finished", (long long)r->step, r->loss, r->seconds, pairs,
               r->waited);
    }
    return EXIT_OK;
}

static int train(Run *run, const char *folder, Arena *arena)
{
    const Values *v = run->values;
    const Step *step = run->program.step;
    uint32_t entry;
    Error err = {0};
    TrainResult result;
    run->seed = setting(step, "train", "seed", step->seed);
    if (v->seed && !option_count("seed", v->seed, &run->seed, &err)) return fail(&err);
    run->eval_every = setting(step, "eval", "every", 0);
    TrainOptions o = {
        .checkpoints = str_printf(arena, "%s/checkpoints", folder),
        .log_path = str_printf(arena, "%s/log.jsonl", folder),
        .progress = stderr,
        .steps = v->steps ? v->steps : setting(step, "train", "steps", step->steps),
        .seed = run->seed,
        .checkpoint_every = v->every ? v->every : setting(step, "train", "checkpoint_every", 1000),
        .log_every = setting(step, "train", "log_every", 10),
        .keep = (uint32_t)setting(step, "train", "checkpoint_keep", 2),
        .fresh = !v->resume,
        .start = start,
        .after = after,
        .ctx = run,
    };
    TrainFeed feed = feed_train(&run->feed);
    if (!load_entry(&run->program, "step", &entry, &err) || !feed_covers(&run->feed, entry, &err) ||
        !train_run(run->program.exec, &feed, &o, &result, &err))
        return fail(&err);
    return report(run, &result);
}

// Make the folder; a new run may not overwrite another.
static bool prepare(const char *folder, bool resume, Arena *arena, Error *err)
{
    Checkpoint latest = {0};
    const char *at = str_printf(arena, "%s/checkpoints", folder);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return error_set(err, "%s: %s", folder, strerror(errno));
    if (!checkpoint_latest(arena, at, &latest, (CheckpointWarn){0}, err)) return false;
    if (latest.path && !resume)
        return error_set(err, "%s: a checkpoint is there; --resume %s goes on with it", latest.path,
                         folder);
    return latest.path || !resume ||
           error_set(err, "%s: no checkpoint is there; --out begins a run", at);
}

static int usage(const char *text)
{
    fprintf(stderr, "cztc train: %s; see cztc train --help\n", text);
    return EXIT_USAGE;
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Run run = {.values = v};
    Error err = {0};
    const char *folder = v->resume ? v->resume : v->out;
    if (!folder || (v->resume && v->out))
        return usage("one of --out DIR and --resume DIR is needed");
    if (!v->file && !v->resume) return usage("FILE is missing");
    const char *saved = str_printf(cli->arena, "%s/step.czt", folder);
    if (!prepare(folder, v->resume != NULL, cli->arena, &err)) return fail(&err);
    LoadOptions o = {.file = v->file ? v->file : saved,
                     .save = v->file ? saved : NULL,
                     .threads = (uint32_t)v->threads};
    o.frontend = (FrontendOptions){.lib_dir = v->lib, .set = v->set.at, .nset = v->set.n};
    if (!load_program(&run.program, &o)) return EXIT_INPUT;
    train_hold_signals(); // before the data's threads start; the program's own take no signals
    FeedOptions f = {.source = v->data, .workers = (uint32_t)v->workers};
    int code =
        feed_open(&run.feed, &run.program, &f, &err) ? train(&run, folder, cli->arena) : fail(&err);
    if (run.feed.arena) feed_close(&run.feed);
    load_free(&run.program);
    return code;
}

const Command command_train = {
    "train",        "train, with checkpoints; a killed run goes on bit for bit",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
