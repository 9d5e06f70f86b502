// data: as the loader will read it. What it refuses (runtime/spec.c, shards_list.c) is an error
// here, at its line. Looked at once, before anything is built, used or not.
#include "base/brace.h"
#include "frontend/data_mends.h"
#include "frontend/rewrite.h"

#include <math.h>
#include <stdlib.h>

enum {
    MOST_SIDE = 1 << 15,
    MOST_COUNT = 1024,
    MOST_TOKENS = 1 << 20,
    MOST_VECTOR = 1 << 24,
    MOST_PLACES = 1 << 16,
    MOST_CLASS = 65535 // that a label file can hold
};

static const char *key_of(Elab *el, const Tree *t)
{
    return str_printf(el->arena, "%p", (const void *)t);
}

// What is computed of it is not looked at.
static void wrong(Elab *el, const Tree *t)
{
    map_set(el->arena, &el->wrong, key_of(el, t), el);
}

bool data_wrong(Elab *el, const Tree *item)
{
    return el->wrong.n && map_find(&el->wrong, key_of(el, item)) != NULL;
}

// A check of what decides about the whole item.
static void decides(Elab *el, const Tree *item, void (*check)(Elab *el, const Tree *t))
{
    const uint32_t before = diag_errors(el->diag);
    check(el, item);
    if (diag_errors(el->diag) > before) wrong(el, item);
}

// ---- numbers ----------------------------------------------------------------------------------

typedef struct Range {
    double lo, hi;
    bool whole;
} Range;

static bool in_range(Elab *el, Value v, Loc loc, const char *what, Range r, double *x)
{
    if (!value_to_float(el, v, loc, what, x)) return false;
    if (*x >= r.lo && *x <= r.hi && (!r.whole || floor(*x) == *x)) return true;
    el_error(el, loc, "'%s' is %s; it is a %snumber from %.10g to %.10g", what, value_text(el, v),
             r.whole ? "whole " : "", r.lo, r.hi);
    suggest_number(el, *x, r.lo, r.hi, r.whole);
    suggest_inside(el, *x, r.lo, r.hi);
    return false;
}

static void check_number(Elab *el, const Tree *map, const char *key, Range r)
{
    const Tree *t = tree_get(map, key);
    double x;
    if (!t || t->kind != TREE_SCALAR) return;
    const Value v = tree_eval(el, el->scope, t, NULL);
    if (v.kind == V_ERROR)
        suggest_some(el, t, r.lo, r.hi);
    else if (!in_range(el, v, t->loc, key, r, &x))
        wrong(el, t);
}

// The place of item i of a list, the whole when it is written as an expression.
static Loc item_loc(const Tree *t, uint32_t i)
{
    return t->kind == TREE_LIST && i < t->items.n ? t->items.at[i]->loc : t->loc;
}

// The first n values, or the last.
static void suggest_values(Elab *el, const ValueList *items, uint32_t n)
{
    const char *text[2] = {"", ""};
    uint32_t have = items->v.n;
    for (uint32_t i = 0; have && i < n; i++) {
        const Value *first = &items->v.at[i < have ? i : have - 1],
                    *last = &items->v.at[have - n + i < have ? have - n + i : 0];
        text[0] = str_printf(el->arena, "%s%s%s", text[0], i ? ", " : "", value_text(el, *first));
        text[1] = str_printf(el->arena, "%s%s%s", text[1], i ? ", " : "", value_text(el, *last));
    }
    const char *form = n == 1 ? "%s" : "[%s]";
    if (have)
        suggest(el, str_printf(el->arena, form, text[0]), str_printf(el->arena, form, text[1]));
}

static bool numbers_good(Elab *el, const Tree *t, const char *key, uint32_t n, const char *form,
                         Range r, double x[2])
{
    Value v = tree_eval(el, el->scope, t, NULL);
    const ValueList *items;
    double one;
    if (v.kind == V_ERROR) return false;
    if (v.kind == V_INT && n == 1) return in_range(el, v, t->loc, key, r, x);
    if (v.kind != V_LIST) {
        el_error(el, t->loc, "'%s' is %s, not %s", key, form, value_text(el, v));
        if (n < 5 && (v.kind == V_INT || v.kind == V_FLOAT)) suggest_list(el, n);
        return false;
    }
    if (!value_items(el, v, t->loc, &items)) return false;
    if (n != UINT32_MAX && items->v.n != n) {
        el_error(el, t->loc, "'%s' has %u values; it is %s", key, items->v.n, form);
        suggest_values(el, items, n);
        return false;
    }
    bool ok = true;
    for (uint32_t i = 0; i < items->v.n; i++) {
        if (in_range(el, items->v.at[i], item_loc(t, i), key, r, i < 2 ? &x[i] : &one)) continue;
        suggest_legal(el, t, items, r.lo, r.hi);
        ok = false;
    }
    return ok;
}

// `n` numbers, or any count of them for UINT32_MAX; x takes the first two. False when reported.
static bool check_numbers(Elab *el, const Tree *t, const char *key, uint32_t n, const char *form,
                          Range r, double x[2])
{
    const bool good = numbers_good(el, t, key, n, form, r, x);
    if (!good) wrong(el, t);
    return good;
}

// [height, width], or a number that is both.
static void check_sides(Elab *el, const Tree *t)
{
    static const Range sides = {1, MOST_SIDE, true};
    Value v = tree_eval(el, el->scope, t, NULL);
    double x[2];
    bool good = true;
    if (v.kind == V_INT || v.kind == V_FLOAT)
        good = in_range(el, v, t->loc, "size", sides, x);
    else if (v.kind != V_ERROR)
        good = check_numbers(el, t, "size", 2, "[height, width], or one number for both", sides, x);
    if (!good) wrong(el, t);
}

// ---- words ------------------------------------------------------------------------------------

// Is the text one of the words? Else an error, with the nearest of them or all.
static bool one_of(Elab *el, const Tree *t, const char *what, const char *const *words)
{
    Map names = {0};
    for (; *words; words++) {
        if (strcmp(*words, t->text) == 0) return true;
        map_set(el->arena, &names, *words, NULL);
    }
    el_error(el, t->loc, "there is no %s '%s'", what, t->text);
    suggest_words(el, t->text, &names);
    return false;
}

// The word under a key names a key of the mapping.
static void names_key(Elab *el, const Tree *item, const char *key, const char *what,
                      const Tree *map)
{
    VEC(const char *) words = {0};
    const Tree *t = tree_get(item, key);
    if (!t || t->kind != TREE_SCALAR) return;
    for (uint32_t i = 0; map && i < map->entries.n; i++)
        vec_push(el->arena, &words, map->entries.at[i].key->text);
    if (!words.n) {
        el_error(el, t->loc, "there is no %s '%s'", what, t->text);
        diag_help(el->diag, "the data has no %s", what);
        suggest_section(el, item, key);
        return;
    }
    vec_push(el->arena, &words, NULL);
    if (!one_of(el, t, what, words.at) && has_lone_guess(el)) suggest_section(el, item, key);
}

static void check_member(Elab *el, const Tree *t)
{
    if (t->kind == TREE_LIST && t->items.n) {
        for (uint32_t i = 0; i < t->items.n; i++) check_member(el, t->items.at[i]);
        return;
    }
    if (t->kind != TREE_SCALAR || !*t->text) {
        el_error(el, t->loc,
                 "'member' is the end of a file's name, such as jpg, or a list of them");
        suggest_word(el, t, "jpg", "png");
    } else if (strchr(t->text, '/')) {
        el_error(el, t->loc, "a member's name has no '/'");
        diag_help(el->diag,
                  "it is what follows the sample's key and a dot: seg.png of 000012.seg.png");
        suggest_member(el, t);
    } else if (*t->text == '.') {
        el_error(el, t->loc, "a member's name does not begin with a dot");
        suggest(el, t->text + 1, NULL);
    }
}

// ---- shards -----------------------------------------------------------------------------------

// An address of the net, or a * for any text; false where it is neither.
static bool no_path(Elab *el, const Tree *t)
{
    const char *s = t->text, *star = strchr(s, '*'), *end = strrchr(s, '/');
    if (strstr(s, "://")) {
        el_error(el, t->loc, "shards are files; '%s' is an address", s);
        diag_help(el->diag, "copy them to a disk and name the files (one alone may come of a "
                            "command: pipe:COMMAND, with --allow-pipe)");
        suggest_word(el, t, end + 1, str_printf(el->arena, "shards/%s", end + 1));
        return true;
    }
    if (!star) return false;
    el_error(el, t->loc, "shards have ranges, not '*'");
    const char *folder = end ? str_slice(el->arena, s, (size_t)(end - s) + 1) : "./";
    suggest_word(
        el, t,
        str_printf(el->arena, "%.*s{0000..0009}%s", (int)(star - s), s, star + strspn(star, "*")),
        strchr(folder, '*') ? "./" : folder);
    return true;
}

static void check_pattern(Elab *el, const Tree *t)
{
    const char *s = t->text;
    bool good = true;
    if (t->kind != TREE_SCALAR || !*s) {
        el_error(el, t->loc,
                 "shards are a path, with a range such as {0000..0009}, or a list of paths");
        if (t->kind == TREE_LIST)
            suggest_item(el, t);
        else
            suggest_word(el, t, "train.tar", "train-{0000..0009}.tar");
        return;
    }
    if (strncmp(s, "pipe:", 5) == 0) return; // the shell's braces are the shell's
    if (no_path(el, t)) return;
    for (Brace b; !brace_first(s, &b) || b.open; s = b.close + 1) {
        size_t at = (size_t)(b.open - t->text);
        if (!b.close) {
            el_error(el, tree_place(t, at, strlen(t->text)), "the brace is not closed");
            suggest_closed(el, t, at);
            return;
        }
        if (b.count > 1 || b.width) continue;
        size_t end = (size_t)(b.close - t->text) + 1;
        el_error(el, tree_place(t, at, end), "'%s' is no range",
                 str_slice(el->arena, b.open, end - at));
        diag_help(el->diag, "a range rises, as {0000..0331}; {a,b} gives choices");
        suggest_range(el, t, at, end);
        good = false;
    }
    if (!good || brace_count(t->text) <= BRACE_MOST) return;
    el_error(el, t->loc, "this stands for more than %d shards", BRACE_MOST);
    suggest_fewer(el, t);
}

static void check_shards(Elab *el, const Tree *t)
{
    if (t->kind != TREE_LIST || !t->items.n) {
        check_pattern(el, t);
        return;
    }
    for (uint32_t i = 0; i < t->items.n; i++) check_pattern(el, t->items.at[i]);
}

// Shards, or a row with them.
static void check_one_series(Elab *el, const Tree *t)
{
    bool row = t->kind == TREE_MAP, yes;
    if (row && !keys_check(el, t, MAPPING_SERIES, false)) return;
    check_shards(el, row ? tree_get(t, "shards") : t);
    const Tree *optional = row ? tree_get(t, "optional") : NULL;
    if (optional)
        value_to_bool(el, tree_eval(el, el->scope, optional, NULL), optional->loc, "optional",
                      &yes);
}

// Shards, or rows of shards with weights.
static void check_source(Elab *el, const Tree *t, const Tree *data)
{
    bool rows = t->kind == TREE_LIST && t->items.n && t->items.at[0]->kind == TREE_MAP;
    const Tree *shuffle = tree_get(data, "shuffle");
    bool yes = true;
    if (!rows) {
        check_shards(el, t);
        return;
    }
    for (uint32_t i = 0; i < t->items.n; i++) {
        const Tree *row = t->items.at[i];
        if (!keys_check(el, row, MAPPING_SOURCE, false)) continue;
        if (tree_get(row, "shards")) check_shards(el, tree_get(row, "shards"));
        check_number(el, row, "weight", (Range){0.001, 1000, false});
    }
    if (!shuffle ||
        !value_to_bool(el, tree_eval(el, el->scope, shuffle, NULL), shuffle->loc, "shuffle",
                       &yes) ||
        yes)
        return;
    el_error(el, shuffle->loc, "sources with weights are mixed by shuffling");
    suggest(el, "true", NULL);
}

// ---- views ------------------------------------------------------------------------------------

static void check_span(Elab *el, const Tree *crop, const char *key, double lo, double hi)
{
    const Tree *t = tree_get(crop, key);
    double x[2];
    if (!t || !check_numbers(el, t, key, 2, "[lowest, highest]", (Range){lo, hi, false}, x)) return;
    if (x[0] <= x[1]) return;
    el_error(el, t->loc, "the first number of '%s' is the smaller one", key);
    suggest(el, str_printf(el->arena, "[%g, %g]", x[1], x[0]), NULL);
}

static void check_crop(Elab *el, const Tree *t)
{
    static const char *const words[] = {"centre", "stretch", NULL};
    if (t->kind == TREE_MAP) {
        if (!keys_check(el, t, MAPPING_CROP, false)) return;
        check_span(el, t, "scale", 1e-6, 1);
        check_span(el, t, "ratio", 1e-3, 1e3);
    } else if (t->kind != TREE_SCALAR) {
        el_error(el, t->loc, "'crop' is centre, stretch, or {scale: [lo, hi], ratio: [lo, hi]}");
        suggest_crop(el, t);
    } else if (strncmp(t->text, "rand", 4) == 0) {
        el_error(el, t->loc, "there is no crop '%s'", t->text);
        diag_help(el->diag, "a random crop says how much of the area it takes: "
                            "crop: {scale: [0.5, 1]}");
        diag_mend(el->diag, t->loc, "{scale: [0.5, 1]}");
    } else {
        one_of(el, t, "crop", words);
    }
}

// The series that a view, a field or what is replayed names.
static void check_series(Elab *el, const Tree *t)
{
    names_key(el, t, "series", "series", data_section(el, "series"));
}

static void check_replay(Elab *el, const Tree *view, const Tree *t)
{
    static const char *const ops[] = {"torchvision_randaugment", NULL};
    static const char *const taken[] = {"crop", "flip", "count"};
    if (!keys_check(el, t, MAPPING_REPLAY, false)) return;
    const Tree *word = tree_get(t, "ops"), *member = tree_get(t, "member"),
               *key = tree_get(t, "key");
    for (uint32_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        const Tree *other = tree_get(view, taken[i]);
        if (!other || (i == 0 && other->kind == TREE_SCALAR)) continue; // of evaluation
        el_error(el, other->loc, "a view that replays has no '%s'", taken[i]);
        diag_help(el->diag, "box and flip are those that are stored, one a sample");
        suggest_choices(el, without_key(el, view, taken[i]), (Choice){.text = NULL});
    }
    check_member(el, member);
    check_series(el, t);
    if (key) key_check(el, t);
    if (word) one_of(el, word, "set of operations", ops);
}

static void check_colour(Elab *el, const Tree *t)
{
    static const char *const strengths[] = {"brightness", "contrast", "saturation"};
    if (!keys_check(el, t, MAPPING_COLOUR, false)) return;
    for (uint32_t i = 0; i < sizeof strengths / sizeof *strengths; i++)
        check_number(el, t, strengths[i], (Range){0, 100, false});
    check_number(el, t, "hue", (Range){0, 0.5, false});
    check_number(el, t, "grey", (Range){0, 1, false});
    check_number(el, t, "blur", (Range){0, 1, false});
}

static void check_view(Elab *el, const Tree *t)
{
    if (!keys_check(el, t, MAPPING_VIEW, false)) {
        wrong(el, t);
        return;
    }
    const Tree *member = tree_get(t, "member"), *size = tree_get(t, "size"),
               *crop = tree_get(t, "crop"), *replay = tree_get(t, "replay"),
               *colour = tree_get(t, "colour");
    check_series(el, t);
    if (replay && replay->kind == TREE_MAP) check_replay(el, t, replay);
    if (colour && colour->kind == TREE_MAP) check_colour(el, colour);
    if (member) check_member(el, member);
    check_sides(el, size);
    check_number(el, t, "flip", (Range){0, 1, false});
    check_number(el, t, "count", (Range){1, MOST_COUNT, true});
    if (crop) check_crop(el, crop);
}

// ---- fields -----------------------------------------------------------------------------------

static void check_remap(Elab *el, const Tree *field)
{
    const Tree *t = tree_get(field, "remap");
    if (t->kind == TREE_LIST) {
        el_error(el, t->loc, "'remap' is {stored: used}, or a JSON file");
        suggest_choices(el, instead(el, t, table_of(el, t)), without_key(el, field, "remap"));
    }
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        char *end;
        double x;
        long stored = strtol(e->key->text, &end, 10);
        if (end == e->key->text || *end || stored < 0 || stored > MOST_CLASS) {
            el_error(el, e->key->loc, "'%s' is no stored class, a whole number from 0 to %d",
                     e->key->text, MOST_CLASS);
            suggest_choices(el, without_key(el, t, e->key->text), (Choice){.text = NULL});
        }
        in_range(el, tree_eval(el, el->scope, e->value, NULL), e->value->loc, "remap",
                 (Range){0, INT32_MAX, true}, &x);
    }
}

static void check_dtype(Elab *el, const Tree *field)
{
    static const char *const types[] = {"f32", "f16", "i32", "i64",  "i8",
                                        "u8",  "u16", "u32", "bool", NULL};
    const Tree *t = tree_get(field, "dtype");
    if (t && t->kind == TREE_SCALAR) one_of(el, t, "element type of arrays", types);
}

static bool is_role(const Tree *t, const char *role)
{
    const Tree *as = tree_get(t, "as");
    return as && as->kind == TREE_SCALAR && strcmp(as->text, role) == 0;
}

// Arrows and places cannot follow a view whose stored operations shear and turn it.
static void check_follow(Elab *el, const Tree *t)
{
    static const char *const roles[] = {"normals", "boxes", "points"};
    const Tree *follow = tree_get(t, "follow"), *views = data_section(el, "views"), *view = NULL;
    names_key(el, t, "follow", "view", views);
    if (follow && follow->kind == TREE_SCALAR && views)
        view = tree_get(views, follow->text);
    else if (!follow && views && views->entries.n)
        view = views->entries.at[0].value;
    const Tree *replay = tree_get(view, "replay");
    if (!replay || replay->kind != TREE_MAP || !tree_get(replay, "ops")) return;
    for (uint32_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (is_role(t, roles[i])) {
            el_error(el, follow ? follow->loc : t->loc,
                     "%s cannot follow a view whose 'replay' has 'ops'", roles[i]);
            diag_help(el->diag,
                      "stored operations shear and turn; class maps and maps follow them");
            suggest_view(el, t, views);
        }
}

static void check_places(Elab *el, const Tree *t)
{
    static const char *const boxes[] = {"coco", "xyxy_pixels", "xyxy_unit", NULL},
                             *const points[] = {"xy_pixels", "xy_unit", NULL};
    const Tree *format = tree_get(t, "format");
    if (format && format->kind == TREE_SCALAR)
        one_of(el, format, is_role(t, "points") ? "format of points" : "format of boxes",
               is_role(t, "points") ? points : boxes);
    check_number(el, t, "max", (Range){1, MOST_PLACES, true});
    check_number(el, t, "min_score", (Range){-1e30, 1e30, false});
    check_number(el, t, "min_area", (Range){0, 1e30, false});
    check_number(el, t, "min_visible", (Range){0, 1, false});
}

// A word, or the path of a file, which alone has other paddings than max_length.
static void check_tokenizer(Elab *el, const Tree *t, const Tree *pad)
{
    static const char *const pads[] = {"max_length", NULL};
    if (tokenizer_path(t)) return;
    if (strcmp(t->text, "clip") != 0) {
        el_error(el, t->loc, "there is no tokenizer '%s'", t->text);
        diag_help(el->diag, "clip, or the path of a tokenizer.json, as in gemma/tokenizer.json");
        suggest_word(el, t, "clip", "tokenizer.json");
    } else if (pad) {
        one_of(el, pad, "padding", pads);
    }
}

static void check_field(Elab *el, const Tree *t)
{
    if (!keys_check(el, t, MAPPING_FIELD, false)) {
        wrong(el, t);
        return;
    }
    const Tree *member = tree_get(t, "member"), *size = tree_get(t, "size"),
               *shape = tree_get(t, "shape"), *tokenizer = tree_get(t, "tokenizer"),
               *remap = tree_get(t, "remap"), *pad = tree_get(t, "pad"), *key = tree_get(t, "key");
    bool vector = is_role(t, "vector"), numbers = is_role(t, "map") || is_role(t, "normals");
    bool pixels = numbers || is_role(t, "class_map");
    double x[2];
    if (member) check_member(el, member);
    if (size && vector)
        check_numbers(el, size, "size", 1, "one number", (Range){1, MOST_VECTOR, true}, x);
    else if (size && pixels)
        check_sides(el, size);
    if (shape)
        check_numbers(el, shape, "shape", UINT32_MAX, "a list", (Range){1, 1 << 24, true}, x);
    if (tokenizer) check_tokenizer(el, tokenizer, pad);
    decides(el, t, check_dtype);
    if (remap) check_remap(el, t);
    if (key) key_check(el, t);
    check_series(el, t);
    decides(el, t, check_follow);
    check_number(el, t, "length", (Range){1, MOST_TOKENS, true});
    check_number(el, t, "classes", (Range){1, INT32_MAX, true});
    check_number(el, t, "ignore", (Range){INT32_MIN, INT32_MAX, true});
    if (numbers) check_number(el, t, "invalid", (Range){-1e30, 1e30, false});
    check_number(el, t, "scale", (Range){-1e30, 1e30, false});
    check_number(el, t, "offset", (Range){-1e30, 1e30, false});
    check_places(el, t);
}

static void each(Elab *el, const Tree *map, void (*check)(Elab *el, const Tree *t))
{
    for (uint32_t i = 0; map && map->kind == TREE_MAP && i < map->entries.n; i++)
        check(el, map->entries.at[i].value);
}

static void check_draw(Elab *el, const Tree *t)
{
    decides(el, t, draw_check);
}

void data_check(Elab *el)
{
    const Tree *data = tree_get(el->root, "data");
    if (!data || data->kind != TREE_MAP) return;
    const Tree *source = tree_get(data, "source");
    if (source) check_source(el, source, data);
    each(el, tree_get(data, "series"), check_one_series);
    each(el, tree_get(data, "draw"), check_draw);
    each(el, tree_get(data, "views"), check_view);
    each(el, tree_get(data, "fields"), check_field);
    check_number(el, data, "max_bad", (Range){0, 1, false});
    check_number(el, data, "seed", (Range){-9e15, 9e15, true});
}
