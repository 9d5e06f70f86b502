// Loading of one sample: each view's picture is decoded once and resampled under its geometries;
// labels follow. Everything random is keyed by (seed, path, copy) and counted by (epoch, sample),
// so a sample is the same whoever loads it, another view or field changes nobody's numbers, and
// what is not wanted is passed over.
#include "runtime/sample.h"

#include "base/map.h"
#include "base/vec.h"
#include "runtime/boxes.h"
#include "runtime/philox.h"
#include "runtime/view.h"

#include <stdatomic.h>
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

static uint32_t slots_of(const FieldSpec *f)
{
    return role_is_places(f->role) ? 5 : has_validity(f) ? 3 : 1;
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
    for (uint32_t i = 0; i < spec->ndraws; i++)
        add_slot(arena, &to, &layout, spec->batch, spec->draws[i].name, "i32", NULL, 0);
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

// The bytes of a member, in decoder->bytes; NULL with err.
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
    const Wanted *wanted;
    Decoder *decoder;
    uint64_t epoch;
    int64_t index;
    Sample sample;
    const Member *decoded; // what decoder->image holds
    const Member *read;    // what decoder->bytes holds: several fields may be of one record
    Geometry **geometry;   // [view][copy]
    Replay *replay;        // [view], without operations where nothing is replayed
    int64_t *draw;         // the sample's numbers
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

static void count_decoded(const Loading *l, uint32_t item, bool there)
{
    if (there) atomic_fetch_add_explicit(&l->from->decoded[item], 1, memory_order_relaxed);
}

// What a member is looked for by, and where it was found.
typedef struct Found {
    const Member *member; // NULL when the sample has none
    const Shards *shards;
    Sample sample; // that has it, of the source or of a series
} Found;

static Found find(const Loading *l, int32_t series, const Names *names)
{
    Found found = {.shards = l->from->source, .sample = l->sample};
    if (series >= 0) {
        found.shards = l->from->series[series];
        int64_t i = shards_find(found.shards, l->sample.key);
        if (i < 0) return found;
        found.sample = shards_sample(found.shards, i);
    }
    found.member = sample_member(&found.sample, names);
    return found;
}

static bool missing(Loading *l, int32_t series, const Names *names, Error *err)
{
    l->member = names->at[0];
    if (series < 0) return error_set(err, "the sample has no member .%s", names->at[0]);
    return error_set(err, "series '%s' has no member .%s of this key",
                     l->from->spec->series[series].name, names->at[0]);
}

// Bytes of a member; NULL with err.
static const void *read_found(Loading *l, const Found *found, Error *err)
{
    if (found->sample.twice) {
        error_set(err, "member .%s is there twice", found->sample.twice);
        return NULL;
    }
    if (found->member == l->read) return l->decoder->bytes.at;
    l->read = NULL;
    const void *at = read_member(found->shards, &found->sample, found->member, l->decoder, err);
    if (at) l->read = found->member;
    return at;
}

// The error is in a series' shard, which the sample's own place does not say.
static bool in_series(int32_t series, const Found *found, const Error *why, Error *err)
{
    return series < 0 ? error_set(err, "%s", why->text)
                      : error_set(err, "%s: %s", found->sample.shard, why->text);
}

// The view's picture, decoded unless it is the last one that was.
static bool load_picture(Loading *l, const ViewSpec *view, Error *err)
{
    Found found = find(l, view->series, &view->member);
    if (!found.member) return missing(l, view->series, &view->member, err);
    l->member = found.member->extension;
    if (found.member == l->decoded) return true;
    Error why = {0};
    const void *data = read_found(l, &found, &why);
    if (!data || !image_decode(data, (size_t)found.member->size, &l->decoder->image, &why))
        return in_series(view->series, &found, &why, err);
    l->decoded = found.member;
    return true;
}

// The stored augmentation of the view.
static bool load_replay(Loading *l, const ReplaySpec *rule, Replay *replay, Error *err)
{
    Found found = find(l, rule->series, &rule->member);
    if (!found.member) return missing(l, rule->series, &rule->member, err);
    l->member = found.member->extension;
    Error why = {0};
    const void *data = read_found(l, &found, &why);
    json_t *stored =
        data ? record_json(&rule->key, l->draw, data, (size_t)found.member->size, &why) : NULL;
    bool ok = stored && replay_read(stored, rule->ops, replay, &why);
    json_decref(stored);
    return ok || in_series(rule->series, &found, &why, err);
}

static bool load_view(Loading *l, uint32_t which, Error *err)
{
    const DataSpec *spec = l->from->spec;
    const ViewSpec *view = &spec->views[which];
    const Image *image = &l->decoder->image;
    Replay *replay = &l->replay[which];
    bool replays = view->replay.wanted && spec->augment;
    if ((replays && !load_replay(l, &view->replay, replay, err)) || !load_picture(l, view, err))
        return false;
    count_decoded(l, which, true);
    l->picture[which][0] = image->height, l->picture[which][1] = image->width;
    uint8_t *to = next_slot(l);
    double aspect = (double)view->width / (double)view->height;
    for (int64_t c = 0; c < view->count; c++, to += view->height * view->width * 3) {
        Geometry *g = &l->geometry[which][c];
        *g = geometry_draw(&view->crop, spec->augment, stream(spec, "data.views", view->name, c),
                           (uint32_t)l->epoch, (uint64_t)l->index, image->height, image->width,
                           aspect);
        if (replays ? !view_replay(view, replay, l->decoder, g, to, err)
                    : !view_pixels(view, g, l->decoder, to, err))
            return false;
        if (spec->augment && !colour_draw(&view->colour, stream(spec, "data.colour", view->name, c),
                                          (uint32_t)l->epoch, (uint64_t)l->index, to, view->height,
                                          view->width, &l->decoder->resample))
            return error_set(err, "out of memory for a view");
    }
    return true;
}

// Decode the field's member, or the part of it that `key` names, into value and valid.
static bool decode_field(Loading *l, const FieldSpec *f, const Found *found, void *value,
                         uint8_t *valid, Error *err)
{
    static const Geometry whole = {0, 0, 1, 1, false};
    const void *data = read_found(l, found, err);
    size_t size = (size_t)found->member->size;
    if (!data || (f->key.n && !record_part(&f->key, l->draw, data, size, &l->decoder->record, &data,
                                           &size, err)))
        return false;
    if (!field_decode(f, l->from->tokenizers[f - l->from->spec->fields], data, size,
                      f->follow >= 0 ? l->geometry[f->follow] : &whole,
                      field_copies(l->from->spec, f), l->decoder, value, valid, err))
        return false;
    if (!role_has_pixels(f->role) || f->follow < 0) return true;
    const ViewSpec *view = &l->from->spec->views[f->follow];
    const Replay *replay = &l->replay[f->follow];
    return augment_label(replay->ops, replay->nops, view->height, view->width, value, valid,
                         f->height, f->width, &l->decoder->values) ||
           error_set(err, "out of memory for a label");
}

static bool load_places(Loading *l, uint32_t field, Error *err)
{
    const FieldSpec *f = &l->from->spec->fields[field];
    Found found = find(l, f->series, &f->member);
    if (!found.member && f->required) return missing(l, f->series, &f->member, err);
    uint32_t first = l->slot;
    PlaceRows rows = {.at = (float *)next_slot(l), .class = (int32_t *)next_slot(l)};
    rows.score = (float *)next_slot(l), rows.valid = next_slot(l);
    *next_slot(l) = found.member != NULL;
    count_decoded(l, l->from->spec->nviews + field, found.member != NULL);
    for (uint32_t i = first; i < l->slot - 1; i++) {
        const Place *p = &l->from->layout->places[i];
        memset(l->to + p->offset, 0, p->bytes);
    }
    if (!found.member) return true;
    l->member = found.member->extension;
    Error why = {0};
    Cuts cuts = {l->geometry[f->follow], field_copies(l->from->spec, f), l->picture[f->follow][0],
                 l->picture[f->follow][1]};
    const void *data = read_found(l, &found, &why);
    size_t size = (size_t)found.member->size;
    bool ok = data && (!f->key.n || record_part(&f->key, l->draw, data, size, &l->decoder->record,
                                                &data, &size, &why));
    if (!ok || !places_decode(f, data, size, &cuts, &l->decoder->values, &rows, &why))
        return in_series(f->series, &found, &why, err);
    l->decoder->dropped += rows.dropped;
    return true;
}

static bool load_field(Loading *l, uint32_t field, Error *err)
{
    const DataSpec *spec = l->from->spec;
    const FieldSpec *f = &spec->fields[field];
    if (role_is_places(f->role)) return load_places(l, field, err);
    Found found = find(l, f->series, &f->member);
    if (!found.member && f->required) return missing(l, f->series, &f->member, err);
    uint8_t *value = next_slot(l), unused, *valid = &unused;
    if (has_validity(f)) {
        valid = next_slot(l);
        *next_slot(l) = found.member != NULL;
    }
    if (!found.member) {
        memset(value, 0, field_bytes(spec, f));
        memset(valid, 0, field_valid_bytes(spec, f));
        return true;
    }
    count_decoded(l, spec->nviews + field, true);
    l->member = found.member->extension;
    Error why = {0};
    return decode_field(l, f, &found, value, valid, &why) ||
           in_series(f->series, &found, &why, err);
}

// The sample's numbers: of its key, so that they stay the same when shards are packed anew, and the
// first of all where nothing is drawn.
static void draw_all(Loading *l)
{
    const DataSpec *spec = l->from->spec;
    uint64_t key = hash_str(0, l->sample.key);
    for (uint32_t i = 0; i < spec->ndraws; i++) {
        Philox random = philox_begin(stream(spec, "data.draw", spec->draws[i].name, 0),
                                     (uint32_t)l->epoch, key);
        uint64_t drawn = philox_below(&random, (uint64_t)spec->draws[i].below);
        l->draw[i] = spec->augment ? (int64_t)drawn : 0;
    }
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
    draw_all(l);
    for (uint32_t i = 0; i < spec->nviews; i++)
        if (!l->wanted->views[i])
            l->slot++;
        else if (!load_view(l, i, err))
            return false;
    for (uint32_t i = 0; i < spec->ndraws; i++) {
        int32_t x = (int32_t)l->draw[i];
        memcpy(next_slot(l), &x, sizeof x);
    }
    for (uint32_t i = 0; i < spec->nfields; i++)
        if (!l->wanted->fields[i])
            l->slot += slots_of(&spec->fields[i]);
        else if (!load_field(l, i, err))
            return false;
    return true;
}

bool sample_load(const SampleSource *from, const Wanted *wanted, uint64_t epoch, int64_t index,
                 Decoder *decoder, uint8_t *to, const char **member, Error *err)
{
    const DataSpec *spec = from->spec;
    size_t copies = 0;
    for (uint32_t i = 0; i < spec->nviews; i++) copies += (size_t)spec->views[i].count;
    Geometry *all = calloc(copies + 1, sizeof *all), *next = all;
    Geometry **geometry = calloc(spec->nviews + 1, sizeof *geometry);
    Replay *replay = calloc(spec->nviews + 1, sizeof *replay);
    int64_t *draw = calloc(spec->ndraws + 1, sizeof *draw);
    Loading l = {.from = from,
                 .wanted = wanted,
                 .decoder = decoder,
                 .epoch = epoch,
                 .index = index,
                 .geometry = geometry,
                 .replay = replay,
                 .draw = draw,
                 .picture = calloc(spec->nviews + 1, sizeof *l.picture),
                 .to = to,
                 .sample = shards_sample(from->source, index)};
    decoder->dropped = 0;
    bool ok = all && geometry && replay && draw && l.picture;
    for (uint32_t i = 0; ok && i < spec->nviews; next += spec->views[i++].count) geometry[i] = next;
    ok = ok ? load_all(&l, err) : error_set(err, "out of memory");
    *member = l.member;
    free(l.picture);
    free(draw);
    free(replay);
    free(geometry);
    free(all);
    return ok;
}
