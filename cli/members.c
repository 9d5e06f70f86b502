// A member's role follows from how it is stored: pictures that are whole samples' are views, label
// pictures of 8 bits hold classes and those of 16 bits numbers, arrays go by their shape and type.
// All of it is a proposal, which the user reads and changes.
#include "cli/members.h"

#include "runtime/image.h"
#include "base/npy.h"
#include "runtime/shards.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

enum { MOST_SAMPLES = 64 };

static void see(MemberLook *m, double x)
{
    if (isnan(x)) return;
    if (x < m->low) m->low = x;
    if (x > m->high) m->high = x;
}

// A field's name: the extension without its last part, in letters that an expression may have.
static const char *field_name(Arena *arena, const char *extension)
{
    const char *dot = strrchr(extension, '.');
    char *name =
        dot ? str_slice(arena, extension, (size_t)(dot - extension)) : str_copy(arena, extension);
    for (char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p)) *p = '_';
    return isdigit((unsigned char)*name) ? str_printf(arena, "_%s", name) : name;
}

static const char *ending(const char *extension)
{
    const char *dot = strrchr(extension, '.');
    return dot ? dot + 1 : extension;
}

static void look_at_picture(MemberLook *m, const uint8_t *data, size_t size)
{
    RawImage raw = {0};
    Error why = {0};
    if (!image_decode_raw(data, size, &raw, &why)) return;
    bool colours = raw.channels == 3;
    m->role = colours ? "normals" : raw.bits > 8 ? "map" : "class_map";
    m->whole = true;
    for (int64_t i = 0; i < raw.height * raw.width * raw.channels; i++) {
        bool none = raw.at[i] == 255 && raw.bits <= 8 && !colours;
        m->has_255 |= none;
        if (!none) see(m, raw.at[i]);
    }
    raw_free(&raw);
}

// Most vectors of three are one long.
static bool are_directions(const Npy *a)
{
    int64_t n = a->elements / 3, near = 0;
    for (int64_t i = 0; i < n; i++) {
        double length = 0;
        for (int k = 0; k < 3; k++) length += pow(npy_number(a, 3 * i + k), 2);
        near += fabs(length - 1) < 0.1;
    }
    return n && near * 2 > n;
}

static const char *array_role(const Npy *a)
{
    enum { LEAST_SIDE = 8 }; // of what is drawn over pictures
    bool floats = a->kind == 'f',
         plane = a->rank == 2 && a->shape[0] >= LEAST_SIDE && a->shape[1] >= LEAST_SIDE;
    if (a->rank == 1 && floats) return "vector";
    if (plane) return floats ? "map" : "class_map";
    if (a->rank == 3 && a->shape[2] == 3 && floats && are_directions(a)) return "normals";
    return "array";
}

static void look_at_array(Arena *arena, MemberLook *m, const uint8_t *data, size_t size)
{
    Npy a;
    Error why = {0};
    if (!npy_view(data, size, &a, &why)) return;
    m->role = array_role(&a);
    m->whole = a.kind != 'f';
    m->length = a.elements;
    m->dtype = npy_dtype(&a);
    if (!m->dtype) m->role = NULL;
    const char *shape = "[";
    for (int k = 0; k < a.rank; k++)
        shape = str_printf(arena, "%s%s%lld", shape, k ? ", " : "", (long long)a.shape[k]);
    m->shape = str_printf(arena, "%s]", shape);
    bool classes = m->role && strcmp(m->role, "class_map") == 0;
    for (int64_t i = 0; i < a.elements; i++) {
        double x = npy_number(&a, i);
        bool none = classes && x == 255;
        m->has_255 |= none;
        if (!none) see(m, x);
    }
}

// The number of a class's name among those that were met.
static double name_number(Arena *arena, MemberLook *m, const char *name)
{
    uint32_t i = 0;
    while (i < m->names.n && strcmp(m->names.at[i], name) != 0) i++;
    if (i == m->names.n) vec_push(arena, &m->names, str_copy(arena, name));
    return i;
}

static void look_at_box(Arena *arena, MemberLook *m, const json_t *box, const json_t *number,
                        const json_t *name)
{
    double x[4] = {0};
    for (size_t k = 0; k < 4; k++) {
        x[k] = json_number_value(json_array_get(box, k));
        m->pixels |= x[k] > 1;
    }
    m->backward |= x[2] < x[0] || x[3] < x[1];
    if (json_is_string(name))
        see(m, name_number(arena, m, json_string_value(name)));
    else if (json_is_integer(number))
        see(m, (double)json_integer_value(number));
}

// Lists of boxes and classes, or annotations; nothing where it is neither.
static void look_at_boxes(Arena *arena, MemberLook *m, const json_t *json)
{
    const json_t *boxes = json_object_get(json, "boxes"),
                 *classes = json_object_get(json, "classes"),
                 *labels = json_object_get(json, "labels");
    for (size_t i = 0; i < json_array_size(boxes); i++)
        look_at_box(arena, m, json_array_get(boxes, i), json_array_get(classes, i),
                    json_array_get(labels, i));
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *a = json_array_get(json, i), *box = json_object_get(a, "bbox");
        if (!box) return;
        m->annotations = true;
        look_at_box(arena, m, box, json_object_get(a, "category_id"),
                    json_object_get(a, "category"));
    }
    if (json_is_array(boxes) || m->annotations) m->role = "boxes";
}

static void look_at_json(Arena *arena, MemberLook *m, const uint8_t *data, size_t size)
{
    json_t *list = json_loadb((const char *)data, size, 0, NULL);
    look_at_boxes(arena, m, list);
    size_t n = json_is_array(list) ? json_array_size(list) : 0, numbers = 0;
    for (size_t i = 0; i < n; i++) numbers += json_is_number(json_array_get(list, i));
    if (n && numbers == n) {
        m->role = "vector";
        m->length = (int64_t)n;
        for (size_t i = 0; i < n; i++) see(m, json_number_value(json_array_get(list, i)));
    }
    json_decref(list);
}

static void look_at_class(MemberLook *m, const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text) return;
    m->role = "class";
    m->whole = true;
    see(m, (double)number);
}

static void look_at(Arena *arena, MemberLook *m, uint8_t *data, size_t size)
{
    const char *format = image_format(data, size), *end = ending(m->extension);
    data[size] = 0;
    if (format && end == m->extension)
        m->role = "image";
    else if (format && strcmp(format, "png") == 0)
        look_at_picture(m, data, size);
    else if (strcmp(end, "npy") == 0)
        look_at_array(arena, m, data, size);
    else if (strcmp(end, "txt") == 0)
        m->role = "tokens";
    else if (strcmp(end, "json") == 0)
        look_at_json(arena, m, data, size);
    else if (strcmp(end, "cls") == 0)
        look_at_class(m, (const char *)data);
}

static MemberLook *member_of(Arena *arena, ShardLook *out, const char *extension)
{
    for (uint32_t i = 0; i < out->members.n; i++)
        if (strcmp(out->members.at[i].extension, extension) == 0) return &out->members.at[i];
    vec_push(arena, &out->members,
             (MemberLook){.extension = str_copy(arena, extension),
                          .name = field_name(arena, extension),
                          .low = INFINITY,
                          .high = -INFINITY});
    return &out->members.at[out->members.n - 1];
}

static bool look_at_sample(Arena *arena, const Shards *shards, int64_t i, ShardLook *out,
                           Error *err)
{
    Sample sample = shards_sample(shards, i);
    Arena *scratch = arena_new(); // the members' bytes
    bool ok = true;
    for (uint32_t k = 0; ok && k < sample.n; k++) {
        const Member *member = &sample.members[k];
        uint8_t *data = arena_alloc(scratch, (size_t)member->size + 1);
        ok = shards_read(shards, &sample, member, data, err);
        MemberLook *m = member_of(arena, out, member->extension);
        m->samples++;
        if (ok) look_at(arena, m, data, (size_t)member->size);
    }
    arena_free(scratch);
    return ok;
}

bool members_look(Arena *arena, const char *pattern, ShardLook *out, Error *err)
{
    Names all, patterns = {&pattern, 1};
    *out = (ShardLook){0};
    if (!shards_list(arena, &patterns, NULL, &all, err)) return false;
    Names first = {all.at, 1};
    out->shard = all.at[0];
    Shards *shards = shards_open(&first, &(ShardsOptions){.threads = 1}, err);
    bool ok = shards != NULL;
    if (ok) out->samples = shards_count(shards);
    if (out->samples > MOST_SAMPLES) out->samples = MOST_SAMPLES;
    for (int64_t i = 0; ok && i < out->samples; i++)
        ok = look_at_sample(arena, shards, i, out, err);
    shards_close(shards);
    return ok;
}
