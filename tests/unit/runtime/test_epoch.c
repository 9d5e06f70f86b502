// The order of an epoch, with and without a mixture of sources.
#include "runtime/data.h"
#include "runtime/epoch.h"
#include "runtime/tarwrite.h"

#include "data_folder.h"

enum { ALL = 40 };

TestSuite(epoch, .init = begin, .fini = end);

Test(epoch, takes_each_sample_once_without_parts)
{
    EpochOrder o;
    Error err = {0};
    int seen[ALL] = {0};
    cr_assert(epoch_open(&o, 7, ALL, NULL, 0, &err));
    epoch_make(&o, 3);
    cr_expect_null(o.turn);
    for (int i = 0; i < ALL; i++) seen[o.sample[i]]++;
    for (int i = 0; i < ALL; i++) cr_expect_eq(seen[i], 1);
    epoch_close(&o);
}

// Weights 3 : 1 over parts of 10 and 30: of 40 samples 30 come from the first, which so is gone
// through three times an epoch, and 10 from the second, a third of it.
Test(epoch, takes_shares_by_weight_and_each_part_in_turns)
{
    EpochPart parts[] = {{.first = 0, .count = 10, .weight = 3},
                         {.first = 10, .count = 30, .weight = 1}};
    EpochOrder o;
    Error err = {0};
    int seen[ALL] = {0};
    cr_assert(epoch_open(&o, 7, ALL, parts, 2, &err));
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int first = 0;
        epoch_make(&o, epoch);
        for (int i = 0; i < ALL; i++) {
            uint32_t s = o.sample[i];
            first += s < 10;
            cr_expect_eq(o.turn[i] < (s < 10 ? 3 * (epoch + 1) : 1), true);
            seen[s]++;
        }
        cr_expect_eq(first, 30);
        for (int i = 0; i < 10; i++) cr_expect_eq(seen[i], 3 * (int)(epoch + 1));
    }
    for (int i = 10; i < ALL; i++) cr_expect_eq(seen[i], 1);
    uint32_t last[ALL];
    memcpy(last, o.sample, sizeof last);
    epoch_make(&o, 1); // an epoch depends on none before it
    cr_expect(memcmp(last, o.sample, sizeof last) != 0);
    epoch_make(&o, 2);
    cr_expect_arr_eq(last, o.sample, sizeof last);
    epoch_close(&o);
}

Test(epoch, gives_whole_quotas_that_add_up)
{
    EpochPart parts[] = {{.count = 5, .weight = 1},
                         {.first = 5, .count = 5, .weight = 1},
                         {.first = 10, .count = 1, .weight = 1}};
    EpochOrder o;
    Error err = {0};
    cr_assert(epoch_open(&o, 1, 11, parts, 3, &err));
    cr_expect_eq(parts[0].quota + parts[1].quota + parts[2].quota, 11);
    cr_expect(parts[2].quota >= 3 && parts[2].quota <= 4);
    epoch_close(&o);
    parts[1].count = 0;
    cr_expect_not(epoch_open(&o, 1, 11, parts, 3, &err));
    cr_expect_str_eq(err.text, "row 2 has no samples");
}

// ---- through the loader -------------------------------------------------------------------------

static void write_shard(const char *name, int first, int n)
{
    char path[400], key[16], text[16];
    Error err = {0};
    snprintf(path, sizeof path, "%s/%s.tar", folder, name);
    TarWriter *t = tarwrite_open(path, &err);
    cr_assert(t, "%s", err.text);
    for (int i = first; i < first + n; i++) {
        snprintf(key, sizeof key, "%04d", i);
        int size = snprintf(text, sizeof text, "%d", i);
        cr_assert(tarwrite_add(t, str_printf(arena, "%s.cls", key), text, (size_t)size, &err));
    }
    cr_assert(tarwrite_close(t, &err));
}

static Data *open_mixture(Error *err)
{
    const char *text =
        "{\"source\":[\"web-{0..1}.tar\",\"small.tar\"],\"mixture\":[{\"patterns\":1,\"weight\":1},"
        "{\"patterns\":1,\"weight\":3}],\"batch\":4,\"seed\":5,\"fields\":[{\"name\":\"c\","
        "\"role\":"
        "\"class\"}]}";
    DataSpec *spec = spec_parse_text(arena, text, strlen(text), err);
    cr_assert(spec, "%s", err->text);
    return data_open(spec, &(DataOptions){.base_dir = folder, .threads = 2}, err);
}

Test(epoch, mixes_shards_and_goes_on_from_a_position)
{
    Error err = {0};
    int32_t classes[16], after[16];
    void *slots[8] = {classes}; // what is beside the class is not wanted
    int64_t filled;
    int small = 0;
    write_shard("web-0", 0, 10);
    write_shard("web-1", 10, 10);
    write_shard("small", 20, 4);
    Data *d = open_mixture(&err);
    cr_assert(d, "%s", err.text);
    for (int i = 0; i < 6; i++) { // an epoch of 24
        cr_assert(data_next(d, slots, &filled, &err), "%s", err.text);
        for (int k = 0; k < 4; k++) small += classes[k] >= 20;
    }
    cr_expect_eq(small, 18, "%d of 24 are of the small set", small);
    cr_assert(data_next(d, slots, &filled, &err));
    DataPosition at = data_position(d);
    cr_assert(data_next(d, slots, &filled, &err));
    memcpy(after, classes, sizeof after);
    data_close(d);
    d = open_mixture(&err);
    data_seek(d, at);
    cr_assert(data_next(d, slots, &filled, &err));
    cr_expect_arr_eq(classes, after, 4 * sizeof *after);
    data_close(d);
}
