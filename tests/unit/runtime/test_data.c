// The loader as a whole: shards in a temporary folder -> batches.
#include "runtime/data.h"

#include "data_folder.h"

#include <math.h>

enum { SIDE = 64, SAMPLES = 40, PER_SHARD = 10 };

TestSuite(data, .init = begin, .fini = end);

// ---- A small world: pixel (y, x) of every picture is (4 x, 4 y, number); labels say x as well
// ----

static void add(TarWriter *t, int number, const char *extension, const void *data, size_t n)
{
    char name[64];
    Error err = {0};
    snprintf(name, sizeof name, "s%03d.%s", number, extension);
    cr_assert(tarwrite_add(t, name, data, n, &err), "%s", err.text);
}

static void add_bytes(TarWriter *t, int number, const char *extension, Bytes b)
{
    add(t, number, extension, b.at, b.n);
    free(b.at);
}

static Bytes picture(int number)
{
    static unsigned char p[SIDE][SIDE][3];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            p[y][x][0] = (unsigned char)(4 * x), p[y][x][1] = (unsigned char)(4 * y),
            p[y][x][2] = (unsigned char)number;
    return make_png(&p[0][0][0], SIDE, SIDE, 3);
}

// Class x / 8 at half the picture's size; the top quarter is 255.
static Bytes class_map(void)
{
    static unsigned char p[SIDE / 2][SIDE / 2];
    for (int y = 0; y < SIDE / 2; y++)
        for (int x = 0; x < SIDE / 2; x++) p[y][x] = (unsigned char)(y < SIDE / 8 ? 255 : x / 4);
    return make_png(&p[0][0], SIDE / 2, SIDE / 2, 1);
}

static Bytes depth_map(void)
{
    static float p[SIDE][SIDE];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) p[y][x] = y < SIDE / 4 ? -1 : (float)x;
    return make_npy("<f4", "(64, 64)", p, sizeof p);
}

// All normals are (0.6, 0, 0.8) but the left column, which has none.
static Bytes normal_map(void)
{
    static float p[SIDE][SIDE][3];
    for (int y = 0; y < SIDE; y++)
        for (int x = 1; x < SIDE; x++) p[y][x][0] = 0.6F, p[y][x][2] = 0.8F;
    return make_npy("<f4", "(64, 64, 3)", p, sizeof p);
}

// What goes wrong with a sample.
typedef enum { FINE, BROKEN_PNG, NO_TEXT, BAD_UTF8, TWICE, NO_LABELS, NO_PNG, BAD_CLASS } Fault;

static void add_sample(TarWriter *t, int number, Fault fault)
{
    char text[64];
    if (fault != NO_PNG) {
        Bytes png = picture(number);
        if (fault == BROKEN_PNG) png.n /= 2;
        add_bytes(t, number, "png", png);
    }
    snprintf(text, sizeof text, fault == BAD_UTF8 ? "number %d \xFF" : "number %d", number);
    if (fault != NO_TEXT) add(t, number, "txt", text, strlen(text));
    if (fault == TWICE) add(t, number, "txt", text, strlen(text));
    if (fault == NO_LABELS) return;
    snprintf(text, sizeof text, fault == BAD_CLASS ? "x%d" : "%d\n", number);
    add(t, number, "cls", text, strlen(text));
    add_bytes(t, number, "seg.png", class_map());
    add_bytes(t, number, "depth.npy", depth_map());
    add_bytes(t, number, "n.npy", normal_map());
    float e[4] = {(float)number, 0.5F, number == 7 ? NAN : 1, -1};
    add_bytes(t, number, "e.npy", make_npy("<f4", "(4,)", e, sizeof e));
    snprintf(text, sizeof text, "{\"boxes\": [[16, 20, 48, 40]], \"classes\": [%d]}", number);
    add(t, number, "b.json", text, strlen(text));
    int32_t a[6] = {number, 1, 2, 3, 4, 5};
    add_bytes(t, number, "a.npy", make_npy("<i4", "(2, 3)", a, sizeof a));
}

static void write_shards(const Fault fault[SAMPLES])
{
    for (int s = 0; s < SAMPLES / PER_SHARD; s++) {
        char path[400];
        Error err = {0};
        snprintf(path, sizeof path, "%s/d-%03d.tar", folder, s);
        TarWriter *t = tarwrite_open(path, &err);
        for (int i = 0; i < PER_SHARD; i++)
            add_sample(t, s * PER_SHARD + i, fault[s * PER_SHARD + i]);
        cr_assert(tarwrite_close(t, &err));
    }
}

#define VIEWS                                                                                      \
    "\"views\":[{\"name\":\"image\",\"size\":[32,32],\"crop\":{\"scale\":[0.3,1.0]},\"flip\":0.5}" \
    ","                                                                                            \
    "{\"name\":\"small\",\"size\":[8,12],\"count\":2,\"crop\":{\"scale\":[0.1,0.4]}}],\"draws\":[" \
    "{\"name\":\"u\",\"below\":30}]"
#define FIELDS                                                                                     \
    "\"fields\":[{\"name\":\"text\",\"role\":\"tokens\",\"length\":8},"                            \
    "{\"name\":\"seg\",\"role\":\"class_map\",\"member\":\"seg.png\",\"follow\":\"image\","        \
    "\"ignore\":255,"                                                                              \
    "\"remap\":{\"3\":13},\"classes\":20},"                                                        \
    "{\"name\":\"depth\",\"role\":\"map\",\"follow\":\"image\",\"invalid\":-1},"                   \
    "{\"name\":\"n\",\"role\":\"normals\",\"follow\":\"image\",\"size\":[16,16]},"                 \
    "{\"name\":\"e\",\"role\":\"vector\",\"size\":[4]},{\"name\":\"c\",\"role\":\"class\"},"       \
    "{\"name\":\"a\",\"role\":\"array\",\"dtype\":\"i32\",\"shape\":[2,3]}]"
#define FIELDS_ALONE "\"fields\":[{\"name\":\"c\",\"role\":\"class\"}]"
#define SPEC(more) "{\"source\":[\"d-{000..003}.tar\"],\"batch\":4," VIEWS "," FIELDS more "}"

static const DataSpec *parse(const char *text)
{
    Error err = {0};
    const DataSpec *spec = spec_parse_text(arena, text, strlen(text), &err);
    cr_assert(spec, "%s", err.text);
    return spec;
}

typedef struct Log {
    char text[1 << 14];
    int n;
} Log;

static void report(void *user, const DataProblem *p)
{
    Log *log = user;
    size_t at = strlen(log->text);
    snprintf(log->text + at, sizeof log->text - at, "%s|%s|%s|%s\n", strrchr(p->shard, '/') + 1,
             p->key, p->member, p->reason);
    log->n++;
}

static Data *open_data(const DataSpec *spec, int threads, Log *log)
{
    DataOptions options = {.base_dir = folder,
                           .tokenizers = clip_files(),
                           .threads = threads,
                           .report = log ? report : NULL,
                           .user = log};
    Error err = {0};
    Data *d = data_open(spec, &options, &err);
    cr_assert(d, "%s", err.text);
    return d;
}

// Memory for a batch, and the slots by name.
typedef struct Batch {
    void **slots;
    uint32_t n;
    const DataSlot *at;
    int64_t count;
} Batch;

static Batch make_batch(const Data *d)
{
    Batch b = {0};
    b.at = data_slots(d, &b.n);
    b.slots = arena_array(arena, void *, b.n);
    for (uint32_t i = 0; i < b.n; i++) b.slots[i] = arena_alloc(arena, b.at[i].bytes);
    return b;
}

static void *slot(const Batch *b, const char *name)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (strcmp(b->at[i].name, name) == 0) return b->slots[i];
    cr_assert(false, "no slot %s", name);
    return NULL;
}

static void next(Data *d, Batch *b)
{
    Error err = {0};
    for (uint32_t i = 0; i < b->n; i++) memset(b->slots[i], 0xAA, b->at[i].bytes);
    cr_assert(data_next(d, b->slots, &b->count, &err), "%s", err.text);
}

static uint64_t hash_batch(const Batch *b)
{
    uint64_t h = 0;
    for (uint32_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < b->at[i].bytes; k++)
            h = (h ^ ((uint8_t *)b->slots[i])[k]) * 0x100000001B3;
    return h;
}

static const Fault fine[SAMPLES] = {FINE};

Test(data, slots_are_listed_with_shapes)
{
    write_shards(fine);
    Data *d = open_data(parse(SPEC("")), 1, NULL);
    static const char *const want =
        "image u8 4 32 32 3;small u8 4 2 8 12 3;u i32 4;text i32 4 8;"
        "seg i32 4 32 32;seg.valid u8 4 32 32;seg.present u8 4;"
        "depth f32 4 32 32;depth.valid u8 4 32 32;depth.present u8 4;"
        "n f32 4 3 16 16;n.valid u8 4 16 16;n.present u8 4;e f32 4 4;e.valid u8 4;e.present u8 4;"
        "c i32 4;c.valid u8 4;c.present u8 4;a i32 4 2 3;a.valid u8 4;a.present u8 4;";
    char got[2000] = "";
    uint32_t n;
    const DataSlot *s = data_slots(d, &n);
    for (uint32_t i = 0; i < n; i++) {
        sprintf(got + strlen(got), "%s %s", s[i].name, s[i].dtype);
        for (uint32_t k = 0; k < s[i].rank; k++)
            sprintf(got + strlen(got), " %d", (int)s[i].shape[k]);
        strcat(got, ";");
    }
    cr_expect_str_eq(got, want);
    data_close(d);
}

// Number of sample i of a batch, from its array.
static int number_of(const Batch *b, int64_t i)
{
    return ((int32_t *)slot(b, "a"))[6 * i];
}

Test(data, values_agree_with_the_sample)
{
    write_shards(fine);
    Data *d = open_data(parse(SPEC("")), 2, NULL);
    Batch b = make_batch(d);
    for (int step = 0; step < 10; step++) {
        next(d, &b);
        cr_assert_eq(b.count, 4);
        for (int64_t i = 0; i < 4; i++) {
            int number = number_of(&b, i);
            char key[16];
            snprintf(key, sizeof key, "s%03d", number);
            cr_expect_str_eq(data_key(d, i), key);
            cr_expect_eq(((int32_t *)slot(&b, "c"))[i], number);
            cr_expect_eq(((uint8_t *)slot(&b, "image"))[i * 32 * 32 * 3 + 2], number);
            cr_expect_eq(((uint8_t *)slot(&b, "small"))[i * 2 * 8 * 12 * 3 + 2], number);
            const float *e = (float *)slot(&b, "e") + 4 * i;
            cr_expect_eq(((uint8_t *)slot(&b, "e.valid"))[i], number != 7);
            cr_expect(number == 7 ? e[0] == 0 && e[1] == 0 : e[0] == (float)number && e[1] == 0.5F);
            int32_t *text = (int32_t *)slot(&b, "text") + 8 * i;
            cr_expect(text[0] == 49406 && text[1] == 2842 && text[number < 10 ? 3 : 4] == 49407 &&
                          !text[7],
                      "%d %d", text[1], text[3]);
            int32_t u = ((int32_t *)slot(&b, "u"))[i];
            cr_expect(u >= 0 && u < 30);
        }
    }
    cr_expect_eq(data_position(d).epoch, 0);
    data_close(d);
}

Test(data, labels_follow_the_picture)
{
    write_shards(fine);
    Data *d = open_data(parse(SPEC("")), 2, NULL);
    Batch b = make_batch(d);
    int flips = 0, ignored = 0;
    for (int step = 0; step < 20; step++) {
        next(d, &b);
        for (int i = 0; i < 4; i++) {
            const uint8_t(*p)[32][3] = (void *)((uint8_t *)slot(&b, "image") + i * 32 * 32 * 3);
            const int32_t(*seg)[32] = (void *)((int32_t *)slot(&b, "seg") + i * 32 * 32);
            const uint8_t(*seg_ok)[32] = (void *)((uint8_t *)slot(&b, "seg.valid") + i * 32 * 32);
            const float(*depth)[32] = (void *)((float *)slot(&b, "depth") + i * 32 * 32);
            const uint8_t(*depth_ok)[32] =
                (void *)((uint8_t *)slot(&b, "depth.valid") + i * 32 * 32);
            bool flip = p[16][0][0] > p[16][31][0];
            flips += flip;
            for (int y = 1; y < 31; y++)
                for (int x = 1; x < 31; x++) {
                    double sx = p[y][x][0] / 4.0, sy = p[y][x][1] / 4.0;
                    if (fabs(sy - 15.5) > 2) {
                        cr_assert_eq(depth_ok[y][x], sy > 15.5);
                        cr_assert_eq(seg_ok[y][x], sy > 15.5);
                        ignored += !seg_ok[y][x];
                    }
                    if (depth_ok[y][x])
                        cr_assert(fabs(depth[y][x] - sx) < 1, "%g %g", depth[y][x], sx);
                    else
                        cr_assert_eq(depth[y][x], 0);
                    int c = seg[y][x] == 13 ? 3 : seg[y][x];
                    cr_assert(seg[y][x] != 3);
                    if (seg_ok[y][x])
                        cr_assert(c >= (int)((sx - 2) / 8) && c <= (int)((sx + 2.5) / 8), "%d %g",
                                  c, sx);
                    else
                        cr_assert_eq(seg[y][x], 0);
                }
            const float *n = (float *)slot(&b, "n") + i * 3 * 256;
            cr_assert(fabsf(n[100] - (flip ? -0.6F : 0.6F)) < 1e-6F &&
                      fabsf(n[512 + 100] - 0.8F) < 1e-6F);
        }
    }
    cr_expect(flips > 20 && flips < 60 && ignored > 100, "%d %d", flips, ignored);
    data_close(d);
}

// Where an edge at `at` of the view's n pixels lies in the picture: the pixel says 4 times that.
static double picture_place(const uint8_t *pixels, int stride, int n, double at)
{
    int i = (int)fmin(fmax(floor(at - 0.5), 0), n - 2);
    double a = pixels[i * stride] / 4.0 + 0.5, b = pixels[(i + 1) * stride] / 4.0 + 0.5;
    return a + (b - a) * (at - 0.5 - i);
}

Test(data, boxes_follow_the_picture)
{
    write_shards((Fault[SAMPLES]){[17] = NO_LABELS});
    Data *d = open_data(parse("{\"source\":[\"d-{000..003}.tar\"],\"batch\":4," VIEWS
                              ",\"fields\":[{\"name\":\"b\",\"role\":\"boxes\",\"format\":"
                              "\"xyxy_pixels\",\"max\":2,\"follow\":\"small\"}]}"),
                        2, NULL);
    Batch b = make_batch(d);
    int edges = 0, missing = 0;
    for (int step = 0; step < 20; step++) {
        next(d, &b);
        for (int i = 0; i < 8; i++) { // 2 copies of each of 4
            const uint8_t *p = (uint8_t *)slot(&b, "small") + i * 8 * 12 * 3;
            const float *box = (float *)slot(&b, "b.xyxy") + i * 2 * 4;
            const uint8_t *valid = (uint8_t *)slot(&b, "b.valid") + i * 2;
            bool present = ((uint8_t *)slot(&b, "b.present"))[i / 2];
            missing += !present;
            cr_assert(present == (p[2] != 17) && !valid[1] && (present || !valid[0]));
            if (!valid[0]) continue;
            cr_assert_eq(((int32_t *)slot(&b, "b.class"))[i * 2], p[2]);
            for (int k = 0; k < 4; k++) {
                int n = k % 2 ? 8 : 12;
                if (box[k] < 1 || box[k] > n - 1) continue; // cut, or interpolated at the border
                double at = picture_place(p + (k % 2 ? 1 : (8 / 2) * 12 * 3), k % 2 ? 12 * 3 : 3, n,
                                          box[k]);
                static const double want[4] = {16, 20, 48, 40};
                cr_assert(fabs(at - want[k]) < 0.5, "%d: %g", k, at);
                edges++;
            }
        }
    }
    cr_expect(edges > 200 && missing > 0, "%d %d", edges, missing);
    data_close(d);
}

static const Fault faults[SAMPLES] = {
    [3] = BROKEN_PNG, [11] = NO_TEXT, [17] = NO_LABELS, [25] = BAD_UTF8,
    [26] = TWICE,     [38] = NO_PNG,  [39] = BAD_CLASS};

Test(data, batches_do_not_depend_on_workers)
{
    write_shards(faults);
    const DataSpec *spec = parse(SPEC(",\"max_bad\":0.5,\"seed\":5"));
    uint64_t first[30];
    Log logs[3] = {0};
    for (int workers = 1; workers <= 3; workers++) {
        Data *d = open_data(spec, workers, &logs[workers - 1]);
        Batch b = make_batch(d);
        for (int step = 0; step < 30; step++) {
            next(d, &b);
            uint64_t h = hash_batch(&b);
            if (workers == 1) first[step] = h;
            cr_assert_eq(h, first[step], "batch %d with %d workers", step, workers);
        }
        cr_expect_eq(data_counts(d).samples, SAMPLES);
        data_close(d);
    }
    cr_expect_str_eq(logs[0].text, logs[1].text);
    cr_expect_str_eq(logs[0].text, logs[2].text);
    cr_expect_geq(logs[0].n, 3 * 6);
}

Test(data, an_epoch_takes_every_sample_once)
{
    write_shards(fine);
    int orders[3][SAMPLES];
    for (int run = 0; run < 2; run++) {
        Data *d = open_data(parse(run ? SPEC(",\"seed\":1") : SPEC("")), 2, NULL);
        Batch b = make_batch(d);
        for (int epoch = 0; epoch < 2 - run; epoch++) {
            bool seen[SAMPLES] = {0};
            for (int step = 0; step < 10; step++) {
                next(d, &b);
                for (int i = 0; i < 4; i++) {
                    int number = number_of(&b, i);
                    cr_assert_not(seen[number]);
                    seen[number] = true;
                    orders[run ? 2 : epoch][4 * step + i] = number;
                }
            }
        }
        data_close(d);
    }
    cr_expect(memcmp(orders[0], orders[1], sizeof orders[0]) != 0);
    cr_expect(memcmp(orders[0], orders[2], sizeof orders[0]) != 0);
}

Test(data, the_partial_batch_of_an_epoch_is_dropped)
{
    write_shards(fine);
    Data *d = open_data(parse("{\"source\":\"d-{000..003}.tar\",\"batch\":16," FIELDS_ALONE "}"), 2,
                        NULL);
    Batch b = make_batch(d);
    bool seen[SAMPLES] = {0};
    for (int step = 0; step < 8; step++) { // two batches of 16 out of 40
        if (step % 2 == 0) memset(seen, 0, sizeof seen);
        next(d, &b);
        cr_assert_eq(data_position(d).epoch, (uint64_t)step / 2);
        for (int i = 0; i < 16; i++) {
            int number = ((int32_t *)slot(&b, "c"))[i];
            cr_assert_not(seen[number]);
            seen[number] = true;
        }
    }
    cr_expect_eq(data_counts(d).used, 8 * 16);
    data_close(d);
}

Test(data, seek_gives_the_same_batches_again)
{
    write_shards(faults);
    const DataSpec *spec = parse(SPEC(",\"max_bad\":0.5"));
    Data *d = open_data(spec, 2, NULL);
    Batch b = make_batch(d);
    uint64_t hash[25];
    DataPosition position[26] = {{0}};
    for (int step = 0; step < 25; step++) {
        next(d, &b);
        hash[step] = hash_batch(&b);
        position[step + 1] = data_position(d);
    }
    cr_expect(position[25].epoch >= 2);
    for (int from = 24; from >= 0; from -= 3) { // in the same loader, which is decoding ahead
        data_seek(d, position[from]);
        for (int step = from; step < 25 && step < from + 3; step++) {
            next(d, &b);
            cr_assert_eq(hash_batch(&b), hash[step], "from %d step %d", from, step);
        }
    }
    data_close(d);
    d = open_data(spec, 3, NULL); // and in another loader
    b = make_batch(d);
    data_seek(d, position[8]);
    for (int step = 8; step < 25; step++) {
        next(d, &b);
        cr_assert_eq(hash_batch(&b), hash[step]);
    }
    data_close(d);
}

Test(data, corrupt_samples_are_named_and_replaced)
{
    write_shards(faults);
    Log log = {0};
    Data *d = open_data(parse(SPEC(",\"max_bad\":0.5,\"shuffle\":false")), 2, &log);
    Batch b = make_batch(d);
    int seen = 0;
    do {
        next(d, &b);
        for (int64_t i = 0; i < b.count; i++, seen++) {
            int number = number_of(&b, i);
            cr_expect(number == 0 || faults[number] == FINE);
            if (strcmp(data_key(d, i), "s017") == 0) {
                cr_expect(!((uint8_t *)slot(&b, "seg.present"))[i] &&
                          !((uint8_t *)slot(&b, "c.valid"))[i]);
                cr_expect(!((uint8_t *)slot(&b, "a.present"))[i] && number == 0);
                for (int k = 0; k < 1024; k++)
                    cr_assert(!((uint8_t *)slot(&b, "depth.valid"))[i * 1024 + k] &&
                              ((float *)slot(&b, "depth"))[i * 1024 + k] == 0);
            } else {
                cr_expect(((uint8_t *)slot(&b, "seg.present"))[i] &&
                          ((uint8_t *)slot(&b, "c.valid"))[i]);
            }
        }
    } while (b.count);
    cr_expect_eq(seen, SAMPLES - 6);
    static const char *const want[] = {"d-000.tar|s003|png|PNG: ",
                                       "d-001.tar|s011|txt|the sample has no member .txt",
                                       "d-002.tar|s025|txt|invalid UTF-8 at byte 10",
                                       "d-002.tar|s026|txt|the member is there twice",
                                       "d-003.tar|s038|jpg|the sample has no member .jpg",
                                       "d-003.tar|s039|cls|a class is one whole number, not 'x39'"};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        cr_expect(strstr(log.text, want[i]), "%s not in\n%s", want[i], log.text);
    DataCounts counts = data_counts(d);
    cr_expect(log.n == 6 && counts.bad == 6 && counts.used == SAMPLES - 6);
    data_close(d);
}

Test(data, too_many_corrupt_samples_stop)
{
    Fault bad[SAMPLES] = {FINE};
    for (int i = 0; i < 5; i++) bad[7 * i] = BROKEN_PNG;
    write_shards(bad);
    Data *d = open_data(parse(SPEC("")), 2, NULL); // more than 0.1 of 40
    Batch b = make_batch(d);
    Error err = {0};
    int batches = 0;
    while (data_next(d, b.slots, NULL, &err)) cr_assert(++batches < 10);
    cr_expect(strstr(err.text, "5 of 40 samples are corrupt") && strstr(err.text, "PNG"), "%s",
              err.text);
    Error again = {0};
    cr_expect_not(data_next(d, b.slots, NULL, &again));
    data_close(d);
    for (int i = 0; i < SAMPLES; i++) bad[i] = i < 3 ? FINE : BROKEN_PNG;
    write_shards(bad);
    d = open_data(parse(SPEC(",\"max_bad\":1")), 2, NULL); // no batch at all
    err = (Error){0};
    cr_expect_not(data_next(d, b.slots, NULL, &err));
    cr_expect(strstr(err.text, "gave no batch"), "%s", err.text);
    data_close(d);
}

// Batches until the data fails, with its message; a new loader goes on after `stop` batches.
static int batches_until_failure(const DataSpec *spec, int stop, Error *err)
{
    Data *d = open_data(spec, 2, NULL);
    Batch b = make_batch(d);
    int n = 0;
    while (data_next(d, b.slots, NULL, err)) {
        cr_assert(++n < 40);
        if (n != stop) continue;
        DataPosition at = data_position(d);
        data_close(d);
        d = open_data(spec, 2, NULL);
        data_seek(d, at);
        DataCounts counts = data_counts(d);
        cr_expect(counts.used == 4 * n && counts.bad == at.bad);
    }
    data_close(d);
    return n;
}

Test(data, a_resumed_run_counts_on)
{
    Fault bad[SAMPLES] = {FINE};
    for (int i = 0; i < 4; i++) bad[9 * i] = BROKEN_PNG;
    write_shards(bad);
    const DataSpec *spec = parse(SPEC(",\"max_bad\":0.0999")); // 4 of 40 are too many
    Error whole = {0};
    int n = batches_until_failure(spec, 0, &whole);
    cr_expect(n > 2 && strstr(whole.text, "4 of 40 samples are corrupt"), "%d %s", n, whole.text);
    for (int stop = 1; stop <= n; stop++) {
        Error err = {0};
        cr_expect_eq(batches_until_failure(spec, stop, &err), n, "stopped after %d", stop);
        cr_expect_str_eq(err.text, whole.text);
    }
}

Test(data, sequential_order_pads_the_last_batch)
{
    write_shards(fine);
    Data *d =
        open_data(parse("{\"source\":\"d-{000..003}.tar\",\"batch\":16,\"shuffle\":false," VIEWS
                        "," FIELDS "}"),
                  3, NULL);
    Batch b = make_batch(d);
    for (int epoch = 0; epoch < 2; epoch++) {
        static const int counts[] = {16, 16, 8, 0};
        for (int step = 0; step < 4; step++) {
            next(d, &b);
            cr_assert_eq(b.count, counts[step]);
            for (int64_t i = 0; i < b.count; i++) cr_expect_eq(number_of(&b, i), 16 * step + i);
            for (int64_t i = b.count; i < 16; i++)
                cr_expect(!((uint8_t *)slot(&b, "c.present"))[i] && number_of(&b, i) == 0 &&
                          !data_key(d, i));
        }
    }
    next(d, &b);
    uint8_t *p = slot(&b, "image"); // the whole picture at half its size, not flipped
    for (int x = 1; x < 31; x++) cr_expect(abs(p[3 * x] - (8 * x + 2)) <= 1);
    data_close(d);
}

Test(data, some_of_the_samples_are_spread_over_all)
{
    static const int want[] = {0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27, 30, 32, 35, 37};
    write_shards(fine);
    const DataSpec *spec = parse("{\"source\":\"d-{000..003}.tar\",\"batch\":8,\"shuffle\":false,"
                                 VIEWS "," FIELDS "}");
    DataOptions options = {
        .base_dir = folder, .tokenizers = clip_files(), .threads = 3, .samples = 13};
    Error err = {0};
    Data *d = data_open(spec, &options, &err);
    cr_assert(d, "%s", err.text);
    Batch b = make_batch(d);
    for (int epoch = 0; epoch < 2; epoch++) {
        for (int step = 0; step < 2; step++) {
            next(d, &b);
            cr_assert_eq(b.count, 8);
            for (int64_t i = 0; i < 8; i++) cr_expect_eq(number_of(&b, i), want[8 * step + i]);
        }
        next(d, &b);
        cr_assert_eq(b.count, 0);
    }
    data_close(d);
}

Test(data, series_join_by_key)
{
    write_shards(fine);
    char path[400];
    snprintf(path, sizeof path, "%s/labels.tar", folder);
    Error err = {0};
    TarWriter *t = tarwrite_open(path, &err);
    for (int number = SAMPLES - 1; number >= 0; number -= 2) { // odd ones, in another order
        char text[16];
        snprintf(text, sizeof text, "[%d, 0.5]", 1000 + number);
        add(t, number, "json", text, strlen(text));
    }
    cr_assert(tarwrite_close(t, &err));
    Data *d = open_data(
        parse(
            "{\"source\":[\"d-{000..003}.tar\"],\"series\":{\"more\":[\"labels.tar\"]},\"batch\":8,"
            "\"fields\":[{\"name\":\"c\",\"role\":\"class\"},{\"name\":\"v\",\"role\":\"vector\","
            "\"series\":\"more\",\"member\":[\"json\"],\"size\":[2]}]}"),
        2, NULL);
    Batch b = make_batch(d);
    for (int step = 0; step < 5; step++) {
        next(d, &b);
        for (int i = 0; i < 8; i++) {
            int number = ((int32_t *)slot(&b, "c"))[i];
            cr_expect_eq(((uint8_t *)slot(&b, "v.present"))[i], number % 2);
            cr_expect_eq(((float *)slot(&b, "v"))[2 * i], number % 2 ? 1000 + number : 0);
        }
    }
    data_close(d);
}

Test(data, a_cut_off_shard_keeps_its_whole_samples)
{
    write_shards(fine);
    char path[400];
    snprintf(path, sizeof path, "%s/d-001.tar", folder);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(truncate(path, st.st_size * 55 / 100), 0); // inside its sixth sample
    Log log = {0};
    Data *d = open_data(parse(SPEC("")), 2, &log);
    DataCounts counts = data_counts(d);
    cr_expect(counts.damaged == 1 && counts.samples == 35, "%d", (int)counts.samples);
    cr_expect(strstr(log.text, "d-001.tar|s015|") && strstr(log.text, "is cut off"), "%s",
              log.text);
    Batch b = make_batch(d);
    for (int step = 0; step < 16; step++) next(d, &b);
    data_close(d);
}

Test(data, pipes_need_permission)
{
    write_shards(fine);
    char text[800];
    snprintf(text, sizeof text,
             "{\"source\":[\"pipe:cat "
             "'%s/d-002.tar'\"],\"batch\":2,\"fields\":[{\"name\":\"c\",\"role\":\"class\"}]}",
             folder);
    const DataSpec *spec = parse(text);
    DataOptions options = {.base_dir = folder, .threads = 1};
    Error err = {0};
    cr_expect_null(data_open(spec, &options, &err));
    cr_expect(strstr(err.text, "pipe:") && strstr(err.text, "--allow-pipe"), "%s", err.text);
    options.allow_pipe = true;
    err = (Error){0};
    Data *d = data_open(spec, &options, &err);
    cr_assert(d, "%s", err.text);
    cr_expect_eq(data_counts(d).samples, 10);
    data_close(d);
    spec = parse("{\"source\":[\"pipe:exit "
                 "3\"],\"batch\":2,\"fields\":[{\"name\":\"c\",\"role\":\"class\"}]}");
    cr_expect_null(data_open(spec, &options, &err));
}

Test(data, opening_errors_say_what)
{
    static const struct {
        const char *spec, *want;
    } rows[] = {
        {"{\"source\":[\"missing.tar\"],\"batch\":2}", "missing.tar: cannot read the shard"},
        {"{\"source\":[\"d-{000..003}.tar\"],\"batch\":41,\"fields\":[{\"name\":\"c\",\"role\":"
         "\"class\"}]}",
         "40 samples are fewer than a batch of 41"},
        {"{\"source\":[\"d-{000..003.tar\"],\"batch\":2}", "no closing brace"},
        {"{\"source\":[\"d-{3..1}.tar\"],\"batch\":2}", "no range"},
        {"{\"source\":[\"d-000.tar\"],\"batch\":2}", "neither views nor fields"},
        {"{\"source\":[\"d-000.tar\"],\"batch\":2,\"fields\":[{\"name\":\"t\",\"role\":\"tokens\","
         "\"length\":8}]}",
         "merges are not given"},
    };
    write_shards(fine);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Error err = {0};
        DataOptions options = {.base_dir = folder, .threads = 1};
        cr_expect_null(data_open(parse(rows[i].spec), &options, &err));
        cr_expect(strstr(err.text, rows[i].want), "%s", err.text);
    }
}
