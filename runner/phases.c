#include "runner/phases.h"

static bool find_entry(const Step *step, const char *name, int32_t *entry, Error *err)
{
    *entry = step_entry(step, name);
    return *entry >= 0 || error_set(err, "%s: the program has no entry '%s'", step->file, name);
}

static bool read_phase(const Step *step, const json_t *row, Phase *phase, Error *err)
{
    const char *name = json_string_value(json_object_get(row, "entry")),
               *begin = json_string_value(json_object_get(row, "begin"));
    int32_t entry;
    *phase = (Phase){.from = json_integer_value(json_object_get(row, "from")), .begin = -1};
    if (!find_entry(step, name ? name : "step", &entry, err)) return false;
    phase->entry = (uint32_t)entry;
    return !begin || find_entry(step, begin, &phase->begin, err);
}

bool phases_of(Arena *arena, const Step *step, Phases *phases, Error *err)
{
    const json_t *rows = json_object_get(json_object_get(step->manifest, "train"), "phases");
    size_t n = json_array_size(rows);
    phases->at = arena_array(arena, Phase, n + 1);
    phases->n = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        if (!read_phase(step, json_array_get(rows, i), &phases->at[i], err)) return false;
        if (i ? phases->at[i].from <= phases->at[i - 1].from : phases->at[i].from != 0)
            return error_set(err, "%s: the phases of its training are in no order", step->file);
    }
    if (n) return true;
    phases->n = 1;
    return read_phase(step, NULL, &phases->at[0], err);
}

bool phases_prepare(Exec *exec, const Phases *phases, int64_t step, int64_t seed, Error *err)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < phases->n; i++) {
        const Phase *p = &phases->at[i];
        if (p->begin >= 0 && p->from >= step)
            ok = exec_run(exec, (uint32_t)p->begin, step, seed, err);
    }
    return ok;
}

const Phase *phases_at(const Phases *phases, int64_t step)
{
    uint32_t i = phases->n - 1;
    while (i && phases->at[i].from > step) i--;
    return &phases->at[i];
}
