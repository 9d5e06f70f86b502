// Step files: what the loader reads, and that nothing damaged, foreign or newer gets past it.
#include "tiny_step.h"

#include "base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static Step *load_text(Arena *arena, const char *manifest, Error *err)
{
    size_t size;
    uint8_t *bytes = tiny_build(arena, manifest, "\xc3", 1, &size);
    return step_load_memory("tiny.czt", bytes, size, err);
}

// Loading the manifest with this change must fail with a message that holds `want`.
static void refuse(const char *from, const char *to, const char *want)
{
    Arena *arena = arena_new();
    Error err = {0};
    Step *step = load_text(arena, tiny_replace(arena, tiny_manifest, from, to), &err);
    cr_expect_null(step, "'%s' -> '%s' was accepted", from, to);
    cr_expect(strstr(err.text, want), "'%s' -> '%s' says: %s", from, to, err.text);
    cr_expect(strstr(err.text, "tiny.czt"), "no file name: %s", err.text);
    step_free(step);
    arena_free(arena);
}

Test(step, reads_all_tables)
{
    Arena *arena = arena_new();
    Step *s = tiny_load(arena);
    cr_assert_str_eq(s->name, "tiny");
    cr_assert_str_eq(s->source_hash, "abc");
    cr_assert_eq(s->batch, 4);
    cr_assert_eq(s->seed, 7);
    cr_assert_eq(s->steps, 100);
    cr_assert_eq(s->nstate, 4);
    cr_assert_eq(s->state[1].kind, CZT_OPT);
    cr_assert_eq(s->state[3].dtype, CZT_I64);
    cr_assert_eq(s->state[0].rank, 2);
    cr_assert_eq(s->state[0].shape[1], 2);
    cr_assert_eq(s->nkernels, 4);
    cr_assert_eq(s->kernels[1].nlines, 2);
    cr_assert_str_eq(s->kernels[1].lines[1], "tiny.yaml:4");
    cr_assert_eq(s->nentries, 3);
    cr_assert_eq(step_entry(s, "step"), 2);
    cr_assert_eq(step_entry(s, "eval"), -1);
    const StepEntry *e = &s->entries[2];
    cr_assert_eq(e->nlaunches, 3);
    cr_assert_eq(e->launches[2].tasks, 4);
    cr_assert_eq(e->launches[0].segments[0].buffers[4].space, SPACE_CONST);
    cr_assert_eq(e->launches[0].segments[0].buffers[4].offset, 4);
    cr_assert_eq(((const float *)(const void *)s->constants)[2], 3);
    cr_assert_not_null(json_object_get(s->manifest, "data"));
    step_free(s);
    arena_free(arena);
}

Test(step, refuses_numbers_out_of_bounds)
{
    refuse("\"offset\": 64, \"bytes\": 16", "\"offset\": 248, \"bytes\": 16", "state[1].bytes");
    refuse("\"offset\": 64, \"bytes\": 16", "\"offset\": -64, \"bytes\": 16", "state[1].offset");
    refuse("\"offset\": 64, \"bytes\": 16", "\"offset\": 66, \"bytes\": 16", "not aligned");
    refuse("\"shape\": [2, 2]", "\"shape\": [2, 3]", "state[0].bytes");
    refuse("\"shape\": [2, 2]", "\"shape\": [-2, -2]", "state[0].shape");
    refuse("\"shape\": [2, 2]", "\"shape\": [4611686018427387904, 4611686018427387904]", "shape");
    refuse("\"shape\": [2, 2]", "\"shape\": [2.0, 2]", "state[0].shape");
    refuse("\"dtype\": \"f32\"", "\"dtype\": \"f33\"", "state[0].dtype");
    refuse("\"kind\": \"param\"", "\"kind\": \"parm\"", "state[0].kind");
    refuse("\"name\": \"w.m\"", "\"name\": \"w\"", "stands there twice");
    refuse("\"name\": \"step\"", "\"name\": \"step\", \"refresh\": 1", "entries[2].refresh");
    refuse("\"name\": \"step\"", "\"name\": \"step\", \"outdates\": 0", "entries[2].outdates");
    refuse("\"kernel\": 2", "\"kernel\": 4", "entries[2].launches[0].segments[0].kernel");
    refuse("\"tasks\": 3", "\"tasks\": -3", "launches[2].segments[2].tasks");
    refuse("[\"const\", 4]", "[\"const\", 17]", "leave the block 'const'");
    refuse("[\"const\", 4]", "[\"heap\", 4]", "names a block that is none");
    refuse("[\"const\", 4]", "[\"const\", 4, 5]", "pairs");
    refuse("\"const_bytes\": 16", "\"const_bytes\": 32", "const_bytes");
    refuse("\"state_bytes\": 256", "\"state_bytes\": 9223372036854775807", "state_bytes");
    refuse("\"name\": \"derive\"", "\"name\": \"init\"", "entries[1].name");
    refuse("\"name\": \"init_w\", \"offset\": 0", "\"name\": \"init_w\", \"offset\": 1",
           "kernels[0]");
    refuse("\"lines\": [", "\"lines\": [7, ", "kernels[1].lines");
    refuse("\"kernel\": 2", "\"kernel\": 2, \"lines\": [7]",
           "entries[2].launches[0].segments[0].lines");
    refuse("\"batch\": 4", "\"batch\": 4, \"batch\": 5", "manifest: byte");
    refuse("\"source_hash\": \"abc\"", "\"source_hash\": 5", "source_hash");
}

Test(step, refuses_what_cannot_run_before_an_entry)
{
    static const char step[] = "{\"name\": \"step\",", derive[] = "{\"name\": \"derive\",";
    refuse(step, "{\"name\": \"step\", \"before\": [{\"entry\": \"fit\", \"parts\": 2}],",
           "entries[2].before[0].entry is no entry that can run before another");
    refuse(step, "{\"name\": \"step\", \"before\": [{\"entry\": \"step\", \"parts\": 2}],",
           "entries[2].before[0].entry is no entry that can run before another");
    refuse(step, "{\"name\": \"step\", \"before\": [{\"entry\": \"derive\", \"parts\": 0}],",
           "entries[2].before[0].parts");
    refuse(derive, "{\"name\": \"derive\", \"before\": [{\"entry\": \"step\", \"parts\": 2}],",
           "entries[1].before[0].before takes 'x', of which the entry has no parts");
    refuse(step, "{\"name\": \"step\", \"host_bytes\": 64,", "entries[2].host_bytes");
}

// A product of the kernel "update": (2, 2) times (2, 2), with a bias.
static const char update[] = "\"kind\": \"table\", \"flops\": 9, \"bytes\": 64";
static const char product[] =
    "\"kind\": \"table\", \"flops\": 9, \"bytes\": 64, \"buffers\": [[16, true, \"f32\"], [16, "
    "false, \"f32\"], [16, false, \"f32\"], [8, false, \"f32\"]], \"product\": {\"batch\": 1, "
    "\"m\": 2, \"n\": 2, \"k\": 2, \"from\": \"f32\", \"to\": \"f32\", \"a\": [1, 0, 0, 2, 1], "
    "\"b\": [2, 0, 0, 1, 2], \"c\": [0, 0, 0, 2, 1], \"bias\": [3, 0, 0, 0, 1]}";

static void refuse_product(const char *from, const char *to, const char *want)
{
    Arena *arena = arena_new();
    refuse(update, tiny_replace(arena, product, from, to), want);
    arena_free(arena);
}

Test(step, takes_products_that_lie_in_their_buffers)
{
    Arena *arena = arena_new();
    Error err = {0};
    Step *s = load_text(arena, tiny_replace(arena, tiny_manifest, update, product), &err);
    cr_assert(s, "%s", err.text);
    const StepProduct *p = s->kernels[3].product;
    cr_assert(p && p->biased && p->bias.buffer == 3 && p->rest == -1 && p->b.col == 2);
    step_free(s);
    arena_free(arena);
    refuse_product("\"batch\": 1", "\"batch\": 0", "product.batch must be an integer");
    refuse_product("\"from\": \"f32\"", "\"from\": \"i32\"", "are no dtypes of products");
    refuse_product("\"from\": \"f32\"", "\"from\": \"bf16\"", "product.a is no dense matrix");
    refuse_product("[1, 0, 0, 2, 1]", "[1, 1, 0, 2, 1]", "product.a leaves its buffer");
    refuse_product("[2, 0, 0, 1, 2]", "[2, 0, 0, 2, 2]", "product.b is no dense matrix");
    refuse_product("[0, 0, 0, 2, 1]", "[4, 0, 0, 2, 1]", "product.c is no dense matrix");
    refuse_product("[0, 0, 0, 2, 1]", "[1, 0, 0, 2, 1]",
                   "product.c is what the product is made of");
    refuse_product("[0, 0, 0, 2, 1]", "[0, 0, 0, 1, 2]", "needs a result with dense rows");
    refuse_product("[3, 0, 0, 0, 1]", "[3, 1, 0, 0, 1]", "product.bias leaves its buffer");
    refuse_product("[3, 0, 0, 0, 1]", "[1, 0, 0, 1, 2]", "product.bias is not dense");
    refuse_product("[3, 0, 0, 0, 1]", "[0, 0, 0, 0, 1]",
                   "product.c is what the product is made of");
    const char *bias = "\"bias\": [3, 0, 0, 0, 1]";
    refuse_product(bias, "\"sum\": [3, 0, 0, 2, 1]", "product.sum leaves its buffer");
    refuse_product(bias, "\"sum\": [2, 0, 0, 1, 2]", "product.sum does not lie like the result");
    refuse_product(bias, "\"sum\": [0, 0, 0, 2, 1]", "product.sum does not lie like the result");
    refuse_product("\"m\": 2", "\"sum\": [2, 0, 0, 2, 1], \"m\": 2",
                   "product.sum is for products of f32");
    refuse_product("\"m\": 2", "\"rest\": 4, \"m\": 2", "product.rest must be an integer");
    refuse_product("\"m\": 2", "\"rest\": 2, \"m\": 2", "is no kernel on the same buffers");
}

Test(step, refuses_another_machine_by_name)
{
    refuse("\"features\": [\"sse2\"]", "\"features\": [\"sse2\", \"warp9\"]", "needs warp9");
    refuse("\"arch\": \"x86-64\"", "\"arch\": \"sparc\"", "made for sparc");
    refuse("\"features\": [\"sse2\"]", "\"features\": [3]", "features[0]");
    static const char flags[] = " fpu lm sse4_2 avx512_bf16 abm bmi1 pni sha_ni amx_tile";
    cr_assert(target_has(flags, "avx512bf16"));
    cr_assert(target_has(flags, "amx-tile"));
    cr_assert(target_has(flags, "sse4.2"));
    cr_assert(target_has(flags, "lzcnt"));
    cr_assert(target_has(flags, "sse3"));
    cr_assert(target_has(flags, "64bit"));
    cr_assert(!target_has(flags, "avx512f"));
    cr_assert(!target_has(flags, "avx512bf1"));
    cr_assert(!target_has(flags, ""));
}

Test(step, refuses_newer_versions)
{
    refuse("\"cztc\": 1", "\"cztc\": 2", "newer cztc");
    Arena *arena = arena_new();
    Error err = {0};
    size_t size;
    uint8_t *bytes = tiny_build(arena, tiny_manifest, "", 0, &size);
    bytes[8] = 5;
    cr_assert_null(step_load_memory("x", bytes, size, &err));
    cr_assert(strstr(err.text, "version 5, this cztc reads 4: use a newer cztc"), "%s", err.text);
    bytes[8] = 1; // which has fewer keys, each with the same meaning
    Step *old = step_load_memory("x", bytes, size, &err);
    cr_assert(old, "%s", err.text);
    step_free(old);
    arena_free(arena);
}

Test(step, finds_any_damaged_byte_and_any_truncation)
{
    Arena *arena = arena_new();
    size_t size, accepted = 0;
    uint8_t *bytes = tiny_build(arena, tiny_manifest, "\xc3", 1, &size);
    for (size_t i = 0; i < size; i++) {
        Error err = {0};
        uint8_t bit = i == 8 ? 0x80 : (uint8_t)(1 << i % 8); // not to an older version
        bytes[i] ^= bit;
        Step *step = step_load_memory("x", bytes, size, &err);
        bytes[i] ^= bit;
        cr_expect(!step == err.set);
        accepted += step != NULL;
        step_free(step);
    }
    cr_assert_eq(accepted, 0);
    for (size_t n = 0; n < size; n++) {
        Error err = {0};
        uint8_t *exact = malloc(n ? n : 1); // so that a read past the end is seen
        memcpy(exact, bytes, n);
        Step *step = step_load_memory("x", exact, n, &err);
        cr_expect_null(step, "%zu of %zu bytes were accepted", n, size);
        cr_expect(err.set);
        free(exact);
    }
    Error err = {0};
    uint8_t *longer = arena_alloc(arena, size + 64); // as aligned as bytes
    memcpy(longer, bytes, size);
    cr_assert_null(step_load_memory("x", longer, size + 1, &err));
    cr_assert(strstr(err.text, "its table ends at"), "%s", err.text);
    arena_free(arena);
}

// Random changes of the manifest under right checksums: refused or harmless, never a crash.
Test(step, survives_mutated_manifests)
{
    static const char *const junk[] = {"-1",
                                       "0",
                                       "99999999999999",
                                       "1e300",
                                       "\"x\"",
                                       "[]",
                                       "null",
                                       "{}",
                                       "[[1]]",
                                       "true",
                                       "",
                                       ",",
                                       "\"\"",
                                       "-9223372036854775808",
                                       "9223372036854775807"};
    uint64_t random = 42;
    for (int round = 0; round < 3000; round++) {
        Arena *arena = arena_new();
        Error err = {0};
        random = hash_u64(random, (uint64_t)round);
        size_t length = strlen(tiny_manifest), at = random % length;
        while (at < length && !strchr("0123456789[{\"", tiny_manifest[at])) at++;
        size_t end = at + 1 + (random >> 32) % 6;
        if (end > length) end = length;
        const char *text =
            str_printf(arena, "%.*s%s%s", (int)at, tiny_manifest,
                       junk[(random >> 40) % (sizeof junk / sizeof *junk)], tiny_manifest + end);
        Step *step = load_text(arena, text, &err);
        cr_expect(!step == err.set);
        step_free(step);
        arena_free(arena);
    }
}

Test(step, loads_from_a_file_and_from_behind_an_executable)
{
    Arena *arena = arena_new();
    Error err = {0};
    const char *folder = tiny_folder(arena), *path = str_printf(arena, "%s/a.czt", folder);
    const Section sections[] = {{"manifest", tiny_manifest, strlen(tiny_manifest)},
                                {"code", "\xc3", 1},
                                {"const", "0123456789abcdef", 16}};
    static const char program[] = "#!/bin/sh\nexit 0\n";
    for (int appended = 0; appended < 2; appended++) {
        struct stat st;
        cr_assert(
            container_write(path, appended ? program : NULL, sizeof program - 1, sections, 3, &err),
            "%s", err.text);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq((st.st_mode & 0100) != 0, appended);
        Step *step = step_load(path, &err);
        cr_assert_not_null(step, "%s", err.text);
        cr_assert_eq(step->constants[10], 'a');
        cr_assert_eq((uintptr_t)step->constants % 64, 0);
        step_free(step);
    }
    cr_assert_eq(system(path), 0, "the executable must still run");
    cr_assert(!container_present(program, sizeof program - 1));
    cr_assert_null(step_load(str_printf(arena, "%s/none", folder), &err));
    cr_assert(strstr(err.text, "none: No such file"), "%s", err.text);
    err.set = false;
    cr_assert(!container_write("/nowhere/x.czt", NULL, 0, sections, 3, &err));
    cr_assert(strstr(err.text, "/nowhere/x.czt"), "%s", err.text);
    tiny_remove(folder);
    arena_free(arena);
}

Test(step, checksum_is_the_same_in_any_pieces)
{
    uint8_t data[257];
    for (int i = 0; i < 257; i++) data[i] = (uint8_t)(i * 37);
    uint64_t whole = checksum_bytes(data, 257);
    for (size_t cut = 0; cut <= 257; cut++) {
        Checksum sum = checksum_start();
        checksum_add(&sum, data, cut);
        checksum_add(&sum, data + cut, 257 - cut);
        cr_assert_eq(checksum_end(&sum), whole);
    }
    cr_assert_neq(checksum_bytes(data, 256), whole);
    cr_assert_neq(checksum_bytes("\0\0", 2), checksum_bytes("\0", 1));
}
