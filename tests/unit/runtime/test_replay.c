// Views through the whole loader: of a series, replayed, with labels that follow, and with colours.
#include "runtime/data.h"

#include "data_folder.h"

enum { SIDE = 64, VIEW = 32, SAMPLES = 8, BATCH = 4 };

TestSuite(replay, .init = begin, .fini = end);

// Pixel (y, x) is (4 x, 4 y, 100 + number): never black.
static Bytes picture(int number)
{
    static unsigned char p[SIDE][SIDE][3];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            p[y][x][0] = (unsigned char)(4 * x), p[y][x][1] = (unsigned char)(4 * y),
            p[y][x][2] = (unsigned char)(100 + number);
    return make_png(&p[0][0][0], SIDE, SIDE, 3);
}

// A whole number for each place: x + 64 y.
static Bytes places(void)
{
    static uint16_t p[SIDE][SIDE];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) p[y][x] = (uint16_t)(x + SIDE * y);
    return make_npy("<u2", "(64, 64)", p, sizeof p);
}

static void add(TarWriter *t, int number, const char *extension, Bytes b)
{
    char name[64];
    Error err = {0};
    snprintf(name, sizeof name, "s%03d.%s", number, extension);
    cr_assert(tarwrite_add(t, name, b.at, b.n, &err), "%s", err.text);
    free(b.at);
}

static TarWriter *shard(const char *name)
{
    char path[400];
    Error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    TarWriter *t = tarwrite_open(path, &err);
    cr_assert(t, "%s", err.text);
    return t;
}

// Sources: m.tar has classes alone, p.tar, of the same keys, pictures, places and augmentations.
static void write_shards(const char *param_aug)
{
    TarWriter *m = shard("m.tar"), *p = shard("p.tar");
    Error err = {0};
    for (int i = 0; i < SAMPLES; i++) {
        add(m, i, "cls", (Bytes){(unsigned char *)strdup("1"), 1});
        add(p, i, "png", picture(i));
        add(p, i, "at.npy", places());
        char *text;
        int n = asprintf(&text, "{\"param_aug\": %s}", param_aug);
        add(p, i, "paug.json", (Bytes){(unsigned char *)text, (size_t)n});
    }
    cr_assert(tarwrite_close(m, &err) && tarwrite_close(p, &err));
}

#define HEAD "{\"source\":\"m.tar\",\"series\":{\"p\":[\"p.tar\"]},\"batch\":4,"
#define VIEW_OF_P "\"views\":[{\"name\":\"v\",\"series\":\"p\",\"size\":[32,32]"
#define REPLAY                                                                                     \
    ",\"replay\":{\"series\":\"p\",\"member\":[\"paug.json\"],\"key\":[\"param_aug\",1],\"ops\":"  \
    "true}"
#define LABEL                                                                                      \
    "\"fields\":[{\"name\":\"at\",\"role\":\"class_map\",\"series\":\"p\",\"member\":"             \
    "[\"at.npy\"],\"required\":true}]}"

typedef struct Seen {
    unsigned char v[SAMPLES][VIEW][VIEW][3], valid[SAMPLES][VIEW][VIEW];
    int32_t at[SAMPLES][VIEW][VIEW];
} Seen;

static Data *open_text(const char *text, int threads, Error *err)
{
    const DataSpec *spec = spec_parse_text(arena, text, strlen(text), err);
    return spec ? data_open(spec, &(DataOptions){.base_dir = folder, .threads = threads}, err)
                : NULL;
}

// An epoch, each sample at its number; the third slot may be missing.
static void epoch(Data *d, Seen *seen)
{
    static Seen batch;
    void *to[4] = {batch.v, batch.at, batch.valid, NULL};
    Error err = {0};
    for (int b = 0; b < SAMPLES / BATCH; b++) {
        cr_assert(data_next(d, to, NULL, &err), "%s", err.text);
        for (int i = 0; i < BATCH; i++) {
            int n = atoi(data_key(d, i) + 1);
            memcpy(seen->v[n], batch.v[i], sizeof *batch.v);
            memcpy(seen->at[n], batch.at[i], sizeof *batch.at);
            memcpy(seen->valid[n], batch.valid[i], sizeof *batch.valid);
        }
    }
}

static void load(const char *text, int threads, Seen *seen)
{
    Error err = {0};
    Data *d = open_text(text, threads, &err);
    cr_assert(d, "%s", err.text);
    epoch(d, seen);
    data_close(d);
}

// A box as large as the view is copied; so a pixel says where it came from, and so does its label.
static int compare(const Seen *seen, const char *param)
{
    int black = 0;
    for (int n = 0; n < SAMPLES; n++)
        for (int y = 0; y < VIEW; y++)
            for (int x = 0; x < VIEW; x++) {
                const unsigned char *p = seen->v[n][y][x];
                int32_t at = seen->at[n][y][x];
                black += !p[2];
                cr_assert_eq(seen->valid[n][y][x], p[2] != 0, "%s: %d, %d", param, y, x);
                if (!p[2]) continue;
                cr_assert_eq(p[2], 100 + n);
                cr_assert(at % SIDE == p[0] / 4 && at / SIDE == p[1] / 4,
                          "%s: pixel %d, %d is of (%d, %d), its label of (%d, %d)", param, y, x,
                          p[1] / 4, p[0] / 4, at / SIDE, at % SIDE);
            }
    return black / SAMPLES;
}

Test(replay, labels_follow_what_is_replayed)
{
    static Seen seen;
    static const struct {
        const char *aug;
        int y, x, least, most; // where the first pixel is from; how many are black
    } rows[] = {{"[[0, 0, 1, 1], [[5, 7, 32, 32], [[0, 0.0]]]]", 5, 7, 0, 0},
                {"\"[null, [[32, 32, 32, 32], true, null]]\"", 32, 63, 0, 0},
                {"[0, [[5, 7, 32, 32], [[3, -6.5]]]]", 5, 13, 6 * VIEW, 6 * VIEW},
                {"[0, [[5, 7, 32, 32], true, [[\"TranslateY\", -3]]]]", 8, 38, 3 * VIEW, 3 * VIEW},
                {"[0, [[5, 7, 32, 32], [[1, 0.3]]]]", 5, 7, 100, 200},
                {"[0, [[5, 7, 32, 32], [[2, -0.3]]]]", 5, 7, 100, 200},
                {"[0, [[5, 7, 32, 32], true, [[5, 27.0]]]]", -1, -1, 100, 400}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_shards(rows[i].aug);
        load(HEAD VIEW_OF_P REPLAY "}]," LABEL, 2, &seen);
        int black = compare(&seen, rows[i].aug);
        cr_expect(black >= rows[i].least && black <= rows[i].most, "%s: %d", rows[i].aug, black);
        if (rows[i].y < 0) continue;
        cr_expect_eq(seen.v[0][0][0][1], 4 * rows[i].y, "%s", rows[i].aug);
        cr_expect_eq(seen.v[0][0][0][0], 4 * rows[i].x, "%s", rows[i].aug);
    }
}

// Evaluation, and a graph that does not ask for operations, do not do them.
Test(replay, only_what_is_asked_for)
{
    static Seen seen, plain;
    write_shards("[0, [[5, 7, 32, 32], [[3, -6.5]]]]");
    load(HEAD VIEW_OF_P ",\"replay\":{\"series\":\"p\",\"member\":[\"paug.json\"],\"key\":["
                        "\"param_aug\",1]}}]," LABEL,
         2, &seen);
    cr_expect_eq(compare(&seen, "no ops"), 0);
    cr_expect_eq(seen.v[0][0][0][0], 4 * 7);
    load(HEAD "\"shuffle\":false," VIEW_OF_P REPLAY "}]," LABEL, 2, &seen);
    load(HEAD VIEW_OF_P "}]," LABEL, 2, &plain);
    cr_expect_arr_eq(seen.v, plain.v, sizeof seen.v);
}

static void told(void *user, const DataProblem *p)
{
    snprintf(user, 400, "%s|%s|%s", p->key, p->member, p->reason);
}

Test(replay, bad_augmentations_are_bad_samples)
{
    static const struct {
        const char *aug, *why;
    } rows[] = {
        {"[0, [[40, 40, 32, 32]]]", "s000|png|augmentation: the box [40, 40, 32, 32] is not"},
        {"[0, [[0, 0, 8, 8], [[20, 1]]]]", "p.tar: augmentation: operation number is not"},
        {"[0]", "p.tar: key: index 1 of 1 items"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static const char text[] =
            HEAD "\"shuffle\":false,\"augment\":true," VIEW_OF_P REPLAY "}]}";
        char why[400] = "";
        Error err = {0};
        write_shards(rows[i].aug);
        const DataSpec *spec = spec_parse_text(arena, text, strlen(text), &err);
        cr_assert(spec, "%s", err.text);
        Data *d = data_open(
            spec, &(DataOptions){.base_dir = folder, .threads = 1, .report = told, .user = why},
            &err);
        cr_expect_not(data_next(d, (void *[1]){0}, NULL, &err));
        cr_expect(strstr(why, rows[i].why), "%s", why);
        data_close(d);
    }
}

Test(replay, normals_cannot_follow_operations)
{
    Error err = {0};
    cr_expect_null(open_text(HEAD VIEW_OF_P REPLAY "}],\"fields\":[{\"name\":\"n\",\"role\":"
                                                   "\"normals\"}]}",
                             1, &err));
    cr_expect(strstr(err.text, "fields[0].follow: the view's stored operations shear and turn"),
              "%s", err.text);
}

static int apart(const Seen *a, const Seen *b)
{
    int n = 0;
    for (int i = 0; i < SAMPLES; i++) n += memcmp(a->v[i], b->v[i], sizeof *a->v) != 0;
    return n;
}

// Colours are of the sample, the epoch and the view, not of who decodes it.
Test(replay, colours_do_not_depend_on_workers)
{
    static const char text[] =
        HEAD VIEW_OF_P ",\"colour\":{\"brightness\":0.4,\"hue\":0.2,\"contrast\":0.3,"
                       "\"saturation\":0.5,\"grey\":0.1}}]," LABEL;
    static Seen one, four, plain, second;
    Error err = {0};
    write_shards("[]");
    load(text, 1, &one);
    Data *d = open_text(text, 4, &err);
    cr_assert(d, "%s", err.text);
    epoch(d, &four);
    epoch(d, &second);
    data_close(d);
    load(HEAD VIEW_OF_P "}]," LABEL, 2, &plain);
    cr_expect_eq(apart(&one, &four), 0);
    cr_expect_eq(apart(&one, &second), SAMPLES);
    cr_expect_eq(apart(&one, &plain), SAMPLES);
    cr_expect_arr_eq(one.at, plain.at, sizeof one.at, "colours move no label");
}
