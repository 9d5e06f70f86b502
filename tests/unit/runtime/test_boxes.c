// Boxes and points read from JSON, cut by views, and what is wrong in such a member.
#include "runtime/boxes.h"

#include "data_make.h"

#include <math.h>

enum { ROWS = 4, COPIES = 2 };

static const char *const names[] = {"cat", "dog", "bird"};
static const Geometry whole = {0, 0, 1, 1, false};

// Rows of up to two copies; the guard behind them must stay as it was.
typedef struct Case {
    float at[COPIES * ROWS * 4 + 1], score[COPIES * ROWS + 1];
    int32_t class[COPIES * ROWS + 1];
    uint8_t valid[COPIES * ROWS + 1];
    PlaceRows rows;
    Error err;
} Case;

// A field for a view of 20 x 10 pixels, of pictures of 200 x 100 (width, height).
static FieldSpec boxes_field(PlaceFormat format)
{
    return (FieldSpec){.name = "b",
                       .role = ROLE_BOXES,
                       .height = 10,
                       .width = 20,
                       .length = ROWS,
                       .format = format,
                       .names = {(const char **)(uintptr_t)names, 3},
                       .classes = 3,
                       .min_score = -1e30,
                       .min_visible = 0.1};
}

static bool read_views(Case *c, const FieldSpec *f, const char *text, const Geometry *g, int copies)
{
    memset(c, 0x5A, sizeof *c);
    c->err = (Error){0};
    c->rows = (PlaceRows){c->at, c->class, c->score, c->valid, 0};
    Scratch scratch = {0};
    size_t n = strlen(text);
    char *exact = malloc(n + 1); // so that reading past the end is seen
    memcpy(exact, text, n);
    bool ok = places_decode(f, exact, n, &(Cuts){g, copies, 100, 200}, &scratch, &c->rows, &c->err);
    free(exact);
    scratch_free(&scratch);
    int all = copies * ROWS, width = f->role == ROLE_BOXES ? 4 : 2;
    cr_assert_eq(c->valid[all], 0x5A);
    cr_assert_eq(c->class[all], 0x5A5A5A5A);
    cr_assert_eq(memcmp(&c->at[all * width], &c->class[all], 4), 0);
    return ok;
}

static bool read_one(Case *c, const FieldSpec *f, const char *text)
{
    return read_views(c, f, text, &whole, 1);
}

static void expect_row(const Case *c, int row, float a, float b, float x, float y, int class)
{
    const float want[4] = {a, b, x, y};
    cr_assert(c->valid[row], "row %d", row);
    for (int k = 0; k < 4; k++)
        cr_expect_float_eq(c->at[4 * row + k], want[k], 1e-5F, "row %d, %d: %g", row, k,
                           c->at[4 * row + k]);
    cr_expect_eq(c->class[row], class, "row %d: class %d", row, c->class[row]);
}

// Rows from `n` on are zeros and not valid.
static void expect_rest(const Case *c, int n)
{
    for (int i = n; i < ROWS; i++) {
        cr_expect_not(c->valid[i]);
        cr_expect(c->class[i] == 0 && c->score[i] == 0);
        for (int k = 0; k < 4; k++) cr_expect_eq(c->at[4 * i + k], 0);
    }
}

Test(boxes, three_formats_say_the_same)
{
    static const struct {
        PlaceFormat format;
        const char *text;
    } cases[] = {
        {FORMAT_COCO, "{\"boxes\": [[20, 10, 100, 40], [0, 0, 200, 100]], \"classes\": [2, 0]}"},
        {FORMAT_PIXELS, "{\"boxes\": [[20, 10, 120, 50], [0, 0, 200, 100]], \"classes\": [2, 0]}"},
        {FORMAT_UNIT, "{\"boxes\": [[0.1, 0.1, 0.6, 0.5], [0, 0, 1, 1]], \"classes\": [2, 0]}"},
        {FORMAT_COCO, "{\"boxes\": [[2, 1, 10, 4], [0, 0, 20, 10]], \"size\": [10, 20],"
                      " \"labels\": [\"bird\", \"cat\"], \"other\": {}}"},
        {FORMAT_COCO, "[{\"bbox\": [20, 10, 100, 40], \"category_id\": 2},"
                      " {\"bbox\": [5, 5, 9, 9], \"category_id\": 1, \"iscrowd\": 1},"
                      " {\"bbox\": [0, 0, 200, 100], \"category\": \"cat\", \"iscrowd\": 0}]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Case c;
        FieldSpec f = boxes_field(cases[i].format);
        cr_assert(read_one(&c, &f, cases[i].text), "%zu: %s", i, c.err.text);
        expect_row(&c, 0, 2, 1, 12, 5, 2);
        expect_row(&c, 1, 0, 0, 20, 10, 0);
        expect_rest(&c, 2);
        cr_expect(c.score[0] == 1 && c.score[1] == 1 && !c.rows.dropped);
    }
}

Test(boxes, a_file_without_boxes_is_a_negative)
{
    Case c;
    FieldSpec f = boxes_field(FORMAT_COCO);
    static const char *const texts[] = {"[]", "{\"boxes\": []}",
                                        "{\"boxes\": [], \"classes\": [], \"scores\": null}"};
    for (int i = 0; i < 3; i++) {
        cr_assert(read_one(&c, &f, texts[i]), "%s", c.err.text);
        expect_rest(&c, 0);
    }
}

Test(boxes, are_cut_and_flipped_with_each_copy)
{
    // The right half, flipped; the upper left quarter. In pixels of 20 x 10 views the picture's
    // shares count 40 x 10 and 40 x 20.
    const Geometry g[] = {{0.5, 0, 1, 1, true}, {0, 0, 0.5, 0.5, false}};
    Case c;
    FieldSpec f = boxes_field(FORMAT_UNIT);
    f.min_visible = 0.25;
    cr_assert(read_views(&c, &f,
                         "{\"boxes\": [[0.6, 0.2, 0.7, 0.8], [0.4, 0.4, 0.6, 0.6], [0, 0, 0.51, 1],"
                         " [-0.2, 0.1, 0.2, 0.3]], \"classes\": [0, 1, 2, 0]}",
                         g, 2),
              "%s", c.err.text);
    expect_row(&c, 0, 12, 2, 16, 8, 0);
    expect_row(&c, 1, 16, 4, 20, 6, 1);     // its right half
    expect_rest(&c, 2);                     // of the third less than a quarter, of the last nothing
    expect_row(&c, ROWS, 16, 8, 20, 10, 1); // a quarter
    expect_row(&c, ROWS + 1, 0, 0, 20, 10, 2); // 0.49 of it
    expect_row(&c, ROWS + 2, 0, 2, 8, 6, 0);   // what lies outside of the picture was never there
    cr_expect_not(c.valid[ROWS + 3]);
}

Test(boxes, small_unlikely_and_ignored_ones_go)
{
    Case c;
    FieldSpec f = boxes_field(FORMAT_PIXELS);
    f.min_area = 2, f.min_score = 0.3, f.has_ignore = true, f.ignore = 9;
    f.remap = malloc(65536 * sizeof *f.remap);
    for (int i = 0; i < 65536; i++) f.remap[i] = i;
    f.remap[17] = 1, f.remap[18] = 9;
    cr_assert(
        read_one(&c, &f,
                 "{\"boxes\": [[0, 0, 10, 10], [0, 0, 20, 10], [0, 0, 99, 99], [0, 0, 99, 99],"
                 " [7, 7, 7, 50], [0, 0, 20, 20]],"
                 " \"classes\": [0, 17, 18, 2, 0, 2], \"scores\": [1, 0.5, 1, 0.2, 1, 0.3]}"),
        "%s", c.err.text);
    expect_row(&c, 0, 0, 0, 2, 1, 1); // an area of 2
    expect_row(&c, 1, 0, 0, 2, 2, 2);
    expect_rest(&c, 2);
    cr_expect(c.score[0] == 0.5F && c.score[1] == 0.3F);
    free(f.remap);
}

Test(boxes, of_too_many_the_smallest_go)
{
    Case c;
    FieldSpec f = boxes_field(FORMAT_PIXELS);
    cr_assert(
        read_one(&c, &f,
                 "{\"boxes\": [[0, 0, 20, 10], [0, 0, 100, 100], [0, 0, 50, 50], [0, 0, 50, 50],"
                 " [0, 0, 40, 100], [0, 0, 50, 50]], \"classes\": [0, 1, 2, 0, 1, 2]}"),
        "%s", c.err.text);
    cr_expect_eq(c.rows.dropped, 2);
    expect_row(&c, 0, 0, 0, 10, 10, 1);
    expect_row(&c, 1, 0, 0, 5, 5, 2); // of equal ones the first stay
    expect_row(&c, 2, 0, 0, 5, 5, 0);
    expect_row(&c, 3, 0, 0, 4, 10, 1);
}

Test(boxes, points_keep_their_rows)
{
    const Geometry g = {0, 0, 0.5, 1, true};
    Case c;
    FieldSpec f = boxes_field(FORMAT_PIXELS);
    f.role = ROLE_POINTS;
    cr_assert(read_views(&c, &f,
                         "{\"points\": [[25, 10], null, [150, 10], [100, 100], [1, 1]],"
                         " \"labels\": [\"dog\", \"cat\", \"cat\", \"bird\", \"cat\"]}",
                         &g, 1),
              "%s", c.err.text);
    cr_expect(c.valid[0] && !c.valid[1] && !c.valid[2] && c.valid[3]);
    cr_expect(c.at[0] == 15 && c.at[1] == 1 && c.at[6] == 0 && c.at[7] == 10);
    cr_expect(c.at[2] == 0 && c.at[5] == 0 && c.class[0] == 1 && c.class[3] == 2);
    cr_expect_eq(c.rows.dropped, 1);
    cr_assert(read_one(&c, &f, "[{\"point\": [20, 30], \"category_id\": 1, \"score\": 0.5}]"));
    cr_expect(c.valid[0] && c.at[0] == 2 && c.at[1] == 3 && c.score[0] == 0.5F);
}

#define BOX "{\"boxes\": [[1, 2, 3, 4]]"
#define ONE "{\"boxes\": "

Test(boxes, what_is_wrong_is_named)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "json: line"},
        {"{\"boxes\": [[NaN, 0, 1, 1]], \"classes\": [0]}", "json: line 1"},
        {ONE "[[1, 2, 3, 1e999]], \"classes\": [0]}", "json: line 1"},
        {ONE "[], \"boxes\": []}", "duplicate"},
        {"7", "json: line 1"},
        {"{}", "neither an object with a list 'boxes' nor a list of annotations"},
        {"{\"boxes\": 3}", "neither an object with a list 'boxes'"},
        {ONE "[[1, 2, 3]], \"classes\": [0]}", "box 0: 4 numbers are wanted"},
        {ONE "[null], \"classes\": [0]}", "box 0: 4 numbers are wanted"},
        {ONE "[[1, 2, \"3\", 4]], \"classes\": [0]}", "box 0: a coordinate is no number"},
        {ONE "[[1, 2, 3, 1e7]], \"classes\": [0]}", "box 0: a coordinate is out of range"},
        {ONE "[[1, 2, 3, 4], [9, 9, -1, 5]], \"classes\": [0, 0]}",
         "box 1: its width or height is negative"},
        {BOX "}", "box 0: it has no class"},
        {BOX ", \"classes\": [0, 1]}", "'classes' is no list of 1 items, one for each of 'boxes'"},
        {BOX ", \"classes\": 0}", "'classes' is no list of 1 items"},
        {BOX ", \"classes\": [3]}", "box 0: class 3 is outside 0 to 2"},
        {BOX ", \"classes\": [-1]}", "its class is no whole number from 0 on"},
        {BOX ", \"classes\": [1.5]}", "its class is no whole number from 0 on"},
        {BOX ", \"classes\": [99999999999]}", "its class is no whole number from 0 on"},
        {BOX ", \"labels\": [\"cow\"]}", "box 0: 'cow' is none of the 3 names"},
        {BOX ", \"labels\": [1]}", "box 0: a class's name is a text"},
        {BOX ", \"labels\": [\"cat\"], \"classes\": [0]}", "and one is wanted"},
        {BOX ", \"classes\": [0], \"scores\": [\"1\"]}", "box 0: its score is no number"},
        {BOX ", \"classes\": [0], \"size\": [0, 10]}", "'size' is [height, width]"},
        {BOX ", \"classes\": [0], \"size\": 10}", "'size' is [height, width]"},
        {"[{\"category_id\": 0}]", "box 0: it has no 'bbox'"},
        {"[[1, 2, 3, 4]]", "box 0: it has no 'bbox'"},
        {"[{\"bbox\": [1, 2, 3, 4]}]", "box 0: it has no class"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Case c;
        FieldSpec f = boxes_field(FORMAT_COCO);
        cr_assert_not(read_one(&c, &f, cases[i].text), "%s", cases[i].text);
        cr_expect(strstr(c.err.text, cases[i].want), "%s: %s", cases[i].text, c.err.text);
    }
    Case c;
    FieldSpec f = boxes_field(FORMAT_UNIT);
    cr_assert_not(read_one(&c, &f, ONE "[[10, 20, 30, 40]], \"classes\": [0]}"));
    cr_expect(strstr(c.err.text, "no shares of the picture's width and height"), "%s", c.err.text);
    f = boxes_field(FORMAT_PIXELS);
    cr_assert_not(read_one(&c, &f, ONE "[[10, 20, 9, 40]], \"classes\": [0]}"));
    cr_expect(strstr(c.err.text, "right or bottom edge lies before"), "%s", c.err.text);
    f.names.n = 0;
    cr_assert_not(read_one(&c, &f, ONE "[[1, 2, 3, 4]], \"labels\": [\"cat\"]}"));
    cr_expect(strstr(c.err.text, "the field has no 'names'"), "%s", c.err.text);
}

// Members with bytes changed, cut out and doubled: an error or rows in which every box lies in the
// view, never a crash.
Test(boxes, damaged_members_do_no_harm)
{
    static const char *const seeds[] = {
        "{\"boxes\": [[20, 10, 100, 40], [0, 0, 200, 100]], \"classes\": [2, 0], \"size\": [9, 9]}",
        "[{\"bbox\": [20, 10, 100, 40], \"category_id\": 2, \"score\": 0.5, \"iscrowd\": 0}]",
        ("{\"boxes\": [[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 9, 9], [1, 1, 1, 1], [2, 2, 50, 50]], "
         "\"labels\": [\"cat\", \"dog\", \"cat\", \"dog\", \"bird\"], \"scores\": [1, 2, 3, 4, "
         "5]}"),
    };
    static const char letters[] = "0123456789.-+eE,:[]{}\"nul truefas\\";
    uint64_t state = 88172645463325252U;
    int good = 0;
    for (int round = 0; round < 30000; round++) {
        char text[400];
        strcpy(text, seeds[round % 3]);
        size_t n = strlen(text);
        for (int k = 0; k <= round % 3; k++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            size_t at = state % n;
            if (state >> 60 == 0)
                text[n = at + 1] = 0;
            else
                text[at] = letters[(state >> 20) % (sizeof letters - 1)];
        }
        Case c;
        FieldSpec f = boxes_field((PlaceFormat)(round / 3 % 3));
        if (!read_one(&c, &f, text)) {
            cr_assert(*c.err.text);
            continue;
        }
        good++;
        for (int i = 0; i < ROWS; i++) {
            const float *b = &c.at[4 * i];
            cr_assert(!c.valid[i] || (b[0] >= 0 && b[0] < b[2] && b[2] <= 20), "%s", text);
            cr_assert(!c.valid[i] || (b[1] >= 0 && b[1] < b[3] && b[3] <= 10), "%s", text);
            cr_assert(c.class[i] >= 0 && c.class[i] < 3, "%s", text);
        }
    }
    cr_expect_gt(good, 1000);
}
