// cztc bench: how fast a step is. The graph's check case is run first, in a process of its own so
// that its memory and time are not this run's; no time is printed for a step that computes
// something else.
#include "runner/load.h"
#include "runner/peak.h"
#include "runner/phases.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Values {
    const char *file, *entry;
    int64_t steps, first, warm;
    Source source;
    Place place;
    bool json, profile, no_check;
} Values;

static const Option options[] = {
    FILE_OPERANDS(Values),
    {"steps", 'n', OPTION_NUMBER, offsetof(Values, steps), "N", "timed steps (10)"},
    {"entry", 0, OPTION_TEXT, offsetof(Values, entry), "NAME",
     "time this entry; describe lists them (the update's, in each input shape)"},
    {"step", 0, OPTION_COUNT, offsetof(Values, first), "N",
     "begin with the update after N finished ones (0), by the entry of its phase"},
    {"warm", 0, OPTION_NUMBER, offsetof(Values, warm), "N",
     "steps after the first that are not timed (1)"},
    PLACE_OPTIONS(Values),
    {"profile", 0, OPTION_FLAG, offsetof(Values, profile), NULL, "time by kernel"},
    {"no-check", 0, OPTION_FLAG | IN_CZTC, offsetof(Values, no_check), NULL,
     "do not run the graph's check case"},
    SOURCE_OPTIONS(Values),
    CACHE_OPTION(Values),
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print one JSON object"},
};

static LoadOptions load_options(const Cli *cli, const Values *v)
{
    return (LoadOptions){.cli = cli,
                         .file = v->file,
                         .graph.source = v->source,
                         .place = v->place,
                         .profile = v->profile};
}

// ---- the check case
// -----------------------------------------------------------------------------------

enum { CHECK_NONE = 100, CHECK_GOOD = 101 }; // exit codes of the process that checks

static int compare_loss(const Loaded *l, const LoadCheck *c)
{
    Error err = {0};
    uint32_t entry;
    if (!load_entry(l, "step", &entry, &err) || !exec_init(l->exec, l->step->seed, &err) ||
        !load_weights(l, c->fixture, true, &err) ||
        !load_inputs(l, entry, c->fixture, true, &err) ||
        !exec_run(l->exec, entry, 0, l->step->seed, &err))
        return fail(&err);
    const StepEntry *e = &l->step->entries[entry];
    int32_t i = tensor_find(e->outputs, e->noutputs, "loss");
    double loss = i < 0 ? NAN : exec_scalar(l->exec, entry, (uint32_t)i);
    if (fabs(loss - c->loss) <= c->tolerance * fabs(c->loss)) return CHECK_GOOD;
    return fail_text("check: the loss of %s is %.9g, not %.9g: no time is printed for a wrong step",
                     c->fixture, loss, c->loss);
}

static int check_case(const Cli *cli, const Values *v)
{
    LoadOptions o = load_options(cli, v);
    LoadCheck check;
    Loaded l;
    o.graph.source.check = true;
    o.profile = false;
    if (load_is_step(v->file)) return CHECK_NONE;
    if (!cli->compiler->check(&check, cli->arena, &o)) return EXIT_INPUT;
    if (!check.fixture) return CHECK_NONE;
    if (!load_program(&l, &o)) return EXIT_INPUT;
    int code = compare_loss(&l, &check);
    load_free(&l);
    return code;
}

// *checked is "yes", or "no" where there is no case; *seconds is what it took. Gives an exit code.
static int run_check(const Cli *cli, const Values *v, const char **checked, double *seconds)
{
    double begin = seconds_now();
    int status = 0;
    *seconds = 0;
    *checked = "no";
    if (v->no_check || !cli->compiler) return EXIT_OK; // a step file has none
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) _exit(check_case(cli, v));
    if (child < 0 || waitpid(child, &status, 0) != child)
        return fail_text("check: no process: %s", strerror(errno));
    *seconds = seconds_now() - begin;
    if (!WIFEXITED(status)) return fail_text("check: ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == CHECK_GOOD) *checked = "yes";
    bool ok = WEXITSTATUS(status) == CHECK_GOOD || WEXITSTATUS(status) == CHECK_NONE;
    return ok ? EXIT_OK : WEXITSTATUS(status);
}

// ---- timing
// -------------------------------------------------------------------------------------------

typedef struct Timing {
    uint32_t entry;
    const char *shape; // "size: 24, batch: 8"; "" where there is one
    double first, median, fastest, peak, loss;
} Timing;

enum { QUEUE = 4 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool time_steps(const Loaded *l, const Values *v, const Phases *phases, double start,
                       Timing *t, Error *err)
{
    const uint32_t entry = t->entry;
    int64_t n = v->steps ? v->steps : 10, warm = v->warm ? v->warm : 1;
    if (!exec_init(l->exec, l->step->seed, err) ||
        !phases_begin(l->exec, phases, v->first, true, l->step->seed, err))
        return false;
    load_random_inputs(l, entry, 1);
    // Before and after, and the larger: a neighbour on one of the cores makes it smaller.
    double before = peak_of(l->exec);
    double *seconds = calloc((size_t)n, sizeof *seconds);
    bool ok = seconds || error_set(err, "no memory");
    for (int64_t i = 0; ok && i <= n + warm; i++) {
        double begin = seconds_now();
        // A GPU gets several steps at once, as in training it never waits for the host.
        int64_t queued = exec_device(l->exec).gpu && i ? QUEUE : 1;
        for (int64_t q = 0; ok && q < queued; q++)
            ok = exec_start(l->exec, entry, v->first + i, l->step->seed, err);
        ok = ok && exec_wait(l->exec, err);
        if (i == 0) t->first = seconds_now() - start;
        if (i == warm) exec_clear_times(l->exec);
        if (i > warm) seconds[i - warm - 1] = (seconds_now() - begin) / (double)queued;
    }
    if (ok) {
        qsort(seconds, (size_t)n, sizeof *seconds, by_value);
        t->fastest = seconds[0];
        t->median = n % 2 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
        t->peak = fmax(before, peak_of(l->exec));
        const StepEntry *e = &l->step->entries[entry];
        int32_t i = tensor_find(e->outputs, e->noutputs, "loss");
        t->loss = i < 0 ? NAN : exec_scalar(l->exec, entry, (uint32_t)i);
    }
    free(seconds);
    return ok;
}

// ---- profile
// --------------------------------------------------------------------------------------------

typedef struct Row {
    const StepKernel *kernel;
    double seconds, flops, bytes; // of a step
    uint32_t calls;
} Row;

static int by_seconds(const void *a, const void *b)
{
    double x = ((const Row *)a)->seconds, y = ((const Row *)b)->seconds;
    return (x < y) - (x > y);
}

// A launch's time goes to its segments' kernels by their work.
static double weight_of(const Step *step, const StepLaunch *launch, uint32_t s)
{
    double all = 0, own = 0;
    for (uint32_t i = 0; i < launch->n; i++) {
        const StepKernel *k = &step->kernels[launch->segments[i].kernel];
        double w = (double)k->bytes + (double)k->flops / 8 + 1;
        all += w;
        if (i == s) own = w;
    }
    return own / all;
}

// Add the launches of an entry that is run so many times a step.
static void profile_entry(const Loaded *l, uint32_t entry, int64_t runs, Row *rows, double *all)
{
    const Step *step = l->step;
    for (uint32_t i = 0; i < step->entries[entry].nlaunches; i++) {
        const StepLaunch *launch = &step->entries[entry].launches[i];
        ExecTime t = exec_time(l->exec, entry, i);
        if (!t.calls) continue;
        for (uint32_t s = 0; s < launch->n; s++) {
            Row *r = &rows[launch->segments[s].kernel];
            double times = (double)runs,
                   seconds = times * t.seconds / (double)t.calls * weight_of(step, launch, s);
            r->seconds += seconds;
            r->flops += times * (double)r->kernel->flops;
            r->bytes += times * (double)r->kernel->bytes;
            r->calls += (uint32_t)runs;
            *all += seconds;
        }
    }
}

// The kernels of a step by the time they take; those that were called come first.
static Row *profile(Arena *arena, const Loaded *l, uint32_t entry, double *all)
{
    const Step *step = l->step;
    const StepEntry *e = &step->entries[entry];
    Row *rows = arena_array(arena, Row, step->nkernels + 1);
    for (uint32_t i = 0; i < step->nkernels; i++) rows[i].kernel = &step->kernels[i];
    for (uint32_t i = 0; i < e->nbefore; i++)
        profile_entry(l, e->before[i].entry, e->before[i].parts, rows, all);
    profile_entry(l, entry, 1, rows, all);
    qsort(rows, step->nkernels, sizeof *rows, by_seconds);
    return rows;
}

static void print_profile(Arena *arena, const Loaded *l, const Timing *t)
{
    double all = 0, peak = t->peak;
    const Row *rows = profile(arena, l, t->entry, &all);
    fprintf(stderr, "%9s %6s %6s %9s %8s %8s  kernel\n", "ms/step", "share", "calls", "GFLOP/s",
            "of peak", "GB/s"); // a peak that is not known prints nan
    for (const Row *r = rows; r->calls; r++)
        fprintf(stderr, "%9.3f %5.1f%% %6u %9.1f %7.1f%% %8.1f  %s\n", r->seconds * 1e3,
                100 * r->seconds / all, r->calls, r->flops / r->seconds * 1e-9,
                100 * r->flops / r->seconds / peak, r->bytes / r->seconds * 1e-9, r->kernel->name);
    fprintf(stderr, "%9.3f ms in kernels a step\n", all * 1e3);
}

// A number, or null where it is not known.
static json_t *known(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *profile_json(Arena *arena, const Loaded *l, const Timing *t)
{
    double all = 0, peak = t->peak;
    json_t *list = json_array();
    for (const Row *r = profile(arena, l, t->entry, &all); r->calls; r++)
        json_array_append_new(list, json_pack("{s:s, s:f, s:i, s:f, s:o, s:f}", "kernel",
                                              r->kernel->name, "step_s", r->seconds, "calls",
                                              (int)r->calls, "gflops", r->flops / r->seconds * 1e-9,
                                              "share_of_peak", known(r->flops / r->seconds / peak),
                                              "gbytes_per_s", r->bytes / r->seconds * 1e-9));
    return list;
}

// "small", or with an entry or shape of several.
static const char *label(Arena *arena, const Loaded *l, const Timing *t)
{
    const char *entry = l->step->entries[t->entry].name;
    bool first = strcmp(entry, "step") == 0 || strncmp(entry, "step/", 5) == 0;
    const char *label = l->step->name;
    if (!first) label = str_printf(arena, "%s, %s", label, entry);
    return *t->shape ? str_printf(arena, "%s, %s", label, t->shape) : label;
}

static void print_time(Arena *arena, const Loaded *l, const Timing *t, bool profiled)
{
    double rate = load_flops(l, t->entry) / t->median,
           pairs = (double)l->step->entries[t->entry].batch / t->median;
    if (profiled) print_profile(arena, l, t);
    printf("%s: %.2f ms a step (fastest %.2f), %.2f pairs/s, %.1f GFLOP/s", label(arena, l, t),
           t->median * 1e3, t->fastest * 1e3, pairs, rate * 1e-9);
    if (isfinite(t->peak))
        printf(" = %.1f %% of peak (%.1f)", 100 * rate / t->peak, t->peak * 1e-9);
    putchar('\n');
}

static void print_rest(const Loaded *l, const Timing *t, const char *checked)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    ExecDevice on = exec_device(l->exec);
    printf("compiled in %.2f s, first step after %.2f s, peak memory %ld MiB, checked: %s\n",
           l->compile_s, t->first, usage.ru_maxrss / 1024, checked);
    if (on.gpu)
        printf("on GPU %d (%s), %.0f MiB there\n", on.number, on.name,
               (double)on.bytes / (1 << 20));
}

static json_t *time_json(Arena *arena, const Loaded *l, const Timing *t, bool profiled)
{
    const StepEntry *e = &l->step->entries[t->entry];
    double rate = load_flops(l, t->entry) / t->median;
    json_t *o = json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:o, s:o, s:o}", "entry", e->name,
                          "batch", (json_int_t)e->batch, "step_s", t->median, "step_min_s",
                          t->fastest, "pairs_per_s", (double)e->batch / t->median, "gflops",
                          rate * 1e-9, "peak_gflops", known(t->peak * 1e-9), "share_of_peak",
                          known(rate / t->peak), "loss", json_f32(t->loss));
    if (*t->shape) json_object_set_new(o, "shape", json_string(t->shape));
    if (profiled) json_object_set_new(o, "kernels", profile_json(arena, l, t));
    return o;
}

// The first one's figures, and those of all of several.
static void print_json(const Loaded *l, const Timing *t, json_t *shapes, const char *checked)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    ExecDevice on = exec_device(l->exec);
    json_t *o = json_pack("{s:s, s:i, s:f, s:f, s:I, s:s}", "graph", l->step->name, "threads",
                          (int)pool_threads(exec_pool(l->exec)), "first_step_s", t->first,
                          "compile_s", l->compile_s, "peak_mib",
                          (json_int_t)(usage.ru_maxrss / 1024), "checked", checked);
    json_object_update(o, json_array_get(shapes, 0));
    if (on.gpu) {
        json_object_set_new(o, "device", json_string(on.name));
        json_object_set_new(o, "device_mib", json_integer(on.bytes >> 20));
    }
    if (json_array_size(shapes) > 1) json_object_set(o, "shapes", shapes);
    json_line(o, stdout);
    json_decref(o);
}

// What is timed: the entry that is asked for, else the update's in every shape.
static bool find_timed(Arena *arena, const Loaded *l, const Values *v, Phases *phases, Timing **to,
                       uint32_t *n, Error *err)
{
    bool all = !v->entry && step_entry(l->step, "step") >= 0;
    *phases = (Phases){0};
    if (all && !phases_of(arena, l->step, phases, err)) return false;
    *n = all ? phases->nshapes : 1;
    *to = arena_array(arena, Timing, *n);
    for (uint32_t i = 0; all && i < *n; i++)
        (*to)[i] = (Timing){.entry = phases_entry_in(phases, i, v->first),
                            .shape = phases->shapes[i].text};
    if (!all) (*to)->shape = "";
    return all || load_entry(l, v->entry ? v->entry : "step", &(*to)->entry, err);
}

static bool time_all(Cli *cli, const Loaded *l, const Values *v, double start, const char *checked,
                     Error *err)
{
    Timing *t;
    Phases phases;
    uint32_t n;
    json_t *shapes = json_array();
    bool ok = find_timed(cli->arena, l, v, &phases, &t, &n, err);
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = time_steps(l, v, &phases, start, &t[i], err);
        if (ok && v->json)
            json_array_append_new(shapes, time_json(cli->arena, l, &t[i], v->profile));
        else if (ok)
            print_time(cli->arena, l, &t[i], v->profile);
        exec_clear_times(l->exec);
    }
    if (ok && v->json) print_json(l, t, shapes, checked);
    if (ok && !v->json) print_rest(l, t, checked);
    json_decref(shapes);
    return ok;
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Loaded l;
    Error err = {0};
    double spent;
    cli->repeats = true;
    const char *checked;
    int code = run_check(cli, v, &checked, &spent);
    if (code != EXIT_OK) return code;
    LoadOptions o = load_options(cli, v);
    if (!load_program(&l, &o)) return EXIT_INPUT;
    bool ok = time_all(cli, &l, v, cli->start + spent, checked, &err);
    load_free(&l);
    return ok ? EXIT_OK : fail(&err);
}

const Command command_bench = {
    "bench",        "time a step on synthetic inputs, beside the machine's peak",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
