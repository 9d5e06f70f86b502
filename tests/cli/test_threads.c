// A whole training step with 1, 2, 3, 5 and 8 threads: after three updates every output and every
// byte of the state (parameters, moments, what is derived) are the same.
//
//     test_threads CZTC SOURCE_DIR
#include "runtime/exec.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 3 };

// What a run leaves: the state's tensors and the last step's outputs, one after the other.
typedef struct Result {
    uint8_t *bytes;
    size_t size;
} Result;

static void fill(Exec *exec, uint32_t entry)
{
    const StepEntry *e = &exec_step(exec)->entries[entry];
    uint32_t random = 1;
    for (uint32_t i = 0; i < e->ninputs; i++) {
        const CztTensor *t = &e->inputs[i];
        uint8_t *to = exec_input(exec, entry, i);
        for (int64_t k = 0; k < t->bytes / czt_dtype_size(t->dtype); k++) {
            random = random * 1664525 + 1013904223;
            if (t->dtype == CZT_F32)
                ((float *)to)[k] = (float)(random >> 8) * 0x1p-24f;
            else if (t->dtype == CZT_I32)
                ((int32_t *)to)[k] = (int32_t)(random >> 28);
            else if (t->dtype == CZT_U8 || t->dtype == CZT_BOOL)
                to[k] = t->dtype == CZT_BOOL ? 1 : (uint8_t)(random >> 24);
        }
    }
}

static void keep(Result *r, const void *data, int64_t bytes)
{
    r->bytes = realloc(r->bytes, r->size + (size_t)bytes + 1);
    if (!r->bytes) exit(1);
    memcpy(r->bytes + r->size, data, (size_t)bytes);
    r->size += (size_t)bytes;
}

static bool run(const Step *step, uint32_t threads, Result *r, Error *err)
{
    int32_t entry = step_entry(step, "step");
    Exec *exec = exec_new(step, &(ExecOptions){.threads = threads}, err);
    bool ok = exec && entry >= 0 && exec_init(exec, step->seed, err);
    if (ok) fill(exec, (uint32_t)entry);
    for (int64_t i = 0; ok && i < STEPS; i++)
        ok = exec_run(exec, (uint32_t)entry, i, step->seed, err);
    for (uint32_t i = 0; ok && i < step->nstate; i++)
        keep(r, exec_state(exec, i, err), step->state[i].bytes);
    for (uint32_t i = 0; ok && i < step->entries[entry].noutputs; i++)
        keep(r, exec_output(exec, (uint32_t)entry, i), step->entries[entry].outputs[i].bytes);
    exec_free(exec);
    return ok;
}

static bool compare(const Step *step, Error *err)
{
    static const uint32_t counts[] = {1, 2, 3, 5, 8};
    Result first = {0};
    bool ok = run(step, counts[0], &first, err);
    for (size_t i = 1; ok && i < sizeof counts / sizeof *counts; i++) {
        Result other = {0};
        ok = run(step, counts[i], &other, err);
        if (ok && (first.size != other.size || memcmp(first.bytes, other.bytes, first.size) != 0))
            ok = error_set(err, "%u threads give other bits than one", counts[i]);
        free(other.bytes);
    }
    if (ok) printf("%zu bytes of state and outputs are the same\n", first.size);
    free(first.bytes);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    char path[] = "/tmp/cztc-threads-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    Error err = {0};
    Arena *arena = arena_new();
    int code = system(str_printf(arena,
                                 "'%s' compile '%s/graphs/bench/micro.yaml' --set width=96 --set "
                                 "text_width=32 --set text_heads=2 --no-cache -o %s >/dev/null",
                                 argv[1], argv[2], path));
    Step *step = code == 0 ? step_load(path, &err) : NULL;
    bool ok = step && compare(step, &err);
    if (!ok) printf("FAILED %s\n", err.text);
    step_free(step);
    unlink(path);
    arena_free(arena);
    return !ok;
}
