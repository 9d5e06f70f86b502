// Run recorded programs on the GPU and compare with what the interpreter made of them:
//   gpu-check [--products own|auto|library|measured] [--device N] CASE.czt ...
// For each CASE.czt every CASE.ENTRY.safetensors beside it is run (tests/unit/cuda/test_record.c
// writes them). Numbers agree when they have the same bits, or differ by no more than the record's
// tolerance times the largest of their tensor (and for 16-bit floats one unit of theirs); NaN
// agrees with NaN only. Prints a line for each failure and a summary. Links the runtime alone.
#include "runtime/exec.h"
#include "runtime/safetensors.h"
#include "runtime/values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Run {
    const char *file;
    const ExecOptions *options;
    uint32_t entries, tensors, failures;
    double worst; // difference by largest number, of tensors that have a tolerance
} Run;

static double unit_of(CztDtype dtype)
{
    return dtype == CZT_BF16 ? 0x1p-7 : dtype == CZT_F16 ? 0x1p-10 : 0;
}

static int64_t count_of(const CztTensor *t)
{
    return t->bytes / czt_dtype_size(t->dtype);
}

static double largest_of(const CztTensor *t, const void *data)
{
    double largest = 0;
    for (int64_t i = 0; i < count_of(t); i++) {
        double x = fabs(value_get(t->dtype, data, i));
        if (isfinite(x) && x > largest) largest = x;
    }
    return largest;
}

static bool agree(Run *run, double x, double y, double unit, double allowed, double largest)
{
    if (x == y || (isnan(x) && isnan(y))) return true;
    if (!allowed || !isfinite(x) || !isfinite(y)) return false;
    if (fabs(x - y) > run->worst * largest) run->worst = fabs(x - y) / largest;
    return fabs(x - y) <= allowed + unit * fabs(x);
}

static void compare(Run *run, const char *entry, const CztTensor *want, const uint8_t *expected,
                    const uint8_t *got, double tolerance)
{
    int64_t n = count_of(want), wrong = 0, first = -1, size = czt_dtype_size(want->dtype);
    bool floats = value_is_float(want->dtype);
    double largest = floats ? largest_of(want, expected) : 0, allowed = tolerance * largest;
    run->tensors++;
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(expected + i * size, got + i * size, (size_t)size) == 0) continue;
        double x = value_get(want->dtype, expected, i), y = value_get(want->dtype, got, i);
        if (floats && agree(run, x, y, allowed > 0 ? unit_of(want->dtype) : 0, allowed, largest) &&
            (x != 0 || allowed > 0)) // -0 is not 0 where bits count
            continue;
        if (first < 0) first = i;
        wrong++;
    }
    if (!wrong) return;
    run->failures++;
    printf("FAILED %s, entry %s, %s: %lld of %lld elements, first %lld: %.9g, wanted %.9g (largest "
           "%.3g, tolerance %.3g)\n",
           run->file, entry, want->name, (long long)wrong, (long long)n, (long long)first,
           value_get(want->dtype, got, first), value_get(want->dtype, expected, first), largest,
           tolerance);
}

static bool give(Exec *exec, uint32_t entry, const SafeTensors *st, Error *err)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < st->n; i++) {
        const CztTensor *t = &st->tensors[i];
        const uint8_t *data = st->data + t->offset;
        if (strncmp(t->name, "in:", 3) == 0 && t->name[3] != '$' &&
            tensor_find(exec_step(exec)->entries[entry].inputs,
                        exec_step(exec)->entries[entry].ninputs, t->name + 3) >= 0)
            ok = exec_set_input(exec, entry, t->name + 3, t->dtype, t->rank, t->shape, data, err);
        else if (strncmp(t->name, "state:", 6) == 0)
            ok = exec_set_state(exec, t->name + 6, data, (size_t)t->bytes, err);
    }
    return ok;
}

static bool check_results(Run *run, Exec *exec, uint32_t entry, const SafeTensors *st, Error *err)
{
    const StepEntry *e = &exec_step(exec)->entries[entry];
    const char *text = json_string_value(json_object_get(st->metadata, "tolerance"));
    double tolerance = text ? strtod(text, NULL) : 0;
    // cuBLASLt sums products of f32 in an order of its own.
    if (run->options->products != PRODUCTS_OWN) tolerance = fmax(tolerance, 0x1p-14);
    for (uint32_t i = 0; i < st->n; i++) {
        const CztTensor *t = &st->tensors[i];
        const uint8_t *want = st->data + t->offset;
        if (strncmp(t->name, "out:", 4) == 0) {
            int32_t o = tensor_find(e->outputs, e->noutputs, t->name + 4);
            if (o < 0) return error_set(err, "no output '%s'", t->name + 4);
            compare(run, e->name, t, want, exec_output(exec, entry, (uint32_t)o), tolerance);
        } else if (strncmp(t->name, "new:", 4) == 0) {
            uint8_t *got = malloc((size_t)t->bytes + 1);
            bool ok = got && exec_get_state(exec, t->name + 4, got, (size_t)t->bytes, err);
            if (ok) compare(run, e->name, t, want, got, tolerance);
            free(got);
            if (!ok) return false;
        }
    }
    return true;
}

// Step 3 of seed 7 is what records are of.
static bool run_entry(Run *run, Exec *exec, uint32_t entry, const char *path, Error *err)
{
    SafeTensors st = {0};
    if (!safetensors_open(&st, path, err)) return false;
    run->entries++;
    bool ok = give(exec, entry, &st, err) && exec_run(exec, entry, 3, 7, err) &&
              check_results(run, exec, entry, &st, err);
    safetensors_close(&st);
    return ok;
}

static bool run_case(Run *run, Error *err)
{
    Arena *arena = arena_new();
    Step *step = step_load(run->file, err);
    Exec *exec = step ? exec_new(step, run->options, err) : NULL;
    bool ok = exec != NULL;
    uint32_t before = run->entries;
    for (uint32_t i = 0; ok && i < step->nentries; i++) {
        const char *path = str_printf(arena, "%.*s.%s.safetensors", (int)strlen(run->file) - 4,
                                      run->file, step->entries[i].name);
        Error none = {0};
        FileMap map;
        if (!file_map(&map, path, &none)) continue; // made by a pass: nothing is recorded of it
        file_unmap(&map);
        ok = run_entry(run, exec, i, path, err);
    }
    if (ok && before == run->entries) ok = error_set(err, "nothing is recorded of it");
    exec_free(exec);
    step_free(step);
    arena_free(arena);
    return ok;
}

int main(int argc, char **argv)
{
    static const char *const products[] = {"auto", "own", "library", "measured"};
    ExecOptions options = {.threads = 1, .products = PRODUCTS_OWN};
    Run run = {.options = &options};
    int cases = 0;
    for (int i = 1; i < argc; i++) {
        Error err = {0};
        if (strcmp(argv[i], "--device") == 0 && i + 1 < argc) {
            options.device = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--products") == 0 && i + 1 < argc) {
            int p = 0;
            while (p < 4 && strcmp(argv[i + 1], products[p]) != 0) p++;
            if (p == 4) return fprintf(stderr, "--products %s?\n", argv[i + 1]), 2;
            options.products = (ExecProducts)p;
            i++;
        } else {
            run.file = argv[i];
            cases++;
            if (run_case(&run, &err)) continue;
            run.failures++;
            printf("FAILED %s: %s\n", run.file, err.text);
        }
    }
    printf(
        "%d cases, %u entries, %u tensors, %u failures; largest difference where one is allowed: "
        "%.3g\n",
        cases, run.entries, run.tensors, run.failures, run.worst);
    return run.failures || !run.entries ? 1 : 0;
}
