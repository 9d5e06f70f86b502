// Inside of the shim's runtime: a worker runs one block at a time; its threads are fibers.
#ifndef SHIM_FIBER_H
#define SHIM_FIBER_H

#include "shim_run.h"

#include <stdint.h>

#include "shim_lane.h"

enum {
    SHIM_THREADS = 1024, // of a block, the hardware's limit
    SHIM_WARPS = SHIM_THREADS / SHIM_WARP,
    SHIM_STATIC = 48 << 10,        // bytes of static shared memory, the hardware's limit
    SHIM_DYNAMIC = 227 << 10,      // bytes of all shared memory, sm_90's limit
    SHIM_STACK = (64 << 10) + 192, // not at a stride of 64 KiB, where cache sets clash
    SHIM_MESSAGE = 512
};

typedef struct Worker Worker;

typedef enum { FIBER_READY, FIBER_IN_WARP, FIBER_IN_BLOCK, FIBER_DONE } FiberState;

// A copy that cp.async started; not done before its group is waited for.
typedef struct Copy {
    void *to;
    const void *from;
    uint32_t bytes, group;
} Copy;

// A CUDA thread; its kernel's code knows the lane only, which is therefore first.
typedef struct Fiber {
    ShimLane lane;
    Worker *worker;
    void *stack; // where it goes on
    FiberState state;
    uint32_t meetings;        // of the warp, so far: says which half of the slots is next
    uint32_t barriers, syncs; // of the block and of the warp, passed so far: race epochs
    Copy *copies;
    uint32_t ncopies, copies_cap, groups; // groups closed so far
} Fiber;

typedef struct Warp {
    // Two halves: a lane in the next meeting writes where no other still reads.
    _Alignas(SHIM_SLOT) unsigned char slots[2][SHIM_WARP * SHIM_SLOT];
    uint32_t ready;   // bit l: lane l can go on
    uint32_t arrived; // in the current meeting
    uint32_t first;   // the thread that came first
} Warp;

// An array in shared memory: the last bytes (to 16) of pages between two that cannot be touched.
typedef struct SharedArray {
    uint32_t id;
    const char *name;
    unsigned char *map, *data; // map begins with the guard page
    size_t bytes, map_bytes;
    struct RaceCell *cells; // a byte's last accesses; NULL without race detection
} SharedArray;

enum { SHIM_DYNAMIC_ID = UINT32_MAX };

struct Worker {
    struct Launch *launch;
    ShimLane **slot; // where the module's code finds the running lane, on this system thread
    Fiber *fibers, *current;
    Warp *warps;
    uint32_t threads, done, arrived,
        first;  // of the block; at its barrier; the thread that came first
    void *home; // the worker's own stack while fibers run
    unsigned char *stacks, *rescue;
    uint64_t random;
    SharedArray *arrays;
    uint32_t narrays, arrays_cap;
    size_t static_bytes;
    uint64_t position; // of the block in the launch's order
    uintptr_t fault;   // the address of an access that trapped
    int signal;
    bool failed;
    char message[SHIM_MESSAGE];
};

typedef struct Launch {
    const ShimOptions *options;
    const ShimModule *module;
    const ShimEntry *kernel;
    void *const *parameters;
    uint32_t grid_x, grid_y, threads;
    size_t dynamic_shared;
    uint64_t step, offset; // of SHIM_RANDOM's permutation of the blocks
    _Atomic uint64_t next; // block to take
    _Atomic bool failed;
} Launch;

// shim_meet.c: fibers and where they wait.
extern const ShimCalls shim_calls, shim_race_calls;
// Make the block's fibers and run them until all have ended or one has failed.
void fibers_run(Worker *w);
// Note why the block ends here (the first reason stays) and leave the fiber for good.
void fiber_fail(Worker *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Where a fiber's code is moved to after a trap, on the rescue stack.
void fiber_trapped(Worker *w);
uint64_t worker_random(Worker *w);

// shim_shared.c: shared memory and asynchronous copies.
void *shared_array(ShimLane *lane, uint32_t id, const char *name, uint64_t bytes);
void *shared_dynamic(ShimLane *lane);
void shared_begin(Worker *w);  // a launch
void shared_fill(Worker *w);   // a block begins: ones everywhere
bool shared_intact(Worker *w); // a block ends: nothing written beside the arrays, else a message
void shared_free(Worker *w);
// The array whose pages or guards hold the address, or NULL.
const SharedArray *shared_find(const Worker *w, const void *p);
void copy_issue(ShimLane *lane, void *to, const void *from, uint32_t bytes);
void copy_commit(ShimLane *lane);
void copy_wait(ShimLane *lane, uint32_t n);
void check16(ShimLane *lane, const void *p, const char *instruction, uint32_t shared);

// shim_race.c: epochs of every byte of shared memory.
struct RaceCell *race_cells(size_t bytes);
void race_reset(SharedArray *array);
void race_access(ShimLane *lane, const void *p, uint64_t bytes, uint32_t write);

// shim_compile.c
ShimLane **module_lane_slot(const ShimModule *module);
bool module_races(const ShimModule *module);

#endif
