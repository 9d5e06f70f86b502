#include "runtime/frozen.h"

#include "base/file.h"
#include "runtime/weights_init.h"

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

static bool load_row(Exec *exec, const json_t *json, bool *given, Arena *arena, Error *err)
{
    const Step *step = exec_step(exec);
    const char *base = json_string_value(json_object_get(json, "base_dir")),
               *owns = json_string_value(json_object_get(json, "owns")),
               *writer = json_string_value(json_object_get(json, "written_by"));
    WeightsRow row;
    WeightsTaken taken;
    if (!weights_row(step, json, base ? base : "", CZT_FROZEN, arena, &row, err)) return false;
    if (!weights_init(exec, &row, given, arena, &taken, err) ||
        !complete(step, &row, owns ? owns : "", !writer, given, arena, err))
        return name_writer(row.path, writer, err);
    tell(exec, &row, &taken, arena);
    return true;
}

bool frozen_load(Exec *exec, Error *err)
{
    const Step *step = exec_step(exec);
    const json_t *rows = json_object_get(json_object_get(step->manifest, "train"), "frozen");
    Arena *arena = arena_new();
    bool *given = arena_array(arena, bool, step->nstate + 1), ok = true;
    for (size_t i = 0; ok && i < json_array_size(rows); i++)
        ok = load_row(exec, json_array_get(rows, i), given, arena, err);
    arena_free(arena);
    return ok;
}

bool frozen_sum_of(Exec *exec, const char *owns, uint64_t *sum, Error *err)
{
    const Step *step = exec_step(exec);
    Checksum all = checksum_start();
    for (uint32_t i = 0; i < step->nstate; i++) {
        const CztTensor *t = &step->state[i];
        if (t->kind != CZT_FROZEN || !belongs(t->name, owns)) continue;
        const void *data = exec_state(exec, i, err);
        if (!data) return false;
        checksum_add(&all, data, (size_t)t->bytes);
    }
    *sum = checksum_end(&all);
    return true;
}

bool frozen_sum(Exec *exec, uint64_t *sum, Error *err)
{
    const Step *step = exec_step(exec);
    Checksum all = checksum_start();
    *sum = 0;
    if (!frozen_any(step)) return true;
    for (uint32_t i = 0; i < step->nstate; i++) {
        const CztTensor *t = &step->state[i];
        if (t->kind != CZT_FROZEN) continue;
        const void *data = exec_state(exec, i, err);
        if (!data) return false;
        checksum_add(&all, data, (size_t)t->bytes);
    }
    *sum = checksum_end(&all);
    return true;
}
