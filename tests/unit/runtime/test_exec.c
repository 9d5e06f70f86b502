// The executor: entries, inputs, state, machine code from a file, the same bits for any thread
// count.
#include "tiny_step.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

// The losses of n steps and the final parameters.
static void train(uint32_t threads, int n, float *losses, float w[4])
{
    Arena *arena = arena_new();
    Error err = {0};
    Step *step = tiny_load(arena);
    Exec *exec = tiny_exec(step, threads);
    uint32_t entry = (uint32_t)step_entry(step, "step");
    cr_assert(exec_init(exec, 7, &err), "%s", err.text);
    for (int i = 0; i < n; i++) {
        float x[4] = {0.1f * (float)i, 0.2f, 0.3f, 1.5f};
        cr_assert(exec_set_input(exec, entry, "x", CZT_F32, 1, (int64_t[]){4}, x, &err));
        cr_assert(exec_run(exec, entry, i, 7, &err), "%s", err.text);
        losses[i] = (float)exec_scalar(exec, entry, 0);
    }
    cr_assert(exec_get_state(exec, "w", w, 16, &err));
    int64_t updates;
    cr_assert(exec_get_state(exec, "updates", &updates, 8, &err));
    cr_assert_eq(updates, n);
    exec_free(exec);
    step_free(step);
    arena_free(arena);
}

Test(exec, gives_the_same_bits_for_any_thread_count)
{
    float losses[2][40], w[2][4];
    train(1, 40, losses[0], w[0]);
    // By hand: seed 7 gives w = ((7 * 31 + 7 i) mod 17) / 10, and w.low = 2 w before the first
    // step.
    float want = 0, x[4] = {0, 0.2f, 0.3f, 1.5f};
    for (int i = 0; i < 4; i++) {
        float low = 2 * ((float)((217 + 7 * i) % 17) * 0.1f);
        want += (low * x[i] - 1) * (low * x[i] - 1);
    }
    cr_assert_eq(losses[0][0], want);
    cr_assert_neq(losses[0][1], losses[0][0]);
    for (uint32_t threads = 2; threads <= 5; threads++) {
        train(threads, 40, losses[1], w[1]);
        cr_assert_eq(memcmp(losses[0], losses[1], sizeof losses[0]), 0);
        cr_assert_eq(memcmp(w[0], w[1], sizeof w[0]), 0);
    }
}

Test(exec, converts_integers_that_fit)
{
    Arena *arena = arena_new();
    Error err = {0};
    Step *step = tiny_load(arena);
    Exec *exec = tiny_exec(step, 1);
    const int64_t four[] = {4}, two_two[] = {2, 2};
    const int64_t ids[] = {1, -2, INT32_MAX, INT32_MIN};
    cr_assert(exec_set_input(exec, 2, "ids", CZT_I64, 1, four, ids, &err), "%s", err.text);
    const int32_t *got = exec_input(exec, 2, 1);
    for (int i = 0; i < 4; i++) cr_assert_eq(got[i], ids[i]);
    const uint8_t small[] = {0, 200, 255, 7};
    cr_assert(exec_set_input(exec, 2, "ids", CZT_U8, 1, four, small, &err));
    cr_assert_eq(got[1], 200);
    const int64_t large[] = {1, 2, INT64_C(1) << 31, 4};
    cr_assert(!exec_set_input(exec, 2, "ids", CZT_I64, 1, four, large, &err));
    cr_assert(strstr(err.text, "ids: element 2 is 2147483648, which i32"), "%s", err.text);
    err.set = false;
    const uint64_t top[] = {0, 0, 0, UINT64_MAX};
    cr_assert(!exec_set_input(exec, 2, "ids", CZT_U64, 1, four, top, &err));
    err.set = false;
    cr_assert(!exec_set_input(exec, 2, "ids", CZT_F32, 1, four, ids, &err), "floats are no ids");
    err.set = false;
    cr_assert(!exec_set_input(exec, 2, "x", CZT_F32, 2, two_two, ids, &err));
    cr_assert(strstr(err.text, "'x' is f32 [4], not f32 [2, 2]"), "%s", err.text);
    err.set = false;
    cr_assert(!exec_set_input(exec, 2, "y", CZT_F32, 1, four, ids, &err));
    cr_assert(strstr(err.text, "no input 'y'"), "%s", err.text);
    err.set = false;
    cr_assert(!exec_init(exec, -1, &err), "a negative seed does not fit u32");
    err.set = false;
    cr_assert(!exec_set_state(exec, "w", ids, 8, &err));
    cr_assert(strstr(err.text, "'w' has 16 bytes, not 8"), "%s", err.text);
    exec_free(exec);
    step_free(step);
    arena_free(arena);
}

Test(exec, profiles_every_launch)
{
    Arena *arena = arena_new();
    Error err = {0};
    Step *step = tiny_load(arena);
    Exec *exec = exec_new(
        step, &(ExecOptions){.threads = 2, .profile = true, .kernels = tiny_kernels}, &err);
    cr_assert_not_null(exec);
    for (int i = 0; i < 3; i++) cr_assert(exec_run(exec, 2, i, 0, &err));
    for (uint32_t l = 0; l < 3; l++) {
        cr_assert_eq(exec_time(exec, 2, l).calls, 3);
        cr_assert_gt(exec_time(exec, 2, l).seconds, 0);
    }
    cr_assert_eq(exec_time(exec, 0, 0).calls, 0);
    exec_clear_times(exec);
    cr_assert_eq(exec_time(exec, 2, 1).calls, 0);
    exec_free(exec);
    step_free(step);
    arena_free(arena);
}

// An entry that runs before the step in parts of its batch gets its rows of each input.
Test(exec, hands_parts_their_rows)
{
    Arena *arena = arena_new();
    Error err = {0};
    size_t size;
    const char *text = tiny_replace(
        arena, tiny_manifest, "{\"name\": \"derive\",",
        "{\"name\": \"part\", \"batch\": 2, \"input_bytes\": 64, \"output_bytes\": 0, "
        "\"scratch_bytes\": 0, \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", \"shape\": "
        "[2], \"offset\": 0, \"bytes\": 8}, {\"name\": \"$part\", \"dtype\": \"f32\", \"shape\": "
        "[], \"offset\": 8, \"bytes\": 4}], \"outputs\": [], \"launches\": [{\"segments\": "
        "[{\"kernel\": 1, \"tasks\": 3, \"buffers\": [[\"input\", 0], [\"state\", 208]]}]}]},"
        "{\"name\": \"derive\",");
    text = tiny_replace(arena, text, "{\"name\": \"step\",",
                        "{\"name\": \"step\", \"host_bytes\": 256, \"before\": [{\"entry\": "
                        "\"part\", \"parts\": 2}],");
    uint8_t *bytes = tiny_build(arena, text, "", 0, &size);
    Step *step = step_load_memory("parts.czt", bytes, size, &err);
    cr_assert(step, "%s", err.text);
    Exec *exec = tiny_exec(step, 1);
    uint32_t entry = (uint32_t)step_entry(step, "step");
    cr_assert_eq(step->entries[entry].batch, 4);
    cr_assert_eq(step->entries[step_entry(step, "part")].batch, 2);
    const float x[] = {1, 2, 3, 4};
    cr_assert(exec_set_input(exec, entry, "x", CZT_F32, 1, (int64_t[]){4}, x, &err));
    cr_assert(exec_run(exec, entry, 0, 7, &err), "%s", err.text);
    const float *last = (const float *)exec_state_address(exec, 0) + 52;
    cr_expect_eq(last[0], 6, "twice the third sample, which begins the last part");
    cr_expect_eq(last[1], 8);
    cr_expect_eq(last[2], 2, "twice the number of the part");
    exec_free(exec);
    step_free(step);
    arena_free(arena);
}

Test(exec, refuses_a_program_without_code)
{
    Arena *arena = arena_new();
    Error err = {0};
    Step *step = tiny_load(arena);
    cr_assert_null(exec_new(step, NULL, &err));
    cr_assert(strstr(err.text, "no section 'code'"), "%s", err.text);
    step_free(step);
    arena_free(arena);
}

Test(exec, gives_large_blocks_and_says_when_there_is_no_memory)
{
    Arena *arena = arena_new();
    Error err = {0};
    size_t size;
    const char *text =
        tiny_replace(arena, tiny_manifest, "\"state_bytes\": 256", "\"state_bytes\": 16777216");
    uint8_t *bytes = tiny_build(arena, text, "", 0, &size);
    Step *step = step_load_memory("large.czt", bytes, size, &err);
    Exec *exec = tiny_exec(step, 1);
    uint8_t *state = exec_state_address(exec, 0);
    cr_assert_eq((uintptr_t)state % (2 << 20), 0);
    for (size_t i = 0; i < 16777216; i += 4096) cr_assert_eq(state[i], 0);
    state[16777215] = 1;
    cr_assert(exec_init(exec, 1, &err));
    cr_assert_eq(state[16777215], 0);
    exec_free(exec);
    step_free(step);
    text = tiny_replace(arena, tiny_manifest, "\"state_bytes\": 256",
                        "\"state_bytes\": 140737488355328");
    bytes = tiny_build(arena, text, "", 0, &size);
    step = step_load_memory("huge.czt", bytes, size, &err);
    cr_assert_not_null(step, "%s", err.text);
    cr_assert_null(exec_new(step, &(ExecOptions){.kernels = tiny_kernels}, &err));
    cr_assert(strstr(err.text, "huge.czt: no memory for state: 140737488355328 bytes"), "%s",
              err.text);
    step_free(step);
    arena_free(arena);
}

#ifdef __x86_64__
static const char add_manifest[] =
    "{\"name\": \"add\", \"cztc\": 1, \"target\": {\"arch\": \"x86-64\", \"features\": []},"
    " \"source_hash\": \"\", \"batch\": 1, \"seed\": 0, \"steps\": 0, \"state_bytes\": 0,"
    " \"const_bytes\": 16, \"worker_bytes\": 0, \"state\": [],"
    " \"kernels\": [{\"name\": \"add\", \"offset\": 3, \"kind\": \"pointwise\", \"flops\": 3,"
    "                \"bytes\": 36, \"lines\": []}],"
    " \"entries\": [{\"name\": \"add\", \"input_bytes\": 64, \"output_bytes\": 64,"
    "   \"scratch_bytes\": 0,"
    "   \"inputs\": [{\"name\": \"a\", \"dtype\": \"f32\", \"shape\": [3], \"offset\": 0,"
    "                 \"bytes\": 12}],"
    "   \"outputs\": [{\"name\": \"sum\", \"dtype\": \"f32\", \"shape\": [3], \"offset\": 0,"
    "                  \"bytes\": 12}],"
    "   \"launches\": [{\"segments\": [{\"kernel\": 0, \"tasks\": 3,"
    "                    \"buffers\": [[\"input\", 0], [\"const\", 4], [\"output\", 0]]}]}]}]}";

// for (i = begin; i < end; i++) out[i] = a[i] + b[i], with buffers {a, b, out}; three int3 before
// it.
static const uint8_t add_code[] = {
    0xcc, 0xcc, 0xcc,                                     // padding
    0x4c, 0x8b, 0x07, 0x48, 0x8b, 0x4f, 0x08, 0x48, 0x8b, // mov (%rdi),%r8 ...
    0x47, 0x10, 0x48, 0x39, 0xd6, 0x7d, 0x19,             // mov 16(%rdi),%rax; cmp; jge end
    0xf3, 0x41, 0x0f, 0x10, 0x04, 0xb0,                   // movss (%r8,%rsi,4),%xmm0
    0xf3, 0x0f, 0x58, 0x04, 0xb1,                         // addss (%rcx,%rsi,4),%xmm0
    0xf3, 0x0f, 0x11, 0x04, 0xb0,                         // movss %xmm0,(%rax,%rsi,4)
    0x48, 0x83, 0xc6, 0x01, 0x48, 0x39, 0xf2,             // add $1,%rsi; cmp %rsi,%rdx
    0x75, 0xe7, 0xc3                                      // jne; end: ret
};

Test(exec, runs_machine_code_from_the_file)
{
    Arena *arena = arena_new();
    Error err = {0};
    size_t size;
    uint8_t *bytes = tiny_build(arena, add_manifest, add_code, sizeof add_code, &size);
    Step *step = step_load_memory("add.czt", bytes, size, &err);
    cr_assert_not_null(step, "%s", err.text);
    memset(bytes, 0, size); // the step keeps nothing of them
    Exec *exec = exec_new(step, &(ExecOptions){.threads = 2}, &err);
    cr_assert_not_null(exec, "%s", err.text);
    const float a[] = {10, 20, 30};
    cr_assert(exec_set_input(exec, 0, "a", CZT_F32, 1, (int64_t[]){3}, a, &err));
    cr_assert(exec_run(exec, 0, 0, 0, &err));
    const float *sum = exec_output(exec, 0, 0);
    cr_assert(sum[0] == 10.5f && sum[1] == 23 && sum[2] == 34, "%g %g %g", sum[0], sum[1], sum[2]);
    cr_assert(isnan(exec_scalar(exec, 0, 0)), "three values are no scalar");
    exec_free(exec);
    step_free(step);
    arena_free(arena);
}
#endif
