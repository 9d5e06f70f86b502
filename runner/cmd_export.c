// cztc export: the parameters of a run, of the parts and under the names that the graph's export:
// says, as a safetensors file.
#include "runner/newest.h"
#include "runner/origin.h"
#include "runtime/values.h"
#include "runtime/weights_init.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Values {
    const char *what, *out, *dtype, *weights;
    Source source;
    Place place; // threads alone
    bool force, json;
} Values;

static const Option options[] = {
    RUN_OPERANDS(Values),
    {"out", 'o', OPTION_TEXT, offsetof(Values, out), "FILE", "the safetensors file to write"},
    {"force", 0, OPTION_FLAG, offsetof(Values, force), NULL, "replace a file that is there"},
    {"dtype", 0, OPTION_CHOICE, offsetof(Values, dtype), "f32|bf16|f16",
     "of the numbers (as the graph says)"},
    {"weights", 0, OPTION_TEXT, offsetof(Values, weights), "W.safetensors",
     "parameters instead of the newest checkpoint's"},
    SOURCE_OPTIONS(Values),
    THREADS_OPTION(Values),
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print one JSON object"},
};

typedef struct Item {
    uint32_t state;
    bool transpose;
} Item;

typedef struct Export {
    const Loaded *l;
    Arena *arena;
    CztDtype dtype;
    VEC(CztTensor) tensors; // as they are called in the file
    VEC(Item) items;
    Map names;
    int64_t bytes;
} Export;

static bool add(Export *x, const WeightsRow *rules, const json_t *row, Error *err)
{
    const Step *step = x->l->step;
    const char *name = json_string_value(json_object_get(row, "name")),
               *state = json_string_value(json_object_get(row, "state"));
    int32_t i = state ? tensor_find(step->state, step->nstate, state) : -1;
    if (i < 0 || !name || step->state[i].dtype != CZT_F32)
        return error_set(err, "%s: a damaged export:", step->file);
    bool transpose = false;
    const char *to = weights_name(rules, name, &transpose, x->arena);
    if (!*to) return true;
    if (!map_set(x->arena, &x->names, to, x))
        return error_set(err, "export: two tensors are called '%s': mend its rename:", to);
    CztTensor t = step->state[i];
    if (transpose && t.rank != 2)
        return error_set(err, "export: '%s' has %u axes and cannot be transposed", name, t.rank);
    int64_t *shape = arena_copy(x->arena, t.shape, t.rank * sizeof *shape);
    if (transpose) shape[0] = t.shape[1], shape[1] = t.shape[0];
    t.name = to;
    t.shape = shape;
    t.dtype = x->dtype;
    t.bytes = t.bytes / 4 * czt_dtype_size(x->dtype);
    x->bytes += t.bytes;
    vec_push(x->arena, &x->tensors, t);
    vec_push(x->arena, &x->items, (Item){(uint32_t)i, transpose});
    return true;
}

static bool plan(Export *x, const char *wanted, Error *err)
{
    const json_t *all = json_object_get(json_object_get(x->l->step->manifest, "train"), "export");
    const json_t *rows = json_object_get(all, "tensors");
    const char *dtype = json_string_value(json_object_get(all, "dtype"));
    WeightsRow rules;
    if (!dtype || !json_array_size(rows))
        return error_set(err, "%s: it has no parameters to export", x->l->step->file);
    if (wanted) dtype = wanted;
    x->dtype = strcmp(dtype, "bf16") == 0  ? CZT_BF16
               : strcmp(dtype, "f16") == 0 ? CZT_F16
                                           : CZT_F32;
    if (!weights_rules(x->l->step, all, x->arena, &rules, err)) return false;
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!add(x, &rules, json_array_get(rows, i), err)) return false;
    return true;
}

static bool put(Export *x, SafeWriter *w, uint32_t k, Error *err)
{
    const CztTensor *from = &x->l->step->state[x->items.at[k].state];
    int64_t n = from->bytes / 4;
    const float *data = exec_state(x->l->exec, x->items.at[k].state, err);
    if (!data) return false;
    Arena *scratch = arena_new();
    if (x->items.at[k].transpose) {
        float *turned = arena_alloc(scratch, (size_t)from->bytes);
        for (int64_t r = 0; r < from->shape[0]; r++)
            for (int64_t c = 0; c < from->shape[1]; c++)
                turned[c * from->shape[0] + r] = data[r * from->shape[1] + c];
        data = turned;
    }
    void *out = arena_alloc(scratch, (size_t)x->tensors.at[k].bytes);
    values_from_f32(x->dtype, out, data, n);
    bool ok = safetensors_put(w, out, x->tensors.at[k].bytes, err);
    arena_free(scratch);
    return ok;
}

static bool write_file(Export *x, const char *path, int64_t step, Error *err)
{
    SafeWriter w;
    json_t *about = json_pack("{s:s, s:o}", "graph", x->l->step->name, "step",
                              json_string(str_printf(x->arena, "%lld", (long long)step)));
    bool ok = safetensors_begin(&w, path, x->tensors.at, x->tensors.n, about, err);
    json_decref(about);
    if (!ok) return false;
    for (uint32_t k = 0; ok && k < x->tensors.n; k++) ok = put(x, &w, k, err);
    if (ok) return safetensors_end(&w, NULL, err);
    safetensors_cancel(&w);
    return false;
}

static void say(const Export *x, const Values *v, int64_t step)
{
    if (v->json) {
        json_t *o =
            json_pack("{s:s, s:I, s:I, s:I}", "file", v->out, "tensors", (json_int_t)x->tensors.n,
                      "bytes", (json_int_t)x->bytes, "step", (json_int_t)step);
        json_line(o, stdout);
        json_decref(o);
        return;
    }
    printf("%s: %u tensors of %s, %sB\n", v->out, x->tensors.n, czt_dtype_name(x->dtype),
           short_number(x->arena, (double)x->bytes));
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Loaded l;
    Error err = {0};
    struct stat st;
    int64_t step;
    bool folder = v->what && stat(v->what, &st) == 0 && S_ISDIR(st.st_mode);
    if (!v->out) return fail_usage("export", "--out FILE says what to write");
    if (!v->force && access(v->out, F_OK) == 0)
        return fail_text("%s is there already: --force replaces it", v->out);
    if (cli->carried && v->what && !folder)
        return fail_text("%s: no folder of train (the program carries its step)", v->what);
    LoadOptions o = {.cli = cli, .place = v->place, .no_frozen = true};
    if (!cli->carried) o.file = folder ? str_printf(cli->arena, "%s/step.czt", v->what) : v->what;
    o.graph.source = v->source;
    if (folder && v->source.set.n &&
        !origin_take(cli->arena, &o, v->what,
                     "name a graph file: export FILE --weights W.safetensors", &err))
        return fail(&err);
    cli->repeats = true;
    if (!load_program(&l, &o)) return EXIT_INPUT;
    Export x = {.l = &l, .arena = cli->arena};
    bool ok = newest_state(cli->arena, &l, folder ? v->what : NULL, v->weights, &step, &err) &&
              plan(&x, v->dtype, &err) &&
              (cli->again || write_file(&x, v->out, step, &err)); // again.h: for the kernels alone
    if (ok && !cli->again) say(&x, v, step);
    load_free(&l);
    return ok ? EXIT_OK : fail(&err);
}

const Command command_export = {
    "export",       "write the parameters of a run under the names that other programs want",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
