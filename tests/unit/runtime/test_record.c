// Parts of records: JSON, .npy and .npz as NumPy writes them; and the loader's draws.
#include "runtime/data.h"
#include "base/npy.h"

#include "data_folder.h"

#include <stdarg.h>
#include <zlib.h>

// ---- small archives -----------------------------------------------------------------------------

static void put(Bytes *b, const void *data, size_t n)
{
    b->at = realloc(b->at, b->n + n + 1);
    if (n) memcpy(b->at + b->n, data, n);
    b->n += n;
}

// Little-endian numbers, each behind its number of bytes; 0 ends them.
static void numbers(Bytes *b, ...)
{
    va_list list;
    va_start(list, b);
    for (int n; (n = va_arg(list, int)) != 0;) {
        uint32_t x = va_arg(list, uint32_t);
        put(b, &x, (size_t)n);
    }
    va_end(list);
}

typedef struct ZipFile {
    Bytes bytes, directory;
    uint32_t n;
} ZipFile;

static Bytes deflated(Bytes data)
{
    Bytes b = {malloc(data.n + 100), data.n + 100};
    z_stream z = {
        .next_in = data.at, .avail_in = (uInt)data.n, .next_out = b.at, .avail_out = (uInt)b.n};
    cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    b.n = z.total_out;
    deflateEnd(&z);
    return b;
}

// A member as NumPy's savez writes it: sizes in an extra field of the local header.
static void zip_add(ZipFile *zip, const char *name, Bytes data, bool packed)
{
    uint32_t check = (uint32_t)crc32(0, data.at, (uInt)data.n), length = (uint32_t)strlen(name);
    uint32_t local = (uint32_t)zip->bytes.n, method = packed ? 8 : 0, bytes = (uint32_t)data.n;
    Bytes body = packed ? deflated(data) : data;
    uint32_t size = (uint32_t)body.n;
    numbers(&zip->bytes, 4, 0x04034b50U, 2, 45U, 2, 0U, 2, method, 4, 0U, 4, check, 4, ~0U, 4, ~0U,
            2, length, 2, 20U, 0);
    put(&zip->bytes, name, length);
    numbers(&zip->bytes, 2, 1U, 2, 16U, 4, bytes, 4, 0U, 4, size, 4, 0U, 0);
    put(&zip->bytes, body.at, body.n);
    numbers(&zip->directory, 4, 0x02014b50U, 4, 45U, 2, 0U, 2, method, 4, 0U, 4, check, 4, size, 4,
            bytes, 2, length, 2, 0U, 2, 0U, 4, 0U, 4, 0U, 4, local, 0);
    put(&zip->directory, name, length);
    zip->n++;
    if (packed) free(body.at);
    free(data.at);
}

static Bytes zip_end(ZipFile *zip)
{
    uint32_t at = (uint32_t)zip->bytes.n;
    put(&zip->bytes, zip->directory.at, zip->directory.n);
    numbers(&zip->bytes, 4, 0x06054b50U, 4, 0U, 2, zip->n, 2, zip->n, 4, (uint32_t)zip->directory.n,
            4, at, 2, 0U, 0);
    free(zip->directory.at);
    return zip->bytes;
}

// a (3, 2) f32 deflated, b (2,) bf16 stored.
static Bytes archive(float first)
{
    float a[6] = {first, 1, 2, 3, 4, 5};
    uint16_t b[2] = {0x3FC0, 0xC000}; // 1.5, -2
    ZipFile zip = {0};
    zip_add(&zip, "a.npy", make_npy("<f4", "(3, 2)", a, sizeof a), true);
    zip_add(&zip, "b.npy", make_npy("|V2", "(2,)", b, sizeof b), false);
    return zip_end(&zip);
}

// ---- parts --------------------------------------------------------------------------------------

static const int64_t draws[2] = {1, 4};

// The part, to be freed; NULL with why. Steps are names, or indices in digits.
static char *part(Bytes record, const char *steps, size_t *n, Error *err)
{
    KeyStep step[8] = {0};
    KeyPath path = {step, 0};
    char text[100];
    snprintf(text, sizeof text, "%s", steps);
    for (char *s = strtok(text, " "); s; s = strtok(NULL, " "), path.n++)
        if (*s >= '0' && *s <= '9')
            step[path.n].base = atoi(s);
        else
            step[path.n].name = s;
    RecordRoom room = {0};
    const void *at;
    char *copy = NULL;
    if (record_part(&path, draws, record.at, record.n, &room, &at, n, err)) {
        copy = malloc(*n + 1);
        memcpy(copy, at, *n);
        copy[*n] = 0;
    }
    record_free(&room);
    return copy;
}

static void is_part(const char *json, const char *steps, const char *wanted)
{
    Error err = {0};
    size_t n;
    char *got = part((Bytes){(unsigned char *)(uintptr_t)json, strlen(json)}, steps, &n, &err);
    cr_assert(got, "%s: %s", steps, err.text);
    cr_expect_str_eq(got, wanted);
    free(got);
}

Test(record, json_is_walked)
{
    static const char json[] = "{\"a\": [[1, 2.5], \"z\\u00e4h\"], \"packed\": \"[[7], null]\"}";
    is_part(json, "a 0", "[1,2.5]");
    is_part(json, "a 0 1", "2.5");
    is_part(json, "a 1", "z\xc3\xa4h");
    is_part(json, "packed", "[[7], null]");
    is_part(json, "packed 0", "[7]"); // a list that was packed into a text
    is_part("[5, 6]", "1", "6");
}

Test(record, an_index_is_a_sum_of_draws)
{
    static const KeyTerm terms[] = {{0, 2}, {1, -1}}; // 3 + 2 x 1 - 4
    const KeyStep step = {.base = 3, .terms = terms, .nterms = 2};
    static const char json[] = "[0, 10, 20]";
    Error err = {0};
    json_t *value = record_json(&(KeyPath){&step, 1}, draws, json, sizeof json - 1, &err);
    cr_expect_eq(json_integer_value(value), 10, "%s", err.text);
    json_decref(value);
}

static void has_numbers(Bytes record, const char *steps, int count, const double *wanted)
{
    Error err = {0};
    size_t n;
    char *got = part(record, steps, &n, &err);
    cr_assert(got, "%s: %s", steps, err.text);
    Npy npy;
    cr_assert(npy_view(got, n, &npy, &err), "%s", err.text);
    cr_expect_eq((npy.at - (const uint8_t *)got) % 64, 0, "as NumPy aligns it");
    cr_expect_eq(npy.elements, count);
    for (int i = 0; i < count; i++) cr_expect_eq(npy_number(&npy, i), wanted[i]);
    free(got);
}

Test(record, arrays_lose_their_first_axes)
{
    Bytes zip = archive(0);
    has_numbers(zip, "a", 6, (double[]){0, 1, 2, 3, 4, 5});
    has_numbers(zip, "a 2", 2, (double[]){4, 5});
    has_numbers(zip, "a 1 1", 1, (double[]){3});
    has_numbers(zip, "b", 2, (double[]){1.5, -2});
    free(zip.at);
    int16_t x[4] = {5, -6, 7, 8};
    Bytes npy = make_npy("<i2", "(2, 2)", x, sizeof x);
    has_numbers(npy, "0", 2, (double[]){5, -6});
    free(npy.at);
}

static void fails(Bytes record, const char *steps, const char *why)
{
    Error err = {0};
    size_t n;
    char *got = part(record, steps, &n, &err);
    cr_expect(!got, "%s", steps);
    cr_expect(strstr(err.text, why), "%s: %s", steps, err.text);
    free(got);
}

Test(record, what_is_not_there_is_said)
{
    Bytes zip = archive(0);
    fails(zip, "c", "zip: there is no 'c.npy' (there are: a.npy, b.npy)");
    fails(zip, "0", "it begins with an array's name");
    fails(zip, "a 3", "index 3 of 3 items");
    fails(zip, "a 0 0 0", "more indices than the array has axes");
    fails(zip, "a b", "'b' is looked for in an array");
    free(zip.at);
    Bytes json = {(unsigned char *)"{\"a\": [1], \"t\": \"no\"}", 21};
    fails(json, "b", "the record has no 'b'");
    fails(json, "a 1", "index 1 of 1 items");
    fails(json, "a b", "'b' is looked for in what is no object");
    fails(json, "t 0", "a text that is no JSON");
    fails((Bytes){(unsigned char *)"{\n]", 3}, "a", "json: line 2");
    fails((Bytes){(unsigned char *)"\x1f\x8b\x08\0", 4}, "a", "a gzip file, such as .pth.gz");
}

// Bytes cut off or changed: an error, never a crash or another value.
Test(record, damaged_archives_are_refused)
{
    Bytes zip = archive(0);
    for (size_t n = 4; n < zip.n; n++) {
        unsigned char *copy = malloc(n); // so that a sanitizer sees the end
        memcpy(copy, zip.at, n);
        fails((Bytes){copy, n}, "a", "zip: ");
        free(copy);
    }
    int wrong = 0;
    for (size_t i = 0; i < zip.n; i++) {
        zip.at[i] ^= 0x55;
        Error err = {0};
        size_t n;
        char *got = part(zip, "a 2 1", &n, &err);
        Npy npy;
        wrong += got && npy_view(got, n, &npy, &err) && npy_number(&npy, 0) != 5;
        free(got);
        zip.at[i] ^= 0x55;
    }
    cr_expect_eq(wrong, 0);
    free(zip.at);
}

// ---- the loader ---------------------------------------------------------------------------------

TestSuite(draws, .init = begin, .fini = end);

enum { SAMPLES = 24 };

// Records whose values say where they stand: image[a][0] is 100 x number + a.
static void add_record(TarWriter *t, int number)
{
    char name[64], text[400];
    float image[5][2];
    Error err = {0};
    for (int a = 0; a < 5; a++) image[a][0] = (float)(100 * number + a), image[a][1] = 0.5F;
    ZipFile zip = {0};
    zip_add(&zip, "image.npy", make_npy("<f4", "(5, 2)", image, sizeof image), number % 2);
    Bytes npz = zip_end(&zip);
    snprintf(name, sizeof name, "s%03d.npz", number);
    cr_assert(tarwrite_add(t, name, npz.at, npz.n, &err));
    free(npz.at);
    int n = snprintf(text, sizeof text,
                     "{\"texts\": [\"one %d\", \"two %d\", \"three\"], "
                     "\"of\": [%d, 1, 2, 3, 4, 5]}",
                     number, number, number);
    snprintf(name, sizeof name, "s%03d.syn.json", number);
    cr_assert(tarwrite_add(t, name, text, (size_t)n, &err));
}

// Samples [from, to) in a shard of their own.
static void write_shard(const char *file, int from, int to)
{
    char path[400];
    Error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, file);
    TarWriter *t = tarwrite_open(path, &err);
    for (int i = from; i < to; i++) add_record(t, i);
    cr_assert(tarwrite_close(t, &err));
}

#define INDEX(base, draw) "{\"base\":" #base ",\"draws\":{\"" draw "\":1}}"
#define DRAWS                                                                                      \
    "\"draws\":[{\"name\":\"a\",\"below\":5},{\"name\":\"s\",\"below\":2},{\"name\":\"other\","    \
    "\"below\":5}],\"fields\":["                                                                   \
    "{\"name\":\"v\",\"role\":\"vector\",\"size\":[2],\"member\":\"npz\",\"required\":true,"       \
    "\"key\":[\"image\"," INDEX(                                                                   \
        0,                                                                                         \
        "a") "]},"                                                                                 \
             "{\"name\":\"k\",\"role\":\"class\",\"member\":\"syn.json\",\"key\":[\"of\"," INDEX(  \
                 1, "a") "]},"                                                                     \
                         "{\"name\":\"t\",\"role\":\"tokens\",\"length\":6,\"member\":\"syn."      \
                         "json\",\"key\":"                                                         \
                         "[\"texts\"," INDEX(0, "s") "]}]}"

typedef struct Seen {
    float v[SAMPLES][2];
    int32_t k[SAMPLES], a[SAMPLES], s[SAMPLES], other[SAMPLES], t[SAMPLES][6];
} Seen;

static Data *open_text(const char *text, int threads)
{
    Error err = {0};
    const DataSpec *spec = spec_parse_text(arena, text, strlen(text), &err);
    cr_assert(spec, "%s", err.text);
    Data *d = data_open(
        spec, &(DataOptions){.base_dir = folder, .tokenizers = clip_files(), .threads = threads},
        &err);
    cr_assert(d, "%s", err.text);
    return d;
}

// An epoch in batches of 4, each sample's values at its number.
static void epoch(Data *d, Seen *seen)
{
    float v[4][2];
    int32_t a[4], s[4], other[4], k[4], t[4][6];
    uint32_t n;
    const DataSlot *slots = data_slots(d, &n);
    void *to[16] = {0};
    static const char *const names[] = {"v", "a", "s", "other", "k", "t"};
    void *const rows[] = {v, a, s, other, k, t};
    for (uint32_t i = 0; i < n; i++)
        for (int j = 0; j < 6; j++)
            if (strcmp(slots[i].name, names[j]) == 0) to[i] = rows[j];
    Error err = {0};
    for (int b = 0; b < SAMPLES / 4; b++) {
        cr_assert(data_next(d, to, NULL, &err), "%s", err.text);
        for (int i = 0; i < 4; i++) {
            int number = atoi(data_key(d, i) + 1);
            memcpy(seen->v[number], v[i], sizeof *v);
            memcpy(seen->t[number], t[i], sizeof *t);
            seen->a[number] = a[i], seen->s[number] = s[i], seen->other[number] = other[i];
            seen->k[number] = k[i];
        }
    }
}

static int apart(const int32_t *x, const int32_t *y)
{
    int n = 0;
    for (int i = 0; i < SAMPLES; i++) n += x[i] != y[i];
    return n;
}

Test(draws, are_shared_by_all_that_name_them)
{
    static Seen first, second;
    write_shard("d.tar", 0, SAMPLES);
    Data *d = open_text("{\"source\":\"d.tar\",\"batch\":4," DRAWS, 2);
    epoch(d, &first);
    epoch(d, &second);
    data_close(d);
    int seen[5] = {0}, more[2] = {0};
    for (int i = 0; i < SAMPLES; i++) {
        int a = first.a[i];
        cr_assert(a >= 0 && a < 5 && first.s[i] >= 0 && first.s[i] < 2);
        seen[a]++, more[first.s[i]]++;
        cr_expect_eq(first.v[i][0], (float)(100 * i + a));
        cr_expect_eq(first.k[i], 1 + a, "of[1 + a] of sample %d", i);
        cr_expect((first.t[i][1] == first.t[0][1]) == (first.s[i] == first.s[0]), "texts[s]");
    }
    for (int a = 0; a < 5; a++) cr_expect_gt(seen[a], 0, "%d is never drawn", a);
    cr_expect(more[0] > 3 && more[1] > 3);
    cr_expect_gt(apart(first.a, second.a), 5, "another epoch, other numbers");
    cr_expect_gt(apart(first.a, first.other), 5, "another name, other numbers");
}

// Neither workers, nor where a run goes on, nor how samples are packed change a sample's numbers.
Test(draws, are_of_seed_epoch_and_key_alone)
{
    static Seen plain, threads, packed, resumed, seeded;
    write_shard("d.tar", 0, SAMPLES);
    write_shard("p-0.tar", 12, SAMPLES);
    write_shard("p-1.tar", 0, 12);
    Data *d = open_text("{\"source\":\"d.tar\",\"batch\":4," DRAWS, 1);
    epoch(d, &plain);
    DataPosition second = data_position(d);
    epoch(d, &plain);
    data_seek(d, second);
    epoch(d, &resumed);
    data_close(d);
    cr_expect_eq(apart(plain.a, resumed.a), 0);
    d = open_text("{\"source\":\"d.tar\",\"batch\":4," DRAWS, 5);
    epoch(d, &threads), epoch(d, &threads);
    data_close(d);
    cr_expect_eq(apart(plain.a, threads.a) + apart(plain.s, threads.s), 0);
    d = open_text("{\"source\":\"p-{0..1}.tar\",\"batch\":4," DRAWS, 2);
    epoch(d, &packed), epoch(d, &packed);
    data_close(d);
    cr_expect_eq(apart(plain.a, packed.a), 0);
    d = open_text("{\"source\":\"d.tar\",\"seed\":5,\"batch\":4," DRAWS, 2);
    epoch(d, &seeded), epoch(d, &seeded);
    data_close(d);
    cr_expect_gt(apart(plain.a, seeded.a), 5);
}

// Evaluation draws nothing: the first of everything.
Test(draws, are_zero_without_augmentation)
{
    static Seen seen;
    write_shard("d.tar", 0, SAMPLES);
    Data *d = open_text("{\"source\":\"d.tar\",\"shuffle\":false,\"batch\":4," DRAWS, 2);
    epoch(d, &seen);
    data_close(d);
    for (int i = 0; i < SAMPLES; i++)
        cr_expect(!seen.a[i] && !seen.s[i] && seen.v[i][0] == 100 * i);
}

static void told(void *user, const DataProblem *p)
{
    snprintf(user, 400, "%s|%s|%s", p->key, p->member, p->reason);
}

Test(draws, an_index_too_large_is_a_bad_sample)
{
    char why[400] = "";
    static const char text[] =
        "{\"source\":\"d.tar\",\"batch\":4,\"shuffle\":false,\"fields\":[{\"name\":\"v\",\"role\":"
        "\"vector\",\"size\":[2],\"member\":\"npz\",\"key\":[\"image\",7]}]}";
    write_shard("d.tar", 0, SAMPLES);
    Error err = {0};
    const DataSpec *spec = spec_parse_text(arena, text, strlen(text), &err);
    Data *d = data_open(
        spec, &(DataOptions){.base_dir = folder, .threads = 1, .report = told, .user = why}, &err);
    void *to[3] = {0};
    cr_expect_not(data_next(d, to, NULL, &err));
    cr_expect(strstr(why, "s002|npz|key: index 7 of 5 items"), "%s", why);
    data_close(d);
}
