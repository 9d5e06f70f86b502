#include "runner/begin.h"

#include "runtime/weights_init.h"

#include <string.h>

enum { SHOWN = 5 };

static bool take_row(const Loaded *l, const json_t *json, const char *base, bool *given,
                     Arena *arena, FILE *to, Error *err)
{
    WeightsRow row;
    WeightsTaken taken;
    if (!weights_row(l->step, json, base, CZT_PARAM, arena, &row, err) ||
        !weights_init(l->exec, &row, given, arena, &taken, err))
        return false;
    fprintf(to, "init: %s: %u tensors taken", row.path, taken.taken);
    if (taken.unused)
        fprintf(to, ", %u not used: %s%s", taken.unused, taken.unused_text,
                taken.unused > SHOWN ? ", .." : "");
    if (*taken.idle) fprintf(to, "; rename: it has no %s", taken.idle);
    if (*taken.idle_resize) fprintf(to, "; resize: nothing taken is %s", taken.idle_resize);
    fputc('\n', to);
    if (taken.resized.n) fprintf(to, "init: %s: resized %s\n", row.path, taken.resized.text);
    return true;
}

static void tell_others(const Step *step, const bool *given, FILE *to)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < step->nstate; i++) {
        if (step->state[i].kind != CZT_PARAM || given[i]) continue;
        if (n++ < SHOWN)
            fprintf(to, n == 1 ? "init: as initialised: %s" : ", %s", step->state[i].name);
    }
    if (n > SHOWN) fprintf(to, " and %u more", n - SHOWN);
    if (n) fputc('\n', to);
}

bool begin_weights(const Loaded *l, FILE *to, Error *err)
{
    const json_t *train = json_object_get(l->step->manifest, "train"),
                 *rows = json_object_get(train, "init");
    const char *base = json_string_value(json_object_get(train, "base_dir"));
    if (!json_array_size(rows)) return true;
    Arena *arena = arena_new();
    bool *given = arena_array(arena, bool, l->step->nstate + 1), ok = true;
    for (size_t i = 0; ok && i < json_array_size(rows); i++)
        ok = take_row(l, json_array_get(rows, i), base ? base : "", given, arena, to, err);
    if (ok) tell_others(l->step, given, to);
    ok = ok && exec_derive(l->exec, err);
    arena_free(arena);
    return ok;
}
