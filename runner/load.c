// Loading: a graph file goes through the compiler and the step's container in memory, so that
// running a graph and running its step file are one path.
#include "runner/load.h"

#include "base/container.h"
#include "base/file.h"
#include "runner/folders.h"
#include "runtime/cuda_driver.h"
#include "runtime/philox.h"
#include "runtime/weights_init.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNKNOWN_RANGE = 16 }; // of an integer input that the graph only computes with

const char own_executable[] = "/proc/self/exe";

// A folder of train stands for its step.
static const char *step_of(Arena *arena, const char *file)
{
    struct stat st;
    bool folder = file && stat(file, &st) == 0 && S_ISDIR(st.st_mode);
    const char *step = folder ? str_printf(arena, "%s/step.czt", file) : file;
    return access(step ? step : "", F_OK) == 0 ? step : file;
}

bool load_is_step(const char *file)
{
    FileMap map;
    Error none = {0};
    Arena *arena = arena_new();
    bool read = file_map(&map, step_of(arena, file), &none),
         yes = read && container_present(map.data, map.size);
    if (read) file_unmap(&map);
    arena_free(arena);
    return yes;
}

static void keep(Loaded *l, const void *bytes, size_t size)
{
    container_narrow(&bytes, &size); // there is one: it was loaded
    l->bytes = arena_copy(l->arena, bytes, size);
    l->size = size;
}

static bool compile(Loaded *l, const LoadOptions *o, Error *err)
{
    Compiled c;
    Arena *arena = arena_new();
    double begin = seconds_now();
    bool ok = o->cli->compiler->compile(&c, arena, o);
    if (ok) {
        l->step = step_load_memory(o->file, c.bytes, c.size, err);
        if (o->keep) keep(l, c.bytes, c.size);
        for (uint32_t i = 0; i < c.sources.n; i++) {
            SourceFile s = {str_copy(l->arena, c.sources.at[i].path), c.sources.at[i].sum};
            vec_push(l->arena, &l->sources, s);
        }
        l->flops = c.flops;
        l->compile_s = seconds_now() - begin;
    }
    arena_free(arena);
    return ok && l->step;
}

static void load_file(Loaded *l, const LoadOptions *o, Error *err)
{
    FileMap map;
    if (!file_map(&map, o->file ? o->file : own_executable, err)) return;
    l->step = step_load_memory(o->file ? o->file : o->cli->carried, map.data, map.size, err);
    if (l->step && o->keep) keep(l, map.data, map.size);
    file_unmap(&map);
}

// What the products of an entry do, in so many runs.
static double product_flops(const Step *step, uint32_t entry)
{
    double sum = 0;
    const StepEntry *e = &step->entries[entry];
    for (uint32_t i = 0; i < e->nlaunches; i++) {
        const StepLaunch *launch = &e->launches[i];
        for (uint32_t s = 0; s < launch->n; s++) {
            const StepKernel *k = &step->kernels[launch->segments[s].kernel];
            if (strcmp(k->kind, "loop") != 0) sum += (double)k->flops;
        }
    }
    for (uint32_t i = 0; i < e->nbefore; i++)
        sum += (double)e->before[i].parts * product_flops(step, e->before[i].entry);
    return sum;
}

// Of a step file, what its products do is all that is known.
static double step_file_flops(const Step *step)
{
    int32_t e = step_entry(step, "step");
    return e < 0 ? 0 : product_flops(step, (uint32_t)e);
}

double load_flops(const Loaded *l, uint32_t entry)
{
    double step = step_file_flops(l->step);
    return step > 0 ? l->flops * product_flops(l->step, entry) / step : l->flops;
}

// Paths of data and of eval sets then begin in that folder.
static void set_root(const Step *step, const char *root)
{
    static const char sections[][8] = {"data", "eval", "train"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        json_t *section = json_object_get(step->manifest, sections[i]);
        if (section) json_object_set_new(section, "base_dir", json_string(root));
    }
}

static bool is_step(const LoadOptions *o)
{
    return !o->file || !o->cli->compiler || load_is_step(o->file);
}

bool load_step(Loaded *l, const LoadOptions *given)
{
    Error err = {0};
    LoadOptions own = *given;
    const LoadOptions *o = &own;
    own.file = step_of(given->cli->arena, given->file);
    *l = (Loaded){0};
    if (is_step(o)) {
        if (o->graph.source.set.n) {
            fail_text("%s: --set changes a graph file, this is a step file", o->file);
            return false;
        }
        if (o->place.target) {
            fail_text("%s: --target is for a graph file, this is a step file, made for its target",
                      o->file);
            return false;
        }
        l->arena = arena_new();
        load_file(l, o, &err);
        if (l->step) l->flops = step_file_flops(l->step);
    } else {
        l->arena = arena_new();
        compile(l, o, &err);
    }
    if (err.set) fail(&err); // the pipeline prints its own
    if (!l->step) {
        arena_free(l->arena);
        return false;
    }
    l->kernels = l->step->nkernels;
    if (o->root) set_root(l->step, o->root);
    return true;
}

// A copy that outlives the step.
static TokenizerFiles keep_tokenizers(Arena *arena, TokenizerFiles from)
{
    TokenizerFile *files = arena_copy(arena, from.at, from.n * sizeof *files);
    for (uint32_t i = 0; i < from.n; i++) {
        files[i].name = str_copy(arena, files[i].name);
        files[i].data = arena_copy(arena, files[i].data, files[i].size);
    }
    return (TokenizerFiles){files, from.n};
}

bool load_data(json_t **data, TokenizerFiles *carried, const LoadOptions *o)
{
    *data = NULL;
    *carried = (TokenizerFiles){0};
    if (is_step(o)) {
        Loaded l;
        if (!load_step(&l, o)) return false;
        *data = json_incref(json_object_get(l.step->manifest, "data"));
        *carried = keep_tokenizers(o->cli->arena, l.step->tokenizers);
        load_free(&l);
        return true;
    }
    const char *text = NULL;
    if (!o->cli->compiler->data(&text, o->cli->arena, o)) return false;
    if (!text) return true;
    *data = json_loads(text, 0, NULL);
    if (!*data) bug("the data of a graph is no JSON");
    if (o->root) json_object_set_new(*data, "base_dir", json_string(o->root));
    return true;
}

static ExecProducts products_named(const char *name)
{
    static const char *const names[] = {"auto", "own", "library", "measured"};
    int i = 0;
    while (name && i < 4 && strcmp(name, names[i]) != 0) i++;
    if (i == 4) bug("--products '%s' is none of its choices", name);
    return (ExecProducts)i;
}

// Asked before anything is compiled for a GPU that cannot run it.
static bool has_driver(const char *target)
{
    CudaDriver driver;
    Error err = {0};
    if (!target || strncmp(target, "cuda", 4) != 0) return true;
    if (!cuda_driver_open(&driver, &err)) {
        fail(&err);
        return false;
    }
    cuda_driver_close(&driver);
    return true;
}

// Where choices are kept: with the run, and for whatever else runs here.
static const char *choices_file(Arena *arena)
{
    Error none = {0};
    const char *folder = cache_folder(arena);
    if (!folder || !make_folders(arena, folder, &none)) return NULL;
    const char *file = str_printf(arena, "%s/products.json", folder);
    return access(file, R_OK) == 0 || access(folder, W_OK) == 0 ? file : NULL;
}

static void tell(const char *line)
{
    fprintf(stderr, "%s\n", line);
}

bool load_program(Loaded *l, const LoadOptions *o)
{
    Error err = {0};
    ExecOptions e = {.threads = (uint32_t)o->place.threads,
                     .profile = o->profile,
                     .device = (int)o->place.device,
                     .products = products_named(o->place.products),
                     .snapshots = o->snapshots,
                     .no_frozen = o->no_frozen,
                     .tell = tell};
    *l = (Loaded){0};
    if (!has_driver(o->place.target) || !load_step(l, o)) return false;
    if (!l->step->cuda && (o->place.products || o->place.device))
        fprintf(stderr, "warning: --products and --device are for a GPU; %s runs on the CPU\n",
                l->step->file);
    if (o->cli->again) { // who does products stays as it was; train says when kernels go one by one
        e.profile = !o->snapshots;
        e.choices_stay = true;
        if (e.products == PRODUCTS_MEASURED) e.products = PRODUCTS_AUTO;
    }
    if (l->step->cuda) e.choices[0] = o->choices, e.choices[1] = choices_file(o->cli->arena);
    l->exec = exec_new(l->step, &e, &err);
    if (l->exec) {
        const char *remark = exec_device(l->exec).remark;
        if (remark && !o->cli->again) fprintf(stderr, "warning: %s\n", remark);
        return true;
    }
    fail(&err);
    load_free(l);
    return false;
}

void load_free(Loaded *l)
{
    exec_free(l->exec);
    step_free(l->step);
    arena_free(l->arena);
    *l = (Loaded){0};
}

bool load_save(const Loaded *l, const char *path, Error *err)
{
    FileWriter w;
    Arena *arena = arena_new();
    bool ok = file_create(&w, arena, path, 0666, err);
    if (ok) {
        ok = file_put(&w, l->bytes, l->size, err) && file_commit(&w, err);
        file_cancel(&w);
    }
    arena_free(arena);
    return ok;
}

bool load_entry(const Loaded *l, const char *name, uint32_t *entry, Error *err)
{
    const Step *step = l->step;
    int32_t e = step_entry(step, name);
    *entry = (uint32_t)e;
    if (e >= 0) return true;
    Arena *arena = arena_new();
    const char *all = "";
    for (uint32_t i = 0; i < step->nentries; i++)
        all = str_printf(arena, "%s%s%s", all, i ? ", " : "", step->entries[i].name);
    error_set(err, "%s: the program has no entry '%s'; it has %s", step->file, name, all);
    arena_free(arena);
    return false;
}

static bool is_parameter(const Step *step, const char *name)
{
    int32_t i = tensor_find(step->state, step->nstate, name);
    return i >= 0 && step->state[i].kind == CZT_PARAM;
}

// "$step" and "$seed" are the executor's.
static bool is_hosts(const char *name)
{
    return name[0] == '$';
}

bool load_inputs(const Loaded *l, uint32_t entry, const char *file, bool weights, Error *err)
{
    SafeTensors st = {0};
    const StepEntry *e = &l->step->entries[entry];
    if (!safetensors_open(&st, file, err)) return false;
    bool ok = true;
    for (uint32_t i = 0; ok && i < st.n; i++) {
        const CztTensor *t = &st.tensors[i];
        bool input = tensor_find(e->inputs, e->ninputs, t->name) >= 0;
        if (input)
            ok = exec_set_input(l->exec, entry, t->name, t->dtype, t->rank, t->shape,
                                st.data + t->offset, err);
        else if (!weights || !is_parameter(l->step, t->name))
            ok = error_set(err, "%s: '%s' is no input of entry '%s'", file, t->name, e->name);
    }
    for (uint32_t i = 0; ok && i < e->ninputs; i++)
        if (!is_hosts(e->inputs[i].name) && !safetensors_find(&st, e->inputs[i].name))
            ok = error_set(err, "%s: input '%s' of entry '%s' is missing", file, e->inputs[i].name,
                           e->name);
    safetensors_close(&st);
    return ok;
}

bool load_weights(const Loaded *l, const char *file, bool inputs, Error *err)
{
    SafeTensors st = {0};
    WeightsTold told;
    if (!safetensors_open(&st, file, err)) return false;
    Arena *arena = arena_new();
    bool ok = weights_whole(l->exec, &st, inputs ? WEIGHTS_ALLOW_EXTRA : WEIGHTS_STRICT, arena,
                            &told, err) &&
              exec_derive(l->exec, err);
    if (ok && *told.resized) fprintf(stderr, "weights: %s: resized %s\n", file, told.resized);
    if (ok && *told.off)
        fprintf(stderr, "weights: %s: not used, of parts that are off: %s\n", file, told.off);
    arena_free(arena);
    safetensors_close(&st);
    return ok;
}

// ---- synthetic inputs
// -----------------------------------------------------------------------------

static int64_t count_of(const CztTensor *t)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

static float normal(Philox *p)
{
    double u = 1 - philox_uniform(p), v = philox_uniform(p);
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static void fill_floats(Philox *p, float *to, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] = normal(p);
}

static void fill_integers(Philox *p, const CztTensor *t, int64_t range, void *to)
{
    int64_t n = count_of(t), size = czt_dtype_size(t->dtype);
    uint64_t below = t->dtype == CZT_U8 ? 256 : UNKNOWN_RANGE;
    if (range > 0 && (size > 1 || range <= 128)) below = (uint64_t)range;
    for (int64_t i = 0; i < n; i++) {
        uint64_t x = philox_below(p, below); // little-endian: the low bytes come first
        memcpy((char *)to + i * size, &x, (size_t)size);
    }
}

// How many numbers, from 0, an integer input may be: a draw as many as it draws from, another one
// what the compiler found of its use; 0 where nobody knows.
static int64_t range_of(const Loaded *l, const char *name)
{
    const json_t *manifest = l->step->manifest, *draw;
    const json_t *draws = json_object_get(json_object_get(manifest, "data"), "draws");
    size_t i;
    json_array_foreach(draws, i, draw)
    {
        const char *text = json_string_value(json_object_get(draw, "name"));
        if (text && strcmp(text, name) == 0)
            return json_integer_value(json_object_get(draw, "below"));
    }
    return json_integer_value(json_object_get(json_object_get(manifest, "ranges"), name));
}

void load_random_inputs(const Loaded *l, uint32_t entry, uint64_t seed)
{
    const StepEntry *e = &l->step->entries[entry];
    for (uint32_t i = 0; i < e->ninputs; i++) {
        const CztTensor *t = &e->inputs[i];
        void *to = exec_input(l->exec, entry, i);
        Philox p = philox_begin(seed, 0, hash_str(0, t->name)); // whatever else there is
        if (is_hosts(t->name)) continue;
        if (t->dtype == CZT_BOOL)
            memset(to, 1, (size_t)t->bytes);
        else if (t->dtype == CZT_F32)
            fill_floats(&p, to, count_of(t));
        else if (t->dtype >= CZT_I8)
            fill_integers(&p, t, range_of(l, t->name), to);
        else
            memset(to, 0, (size_t)t->bytes);
    }
}

// ---- results
// ----------------------------------------------------------------------------------------

json_t *json_f32(double x)
{
    if (isnan(x)) return json_string("nan");
    return isinf(x) ? json_string(x > 0 ? "inf" : "-inf") : json_real(x);
}

json_t *load_scalars(const Loaded *l, uint32_t entry)
{
    const StepEntry *e = &l->step->entries[entry];
    json_t *object = json_object();
    for (uint32_t i = 0; i < e->noutputs; i++)
        if (e->outputs[i].rank == 0)
            json_object_set_new(object, e->outputs[i].name,
                                json_f32(exec_scalar(l->exec, entry, i)));
    return object;
}

void json_line(json_t *object, FILE *out)
{
    json_dumpf(object, out, JSON_REAL_PRECISION(9));
    fputc('\n', out);
    fflush(out);
}
