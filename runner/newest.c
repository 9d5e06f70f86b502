#include "runner/newest.h"

#include "runner/phases.h"
#include "runtime/checkpoint.h"
#include "runtime/frozen.h"

#include <string.h>

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "warning: %s\n", text);
}

static bool copy_students(Arena *arena, const Loaded *l, int64_t step, Error *err)
{
    Phases phases;
    return phases_of(arena, l->step, &phases, err) &&
           phases_prepare(l->exec, &phases, step, l->step->seed, err);
}

bool newest_state(Arena *arena, const Loaded *l, const char *run, const char *weights,
                  int64_t *step, Error *err)
{
    Checkpoint latest = {0};
    *step = weights ? l->step->steps : 0;
    bool begins = run && !weights && frozen_any(l->step); // with the checkpoint's own seed
    if (!begins && !exec_init(l->exec, l->step->seed, err)) return false;
    if (weights) return load_weights(l, weights, false, err) && copy_students(arena, l, 0, err);
    if (!run) {
        fprintf(stderr, "note: untrained parameters; --weights or a run's folder gives others\n");
        return true;
    }
    const char *at = str_printf(arena, "%s/checkpoints", run);
    if (!checkpoint_latest(arena, at, &latest, (CheckpointWarn){warn, NULL}, err)) return false;
    if (!latest.path) return error_set(err, "%s: no checkpoint is there", at);
    fprintf(stderr, "parameters of %s\n", latest.path);
    if (strcmp(latest.source_hash, l->step->source_hash) != 0)
        warn(NULL, "their step was another: the graph, --set or cztc itself has changed since");
    *step = latest.step;
    return checkpoint_load(l->exec, &latest, err) && copy_students(arena, l, latest.step, err);
}
