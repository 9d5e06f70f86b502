// The public C API of cztc: load a step file, bind inputs, run entries, read outputs, get and set
// state. No globals, no callbacks, errors as values. A program is used by one thread at a time;
// several programs may live side by side. The layout of a step file is in docs/step-format.md.
#ifndef CZTC_H
#define CZTC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// clang-format off
// X(suffix, name, bytes an element)
#define CZT_DTYPES(X)                                                                            \
    X(F32, "f32", 4) X(F64, "f64", 8) X(BF16, "bf16", 2) X(F16, "f16", 2)                        \
    X(F8E4M3, "f8e4m3", 1) X(F8E5M2, "f8e5m2", 1) X(I8, "i8", 1) X(U8, "u8", 1)                  \
    X(I16, "i16", 2) X(U16, "u16", 2) X(I32, "i32", 4) X(U32, "u32", 4)                          \
    X(I64, "i64", 8) X(U64, "u64", 8) X(BOOL, "bool", 1)
// clang-format on

typedef enum CztDtype {
#define CZT_DTYPE_ROW(suffix, name, bytes) CZT_##suffix,
    CZT_DTYPES(CZT_DTYPE_ROW)
#undef CZT_DTYPE_ROW
        CZT_DTYPE_COUNT
} CztDtype;

// What a state tensor is. Parameters and what training needs are in checkpoints; derived tensors
// (shadows, packed weights) are computed again by the entries "derive" and "refresh", frozen ones
// (of teachers) come from files, or of the seed, whenever a program begins or goes on, transient
// ones live within an update.
// clang-format off
#define CZT_KINDS(X)                                                                             \
    X(PARAM, "param") X(OPT, "opt") X(EMA, "ema") X(METRIC, "metric") X(STAT, "stat")            \
    X(DERIVED, "derived") X(COUNTER, "counter") X(FROZEN, "frozen") X(TRANSIENT, "transient")
// clang-format on

typedef enum CztKind {
#define CZT_KIND_ROW(suffix, name) CZT_##suffix,
    CZT_KINDS(CZT_KIND_ROW)
#undef CZT_KIND_ROW
        CZT_KIND_COUNT
} CztKind;

// A tensor of a program: row-major and dense, at `offset` of its block (state, or an entry's inputs
// or outputs). `kind` has a meaning for state only.
typedef struct CztTensor {
    const char *name;
    CztKind kind;
    CztDtype dtype;
    uint32_t rank;
    const int64_t *shape;
    int64_t offset, bytes;
} CztTensor;

// A compiled kernel: does tasks [begin, end); worker is the calling thread's own scratch.
typedef void (*CztKernel)(void *const *buffers, int64_t begin, int64_t end, void *worker);

typedef struct CztError {
    char text[1024];
} CztError;

typedef struct CztOptions {
    uint32_t threads; // 0: one for each core this process may use
    bool profile;     // measure every launch
} CztOptions;

typedef struct CztProgram CztProgram;

// Load a step file, or an executable that carries one. options may be NULL. The state is zero until
// czt_init or czt_set_state. NULL and an error on failure.
CztProgram *czt_load(const char *path, const CztOptions *options, CztError *err);
// The same from bytes, which are copied; `name` is shown in errors.
CztProgram *czt_load_memory(const char *name, const void *data, size_t size,
                            const CztOptions *options, CztError *err);
// NULL is allowed. Every pointer got from the program dies with it.
void czt_free(CztProgram *program);

// A JSON text: name, target, batch, state, entries with inputs and outputs. Lives with the program.
const char *czt_describe(CztProgram *program);
uint32_t czt_entry_count(const CztProgram *program);
const char *czt_entry_name(const CztProgram *program, uint32_t entry);
// Number of the entry of that name, or -1.
int32_t czt_entry_find(const CztProgram *program, const char *name);
uint32_t czt_input_count(const CztProgram *program, uint32_t entry);
const CztTensor *czt_input(const CztProgram *program, uint32_t entry, uint32_t i);
uint32_t czt_output_count(const CztProgram *program, uint32_t entry);
const CztTensor *czt_output(const CztProgram *program, uint32_t entry, uint32_t i);
uint32_t czt_state_count(const CztProgram *program);
const CztTensor *czt_state(const CztProgram *program, uint32_t i);
// Name ("bf16") and element size of a dtype.
const char *czt_dtype_name(CztDtype dtype);
int64_t czt_dtype_size(CztDtype dtype);

// Fill the state: the entry "init" with this seed, then "derive".
bool czt_init(CztProgram *program, int64_t seed, CztError *err);
// Copy data into an input. The shape must be the input's; integers convert to another width or sign
// when every value fits.
bool czt_set_input(CztProgram *program, uint32_t entry, const char *name, CztDtype dtype,
                   uint32_t rank, const int64_t *shape, const void *data, CztError *err);
// The bytes of an input, to be filled in place.
void *czt_input_data(CztProgram *program, uint32_t entry, uint32_t i);
// Run an entry, and first what the program has run before it in parts of its batch, of the same
// inputs. step (finished updates) and seed go to the inputs "$step" and "$seed" where it has them.
bool czt_run(CztProgram *program, uint32_t entry, int64_t step, int64_t seed, CztError *err);
// The bytes of an output of the entry's last run.
const void *czt_output_data(const CztProgram *program, uint32_t entry, uint32_t i);
// Copy a state tensor out or in; bytes must be the tensor's. After setting, call czt_derive once.
bool czt_get_state(const CztProgram *program, const char *name, void *data, size_t bytes,
                   CztError *err);
bool czt_set_state(CztProgram *program, const char *name, const void *data, size_t bytes,
                   CztError *err);
bool czt_derive(CztProgram *program, CztError *err);

// Read parameters from a safetensors file. Strict: missing, unknown and misshapen tensors are
// listed. Tables of positions of another size are resized where the graph's init: says how.
bool czt_load_weights(CztProgram *program, const char *path, CztError *err);
// Write the parameters to a safetensors file.
bool czt_save_weights(const CztProgram *program, const char *path, CztError *err);

// Tensors in DLPack's layout (dlpack.h, version 0.8, `DLManagedTensor`): cast to and from its type.
typedef struct CztDlTensor {
    void *data;
    struct {
        int32_t device_type, device_id; // 1 is the CPU, 2 a CUDA GPU
    } device;
    int32_t ndim;
    struct {
        uint8_t code, bits; // code 0 int, 1 unsigned, 2 float, 4 bfloat, 6 bool
        uint16_t lanes;
    } dtype;
    int64_t *shape, *strides; // strides in elements; NULL means row-major
    uint64_t byte_offset;
} CztDlTensor;

typedef struct CztDlManaged {
    CztDlTensor tensor;
    void *context;
    void (*deleter)(struct CztDlManaged *self);
} CztDlManaged;

// A view of a state tensor (on the program's device) or of an output (on the host), without a copy;
// it must not outlive the program. Call
// its deleter. NULL and an error when there is none of that name, or DLPack has no such dtype.
CztDlManaged *czt_state_dlpack(CztProgram *program, const char *name, CztError *err);
CztDlManaged *czt_output_dlpack(CztProgram *program, uint32_t entry, const char *name,
                                CztError *err);
// Copy a DLPack tensor on the CPU into an input, as czt_set_input does. The tensor stays the
// caller's.
bool czt_input_from_dlpack(CztProgram *program, uint32_t entry, const char *name,
                           const CztDlManaged *tensor, CztError *err);

#ifdef __cplusplus
}
#endif

#endif
