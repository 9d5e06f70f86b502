// cztc run: the same batch through a few steps, to see the losses, gradients and values of a graph.
#include "base/glob.h"
#include "runner/load.h"
#include "runner/phases.h"
#include "runtime/safetensors.h"
#include "runtime/values.h"

#include <math.h>

typedef struct Values {
    const char *file, *weights, *inputs, *grads, *entry, *tap_file;
    Texts print, tap;
    const char *seed;
    int64_t steps, first;
    Source source;
    Place place;
    bool json;
} Values;

static const Option options[] = {
    FILE_OPERANDS(Values),
    {"weights", 0, OPTION_TEXT, offsetof(Values, weights), "W.safetensors",
     "initial parameters by path; none: as the graph says"},
    {"inputs", 0, OPTION_TEXT, offsetof(Values, inputs), "B.safetensors",
     "the batch by input name (may be the same file); none: random"},
    {"steps", 'n', OPTION_NUMBER, offsetof(Values, steps), "N", "how many steps on that batch (1)"},
    {"step", 0, OPTION_COUNT, offsetof(Values, first), "N",
     "begin with the update after N finished ones (0), by the entry of its phase"},
    {"entry", 0, OPTION_TEXT, offsetof(Values, entry), "NAME",
     "run this entry, whatever the update's is"},
    {"grads", 0, OPTION_TEXT | IN_CZTC, offsetof(Values, grads), "G.safetensors",
     "write the first step's gradients, before clipping"},
    {"print", 0, OPTION_TEXTS | IN_CZTC, offsetof(Values, print), "EXPR",
     "show any expression of the graph"},
    {"print", 0, OPTION_TEXTS | IN_RUNNER | IN_CARRIER, offsetof(Values, print), "NAME",
     "show an output of the entry, or of the state what the step finds"},
    {"tap", 0, OPTION_TEXTS | IN_CZTC, offsetof(Values, tap), "EXPR",
     "write any expression, or all of a path with *, whole"},
    {"tap", 0, OPTION_TEXTS | IN_RUNNER | IN_CARRIER, offsetof(Values, tap), "NAME",
     "write an output of the entry, or all of a name with *, whole"},
    {"tap-file", 0, OPTION_TEXT, offsetof(Values, tap_file), "T.safetensors",
     "where --tap writes the last step's values (taps.safetensors)"},
    {"seed", 0, OPTION_SEED, offsetof(Values, seed), "N",
     "of initialisation and random numbers (the graph's)"},
    SOURCE_OPTIONS(Values),
    CHECK_OPTION(Values),
    CACHE_OPTION(Values),
    PLACE_OPTIONS(Values),
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "a JSON object a step"},
};

enum { SHOWN = 8 };
static const char grad_prefix[] = "grad.";

static bool is_grad(const CztTensor *t)
{
    return strncmp(t->name, grad_prefix, sizeof grad_prefix - 1) == 0;
}

// A * that is a part by itself stands for any text of its part, and so do other ones beside it.
static bool is_wanted(const Texts *asked, const char *name)
{
    for (uint32_t i = 0; i < asked->n; i++)
        if (strcmp(asked->at[i], name) == 0 || glob_path(asked->at[i], name)) return true;
    return false;
}

typedef struct Picked { // outputs of an entry, to be written
    VEC(CztTensor) tensors;
    VEC(uint32_t) from;
} Picked;

static bool write_picked(const Loaded *l, uint32_t entry, const Picked *p, const char *path,
                         Error *err)
{
    SafeWriter w;
    if (!safetensors_begin(&w, path, p->tensors.at, p->tensors.n, NULL, err)) return false;
    for (uint32_t i = 0; i < p->tensors.n; i++)
        if (!safetensors_put(&w, exec_output(l->exec, entry, p->from.at[i]), p->tensors.at[i].bytes,
                             err)) {
            safetensors_cancel(&w);
            return false;
        }
    return safetensors_end(&w, NULL, err);
}

static bool write_grads(const Loaded *l, uint32_t entry, const char *path, Error *err)
{
    const StepEntry *e = &l->step->entries[entry];
    Arena *arena = arena_new();
    Picked p = {0};
    for (uint32_t i = 0; i < e->noutputs; i++) {
        if (!is_grad(&e->outputs[i])) continue;
        CztTensor t = e->outputs[i];
        t.name += sizeof grad_prefix - 1;
        vec_push(arena, &p.tensors, t);
        vec_push(arena, &p.from, i);
    }
    bool ok = write_picked(l, entry, &p, path, err);
    arena_free(arena);
    return ok;
}

// Larger elements go first, so that all are aligned in the file.
static bool write_taps(const Loaded *l, uint32_t entry, const Values *v, Error *err)
{
    const StepEntry *e = &l->step->entries[entry];
    const char *path = v->tap_file ? v->tap_file : "taps.safetensors";
    Arena *arena = arena_new();
    Picked p = {0};
    for (int64_t size = 8; size; size /= 2)
        for (uint32_t i = 0; i < e->noutputs; i++) {
            const CztTensor *t = &e->outputs[i];
            if (czt_dtype_size(t->dtype) != size || !is_wanted(&v->tap, t->name)) continue;
            vec_push(arena, &p.tensors, *t);
            vec_push(arena, &p.from, i);
        }
    bool ok = write_picked(l, entry, &p, path, err);
    if (ok) fprintf(stderr, "tap: %s: %u values\n", path, p.tensors.n);
    arena_free(arena);
    return ok;
}

// Shape, range and first values of a tensor; NaNs are counted, and no part of the range.
static json_t *describe(const CztTensor *t, const void *data)
{
    int64_t n = t->bytes / czt_dtype_size(t->dtype);
    int64_t nans = 0;
    double lo = INFINITY, hi = -INFINITY, sum = 0;
    json_t *values = json_array(), *shape = json_array();
    for (uint32_t a = 0; a < t->rank; a++) json_array_append_new(shape, json_integer(t->shape[a]));
    for (int64_t k = 0; k < n; k++) {
        double x = value_get(t->dtype, data, k);
        if (k < SHOWN) json_array_append_new(values, json_f32(x));
        sum += x; // of a NaN on, the mean is NaN too
        nans += isnan(x);
        if (x < lo) lo = x; // not of a NaN
        if (x > hi) hi = x;
    }
    if (nans == n) lo = hi = NAN;
    json_t *all = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "dtype", czt_dtype_name(t->dtype),
                            "shape", shape, "min", json_f32(lo), "max", json_f32(hi), "mean",
                            json_f32(sum / (double)n), "values", values);
    if (nans) json_object_set_new(all, "nan", json_integer(nans));
    return all;
}

static json_t *describe_all(const Loaded *l, uint32_t entry, const Texts *print)
{
    const StepEntry *e = &l->step->entries[entry];
    json_t *object = json_object();
    for (uint32_t i = 0; i < e->noutputs; i++)
        if (is_wanted(print, e->outputs[i].name))
            json_object_set_new(object, e->outputs[i].name,
                                describe(&e->outputs[i], exec_output(l->exec, entry, i)));
    return object;
}

static bool has_output(const StepEntry *e, const char *asked)
{
    const Texts one = {.at = &asked, .n = 1};
    for (uint32_t i = 0; i < e->noutputs; i++)
        if (is_wanted(&one, e->outputs[i].name)) return true;
    return false;
}

// What --print names of the state, where no output is called so, as the entry finds it.
static json_t *describe_states(const Loaded *l, uint32_t entry, const Texts *print, Error *err)
{
    json_t *object = json_object();
    for (uint32_t i = 0; i < print->n; i++) {
        const Texts one = {.at = &print->at[i], .n = 1};
        if (has_output(&l->step->entries[entry], print->at[i])) continue;
        for (uint32_t k = 0; k < l->step->nstate; k++) {
            const CztTensor *t = &l->step->state[k];
            const void *data = is_wanted(&one, t->name) ? exec_state(l->exec, k, err) : NULL;
            if (data) json_object_set_new(object, t->name, describe(t, data));
        }
    }
    return object;
}

// Losses and other scalars; gradients of scalars go to the file only.
static void print_scalars(const Loaded *l, uint32_t entry)
{
    const StepEntry *e = &l->step->entries[entry];
    for (uint32_t i = 0; i < e->noutputs; i++) {
        if (e->outputs[i].rank != 0 || is_grad(&e->outputs[i])) continue;
        double x = exec_scalar(l->exec, entry, i);
        printf("  %s %.9g", e->outputs[i].name, isnan(x) ? (double)NAN : x); // never "-nan"
    }
}

// `states`: what of the state is to be printed.
static void show(const Loaded *l, uint32_t entry, int64_t step, const Values *v, json_t *states)
{
    json_t *line = json_object(), *scalars = load_scalars(l, entry),
           *prints = describe_all(l, entry, &v->print);
    json_object_update(prints, states);
    const char *key;
    json_t *x;
    void *safe;
    json_object_foreach_safe(scalars, safe, key,
                             x) if (strncmp(key, grad_prefix, sizeof grad_prefix - 1) == 0)
        json_object_del(scalars, key);
    json_object_set_new(line, "step", json_integer(step));
    json_object_update(line, scalars);
    if (v->print.n) json_object_set(line, "print", prints);
    if (v->json) {
        json_line(line, stdout);
    } else {
        printf("step %lld", (long long)step);
        print_scalars(l, entry);
        putchar('\n');
        json_object_foreach(prints, key, x)
        {
            printf("  %s: ", key);
            json_line(x, stdout);
        }
    }
    json_decref(line);
    json_decref(scalars);
    json_decref(prints);
}

static bool names_state(const Step *step, const char *asked)
{
    const Texts one = {.at = &asked, .n = 1};
    bool found = false;
    for (uint32_t i = 0; i < step->nstate; i++) found |= is_wanted(&one, step->state[i].name);
    return found;
}

static bool check_texts(const Loaded *l, const StepEntry *e, bool print, const Texts *asked,
                        Error *err)
{
    for (uint32_t i = 0; i < asked->n; i++)
        if (!has_output(e, asked->at[i]) && !(print && names_state(l->step, asked->at[i])))
            return error_set(err,
                             "%s: %s: entry '%s' has no output '%s'%s (expressions want a graph "
                             "file, and a step in which what they name is on, eval or the entry of "
                             "an encoder)",
                             l->step->file, print ? "--print" : "--tap", e->name, asked->at[i],
                             print ? ", nor the program such a state" : "");
    return true;
}

// What --print, --tap and --grads want is looked for before a step is run: of IR text and step
// files, whose outputs are fixed, they show what there is.
static bool check_wanted(const Loaded *l, uint32_t entry, const Values *v, Error *err)
{
    const StepEntry *e = &l->step->entries[entry];
    bool grads = false;
    if (!check_texts(l, e, true, &v->print, err) || !check_texts(l, e, false, &v->tap, err))
        return false;
    for (uint32_t i = 0; i < e->noutputs; i++) grads |= is_grad(&e->outputs[i]);
    return grads || !v->grads ||
           error_set(
               err,
               "%s: --grads: entry '%s' gives no gradients (they want a graph file, and entry "
               "step)",
               l->step->file, e->name);
}

static bool is_shared(const Values *v)
{
    return v->weights && v->inputs && strcmp(v->weights, v->inputs) == 0;
}

static bool prepare(const Loaded *l, const Values *v, int64_t seed, Error *err)
{
    return exec_init(l->exec, seed, err) &&
           (!v->weights || load_weights(l, v->weights, is_shared(v), err));
}

static bool give_inputs(const Loaded *l, uint32_t entry, const Values *v, int64_t seed, Error *err)
{
    if (v->inputs) return load_inputs(l, entry, v->inputs, is_shared(v), err);
    load_random_inputs(l, entry, (uint64_t)seed);
    return true;
}

// The entry of an update, and its batch where it is another one than before.
static bool take_entry(const Loaded *l, const Phases *phases, const Values *v, int64_t step,
                       int64_t seed, uint32_t *entry, Error *err)
{
    uint32_t before = *entry;
    if (!v->entry) *entry = phases_entry(phases, seed, step);
    return *entry == before || give_inputs(l, *entry, v, seed, err);
}

static bool run_shown(const Loaded *l, uint32_t entry, int64_t step, int64_t seed, const Values *v,
                      Error *err)
{
    json_t *states = describe_states(l, entry, &v->print, err);
    bool ok = !err->set && exec_run(l->exec, entry, step, seed, err);
    if (ok) show(l, entry, step, v, states);
    json_decref(states);
    return ok;
}

static bool steps(const Loaded *l, const Values *v, Error *err)
{
    uint32_t entry;
    Phases phases;
    Arena *arena = arena_new();
    int64_t seed = option_seed(v->seed, l->step->seed), n = v->steps ? v->steps : 1;
    bool ok =
        v->entry ? load_entry(l, v->entry, &entry, err) : phases_of(arena, l->step, &phases, err);
    if (ok && !v->entry) entry = phases_entry(&phases, seed, v->first);
    ok = ok && check_wanted(l, entry, v, err) && prepare(l, v, seed, err) &&
         give_inputs(l, entry, v, seed, err);
    for (int64_t i = 0; ok && i < n; i++) {
        int64_t step = v->first + i;
        ok = (v->entry || phases_begin(l->exec, &phases, step, !i, seed, err)) &&
             take_entry(l, &phases, v, step, seed, &entry, err) &&
             run_shown(l, entry, step, seed, v, err);
        if (ok && i == 0 && v->grads) ok = write_grads(l, entry, v->grads, err);
    }
    ok = ok && (!v->tap.n || write_taps(l, entry, v, err));
    arena_free(arena);
    return ok;
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Loaded l;
    Error err = {0};
    LoadOptions o = {.cli = cli, .file = v->file, .place = v->place};
    Arena *arena = arena_new();
    Texts taps = {0};
    cli->repeats = true;
    for (uint32_t i = 0; i < v->print.n; i++) vec_push(arena, &taps, v->print.at[i]);
    for (uint32_t i = 0; i < v->tap.n; i++) vec_push(arena, &taps, v->tap.at[i]);
    o.graph = (GraphOptions){.source = v->source,
                             .taps = taps.at,
                             .ntaps = taps.n,
                             .nprints = v->print.n,
                             .tap_entry = v->entry,
                             .grads = v->grads != NULL};
    bool loaded = load_program(&l, &o), ok = loaded && steps(&l, v, &err);
    if (loaded) load_free(&l);
    arena_free(arena);
    if (!loaded) return EXIT_INPUT;
    return ok ? EXIT_OK : fail(&err);
}

const Command command_run = {
    "run",          "run a few steps on one batch and print losses, gradients, values",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
