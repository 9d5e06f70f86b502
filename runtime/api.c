// The public API: thin covers over step, exec and weights, with a program that owns both.
#include "runtime/cztc.h"

#include "runtime/exec.h"
#include "runtime/weights_init.h"

#include <stdlib.h>
#include <string.h>

struct CztProgram {
    Step *step;
    Exec *exec;
    char *description; // made when first asked for
};

// Hand an inner error out; returns ok.
static bool report(bool ok, const Error *inner, CztError *err)
{
    if (!ok && err) memcpy(err->text, inner->text, sizeof err->text);
    return ok;
}

_Static_assert(sizeof((CztError *)0)->text == sizeof((Error *)0)->text,
               "error texts are copied whole");

// Take over a loaded step. NULL leaves it freed.
static CztProgram *make_program(Step *step, const CztOptions *options, Error *err)
{
    if (!step) return NULL;
    const ExecOptions exec = {.threads = options ? options->threads : 0,
                              .profile = options && options->profile};
    CztProgram *program = calloc(1, sizeof *program);
    if (program) {
        *program = (CztProgram){.step = step, .exec = exec_new(step, &exec, err)};
        if (program->exec) return program;
    } else {
        error_set(err, "%s: no memory", step->file);
    }
    free(program);
    step_free(step);
    return NULL;
}

CztProgram *czt_load(const char *path, const CztOptions *options, CztError *err)
{
    Error inner = {0};
    CztProgram *program = make_program(step_load(path, &inner), options, &inner);
    report(program != NULL, &inner, err);
    return program;
}

CztProgram *czt_load_memory(const char *name, const void *data, size_t size,
                            const CztOptions *options, CztError *err)
{
    Error inner = {0};
    CztProgram *program = make_program(step_load_memory(name, data, size, &inner), options, &inner);
    report(program != NULL, &inner, err);
    return program;
}

void czt_free(CztProgram *program)
{
    if (!program) return;
    exec_free(program->exec);
    step_free(program->step);
    free(program->description);
    free(program);
}

const char *czt_describe(CztProgram *program)
{
    if (!program->description) {
        json_t *value = step_describe(program->step);
        program->description = json_dumps(value, JSON_INDENT(1));
        json_decref(value);
    }
    return program->description ? program->description : "{}";
}

uint32_t czt_entry_count(const CztProgram *program)
{
    return program->step->nentries;
}

const char *czt_entry_name(const CztProgram *program, uint32_t entry)
{
    return program->step->entries[entry].name;
}

int32_t czt_entry_find(const CztProgram *program, const char *name)
{
    return step_entry(program->step, name);
}

uint32_t czt_input_count(const CztProgram *program, uint32_t entry)
{
    return program->step->entries[entry].ninputs;
}

const CztTensor *czt_input(const CztProgram *program, uint32_t entry, uint32_t i)
{
    return &program->step->entries[entry].inputs[i];
}

uint32_t czt_output_count(const CztProgram *program, uint32_t entry)
{
    return program->step->entries[entry].noutputs;
}

const CztTensor *czt_output(const CztProgram *program, uint32_t entry, uint32_t i)
{
    return &program->step->entries[entry].outputs[i];
}

uint32_t czt_state_count(const CztProgram *program)
{
    return program->step->nstate;
}

const CztTensor *czt_state(const CztProgram *program, uint32_t i)
{
    return &program->step->state[i];
}

bool czt_init(CztProgram *program, int64_t seed, CztError *err)
{
    Error inner = {0};
    return report(exec_init(program->exec, seed, &inner), &inner, err);
}

bool czt_set_input(CztProgram *program, uint32_t entry, const char *name, CztDtype dtype,
                   uint32_t rank, const int64_t *shape, const void *data, CztError *err)
{
    Error inner = {0};
    return report(exec_set_input(program->exec, entry, name, dtype, rank, shape, data, &inner),
                  &inner, err);
}

void *czt_input_data(CztProgram *program, uint32_t entry, uint32_t i)
{
    return exec_input(program->exec, entry, i);
}

bool czt_run(CztProgram *program, uint32_t entry, int64_t step, int64_t seed, CztError *err)
{
    Error inner = {0};
    return report(exec_run(program->exec, entry, step, seed, &inner), &inner, err);
}

const void *czt_output_data(const CztProgram *program, uint32_t entry, uint32_t i)
{
    return exec_output(program->exec, entry, i);
}

bool czt_get_state(const CztProgram *program, const char *name, void *data, size_t bytes,
                   CztError *err)
{
    Error inner = {0};
    return report(exec_get_state(program->exec, name, data, bytes, &inner), &inner, err);
}

bool czt_set_state(CztProgram *program, const char *name, const void *data, size_t bytes,
                   CztError *err)
{
    Error inner = {0};
    return report(exec_set_state(program->exec, name, data, bytes, &inner), &inner, err);
}

bool czt_derive(CztProgram *program, CztError *err)
{
    Error inner = {0};
    return report(exec_derive(program->exec, &inner), &inner, err);
}

bool czt_load_weights(CztProgram *program, const char *path, CztError *err)
{
    Error inner = {0};
    SafeTensors st;
    WeightsTold told;
    bool ok = safetensors_open(&st, path, &inner);
    if (ok) {
        Arena *arena = arena_new();
        ok = weights_whole(program->exec, &st, WEIGHTS_STRICT, arena, &told, &inner) &&
             exec_derive(program->exec, &inner);
        arena_free(arena);
        safetensors_close(&st);
    }
    return report(ok, &inner, err);
}

bool czt_save_weights(const CztProgram *program, const char *path, CztError *err)
{
    Error inner = {0};
    return report(weights_save(program->exec, NULL, path, KINDS_PARAMS, NULL, NULL, &inner), &inner,
                  err);
}

// DLPack's type code; false for the 8-bit floats, which version 0.8 has not.
static bool dl_type(CztDtype dtype, uint8_t *code)
{
    enum { INT, UNSIGNED, FLOAT, BFLOAT = 4, BOOL = 6, NONE = 255 };
    static const uint8_t codes[CZT_DTYPE_COUNT] = {
        [CZT_F32] = FLOAT,   [CZT_F64] = FLOAT,    [CZT_BF16] = BFLOAT, [CZT_F16] = FLOAT,
        [CZT_F8E4M3] = NONE, [CZT_F8E5M2] = NONE,  [CZT_I8] = INT,      [CZT_U8] = UNSIGNED,
        [CZT_I16] = INT,     [CZT_U16] = UNSIGNED, [CZT_I32] = INT,     [CZT_U32] = UNSIGNED,
        [CZT_I64] = INT,     [CZT_U64] = UNSIGNED, [CZT_BOOL] = BOOL,
    };
    *code = codes[dtype];
    return *code != NONE;
}

enum { DL_CPU = 1, DL_CUDA = 2 };

static void dl_delete(CztDlManaged *self)
{
    free(self);
}

static CztDlManaged *dl_view(const CztTensor *t, const void *data, ExecDevice on, CztError *err)
{
    Error inner = {0};
    uint8_t code;
    CztDlManaged *view = malloc(sizeof *view + t->rank * sizeof(int64_t));
    if (!view || !dl_type(t->dtype, &code)) {
        error_set(&inner, "'%s': %s", t->name, view ? "DLPack has no such dtype" : "no memory");
        report(false, &inner, err);
        free(view);
        return NULL;
    }
    *view = (CztDlManaged){.tensor = {.data = (void *)(uintptr_t)data,
                                      .device = {on.gpu ? DL_CUDA : DL_CPU, on.number},
                                      .ndim = (int32_t)t->rank,
                                      .shape = (int64_t *)(view + 1)},
                           .deleter = dl_delete};
    view->tensor.dtype.code = code;
    view->tensor.dtype.bits = (uint8_t)(8 * czt_dtype_size(t->dtype));
    view->tensor.dtype.lanes = 1;
    if (t->rank) memcpy(view->tensor.shape, t->shape, t->rank * sizeof(int64_t));
    return view;
}

CztDlManaged *czt_state_dlpack(CztProgram *program, const char *name, CztError *err)
{
    Error inner = {0};
    int32_t i = tensor_find(program->step->state, program->step->nstate, name);
    if (i >= 0)
        return dl_view(&program->step->state[i], exec_state_address(program->exec, (uint32_t)i),
                       exec_device(program->exec), err);
    error_set(&inner, "%s: no state tensor '%s'", program->step->file, name);
    report(false, &inner, err);
    return NULL;
}

CztDlManaged *czt_output_dlpack(CztProgram *program, uint32_t entry, const char *name,
                                CztError *err)
{
    Error inner = {0};
    const StepEntry *e = &program->step->entries[entry];
    int32_t i = tensor_find(e->outputs, e->noutputs, name);
    if (i >= 0) // outputs are on the host whatever the target
        return dl_view(&e->outputs[i], exec_output(program->exec, entry, (uint32_t)i),
                       (ExecDevice){0}, err);
    error_set(&inner, "%s: entry '%s' has no output '%s'", program->step->file, e->name, name);
    report(false, &inner, err);
    return NULL;
}

static bool dl_dense(const CztDlTensor *t)
{
    int64_t stride = 1;
    for (int32_t i = t->ndim - 1; t->strides && i >= 0; i--) {
        if (t->shape[i] != 1 && t->strides[i] != stride) return false;
        stride *= t->shape[i];
    }
    return true;
}

static bool dl_dtype(const CztDlTensor *t, CztDtype *dtype)
{
    uint8_t code;
    for (*dtype = 0; *dtype < CZT_DTYPE_COUNT; ++*dtype)
        if (dl_type(*dtype, &code) && code == t->dtype.code && t->dtype.lanes == 1 &&
            t->dtype.bits == 8 * czt_dtype_size(*dtype))
            return true;
    return false;
}

bool czt_input_from_dlpack(CztProgram *program, uint32_t entry, const char *name,
                           const CztDlManaged *tensor, CztError *err)
{
    Error inner = {0};
    const CztDlTensor *t = &tensor->tensor;
    CztDtype dtype = CZT_F32;
    const char *wrong = t->device.device_type != DL_CPU ? "the tensor is not on the CPU"
                        : !dl_dtype(t, &dtype)          ? "a dtype cztc has not"
                        : !dl_dense(t) ? "the tensor is not dense and row-major; copy it first"
                                       : NULL;
    if (wrong) return report(error_set(&inner, "input '%s': %s", name, wrong), &inner, err);
    return czt_set_input(program, entry, name, dtype, (uint32_t)t->ndim, t->shape,
                         (const uint8_t *)t->data + t->byte_offset, err);
}
