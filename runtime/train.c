// The training loop. An update depends on the state, the step number, the seed and the batch, and
// nothing else; a checkpoint holds all four. So a run killed anywhere goes on from its newest
// checkpoint with the same bits, after the log lines of the lost updates are cut. Lines about an
// update bear its number, those about its batch too. `after` comes behind the checkpoint of its
// update, so that an evaluation that fails loses none; a resumed run gives it the rest to do.
// While an update runs (on a GPU), the next batch is brought; a checkpoint then holds the data's
// position before that one.
#include "runtime/train.h"

#include "base/clock.h"

#include "runtime/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

// A batch in an entry's inputs.
typedef struct Batch {
    uint32_t entry;
    char *before;    // the data's position before it, malloced
    int64_t skipped; // samples left out up to its end
    bool waits;      // it was brought and not used yet
    Error err;       // why it could not be brought
} Batch;

typedef struct Train {
    Exec *exec;
    const TrainFeed *feed;
    const TrainOptions *options;
    TrainResult *result;
    Arena *arena;
    Log *log;
    int signals;          // a signalfd
    uint32_t fallback;    // the entry where options do not say which
    int64_t step, steps;  // finished updates; where to stop, INT64_MAX without an end
    int64_t seed, saved;  // saved: the step of the newest checkpoint, -1 none
    CheckpointJob *job;   // a checkpoint that is being written, or NULL
    int64_t saving;       // its step
    Batch batch;          // that was brought last
    int64_t skipped;      // samples left out so far, of the batches that were used
    int skips;            // updates skipped in a row
    double began, window; // when the loop and the current rate window began
    double window_waited; // result->waited at the window's begin
    int64_t window_step, window_samples; // result->samples at the window's begin
    double work, window_work;            // operations so far, and at the window's begin
    double rate, wait_share;             // of the last whole window: updates a second, ..
    double sample_rate, work_rate;
    LogValue *values; // room for a line of the entry with most outputs
} Train;

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

void train_hold_signals(void)
{
    sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static bool signalled(const Train *t)
{
    struct signalfd_siginfo info;
    return read(t->signals, &info, sizeof info) == (ssize_t)sizeof info;
}

// A warning about checkpoints goes to the log once it is open, and to the person before.
static void warn(void *ctx, const char *text)
{
    Train *t = ctx;
    Error ignored = {0};
    if (t->log)
        log_text(t->log, t->step, "warning", text, &ignored);
    else if (t->options->progress)
        fprintf(t->options->progress, "warning: %s\n", text);
}

static void prune(Train *t)
{
    checkpoint_prune(t->options->checkpoints, t->saved, t->options->keep,
                     (CheckpointWarn){warn, t});
}

static bool resume(Train *t, const Checkpoint *c, Error *err)
{
    if (t->options->fresh)
        return error_set(err, "%s: a checkpoint is there; resume it, or name another folder",
                         c->path);
    if (strcmp(c->source_hash, exec_step(t->exec)->source_hash))
        warn(t, "the checkpoint was written by a program of another graph, of other options or for "
                "another "
                "target");
    if (!checkpoint_load(t->exec, c, err)) return false;
    if (!t->feed->seek(t->feed->ctx, c->position, c->step, err)) return false;
    t->step = t->saved = c->step;
    t->seed = c->seed;
    return true;
}

// Bring state, step, seed and data to where the run goes on, or begins.
static bool start(Train *t, Error *err)
{
    const TrainOptions *o = t->options;
    Checkpoint latest = {0};
    if (o->checkpoints &&
        !checkpoint_latest(t->arena, o->checkpoints, &latest, (CheckpointWarn){warn, t}, err))
        return false;
    t->seed = o->seed;
    t->saved = -1;
    if (latest.path
            ? !resume(t, &latest, err)
            : !(o->start ? o->start(o->ctx, t->exec, err) : exec_init(t->exec, t->seed, err)))
        return false;
    // A killed run may have got between a checkpoint and the removal of older ones.
    if (t->saved >= 0 && !o->dry) prune(t);
    t->result->first = t->step;
    t->began = t->window = seconds_now();
    t->window_step = t->step;
    t->rate = t->wait_share = t->sample_rate = t->work_rate = NAN;
    return true;
}

// All steps were done by an earlier process.
static bool complete(const Train *t)
{
    return t->saved >= 0 && t->step >= t->steps;
}

static bool open_logs(Train *t, Error *err)
{
    const TrainOptions *o = t->options;
    t->log = log_open(o->log_path, o->progress, t->step, err);
    if (!t->log || !o->events) return t->log != NULL;
    if (!complete(t)) return log_events(t->log, o->events, t->step, err);
    log_events_later(t->log, o->events);
    return true;
}

static bool after(Train *t, Error *err)
{
    const TrainOptions *o = t->options;
    return !o->after || o->after(o->ctx, t->exec, t->log, t->step, err);
}

// The data's position, malloced, or NULL with err.
static char *position(const Train *t, Error *err)
{
    const Batch *b = &t->batch;
    char *text =
        b->before && (b->waits || b->err.set) ? strdup(b->before) : t->feed->position(t->feed->ctx);
    if (!text) error_set(err, "no memory for the data's position");
    return text;
}

// Wait for the checkpoint that is being written.
static bool finish(Train *t, Error *err)
{
    CheckpointJob *job = t->job;
    t->job = NULL;
    if (!job) return true;
    if (!checkpoint_end(job, err)) return false;
    t->saved = t->saving;
    prune(t);
    return true;
}

// Begin to write a checkpoint, if that of this update is not there.
static bool save(Train *t, Error *err)
{
    const TrainOptions *o = t->options;
    if (!o->checkpoints || o->dry || (t->job && t->saving == t->step)) return true;
    if (!finish(t, err)) return false;
    if (t->saved == t->step) return true;
    char *at = position(t, err);
    // Lines first: a checkpoint must not be newer than the log beside it.
    if (at && log_sync(t->log, err))
        t->job = checkpoint_begin(t->exec, o->checkpoints, t->step, t->seed, at, err);
    free(at);
    t->saving = t->step;
    return t->job != NULL;
}

// The run must end, but its updates are sound: a checkpoint of the last. Returns false; err says
// more.
static bool keep(Train *t, Error *err)
{
    Error why = {0};
    if (err->device) return false; // its memory is lost
    if (!t->options->checkpoints || t->options->dry || t->step == t->result->first) return false;
    bool ok = save(t, &why) && finish(t, &why);
    size_t n = strlen(err->text);
    if (ok)
        snprintf(err->text + n, sizeof err->text - n, "; the run can go on from update %lld",
                 (long long)t->step);
    else
        snprintf(err->text + n, sizeof err->text - n, "; and no checkpoint of update %lld: %.300s",
                 (long long)t->step, why.text);
    return false;
}

// Bring the batch of the update after `step` finished ones, if it is not there yet.
static void bring(Train *t, int64_t step)
{
    const TrainFeed *feed = t->feed;
    const TrainOptions *o = t->options;
    Batch *b = &t->batch;
    if (b->waits || b->err.set) return;
    b->entry = o->entry_at ? o->entry_at(o->ctx, step) : t->fallback;
    const StepEntry *e = &exec_step(t->exec)->entries[b->entry];
    Arena *arena = arena_new();
    void **slots = arena_array(arena, void *, e->ninputs + 1);
    for (uint32_t i = 0; i < e->ninputs; i++)
        if (e->inputs[i].name[0] != '$') slots[i] = exec_input(t->exec, b->entry, i);
    free(b->before);
    b->before = position(t, &b->err);
    double begin = seconds_now();
    b->waits = b->before && feed->next(feed->ctx, b->entry, slots, &b->err);
    t->result->waited += seconds_now() - begin;
    b->skipped = feed->skipped ? feed->skipped(feed->ctx) : 0;
    arena_free(arena);
}

// The batch that was brought is now the update's own.
static bool take(Train *t, Error *err)
{
    const TrainFeed *feed = t->feed;
    Batch *b = &t->batch;
    bool told = !feed->tell || feed->tell(feed->ctx, t->log, t->step + 1, err);
    if (b->err.set) return error_set(err, "%s", b->err.text);
    t->skipped = b->skipped;
    b->waits = false;
    return told;
}

// Rates are measured over windows of at least a second, or the first update.
static void measure(Train *t)
{
    double now = seconds_now(), passed = now - t->window;
    if (!isnan(t->rate) && passed < 1) return;
    if (passed <= 0) passed = 1e-9;
    t->rate = (double)(t->step - t->window_step) / passed;
    t->sample_rate = (double)(t->result->samples - t->window_samples) / passed;
    t->work_rate = (t->work - t->window_work) / passed;
    t->wait_share = (t->result->waited - t->window_waited) / passed;
    t->window = now;
    t->window_step = t->step;
    t->window_samples = t->result->samples;
    t->window_work = t->work;
    t->window_waited = t->result->waited;
}

// The scalars of the update as log values; returns how many. *loss is the output of that name.
static uint32_t collect(Train *t, uint32_t entry, double *loss)
{
    const StepEntry *e = &exec_step(t->exec)->entries[entry];
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->noutputs; i++) {
        if (e->outputs[i].rank || e->outputs[i].name[0] == '$') continue;
        bool single = czt_dtype_size(e->outputs[i].dtype) <= 4;
        t->values[n] = (LogValue){e->outputs[i].name, exec_scalar(t->exec, entry, i), single};
        if (strcmp(e->outputs[i].name, "loss") == 0) *loss = t->values[n].value;
        n++;
    }
    const TrainOptions *o = t->options;
    if (o->shape_at)
        t->values[n++] = (LogValue){"shape", (double)o->shape_at(o->ctx, t->step - 1), false};
    if (t->skipped) t->values[n++] = (LogValue){"skipped", (double)t->skipped, false};
    t->values[n++] = (LogValue){"pairs/s", (float)t->sample_rate, true};
    t->values[n++] = (LogValue){"wait", (float)t->wait_share, true};
    return n;
}

// "element 3 of 100 of kernel step_row_12 from clip.yaml:8:3", in the arena.
static const char *place_text(Train *t, const ExecPlace *place)
{
    const StepSegment *s = place->segment;
    const char *lines = "";
    for (uint32_t i = 0; i < s->nlines && i < 3; i++)
        lines = str_printf(t->arena, "%s%s%s", lines, i ? ", " : " from ", s->lines[i]);
    return str_printf(t->arena, "element %lld of %lld of kernel %s%s", (long long)place->element,
                      (long long)place->count, place->kernel->name, lines);
}

// "; the first NaN is ..; before it an infinity ..", in the arena.
static const char *where_from(Train *t, uint32_t entry)
{
    ExecTrouble trouble;
    Error ignored = {0};
    if (!exec_find_nonfinite(t->exec, entry, &trouble, &ignored)) return "";
    bool nan = trouble.nan.kernel != NULL, infinity = trouble.infinity.kernel != NULL;
    return str_printf(t->arena, "%s%s%s%s", nan ? "; the first NaN is " : "",
                      nan ? place_text(t, &trouble.nan) : "",
                      !infinity ? ""
                      : nan     ? "; before it an infinity, which may be meant, is "
                                : "; the first infinity is ",
                      infinity ? place_text(t, &trouble.infinity) : "");
}

static const char *trouble_text(Train *t, uint32_t entry, double loss, bool locate)
{
    return str_printf(t->arena, "%s is %s%s", isfinite(loss) ? "a gradient" : "the loss",
                      isnan(loss)      ? "not a number"
                      : isfinite(loss) ? "not finite"
                                       : "infinite",
                      locate ? where_from(t, entry)
                             : str_printf(t->arena, "; see update %lld, the first of these",
                                          (long long)(t->step - t->skips + 1)));
}

static bool refuse(Train *t, uint32_t entry, double loss, Error *err)
{
    const char *what = trouble_text(t, entry, loss, true);
    Error late = {0};
    if (!finish(t, &late)) warn(t, late.text);
    if (t->saved < 0) return error_set(err, "update %lld: %s", (long long)t->step, what);
    return error_set(err, "update %lld: %s; the newest checkpoint is of update %lld",
                     (long long)t->step, what, (long long)t->saved);
}

enum { SKIPS_IN_A_ROW = 20 };

// The update changed nothing: note it and go on, but not for ever. Where it comes from is looked
// for once in a row of them, as that takes the time of many updates.
static bool skip(Train *t, uint32_t entry, double loss, Error *err)
{
    if (++t->skips >= SKIPS_IN_A_ROW) {
        refuse(t, entry, loss, err);
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof err->text - n, "; %d updates in a row were skipped",
                 SKIPS_IN_A_ROW);
        return false;
    }
    t->result->skips++;
    return log_text(t->log, t->step, "skipped", trouble_text(t, entry, loss, t->skips == 1), err);
}

// NAN where it is not known; over 1 the peak was measured while the machine was busy.
static double peak_share(const Train *t)
{
    const TrainOptions *o = t->options;
    double share = t->work_rate > 0 && o->peak > 0 ? t->work_rate / o->peak : NAN;
    return share > 1 ? NAN : share;
}

// The output "$finite" of an entry that leaves the state as it was where that is false; -1: none.
static int32_t says_finite(const Train *t, uint32_t entry)
{
    const StepEntry *e = &exec_step(t->exec)->entries[entry];
    return tensor_find(e->outputs, e->noutputs, "$finite");
}

// Did the update go well? The entry says so where it can, else the loss does.
static bool went_well(const Train *t, uint32_t entry, double loss)
{
    const StepEntry *e = &exec_step(t->exec)->entries[entry];
    int32_t says = says_finite(t, entry);
    if (says >= 0) return exec_scalar(t->exec, entry, (uint32_t)says) != 0;
    return tensor_find(e->outputs, e->noutputs, "loss") < 0 || isfinite(loss);
}

// Has an update behind this one, up to the next line of the log, an output of that name?
static bool comes_again(const Train *t, const char *name, int64_t every)
{
    const TrainOptions *o = t->options;
    int64_t line = (t->step / every + 1) * every, last = t->steps < line ? t->steps : line;
    uint32_t before = UINT32_MAX;
    for (int64_t s = t->step; s < last; s++) {
        uint32_t entry = o->entry_at(o->ctx, s);
        const StepEntry *e = &exec_step(t->exec)->entries[entry];
        if (entry != before && tensor_find(e->outputs, e->noutputs, name) >= 0) return true;
        before = entry;
    }
    return false;
}

static double number_of(const Train *t, uint32_t entry, const char *name, const char *what)
{
    const StepEntry *e = &exec_step(t->exec)->entries[entry];
    Arena *scratch = arena_new();
    int32_t i = tensor_find(e->outputs, e->noutputs, str_printf(scratch, "%s.%s", name, what));
    arena_free(scratch);
    return i < 0 ? NAN : exec_scalar(t->exec, entry, (uint32_t)i);
}

// Counts between the numbers watch.NAME.min and .max; of elements that are not finite there is
// nothing to draw.
static bool log_counts(Train *t, uint32_t entry, const char *name, uint32_t output, Error *err)
{
    const CztTensor *o = &exec_step(t->exec)->entries[entry].outputs[output];
    Histogram h = {number_of(t, entry, name, "min"),
                   number_of(t, entry, name, "max"),
                   number_of(t, entry, name, "mean"),
                   number_of(t, entry, name, "std"),
                   (uint32_t)o->shape[0],
                   exec_output(t->exec, entry, output)};
    bool finite = isfinite(h.min) && isfinite(h.max) && isfinite(h.mean) && isfinite(h.deviation);
    return !finite || log_histogram(t->log, t->step, name, &h, err);
}

// Of outputs watch.NAME.histogram. Between two lines (`rare`) those that do not come again.
static bool log_histograms(Train *t, uint32_t entry, bool rare, int64_t every, Error *err)
{
    static const char begin[] = "watch.", end[] = ".histogram";
    const StepEntry *e = &exec_step(t->exec)->entries[entry];
    bool ok = true;
    for (uint32_t i = 0; ok && i < e->noutputs; i++) {
        const CztTensor *o = &e->outputs[i];
        const char *last = strrchr(o->name, '.');
        if (o->rank != 1 || o->dtype != CZT_I32 || strncmp(o->name, begin, strlen(begin)) != 0 ||
            strcmp(last, end) != 0 || (rare && comes_again(t, o->name, every)))
            continue;
        Arena *scratch = arena_new();
        const char *name = str_slice(scratch, o->name, (size_t)(last - o->name));
        ok = log_counts(t, entry, name, i, err);
        arena_free(scratch);
    }
    return ok;
}

// An update between two lines says what no later one up to the next line has, so that whatever is
// computed now and then is in the log, with its own step.
static bool log_rare(Train *t, uint32_t entry, uint32_t n, int64_t every, Error *err)
{
    if (!t->options->entry_at) return true;
    uint32_t kept = 0;
    const StepEntry *e = &exec_step(t->exec)->entries[entry];
    for (uint32_t i = 0; i < n; i++)
        if (tensor_find(e->outputs, e->noutputs, t->values[i].name) >= 0 &&
            !comes_again(t, t->values[i].name, every))
            t->values[kept++] = t->values[i];
    return !kept || (log_values(t->log, t->step, t->values, kept, err) &&
                     log_histograms(t, entry, true, every, err));
}

static bool report(Train *t, uint32_t entry, Error *err)
{
    const TrainOptions *o = t->options;
    int64_t every = o->log_every > 0 ? o->log_every : 1;
    double loss = NAN;
    measure(t);
    uint32_t n = collect(t, entry, &loss);
    bool last = t->step == t->steps, broken = !went_well(t, entry, loss) && !o->allow_nonfinite;
    t->result->loss = loss;
    bool due = last || broken || t->step % every == 0;
    if (!(due ? log_values(t->log, t->step, t->values, n, err) &&
                    log_histograms(t, entry, false, every, err)
              : log_rare(t, entry, n, every, err)))
        return false;
    bool skips = o->skip_nonfinite && says_finite(t, entry) >= 0;
    if (broken && !(skips ? skip : refuse)(t, entry, loss, err)) return false;
    if (!broken) t->skips = 0;
    bool endless = t->steps == INT64_MAX;
    log_progress(t->log, &(LogProgress){
                             .step = t->step,
                             .steps = endless ? 0 : t->steps,
                             .loss = loss,
                             .pairs_per_second = t->sample_rate,
                             .wait = t->wait_share,
                             .peak_share = peak_share(t),
                             .seconds_left = endless ? NAN : (double)(t->steps - t->step) / t->rate,
                             .last = last,
                         });
    return true;
}

// One update, with the next batch brought while a GPU does it.
static bool update(Train *t, Error *err)
{
    uint32_t entry = t->batch.entry;
    bool ok = exec_start(t->exec, entry, t->step, t->seed, err);
    // On a CPU the update is done by now, and may have to be looked at again with its own batch.
    // So is one that is taken in parts, whose inputs the host keeps.
    bool ahead = exec_device(t->exec).gpu && !exec_step(t->exec)->entries[entry].nbefore;
    if (ok && ahead && t->step + 1 < t->steps) bring(t, t->step + 1);
    if (!ok || !exec_wait(t->exec, err)) return false;
    const TrainOptions *o = t->options;
    t->work += o->flops_at ? o->flops_at(o->ctx, t->step) : o->flops;
    t->result->samples += exec_step(t->exec)->entries[entry].batch;
    t->step++;
    return report(t, entry, err);
}

static bool loop(Train *t, Error *err)
{
    const TrainOptions *o = t->options;
    while (t->step < t->steps) {
        if (signalled(t)) {
            t->result->stopped = true;
            break;
        }
        bring(t, t->step);
        if (!take(t, err)) return keep(t, err);
        if (o->before && !o->before(o->ctx, t->exec, t->step, err)) return false;
        if (!update(t, err)) return false;
        bool due = o->checkpoint_every > 0 && t->step % o->checkpoint_every == 0;
        if ((due || t->step == t->steps) && !save(t, err)) return false;
        if (t->job && checkpoint_written(t->job) && !finish(t, err)) return false;
        if (!after(t, err)) return keep(t, err);
    }
    return save(t, err) && finish(t, err);
}

// A GPU has failed, and the state there is lost.
static void tell_saved(const Train *t, Error *err)
{
    size_t n = strlen(err->text);
    int end =
        snprintf(err->text + n, sizeof err->text - n, ", after update %lld", (long long)t->step);
    if (t->saved >= 0 && end > 0 && n + (size_t)end < sizeof err->text)
        snprintf(err->text + n + end, sizeof err->text - n - (size_t)end,
                 "; the newest checkpoint is of update %lld", (long long)t->saved);
}

static bool run(Train *t, Error *err)
{
    const Step *step = exec_step(t->exec);
    const TrainOptions *o = t->options;
    int32_t entry = step_entry(step, "step");
    uint32_t most = 0;
    for (uint32_t i = 0; i < step->nentries; i++)
        if (step->entries[i].noutputs > most) most = step->entries[i].noutputs;
    if (entry < 0 && !o->entry_at)
        return error_set(err, "%s: it has no entry 'step' to train with", step->file);
    t->fallback = (uint32_t)entry;
    t->values = arena_array(t->arena, LogValue, most + 4);
    t->steps = o->steps ? o->steps : step->steps;
    t->result->steps = t->steps;
    if (!t->steps) t->steps = INT64_MAX;
    bool ok = start(t, err) && (complete(t) || !o->ready || o->ready(o->ctx, err)) &&
              open_logs(t, err) && (t->saved < 0 || after(t, err)) && loop(t, err);
    Error late = {0}; // of a checkpoint that was being written when something else went wrong
    if (!finish(t, &late) && ok) ok = error_set(err, "%s", late.text);
    if (err->device) tell_saved(t, err);
    log_close(t->log);
    free(t->batch.before);
    t->result->step = t->step;
    if (t->began > 0) t->result->seconds = seconds_now() - t->began;
    return ok;
}

bool train_run(Exec *exec, const TrainFeed *feed, const TrainOptions *options, TrainResult *result,
               Error *err)
{
    sigset_t set = stop_signals(), before;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    *result = (TrainResult){.loss = NAN};
    Train t = {.exec = exec,
               .feed = feed,
               .options = options,
               .result = result,
               .arena = arena_new(),
               .signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    bool ok = t.signals >= 0 ? run(&t, err) : error_set(err, "signalfd: %s", strerror(errno));
    // One that came during the last save would end the process as soon as it is unblocked.
    while (t.signals >= 0 && signalled(&t)) result->stopped = true;
    if (t.signals >= 0) close(t.signals);
    arena_free(t.arena);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}
