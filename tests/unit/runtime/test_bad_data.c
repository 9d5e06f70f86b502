// What shards have wrong: each fault gives one message with shard, key and member, and costs no
// sample but its own.
#include "runtime/data.h"

#include "data_folder.h"

TestSuite(bad_data, .init = begin, .fini = end);

typedef struct Item {
    const char *name;
    Bytes b;
} Item;

static const char *in(const char *name)
{
    return str_printf(arena, "%s/%s", folder, name);
}

static Bytes text(const char *s)
{
    return (Bytes){(unsigned char *)strdup(s), strlen(s)};
}

static Bytes fixture(const char *name)
{
    return slurp(str_printf(arena, "%s/%s", FIXTURES, name));
}

static Bytes half(Bytes b)
{
    b.n /= 2;
    return b;
}

static Bytes class_map(int channels)
{
    unsigned char p[10 * 14 * 3] = {0};
    return make_png(p, 10, 14, channels);
}

static Bytes vector(int n)
{
    float x[8] = {1, 2, 3, 4};
    return make_npy("<f4", str_printf(arena, "(%d,)", n), x, (size_t)n * 4);
}

static void add(TarWriter *t, const char *name, Bytes b)
{
    Error err = {0};
    cr_assert(tarwrite_add(t, name, b.at, b.n, &err), "%s", err.text);
    free(b.at);
}

// The four members of a sample; `other` (or NULL) takes the place of the one of its name, left out
// where it has no bytes, or comes behind them.
static void add_sample(TarWriter *t, const char *key, const Item *other)
{
    const Item all[] = {{"jpg", fixture("photo.jpg")},
                        {"txt", text("a caption")},
                        {"seg.png", class_map(1)},
                        {"e.npy", vector(4)}};
    bool placed = false;
    for (int i = 0; i < 4; i++) {
        bool here = other && strcmp(other->name, all[i].name) == 0;
        if (!here || other->b.at)
            add(t, str_printf(arena, "%s.%s", key, all[i].name), here ? other->b : all[i].b);
        if (here) free(all[i].b.at);
        placed |= here;
    }
    if (other && !placed) add(t, str_printf(arena, "%s.%s", key, other->name), other->b);
}

static TarWriter *open_shard(const char *name)
{
    Error err = {0};
    TarWriter *t = tarwrite_open(in(name), &err);
    cr_assert(t, "%s", err.text);
    return t;
}

static void close_shard(TarWriter *t)
{
    Error err = {0};
    cr_assert(tarwrite_close(t, &err), "%s", err.text);
}

// Samples k0 to k4, k2 with another member.
static void write_shard(const char *name, const Item *other)
{
    TarWriter *t = open_shard(name);
    for (int i = 0; i < 5; i++) add_sample(t, str_printf(arena, "k%d", i), i == 2 ? other : NULL);
    close_shard(t);
}

typedef struct Told {
    char text[4000];
    int n;
} Told;

static void report(void *user, const DataProblem *p)
{
    Told *told = user;
    const char *slash = strrchr(p->shard, '/');
    snprintf(told->text + strlen(told->text), sizeof told->text - strlen(told->text),
             "%s|%s|%s|%s\n", slash ? slash + 1 : p->shard, p->key, p->member, p->reason);
    told->n++;
}

#define SPEC(source)                                                                               \
    "{\"source\":" source ",\"batch\":8,\"shuffle\":false,\"max_bad\":0.9,"                        \
    "\"views\":[{\"name\":\"image\",\"size\":[8,8]}],\"fields\":["                                 \
    "{\"name\":\"text\",\"role\":\"tokens\",\"length\":8},"                                        \
    "{\"name\":\"seg\",\"role\":\"class_map\"},{\"name\":\"e\",\"role\":\"vector\",\"size\":[4]}]"

static Data *open_data(const char *spec, Told *told, Error *err)
{
    DataSpec *s = spec_parse_text(arena, spec, strlen(spec), err);
    cr_assert(s, "%s", err->text);
    return data_open(s,
                     &(DataOptions){.base_dir = folder,
                                    .tokenizers = clip_files(),
                                    .threads = 2,
                                    .report = report,
                                    .user = told},
                     err);
}

// Keys of the first batch, all of a small source: "k0 k1 k3".
static const char *keys_of(Data *d)
{
    uint32_t n;
    const DataSlot *slots = data_slots(d, &n);
    void **to = arena_array(arena, void *, n);
    const char *keys = "";
    int64_t count;
    Error err = {0};
    for (uint32_t i = 0; i < n; i++) to[i] = arena_alloc(arena, slots[i].bytes);
    cr_assert(data_next(d, to, &count, &err), "%s", err.text);
    for (int64_t i = 0; i < count; i++)
        keys = str_printf(arena, "%s%s%s", keys, i ? " " : "", data_key(d, i));
    return keys;
}

// Open, take all, close: `keys` are used, and the only message begins with `want` and has `more`.
static void expect(const char *spec, const char *keys, const char *want, const char *more)
{
    Told told = {0};
    Error err = {0};
    Data *d = open_data(spec, &told, &err);
    cr_assert(d, "%s: %s", want, err.text);
    cr_expect_str_eq(keys_of(d), keys, "%s: %s", want, told.text);
    cr_expect_eq(told.n, *want != 0, "%s:\n%s", want, told.text);
    cr_expect(strncmp(told.text, want, strlen(want)) == 0 && strstr(told.text, more),
              "%s...%s is not\n%s", want, more, told.text);
    data_close(d);
}

Test(bad_data, members)
{
    Bytes none = {0};
    const struct {
        Item item;
        const char *want, *more;
    } rows[] = {
        {{"jpg", half(fixture("photo.jpg"))}, "s.tar|k2|jpg|JPEG: ", ""},
        {{"jpg", half(fixture("rgb.png"))}, "s.tar|k2|jpg|PNG: ", ""},
        {{"jpg", half(fixture("lossy.webp"))}, "s.tar|k2|jpg|WebP: damaged or cut off", ""},
        {{"jpg", text("<html>404</html>")}, "s.tar|k2|jpg|", "neither JPEG"},
        {{"jpg", text("")}, "s.tar|k2|jpg|", "neither JPEG"},
        {{"jpg", none}, "s.tar|k2|jpg|the sample has no member .jpg", ""},
        {{"txt", none}, "s.tar|k2|txt|the sample has no member .txt", ""},
        {{"txt", text("caf\xE9!")}, "s.tar|k2|txt|invalid UTF-8 at byte 3", ""},
        {{"seg.png", class_map(3)}, "s.tar|k2|seg.png|PNG: 3 channel(s) where 1 are wanted", ""},
        {{"seg.png", half(class_map(1))}, "s.tar|k2|seg.png|PNG: ", ""},
        {{"e.npy", vector(3)}, "s.tar|k2|e.npy|npy: 3 elements where 4 are wanted", ""},
        {{"e.npy", half(vector(4))}, "s.tar|k2|e.npy|", "npy"},
        {{"TXT", text("again")}, "s.tar|k2|txt|the member is there twice", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_shard("s.tar", &rows[i].item);
        expect(SPEC("\"s.tar\"") "}", "k0 k1 k3 k4", rows[i].want, rows[i].more);
    }
    // Not faults: a label of another size, or none.
    write_shard("s.tar", &(Item){"seg.png", fixture("gray1.png")});
    expect(SPEC("\"s.tar\"") "}", "k0 k1 k2 k3 k4", "", "");
    write_shard("s.tar", &(Item){"seg.png", none});
    expect(SPEC("\"s.tar\"") "}", "k0 k1 k2 k3 k4", "", "");
}

Test(bad_data, keys)
{
    TarWriter *t = open_shard("s.tar");
    add_sample(t, "k0", NULL);
    add_sample(t, "k1", NULL);
    add_sample(t, "k0", NULL);
    add_sample(t, "k2", NULL);
    close_shard(t);
    expect(SPEC("\"s.tar\"") "}", "k0 k1 k2", "s.tar|k0||the key stood further up in the shard",
           "lie side by side");
    write_shard("s.tar", NULL);
    TarWriter *u = open_shard("t.tar"); // another shard may use the same keys anew
    add_sample(u, "k1", NULL);
    close_shard(u);
    expect(SPEC("[\"s.tar\",\"t.tar\"]") "}", "k0 k1 k2 k3 k4 k1", "", "");
}

// Where the header of a member lies.
static size_t header_of(const Bytes *b, const char *name)
{
    for (size_t at = 0; at + 512 <= b->n; at += 512)
        if (strcmp((char *)b->at + at, name) == 0) return at;
    cr_assert(false, "%s", name);
    return 0;
}

// Give the header at `at` another size, and the checksum that it then has.
static void set_size(Bytes *b, size_t at, unsigned size)
{
    unsigned char *h = b->at + at;
    unsigned sum = 0;
    snprintf((char *)h + 124, 12, "%011o", size);
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++) sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
}

Test(bad_data, archives)
{
    static const char spec[] = SPEC("[\"s.tar\",\"fine.tar\"]") "}";
    TarWriter *t = open_shard("fine.tar");
    add_sample(t, "f0", NULL);
    close_shard(t);
    write_shard("s.tar", NULL);
    Bytes whole = slurp(in("s.tar"));
    size_t jpg = header_of(&whole, "k3.jpg"), txt = header_of(&whole, "k3.txt");

    spit(in("s.tar"), whole.at, jpg + 512 + 100); // cut off in a member
    expect(spec, "k0 k1 k2 f0", "s.tar|k3|jpg|", "member k3.jpg is cut off");
    spit(in("s.tar"), whole.at, txt + 100); // in a header
    expect(spec, "k0 k1 k2 f0", "s.tar|k3||", "cut off inside a header");

    static const struct { // behind a whole member: what is there is used
        const char *member;
        size_t n;
    } cuts[] = {{"k3.jpg", 0}, {"k3.e.npy", 512 + 144}, {"k3.e.npy", 512 + 200}};
    for (int i = 0; i < 3; i++) {
        size_t n = header_of(&whole, cuts[i].member) + cuts[i].n;
        spit(in("s.tar"), whole.at, n);
        expect(spec, i ? "k0 k1 k2 k3 f0" : "k0 k1 k2 f0", "s.tar|||",
               str_printf(arena, "/s.tar: cut off at byte %zu: the two zero blocks", n));
    }
    size_t end = header_of(&whole, "");
    spit(in("s.tar"), whole.at, end + 512);
    expect(spec, "k0 k1 k2 k3 k4 f0", "s.tar|||", "cut off at byte");
    whole.at[end + 512] = 'k'; // another archive's beginning
    spit(in("s.tar"), whole.at, whole.n);
    expect(spec, "k0 k1 k2 k3 k4 f0", "s.tar|||",
           str_printf(arena, "/s.tar: a lone zero block at byte %zu", end));

    set_size(&whole, jpg, 100); // the member is larger than the archive says
    spit(in("s.tar"), whole.at, whole.n);
    expect(spec, "k0 k1 k2 f0", "s.tar|k3||", "bad header checksum");
    set_size(&whole, jpg, 077777777); // the archive says more than there is
    spit(in("s.tar"), whole.at, whole.n);
    expect(spec, "k0 k1 k2 f0", "s.tar|k3|jpg|", "member k3.jpg is cut off: 16777215 bytes");

    memset(whole.at, 0, whole.n);
    spit(in("s.tar"), whole.at, 1024);
    expect(spec, "f0", "s.tar|||", "no samples are in the shard");
    spit(in("s.tar"), whole.at, 0);
    expect(spec, "f0", "s.tar|||", "no samples are in the shard");
    spit(in("s.tar"), "<html>404</html>", 16);
    expect(spec, "f0", "s.tar|||", "cut off inside a header");
    free(whole.at);
    spit(in("fine.tar"), "", 0);
    Told told = {0};
    Error err = {0};
    cr_expect_null(open_data(spec, &told, &err));
    cr_expect(strstr(err.text, "data.source: ") && strstr(err.text, "no samples"), "%s", err.text);
}

#undef SPEC
#define SERIES                                                                                     \
    "{\"source\":\"s.tar\",\"series\":{\"more\":[\"m.tar\"]},\"batch\":8,\"shuffle\":false,"       \
    "\"max_bad\":0.9,\"fields\":[{\"name\":\"v\",\"role\":\"vector\",\"series\":\"more\","         \
    "\"required\":true,\"size\":[4]}]}"

Test(bad_data, series)
{
    write_shard("s.tar", NULL);
    for (int fault = 0; fault < 4; fault++) {
        TarWriter *t = open_shard("m.tar");
        for (int i = 0; i < 5; i++) {
            const char *name = str_printf(arena, "k%d.v.npy", i);
            if (fault != 1 || i != 2) add(t, name, vector(fault == 0 && i == 2 ? 3 : 4));
            if (fault == 2 && i == 2) add(t, name, vector(4));
        }
        if (fault == 3) add(t, "k2.v.npy", vector(4));
        close_shard(t);
        static const char *const want[][2] = {
            {"s.tar|k2|v.npy|", "/m.tar: npy: 3 elements where 4"},
            {"s.tar|k2|v.npy|", "series 'more' has no member .v.npy of this key"},
            {"s.tar|k2|v.npy|", "/m.tar: member .v.npy is there twice"},
            {"m.tar|k2||the key is in ", "/m.tar already, whose sample is used"}};
        expect(SERIES, fault == 3 ? "k0 k1 k2 k3 k4" : "k0 k1 k3 k4", want[fault][0],
               want[fault][1]);
    }
    unlink(in("m.tar"));
    Told told = {0};
    Error err = {0};
    cr_expect_null(open_data(SERIES, &told, &err));
    cr_expect(strstr(err.text, "data.series.more: ") && strstr(err.text, "/m.tar: cannot read"),
              "%s", err.text);
}

static const char three_spec[] =
    "{\"source\":%s,\"batch\":2,\"shuffle\":false,\"fields\":[{\"name\":\"e\",\"role\":"
    "\"vector\",\"size\":[4]}]}";

Test(bad_data, folders_and_missing_shards)
{
    Told told = {0};
    cr_assert_eq(mkdir(in("set"), 0777) | mkdir(in("none"), 0777), 0);
    for (int i = 2; i >= 0; i--) {
        TarWriter *t = open_shard(str_printf(arena, "set/p-%d.tar", i));
        add(t, str_printf(arena, "k%d.e.npy", i), vector(4));
        close_shard(t);
    }
    spit(in("set/notes.txt"), "no shard", 8);
    spit(in("set/.hidden.tar"), "no shard", 8);
    spit(in("set/p-9.tar.tmp"), "no shard", 8);
    static const struct {
        const char *source, *want;
    } wrong[] = {
        {"\"none\"", "data.source: %s/none: the folder has no *.tar"},
        {"\"set/p-{1..4}.tar\"",
         "data.source: %s/set/p-3.tar: cannot read the shard: No such file or directory (and 1 "
         "more of 4 shards)"},
        {"\"set/p-3.tar\"", "data.source: %s/set/p-3.tar: cannot read the shard: No such file"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Error err = {0};
        cr_expect_null(open_data(str_printf(arena, three_spec, wrong[i].source), &told, &err));
        const char *want = str_printf(arena, wrong[i].want, folder);
        cr_expect(strncmp(err.text, want, strlen(want)) == 0, "%s", err.text);
    }
    static const char *const right[] = {"\"set\"", "\"set/\"", "[\"set/p-0.tar\", \"set\"]"};
    for (int i = 0; i < 3; i++) {
        Error err = {0};
        Data *d = open_data(str_printf(arena, three_spec, right[i]), &told, &err);
        cr_assert(d, "%s", err.text);
        cr_expect_eq(data_counts(d).samples, i < 2 ? 3 : 4);
        cr_expect_str_eq(keys_of(d), i < 2 ? "k0 k1" : "k0 k0");
        data_close(d);
    }
    cr_expect_eq(told.n, 0, "%s", told.text);
}
