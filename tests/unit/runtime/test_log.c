// The log: lines, numbers that read back, cutting on resume.
#include "runtime/log.h"
#include "tiny_step.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char *slurp(Arena *arena, const char *path)
{
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f, "%s", path);
    char *text = arena_alloc(arena, 65536);
    size_t n = fread(text, 1, 65535, f);
    cr_assert_lt(n, 65535);
    fclose(f);
    return text;
}

static Log *open_log(const char *path, int64_t step)
{
    Error err = {0};
    Log *log = log_open(path, NULL, step, &err);
    cr_assert_not_null(log, "%s", err.text);
    return log;
}

Test(log, writes_lines_that_read_back)
{
    Arena *arena = arena_new();
    Error err = {0};
    const char *folder = tiny_folder(arena), *path = str_printf(arena, "%s/log.jsonl", folder);
    Log *log = open_log(path, 0);
    const LogValue values[] = {{"loss", 0.1f, true},
                               {"experts.seg \"x\"", 1.0 / 3, false},
                               {"a", NAN, true},
                               {"b", -INFINITY, true}};
    cr_assert(log_values(log, 12, values, 4, &err));
    cr_assert(log_text(log, 13, "warning", "two\nlines", &err));
    cr_assert(log_values(log, 14, NULL, 0, &err));
    cr_assert(log_sync(log, &err));
    log_close(log);
    cr_assert_str_eq(slurp(arena, path),
                     "{\"step\": 12, \"loss\": 0.1, \"experts.seg \\\"x\\\"\": 0.3333333333333333,"
                     " \"a\": \"nan\", \"b\": \"-inf\"}\n"
                     "{\"step\": 13, \"warning\": \"two\\nlines\"}\n{\"step\": 14}\n");
    // Any f32 reads back as itself.
    log = open_log(path, 0);
    uint64_t random = 1;
    float all[200];
    for (int i = 0; i < 200; i++) {
        random = hash_u64(random, (uint64_t)i);
        uint32_t bits = (uint32_t)random;
        memcpy(&all[i], &bits, 4);
        if (!isfinite(all[i])) all[i] = 1;
        cr_assert(log_values(log, 0, &(LogValue){"x", all[i], true}, 1, &err));
    }
    log_close(log);
    char *at = slurp(arena, path);
    for (int i = 0; i < 200; i++, at++) {
        at = strstr(at, "\"x\": ") + 5;
        cr_assert_eq(strtof(at, NULL), all[i]);
    }
    tiny_remove(folder);
    arena_free(arena);
}

Test(log, cuts_later_steps_and_a_torn_line)
{
    Arena *arena = arena_new();
    const char *folder = tiny_folder(arena), *path = str_printf(arena, "%s/log.jsonl", folder);
    static const char kept[] =
        "{\"note\": \"no step\"}\n{\"step\": 1, \"loss\": 2}\n{\"step\": 2}\n";
    FILE *f = fopen(path, "w");
    fprintf(f, "%s{\"step\": 3}\n{\"step\": 2, \"eval\": 1}\n{\"step\": 2, \"lo", kept);
    fclose(f);
    log_close(open_log(path, 2));
    cr_assert_str_eq(slurp(arena, path), str_printf(arena, "%s{\"step\": 2, \"eval\": 1}\n", kept));
    Log *log = open_log(path, 1);
    Error err = {0};
    cr_assert(log_values(log, 2, NULL, 0, &err));
    log_close(log);
    cr_assert_str_eq(slurp(arena, path),
                     "{\"note\": \"no step\"}\n{\"step\": 1, \"loss\": 2}\n{\"step\": 2}\n");
    cr_assert_null(log_open("/nowhere/log", NULL, 0, &err));
    cr_assert(strstr(err.text, "/nowhere/log"), "%s", err.text);
    tiny_remove(folder);
    arena_free(arena);
}

// A limit on file sizes fails write(2) as a full disk does; RLIM_INFINITY ends it.
static void limit_files(rlim_t limit)
{
    struct rlimit now;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &now);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit < now.rlim_max ? limit : now.rlim_max, now.rlim_max});
}

Test(log, full_disk_keeps_every_whole_line)
{
    Arena *arena = arena_new();
    const char *folder = tiny_folder(arena), *path = str_printf(arena, "%s/log.jsonl", folder);
    const char *want = "";
    Log *log = open_log(path, 0);
    for (rlim_t limit = 0; limit < 400; limit += 7) { // most limits fall inside of a line
        limit_files(limit);
        for (;;) {
            Error err = {0};
            if (log_text(log, (int64_t)limit, "note", "some words", &err)) {
                want = str_printf(arena, "%s{\"step\": %d, \"note\": \"some words\"}\n", want, (int)limit);
                continue;
            }
            cr_assert(strstr(err.text, path) && strstr(err.text, "write: "), "%s", err.text);
            break;
        }
        limit_files(RLIM_INFINITY);
        cr_assert_str_eq(slurp(arena, path), want);
    }
    cr_assert(strlen(want) > 300);
    log_close(log);
    // Cutting lines writes a new file: where it cannot, the old one stays.
    Error err = {0};
    limit_files(10);
    cr_assert_null(log_open(path, NULL, 50, &err));
    limit_files(RLIM_INFINITY);
    cr_assert(strstr(err.text, path), "%s", err.text);
    cr_assert_str_eq(slurp(arena, path), want);
    cr_assert_eq(system(str_printf(arena, "test $(ls %s | wc -l) = 1", folder)), 0);
    tiny_remove(folder);
    arena_free(arena);
}

Test(log, is_not_written_anew_when_nothing_is_cut)
{
    Arena *arena = arena_new();
    Error err = {0};
    const char *folder = tiny_folder(arena), *path = str_printf(arena, "%s/log.jsonl", folder);
    Log *log = open_log(path, 0);
    cr_assert(log_values(log, 3, NULL, 0, &err));
    log_close(log);
    struct stat before, after;
    stat(path, &before);
    limit_files(0);
    log = open_log(path, 3);
    limit_files(RLIM_INFINITY);
    log_close(log);
    stat(path, &after);
    cr_assert_eq(before.st_ino, after.st_ino);
    tiny_remove(folder);
    arena_free(arena);
}

Test(log, shows_progress)
{
    Arena *arena = arena_new();
    Error err = {0};
    char *text = NULL;
    size_t size;
    const char *folder = tiny_folder(arena), *path = str_printf(arena, "%s/progress", folder);
    FILE *out = fopen(path, "w");
    Log *log = log_open(NULL, out, 0, &err);
    LogProgress p = {.step = 1,
                     .steps = 90,
                     .loss = 2.5,
                     .pairs_per_second = 51.5,
                     .wait = 0.254,
                     .peak_share = NAN,
                     .seconds_left = 3725};
    log_progress(log, &p);
    p.step = 2; // too soon after the first
    log_progress(log, &p);
    p.step = 90, p.last = true, p.peak_share = 0.5, p.seconds_left = 0;
    log_progress(log, &p);
    log_close(log);
    fclose(out);
    text = slurp(arena, path);
    size = strlen(text);
    cr_assert_str_eq(text,
                     "step 1/90  loss 2.5  51.5 pairs/s  wait 25 %  ETA 1:02:05\n"
                     "step 90/90  loss 2.5  51.5 pairs/s  50 % of peak  wait 25 %  ETA 0:00:00\n");
    cr_assert_gt(size, 0);
    tiny_remove(folder);
    arena_free(arena);
}

// CRC-32C bit by bit, masked as TFRecord says; its well-known check value is tested below.
static uint32_t masked(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < 8 * size; i++) {
        uint32_t bit = (crc ^ (uint32_t)data[i / 8] >> i % 8) & 1;
        crc = crc >> 1 ^ (bit ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

// Bytes of the whole records of a folder's only event file; fails where they do not end with the file.
static size_t whole_records(Arena *arena, const char *events, uint32_t *count)
{
    static uint8_t bytes[65536];
    FILE *f = popen(str_printf(arena, "cat %s/events.out.tfevents.*", events), "r");
    size_t size = fread(bytes, 1, sizeof bytes, f), at = 0;
    pclose(f);
    for (*count = 0; at + 16 <= size; ++*count) {
        uint64_t length;
        memcpy(&length, bytes + at, 8);
        at += 16 + length;
    }
    cr_assert_eq(at, size, "a torn record");
    return size;
}

Test(log, full_disk_keeps_every_whole_event)
{
    Arena *arena = arena_new();
    Error err = {0};
    uint32_t count, want;
    const char *folder = tiny_folder(arena), *events = str_printf(arena, "%s/tb", folder);
    Log *log = log_open(NULL, NULL, 0, &err);
    cr_assert(log_events(log, events, 0, &err), "%s", err.text);
    size_t size = whole_records(arena, events, &want);
    for (rlim_t limit = size; limit < size + 300; limit += 11) {
        limit_files(limit);
        for (;; want++) {
            err = (Error){0};
            if (!log_values(log, 1, &(LogValue){"loss", 0.5, true}, 1, &err)) break;
        }
        limit_files(RLIM_INFINITY);
        cr_assert(strstr(err.text, events) && strstr(err.text, "write: "), "%s", err.text);
        whole_records(arena, events, &count);
        cr_assert_eq(count, want);
    }
    cr_assert(want > 8);
    err = (Error){0};
    cr_assert(log_sync(log, &err), "%s", err.text);
    log_close(log);
    tiny_remove(folder);
    arena_free(arena);
}

Test(log, writes_tensorboard_events)
{
    Arena *arena = arena_new();
    Error err = {0};
    const uint32_t check = (0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u;
    cr_assert_eq(masked((const uint8_t *)"123456789", 9), check);
    const char *folder = tiny_folder(arena), *events = str_printf(arena, "%s/tb", folder);
    Log *log = log_open(NULL, NULL, 0, &err);
    cr_assert(log_events(log, events, 299, &err), "%s", err.text);
    cr_assert(log_values(log, 300, &(LogValue){"loss", 0.5, true}, 1, &err));
    log_close(log);
    FILE *f = popen(str_printf(arena, "cat %s/events.out.tfevents.*", events), "r");
    uint8_t bytes[512];
    size_t size = fread(bytes, 1, sizeof bytes, f), at = 0;
    pclose(f);
    // After the wall time (9 bytes): step, then the field of each of the three events.
    static const char want[3][32] = {"\x10\0\x1a\x0d"
                                     "brain.Event:2",
                                     "\x10\xac\x02\x3a\x02\x08\x01",
                                     "\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f"};
    static const size_t sizes[3] = {17, 7, 18};
    for (int i = 0; i < 3; i++) {
        uint64_t length;
        uint32_t crc;
        memcpy(&length, bytes + at, 8);
        cr_assert_eq(length, 9 + sizes[i]);
        memcpy(&crc, bytes + at + 8, 4);
        cr_assert_eq(crc, masked(bytes + at, 8));
        cr_assert_eq(bytes[at + 12], 9, "field 1, fixed64");
        cr_assert_eq(memcmp(bytes + at + 21, want[i], sizes[i]), 0, "event %d", i);
        memcpy(&crc, bytes + at + 12 + length, 4);
        cr_assert_eq(crc, masked(bytes + at + 12, length));
        at += 16 + length;
    }
    cr_assert_eq(at, size);
    tiny_remove(folder);
    arena_free(arena);
}

// A line of a histogram has its bins' edges, one more than counts, and is cut as other lines are.
Test(log, writes_a_histogram_as_a_line)
{
    Arena *arena = arena_new();
    Error err = {0};
    const char *folder = tiny_folder(arena), *path = str_printf(arena, "%s/log.jsonl", folder);
    static const int32_t counts[] = {2, 1, 0};
    const Histogram h = {-0.1f, 2, 0.625, 0.75, 3, counts};
    const LogValue loss = {"loss", 2, true};
    Log *log = log_open(path, NULL, 0, &err);
    for (int64_t step = 7; step < 9; step++) {
        cr_assert(log_values(log, step, &loss, 1, &err), "%s", err.text);
        cr_assert(log_histogram(log, step, "watch.x", &h, &err), "%s", err.text);
    }
    log_close(log);
    log_close(log_open(path, NULL, 7, &err));
    cr_assert_not(err.set, "%s", err.text);
    char *text = NULL;
    size_t size = 0;
    FILE *f = fopen(path, "r");
    cr_assert_geq(getdelim(&text, &size, '\0', f), 0);
    fclose(f);
    cr_expect_str_eq(text, "{\"step\": 7, \"loss\": 2}\n"
                           "{\"step\": 7, \"watch.x.histogram\": {\"edges\": [-0.1, 0.6, 1.3, 2], "
                           "\"counts\": [2, 1, 0]}}\n");
    free(text);
    tiny_remove(folder);
    arena_free(arena);
}

// The record of a histogram: its tag, five doubles, ends of the bins and counts.
Test(log, writes_a_histogram)
{
    Arena *arena = arena_new();
    Error err = {0};
    const char *folder = tiny_folder(arena), *events = str_printf(arena, "%s/tb", folder);
    static const int32_t counts[] = {2, 1, 0, 1};
    const Histogram h = {0, 2, 0.625, 0.75, 4, counts};
    Log *log = log_open(NULL, NULL, 0, &err);
    cr_assert(log_events(log, events, 6, &err), "%s", err.text);
    cr_assert(log_histogram(log, 7, "watch.x", &h, &err), "%s", err.text);
    log_close(log);
    FILE *f = popen(str_printf(arena, "cat %s/events.out.tfevents.*", events), "r");
    uint8_t bytes[512];
    size_t size = fread(bytes, 1, sizeof bytes, f);
    pclose(f);
    enum { HISTO = 5 * 9 + 2 * (2 + 32), VALUE = 2 + 7 + 2 + HISTO, EVENT = 9 + 2 + 2 + 2 + VALUE };
    cr_assert_gt(size, EVENT + 4);
    const uint8_t *at = bytes + size - 4 - EVENT;
    uint64_t length;
    memcpy(&length, at - 12, 8);
    cr_assert_eq(length, EVENT);
    const uint8_t head[] = {0x10, 7, 5 << 3 | 2, VALUE + 2, 1 << 3 | 2, VALUE, 1 << 3 | 2, 7};
    cr_expect_eq(memcmp(at + 9, head, sizeof head), 0);
    at += 9 + sizeof head;
    cr_expect_eq(memcmp(at, "watch.x\x2a", 8), 0);
    cr_expect_eq(at[8], HISTO);
    at += 9;
    const double numbers[] = {0, 2, 4, 2.5, 4 * (0.75 * 0.75 + 0.625 * 0.625)};
    const double packed[2][4] = {{0.5, 1, 1.5, 2}, {2, 1, 0, 1}};
    for (int i = 0; i < 5; i++, at += 9) {
        double x;
        memcpy(&x, at + 1, 8);
        cr_expect_eq(at[0], (i + 1) << 3 | 1);
        cr_expect_eq(x, numbers[i], "field %d is %g", i + 1, x);
    }
    for (int i = 0; i < 2; i++, at += 34) {
        cr_expect_eq(at[0], (6 + i) << 3 | 2);
        cr_expect_eq(at[1], 32);
        cr_expect_eq(memcmp(at + 2, packed[i], 32), 0, "field %d", 6 + i);
    }
    tiny_remove(folder);
    arena_free(arena);
}
