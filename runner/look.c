// The feed hands out samples one by one, in the order of training. Every value that is valid goes
// into the figures of its field.
#include "runner/look.h"

#include <math.h>
#include <stdlib.h>

static int32_t part_slot(const Look *l, const char *name, const char *part)
{
    return feed_slot(l->feed, str_printf(l->arena, "%s.%s", name, part));
}

static bool has_classes(Role role)
{
    return role == ROLE_CLASS || role == ROLE_CLASS_MAP || role_is_places(role);
}

static bool field_open(Look *l, FieldLook *f, const FieldSpec *spec)
{
    *f = (FieldLook){.spec = spec,
                     .slot = feed_slot(l->feed, spec->name),
                     .valid_slot = part_slot(l, spec->name, "valid"),
                     .present_slot = part_slot(l, spec->name, "present"),
                     .low = INFINITY,
                     .high = -INFINITY,
                     .shortest = INT64_MAX};
    if (role_is_places(spec->role)) {
        f->slot = part_slot(l, spec->name, spec->role == ROLE_BOXES ? "xyxy" : "xy");
        f->class_slot = part_slot(l, spec->name, "class");
    }
    const DataSlot *slot = &l->feed->slots[f->slot];
    dtype_parse(slot->dtype, &f->dtype);
    f->elements = (int64_t)slot->bytes / czt_dtype_size(f->dtype);
    if (has_classes(spec->role)) f->classes = calloc(LOOK_CLASSES, sizeof *f->classes);
    return !has_classes(spec->role) || f->classes;
}

bool look_open(Look *l, Arena *arena, Feed *feed, Error *err)
{
    const DataSpec *spec = feed->spec;
    bool ok = true;
    *l = (Look){.arena = arena, .feed = feed, .in_source = data_counts(feed->data).samples};
    l->slots = arena_array(arena, void *, feed->nslots + 1);
    l->fields = arena_array(arena, FieldLook, spec->nfields + 1);
    for (uint32_t i = 0; i < feed->nslots; i++) {
        l->slots[i] = malloc(feed->slots[i].bytes + 1);
        ok &= l->slots[i] != NULL;
    }
    for (uint32_t i = 0; i < spec->nfields; i++) {
        ok &= field_open(l, &l->fields[i], &spec->fields[i]);
        l->fields[i].tokenizer = data_tokenizer(feed->data, i);
    }
    return ok || error_set(err, "no memory for a sample");
}

void look_close(Look *l)
{
    for (uint32_t i = 0; l->slots && i < l->feed->nslots; i++) free(l->slots[i]);
    for (uint32_t i = 0; l->fields && i < l->feed->spec->nfields; i++) free(l->fields[i].classes);
}

// ---- one sample ---------------------------------------------------------------------------------

bool look_present(const Look *l, const FieldLook *f)
{
    return f->present_slot < 0 || *(const uint8_t *)l->slots[f->present_slot];
}

bool look_valid(const Look *l, const FieldLook *f, int64_t i)
{
    if (f->valid_slot < 0) return true;
    const uint8_t *valid = l->slots[f->valid_slot];
    return valid[l->feed->slots[f->valid_slot].bytes == 1 ? 0 : i];
}

int64_t look_tokens(const Look *l, const FieldLook *f)
{
    return tokenizer_used(f->tokenizer, l->slots[f->slot], f->elements);
}

static void add_value(FieldLook *f, double x)
{
    f->values++;
    if (isnan(x)) {
        f->nans++;
        return;
    }
    if (x < f->low) f->low = x;
    if (x > f->high) f->high = x;
    f->sum += x;
    if (!f->classes) return;
    if (x >= 0 && x < LOOK_CLASSES)
        f->classes[(int64_t)x]++;
    else
        f->beyond++;
}

// The pixel of element i of (copies, channels, h, w).
static int64_t pixel_of(const FieldLook *f, int64_t i)
{
    int64_t channels = f->spec->role == ROLE_NORMALS ? 3 : 1,
            plane = f->spec->height * f->spec->width;
    return channels == 1 ? i : i / (channels * plane) * plane + i % plane;
}

// The places that each copy of the view has, and their classes.
static void add_places(const Look *l, FieldLook *f)
{
    int64_t all = (int64_t)l->feed->slots[f->valid_slot].bytes;
    const int32_t *classes = l->slots[f->class_slot];
    for (int64_t first = 0; first < all; first += f->spec->length) {
        int64_t n = 0;
        for (int64_t i = first; i < first + f->spec->length; i++) {
            if (!look_valid(l, f, i)) continue;
            n++;
            add_value(f, classes[i]);
        }
        if (n < f->shortest) f->shortest = n;
        if (n > f->longest) f->longest = n;
        f->valid += n;
        f->asked++;
    }
}

static void add_field(const Look *l, FieldLook *f)
{
    if (!look_present(l, f)) {
        f->missing++;
        return;
    }
    if (role_is_places(f->spec->role)) {
        add_places(l, f);
        return;
    }
    if (f->spec->role == ROLE_TOKENS) {
        int64_t n = look_tokens(l, f);
        if (n < f->shortest) f->shortest = n;
        if (n > f->longest) f->longest = n;
        f->full += n == f->elements;
        f->sum += (double)n;
        return;
    }
    if (f->valid_slot >= 0) {
        const uint8_t *valid = l->slots[f->valid_slot];
        int64_t n = (int64_t)l->feed->slots[f->valid_slot].bytes;
        f->asked += n;
        for (int64_t i = 0; i < n; i++) f->valid += valid[i] != 0;
    }
    bool pixels = role_has_pixels(f->spec->role);
    for (int64_t i = 0; i < f->elements; i++)
        if (look_valid(l, f, pixels ? pixel_of(f, i) : 0))
            add_value(f, value_get(f->dtype, l->slots[f->slot], i));
}

bool look_next(Look *l, bool *got, Error *err)
{
    *got = false;
    Data *data = l->feed->data;
    if (data_position(data).index >= (uint64_t)l->in_source) return true;
    int64_t count = 0;
    if (!data_next(data, l->slots, &count, err)) return false;
    if (!count || data_position(data).epoch > 0) return true; // the last ones were all bad
    *got = true;
    l->key = data_key(data, 0);
    l->seen++;
    for (uint32_t i = 0; i < l->feed->spec->nfields; i++) add_field(l, &l->fields[i]);
    return true;
}

// ---- what was seen ------------------------------------------------------------------------------

const char *role_text(Role role)
{
    switch (role) {
    case ROLE_TOKENS: return "tokens";
    case ROLE_CLASS_MAP: return "class_map";
    case ROLE_MAP: return "map";
    case ROLE_NORMALS: return "normals";
    case ROLE_VECTOR: return "vector";
    case ROLE_CLASS: return "class";
    case ROLE_ARRAY: return "array";
    case ROLE_BOXES: return "boxes";
    case ROLE_POINTS: return "points";
    }
    bug("role %d has no name", role);
}

const char *slot_text(Arena *arena, const DataSlot *slot)
{
    const char *text = slot->dtype, *before = " (";
    for (uint32_t i = 1; i < slot->rank; i++, before = ", ")
        text = str_printf(arena, "%s%s%lld", text, before, (long long)slot->shape[i]);
    return slot->rank > 1 ? str_printf(arena, "%s)", text) : text;
}

static double percent(int64_t part, int64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

// The most frequent class that has fewer than `below` values, or as many and a larger number.
static int64_t next_class(const FieldLook *f, int64_t before)
{
    int64_t best = -1;
    for (int64_t c = 0; c < LOOK_CLASSES; c++) {
        bool after = before < 0 || f->classes[c] < f->classes[before] ||
                     (f->classes[c] == f->classes[before] && c > before);
        if (f->classes[c] && after && (best < 0 || f->classes[c] > f->classes[best])) best = c;
    }
    return best;
}

static const char *classes_text(const Look *l, const FieldLook *f)
{
    enum { SHOWN = 6 };
    int64_t kinds = 0;
    for (int64_t c = 0; c < LOOK_CLASSES; c++) kinds += f->classes[c] > 0;
    const char *text =
                   str_printf(l->arena, "%lld class%s:", (long long)kinds, kinds == 1 ? "" : "es"),
               *before = " ";
    int64_t c = -1;
    for (int i = 0; i < SHOWN && (c = next_class(f, c)) >= 0; i++, before = ", ")
        text = str_printf(l->arena, "%s%s%lld (%.3g %%)", text, before, (long long)c,
                          percent(f->classes[c], f->values));
    if (kinds > SHOWN) text = str_printf(l->arena, "%s, ..", text);
    if (f->beyond) text = str_printf(l->arena, "%s, %lld beyond", text, (long long)f->beyond);
    return text;
}

const char *place_text(Role role)
{
    return role == ROLE_BOXES ? "box" : "point";
}

// "0 to 12 boxes, mean 3.1; 2 classes: 1 (60 %), 0 (40 %)"
static const char *places_text(const Look *l, const FieldLook *f)
{
    const char *text = str_printf(l->arena, "%lld to %lld %s, mean %.3g", (long long)f->shortest,
                                  (long long)f->longest, role_text(f->spec->role),
                                  (double)f->valid / (double)f->asked);
    return f->values ? str_printf(l->arena, "%s; %s", text, classes_text(l, f)) : text;
}

const char *look_text(const Look *l, const FieldLook *f)
{
    int64_t there = l->seen - f->missing;
    if (!there) return "nothing";
    if (role_is_places(f->spec->role)) return places_text(l, f);
    if (f->spec->role == ROLE_TOKENS)
        return str_printf(l->arena, "%lld to %lld tokens, mean %.3g; %lld fill all %lld",
                          (long long)f->shortest, (long long)f->longest, f->sum / (double)there,
                          (long long)f->full, (long long)f->elements);
    const char *text = "no valid value";
    if (f->values > f->nans)
        text = f->classes ? classes_text(l, f)
                          : str_printf(l->arena, "%.4g to %.4g, mean %.4g", f->low, f->high,
                                       f->sum / (double)(f->values - f->nans));
    if (f->valid < f->asked)
        text = str_printf(l->arena, "%s; %.3g %% valid", text, percent(f->valid, f->asked));
    return f->nans ? str_printf(l->arena, "%s; %lld NaN", text, (long long)f->nans) : text;
}

static json_t *shape_json(const DataSlot *slot)
{
    json_t *shape = json_array();
    for (uint32_t i = 1; i < slot->rank; i++)
        json_array_append_new(shape, json_integer(slot->shape[i]));
    return shape;
}

static void put_classes(const Look *l, const FieldLook *f, json_t *o)
{
    json_t *classes = json_object();
    for (int64_t c = 0; c < LOOK_CLASSES; c++)
        if (f->classes[c])
            json_object_set_new(classes, str_printf(l->arena, "%lld", (long long)c),
                                json_integer(f->classes[c]));
    json_object_set_new(o, "classes", classes);
}

static void put_places(const Look *l, const FieldLook *f, json_t *o)
{
    if (!f->asked) return;
    json_object_set_new(o, "fewest", json_integer(f->shortest));
    json_object_set_new(o, "most", json_integer(f->longest));
    json_object_set_new(o, "mean", json_f32((double)f->valid / (double)f->asked));
    put_classes(l, f, o);
}

static void put_numbers(const Look *l, const FieldLook *f, json_t *o)
{
    if (role_is_places(f->spec->role)) {
        put_places(l, f, o);
        return;
    }
    int64_t numbers = f->values - f->nans;
    if (f->spec->role == ROLE_TOKENS) {
        int64_t there = l->seen - f->missing;
        if (!there) return;
        json_object_set_new(o, "shortest", json_integer(f->shortest));
        json_object_set_new(o, "longest", json_integer(f->longest));
        json_object_set_new(o, "mean", json_f32(f->sum / (double)there));
        json_object_set_new(o, "full", json_integer(f->full));
        return;
    }
    if (f->asked) json_object_set_new(o, "valid", json_f32((double)f->valid / (double)f->asked));
    if (f->nans) json_object_set_new(o, "nan", json_integer(f->nans));
    if (!numbers) return;
    json_object_set_new(o, "min", json_f32(f->low));
    json_object_set_new(o, "max", json_f32(f->high));
    json_object_set_new(o, "mean", json_f32(f->sum / (double)numbers));
    if (f->classes) put_classes(l, f, o);
}

json_t *look_json(const Look *l)
{
    const Feed *feed = l->feed;
    DataCounts counts = data_counts(feed->data);
    json_t *views = json_object(), *fields = json_object();
    for (uint32_t i = 0; i < feed->spec->nviews; i++) {
        const char *name = feed->spec->views[i].name;
        const DataSlot *slot = &feed->slots[feed_slot(feed, name)];
        json_object_set_new(
            views, name, json_pack("{s:s, s:o}", "dtype", slot->dtype, "shape", shape_json(slot)));
    }
    for (uint32_t i = 0; i < feed->spec->nfields; i++) {
        const FieldLook *f = &l->fields[i];
        const DataSlot *slot = &feed->slots[f->slot];
        json_t *o =
            json_pack("{s:s, s:s, s:o, s:I}", "role", role_text(f->spec->role), "dtype",
                      slot->dtype, "shape", shape_json(slot), "missing", (json_int_t)f->missing);
        put_numbers(l, f, o);
        json_object_set_new(fields, f->spec->name, o);
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "samples", (json_int_t)l->in_source,
                     "looked_at", (json_int_t)l->seen, "skipped", (json_int_t)counts.bad,
                     "damaged_shards", (json_int_t)counts.damaged, "dropped",
                     (json_int_t)counts.dropped, "views", views, "fields", fields);
}
