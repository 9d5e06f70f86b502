// Batches of several shapes: the samples come in one order, each batch has as many as its shape
// says, with the bytes that a loader of that shape alone gives; whatever is bad, however many
// workers there are, and wherever a run goes on.
#include "runtime/data.h"

#include "data_folder.h"

#include "base/map.h"

enum { SIDE = 48, SAMPLES = 23, BATCHES = 40, EPOCHS = 44, SHAPES = 3 };

TestSuite(shapes, .init = begin, .fini = end);

// Pictures of noise; every sample of `bad` has half of one.
static void write_samples(const char *bad)
{
    static unsigned char p[SIDE][SIDE][3];
    uint32_t random = 1;
    Error err = {0};
    TarWriter *t = tarwrite_open(str_printf(arena, "%s/d.tar", folder), &err);
    for (int i = 0; i < SAMPLES; i++) {
        for (size_t k = 0; k < sizeof p; k++)
            (&p[0][0][0])[k] = (unsigned char)((random = random * 1664525 + 1013904223) >> 24);
        Bytes png = make_png(&p[0][0][0], SIDE, SIDE, 3);
        if (strchr(bad, 'a' + i)) png.n /= 2;
        cr_assert(tarwrite_add(t, str_printf(arena, "%c.png", 'a' + i), png.at, png.n, &err));
        free(png.at);
    }
    cr_assert(tarwrite_close(t, &err));
}

#define HEAD "{\"source\":\"d.tar\",\"max_bad\":1,\"seed\":5,"
#define VIEW(size)                                                                                 \
    "\"views\":[{\"name\":\"image\",\"size\":[" #size "," #size                                    \
    "],\"crop\":{\"scale\":[0.3,1.0]},\"flip\":0.5}]"

#define TOKENS "{\"name\":\"t\",\"role\":\"tokens\",\"member\":[\"txt\"],\"length\":8}"

// Of two, the samples are alike: only their batches differ.
static const char all[] =
    HEAD "\"batch\":4," VIEW(16) ",\"shapes\":[{\"batch\":7," VIEW(24) "},{\"batch\":2}]}";
static const char *const alone[SHAPES] = {HEAD "\"batch\":1," VIEW(16) "}",
                                          HEAD "\"batch\":1," VIEW(24) "}",
                                          HEAD "\"batch\":1," VIEW(16) "}"};
static const int64_t batch_of[SHAPES] = {4, 7, 2};
static const size_t bytes_of[SHAPES] = {16 * 16 * 3, 24 * 24 * 3, 16 * 16 * 3};

static uint32_t shape_at(void *ctx, int64_t number)
{
    (void)ctx;
    return (uint32_t)(number * 7 % 11 % SHAPES);
}

static Data *open_spec(const char *text, int threads, int64_t ahead)
{
    Error err = {0};
    const DataSpec *spec = spec_parse_text(arena, text, strlen(text), &err);
    cr_assert(spec, "%s", err.text);
    DataOptions o = {.base_dir = folder, .threads = threads, .ahead = ahead, .shape_at = shape_at};
    Data *d = data_open(spec, &o, &err);
    cr_assert(d, "%s", err.text);
    return d;
}

// ---- what is to come --------------------------------------------------------------------------

typedef struct Coming {
    char key;
    uint64_t hash[SHAPES];
} Coming;

typedef struct Wanted {
    Coming at[EPOCHS][SAMPLES];
    int n[EPOCHS];
} Wanted;

static void read_alone(Wanted *w)
{
    static uint8_t pixels[24 * 24 * 3];
    for (uint32_t s = 0; s < SHAPES; s++) {
        Data *d = open_spec(alone[s], 2, 2);
        memset(w->n, 0, sizeof w->n);
        for (;;) {
            Error err = {0};
            cr_assert(data_next(d, (void *[]){pixels}, NULL, &err), "%s", err.text);
            uint64_t epoch = data_position(d).epoch;
            if (epoch == EPOCHS) break;
            Coming *to = &w->at[epoch][w->n[epoch]++];
            to->key = *data_key(d, 0);
            to->hash[s] = hash_bytes(0, pixels, bytes_of[s]);
        }
        data_close(d);
    }
}

// Where a batch begins, in the good samples.
typedef struct Place {
    int epoch, at;
} Place;

static void check_batch(const Wanted *w, Place *p, int64_t number, const Data *d,
                        const uint8_t *pixels)
{
    uint32_t s = shape_at(NULL, number);
    if (p->at + batch_of[s] > w->n[p->epoch]) *p = (Place){p->epoch + 1, 0};
    cr_assert(p->epoch < EPOCHS);
    for (int64_t i = 0; i < batch_of[s]; i++) {
        const Coming *want = &w->at[p->epoch][p->at++];
        cr_assert_eq(*data_key(d, i), want->key, "batch %d, sample %d: %c, not %c", (int)number,
                     (int)i, *data_key(d, i), want->key);
        cr_assert_eq(hash_bytes(0, pixels + (size_t)i * bytes_of[s], bytes_of[s]), want->hash[s],
                     "batch %d, sample %d (%c)", (int)number, (int)i, want->key);
    }
    cr_expect(data_key(d, batch_of[s]) == NULL);
}

static void run(const Wanted *w, int threads, int64_t ahead)
{
    static uint8_t pixels[7 * 24 * 24 * 3];
    Data *d = open_spec(all, threads, ahead);
    Place place[BATCHES + 1] = {{0, 0}};
    DataPosition at[BATCHES] = {{0}};
    Error err = {0};
    for (int64_t n = 0; n < BATCHES; n++) {
        at[n] = data_position(d);
        cr_assert_eq(data_shape(d), shape_at(NULL, n));
        cr_assert(data_next(d, (void *[]){pixels}, NULL, &err), "%s", err.text);
        place[n + 1] = place[n];
        check_batch(w, &place[n + 1], n, d, pixels);
    }
    for (int64_t from = BATCHES - 1; from >= 0; from -= 3) {
        data_seek(d, at[from]);
        Place p = place[from];
        for (int64_t n = from; n < BATCHES && n < from + 5; n++) {
            cr_assert(data_next(d, (void *[]){pixels}, NULL, &err), "%s", err.text);
            check_batch(w, &p, n, d, pixels);
        }
    }
    data_close(d);
}

static void run_all(const char *bad)
{
    static Wanted wanted;
    write_samples(bad);
    read_alone(&wanted);
    cr_assert_eq(wanted.n[1], SAMPLES - (int)strlen(bad));
    run(&wanted, 1, 1);
    run(&wanted, 2, 0);
    run(&wanted, 5, 4);
}

Test(shapes, batches_take_the_samples_in_their_order)
{
    run_all("");
}

Test(shapes, bad_samples_move_the_others)
{
    run_all("bcdnu");
}

Test(shapes, nearly_all_are_bad)
{
    run_all("acdefgijlmnopqu");
}

Test(shapes, slots_are_of_a_shape)
{
    write_samples("");
    Data *d = open_spec(all, 1, 1);
    for (uint32_t s = 0; s < SHAPES; s++) {
        uint32_t n;
        const DataSlot *slots = data_slots_of(d, s, &n);
        cr_assert_eq(n, 1);
        cr_expect_eq(slots[0].shape[0], batch_of[s]);
        cr_expect_eq(slots[0].bytes, bytes_of[s] * (size_t)batch_of[s]);
    }
    data_close(d);
}

Test(shapes, without_a_choice_all_are_of_the_first)
{
    write_samples("");
    Error err = {0};
    DataOptions o = {.base_dir = folder, .threads = 2};
    Data *d = data_open(spec_parse_text(arena, all, strlen(all), &err), &o, &err);
    cr_assert(d, "%s", err.text);
    static uint8_t pixels[4 * 16 * 16 * 3];
    for (int i = 0; i < 12; i++) {
        cr_assert_eq(data_shape(d), 0);
        cr_assert(data_next(d, (void *[]){pixels}, NULL, &err), "%s", err.text);
        cr_expect(data_key(d, 3) && !data_key(d, 4));
    }
    data_close(d);
}

Test(shapes, wrong_rows_are_refused)
{
    static const struct {
        const char *shapes, *says;
    } cases[] = {{"{}", "data.shapes: a list is wanted"},
                 {"[{\"source\":\"b.tar\"}]", "data.shapes[0]: unknown key 'source'"},
                 {"[{\"batch\":2},7]", "data.shapes[1]: an object is wanted"},
                 {"[{\"batch\":0}]", "data.batch"},
                 {"[{\"fields\":[" TOKENS "]}]", "data.shapes[0].fields: they are others"},
                 {"[{\"batch\":90}]", "fewer than a batch of 90"}};
    write_samples("");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text =
            str_printf(arena, HEAD "\"batch\":4," VIEW(16) ",\"shapes\":%s}", cases[i].shapes);
        Error err = {0};
        DataOptions o = {.base_dir = folder, .threads = 1};
        const DataSpec *spec = spec_parse_text(arena, text, strlen(text), &err);
        Data *d = spec ? data_open(spec, &o, &err) : NULL;
        cr_expect(!d && strstr(err.text, cases[i].says), "%s: %s", cases[i].shapes, err.text);
        data_close(d);
    }
}
