// What the kernel's side of the shim (shim.h, C++) and its runtime (shim_run.c, C) share: a CUDA
// thread as its own code sees it, and the calls it makes. Needs uint32_t; includes nothing, because
// the names of kernels' text (sync, all ...) would meet those of system headers.
#ifndef SHIM_LANE_H
#define SHIM_LANE_H

enum { SHIM_WARP = 32, SHIM_SLOT = 64 };

typedef struct ShimLane ShimLane;

typedef struct ShimCalls {
    // Wait for all threads of the block.
    void (*block_meet)(ShimLane *lane);
    // Wait for all lanes of the warp; the last one to arrive runs combine (may be NULL) over the
    // slots. Returns the 32 slots of SHIM_SLOT bytes, valid until the lane's next meeting.
    unsigned char *(*warp_meet)(ShimLane *lane, const void *in, uint32_t size,
                                void (*combine)(void *));
    // As warp_meet with nothing to exchange: orders the warp's accesses of memory.
    void (*warp_sync)(ShimLane *lane);
    // The block's array number `id`; the block's dynamic shared memory.
    void *(*shared)(ShimLane *lane, uint32_t id, const char *name, uint64_t bytes);
    void *(*dynamic)(ShimLane *lane);
    // cp.async: poison `to` and note the copy; close a group; copy all groups but the latest n.
    void (*copy_issue)(ShimLane *lane, void *to, const void *from, uint32_t bytes);
    void (*copy_commit)(ShimLane *lane);
    void (*copy_wait)(ShimLane *lane, uint32_t n);
    // Refuse an address that is not a multiple of 16 or, when `shared`, not in shared memory.
    void (*check16)(ShimLane *lane, const void *p, const char *instruction, uint32_t shared);
    // Race detection: an access of memory by the kernel's own code.
    void (*access)(ShimLane *lane, const void *p, uint64_t bytes, uint32_t write);
} ShimCalls;

struct ShimLane {
    const ShimCalls *calls;
    uint32_t thread, threads, block_x, block_y, blocks_x, blocks_y;
    uint32_t line, site; // of the last meeting in the text; site tells apart two on one line
};

// One row for each kernel of a text, made by shim_compile; the last has no name.
typedef struct ShimEntry {
    const char *name;
    void (*call)(void *const *parameters);
    uint32_t max_threads, parameters, bytes; // bytes: of all parameters
} ShimEntry;

#endif
