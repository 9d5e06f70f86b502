#include "runtime/frozen.h"

#include "base/file.h"
#include "base/vec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN = 5 };

bool frozen_any(const Step *step)
{
    for (uint32_t i = 0; i < step->nstate; i++)
        if (step->state[i].kind == CZT_FROZEN) return true;
    return false;
}

// Is the state that of a row: of this path, or below it?
static bool belongs(const char *name, const char *owns)
{
    size_t n = strlen(owns);
    return strncmp(name, owns, n) == 0 && (!name[n] || name[n] == '.');
}

static bool complete(const Step *step, const WeightsRow *row, const char *owns, bool renames,
                     const bool *given, Arena *arena, Error *err)
{
    const char *list = "";
    uint32_t n = 0;
    for (uint32_t i = 0; i < step->nstate; i++) {
        const CztTensor *t = &step->state[i];
        if (t->kind != CZT_FROZEN || given[i] || !belongs(t->name, owns)) continue;
        if (n++ < SHOWN)
            list = str_printf(arena, "%s%s'%s' %s", list, *list ? ", " : "", t->name,
                              tensor_text(arena, t->dtype, t->rank, t->shape));
    }
    if (!n) return true;
    return error_set(err, "%s: it lacks %u tensors of %s: %s%s%s", row->path, n, owns, list,
                     n > SHOWN ? ", .." : "", renames ? "; rename: says how they are called" : "");
}

// ---- of what a statistic is ---------------------------------------------------------------------

static bool sum_named(Exec *exec, const json_t *names, uint64_t *sum, Error *err)
{
    const Step *step = exec_step(exec);
    Checksum all = checksum_start();
    for (size_t k = 0; k < json_array_size(names); k++) {
        const char *name = json_string_value(json_array_get(names, k));
        int32_t i = name ? tensor_find(step->state, step->nstate, name) : -1;
        if (i < 0) return error_set(err, "%s: damaged rows of statistics", step->file);
        const void *data = exec_state(exec, (uint32_t)i, err);
        if (!data) return false;
        checksum_add(&all, data, (size_t)step->state[i].bytes);
    }
    *sum = checksum_end(&all);
    return true;
}

static json_t *identity(const json_t *of, uint64_t sum)
{
    char text[24];
    json_t *to = json_object();
    static const char *const same[] = {"teacher", "network", "weights_file"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        json_object_set(to, same[i], json_object_get(of, same[i]));
    snprintf(text, sizeof text, "%016" PRIx64, sum);
    json_object_set_new(to, "weights", json_string(text));
    return to;
}

json_t *frozen_identity(Exec *exec, const json_t *of, Error *err)
{
    uint64_t sum;
    return sum_named(exec, json_object_get(of, "state"), &sum, err) ? identity(of, sum) : NULL;
}

// What rows were found to be of: a teacher, whose state is all of a large network, has several.
typedef struct Sum {
    const json_t *names;
    uint64_t sum;
} Sum;
typedef VEC(Sum) Sums;

static json_t *identity_once(Exec *exec, const json_t *of, Sums *sums, Arena *arena, Error *err)
{
    Sum new = {.names = json_object_get(of, "state")};
    for (uint32_t i = 0; i < sums->n; i++)
        if (json_equal(sums->at[i].names, new.names)) return identity(of, sums->at[i].sum);
    if (!sum_named(exec, new.names, &new.sum, err)) return NULL;
    vec_push(arena, sums, new);
    return identity(of, new.sum);
}

static const char *member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static const char *teacher_text(Arena *arena, const json_t *of)
{
    const char *file = member(of, "weights_file");
    return str_printf(arena, "'%s' of %s (weights %s, network %s)", member(of, "teacher"),
                      *file ? file : "random numbers", member(of, "weights"),
                      member(of, "network"));
}

// Is the file of the teacher that the program has? Names are not what counts. A file that does not
// say, which another program wrote, is taken.
static bool of_same(Exec *exec, const WeightsRow *row, const json_t *of, Sums *sums, Arena *arena,
                    Error *err)
{
    SafeTensors file = {0};
    if (!of) return true;
    if (!safetensors_open(&file, row->path, err)) return false;
    json_t *here = identity_once(exec, of, sums, arena, err), *there = file.metadata;
    bool said = json_object_get(there, "network") && json_object_get(there, "weights");
    bool same = here && (!said || (!strcmp(member(here, "network"), member(there, "network")) &&
                                   !strcmp(member(here, "weights"), member(there, "weights"))));
    if (here && !same)
        error_set(err, "%s: statistics of another teacher, %s: this one is %s%s", row->path,
                  teacher_text(arena, there), teacher_text(arena, here),
                  strcmp(member(here, "weights"), member(there, "weights")) != 0
                      ? ""
                      : ", of the same weights, with which something else is computed");
    json_decref(here);
    safetensors_close(&file);
    return same;
}

// ---- files --------------------------------------------------------------------------------------

// What a command writes can be written anew.
static bool name_writer(const char *path, const char *writer, Error *err)
{
    Error why = *err;
    if (!writer) return false;
    *err = (Error){0};
    if (access(path, F_OK) != 0)
        return error_set(err, "%s: there is no such file; `%s` writes it", path, writer);
    return error_set(err, "%s; `%s --force` writes it anew", why.text, writer);
}

// What is not as one would think; that all went well needs no words.
static void tell(const Exec *exec, const WeightsRow *row, const WeightsTaken *taken, Arena *arena)
{
    const struct {
        const char *what, *names;
    } notes[] = {{"resized", taken->resized.text},
                 {"rename: it has no", taken->idle},
                 {"resize: nothing taken is", taken->idle_resize}};
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (*notes[i].names)
            exec_tell(exec, str_printf(arena, "frozen: %s: %s %s", row->path, notes[i].what,
                                       notes[i].names));
}

static bool load_row(Exec *exec, const json_t *json, bool *given, Sums *sums, Arena *arena,
                     Error *err)
{
    const Step *step = exec_step(exec);
    const char *writer = json_string_value(json_object_get(json, "written_by"));
    WeightsRow row;
    WeightsTaken taken;
    if (!weights_row(step, json, member(json, "base_dir"), CZT_FROZEN, arena, &row, err))
        return false;
    if (!weights_init(exec, &row, given, arena, &taken, err) ||
        !complete(step, &row, member(json, "owns"), !writer, given, arena, err) ||
        !of_same(exec, &row, json_object_get(json, "of"), sums, arena, err))
        return name_writer(row.path, writer, err);
    tell(exec, &row, &taken, arena);
    return true;
}

bool frozen_fits(const Step *step, const json_t *json, WeightsTaken *taken, Arena *arena,
                 Error *err)
{
    WeightsRow row;
    bool *given = arena_array(arena, bool, step->nstate + 1);
    const bool writer = json_object_get(json, "written_by");
    return weights_row(step, json, member(json, "base_dir"), CZT_FROZEN, arena, &row, err) &&
           weights_fit(step, &row, given, arena, taken, err) &&
           complete(step, &row, member(json, "owns"), !writer, given, arena, err);
}

bool frozen_load(Exec *exec, Error *err)
{
    const Step *step = exec_step(exec);
    const json_t *rows = json_object_get(json_object_get(step->manifest, "train"), "frozen");
    Arena *arena = arena_new();
    bool *given = arena_array(arena, bool, step->nstate + 1), ok = true;
    Sums sums = {0}; // the rows of what a statistic is of stand before its own
    for (size_t i = 0; ok && i < json_array_size(rows); i++)
        ok = load_row(exec, json_array_get(rows, i), given, &sums, arena, err);
    arena_free(arena);
    return ok;
}

static const json_t *rows_of(const Step *step)
{
    return json_object_get(json_object_get(step->manifest, "train"), "frozen");
}

// The row of the manifest that gives a tensor; SIZE_MAX: none does.
static size_t row_of(const json_t *rows, const char *name)
{
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (belongs(name, member(json_array_get(rows, i), "owns"))) return i;
    return SIZE_MAX;
}

bool frozen_sum(Exec *exec, uint64_t *sum, json_t **parts, Error *err)
{
    const Step *step = exec_step(exec);
    const json_t *rows = rows_of(step);
    Arena *arena = arena_new();
    Checksum all = checksum_start(),
             *each = arena_array(arena, Checksum, json_array_size(rows) + 1);
    bool ok = true;
    *sum = 0;
    *parts = json_object();
    for (size_t i = 0; i < json_array_size(rows); i++) each[i] = checksum_start();
    for (uint32_t i = 0; ok && i < step->nstate; i++) {
        const CztTensor *t = &step->state[i];
        if (t->kind != CZT_FROZEN) continue;
        const void *data = exec_state(exec, i, err);
        size_t row = row_of(rows, t->name);
        ok = data != NULL;
        if (ok) checksum_add(&all, data, (size_t)t->bytes);
        if (ok && row != SIZE_MAX) checksum_add(&each[row], data, (size_t)t->bytes);
    }
    if (ok && frozen_any(step)) *sum = checksum_end(&all);
    for (size_t i = 0; ok && i < json_array_size(rows); i++) {
        const char *text = str_printf(arena, "%016" PRIx64, checksum_end(&each[i]));
        json_object_set_new(*parts, member(json_array_get(rows, i), "owns"), json_string(text));
    }
    arena_free(arena);
    return ok;
}

const char *frozen_changed(Exec *exec, Arena *arena, const json_t *old)
{
    const json_t *rows = rows_of(exec_step(exec)), *now = exec_frozen_parts(exec);
    const char *text = "";
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *owns = member(row, "owns"), *was = member(old, owns);
        if (*was && strcmp(was, member(now, owns)) != 0)
            text = str_printf(arena, "%s%s%s (%s)", text, *text ? ", " : "", owns,
                              member(row, "file"));
    }
    return text;
}
