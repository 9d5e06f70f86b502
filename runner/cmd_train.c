// cztc train: a run in a folder. OUT/step.czt is the program, OUT/log.jsonl and OUT/events the log,
// OUT/checkpoints the state, OUT/lock what keeps a second trainer out.
#include "runner/begin.h"
#include "runner/evaluate.h"
#include "runner/folders.h"
#include "runner/origin.h"
#include "runner/peak.h"
#include "runner/phases.h"
#include "runtime/checkpoint.h"
#include "runtime/train_lock.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Values {
    const char *file, *out, *resume, *weights, *seed;
    int64_t steps, every;
    Source source;
    Place place;
    Samples samples;
    bool json;
} Values;

static const Option options[] = {
    {"FILE", 0, OPTION_MAYBE | IN_CZTC, offsetof(Values, file), NULL,
     "a graph file or step file; with --resume, OUT/step.czt by default"},
    {"STEP", 0, OPTION_MAYBE | IN_RUNNER, offsetof(Values, file), NULL,
     "a step file; with --resume, OUT/step.czt by default"},
    {"out", 'o', OPTION_TEXT, offsetof(Values, out), "DIR",
     "folder of a new run; made, with those above it"},
    {"resume", 0, OPTION_TEXT, offsetof(Values, resume), "DIR",
     "go on with the run in this folder"},
    {"steps", 'n', OPTION_NUMBER, offsetof(Values, steps), "N",
     "finished updates to reach (the graph's)"},
    SAMPLES_OPTIONS(Values),
    {"weights", 0, OPTION_TEXT, offsetof(Values, weights), "W.safetensors",
     "begin a new run with these parameters"},
    {"checkpoint-every", 0, OPTION_NUMBER, offsetof(Values, every), "N", "updates (the graph's)"},
    {"seed", 0, OPTION_SEED, offsetof(Values, seed), "N", "of a new run (the graph's)"},
    PLACE_OPTIONS(Values),
    SOURCE_OPTIONS(Values),
    CHECK_OPTION(Values),
    CACHE_OPTION(Values),
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print the result as one JSON object"},
};

typedef struct Run {
    Loaded program;
    Feed feed;
    const Values *values;
    Phases phases;
    int64_t eval_every;
    int64_t seed;
    int64_t again;      // the update to look into kernel by kernel, without writing; -1: none
    bool resumes;       // a checkpoint, whose seed that is
    double peak;        // of the machine, operations a second
    double *flops;      // by entry
    const char *folder; // of the run
    const char *saved;  // where the step file goes, or NULL
    LoadOptions load;
    bool told; // an evaluation was written to the log
} Run;

static int64_t setting(const Step *step, const char *section, const char *key, int64_t otherwise)
{
    const json_t *x = json_object_get(json_object_get(step->manifest, section), key);
    return json_is_number(x) ? (int64_t)json_number_value(x) : otherwise;
}

static void look_closer(const Run *run, Exec *exec, int64_t step)
{
    if (run->again == step) exec_one_by_one(exec);
}

static bool start(void *ctx, Exec *exec, Error *err)
{
    const Run *run = ctx;
    look_closer(run, exec, 0);
    return exec_init(exec, run->seed, err) && begin_weights(&run->program, stderr, err) &&
           (!run->values->weights || load_weights(&run->program, run->values->weights, false, err));
}

static uint32_t entry_at(void *ctx, int64_t step)
{
    const Run *run = ctx;
    return phases_entry(&run->phases, run->seed, step);
}

static uint32_t shape_at(void *ctx, int64_t step)
{
    const Run *run = ctx;
    return phases_shape(&run->phases, run->seed, step);
}

static uint32_t shape_number(void *ctx, int64_t step)
{
    return shape_at(ctx, step) + 1;
}

static double flops_at(void *ctx, int64_t step)
{
    const Run *run = ctx;
    return run->flops[entry_at(ctx, step)];
}

static bool before(void *ctx, Exec *exec, int64_t step, Error *err)
{
    const Run *run = ctx;
    const Phase *phase = phases_at(&run->phases, step);
    look_closer(run, exec, step);
    return step != phase->from || phase->begin < 0 ||
           exec_run(exec, (uint32_t)phase->begin, step, run->seed, err);
}

static bool metrics_reset(const Run *run, Error *err)
{
    const Step *step = run->program.step;
    int32_t entry = step_entry(step, "metrics_reset");
    return entry < 0 || exec_run(run->program.exec, (uint32_t)entry, 0, step->seed, err);
}

// Evaluate one of the graph's sets; figures go to the log as "eval.SET.NAME".
static bool evaluate_set(const Run *run, Log *log, int64_t step, const char *name, Error *err)
{
    Figures figures;
    Arena *arena = arena_new();
    EvalOptions o = evaluate_options(arena, &run->program, name);
    o.samples = setting(run->program.step, "eval", "samples", 0);
    o.step = step;
    o.workers = (uint32_t)run->values->samples.workers;
    // A checkpoint does not depend on what was evaluated before it.
    bool ok = evaluate(arena, &run->program, &o, &figures, err);
    ok = metrics_reset(run, err) && ok;
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
    Run *run = ctx;
    if (run->eval_every <= 0 || step % run->eval_every != 0) return true;
    if (run->again >= 0 && step != run->again) return true; // it leaves the state as it was
    look_closer(run, exec, step);
    uint32_t n;
    Arena *arena = arena_new();
    const char **sets = evaluate_sets(arena, &run->program, &n);
    bool ok = true;
    ok = phases_prepare(exec, &run->phases, step, run->seed, err);
    for (uint32_t i = 0; ok && i < n; i++) {
        if (log_has(log, step, str_printf(arena, "eval.%s.", sets[i]))) continue;
        ok = run->told = evaluate_set(run, log, step, sets[i], err);
    }
    arena_free(arena);
    return ok;
}

// What the run will evaluate on must be there; what it will not need is only warned of.
static bool check_sets(const Run *run, Error *err)
{
    Error why = {0};
    if (evaluate_check(&run->program, (uint32_t)run->values->samples.workers, &why)) return true;
    if (run->eval_every > 0) return error_set(err, "%s", why.text);
    fprintf(stderr, "warning: %s\n", why.text);
    return true;
}

// The program goes to the run's folder when all that can be refused has been.
static bool ready(void *ctx, Error *err)
{
    const Run *run = ctx;
    return !run->saved || run->again >= 0 ||
           (load_save(&run->program, run->saved, err) &&
            origin_save(&run->program, &run->load, run->folder, err));
}

static void print_json(const Run *run, const TrainResult *r, double pairs)
{
    json_t *o =
        json_pack("{s:I, s:I, s:I, s:o, s:f, s:f, s:f, s:b, s:b}", "first", (json_int_t)r->first,
                  "step", (json_int_t)r->step, "steps", (json_int_t)r->steps, "loss",
                  r->step == r->first ? json_null() : json_f32(r->loss), "seconds", r->seconds,
                  "pairs_per_s", pairs, "loader_wait_s", r->waited, "stopped", (int)r->stopped,
                  "complete", (int)(r->steps && r->step >= r->steps));
    json_object_set_new(o, "skipped", json_integer(data_counts(run->feed.data).bad));
    json_object_set_new(o, "dropped", json_integer(data_counts(run->feed.data).dropped));
    json_object_set_new(o, "skipped_updates", json_integer(r->skips));
    double work = 0;
    for (int64_t step = r->first; step < r->step; step++) work += flops_at((void *)run, step);
    json_object_set_new(o, "share_of_peak",
                        work > 0 && r->seconds > 0 && run->peak > 0
                            ? json_real(work / r->seconds / run->peak)
                            : json_null());
    json_line(o, stdout);
    json_decref(o);
}

static int report(const Run *run, const TrainResult *r)
{
    double pairs = (double)r->samples / (r->seconds > 0 ? r->seconds : 1);
    const char *how = r->stopped ? "stopped" : "finished";
    if (run->values->json)
        print_json(run, r, pairs);
    else if (r->step > r->first)
        printf("%s at step %lld: loss %.6g, %.1f s, %.1f pairs/s, %.1f s of waiting for data\n",
               how, (long long)r->step, r->loss, r->seconds, pairs, r->waited);
    else if (r->steps && r->step >= r->steps)
        printf("complete: step %lld of %lld is done; %s (--steps N goes on)\n", (long long)r->step,
               (long long)r->steps,
               run->told ? "its evaluation was missing, and is in the log now"
                         : "nothing was written");
    else
        printf("%s at step %lld, before an update\n", how, (long long)r->step);
    if (r->skips && !run->values->json)
        printf("%lld updates were skipped, as their loss or a gradient was not finite (see "
               "log.jsonl)\n",
               (long long)r->skips);
    int64_t dropped = data_counts(run->feed.data).dropped;
    if (dropped && !run->values->json)
        printf("%lld boxes or points were more than their fields' max, and dropped\n",
               (long long)dropped);
    return EXIT_OK;
}

static bool skips_nonfinite(const Step *step)
{
    const char *what =
        json_string_value(json_object_get(json_object_get(step->manifest, "train"), "nonfinite"));
    return what && strcmp(what, "skip") == 0;
}

// Which entry each update is, before any sample is loaded for it.
static bool find_phases(Run *run, Arena *arena, Error *err)
{
    const Step *step = run->program.step;
    if (!run->resumes)
        run->seed = option_seed(run->values->seed, setting(step, "train", "seed", step->seed));
    if (!phases_of(arena, step, &run->phases, err)) return false;
    run->flops = arena_array(arena, double, step->nentries);
    for (uint32_t i = 0; i < step->nentries; i++) run->flops[i] = load_flops(&run->program, i);
    return true;
}

static bool covers_phases(const Run *run, Error *err)
{
    for (uint32_t i = 0; i < run->phases.n; i++) // what rests has no input that the others lack
        for (uint32_t k = 0; k < run->phases.nshapes; k++)
            if (!feed_covers(&run->feed, run->phases.at[i].entries[k].entry, k, err)) return false;
    return true;
}

// The data has the shapes of the training, or the file is damaged.
static bool same_shapes(const Run *run, Error *err)
{
    uint32_t n = run->feed.spec->nshapes, want = run->phases.nshapes;
    return n == (want > 1 ? want : 0) ||
           error_set(err, "%s: its data and its training have other shapes",
                     run->program.step->file);
}

// To fail as before: the same updates from the newest checkpoint to the one that failed.
static void set_again(const Run *run, TrainOptions *o)
{
    if (run->again < 0) return;
    o->steps = run->again + 1;
    o->log_path = o->events = NULL;
    o->fresh = false;
    o->dry = true;
}

// The second process was stopped before it came to the update that failed, or began behind it.
static bool missed(const Run *run, const TrainResult *r)
{
    return run->again >= 0 && (r->first > run->again || r->step <= run->again);
}

static int train(Cli *cli, Run *run, const char *folder)
{
    Arena *arena = cli->arena;
    const Values *v = run->values;
    const Step *step = run->program.step;
    Error err = {0};
    TrainResult result;
    run->eval_every = setting(step, "eval", "every", 0);
    if (!check_sets(run, &err)) return fail(&err);
    run->peak = peak_of(run->program.exec);
    TrainOptions o = {
        .checkpoints = str_printf(arena, "%s/checkpoints", folder),
        .log_path = str_printf(arena, "%s/log.jsonl", folder),
        .events = str_printf(arena, "%s/events", folder),
        .progress = stderr,
        .steps = v->steps ? v->steps : setting(step, "train", "steps", step->steps),
        .seed = run->seed,
        .checkpoint_every = v->every ? v->every : setting(step, "train", "checkpoint_every", 1000),
        .log_every = setting(step, "train", "log_every", 10),
        .keep = (uint32_t)setting(step, "train", "checkpoint_keep", 2),
        .skip_nonfinite = skips_nonfinite(step),
        .peak = run->peak,
        .fresh = !v->resume,
        .start = start,
        .entry_at = entry_at,
        .shape_at = run->phases.nshapes > 1 ? shape_number : NULL,
        .flops_at = flops_at,
        .before = before,
        .ready = ready,
        .after = after,
        .ctx = run,
    };
    set_again(run, &o);
    TrainFeed feed = feed_train(&run->feed);
    if (!same_shapes(run, &err) || !covers_phases(run, &err)) return fail(&err);
    bool ok = train_run(run->program.exec, &feed, &o, &result, &err);
    cli->updates = result.step;
    if (ok && missed(run, &result))
        return fail_text("what failed after update %lld was not done once more, so which kernel it "
                         "was is not known",
                         (long long)run->again);
    return ok ? report(run, &result) : fail(&err);
}

// The checkpoint a resumed run goes on from must be there and have its seed; a new run has none.
static bool check_latest(Run *run, const char *folder, Arena *arena, Error *err)
{
    const Values *v = run->values;
    Checkpoint latest = {0};
    Error why = {0};
    const char *at = str_printf(arena, "%s/checkpoints", folder);
    if (!checkpoint_latest(arena, at, &latest, (CheckpointWarn){0}, &why))
        return error_set(err, "%s; put back a copy of one, or begin anew in another folder (--out)",
                         why.text);
    if (latest.path && !v->resume && run->again < 0)
        return error_set(err, "%s: a checkpoint is there; --resume %s goes on with it", latest.path,
                         folder);
    if (!latest.path && v->resume)
        return error_set(err, "%s: no checkpoint is there; --out begins a run", at);
    run->resumes = latest.path != NULL;
    run->seed = latest.seed;
    if (!latest.path || option_seed(v->seed, latest.seed) == latest.seed) return true;
    return error_set(err, "--seed %s: the run in %s has seed %lld and keeps it", v->seed, folder,
                     (long long)latest.seed);
}

// Make the folder and take its lock.
static bool prepare(Run *run, const char *folder, int *lock, Arena *arena, Error *err)
{
    const Values *v = run->values;
    if (v->resume && access(folder, F_OK) != 0)
        return error_set(err, "%s: %s", folder, strerror(errno));
    const char *checkpoints = str_printf(arena, "%s/checkpoints", folder);
    if (v->resume && access(checkpoints, F_OK) != 0) // no run: a lock would be left there
        return error_set(err, "%s: no checkpoint is there; --out begins a run", checkpoints);
    if (!v->resume && !make_folders(arena, folder, err)) return false;
    *lock = train_lock(folder, stderr, err);
    return *lock >= 0 && check_latest(run, folder, arena, err);
}

// A program in place of that of a run that goes on says the same seed.
static bool keeps_seed(const Run *run, const char *saved, Error *err)
{
    Error none = {0};
    Step *old = run->resumes && run->saved ? step_load(saved, &none) : NULL;
    if (!old) return true;
    int64_t before = setting(old, "train", "seed", old->seed),
            now = setting(run->program.step, "train", "seed", run->program.step->seed);
    step_free(old);
    return before == now ||
           error_set(
               err,
               "train.seed: it is %lld now; the run in %s was begun with seed %lld, and keeps it",
               (long long)now, run->folder, (long long)run->seed);
}

static int run_in(Cli *cli, Run *run, const char *folder)
{
    const Values *v = run->values;
    Error err = {0};
    const char *saved = str_printf(cli->arena, "%s/step.czt", folder);
    bool given = v->file || cli->carried; // else the run's own
    LoadOptions o = {.cli = cli,
                     .file = given ? v->file : saved,
                     .keep = given || v->source.set.n,
                     .place = v->place,
                     .snapshots = true,
                     .choices = str_printf(cli->arena, "%s/products.json", folder)};
    if (o.keep) run->saved = saved;
    o.root = v->samples.root;
    o.graph.source = v->source;
    if (!given && v->source.set.n &&
        !origin_take(cli->arena, &o, folder, "name a graph file: train FILE --resume", &err))
        return fail(&err);
    run->load = o;
    if (!load_program(&run->program, &o)) return EXIT_INPUT;
    if (run->resumes && run->saved) origin_tell(&run->program, &o, folder);
    train_hold_signals(); // before the data's threads start; the program's own take no signals
    FeedOptions f = {.source = v->samples.data,
                     .key = "--data",
                     .workers = (uint32_t)v->samples.workers,
                     .shape_at = shape_at,
                     .entry_at = entry_at,
                     .ctx = run};
    bool ok = keeps_seed(run, saved, &err) && find_phases(run, cli->arena, &err) &&
              feed_open(&run->feed, &run->program, &f, &err);
    int code = ok ? train(cli, run, folder) : fail(&err);
    if (run->feed.arena) feed_close(&run->feed);
    load_free(&run->program);
    return code;
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Error err = {0};
    int lock = -1;
    const char *folder = v->resume ? v->resume : v->out;
    Run run = {.values = v, .folder = folder, .again = cli->again ? cli->failed : -1};
    cli->repeats = true;
    if (!folder || (v->resume && v->out))
        return fail_usage("train", "one of --out DIR and --resume DIR is needed");
    if (!v->file && !v->resume && !cli->carried)
        return fail_usage("train", cli->compiler ? "FILE is missing" : "STEP is missing");
    if (v->file && access(v->file, F_OK) != 0) // before a folder is made
        return fail_text("%s: %s", v->file, strerror(errno));
    signal(SIGPIPE, SIG_IGN); // the run goes on when nobody reads its progress
    if (v->weights && v->resume)
        return fail_usage("train",
                          "--weights begins a new run (--out); a resumed one has its checkpoint's");
    int code =
        prepare(&run, folder, &lock, cli->arena, &err) ? run_in(cli, &run, folder) : fail(&err);
    if (lock >= 0) close(lock);
    return code;
}

const Command command_train = {
    "train",        "train, with checkpoints; a killed run goes on bit for bit",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
