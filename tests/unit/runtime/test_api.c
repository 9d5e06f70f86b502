// The public API, as a program outside would use it.
#include "tiny_step.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
static const char manifest[] =
    "{\"name\": \"add\", \"cztc\": 1, \"target\": {\"arch\": \"x86-64\", \"features\": []},"
    " \"source_hash\": \"\", \"batch\": 1, \"seed\": 0, \"steps\": 0, \"state_bytes\": 64,"
    " \"const_bytes\": 16, \"worker_bytes\": 0,"
    " \"state\": [{\"name\": \"b\", \"kind\": \"param\", \"dtype\": \"f32\", \"shape\": [1, 3],"
    "              \"offset\": 0, \"bytes\": 12}],"
    " \"kernels\": [{\"name\": \"add\", \"offset\": 0, \"kind\": \"pointwise\", \"flops\": 3,"
    "                \"bytes\": 36}],"
    " \"entries\": [{\"name\": \"add\", \"input_bytes\": 64, \"output_bytes\": 64,"
    "   \"scratch_bytes\": 0,"
    "   \"inputs\": [{\"name\": \"a\", \"dtype\": \"f32\", \"shape\": [3], \"offset\": 0,"
    "                 \"bytes\": 12}],"
    "   \"outputs\": [{\"name\": \"sum\", \"dtype\": \"f32\", \"shape\": [3], \"offset\": 0,"
    "                  \"bytes\": 12}],"
    "   \"launches\": [{\"segments\": [{\"kernel\": 0, \"tasks\": 3,"
    "                    \"buffers\": [[\"input\", 0], [\"state\", 0], [\"output\", 0]]}]}]}]}";

// for (i = begin; i < end; i++) out[i] = a[i] + b[i], with buffers {a, b, out}.
static const uint8_t code[] = {0x4c, 0x8b, 0x07, 0x48, 0x8b, 0x4f, 0x08, 0x48, 0x8b, 0x47, 0x10,
                               0x48, 0x39, 0xd6, 0x7d, 0x19, 0xf3, 0x41, 0x0f, 0x10, 0x04, 0xb0,
                               0xf3, 0x0f, 0x58, 0x04, 0xb1, 0xf3, 0x0f, 0x11, 0x04, 0xb0, 0x48,
                               0x83, 0xc6, 0x01, 0x48, 0x39, 0xf2, 0x75, 0xe7, 0xc3};

static CztProgram *load(Arena *arena)
{
    size_t size;
    uint8_t *bytes = tiny_build(arena, manifest, code, sizeof code, &size);
    CztError err;
    CztProgram *program = czt_load_memory("add.czt", bytes, size, NULL, &err);
    cr_assert_not_null(program, "%s", err.text);
    return program;
}

Test(api, runs_a_program)
{
    Arena *arena = arena_new();
    CztProgram *p = load(arena);
    CztError err;
    const float a[] = {1, 2, 3}, b[] = {10, 20, 30};
    const int64_t three = 3;
    float back[3];
    cr_assert_eq(czt_entry_count(p), 1);
    cr_assert_eq(czt_entry_find(p, "add"), 0);
    cr_assert_str_eq(czt_entry_name(p, 0), "add");
    cr_assert_eq(czt_input_count(p, 0), 1);
    cr_assert_eq(czt_output_count(p, 0), 1);
    cr_assert_eq(czt_state_count(p), 1);
    cr_assert(czt_init(p, 0, &err));
    cr_assert(czt_set_state(p, "b", b, sizeof b, &err) && czt_derive(p, &err));
    cr_assert(czt_get_state(p, "b", back, sizeof back, &err));
    cr_assert_eq(memcmp(b, back, sizeof b), 0);
    cr_assert(czt_set_input(p, 0, "a", CZT_F32, 1, &three, a, &err));
    cr_assert(czt_run(p, 0, 0, 0, &err));
    const float *sum = czt_output_data(p, 0, 0);
    cr_assert(sum[0] == 11 && sum[1] == 22 && sum[2] == 33);
    json_t *value = json_loads(czt_describe(p), 0, NULL);
    cr_assert_eq(json_array_size(json_object_get(value, "entries")), 1);
    cr_assert_null(json_object_get(value, "kernels"));
    json_decref(value);
    cr_assert(!czt_set_state(p, "c", b, sizeof b, &err));
    cr_assert(strstr(err.text, "no state tensor 'c'"), "%s", err.text);
    cr_assert_null(czt_load("/nowhere/x.czt", NULL, &err));
    cr_assert(strstr(err.text, "/nowhere/x.czt"), "%s", err.text);
    czt_free(p);
    arena_free(arena);
}

Test(api, weights_go_out_and_in)
{
    Arena *arena = arena_new();
    CztProgram *p = load(arena);
    CztError err;
    const char *folder = tiny_folder(arena), *path = str_printf(arena, "%s/w.safetensors", folder);
    const float b[] = {10, 20, 30}, none[] = {0, 0, 0};
    float back[3];
    cr_assert(czt_set_state(p, "b", b, sizeof b, &err));
    cr_assert(czt_save_weights(p, path, &err), "%s", err.text);
    cr_assert(czt_set_state(p, "b", none, sizeof none, &err));
    cr_assert(czt_load_weights(p, path, &err), "%s", err.text);
    cr_assert(czt_get_state(p, "b", back, sizeof back, &err));
    cr_assert_eq(memcmp(b, back, sizeof b), 0);
    cr_assert(!czt_load_weights(p, "/nowhere/w", &err));
    tiny_remove(folder);
    czt_free(p);
    arena_free(arena);
}

Test(api, shares_tensors_by_dlpack)
{
    Arena *arena = arena_new();
    CztProgram *p = load(arena);
    CztError err;
    CztDlManaged *b = czt_state_dlpack(p, "b", &err);
    cr_assert_not_null(b, "%s", err.text);
    cr_assert(b->tensor.ndim == 2 && b->tensor.shape[0] == 1 && b->tensor.shape[1] == 3);
    cr_assert(b->tensor.dtype.code == 2 && b->tensor.dtype.bits == 32 &&
              b->tensor.dtype.lanes == 1);
    ((float *)b->tensor.data)[2] = 5;
    float a[] = {7, 1, 2, 3};
    int64_t three = 3, stride = 1;
    CztDlManaged in = {.tensor = {.data = a,
                                  .device = {1, 0},
                                  .ndim = 1,
                                  .shape = &three,
                                  .strides = &stride,
                                  .byte_offset = 4}};
    in.tensor.dtype.code = 2, in.tensor.dtype.bits = 32, in.tensor.dtype.lanes = 1;
    cr_assert(czt_input_from_dlpack(p, 0, "a", &in, &err), "%s", err.text);
    cr_assert(czt_run(p, 0, 0, 0, &err));
    CztDlManaged *sum = czt_output_dlpack(p, 0, "sum", &err);
    cr_assert_not_null(sum);
    cr_assert_eq(((float *)sum->tensor.data)[2], 8);
    stride = 2;
    cr_assert(!czt_input_from_dlpack(p, 0, "a", &in, &err));
    cr_assert(strstr(err.text, "not dense"), "%s", err.text);
    stride = 1, in.tensor.device.device_type = 2;
    cr_assert(!czt_input_from_dlpack(p, 0, "a", &in, &err));
    in.tensor.device.device_type = 1, in.tensor.dtype.bits = 24;
    cr_assert(!czt_input_from_dlpack(p, 0, "a", &in, &err));
    cr_assert_null(czt_state_dlpack(p, "c", &err));
    cr_assert_null(czt_output_dlpack(p, 0, "c", &err));
    b->deleter(b);
    sum->deleter(sum);
    czt_free(p);
    arena_free(arena);
}
#endif
