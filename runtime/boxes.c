// Reading goes in two steps: the member becomes a list of places in shares of the picture, whatever
// its form; then every copy of the view takes from it what it sees.
#include "runtime/boxes.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// A box, or a point in x0 and y0, in shares of the picture.
typedef struct Spot {
    double x0, y0, x1, y1;
    float score;
    int32_t class;
    bool there;
} Spot;

// A box as one copy of the view sees it.
typedef struct Seen {
    float at[4];
    double area;
    const Spot *spot;
    int64_t order;
    bool kept;
} Seen;

typedef struct Reader {
    const FieldSpec *field;
    double height, width; // what pixels are counted in
    const json_t *classes, *labels, *scores;
    Error *err;
} Reader;

static const double farthest = 1e6; // pixels; beyond it floats of coordinates are not exact

static bool wrong(const Reader *r, size_t i, const char *what)
{
    return error_set(r->err, "json: %s %zu: %s", r->field->role == ROLE_BOXES ? "box" : "point", i,
                     what);
}

// ---- one place ----------------------------------------------------------------------------------

static bool named_class(const Reader *r, size_t i, const char *name, int32_t *class)
{
    const Names *names = &r->field->names;
    for (uint32_t k = 0; k < names->n; k++)
        if (strcmp(names->at[k], name) == 0) {
            *class = (int32_t)k;
            return true;
        }
    if (!names->n) return wrong(r, i, "its class is a name, and the field has no 'names'");
    char text[96];
    snprintf(text, sizeof text, "'%.40s' is none of the %u names", name, names->n);
    return wrong(r, i, text);
}

// The class that is stored as a number or a name; what is ignored is not there.
static bool read_class(const Reader *r, size_t i, const json_t *number, const json_t *name,
                       Spot *spot)
{
    const FieldSpec *f = r->field;
    spot->class = 0;
    if (name) {
        if (!json_is_string(name)) return wrong(r, i, "a class's name is a text");
        if (!named_class(r, i, json_string_value(name), &spot->class)) return false;
    } else if (number) {
        json_int_t c = json_is_integer(number) ? json_integer_value(number) : -1;
        if (c < 0 || c > INT32_MAX) return wrong(r, i, "its class is no whole number from 0 on");
        spot->class = (int32_t)c;
        if (f->remap && c < 65536) spot->class = f->remap[c];
    } else if (f->classes > 1) {
        return wrong(r, i, "it has no class");
    }
    if (f->has_ignore && spot->class == f->ignore) {
        spot->there = false;
    } else if (f->classes && spot->class >= f->classes) {
        char text[80];
        snprintf(text, sizeof text, "class %d is outside 0 to %" PRId64, spot->class,
                 f->classes - 1);
        return wrong(r, i, text);
    }
    return true;
}

static bool read_score(const Reader *r, size_t i, const json_t *score, Spot *spot)
{
    spot->score = 1;
    if (!score) return true;
    if (!json_is_number(score)) return wrong(r, i, "its score is no number");
    double x = json_number_value(score);
    if (!(fabs(x) <= farthest)) return wrong(r, i, "its score is out of range");
    spot->score = (float)x;
    if (x < r->field->min_score) spot->there = false;
    return true;
}

// The n numbers of a place in shares of the picture.
static bool read_numbers(const Reader *r, size_t i, const json_t *list, size_t n, double *x)
{
    bool unit = r->field->format == FORMAT_UNIT;
    if (json_array_size(list) != n)
        return wrong(r, i, n == 4 ? "4 numbers are wanted" : "2 numbers are wanted");
    for (size_t k = 0; k < n; k++) {
        const json_t *item = json_array_get(list, k);
        if (!json_is_number(item)) return wrong(r, i, "a coordinate is no number");
        x[k] = json_number_value(item);
        if (!(fabs(x[k]) <= farthest)) return wrong(r, i, "a coordinate is out of range");
        if (unit && (x[k] < -1 || x[k] > 2))
            return wrong(r, i, "its coordinates are no shares of the picture's width and height");
        if (!unit) x[k] /= k % 2 ? r->height : r->width;
    }
    return true;
}

static double clamp_unit(double x)
{
    return fmin(fmax(x, 0), 1);
}

static bool read_spot(const Reader *r, size_t i, const json_t *list, Spot *spot)
{
    double x[4];
    bool box = r->field->role == ROLE_BOXES;
    spot->there = !json_is_null(list) || box;
    if (!spot->there) return true;
    if (!read_numbers(r, i, list, box ? 4 : 2, x)) return false;
    spot->x0 = x[0], spot->y0 = x[1];
    if (!box) return true;
    bool sizes = r->field->format == FORMAT_COCO;
    spot->x1 = sizes ? x[0] + x[2] : x[2], spot->y1 = sizes ? x[1] + x[3] : x[3];
    if (spot->x1 < spot->x0 || spot->y1 < spot->y0)
        return wrong(r, i,
                     sizes ? "its width or height is negative"
                           : "its right or bottom edge lies before the left or top one");
    spot->x0 = clamp_unit(spot->x0), spot->x1 = clamp_unit(spot->x1);
    spot->y0 = clamp_unit(spot->y0), spot->y1 = clamp_unit(spot->y1);
    return true;
}

// ---- a member -----------------------------------------------------------------------------------

// A list beside the places that has as many items, or is missing.
static bool beside(const Reader *r, const json_t *object, const char *key, size_t n,
                   const json_t **to)
{
    *to = json_object_get(object, key);
    if (json_is_null(*to)) *to = NULL;
    if (!*to || (json_is_array(*to) && json_array_size(*to) == n)) return true;
    return error_set(r->err, "json: '%s' is no list of %zu items, one for each of '%s'", key, n,
                     r->field->role == ROLE_BOXES ? "boxes" : "points");
}

static bool read_size(Reader *r, const json_t *object)
{
    const json_t *size = json_object_get(object, "size");
    if (!size || json_is_null(size)) return true;
    double x[2] = {0};
    for (size_t k = 0; k < 2 && json_array_size(size) == 2; k++)
        x[k] = json_number_value(json_array_get(size, k));
    r->height = x[0], r->width = x[1];
    return (x[0] >= 1 && x[1] >= 1 && x[0] <= farthest && x[1] <= farthest) ||
           error_set(r->err, "json: 'size' is [height, width] of the picture");
}

// {"boxes": [..], "classes": [..], ..}
static bool read_lists(Reader *r, const json_t *object, const json_t *list, Spot *spots)
{
    size_t n = json_array_size(list);
    if (!read_size(r, object) || !beside(r, object, "classes", n, &r->classes) ||
        !beside(r, object, "labels", n, &r->labels) || !beside(r, object, "scores", n, &r->scores))
        return false;
    if (r->classes && r->labels)
        return error_set(r->err, "json: there are 'classes' and 'labels', and one is wanted");
    for (size_t i = 0; i < n; i++)
        if (!read_spot(r, i, json_array_get(list, i), &spots[i]) ||
            !read_class(r, i, json_array_get(r->classes, i), json_array_get(r->labels, i),
                        &spots[i]) ||
            !read_score(r, i, json_array_get(r->scores, i), &spots[i]))
            return false;
    return true;
}

// [{"bbox": [..], "category_id": 0}, ..]; a crowd is no box of one thing, and left out.
static bool read_annotations(const Reader *r, const json_t *list, Spot *spots)
{
    const char *key = r->field->role == ROLE_BOXES ? "bbox" : "point";
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *a = json_array_get(list, i), *at = json_object_get(a, key);
        const json_t *crowd = json_object_get(a, "iscrowd"), *name = json_object_get(a, "category");
        if (!at) return wrong(r, i, *key == 'b' ? "it has no 'bbox'" : "it has no 'point'");
        if (!read_spot(r, i, at, &spots[i]) ||
            !read_class(r, i, json_object_get(a, "category_id"), name, &spots[i]) ||
            !read_score(r, i, json_object_get(a, "score"), &spots[i]))
            return false;
        if (json_is_true(crowd) || json_integer_value(crowd)) spots[i].there = false;
    }
    return true;
}

// ---- what a view sees ---------------------------------------------------------------------------

// Shares of the picture to pixels of a view's side.
static double across(double at, double low, double high, int64_t side, bool flip)
{
    double share = (at - low) / (high - low);
    return (flip ? 1 - share : share) * (double)side;
}

static double within(double x, int64_t side)
{
    return fmin(fmax(x, 0), (double)side);
}

static bool see_box(const FieldSpec *f, const Geometry *g, const Spot *s, Seen *seen)
{
    double a = across(s->x0, g->x0, g->x1, f->width, g->flip),
           b = across(s->x1, g->x0, g->x1, f->width, g->flip),
           top = across(s->y0, g->y0, g->y1, f->height, false),
           bottom = across(s->y1, g->y0, g->y1, f->height, false), left = fmin(a, b),
           right = fmax(a, b), whole = (right - left) * (bottom - top);
    seen->at[0] = (float)within(left, f->width), seen->at[1] = (float)within(top, f->height);
    seen->at[2] = (float)within(right, f->width), seen->at[3] = (float)within(bottom, f->height);
    seen->area = ((double)seen->at[2] - seen->at[0]) * ((double)seen->at[3] - seen->at[1]);
    seen->spot = s, seen->kept = true;
    // half a millionth: a box that lies wholly in the view is all visible, whatever was rounded
    return seen->area > 0 && seen->area >= f->min_area &&
           seen->area * (1 + 5e-7) >= f->min_visible * whole;
}

// Larger ones first, of equal ones those that stand first.
static int by_area(const void *a, const void *b)
{
    const Seen *x = *(const Seen *const *)a, *y = *(const Seen *const *)b;
    if (x->area != y->area) return x->area > y->area ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

// Let the largest `max` boxes stay.
static void keep_largest(Seen *seen, Seen **order, int64_t n, int64_t max)
{
    for (int64_t i = 0; i < n; i++) order[i] = &seen[i];
    qsort(order, (size_t)n, sizeof *order, by_area);
    for (int64_t i = max; i < n; i++) order[i]->kept = false;
}

static void put_row(PlaceRows *rows, int64_t row, const float *at, int width, const Spot *s)
{
    memcpy(rows->at + row * width, at, (size_t)width * sizeof *at);
    rows->class[row] = s->class, rows->score[row] = s->score, rows->valid[row] = 1;
}

static void see_boxes(const FieldSpec *f, const Geometry *g, const Spot *spots, int64_t n,
                      Seen *seen, Seen **order, int64_t row, PlaceRows *rows)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!spots[i].there || !see_box(f, g, &spots[i], &seen[count])) continue;
        seen[count].order = count;
        count++;
    }
    if (count > f->length) {
        rows->dropped += count - f->length;
        keep_largest(seen, order, count, f->length);
    }
    for (int64_t i = 0; i < count; i++)
        if (seen[i].kept) put_row(rows, row++, seen[i].at, 4, seen[i].spot);
}

static void see_points(const FieldSpec *f, const Geometry *g, const Spot *spots, int64_t n,
                       int64_t row, PlaceRows *rows)
{
    for (int64_t i = 0; i < n && i < f->length; i++) {
        double x = across(spots[i].x0, g->x0, g->x1, f->width, g->flip),
               y = across(spots[i].y0, g->y0, g->y1, f->height, false);
        bool inside = x >= 0 && y >= 0 && x <= (double)f->width && y <= (double)f->height;
        if (spots[i].there && inside)
            put_row(rows, row + i, (float[]){(float)x, (float)y}, 2, &spots[i]);
    }
    if (n > f->length) rows->dropped += n - f->length;
}

static void see_all(const FieldSpec *f, const Cuts *cuts, const Spot *spots, int64_t n, Seen *seen,
                    PlaceRows *rows)
{
    int64_t all = cuts->copies * f->length, width = f->role == ROLE_BOXES ? 4 : 2;
    Seen **order = (Seen **)(seen + n);
    memset(rows->at, 0, (size_t)(all * width) * sizeof *rows->at);
    memset(rows->class, 0, (size_t)all * sizeof *rows->class);
    memset(rows->score, 0, (size_t)all * sizeof *rows->score);
    memset(rows->valid, 0, (size_t)all);
    rows->dropped = 0;
    for (int64_t c = 0; c < cuts->copies; c++) {
        if (f->role == ROLE_BOXES)
            see_boxes(f, &cuts->geometry[c], spots, n, seen, order, c * f->length, rows);
        else
            see_points(f, &cuts->geometry[c], spots, n, c * f->length, rows);
    }
}

static bool decode(const FieldSpec *f, const json_t *json, const Cuts *cuts, Scratch *scratch,
                   PlaceRows *rows, Error *err)
{
    const char *key = f->role == ROLE_BOXES ? "boxes" : "points";
    Reader r = {
        .field = f, .height = (double)cuts->height, .width = (double)cuts->width, .err = err};
    const json_t *list = json_is_array(json) ? json : json_object_get(json, key);
    if (!json_is_array(list))
        return error_set(err, "json: neither an object with a list '%s' nor a list of annotations",
                         key);
    size_t n = json_array_size(list);
    Spot *spots = scratch_reserve(scratch, n * (sizeof(Spot) + sizeof(Seen) + sizeof(Seen *)) + 1);
    if (!spots) return error_set(err, "out of memory for %zu places", n);
    if (json == list ? !read_annotations(&r, list, spots) : !read_lists(&r, json, list, spots))
        return false;
    see_all(f, cuts, spots, (int64_t)n, (Seen *)(spots + n), rows);
    return true;
}

bool places_decode(const FieldSpec *field, const void *data, size_t size, const Cuts *cuts,
                   Scratch *scratch, PlaceRows *rows, Error *err)
{
    json_error_t why;
    json_t *json = json_loadb(data, size, JSON_REJECT_DUPLICATES, &why);
    if (!json) return error_set(err, "json: line %d: %s", why.line, why.text);
    bool ok = decode(field, json, cuts, scratch, rows, err);
    json_decref(json);
    return ok;
}
