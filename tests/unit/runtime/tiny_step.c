// The hand-made program of the runtime's tests.
#include "tiny_step.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char tiny_manifest[] =
    "{\"name\": \"tiny\", \"cztc\": 1,"
    " \"target\": {\"arch\": \"x86-64\", \"cpu\": \"x86-64\", \"features\": [\"sse2\"]},"
    " \"source_hash\": \"abc\", \"batch\": 4, \"seed\": 7, \"steps\": 100,"
    " \"state_bytes\": 256, \"const_bytes\": 16, \"worker_bytes\": 100,"
    " \"state\": ["
    "  {\"name\": \"w\", \"kind\": \"param\", \"dtype\": \"f32\", \"shape\": [2, 2],"
    "   \"offset\": 0, \"bytes\": 16},"
    "  {\"name\": \"w.m\", \"kind\": \"opt\", \"dtype\": \"f32\", \"shape\": [2, 2],"
    "   \"offset\": 64, \"bytes\": 16},"
    "  {\"name\": \"w.low\", \"kind\": \"derived\", \"dtype\": \"f32\", \"shape\": [2, 2],"
    "   \"offset\": 128, \"bytes\": 16},"
    "  {\"name\": \"updates\", \"kind\": \"counter\", \"dtype\": \"i64\", \"shape\": [],"
    "   \"offset\": 192, \"bytes\": 8}],"
    " \"kernels\": ["
    "  {\"name\": \"init_w\", \"offset\": 0, \"kind\": \"pointwise\", \"flops\": 4, \"bytes\": 16},"
    "  {\"name\": \"double\", \"offset\": 0, \"kind\": \"pointwise\", \"flops\": 4, \"bytes\": 32,"
    "   \"lines\": [\"tiny.yaml:3\", \"tiny.yaml:4\"]},"
    "  {\"name\": \"loss\", \"offset\": 0, \"kind\": \"row\", \"flops\": 9, \"bytes\": 64},"
    "  {\"name\": \"update\", \"offset\": 0, \"kind\": \"table\", \"flops\": 9, \"bytes\": 64}],"
    " \"entries\": ["
    "  {\"name\": \"init\", \"input_bytes\": 64, \"output_bytes\": 0, \"scratch_bytes\": 0,"
    "   \"inputs\": [{\"name\": \"$seed\", \"dtype\": \"u32\", \"shape\": [], \"offset\": 0,"
    "                 \"bytes\": 4}],"
    "   \"outputs\": [],"
    "   \"launches\": [{\"segments\": [{\"kernel\": 0, \"tasks\": 4,"
    "                    \"buffers\": [[\"input\", 0], [\"state\", 0]]}]}]},"
    "  {\"name\": \"derive\", \"input_bytes\": 0, \"output_bytes\": 0, \"scratch_bytes\": 0,"
    "   \"inputs\": [], \"outputs\": [],"
    "   \"launches\": [{\"segments\": [{\"kernel\": 1, \"tasks\": 4,"
    "                    \"buffers\": [[\"state\", 0], [\"state\", 128]]}]}]},"
    "  {\"name\": \"step\", \"input_bytes\": 192, \"output_bytes\": 192, \"scratch_bytes\": 64,"
    "   \"inputs\": [{\"name\": \"x\", \"dtype\": \"f32\", \"shape\": [4], \"offset\": 0,"
    "                 \"bytes\": 16},"
    "                {\"name\": \"ids\", \"dtype\": \"i32\", \"shape\": [4], \"offset\": 64,"
    "                 \"bytes\": 16},"
    "                {\"name\": \"$step\", \"dtype\": \"i64\", \"shape\": [], \"offset\": 128,"
    "                 \"bytes\": 8},"
    "                {\"name\": \"$seed\", \"dtype\": \"u32\", \"shape\": [], \"offset\": 136,"
    "                 \"bytes\": 4}],"
    "   \"outputs\": [{\"name\": \"loss\", \"dtype\": \"f32\", \"shape\": [], \"offset\": 0,"
    "                  \"bytes\": 4},"
    "                 {\"name\": \"norms\", \"dtype\": \"f32\", \"shape\": [2], \"offset\": 64,"
    "                  \"bytes\": 8},"
    "                 {\"name\": \"lr\", \"dtype\": \"f32\", \"shape\": [], \"offset\": 128,"
    "                  \"bytes\": 4}],"
    "   \"launches\": ["
    "    {\"segments\": [{\"kernel\": 2, \"tasks\": 1, \"buffers\": [[\"state\", 128],"
    "      [\"input\", 0], [\"output\", 0], [\"state\", 192], [\"const\", 4], [\"output\", "
    "128]]}]},"
    "    {\"segments\": ["
    "      {\"kernel\": 3, \"tasks\": 4, \"buffers\": [[\"state\", 0], [\"state\", 64],"
    "        [\"input\", 0], [\"input\", 128]]}]},"
    "    {\"segments\": ["
    "      {\"kernel\": 3, \"tasks\": 0, \"buffers\": [[\"state\", 0], [\"state\", 64],"
    "        [\"input\", 0], [\"input\", 128]]},"
    "      {\"kernel\": 1, \"tasks\": 1, \"buffers\": [[\"state\", 0], [\"state\", 128]]},"
    "      {\"kernel\": 1, \"tasks\": 3, \"buffers\": [[\"state\", 4], [\"state\", 132]]}]}]}],"
    " \"data\": {\"anything\": [1, 2]}}";

static void init_w(void *const *buffers, int64_t begin, int64_t end, void *worker)
{
    const uint32_t *seed = buffers[0];
    float *w = buffers[1];
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        w[i] = (float)((*seed * 31 + (uint32_t)i * 7) % 17) * 0.1f;
}

// w.low = 2 w, through the thread's scratch, which the last byte proves to be there.
static void twice(void *const *buffers, int64_t begin, int64_t end, void *worker)
{
    const float *w = buffers[0];
    float *low = buffers[1], *scratch = worker;
    for (int64_t i = begin; i < end; i++) {
        scratch[24] = 2 * w[i];
        low[i] = scratch[24];
    }
}

static void loss(void *const *buffers, int64_t begin, int64_t end, void *worker)
{
    const float *low = buffers[0], *x = buffers[1], *lr = buffers[4];
    float *out = buffers[2];
    (void)begin, (void)end, (void)worker;
    *out = 0;
    for (int i = 0; i < 4; i++) *out += (low[i] * x[i] - 1) * (low[i] * x[i] - 1);
    ++*(int64_t *)buffers[3];
    *(float *)buffers[5] = *lr;
}

static void update(void *const *buffers, int64_t begin, int64_t end, void *worker)
{
    float *w = buffers[0], *m = buffers[1];
    const float *x = buffers[2];
    const int64_t *step = buffers[3];
    const uint32_t *seed = (const uint32_t *)(step + 1);
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        float g = (2 * w[i] * x[i] - 1) * x[i] + 0.001f * (float)(*step + *seed);
        m[i] = 0.9f * m[i] + g;
        w[i] -= 0.01f * m[i];
    }
}

const CztKernel tiny_kernels[4] = {init_w, twice, loss, update};

uint8_t *tiny_build(Arena *arena, const char *manifest, const void *code, size_t code_size,
                    size_t *size)
{
    static const float constants[4] = {1, 0.5f, 3, 4};
    const Section sections[] = {{"manifest", manifest, strlen(manifest)},
                                {"code", code, code_size},
                                {"const", constants, sizeof constants}};
    return container_build(arena, sections, 3, size);
}

char *tiny_replace(Arena *arena, const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    cr_assert_not_null(at, "no '%s' in the manifest", from);
    return str_printf(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

Step *tiny_load(Arena *arena)
{
    Error err = {0};
    size_t size;
    uint8_t *bytes = tiny_build(arena, tiny_manifest, "", 0, &size);
    Step *step = step_load_memory("tiny.czt", bytes, size, &err);
    cr_assert_not_null(step, "%s", err.text);
    return step;
}

Exec *tiny_exec(const Step *step, uint32_t threads)
{
    Error err = {0};
    Exec *exec = exec_new(step, &(ExecOptions){.threads = threads, .kernels = tiny_kernels}, &err);
    cr_assert_not_null(exec, "%s", err.text);
    return exec;
}

char *tiny_folder(Arena *arena)
{
    char *path = str_copy(arena, "/tmp/cztc-test-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void tiny_remove(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
