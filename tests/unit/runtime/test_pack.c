// Packing of folders and tables, read back through the index of shards.
#include "runtime/pack.h"

#include "data_make.h"
#include "runtime/csv.h"
#include "runtime/shards.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>

static char folder[300];

static void begin(void)
{
    make_folder(folder, sizeof folder);
}

static void end(void)
{
    remove_folder(folder);
}

TestSuite(pack, .init = begin, .fini = end);

static const char *in(const char *name, char to[400])
{
    snprintf(to, 400, "%s/%s", folder, name);
    return to;
}

static void put(const char *name, const char *text)
{
    char path[400];
    spit(in(name, path), text, strlen(text));
}

static void put_picture(const char *name, const char *fixture)
{
    char path[400], from[400];
    snprintf(from, sizeof from, "%s/%s", FIXTURES, fixture);
    Bytes b = slurp(from);
    spit(in(name, path), b.at, b.n);
    free(b.at);
}

static void make_sub(const char *name)
{
    char path[400];
    cr_assert_eq(mkdir(in(name, path), 0755), 0);
}

// "shard key:member=size,..." of all shards, texts in full.
static void list(const char *pattern, char *to)
{
    char path[400];
    const char *at[1] = {in(pattern, path)};
    Names names = {at, 1};
    Error err = {0};
    ShardsOptions options = {.threads = 1};
    Shards *s = shards_open(&names, &options, &err);
    cr_assert(s, "%s", err.text);
    *to = 0;
    for (int64_t i = 0; i < shards_count(s); i++) {
        Sample sample = shards_sample(s, i);
        to += sprintf(to, "%d %s:", (int)sample.shard_index, sample.key);
        for (uint32_t k = 0; k < sample.n; k++) {
            const Member *m = &sample.members[k];
            char text[100] = {0};
            if (m->size < 100) cr_assert(shards_read(s, &sample, m, text, &err));
            to += sprintf(to, " %s=%s", m->extension, m->size < 100 ? text : "...");
        }
        to += sprintf(to, "\n");
    }
    shards_close(s);
}

static void make_pets(void)
{
    make_sub("pets");
    make_sub("pets/dog");
    make_sub("pets/cat");
    put_picture("pets/dog/a.jpg", "photo.jpg");
    put_picture("pets/dog/b.jpeg", "lossless.webp"); // named by content
    put("pets/dog/b.txt", "b in words");
    put("pets/dog/b.depth.json", "[1]");
    put_picture("pets/cat/c.png", "rgb.png");
    put("pets/cat/.hidden.png", "no");
    put("pets/README", "no");
}

Test(pack, a_folder_of_classes)
{
    make_pets();
    char source[400], prefix[400], got[2000];
    PackOptions options = {
        .prefix = in("out", prefix), .per_shard = 2, .caption = "a photo of a {}."};
    PackResult result;
    Error err = {0};
    cr_assert(pack_folder(in("pets", source), &options, &result, &err), "%s", err.text);
    cr_expect(result.samples == 3 && result.shards == 2 && result.classes == 2);
    list("out-{00000..00001}.tar", got);
    cr_expect_str_eq(got, "0 00000000: png=... txt=a photo of a cat. cls=0\n"
                          "0 00000001: jpg=... txt=a photo of a dog. cls=1\n"
                          "1 00000002: webp=... depth.json=[1] txt=b in words cls=1\n");
    char path[400];
    Bytes classes = slurp(in("out-classes.json", path));
    cr_expect_str_eq((char *)classes.at, "{\n \"classes\": [\n  \"cat\",\n  \"dog\"\n ],\n "
                                         "\"templates\": [\n  \"a photo of a {}.\"\n ]\n}\n");
    free(classes.at);
    struct stat st;
    cr_assert(stat(in("out-00000.tar", path), &st) == 0);
    int64_t bytes = st.st_size;
    cr_assert(stat(in("out-00001.tar", path), &st) == 0);
    cr_expect(result.bytes == bytes + st.st_size && result.skipped == 0);
}

Test(pack, the_same_input_gives_the_same_bytes)
{
    make_pets();
    char source[400], one[400], two[400], path[400];
    PackOptions first = {.prefix = in("one", one), .caption = "x"},
                second = {.prefix = in("two", two), .caption = "x"};
    PackResult result;
    Error err = {0};
    cr_assert(pack_folder(in("pets", source), &first, &result, &err));
    cr_assert(pack_folder(in("pets", source), &second, &result, &err));
    Bytes a = slurp(in("one-00000.tar", path)), b = slurp(in("two-00000.tar", path));
    cr_expect(a.n == b.n && memcmp(a.at, b.at, a.n) == 0);
    cr_expect_eq(a.n % 512, 0);
    free(a.at);
    free(b.at);
}

// Number of entries of the folder whose names begin with "out".
static int leftovers(void)
{
    char command[400];
    snprintf(command, sizeof command, "test -z \"$(ls '%s' | grep ^out)\"", folder);
    return system(command);
}

Test(pack, a_failure_leaves_nothing)
{
    make_pets();
    char source[400], prefix[400];
    PackOptions options = {.prefix = in("out", prefix), .per_shard = 1};
    PackResult result;
    Error none = {0}, broken = {0}, two = {0};
    cr_expect_not(pack_folder(in("pets", source), &options, &result, &none));
    cr_expect(strstr(none.text, "c.png: no .txt beside it"), "%s", none.text);
    options.caption = "a {}";
    put_picture("pets/z.png", "rgb.png");
    none = (Error){0};
    cr_expect_not(pack_folder(source, &options, &result, &none));
    cr_expect(strstr(none.text, "pets/z.png: the caption wants a class"), "%s", none.text);
    options.caption = "x";
    put("pets/dog/z.jpg", "not a picture");
    cr_expect_not(pack_folder(source, &options, &result, &broken));
    cr_expect(strstr(broken.text, "dog/z.jpg: neither JPEG"), "%s", broken.text);
    put("pets/dog/z.png", "");
    cr_expect_not(pack_folder(source, &options, &result, &two));
    cr_expect(strstr(two.text, "two pictures of one name"), "%s", two.text);
    cr_expect_eq(leftovers(), 0);
}

Test(pack, the_order_is_random_and_keyed_by_the_seed)
{
    char source[400], path[400], orders[4][4000];
    make_sub("many");
    for (int i = 0; i < 70; i++) { // more than are read at a time
        char name[40], text[8];
        snprintf(name, sizeof name, "many/%02d.txt", i);
        snprintf(text, sizeof text, "%02d", i);
        put(name, text);
        snprintf(name, sizeof name, "many/%02d.png", i);
        put_picture(name, "rgb.png");
    }
    for (int k = 0; k < 4; k++) {
        static const uint64_t seeds[] = {0, 0, 1, 0};
        char prefix[400], pattern[40];
        snprintf(pattern, sizeof pattern, "out%d", k);
        PackOptions options = {.prefix = in(pattern, prefix),
                               .shuffle = k < 3,
                               .seed = seeds[k],
                               .threads = k == 1 ? 1 : 3};
        PackResult result;
        Error err = {0};
        cr_assert(pack_folder(in("many", source), &options, &result, &err), "%s", err.text);
        snprintf(pattern, sizeof pattern, "out%d-00000.tar", k);
        list(pattern, orders[k]);
    }
    cr_expect_str_eq(orders[0], orders[1]);
    cr_expect_str_neq(orders[0], orders[2]);
    cr_expect(strstr(orders[3], "0 00000000: png=... txt=00\n0 00000001: png=... txt=01\n"));
    int moved = 0;
    for (int i = 0; i < 70; i++) {
        snprintf(path, sizeof path, "txt=%02d\n", i);
        char *at = strstr(orders[0], path);
        cr_assert(at && !strstr(at + 1, path), "%d", i); // each once
        moved += (at - orders[0]) / (ptrdiff_t)strlen("0 00000000: png=... txt=00\n") != i;
    }
    cr_expect(moved > 50, "%d", moved);
}

Test(pack, shards_of_an_earlier_packing_are_not_mixed_in)
{
    make_pets();
    char source[400], prefix[400], path[400], got[2000];
    PackOptions options = {.prefix = in("out", prefix), .per_shard = 1, .caption = "x"};
    PackResult result;
    Error err = {0};
    cr_assert(pack_folder(in("pets", source), &options, &result, &err));
    put("out-seg-00000.tar", "of another prefix");
    put("out-0001.tar", "not ours");
    put("out-00007.tar.tmp", "of a killed packing");
    Bytes before = slurp(in("out-00001.tar", path));
    options.per_shard = 2;
    cr_expect_not(pack_folder(source, &options, &result, &err));
    cr_expect(strstr(err.text, "is there already (4 files of this prefix): --force"), "%s",
              err.text);
    Bytes after = slurp(path);
    cr_expect(before.n == after.n && memcmp(before.at, after.at, before.n) == 0);
    free(before.at);
    free(after.at);
    options.force = true;
    options.caption = NULL; // fails: the old ones stay
    err = (Error){0};
    cr_expect_not(pack_folder(source, &options, &result, &err));
    cr_expect_eq(access(in("out-00002.tar", path), F_OK), 0);
    options.caption = "x";
    cr_assert(pack_folder(source, &options, &result, &err));
    cr_expect_neq(access(path, F_OK), 0);
    list("out-{00000..00001}.tar", got);
    cr_expect(strstr(got, "1 00000002:"), "%s", got);
    cr_expect_eq(access(in("out-seg-00000.tar", path), F_OK), 0);
    cr_expect_eq(access(in("out-0001.tar", path), F_OK), 0);
    cr_expect_neq(access(in("out-00007.tar.tmp", path), F_OK), 0);
}

static bool always(void *ctx)
{
    return ++*(int *)ctx > 1;
}

// Shards that are there, and a packing of the same prefix that fails. A limit on file sizes (0:
// none) fails write(2) as a full disk does.
static void expect_untouched(const PackOptions *options, rlim_t limit, const char *want)
{
    struct rlimit old;
    char source[400], path[400], command[900];
    PackResult result;
    Error err = {0};
    snprintf(command, sizeof command, "cd '%s' && ls out* >names && cat out* >all", folder);
    cr_assert_eq(system(command), 0);
    getrlimit(RLIMIT_FSIZE, &old);
    if (limit) setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, old.rlim_max});
    cr_expect_not(pack_folder(in("pets", source), options, &result, &err));
    setrlimit(RLIMIT_FSIZE, &old);
    cr_expect(strstr(err.text, want), "%s", err.text);
    snprintf(command, sizeof command, "cd '%s' && ls out* | cmp - names && cat out* | cmp - all",
             folder);
    cr_expect_eq(system(command), 0, "%s", want);
    cr_expect_eq(access(in("out-pack.lock", path), F_OK), -1);
}

Test(pack, a_full_disk_a_stop_and_another_packing_change_nothing)
{
    char name[40], source[400], prefix[400], path[400];
    int asked = 0;
    make_pets();
    PackOptions options = {.prefix = in("out", prefix), .per_shard = 2, .caption = "x"};
    PackResult result;
    Error err = {0};
    cr_assert(pack_folder(in("pets", source), &options, &result, &err));
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "pets/cat/more%d.jpg", i);
        put_picture(name, "photo.jpg");
    }
    options.force = true;
    options.per_shard = 60;
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 100; limit < 40000; limit += 9000)
        expect_untouched(&options, limit, ".tar.tmp: cannot ");
    options.stop = always, options.ctx = &asked;
    expect_untouched(&options, 0, "stopped by a signal");
    cr_expect_eq(asked, 2); // in the middle
    options.stop = NULL;
    int lock = open(in("out-pack.lock", path), O_RDWR | O_CREAT, 0666);
    cr_assert_eq(flock(lock, LOCK_EX), 0);
    err = (Error){0};
    cr_expect_not(pack_folder(source, &options, &result, &err));
    cr_expect(strstr(err.text, "another cztc pack"), "%s", err.text);
    close(lock);
    cr_expect(pack_folder(source, &options, &result, &err) && result.samples == 103);
}

static void keep_warning(void *ctx, const char *text)
{
    strcat(ctx, text);
    strcat(ctx, "\n");
}

Test(pack, bad_samples_are_errors_or_left_out)
{
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"pets/dog/bad.jpg", "\xFF\xD8\xFF nothing", "dog/bad.jpg: JPEG: "},
        {"pets/dog/bad.png", "\x89PNG\r\n\x1a\n", "dog/bad.png: PNG: "},
        {"pets/dog/a.txt", "caf\xE9!", "dog/a.txt: invalid UTF-8 at byte 3"},
        {"pets/dog/a.txt", " \n", "dog/a.txt: the caption is empty"},
        {"pets/dog/a.seg.png", "GIF89a", "dog/a.seg.png: a label picture must be PNG"},
        {"pets/dog/a.e.npy", "\x93NUMPY", "dog/a.e.npy: "},
        {"pets/dog/a.cls", "3", "dog/a.jpg: two members are called .cls"},
    };
    make_pets();
    char source[400], prefix[400], path[400], warned[2000] = "";
    PackResult result;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Error err = {0};
        PackOptions options = {
            .prefix = in("out", prefix), .caption = "x", .warn = keep_warning, .ctx = warned};
        put(rows[i].name, rows[i].text);
        cr_expect_not(pack_folder(in("pets", source), &options, &result, &err), "%s", rows[i].want);
        cr_expect(strstr(err.text, rows[i].want), "%s", err.text);
        cr_expect_eq(leftovers(), 0);
        options.skip_bad = options.force = true;
        *warned = 0;
        err = (Error){0};
        cr_assert(pack_folder(source, &options, &result, &err), "%s", err.text);
        cr_expect(strstr(warned, rows[i].want), "%s", warned);
        cr_expect(result.skipped == 1 && result.samples == (i < 2 ? 3 : 2), "%s", rows[i].want);
        unlink(in(rows[i].name, path));
        cr_assert_eq(unlink(in("out-00000.tar", path)) + unlink(in("out-classes.json", path)), 0);
    }
}

Test(pack, a_table)
{
    make_sub("t");
    put_picture("t/a.jpg", "photo.jpg");
    put_picture("t/b.png", "rgb.png");
    put("t/a_labels.json", "SEG");
    put("t/list.csv",
        "\xEF\xBB\xBF"
        "file,caption,class,seg,extra.json\r\n"
        "a.jpg,\"one, "
        "\"\"two\"\"\nthree\",zebra,a_labels.json,\r\n\r\nb.png,plain,ape,,list.csv\n");
    char table[400], prefix[400], got[2000];
    PackOptions options = {.prefix = in("t/out", prefix), .per_shard = 10};
    PackResult result;
    Error err = {0};
    cr_assert(pack_csv(in("t/list.csv", table), &options, &result, &err), "%s", err.text);
    list("t/out-00000.tar", got);
    cr_expect_str_eq(got, "0 00000000: jpg=... txt=one, \"two\"\nthree seg.json=SEG cls=1\n"
                          "0 00000001: png=... txt=plain extra.json=... cls=0\n");
}

Test(pack, a_table_with_a_template_and_numbers)
{
    put_picture("a.jpg", "photo.jpg");
    put("list.csv", "class,file\n3,a.jpg\n12,a.jpg\n");
    char table[400], prefix[400], got[2000];
    PackOptions options = {.prefix = in("out", prefix), .per_shard = 10, .caption = "number {}!"};
    PackResult result;
    Error err = {0};
    cr_assert(pack_csv(in("list.csv", table), &options, &result, &err), "%s", err.text);
    list("out-00000.tar", got);
    cr_expect_str_eq(got, "0 00000000: jpg=... txt=number 3! cls=3\n"
                          "0 00000001: jpg=... txt=number 12! cls=12\n");
    cr_expect_eq(result.classes, 0);
    put("list.csv", "class,file\n,a.jpg\n");
    cr_expect_not(pack_csv(table, &options, &result, &err));
    cr_expect(strstr(err.text, "list.csv:2: the caption wants a class"), "%s", err.text);
}

Test(pack, table_errors_name_the_row)
{
    static const char *const rows[][2] = {
        {"file,caption\na.jpg\n", "list.csv:2: 1 cells where the header has 2"},
        {"file,caption\n,x\n", "list.csv:2: the cell of column 'file' is empty"},
        {",file,caption\n0,a.jpg,x\n", "list.csv:1: column 1 has no name"},
        {"file,caption\n\nt.png,caf\xE9\n", "list.csv:3: invalid UTF-8 at byte 3"},
        {"file,caption\na.jpg,\n", "list.csv:2: the cell of column 'caption' is empty"},
        {"file,text\na.jpg,x\n", "list.csv:1: the columns 'file' and 'caption' are wanted"},
        {"file,caption,x,x\na.jpg,y,,\n", "column 'x' is there twice"},
        {"file,caption\n\n\nmissing.jpg,x\n", "list.csv:4: "},
        {"file,caption\nlist.csv,x\n", "list.csv:2: "},
        {"file,caption\n\"a.jpg,x\n", "list.csv:2: a quoted cell does not end"},
        {"file,caption\n", "no pictures"},
        {"", "an empty table"},
    };
    char table[400], prefix[400];
    PackOptions options = {.prefix = in("out", prefix), .per_shard = 10};
    PackResult result;
    put_picture("t.png", "rgb.png");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Error err = {0};
        put("list.csv", rows[i][0]);
        cr_expect_not(pack_csv(in("list.csv", table), &options, &result, &err), "%s", rows[i][0]);
        cr_expect(strstr(err.text, rows[i][1]), "%s: %s", rows[i][0], err.text);
    }
    cr_expect_eq(leftovers(), 0);
}
