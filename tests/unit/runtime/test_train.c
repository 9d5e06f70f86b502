// The training loop: a run killed at any instant goes on with the same bits as one never killed.
#include "runtime/checkpoint.h"
#include "runtime/train.h"
#include "runtime/train_lock.h"
#include "tiny_step.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS = 60, EVERY = 7 };

// Batches that depend on a hidden running state, so that a wrong position shows in all later
// losses.
typedef struct Numbers {
    uint64_t state, n;
    int64_t nan_at, kill_at, signal_at, pause_us;
    int64_t reseed; // added to the seed: a resumed run must keep its own
    uint64_t fail_at;      // the batch that cannot be had, 0 none
    int64_t after_fail_at; // the update whose evaluation fails, 0 none
} Numbers;

static bool numbers_next(void *ctx, uint32_t entry, void *const *slots, Error *err)
{
    Numbers *numbers = ctx;
    (void)entry;
    if (slots[2] || slots[3]) return error_set(err, "$step and $seed are not the data's");
    float *x = slots[0];
    for (int i = 0; i < 4; i++) {
        numbers->state = hash_u64(numbers->state, numbers->n);
        x[i] = (float)(numbers->state >> 40) * 0x1p-24f;
    }
    if ((int64_t)numbers->n == numbers->nan_at) x[2] = NAN;
    numbers->n++;
    if (numbers->n == numbers->fail_at)
        return error_set(err, "no batch %llu", (unsigned long long)numbers->n);
    if (numbers->pause_us) usleep((useconds_t)numbers->pause_us);
    return true;
}

static char *numbers_position(void *ctx)
{
    const Numbers *numbers = ctx;
    char *text = NULL;
    return asprintf(&text, "{\"n\": %llu, \"state\": \"%llu\"}", (unsigned long long)numbers->n,
                    (unsigned long long)numbers->state) < 0
               ? NULL
               : text;
}

static bool numbers_seek(void *ctx, const char *position, int64_t step, Error *err)
{
    (void)step;
    Numbers *numbers = ctx;
    unsigned long long n, state;
    if (sscanf(position, "{\"n\":%llu,\"state\":\"%llu\"}", &n, &state) != 2)
        return error_set(err, "position: %s", position);
    numbers->n = n;
    numbers->state = state;
    return true;
}

// Every fifth batch leaves a sample out, one of three.
static bool numbers_tell(void *ctx, Log *log, int64_t step, Error *err)
{
    const Numbers *numbers = ctx;
    char sample[8];
    snprintf(sample, sizeof sample, "s%d", (int)(numbers->n % 15));
    return numbers->n % 5 != 0 || log_skipped(log, step, sample, "it is bad", err);
}

static int64_t numbers_skipped(void *ctx)
{
    const Numbers *numbers = ctx;
    return (int64_t)numbers->n / 5;
}

// One of the two evaluations of an update; a process before may have told it.
static bool evaluation(Log *log, int64_t step, const char *name, Error *err)
{
    if (log_has(log, step, name)) return true;
    return log_values(log, step, &(LogValue){name, (double)step, false}, 1, err);
}

static bool after(void *ctx, Exec *exec, Log *log, int64_t step, Error *err)
{
    Numbers *numbers = ctx;
    (void)exec;
    bool due = step % EVERY == 0 || step == STEPS;
    if (due && !evaluation(log, step, "eval.a", err)) return false;
    if (step == numbers->after_fail_at) return error_set(err, "no evaluation");
    if (step == numbers->kill_at) raise(SIGKILL);
    if (due && !evaluation(log, step, "eval.b", err)) return false;
    if (step == numbers->signal_at) kill(getpid(), SIGTERM);
    return true;
}

static bool train(const char *folder, Numbers *numbers, TrainOptions options, TrainResult *result,
                  Error *err)
{
    Arena *arena = arena_new();
    Step *step = tiny_load(arena);
    train_hold_signals();
    Exec *exec = tiny_exec(step, 2);
    const TrainFeed feed = {.ctx = numbers,
                            .next = numbers_next,
                            .position = numbers_position,
                            .seek = numbers_seek,
                            .tell = numbers_tell,
                            .skipped = numbers_skipped};
    options.checkpoints = str_printf(arena, "%s/runs", folder);
    options.log_path = str_printf(arena, "%s/log.jsonl", folder);
    options.steps = options.steps ? options.steps : STEPS;
    options.seed = 3 + numbers->reseed;
    options.checkpoint_every = EVERY;
    options.keep = 2;
    options.after = after;
    options.ctx = numbers;
    bool ok = train_run(exec, &feed, &options, result, err);
    exec_free(exec);
    step_free(step);
    arena_free(arena);
    return ok;
}

// Train in a child process; how it ended.
static int train_child(const char *folder, Numbers numbers, int64_t kill_after_us)
{
    pid_t pid = fork();
    if (!pid) {
        TrainResult result;
        Error err = {0};
        bool ok = train(folder, &numbers, (TrainOptions){0}, &result, &err);
        if (!ok) fprintf(stderr, "%s\n", err.text);
        _exit(!ok ? 1 : result.stopped ? 2 : 0);
    }
    if (kill_after_us) {
        usleep((useconds_t)kill_after_us);
        kill(pid, SIGKILL);
    }
    int status;
    waitpid(pid, &status, 0);
    return status;
}

// The losses and learning rates of the log, as printed, each step once and in order.
static void read_losses(const char *folder, char losses[STEPS][64])
{
    Arena *arena = arena_new();
    FILE *f = fopen(str_printf(arena, "%s/log.jsonl", folder), "r");
    cr_assert_not_null(f);
    char line[512];
    int n = 0;
    while (fgets(line, sizeof line, f)) {
        int step;
        if (sscanf(line, "{\"step\": %d, \"loss\": ", &step) != 1 || !strstr(line, "loss"))
            continue;
        cr_assert_eq(step, n + 1, "%s", line);
        char *loss = strstr(line, "\"loss\""), *rate = strstr(line, ", \"pairs/s\"");
        cr_assert(rate && rate - loss < 64, "%s", line);
        snprintf(losses[n++], 64, "%.*s", (int)(rate - loss), loss);
    }
    cr_assert_eq(n, STEPS);
    fclose(f);
    arena_free(arena);
}

static void assert_same_run(const char *folder, const char *reference)
{
    Arena *arena = arena_new();
    static char want[STEPS][64], got[STEPS][64];
    read_losses(reference, want);
    read_losses(folder, got);
    for (int i = 0; i < STEPS; i++) cr_assert_str_eq(got[i], want[i], "step %d", i + 1);
    cr_assert_str_neq(want[0], want[1]);
    cr_assert_eq(system(str_printf(arena, "diff -r %s/runs %s/runs", folder, reference)), 0);
    // Beside rates, the lines are the same too: evaluations, samples left out.
    const char *shown = "sed 's/, .pairs.*//'";
    cr_assert_eq(system(str_printf(arena, "%s %s/log.jsonl >%s/got; %s %s/log.jsonl | diff - %s/got",
                                   shown, folder, folder, shown, reference, folder)),
                 0);
    cr_assert_eq(system(str_printf(arena, "test $(grep -c skipped_sample %s/got) = 3", folder)), 0);
    cr_assert_eq(system(str_printf(arena, "grep -q 'step.: 60, .*.skipped.: 12$' %s/got", folder)), 0);
    arena_free(arena);
}

static const char *reference_run(Arena *arena)
{
    const char *folder = tiny_folder(arena);
    TrainResult result;
    Error err = {0};
    Numbers numbers = {.nan_at = -1};
    cr_assert(train(folder, &numbers, (TrainOptions){0}, &result, &err), "%s", err.text);
    cr_assert_eq(result.step, STEPS);
    cr_assert_eq(result.first, 0);
    cr_assert(!result.stopped && isfinite(result.loss));
    return folder;
}

Test(train, killed_after_any_update_resumes_bit_for_bit)
{
    Arena *arena = arena_new();
    const char *reference = reference_run(arena), *folder = tiny_folder(arena);
    // The one killed after update 7 is the first to leave a checkpoint; its evaluation is missing.
    static const int64_t kills[] = {1, 6, 7, 8, 20, 21, 40, 59, 60};
    for (size_t i = 0; i < sizeof kills / sizeof *kills; i++) {
        int status = train_child(
            folder, (Numbers){.nan_at = -1, .kill_at = kills[i], .reseed = kills[i] > 7}, 0);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    cr_assert_eq(train_child(folder, (Numbers){.nan_at = -1}, 0), 0);
    assert_same_run(folder, reference);
    // A finished run started again does nothing but clear what a killed one left.
    mkdir(str_printf(arena, "%s/runs/step-00000061.tmp.1", folder), 0777);
    cr_assert_eq(train_child(folder, (Numbers){.nan_at = -1}, 0), 0);
    assert_same_run(folder, reference);
    tiny_remove(folder);
    tiny_remove(reference);
    arena_free(arena);
}

// A failure that leaves the state sound keeps it: the run goes on from the update before.
Test(train, a_failed_batch_or_evaluation_keeps_the_updates)
{
    Arena *arena = arena_new();
    const char *reference = reference_run(arena), *folder = tiny_folder(arena);
    static const struct {
        uint64_t batch;
        int64_t evaluation, kept;
        const char *text;
    } rows[] = {
        {1, 0, -1, "no batch 1"}, // nothing is done yet
        {20, 0, 19, "no batch 20; the run can go on from update 19"},
        {20, 0, 19, "no batch 20"}, // again: no more was done
        {0, 26, 26, "no evaluation; the run can go on from update 26"},
        {0, 28, 28, "no evaluation; the run can go on from update 28"}, // after its checkpoint
        {0, 60, 60, "no evaluation; the run can go on from update 60"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Numbers numbers = {
            .nan_at = -1, .fail_at = rows[i].batch, .after_fail_at = rows[i].evaluation};
        TrainResult result;
        Checkpoint c;
        Error err = {0}, none = {0};
        cr_assert(!train(folder, &numbers, (TrainOptions){0}, &result, &err));
        cr_assert_str_eq(err.text, rows[i].text);
        cr_assert(checkpoint_latest(arena, str_printf(arena, "%s/runs", folder), &c,
                                    (CheckpointWarn){0}, &none));
        cr_assert_eq(c.path ? c.step : -1, rows[i].kept, "row %zu", i);
    }
    cr_assert_eq(train_child(folder, (Numbers){.nan_at = -1}, 0), 0);
    assert_same_run(folder, reference);
    tiny_remove(folder);
    tiny_remove(reference);
    arena_free(arena);
}

static bool not_ready(void *ctx, Error *err)
{
    (void)ctx;
    return error_set(err, "not ready");
}

Test(train, nothing_is_written_before_it_is_ready)
{
    Arena *arena = arena_new();
    const char *folder = tiny_folder(arena);
    Error err = {0};
    TrainResult result;
    Numbers numbers = {.nan_at = -1};
    cr_assert(!train(folder, &numbers, (TrainOptions){.ready = not_ready}, &result, &err));
    cr_assert_str_eq(err.text, "not ready");
    cr_assert_neq(system(str_printf(arena, "ls -A %s | grep -q .", folder)), 0);
    tiny_remove(folder);
    arena_free(arena);
}

// Names, contents and times of all files of a folder.
static char *listing(Arena *arena, const char *folder)
{
    char *text = arena_alloc(arena, 65536);
    FILE *f = popen(str_printf(arena, "cd %s && find . -type f -printf '%%p %%T@ ' -exec cksum {} \\; | sort", folder), "r");
    size_t n = fread(text, 1, 65535, f);
    pclose(f);
    cr_assert(n > 0 && n < 65535);
    return text;
}

Test(train, a_complete_run_writes_nothing)
{
    Arena *arena = arena_new();
    const char *folder = reference_run(arena);
    char *before = listing(arena, folder);
    Error err = {0};
    TrainResult result;
    Numbers numbers = {.nan_at = -1};
    for (int64_t steps = STEPS; steps > STEPS - 2; steps--) {
        cr_assert(train(folder, &numbers, (TrainOptions){.steps = steps}, &result, &err), "%s", err.text);
        cr_assert(result.first == STEPS && result.step == STEPS && result.steps == steps && !result.stopped);
        cr_assert_str_eq(before, listing(arena, folder));
    }
    // With more steps it goes on.
    cr_assert(train(folder, &numbers, (TrainOptions){.steps = STEPS + 2}, &result, &err), "%s", err.text);
    cr_assert(result.first == STEPS && result.step == STEPS + 2 && isfinite(result.loss));
    tiny_remove(folder);
    arena_free(arena);
}

Test(train, one_trainer_in_a_folder)
{
    Arena *arena = arena_new();
    const char *folder = tiny_folder(arena);
    int ready[2], go[2];
    char c;
    cr_assert(!pipe(ready) && !pipe(go));
    pid_t pid = fork();
    if (!pid) {
        Error err = {0};
        close(go[1]);
        if (train_lock(folder, NULL, &err) < 0 || write(ready[1], "x", 1) != 1) _exit(1);
        _exit((int)read(go[0], &c, 1)); // until it is killed
    }
    cr_assert_eq(read(ready[0], &c, 1), 1);
    Error err = {0};
    cr_assert_eq(train_lock(folder, NULL, &err), -1);
    cr_assert(strstr(err.text, folder) && strstr(err.text, str_printf(arena, "process %d ", (int)pid)),
              "%s", err.text);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    err = (Error){0};
    int fd = train_lock(folder, NULL, &err); // what a killed process left is no lock
    cr_assert(fd >= 0, "%s", err.text);
    cr_assert_eq(train_lock(folder, NULL, &err), -1);
    cr_assert(strstr(err.text, str_printf(arena, "process %d ", (int)getpid())), "%s", err.text);
    close(fd);
    err = (Error){0};
    fd = train_lock(folder, NULL, &err);
    cr_assert(fd >= 0, "%s", err.text);
    close(fd);
    err = (Error){0};
    cr_assert_eq(train_lock("/nowhere", NULL, &err), -1);
    cr_assert(strstr(err.text, "/nowhere/lock"), "%s", err.text);
    tiny_remove(folder);
    arena_free(arena);
}

Test(train, killed_at_any_instant_resumes_bit_for_bit)
{
    Arena *arena = arena_new();
    const char *reference = reference_run(arena), *folder = tiny_folder(arena);
    uint64_t random = 5;
    int status = 1;
    for (int i = 0; i < 200 && status; i++) {
        random = hash_u64(random, (uint64_t)i);
        // From before the start to behind several checkpoints; many fall into their writing.
        status = train_child(folder, (Numbers){.nan_at = -1, .pause_us = 300},
                             1000 + (int64_t)(random % 12000));
        if (!status) break;
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", status);
    }
    if (status) cr_assert_eq(train_child(folder, (Numbers){.nan_at = -1}, 0), 0);
    assert_same_run(folder, reference);
    tiny_remove(folder);
    tiny_remove(reference);
    arena_free(arena);
}

Test(train, sigterm_checkpoints_and_leaves)
{
    Arena *arena = arena_new();
    const char *reference = reference_run(arena), *folder = tiny_folder(arena);
    int status = train_child(folder, (Numbers){.nan_at = -1, .signal_at = 17}, 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 2, "status %x", status);
    Checkpoint c;
    Error err = {0};
    cr_assert(checkpoint_latest(arena, str_printf(arena, "%s/runs", folder), &c,
                                (CheckpointWarn){0}, &err));
    cr_assert_eq(c.step, 17);
    TrainResult result;
    Numbers numbers = {.nan_at = -1};
    cr_assert(!train(folder, &numbers, (TrainOptions){.fresh = true}, &result, &err));
    cr_assert(strstr(err.text, "a checkpoint is there"), "%s", err.text);
    cr_assert_eq(train_child(folder, (Numbers){.nan_at = -1}, 0), 0);
    static char want[STEPS][64], got[STEPS][64];
    read_losses(reference, want);
    read_losses(folder, got);
    cr_assert_eq(memcmp(want, got, sizeof want), 0);
    tiny_remove(folder);
    tiny_remove(reference);
    arena_free(arena);
}

Test(train, stops_when_the_loss_is_not_finite)
{
    Arena *arena = arena_new();
    const char *folder = tiny_folder(arena);
    TrainResult result;
    Error err = {0};
    Numbers numbers = {.nan_at = 18};
    cr_assert(!train(folder, &numbers, (TrainOptions){0}, &result, &err));
    cr_assert_str_eq(err.text, "update 19: the loss is not a number; the newest checkpoint is of "
                               "update 14");
    cr_assert_eq(result.step, 19);
    tiny_remove(folder);
    folder = tiny_folder(arena);
    numbers = (Numbers){.nan_at = 18};
    err = (Error){0};
    cr_assert(train(folder, &numbers, (TrainOptions){.allow_nonfinite = true}, &result, &err), "%s",
              err.text);
    cr_assert_eq(result.step, STEPS);
    tiny_remove(folder);
    arena_free(arena);
}
