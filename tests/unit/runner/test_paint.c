// What cztc data says and draws of a sample, held against samples made by hand.
#include "runner/assets.h"
#include "runner/paint.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const Asset assets[] = {{0}}; // look.c opens a tokenizer where there are tokens; here are none

// A Look over one field and the slots of one sample.
typedef struct Case {
    Arena *arena;
    DataSlot slots[3];
    void *data[3];
    FieldSpec field;
    DataSpec spec;
    Feed feed;
    FieldLook seen;
    Look look;
} Case;

static void open_case(Case *c, Role role, CztDtype dtype, void *values, uint8_t *valid,
                      int64_t height, int64_t width, int64_t copies)
{
    static int64_t shape[] = {1};
    int64_t pixels = height * width * copies, channels = role == ROLE_NORMALS ? 3 : 1;
    *c = (Case){.arena = arena_new()};
    c->field = (FieldSpec){.name = "x", .role = role, .height = height, .width = width};
    c->spec = (DataSpec){.fields = &c->field, .nfields = 1};
    c->slots[0] = (DataSlot){"x", czt_dtype_name(dtype), shape, 1,
                             (size_t)(pixels * channels * czt_dtype_size(dtype))};
    c->slots[1] = (DataSlot){"x.valid", "u8", shape, 1, (size_t)pixels};
    c->data[0] = values;
    c->data[1] = valid;
    c->feed = (Feed){.spec = &c->spec, .slots = c->slots, .nslots = 2};
    c->seen = (FieldLook){.spec = &c->field,
                          .dtype = dtype,
                          .elements = pixels * channels,
                          .slot = 0,
                          .valid_slot = 1,
                          .present_slot = -1,
                          .low = INFINITY,
                          .high = -INFINITY};
    c->look = (Look){
        .arena = c->arena, .feed = &c->feed, .slots = c->data, .fields = &c->seen, .seen = 1};
}

static bool is_colour(const uint8_t *pixel, Colour c)
{
    return pixel[0] == c.r && pixel[1] == c.g && pixel[2] == c.b;
}

Test(paint, classes_have_their_colours_and_what_is_not_valid_is_hatched)
{
    Case c;
    int32_t values[] = {0, 5, 0, 5};
    uint8_t valid[] = {1, 1, 0, 1};
    open_case(&c, ROLE_CLASS_MAP, CZT_I32, values, valid, 2, 2, 1);
    Painting p = paint_label(c.arena, &c.look, &c.seen, 0);
    cr_expect(is_colour(p.rgba, class_colour(0)));
    cr_expect(is_colour(p.rgba + 4, class_colour(5)));
    cr_expect(is_colour(p.rgba + 12, class_colour(5)));
    cr_expect_eq(p.rgba[8], p.rgba[9], "a hatching is grey");
    cr_expect_gt(p.rgba[11], p.rgba[3], "a hatching hides what is under it");
    cr_expect_lt(p.rgba[3], 255, "a label lets its view through");
    cr_expect_eq(p.valid, 3);
    cr_expect_eq(p.classes[0], 1);
    cr_expect_eq(p.classes[5], 2);
    arena_free(c.arena);
}

static int distance(Colour a, Colour b)
{
    return abs(a.r - b.r) + abs(a.g - b.g) + abs(a.b - b.b);
}

Test(paint, classes_can_be_told_apart)
{
    enum { CLASSES = 48, LEAST = 40 };
    for (int a = 0; a < CLASSES; a++)
        for (int b = 0; b < a; b++)
            cr_expect_gt(distance(class_colour(a), class_colour(b)), LEAST, "%d and %d", a, b);
}

Test(paint, maps_take_the_whole_ramp)
{
    Case c;
    float values[] = {2, -1, 0, 0.5F, 9, 3}; // the second copy begins at the fourth
    uint8_t valid[] = {1, 1, 0, 1, 0, 1};
    open_case(&c, ROLE_MAP, CZT_F32, values, valid, 1, 3, 2);
    Painting first = paint_label(c.arena, &c.look, &c.seen, 0),
             second = paint_label(c.arena, &c.look, &c.seen, 1);
    cr_expect_eq(first.low, -1);
    cr_expect_eq(first.high, 2);
    cr_expect(is_colour(first.rgba, ramp_colour(1)));
    cr_expect(is_colour(first.rgba + 4, ramp_colour(0)));
    cr_expect_eq(second.low, 0.5);
    cr_expect_eq(second.high, 3);
    cr_expect_eq(second.valid, 2);
    cr_expect_gt(distance(ramp_colour(0), ramp_colour(1)), 300);
    values[0] = values[1] = 7; // one value everywhere
    first = paint_label(c.arena, &c.look, &c.seen, 0);
    cr_expect(is_colour(first.rgba, ramp_colour(0.5)));
    arena_free(c.arena);
}

Test(paint, directions_are_rgb)
{
    Case c;
    float values[] = {0, -1, 0, 0, 1, 0}; // x, y, z of two pixels
    uint8_t valid[] = {1, 1};
    open_case(&c, ROLE_NORMALS, CZT_F32, values, valid, 1, 2, 1);
    Painting p = paint_label(c.arena, &c.look, &c.seen, 0);
    cr_expect(is_colour(p.rgba, (Colour){128, 128, 255}));
    cr_expect(is_colour(p.rgba + 4, (Colour){0, 128, 128}));
    arena_free(c.arena);
}

Test(look, what_was_seen_is_said)
{
    Case c;
    int64_t *classes = calloc(LOOK_CLASSES, sizeof *classes);
    open_case(&c, ROLE_CLASS_MAP, CZT_I32, NULL, NULL, 1, 1, 1);
    c.seen.classes = classes;
    classes[3] = 1, classes[7] = 3, classes[9] = 3, classes[11] = 1;
    c.seen.values = 8, c.seen.asked = 10, c.seen.valid = 8;
    cr_expect_str_eq(look_text(&c.look, &c.seen), "4 classes: 7 (37.5 %), 9 (37.5 %), 3 (12.5 %), "
                                                  "11 (12.5 %); 80 % valid");
    c.seen.classes = NULL, c.seen.low = -0.5, c.seen.high = 2, c.seen.sum = 6, c.seen.nans = 2;
    cr_expect_str_eq(look_text(&c.look, &c.seen), "-0.5 to 2, mean 1; 80 % valid; 2 NaN");
    c.seen.missing = 1;
    cr_expect_str_eq(look_text(&c.look, &c.seen), "nothing");
    free(classes);
    arena_free(c.arena);
}
