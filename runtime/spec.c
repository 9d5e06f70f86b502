// Reading of the data section. Every key is taken from a table of what its object may hold;
// messages name the place ("data.fields[1].size"). Nothing is opened here.
#include "runtime/spec.h"

#include "runtime/spec_part.h"

#include <math.h>
#include <string.h>

static const char *const role_names[] = {"tokens", "class_map", "map",   "normals", "vector",
                                         "class",  "array",     "boxes", "points"};

bool role_has_pixels(Role role)
{
    return role == ROLE_CLASS_MAP || role == ROLE_MAP || role == ROLE_NORMALS;
}

bool role_is_places(Role role)
{
    return role == ROLE_BOXES || role == ROLE_POINTS;
}

size_t dtype_bytes(const char *dtype)
{
    static const struct {
        const char *name;
        size_t bytes;
    } rows[] = {{"f32", 4}, {"f16", 2}, {"i32", 4}, {"i64", 8}, {"i8", 1},
                {"u8", 1},  {"u16", 2}, {"u32", 4}, {"bool", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, dtype) == 0) return rows[i].bytes;
    return 0;
}

// Where reading stands: an object and its place in the whole, for messages.
typedef struct Reader {
    Arena *arena;
    Error *err;
    const json_t *object;
    const char *place;
} Reader;

static bool fail(const Reader *r, const char *key, const char *what)
{
    return error_set(r->err, "%s.%s: %s", r->place, key, what);
}

// Refuse keys that are not in the blank-separated list.
static bool known_keys(const Reader *r, const char *list)
{
    if (!json_is_object(r->object)) return error_set(r->err, "%s: an object is wanted", r->place);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)r->object, key, value)
    {
        size_t n = strlen(key);
        const char *at = list;
        while ((at = strstr(at, key)) != NULL) {
            if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n])) break;
            at += n ? n : 1;
        }
        if (!n || !at)
            return error_set(r->err, "%s: unknown key '%s' (known: %s)", r->place, key, list);
    }
    return true;
}

static const json_t *get(const Reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);
    return json_is_null(value) ? NULL : value;
}

static bool get_number(const Reader *r, const char *key, double low, double high, double *to)
{
    const json_t *value = get(r, key);
    if (!value) return true;
    double x = json_is_number(value) ? json_number_value(value) : NAN;
    if (!(x >= low && x <= high))
        return error_set(r->err, "%s.%s: a number from %g to %g is wanted", r->place, key, low,
                         high);
    *to = x;
    return true;
}

static bool get_integer(const Reader *r, const char *key, int64_t low, int64_t high, int64_t *to)
{
    const json_t *value = get(r, key);
    if (!value) return true;
    if (!json_is_integer(value) || json_integer_value(value) < low ||
        json_integer_value(value) > high)
        return error_set(r->err, "%s.%s: a whole number from %lld to %lld is wanted", r->place, key,
                         (long long)low, (long long)high);
    *to = json_integer_value(value);
    return true;
}

static bool get_bool(const Reader *r, const char *key, bool *to)
{
    const json_t *value = get(r, key);
    if (!value) return true;
    if (!json_is_boolean(value)) return fail(r, key, "true or false is wanted");
    *to = json_is_true(value);
    return true;
}

static bool get_string(const Reader *r, const char *key, const char **to)
{
    const json_t *value = get(r, key);
    if (!value) return true;
    if (!json_is_string(value) || !json_string_length(value))
        return fail(r, key, "a name is wanted");
    *to = str_copy(r->arena, json_string_value(value));
    return true;
}

// One string or a list of them.
static bool get_names(const Reader *r, const char *key, Names *to)
{
    const json_t *value = get(r, key);
    if (!value) return true;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    *to = (Names){arena_array(r->arena, const char *, n ? n : 1), (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(item) || !json_string_length(item))
            return fail(r, key, "a list of names is wanted");
        to->at[i] = str_copy(r->arena, json_string_value(item));
    }
    return n > 0 || fail(r, key, "an empty list");
}

// Exactly n numbers in [low, high].
static bool get_numbers(const Reader *r, const char *key, int n, double low, double high,
                        double *to)
{
    const json_t *value = get(r, key);
    if (!value) return true;
    bool ok = json_is_array(value) && json_array_size(value) == (size_t)n;
    for (int i = 0; ok && i < n; i++) {
        const json_t *item = json_array_get(value, (size_t)i);
        double x = json_is_number(item) ? json_number_value(item) : NAN;
        ok = x >= low && x <= high;
        if (ok) to[i] = x;
    }
    return ok || error_set(r->err, "%s.%s: %d numbers from %g to %g are wanted", r->place, key, n,
                           low, high);
}

enum { LARGEST_SIDE = 1 << 15 };

static bool get_size(const Reader *r, int64_t *height, int64_t *width)
{
    double size[2] = {(double)*height, (double)*width};
    if (!get_numbers(r, "size", 2, 1, LARGEST_SIDE, size)) return false;
    if (size[0] != floor(size[0]) || size[1] != floor(size[1]))
        return fail(r, "size", "whole numbers are wanted");
    *height = (int64_t)size[0], *width = (int64_t)size[1];
    return *height > 0 || fail(r, "size", "is missing");
}

static Names name_list(Arena *arena, uint32_t n, const char *const *names)
{
    Names list = {arena_array(arena, const char *, n), n};
    memcpy(list.at, names, n * sizeof *names);
    return list;
}

static bool read_crop(const Reader *r, CropRule *rule)
{
    *rule = (CropRule){CROP_CENTRE, {0.08, 1}, {0.75, 4.0 / 3}, 0};
    if (!get_number(r, "flip", 0, 1, &rule->flip)) return false;
    const json_t *crop = get(r, "crop");
    if (!crop) return true;
    if (json_is_string(crop)) {
        bool stretch = strcmp(json_string_value(crop), "stretch") == 0;
        if (stretch) rule->kind = CROP_STRETCH;
        return stretch || strcmp(json_string_value(crop), "centre") == 0 ||
               fail(r, "crop", "'centre', 'stretch' or {scale, ratio} is wanted");
    }
    Reader in = {r->arena, r->err, crop, str_printf(r->arena, "%s.crop", r->place)};
    rule->kind = CROP_RANDOM;
    if (!known_keys(&in, "scale ratio") || !get_numbers(&in, "scale", 2, 1e-6, 1, rule->scale) ||
        !get_numbers(&in, "ratio", 2, 1e-3, 1e3, rule->ratio))
        return false;
    return (rule->scale[0] <= rule->scale[1] && rule->ratio[0] <= rule->ratio[1]) ||
           fail(r, "crop", "the first number of a range is the smaller one");
}

static bool read_view(const Reader *r, const DataSpec *spec, ViewSpec *view)
{
    static const char *const members[] = {"jpg", "jpeg", "png", "webp"};
    *view = (ViewSpec){.count = 1, .member = name_list(r->arena, 4, members)};
    if (!known_keys(r, "name member series size count flip crop colour replay") ||
        !get_string(r, "name", &view->name) || !get_names(r, "member", &view->member) ||
        !spec_series_of(get(r, "series"), spec, r->place, &view->series, r->err) ||
        !get_size(r, &view->height, &view->width) ||
        !get_integer(r, "count", 1, 1024, &view->count) || !read_crop(r, &view->crop) ||
        !spec_colour(get(r, "colour"), r->place, &view->colour, r->err) ||
        !spec_replay(r->arena, get(r, "replay"), spec, r->place, &view->replay, r->err))
        return false;
    return view->name || fail(r, "name", "is missing");
}

static bool read_remap(const Reader *r, FieldSpec *field)
{
    const json_t *remap = get(r, "remap");
    if (!remap) return true;
    if (!json_is_object(remap)) return fail(r, "remap", "an object {\"from\": to} is wanted");
    field->remap = arena_array(r->arena, int32_t, 65536);
    for (int32_t i = 0; i < 65536; i++) field->remap[i] = i;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)remap, key, value)
    {
        char *end;
        long from = strtol(key, &end, 10);
        json_int_t to = json_is_integer(value) ? json_integer_value(value) : -1;
        if (end == key || *end || from < 0 || from > 65535 || to < 0 || to > INT32_MAX)
            return fail(r, "remap", "classes are whole numbers from 0 to 65535");
        field->remap[from] = (int32_t)to;
    }
    return true;
}

static bool read_shape(const Reader *r, FieldSpec *field)
{
    const json_t *shape = get(r, "shape");
    if (!json_is_array(shape)) return fail(r, "shape", "a list of sizes is wanted");
    field->rank = (uint32_t)json_array_size(shape);
    field->shape = arena_array(r->arena, int64_t, field->rank + 1);
    int64_t elements = 1;
    for (uint32_t i = 0; i < field->rank; i++) {
        const json_t *item = json_array_get(shape, i);
        int64_t n = json_is_integer(item) ? json_integer_value(item) : 0;
        if (n < 1 || n > (INT64_C(1) << 32) / elements)
            return fail(r, "shape", "sizes from 1 to 2^32 in all are wanted");
        elements *= field->shape[i] = n;
    }
    if (!get_string(r, "dtype", &field->dtype)) return false;
    if (!field->dtype || !dtype_bytes(field->dtype))
        return fail(r, "dtype", "f32, f16, i32, i64, i8, u8, u16, u32 or bool is wanted");
    return true;
}

// Pixel labels: the view they follow, and their size.
static bool read_follow(const Reader *r, const DataSpec *spec, FieldSpec *field)
{
    const json_t *follow = json_object_get(r->object, "follow");
    field->follow = spec->nviews && !json_is_null(follow) ? 0 : -1;
    if (json_is_string(follow)) {
        uint32_t i = 0;
        while (i < spec->nviews && strcmp(spec->views[i].name, json_string_value(follow)) != 0) i++;
        if (i == spec->nviews) return fail(r, "follow", "no view has that name");
        field->follow = (int32_t)i;
    } else if (follow && !json_is_null(follow)) {
        return fail(r, "follow", "the name of a view is wanted");
    }
    if (field->follow >= 0 && field->role != ROLE_CLASS_MAP && field->role != ROLE_MAP &&
        spec->views[field->follow].replay.ops)
        return fail(r, "follow",
                    "the view's stored operations shear and turn; only class maps and "
                    "maps can follow them");
    if (field->follow >= 0) {
        field->height = spec->views[field->follow].height;
        field->width = spec->views[field->follow].width;
    }
    return get_size(r, &field->height, &field->width);
}

static bool get_ignore(const Reader *r, const char *key, FieldSpec *field)
{
    field->has_ignore = get(r, key) != NULL;
    return get_number(r, key, -1e30, 1e30, &field->ignore);
}

static bool read_format(const Reader *r, FieldSpec *field)
{
    static const struct {
        const char *name;
        Role role;
        PlaceFormat format;
    } rows[] = {{"coco", ROLE_BOXES, FORMAT_COCO},
                {"xyxy_pixels", ROLE_BOXES, FORMAT_PIXELS},
                {"xyxy_unit", ROLE_BOXES, FORMAT_UNIT},
                {"xy_pixels", ROLE_POINTS, FORMAT_PIXELS},
                {"xy_unit", ROLE_POINTS, FORMAT_UNIT}};
    const char *format = NULL;
    bool boxes = field->role == ROLE_BOXES;
    field->format = boxes ? FORMAT_COCO : FORMAT_PIXELS;
    if (!get_string(r, "format", &format)) return false;
    for (size_t i = 0; format && i < sizeof rows / sizeof *rows; i++)
        if (rows[i].role == field->role && strcmp(rows[i].name, format) == 0) {
            field->format = rows[i].format;
            return true;
        }
    return !format || fail(r, "format",
                           boxes ? "coco, xyxy_pixels or xyxy_unit is wanted"
                                 : "xy_pixels or xy_unit is wanted");
}

enum { MOST_PLACES = 1 << 16 };

// Boxes and points: places in the view they follow, in its pixels.
static bool read_places(const Reader *r, const DataSpec *spec, FieldSpec *field)
{
    field->min_score = -1e30, field->min_visible = 0.1;
    if (!read_format(r, field) || !get_integer(r, "max", 1, MOST_PLACES, &field->length) ||
        !get_names(r, "names", &field->names) || !read_remap(r, field) ||
        !get_ignore(r, "ignore", field) ||
        !get_integer(r, "classes", 1, INT32_MAX, &field->classes) ||
        !get_number(r, "min_score", -1e30, 1e30, &field->min_score) ||
        !get_number(r, "min_area", 0, 1e30, &field->min_area) ||
        !get_number(r, "min_visible", 0, 1, &field->min_visible))
        return false;
    if (field->names.n && !field->classes) field->classes = field->names.n;
    if (!field->length) return fail(r, "max", "is missing");
    if (!spec->nviews) return fail(r, "follow", "the name of a view is wanted");
    return read_follow(r, spec, field) &&
           (field->follow >= 0 || fail(r, "follow", "the name of a view is wanted"));
}

#define COMMON_KEYS "name role member series key required "

static bool read_by_role(const Reader *r, const DataSpec *spec, FieldSpec *field)
{
    double n = 0;
    switch (field->role) {
    case ROLE_TOKENS:
        field->tokenizer = "clip";
        return known_keys(r, COMMON_KEYS "length tokenizer pad") &&
               get_string(r, "tokenizer", &field->tokenizer) && get_string(r, "pad", &field->pad) &&
               get_integer(r, "length", 1, 1 << 20, &field->length) &&
               (field->length || fail(r, "length", "is missing"));
    case ROLE_CLASS_MAP:
        return known_keys(r, COMMON_KEYS "follow size ignore remap classes") &&
               get_ignore(r, "ignore", field) && read_remap(r, field) &&
               get_integer(r, "classes", 1, INT32_MAX, &field->classes) &&
               read_follow(r, spec, field);
    case ROLE_MAP:
        return known_keys(r, COMMON_KEYS "follow size invalid scale offset") &&
               get_ignore(r, "invalid", field) &&
               get_number(r, "scale", -1e30, 1e30, &field->scale) &&
               get_number(r, "offset", -1e30, 1e30, &field->offset) && read_follow(r, spec, field);
    case ROLE_NORMALS:
        return known_keys(r, COMMON_KEYS "follow size invalid") &&
               get_ignore(r, "invalid", field) && read_follow(r, spec, field);
    case ROLE_VECTOR:
        if (!known_keys(r, COMMON_KEYS "size") || !get_numbers(r, "size", 1, 1, 1 << 24, &n))
            return false;
        field->length = (int64_t)n;
        return (field->length > 0 && (double)field->length == n) ||
               fail(r, "size", "[n] is wanted");
    case ROLE_CLASS:
        return known_keys(r, COMMON_KEYS "ignore classes") && get_ignore(r, "ignore", field) &&
               get_integer(r, "classes", 1, INT32_MAX, &field->classes);
    case ROLE_ARRAY: return known_keys(r, COMMON_KEYS "dtype shape") && read_shape(r, field);
    case ROLE_BOXES:
        return known_keys(r, COMMON_KEYS "follow max format names classes ignore remap min_score "
                                         "min_area min_visible") &&
               read_places(r, spec, field);
    case ROLE_POINTS:
        return known_keys(r,
                          COMMON_KEYS "follow max format names classes ignore remap min_score") &&
               read_places(r, spec, field);
    }
    return false;
}

// The members a role looks for when none are named.
static Names default_members(Arena *arena, const FieldSpec *field)
{
    if (field->role == ROLE_TOKENS) return name_list(arena, 1, (const char *const[]){"txt"});
    if (field->role == ROLE_CLASS) return name_list(arena, 1, (const char *const[]){"cls"});
    const char *json = str_printf(arena, "%s.json", field->name);
    if (role_is_places(field->role)) return name_list(arena, 1, &json);
    const char *both[2] = {
        str_printf(arena, "%s.npy", field->name),
        str_printf(arena, "%s.%s", field->name, field->role == ROLE_VECTOR ? "json" : "png")};
    return name_list(arena, field->role == ROLE_ARRAY ? 1 : 2, both);
}

static bool read_role(const Reader *r, FieldSpec *field)
{
    const char *role = NULL;
    if (!get_string(r, "role", &role)) return false;
    for (size_t i = 0; role && i < sizeof role_names / sizeof *role_names; i++)
        if (strcmp(role, role_names[i]) == 0) {
            field->role = (Role)i;
            return true;
        }
    return fail(r, "role",
                "tokens, class_map, map, normals, vector, class, array, boxes or points is wanted");
}

static bool read_field(const Reader *r, const DataSpec *spec, FieldSpec *field)
{
    *field = (FieldSpec){.series = -1, .follow = -1, .scale = 1};
    if (!json_is_object(r->object)) return error_set(r->err, "%s: an object is wanted", r->place);
    if (!get_string(r, "name", &field->name)) return false;
    if (!field->name) return fail(r, "name", "is missing");
    if (!read_role(r, field)) return false;
    field->member = default_members(r->arena, field);
    field->required = field->role == ROLE_TOKENS;
    return get_names(r, "member", &field->member) && get_bool(r, "required", &field->required) &&
           spec_series_of(get(r, "series"), spec, r->place, &field->series, r->err) &&
           spec_key(r->arena, get(r, "key"), spec, r->place, &field->key, r->err) &&
           read_by_role(r, spec, field);
}

static bool read_series(const Reader *r, DataSpec *spec)
{
    const json_t *series = get(r, "series");
    if (!series) return true;
    Reader in = {r->arena, r->err, series, "data.series"};
    if (!json_is_object(series)) return fail(r, "series", "an object {name: shards} is wanted");
    spec->series = arena_array(r->arena, SeriesSpec, json_object_size(series) + 1);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)series, key, value)
    {
        SeriesSpec *one = &spec->series[spec->nseries++];
        one->name = str_copy(r->arena, key);
        if (!get_names(&in, key, &one->shards)) return false;
        if (!one->shards.n) return fail(&in, key, "shards are wanted");
    }
    return true;
}

// The items of a list, each with its place. n is counted up as they are read.
static bool read_views(const Reader *r, DataSpec *spec)
{
    const json_t *list = get(r, "views");
    if (list && !json_is_array(list)) return fail(r, "views", "a list is wanted");
    spec->views = arena_array(r->arena, ViewSpec, json_array_size(list) + 1);
    for (; spec->nviews < json_array_size(list); spec->nviews++) {
        Reader in = {r->arena, r->err, json_array_get(list, spec->nviews),
                     str_printf(r->arena, "data.views[%u]", spec->nviews)};
        if (!read_view(&in, spec, &spec->views[spec->nviews])) return false;
    }
    return true;
}

static bool read_fields(const Reader *r, DataSpec *spec)
{
    const json_t *list = get(r, "fields");
    if (list && !json_is_array(list)) return fail(r, "fields", "a list is wanted");
    spec->fields = arena_array(r->arena, FieldSpec, json_array_size(list) + 1);
    for (; spec->nfields < json_array_size(list); spec->nfields++) {
        Reader in = {r->arena, r->err, json_array_get(list, spec->nfields),
                     str_printf(r->arena, "data.fields[%u]", spec->nfields)};
        if (!read_field(&in, spec, &spec->fields[spec->nfields])) return false;
    }
    return true;
}

// Does a key say the same in two shapes? 0 is the first, whose keys the others have too.
static bool same_key(const Reader *r, const json_t *rows, size_t a, size_t b, const char *key)
{
    size_t which[] = {a, b};
    const json_t *value[2];
    for (int i = 0; i < 2; i++) {
        value[i] = which[i] ? json_object_get(json_array_get(rows, which[i] - 1), key) : NULL;
        if (!value[i]) value[i] = get(r, key);
    }
    return value[0] == value[1] || json_equal(value[0], value[1]);
}

// Only sizes may be others: samples are loaded with the first one's series and tokenizers.
static bool same_fields(const DataSpec *a, const DataSpec *b)
{
    bool same = a->nfields == b->nfields;
    for (uint32_t i = 0; same && i < a->nfields; i++)
        same = a->fields[i].role == b->fields[i].role &&
               strcmp(a->fields[i].name, b->fields[i].name) == 0;
    return same;
}

// Each row is a specification with other keys.
static bool read_shapes(const Reader *r, DataSpec *spec)
{
    const json_t *rows = get(r, "shapes");
    size_t n = json_array_size(rows);
    if (rows && !json_is_array(rows)) return fail(r, "shapes", "a list is wanted");
    if (!n) return true;
    spec->shapes = arena_array(r->arena, DataSpec *, n + 1);
    spec->shapes[0] = spec;
    spec->nshapes = 1;
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_array_get(rows, i), *whole = json_copy((json_t *)(uintptr_t)r->object);
        Reader in = {r->arena, r->err, row, str_printf(r->arena, "data.shapes[%zu]", i)};
        bool ok = known_keys(&in, "batch draws views fields");
        json_object_del(whole, "shapes");
        json_object_update(whole, row);
        DataSpec *one = ok ? spec_parse(r->arena, whole, r->err) : NULL;
        json_decref(whole);
        if (!one) return false;
        if (!same_fields(spec, one)) return fail(&in, "fields", "they are others than data.fields");
        size_t like = 0;
        while (like <= i && !(same_key(r, rows, like, i + 1, "views") &&
                              same_key(r, rows, like, i + 1, "fields") &&
                              same_key(r, rows, like, i + 1, "draws")))
            like++;
        one->like = (uint32_t)like;
        spec->shapes[spec->nshapes++] = one;
    }
    return true;
}

static bool read_mixture(const Reader *r, DataSpec *spec)
{
    const json_t *rows = get(r, "mixture");
    spec->nmixture = (uint32_t)json_array_size(rows);
    spec->mixture = arena_array(r->arena, MixtureSpec, spec->nmixture + 1);
    json_int_t all = 0, patterns;
    for (uint32_t i = 0; i < spec->nmixture; i++) {
        MixtureSpec *m = &spec->mixture[i];
        bool good = json_unpack(json_array_get(rows, i), "{s:I, s:F}", "patterns", &patterns,
                                "weight", &m->weight) == 0 &&
                    patterns > 0 && patterns <= spec->source.n && m->weight > 0 && m->weight < 1e12;
        if (!good) return fail(r, "mixture", "has a row that is no {patterns, weight}");
        m->patterns = (uint32_t)patterns;
        all += patterns;
    }
    return !rows || all == spec->source.n || fail(r, "mixture", "does not cover the source");
}

DataSpec *spec_parse(Arena *arena, const json_t *json, Error *err)
{
    DataSpec *spec = arena_make(arena, DataSpec);
    *spec = (DataSpec){.shuffle = true, .max_bad = 0.1};
    Reader r = {arena, err, json, "data"};
    int64_t seed = 0;
    if (!known_keys(&r,
                    "source mixture series seed batch shuffle augment max_bad draws views fields "
                    "shapes") ||
        !get_names(&r, "source", &spec->source) ||
        !spec_draws(arena, get(&r, "draws"), spec, err) ||
        !get_integer(&r, "seed", INT64_MIN, INT64_MAX, &seed) ||
        !get_integer(&r, "batch", 1, 1 << 24, &spec->batch) ||
        !get_bool(&r, "shuffle", &spec->shuffle))
        return NULL;
    spec->seed = (uint64_t)seed;
    spec->augment = spec->shuffle;
    if (!get_bool(&r, "augment", &spec->augment) ||
        !get_number(&r, "max_bad", 0, 1, &spec->max_bad) || !read_series(&r, spec) ||
        !read_views(&r, spec) || !read_fields(&r, spec))
        return NULL;
    if (!spec->source.n || !spec->batch) {
        fail(&r, spec->batch ? "source" : "batch", "is missing");
        return NULL;
    }
    return read_mixture(&r, spec) && read_shapes(&r, spec) ? spec : NULL;
}

DataSpec *spec_parse_text(Arena *arena, const char *text, size_t size, Error *err)
{
    json_error_t why;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (!json) {
        error_set(err, "data: line %d, column %d: %s", why.line, why.column, why.text);
        return NULL;
    }
    DataSpec *spec = spec_parse(arena, json, err);
    json_decref(json);
    return spec;
}
