// Reading of draws, and of what a field or a view says about parts of stored records and about
// colours. The frontend writes these; what it would not write is refused.
#include "runtime/spec_part.h"

#include <string.h>

static bool draw_of(const DataSpec *spec, const char *name, uint32_t *to)
{
    for (*to = 0; *to < spec->ndraws; ++*to)
        if (strcmp(spec->draws[*to].name, name) == 0) return true;
    return false;
}

bool spec_draws(Arena *arena, const json_t *list, DataSpec *spec, Error *err)
{
    if (!list || json_is_null(list)) return true;
    if (!json_is_array(list)) return error_set(err, "data.draws: a list is wanted");
    spec->draws = arena_array(arena, DrawSpec, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        json_int_t below = json_integer_value(json_object_get(item, "below"));
        if (!name || below < 1 || below > MOST_DRAW || json_object_size(item) != 2)
            return error_set(err, "data.draws[%zu]: {name, below: 1 to 2^31 - 1} is wanted", i);
        spec->draws[spec->ndraws++] = (DrawSpec){str_copy(arena, name), below};
    }
    return true;
}

// {"base": 1, "draws": {"a": 1}}
static bool read_index(Arena *arena, const json_t *item, const DataSpec *spec, KeyStep *step)
{
    const json_t *base = json_object_get(item, "base"), *draws = json_object_get(item, "draws");
    KeyTerm *terms = arena_array(arena, KeyTerm, json_object_size(draws) + 1);
    const char *name;
    json_t *times;
    step->base = json_integer_value(base);
    step->terms = terms;
    json_object_foreach((json_t *)(uintptr_t)draws, name, times)
    {
        KeyTerm *t = &terms[step->nterms++];
        t->times = json_integer_value(times);
        if (!json_is_integer(times) || !draw_of(spec, name, &t->draw)) return false;
    }
    return json_is_integer(base) && json_is_object(draws);
}

bool spec_key(Arena *arena, const json_t *list, const DataSpec *spec, const char *place,
              KeyPath *to, Error *err)
{
    if (!list || json_is_null(list)) return true;
    KeyStep *steps = arena_array(arena, KeyStep, json_array_size(list) + 1);
    bool ok = json_is_array(list) && json_array_size(list) > 0;
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (json_is_string(item))
            steps[i].name = str_copy(arena, json_string_value(item));
        else if (json_is_integer(item))
            steps[i].base = json_integer_value(item);
        else
            ok = read_index(arena, item, spec, &steps[i]);
    }
    *to = (KeyPath){steps, (uint32_t)json_array_size(list)};
    return ok || error_set(err,
                           "%s.key: a list of names, numbers and {base, draws: {draw: times}} is "
                           "wanted",
                           place);
}

bool spec_series_of(const json_t *name, const DataSpec *spec, const char *place, int32_t *to,
                    Error *err)
{
    *to = -1;
    if (!name || json_is_null(name)) return true;
    for (uint32_t i = 0; json_is_string(name) && i < spec->nseries; i++)
        if (strcmp(spec->series[i].name, json_string_value(name)) == 0) *to = (int32_t)i;
    return *to >= 0 || error_set(err, "%s.series: no series has that name", place);
}

bool spec_replay(Arena *arena, const json_t *replay, const DataSpec *spec, const char *place,
                 ReplaySpec *to, Error *err)
{
    *to = (ReplaySpec){.series = -1};
    if (!replay || json_is_null(replay)) return true;
    const json_t *member = json_object_get(replay, "member");
    size_t n = json_array_size(member);
    place = str_printf(arena, "%s.replay", place);
    to->wanted = true;
    to->ops = json_is_true(json_object_get(replay, "ops"));
    to->member = (Names){arena_array(arena, const char *, n + 1), (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(member, i));
        if (!name || !*name) return error_set(err, "%s.member: a list of names is wanted", place);
        to->member.at[i] = str_copy(arena, name);
    }
    if (!n) return error_set(err, "%s.member: a list of names is wanted", place);
    return spec_series_of(json_object_get(replay, "series"), spec, place, &to->series, err) &&
           spec_key(arena, json_object_get(replay, "key"), spec, place, &to->key, err);
}

bool spec_colour(const json_t *colour, const char *place, ColourRule *to, Error *err)
{
    const struct {
        const char *key;
        double *value, most;
    } rows[] = {{"brightness", &to->brightness, MOST_COLOUR},
                {"contrast", &to->contrast, MOST_COLOUR},
                {"saturation", &to->saturation, MOST_COLOUR},
                {"hue", &to->hue, 0.5},
                {"grey", &to->grey, 1},
                {"blur", &to->blur, 1}};
    *to = (ColourRule){0};
    if (!colour || json_is_null(colour)) return true;
    if (!json_is_object(colour)) return error_set(err, "%s.colour: an object is wanted", place);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *value = json_object_get(colour, rows[i].key);
        double x = json_number_value(value);
        if (value && (!json_is_number(value) || !(x >= 0 && x <= rows[i].most)))
            return error_set(err, "%s.colour.%s: a number from 0 to %g is wanted", place,
                             rows[i].key, rows[i].most);
        *rows[i].value = x;
    }
    return true;
}
