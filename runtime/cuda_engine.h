// The inside of the CUDA engine: engine_cuda.c, and cuda_products.c which chooses who does
// products.
#ifndef CZT_RUNTIME_CUDA_ENGINE_H
#define CZT_RUNTIME_CUDA_ENGINE_H

#include "runtime/cuda_blas.h"
#include "runtime/engine.h"
#include "runtime/order.h"

// A kernel's product in the library, and the algorithm that is taken: -1 is the kernel's own code.
typedef struct CudaProduct {
    BlasProduct blas;
    int algo;
} CudaProduct;

typedef struct CudaEntry {
    CuPtr inputs, outputs; // inputs: the block that it shares
    uint8_t *host_inputs, *host_outputs;
    CuEvent staged; // its inputs are in staging
    Order order;
    void **parameters;      // by segment: its buffers' addresses, one after the other
    void **node_parameters; // by node of the order: its segment's, or where its table lies
    const char **what;      // by node: kernel and line, for errors
    CuGraphExec graph;
    ExecTime *times;
} CudaEntry;

typedef struct CudaEngine {
    Engine base;
    const Step *step;
    Arena *arena;
    CudaDriver driver;
    CudaDevice device;
    CuContext context;
    const StepImage *image; // the one that is loaded
    CuModule *modules;      // by unit
    CuFunction *functions;  // by kernel
    const char **what;      // by kernel: its name and the line of its first use, for errors
    CuStream main, copy;
    CuEvent from, to; // around a kernel that is timed
    CuPtr state, scratch, constants, tables;
    CuPtr inputs[2];      // of the entry that runs: of one by itself, and of one before another
    CuPtr staging;        // where the inputs of the next run come
    CuEvent taken;        // they were copied to inputs
    uint8_t *host_tables; // the tables of all nodes, as they go to the GPU
    CudaEntry *entries;
    uint8_t *snapshot; // room for a copy of the state, or NULL
    void *bounce;      // state that was read
    size_t bounce_size;
    CudaBlas blas;
    CudaProduct *products; // by kernel
    CuPtr workspace;       // of the library, one product at a time
    uint32_t workspaces;   // 2: behind it lies that of frozen ones
    bool profile;
    bool opened;  // all memory is there
    Error broken; // of a wait that had no other way to say it
} CudaEngine;

// True for success; else err says which step, which GPU, what was done, and the driver's text.
bool cuda_engine_check(CudaEngine *c, CuResult result, const char *what, Error *err);
// Launch a kernel's own code.
bool cuda_engine_launch(CudaEngine *c, uint32_t kernel, void *addresses, CuStream stream,
                        Error *err);

// Allocate the blocks (runtime/cuda_memory.c), after their need was held against what there is.
bool cuda_memory_allocate(CudaEngine *c, Error *err);
// Pinned memory of the host, zeroed.
bool cuda_memory_host(CudaEngine *c, uint8_t **to, int64_t bytes, Error *err);
// Is there room for so many bytes more, beside what the driver will take for graphs?
bool cuda_memory_has(CudaEngine *c, int64_t bytes);
// Add to an error of memory that the GPU lacks: what the plan needs, and how it would fit.
void cuda_memory_short(CudaEngine *c, Error *err);

// Bytes that the tables of all entries need at most.
int64_t cuda_tables_bytes(const CudaEngine *c);
// Make every node's parameter from its segments', with the tables that some need (at c->tables;
// docs/step-format.md), and queue their copy. Needs the orders.
bool cuda_tables_bind(CudaEngine *c, Error *err);
// Blocks of a node: of all its segments.
uint32_t cuda_node_blocks(const CudaEngine *c, const OrderNode *node);

// Decide for every product whether its kernel or cuBLASLt does it, as options->products says;
// measuring is done on the blocks as they are (what they hold is lost). Needs blocks and
// parameters.
bool cuda_products_choose(CudaEngine *c, const ExecOptions *options, Error *err);
// Put a product that the library does on a stream, and the rest of its kernel where there is one.
bool cuda_products_run(CudaEngine *c, uint32_t kernel, bool frozen, void *addresses,
                       CuStream stream, Error *err);
void cuda_products_free(CudaEngine *c);

// As exec_peak (runtime/cuda_peak.c).
double cuda_peak(CudaEngine *c);

#endif
