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

enum { PERIODS = 8 };

// {"SET": "entry"}: bit i of a set is the period i, which does not divide the finished updates.
static bool read_resting(Arena *arena, const Step *step, const json_t *row, uint32_t nperiods,
                         Phase *phase, Error *err)
{
    const json_t *sets = json_object_get(row, "resting");
    uint32_t all = 1u << nperiods;
    if (!nperiods) return true;
    phase->resting = arena_array(arena, int32_t, all);
    for (uint32_t i = 0; i < all; i++) {
        const char *name = json_string_value(json_object_get(sets, str_printf(arena, "%u", i)));
        phase->resting[i] = i ? -1 : (int32_t)phase->entry;
        if (name && !find_entry(step, name, &phase->resting[i], err)) return false;
    }
    return true;
}

static bool read_periods(Arena *arena, const Step *step, Phases *phases, Error *err)
{
    const json_t *list = json_object_get(json_object_get(step->manifest, "train"), "periods");
    phases->nperiods = (uint32_t)json_array_size(list);
    phases->periods = arena_array(arena, int64_t, phases->nperiods + 1);
    bool ok = phases->nperiods <= PERIODS;
    for (uint32_t i = 0; ok && i < phases->nperiods; i++) {
        phases->periods[i] = json_integer_value(json_array_get(list, i));
        ok = phases->periods[i] > 1;
    }
    return ok || error_set(err, "%s: the periods of its training are damaged", step->file);
}

bool phases_of(Arena *arena, const Step *step, Phases *phases, Error *err)
{
    const json_t *rows = json_object_get(json_object_get(step->manifest, "train"), "phases");
    size_t n = json_array_size(rows);
    phases->at = arena_array(arena, Phase, n + 1);
    phases->n = (uint32_t)n;
    if (!read_periods(arena, step, phases, err)) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        if (!read_phase(step, row, &phases->at[i], err) ||
            !read_resting(arena, step, row, phases->nperiods, &phases->at[i], err))
            return false;
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

uint32_t phases_entry(const Phases *phases, int64_t step)
{
    const Phase *phase = phases_at(phases, step);
    uint32_t set = 0;
    for (uint32_t i = 0; i < phases->nperiods; i++)
        set |= (uint32_t)(step % phases->periods[i] > 0) << i;
    int32_t entry = phase->resting ? phase->resting[set] : -1;
    return entry < 0 ? phase->entry : (uint32_t)entry;
}
