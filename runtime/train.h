// The training loop: batches in, updates, log lines, checkpoints; stops cleanly, resumes bit for
// bit.
#ifndef CZT_RUNTIME_TRAIN_H
#define CZT_RUNTIME_TRAIN_H

#include "runtime/exec.h"
#include "runtime/log.h"

// Where batches come from.
typedef struct TrainFeed {
    void *ctx;
    // Fill the next batch: slots[i] is where input i of `entry` lies; NULL for "$step" and "$seed".
    bool (*next)(void *ctx, uint32_t entry, void *const *slots, Error *err);
    // The place after the batches given out so far, as a JSON text, malloced. NULL: no memory.
    char *(*position)(void *ctx);
    // Go on from such a place, with the batch of the update after `step` finished ones.
    bool (*seek)(void *ctx, const char *position, int64_t step, Error *err);
    // Log the samples that the last next() left out (log_skipped); step: the update they were for.
    // NULL: nothing to tell.
    bool (*tell)(void *ctx, Log *log, int64_t step, Error *err);
    // Samples left out so far, as position and seek keep it. NULL: none.
    int64_t (*skipped)(void *ctx);
} TrainFeed;

typedef struct TrainOptions {
    const char *checkpoints;  // folder; NULL: none are written
    const char *log_path;     // JSON lines; NULL: none
    const char *events;       // folder of TensorBoard event files; NULL: none
    FILE *progress;           // for a person; NULL: none
    int64_t steps;            // finished updates to reach; 0: the program's own, or no end
    int64_t seed;             // of a new run; a resumed one keeps its own
    int64_t checkpoint_every; // updates; 0: at the end only
    int64_t log_every;        // updates; 0 is 1
    double flops, peak;       // operations of an update; the machine's a second; 0: not known
    uint32_t keep;            // newest checkpoints to keep; 0: all
    bool dry;                 // the same updates, but nothing is written
    bool fresh;               // do not resume; refused when the folder has a checkpoint
    bool allow_nonfinite;     // go on when the output "loss" is infinite or NaN
    bool skip_nonfinite;      // the same where the entry says by "$finite" that it changed nothing
    // Called with ctx where not NULL. Set the state of a new run (default: exec_init with the
    // seed).
    bool (*start)(void *ctx, Exec *exec, Error *err);
    // The entry for the update after `step` finished ones (default: "step").
    uint32_t (*entry_at)(void *ctx, int64_t step);
    // The number of that update's shape, from 1, for the log, and the operations of the update.
    // NULL: there is one shape, and `flops`.
    uint32_t (*shape_at)(void *ctx, int64_t step);
    double (*flops_at)(void *ctx, int64_t step);
    // Before the update after `step` finished ones; may change the state, as a function of it and
    // of `step`.
    bool (*before)(void *ctx, Exec *exec, int64_t step, Error *err);
    // State, data and step are where the run begins or goes on; nothing was written so far. Not
    // called where the run is complete.
    bool (*ready)(void *ctx, Error *err);
    // After each update, and its checkpoint where one is due: evaluation, more log lines. step:
    // finished updates. Called on a resume too, for the update resumed from: a process killed in
    // here had not told all, so what log_has knows may not be told again. It must leave the state
    // as it was.
    bool (*after)(void *ctx, Exec *exec, Log *log, int64_t step, Error *err);
    void *ctx;
} TrainOptions;

typedef struct TrainResult {
    int64_t first, step;    // finished updates at the start (0 if not resumed) and at the end
    int64_t samples;        // of the updates from first to step
    int64_t steps;          // that were to be reached, 0 without an end
    bool stopped;           // by SIGTERM or SIGINT
    int64_t skips;          // updates that were skipped, as their loss was not finite
    double loss;            // of the last update; NaN where there is none
    double seconds, waited; // in all, and for data
} TrainResult;

// Block SIGTERM and SIGINT in this thread and those it starts, so that train_run can take them.
// Call it before any thread is started.
void train_hold_signals(void);
// Train until the steps are done, or SIGTERM or SIGINT comes: then a checkpoint is written, and it
// returns true with result->stopped. Resumes from the newest whole checkpoint, if there is one;
// where that has all steps done (first == step >= steps), nothing is written but what `after` has
// to tell. When the feed or `after` fails, a checkpoint of the last update is written first.
bool train_run(Exec *exec, const TrainFeed *feed, const TrainOptions *options, TrainResult *result,
               Error *err);

#endif
