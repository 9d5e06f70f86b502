// Loading of one sample: each view's picture is decoded once and resampled under its geometries;
// labels follow. Everything random is keyed by (seed, path, copy) and counted by (epoch, sample),
// so a sample is the same whoever loads it, and another view or field changes nobody's numbers.
#include "runtime/sample.h"

#include "base/map.h"
#include "base/vec.h"
#include "runtime/boxes.h"
#include "runtime/philox.h"

#include <stdlib.h>

typedef struct Slots {
    VEC(DataSlot) slot;
    VEC(Place) place;
} Slots;

// Append a tensor (B, dims...); a dimension of 0 is left out.
static void add_slot(Arena *arena, Slots *to, SampleLayout *layout, int64_t batch, const char *name,
                     const char *dtype, const int64_t *dims, uint32_t n)
{
    int64_t *shape = arena_array(arena, int64_t, n + 1);
    uint32_t rank = 0;
    size_t bytes = dtype_bytes(dtype);
    shape[rank++] = batch;
    for (uint32_t i = 0; i < n; i++)
        if (dims[i]) bytes *= (size_t)(shape[rank++] = dims[i]);
    vec_push(arena, &to->slot, (DataSlot){name, dtype, shape, rank, bytes * (size_t)batch});
    vec_push(arena, &to->place, (Place){layout->bytes, bytes});
    layout->bytes += (bytes + 15) / 16 * 16;
}

static bool has_validity(const FieldSpec *f)
{
    return f->role != ROLE_TOKENS || !f->required;
}

// NAME.xyxy or NAME.xy, NAME.class, NAME.score, NAME.valid, NAME.present.
static void add_places(Arena *arena, Slots *to, SampleLayout *layout, const DataSpec *spec,
                       const FieldSpec *f)
{
    bool boxes = f->role == ROLE_BOXES;
    const struct {
        const char *name, *dtype;
        int64_t width;
    } parts[] = {
        {boxes ? "xyxy" : "xy", "f32", boxes ? 4 : 2},
        {"class", "i32", 0},
        {"score", "f32", 0},
        {"valid", "u8", 0},
    };
    int64_t copies = field_copies(spec, f);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int64_t dims[3] = {copies > 1 ? copies : 0, f->length, parts[i].width};
        const char *name = str_printf(arena, "%s.%s", f->name, parts[i].name);
        add_slot(arena, to, layout, spec->batch, name, parts[i].dtype, dims, 3);
    }
    add_slot(arena, to, layout, spec->batch, str_printf(arena, "%s.present", f->name), "u8", NULL,
             0);
}

static void add_field(Arena *arena, Slots *to, SampleLayout *layout, const DataSpec *spec,
                      const FieldSpec *f)
{
    int64_t copies = field_copies(spec, f), k = copies > 1 ? copies : 0;
    const char *dtype = f->role == ROLE_ARRAY ? f->dtype
                        : f->role == ROLE_MAP || f->role == ROLE_NORMALS || f->role == ROLE_VECTOR
                            ? "f32"
                            : "i32";
    int64_t pixels[4] = {k, f->role == ROLE_NORMALS ? 3 : 0, f->height, f->width};
    const int64_t *dims = f->role == ROLE_ARRAY      ? f->shape
                          : role_has_pixels(f->role) ? pixels
                                                     : &f->length;
    uint32_t n = f->role == ROLE_ARRAY ? f->rank : role_has_pixels(f->role) ? 4 : 1;
    add_slot(arena, to, layout, spec->batch, f->name, dtype, dims, n);
    if (!has_validity(f)) return;
    pixels[1] = 0;
    add_slot(arena, to, layout, spec->batch, str_printf(arena, "%s.valid", f->name), "u8", pixels,
             4);
    add_slot(arena, to, layout, spec->batch, str_printf(arena, "%s.present", f->name), "u8", NULL,
             0);
}

SampleLayout sample_layout(Arena *arena, const DataSpec *spec)
{
    Slots to = {0};
    SampleLayout layout = {0};
    for (uint32_t i = 0; i < spec->nviews; i++) {
        const ViewSpec *v = &spec->views[i];
        int64_t dims[4] = {v->count > 1 ? v->count : 0, v->height, v->width, 3};
        add_slot(arena, &to, &layout, spec->batch, v->name, "u8", dims, 4);
    }
    for (uint32_t i = 0; i < spec->draws.n; i++)
        add_slot(arena, &to, &layout, spec->batch, spec->draws.at[i], "f32", NULL, 0);
    for (uint32_t i = 0; i < spec->nfields; i++)
        if (role_is_places(spec->fields[i].role))
            add_places(arena, &to, &layout, spec, &spec->fields[i]);
        else
            add_field(arena, &to, &layout, spec, &spec->fields[i]);
    layout.slots = to.slot.at, layout.places = to.place.at, layout.n = to.slot.n;
    return layout;
}

// Key of the random stream of a path.
static uint64_t stream(const DataSpec *spec, const char *kind, const char *name, int64_t copy)
{
    uint64_t key = hash_str(hash_u64(0, spec->seed), kind);
    return hash_u64(hash_str(key, name), (uint64_t)copy);
}

static const void *read_member(const Shards *shards, const Sample *sample, const Member *member,
                               Decoder *decoder, Error *err)
{
    void *to = scratch_reserve(&decoder->bytes, (size_t)member->size + 1);
    if (!to)
        error_set(err, "out of memory for a member of %lld bytes", (long long)member->size);
    else if (shards_read(shards, sample, member, to, err))
        return to;
    return NULL;
}

// One sample being loaded.
typedef struct Loading {
    const SampleSource *from;
    Decoder *decoder;
    uint64_t epoch;
    int64_t index;
    Sample sample;
    const Member *decoded; // what decoder->image holds
    Geometry **geometry;   // [view][copy]
    int64_t (*picture)[2]; // [view]: height and width of what it was cut out of
    uint8_t *to;
    uint32_t slot; // the next to fill
    const char *member;
} Loading;

// Memory of the next slot.
static uint8_t *next_slot(Loading *l)
{
    return l->to + l->from->layout->places[l->slot++].offset;
}

static bool missing(Loading *l, const Names *members, Error *err)
{
    l->member = members->at[0];
    return error_set(err, "the sample has no member .%s", members->at[0]);
}

// The same of a field that may be in a series.
static bool missing_field(Loading *l, const FieldSpec *f, Error *err)
{
    if (f->series < 0) return missing(l, &f->member, err);
    l->member = f->member.at[0];
    return error_set(err, "series '%s' has no member .%s of this key",
                     l->from->spec->series[f->series].name, f->member.at[0]);
}

static bool load_view(Loading *l, uint32_t which, Error *err)
{
    const DataSpec *spec = l->from->spec;
    const ViewSpec *view = &spec->views[which];
    Image *image = &l->decoder->image;
    const Member *member = sample_member(&l->sample, &view->member);
    if (!member) return missing(l, &view->member, err);
    l->member = member->extension;
    if (member != l->decoded) {
        const void *data = read_member(l->from->source, &l->sample, member, l->decoder, err);
        if (!data || !image_decode(data, (size_t)member->size, image, err)) return false;
        l->decoded = member;
    }
    l->picture[which][0] = image->height, l->picture[which][1] = image->width;
    uint8_t *to = next_slot(l);
    double aspect = (double)view->width / (double)view->height;
    for (int64_t c = 0; c < view->count; c++) {
        Geometry *g = &l->geometry[which][c];
        *g = geometry_draw(&view->crop, spec->augment, stream(spec, "data.views", view->name, c),
                           (uint32_t)l->epoch, (uint64_t)l->index, image->height, image->width,
                           aspect);
        if (!resample_u8(image->at, image->height, image->width, g,
                         to + c * view->height * view->width * 3, view->height, view->width,
                         &l->decoder->resample))
            return error_set(err, "out of memory for a view");
    }
    return true;
}

// The member of a field, and where it lies; NULL when the sample has none.
static const Member *find_field(const Loading *l, const FieldSpec *f, const Shards **shards,
                                Sample *sample)
{
    *shards = l->from->source, *sample = l->sample;
    if (f->series >= 0) {
        *shards = l->from->series[f->series];
        int64_t i = shards_find(*shards, l->sample.key);
        if (i < 0) return NULL;
        *sample = shards_sample(*shards, i);
    }
    return sample_member(sample, &f->member);
}

// Decode the field's member into value and valid; `sample` has it, of the source or of a series.
static bool decode_field(Loading *l, const FieldSpec *f, const Shards *shards, const Sample *sample,
                         const Member *member, void *value, uint8_t *valid, Error *err)
{
    static const Geometry whole = {0, 0, 1, 1, false};
    if (sample->twice) return error_set(err, "member .%s is there twice", sample->twice);
    const void *data = read_member(shards, sample, member, l->decoder, err);
    return data && field_decode(f, l->from->tokenizer, data, (size_t)member->size,
                                f->follow >= 0 ? l->geometry[f->follow] : &whole,
                                field_copies(l->from->spec, f), l->decoder, value, valid, err);
}

// What a field's member says went wrong, with the shard where it is of a series.
static bool damaged(const FieldSpec *f, const Sample *sample, const Error *why, Error *err)
{
    return f->series < 0 ? error_set(err, "%s", why->text)
                         : error_set(err, "%s: %s", sample->shard, why->text);
}

static bool load_places(Loading *l, const FieldSpec *f, Error *err)
{
    const Shards *shards;
    Sample sample;
    const Member *member = find_field(l, f, &shards, &sample);
    if (!member && f->required) return missing_field(l, f, err);
    uint32_t first = l->slot;
    PlaceRows rows = {.at = (float *)next_slot(l), .class = (int32_t *)next_slot(l)};
    rows.score = (float *)next_slot(l), rows.valid = next_slot(l);
    *next_slot(l) = member != NULL;
    for (uint32_t i = first; i < l->slot - 1; i++) {
        const Place *p = &l->from->layout->places[i];
        memset(l->to + p->offset, 0, p->bytes);
    }
    if (!member) return true;
    l->member = member->extension;
    Error why = {0};
    Cuts cuts = {l->geometry[f->follow], field_copies(l->from->spec, f), l->picture[f->follow][0],
                 l->picture[f->follow][1]};
    const void *data = NULL;
    if (sample.twice)
        error_set(&why, "member .%s is there twice", sample.twice);
    else
        data = read_member(shards, &sample, member, l->decoder, &why);
    if (!data ||
        !places_decode(f, data, (size_t)member->size, &cuts, &l->decoder->values, &rows, &why))
        return damaged(f, &sample, &why, err);
    l->decoder->dropped += rows.dropped;
    return true;
}

static bool load_field(Loading *l, const FieldSpec *f, Error *err)
{
    if (role_is_places(f->role)) return load_places(l, f, err);
    const DataSpec *spec = l->from->spec;
    const Shards *shards;
    Sample sample;
    const Member *member = find_field(l, f, &shards, &sample);
    if (!member && f->required) return missing_field(l, f, err);
    uint8_t *value = next_slot(l), unused, *valid = &unused;
    if (has_validity(f)) {
        valid = next_slot(l);
        *next_slot(l) = member != NULL;
    }
    if (!member) {
        memset(value, 0, field_bytes(spec, f));
        memset(valid, 0, field_valid_bytes(spec, f));
        return true;
    }
    l->member = member->extension;
    Error why = {0};
    if (decode_field(l, f, shards, &sample, member, value, valid, &why)) return true;
    return damaged(f, &sample, &why, err);
}

static bool load_all(Loading *l, Error *err)
{
    const DataSpec *spec = l->from->spec;
    if (l->sample.twice) {
        l->member = l->sample.twice;
        return error_set(err, "the member is there twice");
    }
    if (l->sample.again)
        return error_set(err, "the key stood further up in the shard already; the members of a "
                              "sample lie side by side");
    for (uint32_t i = 0; i < spec->nviews; i++)
        if (!load_view(l, i, err)) return false;
    for (uint32_t i = 0; i < spec->draws.n; i++) {
        Philox random = philox_begin(stream(spec, "data.draw", spec->draws.at[i], 0),
                                     (uint32_t)l->epoch, (uint64_t)l->index);
        float x = (float)(philox_next(&random) >> 8) * 0x1p-24F;
        memcpy(next_slot(l), &x, 4);
    }
    for (uint32_t i = 0; i < spec->nfields; i++)
        if (!load_field(l, &spec->fields[i], err)) return false;
    return true;
}

bool sample_load(const SampleSource *from, uint64_t epoch, int64_t index, Decoder *decoder,
                 uint8_t *to, const char **member, Error *err)
{
    const DataSpec *spec = from->spec;
    size_t copies = 0;
    for (uint32_t i = 0; i < spec->nviews; i++) copies += (size_t)spec->views[i].count;
    Geometry *all = calloc(copies + 1, sizeof *all), *next = all;
    Geometry **geometry = calloc(spec->nviews + 1, sizeof *geometry);
    Loading l = {.from = from,
                 .decoder = decoder,
                 .epoch = epoch,
                 .index = index,
                 .geometry = geometry,
                 .picture = calloc(spec->nviews + 1, sizeof *l.picture),
                 .to = to,
                 .sample = shards_sample(from->source, index)};
    decoder->dropped = 0;
    bool ok = all && geometry && l.picture;
    for (uint32_t i = 0; ok && i < spec->nviews; next += spec->views[i++].count) geometry[i] = next;
    ok = ok ? load_all(&l, err) : error_set(err, "out of memory");
    *member = l.member;
    free(l.picture);
    free(geometry);
    free(all);
    return ok;
}
