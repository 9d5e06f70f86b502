// A plan within the program's limit of memory. Where the plan that is fastest does not fit, pass
// save gives up as little as will do: save and what comes behind it run again with more or less of
// it, on a copy of what the passes before made.
#include "cli/fit.h"

static const char first[] = "save"; // the first pass that depends on it

// One run of that and the passes behind it with so much given up (0: without pass save).
static bool run(Program *p, const PassOptions *o, int64_t recompute, Error *err)
{
    PassOptions trial = *o;
    trial.from = first;
    trial.recompute = recompute;
    if (recompute) trial.level = 2;
    return passes_run(p, &trial, err);
}

typedef struct Fit {
    Program *program;
    const Program *kept; // as it was before pass save
    const PassOptions *options;
    const Target *target;
    Error *err;
    bool failed;
    int64_t least; // bytes of the smallest plan so far, and
    int64_t at;    // what was given up for it
} Fit;

// Does the plan fit that gives up so much? Nothing of it is left.
static bool fits(Fit *fit, int64_t recompute)
{
    Arena *arena = arena_new();
    Lowering lowering = {.arena = arena, .target = fit->target, .mask = FUSE_ALL};
    PassOptions o = *fit->options;
    o.lowering = &lowering;
    o.dump_after = o.dump_dir = NULL;
    o.time = false;
    o.discarded = true;
    fit->failed = !run(fit->program, &o, recompute, fit->err);
    int64_t bytes = fit->failed ? 0 : plan_bytes(lowering.plan, fit->target);
    arena_free(arena);
    program_restore(fit->program, fit->kept);
    if (bytes < fit->least) {
        fit->least = bytes;
        fit->at = recompute;
    }
    return !fit->failed && bytes <= fit->program->memory;
}

// The least that has to be given up, or what comes nearest. Giving up all is not always smallest: a
// value may be small beside what it takes to compute it again.
static int64_t least(Fit *fit)
{
    static const int64_t most[] = {RECOMPUTE_ALL, RECOMPUTE_ALL - 2, RECOMPUTE_ALL - 4};
    int64_t low = 0, high = 0;
    if (fits(fit, 0) || fit->failed) return 0;
    for (size_t i = 0; i < sizeof most / sizeof *most && !high && !fit->failed; i++)
        if (fits(fit, most[i])) high = most[i];
    while (high > low + 1 && !fit->failed) {
        int64_t middle = (low + high) / 2;
        *(fits(fit, middle) ? &high : &low) = middle;
    }
    return high ? high : fit->at;
}

// What a GPU has is known when it runs: the bytes of the plan that is made for a limit that none
// keeps to.
static int64_t smallest_plan(Fit *fit)
{
    int64_t limit = fit->program->memory;
    fit->program->memory = 1;
    fits(fit, RECOMPUTE_ALL);
    fit->program->memory = limit;
    return fit->least;
}

// Without a limit: as the options have it.
static bool unlimited(Program *p, const PassOptions *options, Error *err)
{
    PassOptions behind = *options;
    behind.from = first;
    return passes_run(p, &behind, err);
}

bool fit_passes(Program *p, const PassOptions *options, int64_t *recompute, Error *err)
{
    Fit fit = {.program = p,
               .options = options,
               .target = options->lowering->target,
               .err = err,
               .least = INT64_MAX};
    PassOptions before = *options;
    *recompute = options->recompute;
    if ((!p->memory && !fit.target->staged) || options->list || options->stop_after ||
        options->skip)
        return passes_run(p, options, err);
    before.before = first;
    if (!passes_run(p, &before, err)) return false;
    fit.kept = program_keep(p);
    const int64_t smallest = fit.target->staged ? smallest_plan(&fit) : 0;
    if (p->memory && !fit.failed) *recompute = least(&fit);
    if (fit.failed) return false;
    bool ok = p->memory ? run(p, options, *recompute, err) : unlimited(p, options, err);
    if (!ok || !smallest) return ok;
    int64_t made = plan_bytes(options->lowering->plan, fit.target);
    p->least = made < smallest ? made : smallest;
    return true;
}
