// safetensors files, and state read from and written to them.
#include "runtime/weights_init.h"
#include "tiny_step.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A file of this header (its size computed) and n data bytes.
static uint8_t *build(Arena *arena, const char *header, size_t n, size_t *size)
{
    uint64_t length = strlen(header);
    *size = 8 + length + n;
    uint8_t *bytes = arena_alloc(arena, *size);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    return bytes;
}

static void refuse(const char *header, size_t data, const char *want)
{
    Arena *arena = arena_new();
    Error err = {0};
    size_t size;
    uint8_t *bytes = build(arena, header, data, &size);
    SafeTensors st;
    bool ok = safetensors_read(&st, "w.safetensors", bytes, size, &err);
    cr_expect(!ok, "accepted: %s", header);
    cr_expect(strstr(err.text, want), "%s says: %s", header, err.text);
    cr_expect(strstr(err.text, "w.safetensors"));
    safetensors_close(&st);
    arena_free(arena);
}

Test(safetensors, refuses_bad_headers)
{
#define A "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
    refuse("{\"a\":" A "}", 7, "'a': leaves the file");
    refuse("{\"a\":" A "}", 9, "end at byte 8 of 9");
    refuse("{\"a\":" A ",\"a\":" A "}", 8, "duplicate");
    refuse("{\"a\":" A ",\"b\":" A "}", 8, "'b': does not begin where");
    refuse("{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "unknown dtype");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
           "'a': f32 [3] takes 12 bytes, data_offsets span 8");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}",
           8, "shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "leaves");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "span -8");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12,
           "does not begin");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8,
           "nothing else");
    refuse("{\"a\":5}", 8, "needs dtype");
    refuse("{\"__metadata__\":{\"a\":5}}", 0, "must be a text");
    refuse("[]", 0, "no object");
    refuse("{\"a\":", 0, "header: byte");
    Error err = {0};
    SafeTensors st;
    cr_assert(!safetensors_read(&st, "x", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, &err));
    cr_assert(!safetensors_read(&st, "x", "1234", 4, &err));
}

Test(safetensors, reads_back_what_it_wrote)
{
    Arena *arena = arena_new();
    Error err = {0};
    const char *folder = tiny_folder(arena), *path = str_printf(arena, "%s/a.safetensors", folder);
    const int64_t shape[] = {2, 1, 2}, none[] = {0, 5}, three[] = {3};
    const CztTensor tensors[] = {
        {.name = "big \"quoted\" \xc3\xa9", .dtype = CZT_I64, .rank = 0, .bytes = 8},
        {.name = "w", .dtype = CZT_F32, .rank = 3, .shape = shape, .bytes = 16},
        {.name = "empty", .dtype = CZT_BF16, .rank = 2, .shape = none, .bytes = 0},
        {.name = "mask", .dtype = CZT_BOOL, .rank = 1, .shape = three, .bytes = 3},
    };
    uint8_t data[27];
    for (int i = 0; i < 27; i++) data[i] = (uint8_t)(i + 1);
    SafeWriter w;
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    cr_assert(safetensors_begin(&w, path, tensors, 4, metadata, &err), "%s", err.text);
    cr_assert(safetensors_put(&w, data, 10, &err));
    cr_assert(safetensors_put(&w, data + 10, 17, &err));
    uint64_t sum;
    cr_assert(safetensors_end(&w, &sum, &err), "%s", err.text);
    json_decref(metadata);
    SafeTensors st;
    cr_assert(safetensors_open(&st, path, &err), "%s", err.text);
    cr_assert_eq(sum, checksum_bytes(st.map.data, st.map.size));
    cr_assert_eq(st.n, 4);
    cr_assert_eq((uintptr_t)st.data % 8, 0);
    for (uint32_t i = 0; i < 4; i++) {
        const CztTensor *t = safetensors_find(&st, tensors[i].name);
        cr_assert_not_null(t);
        cr_assert_eq(t->dtype, tensors[i].dtype);
        cr_assert_eq(t->rank, tensors[i].rank);
        cr_assert_eq(t->bytes, tensors[i].bytes);
        if (t->rank) cr_assert_eq(memcmp(t->shape, tensors[i].shape, 8 * t->rank), 0);
    }
    cr_assert_eq(memcmp(st.data, data, 27), 0);
    cr_assert_str_eq(json_string_value(json_object_get(st.metadata, "format")), "pt");
    safetensors_close(&st);
    const CztTensor twice[] = {tensors[1], tensors[1]};
    cr_assert(!safetensors_begin(&w, path, twice, 2, NULL, &err));
    tiny_remove(folder);
    arena_free(arena);
}

Test(safetensors, survives_random_damage)
{
    Arena *arena = arena_new();
    size_t size;
    uint8_t *bytes = build(arena,
                           "{\"__metadata__\":{\"a\":\"b\"},\"a\":" A
                           ",\"b\":{\"dtype\":\"I8\",\"shape\":[2,3],\"data_offsets\":[8,14]}}",
                           14, &size);
    uint64_t random = 1;
    for (int round = 0; round < 20000; round++) {
        Error err = {0};
        random = hash_u64(random, (uint64_t)round);
        size_t n = random % 7 ? size : random / 7 % (size + 1);
        uint8_t *copy = malloc(n + 1);
        memcpy(copy, bytes, n);
        for (int k = 0; k < 3 && n; k++)
            copy[(random >> 8 * k) % n] = "0129-[]{},\"\xff"[random >> 40 & 7];
        SafeTensors st;
        if (safetensors_read(&st, "x", copy, n, &err)) {
            for (uint32_t i = 0; i < st.n; i++)
                cr_assert_leq(st.tensors[i].offset + st.tensors[i].bytes,
                              (int64_t)(copy + n - st.data));
            safetensors_close(&st);
        } else {
            cr_assert(err.set);
        }
        free(copy);
    }
    arena_free(arena);
}

static bool load(Exec *exec, const char *header, const void *data, size_t n, uint32_t flags,
                 Error *err)
{
    Arena *arena = arena_new();
    size_t size;
    uint8_t *bytes = build(arena, header, n, &size);
    memcpy(bytes + size - n, data, n);
    SafeTensors st;
    *err = (Error){0};
    bool ok = safetensors_read(&st, "w.safetensors", bytes, size, err);
    cr_assert(ok, "%s", err->text);
    ok = weights_load(exec, &st, KINDS_PARAMS, flags, NULL, err);
    safetensors_close(&st);
    arena_free(arena);
    return ok;
}

Test(safetensors, loads_weights_strictly)
{
    Arena *arena = arena_new();
    Error err = {0};
    Step *step = tiny_load(arena);
    Exec *exec = tiny_exec(step, 1);
    float w[4], before[4];
    cr_assert(exec_init(exec, 3, &err));
    exec_get_state(exec, "w", before, 16, &err);
#define EXTRA(i) ",\"extra" #i "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[16,16]}"
    cr_assert(!load(exec,
                    "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}" EXTRA(1)
                        EXTRA(2) EXTRA(3) EXTRA(4) EXTRA(5) EXTRA(6) EXTRA(7) EXTRA(8) EXTRA(9) "}",
                    "0123456789abcdef", 16, 0, &err));
    cr_assert(strstr(err.text, "w.safetensors: 10 tensors do not fit: 'w' is f32 [4], the program "
                               "wants f32 [2, 2]; 'extra1' is unknown"),
              "%s", err.text);
    cr_assert(strstr(err.text, "'extra7' is unknown to the program; and 2 more"), "%s", err.text);
    cr_assert(!load(exec, "{}", "", 0, 0, &err));
    cr_assert(strstr(err.text, "'w' f32 [2, 2] is missing"), "%s", err.text);
    cr_assert(load(exec, "{}", "", 0, WEIGHTS_ALLOW_MISSING, &err));
    cr_assert(!load(exec, "{\"w\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
                    "0123456789abcdef", 16, 0, &err));
    exec_get_state(exec, "w", w, 16, &err);
    cr_assert_eq(memcmp(w, before, 16), 0, "a refused file must change nothing");
    // 1, -2, the smallest f16 denormal, infinity; then bf16.
    const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x7c00},
                   brain[] = {0x3f80, 0x4049, 0x8000, 0x0001};
    cr_assert(load(exec, "{\"w\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]}}", half,
                   8, 0, &err),
              "%s", err.text);
    exec_get_state(exec, "w", w, 16, &err);
    cr_assert(w[0] == 1 && w[1] == -2 && w[2] == 0x1p-24f && w[3] > 3e38f);
    cr_assert(load(exec, "{\"w\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[0,8]}}",
                   brain, 8, 0, &err));
    exec_get_state(exec, "w", w, 16, &err);
    cr_assert(w[0] == 1 && w[1] == 3.140625f && w[2] == 0 && w[3] == 0x1p-133f);
    exec_free(exec);
    step_free(step);
    arena_free(arena);
}

// ---- tensors that are called otherwise ----------------------------------------------------------

Test(safetensors, renames_by_patterns)
{
    static const struct {
        const char *from, *to, *name, *want;
    } rows[] = {
        {"a.b", "c", "a.b", "c"},
        {"a.b", "c", "a.bc", NULL},
        {"*.attn.in_proj_*", "x.*.qkv.*", "7.attn.in_proj_weight", "x.7.qkv.weight"},
        {"blocks.*", "b.*", "blocks.", "b."},
        {"blocks.*", "b.*", "block.0", NULL},
        {"*", "m.*", "w", "m.w"},
        {"a*b*c", "*-*", "a1b2b3c", "1-2b3"},
        {"drop.*", "", "drop.this", ""},
    };
    Arena *arena = arena_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const WeightsRule rule = {rows[i].from, rows[i].to, false, false};
        const char *got = weights_rename(arena, &rule, rows[i].name);
        cr_expect(rows[i].want ? got && strcmp(got, rows[i].want) == 0 : !got, "%s: %s",
                  rows[i].name, got ? got : "nothing");
    }
    arena_free(arena);
}

static bool begin(Exec *exec, const char *header, const WeightsRule *rules, uint32_t n,
                  WeightsTaken *taken, Error *err)
{
    static const float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    Arena *arena = arena_new();
    bool *given = arena_array(arena, bool, 64);
    size_t size;
    uint8_t *bytes = build(arena, header, sizeof data, &size);
    memcpy(bytes + size - sizeof data, data, sizeof data);
    char path[] = "/tmp/cztc-weights-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "wb");
    cr_assert(f && fwrite(bytes, 1, size, f) == size && !fclose(f));
    *err = (Error){0};
    const WeightsRow row = {
        .path = path, .prefix = "", .kind = CZT_PARAM, .rules = rules, .nrules = n};
    bool ok = weights_init(exec, &row, given, arena, taken, err);
    unlink(path);
    uint32_t count = 0;
    for (uint32_t i = 0; i < 64; i++) count += given[i];
    cr_expect_eq(count, ok ? taken->taken : 0);
    taken->unused_text = NULL; // dies here
    if (ok) taken->idle = strcmp(taken->idle, "gone.*, past") == 0 ? "two" : "";
    arena_free(arena);
    return ok;
}

Test(safetensors, begins_with_tensors_of_other_names)
{
#define TWO                                                                                        \
    "{\"net.kernel\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"                 \
    "\"net.other\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,32]}}"
    Arena *arena = arena_new();
    Error err = {0};
    Step *step = tiny_load(arena);
    Exec *exec = tiny_exec(step, 1);
    WeightsTaken taken;
    float w[4];
    cr_assert(exec_init(exec, 3, &err));
    static const WeightsRule turned[] = {{"net.kernel", "w", true, false}, {"net.*", "nowhere.*", false, false}},
                             plain[] = {{"*.kernel", "w", false, false}, {"net.*", "", false, false}},
                             both[] = {{"net.*", "w", false, false}}, none[] = {{"not.*", "w", false, false}};
    cr_assert(begin(exec, TWO, turned, 2, &taken, &err), "%s", err.text);
    cr_expect(taken.taken == 1 && taken.unused == 1 && !*taken.idle);
    exec_get_state(exec, "w", w, 16, &err);
    cr_expect(w[0] == 1 && w[1] == 3 && w[2] == 2 && w[3] == 4);
    cr_assert(begin(exec, TWO, plain, 2, &taken, &err), "%s", err.text);
    exec_get_state(exec, "w", w, 16, &err);
    cr_expect(w[0] == 1 && w[1] == 2 && w[2] == 3 && w[3] == 4);
    static const WeightsRule idle[] = {{"gone.*", "w", false, true},
                                       {"*.kernel", "w", false, true},
                                       {"table.*", "w", false, false},
                                       {"past", "", false, true}};
    cr_assert(begin(exec, TWO, idle, 4, &taken, &err), "%s", err.text);
    cr_expect_str_eq(taken.idle, "two", "rules of the user's own that meet nothing");
    cr_expect(!begin(exec, TWO, none, 1, &taken, &err));
    cr_expect(strstr(err.text, "none of its 2 tensors is one of the program's (net.kernel, net.other)"),
              "%s", err.text);
    cr_expect(!begin(exec, TWO, both, 1, &taken, &err));
    cr_expect(strstr(err.text, "'net.kernel' and 'net.other' are both 'w'"), "%s", err.text);
    static const WeightsRule wrong[] = {{"net.other", "w", false, false}};
    cr_expect(!begin(exec, TWO, wrong, 1, &taken, &err));
    cr_expect(strstr(err.text, "'net.other' is f32 [4], 'w' of the program is f32 [2, 2]"), "%s",
              err.text);
    exec_free(exec);
    step_free(step);
    arena_free(arena);
}
