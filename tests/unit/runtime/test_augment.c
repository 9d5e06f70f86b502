// Stored augmentations and colours against what torchvision made of a picture
// (tests/parity/augment_fixture.py), and what they do to labels.
#include "runtime/augment.h"
#include "runtime/pixels.h"
#include "runtime/view.h"

#include "data_make.h"

#include <math.h>

enum { H = 37, W = 53, VIEW_H = 20, VIEW_W = 24, VIEW = VIEW_H * VIEW_W * 3 };

static const ViewSpec spec = {.name = "v", .height = VIEW_H, .width = VIEW_W, .count = 1};

typedef struct Fixture {
    Bytes bytes;
    Decoder decoder;
    size_t at; // of the next result
} Fixture;

static Fixture fixture(void)
{
    Fixture f = {slurp(CZT_SOURCE_DIR "/tests/data/runtime/augment/fixture.bin"), .at = H * W * 3};
    f.decoder.image = (Image){f.bytes.at, H, W, 0};
    return f;
}

static void fixture_free(Fixture *f)
{
    cr_expect_eq(f->at, f->bytes.n, "results are left: %zu of %zu", f->at, f->bytes.n);
    f->decoder.image = (Image){0};
    decoder_free(&f->decoder);
    free(f->bytes.at);
}

static const unsigned char *next(Fixture *f)
{
    f->at += VIEW;
    cr_assert_leq(f->at, f->bytes.n);
    return f->bytes.at + f->at - VIEW;
}

static void same(const unsigned char *x, const unsigned char *wanted, const char *what)
{
    int off = 0;
    for (int i = 0; i < VIEW; i++) off += x[i] != wanted[i];
    cr_expect_eq(off, 0, "%s: %d of %d bytes differ", what, off, VIEW);
}

static Replay replay_text(const char *text)
{
    Replay r;
    Error err = {0};
    json_t *json = json_loads(text, 0, NULL);
    cr_assert(replay_read(json, true, &r, &err), "%s", err.text);
    json_decref(json);
    return r;
}

static void replayed(Fixture *f, const char *text)
{
    unsigned char out[VIEW];
    Geometry g;
    Error err = {0};
    Replay r = replay_text(text);
    cr_assert(view_replay(&spec, &r, &f->decoder, &g, out, &err), "%s", err.text);
    same(out, next(f), text);
}

Test(augment, has_the_bits_of_torchvision)
{
    static const char *const ops[] = {
        "[0, 0]",     "[1, 0.09]",   "[1, -0.3]",  "[2, 0.09]",  "[\"ShearY\", -0.21]",
        "[3, 3.7]",   "[3, -5.2]",   "[4, 4.4]",   "[4, -2.9]",  "[\"Rotate\", 9.0]",
        "[5, -27.0]", "[6, 0.27]",   "[6, -0.45]", "[7, 0.9]",   "[7, -0.9]",
        "[8, 0.27]",  "[8, -0.63]",  "[9, 0.81]",  "[9, -0.27]", "[10, 4.0]",
        "[10, 7.0]",  "[11, 178.5]", "[11, 59.5]", "[12, 0.0]",  "[\"Equalize\", 0.0]"};
    static const double hues[] = {0.3, -0.5, 0.11};
    Fixture f = fixture();
    const unsigned char *view = f.bytes.at + f.at;
    replayed(&f, "[[5, 8, 27, 40]]");
    replayed(&f, "[[5, 8, 27, 40], true, null]");
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        char text[100];
        snprintf(text, sizeof text, "[[5, 8, 27, 40], [%s]]", ops[i]);
        replayed(&f, text);
    }
    unsigned char out[VIEW];
    for (int i = 0; i < 3; i++) {
        memcpy(out, view, VIEW);
        pixels_hue(out, VIEW_H * VIEW_W, hues[i]);
        same(out, next(&f), "hue");
    }
    memcpy(out, view, VIEW);
    pixels_grey(out, VIEW_H * VIEW_W);
    same(out, next(&f), "grey");
    replayed(&f, "[[5, 8, 27, 40], true, [[5, 18.0], [\"Color\", 0.54]]]");
    fixture_free(&f);
}

// ---- what is stored -----------------------------------------------------------------------------

Test(augment, what_is_not_understood_is_said)
{
    static const struct {
        const char *text, *why;
    } rows[] = {{"7", "a list is wanted"},
                {"[[1, 2, 3]]", "a box is [top, left, height, width]"},
                {"[[1, 2, 0, 4]]", "a box is [top, left, height, width]"},
                {"[[1, 2, 3, 4], [1, 2, 3, 4]]", "once"},
                {"[\"left\"]", "item 0 is no box"},
                {"[[[14, 0.5]]]", "operation number is not known"},
                {"[[[\"Invert\", 0]]]", "operation Invert is not known"},
                {"[[[5]]]", "Rotate has no magnitude"},
                {"[[[1, 1e300]]]", "ShearX has no magnitude"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Replay r;
        Error err = {0};
        json_t *json = json_loads(rows[i].text, JSON_DECODE_ANY, NULL);
        cr_expect_not(replay_read(json, true, &r, &err), "%s", rows[i].text);
        cr_expect(strstr(err.text, rows[i].why), "%s: %s", rows[i].text, err.text);
        json_decref(json);
    }
    Replay none = replay_text("[]"), flip = replay_text("[null, true, []]");
    cr_expect(!none.has_box && !none.flip && flip.flip && !flip.nops);
}

Test(augment, a_box_outside_of_the_picture_is_an_error)
{
    unsigned char out[VIEW];
    Geometry g;
    Error err = {0};
    Fixture f = fixture();
    Replay r = replay_text("[[20, 0, 18, 10]]");
    cr_expect_not(view_replay(&spec, &r, &f.decoder, &g, out, &err));
    cr_expect(strstr(err.text, "[20, 0, 18, 10] is not in a picture of height 37 and width 53"),
              "%s", err.text);
    f.at = f.bytes.n;
    fixture_free(&f);
}

// ---- labels -------------------------------------------------------------------------------------

// A label as large as its view moves as the view's pixels do.
Test(augment, labels_move_as_pixels_do)
{
    static const char *const moves[] = {"[[[3, 3.7]]]", "[[[4, -2.9]]]", "[[[1, 0.09]]]",
                                        "[[[2, -0.21], [3, 2]]]", "[[[5, 9], [8, 0.3]]]"};
    for (size_t m = 0; m < sizeof moves / sizeof *moves; m++) {
        static unsigned char pixels[VIEW];
        static uint32_t value[VIEW / 3];
        static unsigned char valid[VIEW / 3];
        Scratch scratch = {0};
        Replay r = replay_text(moves[m]);
        for (int i = 0; i < VIEW / 3; i++) {
            value[i] = (uint32_t)(1 + i % 255), valid[i] = 1;
            for (int c = 0; c < 3; c++) pixels[3 * i + c] = (unsigned char)value[i];
        }
        for (uint32_t i = 0; i < r.nops && r.ops[i].kind != AUG_CONTRAST; i++)
            cr_assert(augment_pixels(&r.ops[i], pixels, VIEW_H, VIEW_W, &scratch));
        cr_assert(
            augment_label(r.ops, r.nops, VIEW_H, VIEW_W, value, valid, VIEW_H, VIEW_W, &scratch));
        int off = 0, out = 0;
        for (int i = 0; i < VIEW / 3; i++) {
            off += value[i] != pixels[3 * i];
            out += !valid[i];
            cr_expect(valid[i] == (value[i] != 0));
        }
        // two moves are one of a label and two roundings of a picture
        cr_expect_leq(off, r.nops > 1 && r.ops[1].kind != AUG_CONTRAST ? VIEW / 3 / 10 : 0,
                      "%s: %d differ", moves[m], off);
        cr_expect(out > 10 && out < VIEW / 6, "%s: %d are not valid", moves[m], out);
        scratch_free(&scratch);
    }
}

// Half as large, a shift by 4 pixels is one of 2.
Test(augment, a_small_label_moves_in_its_views_pixels)
{
    enum { HALF = VIEW_W / 2 };
    uint32_t value[HALF * HALF];
    unsigned char valid[HALF * HALF];
    Scratch scratch = {0};
    Replay r = replay_text("[[[3, 4]]]");
    for (int i = 0; i < HALF * HALF; i++) value[i] = (uint32_t)(i % HALF + 1), valid[i] = 1;
    cr_assert(augment_label(r.ops, r.nops, VIEW_W, VIEW_W, value, valid, HALF, HALF, &scratch));
    for (int i = 0; i < HALF * HALF; i++)
        cr_expect_eq(value[i], i % HALF < 2 ? 0U : (uint32_t)(i % HALF - 1));
    scratch_free(&scratch);
}

// ---- drawn colours ------------------------------------------------------------------------------

static void drawn(const ColourRule *rule, uint64_t key, uint64_t sample, unsigned char *out)
{
    for (int i = 0; i < VIEW; i++) out[i] = (unsigned char)(100 + i % 3 * 40);
    Scratch scratch = {0};
    cr_assert(colour_draw(rule, key, 3, sample, out, VIEW_H, VIEW_W, &scratch));
    scratch_free(&scratch);
}

Test(augment, colours_are_drawn_within_their_strength)
{
    static unsigned char plain[VIEW], out[VIEW], again[VIEW];
    double least = 9, most = 0;
    int grey = 0;
    drawn(&(ColourRule){0}, 1, 1, plain);
    cr_expect_eq(plain[0], 100, "no rule changes nothing");
    for (uint64_t sample = 0; sample < 200; sample++) {
        drawn(&(ColourRule){.brightness = 0.4}, 1, sample, out);
        drawn(&(ColourRule){.brightness = 0.4}, 1, sample, again);
        cr_expect_arr_eq(out, again, VIEW);
        double factor = out[0] / 100.0;
        least = factor < least ? factor : least, most = factor > most ? factor : most;
        drawn(&(ColourRule){.grey = 0.25}, 1, sample, out);
        grey += out[0] == out[1];
        drawn(&(ColourRule){.hue = 0.1, .saturation = 0.5, .contrast = 0.3}, 1, sample, out);
        cr_expect(out[0] != 100 || out[1] != 140);
    }
    cr_expect(least >= 0.59 && least < 0.65 && most <= 1.4 && most > 1.35, "%g, %g", least, most);
    cr_expect(grey > 30 && grey < 70, "%d of 200 are grey", grey);
}

// Of a single bright pixel a Gaussian is left; of two at the edge, what their mirror images add.
Test(augment, blur_is_gaussian)
{
    enum { N = 21, MID = N / 2 };
    static unsigned char at[N][N][3];
    static float room[N * N * 3];
    at[MID][MID][1] = 255;
    pixels_blur(&at[0][0][0], N, N, 1.5, room);
    double sum = 0;
    for (int y = 0; y < N; y++)
        for (int x = 0; x < N; x++) {
            double far = (x - MID) * (x - MID) + (y - MID) * (y - MID);
            double wanted = 255 * exp(-far / (2 * 1.5 * 1.5)) / (2 * M_PI * 1.5 * 1.5);
            cr_expect(fabs(at[y][x][1] - wanted) < 0.7, "%d, %d: %d, not %g", y, x, at[y][x][1],
                      wanted);
            cr_expect(!at[y][x][0] && !at[y][x][2]);
            sum += at[y][x][1];
        }
    cr_expect(fabs(sum - 255) < 20, "the light stays: %g", sum);
    unsigned char edge[1][3][3] = {{{0, 200, 9}, {100, 100, 9}, {200, 0, 9}}};
    pixels_blur(&edge[0][0][0], 1, 3, 0.5, room);
    // weights of 0, 1 and 2 pixels: 0.7866, 0.1065, 0.0003; the middle is seen on both sides
    cr_expect_eq(edge[0][0][0], 21);
    cr_expect_eq(edge[0][1][0], 100);
    cr_expect_eq(edge[0][0][1], 179);
    cr_expect_eq(edge[0][2][2], 9);
    int blurred = 0;
    for (uint64_t sample = 0; sample < 100; sample++) {
        static unsigned char plain[VIEW], out[VIEW];
        drawn(&(ColourRule){0}, 1, sample, plain);
        plain[0] = 0;
        memcpy(out, plain, VIEW);
        Scratch scratch = {0};
        cr_assert(
            colour_draw(&(ColourRule){.blur = 0.5}, 2, 0, sample, out, VIEW_H, VIEW_W, &scratch));
        scratch_free(&scratch);
        blurred += memcmp(out, plain, VIEW) != 0;
    }
    cr_expect(blurred > 25 && blurred < 65, "%d of 100", blurred);
}
