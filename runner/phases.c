#include "runner/phases.h"

#include "runtime/philox.h"

#include "base/map.h"

#include <math.h>

static bool find_entry(const Step *step, const char *name, int32_t *entry, Error *err)
{
    *entry = step_entry(step, name);
    return *entry >= 0 || error_set(err, "%s: the program has no entry '%s'", step->file, name);
}

enum { PERIODS = 8 };

// {"SET": "entry"}: bit i of a set is the period i, which does not divide the finished updates.
static bool read_resting(Arena *arena, const Step *step, const json_t *row, const char *suffix,
                         uint32_t nperiods, PhaseEntries *to, Error *err)
{
    const json_t *sets = json_object_get(row, "resting");
    uint32_t all = 1u << nperiods;
    if (!nperiods) return true;
    to->resting = arena_array(arena, int32_t, all);
    for (uint32_t i = 0; i < all; i++) {
        const char *name = json_string_value(json_object_get(sets, str_printf(arena, "%u", i)));
        to->resting[i] = i ? -1 : (int32_t)to->entry;
        if (name &&
            !find_entry(step, str_printf(arena, "%s%s", name, suffix), &to->resting[i], err))
            return false;
    }
    return true;
}

static bool read_phase(Arena *arena, const Step *step, const Phases *phases, const json_t *row,
                       Phase *phase, Error *err)
{
    const char *name = json_string_value(json_object_get(row, "entry")),
               *begin = json_string_value(json_object_get(row, "begin"));
    *phase = (Phase){.from = json_integer_value(json_object_get(row, "from")), .begin = -1};
    phase->entries = arena_array(arena, PhaseEntries, phases->nshapes);
    for (uint32_t i = 0; i < phases->nshapes; i++) {
        const char *suffix = phases->shapes[i].suffix;
        int32_t entry;
        if (!find_entry(step, str_printf(arena, "%s%s", name ? name : "step", suffix), &entry, err))
            return false;
        phase->entries[i].entry = (uint32_t)entry;
        if (!read_resting(arena, step, row, suffix, phases->nperiods, &phase->entries[i], err))
            return false;
    }
    return !begin || find_entry(step, begin, &phase->begin, err);
}

// [{"text": .., "suffix": "/2", "weight": 1}, ..]
static bool read_shapes(Arena *arena, const Step *step, Phases *phases, Error *err)
{
    const json_t *rows = json_object_get(json_object_get(step->manifest, "train"), "shapes");
    size_t n = json_array_size(rows);
    phases->nshapes = n ? (uint32_t)n : 1;
    phases->shapes = arena_array(arena, PhaseShape, phases->nshapes);
    phases->weights = 0;
    phases->shapes[0] = (PhaseShape){"", "", 1};
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        const char *text = json_string_value(json_object_get(row, "text")),
                   *suffix = json_string_value(json_object_get(row, "suffix"));
        double weight = json_number_value(json_object_get(row, "weight"));
        if (!text || !suffix || !(weight > 0) || !isfinite(weight))
            return error_set(err, "%s: the shapes of its training are damaged", step->file);
        phases->shapes[i] = (PhaseShape){text, suffix, weight};
    }
    for (uint32_t i = 0; i < phases->nshapes; i++) phases->weights += phases->shapes[i].weight;
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
    if (!read_periods(arena, step, phases, err) || !read_shapes(arena, step, phases, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        if (!read_phase(arena, step, phases, row, &phases->at[i], err)) return false;
        if (i ? phases->at[i].from <= phases->at[i - 1].from : phases->at[i].from != 0)
            return error_set(err, "%s: the phases of its training are in no order", step->file);
    }
    if (n) return true;
    phases->n = 1;
    return read_phase(arena, step, phases, NULL, &phases->at[0], err);
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

uint32_t phases_shape(const Phases *phases, int64_t seed, int64_t step)
{
    if (phases->nshapes == 1) return 0;
    Philox random =
        philox_begin(hash_str(hash_u64(0, (uint64_t)seed), "train.shapes"), 0, (uint64_t)step);
    double at = philox_uniform(&random) * phases->weights;
    uint32_t i = 0;
    while (i + 1 < phases->nshapes && at >= phases->shapes[i].weight)
        at -= phases->shapes[i++].weight;
    return i;
}

bool phases_begin(Exec *exec, const Phases *phases, int64_t step, bool first, int64_t seed,
                  Error *err)
{
    for (uint32_t i = 0; i < phases->n; i++) {
        const Phase *p = &phases->at[i];
        bool now = p->begin >= 0 && (p->from == step || (first && p->from < step));
        if (now && !exec_run(exec, (uint32_t)p->begin, p->from, seed, err)) return false;
    }
    return true;
}

uint32_t phases_entry_in(const Phases *phases, uint32_t shape, int64_t step)
{
    const PhaseEntries *of = &phases_at(phases, step)->entries[shape];
    uint32_t set = 0;
    for (uint32_t i = 0; i < phases->nperiods; i++)
        set |= (uint32_t)(step % phases->periods[i] > 0) << i;
    int32_t entry = of->resting ? of->resting[set] : -1;
    return entry < 0 ? of->entry : (uint32_t)entry;
}

uint32_t phases_entry(const Phases *phases, int64_t seed, int64_t step)
{
    return phases_entry_in(phases, phases_shape(phases, seed, step), step);
}
