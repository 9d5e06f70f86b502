// What is decoded is what a batch wants: in each phase the bits and the order are those of a loader
// that decodes everything, what is not wanted may be missing, and a run goes on across the change.
#include "runtime/data.h"

#include "data_folder.h"

#include "base/map.h"

enum { SIDE = 40, SAMPLES = 17, BATCH = 4, BATCHES = 30, LATER = 12, SLOTS = 9 };

TestSuite(wanted, .init = begin, .fini = end);

// Pictures of noise with captions and classes; every sample of `without` lacks the class.
static void write_samples(const char *without)
{
    static unsigned char p[SIDE][SIDE][3];
    uint32_t random = 1;
    Error err = {0};
    TarWriter *t = tarwrite_open(str_printf(arena, "%s/d.tar", folder), &err);
    for (int i = 0; i < SAMPLES; i++) {
        char key = (char)('a' + i);
        for (size_t k = 0; k < sizeof p; k++)
            (&p[0][0][0])[k] = (unsigned char)((random = random * 1664525 + 1013904223) >> 24);
        Bytes png = make_png(&p[0][0][0], SIDE, SIDE, 3);
        cr_assert(tarwrite_add(t, str_printf(arena, "%c.png", key), png.at, png.n, &err));
        free(png.at);
        Bytes grey = make_png(&p[0][0][0], SIDE, SIDE, 1);
        cr_assert(tarwrite_add(t, str_printf(arena, "%c.seg.png", key), grey.at, grey.n, &err));
        free(grey.at);
        cr_assert(tarwrite_add(t, str_printf(arena, "%c.txt", key), "x", 1, &err));
        const char *grade = str_printf(arena, "%d", i);
        if (!strchr(without, key))
            cr_assert(
                tarwrite_add(t, str_printf(arena, "%c.cls", key), grade, strlen(grade), &err));
    }
    cr_assert(tarwrite_close(t, &err));
}

// In slots: image, crops, other, text, grade (.valid, .present), seg (.valid, .present).
static const char text[] =
    "{\"source\":\"d.tar\",\"max_bad\":1,\"seed\":5,\"batch\":4,\"views\":["
    "{\"name\":\"image\",\"size\":[16,16],\"crop\":{\"scale\":[0.3,1.0]},\"flip\":0.5},"
    "{\"name\":\"crops\",\"size\":[8,8],\"crop\":{\"scale\":[0.3,1.0]},\"count\":3},"
    "{\"name\":\"other\",\"size\":[8,8]}],\"fields\":["
    "{\"name\":\"text\",\"role\":\"tokens\",\"member\":[\"txt\"],\"length\":8},"
    "{\"name\":\"grade\",\"role\":\"class\",\"member\":[\"cls\"],\"required\":true},"
    "{\"name\":\"seg\",\"role\":\"map\",\"member\":[\"seg.png\"],\"size\":[8,8],\"follow\":"
    "\"crops\"}]"
    "}";
static const char *const names[] = {"image",       "crops",         "other", "text",     "grade",
                                    "grade.valid", "grade.present", "seg",   "seg.valid"};

static const char *first[] = {"image", "text", "$step"};
static const char *second[] = {"grade.valid", "image", "seg"};
static const Names sets[] = {{first, 3}, {second, 3}};

static uint32_t set_at(void *ctx, int64_t number)
{
    (void)ctx;
    return number >= LATER;
}

// Every third update, as of a task with `every: 3`.
static uint32_t set_now_and_then(void *ctx, int64_t number)
{
    (void)ctx;
    return number % 3 == 0;
}

// Is a tensor of the batch's set? With seg comes the view that it follows.
static bool is_wanted(uint32_t set, uint32_t slot)
{
    static const bool of[2][SLOTS] = {{true, false, false, true, false, false, false, false, false},
                                      {true, true, false, false, true, true, true, true, true}};
    return of[set][slot];
}

static Data *open_text(uint32_t (*want_at)(void *, int64_t), int threads, int64_t ahead)
{
    Error err = {0};
    const DataSpec *spec = spec_parse_text(arena, text, strlen(text), &err);
    cr_assert(spec, "%s", err.text);
    DataOptions o = {.base_dir = folder,
                     .tokenizers = clip_files(),
                     .threads = threads,
                     .ahead = ahead,
                     .want_at = want_at};
    if (want_at) o.wants = sets, o.nwants = 2;
    Data *d = data_open(spec, &o, &err);
    cr_assert(d, "%s", err.text);
    return d;
}

typedef struct Batch {
    char keys[BATCH + 1];
    int32_t grades[BATCH];
    uint64_t hash[SLOTS]; // of a batch's tensors
} Batch;

// The next batch; `set` is what it wants, 2 everything.
static Batch take(Data *d, uint32_t set)
{
    static uint8_t room[SLOTS][BATCH * 16 * 16 * 3 * 4];
    void *to[SLOTS + 1] = {0};
    size_t bytes[SLOTS] = {0};
    uint32_t n;
    const DataSlot *slots = data_slots(d, &n);
    cr_assert_eq(n, SLOTS + 1); // and seg.present
    for (uint32_t i = 0; i < SLOTS; i++) {
        cr_assert_str_eq(slots[i].name, names[i]);
        bytes[i] = slots[i].bytes;
        if (set == 2 || is_wanted(set, i)) to[i] = room[i];
    }
    Error err = {0};
    cr_assert(data_next(d, to, NULL, &err), "%s", err.text);
    Batch b = {.keys = ""};
    for (int i = 0; i < BATCH; i++) b.keys[i] = *data_key(d, i);
    for (uint32_t i = 0; i < SLOTS; i++)
        if (to[i]) b.hash[i] = hash_bytes(0, room[i], bytes[i]);
    if (to[4]) memcpy(b.grades, to[4], sizeof b.grades);
    return b;
}

static void same_batch(const Batch *got, const Batch *want, uint32_t set, int number)
{
    cr_assert_str_eq(got->keys, want->keys, "batch %d", number);
    for (uint32_t i = 0; i < SLOTS; i++)
        if (is_wanted(set, i))
            cr_assert_eq(got->hash[i], want->hash[i], "batch %d: %s", number, names[i]);
}

Test(wanted, bits_are_those_of_a_loader_that_decodes_all)
{
    static uint32_t (*const choices[])(void *, int64_t) = {set_at, set_now_and_then};
    static Batch all[BATCHES];
    write_samples("");
    Data *d = open_text(NULL, 2, 2);
    for (int i = 0; i < BATCHES; i++) all[i] = take(d, 2);
    data_close(d);
    for (int c = 0; c < 2; c++)
        for (int threads = 1; threads < 5; threads += 3) {
            DataPosition at[BATCHES];
            d = open_text(choices[c], threads, threads);
            for (int i = 0; i < BATCHES; i++) {
                at[i] = data_position(d);
                Batch b = take(d, choices[c](NULL, i));
                same_batch(&b, &all[i], choices[c](NULL, i), i);
            }
            for (int from = LATER + 1; from > LATER - 4; from--) { // going on across the change
                data_seek(d, at[from]);
                for (int i = from; i < from + 6; i++) {
                    Batch b = take(d, choices[c](NULL, i));
                    same_batch(&b, &all[i], choices[c](NULL, i), i);
                }
            }
            data_close(d);
        }
}

Test(wanted, nothing_else_is_decoded)
{
    write_samples("");
    Data *d = open_text(set_at, 2, 2);
    for (int i = 0; i < LATER - 2; i++) take(d, 0); // two batches are loaded ahead
    cr_expect_geq(data_decoded(d, "image"), (LATER - 2) * BATCH);
    cr_expect_geq(data_decoded(d, "text"), (LATER - 2) * BATCH);
    cr_expect_eq(data_decoded(d, "crops"), 0);
    cr_expect_eq(data_decoded(d, "grade"), 0);
    cr_expect_eq(data_decoded(d, "seg"), 0);
    for (int i = LATER - 2; i < LATER + 2; i++) take(d, set_at(NULL, i));
    cr_expect_geq(data_decoded(d, "grade"), 2 * BATCH);
    cr_expect_geq(data_decoded(d, "seg"), 2 * BATCH);
    cr_expect_geq(data_decoded(d, "crops"), 2 * BATCH, "seg follows it");
    cr_expect_eq(data_decoded(d, "other"), 0);
    cr_expect_leq(data_decoded(d, "text"), (LATER + 2) * BATCH);
    cr_expect_eq(data_decoded(d, "nobody"), -1);
    data_close(d);
}

Test(wanted, without_sets_all_is)
{
    write_samples("");
    Data *d = open_text(NULL, 1, 1);
    take(d, 2);
    static const char *const each[] = {"image", "crops", "other", "text", "grade", "seg"};
    for (int i = 0; i < 6; i++) cr_expect_geq(data_decoded(d, each[i]), BATCH, "%s", each[i]);
    data_close(d);
}

// Which samples of the epoch lie in a batch is the same for any number of workers, and what is left
// out is left out from the phase on alone.
Test(wanted, what_is_missing_counts_from_its_phase_on)
{
    static Batch of[2][BATCHES];
    DataPosition at[2][BATCHES];
    write_samples("bfk");
    for (int run = 0; run < 2; run++) {
        Data *d = open_text(set_at, run ? 5 : 1, run ? 3 : 1);
        for (int i = 0; i < BATCHES; i++) {
            at[run][i] = data_position(d);
            of[run][i] = take(d, set_at(NULL, i));
        }
        cr_expect_gt(data_counts(d).bad, 0);
        data_close(d);
    }
    bool seen = false;
    for (int i = 0; i < BATCHES; i++) {
        bool there = strpbrk(of[0][i].keys, "bfk") != NULL;
        seen |= there && i < LATER;
        cr_expect(!there || i < LATER, "batch %d has %s", i, of[0][i].keys);
        if (i <= LATER) cr_expect_eq(at[0][i].bad, 0);
        same_batch(&of[1][i], &of[0][i], set_at(NULL, i), i);
        cr_expect_eq(at[0][i].index, at[1][i].index);
        cr_expect_eq(at[0][i].bad, at[1][i].bad);
    }
    cr_expect(seen);
    for (int from = LATER - 1; from < LATER + 4; from++) {
        Data *d = open_text(set_at, 2, 2);
        data_seek(d, at[0][from]);
        for (int i = from; i < BATCHES; i++) {
            Batch b = take(d, set_at(NULL, i));
            same_batch(&b, &of[0][i], set_at(NULL, i), i);
        }
        data_close(d);
    }
}

// A sample that is left out moves those behind it into batches that want other tensors than those
// which they were loaded for.
Test(wanted, moved_samples_are_loaded_again)
{
    write_samples("bcfghk");
    Data *d = open_text(set_now_and_then, 3, 4);
    int64_t bad = 0;
    for (int i = 0; i < BATCHES; i++) {
        uint32_t set = set_now_and_then(NULL, i);
        Batch b = take(d, set);
        for (int k = 0; set && k < BATCH; k++)
            cr_assert_eq(b.grades[k], b.keys[k] - 'a', "batch %d, sample %c", i, b.keys[k]);
        cr_expect(set || data_counts(d).bad == bad);
        bad = data_counts(d).bad;
    }
    cr_expect_gt(bad, 0);
    data_close(d);
}
