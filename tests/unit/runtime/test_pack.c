// Packing of folders and tables, read back through the index of shards.
#include "runtime/pack.h"

#include "data_make.h"
#include "runtime/csv.h"
#include "runtime/shards.h"

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
    PackOptions options = {in("out", prefix), 2, "a photo of a {}."};
    PackResult result;
    Error err = {0};
    cr_assert(pack_folder(in("pets", source), &options, &result, &err), "%s", err.text);
    cr_expect(result.samples == 3 && result.shards == 2 && result.classes == 2);
    list("out-{00000..00001}.tar", got);
    cr_expect_str_eq(got, "0 00000000: png=... txt=a photo of a cat. cls=0\n"
                          "0 00000001: jpg=... txt=a photo of a dog. cls=1\n"
                          "1 00000002: webp=... depth.json=[1] txt=b in words cls=1\n");
    char path[400];
    Bytes classes = slurp(in("out-classes.txt", path));
    cr_expect_str_eq((char *)classes.at, "cat\ndog\n");
    free(classes.at);
}

Test(pack, the_same_input_gives_the_same_bytes)
{
    make_pets();
    char source[400], one[400], two[400], path[400];
    PackOptions first = {in("one", one), 0, "x"}, second = {in("two", two), 0, "x"};
    PackResult result;
    Error err = {0};
    cr_assert(pack_folder(in("pets", source), &first, &result, &err));
    cr_assert(pack_folder(in("pets", source), &second, &result, &err));
    Bytes a = slurp(in("one-00000.tar", path)), b = slurp(in("two-00000.tar", path));
    cr_expect(a.n == b.n && memcmp(a.at, b.at, a.n) == 0);
    cr_expect_eq(a.n % 512, 0);
    free(a.at);
    free(b.at);
    cr_expect_not(pack_folder(source, &first, &result, &err));
    cr_expect(strstr(err.text, "is there already"), "%s", err.text);
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
    PackOptions options = {in("out", prefix), 1, NULL};
    PackResult result;
    Error none = {0}, broken = {0}, two = {0};
    cr_expect_not(pack_folder(in("pets", source), &options, &result, &none));
    cr_expect(strstr(none.text, "c.png: no .txt beside it"), "%s", none.text);
    options.caption = "x";
    put("pets/dog/z.jpg", "not a picture");
    cr_expect_not(pack_folder(source, &options, &result, &broken));
    cr_expect(strstr(broken.text, "dog/z.jpg: neither JPEG"), "%s", broken.text);
    put("pets/dog/z.png", "");
    cr_expect_not(pack_folder(source, &options, &result, &two));
    cr_expect(strstr(two.text, "two pictures of one name"), "%s", two.text);
    cr_expect_eq(leftovers(), 0);
}

Test(pack, a_table)
{
    make_sub("t");
    put_picture("t/a.jpg", "photo.jpg");
    put_picture("t/b.png", "rgb.png");
    put("t/a_labels.png", "SEG");
    put("t/list.csv",
        "\xEF\xBB\xBF"
        "file,caption,class,seg,extra.json\r\n"
        "a.jpg,\"one, \"\"two\"\"\nthree\",zebra,a_labels.png,\r\n\r\nb.png,plain,ape,,list.csv\n");
    char table[400], prefix[400], got[2000];
    PackOptions options = {in("t/out", prefix), 10, NULL};
    PackResult result;
    Error err = {0};
    cr_assert(pack_csv(in("t/list.csv", table), &options, &result, &err), "%s", err.text);
    list("t/out-00000.tar", got);
    cr_expect_str_eq(got, "0 00000000: jpg=... txt=one, \"two\"\nthree seg.png=SEG cls=1\n"
                          "0 00000001: png=... txt=plain extra.json=... cls=0\n");
}

Test(pack, table_errors_name_the_row)
{
    static const char *const rows[][2] = {
        {"file,caption\na.jpg\n", "list.csv:2: 1 cells where the header has 2"},
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
    PackOptions options = {in("out", prefix), 10, NULL};
    PackResult result;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Error err = {0};
        put("list.csv", rows[i][0]);
        cr_expect_not(pack_csv(in("list.csv", table), &options, &result, &err), "%s", rows[i][0]);
        cr_expect(strstr(err.text, rows[i][1]), "%s: %s", rows[i][0], err.text);
    }
    cr_expect_eq(leftovers(), 0);
}
