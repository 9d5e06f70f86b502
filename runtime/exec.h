// The executor: one program's state and blocks on this machine, and its entries run by the engine
// of its target: a thread pool, or a GPU. Not for several threads at once.
#ifndef CZT_RUNTIME_EXEC_H
#define CZT_RUNTIME_EXEC_H

#include "runtime/pool.h"
#include "runtime/step.h"

typedef struct Exec Exec;

// Who does products on a GPU: whoever is faster, as the files of choices have it or as is measured
// when the program is opened, and then kept there (without such files: cuBLASLt by its first
// algorithm, where it is there and can); the program's own kernels; cuBLASLt by its first
// algorithm, which must be there; or whoever is faster, measured anew.
typedef enum { PRODUCTS_AUTO, PRODUCTS_OWN, PRODUCTS_LIBRARY, PRODUCTS_MEASURED } ExecProducts;

typedef struct ExecOptions {
    uint32_t threads; // 0: one for each core
    bool profile;     // time every launch
    int device;       // number of the GPU
    ExecProducts products;
    bool snapshots;                 // on a GPU, have room for exec_snapshot
    bool no_frozen;                 // nobody will read frozen state: its files are left alone
    void (*tell)(const char *line); // notes on what was loaded, or NULL
    // Files that keep what was measured; the first one (a run's) has what products says otherwise
    // too, and counts. NULL: none.
    const char *choices[2];
    bool choices_stay; // they are read, but not written
    const CztKernel
        *kernels; // step->nkernels functions to call instead of the mapped code, or NULL
} ExecOptions;

// Allocate the blocks (state zeroed) and start the threads. The step must outlive it. options may
// be NULL. NULL and an error on failure.
Exec *exec_new(const Step *step, const ExecOptions *options, Error *err);
// NULL is allowed.
void exec_free(Exec *exec);
const Step *exec_step(const Exec *exec);
Pool *exec_pool(Exec *exec);

// Where it runs.
typedef struct ExecDevice {
    bool gpu;
    int number;
    const char *name;   // of the GPU
    int64_t bytes;      // of its memory that the program takes
    const char *remark; // of who does products, what a person should know; NULL
} ExecDevice;
ExecDevice exec_device(const Exec *exec);

// Zero the state, then run "init" with the seed, where the program has it, take frozen state from
// its files, and run "derive".
bool exec_init(Exec *exec, int64_t seed, Error *err);
// Hand a note to whoever asked for them.
void exec_tell(const Exec *exec, const char *line);
// A sum of the bytes of frozen state since exec_init, 0 where there is none.
uint64_t exec_frozen(const Exec *exec);
// Such sums of its parts: {"teachers.big": "sum"}.
const json_t *exec_frozen_parts(const Exec *exec);
// Run "derive" where there is one: after every change of state from outside.
bool exec_derive(Exec *exec, Error *err);
// Run an entry. step (finished updates) and seed go to the scalar inputs "$step" and "$seed".
bool exec_run(Exec *exec, uint32_t entry, int64_t step, int64_t seed, Error *err);
// The two halves of exec_run. Between them the inputs of the next run may be filled; outputs and
// state are there after exec_wait, which also has the errors of what ran meanwhile.
bool exec_start(Exec *exec, uint32_t entry, int64_t step, int64_t seed, Error *err);
bool exec_wait(Exec *exec, Error *err);
// From now on wait for each kernel, so that the error of one that fails names it.
void exec_one_by_one(Exec *exec);
// Operations a second of a large product on the GPU, by cuBLASLt, in the precision of the program's
// largest product that it may do; NAN where it is not known: on a CPU, without the library or room
// for the matrices.
double exec_peak(Exec *exec);

// Copy data into an input of the same shape; integers convert to another width when all values fit.
bool exec_set_input(Exec *exec, uint32_t entry, const char *name, CztDtype dtype, uint32_t rank,
                    const int64_t *shape, const void *data, Error *err);
// The bytes of an input (to fill), an output (of the last run).
void *exec_input(Exec *exec, uint32_t entry, uint32_t i);
const void *exec_output(const Exec *exec, uint32_t entry, uint32_t i);
// The bytes of a state tensor on the host, good until the next call; NULL with err. Change them
// with exec_put_state.
const void *exec_state(Exec *exec, uint32_t i, Error *err);
bool exec_put_state(Exec *exec, uint32_t i, const void *from, Error *err);
// A copy of all state on the host as it is now, tensors at their offsets, good until the next; NULL
// with err, or without where there is no room for one (a CPU, no options.snapshots).
const uint8_t *exec_snapshot(Exec *exec, Error *err);
// Its address on the device.
void *exec_state_address(const Exec *exec, uint32_t i);
// An output with one element as a number; NaN when it has more or there is no such output.
double exec_scalar(const Exec *exec, uint32_t entry, uint32_t i);
// Copy a state tensor out or in by name; bytes must be its own.
bool exec_get_state(Exec *exec, const char *name, void *data, size_t bytes, Error *err);
bool exec_set_state(Exec *exec, const char *name, const void *data, size_t bytes, Error *err);

// The first kernel of an entry whose result has such an element.
typedef struct ExecPlace {
    const StepKernel *kernel;   // NULL: there is none
    const StepSegment *segment; // the use of it
    int64_t element;            // of the result, and how many it has
    int64_t count;
} ExecPlace;
// The first NaN, and the first infinity that came before it, or of all where there is no NaN. An
// infinity may be meant (a mask, the maximum of nothing).
typedef struct ExecTrouble {
    ExecPlace nan, infinity;
} ExecTrouble;
// Do the last run of an entry again, launch by launch, up to the first NaN, and look at what each
// wrote. State that the entry changes is changed again.
bool exec_find_nonfinite(Exec *exec, uint32_t entry, ExecTrouble *trouble, Error *err);

// Seconds and calls of a launch since the profile was last cleared; zeros when not profiling.
typedef struct ExecTime {
    double seconds;
    int64_t calls;
} ExecTime;
ExecTime exec_time(const Exec *exec, uint32_t entry, uint32_t launch);
void exec_clear_times(Exec *exec);

#endif
